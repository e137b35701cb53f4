"""What all pictures share: style, sizes, colours, words that fit, pages, and writing to a file."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import seaborn as sns
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StudyError
from seedstudy.files import write_atomically
from seedstudy.show.plots import check_picture
from seedstudy.show.sheet import shared_ends
from seedstudy.study.group import NOTHING_READ, Readings

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from seedstudy.study.group import Group, Values

Width = Literal["column", "page"]
WIDTHS: Mapping[Width, float] = {"column": 85 / 25.4, "page": 178 / 25.4}
"""Inches: one column of a paper, and its page."""
TALLEST = 9.2
"""Inches of a page's panels; more of them go to further pages."""
_DPI = 200

_PALETTE = sns.color_palette("colorblind")
BARS, MARK = _PALETTE[0], _PALETTE[3]
BARS_ALPHA, DASHES = 0.5, (0, (4, 2))
_COLOURS = [_PALETTE[i] for i in (0, 1, 2, 4, 5, 9, 7)]
"""Seven that colour-blind readers can distinguish on white paper; the rest of the palette is too pale."""
_MARKERS = ("o", "s", "D", "^", "v", "P")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))
LABEL: Mapping[Width, float] = {"column": 0.95, "page": 1.35}
"""Inches for the name of a row."""
_NO_BREAK = "\N{NO-BREAK SPACE}"
SMALL, TITLE = 7.0, 8.5
"""Points: words inside panels and captions, and the title of a picture."""
_HANDLE = (1.8 + 0.8 + 1.2) * SMALL / 72
"""Inches of a legend's handle, gap and column spacing, as the style has them."""
FEWEST_FOR_BARS = 20
"""Below this many seeds every seed is a dot: a histogram of few shows bins, not seeds."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a recipe is drawn: its colour in every panel and page, and a marker and a line for eyes without colours."""

    color: Any
    marker: str
    line: Any


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each recipe, in the order in which they are first named.

    The first seven differ in colour; of the others no two share colour and marker before there are 42.
    """
    distinct = dict.fromkeys(names)
    return {
        name: Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)])
        for i, name in enumerate(distinct)
    }


# --- words that fit -------------------------------------------------------------------------------------


@cache
def width_of(text: str, size: float = SMALL, *, is_bold: bool = False) -> float:
    """Return the inches that a line of text takes."""
    font = FontProperties(family="sans-serif", size=size, weight="bold" if is_bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


_TOGETHER = re.compile(
    r"(?:\bn|\balpha|\br|\bp|±|\?) (?:[=<] )?(?=[\d:])|(?<=\d) (?=[%?])|(?<=\w) (?=→)|(?<=←) "
    r"|(?<=elch) (?=t\b)|(?<=aired) (?=t\b)"
)
"""Blanks at which no line ends: "n = 5", "± 0.3", "80 %"."""


def fitted(text: str, inches: float, size: float = SMALL, *, is_bold: bool = False) -> str:
    """Break a text into lines that fit: at blanks, inside a long name after one of "@ _ - . , /", or anywhere."""
    lines = []
    together = _TOGETHER.sub(lambda found: found.group().replace(" ", _NO_BREAK), text)
    for paragraph in together.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if width_of(joined, size, is_bold=is_bold) <= inches:
                line = joined
                continue
            *whole, line = [*([line] if line else []), *_pieces(word, inches, size, is_bold=is_bold)]
            lines += whole
        lines.append(line)
    return "\n".join(lines).replace(_NO_BREAK, " ")


def _pieces(word: str, inches: float, size: float, *, is_bold: bool) -> list[str]:
    pieces = [""]
    for part in re.split(r"(?<=[@_\-/])|(?<=[.,])(?!\d)", word):  # not inside "0.1"
        for atom in [part] if width_of(part, size, is_bold=is_bold) <= inches else part:
            if pieces[-1] and width_of(pieces[-1] + atom, size, is_bold=is_bold) > inches:
                pieces.append("")
            pieces[-1] += atom
    return pieces


def row_label(label: str, width: Width = "page") -> str:
    return fitted(label, LABEL[width])


def names_that_fit(names: Mapping[str, str], inches: float) -> tuple[dict[str, str], str]:
    """Return names without the words that all begin and end with, where one is longer than a line of `inches`.

    The second is a sentence for the caption that gives the whole names; empty where they are whole.
    """
    shared = shared_ends(list(names.values())) if max(map(width_of, names.values())) > inches else None
    if shared is None:
        return dict(names), ""
    head, tail = shared
    short = {key: name[len(head) : len(name) - len(tail)] for key, name in names.items()}
    return short, f" Whole names: {head}*{tail}."


def height_of(text: str, size: float = SMALL) -> float:
    """Return the inches that lines of text take."""
    return (text.count("\n") + 1) * size * 1.25 / 72 if text else 0.0


# --- a picture ------------------------------------------------------------------------------------------


class Picture(Figure):
    """A figure with its title, its caption, words for those who cannot see it, and further pages."""

    title: str = ""
    caption: str = ""
    """What is drawn: units, n, what bars and bands are."""
    pages: tuple[Picture, ...] = ()
    """The pages after this one."""
    read: Readings = NOTHING_READ
    """What was read from each file."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which is not drawn."""

    @property
    def description(self) -> str:
        """What a screen reader says: title and caption."""
        return f"{self.title}. {self.caption}"

    def all_pages(self) -> tuple[Picture, ...]:
        """Return this page and the further ones."""
        return (self, *self.pages)

    def _repr_html_(self) -> str:
        """Return all pages as a notebook shows them, each with its alternative text."""
        return "".join(_as_html(page) for page in self.all_pages())


