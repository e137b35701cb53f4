"""What it does to the error rate to test again after more seeds, each time as if it were the only test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from seedstudy.stats import welch
from seedstudy.stats.sample import Floats

_REPLICATES = 100_000
"""An error of .05 is known to .0007."""


@lru_cache(maxsize=64)
def error_of_looks(counts: Sequence[tuple[int, int]], alpha: float) -> float:
    """Return how often at least one of several looks shows a difference between two equal recipes.

    `counts`: seeds of A and of B at each look, every look including the seeds of the one before; at least 2 each. By
    simulation with normal seeds of one std, always of the same draws.
    """
    rng = np.random.default_rng(0)
    arms = [_Arm(np.zeros(_REPLICATES), np.zeros(_REPLICATES)) for _ in "ab"]
    is_shown = np.zeros(_REPLICATES, dtype=bool)
    for n_a, n_b in counts:
        for arm, n in zip(arms, (n_a, n_b), strict=True):
            arm.grow(n, rng)
        a, b = arms
        t = welch.welch(a.mean, a.sd, n_a, b.mean, b.sd, n_b)
        is_shown |= welch.two_sided_p(t) < alpha
    return float(np.mean(is_shown))


class _Arm:
    """Mean and sum of squares of a growing number of normal seeds, per replicate."""

    def __init__(self, mean: Floats, squares: Floats) -> None:
        self.n, self.mean, self.squares = 0, mean, squares

    @property
    def sd(self) -> Floats:
        return np.asarray(np.sqrt(self.squares / (self.n - 1)))

    def grow(self, n: int, rng: np.random.Generator) -> None:
        """Add seeds until there are n (Chan, Golub and LeVeque 1983)."""
        more = n - self.n
        if more <= 0:
            return
        shift = rng.normal(0.0, more**-0.5, _REPLICATES) - self.mean
        within = rng.chisquare(more - 1, _REPLICATES) if more > 1 else 0.0
        self.squares = self.squares + within + np.square(shift) * (self.n * more / n)
        self.mean = self.mean + shift * (more / n)
        self.n = n
