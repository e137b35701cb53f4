"""How small a p must be for a claim to stand whatever the shape of the seeds: the numbers of `doubt.safe_p`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seedstudy.stats import doubt, welch
from studies.calibration.designs import ALPHA, Design, Rows, blocks, mirrored, normal, skewed
from studies.calibration.rows import welch_rows
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """Shares of wrong claims by Welch's test, and of those that do not say that they are borderline."""

    design: Design
    difference: float
    """Share of "better" and "worse" when the means are equal."""
    difference_unwarned: float
    equivalence: float
    """Share of "equivalent" when the true difference equals the margin of one std of arm A; the worse side."""
    equivalence_unwarned: float


def claims(design: Design, *, replicates: int, rng: np.random.Generator) -> Claims:
    """Measure how often claims are wrong, and how often without a caveat."""
    p_values, equal_p = _p_values(design, False, replicates=replicates, rng=rng)
    safe, safe_equal = (
        doubt.safe_p(design.n_a, design.n_b, alpha=ALPHA, claim=claim) for claim in ("difference", "equivalence")
    )
    return Claims(
        design=design,
        difference=float(np.mean(p_values < ALPHA)),
        difference_unwarned=float(np.mean(p_values < safe)),
        equivalence=max(float(np.mean(side < ALPHA)) for side in equal_p),
        equivalence_unwarned=max(float(np.mean(side < safe_equal)) for side in equal_p),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Caveats:
    """How often a true difference of normal seeds is found, and which share of these findings is called borderline."""

    n: int
    shift: float
    detected: float
    borderline: float


def caveats(n: int, shift: float, *, replicates: int, rng: np.random.Generator) -> Caveats:
    """Measure what the caveat costs where nothing is wrong; the difference is `shift` std."""
    safe = doubt.safe_p(n, n, alpha=ALPHA, claim="difference")
    design = Design(name="", draw_a=normal, draw_b=normal, n_a=n, n_b=n)
    p = np.concatenate([welch.two_sided_p(welch_rows(*design.arms(rng, size, shift))) for size in blocks(replicates)])
    found = p < ALPHA
    return Caveats(
        n=n,
        shift=shift,
        detected=float(found.mean()),
        borderline=float(np.mean(p[found] >= safe)) if found.any() else 0.0,
    )


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
    p_values, equal_p = _p_values(design, paired, replicates=replicates, rng=rng)
    return float(np.quantile(p_values, ALPHA)), min(float(np.quantile(side, ALPHA)) for side in equal_p)


def _p_values(
    design: Design, paired: bool, *, replicates: int, rng: np.random.Generator
) -> tuple[Rows, tuple[Rows, Rows]]:
    """Return p-values of equal means, and of equivalence with the truth at either margin."""
    found: list[tuple[Rows, Rows, Rows]] = []
    for size in blocks(replicates):
        a, b = design.arms(rng, size)
        t = _paired_rows(a, b) if paired else welch_rows(a, b)
        with np.errstate(invalid="ignore", divide="ignore"):
            sides = [welch.equivalence_p(TDistance(t.difference + shift, t.se, t.df), 1.0) for shift in (1.0, -1.0)]
            low, high, p = (np.nan_to_num(values, nan=1.0) for values in (*sides, welch.two_sided_p(t)))
        found.append((p, low, high))
    whole, low, high = (np.concatenate(column) for column in zip(*found, strict=True))
    return whole, (low, high)


def _paired_rows(a: Rows, b: Rows) -> TDistance:
    differences, n = b - a, a.shape[1]
    return TDistance(
        differences.mean(axis=1),
        differences.std(axis=1, ddof=1) / math.sqrt(n),
        np.full(differences.shape[0], n - 1.0),
    )
