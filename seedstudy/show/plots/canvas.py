"""What all pictures share: style, colours, labels, axes, and writing to a file."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from seedstudy.errors import StudyError
from seedstudy.files import write_atomically
from seedstudy.show.plots import check_picture

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from seedstudy.study.group import Group

_DPI = 150

_PALETTE = sns.color_palette("colorblind")
BARS, MARK = _PALETTE[0], _PALETTE[3]
BARS_ALPHA, DASHES = 0.5, (0, (4, 2))
ARMS = [_PALETTE[i] for i in (0, 1, 2, 4)]
"""Baseline first. Arms differ in position too; colour is never the only difference."""

_STYLE = {
    **sns.axes_style("ticks"),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.parse_math": False,  # a "$" in a file's name is a "$"
    "pdf.fonttype": 42,  # fonts that printers and journals accept
    "svg.hashsalt": "seedstudy",  # equal pictures, equal files
}
SMALL = 8
TITLE_CHARS, _LABEL_CHARS = 40, 30
"""Where labels wrap, in characters: the width of a panel's title, and of a row's name."""


def save_picture(figure: Figure, path: str | Path) -> None:
    """Write a picture as .png, .pdf or .svg: the whole file or none; equal pictures give equal files.

    Raises
    ------
    StudyError
        Another suffix, no such folder, or a file that cannot be written.

    """
    path = Path(path)
    check_picture(path)
    kind = path.suffix.lower()
    # PDF and SVG would hold the time of writing.
    undated = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}[kind]
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=kind[1:], dpi=_DPI, metadata=undated)
    try:
        write_atomically(path, buffer.getbuffer(), is_durable=False)
    except OSError as error:
        raise StudyError(f"{path}: the picture cannot be written ({error.strerror}); choose another place.") from error


def identity(group: Group) -> tuple[str, str, str]:
    return group.label, group.recipe_id, group.pool_key


def rows_of(groups: Sequence[Group]) -> list[int]:
    """Return the row of each group: one row per recipe, also where two (files, say) have one name."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    rows: dict[tuple[str, str, str, int], int] = {}
    row_of_each = []
    for group in groups:
        occurrence = seen[*identity(group), group.eval_set]
        seen[*identity(group), group.eval_set] += 1
        row_of_each.append(rows.setdefault((*identity(group), occurrence), len(rows)))
    return row_of_each


def row_label(label: str) -> str:
    return wrap(label, _LABEL_CHARS)


def wrap(text: str, n_chars: int) -> str:
    """Break a long label, where it can be after one of "@ _ - . ,"."""
    lines = [""]
    for piece in re.findall(rf"[^@_\-., ]{{0,{n_chars - 1}}}[@_\-., ]|[^@_\-., ]{{1,{n_chars}}}", text):
        if len(lines[-1]) + len(piece.rstrip()) > n_chars:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def axis_label(group: Group, eval_set: str | None = None) -> str:
    name = "top-1 accuracy" if group.metric == "top1" else group.metric
    place = f" on {eval_set}" if eval_set else ""
    return f"{name}{place}{' (%)' if group.unit == 'pp' else ''}"


def limits_of(
    samples: Iterable[npt.NDArray[np.floating]], around: Iterable[tuple[float, float]], unit: str | None
) -> tuple[float, float]:
    """Return an axis that holds all values and each (centre, half width), with a little room."""
    values = np.concatenate(list(samples))
    ends = [centre + side * half for centre, half in around for side in (-1, 1)]
    known = np.array([*values, *(end for end in ends if math.isfinite(end))])
    low, high = float(known.min()), float(known.max())
    if low == high:
        half = 0.5 if unit == "pp" or low == 0 else 0.05 * abs(low)
        return low - half, high + half
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def set_gaps(figure: Figure) -> None:
    """Keep the panels apart: the words at the end of one must not run into those of the next."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.08, h_pad=0.06, wspace=0.03, hspace=0.02)


def plain_ticks(axes: Axes) -> None:
    """Write whole numbers at the ticks: "79.72", never "0.02 + 7.97e1"."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))


def styled() -> AbstractContextManager[None]:
    """Start from matplotlib's defaults, not from the user's settings: equal input, equal picture."""
    return style.context(["default", _STYLE])
