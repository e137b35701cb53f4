"""Questions wider than one pair: architectures x recipes as one table, and one difference over several data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedstudy.decide import compare as judgement
from seedstudy.decide.compare import Answer, Comparisons
from seedstudy.decide.summary import DEFAULT_RNG_SEED, Group, doubts_of, finite, interval
from seedstudy.decide.verdict import Rule
from seedstudy.errors import StudyError
from seedstudy.stats.across import Pooled, Ranking, pool_differences, rank_recipes
from seedstudy.stats.grid import Grid, two_way
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import mean_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GridAnswer:
    """One eval set of a grid: architecture difference, recipe difference and seed noise in one unit."""

    eval_set: str
    unit: str | None
    cells: Mapping[tuple[str, str], Group]
    """(architecture, recipe) to its seeds."""
    grid: Grid
    warnings: tuple[str, ...]

    def rows(self) -> list[tuple[str, Estimate, float | None]]:
        """Return the one table: what, its size beside the seed noise, and the p-value of no such difference."""
        sources = [(f"{source.name} difference", source.spread, source.p_value) for source in self.grid.sources]
        return [*sources, ("seed noise", self.grid.seed_noise, None)]

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``compare --grid --json``."""
        g = self.grid
        return {
            "eval_set": self.eval_set,
            "unit": self.unit,
            "architectures": list(g.architectures),
            "recipes": list(g.recipes),
            "n_seeds": g.n_seeds,
            "cells": [
                {"architecture": architecture, "recipe": recipe, "n": group.n, "mean": float(group.values.mean())}
                for (architecture, recipe), group in self.cells.items()
            ],
            "sources": [
                {
                    "source": source.name,
                    "size": source.spread.value,
                    "size_ci": interval(source.spread),
                    "f": finite(source.statistic),
                    "df": [finite(source.df), finite(source.df_noise)],
                    "p_value": source.p_value,
                }
                for source in g.sources
            ],
            "seed_noise": {"std": g.seed_noise.value, "ci": interval(g.seed_noise)},
            "differences": [
                {
                    "factor": found.factor,
                    "a": found.a,
                    "b": found.b,
                    "difference": found.difference.value,
                    "ci": interval(found.difference),
                    "p_value": found.p_value,
                    "p_adjusted": found.p_adjusted,
                }
                for found in g.differences
            ],
            "level": g.level,
            "warnings": list(self.warnings),
        }


def analyse_grid(groups: Sequence[Group], *, level: float) -> list[GridAnswer]:
    """Return the grid analysis of every eval set.

    Raises
    ------
    StudyError
        Groups of several data sets or metrics, two groups in one cell, or a group without a model.
    StatisticsError
        A cell is missing or has one seed.

    """
    if not groups:
        raise StudyError("a grid needs trials of at least two models and two recipes.")
    for what, found in (("data sets", {g.data for g in groups}), ("metrics", {g.metric for g in groups})):
        if len(found) > 1:
            raise StudyError(
                f"a grid is of one kind of number; these are of several {what}: {', '.join(map(str, found))}."
            )
    answers = []
    for eval_set in dict.fromkeys(group.eval_set for group in groups):
        cells: dict[tuple[str, str], Group] = {}
        for group in (group for group in groups if group.eval_set == eval_set):
            if group.model is None or group.moments is not None:
                raise StudyError(f"{group.label}: a grid needs the model and every seed; import it with --model first.")
            key = (group.model, group.recipe)
            if key in cells:
                raise StudyError(f"{group.label}: two groups of trials that do not pool are in one cell of the grid.")
            cells[key] = group
        # Sorted, so that the table does not depend on the order of the files.
        cells = dict(sorted(cells.items()))
        grid = two_way({key: group.values for key, group in cells.items()}, level=level)
        doubts = [f"{group.label}: {doubt}" for group in cells.values() for doubt in doubts_of(group)]
        answers.append(
            GridAnswer(
                eval_set=eval_set,
                unit=groups[0].unit,
                cells=cells,
                grid=grid,
                warnings=(*grid.warnings, *doubts),
            )
        )
    return answers


