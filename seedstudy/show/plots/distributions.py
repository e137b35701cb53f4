"""The distribution over seeds: RSB's Figure 2, and the families that were fitted to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    ARMS,
    BARS,
    BARS_ALPHA,
    DASHES,
    MARK,
    SMALL,
    TITLE_CHARS,
    axis_label,
    limits_of,
    plain_ticks,
    rows_of,
    set_gaps,
    styled,
    wrap,
)
from seedstudy.stats.result import decimals_of, p_equals

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from seedstudy.decide.summary import FittedGroup, Summary
    from seedstudy.study.group import Values

_FAR_APART = 4
"""Recipes share one axis up to this many times the width of the widest."""


def plot_distributions(summaries: Sequence[Summary]) -> Figure:
    """Draw RSB's Figure 2: per recipe and eval set the histogram over seeds, a Gaussian and seed 0.

    The Gaussian has the sample's mean and standard deviation; its area is that of the bars. Recipes share the
    horizontal axis of their eval set.
    """
    rows = rows_of([summary.group for summary in summaries])
    eval_sets = list(dict.fromkeys(summary.group.eval_set for summary in summaries))
    n_rows, n_columns = max(rows) + 1, len(eval_sets)
    with styled():
        figure = Figure(figsize=(max(4.4, 3.5 * n_columns + 0.2), 2.35 * n_rows + 0.75), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for column, eval_set in enumerate(eval_sets):
            members = [(row, s) for row, s in zip(rows, summaries, strict=True) if s.group.eval_set == eval_set]
            limits, note = _shared_limits([s for _, s in members])
            for (row, summary), ends in zip(members, limits, strict=True):
                draw_histogram(grid[row][column], summary, ends)
            last = grid[max(row for row, _ in members)][column]
            last.set_xlabel(axis_label(members[0][1].group, eval_set) + note)
        set_gaps(figure)
        handles = legend_handles(summaries)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if n_columns > 1 else 2)
    return figure


def _shared_limits(summaries: Sequence[Summary]) -> tuple[list[tuple[float, float]], str]:
    """Return each recipe's axis on one eval set, and a note where it is not the same for all.

    Recipes whose seeds lie very far apart would be needles on one axis: they get axes of one scale instead.
    """
    each = [limits_of_seeds(summary) for summary in summaries]
    low, high = min(ends[0] for ends in each), max(ends[1] for ends in each)
    span = max(ends[1] - ends[0] for ends in each)
    if high - low <= _FAR_APART * span:
        return [(low, high)] * len(each), ""
    middles = [sum(ends) / 2 for ends in each]
    return [(middle - span / 2, middle + span / 2) for middle in middles], "\naxes of equal scale, each at its seeds"


def limits_of_seeds(summary: Summary) -> tuple[float, float]:
    """Return an axis that holds the bars and the Gaussian of one recipe."""
    mean, std = summary.description.mean.value, summary.description.std.value
    return limits_of([edges_of(summary.group.values)], [(mean, 3.2 * std)], summary.group.unit)


def draw_histogram(axes: Axes, summary: Summary, limits: tuple[float, float]) -> None:
    """Draw the histogram over seeds with the Gaussian of this mean and std, every seed, and seed 0."""
    group, mean, std = summary.group, summary.description.mean, summary.description.std.value
    axes.set_visible(True)
    edges = edges_of(group.values, width_of_one=(limits[1] - limits[0]) / 12)
    noun = "seed" if group.n == 1 else "seeds"
    sns.histplot(x=group.values, ax=axes, bins=edges, color=BARS, alpha=BARS_ALPHA, edgecolor="white")
    top = axes.dataLim.y1
    if std > 0:
        x = np.linspace(mean.value - 4 * std, mean.value + 4 * std, 400)
        curve = np.exp(-((x - mean.value) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))
        curve *= group.n * (edges[1] - edges[0])
        axes.plot(x, curve, color="black", linewidth=1.3)
        top = max(top, float(curve.max()))
    sns.rugplot(x=group.values, ax=axes, color="black", height=0.05, linewidth=0.8, alpha=0.7)
    decimals = decimals_of(mean)
    value = f"value {mean.value:.{decimals}f}"
    if group.n > 1:
        value = f"mean ± std {mean.value:.{decimals}f} ± {std:.{decimals}f}"
    unit = " %" if group.unit == "pp" else ""
    name = wrap(f"{group.label}, {group.eval_set}", TITLE_CHARS)
    axes.set_title(f"{name}\n{value}{unit}, n = {group.n} {noun}")
    axes.set_xlim(limits)
    axes.set_ylim(0, 1.28 * top)  # room for the words beside seed 0's line
    axes.set_ylabel("number of seeds")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    plain_ticks(axes)
    if group.seed0 is not None:
        _mark_seed0(axes, group.seed0, f"seed 0: {group.seed0:.{decimals}f}")


def _mark_seed0(axes: Axes, value: float, text: str) -> None:
    axes.axvline(value, color=MARK, linestyle=DASHES, linewidth=1.6)
    is_left = value < sum(axes.get_xlim()) / 2
    axes.annotate(
        text,
        (value, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4 if is_left else -4, -1),
        textcoords="offset points",
        ha="left" if is_left else "right",
        va="top",
        size=SMALL,
        color=MARK,
    )


def edges_of(values: Values, width_of_one: float = 0.0) -> npt.NDArray[np.floating]:
    """Return the edges of equal bins over the values; of one bin where all are equal.

    Accuracies are multiples of one image. Where the seeds lie on such a lattice, every bin holds equally many of
    its points; bins that did not would show gaps that are not in the data.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low + width_of_one * np.array([-0.5, 0.5])
    n = len(values)
    # Sturges' number of bins or sqrt(n), at least 3: few seeds should look like few seeds.
    width = (high - low) / (max(3, math.ceil(math.log2(n)) + 1, math.ceil(math.sqrt(n))) - 1)
    gaps = np.diff(np.unique(np.round(values, 9)))
    step = float(gaps.min()) if gaps.size else 0.0
    room = width  # the outermost seeds are in the middle of their bins, not on an edge
    if step > 0 and np.allclose(gaps / step, np.round(gaps / step), atol=1e-4):
        room, width = step, step * max(1, round(width / step))
    n_bins = math.ceil((high - low + room) / width - 1e-4)
    return (low + high) / 2 + width * (np.arange(n_bins + 1) - n_bins / 2)


