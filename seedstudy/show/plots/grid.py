"""Architectures x recipes as a heat map: the mean of each cell, and which cells may be the best of their row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
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
    eval_sets_of,
    fitted,
    height_of,
    names_that_fit,
    paged,
    styled,
    width_of,
)
from seedstudy.stats.result import decimals_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.grid import GridAnswer

_HEADING, _ROW, _GAP, _PAD = 0.42, 0.3, 0.09, 0.12
"""Inches: title of a panel and air, a row of cells, beside the words of a cell, beside the names of the rows."""
_MOST_LEFT, _LONGEST_BELOW = 0.42, 1.3
"""Of the picture's width for the names of rows at most; inches for upright names of columns at most."""
_UNDECIDED = "?"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where words go; sizes in inches."""

    rows: Mapping[str, str]
    """Architecture -> its name, in lines."""
    columns: Mapping[str, str]
    blocks: tuple[tuple[str, ...], ...]
    """The recipes of each panel: those that fit beside each other."""
    cell: float
    is_upright: bool
    """Whether the names of recipes are turned: they are wider than a cell."""
    row: float
    """Height of a row."""
    note: str
    """What was left out of names."""

    @property
    def overhead(self) -> float:
        """Height of a panel beside its rows."""
        names = self.columns.values()
        lengths = (max(map(width_of, name.split("\n"))) for name in names)
        return _HEADING + (max(lengths) if self.is_upright else max(map(height_of, names)))


def plot_grid(answers: Sequence[GridAnswer], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw one heat map per eval set: mean ± std over seeds; "?" where a cell is not shown to be below the best.

    Recipes that do not fit beside each other go to a further panel, many architectures to further pages.
    """
    order = eval_sets_of(group for answer in answers for group in answer.cells.values())
    answers = sorted(answers, key=lambda answer: order.index(answer.eval_set))
    n_columns = 2 if width == "page" and len(answers) > 1 else 1
    layout = _layout(answers, WIDTHS[width] / n_columns)
    if n_columns == 2 and (len(layout.blocks) > 1 or layout.is_upright or layout.cell < _one_line(answers)):
        n_columns, layout = 1, _layout(answers, WIDTHS[width])
    most = max(1, int((TALLEST - layout.overhead) / layout.row))
    architectures = list(layout.rows)
    parts = [architectures[i : i + most] for i in range(0, len(architectures), most)]
    panels = [(answer, part, block) for part in parts for block in layout.blocks for answer in answers]
    per_page = n_columns * max(1, int(TALLEST / (layout.row * min(most, len(architectures)) + layout.overhead)))
    pages = [panels[i : i + per_page] for i in range(0, len(panels), per_page)]
    with styled():
        drawn = []
        for number, of_page in enumerate(pages, start=1):
            lines = [of_page[i : i + n_columns] for i in range(0, len(of_page), n_columns)]
            heights = [layout.row * max(len(part) for _, part, _ in line) + layout.overhead for line in lines]
            canvas = Canvas(width, heights, n_columns, ax=ax)
            for axes, (answer, part, block) in zip(canvas.panels, of_page, strict=False):
                _heat(axes, answer, part, block, layout)
            caption = _caption(answers) + layout.note
            drawn.append(canvas.finish(title=_title(answers[0]), caption=caption, page=(number, len(pages))))
        return paged(drawn)