@dataclass(frozen=True, kw_only=True, slots=True)
class PooledAnswer:
    """B against A on one eval set over all data sets."""

    a: str
    b: str
    eval_set: str
    unit: str | None
    pooled: Pooled | None
    """None below three data sets: they are read one by one."""
    data_sets: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``"across_data"``."""
        p = self.pooled
        found: dict[str, Any] = {} if p is None else {
            "difference": p.difference.value,
            "ci": interval(p.difference),
            "new_data_set": interval(p.new_data_set),
            "p_value": p.p_value,
            "tau": p.tau,
            "heterogeneity_p": p.heterogeneity_p,
            "warnings": list(p.warnings),
        }  # fmt: skip
        return {
            "a": self.a,
            "b": self.b,
            "eval_set": self.eval_set,
            "unit": self.unit,
            "data": list(self.data_sets),
        } | found


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedAnswer:
    """The recipes on one eval set by their ranks over all data sets."""

    eval_set: str
    unit: str | None
    data_sets: tuple[str, ...]
    mean_ranks: Mapping[str, float]
    """Recipe to its mean rank; 1 is best."""
    ranking: Ranking

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``"ranks"``."""
        return {
            "eval_set": self.eval_set,
            "unit": self.unit,
            "data": list(self.data_sets),
            "mean_ranks": dict(self.mean_ranks),
            "friedman_p": self.ranking.friedman_p,
            "pairs": [
                {
                    "a": pair.a,
                    "b": pair.b,
                    "median_difference": pair.median_difference,
                    "p_value": pair.p_value,
                    "p_adjusted": pair.p_adjusted,
                }
                for pair in self.ranking.pairs
            ],
            "floor": self.ranking.floor,
            "warnings": list(self.ranking.warnings),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class AcrossData:
    """Recipes on several data sets: the answers one by one, and what they say together."""

    comparisons: Comparisons
    pooled: tuple[PooledAnswer, ...]
    """Per eval set, every further recipe against the first."""
    ranked: tuple[RankedAnswer, ...]
    """Per eval set all recipes; empty below three data sets."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --across-data --json``."""
        return {
            **self.comparisons.to_dict(),
            "across_data": [answer.to_dict() for answer in self.pooled],
            "ranks": [answer.to_dict() for answer in self.ranked],
        }


def across_data(
    arms: Sequence[Sequence[Group]], rule: Rule, *, level: float, rng_seed: int = DEFAULT_RNG_SEED
) -> AcrossData:
    """Compare every further recipe with the first on each data set that all have, pool the differences, and rank all.

    Parameters
    ----------
    arms : sequence of sequence of Group
        Per recipe all its groups, one per data set and eval set; the first recipe is the baseline.
    rule : Rule
        The declared rule; it is applied to each data set, and all of them are one family.
    level : float
        Confidence level.
    rng_seed : int
        Seed of permutations and bootstrap.

    Raises
    ------
    StudyError
        One recipe twice, fewer than two data sets in common, or trials of one data set that do not pool.

    """
    called = _names(arms)
    by_data = [_by_data(arm) for arm in arms]
    shared = [data for data in by_data[0] if all(data in other for other in by_data[1:])]
    if len(shared) < 2:
        raise StudyError(f"{len(shared)} data sets in common: --across-data needs two at least; leave it out.")
    pairs = [(by_data[0][data], other[data]) for other in by_data[1:] for data in shared]
    answers = judgement.judge_pairs(pairs, rule, level=level, rng_seed=rng_seed)
    sets = [{(g.eval_set, data): g for data in shared for g in groups[data]} for groups in by_data]
    by_pair = {(id(answer.a), id(answer.b)): answer for answer in answers.answers}
    pooled, ranked = [], []
    for eval_set in dict.fromkeys(answer.a.eval_set for answer in answers.answers):
        everywhere = [data for data in shared if all((eval_set, data) in arm for arm in sets)]
        columns = [[arm[eval_set, data] for data in everywhere] for arm in sets]
        for name, column in zip(called[1:], columns[1:], strict=True):
            of_pair = [by_pair[id(a), id(b)] for a, b in zip(columns[0], column, strict=True)]
            pooled.append(_pooled((called[0], name), eval_set, of_pair, level))
        if len(everywhere) >= 3:
            ranked.append(_ranked(called, eval_set, columns, rule))
    return AcrossData(comparisons=answers, pooled=tuple(pooled), ranked=tuple(ranked))


def _names(arms: Sequence[Sequence[Group]]) -> list[str]:
    """Return what to call each arm on all data sets: its recipe, with the model where recipes are alike."""
    recipes = [arm[0].recipe for arm in arms]
    called = [f"{r}@{arm[0].model}" if recipes.count(r) > 1 else r for r, arm in zip(recipes, arms, strict=True)]
    for name in called:
        if called.count(name) > 1:
            raise StudyError(f"--across-data: {name} is named twice; name each recipe once.")
    return called


def _pooled(names: tuple[str, str], eval_set: str, of_pair: Sequence[Answer], level: float) -> PooledAnswer:
    usable = [answer for answer in of_pair if answer.comparison.se > 0.0]
    found = None
    if len(usable) >= 3:
        comparisons = [answer.comparison for answer in usable]
        found = pool_differences([c.difference for c in comparisons], [c.se for c in comparisons], level=level)
    return PooledAnswer(
        a=names[0],
        b=names[1],
        eval_set=eval_set,
        unit=of_pair[0].a.unit if of_pair else None,
        pooled=found,
        data_sets=tuple(str(answer.a.data) for answer in usable),
    )


def _ranked(names: Sequence[str], eval_set: str, columns: Sequence[Sequence[Group]], rule: Rule) -> RankedAnswer:
    means = [[mean_of(g.values) if g.moments is None else g.moments.mean for g in column] for column in columns]
    ranking = rank_recipes(dict(zip(names, means, strict=True)))
    # Rank 1 is the lowest value there, and the best one here.
    best_first = {
        name: rank if rule.lower_is_better else len(names) + 1 - rank for name, rank in ranking.mean_ranks.items()
    }
    return RankedAnswer(
        eval_set=eval_set,
        unit=columns[0][0].unit,
        data_sets=tuple(str(group.data) for group in columns[0]),
        mean_ranks=best_first,
        ranking=ranking,
    )


def _by_data(arm: Sequence[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in arm:
        groups = found.setdefault(str(group.data), [])
        if any(group.eval_set == other.eval_set for other in groups):
            raise StudyError(
                f"{group.label}: several models or trials that do not pool on {group.data}; say which: RECIPE@MODEL."
            )
        groups.append(group)
    return found