def legend_handles(summaries: Sequence[Summary]) -> list[Patch | Line2D]:
    """Return what was drawn, with its meaning."""
    handles: list[Patch | Line2D] = [
        Patch(color=BARS, alpha=BARS_ALPHA, linewidth=0, label="number of seeds in a bin"),
        Line2D([], [], color="black", marker="|", linestyle="none", markersize=7, label="one seed"),
    ]
    if any(summary.description.std.value > 0 for summary in summaries):
        handles.append(Line2D([], [], color="black", linewidth=1.3, label="Gaussian with this mean and std"))
    if any(summary.group.seed0 is not None for summary in summaries):
        handles.append(Line2D([], [], color=MARK, linestyle=DASHES, linewidth=1.6, label="seed 0"))
    return handles


# --- what the seeds look like: histogram with fitted curves, and a normal quantile plot ---------------------


def plot_fits(groups: Sequence[FittedGroup]) -> Figure:
    """Draw per eval set the histogram with the Gaussian and the best family, and a normal quantile plot."""
    with styled():
        figure = Figure(figsize=(8.2, 3.0 * len(groups) + 0.7), layout="constrained")
        grid = figure.subplots(len(groups), 2, squeeze=False)
        for (left, right), fitted in zip(grid, groups, strict=True):
            _draw_fitted(left, fitted)
            _draw_quantiles(right, fitted)
        set_gaps(figure)
        handles: list[Patch | Line2D] = legend_handles([fitted.summary for fitted in groups])
        if any(_has_better_family(fitted) for fitted in groups):
            handles.append(Line2D([], [], color=ARMS[2], linewidth=1.3, label="best family by AICc"))
        handles.append(Line2D([], [], color="0.45", linewidth=1, label="where normal seeds would lie"))
        level = groups[0].summary.description.mean.level
        handles.append(Patch(color=BARS, alpha=0.18, linewidth=0, label=f"pointwise {percent(level)} band"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _has_better_family(fitted: FittedGroup) -> bool:
    """Return whether another family than the normal one is the best."""
    return bool(fitted.fit.families) and fitted.fit.families[0].name != "normal"


def _draw_fitted(axes: Axes, fitted: FittedGroup) -> None:
    group = fitted.group
    limits = limits_of_seeds(fitted.summary)
    draw_histogram(axes, fitted.summary, limits)
    axes.set_xlabel(axis_label(group, group.eval_set))
    if _has_better_family(fitted):
        best = fitted.fit.families[0]
        x = np.linspace(*limits, 400)
        width = float(np.diff(edges_of(group.values))[0])
        curve = group.n * width * fitted.density(best, x)
        axes.plot(x, curve, color=ARMS[2], linewidth=1.3)
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, max(top, 1.28 * float(curve.max())))
        # Below the words of seed 0, on the other side of its line.
        is_right = group.seed0 is not None and group.seed0 < sum(limits) / 2
        x_name, side = (0.98, "right") if is_right else (0.02, "left")
        axes.text(x_name, 0.89, best.name, transform=axes.transAxes, ha=side, va="top", size=SMALL, color=ARMS[2])


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
