"""A table before it is drawn: its numbers are formatted once, for a terminal, a paper and a page alike."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
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
    is_repeated: bool = False
    """Whether what it holds is said outside the table, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Rows of text cells below named columns, with one line of facts that all rows share."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    """How to read the table, one sentence each."""
    n_at_first: int = 0
    """So many rows are enough for a terminal that was not asked for all; 0: all. Files and pages have every row."""
    is_each_at_first: bool = False
    """Whether `n_at_first` counts the rows of each name in the first column, not those of the table."""
    is_wide: bool = False
    """Whether a terminal shows every row, and every column on one line, however wide it is."""

    def __post_init__(self) -> None:
        """Check that every row has a cell for every column."""
        assert all(len(row) == len(self.columns) for row in self.rows), self.rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the whole table in the width there is: no digit and no word of it is cut."""
        from seedstudy.show.format import COLOURS

        width = _ENDLESS if self.is_wide else options.max_width
        short = self if self.is_wide else _with_first_rows(self)
        layout = _layout(short, width)
        if layout.sheet.caption:
            yield paragraph(layout.sheet.caption, width, style="dim")
        styles: Mapping[str, str] = {str(word): colour for word, colour in COLOURS.items()}
        usual, long = _without_long_rows(layout, width)
        yield from _lines(usual, width, styles)
        if long is not None:
            yield Text()
            yield from _as_records(long, styles, width)
        if layout.left_out:
            yield paragraph(f"Not shown at {width} columns: {', '.join(layout.left_out)}.", width, style="dim")
        if len(short.rows) < len(self.rows):
            yield paragraph(f"{len(self.rows) - len(short.rows)} more rows: --wide.", width, style="dim")
        for note in self.notes:
            yield paragraph(note, width, style="dim")

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


def _with_first_rows(sheet: Sheet) -> Sheet:
    """Return a table without the rows that a terminal need not show; a few more than enough are not worth hiding."""
    keys = [row[0] if sheet.is_each_at_first else "" for row in sheet.rows]
    if not sheet.n_at_first or max(map(keys.count, keys), default=0) < 2 * sheet.n_at_first:
        return sheet
    n_before = [keys[:i].count(key) for i, key in enumerate(keys)]
    rows = tuple(row for row, n in zip(sheet.rows, n_before, strict=True) if n < sheet.n_at_first)
    return replace(sheet, rows=rows)


def aligned_intervals(intervals: Sequence[tuple[float, float] | None], decimals: int, *, unknown: str) -> list[str]:
    """Return "[ 0.16, 0.46]" for each pair of ends, so that the commas of a column lie below one another."""
    ends = [None if each is None else tuple(f"{end:.{decimals}f}" for end in each) for each in intervals]
    widths = [max((len(each[i]) for each in ends if each is not None), default=0) for i in (0, 1)]
    return [unknown if each is None else f"[{each[0]:>{widths[0]}}, {each[1]:>{widths[1]}}]" for each in ends]


# --- in a terminal --------------------------------------------------------------------------------------

