"""What `trials.csv` says, by the rule of README.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special

import seedstudy as ss
from seedstudy.decide.grid import GridAnswer
from seedstudy.stats.many import adjust
from seedstudy.stats.result import format_p

HERE = Path(__file__).parent
RECIPES = ("a1", "a2", "a3", "torchvision", "torchvision2")
ARCHITECTURES = ("resnet_d8_w050_s2", "resnet_d8_w050_s2_se", "resnet_d8_w1_s2")
N_SEEDS = 8
MARGIN = 1.0
ORDER = (("a2", "a1"), ("a3", "a2"), ("a3", "a1"), ("torchvision", "torchvision2"))
"""Of rule 3: the second recipe is at least as good as the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Recipe B against A on one architecture."""

    architecture: str
    a: str
    b: str
    difference: float
    p_adjusted: float
    """Holm, over the pairs of one architecture that are compared together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """By how much the difference of two recipes differs between two architectures, points."""

    recipes: tuple[str, str]
    architectures: tuple[str, str]
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The answers to the three parts of the rule."""

    grid: GridAnswer
    pairs: tuple[Pair, ...]
    """All pairs of recipes."""
    order: tuple[Pair, ...]
    """Those of rule 3."""
    contrasts: tuple[Contrast, ...]
    """Of the interaction, largest first; 95 % together (Bonferroni)."""

    @property
    def opposite(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs of recipes that are decided in opposite directions on two architectures."""
        signs: dict[tuple[str, str], set[bool]] = {}
        for pair in self.pairs:
            if pair.p_adjusted < 0.05:
                signs.setdefault((pair.a, pair.b), set()).add(pair.difference > 0)
        return tuple(pair for pair, found in signs.items() if len(found) > 1)

    @property
    def interaction_p(self) -> float:
        """Return the p of no interaction."""
        return self.grid.grid.sources[2].p_value

    @property
    def verdict(self) -> str:
        """Return the verdict of rule 2."""
        if self.interaction_p < 0.05 and self.opposite:
            return "supported"
        is_small = all(each.low >= -MARGIN and each.high <= MARGIN for each in self.contrasts)
        return "not supported" if is_small else "undecided"

    def best(self, architecture: str) -> tuple[str, ...]:
        """Return the recipe with the highest mean, and those that are not shown to be worse."""
        first = self.grid.best[architecture]
        others = (recipe for recipe in RECIPES if (architecture, recipe) in self.grid.undecided)
        return first, *others


def read(frame: Path = HERE / "trials.csv") -> Reading | None:
    """Read the frame; None where a cell has not all of its seeds."""
    val = pl.read_csv(frame).filter(pl.col("eval_set") == "val").sort("seed")
    val = val.with_columns(top1=100.0 * pl.col("n_correct") / pl.col("n_examples"))
    cells = {key: rows["top1"].to_numpy() for key, rows in val.group_by("model", "recipe")}
    if any(cells.get((model, recipe), np.empty(0)).size < N_SEEDS for model in ARCHITECTURES for recipe in RECIPES):
        return None
    (grid,) = ss.grid(frame, eval_sets="val")
    return Reading(
        grid=grid,
        pairs=tuple(pair for model in ARCHITECTURES for pair in _pairs(cells, model, tuple(combinations(RECIPES, 2)))),
        order=tuple(pair for model in ARCHITECTURES for pair in _pairs(cells, model, ORDER)),
        contrasts=_contrasts(cells),
    )


def _pairs(
    cells: dict[tuple[object, ...], np.ndarray], model: str, pairs: tuple[tuple[str, str], ...]
) -> tuple[Pair, ...]:
    answers = [ss.compare(list(cells[model, a]), list(cells[model, b]), margin=MARGIN)[0].to_dict() for a, b in pairs]
    adjusted = adjust([answer["p_value"] for answer in answers])
    return tuple(
        Pair(architecture=model, a=a, b=b, difference=answer["difference"], p_adjusted=p)
        for (a, b), answer, p in zip(pairs, answers, adjusted, strict=True)
    )


def _contrasts(cells: dict[tuple[object, ...], np.ndarray]) -> tuple[Contrast, ...]:
    df = sum(values.size - 1 for values in cells.values())
    variance = sum(float(values.var(ddof=1)) * (values.size - 1) for values in cells.values()) / df
    wanted = [(r, m) for r in combinations(RECIPES, 2) for m in combinations(ARCHITECTURES, 2)]
    quantile = float(special.stdtrit(df, 1.0 - 0.025 / len(wanted)))
    found = []
    for (a, b), (first, second) in wanted:
        corners = [cells[second, b], cells[second, a], cells[first, b], cells[first, a]]
        value = float(sum(sign * each.mean() for sign, each in zip((1, -1, -1, 1), corners, strict=True)))
        half = quantile * math.sqrt(variance * sum(1.0 / each.size for each in corners))
        contrast = Contrast(
            recipes=(a, b), architectures=(first, second), value=value, low=value - half, high=value + half
        )
        found.append(contrast)
    return tuple(sorted(found, key=lambda each: -abs(each.value)))


def sentences(found: Reading) -> tuple[str, ...]:
    """Return what README.md says with numbers."""
    sizes = {source.name: (source.spread, source.p_value) for source in found.grid.grid.sources}
    of = {name: f"{size.value:.2f} [{size.low:.2f}, {size.high:.2f}]" for name, (size, _) in sizes.items()}
    noise = found.grid.grid.seed_noise
    decided = {
        model: sum(pair.p_adjusted < 0.05 for pair in found.pairs if pair.architecture == model)
        for model in ARCHITECTURES
    }
    first = found.contrasts[0]
    return (
        f"recipe {of['recipe']} points, architecture {of['architecture']}, interaction {of['interaction']} "
        f"(p = {format_p(found.interaction_p)}), seed {noise.value:.2f} [{noise.low:.2f}, {noise.high:.2f}]",
        f"{', '.join(map(str, decided.values()))} of {len(found.pairs) // len(ARCHITECTURES)} pairs of recipes are "
        f"decided on the three networks, {len(found.opposite) or 'none'} in opposite directions",
        f"The largest of the {len(found.contrasts)} contrasts of the interaction is {abs(first.value):.1f} points, "
        f"with an interval that reaches {max(abs(first.low), abs(first.high)):.1f}",
    )
