"""Published figures to plan with: the spread over 100 seeds and the cost of one, both from "ResNet strikes back".

Wightman, Touvron and Jegou (2021), arXiv:2110.00476: 100 seeds of ResNet-50 by A2, and Table 3, whose
training times in hours are multiplied by the number of its GPUs (V100, 32 GB).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from seedstudy.errors import StudyError, suggest

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceStd:
    """A published standard deviation over seeds."""

    name: str
    eval_set: str
    n: int
    """Seeds it comes from."""
    mean: float
    """Percent, as the next four."""
    std: float
    min: float
    max: float
    seed0: float


def reference_stds() -> dict[str, ReferenceStd]:
    """Return the published standard deviations by name: rsb-val, rsb-real, rsb-v2."""
    return {
        row["name"]: ReferenceStd(
            name=row["name"],
            eval_set=row["eval_set"],
            n=int(row["n_seeds"]),
            **{key: float(row[key]) for key in ("mean", "std", "min", "max", "seed0")},
        )
        for row in _rows("rsb_seeds.csv")
    }


def gpu_hours(model: str, recipe: str) -> float:
    """Return the published GPU-hours of one seed.

    Raises
    ------
    StudyError
        Table 3 does not have this model or recipe.

    """
    costs = {row["model"]: row for row in _rows("rsb_cost.csv")}
    if model not in costs:
        raise StudyError(f'no published cost of "{model}" (RSB Table 3).{suggest(model, costs)}')
    if recipe not in ("a1", "a2", "a3"):
        raise StudyError(f'no published cost of recipe "{recipe}" (RSB Table 3).{suggest(recipe, ("a1", "a2", "a3"))}')
    return float(costs[model][recipe])


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
