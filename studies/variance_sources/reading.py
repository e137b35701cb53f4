"""What `cells.csv` and `repetitions.csv` say, by the rule of README.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special

import seedstudy as ss
from seedstudy.decide.components import DesignVariance, SubsetVariance
from seedstudy.study.seeds import PURPOSES

HERE = Path(__file__).parent
EVAL_SET = "val"
EQUAL = (0.8, 1.25)
"""Ratios of stds that do not matter, by the rule."""
CHANGES, SAME, UNSURE = (
    "fixing the order changes the std",
    "whether the order is fixed does not matter",
    "30 seeds each cannot tell whether a fixed order changes the std",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """The std over all streams by that over all but the order, for normal samples (F)."""

    value: float
    at_95: tuple[float, float]
    at_90: tuple[float, float]
    verdict: str

    def __str__(self) -> str:
        ends = (f"[{low:.2f}, {high:.2f}]" for low, high in (self.at_95, self.at_90))
        return f"{self.value:.2f}, 95 % {next(ends)}, 90 % {next(ends)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The answers to the three questions."""

    design: DesignVariance
    designs: tuple[DesignVariance, ...]
    everything: np.ndarray
    """Accuracies of the seeds that all streams follow, points."""
    fixed: SubsetVariance
    """Of the seeds that all streams but the order follow."""
    ratio: Ratio
    repetitions: pl.DataFrame

    def alone(self, source: str) -> float:
        """Return the std that seeds of one source have while the others stay fixed: its parts and combinations."""
        return math.sqrt(sum(max(part.variance, 0.0) for part in self.design.parts if source in part.sources))


def read() -> Reading:
    """Read the study from the tables of this folder."""
    trials = pl.read_csv(HERE / "cells.csv")
    answer = ss.variance(trials, "a3", eval_sets=EVAL_SET)
    (design,) = (each for each in answer.designs if each.total is not None)
    groups = {each.group.vary: each.group for each in ss.summary(trials, "a3", eval_sets=EVAL_SET)}
    (fixed,) = (each for each in answer.subsets if "order" not in each.vary)
    everything = groups[PURPOSES].values
    return Reading(
        design=design,
        designs=answer.designs,
        everything=everything,
        fixed=fixed,
        ratio=ratio_of(everything, fixed.group.values),
        repetitions=pl.read_csv(HERE / "repetitions.csv"),
    )


def ratio_of(everything: np.ndarray, fixed: np.ndarray) -> Ratio:
    """Return the ratio of two stds and the verdict of the rule."""
    value, dfs = float(everything.std(ddof=1) / fixed.std(ddof=1)), (everything.size - 1, fixed.size - 1)
    ends = {}
    for level in (0.95, 0.90):
        low, high = (value / math.sqrt(float(special.fdtri(*dfs, (1 + side * level) / 2))) for side in (1, -1))
        ends[level] = (low, high)
    verdict = UNSURE
    if not ends[0.95][0] <= 1.0 <= ends[0.95][1]:
        verdict = CHANGES
    elif EQUAL[0] < ends[0.90][0] and ends[0.90][1] < EQUAL[1]:
        verdict = SAME
    return Ratio(value=value, at_95=ends[0.95], at_90=ends[0.90], verdict=verdict)
