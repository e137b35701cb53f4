"""Sacred: the folder of a FileStorageObserver, with a folder per run (config.json, run.json, metrics.json)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.tracked import Run, flat_settings, table_of_runs
from seedstudy.read.table import Table
from seedstudy.read.tables import parse_json, text_of

_STEP, _RESULT = "step", "result"


def _is_run(folder: Path) -> bool:
    names = ("run.json", "config.json")
    return folder.is_dir() and all((folder / name).is_file() for name in names)


def _runs_in(folder: Path) -> list[Path]:
    return sorted(
        (
            each
            for each in folder.iterdir()
            if not each.is_symlink() and not each.name.startswith(("_", ".")) and _is_run(each)
        ),
        key=lambda each: (len(each.name), each.name),
    )


def _is_storage(path: Path) -> bool:
    return path.is_dir() and (_is_run(path) or bool(_runs_in(path)))


def _read(path: Path) -> Table:
    folders = [path] if _is_run(path) else _runs_in(path)
    return table_of_runs([_run(folder) for folder in folders], path, clocks=(_STEP,))


def _run(folder: Path) -> Run:
    record, config = _object(folder / "run.json"), _object(folder / "config.json")
    metrics = _object(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    points: dict[Any, dict[str, Any]] = {}
    for name, series in metrics.items():
        steps, values = (series.get(key) if isinstance(series, dict) else None for key in ("steps", "values"))
        if not isinstance(steps, list) or not isinstance(values, list) or len(steps) != len(values):
            raise StudyError(
                f"{folder / 'metrics.json'}: {name[:40]!r} needs as many steps as values; is it cut short?"
            )
        for step, value in zip(steps, values, strict=True):
            number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
            if number is not None and isinstance(step, int | float):
                points.setdefault(step, {_STEP: step})[name] = number
    result = record.get(_RESULT)
    ordered = [points[step] for step in sorted(points)]
    if isinstance(result, int | float) and not isinstance(result, bool):
        ordered = [*ordered[:-1], {**(ordered[-1] if ordered else {}), _RESULT: result}]
    status = record.get("status")
    return Run(
        identity={"run": folder.name},
        points=ordered,
        settings=dict(flat_settings(config, ".")),
        status=str(status).lower() if status is not None else "unknown",
    )


def _object(file: Path) -> dict[str, Any]:
    document = parse_json(file, text_of(file))
    if not isinstance(document, dict):
        raise StudyError(f"{file}: expected a JSON object, as Sacred writes it.")
    return document


SACRED = Format(name="Sacred file storage", is_mine=_is_storage, read=_read)
