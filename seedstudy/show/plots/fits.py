"""What the seeds of one recipe look like: histogram with fitted curves, and a normal quantile plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import ARMS, BARS, BARS_ALPHA, SMALL, axis_label, plain_ticks, set_gaps, styled
from seedstudy.show.plots.distributions import draw_histogram, edges_of, legend_handles, limits_of_seeds
from seedstudy.stats.result import p_equals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.summary import FittedGroup

_BEST = ARMS[2]


def plot_fits(groups: Sequence[FittedGroup]) -> Figure:
    """Draw per eval set the histogram with the Gaussian and the best family, and a normal quantile plot."""
    with styled():
        figure = Figure(figsize=(8.2, 3.0 * len(groups) + 0.7), layout="constrained")
        grid = figure.subplots(len(groups), 2, squeeze=False)
        for (left, right), fitted in zip(grid, groups, strict=True):
            _draw_histogram(left, fitted)
            _draw_quantiles(right, fitted)
        set_gaps(figure)
        handles: list[Patch | Line2D] = legend_handles([fitted.summary for fitted in groups])
        if any(_has_better_family(fitted) for fitted in groups):
            handles.append(Line2D([], [], color=_BEST, linewidth=1.3, label="best family by AICc"))
        handles.append(Line2D([], [], color="0.45", linewidth=1, label="where normal seeds would lie"))
        level = groups[0].summary.description.mean.level
        handles.append(Patch(color=BARS, alpha=0.18, linewidth=0, label=f"pointwise {percent(level)} band"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _has_better_family(fitted: FittedGroup) -> bool:
    """Return whether another family than the normal one is the best."""
    return bool(fitted.fit.families) and fitted.fit.families[0].name != "normal"


def _draw_histogram(axes: Axes, fitted: FittedGroup) -> None:
    group = fitted.group
    limits = limits_of_seeds(fitted.summary)
    draw_histogram(axes, fitted.summary, limits)
    axes.set_xlabel(axis_label(group, group.eval_set))
    if _has_better_family(fitted):
        best = fitted.fit.families[0]
        x = np.linspace(*limits, 400)
        width = float(np.diff(edges_of(group.values))[0])
        curve = group.n * width * fitted.density(best, x)
        axes.plot(x, curve, color=_BEST, linewidth=1.3)
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, max(top, 1.28 * float(curve.max())))
        # Below the words of seed 0, on the other side of its line.
        is_right = group.seed0 is not None and group.seed0 < sum(limits) / 2
        x_name, side = (0.98, "right") if is_right else (0.02, "left")
        axes.text(x_name, 0.89, best.name, transform=axes.transAxes, ha=side, va="top", size=SMALL, color=_BEST)


def _draw_quantiles(axes: Axes, fitted: FittedGroup) -> None:
    """Draw observed against normal quantiles: on the line where seeds are normal."""
    group, qq = fitted.group, fitted.fit.qq
    if qq is None:
        axes.set_visible(False)
        return
    description = fitted.summary.description
    x = np.array(qq.theoretical)
    axes.fill_between(x, qq.low, qq.high, color=BARS, alpha=0.18, linewidth=0)
    line = description.mean.value + description.std.value * x
    axes.plot(x, line, color="0.45", linewidth=1)
    axes.plot(x, qq.observed, color=BARS, marker="o", markersize=3.5, linestyle="none", alpha=BARS_ALPHA + 0.3)
    p_values = ", ".join(f"{test.test} {p_equals(test.p_value)}" for test in fitted.fit.normality[:2])
    axes.set_title(f"normal quantile plot\n{p_values}")
    axes.set_xlabel("normal quantile (std from the mean)")
    axes.set_ylabel(axis_label(group, group.eval_set))
    plain_ticks(axes)
