"""A table before it is drawn: its numbers are formatted once, for a terminal, a paper and a page alike."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from seedstudy.errors import printable

Kind = Literal["name", "text", "number", "verdict", "picture"]

_GAP = 2
"""Blanks between two columns of a terminal."""
_ENDLESS = 1_000_000
"""Columns of a terminal that is as wide as it takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column; what it holds decides how it is aligned."""

    name: str
    kind: Kind = "number"
    """``name``: what a row is about, shown once for neighbours that share it; ``verdict``: coloured; ``picture``: drawn
    with characters, for a terminal alone."""
    drop: int = 0
    """Where a terminal is too narrow, all columns with the highest number are left out first; 0 always stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Rows of text cells below named columns, with one line of facts that all rows share."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    """How to read the table, one sentence each."""
    is_wide: bool = False
    """Whether a terminal shows every column on one line, however wide it is."""

    def __post_init__(self) -> None:
        """Check that every row has a cell for every column."""
        assert all(len(row) == len(self.columns) for row in self.rows), self.rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the whole table in the width there is: no digit and no word of it is cut."""
        from seedstudy.show.format import COLOURS, small_print

        if self.caption:
            yield small_print(self.caption)
        styles: Mapping[str, str] = {str(word): colour for word, colour in COLOURS.items()}
        yield from _lines(self, _ENDLESS if self.is_wide else options.max_width, styles)
        for note in self.notes:
            yield small_print(note)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> object:
        """Take the whole width."""
        from rich.measure import Measurement

        return Measurement(options.max_width, options.max_width)


def sheet(
    text: Sequence[str],
    numbers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    notes: Sequence[str] = (),
) -> Sheet:
    """Return a table whose first column names what a row is about, with columns of text before those of numbers."""
    names = (Column(name=text[0], kind="name"), *(Column(name=name, kind="text") for name in text[1:]))
    return Sheet(
        columns=(*names, *(Column(name=name) for name in numbers)),
        rows=tuple(map(tuple, rows)),
        caption=caption,
        notes=tuple(notes),
    )


def aligned_intervals(intervals: Sequence[tuple[float, float] | None], decimals: int, *, unknown: str) -> list[str]:
    """Return "[ 0.16, 0.46]" for each pair of ends, so that the commas of a column lie below one another."""
    ends = [None if each is None else tuple(f"{end:.{decimals}f}" for end in each) for each in intervals]
    widths = [max((len(each[i]) for each in ends if each is not None), default=0) for i in (0, 1)]
    return [unknown if each is None else f"[{each[0]:>{widths[0]}}, {each[1]:>{widths[1]}}]" for each in ends]


# --- in a terminal --------------------------------------------------------------------------------------


