"""One difference on several data sets: the comparisons one by one, their mean, and the ranks of all recipes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedstudy.decide.answers import Shown
from seedstudy.decide.compare import Answer, Comparisons, judge_pairs
from seedstudy.decide.select import by_eval_set, moments_of
from seedstudy.decide.summary import DEFAULT_RNG_SEED
from seedstudy.decide.verdict import Rule
from seedstudy.document import FLAT, ends, fields_of, finite, shown_as
from seedstudy.errors import StudyError
from seedstudy.stats.across import Combined, Ranking, combine_differences, rank_recipes
from seedstudy.stats.result import Estimate
from seedstudy.study.group import Group, Readings


@dataclass(frozen=True, kw_only=True, slots=True)
class CombinedAnswer:
    """B against A on one eval set over all data sets."""

    a: str
    b: str
    eval_set: str
    unit: str | None
    data_sets: tuple[str, ...] = field(metadata=shown_as("data"))
    pooled: Combined | None = field(metadata=FLAT)
    """None below three data sets: they are read one by one."""

    @property
    def leave_one_out(self) -> Mapping[str, Estimate]:
        """Data set -> the mean difference without it; empty below four data sets."""
        left = self.pooled.leave_one_out if self.pooled else ()
        return dict(zip(self.data_sets, left, strict=False))

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``"across_data"``."""
        entry = fields_of(self)
        if "difference_ci" in entry:
            entry["ci"] = entry.pop("difference_ci")
            entry["new_data_set"] = entry.pop("new_data_set_ci")
            entry["leave_one_out"] = [
                {"without": name, "difference": finite(left.value), "ci": ends(left)}
                for name, left in self.leave_one_out.items()
            ]
        return entry


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedAnswer:
    """The recipes on one eval set by their ranks over all data sets."""

    eval_set: str
    unit: str | None
    data_sets: tuple[str, ...] = field(metadata=shown_as("data"))
    ranking: Ranking = field(metadata=FLAT)
    mean_ranks: Mapping[str, float]
    """Recipe to its mean rank; 1 is best. In the direction of the metric, unlike those of `ranking`."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class AcrossData(Shown):
    """Recipes on several data sets: the answers one by one, and what they say together."""

    comparisons: Comparisons = field(metadata=FLAT)
    pooled: tuple[CombinedAnswer, ...] = field(metadata=shown_as("across_data"))
    """Per eval set, every further recipe against the first."""
    ranked: tuple[RankedAnswer, ...] = field(metadata=shown_as("ranks"))
    """Per eval set all recipes; empty below three data sets."""

    @property
    def read(self) -> Readings:
        """What was read from files."""
        return self.comparisons.read

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --across-data --json``."""
        return fields_of(self)


def across_data(arms: Sequence[Sequence[Group]], rule: Rule, *, rng_seed: int = DEFAULT_RNG_SEED) -> AcrossData:
    """Compare every further recipe with the first on each data set that all have, pool the differences, and rank all.

    `arms`: per recipe all its groups, one per data set and eval set. The comparisons on all data sets are one family.

    Raises
    ------
    StudyError
        One recipe twice, fewer than two data sets in common, or trials of one data set that do not pool.

    """
    names = _names(arms)
    by_data = [_by_data(arm) for arm in arms]
    shared = [data for data in by_data[0] if all(data in other for other in by_data[1:])]
    if len(shared) < 2:
        raise StudyError(f"{len(shared)} data sets in common: --across-data needs two at least; leave it out.")
    pairs = [(by_data[0][data], other[data]) for other in by_data[1:] for data in shared]
    answers = judge_pairs(pairs, rule, rng_seed=rng_seed)
    by_b = {_key(answer.b): answer for answer in answers.answers}
    pooled, ranked = [], []
    for eval_set in dict.fromkeys(answer.a.eval_set for answer in answers.answers):
        rows = [[by_eval_set(arm[data]).get(eval_set) for arm in by_data] for data in shared]
        complete = [[group for group in row if group is not None] for row in rows if None not in row]
        for index, name in enumerate(names[1:], start=1):
            of_pair = [by_b[_key(row[index])] for row in complete]
            pooled.append(_pooled((names[0], name), eval_set, of_pair, rule.level))
        if len(complete) >= 3:
            ranked.append(_ranked(names, eval_set, list(zip(*complete, strict=True)), rule))
    return AcrossData(comparisons=answers, pooled=tuple(pooled), ranked=tuple(ranked))


def _key(group: Group) -> tuple[str | None, ...]:
    return group.recipe, group.model, group.data, group.eval_set


def _names(arms: Sequence[Sequence[Group]]) -> list[str]:
    """Return what to call each arm on all data sets: its recipe, with the model where recipes are alike."""
    recipes = [arm[0].recipe for arm in arms]
    called = [f"{r}@{arm[0].model}" if recipes.count(r) > 1 else r for r, arm in zip(recipes, arms, strict=True)]
    for name in called:
        if called.count(name) > 1:
            raise StudyError(f"--across-data: {name} is named twice; name each recipe once.")
    return called


def _pooled(names: tuple[str, str], eval_set: str, of_pair: Sequence[Answer], level: float) -> CombinedAnswer:
    usable = [answer for answer in of_pair if answer.comparison.se > 0.0]
    differences = [x.comparison.difference for x in usable]
    errors, dfs = [x.comparison.se for x in usable], [x.comparison.df for x in usable]
    return CombinedAnswer(
        a=names[0],
        b=names[1],
        eval_set=eval_set,
        unit=of_pair[0].a.unit if of_pair else None,
        pooled=combine_differences(differences, errors, dfs, level=level) if len(usable) >= 3 else None,
        data_sets=tuple(str(answer.a.data) for answer in usable),
    )


def _ranked(names: Sequence[str], eval_set: str, columns: Sequence[Sequence[Group]], rule: Rule) -> RankedAnswer:
    means = [[moments_of(group)[0] for group in column] for column in columns]
    ranking = rank_recipes(dict(zip(names, means, strict=True)))
    best_first = ranking.mean_ranks
    if not rule.lower_is_better:  # rank 1 is that of the lowest value
        best_first = {name: len(names) + 1 - rank for name, rank in best_first.items()}
    return RankedAnswer(
        eval_set=eval_set,
        unit=columns[0][0].unit,
        data_sets=tuple(str(group.data) for group in columns[0]),
        mean_ranks=best_first,
        ranking=ranking,
    )


def _by_data(arm: Sequence[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = defaultdict(list)
    for group in arm:
        if group.eval_set in by_eval_set(found[str(group.data)]):
            raise StudyError(
                f"{group.label}: several models or trials that do not pool on {group.data}; say which: RECIPE@MODEL."
            )
        found[str(group.data)].append(group)
    return found
