"""How many seeds a comparison needs, and how many more would settle an inconclusive one."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from seedstudy.stats.variance import chi2_quantile
from seedstudy.stats.welch import TDistance, welch

MOST_SEEDS = 100_000
"""Beyond this many seeds per arm a search ends with None."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
_SHARES = (np.arange(40) + 0.5) / 40


def difference_power(t: TDistance, alpha: float) -> Any:
    """Return the probability that a two-sided t test at alpha detects `t.difference`; `t.se` is the true error.

    `t.se` may be an array, of shape (k,).

    The degrees of freedom count as known. Welch's test estimates them: at n = 3 per arm it has .37 where this says
    .46, at n = 5 .77 where this says .79, from n = 10 on no less than this.
    """
    shift = np.asarray(t.difference / t.se)[..., None]
    reach = float(special.stdtrit(t.df, 1 - alpha / 2))

    def given(scale: Any) -> Any:
        return special.ndtr(shift - reach * scale) + special.ndtr(-shift - reach * scale)

    return _over_spread(given, float(t.df))


def equivalence_power(t: TDistance, margin: float, alpha: float) -> Any:
    """Return the probability that two one-sided tests at alpha show |difference| < margin; see `difference_power`."""
    reach = float(special.stdtrit(t.df, 1 - alpha))
    upper, lower = (np.asarray((side - t.difference) / t.se)[..., None] for side in (margin, -margin))

    def given(scale: Any) -> Any:
        inside = special.ndtr(upper - reach * scale) - special.ndtr(lower + reach * scale)
        return np.where(upper - reach * scale > lower + reach * scale, inside, 0.0)

    return _over_spread(given, float(t.df))


def seeds_per_arm(
    difference: float, sd_a: float, sd_b: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Return the smallest n per arm (at least 2) with which Welch's test detects the difference with this power."""
    if difference == 0.0:
        return None

    def is_enough(n: int) -> bool:
        return bool(difference_power(welch(0.0, sd_a, n, difference, sd_b, n), alpha) >= power)

    return smallest(is_enough, at_least=2)


def seeds_for_equivalence(
    margin: float, sd_a: float, sd_b: float, *, difference: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Return the smallest n per arm with which two one-sided Welch tests show |difference| < margin with this power.

    None where the true difference is not inside the margin, or beyond `MOST_SEEDS`.
    """
    if abs(difference) >= margin:
        return None

    def is_enough(n: int) -> bool:
        return bool(equivalence_power(welch(0.0, sd_a, n, difference, sd_b, n), margin, alpha) >= power)

    return smallest(is_enough, at_least=2)


def detectable_difference(n: int, sd_a: float, sd_b: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the difference that n seeds per arm detect with this power."""
    from scipy import optimize  # a tenth of a second that a comparison does not need

    se = math.hypot(sd_a, sd_b) / math.sqrt(n)

    def excess(difference: float) -> float:
        return float(difference_power(welch(0.0, sd_a, n, difference, sd_b, n), alpha)) - power

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


def expected_power(t: TDistance, alpha: float, *, pilot_df: float, margin: float | None = None) -> float:
    """Return the power averaged over what a pilot of so many degrees of freedom leaves open about the std.

    Of detecting `t.difference`; with a margin, of showing |difference| < margin. `t.se` is the error that the pilot's
    std gives. The true variance is the pilot's times pilot_df / chi-square(pilot_df): assurance, as in O'Hagan, Stevens
    and Campbell (2005), "Assurance in clinical trial design", Pharmaceutical Statistics 4, with a flat prior on
    log(std).
    """
    factors = np.sqrt(pilot_df / (2.0 * special.gammaincinv(pilot_df / 2, _SHARES)))
    of_each = t._replace(se=t.se * factors)
    powers = difference_power(of_each, alpha) if margin is None else equivalence_power(of_each, margin, alpha)
    return float(np.mean(powers))


def smallest(is_enough: Callable[[int], bool], *, at_least: int) -> int | None:
    """Return the smallest integer for which a monotone condition holds; None beyond `MOST_SEEDS`."""
    low = high = at_least
    while not is_enough(high):
        if high > MOST_SEEDS:
            return None
        low, high = high + 1, 2 * high
    return bisect_left(range(high), True, lo=low, key=is_enough)


def _over_spread(given: Callable[[Any], Any], df: float) -> Any:
    """Average over the estimated spread: `given` takes s/sigma, distributed as sqrt(chi2/df), on its last axis."""
    low, high = (math.sqrt(chi2_quantile(share, df) / df) for share in (1e-12, 1 - 1e-12))
    scale = (low + high) / 2 + (high - low) / 2 * _NODES
    density = np.exp(_chi2_log_density(df * scale**2, df)) * 2 * df * scale
    return np.clip(np.sum(_WEIGHTS * density * given(scale), axis=-1) * (high - low) / 2, 0.0, 1.0)


def _chi2_log_density(x: Any, df: float) -> Any:
    return special.xlogy(df / 2 - 1, x) - x / 2 - special.gammaln(df / 2) - math.log(2) * df / 2
