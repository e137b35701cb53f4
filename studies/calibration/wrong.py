"""How often verdicts are wrong when the recipes are equal, or a margin apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seedstudy.stats import welch
from studies.calibration.designs import (
    ALPHA,
    Design,
    blocks,
)
from studies.calibration.rows import (
    brunner_munzel_rows,
    permutation_rows,
    rank_rows,
    welch_rows,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Shares of replicates of two arms with equal means in which a procedure errs; nan where it is not offered."""

    design: Design
    welch: float
    verdict: float
    """Share of "better" and "worse" under the rule of `seedstudy.decide.verdict` without a margin."""
    permutation: float
    mann_whitney: float
    brunner_munzel: float
    equivalent: float
    """Share of "equivalent" when the true difference equals the margin of one std of arm A."""
    no_spread: float
    """Share of replicates in which no arm showed any spread, and the permutation p stood in."""


def sizes_of(design: Design, *, replicates: int, rng: np.random.Generator) -> Sizes:
    """Measure how often procedures err when the means are equal (and, for equivalence, a margin apart)."""
    counts = np.zeros(7)
    for size in blocks(replicates):
        a, b = design.arms(rng, size)
        t = welch_rows(a, b)
        no_spread = t.se == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            p = np.where(no_spread, 1.0, np.nan_to_num(welch.two_sided_p(t), nan=1.0))
        permuted = permutation_rows(a, b, rng)
        u_p, _ = rank_rows(a, b)
        far = design.arms(rng, size, shift=1.0)
        t_far = welch_rows(*far)
        with np.errstate(invalid="ignore", divide="ignore"):
            equal_p = np.nan_to_num(welch.equivalence_p(t_far, 1.0), nan=1.0)
        counts += [
            np.sum(p < ALPHA),
            np.sum(np.where(no_spread, permuted, p) < ALPHA),
            np.sum(permuted <= ALPHA),
            np.sum(u_p < ALPHA),
            np.sum(brunner_munzel_rows(a, b) < ALPHA),
            np.sum(equal_p < ALPHA),
            np.sum(no_spread),
        ]
    share = counts / replicates
    few = min(design.n_a, design.n_b) < 30
    return Sizes(
        design=design,
        welch=float(share[0]),
        verdict=float(share[1]),
        permutation=float(share[2]),
        mann_whitney=math.nan if few else float(share[3]),
        brunner_munzel=math.nan if few else float(share[4]),
        equivalent=float(share[5]),
        no_spread=float(share[6]),
    )
