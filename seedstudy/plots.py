"""Pictures of what tables say: seaborn draws, nothing is computed here that is not in a table (the curve excepted)."""

from __future__ import annotations

import io
import math
import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from seedstudy.errors import StudyError
from seedstudy.stats.describe import describe
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from seedstudy.analysis import Group, Summary, Values
    from seedstudy.judgement import Answer
    from seedstudy.stats.result import Estimate

_SUFFIXES = (".png", ".pdf", ".svg")
_DPI = 150

_PALETTE = sns.color_palette("colorblind")
_BARS, _MARK = _PALETTE[0], _PALETTE[3]
_BARS_ALPHA, _DASHES = 0.5, (0, (4, 2))
_ARMS = [_PALETTE[i] for i in (0, 1, 2, 4)]
"""Baseline first. Told apart by position too; the colours only help."""

_STYLE = {
    **sns.axes_style("ticks"),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.parse_math": False,  # a "$" in a file's name is a "$"
    "pdf.fonttype": 42,  # fonts that printers and journals accept
    "svg.hashsalt": "seedstudy",  # equal pictures, equal files
}
_SMALL = 8
_FAR_APART = 4
"""Recipes share one axis up to this many times the width of the widest."""
_TITLE_CHARS, _LABEL_CHARS = 40, 30
"""Where labels wrap, in characters: the width of a panel's title, and of a row's name."""

# The estimation plot: a row per recipe, in units of rows (y grows downwards); sizes in inches.
_PANEL_WIDTH, _ROW_HEIGHT, _PANEL_OVERHEAD = 3.3, 0.68, 0.62
_TEXT_Y, _DOTS_Y, _BAR_Y, _DOTS_HALF_HEIGHT = -0.33, 0.0, 0.33, 0.18


