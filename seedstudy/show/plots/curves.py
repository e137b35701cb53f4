"""Learning curves, and how the mean settles as seeds are added: both with a band over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seedstudy.decide.report import bands_of
from seedstudy.decide.summary import running_means
from seedstudy.show.plots.canvas import axis_label, styled

if TYPE_CHECKING:
    from seedstudy.decide.report import Report
    from seedstudy.decide.summary import Summary


def plot_curves(report: Report) -> Figure | None:
    """Draw accuracy on val and training loss against epochs: the mean over seeds, and a band of one std.

    None where no trial of the report has a curve.
    """
    accuracy, loss = bands_of(report.curves, "accuracy"), bands_of(report.curves, "train_loss")
    if not loss:
        return None
    palette = sns.color_palette("colorblind", len(loss))
    with styled():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, bands, name in zip(panels, (accuracy, loss), ("top-1 on val (%)", "training loss"), strict=True):
            for band, color in zip(bands, palette, strict=False):
                marker = "o" if len(band.epochs) == 1 else None
                axes.plot(band.epochs, band.mean, color=color, label=band.label, marker=marker)
                low, high = band.mean - band.std, band.mean + band.std
                axes.fill_between(band.epochs, low, high, color=color, alpha=0.2, linewidth=0)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        panels[1].legend()
        counts = sorted({band.n_seeds for band in loss})
        n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        caption = f"Mean over {n} seeds; band: plus and minus one std over seeds."
        figure.supxlabel(caption, size=8, x=0.01, ha="left")
    return figure


def plot_running_means(summaries: Sequence[Summary]) -> Figure:
    """Draw each recipe's mean with its interval against the number of seeds, in the order of the seeds."""
    palette = sns.color_palette("colorblind", len(summaries))
    with styled():
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for summary, color in zip(summaries, palette, strict=True):
            n, mean, low, high = running_means(summary)
            axes.plot(n, mean, color=color, label=summary.group.label, marker="o" if len(n) < 3 else None)
            axes.fill_between(n, low, high, color=color, alpha=0.18, linewidth=0)
        values = np.concatenate([summary.group.values for summary in summaries])
        room = max(float(np.ptp(values)), 1e-9)
        axes.set_ylim(values.min() - 0.6 * room, values.max() + 0.6 * room)
        axes.set_xlabel("seeds so far, in the order of the seeds")
        axes.set_ylabel(axis_label(summaries[0].group, summaries[0].group.eval_set))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure
