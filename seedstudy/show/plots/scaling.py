"""Error against cost with its power law, and accuracy against cost with the Pareto front; both with seed noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from seedstudy.decide.scaling import REGIME
from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    SMALL,
    Canvas,
    Look,
    Width,
    counts_in_words,
    in_short,
    looks_of,
    plain_ticks,
    styled,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.scaling import Cell, Scaling


def plot_scaling(answer: Scaling, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw every cell with the interval of its mean, and the power law of each colour that has one."""
    groups, looks = _groups(answer)
    with styled():
        canvas = Canvas(width, [2.5], ax=ax)
        (axes,) = canvas.panels
        for group, look in looks.items():
            members = [cell for cell, name in zip(answer.cells, groups, strict=True) if name == group]
            _cells(axes, answer, members, look, [cell.error for cell in members])
        for law in answer.laws:
            if len(looks) > 1 and law.of not in looks:
                continue
            color = "0.3" if len(looks) == 1 else looks[law.of].color
            costs = [
                cell.cost for cell, name in zip(answer.cells, groups, strict=True) if len(looks) == 1 or name == law.of
            ]
            grid = np.geomspace(min(costs), max(costs), 200)
            axes.plot(grid, law.law.at(grid), "-", color=color, linewidth=1, alpha=0.7)
        _cost_axis(axes, answer.cost)
        axes.set_ylabel("error (%)" if answer.unit == "pp" else answer.metric)
        line = Line2D([], [], color="0.3", linewidth=1, label="power law with a floor")
        return canvas.finish(
            title=f"Error against {answer.cost}",
            caption=_caption(answer),
            handles=[*_handles(looks), *([line] if answer.laws else [])],
        )


