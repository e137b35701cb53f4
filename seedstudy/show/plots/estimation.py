"""Estimation plots: every seed, the means, and the differences with their intervals."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from seedstudy.show.format import percent, with_interval
from seedstudy.show.plots.canvas import (
    ARMS,
    SMALL,
    axis_label,
    identity,
    limits_of,
    plain_ticks,
    row_label,
    rows_of,
    set_gaps,
    styled,
)
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.compare import Answer
    from seedstudy.stats.result import Estimate
    from seedstudy.study.group import Values

# A row per recipe, in units of rows (y grows downwards); sizes in inches.
_PANEL_WIDTH, _ROW_HEIGHT, _PANEL_OVERHEAD = 3.3, 0.68, 0.62
_TEXT_Y, _DOTS_Y, _BAR_Y, _DOTS_HALF_HEIGHT = -0.33, 0.0, 0.33, 0.18


def plot_estimation(answers: Sequence[Answer]) -> Figure:
    """Draw an estimation plot: every seed, the means with their intervals, and below the differences with theirs.

    One column per eval set, one row per recipe with the baseline on top; the band is the declared margin. Answers
    with several baselines are drawn one block below the other.
    """
    by_baseline: dict[tuple[str, ...], list[Answer]] = defaultdict(list)
    for answer in answers:
        by_baseline[identity(answer.a)].append(answer)
    blocks = list(by_baseline.values())
    eval_sets = list(dict.fromkeys(answer.a.eval_set for answer in answers))
    n_challengers = [max(rows_of([answer.b for answer in block])) + 1 for block in blocks]
    n_panel_rows = [n for count in n_challengers for n in (count + 1, count)]
    with styled():
        labels = {row_label(group.label) for answer in answers for group in (answer.a, answer.b)}
        longest = max(len(line) for label in labels for line in label.split("\n"))
        width = 0.07 * (longest + 2) + _PANEL_WIDTH * len(eval_sets) + 0.2
        lines = textwrap.wrap(_caption(answers), int(16.5 * width))
        height = _ROW_HEIGHT * sum(n_panel_rows) + _PANEL_OVERHEAD * len(n_panel_rows) + 0.16 * len(lines) + 0.25
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(n_panel_rows), len(eval_sets), squeeze=False, height_ratios=n_panel_rows)
        for axes in grid.flat:
            axes.set_visible(False)
        for index, block in enumerate(blocks):
            rows = rows_of([answer.b for answer in block])
            for column, eval_set in enumerate(eval_sets):
                shown = {row: x for row, x in zip(rows, block, strict=True) if x.a.eval_set == eval_set}
                if shown:
                    _seeds(grid[2 * index][column], shown, max(rows) + 2)
                    _differences(grid[2 * index + 1][column], shown, max(rows) + 1)
            baseline = row_label(block[0].a.label)
            by_row = {row: row_label(answer.b.label) for row, answer in zip(rows, block, strict=True)}
            names = [by_row[row] for row in sorted(by_row)]
            _name_rows(grid[2 * index], [f"{baseline}\n(baseline)", *names])
            _name_rows(grid[2 * index + 1], [f"{name}\n− {baseline}" for name in names])
        set_gaps(figure)
        figure.supxlabel("\n".join(lines), size=SMALL, x=0.01, ha="left")
    return figure


def _seeds(axes: Axes, answers: dict[int, Answer], n_rows: int) -> None:
    """Draw every seed as a dot, and below the dots the mean with its interval."""
    first = next(iter(answers.values()))
    arms = {0: first.a} | {row + 1: answer.b for row, answer in answers.items()}
    means = {0: first.means[0]} | {row + 1: answer.means[1] for row, answer in answers.items()}
    _open_rows(axes, n_rows)
    limits = limits_of(
        [np.array([mean.value]) if not arms[row].values.size else arms[row].values for row, mean in means.items()],
        [(end, 0.0) for mean in means.values() for end in (mean.low, mean.high)],
        arms[0].unit,
    )
    axes.set_xlim(limits)
    for row, arm in arms.items():
        size = 4.4 if arm.n <= 30 else 2.9
        if arm.values.size:  # of a published mean no seed is known
            y, color = row + _DOTS_Y + _swarm(arm.values, limits, size), ARMS[row % len(ARMS)]
            axes.scatter(arm.values, y, s=size**2, color=color, alpha=0.75, linewidth=0)
        _interval(axes, means[row], row + _BAR_Y)
        _row_text(axes, row, f"{with_interval(means[row], decimals_of(means[row]))}, n = {arm.n}")
    axes.set_title(arms[0].eval_set, size=10, weight="bold")
    axes.set_xlabel(axis_label(arms[0]))


def _differences(axes: Axes, answers: dict[int, Answer], n_rows: int) -> None:
    """Draw each difference with its interval over the declared margin, with the verdict in words."""
    some = next(iter(answers.values()))
    margin = some.rule.margin
    _open_rows(axes, n_rows)
    shown = [0.0] if margin is None else [-margin, margin]
    for answer in answers.values():
        difference = answer.interval_adjusted
        shown += [difference.value, difference.low, difference.high]
    axes.set_xlim(limits_of([np.array([0.0])], [(end, 0.0) for end in shown], some.a.unit))
    for row, answer in answers.items():
        difference = answer.interval_adjusted
        # Both stop below the words: lines through them would make them hard to read.
        reach = [row - 0.16, row + 0.48]
        if margin is not None:
            axes.fill_betweenx(reach, -margin, margin, color="0.88", linewidth=0, zorder=0)
        axes.plot([0, 0], reach, color="0.45", linewidth=1, zorder=1)
        _interval(axes, difference, row + 0.16, _deciding(answer))
        text = with_interval(difference, decimals_of(difference), sign="+", interval_sign="+")
        _row_text(axes, row, text.replace("-", "−"))
        _row_text(axes, row, answer.verdict.word, x=1, ha="right", weight="bold")
    better = "← better" if some.rule.lower_is_better else "better →"
    axes.set_xlabel(f"difference{' (percentage points)' if some.a.unit == 'pp' else ''}, {better}")


def _deciding(answer: Answer) -> Estimate | None:
    """Return the interval that decides equivalence; in a family adjusted p-values do, and no interval shows them."""
    return None if answer.rule.margin is None or answer.n_family > 1 else answer.equivalence_interval


def _open_rows(axes: Axes, n_rows: int) -> None:
    axes.set_visible(True)
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    plain_ticks(axes)


def _name_rows(panels: Iterable[Axes], names: Sequence[str]) -> None:
    """Write the rows' names once, on the left of the first panel."""
    axes = next(axes for axes in panels if axes.get_visible())
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)


