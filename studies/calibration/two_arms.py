"""Two recipes: how often verdicts are wrong, intervals miss, and true differences are detected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import special

import seedstudy as ss
from seedstudy.stats import doubt, effect, rank, variance, welch
from studies.calibration.designs import ALPHA, HARD, LEVEL, Design, Draw, Rows, blocks, lattice, normal
from studies.calibration.rows import CHECKED, Comparisons, check

PERMUTED = 4_000
"""Replicates that are relabelled as well: 999 labellings of each cost more than all the rest."""

# --- wrong verdicts ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Shares of replicates of two arms with equal means in which a procedure errs; nan where it is not offered."""

    design: Design
    welch: float
    verdict: float
    """Share of "better" and "worse" under the rule of `seedstudy.decide.verdict` without a margin."""
    permutation: float
    """Of the first `PERMUTED` replicates."""
    mann_whitney: float
    brunner_munzel: float
    no_spread: float
    """Share of replicates in which no arm showed any spread, so that the permutation p decided."""


def sizes_of(design: Design, *, replicates: int, rng: np.random.Generator) -> Sizes:
    """Measure how often procedures err when the means are equal."""
    counts, permuted = np.zeros(5), list[Rows]()
    many = min(design.n_a, design.n_b) >= 30
    for size, is_first in blocks(replicates):
        null = Comparisons(*design.arms(rng, size))
        if sum(map(len, permuted)) < PERMUTED:
            permuted.append(null.permutation_p(rng) <= ALPHA)
        counts += [
            np.sum((null.p_value < ALPHA) & ~null.no_spread),
            np.sum(null.verdict != "inconclusive"),
            np.sum(null.mann_whitney_p < ALPHA) if many else math.nan,
            np.sum(null.brunner_munzel_p < ALPHA) if many else math.nan,
            np.sum(null.no_spread),
        ]
        if is_first:
            null.check()
    welch, verdict, mann_whitney, brunner_munzel, no_spread = map(float, counts / replicates)
    return Sizes(
        design=design,
        welch=welch,
        verdict=verdict,
        permutation=float(np.mean(np.concatenate(permuted))),
        mann_whitney=mann_whitney,
        brunner_munzel=brunner_munzel,
        no_spread=no_spread,
    )


# --- coverage ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverages:
    """Shares of intervals that hold the truth, where there is one; nan where it is not offered at that size."""

    design: Design
    shift: float
    difference: float
    hedges_g: float
    """The printed interval; the truth is the difference in units of the pooled true std."""
    prob_b_greater: float
    prob_by_ranks: float
    hodges_lehmann: float
    hodges_lehmann_level: float
    """Level that the interval states for these sizes."""
    ratio: float


def coverages_of(design: Design, shift: float, *, replicates: int, rng: np.random.Generator) -> Coverages:
    """Measure how often the intervals of a comparison hold the true value."""
    n_a, n_b = design.n_a, design.n_b
    truth_p = _true_prob(design.draw_a, design.draw_b, design.sd_b, shift)
    truth_g = shift / math.sqrt(((n_a - 1) + (n_b - 1) * design.sd_b**2) / (n_a + n_b - 2))
    # Hodges-Lehmann asks for arms that differ by a shift only.
    is_shift = design.sd_b == 1.0 and design.draw_a is design.draw_b is not lattice
    with_ratio = min(n_a, n_b) >= variance.FEWEST_SEEDS
    holds, intervals = np.zeros(6), np.zeros(6)
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size, shift))
        by_rank = rows.hodges_lehmann_covers(shift)
        counts = [
            _counts(rows.interval, shift),
            _counts(rows.hedges_g, truth_g),
            _counts(rows.prob_b_greater, truth_p),
            _counts(rows.prob_by_ranks, truth_p),
            (float(np.sum(by_rank)), size),
            _counts(rows.sd_ratio, design.sd_b) if with_ratio else (math.nan, 1),
        ]
        holds, intervals = (
            total + count for total, count in zip((holds, intervals), np.transpose(counts), strict=True)
        )
        if is_first:
            rows.check()
            if is_shift:
                pairs = zip(rows.a[:CHECKED], rows.b, strict=False)
                printed = [rank.hodges_lehmann(a, b, level=LEVEL) for a, b in pairs]
                check("hodges_lehmann", by_rank, [x.low <= shift <= x.high for x in printed])
    difference, hedges_g, prob_b_greater, prob_by_ranks, hodges_lehmann, ratio = map(float, holds / intervals)
    return Coverages(
        design=design,
        shift=shift,
        difference=difference,
        hedges_g=hedges_g,
        prob_b_greater=prob_b_greater,
        prob_by_ranks=prob_by_ranks,
        hodges_lehmann=hodges_lehmann if is_shift else math.nan,
        hodges_lehmann_level=min(rank.cut(n_a, n_b, LEVEL)[1], LEVEL),
        ratio=ratio,
    )


def _counts(limits: tuple[Rows, Rows], truth: float) -> tuple[float, float]:
    """Return how many intervals hold the truth, and how many there are: none where no seed differs."""
    return float(np.sum((limits[0] <= truth) & (truth <= limits[1]))), float(np.sum(~np.isnan(limits[0])))


