"""Where the spread of a design's trainings comes from: the random streams, each alone and combined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seedstudy.document import FLAT, fields_of
from seedstudy.stats.components import FEWEST_LEVELS, Component, Components, balanced_components, reml_components
from seedstudy.stats.result import Estimate
from seedstudy.stats.variance import sd_factors, sd_ratio, std_interval
from seedstudy.study.group import Cells, Group
from seedstudy.study.seeds import PURPOSES


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one source, or a combination of sources, adds to the variance."""

    sources: tuple[str, ...]
    """Each a stream, or streams that move together (``augment+mix``); of the sum, none."""
    variance: float
    """Unbiased estimate, in the square of the group's unit; may be negative."""
    std: Estimate
    """Its root, in the group's unit, 0 where the estimate is negative."""
    df: int
    share: float | None
    """Of the sum of all parts that are not negative; None of the sum itself."""

    @property
    def is_there(self) -> bool:
        """Whether the lower limit is above 0."""
        return self.std.low > 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a part of ``variance --json``."""
        return fields_of(self) | {"is_there": self.is_there}


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetitions:
    """Trainings with the same seed in every stream."""

    n_trials: int
    n_sets: int
    """Sets of trainings that are repetitions of each other."""
    std: Estimate
    """Within the sets."""

    @property
    def are_equal(self) -> bool:
        """Whether no repetition differs from another."""
        return self.std.value == 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a part of ``variance --json``."""
        return fields_of(self) | {"are_equal": self.are_equal}


@dataclass(frozen=True, kw_only=True, slots=True)
class DesignVariance:
    """The variance over a design's trainings on one eval set, by source."""

    group: Group = field(metadata=FLAT)
    levels: dict[str, int]
    """Source -> number of its seeds; empty where no sources are crossed."""
    n_trials: int
    """Trainings in `parts`."""
    is_complete: bool
    """Whether every combination was trained."""
    parts: tuple[Part, ...]
    total: Part | None
    repetitions: Repetitions | None
    method: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetVariance:
    """The spread over seeds while some streams stay fixed. Such spreads are no parts of a whole: they do not add up."""

    group: Group = field(metadata=FLAT)
    vary: tuple[str, ...]
    std: Estimate
    ratio: Estimate | None
    """Of the std to that over all streams; None without such trials, or with too few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Designs:
    """What the designs among some groups say."""

    crossed: tuple[DesignVariance, ...]
    subsets: tuple[SubsetVariance, ...]

    @property
    def is_any(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.crossed or self.subsets)


def designs_of(groups: Iterable[Group], *, level: float) -> Designs:
    """Return what trials that share streams, and trials with some streams fixed, say about single streams."""
    groups = list(groups)
    found = (design_of(group, level=level) for group in groups)
    return Designs(crossed=tuple(each for each in found if each is not None), subsets=subsets_of(groups, level=level))


def design_of(group: Group, *, level: float) -> DesignVariance | None:
    """Return the components of a group whose trials share streams; None for plain seeds."""
    if group.cells is None:
        return None
    sources = _sources(group.cells)
    found, levels, n_trials, is_complete = _crossed(group.cells, sources, level)
    repetitions = _repetitions(group.cells, level)
    if found is None and repetitions is None:
        return None
    parts: list[Part] = []
    warnings: list[str] = []
    if found is not None:
        names = tuple(levels)
        whole = sum(max(part.variance, 0.0) for part in found.parts)
        parts = [_part(part, names, n_trials, found, whole) for part in found.parts]
        few = [f"{name} ({n})" for name, n in levels.items() if n < FEWEST_LEVELS]
        if few:
            what = "its component and its combinations" if len(few) == 1 else "their components and combinations"
            warnings.append(f"{', '.join(few)}: with fewer than {FEWEST_LEVELS} seeds {what} cannot be known")
        negative = [f"{' x '.join(part.sources)} {part.variance:.2g}" for part in parts if part.variance < 0.0]
        if negative:
            warnings.append(f"variances estimated below 0, shown as 0: {', '.join(negative)}")
    return DesignVariance(
        group=group,
        levels=levels,
        n_trials=n_trials,
        is_complete=is_complete,
        parts=tuple(parts),
        total=None if found is None else _part(found.total, (), n_trials, found, None),
        repetitions=repetitions,
        method="" if found is None else found.method,
        warnings=tuple(warnings),
    )


def _part(part: Component, names: Sequence[str], n: int, found: Components, whole: float | None) -> Part:
    value, low, high = (math.sqrt(max(x, 0.0)) for x in (part.variance, part.low, part.high))
    return Part(
        sources=tuple(names[axis] for axis in part.sources),
        variance=part.variance,
        std=Estimate.of(value, (low, high), level=found.level, n=n, method=found.method),
        df=part.df,
        share=max(part.variance, 0.0) / whole if whole else None,
    )


def _sources(cells: Cells) -> dict[str, npt.NDArray[np.int64]]:
    """Return the seeds of each source; streams that have the same seed in every trial are one source."""
    together: dict[bytes, list[str]] = {}
    for stream, seeds in cells.seeds.items():
        together.setdefault(seeds.tobytes(), []).append(stream)
    return {"+".join(streams): cells.seeds[streams[0]] for streams in together.values()}


def _crossed(
    cells: Cells, sources: dict[str, npt.NDArray[np.int64]], level: float
) -> tuple[Components | None, dict[str, int], int, bool]:
    """Return the components, the number of levels and of trials, and whether every combination is there.

    A trial that shares no seed with another cell (a plain seed beside a design) says nothing about single sources.
    """
    if len(sources) < 2:
        return None, {}, 0, False
    table = np.column_stack(list(sources.values()))
    first = _first_of_each(table, cells.replicates)
    members = _connected(table, first)
    rows = table[members]
    levels = {name: len(np.unique(column)) for name, column in zip(sources, rows.T, strict=True)}
    if not members.size or min(levels.values()) < 2:
        return None, {}, 0, False
    if len(members) < math.prod(levels.values()):
        columns = list(rows.T)
        return reml_components(columns, cells.values[members], level=level), levels, len(members), False
    codes = tuple(np.unique(column, return_inverse=True)[1] for column in rows.T)
    by_cell = [np.flatnonzero((table == row).all(axis=1)) for row in rows]
    n_repetitions = min(map(len, by_cell))
    is_repeated = n_repetitions > 1 and all(len(trials) == n_repetitions for trials in by_cell)
    values = np.empty((*levels.values(), n_repetitions if is_repeated else 1))
    for *place, own, trials in zip(*codes, members, by_cell, strict=True):
        values[tuple(place)] = cells.values[trials] if is_repeated else cells.values[own]
    return balanced_components(values, level=level), levels, values.size, True


def _first_of_each(table: npt.NDArray[np.int64], replicates: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the row of the first repetition of each cell."""
    order = np.lexsort((replicates, *table.T[::-1]))
    ordered = table[order]
    is_new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    return np.sort(order[is_new])