_SHORT = 24
"""Characters to which a text of several words is folded before a column is left out."""
_BREAKS = (r"(?<=\s)", r"(?<=[\s\-/_,=])")
"""Where a line may end: at blanks, and in what is longer than a line also behind signs that join words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """What of a table is shown in a terminal, and how wide."""

    sheet: Sheet
    """Its texts are printable; what is equal in all rows may have gone into its caption."""
    shown: tuple[int, ...]
    """Columns, in their order."""
    widths: tuple[int, ...]
    is_tight: bool
    """Whether one blank parts columns of which one is text."""
    left_out: tuple[str, ...]


def _layout(sheet: Sheet, width: int) -> _Layout:
    """Fit a table into a terminal: no letter of a name and no digit is cut.

    Where it is too wide: what is equal in all rows goes into the caption; names lose what all of them share; gaps
    become narrower; then columns are left out, the most dispensable first.
    """
    sheet = replace(
        sheet,
        columns=tuple(replace(column, name=printable(column.name)) for column in sheet.columns),
        rows=tuple(tuple(map(printable, row)) for row in sheet.rows),
    )
    for change in (with_common_facts, _with_short_names):
        if not _fits(sheet, range(len(sheet.columns)), width):
            sheet = change(sheet)
    columns, shown, left_out = sheet.columns, list(range(len(sheet.columns))), []
    while not any(_fits(sheet, shown, width, is_tight=is_tight) for is_tight in (False, True)):
        most = max(columns[i].drop for i in shown)
        if most == 0:
            break
        left_out += [columns[i].name for i in shown if columns[i].drop == most and not columns[i].is_repeated]
        shown = [i for i in shown if columns[i].drop < most]
    return _Layout(
        sheet=sheet,
        shown=tuple(shown),
        widths=_widths(sheet),
        is_tight=not _fits(sheet, shown, width),
        left_out=tuple(left_out),
    )


def _without_long_rows(layout: _Layout, width: int) -> tuple[_Layout, _Layout | None]:
    """Return the rows that fit beside one another, and the few, if any, whose long words would prevent it."""
    rows, shown = layout.sheet.rows, layout.shown
    if _fits(layout.sheet, shown, width, is_tight=True) or len({row[0] for row in rows}) < len(rows):
        return layout, None

    def of(kept: Sequence[int]) -> _Layout:
        part = replace(layout.sheet, rows=tuple(rows[i] for i in sorted(kept)))
        is_tight = not _fits(part, shown, width)
        return replace(layout, sheet=part, widths=_widths(part), is_tight=is_tight)

    by_length = sorted(range(len(rows)), key=lambda i: sum(_longest(rows[i][k]) for k in shown))
    for n_long in range(1, len(rows) // 4 + 1):
        usual = of(by_length[:-n_long])
        if _fits(usual.sheet, shown, width, is_tight=True):
            return usual, of(by_length[-n_long:])
    return layout, None


def _widths(sheet: Sheet) -> tuple[int, ...]:
    return tuple(
        max(map(cell_len, (column.name, *(row[i] for row in sheet.rows)))) for i, column in enumerate(sheet.columns)
    )


def _fits(sheet: Sheet, shown: Sequence[int], width: int, *, is_tight: bool = False) -> bool:
    """Return whether these columns fit beside one another; a text of several words may be folded."""
    widths = _widths(sheet)
    least = [
        max(min(widths[i], _SHORT), _longest(sheet.columns[i].name, *(row[i] for row in sheet.rows)))
        if sheet.columns[i].kind in ("name", "text")
        else widths[i]
        for i in shown
    ]
    return sum(least) + _blanks(sheet.columns, shown, is_tight) <= width


def with_common_facts(sheet: Sheet) -> Sheet:
    """Return the table with words that are equal in all of several rows in its caption; something names every row."""
    if len(sheet.rows) < 2:
        return sheet
    words = [i for i, column in enumerate(sheet.columns) if column.kind in ("name", "text")]
    equal = [i for i in words if sheet.rows[0][i] and len({row[i] for row in sheet.rows}) == 1]
    equal = equal if set(words) - set(equal) else equal[1:]
    facts = [
        f"{sheet.columns[i].name}: {sheet.rows[0][i]}" if sheet.columns[i].name else sheet.rows[0][i] for i in equal
    ]
    kept = [i for i in range(len(sheet.columns)) if i not in equal]
    columns = [sheet.columns[i] for i in kept]
    return replace(
        sheet,
        caption=" · ".join(filter(None, (sheet.caption, *facts))),
        columns=(replace(columns[0], kind="name") if columns[0].kind == "text" else columns[0], *columns[1:]),
        rows=tuple(tuple(row[i] for i in kept) for row in sheet.rows),
    )


def _with_short_names(sheet: Sheet) -> Sheet:
    """Return the table with names shortened to what tells them apart; the caption has what they share."""
    facts, columns = [], list(zip(*sheet.rows, strict=True))
    for i, column in enumerate(sheet.columns):
        if column.kind == "name" and (shared := shared_ends(columns[i])):
            head, tail = shared
            facts.append(f"{column.name}: {head}*{tail}")
            columns[i] = tuple(name[len(head) : len(name) - len(tail)] for name in columns[i])
    caption = " · ".join(filter(None, (sheet.caption, *facts)))
    return replace(sheet, caption=caption, rows=tuple(zip(*columns, strict=True)))


def shared_ends(names: Sequence[str]) -> tuple[str, str] | None:
    """Return what all names begin and end with, in whole words and numbers; None where they share neither."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        return None
    words = [re.split(r"(?<=[\s\-/_,=@.:])", name) for name in distinct]
    most = min(map(len, words)) - 1
    n_head = next((k for k in range(most) if len({each[k] for each in words}) > 1), most)
    while n_head and any(_is_in_number(name, len("".join(words[0][:n_head]))) for name in distinct):
        n_head -= 1
    head = "".join(words[0][:n_head])
    tails = [re.split(r"(?=[\s\-/_,=@.:])", name[len(head) :]) for name in distinct]
    most = min(map(len, tails)) - 1
    n_tail = next((k for k in range(most) if len({each[-1 - k] for each in tails}) > 1), most)
    while n_tail and any(_is_in_number(name, -len("".join(tails[0][-n_tail:]))) for name in distinct):
        n_tail -= 1
    tail = "".join(tails[0][len(tails[0]) - n_tail :])
    return (head, tail) if head or tail else None


