"""Comparisons that use only the order of the seeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedstudy.stats.effect import placements, prob_greater_moments
from seedstudy.stats.permutation import EXACT_UP_TO, Statistic, bounded_image, permute_all
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Floats, Sample


def _can_enumerate(n_a: int, n_b: int) -> bool:
    return math.comb(n_a + n_b, n_a) <= EXACT_UP_TO


def mann_whitney_p(a: Sample, b: Sample) -> float:
    """Return the p-value of equal distributions: exact given the ties for few seeds, else normal with tie correction.

    It tests equality of distributions, not of means: with equal means and unequal spreads it rejects too often
    (Brunner-Munzel does not).
    """
    ranks = stats.rankdata(np.concatenate([a, b]))
    if np.ptp(ranks) == 0.0:
        return 1.0
    if not _can_enumerate(a.size, b.size):
        return bounded_p(float(stats.mannwhitneyu(b, a, method="asymptotic").pvalue))

    def extremity(labels: Floats) -> Floats:
        return np.asarray(np.abs(labels @ (ranks - ranks.mean())) / ranks.size**2)

    return permute_all(extremity, a.size, b.size).p_value


def brunner_munzel_p(a: Sample, b: Sample) -> float | None:
    """Return the p-value of P(B > A) = 1/2 whatever the spreads; permuted for few seeds (Neubert & Brunner 2007).

    None where an arm has one seed, and for many completely separated seeds, where the statistic is infinite.
    """
    if min(a.size, b.size) < 2:
        return None
    if _can_enumerate(a.size, b.size):
        return permute_all(_studentised_ranks(np.concatenate([a, b])), a.size, b.size).p_value
    _, variance, _ = prob_greater_moments(*(side[None, :] for side in placements(a, b)))
    return bounded_p(float(stats.brunnermunzel(a, b).pvalue)) if variance[0] > 0.0 else None


def _studentised_ranks(values: Sample) -> Statistic:
    """Return the monotone image s^2 / (1 + s^2) of the Brunner-Munzel statistic of any labelling."""
    above = (values[:, None] < values[None, :]) + 0.5 * (values[:, None] == values[None, :])

    def statistic(labels: Floats) -> Floats:
        n_b = labels[0].sum()
        n_a = values.size - n_b
        in_b, in_a = labels, 1.0 - labels
        a_below = (in_a @ above) / n_a
        b_below = (in_b @ above) / n_b
        theta = np.sum(in_b * a_below, axis=1) / n_b
        spread_b = np.sum(in_b * (a_below - theta[:, None]) ** 2, axis=1)
        spread_a = np.sum(in_a * (b_below - 1.0 + theta[:, None]) ** 2, axis=1)
        variance = spread_b / (n_b * (n_b - 1)) + spread_a / (n_a * (n_a - 1))
        squared = (theta - 0.5) ** 2
        return bounded_image(squared, variance)

    return statistic


def hodges_lehmann(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return the median of all differences b - a, with the interval that inverts the Mann-Whitney test.

    Too few seeds for the level give all differences' range and the level that it really has. Hodges & Lehmann (1963);
    interval after Moses, see Hollander, Wolfe & Chicken (2014), section 4.3. With ties it is conservative.
    """
    differences = np.sort(np.subtract.outer(b, a), axis=None)
    n_a, n_b = a.size, b.size
    n_cut, reached = cut(n_a, n_b, level)
    warnings: tuple[str, ...] = ()
    if reached < level:
        warnings = (f"{n_a} and {n_b} seeds: the widest rank interval has level {reached:.3g}, not {level:g}",)
    median, ends, level = np.median(differences), (differences[n_cut], differences[-1 - n_cut]), min(level, reached)
    return Estimate.of(median, ends, level=level, n=(n_a, n_b), method="hodges-lehmann", warnings=warnings)


def cut(n_a: int, n_b: int, level: float) -> tuple[int, float]:
    """Return how many differences to drop at each end, and the coverage that this leaves."""
    if math.comb(n_a + n_b, n_a) < 2**62:
        counts = _mann_whitney_counts(n_a, n_b)
        tail = np.cumsum(counts[: (n_a * n_b) // 2 + 1]) / math.comb(n_a + n_b, n_a)
        # Dropping k differences at each end leaves out U < k + 1 on either side: tail[k].
        n_cut = max(int(np.searchsorted(tail, (1 - level) / 2, side="right")) - 1, 0)
        return n_cut, float(1 - 2 * tail[n_cut])
    middle, sd = n_a * n_b / 2, math.sqrt(n_a * n_b * (n_a + n_b + 1) / 12)
    return max(int(middle - stats.norm.ppf(0.5 + level / 2) * sd) - 1, 0), level


def _mann_whitney_counts(n_a: int, n_b: int) -> NDArray[np.int64]:
    """Return how many labellings give each U: coefficients of the Gaussian binomial, exact in integers.

    Products may wrap around on the way; the result is below 2^62, and integers modulo 2^64 form a ring.
    """
    counts = np.zeros(n_a * n_b + 1, dtype=np.int64)
    counts[0] = 1
    for i in range(1, n_a + 1):
        shift = n_b + i
        if shift < counts.size:
            counts[shift:] -= counts.copy()[:-shift]
        for start in range(min(i, counts.size)):
            counts[start::i] = np.cumsum(counts[start::i])
    return counts


def wilcoxon_p(differences: Sample) -> float | None:
    """Return the signed-rank p-value of paired differences symmetric about 0; None when all of them are 0."""
    nonzero = differences[differences != 0.0]
    if nonzero.size == 0:
        return None
    ranks = stats.rankdata(np.abs(nonzero))
    signed_sum = float(np.sign(nonzero) @ ranks)
    if nonzero.size <= 17:
        sums = np.zeros(1)
        for rank in ranks:
            sums = np.concatenate([sums - rank, sums + rank])
        return float(np.mean(np.abs(sums) >= abs(signed_sum) - 1e-9))
    # Normal with the variance of these very ranks (ties included) and a continuity correction.
    z = max(abs(signed_sum) - 1.0, 0.0) / math.sqrt(float(ranks @ ranks))
    return bounded_p(2.0 * float(stats.norm.sf(z)))
