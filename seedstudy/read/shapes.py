"""Tables of other shapes -> one row per point and one column per metric: pairs of metric and value, charts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import DEFAULT_METRIC, is_default
from seedstudy.read.table import VALUE, Role, Table

_METRIC_NAMES = ("metric", "metric_name", "measure", "tag")
_PER_RUN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<band>__MIN|__MAX)?", re.DOTALL)
"""A column of a chart exported from Weights & Biases."""


def one_row_per_point(table: Table, metric: str, where: str) -> Table:
    """Return a table whose metrics are columns; any other table as it is.

    Raises StudyError for a chart of grouped runs, whose lines are means that hide the seeds.
    """
    return _of_chart(_of_pairs(table, metric), where)


def _of_pairs(table: Table, metric: str) -> Table:
    """Return a table of ``metric, value`` pairs with the metric as a column of its own."""
    frame = table.frame
    names = [name for name in frame.columns if name.lower() in _METRIC_NAMES and frame[name].dtype == pl.String]
    if VALUE not in frame.columns or not names:
        return table
    known = frame[names[0]].drop_nulls().unique(maintain_order=True).to_list()
    chosen = [metric] if metric in known else [name for name in known if metric == DEFAULT_METRIC and is_default(name)]
    if len(chosen) != 1 or chosen[0] in frame.columns:
        return table
    rows = frame.filter(pl.col(names[0]) == chosen[0]).drop(names[0]).rename({VALUE: chosen[0]})
    return replace(table, frame=rows)


def _of_chart(table: Table, where: str) -> Table:
    """Return one row per run and step of a chart exported from Weights & Biases."""
    frame = table.frame
    parts = {name: match for name in frame.columns if (match := _PER_RUN.fullmatch(name))}
    others = [name for name in frame.columns if name not in parts]
    has_bands = any(part["band"] for part in parts.values())
    if not parts or (not has_bands and (len(others) > 1 or len({part["metric"] for part in parts.values()}) > 1)):
        return table
    _check_single_runs(frame, [name for name, part in parts.items() if not part["band"]], where)
    runs: dict[str, list[pl.Expr]] = {}
    for name, part in parts.items():
        if not part["band"] and frame[name].dtype.is_numeric():
            runs.setdefault(part["run"], []).append(pl.col(name).cast(pl.Float64).alias(part["metric"]))
    if not runs:
        return table
    clocks = [name for name in others if frame[name].dtype.is_numeric()]
    rows = [frame.select(*clocks, pl.lit(run).alias("name"), *cells) for run, cells in runs.items()]
    melted = pl.concat(rows, how="diagonal_relaxed")
    clock_roles = dict.fromkeys(clocks[:1], Role.CLOCK)
    return replace(table, frame=melted, roles={**table.roles, **clock_roles})


def _check_single_runs(frame: pl.DataFrame, names: Sequence[str], where: str) -> None:
    for name in names:
        low, high = f"{name}__MIN", f"{name}__MAX"
        if all(other in frame.columns and frame[other].dtype.is_numeric() for other in (low, name, high)):
            apart = frame.filter((pl.col(low) < pl.col(name)) | (pl.col(high) > pl.col(name)))
            if apart.height:
                raise StudyError(
                    f'{where}: column "{name}" is a mean of several runs (its __MIN and __MAX differ from it): a '
                    "chart of grouped runs hides the seeds. Export it without grouping, or export the runs table."
                )
