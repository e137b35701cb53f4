"""The distribution over seeds: RSB's Figure 2, the families that were fitted to it, and its quantiles."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    BARS_ALPHA,
    DASHES,
    FEWEST_FOR_BARS,
    MARK,
    SMALL,
    WIDTHS,
    Canvas,
    Look,
    Width,
    axis_label,
    chunks,
    eval_sets_of,
    fitted,
    height_of,
    limits_of,
    looks_of,
    paged,
    plain_ticks,
    rows_of,
    styled,
    swarm,
)
from seedstudy.show.view import short_names
from seedstudy.stats.result import decimals_of, p_equals

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.summary import FittedGroup, Summary
    from seedstudy.study.group import Values

_FAR_APART = 4
"""Recipes share one axis up to this many times the width of the widest."""
_BARS_HEIGHT, _DOTS_HEIGHT = 1.65, 1.05
"""Inches of a panel, its title and axis included."""
_BEST = "0.35"
_MOST_BINS = 60


def plot_distributions(summaries: Sequence[Summary], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw RSB's Figure 2: per recipe and eval set the histogram over seeds, a Gaussian and seed 0.

    Below 20 seeds each seed is a dot, and no Gaussian is drawn. The Gaussian has the sample's mean and standard
    deviation; its area is that of the bars. Recipes share the horizontal axis of their eval set.
    """
    summaries = list(summaries)
    groups = [summary.group for summary in summaries]
    names, common = short_names(groups)
    looks = looks_of(group.label for group in groups)
    eval_sets = eval_sets_of(groups)
    n_columns = min(len(eval_sets), 1 if width == "column" else 3)
    # A row of panels: one recipe on as many eval sets as fit beside each other.
    rows: dict[tuple[int, int], list[Summary]] = defaultdict(list)
    for row, summary in zip(rows_of(groups), summaries, strict=True):
        rows[eval_sets.index(summary.group.eval_set) // n_columns, row].append(summary)
    lines = [rows[key] for key in sorted(rows)]
    limits, note = _limits(summaries)
    inches = WIDTHS[width] / n_columns
    heights = [_height(line, names, inches) for line in lines]
    parts = chunks(heights)
    if ax is None and len(lines) == 1 and len(lines[0]) == 1:
        heights = [heights[0] * 1.25]
    with styled():
        pages = []
        for number, part in enumerate(parts, start=1):
            canvas = Canvas(width, [heights[i] for i in part], n_columns, ax=ax)
            lowest = {summary.group.eval_set: i for i in part for summary in lines[i]}
            for panels, i in zip(canvas.grid, part, strict=True):
                for summary in lines[i]:
                    group = summary.group
                    axes = panels[eval_sets.index(group.eval_set) % n_columns]
                    _draw(axes, summary, limits[id(summary)], looks[group.label], inches, names[group.label])
                    if lowest[group.eval_set] == i:
                        axes.set_xlabel(axis_label(group, group.eval_set) + note)
            shown = [summary for i in part for summary in lines[i]]
            title = "Accuracy over seeds" if groups[0].metric == "top1" else f"{groups[0].metric} over seeds"
            pages.append(
                canvas.finish(
                    title=": ".join((title, *common)),
                    caption=_caption(shown),
                    handles=legend_handles(shown),
                    page=(number, len(parts)),
                )
            )
        return paged(pages)


def _has_bars(summary: Summary) -> bool:
    return summary.group.n >= FEWEST_FOR_BARS


def _height(line: Sequence[Summary], names: Mapping[str, str], inches: float) -> float:
    """Return the inches of a row of panels; titles of more than two lines make it higher."""
    titles = [_panel_title(summary, names[summary.group.label], inches) for summary in line]
    more = max(map(height_of, titles)) - height_of("a\nb")
    return (_BARS_HEIGHT if any(map(_has_bars, line)) else _DOTS_HEIGHT) + max(0.0, more)


def _caption(summaries: Sequence[Summary]) -> str:
    level = percent(summaries[0].level)
    sentences = []
    if any(map(_has_bars, summaries)):
        sentences.append("Bars: seeds in a bin; short line: one seed; curve: Gaussian with this mean and std.")
    few = [summary for summary in summaries if not _has_bars(summary)]
    if few:
        has_interval = any(summary.description.mean.has_interval for summary in few)
        mean = f"diamond and bar: mean with its {level} interval (Student t)" if has_interval else "diamond: mean"
        sentences.append(f"Dot: one seed; {mean}.")
    if any(summary.group.n > 1 for summary in summaries):
        sentences.append("± is the std over seeds.")
    return " ".join(sentences)


def _limits(summaries: Sequence[Summary]) -> tuple[dict[int, tuple[float, float]], str]:
    """Return the axis of each summary, and a note where it is not the same for all of an eval set.

    Recipes whose seeds lie very far apart would be needles on one axis: they get axes of one scale instead.
    """
    by_set: dict[str, list[Summary]] = defaultdict(list)
    for summary in summaries:
        by_set[summary.group.eval_set].append(summary)
    found, note = dict[int, tuple[float, float]](), ""
    for members in by_set.values():
        each = [limits_of_seeds(summary) for summary in members]
        low, high = min(ends[0] for ends in each), max(ends[1] for ends in each)
        span = max(ends[1] - ends[0] for ends in each)
        if high - low <= _FAR_APART * span:
            each = [(low, high)] * len(each)
        else:
            middles = [sum(ends) / 2 for ends in each]
            each = [(middle - span / 2, middle + span / 2) for middle in middles]
            note = "\naxes of equal scale, each at its seeds"
        found |= {id(summary): ends for summary, ends in zip(members, each, strict=True)}
    return found, note


def limits_of_seeds(summary: Summary) -> tuple[float, float]:
    """Return an axis that holds the bars and the Gaussian of one recipe, or its dots and the interval of their mean."""
    group, mean = summary.group, summary.description.mean
    if not _has_bars(summary):
        return limits_of([group.values], [(mean.value, (mean.high - mean.low) / 2)], group.unit)
    return limits_of([edges_of(group.values)], [(mean.value, 3.2 * summary.description.std.value)], group.unit)


def _draw(axes: Axes, summary: Summary, limits: tuple[float, float], look: Look, inches: float, name: str) -> None:
    group = summary.group
    axes.set_title(_panel_title(summary, name, inches))
    if _has_bars(summary):
        draw_histogram(axes, summary, limits, look)
    else:
        _draw_dots(axes, summary, limits, look, inches)
    plain_ticks(axes)
    if group.seed0 is not None:
        decimals = decimals_of(summary.description.mean)
        _mark_seed0(axes, group.seed0, f"seed 0: {group.seed0:.{decimals}f}")


def _panel_title(summary: Summary, name: str, inches: float) -> str:
    group, mean, std = summary.group, summary.description.mean, summary.description.std.value
    decimals = decimals_of(mean)
    value = f"value {mean.value:.{decimals}f}"
    if group.n > 1:
        value = f"mean ± std {mean.value:.{decimals}f} ± {std:.{decimals}f}"
    unit = " %" if group.unit == "pp" else ""
    noun = "seed" if group.n == 1 else "seeds"
    title = fitted(f"{name}, {group.eval_set}", inches - 0.6, 7.5)
    return f"{title}\n{fitted(f'{value}{unit}, n = {group.n} {noun}', inches - 0.5, 7.5)}"


def draw_histogram(axes: Axes, summary: Summary, limits: tuple[float, float], look: Look) -> None:
    """Draw the histogram over seeds with the Gaussian of this mean and std, and every seed."""
    group, mean, std = summary.group, summary.description.mean, summary.description.std.value
    edges = edges_of(group.values, width_of_one=(limits[1] - limits[0]) / 12)
    sns.histplot(x=group.values, ax=axes, bins=edges, color=look.color, alpha=BARS_ALPHA, edgecolor="white")
    top = axes.dataLim.y1
    if std > 0:
        x = np.linspace(mean.value - 4 * std, mean.value + 4 * std, 400)
        curve = np.exp(-((x - mean.value) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))
        curve *= group.n * (edges[1] - edges[0])
        axes.plot(x, curve, color="black", linewidth=1.1)
        top = max(top, float(curve.max()))
    sns.rugplot(x=group.values, ax=axes, color="black", height=0.05, linewidth=0.6, alpha=0.7)
    axes.set_xlim(limits)
    axes.set_ylim(0, 1.32 * top)  # room for the words beside seed 0's line
    axes.set_ylabel("number of seeds")
    axes.set_xlabel("")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))


