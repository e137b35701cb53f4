"""One recipe: centre, spread, and where the next seed may land. Each interval answers another question."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats import doubt
from seedstudy.stats.result import Estimate, honest_p
from seedstudy.stats.sample import Sample, as_sample, check_level, mean_of, sd_of

FEWEST_FOR_SHAPE = 30
"""With fewer seeds, skewness and outliers that shorten intervals go unseen too often; the output says so always."""
_NORMAL_ONLY = (
    "exact for normal seeds, too short with skewed seeds or outliers (covers down to .50); see the robust interval",
)
Rows = NDArray[np.float64]
"""Samples as rows, shape (n_samples, n_seeds): the calibration runs the formulas of the product on many at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the seeds of one recipe say, in the unit of the input."""

    n: int
    mean: Estimate
    """Student's t interval: where the mean over all seeds may lie."""
    std: Estimate
    """Standard deviation with n - 1; chi-square interval, exact for normal seeds."""
    std_robust: Estimate
    """The same value with the interval of Bonett (2006), which follows the kurtosis; from 5 seeds on."""
    median: Estimate
    """Interval from order statistics; valid for any distribution."""
    min: float
    max: float
    iqm: float
    """Interquartile mean: the mean of the middle half, boundary seeds counted in part."""
    new_seed: Estimate
    """Prediction interval: where one new seed may land."""
    tolerance: Estimate
    """Tolerance interval: holds `tolerance_content` of all seeds with the stated confidence."""
    tolerance_content: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """Where one value stands among the seeds of a recipe."""

    value: float
    n: int
    """Number of other seeds it is held against."""
    n_below: int
    n_equal: int
    n_above: int
    percentile: float
    """Share of the other seeds below, ties one half, in [0, 1]."""
    t: float
    """(value - mean of the others) / (s sqrt(1 + 1/n)); nan without spread."""
    p_value: float
    """Two-sided probability of a new seed at least as far out, for normal seeds; nan without spread."""


def describe(values: ArrayLike, *, level: float = 0.95, content: float = 0.95, name: str = "sample") -> Description:
    """Describe the seeds of one recipe.

    Parameters
    ----------
    values : array_like, shape (n_seeds,)
        One number per seed, any unit.
    level : float
        Confidence level of all intervals.
    content : float
        Share of all seeds that the tolerance interval is to hold.
    name : str
        How messages call the sample.

    Returns
    -------
    Description
        With one seed: the value, and no interval at all.

    Raises
    ------
    StatisticsError
        No value, a value that is nan or infinite, or a level outside (0, 1).

    """
    check_level(level)
    check_level(content)
    # In order, so that not even rounding depends on the order of the seeds.
    sample = np.sort(as_sample(values, name=name))
    return Description(
        n=sample.size,
        mean=mean_interval(sample, level=level),
        std=std_interval(sample, level=level),
        std_robust=std_interval_robust(sample, level=level),
        median=median_interval(sample, level=level),
        min=float(sample[0]),
        max=float(sample[-1]),
        iqm=interquartile_mean(sample),
        new_seed=prediction_interval(sample, level=level),
        tolerance=tolerance_interval(sample, content=content, level=level),
        tolerance_content=content,
        warnings=_warnings(sample, level),
    )


