"""Single images: which of them two recipes get right more or less often than chance over seeds explains.

Everything starts from how many seeds have an image right. For one image the seeds of an arm are independent draws, so
that this number is binomial, and two arms are compared by Fisher's exact test.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
_TIE = 1e-7
"""Relative difference below which two probabilities count as equal, as in R's fisher.test."""


def disagreement(right: ArrayLike, n_seeds: int) -> Floats:
    """Return for each image the share of pairs of seeds of which one alone is right; nan below two seeds.

    Parameters
    ----------
    right : (n_images,)
        Number of seeds that have the image right.

    """
    counts = np.asarray(right, dtype=np.float64)
    if n_seeds < 2:
        return np.full(counts.shape, math.nan)
    return np.asarray(2.0 * counts * (n_seeds - counts) / (n_seeds * (n_seeds - 1.0)))


def most_common(predicted: npt.NDArray[np.integer]) -> tuple[Counts, Counts]:
    """Return the class that most seeds predict for each image, the lowest of several, and the number of those seeds.

    Parameters
    ----------
    predicted : (n_seeds, n_images)
        Classes.

    """
    ordered = np.sort(predicted, axis=0)
    winner, most = ordered[0].astype(np.int64), np.ones(ordered.shape[1], dtype=np.int64)
    run = np.ones_like(most)
    for before, after in itertools.pairwise(ordered):
        run = np.where(before == after, run + 1, 1)
        is_longer = run > most
        winner, most = np.where(is_longer, after, winner), np.where(is_longer, run, most)
    return winner, most


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferingImages:
    """The images on which two arms differ, as far as the seeds show it."""

    p_values: Floats
    """(n_images,) Fisher's exact test, two-sided; 1 where all seeds of both arms agree."""
    differs: npt.NDArray[np.bool_]
    """(n_images,) At most the declared share of these is expected to be there by chance."""
    p_needed: float | None
    """The largest p-value among those that differ; None where no image does."""
    smallest_p: float
    """The smallest p-value that so many seeds can give: of an image that one arm always has right, the other never."""
    n_smallest: int
    """Images with this p-value."""
    n_smallest_needed: int | None
    """So many images must have it before any counts; None where no number is enough."""


def differing_images(right_a: ArrayLike, n_a: int, right_b: ArrayLike, n_b: int, *, fdr: float) -> DifferingImages:
    """Find the images that differ between two arms, with a false discovery rate of at most `fdr`.

    Fisher's exact test for each image; then the step-up procedure of Benjamini & Hochberg (1995) for discrete p-values,
    which counts for each image only the p-values that it can have, given how many of all seeds are right: DBH-SU of
    Doehler, Durand & Roquain (2018), "New FDR bounds for discrete and heterogeneous tests", Electronic Journal of
    Statistics 12. Images that all seeds have right, or none, can show nothing and cost nothing.

    Parameters
    ----------
    right_a, right_b : (n_images,)
        Number of seeds that have the image right.
    n_a, n_b
        Seeds of each arm.

    Raises
    ------
    StatisticsError
        No seeds, counts outside 0 to n, different numbers of images, or an impossible rate.

    """
    a, b = (np.asarray(each, dtype=np.int64) for each in (right_a, right_b))
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise StatisticsError(f"counts of shapes {a.shape} and {b.shape}: the same images are needed")
    if min(n_a, n_b) < 1 or min(a.min(), b.min()) < 0 or a.max() > n_a or b.max() > n_b:
        raise StatisticsError(f"counts must lie between 0 and the number of seeds, {n_a} and {n_b}")
    if not 0.0 < fdr < 0.5:
        raise StatisticsError(f"fdr {fdr:g}: must lie between 0 and 0.5; write 0.05 for 5 %")
    nulls = [_null(total, n_a, n_b) for total in range(n_a + n_b + 1)]
    table = np.ones((n_a + 1, n_b + 1))
    for total, null in enumerate(nulls):
        table[null.right_a, total - null.right_a] = null.p_values
    p_values = table[a, b]
    n_of_total = np.bincount(a + b, minlength=len(nulls))
    smallest = float(table.min())
    found = _step_up(p_values, n_of_total, nulls, fdr)
    is_smallest = p_values <= smallest * (1.0 + _TIE) if smallest < 1.0 else np.zeros(a.shape, dtype=np.bool_)
    needed = None
    if found.bound >= smallest:
        needed = max(1, math.ceil(found.expected(smallest) / fdr * (1.0 - _TIE)))
        # Images with other totals cannot have this p-value: more than there are of this total is never.
        needed = needed if needed <= int(n_of_total @ [null.p_values.min() <= smallest for null in nulls]) else None
    return DifferingImages(
        p_values=p_values,
        differs=p_values <= (-1.0 if found.largest is None else found.largest),
        p_needed=found.largest,
        smallest_p=smallest,
        n_smallest=int(is_smallest.sum()),
        n_smallest_needed=needed,
    )


