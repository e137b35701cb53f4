"""How often the intervals that describe one recipe hold the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from seedstudy.stats import describe, doubt
from studies.calibration.designs import (
    LEVEL,
    SHAPES,
    blocks,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OneArm:
    """Coverage of the intervals that describe one recipe."""

    shape: str
    n: int
    mean: float
    std: float
    std_robust: float
    median: float
    median_level: float
    new_seed: float
    tolerance: float
    """Share of samples whose interval holds at least 95 % of all seeds."""
    warned: float
    """Share of samples in which the output says that intervals may be too short."""


def one_arm(shape: str, n: int, *, replicates: int, rng: np.random.Generator) -> OneArm:
    """Measure the intervals of `describe` for one shape and number of seeds."""
    draw = SHAPES[shape]
    population = np.sort(draw(rng, (1_000_000, 1))[:, 0])
    median = float(np.median(population))
    t_quantile = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2))
    k = describe.tolerance_factor(n, content=0.95, level=LEVEL)
    factors = describe.sd_factors(n, LEVEL)
    n_cut, median_level = describe.median_cut(n, LEVEL)
    counts = np.zeros(7)
    for size in blocks(replicates):
        x, new = draw(rng, (size, n)), draw(rng, (size, 1))[:, 0]
        m, s = x.mean(axis=1), x.std(axis=1, ddof=1)
        ordered = np.sort(x, axis=1)
        inside = (
            np.searchsorted(population, m + k * s, side="right") - np.searchsorted(population, m - k * s, side="left")
        ) / population.size
        robust = math.nan
        if n >= 5:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                low, high = describe.bonett_limits(x, LEVEL)
            robust = float(np.sum((low <= 1.0) & (high >= 1.0)))
        counts += [
            np.sum(np.abs(m) <= t_quantile * s / math.sqrt(n)),
            np.sum((factors[0] * s <= 1.0) & (factors[1] * s >= 1.0)),
            robust,
            np.sum((ordered[:, n_cut] <= median) & (ordered[:, -1 - n_cut] >= median)),
            np.sum(np.abs(new - m) <= t_quantile * s * math.sqrt(1 + 1 / n)),
            np.sum(inside >= 0.95),
            size if n < describe.FEWEST_FOR_SHAPE else np.sum(doubt.has_another_shape(x) | doubt.is_coarse(x)),
        ]
    share = counts / replicates
    return OneArm(
        shape=shape,
        n=n,
        mean=float(share[0]),
        std=float(share[1]),
        std_robust=float(share[2]),
        median=float(share[3]),
        median_level=min(median_level, LEVEL),
        new_seed=float(share[4]),
        tolerance=float(share[5]),
        warned=float(share[6]),
    )
