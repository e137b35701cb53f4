"""How often a difference is shown among several equal recipes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

import seedstudy as ss
from seedstudy.stats import grid, welch
from studies.calibration.designs import ALPHA, LEVEL, Rows, blocks
from studies.calibration.rows import NO_ACCURACY, check

_CHECKED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyError:
    """Share of replicates of k equal recipes in which a difference is shown for at least one pair."""

    k: int
    n: int
    spreads: str
    welch_holm: float
    interaction: float
    """Size of the interaction test of a 2 x 2 grid with these seeds per cell."""


def family_error(k: int, n: int, unequal: bool, *, replicates: int, rng: np.random.Generator) -> FamilyError:
    """Measure the familywise error of many recipes, with one spread or with spreads of 1 to 3."""
    sds = np.linspace(1.0, 3.0, k) if unequal else np.ones(k)
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    cells, cell_sds = 4, np.array([1.0, 3.0, 1.0, 3.0]) if unequal else np.ones(4)
    matrix = grid.projection("interaction", 2, 2)
    counts = np.zeros(2)
    for size, is_first in blocks(replicates):
        x = rng.standard_normal((size, k, n)) * sds[:, None]
        m, s = x.mean(axis=2), x.std(axis=2, ddof=1)
        p = np.stack([welch.two_sided_p(welch.welch(m[:, i], s[:, i], n, m[:, j], s[:, j], n)) for i, j in pairs], 1)
        adjusted = np.minimum(1.0, p.min(axis=1) * len(pairs))  # the first step of Holm is Bonferroni
        y = rng.standard_normal((size, cells, n)) * cell_sds[:, None]
        statistic, df, df_noise = grid.anova_type(
            matrix, y.mean(axis=2), y.var(axis=2, ddof=1), np.full(cells, float(n))
        )
        interaction = special.fdtrc(df, df_noise, statistic)
        counts += [np.sum(adjusted < ALPHA), np.sum(interaction < ALPHA)]
        if is_first:
            check("Welch-Holm", adjusted, [_smallest_p(rows) for rows in x[:_CHECKED]])
            check("interaction", interaction, [_interaction_p(rows) for rows in y[:_CHECKED]])
    return FamilyError(
        k=k,
        n=n,
        spreads="1 to 3" if unequal else "equal",
        welch_holm=float(counts[0] / replicates),
        interaction=float(counts[1] / replicates),
    )


def _smallest_p(arms: Rows) -> float:
    """Return the smallest adjusted p-value that `seedstudy.compare` gives for all pairs."""
    return min(x.p_adjusted for x in ss.compare(*arms, **NO_ACCURACY, all_pairs=True, level=LEVEL).answers)


def _interaction_p(cells: Rows) -> float:
    keys = [("x", "p"), ("x", "q"), ("y", "p"), ("y", "q")]
    sources = grid.two_way(dict(zip(keys, cells, strict=True)), level=LEVEL).sources
    return next(source.p_value for source in sources if source.name == "interaction")
