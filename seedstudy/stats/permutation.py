"""Permutation tests: exact where possible, with the smallest p that the numbers of seeds allow.

A statistic sees a labelling only through sums over arm B, so that no labelling is written down where all are tried:
the sums grow seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seedstudy.stats.sample import Floats, Sample, mean_of

EXACT_UP_TO = 200_000
"""Number of relabellings up to which all of them are tried."""
_TIMES_AS_MANY = 4
"""Random labellings drawn for each that is kept."""
_CELLS_AT_ONCE = 40_000
"""Labels in memory at a time: few enough to stay in the cache of a core."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """What is compared between labellings: a two-sided statistic, the same when the arms swap their names."""

    columns: Floats
    """Per seed the numbers that are summed over arm B, shape (n_seeds, n_columns)."""
    image: Callable[[Floats], Floats]
    """From these sums, shape (n_labellings, n_columns), to values in [0, 1], large = extreme; with one column it grows
    with the size of the sum."""


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


def can_enumerate(n_a: int, n_b: int) -> bool:
    """Return whether all labellings of so many seeds are tried."""
    return math.comb(n_a + n_b, n_a) <= EXACT_UP_TO


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Statistics of the labellings to try, as images in [0, 1]."""

    TIE: ClassVar[float] = 1e-10
    """Images closer than this are the same: rounding must not decide about a tie."""
    observed: Floats
    """Of the labelling that was seen, shape (n_statistics,)."""
    blocks: Iterator[Floats]
    """In blocks of bounded size, shape (n_labellings, n_statistics); to be read once."""
    n_counted_extra: int
    """1 for random labellings: the observed one counts as well, so p is never 0 (Phipson & Smyth 2010)."""
    n_total: int


def label_arms(
    statistics: Sequence[Statistic], n_a: int, n_b: int, *, rng: np.random.Generator, resamples: int
) -> Labelled:
    """Relabel n_a + n_b seeds in all ways, if there are at most `EXACT_UP_TO`, else in `resamples` random ones.

    The first n_a seeds are arm A. In equal arms one labelling of every two is left out, its mirror image.
    """
    columns = np.hstack([statistic.columns for statistic in statistics])
    borders = np.cumsum([statistic.columns.shape[1] for statistic in statistics])[:-1]

    def images(sums: Floats) -> Floats:
        parts = np.split(sums, borders, axis=1)
        return np.stack([s.image(part) for s, part in zip(statistics, parts, strict=True)], axis=1)

    observed = images(columns[n_a:].sum(axis=0)[None, :])[0]
    if can_enumerate(n_a, n_b):
        free = columns[1:] if n_a == n_b else columns  # the first seed stays in arm A
        total = math.comb(len(free), n_b)
        return Labelled(
            observed=observed, blocks=iter((images(_all_sums(free, n_b)),)), n_counted_extra=0, n_total=total
        )
    random = iter((images(_random_sums(columns, n_a, n_b, resamples, rng)),))
    return Labelled(observed=observed, blocks=random, n_counted_extra=1, n_total=resamples + 1)


def permute(statistic: Statistic, n_a: int, n_b: int, *, rng: np.random.Generator, resamples: int) -> Permutation:
    """Relabel n_a + n_b seeds, and count labellings at least as extreme as this one; see :func:`label_arms`."""
    floor = floor_two_sample(n_a, n_b)
    if statistic.columns.shape[1] == 1 and can_enumerate(n_a, n_b):
        return Permutation(p_value=_share_as_large(statistic.columns[:, 0], n_a, n_b), floor=floor)
    labelled = label_arms([statistic], n_a, n_b, rng=rng, resamples=resamples)
    bound = labelled.observed - Labelled.TIE
    count = labelled.n_counted_extra + sum(int(np.sum(images >= bound)) for images in labelled.blocks)
    return Permutation(p_value=count / labelled.n_total, floor=floor)


