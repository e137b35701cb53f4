"""Seeds and test images: how much of a spread or a difference is due to which images happen to be tested.

Everything starts from whether each network is right on each image, a matrix (n_seeds, n_images); accuracies and
variances are those of fractions. Images are a sample of images like them, and so are clusters of images (classes, where
images were collected class by class).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.welch import TDistance, interval, two_sided_p

Correct = npt.NDArray[np.bool_]
"""(n_seeds, n_images): whether each network is right on each image."""
Floats = npt.NDArray[np.float64]


def correct_matrix(correct: ArrayLike, *, fewest_seeds: int = 2) -> Correct:
    """Return zeros and ones as a matrix of booleans; StatisticsError for anything else."""
    matrix = np.asarray(correct)
    if matrix.ndim != 2 or matrix.shape[0] < fewest_seeds or matrix.shape[1] < 2 or not _is_binary(matrix):
        few = {1: "one row", 2: "two rows"}[fewest_seeds]
        raise StatisticsError(
            f"predictions of shape {matrix.shape}: expected zeros and ones, one row per seed and one column per "
            f"example, at least {few} and two columns"
        )
    return matrix.astype(np.bool_, copy=False)


def _is_binary(matrix: npt.NDArray[Any]) -> bool:
    return matrix.dtype == np.bool_ or bool(np.isin(matrix, (0, 1)).all())


def _seed_variances(n_correct: npt.NDArray[np.integer], n_seeds: int) -> Floats:
    """Return the variance over seeds (n - 1) of each image's correctness, from its number of correct seeds."""
    return n_correct * (n_seeds - n_correct) / (n_seeds * (n_seeds - 1.0))


# --- one recipe: what its spread over seeds is made of --------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceSplit:
    """Variances of accuracy (a fraction) over seeds."""

    n_seeds: int
    n_examples: int
    on_test_set: float
    """Variance of the accuracy on this test set."""
    distribution_wise_raw: float
    """Unbiased estimate of the variance of the accuracy on endless test data; may be negative."""
    distribution_wise: float
    """The same, not below 0."""
    distribution_wise_se: float
    """Its standard error by the jackknife over seeds and over images; nan below three seeds or images."""
    if_independent: float
    """The variance that seeds would show on this test set if they erred independently on each example."""
    if_calibrated: float
    """The variance of a network that is right as often as its probabilities say: error / (2 n_examples)."""


def split_variance(correct: ArrayLike) -> VarianceSplit:
    """Split the variance between seeds as Jordan (2024), arXiv 2304.01910.

    The unbiased estimate N/(N-1) (V_test - sum_i var_i / N^2) equals the mean covariance of two different examples over
    seeds; all variances with n - 1.

    Parameters
    ----------
    correct : array_like of bool, shape (n_seeds, n_examples)
        Whether each network is right on each example.

    Raises
    ------
    StatisticsError
        Not a matrix of zeros and ones with at least two rows and two columns.

    """
    matrix = correct_matrix(correct)
    n_seeds, n = matrix.shape
    totals = matrix.sum(axis=1).astype(np.float64)
    variances = _seed_variances(matrix.sum(axis=0), n_seeds)
    on_test_set, if_independent = float(totals.var(ddof=1)) / n**2, float(variances.sum()) / n**2
    raw = n / (n - 1) * (on_test_set - if_independent)
    return VarianceSplit(
        n_seeds=n_seeds,
        n_examples=n,
        on_test_set=on_test_set,
        distribution_wise_raw=raw,
        distribution_wise=max(raw, 0.0),
        distribution_wise_se=_split_se(matrix, totals, variances),
        if_independent=if_independent,
        if_calibrated=(1.0 - float(totals.mean()) / n) / (2 * n),
    )


