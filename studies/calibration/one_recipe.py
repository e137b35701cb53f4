"""How often the intervals that describe one recipe hold the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seedstudy.stats.describe import describe, describe_details
from seedstudy.stats.result import Estimate
from studies.calibration.designs import LEVEL, SHAPES, blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class OneArm:
    """Shares of intervals that hold the truth, where there is one; nan where it is not offered at that size."""

    shape: str
    n: int
    mean: float
    std: float
    std_robust: float
    median: float
    median_level: float
    """Level that the interval of the median states."""
    new_seed: float
    warned: float
    """Share of samples with a warning."""


def one_arm(shape: str, n: int, *, replicates: int, rng: np.random.Generator) -> OneArm:
    """Measure the intervals of `describe` and `describe_details` for one shape and number of seeds."""
    draw = SHAPES[shape]
    median = float(np.median(draw(rng, (1_000_000, 1))))
    holds, median_level = [], math.nan
    for size, _ in blocks(replicates):
        for x, new in zip(draw(rng, (size, n)), draw(rng, (size, 1))[:, 0], strict=True):
            one, more = describe(x, level=LEVEL), describe_details(x, level=LEVEL)
            median_level = more.median.level
            holds.append(
                (
                    _holds(one.mean, 0.0),
                    _holds(one.std, 1.0),
                    _holds(more.std_robust, 1.0),
                    _holds(more.median, median),
                    _holds(more.new_seed, new),
                    float(bool(one.warnings)),
                )
            )
    of_mean, std, std_robust, of_median, new_seed, warned = map(_mean, zip(*holds, strict=True))
    return OneArm(
        shape=shape,
        n=n,
        mean=of_mean,
        std=std,
        std_robust=std_robust,
        median=of_median,
        median_level=median_level,
        new_seed=new_seed,
        warned=warned,
    )


def _holds(estimate: Estimate, truth: float) -> float:
    """Return 1 or 0, and nan where there is no interval."""
    return float(estimate.low <= truth <= estimate.high) if estimate.has_interval else math.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