def save(figure: Figure, path: str | Path) -> None:
    """Write a picture as .png, .pdf or .svg; the file is there whole or not at all.

    Raises
    ------
    StudyError
        Another suffix, or a folder that cannot be written.

    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _SUFFIXES:
        raise StudyError(f"{path}: a picture's name ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}.")
    # The time of writing, which PDF and SVG would hold, would make equal pictures differ.
    undated = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}[kind]
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=kind[1:], dpi=_DPI, metadata=undated)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(buffer.getvalue())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"{path}: the picture cannot be written ({error.strerror}); choose another place.") from error


# --- distributions --------------------------------------------------------------------------------------


def distributions(summaries: Sequence[Summary]) -> Figure:
    """Draw RSB's Figure 2: per recipe and eval set the histogram over seeds, a Gaussian and seed 0.

    The Gaussian has the sample's mean and standard deviation; its area is that of the bars. Recipes share the
    horizontal axis of their eval set.
    """
    rows = _rows([summary.group for summary in summaries])
    eval_sets = list(dict.fromkeys(summary.group.eval_set for summary in summaries))
    n_rows, n_columns = max(rows) + 1, len(eval_sets)
    with _style():
        figure = Figure(figsize=(max(4.4, 3.5 * n_columns + 0.2), 2.35 * n_rows + 0.75), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for column, eval_set in enumerate(eval_sets):
            members = [(row, s) for row, s in zip(rows, summaries, strict=True) if s.group.eval_set == eval_set]
            limits, note = _shared_limits([s for _, s in members])
            for (row, summary), ends in zip(members, limits, strict=True):
                _histogram(grid[row][column], summary, ends)
            last = grid[max(row for row, _ in members)][column]
            last.set_xlabel(_axis_label(members[0][1].group, eval_set) + note)
        _set_gaps(figure)
        handles = _legend_handles(summaries)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if n_columns > 1 else 2)
    return figure


def _shared_limits(summaries: Sequence[Summary]) -> tuple[list[tuple[float, float]], str]:
    """Return each recipe's axis on one eval set, and a note where it is not the same for all.

    Recipes whose seeds lie very far apart would be needles on one axis: they get axes of one scale instead.
    """
    unit = summaries[0].group.unit
    each = [
        _limits([_edges(s.group.values)], [(s.description.mean.value, 3.2 * s.description.std.value)], unit)
        for s in summaries
    ]
    low, high = min(ends[0] for ends in each), max(ends[1] for ends in each)
    span = max(ends[1] - ends[0] for ends in each)
    if high - low <= _FAR_APART * span:
        return [(low, high)] * len(each), ""
    middles = [sum(ends) / 2 for ends in each]
    return [(middle - span / 2, middle + span / 2) for middle in middles], "\naxes of equal scale, each at its seeds"


def _histogram(axes: Axes, summary: Summary, limits: tuple[float, float]) -> None:
    group, mean, std = summary.group, summary.description.mean, summary.description.std.value
    axes.set_visible(True)
    edges = _edges(group.values, width_of_one=(limits[1] - limits[0]) / 12)
    noun = "seed" if group.n == 1 else "seeds"
    sns.histplot(x=group.values, ax=axes, bins=edges, color=_BARS, alpha=_BARS_ALPHA, edgecolor="white")
    top = axes.dataLim.y1
    if std > 0:
        x = np.linspace(mean.value - 4 * std, mean.value + 4 * std, 400)
        curve = group.n * (edges[1] - edges[0]) * np.exp(-((x - mean.value) ** 2) / (2 * std**2))
        curve /= std * math.sqrt(2 * math.pi)
        axes.plot(x, curve, color="black", linewidth=1.3)
        top = max(top, float(curve.max()))
    sns.rugplot(x=group.values, ax=axes, color="black", height=0.05, linewidth=0.8, alpha=0.7)
    decimals = decimals_of(mean)
    spread = f" ± {std:.{decimals}f}" if group.n > 1 else ""
    what = "mean ± std" if group.n > 1 else "value"
    percent = " %" if group.unit == "pp" else ""
    axes.set_title(
        f"{_wrap(f'{group.label}, {group.eval_set}', _TITLE_CHARS)}\n"
        f"{what} {mean.value:.{decimals}f}{spread}{percent}, n = {group.n} {noun}"
    )
    axes.set_xlim(limits)
    axes.set_ylim(0, 1.28 * top)  # room for the words beside seed 0's line
    axes.set_ylabel("number of seeds")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    _plain_ticks(axes)
    if group.seed0 is not None:
        _mark_seed0(axes, group.seed0, f"seed 0: {group.seed0:.{decimals}f}")


def _mark_seed0(axes: Axes, value: float, text: str) -> None:
    axes.axvline(value, color=_MARK, linestyle=_DASHES, linewidth=1.6)
    is_left = value < sum(axes.get_xlim()) / 2
    axes.annotate(
        text,
        (value, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4 if is_left else -4, -1),
        textcoords="offset points",
        ha="left" if is_left else "right",
        va="top",
        size=_SMALL,
        color=_MARK,
    )


def _edges(values: Values, width_of_one: float = 0.0) -> npt.NDArray[np.floating]:
    """Return the edges of equal bins over the values; of one bin where all are equal.

    Accuracies are multiples of one image. Where the seeds lie on such a lattice, every bin holds equally many of
    its points; bins that did not would show gaps that are not in the data.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low + width_of_one * np.array([-0.5, 0.5])
    width = (high - low) / (_n_bins(len(values)) - 1)
    gaps = np.diff(np.unique(np.round(values, 9)))
    step = float(gaps.min()) if gaps.size else 0.0
    if step > 0 and np.allclose(gaps / step, np.round(gaps / step), atol=1e-4):
        width = step * max(1, round(width / step))
        low, high = low - step / 2, high + step / 2
    else:  # the outermost seeds stand in the middle of their bins, not on an edge
        low, high = low - width / 2, high + width / 2
    n_bins = math.ceil((high - low) / width - 1e-4)
    middle = (low + high) / 2
    return middle + width * (np.arange(n_bins + 1) - n_bins / 2)


