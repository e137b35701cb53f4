"""Where the variance comes from: the std of each random stream, of some streams alone, and of seeds and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seedstudy.errors import StudyError
from seedstudy.show.format import percent, with_interval
from seedstudy.show.plots.canvas import (
    BARS,
    MARK,
    SMALL,
    WIDTHS,
    Canvas,
    Width,
    chunks,
    fitted,
    height_of,
    paged,
    styled,
)
from seedstudy.show.view import short_labels
from seedstudy.stats.result import Estimate, decimals_of
from seedstudy.study.seeds import PURPOSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.components import SubsetVariance
    from seedstudy.decide.variance import Variances

_GAP, _OVERHEAD = 0.09, 0.78


@dataclass(frozen=True, slots=True)
class _Panel:
    """Some standard deviations in one unit."""

    title: str
    rows: tuple[tuple[str, Estimate | float], ...]
    """Name and std; a plain number has no interval."""
    total: Estimate | None
    unit: str

    @property
    def n_rows(self) -> int:
        return len(self.rows) + (self.total is not None)

    def names(self, inches: float) -> list[str]:
        """Return the names of the rows as they fit into a panel so wide."""
        names = [name for name, _ in self.rows] + ([] if self.total is None else ["sum"])
        return [fitted(name, 0.36 * inches) for name in names]

    def height(self, inches: float) -> float:
        """Return the inches of the panel; all rows are as high as the highest."""
        names = self.names(inches)
        return len(names) * (max(map(height_of, names)) + _GAP) + _OVERHEAD


def plot_components(answer: Variances, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw the std that each source adds with its interval, one panel per recipe, eval set and kind of answer."""
    labels = [each.group.label for each in (*answer.designs, *answer)]
    names, same = short_labels([*labels, *map(_label_of_subset, answer.subsets)])
    panels = [*_of_designs(answer, names), *_of_subsets(answer, names), *_of_images(answer, names)]
    if not panels:
        raise StudyError("components: nothing here says where the variance comes from; `seedstudy variance` says why.")
    n_columns = 2 if width == "page" and len(panels) > 1 else 1
    lines = [panels[i : i + n_columns] for i in range(0, len(panels), n_columns)]
    heights = [max(panel.height(WIDTHS[width] / n_columns) for panel in line) for line in lines]
    parts = chunks(heights)
    level = percent(next(each for panel in panels for _, each in panel.rows if isinstance(each, Estimate)).level)
    with styled():
        pages = []
        for number, part in enumerate(parts, start=1):
            canvas = Canvas(width, [heights[i] for i in part], n_columns, ax=ax)
            for axes_of_line, i in zip(canvas.grid, part, strict=True):
                most = max(panel.n_rows for panel in lines[i])
                for axes, panel in zip(axes_of_line, lines[i], strict=False):
                    _draw(axes, panel, WIDTHS[width] / n_columns, most)
            pages.append(
                canvas.finish(
                    title="Where the spread over seeds comes from" + (f": {same}" if same else ""),
                    caption=_caption(answer, level),
                    page=(number, len(parts)),
                )
            )
        return paged(pages)


def _caption(answer: Variances, level: str) -> str:
    sentences = [f"Dot and bar: std with its {level} interval; n: trainings."]
    if any(design.total is not None for design in answer.designs):
        sentences.append("×: interaction, what sources add only together. Variances, not stds, add up to the sum.")
    if answer.subsets:
        sentences.append("Streams that do not vary stay at seed 0; these stds do not add up.")
    if len(answer):
        sentences.append("Endless images: what would be left with an endless test set. Ring: no interval.")
    return " ".join(sentences)


def _label_of_subset(each: SubsetVariance) -> str:
    return f"{each.group.recipe}@{each.group.model}"


def _of_designs(answer: Variances, names: Mapping[str, str]) -> list[_Panel]:
    return [
        _Panel(
            f"{names[design.group.label]}, {design.group.eval_set}, n = {design.n_trials}",
            tuple((" × ".join(part.sources) or "repetitions", part.std) for part in design.parts),
            design.total.std,
            _unit(design.group.unit),
        )
        for design in answer.designs
        if design.total is not None
    ]


def _of_subsets(answer: Variances, names: Mapping[str, str]) -> list[_Panel]:
    by_place: dict[tuple[str, str], list[Any]] = {}
    for each in answer.subsets:
        by_place.setdefault((names[_label_of_subset(each)], each.group.eval_set), []).append(each)
    return [
        _Panel(
            f"{name}, {eval_set}: what varies",
            tuple((f"{_varies(each.vary)}, n = {each.group.n}", each.std) for each in members),
            None,
            _unit(members[0].group.unit),
        )
        for (name, eval_set), members in by_place.items()
    ]


def _varies(vary: Sequence[str]) -> str:
    fixed = [stream for stream in PURPOSES if stream not in vary]
    return "+".join(vary) if len(vary) <= len(fixed) else f"all but {'+'.join(fixed)}"


def _of_images(answer: Variances, names: Mapping[str, str]) -> list[_Panel]:
    return [
        _Panel(
            f"{names[each.group.label]}, {each.group.eval_set}, n = {each.group.n}, {each.n_images:,} images",
            (
                ("seeds, these images", each.std),
                ("seeds, endless images", each.std_on_endless_images),
                ("seeds, if independent", each.std_if_independent),
                ("draw of the images", each.image_error),
            ),
            None,
            "percentage points",
        )
        for each in answer
    ]


def _unit(unit: str | None) -> str:
    return "percentage points" if unit == "pp" else ""


def _draw(axes: Axes, panel: _Panel, inches: float, most: int) -> None:
    """Draw a panel; its rows are as far apart as those of the panel beside it, which has `most`."""
    known = [std for _, std in panel.rows if isinstance(std, Estimate) and std.has_interval]
    decimals = max(map(decimals_of, known), default=2)
    rows = [*panel.rows, *([("sum", panel.total)] if panel.total is not None else [])]
    largest = 0.0
    for row, (_, std) in enumerate(rows):
        if isinstance(std, Estimate):
            color = MARK if std is panel.total else BARS
            high = std.high if std.has_interval else std.value
            if std.has_interval:
                axes.plot([std.low, std.high], [row, row], color=color, lw=2.2, alpha=0.55, solid_capstyle="butt")
            axes.plot([std.value], [row], "o", color=color, markersize=4, clip_on=False, zorder=3)
            words = with_interval(std, decimals_of(std) if std.has_interval else 2)
        else:
            high, words = std, f"{std:.{decimals}f}"
            axes.plot([std], [row], "o", color=BARS, mfc="white", markersize=4, clip_on=False)
        largest = max(largest, high)
        axes.text(1.0, row, words, transform=axes.get_yaxis_transform(), ha="right", va="center", size=SMALL)
    axes.set_xlim(-0.02 * largest, 2.0 * largest or 1.0)  # the right half has the numbers
    ticks = [tick for tick in axes.get_xticks() if 0.0 <= tick <= 1.05 * largest]
    axes.set_xticks(ticks)
    axes.set_ylim(most - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), panel.names(inches))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(0.0, color="0.5", linewidth=0.8)
    axes.set_xlabel(f"std{f' ({panel.unit})' if panel.unit else ''}")
    axes.set_title(fitted(panel.title, 0.62 * inches, 7.5))
