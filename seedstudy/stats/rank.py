"""Comparisons that use only the order of the seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedstudy.stats.effect import placements
from seedstudy.stats.permutation import EXACT_UP_TO, Statistic, permute_all
from seedstudy.stats.result import Estimate, honest_p
from seedstudy.stats.sample import Sample

Exactness = Literal["exact", "asymptotic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RankTest:
    """A rank test: its p-value and how it was obtained."""

    name: str
    statistic: float
    p_value: float
    method: Exactness
    """"exact": all relabellings of these very values, ties included."""


def _few(n_a: int, n_b: int) -> bool:
    return math.comb(n_a + n_b, n_a) <= EXACT_UP_TO


def mann_whitney(a: Sample, b: Sample) -> RankTest:
    """Test equal distributions by ranks: exact given the ties for few seeds, else normal with tie correction.

    It tests equality of distributions, not of means: with equal means and unequal spreads it rejects too often
    (Brunner-Munzel does not).
    """
    n_a, n_b = a.size, b.size
    ranks = stats.rankdata(np.concatenate([a, b]))
    u = float(ranks[n_a:].sum() - n_b * (n_b + 1) / 2)
    if np.ptp(ranks) == 0.0:
        return RankTest(name="mann-whitney", statistic=u, p_value=1.0, method="exact")
    if not _few(n_a, n_b):
        p = float(stats.mannwhitneyu(b, a, method="asymptotic").pvalue)
        return RankTest(name="mann-whitney", statistic=u, p_value=honest_p(p), method="asymptotic")

    def extremity(labels: NDArray[np.float64]) -> NDArray[np.float64]:
        centred: NDArray[np.float64] = np.abs(labels @ (ranks - ranks.mean())) / ranks.size**2
        return centred

    p = permute_all(extremity, n_a, n_b).p_value
    return RankTest(name="mann-whitney", statistic=u, p_value=p, method="exact")


def brunner_munzel(a: Sample, b: Sample) -> RankTest | None:
    """Test P(B > A) = 1/2 whatever the spreads; permuted for few seeds (Neubert & Brunner 2007).

    None where an arm has one seed, and for many completely separated seeds, where the statistic is infinite.
    """
    if min(a.size, b.size) < 2:
        return None
    below_a, below_b = placements(a, b)
    variance = np.var(below_a, ddof=1) / a.size + np.var(below_b, ddof=1) / b.size
    theta = float(below_b.mean())
    if variance > 0.0:
        statistic = (theta - 0.5) / math.sqrt(variance)
    else:
        statistic = 0.0 if theta == 0.5 else math.copysign(math.inf, theta - 0.5)
    if _few(a.size, b.size):
        p = permute_all(_studentised_ranks(np.concatenate([a, b])), a.size, b.size).p_value
        return RankTest(name="brunner-munzel", statistic=statistic, p_value=p, method="exact")
    if variance == 0.0:
        return None
    p = float(stats.brunnermunzel(a, b).pvalue)
    return RankTest(name="brunner-munzel", statistic=statistic, p_value=honest_p(p), method="asymptotic")


def _studentised_ranks(values: Sample) -> Statistic:
    """Return the monotone image s^2 / (1 + s^2) of the Brunner-Munzel statistic of any labelling."""
    above = (values[:, None] < values[None, :]) + 0.5 * (values[:, None] == values[None, :])

    def statistic(labels: NDArray[np.float64]) -> NDArray[np.float64]:
        n_b = labels[0].sum()
        n_a = values.size - n_b
        in_b, in_a = labels, 1.0 - labels
        share_of_a_below = (in_a @ above) / n_a
        share_of_b_below = (in_b @ above) / n_b
        theta = np.sum(in_b * share_of_a_below, axis=1) / n_b
        spread_b = np.sum(in_b * (share_of_a_below - theta[:, None]) ** 2, axis=1)
        spread_a = np.sum(in_a * (share_of_b_below - 1.0 + theta[:, None]) ** 2, axis=1)
        variance = spread_b / (n_b * (n_b - 1)) + spread_a / (n_a * (n_a - 1))
        squared = (theta - 0.5) ** 2
        whole = squared + variance
        image: NDArray[np.float64] = np.divide(squared, whole, out=np.zeros_like(whole), where=whole > 1e-30)
        return image

    return statistic


def hodges_lehmann(a: Sample, b: Sample, *, level: float) -> Estimate:
    """Return the median of all differences b - a, with the interval that inverts the Mann-Whitney test.

    Too few seeds for the level give all differences' range and the level that it really has.

    Notes
    -----
    Hodges & Lehmann (1963); interval after Moses, see Hollander, Wolfe & Chicken (2014), section 4.3. With ties it
    is conservative.

    """
    differences = np.sort(np.subtract.outer(b, a), axis=None)
    n_a, n_b = a.size, b.size
    n_cut, reached = cut(n_a, n_b, level)
    warnings: tuple[str, ...] = ()
    if reached < level:
        warnings = (f"{n_a} and {n_b} seeds: the widest rank interval has level {reached:.3g}, not {level:g}",)
    return Estimate(
        value=float(np.median(differences)),
        low=float(differences[n_cut]),
        high=float(differences[-1 - n_cut]),
        level=min(level, reached),
        n=(n_a, n_b),
        method="hodges-lehmann",
        warnings=warnings,
    )


def cut(n_a: int, n_b: int, level: float) -> tuple[int, float]:
    """Return how many differences to drop at each end, and the coverage that this leaves."""
    if math.comb(n_a + n_b, n_a) < 2**62:
        counts = _mann_whitney_counts(n_a, n_b)
        tail = np.cumsum(counts[: (n_a * n_b) // 2 + 1]) / math.comb(n_a + n_b, n_a)
        # Dropping k differences at each end leaves out U < k + 1 on either side: tail[k].
        n_cut = int(np.searchsorted(tail, (1 - level) / 2, side="right")) - 1
        n_cut = max(n_cut, 0)
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
            before = counts.copy()
            counts[shift:] -= before[:-shift]
        for start in range(min(i, counts.size)):
            counts[start::i] = np.cumsum(counts[start::i])
    return counts


def wilcoxon_signed_rank(differences: Sample) -> RankTest | None:
    """Test symmetry of paired differences about 0; None when all of them are 0."""
    nonzero = differences[differences != 0.0]
    if nonzero.size == 0:
        return None
    ranks = stats.rankdata(np.abs(nonzero))
    signed_sum = float(np.sign(nonzero) @ ranks)
    if nonzero.size <= 17:
        sums = np.zeros(1)
        for rank in ranks:
            sums = np.concatenate([sums - rank, sums + rank])
        p = float(np.mean(np.abs(sums) >= abs(signed_sum) - 1e-9))
        return RankTest(name="wilcoxon", statistic=signed_sum, p_value=p, method="exact")
    # Normal with the variance of these very ranks (ties included) and a continuity correction.
    z = max(abs(signed_sum) - 1.0, 0.0) / math.sqrt(float(ranks @ ranks))
    p = honest_p(2.0 * float(stats.norm.sf(z)))
    return RankTest(name="wilcoxon", statistic=signed_sum, p_value=p, method="asymptotic")
