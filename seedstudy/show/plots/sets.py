"""Seeds on two eval sets: whether a seed that is good on val is good on V2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from seedstudy.decide.summary import pairs_of_sets
from seedstudy.errors import StudyError
from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import WIDTHS, Canvas, Width, axis_label, fitted, looks_of, plain_ticks, styled
from seedstudy.show.view import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.summary import Summary


def plot_sets(summaries: Sequence[Summary], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw each seed's result on every further eval set against that on the first, with the means of the recipes."""
    pairs = pairs_of_sets(list(summaries))
    if not pairs:
        raise StudyError("sets: needs seeds with results on two eval sets, such as val and v2.")
    names, common = short_names([pair.x.group for pair in pairs])
    looks = looks_of(pair.x.group.label for pair in pairs)
    others = list(dict.fromkeys(pair.y.group.eval_set for pair in pairs))
    n_columns = min(len(others), 1 if width == "column" else 2)
    with styled():
        canvas = Canvas(width, [2.5] * -(-len(others) // n_columns), n_columns, ax=ax)
        for axes, other in zip(canvas.panels, others, strict=False):
            members = [pair for pair in pairs if pair.y.group.eval_set == other]
            for pair in members:
                look = looks[pair.x.group.label]
                axes.scatter(pair.on_x, pair.on_y, s=12, color=look.color, marker=look.marker, alpha=0.55, linewidth=0)
            for pair in members:
                x, y = pair.x.description.mean, pair.y.description.mean
                if x.has_interval and y.has_interval:
                    axes.plot([x.low, x.high], [y.value] * 2, color="black", linewidth=1)
                    axes.plot([x.value] * 2, [y.low, y.high], color="black", linewidth=1)
            first = members[0]
            axes.set_xlabel(axis_label(first.x.group, first.x.group.eval_set))
            axes.set_ylabel(axis_label(first.y.group, other))
            axes.set_title(_correlations(members, names, WIDTHS[width] / n_columns - 0.6))
            plain_ticks(axes)
            plain_ticks(axes, "y")
        level = percent(pairs[0].x.level)
        has_r = any(axes.get_title(loc="left") for axes in canvas.panels)
        return canvas.finish(
            title=f"Seeds on {pairs[0].x.group.eval_set} against {' and '.join(others)}"
            f"{': ' if common else ''}{', '.join(common)}",
            caption=f"Mark: one seed; cross: means with their {level} intervals (Student t)."
            + (" r: correlation over the seeds of a recipe." if has_r else ""),
            handles=[
                Line2D(
                    [],
                    [],
                    color=look.color,
                    marker=look.marker,
                    linestyle="none",
                    markersize=4,
                    label=f"{names[label]}, n = {max(len(p.on_x) for p in pairs if p.x.group.label == label)}",
                )
                for label, look in looks.items()
            ],
        )


def _correlations(pairs: Sequence[Any], names: Mapping[str, str], inches: float) -> str:
    """Return the correlation of each recipe; nothing where that takes more than two lines."""
    known = [pair for pair in pairs if pair.correlation is not None]
    if len(pairs) == 1:
        return "".join(f"r = {pair.correlation:.2f}" for pair in known)
    words = [f"{names[pair.x.group.label]} {pair.correlation:.2f}" for pair in known]
    text = fitted(f"r: {', '.join(words)}", inches, 7.5) if words else ""
    return text if text.count("\n") < 2 else ""
