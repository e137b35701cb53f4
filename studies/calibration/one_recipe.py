"""How often the intervals that describe one recipe hold the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from seedstudy.stats.describe import describe, describe_details, median_cut
from seedstudy.stats.variance import FEWEST_SEEDS, bonett_limits, sd_factors
from studies.calibration.designs import LEVEL, SHAPES, Rows, blocks
from studies.calibration.rows import CHECKED, check

_WARNED = 500
"""Samples of which the share with a warning is counted."""


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
    n_cut, median_level = median_cut(n, LEVEL)
    low, high = sd_factors(n - 1.0, LEVEL)
    t = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2))
    holds, shown, warned = np.zeros(5), np.zeros(5), []
    for size, is_first in blocks(replicates):
        x, new = draw(rng, (size, n)), draw(rng, (size, 1))[:, 0]
        mean, sd, ordered = x.mean(axis=1), x.std(axis=1, ddof=1), np.sort(x, axis=1)
        flat = sd == 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            robust = bonett_limits(x, LEVEL) if n >= FEWEST_SEEDS else (np.full(size, np.nan),) * 2
        intervals = [
            _without(flat, mean - t * sd / math.sqrt(n), mean + t * sd / math.sqrt(n)),
            _without(flat, low * sd, high * sd),
            _without(flat, *robust),
            (ordered[:, n_cut], ordered[:, -1 - n_cut]),
            _without(flat, mean - t * sd * math.sqrt(1 + 1 / n), mean + t * sd * math.sqrt(1 + 1 / n)),
        ]
        truths = (0.0, 1.0, 1.0, median, new)
        holds += [
            np.sum((ends[0] <= truth) & (truth <= ends[1])) for ends, truth in zip(intervals, truths, strict=True)
        ]
        shown += [np.sum(~np.isnan(ends[0])) for ends in intervals]
        if is_first:
            _check(x, intervals)
            warned = [bool(describe(row, level=LEVEL).warnings) for row in x[:_WARNED]]
    with np.errstate(invalid="ignore"):
        of_mean, std, std_robust, of_median, new_seed = map(float, holds / shown)
    return OneArm(
        shape=shape,
        n=n,
        mean=of_mean,
        std=std,
        std_robust=std_robust,
        median=of_median,
        median_level=min(median_level, LEVEL),
        new_seed=new_seed,
        warned=float(np.mean(warned)),
    )


def _without(flat: Rows, low: Rows, high: Rows) -> tuple[Rows, Rows]:
    """Return an interval that is not given for seeds without spread."""
    return np.where(flat, np.nan, low), np.where(flat, np.nan, high)


def _check(x: Rows, intervals: Sequence[tuple[Rows, Rows]]) -> None:
    """Compare the first rows with the public functions."""
    for i, row in enumerate(x[:CHECKED]):
        one, more = describe(row, level=LEVEL), describe_details(row, level=LEVEL)
        public = one.mean, one.std, more.std_robust, more.median, more.new_seed
        check("one recipe", [ends[0][i] for ends in intervals], [estimate.low for estimate in public])
        check("one recipe", [ends[1][i] for ends in intervals], [estimate.high for estimate in public])
