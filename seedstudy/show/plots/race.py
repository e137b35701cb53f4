"""A race: the difference and its interval at each look."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seedstudy.show.plots.canvas import BARS, DASHES, MARK, plain_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.race import Pair, Race


def plot_race(race: Race) -> Figure:
    """Draw, per comparison, the difference and its repeated interval at each look, and the margin."""
    pairs = [pair for pair in race.pairs if pair.looks]
    with styled():
        figure = Figure(figsize=(5.2, 0.6 + 2.5 * max(1, len(pairs))), layout="constrained")
        panels = figure.subplots(max(1, len(pairs)), 1, squeeze=False, sharex=True)[:, 0]
        for axes, pair in zip(panels, pairs, strict=False):
            _race_panel(axes, pair, race)
        panels[-1].set_xlabel("seeds per arm")
    return figure


def _race_panel(axes: Axes, pair: Pair, race: Race) -> None:
    plan = race.rule.plan
    looks = [look for look in pair.looks if math.isfinite(look.low)]
    x = [look.round for look in pair.looks]
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    if plan.margin is not None:
        axes.axhspan(-plan.margin, plan.margin, color="0.92", zorder=0)
    axes.plot(x, [look.difference for look in pair.looks], "o-", color=BARS, markersize=4, linewidth=1)
    # An interval of an early look may be hundreds of points wide: what matters is where it comes near the data.
    reach = 3.5 * max(
        [abs(look.difference) for look in pair.looks]
        + [plan.margin or 0.0, (pair.looks[-1].high - pair.looks[-1].low) / 4 if looks else 0.0]
    )
    for look in looks:
        axes.plot([look.round] * 2, [look.low, look.high], color=BARS, linewidth=1.6, alpha=0.6)
    axes.axvline(plan.most, color=MARK, linewidth=0.9, linestyle=DASHES)
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0, plan.most * 1.04)
    unit = " (points)" if race.rule.unit == "pp" else ""
    axes.set_ylabel(f"difference{unit}")
    axes.set_title(f"{pair.b} - {pair.a}: {pair.verdict} at {pair.looks[-1].round} of {plan.most} seeds", loc="left")
    plain_ticks(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