def _n_bins(n: int) -> int:
    """Return Sturges' number of bins or sqrt(n), at least 3: few seeds should look like few seeds."""
    return max(3, math.ceil(math.log2(n)) + 1, math.ceil(math.sqrt(n)))


def _legend_handles(summaries: Sequence[Summary]) -> list[Patch | Line2D]:
    """Return what was drawn, with its meaning."""
    handles: list[Patch | Line2D] = [
        Patch(color=_BARS, alpha=_BARS_ALPHA, linewidth=0, label="number of seeds in a bin"),
        Line2D([], [], color="black", marker="|", linestyle="none", markersize=7, label="one seed"),
    ]
    if any(summary.description.std.value > 0 for summary in summaries):
        handles.append(Line2D([], [], color="black", linewidth=1.3, label="Gaussian with this mean and std"))
    if any(summary.group.seed0 is not None for summary in summaries):
        handles.append(Line2D([], [], color=_MARK, linestyle=_DASHES, linewidth=1.6, label="seed 0"))
    return handles


# --- estimation -----------------------------------------------------------------------------------------


def estimation(answers: Sequence[Answer]) -> Figure:
    """Draw an estimation plot: every seed, the means with their intervals, and below the differences with theirs.

    One column per eval set, one row per recipe with the baseline on top; the band is the declared margin. Answers
    with several baselines are drawn one block below the other.
    """
    blocks = [block for _, block in sorted(_by_baseline(answers).items())]
    eval_sets = list(dict.fromkeys(answer.a.eval_set for answer in answers))
    n_challengers = [max(_rows([answer.b for answer in block])) + 1 for block in blocks]
    n_panel_rows = [n for count in n_challengers for n in (count + 1, count)]
    with _style():
        caption = _caption(answers)
        labels = {group.label for answer in answers for group in (answer.a, answer.b)}
        longest = max(len(line) for label in labels for line in _row_label(label).split("\n"))
        width = 0.07 * (longest + 2) + _PANEL_WIDTH * len(eval_sets) + 0.2
        lines = textwrap.wrap(caption, int(16.5 * width))
        height = _ROW_HEIGHT * sum(n_panel_rows) + _PANEL_OVERHEAD * len(n_panel_rows) + 0.16 * len(lines) + 0.25
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(len(n_panel_rows), len(eval_sets), squeeze=False, height_ratios=n_panel_rows)
        for axes in grid.flat:
            axes.set_visible(False)
        for index, block in enumerate(blocks):
            rows = _rows([answer.b for answer in block])
            for column, eval_set in enumerate(eval_sets):
                shown = {row: x for row, x in zip(rows, block, strict=True) if x.a.eval_set == eval_set}
                if not shown:
                    continue
                _seeds(grid[2 * index][column], shown, max(rows) + 2)
                _differences(grid[2 * index + 1][column], shown, max(rows) + 1)
            first = next(iter(block)).a
            by_row = {row: answer.b.label for row, answer in zip(rows, block, strict=True)}
            names = [_row_label(by_row[row]) for row in sorted(by_row)]
            _name_rows(grid[2 * index], [f"{_row_label(first.label)}\n(baseline)", *names])
            _name_rows(grid[2 * index + 1], [f"{name}\n− {_row_label(first.label)}" for name in names])
        _set_gaps(figure)
        figure.supxlabel("\n".join(lines), size=_SMALL, x=0.01, ha="left")
    return figure


def _by_baseline(answers: Sequence[Answer]) -> dict[int, list[Answer]]:
    """Return the answers by the row of their baseline, in the order given."""
    names = list(dict.fromkeys(_identity(answer.a) for answer in answers))
    blocks: dict[int, list[Answer]] = {}
    for answer in answers:
        blocks.setdefault(names.index(_identity(answer.a)), []).append(answer)
    return blocks


