"""How much seeds vary: one standard deviation, and the ratio of two."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from seedstudy.cautions import Caution
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Rows, Sample, mean_of, sd_of
from seedstudy.stats.welch import student, two_sided_p

FEWEST_SEEDS = 5
"""Below this many seeds per arm spreads are not compared: Levene's test on three seeds has one distance that is always
0, and the kurtosis says nothing."""
_NORMAL_ONLY = (
    "exact for normal seeds, too short with skewed seeds or outliers (covers down to .50); see the robust interval",
)
_TAILS = "the interval of the ratio is too short with skewed seeds or outliers (covers down to .77 at n = 10)"


# --- one standard deviation ----------------------------------------------------------------------------


def sd_factors(df: float, level: float) -> tuple[float, float]:
    """Return what to multiply a standard deviation of normal seeds by for the ends of its interval."""
    tail = (1 - level) / 2
    return math.sqrt(df / chi2_quantile(1 - tail, df)), math.sqrt(df / chi2_quantile(tail, df))


def unsure_spread(n: int, level: float) -> str:
    """Return the warning that few seeds hardly show their standard deviation."""
    low, high = sd_factors(n - 1, level)
    times = f"the true std may be {low:.2g} to {high:.2g} times the printed one"
    return Caution(
        f"n = {n} seeds hardly show the spread: {times}",
        short=f"true std {low:.2g} to {high:.2g} times this",
        topic="few-seeds",
    )


def chi2_quantile(p: float, df: float) -> float:
    """Return the quantile of a chi-square."""
    return 2 * float(special.gammaincinv(df / 2, p))


def std_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the standard deviation with its chi-square interval, exact for normal seeds."""
    n, sd = sample.size, sd_of(sample)
    if not sd > 0.0:
        return Estimate.of(sd, None, level=level, n=n, method="chi2")
    ends = [sd * factor for factor in sd_factors(n - 1, level)]
    return Estimate.of(sd, ends, level=level, n=n, method="chi2", warnings=_NORMAL_ONLY)


def std_interval_robust(sample: Sample, *, level: float) -> Estimate:
    """Return the standard deviation with an interval that follows the kurtosis; none below 5 seeds.

    Bonett (2006), "Approximate confidence interval for standard deviation of nonnormal distributions",
    Computational Statistics & Data Analysis 50: kurtosis about a trimmed mean, interval on the log variance.
    """
    n, sd = sample.size, sd_of(sample)
    ends = None if n < FEWEST_SEEDS or sd == 0.0 else bonett_limits(sample[None, :], level)
    return Estimate.of(sd, ends, level=level, n=n, method="bonett")


def bonett_limits(rows: Rows, level: float) -> tuple[Rows, Rows]:
    """Return the limits of the standard deviation of each row, shape (n_samples, n_seeds)."""
    n, variance = rows.shape[1], rows.var(axis=1, ddof=1)
    z = float(special.ndtri(0.5 + level / 2))
    kurtosis = n * _fourth_power_sums(rows) / ((n - 1) * variance) ** 2
    correction = n / (n - z)
    half = z * correction * np.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    centre = np.log(correction * variance)
    return np.exp((centre - half) / 2), np.exp((centre + half) / 2)


def _fourth_power_sums(rows: Rows) -> Rows:
    """Return per row the sum of fourth powers about the mean trimmed by 1 / (2 sqrt(n - 4)) at each end."""
    n = rows.shape[1]
    n_cut = int(min(1 / (2 * math.sqrt(n - 4)), 0.49) * n)
    trimmed = np.sort(rows, axis=1)[:, n_cut : n - n_cut].mean(axis=1, keepdims=True)
    return np.asarray(np.sum((rows - trimmed) ** 4, axis=1))


# --- the ratio of two ----------------------------------------------------------------------------------


def sd_ratio(a: Sample, b: Sample, *, level: float) -> Estimate | None:
    """Return std(B) / std(A) with Bonett's interval.

    None below `FEWEST_SEEDS` per arm, where an arm shows no spread, and where all seeds lie equally far from their
    median.

    Bonett (2006), "Robust confidence interval for a ratio of standard deviations", Applied Psychological Measurement
    30; the kurtosis is pooled after both arms are brought to the same spread.
    """
    if min(a.size, b.size) < FEWEST_SEEDS:
        return None
    sd_a, sd_b = sd_of(a), sd_of(b)
    if sd_a == 0.0 or sd_b == 0.0 or all(np.ptp(distances) == 0.0 for distances in _from_medians(a, b)):
        return None
    ends = ratio_limits(a[None, :], b[None, :], level)
    return Estimate.of(sd_b / sd_a, ends, level=level, n=(a.size, b.size), method="bonett", warnings=(_TAILS,))


def ratio_limits(a: Rows, b: Rows, level: float) -> tuple[Rows, Rows]:
    """Return the limits of std(B) / std(A) for each row, shapes (n_samples, n_a), (n_samples, n_b)."""
    n_a, n_b = a.shape[1], b.shape[1]
    var_a, var_b = a.var(axis=1, ddof=1), b.var(axis=1, ddof=1)
    # Student instead of the normal quantile of the paper: with it the interval is two points short at n = 10.
    z, reach = float(special.ndtri(0.5 + level / 2)), float(special.stdtrit(n_a + n_b - 2, 0.5 + level / 2))
    fourths = _fourth_power_sums(a) / var_a**2 + _fourth_power_sums(b) / var_b**2
    kurtosis = (n_a + n_b) * fourths / (n_a + n_b - 2) ** 2
    se = np.sqrt(sum((kurtosis - (n - 3) / n) / (n - 1) for n in (n_a, n_b)))
    centre = math.log((n_b / (n_b - z)) / (n_a / (n_a - z))) + np.log(var_b / var_a)
    return np.exp((centre - reach * se) / 2), np.exp((centre + reach * se) / 2)


def brown_forsythe_p(a: Sample, b: Sample) -> float:
    """Return the two-sided p-value of equal spreads, where `sd_ratio` is not None.

    Brown & Forsythe (1974): Levene's F about the medians, which for two arms is the square of Student's t on the
    distances. The F test of variances is not offered: with t5 seeds its size at n = 20 is .165 instead of .05.
    """
    first, second = ((mean_of(distances), sd_of(distances), distances.size) for distances in _from_medians(a, b))
    return bounded_p(float(two_sided_p(student(*first, *second))))


def _from_medians(a: Sample, b: Sample) -> tuple[Sample, Sample]:
    return np.abs(a - np.median(a)), np.abs(b - np.median(b))