def _as_html(page: Picture) -> str:
    inches = page.get_figwidth()
    data = base64.b64encode(picture_bytes(page, ".png", dpi=144)).decode()
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(page.description)}" '
        f'style="width:{1.2 * 96 * inches:.0f}px;max-width:100%;background:white">'
    )


class _Layout(ConstrainedLayoutEngine):
    """Constrained layout whose last bits do not change from run to run: names inside an SVG are hashes of them."""

    def execute(self, fig: Figure) -> None:
        super().execute(fig)
        for axes in fig.axes:
            is_laid_out = axes.get_in_layout()
            axes.set_position(tuple(np.round(axes.get_position(original=True).bounds, 10)), which="original")
            axes.set_in_layout(is_laid_out)


class Canvas:
    """Panels of a known size, to which title, legend and caption are added so that nothing covers anything.

    Heights in inches, one per row of panels. With `ax`, somebody else's axes, there is one panel: legend and caption go
    into it.
    """

    def __init__(self, width: Width, heights: Sequence[float], n_columns: int = 1, *, ax: Axes | None = None) -> None:
        self.width, self.inches, self._ax = width, WIDTHS[width], ax
        self._heights = sum(heights)
        if ax is not None:
            if len(heights) * n_columns != 1:
                raise StudyError(
                    f"ax: this picture has {len(heights) * n_columns} panels and needs a figure of its own; name one "
                    "recipe and one eval set, or leave out ax."
                )
            self.grid = np.array([[ax]], dtype=object)
            return
        self.figure = Picture(figsize=(self.inches, self._heights), layout=_Layout())
        self.grid = self.figure.subplots(len(heights), n_columns, squeeze=False, height_ratios=list(heights))

    @property
    def panels(self) -> list[Axes]:
        """All panels, row by row."""
        return list(self.grid.flat)

    def finish(
        self, *, title: str, caption: str, handles: Sequence[Artist] = (), page: tuple[int, int] = (1, 1)
    ) -> Any:
        """Add title, legend and caption; return the picture, or the axes that were given. `page`: number, of how many.

        Unused panels are hidden.
        """
        if self._ax is not None:
            return self._finish_axes(title, caption, handles)
        for axes in self.panels:
            if not axes.has_data() and not axes.texts:
                axes.set_visible(False)
        if page[1] > 1:
            title = f"{title} (page {page[0]} of {page[1]})"
        figure, room = self.figure, self.inches - 0.1
        heading, below = fitted(title, room, TITLE, is_bold=True), fitted(caption, room)
        for each in handles:
            each.set_label(fitted(str(each.get_label()), room - _HANDLE))
        columns, lines = self._legend_shape(handles)
        gap = 0.07
        heads = height_of(heading, TITLE) + gap
        keys = lines * SMALL * 1.45 / 72 + (gap if lines else 0.0)
        feet = height_of(below) + (gap if below else 0.0)
        total = heads + self._heights + keys + feet
        figure.set_size_inches(self.inches, total)
        engine = figure.get_layout_engine()
        assert isinstance(engine, ConstrainedLayoutEngine)
        bottom = (keys + feet) / total
        # Panels apart: the words at the end of one must not run into those of the next.
        engine.set(rect=(0.0, bottom, 1.0, self._heights / total), w_pad=0.075, h_pad=0.05, wspace=0.03, hspace=0.02)
        left = 0.05 / self.inches
        figure.text(left, 1.0 - 0.04 / total, heading, va="top", size=TITLE, weight="bold", linespacing=1.15)
        if below:
            figure.text(left, 0.04 / total, below, va="bottom", size=SMALL, color="0.25", linespacing=1.2)
        if handles:
            figure.legend(
                handles=list(handles),
                ncols=columns,
                loc="lower left",
                bbox_to_anchor=(0.0, feet / total),
                borderaxespad=0.2,
                labelspacing=0.35,
            )
        figure.title, figure.caption = title, caption
        return figure

    def _legend_shape(self, handles: Sequence[Artist]) -> tuple[int, int]:
        """Return the columns of the legend below the panels, and its lines."""
        if not handles:
            return 0, 0
        room = self.inches - 0.15
        labels = [str(each.get_label()) for each in handles]
        widths = [max(map(width_of, label.split("\n"))) + _HANDLE for label in labels]
        lines = [label.count("\n") + 1 for label in labels]
        n = len(handles)
        for columns in range(n, 0, -1):
            rows = math.ceil(n / columns)
            # Matplotlib fills column by column; the first ones are longer where the last row is not full.
            sizes = [rows if i < (n % columns or columns) else rows - 1 for i in range(columns)]
            parts = [slice(a, b) for a, b in pairwise(np.cumsum([0, *sizes]))]
            if columns == 1 or sum(max(widths[part], default=0.0) for part in parts) <= room:
                break
        return columns, max(sum(lines[part]) for part in parts)

    def _finish_axes(self, title: str, caption: str, handles: Sequence[Artist]) -> Axes:
        axes = self._ax
        assert axes is not None
        figure = axes.get_figure(root=True)
        assert figure is not None
        inches = axes.get_position().width * figure.get_figwidth()
        if handles:
            axes.legend(handles=list(handles))
        if not axes.get_title() and not axes.get_title(loc="left"):
            axes.set_title(fitted(title, inches, 7.5), loc="left")
        if caption:
            label = axes.get_xlabel()
            axes.set_xlabel("\n".join(filter(None, (label, fitted(caption, inches)))))
        return axes


