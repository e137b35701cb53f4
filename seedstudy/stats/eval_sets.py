"""Two recipes on several eval sets at once: one was declared to decide, the others are adjusted among themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedstudy.errors import StatisticsError
from seedstudy.stats.many import adjust, pair_test
from seedstudy.stats.permutation import Labelled, label_arms, studentised
from seedstudy.stats.sample import as_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSetTest:
    """One eval set of a comparison that looks at several."""

    eval_set: str
    is_primary: bool
    p_value: float
    """Unadjusted Welch p-value."""
    p_adjusted: float
    """The primary keeps its own p-value; the others are adjusted among themselves."""


def across_eval_sets(
    a: Mapping[str, ArrayLike],
    b: Mapping[str, ArrayLike],
    *,
    primary: str,
    rng: np.random.Generator,
    method: Literal["holm", "max-t"] = "holm",
    resamples: int = 9999,
) -> tuple[EvalSetTest, ...]:
    """Compare two recipes on several eval sets, of which one was declared to decide.

    Parameters
    ----------
    a, b : mapping of str to array_like, shapes (n_a,), (n_b,)
        Per eval set the results of the same seeds in the same order.
    primary : str
        The eval set that decides; its p-value is not adjusted.
    rng : numpy.random.Generator
        For "max-t" with many seeds.
    method : {"holm", "max-t"}
        "max-t" relabels whole seeds and so uses that eval sets go together (Westfall & Young 1993, step-down); its p
        has the floor of a permutation test.
    resamples : int
        Monte-Carlo labellings for "max-t".

    Raises
    ------
    StatisticsError
        The arms hold different eval sets, the primary is not among them, or a seed lacks one.

    """
    names = list(a)
    if set(names) != set(b) or primary not in names:
        raise StatisticsError(
            f"eval sets: arms hold {', '.join(a)} and {', '.join(b)}, primary {primary}; "
            "give both arms the same ones, the primary among them"
        )
    first, second = _matrix(a, names), _matrix(b, names)
    bare = [pair_test(first[:, i], second[:, i], rng)[1] for i in range(len(names))]
    others = [i for i, name in enumerate(names) if name != primary]
    if method == "max-t":
        adjusted = max_t(first[:, others], second[:, others], rng=rng, resamples=resamples)
    else:
        adjusted = adjust([bare[i] for i in others])
    by_index = dict(zip(others, adjusted, strict=True))
    return tuple(
        EvalSetTest(eval_set=name, is_primary=name == primary, p_value=bare[i], p_adjusted=by_index.get(i, bare[i]))
        for i, name in enumerate(names)
    )


def max_t(
    a: NDArray[np.float64], b: NDArray[np.float64], *, rng: np.random.Generator, resamples: int = 9999
) -> tuple[float, ...]:
    """Return step-down max-T p-values (Westfall & Young 1993) of the columns, relabelling rows.

    Parameters
    ----------
    a, b : arrays, shapes (n_a, n_columns), (n_b, n_columns)
        Seeds by eval sets.
    rng : numpy.random.Generator
        Used when there are too many labellings to try all.
    resamples : int
        Random labellings in that case.

    """
    columns = a.shape[1]
    if not columns:
        return ()
    statistics = [studentised(np.concatenate([a[:, i], b[:, i]])) for i in range(columns)]
    labelled = label_arms(a.shape[0], b.shape[0], rng=rng, resamples=resamples)
    observed = np.array([statistic(labelled.observed)[0] for statistic in statistics])
    order = np.argsort(-observed, kind="stable")
    counts = np.zeros(columns)
    for block in labelled.blocks:
        values = np.stack([statistics[i](block) for i in order], axis=1)
        # For the j-th largest the maximum runs over itself and all smaller ones.
        largest = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
        counts += np.sum(largest >= observed[order] - Labelled.TIE, axis=0)
    p_sorted = np.maximum.accumulate((counts + labelled.n_counted_extra) / labelled.n_total)
    adjusted = np.empty(columns)
    adjusted[order] = p_sorted
    return tuple(float(p) for p in adjusted)


def _matrix(arm: Mapping[str, ArrayLike], names: Sequence[str]) -> NDArray[np.float64]:
    columns: list[Any] = [as_sample(arm[name], name=name, at_least=2) for name in names]
    if len({column.size for column in columns}) > 1:
        sizes = ", ".join(f"{name} {column.size}" for name, column in zip(names, columns, strict=True))
        raise StatisticsError(f"eval sets: numbers of seeds differ ({sizes}); every seed needs every eval set")
    return np.stack(columns, axis=1)
