"""What may enter: finite numbers, one per seed, each seed once."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedstudy.errors import StatisticsError

Seed = TypeVar("Seed", bound=Hashable)
Floats = NDArray[np.float64]
Sample = NDArray[np.float64]
"""One number per seed, shape (n_seeds,)."""
Rows = NDArray[np.float64]
"""Many samples at once, shape (n_samples, n_seeds): the calibration applies the formulas to these."""


def as_sample(values: ArrayLike, *, name: str = "sample", at_least: int = 1) -> Sample:
    """Return the values as a float64 vector, one number per seed; refuse what is not finite numbers, or too few."""
    try:
        sample = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise StatisticsError(f"{name}: holds something that is not a number; give one number per seed") from None
    if sample.ndim != 1:
        raise StatisticsError(
            f"{name}: expected one number per seed, got an array of shape {sample.shape}; "
            "average over images or epochs first"
        )
    bad = np.flatnonzero(~np.isfinite(sample))
    if bad.size:
        raise StatisticsError(
            f"{name}: {bad.size} of {sample.size} values are nan or infinite (first at position {bad[0]}); "
            "a diverged trial has no result: report it as diverged instead of giving its number"
        )
    if sample.size < at_least:
        seeds = "seed" if sample.size == 1 else "seeds"
        raise StatisticsError(f"{name}: {sample.size} {seeds}, at least {at_least} needed; train more seeds")
    return sample


def check_level(level: float) -> None:
    """Refuse a confidence level outside [0.5, 1): below, an interval would more likely miss than not."""
    if not 0.5 <= level < 1.0:
        raise StatisticsError(f"level {level:g}: a confidence level lies between 0.5 and 1; write 0.95 for 95 %")


def check_margin(margin: float | None) -> None:
    """Refuse a margin that is not a positive, finite difference."""
    if margin is not None and not (margin > 0.0 and math.isfinite(margin)):
        raise StatisticsError(
            f"margin {margin:g}: must be a positive difference in the metric's unit; "
            "leave it out if no margin was declared"
        )


def is_constant(sample: Sample) -> bool:
    """Whether all values are the same number."""
    return bool(np.ptp(sample) == 0.0)


def mean_of(sample: Sample) -> float:
    """Return the mean; exact for a constant sample."""
    return float(sample[0] + np.mean(sample - sample[0]))


def sd_of(sample: Sample) -> float:
    """Return the standard deviation with n - 1; exactly 0 for a constant sample, nan for one value."""
    if sample.size < 2:
        return math.nan
    return float(np.std(sample - sample[0], ddof=1))


def by_seed(seeds: Sequence[Seed], values: ArrayLike, *, name: str = "sample") -> dict[Seed, float]:
    """Return one number per seed, refusing a seed that was counted twice.

    That is an evaluation repeated, or a resumed trial counted as a new one.
    """
    sample = as_sample(values, name=name)
    if len(seeds) != sample.size:
        raise StatisticsError(f"{name}: {len(seeds)} seeds but {sample.size} values; give one value per seed")
    result: dict[Seed, float] = {}
    for seed, value in zip(seeds, sample, strict=True):
        if seed in result:
            raise StatisticsError(
                f"{name}: seed {seed} occurs twice; the same seed is not a second trial, keep one of the two rows"
            )
        result[seed] = float(value)
    return result