def _share_as_large(values: Sample, n_a: int, n_b: int) -> float:
    """Return the share of labellings whose sum over arm B is as large in size as the one seen, without adding them up.

    Every labelling is one of the first half of the seeds and one of the second half: sorting the latter is enough.
    """
    bound = abs(float(values[n_a:].sum())) - Labelled.TIE * float(np.max(np.abs(values)))
    if bound <= 0.0:
        return 1.0
    half, count = values.size // 2, 0
    first, second = (_sums_by_count(part[:, None]) for part in (values[:half], values[half:]))
    for k, sums in first.items():
        if n_b - k in second:
            others = np.sort(second[n_b - k][0])
            count += int(np.sum(others.size - np.searchsorted(others, bound - sums[0], side="left")))
            count += int(np.sum(np.searchsorted(others, -bound - sums[0], side="right")))
    return count / math.comb(values.size, n_b)


def permute_all(statistic: Statistic, n_a: int, n_b: int) -> Permutation:
    """Try every labelling; the caller knows that there are few enough."""
    return permute(statistic, n_a, n_b, rng=np.random.default_rng(0), resamples=0)


def studentised(values: Sample, n_a: int, n_b: int) -> Statistic:
    """Return the monotone image t^2 / (1 + t^2) of Welch's t for any labelling of the pooled values.

    Studentising keeps the test right in large samples when the spreads differ (Janssen 1997; Chung & Romano
    2013). The bounded image has no 0/0 where a labelling leaves both arms without spread.
    """
    centred = values - mean_of(values)
    scale = float(np.max(np.abs(centred)))
    z = centred / scale if scale > 0 else centred
    # In equal arms the sum of both arms' squares follows from the means: one column less to sum.
    columns = z[:, None] if n_a == n_b else np.stack([z, z * z], axis=1)
    total, total_of_squares = float(z.sum()), float(z @ z)

    def image(sums: Floats) -> Floats:
        in_b = sums[:, 0]
        if n_a == n_b:  # the same in fewer steps: the means are in_b / n and -in_b / n
            squared = np.square(in_b) * (4 / n_a**2)
            return bounded_image(squared, (total_of_squares - squared * (n_a / 2)) / (n_a * (n_a - 1)))
        mean_b, mean_a = in_b / n_b, (total - in_b) / n_a
        squared = (mean_b - mean_a) ** 2
        ss_b = np.maximum(sums[:, 1] - n_b * mean_b**2, 0.0)
        ss_a = np.maximum(total_of_squares - sums[:, 1] - n_a * mean_a**2, 0.0)
        if n_a == 1 or n_b == 1:
            variance = (ss_a + ss_b) / (n_a + n_b - 2) * (1 / n_a + 1 / n_b)
        else:
            variance = ss_a / (n_a * (n_a - 1)) + ss_b / (n_b * (n_b - 1))
        return bounded_image(squared, variance)

    return Statistic(columns, image)


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
        sums = z[:1]  # the first sign stays: flipping all of them gives the same size
        for value in z[1:]:
            sums = np.concatenate([sums - value, sums + value])
        blocks, extra, total = iter((sums,)), 0, sums.size
    else:
        blocks = ((rng.integers(0, 2, (size, n)) * 2.0 - 1.0) @ z for size in _blocks(resamples, n))
        extra, total = 1, resamples + 1
    count = extra + sum(int(np.sum(np.abs(sums) / n >= bound)) for sums in blocks)
    return Permutation(p_value=count / total, floor=floor_paired(n))


def _blocks(total: int, width: int) -> Iterator[int]:
    """Yield block sizes that keep a (block, width) array of bounded size."""
    step = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, total, step):
        yield min(step, total - start)


