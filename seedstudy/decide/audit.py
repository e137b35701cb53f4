"""A published table of single runs, read again: which of its differences exceed seed noise, and which do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.decide.answers import Shown
from seedstudy.decide.select import by_eval_set, moments_of
from seedstudy.document import fields_of, finite
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.published import Table, reference_stds
from seedstudy.stats.audit import CellPair, Cells, Worth, compare_pairs, prob_best, rank_intervals, shrink, worth
from seedstudy.stats.sample import Floats
from seedstudy.study.group import NOTHING_READ, Group, Readings

SENSITIVITY = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Factors of the assumed std for which the decided pairs are counted again."""
CLAIMS = (Cells(n=1), Cells(n=3), Cells(kind="best", n=5))


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
    values: Floats
    pairs: tuple[CellPair, ...]
    """All pairs of rows, or each row against the one before (`is_ladder`); positions in `rows`."""
    is_ladder: bool
    ranks: tuple[tuple[int, int], ...]
    """Rank interval of each row; empty for a ladder."""
    prob_best: Floats
    shrunken: Floats
    noise_share: float
    """Share of the column's variance that seed noise explains."""
    claims: tuple[Worth, ...]
    """What the column's best number is worth."""
    best: int


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Audit(Shown):
    """The answer; every count of decided pairs is at error rate `alpha`, adjusted by Holm in its family."""

    table: Table
    noise: Noise
    cells: Cells
    alpha: float
    lower_is_better: bool
    columns: tuple[ColumnAudit, ...]
    across: tuple[tuple[str, CellPair], ...]
    """Pairs of columns within each row, as one family; positions in `table.columns`."""
    sensitivity: tuple[tuple[float, int, int], ...]
    """Factor of the std, decided pairs of rows, decided pairs of columns."""
    disagreements: tuple[tuple[str, str, int, int], ...]
    """Of two eval sets: pairs of rows they order differently, and of these decided by both."""
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial of the sweep that gave the noise, which it does not include."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``audit --json``."""
        return {
            "table": self.table.name,
            "cells": str(self.cells),
            "alpha": self.alpha,
            "sd_source": self.noise.source,
            "sd_df": finite(self.noise.df),
            "columns": [self._column_dict(column) for column in self.columns],
            "across_columns": {
                **self.counts([pair for _, pair in self.across]),
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
            "left_out": list(self.left_out),
            "read": self.read.to_dict(),
        }

    def is_decided(self, pair: CellPair) -> bool:
        """Whether the difference exceeds seed noise."""
        return pair.p_adjusted < self.alpha

    def closest(self, pairs: Sequence[CellPair], most: int) -> list[CellPair]:
        """Return those pairs that exceed seed noise by least; where they do, larger differences do too."""
        decided = [pair for pair in pairs if self.is_decided(pair)]
        return sorted(decided, key=lambda pair: (-pair.p_adjusted, abs(pair.difference)))[:most]

    def counts(self, pairs: Sequence[CellPair]) -> dict[str, int]:
        """Return how many pairs there are and how many are decided.

        And how many would be if none were adjusted, and if rounding had widened every difference as far as it can.
        """
        return {
            "n_pairs": len(pairs),
            "n_decided": sum(self.is_decided(pair) for pair in pairs),
            "n_decided_unadjusted": sum(pair.p_value < self.alpha for pair in pairs),
            "n_decided_at_worst": sum(pair.p_adjusted_at_worst < self.alpha for pair in pairs),
        }

    def best_first(self, column: ColumnAudit) -> list[int]:
        """Return the positions of a column's rows, the best number first."""
        return sorted(range(len(column.rows)), key=lambda i: column.values[i], reverse=not self.lower_is_better)

    def noise_between_equals(self, column: ColumnAudit) -> float:
        """Return what two of a column's numbers differ by at most in 95 % of cases, were their recipes equal."""
        return 1.96 * math.sqrt(2.0) * self.cells.spread * column.sd

    def _column_dict(self, c: ColumnAudit) -> dict[str, Any]:
        ranks: list[Any] = [list(rank) for rank in c.ranks] or [None] * len(c.rows)
        keys = ("row", "value", "rank_ci", "prob_best", "shrunken")
        rows = zip(c.rows, c.values.tolist(), ranks, c.prob_best.tolist(), c.shrunken.tolist(), strict=True)
        return {
            "column": c.column,
            "sd": c.sd,
            "is_ladder": c.is_ladder,
            **self.counts(c.pairs),
            "noise_share": c.noise_share,
            "rows": [dict(zip(keys, row, strict=True)) for row in rows],
            "best": c.rows[c.best],
            "claims": [{"as": str(w.cells), "mean": w.mean, "mean_ci": [w.low, w.high]} for w in c.claims],
            "pairs": [self._pair_dict(pair, c.rows) for pair in c.pairs],
        }

    def _pair_dict(self, pair: CellPair, names: Sequence[str]) -> dict[str, Any]:
        named = {"a": names[pair.a], "b": names[pair.b]}
        return fields_of(pair) | named | {"is_decided": self.is_decided(pair)}


def noise_of(sd: float | str | Mapping[str, float], columns: Sequence[str]) -> Noise:
    """Return the noise of a table's columns: given in the table's unit, of every column or by column.

    As text "0.1", "val=0.1,v2=0.23", or "rsb" for the 100 seeds of ResNet-50 A2 by eval set.
    """
    if isinstance(sd, Mapping):
        return Noise(sd=dict(sd))
    if not isinstance(sd, str):
        return Noise(sd=dict.fromkeys(columns, float(sd)))
    if sd == "rsb":
        known = {reference.eval_set: reference.std for reference in reference_stds().values()}
        source = "RSB, 100 seeds of ResNet-50 A2"
        return Noise(sd={name: known[name] for name in columns if name in known}, df=99.0, source=source)
    noise: dict[str, float] = {}
    for part in sd.split(","):
        name, is_named, text = part.strip().rpartition("=")
        if is_named and name not in columns:
            raise StudyError(f'--sd {part}: no column "{name}" is judged.{suggest(name, columns)}')
        try:
            number = float(text)
        except ValueError:
            raise StudyError(f'--sd "{sd}": expected 0.1, val=0.1,v2=0.23 or rsb.') from None
        noise |= {name: number} if is_named else dict.fromkeys(columns, number)
    return Noise(sd=noise)


def noise_of_sweep(groups: Sequence[Group], columns: Sequence[str]) -> Noise:
    """Return the std of a sweep over seeds: of the column's own eval set where it is one, else of val."""
    by_name = by_eval_set(groups)
    default = by_name.get(EVAL_SET_ORDER[0]) or groups[0]
    if default.n < 2:
        raise StudyError(
            f"--reference {default.label}: {default.n} seed says nothing about the spread; at least 2 are needed."
        )
    sds = {name: moments_of(by_name.get(name, default))[1] for name in columns}
    return Noise(sd=sds, df=default.n - 1.0, source=f"{default.label}, {default.n} seeds")


def audit(
    table: Table,
    noise: Noise,
    *,
    cells: Cells = Cells(),
    alpha: float = 0.05,
    lower_is_better: bool = False,
    is_ladder: bool = False,
) -> Audit:
    """Judge a published table by the spread over seeds.

    Parameters
    ----------
    cells
        What each number is: a single run, the mean of n seeds, or the best of n.
    is_ladder
        Compare each row with the one before it, instead of all pairs.

    Raises
    ------
    StatisticsError
        No std for a column, or one that is no positive number.

    Notes
    -----
    Seed noise only: the test set, which all rows share, adds doubt about new images that no number of seeds removes.

    """
    for column in table.columns:
        sd = noise.sd.get(column)
        if sd is None:
            raise StatisticsError(f'{table.name}: no std over seeds for column "{column}"; give --sd {column}=…')
        if not (sd > 0.0 and math.isfinite(sd)):
            raise StatisticsError(f"sd {sd:g} ({column}): a standard deviation over seeds is a positive number")
    if not 0.0 < alpha < 1.0:
        raise StatisticsError(f"alpha {alpha:g}: must lie between 0 and 1; write 0.05 for 5 %")
    # Accuracies on different eval sets are not compared with each other, other columns are.
    is_of_eval_sets = all(name in EVAL_SET_ORDER for name in table.columns)

    def compared(factor: float) -> tuple[list[_Rows], tuple[tuple[str, CellPair], ...]]:
        """Compare rows and columns under so many times the std."""
        scaled = replace(noise, sd={name: factor * sd for name, sd in noise.sd.items()})
        rows = [_compare_rows(table, name, scaled, cells, is_ladder=is_ladder) for name in table.columns]
        return rows, () if is_of_eval_sets else _compare_columns(table, scaled, cells)

    sensitivity = []
    for factor in SENSITIVITY:
        rows, across = compared(factor)
        n_rows = sum(pair.p_adjusted < alpha for _, _, pairs in rows for pair in pairs)
        sensitivity.append((factor, n_rows, sum(pair.p_adjusted < alpha for _, pair in across)))
    rows, across = compared(1.0)
    columns = tuple(
        _column(name, of_column, noise, cells, alpha, lower_is_better=lower_is_better, is_ladder=is_ladder)
        for name, of_column in zip(table.columns, rows, strict=True)
    )
    return Audit(
        table=table,
        noise=noise,
        cells=cells,
        alpha=alpha,
        lower_is_better=lower_is_better,
        columns=columns,
        across=across,
        sensitivity=tuple(sensitivity),
        disagreements=_disagreements(columns, alpha) if is_of_eval_sets and not is_ladder else (),
        warnings=tuple(_about_rounding(table, columns, across, noise, alpha)),
    )


def _about_rounding(
    table: Table,
    columns: Sequence[ColumnAudit],
    across: Sequence[tuple[str, CellPair]],
    noise: Noise,
    alpha: float,
) -> Iterator[str]:
    """Yield what the printed digits leave open, where that is not little; families of equal noise are one sentence."""
    families = [
        (column.column, column.pairs, _step_of(table, column.column), noise.sd[column.column]) for column in columns
    ]
    if across:
        step, name = max(zip(table.steps, table.columns, strict=True))
        families.append(("columns within rows", tuple(pair for _, pair in across), step, noise.sd[name]))
    open_ones: dict[str, list[str]] = {}
    for what, pairs, step, sd in families:
        decided = sum(pair.p_adjusted < alpha for pair in pairs)
        at_worst = sum(pair.p_adjusted_at_worst < alpha for pair in pairs)
        if decided == at_worst and step < sd / 2:
            continue
        rounded = f"rounded to {step:g}: rounding alone may change a difference by this much ({step / sd:.2g} std)"
        kept = f"{'all' if at_worst == decided else at_worst} of {decided}" if decided else "none"
        open_ones.setdefault(rounded, []).append(f"{what} {kept}")
    for rounded, kept_ones in open_ones.items():
        yield f"{rounded}. Pairs that exceed seed noise whatever was rounded: {', '.join(kept_ones)}"


_Rows = tuple[tuple[str, ...], Floats, tuple[CellPair, ...]]
"""The rows that have a number in a column, their numbers, and the pairs."""


def _compare_rows(table: Table, column: str, noise: Noise, cells: Cells, *, is_ladder: bool) -> _Rows:
    values = table.values[:, table.columns.index(column)]
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        raise StatisticsError(f'{table.name}: column "{column}" holds no number')
    wanted = list(pairwise(range(known.size)) if is_ladder else combinations(range(known.size), 2))
    sds, steps = (np.full(known.size, x) for x in (noise.sd[column], _step_of(table, column)))
    pairs = compare_pairs(values[known], wanted, sds, steps=steps, cells=cells, df=noise.df)
    return tuple(table.rows[i] for i in known), values[known], pairs


def _step_of(table: Table, column: str) -> float:
    return table.steps[table.columns.index(column)]


def _compare_columns(table: Table, noise: Noise, cells: Cells) -> tuple[tuple[str, CellPair], ...]:
    """Compare the columns within each row, all rows as one family."""
    n_columns = len(table.columns)
    places = [
        (row, a, b)
        for row, numbers in enumerate(table.values)
        for a, b in combinations(range(n_columns), 2)
        if np.isfinite(numbers[[a, b]]).all()
    ]
    flat = [(row * n_columns + a, row * n_columns + b) for row, a, b in places]
    sds = np.tile([noise.sd[name] for name in table.columns], len(table.rows))
    steps = np.tile(table.steps, len(table.rows))
    found = compare_pairs(table.values.ravel(), flat, sds, steps=steps, cells=cells, df=noise.df)
    return tuple((table.rows[row], replace(pair, a=a, b=b)) for (row, a, b), pair in zip(places, found, strict=True))


def _column(
    name: str, compared: _Rows, noise: Noise, cells: Cells, alpha: float, *, lower_is_better: bool, is_ladder: bool
) -> ColumnAudit:
    rows, values, pairs = compared
    sd, df = noise.sd[name], noise.df
    best = int(np.argmin(values) if lower_is_better else np.argmax(values))
    shrunken, share = shrink(values, sd, cells=cells)
    ranks = () if is_ladder else tuple(rank_intervals(len(rows), pairs, alpha, lower_is_better=lower_is_better))
    return ColumnAudit(
        column=name,
        sd=sd,
        rows=rows,
        values=values,
        pairs=pairs,
        is_ladder=is_ladder,
        ranks=ranks,
        prob_best=prob_best(values, sd, cells=cells, df=df, lower_is_better=lower_is_better),
        shrunken=shrunken,
        noise_share=share,
        claims=tuple(
            worth(float(values[best]), sd, claim, level=1.0 - alpha, df=df, lower_is_better=lower_is_better)
            for claim in CLAIMS
        ),
        best=best,
    )


def _disagreements(columns: Sequence[ColumnAudit], alpha: float) -> tuple[tuple[str, str, int, int], ...]:
    found = []
    for a, b in combinations(columns, 2):
        of_a, of_b = ({(c.rows[pair.a], c.rows[pair.b]): pair for pair in c.pairs} for c in (a, b))
        both = [(of_a[rows], of_b[rows]) for rows in of_a.keys() & of_b.keys()]
        differ = [pairs for pairs in both if pairs[0].difference * pairs[1].difference < 0]
        n_decided = sum(all(pair.p_adjusted < alpha for pair in pairs) for pairs in differ)
        found.append((a.column, b.column, len(differ), n_decided))
    return tuple(found)