@cache
def _true_prob(draw_a: Draw, draw_b: Draw, sd_b: float, shift: float) -> float:
    """Return P(B > A) + P(B = A)/2 from a large sample of each arm (error below .0005)."""
    large = Design(name="", draw_a=draw_a, draw_b=draw_b, n_a=1, n_b=1, sd_b=sd_b)
    a, b = large.arms(np.random.default_rng(17), 1_000_000, shift)
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
    counts, permuted = np.zeros(6), list[Rows]()
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size, shift), margin=margin)
        if sum(map(len, permuted)) < PERMUTED:
            permuted.append(rows.permutation_p(rng) <= ALPHA)
        is_detected = rows.p_value < ALPHA
        counts += [
            np.sum(is_detected),
            np.sum(rows.mann_whitney_p < ALPHA) if n >= 30 else math.nan,
            np.sum(rows.verdict == "equivalent"),
            np.sum(rows.verdict == "inconclusive"),
            np.sum(is_detected & (rows.t.difference < 0)),
            np.sum(rows.single_run_error),
        ]
        if is_first:
            rows.check()
    detected, mann_whitney, equivalent, inconclusive, wrong, error = map(float, counts / replicates)
    return Power(
        n=n,
        shift=shift,
        planned=ss.power(1.0, difference=shift, n=n, alpha=ALPHA).power if shift else math.nan,
        detected=detected,
        permutation=float(np.mean(np.concatenate(permuted))),
        mann_whitney=mann_whitney,
        equivalent=equivalent,
        inconclusive=inconclusive,
        wrong_direction=wrong,
        single_run_error=error,
        single_run_error_true=float(special.ndtr(-shift / math.sqrt(2))),
    )


# --- borderline claims ---------------------------------------------------------------------------------

SEEDS = (2, 3, 5, 10, 30, 100)
RATIOS, _MOST = (1.0, 1.5, 3.0, 10.0), 310
_MARGINS = (1.0, 3.0)
"""In std of arm A."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """Shares of wrong claims, and of those that do not say that they are borderline."""

    design: Design
    difference: float
    """Share of "better" and "worse" when the means are equal."""
    difference_unwarned: float
    equivalence: float
    """Share of "equivalent" when the true difference is the margin, one or three std of arm A; the worst side."""
    equivalence_unwarned: float


def claims(design: Design, *, replicates: int, rng: np.random.Generator) -> Claims:
    """Measure how often claims are wrong, and how often without a caveat."""
    sides = [(margin, sign * margin) for margin in _MARGINS for sign in (1.0, -1.0)]
    wrong, unwarned = np.zeros(1 + len(sides)), np.zeros(1 + len(sides))
    for size, is_first in blocks(replicates):
        a, b = design.arms(rng, size)
        at_margins = [Comparisons(a, b + shift, margin=margin) for margin, shift in sides]
        for i, rows in enumerate((Comparisons(a, b), *at_margins)):
            is_wrong = rows.is_equivalent if i else rows.is_different
            wrong[i] += np.sum(is_wrong)
            unwarned[i] += np.sum(is_wrong & ~rows.is_borderline)
            if is_first:
                assert rows.verdict.size == size  # so that it is checked as well
                rows.check()
    return Claims(
        design=design,
        difference=float(wrong[0] / replicates),
        difference_unwarned=float(unwarned[0] / replicates),
        equivalence=float(wrong[1:].max() / replicates),
        equivalence_unwarned=float(unwarned[1:].max() / replicates),
    )


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

    kind: Literal["arms", "paired"]
    n: int
    """Seeds in the smaller arm."""
    ratio: float
    """Of the seeds of the larger arm to those of the smaller one."""
    difference: float
    difference_used: float
    """Bound that the product uses."""
    difference_from: str
    """Shape that gave it."""
    equivalence: float
    equivalence_used: float


def borderline(
    kind: Literal["arms", "paired"], n: int, ratio: float, *, replicates: int, rng: np.random.Generator
) -> Borderline:
    """Measure for unpaired or paired arms the p below which 5 % of wrong claims fall, in the worst of many shapes."""
    found = [(*_quantiles(d, kind == "paired", replicates=replicates, rng=rng), d.name) for d in _designs(n, ratio)]
    difference, _, shape = min(found)
    used = [
        doubt.safe_p(n, round(ratio * n), alpha=ALPHA, claim=claim, paired=kind == "paired")
        for claim in ("difference", "equivalence")
    ]
    return Borderline(
        kind=kind,
        n=n,
        ratio=ratio,
        difference=difference,
        difference_used=used[0],
        difference_from=shape,
        equivalence=min(quantiles[1] for quantiles in found),
        equivalence_used=used[1],
    )


def kinds_of_borderline(n: int) -> Iterator[tuple[Literal["arms", "paired"], float]]:
    """Yield what is measured with so many seeds in the smaller arm."""
    yield from (("arms", ratio) for ratio in RATIOS if ratio * n <= _MOST)
    yield "paired", 1.0


def _designs(n: int, ratio: float) -> Iterator[Design]:
    for name, draws in HARD.items():
        is_symmetric = ratio == 1.0 and not name.startswith("failing ")
        for sd_b in (1.0, 3.0) if is_symmetric else (1 / 3, 1.0, 3.0):
            label = f"{name}, std of the smaller arm {sd_b:.2g}"
            yield Design(name=label, draw_a=draws[0], draw_b=draws[1], n_a=round(ratio * n), n_b=n, sd_b=sd_b)


def _quantiles(design: Design, paired: bool, *, replicates: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the quantiles at alpha of the p of a difference, and of the p of equivalence.

    As the margin grows the latter becomes the one-sided p of no difference; no margin gives smaller ones.
    """
    found: list[tuple[Rows, Rows, Rows]] = []
    for size, is_first in blocks(replicates):
        rows = Comparisons(*design.arms(rng, size), paired=paired)
        found.append((rows.p_value, welch.p_above(rows.t, 0.0), welch.p_below(rows.t, 0.0)))
        if is_first and design.sd_b == 1.0:
            rows.check()
    p_values, *sides = (np.concatenate(column) for column in zip(*found, strict=True))
    return float(np.quantile(p_values, ALPHA)), min(float(np.quantile(side, ALPHA)) for side in sides)