def _lines(sheet: Sheet, width: int, styles: Mapping[str, str]) -> Iterator[Text]:
    cells = [[printable(cell) for cell in row] for row in sheet.rows]
    names = [printable(column.name) for column in sheet.columns]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    shown = _that_fit(sheet.columns, widths, width)
    folded = [i for i in shown if sheet.columns[i].kind in ("name", "text")]
    room = width - _GAP * (len(shown) - 1) - sum(widths[i] for i in shown if i not in folded)
    if sum(widths[i] for i in folded) > room:
        for at in _BREAKS:
            floors = {i: max(_longest(text, at) for text in (names[i], *(row[i] for row in cells))) for i in folded}
            if sum(floors.values()) <= room:
                break
        else:
            yield from _as_records(sheet, cells, shown, styles, width)
            return
        room -= sum(floors.values())
        for left, i in enumerate(sorted(folded, key=lambda i: widths[i] - floors[i]), start=-len(folded)):
            more = min(widths[i] - floors[i], room // -left)  # the shortest columns keep their width
            widths[i], room = floors[i] + more, room - more
    yield _row(sheet.columns, names, widths, shown, {}, head=True)
    before: list[str] | None = None
    for row in cells:
        once = [
            "" if before is not None and column.kind == "name" and before[: i + 1] == row[: i + 1] else cell
            for i, (column, cell) in enumerate(zip(sheet.columns, row, strict=True))
        ]
        yield from _folded(sheet.columns, once, widths, shown, styles)
        before = row


_BREAKS = (r"(?<=\s)", r"(?<=[\s\-/_,=])")
"""Where a line may end: at blanks, and where that is not enough also behind signs that join words."""


def _longest(text: str, at: str) -> int:
    return max((cell_len(piece.rstrip()) for piece in re.split(at, text)), default=0)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text: broken at blanks, and behind joining signs where a word is too long."""
    lines, line = [], ""
    pieces = [
        piece
        for word in re.split(_BREAKS[0], text)
        for piece in ([word] if cell_len(word.rstrip()) <= width else re.split(_BREAKS[1], word))
    ]
    for piece in pieces:
        if line and cell_len(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()]


_SHORT = 24
"""Characters to which a name or text is folded before a column is left out."""


def _that_fit(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the columns that are shown: all, or without those that may be left out, the most dispensable first."""
    shown = list(range(len(columns)))
    least = [
        min(each, _SHORT) if column.kind in ("name", "text") else each
        for column, each in zip(columns, widths, strict=True)
    ]
    while sum(least[i] for i in shown) + _GAP * (len(shown) - 1) > width:
        most = max(columns[i].drop for i in shown)
        if most == 0:
            break
        shown = [i for i in shown if columns[i].drop < most]
    return shown


def _folded(
    columns: Sequence[Column],
    row: Sequence[str],
    widths: Sequence[int],
    shown: Sequence[int],
    styles: Mapping[str, str],
) -> Iterator[Text]:
    """Yield a row, on as many lines as its longest name needs."""
    parts: dict[int, list[str]] = {
        i: _wrapped(row[i], widths[i]) if columns[i].kind in ("name", "text") else [row[i]] for i in shown
    }
    for k in range(max(1, *map(len, parts.values()))):
        line = [parts[i][k] if i in parts and k < len(parts[i]) else "" for i in range(len(row))]
        yield _row(columns, line, widths, shown, styles)


def _row(
    columns: Sequence[Column],
    cells: Sequence[str],
    widths: Sequence[int],
    shown: Sequence[int],
    styles: Mapping[str, str],
    *,
    head: bool = False,
) -> Text:
    line = Text(no_wrap=True, overflow="ignore", style="bold" if head else "")
    for place, i in enumerate(shown):
        cell, blanks = cells[i], " " * max(0, widths[i] - cell_len(cells[i]))
        if place:
            line.append(" " * _GAP)
        text = Text(cell, style=styles.get(cell, "") if columns[i].kind == "verdict" else "")
        line.append_text(Text(blanks) + text if columns[i].kind == "number" else text + Text(blanks))
    line.rstrip()
    return line


def _as_records(
    sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[int], styles: Mapping[str, str], width: int
) -> Iterator[Text]:
    """Yield every row as lines of its own, where its cells do not fit beside one another. No word is broken."""
    heads = max(cell_len(sheet.columns[i].name) for i in shown) + _GAP
    for place, row in enumerate(cells):
        if place:
            yield Text()
        for i in shown:
            column = sheet.columns[i]
            style = styles.get(row[i], "") if column.kind == "verdict" else "bold" if column.kind == "name" else ""
            for k, line in enumerate(_wrapped(row[i], width - heads)):
                head = f"{'' if k else column.name:<{heads}}"
                yield Text.assemble(head if line else head.rstrip(), (line, style), no_wrap=True, overflow="ignore")


# --- elsewhere ------------------------------------------------------------------------------------------


def _without_pictures(sheet: Sheet) -> Sheet:
    kept = [i for i, column in enumerate(sheet.columns) if column.kind != "picture"]
    rows = tuple(tuple(row[i] for i in kept) for row in sheet.rows)
    return replace(sheet, columns=tuple(sheet.columns[i] for i in kept), rows=rows)


def to_markdown(sheet: Sheet) -> str:
    """Return a Markdown table with its caption above and its notes below."""
    sheet = _without_pictures(sheet)

    def cell(text: str) -> str:
        return " ".join(re.sub(r"([\\|*_`<>\[\]])", r"\\\1", printable(text)).split())

    rules = ["---:" if column.kind == "number" else "---" for column in sheet.columns]
    lines = [[cell(column.name) for column in sheet.columns], rules, *([cell(c) for c in row] for row in sheet.rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([*filter(None, [cell(sheet.caption)]), table, *map(cell, sheet.notes)]) + "\n"


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "·": r"$\cdot$",
    "<": r"$<$", ">": r"$>$", "≥": r"$\geq$", "≤": r"$\leq$", "−": r"$-$",
}  # fmt: skip


def to_latex(sheet: Sheet) -> str:
    """Return a LaTeX table (booktabs)."""
    sheet = _without_pictures(sheet)

    def cell(text: str) -> str:
        escaped = "".join(_TEX.get(c, c) for c in " ".join(printable(text).split()))
        return re.sub(r"(?<![\w.\-])-(?=\d)", "$-$", escaped)

    kinds = "".join("r" if column.kind == "number" else "l" for column in sheet.columns)
    rows = [" & ".join(map(cell, row)) + r" \\" for row in sheet.rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        *([rf"\caption{{{' '.join(map(cell, filter(None, (sheet.caption, *sheet.notes))))}}}"]),
        r"\centering",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(cell(column.name) for column in sheet.columns) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_typst(sheet: Sheet) -> str:
    """Return a Typst figure with a table."""
    sheet = _without_pictures(sheet)

    def cell(text: str) -> str:
        return "[" + re.sub(r"([\\#\[\]*_`$<>@~/=+\-])", r"\\\1", " ".join(printable(text).split())) + "]"

    aligned = ", ".join("right" if column.kind == "number" else "left" for column in sheet.columns)
    rows = ["    " + ", ".join(map(cell, row)) + "," for row in sheet.rows]
    caption = " ".join(filter(None, (sheet.caption, *sheet.notes)))
    lines = [
        "#figure(",
        "  table(",
        f"    columns: {len(sheet.columns)},",
        f"    align: ({aligned},),",
        f"    table.header({', '.join(cell(column.name) for column in sheet.columns)}),",
        *rows,
        "  ),",
        f"  caption: {cell(caption)},",
        ")",
    ]
    return "\n".join(lines) + "\n"


def to_html(sheet: Sheet) -> str:
    """Return an HTML table; every text is escaped, names are row headings."""
    sheet = _without_pictures(sheet)

    def row(cells: Sequence[str]) -> str:
        made = []
        for column, text in zip(sheet.columns, cells, strict=True):
            shown = html.escape(printable(text))
            if column.kind == "name":
                made.append(f'<th scope="row">{shown}</th>')
            elif column.kind == "verdict":
                made.append(f'<td class="verdict {html.escape(text)}">{shown}</td>')
            else:
                made.append(f'<td class="{column.kind}">{shown}</td>')
        return f"<tr>{''.join(made)}</tr>"

    heads = "".join(
        f'<th scope="col" class="{column.kind}">{html.escape(printable(column.name))}</th>' for column in sheet.columns
    )
    caption = f"<caption>{html.escape(printable(sheet.caption))}</caption>" if sheet.caption else ""
    notes = "".join(f'<p class="small">{html.escape(printable(note))}</p>' for note in sheet.notes)
    return (
        f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{''.join(map(row, sheet.rows))}</tbody></table>{notes}"
    )


_DIGITS = r"[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:e[+-]?\d+)?|inf)"
_CELL = re.compile(
    rf"(?P<value>{_DIGITS})?(?: ± (?P<std>{_DIGITS}))?\s*(?:\[\s*(?P<low>{_DIGITS}),\s*(?P<high>{_DIGITS})\])?"
)
_PARTS = ("value", "std", "low", "high")


def to_csv(sheet: Sheet) -> str:
    """Return comma-separated values: every number in a cell of its own, an interval as two columns, no notes."""
    sheet = _without_pictures(sheet)
    columns = [_cells_apart(column, [row[i] for row in sheet.rows]) for i, column in enumerate(sheet.columns)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for column in columns for name in column])
    writer.writerows(zip(*(cells for column in columns for cells in column.values()), strict=True))
    return out.getvalue()


def _cells_apart(column: Column, cells: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns that hold what one column shows: value, std, and both ends of an interval."""
    texts = ["" if cell.strip() == "–" else " ".join(printable(cell).split()) for cell in cells]
    found = [_CELL.fullmatch(text) for text in texts]
    if column.kind != "number" or None in found:
        return {column.name: texts}
    before, _, std = column.name.partition(" ± ")
    names = dict(zip(_PARTS, (before, std or f"{before} std", f"{before} low", f"{before} high"), strict=True))
    numbers = {part: [(match and match[part]) or "" for match in found] for part in _PARTS}
    kept = {names[part]: [_plain(number) for number in numbers[part]] for part in _PARTS if any(numbers[part])}
    return kept or {column.name: texts}


def _plain(number: str) -> str:
    return number.removeprefix("+").replace(",", "")


FORMATS: Mapping[str, Callable[[Sheet], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "tex": to_latex,
    "typst": to_typst,
    "html": to_html,
}
"""Name of a format -> what writes a table in it."""
