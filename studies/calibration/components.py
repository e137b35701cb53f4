"""Components of variance of crossed random sources: bias, and coverage of their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seedstudy.stats.components import FEWEST_LEVELS, balanced_components, subsets

LEVELS = (3, 5, 10, 20)
"""Seeds of each of three sources, every combination trained once."""
SOURCES: Mapping[str, Mapping[tuple[int, ...], float]] = {
    "everything": {(0,): 1.0, (1,): 0.5, (2,): 0.25, (0, 1): 0.3, (0, 2): 0.1, (1, 2): 0.2, (0, 1, 2): 0.6},
    "one source": {(0,): 1.0, (0, 1, 2): 0.2},
    "combinations alone": {(0, 1): 0.3, (0, 1, 2): 1.0},
}
"""The true variances; those that are not named are 0."""
MOST = 2_000
"""Tables per figure; each takes milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What was measured for one set of true variances and one number of levels."""

    truth: str
    n_levels: int
    largest_bias: float
    """Of the seven components and their sum, in Monte-Carlo standard errors."""
    alone: float
    """Coverage of the components of single sources that are there, the lowest."""
    pairs: float
    whole: float
    """Of the combination of all sources."""
    total: float
    absent: float
    """Of components that are 0, the lowest; their limits miss on one side only."""
    is_warned: bool
    """Whether the output says that so few levels are not enough."""


def parts_of(truth: str, n_levels: int, *, replicates: int, rng: np.random.Generator) -> Parts:
    """Draw tables with known components and look at every estimate."""
    true = {sources: SOURCES[truth].get(sources, 0.0) for sources in subsets(3)}
    names = [*true, ()]
    wanted = np.array([*true.values(), sum(true.values())])
    n = min(replicates, MOST)
    estimates, covered = np.empty((n, len(names))), np.empty((n, len(names)), dtype=bool)
    for row in range(n):
        table = np.zeros((n_levels,) * 3)
        for sources, variance in true.items():
            shape = [n_levels if axis in sources else 1 for axis in range(3)]
            table = table + rng.normal(0.0, variance**0.5, shape)
        found = balanced_components(table[..., None])
        parts = (*found.parts, found.total)
        estimates[row] = [part.variance for part in parts]
        covered[row] = [part.low <= value <= part.high for part, value in zip(parts, wanted, strict=True)]
    bias = (estimates.mean(axis=0) - wanted) / (estimates.std(axis=0, ddof=1) / n**0.5)
    coverage = dict(zip(names, covered.mean(axis=0), strict=True))

    def lowest(sizes: tuple[int, ...], *, is_there: bool = True) -> float:
        chosen = [coverage[s] for s in true if len(s) in sizes and (true[s] > 0.0) == is_there]
        return float(min(chosen, default=np.nan))

    return Parts(
        truth=truth,
        n_levels=n_levels,
        largest_bias=float(np.abs(bias).max()),
        alone=lowest((1,)),
        pairs=lowest((2,)),
        whole=lowest((3,)),
        total=float(coverage[()]),
        absent=lowest((1, 2), is_there=False),
        is_warned=n_levels < FEWEST_LEVELS,
    )
