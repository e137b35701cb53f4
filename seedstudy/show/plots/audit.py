"""A published table: each row's rank interval, or each step beside the seed noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import BARS, MARK, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.audit import Audit, ColumnAudit


def plot_audit(audit: Audit) -> Figure:
    """Draw, per column, each row's rank interval (or each step with its noise), best row first."""
    n_rows = max(len(column.rows) for column in audit.columns)
    n_columns = len(audit.columns)
    longest = max(len(row) for column in audit.columns for row in column.rows)
    width = max(1.4 + 2.9 * n_columns, (2.0 + 0.065 * longest) * n_columns)
    with styled():
        figure = Figure(figsize=(width, 1.0 + 0.2 * n_rows), layout="constrained")
        panels = figure.subplots(1, n_columns, squeeze=False)[0]
        for axes, column in zip(panels, audit.columns, strict=True):
            if column.is_ladder:
                _steps_panel(axes, column, audit)
            else:
                _ranks_panel(axes, column, audit)
    return figure


def _ranks_panel(axes: Axes, column: ColumnAudit, audit: Audit) -> None:
    order = audit.best_first(column)
    for place, i in enumerate(order, start=1):
        low, high = column.ranks[i]
        axes.plot([low, high], [place, place], "-", color=BARS, linewidth=3, alpha=0.55, solid_capstyle="butt")
        axes.plot([place], [place], "o", color=MARK, markersize=3.5)
    axes.set_yticks(range(1, len(order) + 1), [f"{column.rows[i]}  {column.values[i]:.2f}" for i in order])
    axes.set_ylim(len(order) + 0.7, 0.3)
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"rank ({percent(1 - audit.alpha)} interval)")
    axes.set_title(f"{column.column}, std {column.sd:.3g}", loc="left")


def _steps_panel(axes: Axes, column: ColumnAudit, audit: Audit) -> None:
    noise = audit.noise_between_equals(column)
    axes.axvspan(-noise, noise, color="0.9", zorder=0)
    for place, pair in enumerate(column.pairs):
        color = BARS if audit.is_decided(pair) else "0.5"
        axes.barh([place], [pair.difference], color=color, height=0.6)
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(column.pairs)), [column.rows[pair.b] for pair in column.pairs])
    axes.invert_yaxis()
    axes.set_xlabel("change by the step (points);\nband: 95% of differences\nbetween equal recipes")
    axes.set_title(f"{column.column}, std {column.sd:.3g}", loc="left")
