"""A gate for continuous integration: how far may the mean of a few new seeds fall below a baseline?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import optimize, special

from seedstudy.errors import StatisticsError
from seedstudy.stats.sample import as_sample, mean_of, sd_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """The worst mean of new seeds that passes, and how often it is right."""

    threshold: float
    """In the metric's unit; a mean beyond it fails."""
    n_new: int
    n_baseline: int
    mean: float
    """Of the baseline."""
    sd: float
    """Of the baseline's seeds, n - 1."""
    margin: float
    """How much worse is still accepted."""
    alpha: float
    """How often new seeds fail that are worse by exactly the margin; less often where they are better than that."""
    lower_is_better: bool
    power: float
    detectable: float
    """How much worse than the baseline new seeds are that fail with this power, if the std is the baseline's."""

    def passes(self, mean: float) -> bool:
        """Say whether the mean of `n_new` new seeds passes."""
        return mean <= self.threshold if self.lower_is_better else mean >= self.threshold


def gate(
    baseline: ArrayLike,
    n_new: int,
    *,
    margin: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    lower_is_better: bool = False,
    name: str = "the baseline",
) -> Gate:
    """Return the threshold for the mean of `n_new` seeds: the one-sided bound that predicts it from the baseline.

    mean - margin - t(n - 1, 1 - alpha) s sqrt(1/n + 1/n_new): the prediction limit for the mean of further
    observations (Hahn & Meeker 1991, "Statistical Intervals", section 4.7). The false-alarm rate is exact for normal
    seeds with the baseline's spread; new seeds that spread more fail more often.

    Raises StatisticsError for a baseline of fewer than two seeds or without spread.
    """
    if n_new < 1:
        raise StatisticsError("a gate needs at least one new seed")
    if not margin >= 0.0 or not math.isfinite(margin):
        raise StatisticsError(f"margin {margin:g}: must be 0 or more")
    if not 0.0 < alpha < 0.5 or not alpha < power < 1.0:
        raise StatisticsError(f"alpha {alpha:g}, power {power:g}: alpha must lie between 0 and 0.5, power above it")
    sample = as_sample(baseline, name=name, at_least=2)
    n, mean, sd = sample.size, mean_of(sample), sd_of(sample)
    if not sd > 0.0:
        raise StatisticsError(f"{name}: all {n} seeds are equal; did the seed reach the training?")
    unit = sd * math.sqrt(1 / n + 1 / n_new)  # standard error of the difference of the means
    critical = float(special.stdtrit(n - 1, 1 - alpha))

    def lacking(shift: float) -> float:
        return float(special.nctdtr(n - 1, shift, critical)) - (1 - power)

    shift = float(optimize.brentq(lacking, 0.0, 20 + 10 * critical))
    worse = 1.0 if lower_is_better else -1.0
    return Gate(
        threshold=mean + worse * (margin + critical * unit),
        n_new=n_new,
        n_baseline=n,
        mean=mean,
        sd=sd,
        margin=margin,
        alpha=alpha,
        lower_is_better=lower_is_better,
        power=power,
        detectable=margin + shift * unit,
    )
