"""Does one recipe vary more from seed to seed than another?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from seedstudy.stats.describe import Rows, fourth_power_sums
from seedstudy.stats.result import Estimate, honest_p
from seedstudy.stats.sample import Sample, mean_of, sd_of
from seedstudy.stats.welch import student, two_sided_p

FEWEST_SEEDS = 5
"""Fewer seeds per arm cannot compare spreads (Levene's test on three seeds has one distance that is always 0)."""

_TAILS = "the interval of the ratio is too short with skewed seeds or outliers (covers down to .77 at n = 10)"


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadComparison:
    """The spread of B against that of A."""

    ratio: Estimate
    """Standard deviation of B divided by that of A."""
    brown_forsythe: float
    """F statistic of the distances from each arm's median."""
    p_value: float
    """Two-sided p-value of equal spreads."""
    warnings: tuple[str, ...] = ()


def compare_spread(a: Sample, b: Sample, *, level: float) -> SpreadComparison | None:
    """Compare the spreads by Brown & Forsythe (1974) and by the ratio of standard deviations.

    Returns
    -------
    SpreadComparison or None
        None below `FEWEST_SEEDS` per arm, where an arm shows no spread, and where all seeds lie equally far from
        their median.

    Notes
    -----
    Interval of the ratio after Bonett (2006), "Robust confidence interval for a ratio of standard deviations",
    Applied Psychological Measurement 30; the kurtosis is pooled after both arms are brought to the same spread.
    The F test of variances is not offered: with t5 seeds its size at n = 20 is .165 instead of .05.

    """
    if min(a.size, b.size) < FEWEST_SEEDS:
        return None
    sd_a, sd_b = sd_of(a), sd_of(b)
    if sd_a == 0.0 or sd_b == 0.0:
        return None
    distances = [np.abs(arm - np.median(arm)) for arm in (a, b)]
    if all(np.ptp(distance) == 0.0 for distance in distances):
        return None
    # Levene's F about the medians is the square of Student's t on the distances.
    moments = [(mean_of(distance), sd_of(distance), distance.size) for distance in distances]
    t = student(*moments[0], *moments[1])
    low, high = ratio_limits(a[None, :], b[None, :], level)
    ratio = Estimate(
        value=sd_b / sd_a,
        low=float(low[0]),
        high=float(high[0]),
        level=level,
        n=(a.size, b.size),
        method="bonett",
    )
    return SpreadComparison(
        ratio=ratio, brown_forsythe=float(t.statistic) ** 2, p_value=honest_p(float(two_sided_p(t))), warnings=(_TAILS,)
    )


def ratio_limits(a: Rows, b: Rows, level: float) -> tuple[Rows, Rows]:
    """Return the limits of std(B) / std(A) for each row, shapes (n_samples, n_a), (n_samples, n_b)."""
    n_a, n_b = a.shape[1], b.shape[1]
    var_a, var_b = a.var(axis=1, ddof=1), b.var(axis=1, ddof=1)
    # Student instead of the normal quantile of the paper: with it the interval is two points short at n = 10.
    z, reach = float(special.ndtri(0.5 + level / 2)), float(special.stdtrit(n_a + n_b - 2, 0.5 + level / 2))
    fourths = fourth_power_sums(a) / var_a**2 + fourth_power_sums(b) / var_b**2
    kurtosis = (n_a + n_b) * fourths / (n_a + n_b - 2) ** 2
    se = np.sqrt(sum((kurtosis - (n - 3) / n) / (n - 1) for n in (n_a, n_b)))
    centre = math.log((n_b / (n_b - z)) / (n_a / (n_a - z))) + np.log(var_b / var_a)
    return np.exp((centre - reach * se) / 2), np.exp((centre + reach * se) / 2)
