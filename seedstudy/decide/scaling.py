"""Error against cost: whether one power law holds, and which strategy is better at equal cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy import special

from seedstudy.document import HIDDEN, fields_of
from seedstudy.errors import StatisticsError, StudyError
from seedstudy.read.cells import COORDINATES, Row
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate, p_equals
from seedstudy.stats.sample import Floats, check_level, check_margin, mean_of, sd_of
from seedstudy.stats.scaling import (
    FEWEST_CELLS,
    AtEqualCost,
    Law,
    Noise,
    at_equal_cost,
    break_of,
    fit_law,
    fronts,
    pooled_noise,
    rank_agreement,
)
from seedstudy.study.group import NOTHING_READ, Readings

Word = Literal["supported", "not supported", "undecided"]
REGIME = "epochs"
"""Laws and strategies are read within one length of training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One network, size and length of training."""

    label: str
    strategy: str | None
    coordinates: Mapping[str, float]
    cost: float
    n: int
    error: float
    """Mean over seeds."""
    std: float | None
    """Over seeds; None for one seed."""
    front: str
    """Whether it is on the Pareto front of its length of training: on, off, or ? where seeds leave it open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LawOf:
    """The power law of some cells."""

    of: str
    """Whose cells; empty for all."""
    law: Law = field(metadata={"document": ""})
    n_cells: int
    breaks_at: float | None
    """Cost at which two laws describe the cells best; None where one law holds, or cells are too few to say."""
    gap_above: float | None
    """How far the cells above that cost lie above the law of those below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyPair:
    """Strategy B against A at equal cost."""

    a: str
    b: str
    comparison: AtEqualCost = field(metadata={"document": ""})
    p_adjusted: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RankPair:
    """How well the order of cells in a short training agrees with that in a longer one."""

    shorter: float
    longer: float
    agreement: Estimate
    """Spearman's rank correlation, over the cells that both have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence, and what the numbers say of it."""

    claim: str
    verdict: Word
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """The answer; errors in percentage points for accuracies."""

    cost: str
    """What the cost is, with its unit."""
    metric: str
    unit: str | None
    noise: Noise
    margin: float | None
    alpha: float
    claims: tuple[Claim, ...]
    laws: tuple[LawOf, ...]
    strategies: tuple[StrategyPair, ...]
    ranks: tuple[RankPair, ...]
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial of the studies that were read."""
    read: Readings = NOTHING_READ
    errors: tuple[Floats, ...] = field(default=(), metadata=HIDDEN)
    """Of each cell, one per seed: what is drawn."""
    level: float = field(default=0.95, metadata=HIDDEN)
    """Of the intervals."""

    def half_width(self, cell: Cell) -> float:
        """Return half the interval of a cell's mean, from the std over seeds that all cells share (t, its degrees)."""
        quantile = float(special.stdtrit(min(self.noise.df, 1e9), 0.5 + self.level / 2))
        return quantile * self.noise.sd / math.sqrt(cell.n)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``scaling --json``."""
        return fields_of(self)


def scaling(
    rows: Sequence[Row],
    *,
    cost: str,
    metric: str,
    unit: str | None,
    sd: float | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    rng_seed: int = 0,
) -> Scaling:
    """Answer for cells whose costs are known.

    Parameters
    ----------
    sd
        Standard deviation over seeds; None: pooled over cells with several seeds.
    margin
        Smallest difference of errors that matters; without one a law is never "supported".

    Raises
    ------
    StudyError
        Too few cells, or neither repeated seeds nor a standard deviation.

    """
    check_level(level)
    check_margin(margin)
    if not 0.0 < alpha < 0.5:
        raise StatisticsError(f"--alpha {alpha:g}: must lie between 0 and 0.5, for example 0.05.")
    if sd is not None and not (sd > 0.0 and math.isfinite(sd)):
        raise StatisticsError(f"--sd {sd:g}: a standard deviation over seeds is a positive number.")
    noise = pooled_noise([row.errors for row in rows]) if sd is None else Noise(sd=sd, df=math.inf)
    if noise is None:
        raise StudyError(
            "scaling: no cell has two seeds that differ, so the noise is not known: give --sd, such as 0.1."
        )
    ordered = sorted(rows, key=lambda row: (row.coordinates.get(REGIME, 0.0), _spent(row), row.label))
    regimes: dict[float | None, list[Row]] = defaultdict(list)
    for row in ordered:
        regimes[row.coordinates.get(REGIME)].append(row)
    has_regimes = len(regimes) > 1
    laws, pairs = list[LawOf](), list[tuple[str, str, AtEqualCost]]()
    for regime, members in regimes.items():
        name = f"{regime:g} epochs" if has_regimes and regime is not None else ""
        for of, some in _subsets(members):
            if len({_spent(row) for row in some}) < FEWEST_CELLS:
                continue
            laws.append(_law(", ".join(filter(None, (name, of))), some, noise, alpha, level, rng_seed))
        for (a, of_a), (b, of_b) in combinations(_strategies(members).items(), 2):
            found = at_equal_cost(*_arrays(of_a), *_arrays(of_b), noise, level=level, margin=margin)
            if found is not None:
                suffix = f" ({name})" if name else ""
                pairs.append((a + suffix, b + suffix, found))
    adjusted = adjust([found.p_value for _, _, found in pairs]) if pairs else []
    strategies = tuple(
        StrategyPair(a=a, b=b, comparison=found, p_adjusted=float(p))
        for (a, b, found), p in zip(pairs, adjusted, strict=True)
    )
    if not laws and not strategies:
        raise StudyError(
            f"scaling: {len(ordered)} cells of {len({_spent(row) for row in ordered})} different costs: a law needs "
            f"{FEWEST_CELLS}, and two strategies need costs that both reach."
        )
    return Scaling(
        cost=cost,
        metric=metric,
        unit=unit,
        noise=noise,
        margin=margin,
        alpha=alpha,
        claims=(
            *(_claim_of_law(each, margin, alpha, unit) for each in laws),
            *(_claim_of_pair(each, margin, alpha, unit) for each in strategies),
        ),
        laws=tuple(laws),
        strategies=strategies,
        ranks=_ranks(regimes, level) if has_regimes else (),
        cells=tuple(cell for members in regimes.values() for cell in _cells(members, noise, alpha)),
        warnings=tuple(dict.fromkeys(text for each in laws for text in each.law.warnings)),
        errors=tuple(row.errors for row in ordered),
        level=level,
    )


def _spent(row: Row) -> float:
    assert row.cost is not None, "costs are known here"
    return row.cost


def _arrays(rows: Sequence[Row]) -> tuple[Floats, list[Floats]]:
    return np.array([_spent(row) for row in rows]), [row.errors for row in rows]


def _subsets(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return all rows, and those of each named strategy."""
    named: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.strategy is not None:
            named[row.strategy].append(row)
    return [("", list(rows)), *(named.items() if len(named) > 1 else ())]