def _connected(table: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the rows that share the seed of a source with another one."""
    shared = np.zeros(len(rows), dtype=np.bool_)
    for column in table[rows].T:
        counts = Counter(column.tolist())
        shared |= np.array([counts[seed] > 1 for seed in column.tolist()], dtype=np.bool_)
    return rows[shared]


def _repetitions(cells: Cells, level: float) -> Repetitions | None:
    table = np.column_stack(list(cells.seeds.values()))
    _, which, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    sets = [cells.values[which == cell] for cell in np.flatnonzero(counts > 1)]
    if not sets:
        return None
    from_means = np.concatenate([values - values[0] - (values - values[0]).mean() for values in sets])
    df = len(from_means) - len(sets)
    sd = math.sqrt(float(from_means @ from_means) / df)
    ends = [sd * factor for factor in sd_factors(df, level)] if sd > 0.0 else None
    std = Estimate.of(sd, ends, level=level, n=len(from_means), method="chi2")
    return Repetitions(n_trials=len(from_means), n_sets=len(sets), std=std)


def subsets_of(groups: Iterable[Group], *, level: float) -> tuple[SubsetVariance, ...]:
    """Return the spread of each group in which some streams stay fixed, beside that over all streams."""
    groups = list(groups)
    all_streams = {_place(group): group for group in groups if group.vary == PURPOSES and group.n > 1}
    found = []
    for group in groups:
        if not group.vary or group.vary == PURPOSES or group.n < 2 or group.cells is not None:
            continue
        whole = all_streams.get(_place(group))
        found.append(
            SubsetVariance(
                group=group,
                vary=group.vary,
                std=std_interval(group.values, level=level),
                ratio=None if whole is None else sd_ratio(whole.values, group.values, level=level),
            )
        )
    return tuple(found)


def _place(group: Group) -> tuple[str | None, ...]:
    return group.recipe_id, group.model, group.data, group.eval_set, group.metric
