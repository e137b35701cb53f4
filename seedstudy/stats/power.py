"""How many seeds a comparison needs, and how many more would settle an inconclusive one."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from seedstudy.stats.variance import chi2_quantile
from seedstudy.stats.welch import TDistance, welch

MOST_SEEDS = 100_000
"""Beyond this many seeds per arm a search ends with None."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
_SHARES = (np.arange(400) + 0.5) / 400


def difference_power(t: TDistance, alpha: float) -> float:
    """Return the probability that a two-sided t test at alpha detects `t.difference`; `t.se` is the true error.

    The degrees of freedom count as known. Welch's test estimates them: at n = 3 per arm it has .37 where this says
    .46, at n = 5 .77 where this says .79, from n = 10 on no less than this.
    """
    shift = float(t.difference / t.se)
    reach = float(special.stdtrit(t.df, 1 - alpha / 2))

    def given(scale: Any) -> Any:
        return special.ndtr(shift - reach * scale) + special.ndtr(-shift - reach * scale)

    return _over_spread(given, float(t.df))


def equivalence_power(t: TDistance, margin: float, alpha: float) -> float:
    """Return the probability that two one-sided tests at alpha show |difference| < margin."""
    reach = float(special.stdtrit(t.df, 1 - alpha))
    upper, lower = float((margin - t.difference) / t.se), float((-margin - t.difference) / t.se)

    def given(scale: Any) -> Any:
        inside = special.ndtr(upper - reach * scale) - special.ndtr(lower + reach * scale)
        return np.where(upper - reach * scale > lower + reach * scale, inside, 0.0)

    return _over_spread(given, float(t.df))


def arms_or_pairs(difference: float, sd_a: float, sd_b: float, n: int, correlation: float | None = None) -> TDistance:
    """Return what a test of n seeds per arm sees: Welch's, or with a correlation that of n pairs of seeds."""
    if correlation is None:
        return welch(0.0, sd_a, n, difference, sd_b, n)
    of_pairs = math.sqrt(max(sd_a**2 + sd_b**2 - 2 * correlation * sd_a * sd_b, 0.0))
    return TDistance(difference=difference, se=of_pairs / math.sqrt(n), df=n - 1)


def seeds_per_arm(
    difference: float,
    sd_a: float,
    sd_b: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float | None = None,
) -> int | None:
    """Return the smallest n per arm (at least 2) with which Welch's test detects the difference with this power.

    With a correlation: the smallest number of pairs for the paired t test.
    """
    if difference == 0.0:
        return None

    def is_enough(n: int) -> bool:
        return difference_power(arms_or_pairs(difference, sd_a, sd_b, n, correlation), alpha) >= power

    return smallest(is_enough, at_least=2)


def seeds_for_equivalence(
    margin: float,
    sd_a: float,
    sd_b: float,
    *,
    difference: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    correlation: float | None = None,
) -> int | None:
    """Return the smallest n per arm with which two one-sided Welch tests show |difference| < margin with this power.

    None where the true difference is not inside the margin, or beyond `MOST_SEEDS`.
    """
    if abs(difference) >= margin:
        return None

    def is_enough(n: int) -> bool:
        return equivalence_power(arms_or_pairs(difference, sd_a, sd_b, n, correlation), margin, alpha) >= power

    return smallest(is_enough, at_least=2)


def detectable_difference(
    n: int, sd_a: float, sd_b: float, *, alpha: float = 0.05, power: float = 0.8, correlation: float | None = None
) -> float:
    """Return the difference that n seeds per arm detect with this power."""
    from scipy import optimize  # a tenth of a second that a comparison does not need

    se = float(arms_or_pairs(0.0, sd_a, sd_b, n, correlation).se)

    def excess(difference: float) -> float:
        return difference_power(arms_or_pairs(difference, sd_a, sd_b, n, correlation), alpha) - power

    high = se
    while excess(high) < 0.0:
        high *= 2.0
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-12 * se))


def estimated_df_power(difference: float, sd_a: float, sd_b: float, n: int, *, alpha: float = 0.05) -> float:
    """Return the power of Welch's test with its estimated degrees of freedom, which cost power at few seeds.

    For normal seeds; an average over both arms' variances (chi-square, independent of the means).
    """
    df = n - 1
    low, high = (chi2_quantile(share, df) / df for share in (1e-10, 1 - 1e-10))
    ratio = np.exp((np.log(low) + np.log(high)) / 2 + (np.log(high) - np.log(low)) / 2 * _NODES)
    weight = _WEIGHTS * np.exp(_chi2_log_density(ratio * df, df)) * ratio
    weight = weight / weight.sum()
    var_a, var_b = (sd_a**2 * ratio)[:, None], (sd_b**2 * ratio)[None, :]
    t = welch(0.0, np.sqrt(var_a), n, difference, np.sqrt(var_b), n)
    reach = special.stdtrit(t.df, 1 - alpha / 2) * t.se
    true_se = math.hypot(sd_a, sd_b) / math.sqrt(n)
    power = special.ndtr((difference - reach) / true_se) + special.ndtr((-difference - reach) / true_se)
    return float(weight @ power @ weight)


@lru_cache(maxsize=256)
def pilot_inflation(df: float, alpha: float, power: float) -> float:
    """Return by what to multiply a pilot's std so that plans made with it have this power on average.

    The pilot has so many degrees of freedom, and a plan takes as many seeds as its std asks for. A pilot with too small
    a std loses more power than one with too large a std gains, so that the factor exceeds 1. The average over pilots is
    that of the normal approximation, Phi((z_alpha + z_power) c s / sigma - z_alpha).
    """
    reach, more = float(special.ndtri(1 - alpha / 2)), float(special.ndtri(power))
    seen = np.sqrt(2.0 * special.gammaincinv(df / 2, _SHARES) / df)  # s / sigma
    low, high = 1.0, 2.0

    def average(factor: float) -> float:
        return float(np.mean(special.ndtr((reach + more) * factor * seen - reach)))

    while average(high) < power:
        low, high = high, 2.0 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if average(middle) < power else (low, middle)
    return high


def smallest(is_enough: Callable[[int], bool], *, at_least: int) -> int | None:
    """Return the smallest integer for which a monotone condition holds; None beyond `MOST_SEEDS`."""
    low = high = at_least
    while not is_enough(high):
        if high > MOST_SEEDS:
            return None
        low, high = high + 1, 2 * high
    return bisect_left(range(high), True, lo=low, key=is_enough)


def _over_spread(given: Callable[[Any], Any], df: float) -> float:
    """Average over the estimated spread: `given` takes s/sigma, distributed as sqrt(chi2/df)."""
    low, high = (math.sqrt(chi2_quantile(share, df) / df) for share in (1e-12, 1 - 1e-12))
    scale = (low + high) / 2 + (high - low) / 2 * _NODES
    density = np.exp(_chi2_log_density(df * scale**2, df)) * 2 * df * scale
    return float(np.clip(np.sum(_WEIGHTS * density * given(scale)) * (high - low) / 2, 0.0, 1.0))


def _chi2_log_density(x: Any, df: float) -> Any:
    return special.xlogy(df / 2 - 1, x) - x / 2 - special.gammaln(df / 2) - math.log(2) * df / 2