def rank_of(value: float, values: ArrayLike, *, part_of_sweep: bool = True) -> Rank:
    """Hold one seed (seed 0, a published run) against a sweep.

    Parameters
    ----------
    value : float
        The one result.
    values : array_like, shape (n_seeds,)
        The sweep.
    part_of_sweep : bool
        Whether `value` is one of `values`; it is then held against the others only.

    Raises
    ------
    StatisticsError
        `value` was said to be part of the sweep and is not, or nothing is left to compare with.

    """
    others = as_sample(values, name="sweep")
    if not math.isfinite(value):
        raise StatisticsError(f"value {value:g}: not a finite number; give the result of one seed")
    if part_of_sweep:
        found = np.flatnonzero(others == value)
        if not found.size:
            raise StatisticsError(
                f"value {value:g}: not among the {others.size} seeds; say part_of_sweep=False for an outside value"
            )
        others = np.delete(others, found[0])
    if not others.size:
        raise StatisticsError(f"value {value:g}: no other seed to compare with; train more seeds")
    n, n_below, n_equal = others.size, int(np.sum(others < value)), int(np.sum(others == value))
    sd = sd_of(others)
    t = (value - mean_of(others)) / (sd * math.sqrt(1 + 1 / n)) if sd > 0.0 else math.nan
    return Rank(
        value=float(value),
        n=n,
        n_below=n_below,
        n_equal=n_equal,
        n_above=n - n_below - n_equal,
        percentile=(n_below + n_equal / 2) / n,
        t=t,
        p_value=math.nan if math.isnan(t) else honest_p(float(2 * special.stdtr(n - 1, -abs(t)))),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetTest:
    """The mean over seeds held against one fixed number that has no seeds of its own."""

    target: float
    difference: Estimate
    """Mean minus target, with Student's t interval."""
    statistic: float
    df: int
    p_value: float
    """Two-sided."""
    p_below: float
    """One-sided: supports "the mean lies below the target"; to be chosen before seeing the data."""
    p_above: float
    """One-sided: supports "the mean lies above the target"."""


def against_target(values: ArrayLike, target: float, *, level: float = 0.95, name: str = "sample") -> TargetTest:
    """Hold the mean of a recipe against a fixed number, such as the threshold of a benchmark.

    Raises
    ------
    StatisticsError
        Fewer than two seeds, all seeds equal, or a target that is not finite.

    """
    check_level(level)
    sample = as_sample(values, name=name, at_least=2)
    sd, n = sd_of(sample), sample.size
    if not math.isfinite(target):
        raise StatisticsError(f"{name}: target {target:g} is not a finite number; give the number to reach")
    if sd == 0.0:
        raise StatisticsError(f"{name}: all {n} seeds gave the same value; there is no spread to hold a target against")
    gap, se = mean_of(sample) - target, sd / math.sqrt(n)
    half = _t_quantile(n, level) * se
    statistic = gap / se
    return TargetTest(
        target=float(target),
        difference=Estimate(value=gap, low=gap - half, high=gap + half, level=level, n=n, method="t"),
        statistic=statistic,
        df=n - 1,
        p_value=honest_p(2 * float(special.stdtr(n - 1, -abs(statistic)))),
        p_below=honest_p(float(special.stdtr(n - 1, statistic))),
        p_above=honest_p(float(special.stdtr(n - 1, -statistic))),
    )


def mean_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the mean with Student's t interval, m +- t s / sqrt(n)."""
    return _around_mean(sample, level, _t_quantile(sample.size, level) / math.sqrt(sample.size), "t")


def mean_interval_of(mean: float, sd: float, n: int, *, level: float) -> Estimate:
    """Return Student's t interval of a mean of which only std and n are known."""
    half = _t_quantile(n, level) * sd / math.sqrt(n)
    return Estimate(value=mean, low=mean - half, high=mean + half, level=level, n=n, method="t")


def prediction_interval(sample: Sample, *, level: float) -> Estimate:
    """Return where one new seed may land, m +- t s sqrt(1 + 1/n), for normal seeds."""
    factor = _t_quantile(sample.size, level) * math.sqrt(1 + 1 / sample.size)
    return _around_mean(sample, level, factor, "t-prediction")


def tolerance_interval(sample: Sample, *, content: float, level: float) -> Estimate:
    """Return the interval that holds `content` of all seeds with confidence `level`, for normal seeds."""
    factor = math.nan if sample.size < 2 else tolerance_factor(sample.size, content=content, level=level)
    return _around_mean(sample, level, factor, f"normal-tolerance-{content:g}")


@functools.lru_cache(maxsize=256)
def tolerance_factor(n: int, *, content: float, level: float) -> float:
    """Return the exact two-sided normal tolerance factor k of m +- k s.

    Notes
    -----
    Averages, over the distribution of the mean, the probability that s is large enough for the interval to hold
    the content; k solves that this equals the level (the definition behind the tables of Odeh & Owen 1980).

    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    # |Z + shift| <= reach holds the content: a quantile of the noncentral chi-square with one degree of freedom.
    reach2 = stats.ncx2.ppf(content, 1, np.square(nodes) / n)

    def shortfall(k: float) -> float:
        return float(weights @ stats.chi2.sf((n - 1) * reach2 / k**2, n - 1)) - level

    return float(optimize.brentq(shortfall, 1e-3, 1e6, xtol=1e-10))


def sd_factors(n: int, level: float) -> tuple[float, float]:
    """Return what to multiply a standard deviation of n normal seeds by for the ends of its interval."""
    tail = (1 - level) / 2
    return (
        math.sqrt((n - 1) / float(stats.chi2.ppf(1 - tail, n - 1))),
        math.sqrt((n - 1) / float(stats.chi2.ppf(tail, n - 1))),
    )


def std_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the standard deviation with its chi-square interval, exact for normal seeds."""
    n, sd = sample.size, sd_of(sample)
    low, high = (math.nan, math.nan) if not sd > 0.0 else (sd * factor for factor in sd_factors(n, level))
    warnings = () if math.isnan(low) else _NORMAL_ONLY
    return Estimate(value=sd, low=low, high=high, level=level, n=n, method="chi2", warnings=warnings)


def std_interval_robust(sample: Sample, *, level: float) -> Estimate:
    """Return the standard deviation with an interval that follows the kurtosis; none below 5 seeds.

    Notes
    -----
    Bonett (2006), "Approximate confidence interval for standard deviation of nonnormal distributions",
    Computational Statistics & Data Analysis 50: kurtosis about a trimmed mean, interval on the log variance.

    """
    n, sd, method = sample.size, sd_of(sample), "bonett"
    if n < 5 or sd == 0.0:
        return Estimate(value=sd, low=math.nan, high=math.nan, level=level, n=n, method=method)
    low, high = bonett_limits(sample[None, :], level)
    return Estimate(value=sd, low=float(low[0]), high=float(high[0]), level=level, n=n, method=method)


def bonett_limits(rows: Rows, level: float) -> tuple[Rows, Rows]:
    """Return the limits of the standard deviation of each row, shape (n_samples, n_seeds)."""
    n, variance = rows.shape[1], rows.var(axis=1, ddof=1)
    z = float(special.ndtri(0.5 + level / 2))
    kurtosis = n * fourth_power_sums(rows) / ((n - 1) * variance) ** 2
    correction = n / (n - z)
    half = z * correction * np.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    centre = np.log(correction * variance)
    return np.exp((centre - half) / 2), np.exp((centre + half) / 2)


def fourth_power_sums(rows: Rows) -> Rows:
    """Return per row the sum of fourth powers about the mean trimmed by 1 / (2 sqrt(n - 4)) at each end."""
    n = rows.shape[1]
    n_cut = int(min(1 / (2 * math.sqrt(n - 4)), 0.49) * n)
    trimmed = np.sort(rows, axis=1)[:, n_cut : n - n_cut].mean(axis=1, keepdims=True)
    sums: Rows = np.sum((rows - trimmed) ** 4, axis=1)
    return sums


def median_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the median with the narrowest symmetric pair of order statistics that reaches the level.

    Below 6 seeds no pair reaches 95 %: the range is given, with the level that it has.
    """
    n, ordered = sample.size, np.sort(sample)
    value = float(np.median(ordered))
    if n < 2:
        return Estimate(value=value, low=math.nan, high=math.nan, level=level, n=n, method="order-statistics")
    n_cut, reached = median_cut(n, level)
    warnings: tuple[str, ...] = ()
    if reached < level:
        warnings = (f"{n} seeds: the range covers the median with level {reached:.3g}, not {level:g}",)
    return Estimate(
        value=value,
        low=float(ordered[n_cut]),
        high=float(ordered[-1 - n_cut]),
        level=min(level, reached),
        n=n,
        method="order-statistics",
        warnings=warnings,
    )


def median_cut(n: int, level: float) -> tuple[int, float]:
    """Return how many seeds to drop at each end, and the coverage that this leaves."""
    # The interval misses when at most n_cut seeds lie on one side of the median.
    tails = stats.binom.cdf(np.arange(n // 2), n, 0.5)
    n_cut = max(int(np.searchsorted(tails, (1 - level) / 2, side="right")) - 1, 0)
    return n_cut, float(1 - 2 * tails[n_cut])


def interquartile_mean(sample: Sample) -> float:
    """Return the mean of the middle half; seeds on its border count with the part that lies inside."""
    n = sample.size
    position = np.arange(n)
    inside = np.minimum(position + 1, 0.75 * n) - np.maximum(position, 0.25 * n)
    weights = np.clip(inside, 0.0, 1.0)
    return float(weights @ np.sort(sample) / weights.sum())


def _t_quantile(n: int, level: float) -> float:
    return math.nan if n < 2 else float(special.stdtrit(n - 1, 0.5 + level / 2))


def _around_mean(sample: Sample, level: float, factor: float, method: str) -> Estimate:
    mean, sd = mean_of(sample), sd_of(sample)
    half = factor * sd if sd > 0.0 else math.nan
    return Estimate(value=mean, low=mean - half, high=mean + half, level=level, n=sample.size, method=method)


def _warnings(sample: Sample, level: float) -> tuple[str, ...]:
    n = sample.size
    if n == 1:
        return ("one seed: its value is known, nothing about the spread between seeds",)
    if np.ptp(sample) == 0.0:
        return (f"all {n} seeds gave the same value; the spread is unknown, not zero: no interval can be given",)
    found = []
    if n < 5:
        low, high = sd_factors(n, level)
        found.append(
            f"n = {n} seeds hardly show the spread: the true std may be {low:.2g} to {high:.2g} times the printed one"
        )
    if n < FEWEST_FOR_SHAPE:
        found.append(
            f"n = {n} seeds cannot show whether seeds are normally distributed, "
            "which all intervals but the median's assume"
        )
    rows = sample[None, :]
    if doubt.has_another_shape(rows)[0]:
        found.append(
            "the seeds look skewed or have outliers: intervals of std and new seeds are too short, "
            "the robust std interval less so"
        )
    if doubt.is_skewed(rows)[0]:
        found.append("the seeds look skewed: the interval of the mean is too short")
    if doubt.is_coarse(rows)[0]:
        found.append("values come in steps that are coarse against their std: the tolerance interval is approximate")
    return tuple(found)
