"""Two recipes: how often verdicts are wrong, intervals miss, and true differences are detected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

import seedstudy as ss
from seedstudy.stats import doubt, effect, rank, variance
from studies.calibration.designs import ALPHA, LEVEL, Design, Rows, blocks, lattice, mirrored, normal, skewed
from studies.calibration.rows import CHECKED, Comparisons, check

# --- wrong verdicts ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Shares of replicates of two arms with equal means in which a procedure errs; nan where it is not offered."""

    design: Design
    welch: float
    verdict: float
    """Share of "better" and "worse" under the rule of `seedstudy.decide.verdict` without a margin."""
    permutation: float
    mann_whitney: float
    brunner_munzel: float
    equivalent: float
    """Share of "equivalent" when the true difference equals the margin of one std of arm A."""
    no_spread: float
    """Share of replicates in which no arm showed any spread, so that the permutation p decided."""


def sizes_of(design: Design, *, replicates: int, rng: np.random.Generator) -> Sizes:
    """Measure how often procedures err when the means are equal (and, for equivalence, a margin apart)."""
    counts = np.zeros(7)
    many = min(design.n_a, design.n_b) >= 30
    for size, is_first in blocks(replicates):
        null = Comparisons(*design.arms(rng, size))
        permuted = null.permutation_p(rng)
        apart = Comparisons(*design.arms(rng, size, shift=1.0), margin=1.0)
        counts += [
            np.sum((null.p_value < ALPHA) & ~null.no_spread),
            np.sum(null.verdict != "inconclusive"),
            np.sum(permuted <= ALPHA),
            np.sum(null.mann_whitney_p < ALPHA) if many else math.nan,
            np.sum(null.brunner_munzel_p < ALPHA) if many else math.nan,
            np.sum(apart.verdict == "equivalent"),
            np.sum(null.no_spread),
        ]
        if is_first:
            null.check()
            apart.check()
    welch, verdict, permutation, mann_whitney, brunner_munzel, equivalent, no_spread = map(float, counts / replicates)
    return Sizes(
        design=design,
        welch=welch,
        verdict=verdict,
        permutation=permutation,
        mann_whitney=mann_whitney,
        brunner_munzel=brunner_munzel,
        equivalent=equivalent,
        no_spread=no_spread,
    )


# --- coverage ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverages:
    """Shares of replicates in which an interval holds the truth; nan where it is not offered."""

    design: Design
    shift: float
    difference: float
    hedges_g: float
    """The printed interval; the truth is the difference in units of the pooled true std."""
    prob_b_greater: float
    hodges_lehmann: float
    hodges_lehmann_level: float
    """Level that the interval states for these sizes."""
    ratio: float


def coverages_of(design: Design, shift: float, *, replicates: int, rng: np.random.Generator) -> Coverages:
    """Measure how often the intervals of a comparison hold the true value."""
    n_a, n_b = design.n_a, design.n_b
    truth_p = _true_prob(design, shift, rng)
    truth_g = shift / math.sqrt(((n_a - 1) + (n_b - 1) * design.sd_b**2) / (n_a + n_b - 2))
    # Hodges-Lehmann asks for arms that differ by a shift only.
    is_shift = design.sd_b == 1.0 and design.draw_a is design.draw_b is not lattice
    with_ratio = min(n_a, n_b) >= variance.FEWEST_SEEDS
    counts = np.zeros(5)
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size, shift))
        by_rank = rows.hodges_lehmann_covers(shift)
        counts += [
            _holds(rows.interval, shift),
            _holds(rows.hedges_g, truth_g),
            _holds(rows.prob_b_greater, truth_p),
            float(np.sum(by_rank)),
            float(_holds(rows.sd_ratio, design.sd_b)) if with_ratio else math.nan,
        ]
        if is_first:
            rows.check()
            if is_shift:
                pairs = zip(rows.a[:CHECKED], rows.b, strict=False)
                printed = [rank.hodges_lehmann(a, b, level=LEVEL) for a, b in pairs]
                check("hodges_lehmann", by_rank, [x.low <= shift <= x.high for x in printed])
    difference, hedges_g, prob_b_greater, hodges_lehmann, ratio = map(float, counts / replicates)
    return Coverages(
        design=design,
        shift=shift,
        difference=difference,
        hedges_g=hedges_g,
        prob_b_greater=prob_b_greater,
        hodges_lehmann=hodges_lehmann if is_shift else math.nan,
        hodges_lehmann_level=min(rank.cut(n_a, n_b, LEVEL)[1], LEVEL),
        ratio=ratio,
    )