def plot_pareto(answers: Sequence[Scaling], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw accuracy against each cost, with the Pareto front; an open mark is off it, or undecided by its seeds."""
    answers = list(answers)
    n_columns = min(len(answers), 1 if width == "column" else 2)
    some = answers[0]
    with styled():
        canvas = Canvas(width, [2.5] * -(-len(answers) // n_columns), n_columns, ax=ax)
        looks: dict[str, Look] = {}
        for axes, answer in zip(canvas.panels, answers, strict=False):
            groups, looks = _groups(answer)
            for group, look in looks.items():
                for front, face in (("on", look.color), ("?", "0.75"), ("off", "white")):
                    members = [
                        cell
                        for cell, name in zip(answer.cells, groups, strict=True)
                        if name == group and cell.front == front
                    ]
                    _cells(axes, answer, members, look, [_height(answer, cell) for cell in members], face=face)
            for regime in {_regime(cell) for cell in answer.cells}:
                best = [cell for cell in answer.cells if cell.front == "on" and _regime(cell) == regime]
                points = sorted((cell.cost, _height(answer, cell)) for cell in best)
                if points:
                    axes.step(*zip(*points, strict=True), where="post", color="0.5", linewidth=0.8, zorder=0)
            _cost_axis(axes, answer.cost)
            axes.set_ylabel("top-1 accuracy (%)" if answer.unit == "pp" else answer.metric)
            plain_ticks(axes, "y", nbins=5)
            axes.margins(0.12)
        front_line = Line2D([], [], color="0.5", linewidth=0.8, label="Pareto front")
        shades = [
            Line2D([], [], color="0.2", marker="o", linestyle="none", markersize=4, mfc=face, label=words)
            for front, face, words in (
                ("on", "0.2", "on the front"),
                ("?", "0.75", "undecided"),
                ("off", "white", "not on it"),
            )
            if any(cell.front == front for answer in answers for cell in answer.cells)
        ]
        name = "Accuracy" if some.unit == "pp" else some.metric
        drawn = canvas.finish(
            title=f"{name} against {', '.join(answer.cost for answer in answers)}",
            caption=f"{_caption(some)} {_FRONT}",
            handles=[*_handles(looks), front_line, *shades],
        )
        figure = canvas.panels[0].get_figure(root=True)
        assert figure is not None
        figure.draw_without_rendering()  # from here on every panel has its place
        for axes, answer in zip(canvas.panels, answers, strict=False):
            _name_cells(axes, answer)
        return drawn


_FRONT = (
    "On the front: everything that costs no more is worse; not on it: something that costs no more is better; "
    "undecided: seeds leave it open."
)


def _regime(cell: Cell) -> float | None:
    """Return the length of training, within which cells are compared."""
    return cell.coordinates.get(REGIME)


def _height(answer: Scaling, cell: Cell) -> float:
    return 100.0 - cell.error if answer.unit == "pp" else cell.error


def _groups(answer: Scaling) -> tuple[list[str], dict[str, Look]]:
    """Return what colours each cell: its strategy, else a length of training where there are several; and the looks."""
    lengths = {_regime(each) for each in answer.cells}
    groups = [
        cell.strategy
        if cell.strategy is not None
        else f"{_regime(cell):g} epochs"
        if len(lengths) > 1 and _regime(cell) is not None
        else ""
        for cell in answer.cells
    ]
    return groups, looks_of(groups)


def _handles(looks: dict[str, Look]) -> list[Artist]:
    return [
        Line2D([], [], color=look.color, marker=look.marker, linestyle="none", markersize=4, label=name)
        for name, look in looks.items()
        if name
    ]


def _caption(answer: Scaling) -> str:
    n = counts_in_words(cell.n for cell in answer.cells)
    unit = " points" if answer.unit == "pp" else ""
    return (
        f"Mark: mean over seeds ({n} each); bar: {percent(answer.level)} interval of the mean from the std over "
        f"seeds, {answer.noise.sd:.2g}{unit}."
    )


def _cells(
    axes: Axes, answer: Scaling, members: Sequence[Cell], look: Look, y: Sequence[float], face: Any = None
) -> None:
    axes.errorbar(
        [cell.cost for cell in members],
        y,
        [answer.half_width(cell) for cell in members],
        fmt=look.marker,
        color=look.color,
        mfc=face,
        markersize=4,
        linewidth=1,
        zorder=2,
    )


def _cost_axis(axes: Axes, cost: str) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    few = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=few))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"cost: {cost}")


def _name_cells(axes: Axes, answer: Scaling) -> None:
    """Name the cells on the front, as far as there is room: over no mark, bar, line or other name."""
    groups, _ = _groups(answer)
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_window_extent()
    taken = [
        Bbox(axes.transData.transform([(cell.cost, y - half), (cell.cost, y + half)])).padded(3)
        for cell in answer.cells
        for y, half in [(_height(answer, cell), answer.half_width(cell))]
    ]
    fronts = [
        Path(np.column_stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]])).transformed(axes.transData)
        for x, y in (line.get_data() for line in axes.lines if line.get_drawstyle() == "steps-post")
    ]
    for cell, group in zip(answer.cells, groups, strict=True):
        if cell.front != "on":
            continue
        parts = cell.label.split(", ")
        if sum(each.label.split(", ")[0] == parts[0] for each in answer.cells) == 1:
            parts = parts[:1]
        known = f"{REGIME} {group.removesuffix(f' {REGIME}')}"  # the legend has it
        words = ", ".join(part for part in parts if part != known) or cell.label
        for dx, dy, ha in ((4, -9, "left"), (-4, 3, "right"), (4, 3, "left"), (-4, -9, "right")):
            at = (cell.cost, _height(answer, cell))
            left, bottom = axes.transData.transform(at) + np.array([dx, dy - 1]) * figure.dpi / 72
            # From the font itself: at few dots an inch letters are drawn narrower than on paper.
            inches = width_of(words, SMALL - 1)
            left -= inches * figure.dpi if ha == "right" else 0.0
            own = Bbox.from_bounds(left, bottom, inches * figure.dpi, SMALL * figure.dpi / 72)
            is_free = not any(own.overlaps(other) for other in taken) and not any(
                front.intersects_bbox(own, filled=False) for front in fronts
            )
            if is_free and box.x0 <= own.x0 and own.x1 <= box.x1 and box.y0 <= own.y0 and own.y1 <= box.y1:
                how: dict[str, Any] = {"textcoords": "offset points", "ha": ha, "size": SMALL - 1}
                axes.annotate(words, at, (dx, dy), **how)
                taken.append(own.padded(1))
                break