def _all_sums(columns: Floats, n_chosen: int) -> Floats:
    """Return the sums over every choice of so many rows, shape (n_choices, n_columns).

    Every choice is one of the first half of the rows and one of the second half.
    """
    half = columns.shape[0] // 2
    first, second = _sums_by_count(columns[:half]), _sums_by_count(columns[half:])
    parts = [
        (sums[:, :, None] + second[n_chosen - k][:, None, :]).reshape(columns.shape[1], -1)
        for k, sums in first.items()
        if n_chosen - k in second
    ]
    return np.concatenate(parts, axis=1).T


def _sums_by_count(columns: Floats) -> dict[int, Floats]:
    """Return for each number of chosen rows the sums over every such choice, shape (n_columns, n_choices)."""
    sums = {0: np.zeros((columns.shape[1], 1))}
    for row in columns[:, :, None]:
        one_more = {k + 1: chosen + row for k, chosen in sums.items()}
        sums = {
            k: np.concatenate([part[k] for part in (sums, one_more) if k in part], axis=1) for k in range(len(sums) + 1)
        }
    return sums


def random_bits(n_a: int, n_b: int, resamples: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return random labellings, a bit for each seed, shape (n_labellings, n_bytes): 1 where a seed goes to arm B.

    ``np.unpackbits`` with ``count=n_a + n_b`` gives the labels; the bits behind them are 0.

    Every seed goes to arm B by an independent draw; then seeds of the arm that got too many, drawn at random, change
    sides. No seed is preferred at any step, so all labellings are equally likely; partitioning random keys takes three
    times as long. Where the arms are nearly equal, more labellings are drawn than are needed, and those kept that have
    least to change: of each number of seeds in arm B all labellings are still equally likely.
    """
    n = n_a + n_b
    if (n_a - n_b) ** 2 <= n:
        width = 8 * -(-n // 64)  # whole words of 64 seeds, which are counted at once
        words = np.frombuffer(bytearray(rng.bytes(_TIMES_AS_MANY * resamples * width)), dtype=np.uint64)
        words = words.reshape(-1, width // 8)
        words &= np.packbits(np.arange(8 * width) < n).view(np.uint64)
        excess = np.bitwise_count(words).sum(axis=1, dtype=np.int64) - n_b
        kept = np.sort(np.argpartition(np.abs(excess), resamples - 1)[:resamples])
        bits, excess = words[kept].view(np.uint8), excess[kept]
    else:
        drawn = np.frombuffer(rng.bytes(resamples * n), dtype=np.uint8)
        bits = np.packbits((drawn < round(256 * n_b / n)).reshape(resamples, n), axis=1)
        excess = np.bitwise_count(bits).sum(axis=1, dtype=np.int64) - n_b
    flat, width = bits.reshape(-1), bits.shape[1]
    rows = np.flatnonzero(excess)
    while rows.size:
        seeds = rng.integers(0, n, rows.size)
        places, masks = rows * width + (seeds >> 3), _MASKS[seeds & 7]
        changes = ((flat[places] & masks) > 0) == (excess[rows] > 0)
        changing = rows[changes]
        flat[places[changes]] ^= masks[changes]
        excess[changing] -= np.sign(excess[changing])
        rows = rows[excess[rows] != 0]
    return bits


_MASKS = np.array([128 >> bit for bit in range(8)], dtype=np.uint8)


def _random_sums(columns: Floats, n_a: int, n_b: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the sums over arm B of random labellings, shape (n_labellings, n_columns).

    Of eight seeds at a time there are 256 sums, which are looked up.
    """
    bits = np.ascontiguousarray(random_bits(n_a, n_b, resamples, rng).T)
    padded = np.vstack([columns, np.zeros((-len(columns) % 8, columns.shape[1]))])
    sums = np.zeros((resamples, columns.shape[1]))
    for byte, eight in zip(bits, padded.reshape(-1, 8, columns.shape[1]), strict=False):  # the last bytes may be empty
        sums += (_EIGHT @ eight)[byte]
    return sums


_EIGHT = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
"""The seeds of every byte, shape (256, 8)."""
