"""How small a p must be for a claim to stand whatever the shape of the seeds: the numbers of `doubt.safe_p`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seedstudy.stats import doubt, welch
from seedstudy.stats.calibration.designs import ALPHA, Design, Rows, blocks, mirrored, normal, skewed
from seedstudy.stats.calibration.rows import welch_rows
from seedstudy.stats.welch import TDistance

SEEDS = (2, 3, 4, 5, 7, 10, 30, 100)
_RATIOS, _MOST = (2, 3, 10), 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Borderline:
    """Quantiles at alpha of the p-values of wrong claims, the smallest over the designs of one kind."""

    kind: str
    n: int
    """Seeds in the smaller arm."""
    difference: float
    equivalence: float
    difference_used: float
    """Bound that the product uses."""
    equivalence_used: float


def borderline(kind: str, n: int, *, replicates: int, rng: np.random.Generator) -> Borderline:
    """Measure, for "equal" or "unequal" sizes or for "paired" arms, the p below which 5 % of wrong claims fall."""
    found = [_quantiles(d, kind == "paired", replicates=replicates, rng=rng) for d in _designs(kind, n)]
    n_large = n if kind != "unequal" else 2 * n
    used = [
        doubt.safe_p(n, n_large, alpha=ALPHA, claim=claim, paired=kind == "paired")
        for claim in ("difference", "equivalence")
    ]
    return Borderline(
        kind=kind,
        n=n,
        difference=min(pair[0] for pair in found),
        equivalence=min(pair[1] for pair in found),
        difference_used=used[0],
        equivalence_used=used[1],
    )


def _designs(kind: str, n: int) -> Iterator[Design]:
    if kind != "unequal":
        yield Design(name="", draw_a=mirrored(skewed), draw_b=skewed, n_a=n, n_b=n)
        return
    for ratio in _RATIOS:
        if ratio * n > _MOST:
            continue
        for draw_a, draw_b, sd_b in (
            (skewed, skewed, 1.0),
            (skewed, skewed, 3.0),
            (normal, normal, 3.0),
            (mirrored(skewed), skewed, 1.0),
        ):
            yield Design(name="", draw_a=draw_a, draw_b=draw_b, n_a=ratio * n, n_b=n, sd_b=sd_b)


def _quantiles(design: Design, paired: bool, *, replicates: int, rng: np.random.Generator) -> tuple[float, float]:
    p_values: list[Rows] = []
    equal_p: list[list[Rows]] = [[], []]
    for size in blocks(replicates):
        a, b = design.arms(rng, size)
        t = _paired_rows(a, b) if paired else welch_rows(a, b)
        with np.errstate(invalid="ignore", divide="ignore"):
            p_values.append(np.nan_to_num(welch.two_sided_p(t), nan=1.0))
            for side, shift in zip(equal_p, (1.0, -1.0), strict=True):
                moved = TDistance(t.difference + shift, t.se, t.df)
                side.append(np.nan_to_num(welch.equivalence_p(moved, 1.0), nan=1.0))
    quantiles = [float(np.quantile(np.concatenate(values), ALPHA)) for values in (p_values, *equal_p)]
    return quantiles[0], min(quantiles[1:])


def _paired_rows(a: Rows, b: Rows) -> TDistance:
    differences, n = b - a, a.shape[1]
    return TDistance(
        differences.mean(axis=1),
        differences.std(axis=1, ddof=1) / math.sqrt(n),
        np.full(differences.shape[0], n - 1.0),
    )
