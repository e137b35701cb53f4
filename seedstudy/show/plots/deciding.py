"""Pictures of races, power and audits; seaborn's style, nothing is computed here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seedstudy.show.plots.canvas import BARS, DASHES, MARK, plain_ticks, styled

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from seedstudy.decide.audit import Audit, ColumnAudit
    from seedstudy.decide.plan import PowerPlan
    from seedstudy.decide.race import Pair, Race


def race(race: Race) -> Figure:
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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    unit = " (points)" if race.rule.unit == "pp" else ""
    axes.set_ylabel(f"difference{unit}")
    axes.set_title(f"{pair.b} - {pair.a}: {pair.verdict} at {pair.looks[-1].round} of {plan.most} seeds", loc="left")
    plain_ticks(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def power(plan: PowerPlan, curve: dict[str, npt.NDArray[np.float64]]) -> Figure:
    """Draw power against seeds per arm; the band comes from the limits of the pilot's std."""
    with styled():
        figure = Figure(figsize=(4.6, 3.1), layout="constrained")
        axes = figure.subplots()
        if plan.spread.band is not None:
            label = "one-sided 80% limits of the std"
            axes.fill_between(curve["n"], curve["low"], curve["high"], color=BARS, alpha=0.2, lw=0, label=label)
        axes.plot(curve["n"], curve["power"], "-", color=BARS, linewidth=1.6)
        if plan.n_per_arm is not None:
            axes.plot([plan.n_per_arm], [plan.power], "o", color=MARK, markersize=6, label=f"n = {plan.n_per_arm}")
        axes.axhline(0.8, color="0.7", linewidth=0.8, linestyle=DASHES)
        axes.set_ylim(0.0, 1.02)
        axes.set_xlim(0, curve["n"][-1])
        claim = f"a difference of {plan.difference:.3g}"
        if plan.margin is not None:
            claim = f"equivalence within ±{plan.margin:g}"
        axes.set_title(f"Power to show {claim}, std {plan.spread.sd_a:.3g}", loc="left")
        axes.set_xlabel("seeds per arm")
        axes.set_ylabel("power")
        axes.legend(loc="lower right")
    return figure


def audit(answer: Audit) -> Figure:
    """Draw, per column, each row's rank interval (or each step with its noise), best row first."""
    n_rows = max(len(column.rows) for column in answer.columns)
    n_columns = len(answer.columns)
    with styled():
        figure = Figure(figsize=(1.4 + 2.9 * n_columns, 1.0 + 0.2 * n_rows), layout="constrained")
        panels = figure.subplots(1, n_columns, squeeze=False)[0]
        for axes, column in zip(panels, answer.columns, strict=True):
            if column.is_ladder:
                _steps_panel(axes, column, answer)
            else:
                _ranks_panel(axes, column, answer)
    return figure


def _ranks_panel(axes: Axes, column: ColumnAudit, answer: Audit) -> None:
    order = sorted(range(len(column.rows)), key=lambda i: column.values[i], reverse=not answer.lower_is_better)
    for place, i in enumerate(order, start=1):
        low, high = column.ranks[i]
        axes.plot([low, high], [place, place], "-", color=BARS, linewidth=3, alpha=0.55, solid_capstyle="butt")
        axes.plot([place], [place], "o", color=MARK, markersize=3.5)
    axes.set_yticks(range(1, len(order) + 1), [f"{column.rows[i]}  {column.values[i]:.2f}" for i in order])
    axes.set_ylim(len(order) + 0.7, 0.3)
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"rank ({1 - answer.alpha:.0%} interval)")
    axes.set_title(f"{column.column}, std {column.sd:.3g}", loc="left")


def _steps_panel(axes: Axes, column: ColumnAudit, answer: Audit) -> None:
    # Two single runs differ by less than this in 95 % of cases when nothing has changed.
    reach = 1.96 * math.sqrt(2.0) * answer.cells.spread * column.sd
    axes.axvspan(-reach, reach, color="0.9", zorder=0)
    for place, pair in enumerate(column.pairs):
        color = BARS if answer.is_decided(pair) else "0.5"
        axes.barh([place], [pair.difference], color=color, height=0.6)
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(column.pairs)), [column.rows[pair.b] for pair in column.pairs])
    axes.invert_yaxis()
    axes.set_xlabel("change by the step (points)\nband: 95% of differences between equals")
    axes.set_title(f"{column.column}, std {column.sd:.3g}", loc="left")
