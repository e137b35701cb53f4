"""Pictures of what tables say: seaborn draws, nothing is computed here that is not in a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.analysis import Summary
    from seedstudy.api import Answer

_SUFFIXES = (".png", ".pdf", ".svg")
_BASELINE, _CHALLENGER = sns.color_palette("colorblind")[:2]
_MARK = sns.color_palette("colorblind")[3]


def save(figure: Figure, path: Path) -> None:
    """Write a picture as .png, .pdf or .svg.

    Raises
    ------
    StudyError
        Another suffix, or a folder that cannot be written.
    """
    if path.suffix not in _SUFFIXES:
        raise StudyError(f"--save {path}: expected a name that ends in {', '.join(_SUFFIXES)}.")
    try:
        # Text that goes into the file beside the picture (dates) would make equal pictures differ.
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise StudyError(f"--save {path}: cannot be written ({error.strerror}).") from error


def distributions(summaries: Sequence[Summary]) -> Figure:
    """Draw RSB's Figure 2: per recipe and eval set the histogram over seeds, the Gaussian fit and seed 0."""
    labels = list(dict.fromkeys(row.group.label for row in summaries))
    eval_sets = list(dict.fromkeys(row.group.eval_set for row in summaries))
    with _style():
        figure = Figure(figsize=(3.6 * len(eval_sets), 2.9 * len(labels) + 0.5), layout="constrained")
        grid = figure.subplots(len(labels), len(eval_sets), squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for row in summaries:
            axes = grid[labels.index(row.group.label)][eval_sets.index(row.group.eval_set)]
            _histogram(axes, row)
        figure.supxlabel(
            f"{_unit(summaries[0].group.metric, summaries[0].group.unit)} of one seed, last epoch", size=10
        )
        grid[0][0].legend(fontsize=7, frameon=False, loc="upper left")
    return figure


def _histogram(axes: Axes, row: Summary) -> None:
    group, d = row.group, row.description
    axes.set_visible(True)
    sns.histplot(x=group.values, ax=axes, color=_BASELINE, alpha=0.45, edgecolor="white", bins=_n_bins(group.n))
    mean, std = d.mean.value, d.std.value
    if group.n > 1 and std > 0:
        width = float(np.diff(axes.patches[0].get_bbox().intervalx)[0])
        x = np.linspace(mean - 4 * std, mean + 4 * std, 400)
        density = np.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * np.sqrt(2 * np.pi))
        axes.plot(x, density * group.n * width, color="black", linewidth=1.2, label="Gaussian with this mean and std")
    sns.rugplot(x=group.values, ax=axes, color=_BASELINE, height=0.04)
    if group.seed0 is not None:
        axes.axvline(group.seed0, color=_MARK, linestyle="--", linewidth=1.4, label="seed 0")
    spread = f" ± {std:.2f}" if group.n > 1 else ""
    axes.set_title(f"{group.label}, {group.eval_set}\nmean ± std {mean:.2f}{spread}, n = {group.n} seeds", size=9)
    axes.set_ylabel("seeds")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.25)


def _n_bins(n: int) -> int:
    """Return Sturges' number of bins, at least 4: few seeds should look like few seeds."""
    return max(4, int(np.ceil(np.log2(max(n, 2)))) + 1)


def estimation(answers: Sequence[Answer]) -> Figure:
    """Draw an estimation plot: every seed, the means with their intervals, and the differences with theirs."""
    pairs = list(dict.fromkeys((answer.a.label, answer.b.label) for answer in answers))
    eval_sets = list(dict.fromkeys(answer.a.eval_set for answer in answers))
    with _style():
        figure = Figure(figsize=(3.4 * len(eval_sets) + 0.6, 4.6 * len(pairs) + 0.4), layout="constrained")
        rows = figure.subplots(2 * len(pairs), len(eval_sets), squeeze=False, height_ratios=[3, 2] * len(pairs))
        for axes in rows.flat:
            axes.set_visible(False)
        for answer in answers:
            row = 2 * pairs.index((answer.a.label, answer.b.label))
            column = eval_sets.index(answer.a.eval_set)
            _seeds(rows[row][column], answer)
            _difference(rows[row + 1][column], answer)
        level = answers[0].comparison.level
        text = f"dots: one seed each; bars: mean with {level:.0%} CI (t); below: difference with {level:.0%} CI (Welch)"
        margin = answers[0].rule.margin
        figure.supxlabel(text + ("" if margin is None else f"; band: declared margin ±{margin:g}"), size=8)
    return figure


def _seeds(axes: Axes, answer: Answer) -> None:
    from seedstudy.stats.describe import describe

    axes.set_visible(True)
    arms = (answer.a, answer.b)
    for position, (arm, color) in enumerate(zip(arms, (_BASELINE, _CHALLENGER), strict=True)):
        offsets = np.linspace(-0.16, 0.16, arm.n) if arm.n > 1 else np.zeros(1)
        axes.scatter(position + offsets, arm.values, s=14, color=color, alpha=0.7, linewidth=0, zorder=2)
        mean = describe(arm.values, level=answer.comparison.level).mean
        axes.plot([position - 0.25, position + 0.25], [mean.value] * 2, color="black", linewidth=1.4, zorder=3)
        if np.isfinite(mean.low):
            axes.plot([position] * 2, [mean.low, mean.high], color="black", linewidth=1.4, zorder=3)
    axes.set_xticks([0, 1], [f"{arm.label}\nn = {arm.n}" for arm in arms], size=8)
    axes.set_xlim(-0.5, 1.5)
    axes.set_title(answer.a.eval_set, size=10)
    axes.set_ylabel(_unit(answer.a.metric, answer.a.unit))


def _difference(axes: Axes, answer: Answer) -> None:
    axes.set_visible(True)
    difference, margin = answer.comparison.difference, answer.rule.margin
    if margin is not None:
        axes.axvspan(-margin, margin, color="0.88", zorder=0)
    axes.axvline(0, color="0.4", linewidth=1, zorder=1)
    if difference.has_interval:
        axes.plot([difference.low, difference.high], [0, 0], color="black", linewidth=2, zorder=2)
    axes.plot([difference.value], [0], "o", color="black", zorder=3)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.set_xlabel("B - A" + (" (percentage points)" if answer.a.unit == "pp" else ""), size=8)
    axes.set_title(f"{difference.value:+.2f}: {answer.verdict.word}", size=9)


def _unit(metric: str, unit: str | None) -> str:
    return "top-1 accuracy (%)" if unit == "pp" else metric


def _style() -> mpl.RcParams:
    context = sns.axes_style("ticks", {"axes.spines.right": False, "axes.spines.top": False})
    return mpl.rc_context({**context, "font.size": 9, "svg.hashsalt": "seedstudy"})  # equal pictures, equal files
