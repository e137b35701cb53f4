"""How often true differences are found, and what single seeds of each recipe would say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from seedstudy.stats import effect, power, welch
from studies.calibration.designs import (
    ALPHA,
    Design,
    blocks,
    normal,
)
from studies.calibration.rows import (
    permutation_rows,
    rank_rows,
    welch_rows,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """Shares of verdicts for a true difference of `shift` std, normal seeds, margin of one half std."""

    n: int
    shift: float
    planned: float
    """Power that the product computes for Welch's test."""
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
    for size in blocks(replicates):
        a, b = design.arms(rng, size, shift)
        t = welch_rows(a, b)
        detected = welch.two_sided_p(t) < ALPHA
        equal = welch.equivalence_p(t, margin) < ALPHA
        u_p, _ = rank_rows(a, b)
        error = effect.contrary_new(t, np.square(a.std(axis=1, ddof=1)) + np.square(b.std(axis=1, ddof=1)))
        counts += [
            np.sum(detected),
            np.sum(permutation_rows(a, b, rng) <= ALPHA),
            np.sum(u_p < ALPHA),
            np.sum(equal),
            np.sum(~detected & ~equal),
            np.sum(detected & (t.difference < 0)),
            np.sum(error),
        ]
    share = counts / replicates
    return Power(
        n=n,
        shift=shift,
        planned=power.difference_power(welch.welch(0.0, 1.0, n, shift, 1.0, n), ALPHA) if shift else math.nan,
        detected=float(share[0]),
        permutation=float(share[1]),
        mann_whitney=math.nan if n < 30 else float(share[2]),
        equivalent=float(share[3]),
        inconclusive=float(share[4]),
        wrong_direction=float(share[5]),
        single_run_error=float(share[6]),
        single_run_error_true=float(special.ndtr(-shift / math.sqrt(2))),
    )
