"""Accuracy against test size, from kept weights."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import ARMS, SMALL, axis_label, row_label, set_gaps, styled

if TYPE_CHECKING:
    from seedstudy.decide.sizes import Evaluated, Point

_MARKS = "osD^"


def plot_test_sizes(evaluated: Evaluated) -> Figure:
    """Draw for each eval set the mean accuracy of each recipe against the test size, with its interval.

    The recipe's own test size has a filled mark, the others an open one.
    """
    panels: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in evaluated.points:
        panels[point.name][point.summary.group.label].append(point)
    with styled():
        figure = Figure(figsize=(1.0 + 3.6 * len(panels), 3.2), layout="constrained")
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, curves) in zip(all_axes, panels.items(), strict=True):
            for number, (label, points) in enumerate(curves.items()):
                colour, mark = ARMS[number % len(ARMS)], _MARKS[number % len(_MARKS)]
                means = [point.summary.description.mean for point in points]
                x = np.array([point.test_size for point in points])
                y = np.array([mean.value for mean in means])
                axes.plot(x, y, color=colour, linewidth=1.2)
                if all(mean.has_interval for mean in means):
                    low, high = ([getattr(mean, end) for mean in means] for end in ("low", "high"))
                    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
                own = np.array([point.is_own for point in points])
                n = points[0].summary.description.n
                style = {"color": colour, "marker": mark, "linestyle": "none", "markersize": 5}
                axes.plot(x[~own], y[~own], markerfacecolor="white", **style)
                axes.plot(x[own], y[own], label=f"{row_label(label)}, n = {n}", **style)
            axes.set_xlabel("test size (px); filled: the recipe's own")
            axes.set_ylabel(axis_label(next(iter(curves.values()))[0].summary.group, name))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
            axes.legend(loc="best")
        level = evaluated.points[0].summary.level
        figure.supxlabel(f"mean over seeds; band: {percent(level)} CI by t", fontsize=SMALL)
        set_gaps(figure)
    return figure
