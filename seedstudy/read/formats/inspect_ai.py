"""Inspect (UK AISI): logs of evaluations, ``.eval`` and ``.json``, one task and model each.

Metrics are named as Inspect shows them, with the scorer's name before them where there are several. Standard errors are
over the samples of a task and not over seeds: left out. Samples are never opened.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import IO, Any

from seedstudy.errors import SeedstudyError, StudyError, first_line, require_extra
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, flat_settings, table_of_runs, word_set
from seedstudy.read.table import Role, Table
from seedstudy.read.tables import parse_json, text_of

_HEADER, _START = "header.json", "_journal/start.json"
_LARGEST = 100_000_000
_NO_SETTINGS = word_set("max_connections max_samples max_tasks max_subprocesses max_sandboxes max_retries timeout")
_SPREADS = word_set("stderr std var ci bootstrap_stderr")
_DEFLATED, _STORED = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)


def _is_json(path: Path) -> bool:
    head = head_of(path, ".json").lstrip()
    return head.startswith(b"{") and b'"status"' in head[:400] and b'"eval"' in head[:400] and b'"eval_id"' in head


def _is_eval(path: Path) -> bool:
    return head_of(path, ".eval").startswith(b"PK")


def _read_json(path: Path) -> Table:
    return _table(path, parse_json(path, text_of(path)))


def _read_eval(path: Path) -> Table:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in (_HEADER, _START) if name in archive.namelist()]
            if not names:
                raise StudyError(f"{path}: holds no {_HEADER}; is it an Inspect log?")
            info = archive.getinfo(names[0])
            if info.file_size > _LARGEST:
                raise StudyError(f"{path}: its {names[0]} is larger than one is; is it damaged?")
            if info.compress_type in (_DEFLATED, _STORED):
                text = archive.read(info).decode(errors="replace")
            else:
                text = _zstd(path, info).decode(errors="replace")
    except SeedstudyError:
        raise
    except Exception as error:  # a damaged archive ends in many ways: zlib.error, zstd's own, ...
        raise StudyError(f"{path}: not a readable Inspect log ({first_line(error)[:120]}); is it damaged?") from error
    document = parse_json(path, text, f", {names[0]}")
    if names[0] == _START and isinstance(document, dict):  # it has not ended
        document = {"status": "started", **document}
    return _table(path, document)


def _zstd(path: Path, info: zipfile.ZipInfo) -> bytes:
    """Return a member that is packed by Zstandard, which Inspect prefers and Python reads from 3.14 on."""
    require_extra("inspect")
    import zstandard

    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(30)
        if head[:4] != b"PK\x03\x04":
            raise ValueError("no member where the directory says")
        file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
        packed: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(file.read(info.compress_size))
        content = packed.read(_LARGEST)
    return bytes(content)


def _table(path: Path, document: Any) -> Table:
    about = document.get("eval") if isinstance(document, dict) else None
    if not isinstance(about, dict):
        raise StudyError(f'{path}: expected "eval" and "results", as Inspect writes them.')
    plan = _dict(document.get("plan"))
    config = {**_dict(about.get("model_generate_config")), **_dict(plan.get("config"))}
    settings = dict(flat_settings({k: v for k, v in config.items() if k not in _NO_SETTINGS}))
    settings |= dict(flat_settings(_dict(about.get("task_args"))))
    settings |= {"model": about.get("model"), "epochs": _dict(about.get("config")).get("epochs")}
    settings |= {"limit": json.dumps(limit)} if (limit := _dict(about.get("config")).get("limit")) is not None else {}
    metrics = dict(_metrics(_dict(document.get("results"))))
    run = Run(
        identity={"run_id": str(about.get("run_id"))},
        points=[metrics] if metrics else [],
        settings=settings,
        labels={"task": about.get("task")},
        status=str(document.get("status")).lower(),
    )
    notes = ["standard errors are over samples, not seeds: left out"]
    table = table_of_runs([run], path, notes=notes)
    return Table(frame=table.frame, roles={**table.roles, "task": Role.DATA}, unit=_unit(metrics), notes=table.notes)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _metrics(results: dict[str, Any]) -> list[tuple[str, float]]:
    listed = results.get("scores")
    scores = [score for score in listed if isinstance(score, dict)] if isinstance(listed, list) else []
    found = []
    for score in scores:
        for name, metric in _dict(score.get("metrics")).items():
            value = metric.get("value") if isinstance(metric, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and name not in _SPREADS:
                found.append((name if len(scores) == 1 else f"{score.get('name')}/{name}", float(value)))
    return found


def _unit(metrics: dict[str, float]) -> str | None:
    """Return the unit of accuracies, which Inspect's own metrics give as fractions."""
    return "fraction" if all(value <= 1 for name, value in metrics.items() if "accuracy" in name) else None


INSPECT_JSON = Format(name="Inspect log (.json)", is_mine=_is_json, read=_read_json, run="file")
INSPECT_EVAL = Format(name="Inspect log (.eval)", is_mine=_is_eval, read=_read_eval, run="file")