def paged(pictures: Sequence[Any]) -> Any:
    """Return the first of several pages, which knows the others."""
    first, *rest = pictures
    if rest:
        first.pages = tuple(rest)
    return first


def chunks(heights: Sequence[float], tallest: float = TALLEST) -> list[range]:
    """Return which rows of panels go to each page, none of them taller than `tallest` inches."""
    found: list[range] = []
    start, used = 0, 0.0
    for i, height in enumerate(heights):
        if i > start and used + height > tallest:
            found.append(range(start, i))
            start, used = i, 0.0
        used += height
    return [*found, range(start, len(heights))]


# --- files ----------------------------------------------------------------------------------------------


def save_picture(figure: Figure, path: str | Path) -> tuple[Path, ...]:
    """Write a picture as .png, .pdf or .svg and return the files; equal pictures give equal files.

    Each file is written whole or not at all. Several pages are pages of one PDF, and files NAME-1.png, NAME-2.png, …

    Raises
    ------
    StudyError
        Another suffix, no such folder, or a file that cannot be written.

    """
    path = Path(path)
    check_picture(path)
    pages = figure.all_pages() if isinstance(figure, Picture) else (figure,)
    kind = path.suffix.lower()
    if kind == ".pdf" or len(pages) == 1:
        files = {path: _pdf(pages) if kind == ".pdf" else picture_bytes(pages[0], kind)}
    else:
        numbered = [path.with_stem(f"{path.stem}-{number}") for number in range(1, len(pages) + 1)]
        files = {file: picture_bytes(page, kind) for file, page in zip(numbered, pages, strict=True)}
    for file, content in files.items():
        try:
            write_atomically(file, content, is_durable=False)
        except OSError as error:
            problem = f"{file}: the picture cannot be written ({error.strerror}); choose another place."
            raise StudyError(problem) from error
    return tuple(files)