@dataclass(frozen=True, slots=True)
class _Null:
    """Fisher's test of one image, given how many of all seeds are right: every outcome and its probability."""

    right_a: Counts
    p_values: Floats
    """(n_outcomes,) of each outcome."""
    levels: Floats
    """(n_outcomes,) p-values, ascending."""
    cumulated: Floats
    """(n_outcomes,) probability of a p-value of at most that level."""

    def below(self, p: Floats) -> Floats:
        """Return the probability of a p-value of at most p."""
        at = np.searchsorted(self.levels, p * (1.0 + _TIE), side="right")
        return np.where(at > 0, self.cumulated[np.maximum(at - 1, 0)], 0.0)


def _null(total: int, n_a: int, n_b: int) -> _Null:
    right_a = np.arange(max(0, total - n_b), min(n_a, total) + 1)
    probability = np.exp(
        _log_choose(n_a, right_a) + _log_choose(n_b, total - right_a) - _log_choose(n_a + n_b, np.array(total))
    )
    order = np.argsort(probability, kind="stable")
    # An outcome's p-value is the probability of all that are at most as likely.
    at = np.searchsorted(probability[order], probability * (1.0 + _TIE), side="right") - 1
    p_values = np.minimum(np.cumsum(probability[order])[at], 1.0)
    by_p = np.argsort(p_values, kind="stable")
    cumulated = np.minimum(np.cumsum(probability[by_p]), 1.0)
    return _Null(right_a, p_values, p_values[by_p], cumulated)


def _log_choose(n: int, k: npt.NDArray[np.integer]) -> Floats:
    return np.asarray(special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0))


@dataclass(frozen=True, slots=True)
class _StepUp:
    """Where the step-up procedure stops."""

    bound: float
    """No larger p-value is ever rejected; -1: none at all."""
    largest: float | None
    """The largest p-value that is rejected."""
    weights: Floats
    """(n_totals,) images of each total, by 1 - the probability of a p-value within the bound."""
    nulls: list[_Null]

    def expected(self, p: float) -> float:
        """Return how many images would have a p-value of at most p by chance, at most."""
        return float(self.weights @ [float(null.below(np.array(p))) for null in self.nulls])


def _step_up(p_values: Floats, n_of_total: Counts, nulls: list[_Null], fdr: float) -> _StepUp:
    seen = np.flatnonzero(n_of_total)
    n_images, of_seen = n_of_total[seen].astype(np.float64), [nulls[total] for total in seen]
    possible = np.unique(np.concatenate([null.levels for null in of_seen]))
    possible = possible[possible < 1.0 - _TIE]
    below = np.array([null.below(possible) for null in of_seen]).reshape(len(of_seen), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_chance = n_images @ np.where(below > 0.0, below / (1.0 - below), 0.0)
    within = possible[by_chance <= fdr * p_values.size]
    if not within.size:
        return _StepUp(-1.0, None, n_images, of_seen)
    bound = float(within.max())
    found = _StepUp(
        bound, None, n_images / np.array([1.0 - float(null.below(np.array(bound))) for null in of_seen]), of_seen
    )
    levels, counts = np.unique(p_values, return_counts=True)
    n_rejected = np.cumsum(counts)
    is_in_reach = levels <= bound * (1.0 + _TIE)
    expected = np.array([found.expected(float(level)) for level in levels[is_in_reach]])
    passed = levels[is_in_reach][expected <= fdr * n_rejected[is_in_reach] * (1.0 + _TIE)]
    return _StepUp(bound, float(passed.max()) if passed.size else None, found.weights, of_seen)
