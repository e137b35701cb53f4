"""One file -> a table of plain cells. Files are untrusted: nothing in one is executed, and no other file is touched."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StudyError, first_line, require_extra, suggest
from seedstudy.read.table import VALUE, Role, Table
from seedstudy.read.texts import table_meant
from seedstudy.store.schema import read_parquet

_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "--", "#n/a"))
"""Words of an empty cell among numbers, in lower case."""
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*\|[-:| \t]*$", re.MULTILINE)
"""The line below the head of a Markdown table."""
_DEPTH = 4
"""Levels of nested records that become columns such as ``config/lr``."""


def is_events(path: Path) -> bool:
    """Say whether a file is TensorBoard's, by its name."""
    return "tfevents" in path.name


def plain_table(path: Path) -> Table:
    """Return the rows of a file of no particular program, as its suffix says, without nested values.

    Raises StudyError where it is not text, not of the format that its name says, or empty.
    """
    reader = _read_events if is_events(path) else _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(SUFFIXES)
        raise StudyError(f"{path}: a file of results ends in {known}, or is a TensorBoard event file.")
    return reader(path)


def cells_as_written(path: Path) -> tuple[dict[str, list[str]], str | None]:
    """Return the columns of a table with its cells as they are written, and the unit that all of them show.

    A decimal comma is a point, a percent sign the unit, and a cell without a number "". Raises StudyError where there
    is no such file, or it cannot be read.
    """
    with readable(path):
        table = plain_table(path)
    return texts_of(table.frame), table.unit


def texts_of(frame: pl.DataFrame) -> dict[str, list[str]]:
    """Return the columns of a frame with every cell as text; a cell without a value is ""."""
    return {column.name: [_as_written(cell) for cell in column.to_list()] for column in frame}


def _as_written(cell: Any) -> str:
    text = "" if cell is None else cell if isinstance(cell, str) else repr(cell)
    return "" if text.lower() in _MISSING else text


def _like(path: Path) -> str:
    """Return a question with the names in the same folder that a misspelt one may mean; nothing where none is close."""
    try:
        hint = suggest(path.name, (each.name for each in path.parent.iterdir()))
    except OSError:
        return ""
    return hint if "Did you mean" in hint else ""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise StudyError where a file, or a folder of one format, cannot be read."""
    if not path.exists():
        raise StudyError(f"{path}: cannot be read (No such file or directory).{_like(path)}")
    if not path.is_file() and not path.is_dir():  # a pipe or a device would never end
        raise StudyError(f"{path}: cannot be read (not a file).")
    try:
        yield
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeEncodeError as error:  # JSON can spell what no text can hold
        raise StudyError(f"{path}: holds half a character (a lone surrogate); save it as UTF-8.") from error


def text_of(path: Path) -> str:
    """Return the text of a file without a byte-order mark; StudyError where it is not UTF-8, nor marked as UTF-16."""
    with path.open("rb") as file:
        mark = file.read(2)
    try:
        return path.read_text(encoding="utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: cannot be read (not UTF-8 text at byte {error.start}).") from error


def plain_frame(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return a frame whose columns are whole numbers, numbers or text, under printable names.

    Words that are all numbers become numbers, truth values and times become text, nested values are dropped.
    """
    columns = []
    for column in frame:
        if not column.name.isprintable():
            raise StudyError(f"{where}: column {column.name!r} holds control characters; rename it.")
        kind = column.dtype
        if kind.is_nested() or kind in (pl.Object, pl.Binary):
            continue
        if kind == pl.Boolean:
            column = column.replace_strict({True: "True", False: "False"}, default=None, return_dtype=pl.String)
        elif kind.is_integer():
            whole = column.cast(pl.Int64, strict=False)
            column = whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
        elif kind.is_numeric():
            column = column.cast(pl.Float64)
        elif kind != pl.String:
            column = column.cast(pl.String)
        columns.append(_as_numbers(column) if column.dtype == pl.String else column)
    return pl.DataFrame(columns)


