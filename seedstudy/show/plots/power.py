"""Power against seeds per arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from seedstudy.decide.plan import curve
from seedstudy.show.plots.canvas import BARS, DASHES, MARK, styled

if TYPE_CHECKING:
    from seedstudy.decide.plan import PowerPlan


def plot_power(plan: PowerPlan) -> Figure:
    """Draw power against seeds per arm; the band comes from the limits of the pilot's std."""
    power = curve(plan)
    with styled():
        figure = Figure(figsize=(4.6, 3.1), layout="constrained")
        axes = figure.subplots()
        if plan.spread.band is not None:
            label = "one-sided 80% limits of the std"
            axes.fill_between(power["n"], power["low"], power["high"], color=BARS, alpha=0.2, lw=0, label=label)
        axes.plot(power["n"], power["power"], "-", color=BARS, linewidth=1.6)
        if plan.n_per_arm is not None:
            axes.plot([plan.n_per_arm], [plan.power], "o", color=MARK, markersize=6, label=f"n = {plan.n_per_arm}")
        axes.axhline(0.8, color="0.7", linewidth=0.8, linestyle=DASHES)
        axes.set_ylim(0.0, 1.02)
        axes.set_xlim(0, power["n"][-1])
        claim = f"a difference of {plan.difference:.3g}"
        if plan.margin is not None:
            claim = f"equivalence within ±{plan.margin:g}"
        axes.set_title(f"Power to show {claim}, std {plan.spread.sd_a:.3g}", loc="left")
        axes.set_xlabel("seeds per arm")
        axes.set_ylabel("power")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right")
    return figure
