"""Comparisons that use only the order of the seeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedstudy.stats.effect import placements, prob_greater_moments
from seedstudy.stats.permutation import Labelled, Statistic, bounded_image, can_enumerate, permute_all
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Floats, Sample


def mann_whitney_p(a: Sample, b: Sample) -> float:
    """Return the p-value of equal distributions: exact given the ties for few seeds, else normal with tie correction.

    It tests equality of distributions, not of means: with equal means and unequal spreads it rejects too often
    (Brunner-Munzel does not).
    """
    ranks = stats.rankdata(np.concatenate([a, b]))
    if np.ptp(ranks) == 0.0:
        return 1.0
    if not can_enumerate(a.size, b.size):
        return bounded_p(float(stats.mannwhitneyu(b, a, method="asymptotic").pvalue))

    centred = (ranks - ranks.mean())[:, None]
    sizes = Statistic(centred, lambda sums: np.abs(sums[:, 0]) / ranks.size**2)
    return permute_all(sizes, a.size, b.size).p_value


def brunner_munzel_p(a: Sample, b: Sample) -> float | None:
    """Return the p-value of P(B > A) = 1/2 whatever the spreads; permuted for few seeds (Neubert & Brunner 2007).

    None where an arm has one seed, and for many completely separated seeds, where the statistic is infinite.
    """
    if min(a.size, b.size) < 2:
        return None
    if can_enumerate(a.size, b.size):
        return _permuted_brunner_munzel(a, b)
    _, variance, _ = prob_greater_moments(*(side[None, :] for side in placements(a, b)))
    return bounded_p(float(stats.brunnermunzel(a, b).pvalue)) if variance[0] > 0.0 else None


def _permuted_brunner_munzel(a: Sample, b: Sample) -> float:
    """Try every labelling, and count those whose statistic is at least as extreme as the one seen."""
    n_a, n_b = a.size, b.size
    below_a, below_b = placements(a, b)
    seen = np.array([[n_a * below_b.sum()], [n_a**2 * (below_b @ below_b)], [n_b**2 * (below_a @ below_a)]])
    bound = _studentised_ranks(seen, n_a, n_b)[0] - Labelled.TIE
    _, tied = np.unique(np.concatenate([a, b]), return_counts=True)
    sums, weights = _all_placements(tied, n_a, n_b)
    return float(weights[_studentised_ranks(sums, n_a, n_b) >= bound].sum() / weights.sum())


def _all_placements(tied: NDArray[np.int64], n_a: int, n_b: int) -> tuple[Floats, Floats]:
    """Return three sums for every labelling, and how many labellings have them.

    Over the seeds of B: how many of A lie below, ties counting one half, and the square of it; over the seeds of A: the
    square of how many of B lie below. `tied` are the numbers of equal values, from the lowest value up.
    In equal arms one labelling of every two is left out, its mirror image. Every labelling is one of the lower half of
    the values and one of the upper half, whose seeds have all those of the lower half below them.
    """
    lowest = int(tied[0]) - (n_a == n_b)  # in equal arms one of the lowest seeds stays in arm A
    middle = int(np.searchsorted(np.cumsum(tied), (n_a + n_b) // 2))
    first_above = int(tied[middle]) if middle else lowest
    lower, upper = _placements_by_count(tied[:middle], lowest), _placements_by_count(tied[middle:], first_above)
    below, above = int(tied[:middle].sum()), int(tied[middle:].sum())
    parts, weights = [], []
    for in_b, (first, first_weights) in lower.items():
        more_b, in_a = n_b - in_b, below - in_b
        if more_b not in upper:
            continue
        second, second_weights = upper[more_b]
        more_a = above - more_b
        sum_of_a = more_a * more_b - second[0]  # of the upper half alone: every pair has one below the other
        moved = np.stack(
            [
                second[0] + more_b * in_a,
                second[1] + 2 * in_a * second[0] + more_b * in_a**2,
                second[2] + 2 * in_b * sum_of_a + more_a * in_b**2,
            ]
        )
        parts.append((first[:, :, None] + moved[:, None, :]).reshape(3, -1))
        weights.append(np.outer(first_weights, second_weights).ravel())
    return np.concatenate(parts, axis=1), np.concatenate(weights)


def _placements_by_count(tied: NDArray[np.int64], free_lowest: int) -> dict[int, tuple[Floats, Floats]]:
    """Return for each number of seeds of B the three sums of all labellings of these values, and their numbers.

    `free_lowest`: how many of the lowest, equal values may go to arm B.
    """
    so_far = {0: (np.zeros((3, 1)), np.ones(1))}
    seen = 0
    for place, size in enumerate(map(int, tied)):
        free = size if place else free_lowest
        reached: dict[int, list[tuple[Floats, Floats]]] = {}
        for in_b, (sums, weights) in so_far.items():
            for more in range(free + 1):
                of_b, of_a = seen - in_b + (size - more) / 2, in_b + more / 2
                step = np.array([[more * of_b], [more * of_b**2], [(size - more) * of_a**2]])
                reached.setdefault(in_b + more, []).append((sums + step, weights * math.comb(free, more)))
        seen += size
        so_far = {
            in_b: (np.concatenate([s for s, _ in parts], axis=1), np.concatenate([w for _, w in parts]))
            for in_b, parts in reached.items()
        }
    return so_far


def _studentised_ranks(sums: Floats, n_a: int, n_b: int) -> Floats:
    """Return the monotone image s^2 / (1 + s^2) of the Brunner-Munzel statistic; the sums are multiples of 1/4."""
    first, squares_b, squares_a = sums
    theta = first / (n_a * n_b)
    spread_b = (squares_b - first**2 / n_b) / n_a**2
    spread_a = (squares_a - (n_a * n_b - first) ** 2 / n_a) / n_b**2
    variance = np.maximum(spread_b, 0.0) / (n_b * (n_b - 1)) + np.maximum(spread_a, 0.0) / (n_a * (n_a - 1))
    return bounded_image((theta - 0.5) ** 2, variance)


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