def _holds(limits: tuple[Rows, Rows], truth: float) -> int:
    return int(np.sum((limits[0] <= truth) & (truth <= limits[1])))


def _true_prob(design: Design, shift: float, rng: np.random.Generator) -> float:
    """Return P(B > A) + P(B = A)/2 from a large sample of each arm (error below .0005)."""
    large = Design(name="", draw_a=design.draw_a, draw_b=design.draw_b, n_a=1, n_b=1, sd_b=design.sd_b)
    a, b = large.arms(rng, 1_000_000, shift)
    return float(np.mean(effect.placements(a[:, 0], np.sort(b[:, 0]))[1]))


# --- power, and what single runs say -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """Shares of verdicts for a true difference of `shift` std, normal seeds, margin of one half std."""

    n: int
    shift: float
    planned: float
    """Power that `seedstudy power` plans with."""
    detected: float
    permutation: float
    mann_whitney: float
    equivalent: float
    inconclusive: float
    wrong_direction: float
    single_run_error: float
    """Mean of the printed probability that single runs are ordered wrongly."""
    single_run_error_true: float


def power_of(n: int, shift: float, *, replicates: int, rng: np.random.Generator, margin: float = 0.5) -> Power:
    """Measure detection, equivalence and the probability of a wrong order for normal seeds."""
    design = Design(name="normal", draw_a=normal, draw_b=normal, n_a=n, n_b=n)
    counts = np.zeros(7)
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size, shift), margin=margin)
        is_detected = rows.p_value < ALPHA
        counts += [
            np.sum(is_detected),
            np.sum(rows.permutation_p(rng) <= ALPHA),
            np.sum(rows.mann_whitney_p < ALPHA) if n >= 30 else math.nan,
            np.sum(rows.verdict == "equivalent"),
            np.sum(rows.verdict == "inconclusive"),
            np.sum(is_detected & (rows.t.difference < 0)),
            np.sum(rows.single_run_error),
        ]
        if is_first:
            rows.check()
    detected, permutation, mann_whitney, equivalent, inconclusive, wrong, error = map(float, counts / replicates)
    return Power(
        n=n,
        shift=shift,
        planned=ss.power(1.0, difference=shift, n=n, alpha=ALPHA).power if shift else math.nan,
        detected=detected,
        permutation=permutation,
        mann_whitney=mann_whitney,
        equivalent=equivalent,
        inconclusive=inconclusive,
        wrong_direction=wrong,
        single_run_error=error,
        single_run_error_true=float(special.ndtr(-shift / math.sqrt(2))),
    )


# --- borderline claims ---------------------------------------------------------------------------------

SEEDS = (2, 3, 4, 5, 7, 10, 30, 100)
_RATIOS, _MOST = (2, 3, 10), 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """Shares of wrong claims, and of those that do not say that they are borderline."""

    design: Design
    difference: float
    """Share of "better" and "worse" when the means are equal."""
    difference_unwarned: float
    equivalence: float
    """Share of "equivalent" when the true difference equals the margin of one std of arm A; the worse side."""
    equivalence_unwarned: float


def claims(design: Design, *, replicates: int, rng: np.random.Generator) -> Claims:
    """Measure how often claims are wrong, and how often without a caveat."""
    wrong, unwarned = np.zeros(3), np.zeros(3)
    for size, is_first in blocks(replicates):
        for i, rows in enumerate(_wrong_claims(design, size, rng)):
            is_wrong = rows.verdict == "equivalent" if i else np.isin(rows.verdict, ("better", "worse"))
            wrong[i] += np.sum(is_wrong)
            unwarned[i] += np.sum(is_wrong & ~rows.is_borderline)
            if is_first:
                rows.check()
    return Claims(
        design=design,
        difference=float(wrong[0] / replicates),
        difference_unwarned=float(unwarned[0] / replicates),
        equivalence=float(wrong[1:].max() / replicates),
        equivalence_unwarned=float(unwarned[1:].max() / replicates),
    )