def _split_se(matrix: Correct, totals: Floats, variances: Floats) -> float:
    """Return the jackknife's standard error of the mean covariance of two images, over seeds and over images."""
    n_seeds, n = matrix.shape
    if min(n_seeds, n) < 3:
        return math.nan
    # Without one image: Var(S - C_i) - (sum_i v_i - v_i), over the pairs that are left.
    covariances = (totals - totals.mean()) @ matrix / (n_seeds - 1)
    whole = totals.var(ddof=1) - variances.sum()
    without_image = (whole - 2.0 * (covariances - variances)) / ((n - 1) * (n - 2))
    n_correct = matrix.sum(axis=0)
    without_seed = np.empty(n_seeds)
    for seed, row in enumerate(matrix):
        others = np.delete(totals, seed)
        left = others.var(ddof=1) - _seed_variances(n_correct - row, n_seeds - 1).sum()
        without_seed[seed] = left / (n * (n - 1))
    return math.sqrt(sum(_jackknife_variance(each) for each in (without_image, without_seed)))


def _jackknife_variance(without: Floats) -> float:
    return float((len(without) - 1) * without.var())


# --- means and differences on new images ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmOnImages:
    """What one arm's networks show on a sample of images: all that a difference needs of them."""

    accuracies: Floats
    """(n_seeds,) fractions."""
    mean_sums: Floats
    """(n_clusters,) correct images of each cluster, mean over seeds; without clusters each image is its own."""
    sizes: Floats
    """(n_clusters,) images of each."""
    within: float
    """What one seed adds to the variance of clusters' means, as a variance of the accuracy."""
    is_clustered: bool

    @property
    def n_seeds(self) -> int:
        return len(self.accuracies)

    @property
    def n_images(self) -> int:
        return int(self.sizes.sum())

    @property
    def variance(self) -> float:
        """Variance of the accuracy over seeds."""
        return float(self.accuracies.var(ddof=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class OnNewImages:
    """A mean, or a difference of two, for other seeds and other images like these."""

    estimate: Estimate
    """As a fraction; Welch's interval with the images as one more source."""
    p_value: float
    """Two-sided, of 0 on endless images; nan without any spread."""
    df: float
    """Satterthwaite's."""
    variance_seeds: float
    """Due to the seeds of all arms."""
    variance_images: float
    """Due to the images: paired, and not below 0."""
    variance_images_raw: float
    """The unbiased estimate; may be negative."""
    n_images: int
    n_clusters: int | None
    """Clusters that were drawn as a whole; None where each image was drawn by itself."""


def arm_on_images(values: ArrayLike, *, clusters: ArrayLike | None = None) -> ArmOnImages:
    """Return what the networks of one arm show.

    Parameters
    ----------
    values : array_like, shape (n_seeds, n_images)
        Whether each network is right on each image; as int8, the difference of two networks that share a seed.
    clusters : array_like of int, shape (n_images,), optional
        The cluster (class) of each image, where clusters were drawn and not images (Miller 2024, arXiv 2411.00640).

    """
    matrix = np.asarray(values)
    if matrix.dtype != np.int8:
        matrix = correct_matrix(matrix)
    n_seeds, n = matrix.shape
    totals = matrix.sum(axis=1, dtype=np.int64)
    if clusters is None:
        sums = matrix.sum(axis=0, dtype=np.int64)
        squares = np.count_nonzero(matrix, axis=0)  # of -1, 0 and 1
        variances = (squares - sums**2 / n_seeds) / (n_seeds - 1.0)
        sizes, mean_sums = np.ones(n), sums / n_seeds
    else:
        labels, cluster_of = np.unique(np.asarray(clusters), return_inverse=True)
        if len(cluster_of) != n:
            raise StatisticsError(f"{len(cluster_of)} clusters for {n} images: one per image is needed")
        by_cluster = np.stack([np.bincount(cluster_of, weights=row, minlength=len(labels)) for row in matrix])
        sizes = np.bincount(cluster_of).astype(np.float64)
        mean_sums, variances = by_cluster.mean(axis=0), by_cluster.var(axis=0, ddof=1)
    m = len(sizes)
    if m < 2:
        raise StatisticsError("all images are in one cluster: nothing says how clusters differ")
    # The covariance of two clusters moves all of them alike, and so adds nothing to their spread.
    shared = (float(totals.var(ddof=1)) - float(variances.sum())) / (m - 1)
    within = (float(variances.sum()) - shared) / n**2
    return ArmOnImages(
        accuracies=totals / n, mean_sums=mean_sums, sizes=sizes, within=within, is_clustered=clusters is not None
    )


def mean_on_new_images(arm: ArmOnImages, *, level: float = 0.95) -> OnNewImages:
    """Return an arm's mean; of an arm of differences between networks that share a seed, their difference."""
    return _on_new_images([arm], arm.mean_sums, level=level)


def difference_on_new_images(a: ArmOnImages, b: ArmOnImages, *, level: float = 0.95) -> OnNewImages:
    """Compare two arms that were tested on the same images, which are a sample as the seeds are.

    Var(d) = s_A^2/n_A + s_B^2/n_B + max(0, Var_i(D_i)/N - W), where D_i is the difference of image i's means over seeds
    and W what seeds alone add to Var_i(D_i)/N; without the maximum this is V_A/n_A + V_B/n_B + Var_i(D_i)/N with the
    distribution-wise variances of :func:`split_variance` (Jordan 2024; two crossed samples as in Owen 2007, "The
    pigeonhole bootstrap"). Adding s^2/n and Var_i(D_i)/N would count the seeds' part twice.
    """
    if a.n_images != b.n_images:
        raise StatisticsError(f"{a.n_images} and {b.n_images} images: both arms need the same ones")
    return _on_new_images([a, b], b.mean_sums - a.mean_sums, level=level)


def _on_new_images(arms: Sequence[ArmOnImages], sums: Floats, *, level: float) -> OnNewImages:
    n, m = arms[0].n_images, len(sums)
    value = float(sums.sum()) / n
    deviations = sums - arms[0].sizes * value
    between = m / (m - 1) * float((deviations**2).sum()) / n**2
    raw = between - sum(arm.within / arm.n_seeds for arm in arms)
    seeds = [arm.variance / arm.n_seeds for arm in arms]
    pieces, dfs = [*seeds, max(raw, 0.0)], [*(arm.n_seeds - 1 for arm in arms), m - 1]
    t = satterthwaite(value, pieces, dfs)
    n_seeds = arms[0].n_seeds if len(arms) == 1 else (arms[0].n_seeds, arms[1].n_seeds)
    ends = interval(t, level) if t.se > 0.0 else None
    return OnNewImages(
        estimate=Estimate.of(value, ends, level=level, n=n_seeds, method="welch, seeds and images"),
        p_value=bounded_p(float(two_sided_p(t))) if t.se > 0.0 else math.nan,
        df=t.df,
        variance_seeds=sum(seeds),
        variance_images=pieces[-1],
        variance_images_raw=raw,
        n_images=n,
        n_clusters=m if arms[0].is_clustered else None,
    )


def satterthwaite(value: float, pieces: Sequence[float], dfs: Sequence[float]) -> TDistance:
    """Return a value with the standard error that independent estimates of variance sum up to (Satterthwaite 1946)."""
    variance = sum(pieces)
    if variance <= 0.0:
        return TDistance(value, 0.0, math.nan)
    df = 1.0 / sum((piece / variance) ** 2 / each for piece, each in zip(pieces, dfs, strict=True))
    return TDistance(value, math.sqrt(variance), df)


def bootstrap_both(a: ArrayLike, b: ArrayLike, *, rng: np.random.Generator, n_replicates: int = 10_000) -> Floats:
    """Return replicates of the difference over new seeds and new images, shape (n_replicates,).

    The multi-bootstrap (Sellam et al. 2022): seeds of each arm and images, which both arms share, are drawn anew. Seeds
    are drawn with replacement; they are few, so their part is stretched about the mean to the variance of n - 1. Images
    have weights 0 or 2, each with probability 1/2 ("double or nothing", Owen & Eckles 2012), which like the weights of
    draws with replacement have mean 1 and variance 1. The weights of up to N replicates are the rows of a Hadamard
    matrix with random signs (balanced half-samples, McCarthy 1969): each replicate alone has independent weights, and
    the sums of all are one fast Walsh-Hadamard transform.
    """
    first, second = correct_matrix(a), correct_matrix(b)
    n = first.shape[1]
    is_decided = (first == first[0]).all(axis=0) & (second == first[0]).all(axis=0)  # no weight changes their part
    networks = np.vstack([first, second])[:, ~is_decided]
    n_decided, n_open = int(is_decided.sum()), networks.shape[1]
    counts = len(first), len(second)
    drawn = np.hstack(
        [sign * _stretched(rng.multinomial(k, np.full(k, 1 / k), n_replicates) / k, k)
         for sign, k in zip((-1, 1), counts, strict=True)]
    )  # fmt: skip
    mean_weights = np.concatenate([np.full(counts[0], -1.0 / counts[0]), np.full(counts[1], 1.0 / counts[1])])
    replicates = np.empty(n_replicates)
    size = 1 << max(0, n_open - 1).bit_length()
    for start in range(0, n_replicates, size):
        part = slice(start, min(start + size, n_replicates))
        rows = rng.permutation(size)[: part.stop - part.start]
        signs = np.zeros(size, dtype=np.float32)
        signs[:n_open] = 2.0 * rng.integers(0, 2, n_open) - 1.0
        # Decided images count in the total alone: their number of right answers is the same in both arms.
        total = n + hadamard(signs)[rows].astype(np.float64) + _double_or_nothing(rng, n_decided, len(rows))
        difference = np.zeros(len(rows))
        for row, weights in zip(networks, (drawn[part] + mean_weights).T, strict=True):
            right = row.sum() + hadamard(np.where(np.pad(row, (0, size - n_open)), signs, 0.0))[rows]
            difference += weights * right
        replicates[part] = difference / total
    return replicates


def hadamard(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the Walsh-Hadamard transform of 2^k values: the products with all rows of the matrix, of +1 and -1.

    The matrix is the Kronecker product of two of about its root's size: two matrix products do, exact in whole numbers.
    """
    k = len(values).bit_length() - 1
    left, right = _hadamard_matrix(k // 2), _hadamard_matrix(k - k // 2)
    return np.asarray(left @ values.reshape(len(left), -1) @ right, dtype=np.float32).reshape(-1)


@cache
def _hadamard_matrix(k: int) -> npt.NDArray[np.float32]:
    """Return Sylvester's matrix of 2^k rows."""
    matrix = np.ones((1, 1), dtype=np.float32)
    for _ in range(k):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def _double_or_nothing(rng: np.random.Generator, n: int, n_replicates: int) -> Floats:
    """Return by how much n weights of 0 or 2 sum up to more than n, for each replicate."""
    return np.asarray(2.0 * rng.binomial(n, 0.5, n_replicates) - n, dtype=np.float64)


def _stretched(shares: Floats, k: int) -> Floats:
    """Return what drawn shares add to equal ones, times sqrt(k / (k - 1)): a bootstrap's variance is that of 1 / k."""
    return (shares - 1.0 / k) * math.sqrt(k / (k - 1))


# --- two networks, image by image -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedNetworks:
    """Two single networks on the same images; says nothing of seeds."""

    difference: Estimate
    """Accuracy of B minus that of A, a fraction; Tango's score interval."""
    p_value: float
    """McNemar's mid-p, two-sided."""
    only_a: int
    """Images that A alone has right."""
    only_b: int
    n_images: int


def paired_networks(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> PairedNetworks:
    """Compare two networks on the same images.

    McNemar's test with the mid-p (Fagerland, Lydersen & Laake 2013) and the score interval of Tango (1998), which
    inverts the score test of each difference.

    Parameters
    ----------
    a, b : array_like of bool, shape (n_images,)
        Whether each network is right.

    """
    first, second = (np.asarray(each, dtype=np.bool_) for each in (a, b))
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise StatisticsError(f"predictions of shapes {first.shape} and {second.shape}: the same images are needed")
    only_a, only_b = int((first & ~second).sum()), int((~first & second).sum())
    n, m = first.size, only_a + only_b
    low = min(only_a, only_b)
    # All outcomes below the one seen, and half of it: bdtr is the binomial's distribution function.
    tail = (float(special.bdtr(low, m, 0.5)) + (float(special.bdtr(low - 1, m, 0.5)) if low else 0.0)) / 2
    p_value = 1.0 if only_a == only_b else bounded_p(2 * tail)
    limits = tango_limits(only_b, only_a, n, level)
    estimate = Estimate.of((only_b - only_a) / n, limits, level=level, n=(1, 1), method="tango")
    return PairedNetworks(difference=estimate, p_value=p_value, only_a=only_a, only_b=only_b, n_images=n)


def tango_score(b: int, c: int, n: int, d: float) -> float:
    """Return the score statistic of (b - c) / n against a true difference d, standard normal if d is true."""
    half = -b - c + (2 * n - b + c) * d
    q = (math.sqrt(half**2 + 8 * n * c * d * (1 - d)) - half) / (4 * n)  # likelihood's share of c under d
    excess, variance = b - c - n * d, n * (2 * q + d * (1 - d))
    if variance > 0:
        return excess / math.sqrt(variance)
    return math.copysign(math.inf, excess) if excess else 0.0


def tango_limits(b: int, c: int, n: int, level: float) -> tuple[float, float]:
    """Return the differences (b - c) / n = d whose score test has p = 1 - level."""
    from scipy import optimize  # a tenth of a second that most comparisons do not need

    z = float(special.ndtri(0.5 + level / 2))

    def score(d: float) -> float:
        return tango_score(b, c, n, d)

    point, edge = (b - c) / n, 1 - 1e-12
    low = -1.0 if score(-edge) < z else float(optimize.brentq(lambda d: min(score(d), 1e9) - z, -edge, point))
    high = 1.0 if score(edge) > -z else float(optimize.brentq(lambda d: max(score(d), -1e9) + z, point, edge))
    return low, high


# --- agreement, calibration, ensembles ------------------------------------------------------------------


def agreement(predicted: npt.NDArray[np.integer]) -> float:
    """Return the share of images on which two seeds predict the same class, mean over pairs of (n_seeds, n_images)."""
    n_seeds, n = predicted.shape
    if n_seeds < 2:
        return math.nan
    ordered = np.sort(predicted, axis=0)
    # Each run of k equal predictions of an image is k (k - 1) / 2 pairs that agree: the j-th of a run closes j - 1.
    same, run = 0, np.zeros(n, dtype=np.int64)
    for before, after in itertools.pairwise(ordered):
        run = np.where(before == after, run + 1, 0)
        same += int(run.sum())
    return float(same / (n * n_seeds * (n_seeds - 1) / 2))


def calibration_error(correct: Correct, confidence: npt.NDArray[np.floating], *, n_bins: int = 15) -> float:
    """Return the expected calibration error, mean over seeds, in bins of equal width (Guo et al. 2017)."""
    errors = []
    for right, sure in zip(correct, confidence, strict=True):
        bins = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
        gap = np.bincount(bins, weights=right - sure.astype(np.float64), minlength=n_bins)
        errors.append(float(np.abs(gap).sum()) / len(right))
    return float(np.mean(errors))


def ensemble_accuracies(
    predicted: npt.NDArray[np.integer], correct: Correct, confidence: npt.NDArray[np.floating], sizes: tuple[int, ...]
) -> Iterator[tuple[int, float]]:
    """Yield for each number of seeds the accuracy of their vote; ties go to the class with more confidence.

    Seeds are taken in disjoint sets, in order, and the accuracies averaged.
    """
    for size in sizes:
        starts = range(0, len(predicted) - size + 1, size)
        parts = (slice(start, start + size) for start in starts)
        accuracies = [_vote(predicted[part], correct[part], confidence[part]) for part in parts]
        yield size, float(np.mean(accuracies))


def _vote(predicted: npt.NDArray[np.integer], correct: Correct, confidence: npt.NDArray[np.floating]) -> float:
    votes = np.zeros(predicted.shape)
    for own, sure in zip(predicted, confidence, strict=True):
        votes += (predicted == own) * (1.0 + 1e-6 * sure)  # a vote weighs more than all confidences
    winner = votes.argmax(axis=0)
    return float(correct[winner, np.arange(predicted.shape[1])].mean())