def _as_numbers(column: pl.Series) -> pl.Series:
    """Return a text column as numbers where all its words are, and as it is otherwise."""
    bare_words = column.str.strip_chars()
    fast = bare_words.cast(pl.Float64, strict=False)
    if fast.null_count() == column.null_count() < column.len() and not fast.is_nan().any():
        whole = bare_words.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else fast
    words = column.to_list()
    known = [word.strip() for word in words if word is not None and word.strip().lower() not in _MISSING]
    is_nan = any(word is not None and word.strip().lower() == "nan" for word in words)
    if not known and not is_nan:
        return column
    numbers = list(map(_number, known))
    if None in numbers:
        return column
    if known and not is_nan and all(map(_INTEGER.fullmatch, known)):
        values = iter(map(int, known))
        kind: Any = pl.Int64
    else:
        values, kind = iter(numbers), pl.Float64  # type: ignore[assignment]
    cells = []
    for word in words:
        bare = "" if word is None else word.strip().lower()
        cells.append(math.nan if bare == "nan" else None if bare in _MISSING else next(values))
    return pl.Series(column.name, cells, dtype=kind)


def _number(word: str) -> float | None:
    if "_" in word:  # Python's own spelling, nobody's number
        return None
    try:
        return float(word)
    except ValueError:
        return None


# --- tables of text -------------------------------------------------------------------------------------


def csv_table(path: Path) -> Table:
    """Return the table of a text file with a line of names, then a line per row, whatever its suffix."""
    text = text_of(path)
    return _table_of_text(path, table_meant(text, has_commas=True) or text)


def _table_of_text(path: Path, text: str) -> Table:
    """Return the table of a text with a line of names, then a line per row."""
    records, comments = _lines(path, text)
    if not records:
        raise StudyError(f"{path}: holds no number; expected a line of column names, then one line per seed.")
    (first, names), *rows = records
    if all(_number(cell) is not None for cell in names):
        head = _head_in_comment(comments, first, len(names))
        if head is None:
            return _without_names(path, records)
        names, rows = head, records
    notes = []
    rows, repeated = _without_repeated_heads(rows, names)
    if repeated:
        notes.append(f"line {repeated[0]} repeats the column names: left out")
    if rows and len(rows[-1][1]) < len(names) and not text.endswith(("\n", "\r")):
        line, cells = rows.pop()
        notes.append(f"line {line} is cut short ({len(cells)} of {len(names)} cells): left out")
    rows = [(line, _without_empty_end(cells, len(names))) for line, cells in rows]
    if rows and all(len(cells) == len(names) + 1 for _, cells in rows):  # R names its rows, not that column
        names = ["", *names]
    for line, cells in rows:
        if len(cells) != len(names):
            how = "is it cut short? Complete or remove it" if len(cells) < len(names) else "quote a cell with commas"
            raise StudyError(f"{path}, line {line}: {len(cells)} cells where the head has {len(names)}; {how}.")
    if not rows:
        raise StudyError(f"{path}: holds no number; expected one line per seed below the column names.")
    columns, units = dict[str, list[str | None]](), dict[str, str]()
    for j, (name, cells_of_name) in enumerate(zip(names, zip(*[cells for _, cells in rows], strict=True), strict=True)):
        own = name or f"column {j + 1}"
        written, unit = _numbers_as_written(cells_of_name)
        units |= {} if unit is None else {own: unit}
        if not name and not any(written):
            continue  # a comma at the end of every line
        if own in columns and columns[own] != written:
            raise StudyError(f'{path}: two columns are named "{own}"; rename one.')
        columns[own] = written
    frame = pl.DataFrame([pl.Series(name, column, dtype=pl.String) for name, column in columns.items()])
    return Table(frame=frame, units=units, notes=tuple(notes))