def _seeds(axes: Axes, answers: dict[int, Answer], n_rows: int) -> None:
    """Draw every seed as a dot, and below the dots the mean with its interval."""
    level = next(iter(answers.values())).comparison.level
    arms = {0: next(iter(answers.values())).a} | {row + 1: answer.b for row, answer in answers.items()}
    means = {row: describe(arm.values, level=level).mean for row, arm in arms.items()}
    _open_rows(axes, n_rows)
    limits = _limits(
        [arm.values for arm in arms.values()],
        [(end, 0.0) for mean in means.values() for end in (mean.low, mean.high)],
        arms[0].unit,
    )
    axes.set_xlim(limits)
    for row, arm in arms.items():
        size = 4.4 if arm.n <= 30 else 2.9
        sns.scatterplot(
            x=arm.values,
            y=row + _DOTS_Y + _swarm(arm.values, limits, size),
            ax=axes,
            s=size**2,
            color=_ARMS[row % len(_ARMS)],
            alpha=0.75,
            linewidth=0,
            legend=False,
        )
        _interval(axes, means[row], row + _BAR_Y)
        decimals = decimals_of(means[row])
        text = f"{means[row].value:.{decimals}f}"
        if means[row].has_interval:
            text += f" [{means[row].low:.{decimals}f}, {means[row].high:.{decimals}f}]"
        _row_text(axes, row, f"{text}, n = {arm.n}")
    axes.set_title(arms[0].eval_set, size=10, weight="bold")
    axes.set_xlabel(_axis_label(arms[0]))


def _differences(axes: Axes, answers: dict[int, Answer], n_rows: int) -> None:
    """Draw each difference with its interval over the declared margin, with the verdict in words."""
    some = next(iter(answers.values()))
    margin = some.rule.margin
    _open_rows(axes, n_rows)
    found = [answer.comparison.difference for answer in answers.values()]
    ends = [end for estimate in found for end in (estimate.value, estimate.low, estimate.high)]
    around = [0.0] if margin is None else [-margin, margin]
    axes.set_xlim(_limits([np.array([0.0])], [(end, 0.0) for end in (*ends, *around)], some.a.unit))
    for row, answer in answers.items():
        difference = answer.comparison.difference
        # Both stop below the words: lines through them would make them hard to read.
        reach = [row - 0.16, row + 0.48]
        if margin is not None:
            axes.fill_betweenx(reach, -margin, margin, color="0.88", linewidth=0, zorder=0)
        axes.plot([0, 0], reach, color="0.45", linewidth=1, zorder=1)
        _interval(axes, difference, row + 0.16, None if margin is None else answer.comparison.equivalence_interval)
        decimals = decimals_of(difference)
        text = f"{difference.value:+.{decimals}f}"
        if difference.has_interval:
            text += f" [{difference.low:+.{decimals}f}, {difference.high:+.{decimals}f}]"
        _row_text(axes, row, text.replace("-", "−"))
        axes.text(
            1, row + _TEXT_Y, answer.verdict.word, transform=axes.get_yaxis_transform(), ha="right", va="center",
            size=_SMALL, weight="bold",
        )  # fmt: skip
    better = "← better" if some.rule.lower_is_better else "better →"
    axes.set_xlabel(f"difference{' (percentage points)' if some.a.unit == 'pp' else ''}, {better}")


def _open_rows(axes: Axes, n_rows: int) -> None:
    axes.set_visible(True)
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _plain_ticks(axes)


def _name_rows(panels: Iterable[Axes], names: Sequence[str]) -> None:
    """Write the rows' names once, on the left of the first panel."""
    axes = next(axes for axes in panels if axes.get_visible())
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)


def _row_text(axes: Axes, row: int, text: str) -> None:
    axes.text(0, row + _TEXT_Y, text, transform=axes.get_yaxis_transform(), va="center", size=_SMALL)


def _interval(axes: Axes, estimate: Estimate, y: float, inner: Estimate | None = None) -> None:
    """Draw a diamond at the value and a bar over the interval, thick over the inner one."""
    if estimate.has_interval:
        ends = np.clip([estimate.low, estimate.high], *axes.get_xlim())
        axes.plot(ends, [y, y], color="black", linewidth=1.4, marker="|", markersize=6, zorder=3)
    if inner is not None and inner.has_interval:
        axes.plot([inner.low, inner.high], [y, y], color="black", linewidth=3.6, solid_capstyle="butt", zorder=3)
    axes.plot([estimate.value], [y], color="black", marker="D", markersize=5.5, mec="white", mew=0.7, zorder=4)