def picture_bytes(figure: Figure, kind: str, *, dpi: float = _DPI) -> bytes:
    """Return one page as the bytes of a .png or .svg; an SVG has <title>, <desc> and its words as text."""
    title = getattr(figure, "title", "")
    buffer = io.BytesIO()
    # An SVG would hold the time of writing.
    known: dict[str, Any] = {"Title": title} if title else {}
    metadata = {"Date": None, **known} if kind == ".svg" else known
    with styled():
        figure.savefig(buffer, format=kind[1:], dpi=dpi, metadata=metadata)
    found = buffer.getvalue()
    if kind != ".svg" or not isinstance(figure, Picture):
        return found
    words = html.escape(figure.description)
    return found.replace(b"</title>", f"</title>\n <desc>{words}</desc>".encode(), 1)


def _pdf(pages: Sequence[Figure]) -> bytes:
    from matplotlib.backends.backend_pdf import PdfPages

    buffer = io.BytesIO()
    title = getattr(pages[0], "title", "")
    with styled(), PdfPages(buffer, metadata={"CreationDate": None, "Title": title or None}) as document:
        for page in pages:
            document.savefig(page)
    return buffer.getvalue()


# --- rows, axes -----------------------------------------------------------------------------------------


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


def eval_sets_of(groups: Iterable[Group]) -> list[str]:
    """Return the eval sets of groups: val, real and v2 in this order, then the others as they come."""
    found = list(dict.fromkeys(group.eval_set for group in groups))
    place = {name: i for i, name in enumerate(EVAL_SET_ORDER)}
    return sorted(found, key=lambda name: place.get(name, len(place)))


def axis_label(group: Group, eval_set: str | None = None) -> str:
    name = "top-1 accuracy" if group.metric == "top1" else group.metric
    place = f" on {eval_set}" if eval_set else ""
    return f"{name}{place}{' (%)' if group.unit == 'pp' else ''}"


def unit_of(group: Group) -> str:
    """Return the unit of differences and spreads in words, with a blank before it; empty for another metric."""
    return " percentage points" if group.unit == "pp" else ""


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


def swarm(values: Values, limits: tuple[float, float], size: float, inches: float, reach: float) -> Values:
    """Return vertical offsets in inches, at most `reach`, that keep dots of `size` points apart where they can be.

    `inches`: width of the axis over `limits`.
    """
    x = (values - limits[0]) / (limits[1] - limits[0]) * inches * 72
    reach *= 72
    y = np.zeros(len(x))
    placed: list[int] = []
    for index in np.argsort(x, kind="stable"):
        placed = [other for other in placed if x[index] - x[other] < size]
        for step in range(int(reach / size * 8) + 1):
            offset = (step + 1) // 2 * size / 4 * (-1) ** step
            if all((x[index] - x[other]) ** 2 + (offset - y[other]) ** 2 >= size**2 for other in placed):
                break
        else:  # no room is left: spread evenly over the height
            offset = reach * (2 * (len(placed) * 0.618 % 1) - 1)
        y[index] = offset
        placed.append(int(index))
    return y / 72


def plain_ticks(axes: Axes, axis: Literal["x", "y"] = "x", *, nbins: int = 4) -> None:
    """Write whole numbers at the ticks: "79.72", never "0.02 + 7.97e1"."""
    of = axes.xaxis if axis == "x" else axes.yaxis
    of.set_major_locator(MaxNLocator(nbins=nbins, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    of.set_major_formatter(ScalarFormatter(useOffset=False))


def in_short(value: float) -> str:
    """Return a large number with k, M, G or T: "20M", never "2e+07"."""
    for size, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit = 1e3 if sign == "k" else size
            return f"{value / unit:g}{sign}"
    return f"{value:g}"


def counts_in_words(counts: Iterable[int]) -> str:
    """Return "n = 5", or "n = 3 to 20" where they differ."""
    low, high = min(counts := list(counts)), max(counts)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


@cache
def _settings() -> dict[str, Any]:
    from matplotlib import rc_params_from_file

    file = resources.files("seedstudy.show.plots").joinpath("seedstudy.mplstyle")
    with resources.as_file(file) as path:
        found: Mapping[Any, Any] = rc_params_from_file(path, use_default_template=False)
        return dict(found)


def styled() -> AbstractContextManager[None]:
    """Start from matplotlib's defaults, not from the user's settings: equal input, equal picture."""
    return style.context(["default", _settings()])
