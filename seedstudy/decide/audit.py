"""A published table of single runs, read again: which of its differences exceed seed noise, and which do not."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedstudy.data import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.stats.audit import (
    Cells,
    Pair,
    Worth,
    compare_pairs,
    prob_best,
    rank_intervals,
    shrink,
    worth,
)

SENSITIVITY = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Factors of the assumed std for which the decided pairs are counted again."""
CLAIMS = (Cells(n=1), Cells(n=3), Cells(kind="best", n=5))


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Numbers of a published table, in percent for accuracies."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: npt.NDArray[np.float64]
    """Shape (n_rows, n_columns); nan where a cell is empty."""
    steps: tuple[float, ...]
    """What the numbers of each column are rounded to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """The standard deviation over seeds of a single run, per column."""

    sd: Mapping[str, float]
    df: float = math.inf
    """Degrees of freedom behind it; infinite where it counts as known."""
    source: str = "given"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnAudit:
    """The rows of one column against each other."""

    column: str
    sd: float
    rows: tuple[str, ...]
    values: npt.NDArray[np.float64]
    pairs: tuple[Pair, ...]
    """All pairs of rows, or each row against the one before (`is_ladder`); positions in `rows`."""
    is_ladder: bool
    ranks: tuple[tuple[int, int], ...]
    """Rank interval of each row; empty for a ladder."""
    prob_best: npt.NDArray[np.float64]
    shrunken: npt.NDArray[np.float64]
    noise_share: float
    """Share of the column's variance that seed noise explains."""
    claims: tuple[Worth, ...]
    """What the column's best number is worth."""
    best: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """The answer; every count of decided pairs is at error rate `alpha`, adjusted by Holm in its family."""

    table: Table
    noise: Noise
    cells: Cells
    alpha: float
    lower_is_better: bool
    columns: tuple[ColumnAudit, ...]
    across: tuple[tuple[str, Pair], ...]
    """Pairs of columns within each row, as one family; positions in `table.columns`."""
    sensitivity: tuple[tuple[float, int, int], ...]
    """Factor of the std, decided pairs of rows, decided pairs of columns."""
    disagreements: tuple[tuple[str, str, int, int], ...]
    """Of two eval sets: pairs of rows they order differently, and of these decided by both."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``audit --json`` prints."""
        return {
            "table": self.table.name,
            "cells": str(self.cells),
            "alpha": self.alpha,
            "sd_source": self.noise.source,
            "sd_df": None if math.isinf(self.noise.df) else self.noise.df,
            "columns": [self._column_dict(column) for column in self.columns],
            "across_columns": {
                "n_pairs": len(self.across),
                "n_decided": sum(self.is_decided(pair) for _, pair in self.across),
                "n_decided_unadjusted": sum(pair.p_value < self.alpha for _, pair in self.across),
                "pairs": [{"row": row, **self._pair_dict(pair, self.table.columns)} for row, pair in self.across],
            },
            "sensitivity": [
                {"factor": factor, "rows_decided": of_rows, "columns_decided": of_columns}
                for factor, of_rows, of_columns in self.sensitivity
            ],
            "disagreements": [
                {"a": a, "b": b, "n_ordered_differently": n, "n_of_these_decided_by_both": decided}
                for a, b, n, decided in self.disagreements
            ],
            "warnings": list(self.warnings),
        }

    def is_decided(self, pair: Pair) -> bool:
        """Whether the difference exceeds seed noise."""
        return pair.p_adjusted < self.alpha

    def best_first(self, column: ColumnAudit) -> list[int]:
        """Return the positions of a column's rows, the best number first."""
        return sorted(range(len(column.rows)), key=lambda i: column.values[i], reverse=not self.lower_is_better)

    def noise_between_equals(self, column: ColumnAudit) -> float:
        """Return what two of a column's numbers differ by at most in 95 % of cases, were their recipes equal."""
        return 1.96 * math.sqrt(2.0) * self.cells.spread * column.sd

    def _column_dict(self, c: ColumnAudit) -> dict[str, Any]:
        ranks: Sequence[tuple[int, int] | None] = c.ranks or [None] * len(c.rows)
        return {
            "column": c.column,
            "sd": c.sd,
            "is_ladder": c.is_ladder,
            "n_pairs": len(c.pairs),
            "n_decided": sum(self.is_decided(pair) for pair in c.pairs),
            "n_decided_unadjusted": sum(pair.p_value < self.alpha for pair in c.pairs),
            "noise_share": c.noise_share,
            "rows": [
                {
                    "row": row,
                    "value": float(value),
                    "rank_ci": None if rank is None else list(rank),
                    "prob_best": float(prob),
                    "shrunken": float(shrunken),
                }
                for row, value, rank, prob, shrunken in zip(
                    c.rows, c.values, ranks, c.prob_best, c.shrunken, strict=True
                )
            ],
            "best": c.rows[c.best],
            "claims": [{"as": str(w.cells), "mean": w.mean, "mean_ci": [w.low, w.high]} for w in c.claims],
            "pairs": [self._pair_dict(pair, c.rows) for pair in c.pairs],
        }

    def _pair_dict(self, pair: Pair, names: Sequence[str]) -> dict[str, Any]:
        return {
            "a": names[pair.a],
            "b": names[pair.b],
            "difference": pair.difference,
            "p_value": pair.p_value,
            "p_adjusted": pair.p_adjusted,
            "is_decided": self.is_decided(pair),
        }


