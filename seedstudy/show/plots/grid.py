"""Architectures x recipes as a heat map: the mean of each cell, and which cells may be the best of their row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    BARS,
    SMALL,
    TALLEST,
    WIDTHS,
    Canvas,
    Width,
    counts_in_words,
    fitted,
    paged,
    styled,
    width_of,
)
from seedstudy.stats.result import decimals_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.grid import GridAnswer

_OVERHEAD = 0.62
_UNDECIDED = "?"


def plot_grid(answers: Sequence[GridAnswer], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw one heat map per eval set: mean ± std over seeds; "?" where a cell is not shown to be below the best.

    Many architectures go to further pages.
    """
    answers = list(answers)
    inches = WIDTHS[width]
    recipes, architectures = answers[0].grid.recipes, answers[0].grid.architectures
    left = min(max(map(width_of, architectures)), 0.3 * inches) + 0.2
    n_columns = 1
    cell = (inches - left - 0.15) / len(recipes)
    if width == "page" and len(answers) > 1 and (inches / 2 - left - 0.15) / len(recipes) > 0.72:
        n_columns, cell = 2, (inches / 2 - left - 0.15) / len(recipes)
    rows = max(1, int((TALLEST - _OVERHEAD) / 0.3))
    parts = [architectures[i : i + rows] for i in range(0, len(architectures), rows)]
    panels = [(answer, part) for part in parts for answer in answers]
    per_page = n_columns * max(1, int(TALLEST / (0.3 * min(rows, len(architectures)) + _OVERHEAD)))
    pages = [panels[i : i + per_page] for i in range(0, len(panels), per_page)]
    with styled():
        drawn = []
        for number, of_page in enumerate(pages, start=1):
            lines = [of_page[i : i + n_columns] for i in range(0, len(of_page), n_columns)]
            heights = [0.3 * max(len(part) for _, part in line) + _OVERHEAD for line in lines]
            canvas = Canvas(width, heights, n_columns, ax=ax)
            for axes, (answer, part) in zip(canvas.panels, of_page, strict=False):
                _heat(axes, answer, part, cell, left)
            drawn.append(canvas.finish(title=_title(answers[0]), caption=_caption(answers), page=(number, len(pages))))
        return paged(drawn)


def _title(answer: GridAnswer) -> str:
    group = next(iter(answer.cells.values()))
    name = "Top-1 accuracy" if group.metric == "top1" else group.metric
    return f"{name} by architecture and recipe" + (f": {group.data}" if group.data else "")


def _caption(answers: Sequence[GridAnswer]) -> str:
    n = counts_in_words(group.n for answer in answers for group in answer.cells.values())
    unit = ", in %" if answers[0].unit == "pp" else ""
    level = answers[0].grid.level
    return (
        f"Each cell: mean ± std over seeds{unit}, {n} seeds. Bold: best of its row. ? : undecided, its difference from "
        f"the best of its row is not shown (Welch t, Holm over the pairs of each architecture, alpha = "
        f"{1 - level:.2g}). Seed noise: {answers[0].grid.seed_noise.value:.2g} [{answers[0].grid.seed_noise.low:.2g}, "
        f"{answers[0].grid.seed_noise.high:.2g}] at {percent(level)}."
    )


def _heat(axes: Axes, answer: GridAnswer, architectures: Sequence[str], cell: float, left: float) -> None:
    recipes = answer.grid.recipes
    found = {key: answer.mean_std_n(*key) for key in answer.cells}
    values = np.array([[found[architecture, recipe][0] for recipe in recipes] for architecture in architectures])
    decimals = decimals_for(answer.grid.seed_noise.value)
    every = [mean for mean, _, _ in found.values()]
    low, high = min(every), max(every)
    undecided, best = answer.undecided, answer.best
    words = np.array(
        [[_words(*found[a, r][:2], (a, r) in undecided, decimals, cell) for r in recipes] for a in architectures],
        dtype=object,
    )
    sns.heatmap(
        values,
        ax=axes,
        annot=words,
        fmt="",
        annot_kws={"size": SMALL, "linespacing": 1.0, "color": "0.1"},
        cmap=sns.light_palette(BARS, as_cmap=True, reverse=answer.lower_is_better),
        # Only the lighter part of the map: words are dark in every cell.
        vmin=low - (0.7 * (high - low) if answer.lower_is_better else 0.0),
        vmax=high + (0.0 if answer.lower_is_better else 0.7 * (high - low)),
        cbar=False,
        linewidths=1,
        linecolor="white",
        xticklabels=[fitted(recipe, cell - 0.05) for recipe in recipes],
        yticklabels=[fitted(architecture, left - 0.15) for architecture in architectures],
    )
    keys = [(a, r) for a in architectures for r in recipes]
    for text, key in zip(axes.texts, keys, strict=True):
        text.set_fontweight("bold" if best[key[0]] == key[1] else "normal")
    axes.tick_params(axis="both", length=0)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=0)
    axes.set_title(answer.eval_set, weight="bold")


def _words(mean: float, std: float, is_undecided: bool, decimals: int, cell: float) -> str:
    mark = f" {_UNDECIDED}" if is_undecided else ""
    line = f"{mean:.{decimals}f} ± {std:.{decimals}f}{mark}"
    if width_of(line, is_bold=True) < cell - 0.06:
        return line
    return f"{mean:.{decimals}f}{mark}\n± {std:.{decimals}f}"