def _wrong_claims(
    design: Design, size: int, rng: np.random.Generator, *, paired: bool = False
) -> tuple[Comparisons, Comparisons, Comparisons]:
    """Return comparisons of equal means, and at either margin of one std, on the same seeds."""
    a, b = design.arms(rng, size)
    at_margins = [Comparisons(a, b + shift, margin=1.0, paired=paired) for shift in (1.0, -1.0)]
    return Comparisons(a, b, paired=paired), at_margins[0], at_margins[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caveats:
    """How often a true difference of normal seeds is detected, and which share of the detections is borderline."""

    n: int
    shift: float
    detected: float
    borderline: float


def caveats(n: int, shift: float, *, replicates: int, rng: np.random.Generator) -> Caveats:
    """Measure what the caveat costs where nothing is wrong; the difference is `shift` std."""
    design = Design(name="", draw_a=normal, draw_b=normal, n_a=n, n_b=n)
    detected = borderline = 0
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size, shift))
        detected += int(np.sum(rows.verdict != "inconclusive"))
        borderline += int(np.sum(rows.is_borderline))
        if is_first:
            rows.check()
    return Caveats(n=n, shift=shift, detected=detected / replicates, borderline=borderline / max(detected, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Borderline:
    """Quantiles at alpha of the p-values of wrong claims, the smallest over the designs of one kind."""

    kind: str
    n: int
    """Seeds in the smaller arm."""
    difference: float
    equivalence: float
    difference_used: float
    """Bound that the product uses."""
    equivalence_used: float


def borderline(kind: str, n: int, *, replicates: int, rng: np.random.Generator) -> Borderline:
    """Measure, for "equal" or "unequal" sizes or for "paired" arms, the p below which 5 % of wrong claims fall."""
    quantiles = [_quantiles(d, kind == "paired", replicates=replicates, rng=rng) for d in _designs(kind, n)]
    n_large = n if kind != "unequal" else 2 * n
    used = [
        doubt.safe_p(n, n_large, alpha=ALPHA, claim=claim, paired=kind == "paired")
        for claim in ("difference", "equivalence")
    ]
    return Borderline(
        kind=kind,
        n=n,
        difference=min(pair[0] for pair in quantiles),
        equivalence=min(pair[1] for pair in quantiles),
        difference_used=used[0],
        equivalence_used=used[1],
    )


def _designs(kind: str, n: int) -> Iterator[Design]:
    if kind != "unequal":
        yield Design(name="", draw_a=mirrored(skewed), draw_b=skewed, n_a=n, n_b=n)
        return
    for ratio in _RATIOS:
        if ratio * n > _MOST:
            continue
        for draw_a, draw_b, sd_b in (
            (skewed, skewed, 1.0),
            (skewed, skewed, 3.0),
            (normal, normal, 3.0),
            (mirrored(skewed), skewed, 1.0),
        ):
            yield Design(name="", draw_a=draw_a, draw_b=draw_b, n_a=ratio * n, n_b=n, sd_b=sd_b)


def _quantiles(design: Design, paired: bool, *, replicates: int, rng: np.random.Generator) -> tuple[float, float]:
    found: list[tuple[Rows, Rows, Rows]] = []
    for size, is_first in blocks(replicates):
        null, low, high = _wrong_claims(design, size, rng, paired=paired)
        found.append((null.p_value, low.equivalence_p, high.equivalence_p))
        if is_first:
            for rows in (null, low, high):
                rows.check()
    p_values, *sides = (np.concatenate(column) for column in zip(*found, strict=True))
    return float(np.quantile(p_values, ALPHA)), min(float(np.quantile(side, ALPHA)) for side in sides)