def audit(
    table: Table | str | Path,
    noise: Noise | float,
    *,
    cells: Cells = Cells(),
    alpha: float = 0.05,
    lower_is_better: bool = False,
    is_ladder: bool = False,
) -> Audit:
    """Judge a published table by the spread over seeds.

    Parameters
    ----------
    table
        A table, or the path of a CSV file with one row per model or recipe.
    noise
        Standard deviation over seeds of a single run, in percentage points for accuracies.
    cells
        What stands behind each number: a single run, the mean of n seeds, or the best of n.
    is_ladder
        Compare each row with the one before it, instead of all pairs.

    Returns
    -------
    Audit
        ``to_dict()`` is what ``seedstudy audit --json`` prints.

    Raises
    ------
    StatisticsError
        No std for a column, or one that is no positive number.
    StudyError
        A table that cannot be read.

    Notes
    -----
    Seed noise only: the test set, which all rows share, adds doubt about new images that no number of seeds removes.

    """
    table = table if isinstance(table, Table) else read_table(Path(table))
    noise = noise if isinstance(noise, Noise) else Noise(sd=dict.fromkeys(table.columns, float(noise)))
    for column in table.columns:
        sd = noise.sd.get(column)
        if sd is None:
            raise StatisticsError(f'{table.name}: no std over seeds for column "{column}"; give --sd {column}=…')
        if not (sd > 0.0 and math.isfinite(sd)):
            raise StatisticsError(f"sd {sd:g} ({column}): a standard deviation over seeds is a positive number")
    if not 0.0 < alpha < 1.0:
        raise StatisticsError(f"alpha {alpha:g}: must lie between 0 and 1; write 0.05 for 5 %")
    judge = _Judge(table, noise, cells, alpha, lower_is_better, is_ladder)
    columns = tuple(judge.column(name) for name in table.columns)
    is_of_eval_sets = all(name in EVAL_SET_ORDER for name in table.columns)
    across = () if is_of_eval_sets else judge.across(1.0)
    return Audit(
        table=table,
        noise=noise,
        cells=cells,
        alpha=alpha,
        lower_is_better=lower_is_better,
        columns=columns,
        across=across,
        sensitivity=tuple(judge.count(factor, with_columns=not is_of_eval_sets) for factor in SENSITIVITY),
        disagreements=_disagreements(columns, alpha) if is_of_eval_sets and not is_ladder else (),
        warnings=_warnings(table, noise),
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    table: Table
    noise: Noise
    cells: Cells
    alpha: float
    lower_is_better: bool
    is_ladder: bool

    def pairs(self, column: str, factor: float) -> tuple[tuple[str, ...], npt.NDArray[np.float64], tuple[Pair, ...]]:
        values = self.table.values[:, self.table.columns.index(column)]
        there = np.flatnonzero(np.isfinite(values))
        wanted = list(combinations(range(there.size), 2))
        if self.is_ladder:
            wanted = [(i, i + 1) for i in range(there.size - 1)]
        sd = np.full(there.size, factor * self.noise.sd[column])
        found = compare_pairs(values[there], wanted, sd, cells=self.cells, df=self.noise.df)
        return tuple(self.table.rows[i] for i in there), values[there], found

    def across(self, factor: float) -> tuple[tuple[str, Pair], ...]:
        """Compare the columns within each row, all rows as one family."""
        n_columns = len(self.table.columns)
        sd = np.array([factor * self.noise.sd[name] for name in self.table.columns])
        places = [
            (row, a, b)
            for row in range(len(self.table.rows))
            for a, b in combinations(range(n_columns), 2)
            if np.isfinite(self.table.values[row, [a, b]]).all()
        ]
        flat = [(row * n_columns + a, row * n_columns + b) for row, a, b in places]
        sds = np.tile(sd, len(self.table.rows))
        found = compare_pairs(self.table.values.ravel(), flat, sds, cells=self.cells, df=self.noise.df)
        return tuple(
            (
                self.table.rows[row],
                Pair(a=a, b=b, difference=p.difference, p_value=p.p_value, p_adjusted=p.p_adjusted),
            )
            for (row, a, b), p in zip(places, found, strict=True)
        )

    def count(self, factor: float, *, with_columns: bool) -> tuple[float, int, int]:
        of_rows = sum(p.p_adjusted < self.alpha for name in self.table.columns for p in self.pairs(name, factor)[2])
        of_columns = sum(p.p_adjusted < self.alpha for _, p in self.across(factor)) if with_columns else 0
        return factor, of_rows, of_columns

    def column(self, name: str) -> ColumnAudit:
        rows, values, pairs = self.pairs(name, 1.0)
        sd = self.noise.sd[name]
        if not rows:
            raise StatisticsError(f'{self.table.name}: column "{name}" holds no number')
        best = int(np.argmin(values) if self.lower_is_better else np.argmax(values))
        df, level = self.noise.df, 1.0 - self.alpha
        shrunken, share = shrink(values, sd, cells=self.cells)
        return ColumnAudit(
            column=name,
            sd=sd,
            rows=rows,
            values=values,
            pairs=pairs,
            is_ladder=self.is_ladder,
            ranks=()
            if self.is_ladder
            else tuple(rank_intervals(len(rows), pairs, self.alpha, lower_is_better=self.lower_is_better)),
            prob_best=prob_best(values, sd, cells=self.cells, df=self.noise.df, lower_is_better=self.lower_is_better),
            shrunken=shrunken,
            noise_share=share,
            claims=tuple(
                worth(float(values[best]), sd, claim, level=level, df=df, lower_is_better=self.lower_is_better)
                for claim in CLAIMS
            ),
            best=best,
        )


def _disagreements(columns: Sequence[ColumnAudit], alpha: float) -> tuple[tuple[str, str, int, int], ...]:
    found = []
    for a, b in combinations(columns, 2):
        there = [{(c.rows[p.a], c.rows[p.b]): p for p in c.pairs} for c in (a, b)]
        differ = [
            key for key in there[0].keys() & there[1].keys() if there[0][key].difference * there[1][key].difference < 0
        ]
        both = sum(all(of_column[key].p_adjusted < alpha for of_column in there) for key in differ)
        found.append((a.column, b.column, len(differ), both))
    return tuple(found)


def _warnings(table: Table, noise: Noise) -> tuple[str, ...]:
    found = []
    for column, step in zip(table.columns, table.steps, strict=True):
        if step >= noise.sd[column] / 2:
            found.append(
                f"{column}: rounded to {step:g}, which alone may shift a difference by up to {step:g} "
                f"({step / noise.sd[column]:.2g} std)"
            )
    return tuple(found)


# --- reading ------------------------------------------------------------------------------------------


def read_table(
    path: Path, *, columns: Sequence[str] | None = None, label: str | None = None, unit: str | None = None
) -> Table:
    """Read a CSV file with one row per model or recipe and one column per recipe or eval set.

    Parameters
    ----------
    columns
        Columns to judge; by default those called like eval sets, else those that start with ``top1``, else all that
        hold numbers.
    label
        Column with the names of the rows; the first by default.
    unit
        ``percent`` or ``fraction`` for accuracies that do not tell; ``none`` for any other metric.

    Raises
    ------
    StudyError
        A file that cannot be read, text in a number's place, percentages and fractions mixed.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    if len(records) < 3:
        raise StudyError(f"{path}: a table needs a line of column names and at least two rows.")
    head, *body = records
    ragged = [line for line, row in enumerate(body, start=2) if len(row) != len(head)]
    if ragged:
        raise StudyError(f"{path}, line {ragged[0]}: {len(body[ragged[0] - 2])} cells where the head has {len(head)}.")
    for name in (*(columns or ()), *([label] if label else [])):
        if name not in head:
            raise StudyError(f'{path}: no column "{name}".{suggest(name, head)}')
    named = label or head[0]
    chosen = list(columns or _default_columns(head, body, named))
    rows = tuple(row[head.index(named)].strip() for row in body)
    doubled = {row for row in rows if rows.count(row) > 1}
    if doubled:
        raise StudyError(f'{path}: "{sorted(doubled)[0]}" names several rows of column {named}: give --label.')
    cells = [[_number(path, rows[i], name, row[head.index(name)]) for name in chosen] for i, row in enumerate(body)]
    values = np.array(cells, dtype=np.float64).reshape(len(body), len(chosen))
    steps = [
        min((_step(row[head.index(name)]) for row in body if row[head.index(name)].strip()), default=1.0)
        for name in chosen
    ]
    scale = _scale(path, rows, chosen, values, unit)
    return Table(
        name=path.name,
        rows=rows,
        columns=tuple(chosen),
        values=values * scale,
        steps=tuple(step * scale for step in steps),
    )


def _default_columns(head: Sequence[str], body: Sequence[Sequence[str]], label: str) -> list[str]:
    def holds_numbers(name: str) -> bool:
        return any(_is_number(row[head.index(name)]) for row in body)

    others = [name for name in head if name != label and holds_numbers(name)]
    of_sets = [name for name in others if name in EVAL_SET_ORDER]
    return of_sets or [name for name in others if name.startswith("top1")] or others


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(path: Path, row: str, column: str, text: str) -> float:
    if not text.strip():
        return math.nan
    if not _is_number(text):
        raise StudyError(
            f'{path}, row "{row}": {column} = "{text.strip()}" is not a number; leave the cell empty, or name the '
            "columns to judge with --columns."
        )
    return float(text)


def _step(text: str) -> float:
    """Return what a printed number is rounded to."""
    _, _, decimals = text.strip().lower().partition(".")
    return 10.0 ** -len(decimals) if decimals.isdigit() else 1.0 if text.strip().lstrip("-").isdigit() else 0.0


def _scale(
    path: Path, rows: Sequence[str], columns: Sequence[str], values: npt.NDArray[np.float64], unit: str | None
) -> float:
    """Return what makes accuracies percentages; a table that mixes both is refused."""
    if unit is not None:
        return {"percent": 1.0, "fraction": 100.0, "none": 1.0}[unit]
    known = values[np.isfinite(values)]
    if not known.size:
        raise StudyError(f"{path}: no number in {', '.join(columns)}.")
    if known.min() < 0.0 or known.max() > 100.0:
        raise StudyError(f"{path}: {known.max():g} is no accuracy: say --unit none for another metric.")
    small = np.argwhere(np.isfinite(values) & (values <= 1.0))
    if small.size and known.max() > 1.0:
        row, column = small[0]
        raise StudyError(
            f'{path}, row "{rows[row]}": {columns[column]} = {values[row, column]:g} among percentages: percent and '
            "fraction are mixed; write all in percent."
        )
    if known.max() <= 1.0:
        raise StudyError(f"{path}: percent or fraction? Every number is at most 1: say --unit percent or fraction.")
    return 1.0
