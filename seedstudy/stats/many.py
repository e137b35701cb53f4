"""Many comparisons read together: the more one looks at, the more one finds by luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seedstudy.stats.permutation import Labelled, label_arms, studentised
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


def max_t(a: Floats, b: Floats, *, rng: np.random.Generator, resamples: int = 9999) -> tuple[float, ...]:
    """Return step-down max-T p-values (Westfall & Young 1993) of the columns, relabelling rows.

    `a` and `b` have shapes (n_a, n_columns), (n_b, n_columns): seeds by eval sets. Where there are too many labellings
    to try all, `resamples` random ones are drawn.
    """
    columns = a.shape[1]
    if not columns:
        return ()
    n_a, n_b = a.shape[0], b.shape[0]
    statistics = [studentised(np.concatenate([a[:, i], b[:, i]]), n_a, n_b) for i in range(columns)]
    labelled = label_arms(statistics, n_a, n_b, rng=rng, resamples=resamples)
    order = np.argsort(-labelled.observed, kind="stable")
    counts = np.zeros(columns)
    for images in labelled.blocks:
        # For the j-th largest the maximum runs over itself and all smaller ones.
        largest = np.maximum.accumulate(images[:, order[::-1]], axis=1)[:, ::-1]
        counts += np.sum(largest >= labelled.observed[order] - Labelled.TIE, axis=0)
    p_sorted = np.maximum.accumulate((counts + labelled.n_counted_extra) / labelled.n_total)
    adjusted = np.empty(columns)
    adjusted[order] = p_sorted
    return tuple(float(p) for p in adjusted)


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
