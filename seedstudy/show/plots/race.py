"""A race: the path of the difference, and the boundaries at which it would be decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    BARS,
    MARK,
    WIDTHS,
    Canvas,
    Width,
    chunks,
    fitted,
    height_of,
    paged,
    plain_ticks,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.race import Pair, Race

_HEIGHT = 1.9


def plot_race(race: Race, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw, per comparison, the difference and its repeated interval at each look, the boundaries and the margin."""
    pairs = [pair for pair in race.pairs if pair.looks] or list(race.pairs)
    n_columns = 2 if width == "page" and len(pairs) > 1 else 1
    rows = [pairs[i : i + n_columns] for i in range(0, len(pairs), n_columns)]
    plan, short = race.rule.plan, _shortened(race.rule.arms)
    titles = {pair: _panel_title(pair, plan.most, short, WIDTHS[width] / n_columns) for pair in pairs}
    heights = [_HEIGHT + max(height_of(titles[pair]) for pair in row) - height_of("a") for row in rows]
    parts = chunks(heights)
    handles: list[Artist] = [
        Line2D([], [], color=BARS, marker="o", markersize=3, label="difference at each look"),
        Line2D([], [], color=MARK, linewidth=1.1, drawstyle="steps-mid", label="boundary of a decision"),
    ]
    if plan.margin is not None:
        handles.append(Patch(color="0.86", linewidth=0, label=f"margin ±{plan.margin:g}"))
    with styled():
        pages = []
        for number, part in enumerate(parts, start=1):
            canvas = Canvas(width, [heights[i] for i in part], n_columns, ax=ax)
            for panels, i in zip(canvas.grid, part, strict=True):
                for axes, pair in zip(panels, rows[i], strict=False):
                    _race_panel(axes, pair, race, titles[pair])
            level = percent(pairs[0].confidence)
            unit = " Differences in percentage points." if race.rule.unit == "pp" else ""
            title = f"Race on {race.rule.eval_set}" + (f": {len(race.rule.arms)} recipes" if len(pairs) > 1 else "")
            caption = (
                f"Dot: difference of means after n seeds per recipe, at most {plan.most}; bar: its {level} interval, "
                "valid at all looks together. Beyond a boundary one recipe is better (alpha = "
                f"{plan.alpha:g} over all looks).{unit}"
            )
            pages.append(canvas.finish(title=title, caption=caption, handles=handles, page=(number, len(parts))))
        return paged(pages)


def _shortened(labels: Sequence[str]) -> Callable[[str], str]:
    """Return what takes from a label RECIPE@MODEL the model that all arms share."""
    ends = {label.partition("@")[2] for label in labels}
    return (lambda label: label.partition("@")[0] or label) if len(ends) == 1 else (lambda label: label)


def _panel_title(pair: Pair, most: int, short: Callable[[str], str], inches: float) -> str:
    words = f"{short(pair.b)} − {short(pair.a)}"
    if pair.looks:
        words += f": {pair.verdict} at n = {pair.looks[-1].round} of {most}"
    return fitted(words, inches - 0.6, 7.5)


def _race_panel(axes: Axes, pair: Pair, race: Race, title: str) -> None:
    plan = race.rule.plan
    axes.set_title(title)
    if not pair.looks:
        axes.text(0.5, 0.5, pair.reason, transform=axes.transAxes, ha="center")
        return
    x = [look.round for look in pair.looks]
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    if plan.margin is not None:
        axes.axhspan(-plan.margin, plan.margin, color="0.86", zorder=0, linewidth=0)
    looks = [look for look in pair.looks if math.isfinite(look.low)]
    rounds = [look.round for look in looks]
    halves = [(look.high - look.low) / 2 for look in looks]
    for sign in (-1, 1):
        axes.plot(rounds, [sign * half for half in halves], color=MARK, linewidth=1.1, marker="_", markersize=5)
    for look in looks:
        axes.plot([look.round] * 2, [look.low, look.high], color=BARS, linewidth=1.4, alpha=0.45)
    axes.plot(x, [look.difference for look in pair.looks], "o-", color=BARS, markersize=3.5, linewidth=1)
    # An interval of an early look may be hundreds of points wide: what matters is where it comes near the data.
    reach = 1.15 * max(
        max(abs(look.difference) for look in pair.looks) * 1.6,
        1.5 * (plan.margin or 0.0),
        1.3 * halves[-1] if halves else 0.0,
    )
    axes.set_ylim(-(reach or 1.0), reach or 1.0)
    axes.set_xlim(min(x) - 0.6, plan.most + 0.6)
    axes.set_xlabel("seeds per recipe (n)")
    axes.set_ylabel("difference (points)" if race.rule.unit == "pp" else "difference")
    plain_ticks(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
