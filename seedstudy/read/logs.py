"""Files, folders and patterns -> one table: a column names the file of each row, others what lies beside it."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.formats import format_of
from seedstudy.read.names import words_of
from seedstudy.read.parse import read_table
from seedstudy.read.table import FILE, Role, Table
from seedstudy.read.tables import is_events, plain_frame

_LOGS = (
    "all_results.json",
    "summary.csv",
    "metrics.csv",
    "trainer_state.json",
    "progress.csv",
    "results.csv",
    "log.txt",
)
"""Logs in a trial's folder, the preferred first: Hugging Face, timm, Lightning, Hugging Face again, Ray and
Stable-Baselines3, Ultralytics, DeiT and those after it."""
_SETTINGS = ("args.yaml", "hparams.yaml")
"""Files in which timm and Lightning write the settings of a run."""
_SETTING = re.compile(r"^(?P<name>\w{1,60}): *(?P<quote>['\"]?)(?P<value>[\w.+-]{1,99})(?P=quote) *$", re.MULTILINE)
"""A plain line of YAML; the rest, above all objects, is never parsed."""
_PLACES = frozenset(
    (
        "output",
        "dir",
        "experiment",
        "resume",
        "checkpoint",
        "path",
        "rank",
        "world",
        "devices",
        "workers",
        "log",
        "name",
    )
)
"""Words of settings that say where a run took place and not how it was trained."""
_SEED_DIGITS = 18
_TIMM = {"epoch", "train_loss", "eval_top1"}
"""Columns of timm's summary.csv, which holds accuracies in percent, however small."""


def read_files(selector: str) -> Table:
    """Return the rows of a file, of a folder of trials, or of a pattern such as ``runs/*/summary.csv``.

    Rows of several files are told apart by a column `FILE`; settings that lie beside logs become columns.
    """
    path = Path(selector)
    if path.is_dir() and format_of(path) is None:
        return _joined(_logs_below(path), path)
    if glob.has_magic(selector) and not path.exists():
        logs = [Path(name) for name in sorted(glob.glob(selector, recursive=True))]  # noqa: PTH207  # absolute ones too
        if not logs:
            raise StudyError(f"{selector}: no file matches; check the pattern, and quote it.")
        fixed = re.split(r"[*?\[]", selector, maxsplit=1)[0].rpartition("/")[0]
        return _joined(logs, Path(fixed))
    return _with_unit(read_table(path))


def _logs_below(folder: Path) -> list[Path]:
    """Return the log of every trial below a folder; links that lead out of it are not followed."""
    root, best = folder.resolve(), dict[Path, Path]()
    for path in sorted(folder.rglob("*"), key=lambda path: (_rank(path), path)):
        if (path.name in _LOGS or is_events(path)) and path.is_file() and path.resolve().is_relative_to(root):
            best.setdefault(path.parent, path)
    # A checkpoint below a trial is part of that trial.
    logs = sorted(log for place, log in best.items() if not any(other in place.parents for other in best))
    if not logs:
        raise StudyError(
            f"{folder}: holds no trial; expected folders with one of {', '.join(_LOGS)} or a TensorBoard event file."
        )
    return logs


def _rank(log: Path) -> int:
    return _LOGS.index(log.name) if log.name in _LOGS else len(_LOGS)


def _with_unit(table: Table) -> Table:
    return replace(table, unit="percent") if set(table.frame.columns) >= _TIMM else table


def _joined(paths: Sequence[Path], root: Path) -> Table:
    """Return the rows of several files, each with its file and the settings beside it."""
    tables = [_with_unit(read_table(path)) for path in paths]
    units = {table.unit for table in tables}
    if len(units) > 1:
        odd = next(path for path, table in zip(paths, tables, strict=True) if table.unit != tables[0].unit)
        raise StudyError(f"{odd}: its unit differs from that of {paths[0]}; read them apart.")
    frames = []
    settings = _of_all([_settings_beside(path, root) for path in paths])
    roles: dict[str, Role] = {}
    for path, table, beside in zip(paths, tables, settings, strict=True):
        added = {name: value for name, value in beside.items() if name not in table.frame.columns}
        file = [] if FILE in table.frame.columns else [pl.lit(str(path)).alias(FILE)]
        frames.append(table.frame.with_columns(*file, *[pl.lit(value).alias(name) for name, value in added.items()]))
        roles |= {**{name: _role_of_setting(name) for name in added}, **table.roles}
    alike = [_alike(frame, frames) for frame in frames]
    frame = plain_frame(pl.concat(alike, how="diagonal_relaxed"), str(root))
    notes = [f"{path}: {note}" for path, table in zip(paths, tables, strict=True) for note in table.notes]
    return Table(frame=frame, roles=roles, unit=tables[0].unit, units=_units(tables), notes=tuple(notes))


def _units(tables: Sequence[Table]) -> dict[str, str]:
    """Return the units that the cells of columns say in every file that has the column."""
    names = {name for table in tables for name in table.units}
    found = {name: {t.units.get(name) for t in tables if name in t.frame.columns} for name in names}
    return {name: unit for name, units in found.items() if len(units) == 1 and (unit := units.pop())}


def _alike(frame: pl.DataFrame, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return a frame whose columns are text where any other frame has text there."""
    mixed = [
        name
        for name in frame.columns
        if frame[name].dtype != pl.String and any(name in f.columns and f[name].dtype == pl.String for f in frames)
    ]
    return frame.with_columns(pl.col(mixed).cast(pl.String))


def _role_of_setting(name: str) -> Role:
    if name == "seed":
        return Role.SEED
    return Role.MODEL if name == "model" else Role.CONFIGURATION


def _of_all(settings: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the settings that every log has; of those beside seed and model, only what differs."""
    names = [name for name in settings[0] if all(name in beside for beside in settings)]
    differ = [name for name in names if len({beside[name] for beside in settings}) > 1]
    return [
        {name: beside[name] for name in names if name in ("seed", "model") or name in differ} for beside in settings
    ]


def _settings_beside(log: Path, root: Path) -> dict[str, str]:
    """Return the settings beside a log that say how a run was trained, or the seed from the names of its folders."""
    settings: dict[str, str] = {}
    for name in _SETTINGS:
        file = log.parent / name
        if file.is_file() and file.resolve().parent == log.parent.resolve():
            text = file.read_text(encoding="utf-8", errors="replace")
            settings |= {m["name"]: m["value"] for m in _SETTING.finditer(text)}
    settings = {name: value for name, value in settings.items() if not set(words_of(name)) & _PLACES}
    if not settings.get("seed", "").isdecimal() or len(settings["seed"]) > _SEED_DIGITS:
        settings.pop("seed", None)
        relative = log.parent.relative_to(root) if log.parent.is_relative_to(root) else log.parent
        named = re.search(r"(?:^|[^a-z0-9])s(?:eed)?[=_-]?(\d+)(?![0-9a-z])", str(relative / log.stem).lower())
        if named and len(named[1]) <= _SEED_DIGITS:
            settings["seed"] = named[1]
    return settings