def _lines(path: Path, text: str) -> tuple[list[tuple[int, list[str]]], dict[int, str]]:
    """Return the lines that hold anything, as (number, cells without blanks around them), and comments by line."""
    separator = _separator(path, text)
    lines, comments, last = list[tuple[int, list[str]]](), dict[int, str](), 0
    has_blanks = re.search(r"[ \t\v\f\xa0]", text) is not None
    is_markdown = separator == "|" and _RULE.search(text) is not None
    for row, end in _rows(path, text, separator):
        cells = [cell.strip() for cell in row] if has_blanks else row
        start, last = last + 1, end
        if is_markdown:
            cells = _of_markdown(cells)
        if not any(cells):
            continue
        is_name = not lines and cells[0] == "#" and len(cells) > 1 and separator != " "
        if cells[0].startswith("#") and not is_name:
            comments[start] = separator.join(cells)
        else:
            lines.append((start, cells))
    return lines, comments


def _of_markdown(cells: Sequence[str]) -> list[str]:
    """Return the cells of a line of a Markdown table: no edges, no stars of bold print, nothing of the rule."""
    inner = [cell.strip("*_` ") for cell in cells[cells[0] == "" : len(cells) - (cells[-1] == "")]]
    return [] if all(re.fullmatch(r":?-+:?", cell) for cell in inner) else inner


def _rows(path: Path, text: str, separator: str) -> list[tuple[list[str], int]]:
    """Return the rows of a text and the line in which each ends."""

    def rows(*, strict: bool) -> list[tuple[list[str], int]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict, skipinitialspace=True)
        return [(row, reader.line_num) for row in reader]

    try:
        return rows(strict=True)
    except csv.Error as error:
        if "expected after" in str(error):  # a blank between a quote and the comma
            return rows(strict=False)
        raise StudyError(f"{path}: not a readable csv file ({first_line(error)[:120]}).") from error


