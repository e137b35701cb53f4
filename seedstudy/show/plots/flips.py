"""Flips per image: how many seeds have each image right, and on how many images two recipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from seedstudy.show.plots.canvas import BARS, WIDTHS, Canvas, Look, Width, chunks, fitted, looks_of, paged, styled
from seedstudy.show.view import short_names

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.which_images import ArmOnEachImage, PairOnEachImage, WhichImages

_HEIGHT, _MOST_MARKERS = 2.1, 20


def plot_flips(answer: WhichImages, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw the share of images by the share of seeds that have them right, and for each pair by its difference.

    With `ax` the first alone.
    """
    names, common = short_names(answer.groups)
    looks = looks_of(arm.arm for arm in answer.arms)
    pairs = answer.pairs if ax is None else ()
    n_columns = 1 if width == "column" else min(2, 1 + len(pairs))
    panels: list[PairOnEachImage | None] = [None, *pairs]  # None: all images
    lines = [panels[i : i + n_columns] for i in range(0, len(panels), n_columns)]
    pages = chunks([_HEIGHT] * len(lines))
    inches = WIDTHS[width] / n_columns
    with styled():
        drawn = []
        for number, page in enumerate(pages, start=1):
            canvas = Canvas(width, [_HEIGHT] * len(page), n_columns, ax=ax)
            shown = [panel for i in page for panel in lines[i]]
            for axes, pair in zip(canvas.panels, shown, strict=False):
                if pair is None:
                    _all_images(axes, answer, looks)
                else:
                    _pair_panel(axes, answer, pair, names, inches)
            drawn.append(
                canvas.finish(
                    title=": ".join((f"Flips on {answer.n_images:,} images of {answer.eval_set}", *common)),
                    caption=_caption(answer, names, has_pairs=any(shown)),
                    handles=_handles(answer, names, looks, shown),
                    page=(number, len(pages)),
                )
            )
        return paged(drawn)


def _caption(answer: WhichImages, names: Mapping[str, str], *, has_pairs: bool) -> str:
    each = "; ".join(
        f"{names[arm.arm]}: always right {_share(arm.always, answer)}, never {_share(arm.never, answer)}, else "
        f"{_share(arm.sometimes, answer)}"
        for arm in answer.arms
    )
    fdr = f" Blue: images on which recipes differ, at most {100 * answer.fdr:g}% false alarms." if has_pairs else ""
    return f"Share of images by how many of the n seeds have them right. {each}.{fdr}"


def _handles(
    answer: WhichImages, names: Mapping[str, str], looks: Mapping[str, Look], shown: Sequence[PairOnEachImage | None]
) -> list[Artist]:
    handles: list[Artist] = []
    if None in shown:
        handles += [
            Line2D(
                [],
                [],
                color=looks[arm.arm].color,
                marker=_marker(arm, looks),
                linestyle=looks[arm.arm].line,
                markersize=3,
                label=f"{names[arm.arm]}, n = {arm.n_seeds}",
            )
            for arm in answer.arms
        ]
    if any(shown):
        handles += [Patch(color=BARS, label="recipes differ"), Patch(color="0.75", label="no difference shown")]
    return handles


def _marker(arm: ArmOnEachImage, looks: Mapping[str, Look]) -> str:
    """Return the marker of each share; none where so many would cover each other."""
    return looks[arm.arm].marker if arm.n_seeds <= _MOST_MARKERS else ""


def _all_images(axes: Axes, answer: WhichImages, looks: Mapping[str, Look]) -> None:
    for arm in answer.arms:
        look = looks[arm.arm]
        n_right = answer.frame.filter(arm=arm.arm)["n_right"].to_numpy()
        counts = np.bincount(n_right, minlength=arm.n_seeds + 1)
        x, y = 100 * np.arange(arm.n_seeds + 1) / arm.n_seeds, 100 * counts / answer.n_images
        axes.plot(
            x[y > 0],
            y[y > 0],
            color=look.color,
            marker=_marker(arm, looks),
            markersize=3,
            linewidth=0.8,
            linestyle=look.line,
        )
    _log_axis(axes)
    axes.set_xlabel("seeds that have the image right (%)")
    axes.set_ylabel("images (%)")
    axes.set_title("All images")


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
    ends = min(100.0, float(np.abs(difference).max())) + step
    axes.set_xlim(-ends, ends)
    axes.set_xlabel("difference of the shares of seeds (points)")
    axes.set_ylabel("images")
    words = f"{names[pair.b]} − {names[pair.a]}: {pair.more} images more often right, {pair.less} less"
    axes.set_title(fitted(words, inches - 0.6, 7.5))
