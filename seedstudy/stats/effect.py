"""How large a difference is: in standard deviations, and as the chance that a seed of B beats a seed of A."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from scipy import special

from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import Sample
from seedstudy.stats.welch import TDistance, student

GAMMA = 0.75
"""P(B > A) from which Bouthillier et al. (2021) call a significant difference meaningful."""


def small_sample_factor(df: Any) -> Any:
    """Return the bias correction of Hedges (1981), J = 1 - 3/(4 df - 1); within 0.3 % of the exact one from df = 4."""
    return 1.0 - 3.0 / (4.0 * df - 1.0)


def hedges_g(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int, *, level: float) -> Estimate:
    """Return the standardised difference B minus A with the interval of the noncentral t.

    The unit is the pooled standard deviation. Where seeds hardly differ, g is huge for a difference that nobody
    cares about: read the difference and the margin first.

    Notes
    -----
    Hedges (1981); interval by inverting the noncentral t (Steiger & Fouladi 1997). The interval assumes equal
    spreads; `docs/calibration.md` has its coverage when they are not.

    """
    t = student(mean_a, sd_a, n_a, mean_b, sd_b, n_b)
    df = n_a + n_b - 2
    to_d = math.sqrt(1 / n_a + 1 / n_b)
    return standardised(float(t.difference), float(t.se), df, to_d, n=(n_a, n_b), level=level, method="hedges-g")


def standardised(
    difference: float, se: float, df: float, to_d: float, *, n: int | tuple[int, int], level: float, method: str
) -> Estimate:
    """Return J * to_d * t with the limits of the noncentrality of t scaled alike."""
    if se == 0.0:
        value = 0.0 if difference == 0.0 else math.copysign(math.inf, difference)
        warning = "no effect size: all seeds of an arm gave the same value"
        return Estimate(value=value, low=math.nan, high=math.nan, level=level, n=n, method=method, warnings=(warning,))
    scale = float(small_sample_factor(df)) * to_d
    low, high = noncentrality_limits(difference / se, df, level)
    return Estimate(
        value=scale * difference / se, low=scale * float(low), high=scale * float(high), level=level, n=n, method=method
    )


def noncentrality_limits(statistic: Any, df: Any, level: float) -> tuple[Any, Any]:
    """Return the noncentralities under which the observed t is just not extreme; broadcasts."""
    tail = (1.0 - level) / 2
    return special.nctdtrinc(df, 1.0 - tail, statistic), special.nctdtrinc(df, tail, statistic)


def placements(a: Sample, b: Sample) -> tuple[Sample, Sample]:
    """Return for each seed of A (of B) the share of the other arm that lies below it, ties counting one half."""
    return _share_below(a, b), _share_below(b, a)


def _share_below(values: Sample, others: Sample) -> Sample:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    share: Sample = (below + not_above) / (2.0 * others.size)
    return share


def prob_greater(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return P(B > A) + P(B = A)/2 for one new seed of each, with a score-type interval.

    Notes
    -----
    The Mann-Whitney estimate (Vargha & Delaney 2000) with the interval of Newcombe (2006), method 5: the variance of
    Hanley & McNeil (1982) taken at the limit itself, not at the estimate, so that complete separation gives a bound
    below 1 and not [1, 1].

    """
    theta = float(np.mean(placements(a, b)[1]))
    low, high = prob_greater_limits(theta, a.size, b.size, level)
    return Estimate(value=theta, low=float(low), high=float(high), level=level, n=(a.size, b.size), method="newcombe-5")


def prob_greater_limits(theta: Any, n_a: int, n_b: int, level: float) -> tuple[Any, Any]:
    """Return the roots of (theta - x)^2 = z^2 V(x), by bisection; broadcasts over theta."""
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2
    theta = np.asarray(theta, dtype=np.float64)

    def outside(x: Any) -> Any:
        return np.square(theta - x) > z2 * _mann_whitney_variance(x, n_a, n_b)

    return _bisect(outside, np.zeros_like(theta), theta), _bisect(outside, np.ones_like(theta), theta)


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
    centre, whole = p + z2 / (2 * n), 1 + z2 / n
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * np.square(n))))
    return np.maximum((centre - half) / whole, 0.0), np.minimum((centre + half) / whole, 1.0)


def prob_greater_paired(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return the share of pairs in which B is greater (ties one half), with its Wilson interval.

    Notes
    -----
    The paired probability of Bouthillier et al. (2021); their percentile bootstrap gives [1, 1] when B wins every
    pair, the Wilson interval does not.

    """
    wins = float(np.sum(b > a) + 0.5 * np.sum(b == a))
    low, high = wilson_limits(wins, a.size, level)
    return Estimate(value=wins / a.size, low=float(low), high=float(high), level=level, n=a.size, method="wilson-pairs")


def cliffs_delta(prob: Estimate) -> Estimate:
    """Return Cliff's delta, 2 P - 1, with the interval of P(B > A) carried over."""
    return Estimate(
        value=2 * prob.value - 1,
        low=2 * prob.low - 1,
        high=2 * prob.high - 1,
        level=prob.level,
        n=prob.n,
        method=f"cliffs-delta-{prob.method}",
        warnings=prob.warnings,
    )


def meaning(
    prob: Estimate, *, gamma: float = GAMMA
) -> Literal["not significant", "significant, not meaningful", "significant and meaningful"]:
    """Return the three-way conclusion of Bouthillier et al. (2021) for the arm that `prob` speaks for."""
    if not prob.low > 0.5:
        return "not significant"
    return "significant and meaningful" if prob.high > gamma else "significant, not meaningful"


def noether_n(*, gamma: float = GAMMA, alpha: float = 0.05, beta: float = 0.05) -> float:
    """Return the seeds per arm of Noether (1987) as used by Bouthillier et al. (2021): 28.86 at the defaults."""
    z = float(special.ndtri(1 - alpha) - special.ndtri(beta))
    return (z / (math.sqrt(6.0) * (0.5 - gamma))) ** 2


def contrary_order(mean_a: float, sd_a: float, n_a: int, mean_b: float, sd_b: float, n_b: int) -> float:
    """Return the probability that one new seed of each arm comes out against the order of the means.

    A prediction: the uncertainty of both means and both spreads is part of it (Welch-Satterthwaite degrees of
    freedom), so three seeds never promise certainty.
    """
    spread_a, spread_b = sd_a**2 * (1 + 1 / n_a), sd_b**2 * (1 + 1 / n_b)
    whole = spread_a + spread_b
    if whole == 0.0:
        return 0.5 if mean_a == mean_b else 0.0
    share = spread_a / whole
    df = 1.0 / (share**2 / (n_a - 1) + (1 - share) ** 2 / (n_b - 1))
    return float(special.stdtr(df, -abs(mean_b - mean_a) / math.sqrt(whole)))


def contrary_new_seed(t: TDistance, n_a: int, n_b: int) -> float:
    """Return the same probability with one common spread, as a pooled `t` estimates it."""
    means = 1 / n_a + 1 / n_b
    return float(special.stdtr(t.df, -abs(t.statistic) * math.sqrt(means / (means + 2))))


def contrary_new_pair(t: TDistance, n: int) -> float:
    """Return the probability that one new pair comes out against the order of the means; `t` is that of the pairs."""
    return float(special.stdtr(t.df, -abs(t.statistic) / math.sqrt(n + 1)))