_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?", re.IGNORECASE)


def _is_in_number(name: str, place: int) -> bool:
    """Say whether a cut at a place, from the end if negative, would part a number such as 0.05 or 1e-3."""
    cut = place if place >= 0 else len(name) + place
    return any(found.start() < cut < found.end() for found in _NUMBER.finditer(name))


def _blanks(columns: Sequence[Column], shown: Sequence[int], is_tight: bool) -> int:
    return sum(_gap(columns[i], columns[j], is_tight) for i, j in pairwise(shown))


def _gap(left: Column, right: Column, is_tight: bool) -> int:
    """Return the blanks between two columns: two numbers are never less than two apart."""
    return 1 if is_tight and not left.kind == right.kind == "number" else _GAP


def _lines(layout: _Layout, width: int, styles: Mapping[str, str]) -> Iterator[Text]:
    columns, shown, widths = layout.sheet.columns, layout.shown, list(layout.widths)
    folded = [i for i in shown if columns[i].kind in ("name", "text")]
    others = [i for i in shown if i not in folded]
    room = width - _blanks(columns, shown, layout.is_tight) - sum(widths[i] for i in others)
    if sum(widths[i] for i in folded) > room:
        floors = {i: _longest(columns[i].name, *(row[i] for row in layout.sheet.rows)) for i in folded}
        if sum(floors.values()) > room:
            below = [i for i in shown if i not in folded] or list(shown[1:])
            if sum(widths[i] for i in below) + _blanks(columns, below, False) + _GAP <= width:
                yield from _below_their_names(layout, below, styles, width)
            else:
                yield from _as_records(layout, styles, width)
            return
        room -= sum(floors.values())
        for left, i in enumerate(sorted(folded, key=lambda i: widths[i] - floors[i]), start=-len(folded)):
            more = min(widths[i] - floors[i], room // -left)  # the shortest columns keep their width
            widths[i], room = floors[i] + more, room - more
    yield _row(columns, [c.name for c in columns], widths, shown, {}, is_tight=layout.is_tight, head=True)
    before: tuple[str, ...] | None = None
    for row in layout.sheet.rows:
        once = [
            "" if before is not None and column.kind == "name" and before[: i + 1] == row[: i + 1] else cell
            for i, (column, cell) in enumerate(zip(columns, row, strict=True))
        ]
        parts = {i: _wrapped(once[i], widths[i]) if i in folded else [once[i]] for i in shown}
        for k in range(max(1, *map(len, parts.values()))):
            line = [parts[i][k] if i in parts and k < len(parts[i]) else "" for i in range(len(row))]
            yield _row(columns, line, widths, shown, styles, is_tight=layout.is_tight)
        before = row


def _longest(*texts: str) -> int:
    """Return the length of the longest word."""
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


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


_TOGETHER = re.compile(r"\S*\[[^\[\]\n]{1,40}\]\S*|\bp (?:=|<|up to) \S+|\S+")
"""What stays on one line: an interval, a p-value, a word."""


def paragraph(text: str, width: int, *, style: str = "") -> Text:
    """Return a text of several lines, broken at blanks that are not inside an interval or a p-value."""
    lines = [""]
    for piece in _TOGETHER.findall(printable(text)):
        if lines[-1] and cell_len(f"{lines[-1]} {piece}") > width:
            lines.append("")
        lines[-1] += f" {piece}" if lines[-1] else piece
    return Text("\n".join(part for line in lines for part in _wrapped(line, width)), style=style)


def _row(
    columns: Sequence[Column],
    cells: Sequence[str],
    widths: Sequence[int],
    shown: Sequence[int],
    styles: Mapping[str, str],
    *,
    is_tight: bool = False,
    head: bool = False,
) -> Text:
    line = Text(no_wrap=True, overflow="ignore", style="bold" if head else "")
    for place, i in enumerate(shown):
        cell, blanks = cells[i], " " * max(0, widths[i] - cell_len(cells[i]))
        if place:
            line.append(" " * _gap(columns[shown[place - 1]], columns[i], is_tight))
        text = Text(cell, style=styles.get(cell, "") if columns[i].kind == "verdict" else "")
        line.append_text(Text(blanks) + text if columns[i].kind == "number" else text + Text(blanks))
    line.rstrip()
    return line


def _below_their_names(layout: _Layout, below: Sequence[int], styles: Mapping[str, str], width: int) -> Iterator[Text]:
    """Yield the names of a row on a line of their own, and its other cells below: side by side they do not fit."""
    columns, indent = layout.sheet.columns, Text(" " * _GAP)
    above = [i for i in layout.shown if i not in below]

    def names(cells: Sequence[str], style: str) -> Iterator[Text]:
        for line in _wrapped((" " * _GAP).join(filter(None, (cells[i] for i in above))), width):
            yield Text(line, style=style, no_wrap=True, overflow="ignore")

    heads = [column.name for column in columns]
    yield from names(heads, "bold")
    yield indent + _row(columns, heads, layout.widths, below, {}, head=True)
    before: tuple[str, ...] | None = None
    for row in layout.sheet.rows:
        if before is None or any(row[i] != before[i] for i in above):
            yield from names(row, "")
        yield indent + _row(columns, row, layout.widths, below, styles)
        before = row


def _as_records(layout: _Layout, styles: Mapping[str, str], width: int) -> Iterator[Text]:
    """Yield every row as lines of its own, where its cells do not fit beside one another. No word is broken."""
    columns = layout.sheet.columns
    heads = max(cell_len(columns[i].name) for i in layout.shown) + _GAP
    for place, row in enumerate(layout.sheet.rows):
        if place:
            yield Text()
        for i in layout.shown:
            column = columns[i]
            style = styles.get(row[i], "") if column.kind == "verdict" else "bold" if column.kind == "name" else ""
            if _longest(row[i]) > width - heads:  # below its heading it need not be broken, or less often
                yield Text(column.name)
                for line in _wrapped(row[i], width - _GAP):
                    yield Text.assemble(" " * _GAP, (line, style), no_wrap=True, overflow="ignore")
                continue
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


def _caption(sheet: Sheet) -> str:
    """Return the caption and the notes of a table as sentences."""
    return " ".join(f"{text.rstrip('.')}." for text in (sheet.caption, *sheet.notes) if text)


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "·": r"$\cdot$",
    "<": r"$<$", ">": r"$>$", "≥": r"$\geq$", "≤": r"$\leq$", "−": r"$-$", "→": r"$\to$", "×": r"$\times$",
    "|": r"\textbar{}", "…": r"\ldots{}", "∞": r"$\infty$",
}  # fmt: skip


def to_latex(sheet: Sheet) -> str:
    """Return a LaTeX table (booktabs)."""
    sheet = _without_pictures(sheet)

    def cell(text: str) -> str:
        escaped = "".join(_TEX.get(c, c) for c in " ".join(printable(text).split()))
        escaped = re.sub(r"(?<![\w.\-])-(?=\d)", "$-$", escaped)
        return (
            f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped
        )  # no argument of the \\ before

    kinds = "".join("r" if column.kind == "number" else "l" for column in sheet.columns)
    rows = [" & ".join(map(cell, row)) + r" \\" for row in sheet.rows]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        *([rf"\caption{{{cell(_caption(sheet))}}}"]),
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
    lines = [
        "#figure(",
        "  table(",
        f"    columns: {len(sheet.columns)},",
        f"    align: ({aligned},),",
        "    stroke: none,",
        "    table.hline(),",
        f"    table.header({', '.join(cell(column.name) for column in sheet.columns)}),",
        "    table.hline(stroke: 0.5pt),",
        *rows,
        "    table.hline(),",
        "  ),",
        f"  caption: {cell(_caption(sheet))},",
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
