"""How often the intervals of a comparison hold the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedstudy.stats import effect, rank, resample, spread, welch
from studies.calibration.designs import (
    LEVEL,
    Design,
    Rows,
    blocks,
    lattice,
)
from studies.calibration.rows import (
    placement_rows,
    rank_rows,
    welch_rows,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverages:
    """Shares of replicates in which an interval holds the truth; nan where it is not offered."""

    design: Design
    shift: float
    difference: float
    hedges_g: float
    prob_b_greater: float
    hodges_lehmann: float
    hodges_lehmann_level: float
    """Level that the interval states for these sizes."""
    ratio: float
    bootstrap: float


def coverages_of(
    design: Design, shift: float, *, replicates: int, rng: np.random.Generator, bootstrap: bool = False
) -> Coverages:
    """Measure how often the intervals of a comparison hold the true value."""
    n_a, n_b = design.n_a, design.n_b
    truth_p = _true_prob(design, shift, rng)
    truth_g = shift / math.sqrt(((n_a - 1) + (n_b - 1) * design.sd_b**2) / (n_a + n_b - 2))
    n_cut, hl_level = rank.cut(n_a, n_b, LEVEL)
    # Hodges-Lehmann asks for arms that differ by a shift only.
    is_shift = design.sd_b == 1.0 and design.draw_a is design.draw_b is not lattice
    counts = np.zeros(6)
    for size in blocks(replicates):
        a, b = design.arms(rng, size, shift)
        t = welch_rows(a, b)
        moments = (a.mean(axis=1), a.std(axis=1, ddof=1), n_a, b.mean(axis=1), b.std(axis=1, ddof=1), n_b)
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = welch.interval(t, LEVEL)
            pooled = welch.student(*moments)
            g_low, g_high = effect.noncentrality_limits(pooled.statistic, n_a + n_b - 2.0, LEVEL)
        # The interval of g is the interval of delta = shift / sigma times J; it covers J delta.
        to_d = math.sqrt(1 / n_a + 1 / n_b)
        p_low, p_high = effect.prob_greater_limits(*effect.prob_greater_moments(*placement_rows(a, b)), n_a, n_b, LEVEL)
        below = rank_rows(a, b - shift)[1] * n_a * n_b
        counts += [
            np.sum((low <= shift) & (shift <= high)),
            np.sum((g_low * to_d <= truth_g) & (truth_g <= g_high * to_d)),
            np.sum((p_low <= truth_p) & (truth_p <= p_high)),
            np.sum((below > n_cut) & (below < n_a * n_b - n_cut)),
            _ratio_covers(a, b, design.sd_b),
            _bootstrap_covers(a, b, shift, rng) if bootstrap else math.nan,
        ]
    share = counts / replicates
    return Coverages(
        design=design,
        shift=shift,
        difference=float(share[0]),
        hedges_g=float(share[1]),
        prob_b_greater=float(share[2]),
        hodges_lehmann=float(share[3]) if is_shift else math.nan,
        hodges_lehmann_level=min(hl_level, LEVEL),
        ratio=float(share[4]) if min(n_a, n_b) >= spread.FEWEST_SEEDS else math.nan,
        bootstrap=float(share[5]),
    )


def _true_prob(design: Design, shift: float, rng: np.random.Generator) -> float:
    """Return P(B > A) + P(B = A)/2 from a large sample of each arm (error below .0005)."""
    large = Design(name="", draw_a=design.draw_a, draw_b=design.draw_b, n_a=1, n_b=1, sd_b=design.sd_b)
    a, b = large.arms(rng, 1_000_000, shift)
    return float(np.mean(effect.placements(a[:, 0], np.sort(b[:, 0]))[1]))


def _ratio_covers(a: Rows, b: Rows, truth: float) -> float:
    if min(a.shape[1], b.shape[1]) < spread.FEWEST_SEEDS:
        return math.nan
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low, high = spread.ratio_limits(a, b, LEVEL)
    return float(np.sum((low <= truth) & (truth <= high)))


def _bootstrap_covers(a: Rows, b: Rows, truth: float, rng: np.random.Generator) -> float:
    if min(a.shape[1], b.shape[1]) < resample.FEWEST_SEEDS:
        return math.nan
    low, high = resample.bca_limits(a, b, level=LEVEL, resamples=999, rng=rng)
    return float(np.sum((low <= truth) & (truth <= high)))
