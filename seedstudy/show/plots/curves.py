"""Learning curves, and how the mean settles as seeds are added: both with a band over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seedstudy.decide.report import bands_of
from seedstudy.decide.summary import running_means
from seedstudy.errors import StudyError
from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    Canvas,
    Look,
    Width,
    axis_label,
    counts_in_words,
    eval_sets_of,
    looks_of,
    plain_ticks,
    styled,
)
from seedstudy.show.view import short_names

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.report import Report
    from seedstudy.decide.summary import Summary


def plot_curves(report: Report, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw accuracy on val and training loss against epochs: the mean over seeds, and a band of one std.

    StudyError where no trial of the report has a curve. With `ax` the accuracy alone.
    """
    accuracy, loss = bands_of(report.curves, "accuracy"), bands_of(report.curves, "train_loss")
    if not loss:
        raise StudyError("curves: no trial here has a learning curve; trials that `seedstudy run` trained have one.")
    names, common = short_names([summary.group for summary in report.summaries])
    looks = looks_of(band.label for band in loss)
    drawn = [(accuracy, "top-1 on val (%)"), (loss, "training loss")][: 2 if ax is None else 1]
    n_columns = min(len(drawn), 1 if width == "column" else 2)
    epochs = {int(epoch) for bands, _ in drawn for band in bands for epoch in band.epochs}
    with styled():
        canvas = Canvas(width, [1.9] * (len(drawn) // n_columns), n_columns, ax=ax)
        for axes, (bands, name) in zip(canvas.panels, drawn, strict=True):
            for band in bands:
                look = looks[band.label]
                marker = look.marker if len(band.epochs) <= 3 else ""
                axes.plot(band.epochs, band.mean, color=look.color, linestyle=look.line, marker=marker, markersize=3)
                low, high = band.mean - band.std, band.mean + band.std
                if len(band.epochs) > 1:
                    axes.fill_between(band.epochs, low, high, color=look.color, alpha=0.2, linewidth=0)
                else:
                    axes.plot([*band.epochs] * 2, [*low, *high], color=look.color, linewidth=1)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            if len(epochs) == 1:
                axes.set_xticks([*epochs])  # around one value the locator chooses fractions
            else:  # accuracy may be measured less often than the loss
                axes.set_xlim(min(epochs) - 0.02 * max(epochs), 1.02 * max(epochs))
        counts = {band.label: band.n_seeds for band in loss}
        every = {summary.group.label: summary.group.n for summary in report.summaries}
        is_part = any(n < every.get(label, n) for label, n in counts.items())
        return canvas.finish(
            title=f"Learning curves{': ' if common else ''}{', '.join(common)}",
            caption=f"Line: mean over {'the first n ' if is_part else ''}seeds; band: ± one std over them.",
            handles=_lines({label: f"{names.get(label, label)}, n = {n}" for label, n in counts.items()}, looks),
        )


def _lines(words: dict[str, str], looks: dict[str, Look]) -> list[Artist]:
    return [
        Line2D([], [], color=looks[label].color, linestyle=looks[label].line, label=text)
        for label, text in words.items()
    ]


def plot_running_means(summaries: Sequence[Summary], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw each recipe's mean with its interval against the number of seeds, in the order of the seeds."""
    summaries = [summary for summary in summaries if summary.group.n > 1]
    if not summaries:
        raise StudyError("means: a mean has an interval from two seeds on, and every recipe here has one.")
    names, common = short_names([summary.group for summary in summaries])
    looks = looks_of(summary.group.label for summary in summaries)
    eval_sets = eval_sets_of(summary.group for summary in summaries)
    n_columns = min(len(eval_sets), 1 if width == "column" else 2 if len(eval_sets) in (2, 4) else 3)
    with styled():
        canvas = Canvas(width, [1.9] * math.ceil(len(eval_sets) / n_columns), n_columns, ax=ax)
        for axes, eval_set in zip(canvas.panels, eval_sets, strict=False):
            members = [summary for summary in summaries if summary.group.eval_set == eval_set]
            lows, highs = [], []
            for summary in members:
                look = looks[summary.group.label]
                n, mean, low, high = running_means(summary)
                marker = look.marker if len(n) < 3 else ""
                axes.plot(n, mean, color=look.color, linestyle=look.line, marker=marker, markersize=3)
                axes.fill_between(n, low, high, color=look.color, alpha=0.18, linewidth=0)
                # The first intervals may be hundreds of points wide: what matters is where they come near the seeds.
                room = 2.5 * max(summary.description.std.value, 1e-9)
                lows.append(min(summary.group.values.min(), mean[-1] - room))
                highs.append(max(summary.group.values.max(), mean[-1] + room))
            axes.set_ylim(min(lows), max(highs))
            axes.set_xlabel("number of seeds")
            axes.set_ylabel(axis_label(members[0].group, eval_set))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            plain_ticks(axes, "y", nbins=5)
        counts: dict[str, list[int]] = {}
        for summary in summaries:
            counts.setdefault(summary.group.label, []).append(summary.group.n)
        level = percent(summaries[0].level)
        return canvas.finish(
            title=f"How the mean settles as seeds are added{': ' if common else ''}{', '.join(common)}",
            caption=f"Line: mean of the seeds so far, in the order of the seeds; band: its {level} interval "
            "(Student t), which holds at one number of seeds, not at all of them.",
            handles=_lines(
                {label: f"{names[label]}, {counts_in_words(each)}" for label, each in counts.items()}, looks
            ),
        )
