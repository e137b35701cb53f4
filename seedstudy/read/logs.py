"""Files, folders and patterns -> one table: a column names the file of each row, others what lies beside it."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.beside import HYDRA, is_key, of_all, role_beside, settings_beside, values_of
from seedstudy.read.formats import FORMATS, format_of, log_format
from seedstudy.read.parse import read_table
from seedstudy.read.table import FILE, Role, Table
from seedstudy.read.tables import is_events, plain_frame

_LOGS = (
    *("all_results.json", "summary.csv", "metrics.csv", "trainer_state.json"),
    *("progress.csv", "results.csv", "log.txt"),
)
"""Logs in a trial's folder, the preferred first: Hugging Face, timm, Lightning, Hugging Face again, Ray and
Stable-Baselines3, Ultralytics, DeiT and those after it."""
_TABLES = (".csv", ".tsv", ".jsonl", ".json")
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
    root, best, others = folder.resolve(), dict[Path, Path](), list[Path]()
    for path in sorted(folder.rglob("*"), key=lambda path: (_rank(path), path)):
        if not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        own = None if path.name in _LOGS or is_events(path) else log_format(path)
        if own is not None and own.run == "file":
            others.append(path)
        elif own is not None or path.name in _LOGS or is_events(path):
            best.setdefault(path.parent, path)
    for place in sorted(path.parent.parent for path in folder.rglob(HYDRA)):
        if not any(place == each or place in each.parents for each in best):
            log = _log_of_job(place)
            best |= {} if log is None else {place: log}
    # A checkpoint below a trial is part of that trial.
    logs = [log for place, log in best.items() if not any(other in place.parents for other in best)]
    if not logs and not others:
        programs = ", ".join(each.name for each in FORMATS if each.run is not None)
        raise StudyError(
            f"{folder}: holds no trial; expected folders with one of {', '.join(_LOGS)}, a TensorBoard event file, "
            f"or a log of another known program ({programs})."
        )
    return sorted([*logs, *others])


def _rank(log: Path) -> int:
    return _LOGS.index(log.name) if log.name in _LOGS else len(_LOGS) + is_events(log)


def _log_of_job(folder: Path) -> Path | None:
    """Return the table in the folder of a Hydra job; None where there is none, StudyError where there are several."""
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES and path.is_file())
    if len(tables) > 1:
        shown = ", ".join(path.name for path in tables[:4])
        raise StudyError(
            f"{folder}: which file holds the results ({shown})? Name it: {folder.parent}/*/{tables[0].name}, in quotes."
        )
    return tables[0] if tables else None


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
    settings = of_all([settings_beside(path, root) for path in paths])
    roles: dict[str, Role] = {}
    for path, table, beside in zip(paths, tables, settings, strict=True):
        # A column may have the name of a setting and be another thing: timm logs the `lr` of each epoch.
        taken = table.frame.columns
        added = {
            f"config/{name}" if name in taken else name: value
            for name, value in beside.items()
            if not _has(table, name)
        }
        file = [] if FILE in table.frame.columns else [pl.lit(str(path)).alias(FILE)]
        frames.append(table.frame.with_columns(*file, *[pl.lit(value).alias(name) for name, value in added.items()]))
        roles |= {name: role_beside(name, values_of(name, settings)) for name in added} | dict(table.roles)
    alike = [_alike(frame, frames) for frame in frames]
    frame = plain_frame(pl.concat(alike, how="diagonal_relaxed"), str(root))
    notes = _notes(paths, tables)
    return Table(frame=frame, roles=roles, unit=tables[0].unit, units=_units(tables), notes=notes)


def _has(table: Table, name: str) -> bool:
    """Say whether a table holds a seed or model itself."""
    return name in table.frame.columns and is_key(name)


def _notes(paths: Sequence[Path], tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the notes of several files, one that all share without their names."""
    shared = [note for note in tables[0].notes if len(tables) > 1 and all(note in table.notes for table in tables)]
    own = [f"{p}: {note}" for p, table in zip(paths, tables, strict=True) for note in table.notes if note not in shared]
    return (*shared, *own)


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
