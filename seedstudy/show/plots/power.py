"""Power against seeds per arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from seedstudy.decide.plan import BAND, curve
from seedstudy.show.plots.canvas import BARS, DASHES, MARK, Canvas, Width, styled

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.plan import PowerPlan


def plot_power(plan: PowerPlan, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw power against seeds per arm; the band comes from the limits of the pilot's std."""
    power = curve(plan)
    unit = " points" if plan.unit == "pp" else ""
    claim = f"a difference of {plan.difference:.2g}{unit}"
    if plan.margin is not None:
        claim = f"equivalence within ±{plan.margin:g}{unit}"
    with styled():
        canvas = Canvas(width, [2.3], ax=ax)
        (axes,) = canvas.panels
        handles: list[Artist] = []
        if plan.spread.band is not None:
            axes.fill_between(power["n"], 100 * power["low"], 100 * power["high"], color=BARS, alpha=0.2, lw=0)
            words = "limits of the std" if plan.spread.known else f"one-sided {50 + 50 * BAND:.0f}% limits of the std"
            handles.append(Patch(color=BARS, alpha=0.2, linewidth=0, label=words))
        axes.plot(power["n"], 100 * power["power"], "-", color=BARS, linewidth=1.5)
        axes.axhline(80, color="0.6", linewidth=0.8, linestyle=DASHES)
        handles.append(Line2D([], [], color="0.6", linewidth=0.8, linestyle=DASHES, label="power 80%"))
        if plan.n_per_arm is not None:
            axes.plot([plan.n_per_arm], [100 * plan.power], "o", color=MARK, markersize=5)
            label = f"n = {plan.n_per_arm} per recipe: {100 * plan.power:.0f}%"
            handles.append(Line2D([], [], color=MARK, marker="o", linestyle="none", markersize=5, label=label))
        axes.set_ylim(0.0, 102)
        axes.set_xlim(0, power["n"][-1])
        axes.set_xlabel("seeds per recipe (n)")
        axes.set_ylabel("power (%)")
        n = "" if plan.spread.n_a is None else f", from n = {plan.spread.n_a} seeds"
        stds = f"{plan.spread.sd_a:.3g}"
        if plan.spread.sd_a != plan.spread.sd_b:
            stds += f" and {plan.spread.sd_b:.3g}"
        source = "" if plan.spread.source == "given" else f" ({plan.spread.source})"
        return canvas.finish(
            title=_title(plan, claim),
            caption=f"Power: the chance that n seeds per recipe show it if it is true. Std over seeds "
            f"{stds}{unit}{source}{n}; {plan.method.replace('welch', 'Welch t')} at alpha = {plan.alpha:g}.",
            handles=handles,
        )


def _title(plan: PowerPlan, claim: str) -> str:
    if plan.question == "seeds":
        return f"Seeds needed to show {claim}"
    seeds = f"{plan.n_per_arm} seeds per recipe"
    return f"What {seeds} can show: {claim}" if plan.question == "difference" else f"Power of {seeds} for {claim}"
