"""How often the intervals that describe one recipe hold the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedstudy.stats.describe import describe, describe_details
from seedstudy.stats.result import Estimate
from studies.calibration.designs import LEVEL, SHAPES, blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class OneArm:
    """Coverage of the intervals that describe one recipe; nan where one is not offered."""

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
    counts, median_level = np.zeros(6), math.nan
    for size, _ in blocks(replicates):
        for x, new in zip(draw(rng, (size, n)), draw(rng, (size, 1))[:, 0], strict=True):
            one, more = describe(x, level=LEVEL), describe_details(x, level=LEVEL)
            median_level = more.median.level
            counts += [
                _holds(one.mean, 0.0),
                _holds(one.std, 1.0),
                _holds(more.std_robust, 1.0) if n >= 5 else math.nan,
                _holds(more.median, median),
                _holds(more.new_seed, new),
                bool(one.warnings),
            ]
    mean, std, std_robust, of_median, new_seed, warned = map(float, counts / replicates)
    return OneArm(
        shape=shape,
        n=n,
        mean=mean,
        std=std,
        std_robust=std_robust,
        median=of_median,
        median_level=median_level,
        new_seed=new_seed,
        warned=warned,
    )


def _holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high
