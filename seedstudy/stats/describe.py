"""One recipe: its centre and its spread (`describe`), and what is shown on demand (`describe_details`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.cautions import Caution
from seedstudy.errors import StatisticsError
from seedstudy.stats import doubt
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Sample, as_sample, check_level, mean_of, sd_of
from seedstudy.stats.variance import std_interval, std_interval_robust, unsure_spread

_FEWEST_TO_SEE_SKEW = 30
"""With fewer seeds, skewness and outliers that shorten intervals go unseen too often; the output always says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The seeds of one recipe, in the unit of the input."""

    n: int
    mean: Estimate
    """Student's t interval: where the mean over all seeds may lie."""
    std: Estimate
    """Standard deviation with n - 1; chi-square interval, exact for normal seeds."""
    min: float
    max: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptionDetails:
    """What `describe` leaves out, in the unit of the input."""

    median: Estimate
    """Interval from order statistics; valid for any distribution."""
    new_seed: Estimate
    """The mean with the prediction interval of one new seed, for normal seeds."""
    std_robust: Estimate
    """Standard deviation with the interval of Bonett (2006), which follows the kurtosis; from 5 seeds on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """The rank of one value among the seeds of a recipe."""

    value: float
    n: int
    """Number of other seeds it is compared with."""
    n_below: int
    n_equal: int
    n_above: int
    percentile: float
    """Share of the other seeds below, ties one half, in [0, 1]."""
    t: float
    """(value - mean of the others) / (s sqrt(1 + 1/n)); nan without spread."""
    p_value: float
    """Two-sided probability of a new seed at least as far out, for normal seeds; nan without spread."""


def describe(values: ArrayLike, *, level: float = 0.95, name: str = "sample") -> Description:
    """Describe the seeds of one recipe.

    `values` has shape (n_seeds,), in any unit. One seed has a value and no interval at all. Nan, infinite and no values
    are refused, and a level outside (0, 1).
    """
    sample = _in_order(values, level, name)
    return Description(
        n=sample.size,
        mean=mean_interval(sample, level=level),
        std=std_interval(sample, level=level),
        min=float(sample[0]),
        max=float(sample[-1]),
        warnings=_warnings(sample, level),
    )


def describe_details(values: ArrayLike, *, level: float = 0.95, name: str = "sample") -> DescriptionDetails:
    """Return what may be shown beside the description of the same seeds; see :func:`describe`."""
    sample = _in_order(values, level, name)
    return DescriptionDetails(
        median=median_interval(sample, level=level),
        new_seed=prediction_interval(sample, level=level),
        std_robust=std_interval_robust(sample, level=level),
    )


def _in_order(values: ArrayLike, level: float, name: str) -> Sample:
    """Return the sample, sorted so that not even rounding depends on the order of the seeds."""
    check_level(level)
    return np.sort(as_sample(values, name=name))


def rank_of(value: float, values: ArrayLike, *, part_of_sweep: bool = True) -> Rank:
    """Rank one seed (seed 0, a published run) within a sweep.

    A value that is part of the sweep is compared with the others only; one that should be and is not is refused.
    """
    others = as_sample(values, name="sweep")
    if not math.isfinite(value):
        raise StatisticsError(f"value {value:g}: not a finite number; give the result of one seed")
    if part_of_sweep:
        positions = np.flatnonzero(others == value)
        if not positions.size:
            raise StatisticsError(
                f"value {value:g}: not among the {others.size} seeds; say part_of_sweep=False for an outside value"
            )
        others = np.delete(others, positions[0])
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
        p_value=math.nan if math.isnan(t) else bounded_p(float(2 * special.stdtr(n - 1, -abs(t)))),
    )


def mean_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the mean with Student's t interval, m +- t s / sqrt(n)."""
    return _around_mean(sample, level, _t_quantile(sample.size, level) / math.sqrt(sample.size), "t")


def mean_interval_of(mean: float, sd: float, n: int, *, level: float) -> Estimate:
    """Return Student's t interval of a mean of which only std and n are known."""
    half = _t_quantile(n, level) * sd / math.sqrt(n)
    return Estimate.of(mean, (mean - half, mean + half), level=level, n=n, method="t")


def prediction_interval(sample: Sample, *, level: float) -> Estimate:
    """Return where one new seed may land, m +- t s sqrt(1 + 1/n), for normal seeds."""
    factor = _t_quantile(sample.size, level) * math.sqrt(1 + 1 / sample.size)
    return _around_mean(sample, level, factor, "t-prediction")


def median_interval(sample: Sample, *, level: float) -> Estimate:
    """Return the median with the narrowest symmetric pair of order statistics that reaches the level.

    Below 6 seeds no pair reaches 95 %: the range is given, with the level that it has.
    """
    n, ordered = sample.size, np.sort(sample)
    value = float(np.median(ordered))
    if n < 2:
        return Estimate.of(value, None, level=level, n=n, method="order-statistics")
    n_cut, reached = median_cut(n, level)
    warnings: tuple[str, ...] = ()
    if reached < level:
        warnings = (f"{n} seeds: the range covers the median with level {reached:.3g}, not {level:g}",)
    ends = ordered[n_cut], ordered[-1 - n_cut]
    return Estimate.of(value, ends, level=min(level, reached), n=n, method="order-statistics", warnings=warnings)


def median_cut(n: int, level: float) -> tuple[int, float]:
    """Return how many seeds to drop at each end, and the coverage that this leaves."""
    # The interval misses when at most n_cut seeds lie on one side of the median.
    tails = special.bdtr(np.arange(n // 2), n, 0.5)
    n_cut = max(int(np.searchsorted(tails, (1 - level) / 2, side="right")) - 1, 0)
    return n_cut, float(1 - 2 * tails[n_cut])


def _t_quantile(n: int, level: float) -> float:
    return math.nan if n < 2 else float(special.stdtrit(n - 1, 0.5 + level / 2))


def _around_mean(sample: Sample, level: float, factor: float, method: str) -> Estimate:
    mean, sd = mean_of(sample), sd_of(sample)
    half = factor * sd if sd > 0.0 else math.nan
    return Estimate.of(mean, (mean - half, mean + half), level=level, n=sample.size, method=method)


def _warnings(sample: Sample, level: float) -> tuple[str, ...]:
    n = sample.size
    if n == 1:
        return ("one seed: its value is known, nothing about the spread between seeds",)
    if np.ptp(sample) == 0.0:
        return (f"all {n} seeds gave the same value; the spread is unknown, not zero: no interval can be given",)
    warnings = []
    if n < doubt.FEWEST_TO_JUDGE:
        warnings.append(unsure_spread(n, level))
    if n < _FEWEST_TO_SEE_SKEW:
        warnings.append(
            Caution(
                f"n = {n} seeds cannot show whether seeds are normally distributed, "
                "which all intervals but the median's assume",
                short=doubt.UNSEEN_SKEW,
                topic="few-seeds",
            )
        )
    rows = sample[None, :]
    if doubt.has_another_shape(rows)[0]:
        warnings.append(
            Caution(
                "the seeds look skewed or have outliers: intervals of std and new seeds are too short, "
                "the robust std interval less so",
                short="the seeds look skewed or have outliers; the std's interval is too short",
                topic="skew",
            )
        )
    if doubt.is_skewed(rows)[0]:
        text = "the seeds look skewed: the interval of the mean is too short"
        warnings.append(Caution(text, short=text, topic="skew"))
    return tuple(warnings)
