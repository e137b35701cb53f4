"""Permutation tests: exact where possible, with the smallest p that the numbers of seeds allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seedstudy.stats.sample import Floats, Sample

EXACT_UP_TO = 200_000
"""Number of relabellings up to which all of them are tried."""
_CELLS_AT_ONCE = 40_000
"""Labels in memory at a time: few enough to stay in the cache of a core."""

Statistic = Callable[[Floats], Floats]
"""From labellings (n_labellings, n_seeds), 1.0 where a seed goes to arm B, to values in [0, 1], large = extreme."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permutation:
    """A permutation p-value and the smallest one that this many seeds could have given."""

    p_value: float
    floor: float
    """Smallest attainable two-sided p for these sample sizes, without ties."""


def floor_two_sample(n_a: int, n_b: int) -> float:
    """Return the smallest two-sided permutation p: 2/C(2n, n) for equal sizes, 1/C(n_a + n_b, n_a) otherwise."""
    return (2 if n_a == n_b else 1) / math.comb(n_a + n_b, n_a)


def floor_paired(n: int) -> float:
    """Return the smallest two-sided sign-flip p, 2/2^n."""
    return 2.0 ** (1 - n)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """The labellings to try; several statistics may look at the same ones."""

    TIE: ClassVar[float] = 1e-10
    """Statistics closer than this (on a scale of 0 to 1) are the same: rounding must not decide about a tie."""
    observed: Floats
    """The labelling that was seen, shape (1, n_seeds)."""
    blocks: Iterator[Floats]
    """Labellings in blocks of bounded size; to be read once."""
    n_counted_extra: int
    """1 for random labellings: the observed one counts as well, so p is never 0 (Phipson & Smyth 2010)."""
    n_total: int


def label_arms(
    n_a: int, n_b: int, *, rng: np.random.Generator, resamples: int, exact_up_to: int = EXACT_UP_TO
) -> Labelled:
    """Return all labellings of n_a + n_b seeds if there are at most so many, else random ones."""
    observed = np.repeat([0.0, 1.0], [n_a, n_b])[None, :]
    total = math.comb(n_a + n_b, n_a)
    if total <= exact_up_to:
        return Labelled(observed=observed, blocks=_all_labellings(n_a, n_b), n_counted_extra=0, n_total=total)
    blocks = _random_labellings(n_a, n_b, resamples, rng)
    return Labelled(observed=observed, blocks=blocks, n_counted_extra=1, n_total=resamples + 1)


def permute(statistic: Statistic, n_a: int, n_b: int, *, rng: np.random.Generator, resamples: int) -> Permutation:
    """Relabel n_a + n_b seeds, the first n_a being arm A, and count labellings at least as extreme as this one.

    Where there are more than `EXACT_UP_TO` labellings, `resamples` random ones are drawn.
    """
    labelled = label_arms(n_a, n_b, rng=rng, resamples=resamples)
    bound = float(statistic(labelled.observed)[0]) - Labelled.TIE
    count = labelled.n_counted_extra + sum(int(np.sum(statistic(block) >= bound)) for block in labelled.blocks)
    return Permutation(p_value=count / labelled.n_total, floor=floor_two_sample(n_a, n_b))


def permute_all(statistic: Statistic, n_a: int, n_b: int) -> Permutation:
    """Try every labelling; the caller knows that there are few enough."""
    return permute(statistic, n_a, n_b, rng=np.random.default_rng(0), resamples=0)


def studentised(values: Sample) -> Statistic:
    """Return the monotone image t^2 / (1 + t^2) of Welch's t for any labelling of the pooled values.

    Studentising keeps the test right in large samples when the spreads differ (Janssen 1997; Chung & Romano
    2013). The bounded image has no 0/0 where a labelling leaves both arms without spread.
    """
    centred = values - values.mean()
    scale = float(np.max(np.abs(centred)))
    z = centred / scale if scale > 0 else centred
    columns = np.stack([z, z * z], axis=1)
    n, (total, total_of_squares) = values.size, columns.sum(axis=0)

    def statistic(labels: Floats) -> Floats:
        n_b = labels[0].sum()
        n_a = n - n_b
        sums = labels @ columns
        mean_b, mean_a = sums[:, 0] / n_b, (total - sums[:, 0]) / n_a
        ss_b = np.maximum(sums[:, 1] - n_b * mean_b**2, 0.0)
        ss_a = np.maximum(total_of_squares - sums[:, 1] - n_a * mean_a**2, 0.0)
        squared = (mean_b - mean_a) ** 2
        if n_a == 1 or n_b == 1:
            variance = (ss_a + ss_b) / (n - 2) * (1 / n_a + 1 / n_b)
        else:
            variance = ss_a / (n_a * (n_a - 1)) + ss_b / (n_b * (n_b - 1))
        return bounded_image(squared, variance)

    return statistic


def bounded_image(squared: Floats, variance: Floats) -> Floats:
    """Return t^2 / (1 + t^2), where t^2 = squared / variance; 0 where both are 0."""
    total = squared + variance
    return np.divide(squared, total, out=np.zeros_like(squared), where=total > 1e-30)


def sign_flips(differences: Sample, *, rng: np.random.Generator, resamples: int) -> Permutation:
    """Flip the signs of paired differences; the statistic is the size of their mean."""
    n = differences.size
    scale = float(np.max(np.abs(differences))) or 1.0
    z = differences / scale
    bound = abs(float(z.mean())) - Labelled.TIE
    if 2**n <= EXACT_UP_TO:
        blocks, extra, total = iter([np.array(list(itertools.product((-1.0, 1.0), repeat=n)))]), 0, 2**n
    else:
        blocks = (rng.integers(0, 2, (size, n)) * 2.0 - 1.0 for size in _blocks(resamples, n))
        extra, total = 1, resamples + 1
    count = extra + sum(int(np.sum(np.abs(signs @ z) / n >= bound)) for signs in blocks)
    return Permutation(p_value=count / total, floor=floor_paired(n))


def _blocks(total: int, width: int) -> Iterator[int]:
    """Yield block sizes that keep a (block, width) array of bounded size."""
    step = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, total, step):
        yield min(step, total - start)


def _all_labellings(n_a: int, n_b: int) -> Iterator[Floats]:
    """Yield every labelling once, choosing the smaller arm; blocks of bounded size."""
    n, chosen = n_a + n_b, min(n_a, n_b)
    choices = itertools.combinations(range(n), chosen)
    for size in _blocks(math.comb(n, chosen), n):
        flat = itertools.chain.from_iterable(itertools.islice(choices, size))
        index = np.fromiter(flat, dtype=np.intp, count=size * chosen).reshape(size, chosen)
        labels = np.full((size, n), float(n_b > n_a))
        np.put_along_axis(labels, index, float(n_b <= n_a), axis=1)
        yield labels


def _random_labellings(n_a: int, n_b: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield random labellings: every seed draws a key, and the n_b smallest keys go to arm B.

    Partitioning keys takes a third of the time of shuffling labels. Two equal keys among 53 random bits, which would
    give arm B a seed too many, come once in 10^13 labellings of 200 seeds.
    """
    for size in _blocks(resamples, n_a + n_b):
        keys = rng.random((size, n_a + n_b))
        border = np.partition(keys, n_b - 1, axis=1)[:, n_b - 1 : n_b]
        yield (keys <= border).astype(np.float64)
