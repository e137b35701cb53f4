"""A published table: each row's rank interval, or each step beside the seed noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seedstudy.show.format import percent
from seedstudy.show.plots.canvas import (
    BARS,
    MARK,
    SMALL,
    TALLEST,
    WIDTHS,
    Canvas,
    Width,
    fitted,
    height_of,
    paged,
    styled,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.decide.audit import Audit, ColumnAudit

_OVERHEAD = 0.75


def plot_audit(audit: Audit, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw, per column, each row's rank interval (or each step with its noise), best row first."""
    is_ladder = audit.columns[0].is_ladder
    longest = max(width_of(_row_name(column, i)) for column in audit.columns for i in range(len(column.rows)))
    room = min(longest, 0.42 * WIDTHS[width])
    names = [fitted(_row_name(column, i), room) for column in audit.columns for i in range(len(column.rows))]
    lines = max(height_of(name) for name in names)
    height = max(lines + 0.04, 0.145) * max(len(column.rows) for column in audit.columns) + _OVERHEAD
    n_columns = max(1, min(len(audit.columns), int(WIDTHS[width] / (room + 1.15))))
    per_page = max(1, int(TALLEST / height)) * n_columns
    parts = [audit.columns[i : i + per_page] for i in range(0, len(audit.columns), per_page)]
    with styled():
        pages = []
        for number, columns in enumerate(parts, start=1):
            n_rows = math.ceil(len(columns) / n_columns)
            canvas = Canvas(width, [height] * n_rows, n_columns, ax=ax)
            for axes, column in zip(canvas.panels, columns, strict=False):
                draw = _steps_panel if column.is_ladder else _ranks_panel
                draw(axes, column, audit, room, WIDTHS[width] / n_columns - room - 0.3)
            pages.append(
                canvas.finish(
                    title=f"{audit.table.name}: "
                    + ("steps beside seed noise" if is_ladder else "ranks that seeds allow"),
                    caption=_caption(audit),
                    handles=_handles(audit),
                    page=(number, len(parts)),
                )
            )
        return paged(pages)


def _row_name(column: ColumnAudit, i: int) -> str:
    return column.rows[i] if column.is_ladder else f"{column.rows[i]}  {column.values[i]:.2f}"


def _caption(audit: Audit) -> str:
    of = "" if audit.noise.source == "given" else f" ({audit.noise.source})"
    cells, noise = f"Each number: {audit.cells}", f"std over seeds as given at each panel{of}"
    if audit.columns[0].is_ladder:
        return (
            f"{cells}; {noise}. Bar: change from the row before; blue where it exceeds seed noise (Holm over all "
            f"steps, alpha = {audit.alpha:g}: one of many steps must leave the band clearly)."
        )
    level = percent(1 - audit.alpha)
    return f"{cells}; {noise}. Dot: rank in the table; bar: ranks that hold for all rows together at {level}."


def _handles(audit: Audit) -> list[Artist]:
    if not audit.columns[0].is_ladder:
        return [
            Line2D([], [], color=MARK, marker="o", linestyle="none", markersize=3.5, label="rank in the table"),
            Line2D(
                [], [], color=BARS, linewidth=3, alpha=0.55, label=f"{percent(1 - audit.alpha)} interval of the rank"
            ),
        ]
    return [
        Patch(color=BARS, label="exceeds seed noise"),
        Patch(color="0.55", label="within seed noise"),
        Patch(color="0.9", label="95% of steps between equal recipes"),
    ]


def _ranks_panel(axes: Axes, column: ColumnAudit, audit: Audit, room: float, inches: float) -> None:
    order = audit.best_first(column)
    for place, i in enumerate(order, start=1):
        low, high = column.ranks[i]
        axes.plot([low, high], [place, place], "-", color=BARS, linewidth=3, alpha=0.55, solid_capstyle="butt")
        axes.plot([place], [place], "o", color=MARK, markersize=3)
    axes.set_yticks(range(1, len(order) + 1), [fitted(_row_name(column, i), room) for i in order], size=SMALL)
    axes.set_ylim(len(order) + 0.7, 0.3)
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel("rank (1 = best)")
    axes.set_title(fitted(f"{column.column}, std {column.sd:.3g}", inches, 7.5))


def _steps_panel(axes: Axes, column: ColumnAudit, audit: Audit, room: float, inches: float) -> None:
    noise = audit.noise_between_equals(column)
    axes.axvspan(-noise, noise, color="0.9", zorder=0, linewidth=0)
    for place, pair in enumerate(column.pairs):
        color = BARS if audit.is_decided(pair) else "0.55"
        axes.barh([place], [pair.difference], color=color, height=0.6)
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(column.pairs)), [fitted(column.rows[pair.b], room) for pair in column.pairs], size=SMALL)
    axes.invert_yaxis()
    axes.set_xlabel(fitted("change by the step (in the table's unit)", inches, 7.5))
    axes.set_title(fitted(f"{column.column}, std {column.sd:.3g}", inches, 7.5))
