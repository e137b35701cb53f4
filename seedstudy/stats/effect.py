"""How large a difference is: in standard deviations, and as the chance that a seed of B beats a seed of A."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from seedstudy.cautions import Caution
from seedstudy.stats.doubt import UNSEEN_SKEW, UNSEEN_SKEW_OF_PAIRS, has_long_tails, sizes_differ
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import Sample
from seedstudy.stats.welch import TDistance, student


def small_sample_factor(df: Any) -> Any:
    """Return the bias correction of Hedges (1981), J = 1 - 3/(4 df - 1); within 0.3 % of the exact one from df = 4."""
    return 1.0 - 3.0 / (4.0 * df - 1.0)


def hedges_g(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int, *, level: float) -> Estimate:
    """Return the standardised difference B minus A with the interval of the noncentral t.

    The unit is the pooled standard deviation. Where seeds hardly differ, g is huge for a difference that nobody
    cares about: read the difference and the margin first.

    Hedges (1981); interval by inverting the noncentral t (Steiger & Fouladi 1997). The interval assumes equal
    spreads; `docs/calibration.md` has its coverage when they are not.
    """
    t = student(mean_a, sd_a, n_a, mean_b, sd_b, n_b)
    n = (n_a, n_b)
    if t.se == 0.0:
        return _without_spread(t, n=n, level=level, method="hedges-g")
    to_d = math.sqrt(1 / n_a + 1 / n_b)
    # The limits of the true value need no J: they are not biased.
    ends = [to_d * limit for limit in noncentrality_limits(t.statistic, t.df, level)]
    value = small_sample_factor(t.df) * to_d * t.difference / t.se
    g = Estimate.of(value, ends, level=level, n=n, method="hedges-g")
    # Where calibration shows the interval to be too short.
    warnings = []
    if min(n_a, n_b) <= 10:
        warnings.append("the interval of g assumes normal seeds and equal spreads, which so few seeds cannot show")
    if abs(g.value) >= 0.75:
        warnings.append(
            "the interval of g assumes normal seeds; with heavy tails it covers less often (down to .63 at g = 3)"
        )
    if sizes_differ(n_a, n_b):
        warnings.append(
            "the interval of g assumes equal spreads; with unequal sizes it may cover less often (down to .73)"
        )
    return replace(g, warnings=tuple(warnings))


def hedges_g_of_pairs(t: TDistance, typical_sd: float, n: int, *, level: float) -> Estimate:
    """Return the standardised mean difference of n pairs, without an interval.

    The unit is the typical standard deviation over seeds of an arm, as for arms that are not paired. How far the
    estimate may be off depends on the correlation of the pairs, and no interval for it was calibrated.
    """
    method = "hedges-g-average-sd"
    if t.se == 0.0:
        return _without_spread(t, n=n, level=level, method=method)
    value = small_sample_factor(t.df) * t.difference / typical_sd
    warnings = ("g of pairs has no interval: none was shown to hold",)
    return Estimate.of(value, None, level=level, n=n, method=method, warnings=warnings)


def _without_spread(t: TDistance, *, n: int | tuple[int, int], level: float, method: str) -> Estimate:
    value = 0.0 if t.difference == 0.0 else math.copysign(math.inf, t.difference)
    warnings = ("no effect size: all seeds of an arm gave the same value",)
    return Estimate.of(value, None, level=level, n=n, method=method, warnings=warnings)


_LARGE = 3000.0
"""Value of t from which the root finder of the noncentral t loses digits; the spread alone decides there."""


def noncentrality_limits(statistic: Any, df: Any, level: float) -> tuple[Any, Any]:
    """Return the noncentralities under which the observed t is just not extreme; broadcasts.

    Both have the sign of t exactly when Student's test rejects at 1 - level.
    """
    tail, size = (1.0 - level) / 2, np.abs(statistic)
    near, far = (
        np.where(
            size > _LARGE,
            size * np.sqrt(2.0 * special.gammaincinv(df / 2.0, share) / df),
            special.nctdtrinc(df, 1.0 - share, np.minimum(size, _LARGE)),
        )
        for share in (tail, 1.0 - tail)
    )
    near = np.where(size == 0.0, -far, near)  # to the last digit, so that swapped arms agree
    is_negative = np.asarray(statistic) < 0.0
    return np.where(is_negative, -far, near), np.where(is_negative, -near, far)


FEWEST_FOR_RANKS = 30
"""From this many seeds per arm on P(B > A) is estimated by ranks, which assume no shape."""
_NORMAL = (
    "the interval of P(B better) assumes normal {what}, which so few cannot show: with skewed {what} or outliers it "
    "misses the truth more often"
)


def prob_greater_normal(
    t: TDistance, spread: float, *, n: int | tuple[int, int], level: float, method: str = "reiser-guttman"
) -> Estimate:
    """Return P(B > A) for one new normal seed of each: Phi(difference / spread), with the limits of the noncentral t.

    `spread` is the std of the difference of two seeds, sqrt(sd_A^2 + sd_B^2), or that of a pair. Reiser & Guttman
    (1986), "Statistical inference for Pr(Y < X): the normal case", Technometrics 28, with the degrees of freedom of the
    test (Welch's), so that the interval excludes 1/2 exactly when the test rejects.
    """
    value = special.ndtr(t.difference / spread)
    ends = prob_greater_normal_limits(t, spread, level)
    what, short = ("seeds", UNSEEN_SKEW) if isinstance(n, tuple) else ("differences", UNSEEN_SKEW_OF_PAIRS)
    warnings = (Caution(_NORMAL.format(what=what), short=short, topic="few-seeds"),)
    return Estimate.of(value, ends, level=level, n=n, method=method, warnings=warnings)


def prob_greater_normal_limits(t: TDistance, spread: Any, level: float) -> tuple[Any, Any]:
    """Return the limits of Phi(difference / spread); broadcasts."""
    low, high = noncentrality_limits(t.statistic, t.df, level)
    return special.ndtr(low * t.se / spread), special.ndtr(high * t.se / spread)


def placements(a: Sample, b: Sample) -> tuple[Sample, Sample]:
    """Return for each seed of A (of B) the share of the other arm that lies below it, ties counting one half."""

    def share_below(values: Sample, others: Sample) -> Sample:
        ordered = np.sort(others)
        below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
        return np.asarray((below + not_above) / (2.0 * others.size))

    return share_below(a, b), share_below(b, a)


def prob_greater(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return P(B > A) + P(B = A)/2 for one new seed of each, with a score-type interval.

    The Mann-Whitney estimate (Vargha & Delaney 2000). The interval starts from Newcombe (2006), method 5: the variance
    of Hanley & McNeil (1982) taken at the limit itself, not at the estimate, so that complete separation gives a
    bound below 1 and not [1, 1]. Two changes make it hold for few seeds and unequal spreads (both measured in
    `docs/calibration.md`): Student's t with the degrees of freedom of Brunner & Munzel (2000) instead of the normal
    quantile, and their variance estimate wherever it is the larger one.
    """
    theta, variance, df = prob_greater_moments(*(side[None, :] for side in placements(a, b)))
    ends = prob_greater_limits(theta, variance, df, a.size, b.size, level)
    warnings, n = tuple(_doubts_about_prob(float(theta[0]), a, b, level)), (a.size, b.size)
    return Estimate.of(theta, ends, level=level, n=n, method="newcombe-brunner-munzel", warnings=warnings)


def _doubts_about_prob(theta: float, a: Sample, b: Sample, level: float) -> Iterator[str]:
    """Yield what so few seeds cannot show, and where calibration shows the interval to be too short."""
    fewest = _fewest_to_exclude_half(level)
    if not _can_exclude_half(a.size, b.size, level):
        yield (
            f"{a.size} and {b.size} seeds: by ranks alone the interval of P(B > A) always holds .5; with equal numbers "
            f"it takes {fewest} seeds per arm"
        )
    if min(a.size, b.size) <= 3 and sizes_differ(a.size, b.size):
        yield (
            "so few and such unequal numbers of seeds: the interval of P(B > A) may cover less often (down to .92) "
            "where the smaller arm varies more"
        )
    if abs(theta - 0.5) > 0.4 and (has_long_tails(a[None, :])[0] or has_long_tails(b[None, :])[0]):
        yield "outliers: the interval of a P(B > A) so near to 0 or 1 may cover less often (.93)"


@lru_cache(maxsize=1024)
def _can_exclude_half(n_a: int, n_b: int, level: float) -> bool:
    """Return whether completely separated arms of so many seeds give an interval without 1/2."""
    df = np.full(1, n_a + n_b - 2.0)
    return bool(prob_greater_limits(np.ones(1), np.zeros(1), df, n_a, n_b, level)[0][0] > 0.5)


@lru_cache(maxsize=32)
def _fewest_to_exclude_half(level: float) -> int:
    return next(n for n in itertools.count(2) if _can_exclude_half(n, n, level))


def prob_greater_moments(below_a: Any, below_b: Any) -> tuple[Any, Any, Any]:
    """Return estimate, Brunner-Munzel variance and degrees of freedom per row of `placements`.

    At complete separation, and with one seed in an arm, the variance counts as 0 with n_a + n_b - 2 degrees.
    """
    n_a, n_b = below_a.shape[1], below_b.shape[1]
    theta = below_b.mean(axis=1)
    if min(n_a, n_b) < 2:
        return theta, np.zeros_like(theta), np.full_like(theta, n_a + n_b - 2.0)
    part_a, part_b = below_a.var(axis=1, ddof=1) / n_a, below_b.var(axis=1, ddof=1) / n_b
    variance = part_a + part_b
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.square(variance) / (np.square(part_a) / (n_a - 1) + np.square(part_b) / (n_b - 1))
    return theta, variance, np.where(variance > 0.0, df, n_a + n_b - 2.0)


def prob_greater_limits(theta: Any, variance: Any, df: Any, n_a: int, n_b: int, level: float) -> tuple[Any, Any]:
    """Return the roots of (theta - x)^2 = t^2 f V(x), by bisection; broadcasts over the first three arguments."""
    # At an estimate of 0 or 1 the reference variance is taken half a pair inside.
    inside = np.clip(theta, 0.5 / (n_a * n_b), 1 - 0.5 / (n_a * n_b))
    factor = np.maximum(variance / _mann_whitney_variance(inside, n_a, n_b), 1.0)
    reach = np.square(special.stdtrit(df, 0.5 + level / 2)) * factor

    def outside(x: Any) -> Any:
        return np.square(theta - x) > reach * _mann_whitney_variance(x, n_a, n_b)

    ends = np.stack([np.zeros_like(theta), np.ones_like(theta)])
    low, high = _bisect(outside, ends, np.stack([theta, theta]))
    return low, high


def _mann_whitney_variance(theta: Any, n_a: int, n_b: int) -> Any:
    half = (n_a + n_b) / 2 - 1
    return theta * (1 - theta) / (n_a * n_b) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta)))


def _bisect(outside: Any, far: Any, near: Any) -> Any:
    """Return the border between `far` (outside, or the end of the scale) and `near` (inside)."""
    for _ in range(60):
        middle = (far + near) / 2
        is_out = outside(middle)
        far, near = np.where(is_out, middle, far), np.where(is_out, near, middle)
    return near


def wilson_limits(successes: Any, n: Any, level: float) -> tuple[Any, Any]:
    """Return the score interval of a proportion (Wilson 1927); `successes` may be half-integers (ties)."""
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2
    p = successes / n
    centre, scale = p + z2 / (2 * n), 1 + z2 / n
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * np.square(n))))
    return np.maximum((centre - half) / scale, 0.0), np.minimum((centre + half) / scale, 1.0)


def prob_greater_paired(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return the share of pairs in which B is greater (ties one half), with its Wilson interval.

    The paired probability of Bouthillier et al. (2021); their percentile bootstrap gives [1, 1] when B wins every pair,
    the Wilson interval does not.
    """
    wins = float(np.sum(b > a) + 0.5 * np.sum(b == a))
    ends = wilson_limits(wins, a.size, level)
    return Estimate.of(wins / a.size, ends, level=level, n=a.size, method="wilson-pairs")