def _swarm(values: Values, limits: tuple[float, float], size: float) -> Values:
    """Return vertical offsets, in rows, that keep dots of `size` points apart where there is room for it."""
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
    margin = "no margin was declared."
    if rule.margin is not None:
        unit = " percentage points" if answers[0].a.unit == "pp" else ""
        inner = _percent(answers[0].comparison.equivalence_interval.level)
        margin = (
            f"grey band: declared margin, ±{rule.margin:g}{unit}; equivalent where the thick part "
            f"({inner} interval) lies inside it."
        )
    bars = f" with {_percent(level)} confidence interval"
    by = f" ({', '.join(dict.fromkeys(methods))})" if methods else ""
    alpha = f"alpha = {rule.alpha:.2g}".replace(" ", "\N{NO-BREAK SPACE}")
    is_complete = min(min(x.a.n, x.b.n) for x in answers) > 1 and len(methods) == len(answers)
    missing = "" if is_complete else " No bar: no interval can be given."
    return (
        f"Dots: one seed each, n seeds per recipe. Diamond and bar: mean{bars} (Student t); below: difference of "
        f"means{bars}{by}; {margin}{missing} Verdict at {alpha}."
    )


# --- shared ---------------------------------------------------------------------------------------------


def _identity(group: Group) -> tuple[str, str, str]:
    return group.label, group.recipe_id, group.pool_key


def _rows(groups: Sequence[Group]) -> list[int]:
    """Return the row of each group: one row per recipe, also where two (files, say) have one name."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    rows: dict[tuple[str, str, str, int], int] = {}
    found = []
    for group in groups:
        occurrence = seen[*_identity(group), group.eval_set]
        seen[*_identity(group), group.eval_set] += 1
        found.append(rows.setdefault((*_identity(group), occurrence), len(rows)))
    return found


def _row_label(label: str) -> str:
    return _wrap(label, _LABEL_CHARS)


def _wrap(text: str, n_chars: int) -> str:
    """Break a long label, where it can be after one of "@ _ - . ,"."""
    lines = [""]
    for piece in re.findall(rf"[^@_\-., ]{{0,{n_chars - 1}}}[@_\-., ]|[^@_\-., ]{{1,{n_chars}}}", text):
        if len(lines[-1]) + len(piece.rstrip()) > n_chars:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _axis_label(group: Group, eval_set: str | None = None) -> str:
    name = "top-1 accuracy" if group.metric == "top1" else group.metric
    place = f" on {eval_set}" if eval_set else ""
    return f"{name}{place}{' (%)' if group.unit == 'pp' else ''}"


def _limits(
    samples: Iterable[npt.NDArray[np.floating]], around: Iterable[tuple[float, float]], unit: str | None
) -> tuple[float, float]:
    """Return an axis that holds all values and each (centre, half width), with a little room."""
    values = np.concatenate(list(samples))
    ends = [centre + side * half for centre, half in around for side in (-1, 1)]
    known = np.array([*values, *(end for end in ends if math.isfinite(end))])
    low, high = float(known.min()), float(known.max())
    if low == high:
        half = 0.5 if unit == "pp" or low == 0 else 0.05 * abs(low)
        return low - half, high + half
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def _percent(level: float) -> str:
    return f"{100 * level:.6g}%"


def _set_gaps(figure: Figure) -> None:
    """Keep the panels apart: the words at the end of one must not run into those of the next."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.08, h_pad=0.06, wspace=0.03, hspace=0.02)


def _plain_ticks(axes: Axes) -> None:
    """Write whole numbers at the ticks: "79.72", never "0.02 + 7.97e1"."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def _style() -> AbstractContextManager[None]:
    """Start from matplotlib's defaults, not from the user's settings: equal input, equal picture."""
    return style.context(["default", _STYLE])
