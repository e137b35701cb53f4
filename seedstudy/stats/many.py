"""Many comparisons read together: the more one looks at, the more one finds by luck."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seedstudy.stats.permutation import Labelled, floor_two_sample, label_arms, studentised
from seedstudy.stats.result import bounded_p
from seedstudy.stats.sample import Floats


def adjust(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number by Holm (1979)."""
    # Three lines instead of statsmodels' multipletests, which takes a second to import.
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    return tuple(bounded_p(float(value)) for value in adjusted)


def holm_steps(p_values: Sequence[float], error: float) -> list[int]:
    """Return by what Holm divides the error rate for each p-value; from the first that is not shown on, by the same.

    An interval at level 1 - error / step excludes 0 exactly where Holm's p-value is below the error rate.
    """
    steps, remaining = [0] * len(p_values), len(p_values)
    for i in sorted(range(len(p_values)), key=lambda i: p_values[i]):
        steps[i] = remaining
        if p_values[i] * remaining < error:
            remaining -= 1
    return steps


@dataclass(frozen=True, kw_only=True, slots=True)
class MaxT:
    """Columns of one relabelling, adjusted together in a single step, so that p-values and intervals agree."""

    p_values: tuple[float, ...]
    floor: float
    """Smallest p-value that these numbers of seeds can give."""
    largest: Floats
    """The largest statistic of each labelling, in descending order."""

    def reach(self, level: float) -> float:
        """Return the half-width of the simultaneous intervals, in standard errors; infinite below the floor."""
        k = math.ceil(round((1.0 - level) * self.largest.size, 9))
        image = float(self.largest[k - 1]) + Labelled.TIE
        return math.sqrt(image / (1.0 - image)) if image < min(1.0, self.largest[0]) else math.inf


def max_t(a: Floats, b: Floats, *, rng: np.random.Generator, resamples: int = 9999) -> MaxT:
    """Return single-step max-T p-values (Westfall & Young 1993) of the columns, relabelling rows.

    `a` and `b` have shapes (n_a, n_columns), (n_b, n_columns): seeds by eval sets. Where there are too many labellings
    to try all, `resamples` random ones are drawn.
    """
    n_a, n_b = a.shape[0], b.shape[0]
    statistics = [studentised(np.concatenate([a[:, i], b[:, i]]), n_a, n_b) for i in range(a.shape[1])]
    labelled = label_arms(statistics, n_a, n_b, rng=rng, resamples=resamples)
    seen = labelled.observed
    maxima = [images.max(axis=1) for images in labelled.blocks]
    largest = np.sort(np.concatenate([*maxima, np.full(labelled.n_counted_extra, seen.max())]))[::-1]
    counts = np.sum(largest[None, :] >= seen[:, None] - Labelled.TIE, axis=1)
    p_values = tuple(float(count) / largest.size for count in counts)
    return MaxT(p_values=p_values, floor=floor_two_sample(n_a, n_b), largest=largest)


def compact_letters(means: Mapping[str, float], different: set[tuple[str, str]]) -> dict[str, str]:
    """Return letters such that two recipes share one exactly when no difference between them was shown.

    Insert and absorb, Piepho (2004), "An algorithm for a letter-based representation of all-pairwise comparisons",
    J. Computational and Graphical Statistics 13. Letters run from the highest mean down.
    """
    order = sorted(means, key=lambda name: (-means[name], name))
    columns = [frozenset(order)]
    for a, b in sorted(different):
        split = []
        for column in columns:
            split += [column - {a}, column - {b}] if a in column and b in column else [column]
        columns = [
            column
            for i, column in enumerate(split)
            if not any(column < other or (column == other and j < i) for j, other in enumerate(split))
        ]
    columns.sort(key=lambda column: [order.index(name) for name in order if name in column])
    return {name: "".join(_letter(i) for i, column in enumerate(columns) if name in column) for name in order}


def _letter(i: int) -> str:
    """Return a, b, ..., z, then a1, b1, ..."""
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
