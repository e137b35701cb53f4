"""How often something is found among several equal recipes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from seedstudy.stats import grid, many, welch
from studies.calibration.designs import (
    ALPHA,
    LEVEL,
    Rows,
    blocks,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyError:
    """Share of replicates of k equal recipes in which at least one pair is told apart."""

    k: int
    n: int
    spreads: str
    welch_holm: float
    games_howell: float
    dunnett: float
    interaction: float
    """Size of the interaction test of a 2 x 2 grid with these seeds per cell."""


@functools.lru_cache(maxsize=64)
def _games_howell_reach(k: int, n: int) -> tuple[Rows, Rows]:
    """Return degrees of freedom, and the t beyond which Games-Howell rejects with them."""
    dfs = np.concatenate([np.arange(1.0, 2.0, 0.1), np.geomspace(2.0, max(2.0 * n, 4.0), 24)])
    return dfs, np.array([float(stats.studentized_range.ppf(LEVEL, k, df)) for df in dfs]) / math.sqrt(2)


def family_error(k: int, n: int, unequal: bool, *, replicates: int, rng: np.random.Generator) -> FamilyError:
    """Measure the familywise error of many recipes, with one spread or with spreads of 1 to 3."""
    sds = np.linspace(1.0, 3.0, k) if unequal else np.ones(k)
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    dfs, reach = _games_howell_reach(k, n)
    reach_dunnett = many.dunnett_reach(np.full(k - 1, n), n, k * (n - 1), LEVEL)
    cells, cell_sds = 4, np.array([1.0, 3.0, 1.0, 3.0]) if unequal else np.ones(4)
    matrix = grid.projection("interaction", 2, 2)
    counts = np.zeros(4)
    for size in blocks(replicates):
        x = rng.standard_normal((size, k, n)) * sds[:, None]
        m, s = x.mean(axis=2), x.std(axis=2, ddof=1)
        smallest, howell = np.ones(size), np.zeros(size, dtype=bool)
        for i, j in pairs:
            t = welch.welch(m[:, i], s[:, i], n, m[:, j], s[:, j], n)
            smallest = np.minimum(smallest, welch.two_sided_p(t))
            howell |= np.abs(t.statistic) > np.interp(t.df, dfs, reach)
        pooled = np.sqrt(np.mean(np.square(s), axis=1))
        largest = np.max(np.abs(m[:, 1:] - m[:, :1]), axis=1) / (pooled * math.sqrt(2 / n))
        y = rng.standard_normal((size, cells, n)) * cell_sds[:, None]
        statistic, df, df_noise = grid.anova_type(
            matrix, y.mean(axis=2), y.var(axis=2, ddof=1), np.full(cells, float(n))
        )
        counts += [
            np.sum(smallest * len(pairs) < ALPHA),
            np.sum(howell),
            np.sum(largest > reach_dunnett),
            np.sum(special.fdtrc(df, df_noise, statistic) < ALPHA),
        ]
    share = counts / replicates
    return FamilyError(
        k=k,
        n=n,
        spreads="1 to 3" if unequal else "equal",
        welch_holm=float(share[0]),
        games_howell=float(share[1]),
        dunnett=float(share[2]),
        interaction=float(share[3]),
    )
