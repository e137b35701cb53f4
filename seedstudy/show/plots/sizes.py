"""Accuracy against test size, from kept weights."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import Canvas, Width, axis_label, looks_of, plain_ticks, styled
from seedstudy.show.view import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.sizes import Evaluated, Point


def plot_test_sizes(evaluated: Evaluated, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw for each eval set the mean accuracy of each recipe against the test size, with its interval.

    The recipe's own test size has a filled mark, the others an open one.
    """
    panels: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in evaluated.points:
        panels[point.name][point.summary.group.label].append(point)
    names, common = short_names([point.summary.group for point in evaluated.points])
    looks = looks_of(point.summary.group.label for point in evaluated.points)
    counts = {point.summary.group.label: point.summary.description.n for point in evaluated.points}
    n_columns = min(len(panels), 1 if width == "column" else 3)
    with styled():
        canvas = Canvas(width, [2.1] * -(-len(panels) // n_columns), n_columns, ax=ax)
        for axes, (name, curves) in zip(canvas.panels, panels.items(), strict=False):
            for label, points in curves.items():
                look = looks[label]
                means = [point.summary.description.mean for point in points]
                x = np.array([point.test_size for point in points])
                y = np.array([mean.value for mean in means])
                axes.plot(x, y, color=look.color, linestyle=look.line)
                if all(mean.has_interval for mean in means):
                    low, high = ([getattr(mean, end) for mean in means] for end in ("low", "high"))
                    axes.fill_between(x, low, high, color=look.color, alpha=0.2, linewidth=0)
                own = np.array([point.is_own for point in points])
                marks = {"color": look.color, "marker": look.marker, "linestyle": "none", "markersize": 4}
                axes.plot(x[~own], y[~own], markerfacecolor="white", **marks)
                axes.plot(x[own], y[own], **marks)
            axes.set_xlabel("test size (px)")
            axes.set_ylabel(axis_label(next(iter(curves.values()))[0].summary.group, name))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            plain_ticks(axes, "y", nbins=5)
        level = percent(evaluated.points[0].summary.level)
        return canvas.finish(
            title=f"Accuracy against test size{': ' if common else ''}{', '.join(common)}",
            caption=f"Mark: mean over seeds, filled at the recipe's own test size; band: its {level} interval "
            "(Student t).",
            handles=[
                Line2D(
                    [],
                    [],
                    color=looks[label].color,
                    marker=looks[label].marker,
                    linestyle=looks[label].line,
                    markersize=4,
                    label=f"{names[label]}, n = {n}",
                )
                for label, n in counts.items()
            ],
        )