def _draw_dots(axes: Axes, summary: Summary, limits: tuple[float, float], look: Look, inches: float) -> None:
    values, mean = summary.group.values, summary.description.mean
    y = swarm(values, limits, 4.0, inches - 0.5, 0.12)
    axes.scatter(values, y, s=4.0**2, color=look.color, marker=look.marker, alpha=0.8, linewidth=0)
    if mean.has_interval:
        axes.plot([mean.low, mean.high], [-0.22, -0.22], color="black", linewidth=1.1, marker="|", markersize=4)
    axes.plot([mean.value], [-0.22], color="black", marker="D", markersize=3.5, mec="white", mew=0.5)
    axes.set_xlim(limits)
    axes.set_ylim(-0.32, 0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _mark_seed0(axes: Axes, value: float, text: str) -> None:
    axes.axvline(value, color=MARK, linestyle=DASHES, linewidth=1.2)
    is_left = value < sum(axes.get_xlim()) / 2
    axes.annotate(
        text,
        (value, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(3 if is_left else -3, -1),
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
    # One seed far out must not put all others into one bin: Freedman and Diaconis's width, which it does not move.
    low_half, high_half = np.percentile(values, (25, 75))
    robust = 2 * float(high_half - low_half) / n ** (1 / 3)
    if robust > 0:
        width = min(width, max(robust, (high - low) / _MOST_BINS))
    gaps = np.diff(np.unique(np.round(values, 9)))
    step = float(gaps.min()) if gaps.size else 0.0
    room = width  # the outermost seeds are in the middle of their bins, not on an edge
    if step > 0 and np.allclose(gaps / step, np.round(gaps / step), atol=1e-4):
        room, width = step, step * max(1, round(width / step))
    n_bins = math.ceil((high - low + room) / width - 1e-4)
    return (low + high) / 2 + width * (np.arange(n_bins + 1) - n_bins / 2)


def legend_handles(summaries: Sequence[Summary]) -> list[Artist]:
    """Return what the caption does not name: the lines of the Gaussian and of seed 0."""
    handles: list[Artist] = []
    if any(_has_bars(summary) and summary.description.std.value > 0 for summary in summaries):
        handles.append(Line2D([], [], color="black", linewidth=1.1, label="Gaussian with this mean and std"))
    if any(summary.group.seed0 is not None for summary in summaries):
        handles.append(Line2D([], [], color=MARK, linestyle=DASHES, linewidth=1.2, label="seed 0"))
    return handles


# --- the shape: histogram with fitted curves, and a normal quantile plot ------------------------------------


def plot_fits(groups: Sequence[FittedGroup], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw per eval set the histogram with the Gaussian and the best family, and a normal quantile plot."""
    return _plot_shapes(groups, ("seeds", "quantiles"), width=width, ax=ax)


def plot_quantiles(groups: Sequence[FittedGroup], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw observed against normal quantiles per eval set: on the line where seeds are normal."""
    return _plot_shapes(groups, ("quantiles",), width=width, ax=ax)


def _plot_shapes(groups: Sequence[FittedGroup], parts: Sequence[str], *, width: Width, ax: Axes | None) -> Any:
    order = eval_sets_of(each.group for each in groups)
    groups = sorted(groups, key=lambda each: order.index(each.group.eval_set))
    look = looks_of(each.group.label for each in groups)[groups[0].group.label]
    names, common = short_names([each.group for each in groups])
    name = next(iter(names.values()))
    n_columns = 1 if width == "column" or len(parts) * len(groups) == 1 else 2
    inches = WIDTHS[width] / n_columns
    panels = [(part, each) for each in groups for part in parts]
    lines = [panels[i : i + n_columns] for i in range(0, len(panels), n_columns)]
    heights = [max(2.1 if part == "quantiles" or _has_bars(of.summary) else 1.3 for part, of in line) for line in lines]
    pages = chunks(heights)
    with styled():
        drawn = []
        for number, page in enumerate(pages, start=1):
            canvas = Canvas(width, [heights[i] for i in page], n_columns, ax=ax)
            shown = [panel for i in page for panel in lines[i]]
            for axes, (part, of) in zip(canvas.panels, shown, strict=False):
                if part == "seeds":
                    _draw_fitted(axes, of, look, inches, name)
                else:
                    _draw_quantiles(axes, of, look, inches)
            histograms = [of for part, of in shown if part == "seeds"]
            sentences = [_caption([of.summary for of in histograms])] if histograms else []
            if any(part == "quantiles" for part, _ in shown):
                dot = "" if histograms and not all(_has_bars(of.summary) for of in histograms) else "Dot: one seed. "
                sentences.append(f"{dot}p: test of normal seeds, small where they are not.")
            drawn.append(
                canvas.finish(
                    title=": ".join(("Distribution over seeds", ", ".join((name, *common)))),
                    caption=" ".join(sentences),
                    handles=_shape_handles(shown, histograms, look),
                    page=(number, len(pages)),
                )
            )
        return paged(drawn)


def _shape_handles(
    shown: Sequence[tuple[str, FittedGroup]], histograms: Sequence[FittedGroup], look: Look
) -> list[Artist]:
    handles = legend_handles([of.summary for of in histograms])
    if any(_has_better_family(of) and _has_bars(of.summary) for of in histograms):
        handles.append(Line2D([], [], color=_BEST, linestyle=DASHES, linewidth=1.4, label="best family by AICc"))
    if any(part == "quantiles" for part, _ in shown):
        level = percent(shown[0][1].summary.level)
        handles.append(Line2D([], [], color="0.45", linewidth=1, label="where normal seeds would lie"))
        handles.append(Patch(color=look.color, alpha=0.18, linewidth=0, label=f"pointwise {level} band"))
    return handles


def _written(test: str) -> str:
    """Return the name of a test as it is written: after the people who found it."""
    return "-".join(part.capitalize() for part in test.split("-"))


def _has_better_family(fitted: FittedGroup) -> bool:
    """Return whether another family than the normal one is the best."""
    return bool(fitted.fit.families) and fitted.fit.families[0].name != "normal"


def _draw_fitted(axes: Axes, of: FittedGroup, look: Look, inches: float, name: str) -> None:
    group = of.group
    limits = limits_of_seeds(of.summary)
    _draw(axes, of.summary, limits, look, inches, name)
    axes.set_xlabel(axis_label(group, group.eval_set))
    if _has_better_family(of) and _has_bars(of.summary):
        best = of.fit.families[0]
        x = np.linspace(*limits, 400)
        bin_width = float(np.diff(edges_of(group.values))[0])
        curve = group.n * bin_width * of.density(best, x)
        axes.plot(x, curve, color=_BEST, linewidth=1.4, linestyle=DASHES)
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, max(top, 1.32 * float(curve.max())))
        # Below the words of seed 0, on the other side of its line.
        is_right = group.seed0 is not None and group.seed0 < sum(limits) / 2
        x_name, side = (0.98, "right") if is_right else (0.02, "left")
        axes.text(x_name, 0.89, best.name, transform=axes.transAxes, ha=side, va="top", size=SMALL, color=_BEST)


def _draw_quantiles(axes: Axes, of: FittedGroup, look: Look, inches: float) -> None:
    """Draw observed against normal quantiles: on the line where seeds are normal."""
    group, qq = of.group, of.fit.qq
    if qq is None:
        axes.text(0.5, 0.5, "all seeds are equal", transform=axes.transAxes, ha="center", size=SMALL)
        axes.set_axis_off()
        return
    description = of.summary.description
    x = np.array(qq.theoretical)
    axes.fill_between(x, qq.low, qq.high, color=look.color, alpha=0.18, linewidth=0)
    line = description.mean.value + description.std.value * x
    axes.plot(x, line, color="0.45", linewidth=1)
    axes.plot(
        x, qq.observed, color=look.color, marker="o", markersize=3, mew=0, linestyle="none", alpha=BARS_ALPHA + 0.3
    )
    p_values = ", ".join(f"{_written(test.test)} {p_equals(test.p_value)}" for test in of.fit.normality[:2])
    axes.set_title(fitted(f"{group.eval_set}, n = {group.n} seeds\n{p_values}", inches - 0.6, 7.5))
    axes.set_xlabel("normal quantile (std from the mean)")
    axes.set_ylabel(axis_label(group, group.eval_set))
    plain_ticks(axes)
    plain_ticks(axes, "y", nbins=5)
