"""One recipe: n, mean, std, extremes and seed 0, each with its interval; and the shape of its distribution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from seedstudy.decide.answers import Answers
from seedstudy.decide.images import MeanReading
from seedstudy.document import FLAT, HIDDEN, document, fields_of, shown_as
from seedstudy.errors import StudyError
from seedstudy.read.metrics import direction_of
from seedstudy.stats.describe import (
    Description,
    DescriptionDetails,
    Rank,
    describe,
    describe_details,
    mean_interval,
    rank_of,
)
from seedstudy.stats.doubt import FEWEST_TO_JUDGE as FEWEST_TO_JUDGE
from seedstudy.stats.fit import FEWEST_FOR_SHAPE, Fit, FittedFamily, density, fit
from seedstudy.study.group import NOTHING_READ, Group, Readings, Values

DEFAULT_RNG_SEED = 0

SUMMARY: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("recipe", "model", "data", "eval_set", "metric", "unit"), pl.String()),
    "n": pl.Int64(),
    **dict.fromkeys(
        ("mean", "mean_low", "mean_high", "std", "std_low", "std_high", "min", "max", "seed0", "level"), pl.Float64()
    ),
    "warnings": pl.List(pl.String()),
}
"""Columns of :meth:`Summaries.to_frame`; intervals have the row's level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One row of the summary table."""

    group: Group = field(metadata=FLAT)
    description: Description = field(metadata=FLAT)
    seed0_rank: Rank | None = field(metadata=HIDDEN)
    """Rank of seed 0 among all seeds; None without a seed 0, or without another seed."""
    warnings: tuple[str, ...]
    on_new_images: MeanReading | None = field(default=None, metadata=shown_as("images"))
    """The mean for new seeds and new images; None without predictions."""

    @property
    def level(self) -> float:
        """Confidence level of every interval."""
        return self.description.mean.level

    @property
    def is_lower_better(self) -> bool:
        """Whether the metric's name says so; accuracies never do."""
        if self.group.declared_lower is not None:
            return self.group.declared_lower
        return direction_of(self.group.metric, self.group.unit) == "lower"

    @property
    def seed0_place(self) -> int | None:
        """Place of seed 0 among all seeds, 1 for the best; None without a seed 0, or without another seed."""
        rank = self.seed0_rank
        return None if rank is None else 1 + (rank.n_below if self.is_lower_better else rank.n_above)

    @property
    def details(self) -> DescriptionDetails:
        """What the table leaves out; computed when asked for."""
        return describe_details(self.group.values, level=self.level, name=self.group.label)

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``summary --json``."""
        more = {"seed0": self.group.seed0, "level": self.level, "details": document(self.details)}
        return fields_of(self) | more


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Summaries(Answers[Summary]):
    """One row per recipe and eval set, and the same facts as a frame or a document."""

    answers: tuple[Summary, ...] = field(metadata=shown_as("groups"))
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no row includes."""
    late_rules: tuple[str, ...] = ()
    """One sentence per study whose rule was declared after it had results."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

    def to_frame(self) -> pl.DataFrame:
        """Return the columns of :data:`SUMMARY`, accuracies in percentage points."""
        flat = []
        for row in self:
            facts = row.to_dict()
            for name in ("mean", "std"):
                facts[f"{name}_low"], facts[f"{name}_high"] = facts.pop(f"{name}_ci") or (None, None)
            flat.append({name: facts[name] for name in SUMMARY})
        return pl.DataFrame(flat, schema=dict(SUMMARY))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedGroup:
    """The shape of one group's distribution over seeds."""

    summary: Summary
    fit: Fit

    @property
    def group(self) -> Group:
        """The group whose seeds were fitted."""
        return self.summary.group

    @property
    def largest(self) -> float | None:
        """The value at which every image is right, in the group's unit; None where the metric has no such value."""
        return 100.0 if self.group.unit == "pp" else None

    @property
    def best_families(self) -> tuple[FittedFamily, ...]:
        """The families that describe the seeds equally well: AICc within 2 of the lowest (Burnham & Anderson 2002)."""
        return tuple(family for family in self.fit.families if family.aicc - self.fit.families[0].aicc < 2.0)

    @property
    def normality(self) -> Literal["rejected", "mixed", "not rejected", "constant"]:
        """What the tests of normality say together, each at 0.05; constant: all seeds have the same value."""
        rejected = [test.p_value < 0.05 for test in self.fit.normality]
        if not rejected:
            return "constant"
        return "rejected" if all(rejected) else "mixed" if any(rejected) else "not rejected"

    @property
    def has_few_seeds(self) -> bool:
        """Whether there are fewer seeds than a shape needs."""
        return self.fit.n < FEWEST_FOR_SHAPE

    def density(self, family: FittedFamily, x: Values) -> Values:
        """Return the density of one of the fitted families at the values `x`, per unit of the group."""
        return density(family, x, largest=self.largest)

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``fit --json``."""
        entry = {**self.group.to_dict(), **fields_of(self.fit)}
        for name in ("mean", "std", "skewness", "excess_kurtosis"):
            entry[name] = {"value": entry[name], "ci": entry.pop(f"{name}_ci"), "level": self.fit.mean.level}
        return entry


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Fits(Answers[FittedGroup]):
    """The fits of one recipe, one per eval set."""

    answers: tuple[FittedGroup, ...] = field(metadata=shown_as("groups"))
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no fit includes."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``fit --json``: the facts of the first eval set, and all of them under "groups"."""
        return {**document(self.answers[0]), **fields_of(self)}


