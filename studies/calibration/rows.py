"""The procedures of the product on many simulated comparisons at once, one per row."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from seedstudy.stats import effect, welch
from studies.calibration.designs import (
    Rows,
)
from seedstudy.stats.permutation import labellings
from seedstudy.stats.welch import TDistance

_RANDOM_LABELLINGS = 999


def welch_rows(a: Rows, b: Rows) -> TDistance:
    """Return Welch's t of each replicate; where no arm shows spread it is nan, as the product refuses it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return welch.welch(
            a.mean(axis=1), a.std(axis=1, ddof=1), a.shape[1], b.mean(axis=1), b.std(axis=1, ddof=1), b.shape[1]
        )


def permutation_rows(a: Rows, b: Rows, rng: np.random.Generator) -> Rows:
    """Return the studentised permutation p of each replicate: exact up to 1,000 labellings, else random ones."""
    n_a, n_b = a.shape[1], b.shape[1]
    pooled = np.concatenate([a, b], axis=1)
    z = pooled - pooled.mean(axis=1, keepdims=True)
    z = z / np.maximum(np.abs(z).max(axis=1, keepdims=True), 1e-300)
    labels, extra = labellings(n_a, n_b, rng=rng, at_most=1_000, resamples=_RANDOM_LABELLINGS)
    observed = np.repeat([0.0, 1.0], [n_a, n_b])[:, None]
    reference, mine = _welch_image(z, labels.T, n_a, n_b), _welch_image(z, observed, n_a, n_b)
    p: Rows = (extra + np.sum(reference >= mine - 1e-10, axis=1)) / (extra + labels.shape[0])
    return p


def _welch_image(z: Rows, labels: Rows, n_a: int, n_b: int) -> Rows:
    """Return t^2 / (1 + t^2) for replicates (rows) and labellings (columns)."""
    sums, squares = z @ labels, np.square(z) @ labels
    total, total_of_squares = z.sum(axis=1, keepdims=True), np.square(z).sum(axis=1, keepdims=True)
    mean_b, mean_a = sums / n_b, (total - sums) / n_a
    ss_b = np.maximum(squares - n_b * mean_b**2, 0.0)
    ss_a = np.maximum(total_of_squares - squares - n_a * mean_a**2, 0.0)
    squared = (mean_b - mean_a) ** 2
    whole = squared + ss_a / (n_a * (n_a - 1)) + ss_b / (n_b * (n_b - 1))
    image: Rows = np.divide(squared, whole, out=np.zeros_like(whole), where=whole > 1e-30)
    return image


def rank_rows(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return the Mann-Whitney p (normal with tie correction) and the estimate of P(B > A) of each replicate."""
    n_a, n_b = a.shape[1], b.shape[1]
    pooled = np.concatenate([a, b], axis=1)
    ranks = stats.rankdata(pooled, axis=1)
    u = ranks[:, n_a:].sum(axis=1) - n_b * (n_b + 1) / 2
    n = n_a + n_b
    variance = n_a * n_b / (n * (n - 1)) * np.sum(np.square(ranks - (n + 1) / 2), axis=1)
    distance = np.maximum(np.abs(u - n_a * n_b / 2) - 0.5, 0.0)
    z = np.divide(distance, np.sqrt(variance), out=np.zeros_like(distance), where=variance > 0)
    return 2 * special.ndtr(-z), u / (n_a * n_b)


def brunner_munzel_rows(a: Rows, b: Rows) -> Rows:
    """Return the Brunner-Munzel p of each replicate (t approximation); 0 at complete separation."""
    theta, variance, df = effect.prob_greater_moments(*placement_rows(a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(welch.two_sided_p(TDistance(theta - 0.5, np.sqrt(variance), df)), nan=0.0))


def placement_rows(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return `seedstudy.stats.effect.placements` of each replicate, from ranks."""
    n_a, n_b = a.shape[1], b.shape[1]
    ranks = stats.rankdata(np.concatenate([a, b], axis=1), axis=1)
    return (ranks[:, :n_a] - stats.rankdata(a, axis=1)) / n_b, (ranks[:, n_a:] - stats.rankdata(b, axis=1)) / n_a
