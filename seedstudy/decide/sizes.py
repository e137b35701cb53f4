"""Accuracy against test size: one recipe's summaries, by the size of the test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER, OTHER_SIZE
from seedstudy.decide.summary import Summaries, Summary
from seedstudy.document import FLAT, HIDDEN, fields_of

SIZES: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("recipe", "model", "data", "eval_set"), pl.String()),
    "test_size": pl.Int64(),
    "crop": pl.Float64(),
    "is_own": pl.Boolean(),
    "n": pl.Int64(),
    **dict.fromkeys(("mean", "mean_low", "mean_high", "std", "level"), pl.Float64()),
}
"""Columns of :meth:`Evaluated.to_frame`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One recipe on one eval set at one test size."""

    summary: Summary = field(metadata=FLAT)
    name: str
    """The eval set, without a size."""
    test_size: int
    """Pixels."""
    crop: float
    """Share of the resized image that the centre crop keeps."""
    is_own: bool
    """Whether the recipe tests so itself."""

    def row(self) -> dict[str, Any]:
        """Return the values of :data:`SIZES`."""
        group, description = self.summary.group, self.summary.description
        mean = description.mean
        return {
            "recipe": group.recipe,
            "model": group.model,
            "data": group.data,
            "eval_set": self.name,
            "test_size": self.test_size,
            "crop": self.crop,
            "is_own": self.is_own,
            "n": description.n,
            "mean": mean.value,
            "mean_low": mean.low,
            "mean_high": mean.high,
            "std": description.std.value,
            "level": mean.level,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What kept weights gave, and what was added to their trials."""

    study: str
    trials: int
    """How many were evaluated."""
    added: int
    """Results that the trials did not have yet."""
    repeated: Mapping[str, int]
    """Eval set that the trials had before -> in how many images of all trials the prediction is another one now."""
    without_weights: int
    """Trials of the same name whose weights were not kept, or were removed."""
    points: tuple[Point, ...]
    summaries: Summaries = field(metadata=HIDDEN)

    @property
    def left_out(self) -> tuple[str, ...]:
        """One sentence per damaged trial, which no point includes."""
        return self.summaries.left_out

    def to_frame(self) -> pl.DataFrame:
        """Return the columns of :data:`SIZES`, accuracies in percentage points, one row per point of the curve."""
        return pl.DataFrame([point.row() for point in self.points], schema=dict(SIZES))

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``evaluate STUDY:RECIPE --json``."""
        return fields_of(self)


def key_of(eval_set: str, *, size: int, crop: float, own: tuple[int, float]) -> str:
    """Return the name of a result on an eval set; ``own`` are the recipe's test size and crop."""
    if (size, crop) == own:
        return eval_set
    return f"{eval_set}{OTHER_SIZE}{size}" + ("" if crop == own[1] else f"-{crop:g}")


def points_of(summaries: Summaries, own: Mapping[str, tuple[int, float]]) -> tuple[Point, ...]:
    """Return the points of the curves; ``own``: recipe_id -> the recipe's test size and crop."""
    points = []
    for summary in summaries:
        name, _, tested = summary.group.eval_set.partition(OTHER_SIZE)
        size, crop = own[summary.group.recipe_id]
        if tested:
            pixels, _, share = tested.partition("-")
            size, crop = int(pixels), float(share) if share else crop
        points.append(Point(summary=summary, name=name, test_size=size, crop=crop, is_own=not tested))
    place = {name: number for number, name in enumerate(dict.fromkeys((*EVAL_SET_ORDER, *(p.name for p in points))))}
    return tuple(sorted(points, key=lambda point: (point.summary.group.label, place[point.name], point.test_size)))
