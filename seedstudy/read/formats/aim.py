"""Aim: the metrics that it exports as a table (`Metric.dataframe()`), one row per run, metric and point.

Metrics become columns, with their context after their name where one name has several. Parameters lose the ``run.``
before their names. Its repository is a RocksDB, which only Aim reads: export it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, table_of_runs
from seedstudy.read.table import VALUE, Table
from seedstudy.read.tables import csv_table

_RUN, _METRIC, _CONTEXT, _STEP = "run.hash", "metric.name", "metric.context.", "step"
_CLOCKS = (_STEP, "epoch")
_OF_RUN = "run."


def _is_mine(path: Path) -> bool:
    first = head_of(path, ".csv", ".tsv", ".txt").partition(b"\n")[0].decode(errors="replace")
    names = {name.strip(' "\r') for name in first.replace("\t", ",").split(",")}
    return {_RUN, _METRIC, VALUE, _STEP} <= names


def _read(path: Path) -> Table:
    table = csv_table(path)
    rows = table.frame.to_dicts()
    contexts: dict[str, set[str]] = {}
    for row in rows:
        contexts.setdefault(str(row[_METRIC]), set()).add(_context(row))
    points: dict[str, dict[Any, dict[str, Any]]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for line, row in enumerate(rows, start=2):
        name, run, step = str(row[_METRIC]), str(row[_RUN]), row[_STEP]
        metric = name if len(contexts[name]) == 1 else f"{name} {_context(row)}"
        clocks = {clock: row.get(clock) for clock in _CLOCKS}
        at = points.setdefault(run, {}).setdefault(step, {})
        if metric in at:
            raise StudyError(
                f"{path}, line {line}: run {run} has {metric!r} twice at step {step}; is it exported twice?"
            )
        at |= {**clocks, metric: row[VALUE]}
        settings[run] = {
            key.removeprefix(_OF_RUN): value for key, value in row.items() if key.startswith(_OF_RUN) and key != _RUN
        }
    runs = [Run(identity={"run": run}, points=list(at.values()), settings=settings[run]) for run, at in points.items()]
    return table_of_runs(runs, path, clocks=_CLOCKS, notes=table.notes)


def _context(row: dict[str, Any]) -> str:
    return " ".join(str(value) for key, value in row.items() if key.startswith(_CONTEXT) and value is not None)


AIM = Format(name="Aim metrics", is_mine=_is_mine, read=_read)
