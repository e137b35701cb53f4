"""Architectures x recipes: architecture difference, recipe difference and seed noise, read from one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from seedstudy.decide.answers import Answers
from seedstudy.decide.select import moments_of
from seedstudy.decide.summary import doubts_of
from seedstudy.document import ends, fields_of, finite, shown_as
from seedstudy.errors import StudyError
from seedstudy.read.metrics import direction_of
from seedstudy.stats.grid import Grid, two_way
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate
from seedstudy.stats.welch import two_sided_p, welch
from seedstudy.study.group import NOTHING_READ, Group, Readings


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

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric's name says so; accuracies never do."""
        return self.unit != "pp" and direction_of(next(iter(self.cells.values())).metric) == "lower"

    @property
    def best(self) -> dict[str, str]:
        """Architecture -> the recipe with the best mean."""
        sign = -1.0 if self.lower_is_better else 1.0
        return {
            architecture: max(self.grid.recipes, key=lambda recipe: sign * self.mean_std_n(architecture, recipe)[0])
            for architecture in self.grid.architectures
        }

    @property
    def undecided(self) -> frozenset[tuple[str, str]]:
        """The cells whose difference from the best of their architecture is not shown, those that are best left out.

        Welch's test of every pair of recipes of one architecture, adjusted by Holm over these pairs: the best is chosen
        after looking.
        """
        found, best = set(), self.best
        for architecture in self.grid.architectures:
            pairs = list(combinations(self.grid.recipes, 2))
            adjusted = adjust([self._p_value(architecture, *pair) for pair in pairs])
            for pair, p in zip(pairs, adjusted, strict=True):
                if best[architecture] in pair and p >= 1.0 - self.grid.level:
                    found |= {(architecture, recipe) for recipe in pair if recipe != best[architecture]}
        return frozenset(found)

    def _p_value(self, architecture: str, a: str, b: str) -> float:
        first, second = (self.mean_std_n(architecture, recipe) for recipe in (a, b))
        if first[1] == second[1] == 0.0:
            return 1.0 if first[0] == second[0] else 0.0
        return float(two_sided_p(welch(*first, *second)))

    def mean_std_n(self, architecture: str, recipe: str) -> tuple[float, float, int]:
        """Return mean, standard deviation and number of the seeds of one cell."""
        return moments_of(self.cells[architecture, recipe])

    @property
    def has_interaction(self) -> bool:
        """Whether recipes are shown to help some architectures more than others."""
        return self.grid.sources[2].p_value < 1.0 - self.grid.level

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
                    "size_ci": ends(source.spread),
                    "f": finite(source.statistic),
                    "df": [finite(source.df), finite(source.df_noise)],
                    "p_value": source.p_value,
                }
                for source in g.sources
            ],
            "seed_noise": {"std": g.seed_noise.value, "ci": ends(g.seed_noise)},
            "differences": [
                {("ci" if key == "difference_ci" else key): value for key, value in fields_of(each).items()}
                for each in g.differences
            ],
            "level": g.level,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Grids(Answers[GridAnswer]):
    """One table per eval set."""

    answers: tuple[GridAnswer, ...] = field(metadata=shown_as("grids"))
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no cell includes."""
    read: Readings = NOTHING_READ
    """What was read from each file."""


def analyse_grid(groups: Sequence[Group], *, level: float) -> tuple[GridAnswer, ...]:
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
    for what, kinds in (("data sets", {g.data for g in groups}), ("metrics", {g.metric for g in groups})):
        if len(kinds) > 1:
            listed = ", ".join(map(str, kinds))
            raise StudyError(f"a grid is of one kind of number; these are of several {what}: {listed}.")
    names = dict.fromkeys(group.eval_set for group in groups)
    return tuple(_grid([group for group in groups if group.eval_set == name], level) for name in names)


def _grid(groups: Sequence[Group], level: float) -> GridAnswer:
    cells: dict[tuple[str, str], Group] = {}
    for group in groups:
        if group.model is None or group.moments is not None:
            raise StudyError(f"{group.label}: a grid needs the model and every seed; import it with --model first.")
        if (group.model, group.recipe) in cells:
            raise StudyError(f"{group.label}: two groups of trials that do not pool are in one cell of the grid.")
        cells[group.model, group.recipe] = group
    cells = dict(sorted(cells.items()))  # the table does not depend on the order of the files
    grid = two_way({cell: group.values for cell, group in cells.items()}, level=level)
    doubts = [f"{group.label}: {doubt}" for group in cells.values() for doubt in doubts_of(group)]
    warnings = (*grid.warnings, *doubts)
    return GridAnswer(eval_set=groups[0].eval_set, unit=groups[0].unit, cells=cells, grid=grid, warnings=warnings)