def _separator(path: Path, text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    head = lines[0] if lines else ""
    if path.suffix.lower() == ".tsv":
        return "\t"
    found = max(",;\t|", key=head.count)
    if head.count(found) == 0 and (path.suffix.lower() == ".txt" or _are_words_in_columns(lines)):
        return " "
    return found


def _are_words_in_columns(lines: Sequence[str]) -> bool:
    """Say whether every line has as many words as the first, several, and numbers stand below its words."""
    words = [line.split() for line in lines]
    if len(words) < 2 or len(words[0]) < 2 or {len(each) for each in words} != {len(words[0])}:
        return False
    return not any(map(_is_written_number, words[0])) and any(map(_is_written_number, words[1]))


def _is_written_number(word: str) -> bool:
    return _number(word) is not None


def _head_in_comment(comments: Mapping[int, str], first: int, width: int) -> list[str] | None:
    """Return the column names of a comment just above the first numbers, as NumPy writes them."""
    above = [line for line in comments if line < first]
    if not above:
        return None
    text = comments[max(above)].lstrip("# ,")
    names = [name.strip() for name in re.split(r"[,;\t]" if re.search(r"[,;\t]", text) else r"\s+", text)]
    return names if len(names) == width and all(names) and not any(map(_number, names)) else None


def _without_names(path: Path, records: Sequence[tuple[int, list[str]]]) -> Table:
    """Return the plain numbers of a file without a line of column names."""
    if any(len(cells) != 1 for _, cells in records):
        raise StudyError(f"{path}: the first line holds numbers, not column names; write a line of names above it.")
    numbers = [(line, cells[0], _number(cells[0])) for line, cells in records]
    for line, word, number in numbers:
        if number is None:
            raise StudyError(f'{path}, line {line}: "{word[:40]}" is not a number; write one number per line.')
    return Table(frame=pl.DataFrame({VALUE: [number for _, _, number in numbers]}))


def _without_repeated_heads(
    rows: Sequence[tuple[int, list[str]]], names: Sequence[str]
) -> tuple[list[tuple[int, list[str]]], list[int]]:
    is_text = any(_number(name) is None for name in names)
    repeated = [line for line, cells in rows if is_text and cells == list(names)]
    return [(line, cells) for line, cells in rows if line not in repeated], repeated


def _without_empty_end(cells: list[str], width: int) -> list[str]:
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return cells


def _numbers_as_written(cells: Sequence[str]) -> tuple[list[str | None], str | None]:
    """Return a column's cells with decimal points, None for empty ones, and their unit where every cell shows one."""
    unit = None
    known = [cell for cell in cells if ("%" in cell or "," in cell) and cell.lower() not in _MISSING]
    if known:
        known = [cell for cell in cells if cell.lower() not in _MISSING]
    if known and all(cell.endswith("%") and _number(cell[:-1].replace(",", ".")) is not None for cell in known):
        cells, unit = [cell.rstrip("%").rstrip() for cell in cells], "percent"
        known = [cell for cell in cells if cell.lower() not in _MISSING]
    if any(map(_DECIMAL_COMMA.fullmatch, known)) and all(
        _DECIMAL_COMMA.fullmatch(cell) or _number(cell) is not None for cell in known
    ):
        cells = [cell.replace(",", ".") for cell in cells]
    return [cell or None for cell in cells], unit


def _read_text(path: Path) -> Table:
    """Read a text file by what is in it: plain numbers, a table, or records of JSON."""
    text = text_of(path)
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    first = next((line for line in lines if line), "")
    if first.startswith("{"):
        return _read_json_lines(path)
    if first.startswith("["):
        return _read_json(path)
    if (meant := table_meant(text)) is not None:
        return _table_of_text(path, meant)
    words = {row: re.split(r"[\s;]+|,(?!\d+$)", line) for row, line in enumerate(lines, start=1) if line}
    has_head = bool(words) and all(
        _number(w) is None and not _DECIMAL_COMMA.fullmatch(w) for w in re.split(r"[\s;,]+", first)
    )
    is_table = len(words) > 1 and {len(of_line) for of_line in words.values()} == {len(words[min(words)])} != {1}
    if len(words) > 1 and (has_head or (is_table and text.lstrip().startswith("#"))):
        return _table_of_text(path, text)
    return Table(frame=pl.DataFrame({VALUE: _plain_numbers(path, words)}))


def _plain_numbers(path: Path, words: Mapping[int, Sequence[str]]) -> list[float]:
    """Return the numbers of lines: one on each, or all of them on one line."""
    numbers = []
    for row, of_line in words.items():
        for word in filter(None, of_line):
            number = _number(word)
            if number is None:
                how = (
                    f"write {word.replace(',', '.')}" if _DECIMAL_COMMA.fullmatch(word) else "write one number per line"
                )
                raise StudyError(f'{path}, line {row}: "{word[:40]}" is not a number; {how}.')
            numbers.append(number)
        if len(numbers) > 1 and len(words) > 1 and len(of_line) > 1:
            raise StudyError(
                f"{path}, line {row}: {len(of_line)} numbers; write one number per line, or column names above them."
            )
    if not numbers:
        raise StudyError(f"{path}: holds no number; write one number per line.")
    return numbers


# --- Parquet and JSON -----------------------------------------------------------------------------------


def parquet_frame(path: Path) -> pl.DataFrame:
    """Return a Parquet file as it is; StudyError where it cannot be read."""
    with readable(path):
        try:
            return read_parquet(path.read_bytes())
        except ValueError as error:
            raise StudyError(f"{path}: not a readable parquet file ({first_line(error)[:120]}).") from error


def _read_parquet(path: Path) -> Table:
    return Table(frame=parquet_frame(path))


def _read_json_lines(path: Path) -> Table:
    records, notes = json_lines(path, text_of(path))
    return Table(frame=frame_of(path, records), notes=notes)


def json_lines(path: Path, text: str) -> tuple[list[Any], tuple[str, ...]]:
    """Return the JSON document of each line, and a note where the last line is cut short and therefore left out.

    Raises StudyError where another line is not JSON.
    """
    lines = [(row, line) for row, line in enumerate(text.splitlines(), start=1) if line.strip()]
    records, notes = [], list[str]()
    for row, line in lines:
        try:
            records.append(parse_json(path, line, f", line {row}"))
        except StudyError:
            if (row, line) != lines[-1] or not records or text.endswith("\n"):
                raise
            notes.append(f"line {row} is cut short: left out")
    return records, tuple(notes)


def _read_json(path: Path) -> Table:
    text = text_of(path)
    try:
        document = parse_json(path, text)
    except StudyError:
        if len([line for line in text.splitlines() if line.startswith("{")]) < 2:
            raise
        return _read_json_lines(path)  # records, one a line, under the name of a document
    frame = frame_of(path, document)
    is_history = isinstance(document, dict) and isinstance(document.get("log_history"), list)
    clocks = [name for name in ("epoch", "step") if is_history and name in frame.columns]
    return Table(frame=frame, roles=dict.fromkeys(clocks, Role.CLOCK))


def parse_json(path: Path, text: str, place: str = "") -> Any:
    """Return a JSON document; StudyError names the file and the line, or `place`, where it is not one."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = place or f", line {error.lineno}, column {error.colno}"
        raise StudyError(f"{path}{place}: not a readable json file ({error.msg}).") from error
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise StudyError(f"{path}{place}: not a readable json file (too deep or too long).") from error


def frame_of(path: Path, document: Any) -> pl.DataFrame:
    """Return the rows of a JSON document: numbers, records, columns, or one trial's metrics."""
    if isinstance(document, dict):
        history = document.get("log_history")
        parts = [document.get(key) for key in ("columns", "data")]
        if isinstance(history, list):  # Hugging Face trainer_state.json
            document = history
        elif all(isinstance(part, list) for part in parts) and all(
            isinstance(row, list) and len(row) == len(parts[0] or ()) for row in parts[1] or ()
        ):  # pandas, orient="split"
            document = [dict(zip(map(str, parts[0] or ()), row, strict=True)) for row in parts[1] or ()]
        elif document and all(isinstance(value, list) for value in document.values()):
            return columns_frame(path, document)
        elif document and all(_is_seed(name) for name in document) and all(map(_is_number, document.values())):
            return columns_frame(path, {"seed": [int(name) for name in document], VALUE: list(document.values())})
        elif len(document) > 1 and all(isinstance(value, dict) and value for value in document.values()):
            document = _records_of_records(document)
        else:
            document = [document]
    if isinstance(document, list) and document:
        if all(map(_is_number, document)):
            return pl.DataFrame({VALUE: [_as(pl.Float64, number) for number in document]})
        if all(isinstance(record, dict) for record in document):
            rows = [dict(flat(record)) for record in document]
            names = dict.fromkeys(name for row in rows for name in row)
            return columns_frame(path, {name: [row.get(name) for row in rows] for name in names})
    raise StudyError(
        f"{path}: expected a list of numbers, a list of records or columns of equal length, "
        'for example [79.6, 79.7] or [{"seed": 0, "top1": 79.6}].'
    )


def _records_of_records(document: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of records by name: columns by row number, as pandas writes them, or a record for each name."""
    rows = dict.fromkeys(row for column in document.values() for row in column)
    if all(map(_is_seed, rows)):
        return [{name: column.get(row) for name, column in document.items()} for row in rows]
    if all(map(_is_seed, document)):
        return [dict(record) for record in document.values()]
    return [{"name": name, **record} for name, record in document.items()]


def flat(record: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield the cells of a nested record under names such as ``config/lr``; lists and deeper records are left out."""
    for name, value in record.items():
        if isinstance(value, dict) and depth < _DEPTH:
            yield from flat(value, f"{prefix}{name}/", depth + 1)
        elif value is None or isinstance(value, str | int | float):
            yield f"{prefix}{name}", value


def columns_frame(path: Path, columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """Return a frame of lists of cells by name: whole numbers, numbers, or text where any cell is text."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        longest = max(lengths)
        if not all(_is_number(value) for column in columns.values() for value in column):
            raise StudyError(f"{path}: its columns have different lengths ({', '.join(map(str, sorted(lengths)))}).")
        # One list of numbers per recipe: they need not have equally many seeds.
        columns = {name: [*column, *[None] * (longest - len(column))] for name, column in columns.items()}
    series = []
    for name, column in columns.items():
        cells = [value if isinstance(value, str | int | float) else None for value in column]
        is_text = any(isinstance(value, str | bool) for value in cells)
        kind = pl.String if is_text else pl.Int64 if all(map(_fits_int, cells)) else pl.Float64
        series.append(pl.Series(name, [_as(kind, value) for value in cells], dtype=kind))
    return pl.DataFrame(series)


def _as(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if kind is pl.String:
        return str(value)
    try:
        return int(value) if kind is pl.Int64 else float(value)
    except OverflowError:
        return float("inf")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_seed(name: str) -> bool:
    return name.isdecimal() and len(name) <= 18  # fits 64 bits


def _fits_int(value: Any) -> bool:
    return value is None or (isinstance(value, int) and abs(value) < 2**62)


# --- workbooks ------------------------------------------------------------------------------------------


def _read_workbook(path: Path) -> Table:
    """Read the one sheet of a workbook that holds anything."""
    require_extra("excel")
    import fastexcel

    try:
        book = fastexcel.read_excel(path)
        sheets = {
            name: book.load_sheet(name, header_row=None, dtypes="string").to_polars() for name in book.sheet_names
        }
    except fastexcel.FastExcelError as error:
        raise StudyError(f"{path}: not a readable workbook ({first_line(error)[:120]}).") from error
    filled = {name: sheet for name, sheet in sheets.items() if sheet.height}
    if len(filled) != 1:
        held = (
            f"several sheets ({', '.join(filled)}): keep the one that is meant, or save it as CSV"
            if filled
            else "no cell"
        )
        raise StudyError(f"{path}: holds {held}.")
    (sheet,) = filled.values()
    return _table_of_text(path, sheet.write_csv(include_header=False))


# --- TensorBoard ----------------------------------------------------------------------------------------


def _read_events(path: Path) -> Table:
    """Read the scalars of a TensorBoard event file, one row per step."""
    require_extra("tensorboard")
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    one_each = dict.fromkeys(("images", "audio", "histograms", "compressedHistograms"), 1)
    events = EventAccumulator(str(path), size_guidance={**one_each, "scalars": 0, "tensors": 0})  # 0: all
    try:
        events.Reload()
        points = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        for tag in events.Tags()["tensors"]:  # what TensorFlow 2 writes for a scalar
            arrays = [(point.step, make_ndarray(point.tensor_proto)) for point in events.Tensors(tag)]
            if all(array.size == 1 and array.dtype.kind in "fiu" for _, array in arrays):
                points[tag] = [(step, float(array.reshape(()))) for step, array in arrays]
    except (DecodeError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: not a readable TensorBoard event file ({first_line(error)[:120]}).") from error
    if not points:
        raise StudyError(f"{path}: holds no scalar; does it belong to another process of the trial?")
    rows: dict[int, dict[str, Any]] = {}
    for tag, pairs in points.items():
        for step, value in pairs:
            rows.setdefault(int(step), {})[tag] = value
    frame = frame_of(path, [{"step": step, **rows[step]} for step in sorted(rows)])
    return Table(frame=frame, roles={"step": Role.CLOCK})


_READERS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": csv_table,
    ".tsv": csv_table,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".txt": _read_text,
    ".xlsx": _read_workbook,
    ".xls": _read_workbook,
    ".ods": _read_workbook,
}
SUFFIXES = tuple(_READERS)