def _layout(answers: Sequence[GridAnswer], inches: float) -> _Layout:
    """Choose names and columns for a panel so wide: whole names, else what tells them apart, else several panels."""
    grid = answers[0].grid
    least = _two_lines(answers) + _GAP
    rows = {name: name for name in grid.architectures}
    note = ""
    if inches - _left(rows) < least * len(grid.recipes):  # a row of all recipes is worth shorter names
        rows, note = names_that_fit(rows, 0.0)
    if _left(rows) > _MOST_LEFT * inches:
        rows = {key: fitted(name, _MOST_LEFT * inches - _PAD) for key, name in rows.items()}
    room = inches - _left(rows) - 0.1
    n_blocks = -(-len(grid.recipes) // max(1, int(room / least)))
    size = -(-len(grid.recipes) // n_blocks)
    blocks = tuple(grid.recipes[i : i + size] for i in range(0, len(grid.recipes), size))
    cell = room / size
    columns = {name: fitted(name, cell - 0.05) for name in grid.recipes}
    is_upright = any(_is_broken(name, lines) for name, lines in columns.items())
    row = max(_ROW, *(height_of(name) + 0.06 for name in rows.values()))
    if is_upright:
        columns = {name: fitted(name, _LONGEST_BELOW) for name in grid.recipes}
        too_wide = max(map(height_of, columns.values())) > cell
        columns = {name: fitted(name, 2 * _LONGEST_BELOW) for name in grid.recipes} if too_wide else columns
    return _Layout(rows=rows, columns=columns, blocks=blocks, cell=cell, is_upright=is_upright, row=row, note=note)


def _left(names: Mapping[str, str]) -> float:
    return max(width_of(line) for name in names.values() for line in name.split("\n")) + _PAD


def _is_broken(name: str, lines: str) -> bool:
    """Return whether a name is broken inside a word, or into more than three lines."""
    parts = lines.split("\n")
    return len(parts) > 3 or any(not part.endswith(tuple("@_-.,/")) and f"{part} " not in name for part in parts[:-1])


def _title(answer: GridAnswer) -> str:
    group = next(iter(answer.cells.values()))
    name = "Top-1 accuracy" if group.metric == "top1" else group.metric
    return f"{name} by architecture and recipe" + (f": {group.data}" if group.data else "")


def _caption(answers: Sequence[GridAnswer]) -> str:
    n = counts_in_words(group.n for answer in answers for group in answer.cells.values())
    unit = ", in %" if answers[0].unit == "pp" else ""
    level = answers[0].grid.level
    noise = "; ".join(
        f"{f'{answer.eval_set} ' if len(answers) > 1 else ''}{answer.grid.seed_noise.value:.2g} "
        f"[{answer.grid.seed_noise.low:.2g}, {answer.grid.seed_noise.high:.2g}]"
        for answer in answers
    )
    return (
        f"Each cell: mean ± std over seeds{unit}, {n} seeds; darker is better. Bold: best of its row. "
        f"{_UNDECIDED}: not shown to differ from the best of its row (Welch t, Holm over the pairs of a row, alpha = "
        f"{1 - level:.2g}). Std over seeds, pooled over cells, with {percent(level)} interval: {noise}."
    )


def _heat(
    axes: Axes, answer: GridAnswer, architectures: Sequence[str], recipes: Sequence[str], layout: _Layout
) -> None:
    every = [answer.mean_std_n(*key)[0] for key in answer.cells]
    values = np.array([[answer.mean_std_n(a, r)[0] for r in recipes] for a in architectures])
    low, high = min(every), max(every)
    words, best = _words(answer, layout.cell), answer.best
    sns.heatmap(
        values,
        ax=axes,
        annot=np.array([[words[a, r] for r in recipes] for a in architectures], dtype=object),
        fmt="",
        annot_kws={"size": SMALL, "linespacing": 1.0, "color": "0.1"},
        cmap=sns.light_palette(BARS, as_cmap=True, reverse=answer.lower_is_better),
        # Only the lighter part of the map: words are dark in every cell.
        vmin=low - (0.7 * (high - low) if answer.lower_is_better else 0.0),
        vmax=high + (0.0 if answer.lower_is_better else 0.7 * (high - low)),
        cbar=False,
        linewidths=1,
        linecolor="white",
        xticklabels=[layout.columns[recipe] for recipe in recipes],
        yticklabels=[layout.rows[architecture] for architecture in architectures],
    )
    for text, (architecture, recipe) in zip(axes.texts, product(architectures, recipes), strict=True):
        text.set_fontweight("bold" if best[architecture] == recipe else "normal")
    axes.tick_params(axis="both", length=0)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=90 if layout.is_upright else 0)
    axes.set_title(answer.eval_set, weight="bold")


def _words(answer: GridAnswer, cell: float) -> dict[tuple[str, str], str]:
    """Return what each cell says: in one line where that fits into all of them."""
    decimals, undecided = decimals_for(answer.grid.seed_noise.value), answer.undecided
    parts = {}
    for key in answer.cells:
        mean, std, _ = answer.mean_std_n(*key)
        mark = f" {_UNDECIDED}" if key in undecided else ""
        parts[key] = f"{mean:.{decimals}f}", f"± {std:.{decimals}f}", mark
    lines = {key: f"{mean} {std}{mark}" for key, (mean, std, mark) in parts.items()}
    if max(width_of(line, is_bold=True) for line in lines.values()) < cell - 0.06:
        return lines
    return {key: f"{mean}{mark}\n{std}" for key, (mean, std, mark) in parts.items()}


def _two_lines(answers: Sequence[GridAnswer]) -> float:
    """Return the inches that a cell needs where its words are in two lines."""
    return max(
        width_of(line, is_bold=answer.best[key[0]] == key[1])
        for answer in answers
        for key, text in _words(answer, 0.0).items()
        for line in text.split("\n")
    )


def _one_line(answers: Sequence[GridAnswer]) -> float:
    """Return the inches of a cell whose words are in one line."""
    return max(
        width_of(text, is_bold=True) + 0.07 for answer in answers for text in _words(answer, float("inf")).values()
    )