def _law(of: str, rows: Sequence[Row], noise: Noise, alpha: float, level: float, rng_seed: int) -> LawOf:
    costs, samples = _arrays(rows)
    law = fit_law(costs, samples, noise, level=level, alpha=alpha, rng_seed=rng_seed)
    split = break_of(costs, samples, noise) if law.misfit_p < alpha else None
    breaks_at, gap = split or (None, None)
    return LawOf(of=of, law=law, n_cells=len(rows), breaks_at=breaks_at, gap_above=gap)


# --- strategies -----------------------------------------------------------------------------------------


def _strategies(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the cells of each strategy that has at least two costs.

    By the column that was asked for; without one, each coordinate is a strategy: the cells that differ from one cell in
    that coordinate alone. That cell is the one from which most coordinates, and then most cells, can be followed
    upwards; of several the cheapest.
    """
    named: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.strategy is not None:
            named[row.strategy].append(row)
    if named:
        return {name: of for name, of in named.items() if len({_spent(row) for row in of}) > 1}
    best: dict[str, list[Row]] = {}
    for start in rows:
        lines = {what: line for what in COORDINATES if len(line := _line(start, what, rows)) > 1}
        if (len(lines), sum(map(len, lines.values()))) > (len(best), sum(map(len, best.values()))):
            best = lines
    return {f"only {what}": line for what, line in best.items()} if len(best) > 1 else {}


def _line(start: Row, what: str, rows: Sequence[Row]) -> list[Row]:
    """Return the cells reached from one by raising one coordinate alone, itself included."""
    if what == REGIME or what not in start.coordinates:
        return []
    rest = {name: value for name, value in start.coordinates.items() if name != what}
    return [
        row
        for row in rows
        if row.coordinates.get(what, -math.inf) >= start.coordinates[what]
        and {name: value for name, value in row.coordinates.items() if name != what} == rest
    ]


def _ranks(regimes: Mapping[float | None, Sequence[Row]], level: float) -> tuple[RankPair, ...]:
    """Compare the order of cells in the longest training with that in each shorter one."""
    known = {regime: rows for regime, rows in regimes.items() if regime is not None}
    *shorter, longest = sorted(known)
    of_longest = {_place(row): mean_of(row.errors) for row in known[longest]}
    found = []
    for regime in shorter:
        here = {_place(row): mean_of(row.errors) for row in known[regime]}
        both = [place for place in here if place in of_longest]
        if len(both) < FEWEST_CELLS:
            continue
        a, b = (np.array([of[place] for place in both]) for of in (here, of_longest))
        found.append(RankPair(shorter=regime, longer=longest, agreement=rank_agreement(a, b, level=level)))
    return tuple(found)


def _place(row: Row) -> tuple[Any, ...]:
    """Return what identifies a cell beside its length of training."""
    at = tuple((name, value) for name, value in sorted(row.coordinates.items()) if name != REGIME)
    return row.model, row.strategy, at, row.cost


# --- cells and claims -----------------------------------------------------------------------------------


def _cells(rows: Sequence[Row], noise: Noise, alpha: float) -> list[Cell]:
    costs, samples = _arrays(rows)
    means, n_seeds = np.array([mean_of(each) for each in samples]), np.array([each.size for each in samples])
    return [
        Cell(
            label=row.label,
            strategy=row.strategy,
            coordinates=row.coordinates,
            cost=_spent(row),
            n=int(row.errors.size),
            error=float(mean),
            std=sd_of(row.errors) if row.errors.size > 1 else None,
            front=front,
        )
        for row, mean, front in zip(rows, means, fronts(costs, means, n_seeds, noise, alpha=alpha), strict=True)
    ]


def _claim_of_law(found: LawOf, margin: float | None, alpha: float, unit: str | None) -> Claim:
    law = found.law
    claim = "error follows one power law of cost" + (f" ({found.of})" if found.of else "")
    beyond = f"cells deviate from it by {_size(law.misfit, unit)} beyond seed noise"
    most = f"at most {_size(law.misfit_high, unit)} with {100 * (1 - alpha):g}% confidence"
    if margin is not None and law.misfit_high < margin:
        return Claim(claim=claim, verdict="supported", reason=f"{beyond}, {most}: inside the margin of {margin:g}")
    if law.misfit_p < alpha:
        reason = f"{beyond}, {p_equals(law.misfit_p)}"
        if found.breaks_at is not None and found.gap_above is not None:
            side = "above" if found.gap_above > 0 else "below"
            reason += (
                f"; it breaks near {found.breaks_at:.3g}: costlier cells lie {_size(abs(found.gap_above), unit)} "
                f"{side} the law of the cheaper ones"
            )
        return Claim(claim=claim, verdict="not supported", reason=reason)
    rest = "a margin would be needed to support it" if margin is None else f"not inside the margin of {margin:g}"
    return Claim(
        claim=claim, verdict="undecided", reason=f"no misfit found ({p_equals(law.misfit_p)}), but {most}: {rest}"
    )


def _claim_of_pair(pair: StrategyPair, margin: float | None, alpha: float, unit: str | None) -> Claim:
    found, points = pair.comparison, _unit(unit)
    d = found.difference
    claim = f"at equal cost, {pair.b} has a smaller error than {pair.a}"
    numbers = f"{d.value:+z.2f}{points} [{d.low:.2f}, {d.high:.2f}], {p_equals(pair.p_adjusted)}"
    if margin is not None and found.equivalence_p is not None and found.equivalence_p < alpha:
        return Claim(claim=claim, verdict="not supported", reason=f"equal within the margin of {margin:g}: {numbers}")
    if pair.p_adjusted < alpha:
        word: Word = "supported" if d.value < 0 else "not supported"
        return Claim(claim=claim, verdict=word, reason=numbers)
    return Claim(claim=claim, verdict="undecided", reason=numbers)


def _size(value: float, unit: str | None) -> str:
    """Return a size in words: "0.26 points", "1 point"."""
    text = f"{value:.2g}"
    return f"{text}{' point' if unit == 'pp' and text == '1' else _unit(unit)}"


def _unit(unit: str | None) -> str:
    return " points" if unit == "pp" else ""
