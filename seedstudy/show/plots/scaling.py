"""Error against cost: cells with the noise of their mean, the law, and strategies in their colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from seedstudy.show.plots.canvas import ARMS, BARS, MARK, styled

if TYPE_CHECKING:
    from seedstudy.decide.scaling import Scaling

_MARKERS = "osD^vP"


def plot_scaling(answer: Scaling) -> Figure:
    """Draw every cell with two standard errors of its mean, and the power law of each colour that has one."""
    with styled():
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.subplots()
        groups = list(dict.fromkeys(_group(answer, i) for i in range(len(answer.cells))))
        for number, group in enumerate(groups):
            members = [cell for i, cell in enumerate(answer.cells) if _group(answer, i) == group]
            color = BARS if len(groups) == 1 else ARMS[number % len(ARMS)]
            axes.errorbar(
                [cell.cost for cell in members],
                [cell.error for cell in members],
                [2.0 * answer.noise.sd / math.sqrt(cell.n) for cell in members],
                fmt=_MARKERS[number % len(_MARKERS)],
                color=color,
                markersize=4,
                linewidth=1,
                label=group or None,
            )
        for law in answer.laws:
            if len(groups) > 1 and law.of not in groups:
                continue
            color = MARK if len(groups) == 1 else ARMS[groups.index(law.of) % len(ARMS)]
            costs = [
                cell.cost for i, cell in enumerate(answer.cells) if len(groups) == 1 or _group(answer, i) == law.of
            ]
            grid = np.geomspace(min(costs), max(costs), 200)
            label = "power law" if len(groups) == 1 else None
            axes.plot(grid, law.law.at(grid), "-", color=color, linewidth=1, alpha=0.6, label=label)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"cost ({answer.cost})")
        axes.set_ylabel("error (%)" if answer.unit == "pp" else answer.metric)
        axes.legend()
    return figure


def _group(answer: Scaling, i: int) -> str:
    """Return what cells share a colour: a strategy, else a length of training where there are several."""
    cell = answer.cells[i]
    if cell.strategy is not None:
        return cell.strategy
    lengths = {each.coordinates.get("epochs") for each in answer.cells}
    return f"{cell.coordinates['epochs']:g} epochs" if len(lengths) > 1 and "epochs" in cell.coordinates else ""
