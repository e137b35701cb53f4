"""Flips per image: how many seeds have each image right, and on how many images two recipes differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from seedstudy.show.plots.canvas import BARS, WIDTHS, Canvas, Width, fitted, looks_of, styled
from seedstudy.show.view import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.which_images import PairOnEachImage, WhichImages


def plot_flips(answer: WhichImages, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw the share of images by the share of seeds that have them right, and for each pair by its difference.

    With `ax` the first alone.
    """
    names, common = short_names(answer.groups)
    looks = looks_of(arm.arm for arm in answer.arms)
    pairs = answer.pairs if ax is None else ()
    n_columns = 1 if width == "column" else min(2, 1 + len(pairs))
    n_rows = -(-(1 + len(pairs)) // n_columns)
    with styled():
        canvas = Canvas(width, [2.1] * n_rows, n_columns, ax=ax)
        axes, *others = canvas.panels
        for arm in answer.arms:
            look = looks[arm.arm]
            n_right = answer.frame.filter(arm=arm.arm)["n_right"].to_numpy()
            counts = np.bincount(n_right, minlength=arm.n_seeds + 1)
            x, y = 100 * np.arange(arm.n_seeds + 1) / arm.n_seeds, 100 * counts / answer.n_images
            axes.plot(
                x[y > 0],
                y[y > 0],
                color=look.color,
                marker=look.marker,
                markersize=3,
                linewidth=0.8,
                linestyle=look.line,
            )
        _log_axis(axes)
        axes.set_xlabel("seeds that have the image right (%)")
        axes.set_ylabel("images (%)")
        axes.set_title("All images")
        for panel, pair in zip(others, pairs, strict=False):
            _pair_panel(panel, answer, pair, names, WIDTHS[width] / n_columns)
        each = "; ".join(
            f"{names[arm.arm]}: always right {_share(arm.always, answer)}, never {_share(arm.never, answer)}, else "
            f"{_share(arm.sometimes, answer)}"
            for arm in answer.arms
        )
        fdr = f" Blue: images on which recipes differ, at most {100 * answer.fdr:g}% false alarms." if pairs else ""
        handles: list[Any] = [
            Line2D(
                [],
                [],
                color=looks[arm.arm].color,
                marker=looks[arm.arm].marker,
                linestyle=looks[arm.arm].line,
                markersize=3,
                label=f"{names[arm.arm]}, n = {arm.n_seeds}",
            )
            for arm in answer.arms
        ]
        if pairs:
            handles += [Patch(color=BARS, label="recipes differ"), Patch(color="0.75", label="no difference shown")]
        return canvas.finish(
            title=": ".join((f"Flips on {answer.n_images:,} images of {answer.eval_set}", *common)),
            caption=f"Share of images by how many of the n seeds have them right. {each}.{fdr}",
            handles=handles,
        )


def _share(count: int, answer: WhichImages) -> str:
    return f"{100 * count / answer.n_images:.1f}%"


def _log_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _pair_panel(axes: Axes, answer: WhichImages, pair: PairOnEachImage, names: Any, inches: float) -> None:
    rows = answer.frame.filter(arm=pair.b)
    difference = 100 * rows["difference"].to_numpy()
    differs = rows["differs"].to_numpy().astype(bool)
    # Shares are multiples of one seed: every bin holds equally many, an odd number, of them.
    n = min(arm.n_seeds for arm in answer.arms if arm.arm in (pair.a, pair.b))
    step = 100 * (n // 20 | 1) / n
    reach = int(np.ceil(100 / step))
    edges = [step * (k - 0.5) for k in range(-reach, reach + 2)]
    axes.hist([difference[differs], difference[~differs]], bins=edges, stacked=True, color=[BARS, "0.75"])
    _log_axis(axes)
    axes.set_ylim(bottom=0.7)
    axes.set_xlabel("difference of the shares of seeds (points)")
    axes.set_ylabel("images")
    words = f"{names[pair.b]} − {names[pair.a]}: {pair.more} images more often right, {pair.less} less"
    axes.set_title(fitted(words, inches - 0.6, 7.5))