def _row_text(axes: Axes, row: int, text: str, x: float = 0, **how: Any) -> None:
    axes.text(x, row + _TEXT_Y, text, transform=axes.get_yaxis_transform(), va="center", size=SMALL, **how)


def _interval(axes: Axes, estimate: Estimate, y: float, inner: Estimate | None = None) -> None:
    """Draw a diamond at the value and a bar over the interval, thick over the inner one."""
    if estimate.has_interval:
        ends = np.clip([estimate.low, estimate.high], *axes.get_xlim())
        axes.plot(ends, [y, y], color="black", linewidth=1.4, marker="|", markersize=6, zorder=3)
    if inner is not None and inner.has_interval:
        axes.plot([inner.low, inner.high], [y, y], color="black", linewidth=3.6, solid_capstyle="butt", zorder=3)
    axes.plot([estimate.value], [y], color="black", marker="D", markersize=5.5, mec="white", mew=0.7, zorder=4)


def _swarm(values: Values, limits: tuple[float, float], size: float) -> Values:
    """Return vertical offsets, in rows, that keep dots of `size` points apart where they can be."""
    x = (values - limits[0]) / (limits[1] - limits[0]) * (_PANEL_WIDTH - 0.3) * 72
    reach = _DOTS_HALF_HEIGHT * _ROW_HEIGHT * 72
    y = np.zeros(len(x))
    placed: list[int] = []
    for index in np.argsort(x, kind="stable"):
        placed = [other for other in placed if x[index] - x[other] < size]
        for step in range(int(reach / size * 8) + 1):
            offset = (step + 1) // 2 * size / 4 * (-1) ** step
            if all((x[index] - x[other]) ** 2 + (offset - y[other]) ** 2 >= size**2 for other in placed):
                break
        else:  # no room is left: spread evenly over the height
            offset = reach * (2 * (len(placed) * 0.618 % 1) - 1)
        y[index] = offset
        placed.append(int(index))
    return y / (_ROW_HEIGHT * 72)


def _caption(answers: Sequence[Answer]) -> str:
    rule, level = answers[0].rule, answers[0].comparison.level
    names = {
        "welch": "Welch\N{NO-BREAK SPACE}t",
        "paired-t": "paired\N{NO-BREAK SPACE}t",
        "single-run": "t, spread of one arm",
    }
    methods = [names[x.comparison.method] for x in answers if x.comparison.difference.has_interval]
    is_family = any(answer.n_family > 1 for answer in answers)
    margin = "no margin was declared."
    if rule.margin is not None:
        unit = " percentage points" if answers[0].a.unit == "pp" else ""
        inner = percent(answers[0].equivalence_interval.level)
        margin = f"grey band: declared margin, ±{rule.margin:g}{unit}; equivalent where " + (
            "adjusted tests say so." if is_family else f"the thick part ({inner} interval) lies inside it."
        )
    bars = f" with {percent(level)} confidence interval"
    together = ["simultaneous within each family"] if is_family else []
    by = f" ({', '.join(dict.fromkeys([*methods, *together]))})" if methods else ""
    alpha = f"alpha = {rule.alpha:.2g}".replace(" ", "\N{NO-BREAK SPACE}")
    is_complete = min(min(x.a.n, x.b.n) for x in answers) > 1 and len(methods) == len(answers)
    missing = "" if is_complete else " No bar: no interval can be given."
    return (
        f"Dots: one seed each, n seeds per recipe. Diamond and bar: mean{bars} (Student t); below: difference of "
        f"means{bars}{by}; {margin}{missing} Verdict at {alpha}."
    )
