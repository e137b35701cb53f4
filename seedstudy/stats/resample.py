"""The bootstrap, where there are seeds enough for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import Sample, mean_of

FEWEST_SEEDS = 20
"""Below this many seeds per arm bootstrap intervals are too short (percentile: .74 / .83 / .90 at n = 3 / 5 / 10)."""


def bootstrap_difference(
    a: Sample, b: Sample, *, level: float, resamples: int, rng: np.random.Generator
) -> Estimate | None:
    """Return the difference of means with its BCa interval (Efron 1987); None below `FEWEST_SEEDS` per arm."""
    if min(a.size, b.size) < FEWEST_SEEDS or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    found = stats.bootstrap(
        (a, b),
        _difference,
        n_resamples=resamples,
        batch=max(1, 1_000_000 // max(a.size, b.size)),
        vectorized=True,
        confidence_level=level,
        method="BCa",
        rng=rng,
    ).confidence_interval
    return Estimate(
        value=mean_of(b) - mean_of(a),
        low=float(found.low),
        high=float(found.high),
        level=level,
        n=(a.size, b.size),
        method="bootstrap-bca",
    )


def _difference(a: Any, b: Any, axis: int) -> Any:
    return np.mean(b, axis=axis) - np.mean(a, axis=axis)