def summarise(group: Group, *, level: float = 0.95) -> Summary:
    """Describe one group: n, mean, std, extremes, seed 0, with intervals and what they do not show."""
    if group.moments is not None:
        raise StudyError(f'"{group.label}" gives mean and std already: one number per seed is needed.')
    description = describe(group.values, level=level, name=group.label)
    warnings = [*description.warnings, *_beyond(group, description.mean.low, description.mean.high), *doubts_of(group)]
    rank = rank_of(group.seed0, group.values) if group.seed0 is not None and group.n > 1 else None
    return Summary(group=group, description=description, seed0_rank=rank, warnings=tuple(dict.fromkeys(warnings)))


def _beyond(group: Group, low: float, high: float) -> Iterator[str]:
    """Yield what to say of an interval of an accuracy that leaves [0, 100]; an end that is not known is nan."""
    if group.unit == "pp" and (low < 0.0 or high > 100.0):
        yield (
            "the interval of the mean leaves [0, 100]: the seeds are too far apart, or too near the end, for one that "
            "assumes normal seeds; look at them one by one"
        )


def fit_group(
    group: Group, *, level: float = 0.95, n_examples: int | None = None, rng_seed: int = DEFAULT_RNG_SEED
) -> FittedGroup:
    """Fit distributions to one group; the beta distribution too where values are shares strictly inside 0 and 100 %.

    `n_examples`: images of the eval set, where the group does not know: accuracies come in steps of one image.
    """
    summary = summarise(group, level=level)
    is_share = group.unit == "pp"
    if n_examples is not None and not is_share:
        raise StudyError(f'{group.label}: "{group.metric}" is not an accuracy: it has no steps of one image.')
    whole = 100.0 if is_share and group.values.min() > 0.0 and group.values.max() < 100.0 else None
    step = group.step if n_examples is None else 100.0 / n_examples
    rng = np.random.default_rng(rng_seed)
    found = fit(group.values, rng=rng, level=level, step=step, largest=whole, name=group.label)
    return FittedGroup(summary=summary, fit=found)


def doubts_of(group: Group) -> tuple[str, ...]:
    """Return what is known to be wrong with a group's trials."""
    if not group.n_left_out:
        return group.notes
    trials = "1 trial" if group.n_left_out == 1 else f"{group.n_left_out} trials"
    return (f"{trials} without a result (diverged, failed or interrupted) left out", *group.notes)


def running_means(summary: Summary) -> tuple[Values, Values, Values, Values]:
    """Return numbers of seeds from 2 on, and the mean and the ends of its t interval over the first so many.

    In the order of the seeds where they are known, each of shape (n_seeds - 1,).
    """
    group = summary.group
    values = group.values if group.seeds is None else group.values[np.argsort(group.seeds, kind="stable")]
    numbers = np.arange(2, len(values) + 1)
    each = [mean_interval(values[:n], level=summary.level) for n in numbers]
    mean, low, high = (np.array([getattr(e, name) for e in each]) for name in ("value", "low", "high"))
    return numbers.astype(float), mean, low, high


@dataclass(frozen=True, kw_only=True, slots=True)
class PairOfSets:
    """The seeds of one recipe that have results on two eval sets."""

    x: Summary
    y: Summary
    on_x: Values
    on_y: Values
    """(n_seeds,), in the order of :attr:`on_x`."""

    @property
    def correlation(self) -> float | None:
        """Pearson's, over the seeds; None for fewer than three, or without spread."""
        if len(self.on_x) < 3 or not (np.ptp(self.on_x) and np.ptp(self.on_y)):
            return None
        return float(np.corrcoef(self.on_x, self.on_y)[0, 1])


def pairs_of_sets(summaries: Sequence[Summary]) -> list[PairOfSets]:
    """Return, of each recipe, its seeds on the first eval set of all beside those on each further one.

    Seeds are matched by their number; recipes whose seeds are not known are left out.
    """
    if not summaries:
        return []
    first = summaries[0].group.eval_set
    found = []
    for x in summaries:
        a = x.group
        if a.eval_set != first or a.seeds is None:
            continue
        for y in summaries:
            b = y.group
            is_same = (a.label, a.recipe_id, a.pool_key, a.origin) == (b.label, b.recipe_id, b.pool_key, b.origin)
            if b.eval_set == first or b.seeds is None or not is_same:
                continue
            of_x, of_y = (dict(zip(seeds, g.values, strict=True)) for seeds, g in ((a.seeds, a), (b.seeds, b)))
            shared = [seed for seed in a.seeds if seed in of_y]
            if shared:
                on_x, on_y = (np.array([of[seed] for seed in shared]) for of in (of_x, of_y))
                found.append(PairOfSets(x=x, y=y, on_x=on_x, on_y=on_y))
    return found
