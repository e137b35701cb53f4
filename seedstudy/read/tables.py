"""One file -> a table of plain cells. Files are untrusted: nothing in one is executed, and no other file is touched."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StudyError, first_line, require_extra
from seedstudy.store.schema import read_parquet

VALUE = "value"
"""Column of a file that holds nothing but numbers."""


def is_events(path: Path) -> bool:
    """Say whether a file is TensorBoard's, by its name."""
    return "tfevents" in path.name


def read_table(path: Path) -> pl.DataFrame:
    """Return a file's rows, without nested values.

    Raises StudyError where there is no such file, or it is not text, not of the format that its name says, or empty.
    """
    with _readable(path):
        reader = _read_events if is_events(path) else _READERS.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(SUFFIXES)
            raise StudyError(f"{path}: a file of results ends in {known}, or is a TensorBoard event file.")
        table = reader(path)
    odd = [name for name in table.columns if not name.isprintable()]
    if odd:
        raise StudyError(f"{path}: column {odd[0]!r} holds control characters; rename it.")
    return table


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV or TSV file that hold anything: line number, and its cells as they are written.

    Raises StudyError where there is no such file, or it is not text, or cut short inside a quote.
    """
    with _readable(path):
        lines = _csv_lines(path, _text_of(path))
    return [(line, cells) for line, cells in lines if any(map(str.strip, cells))]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise StudyError where a file cannot be read."""
    if not path.exists():
        raise StudyError(f"{path}: cannot be read (No such file or directory).")
    if not path.is_file():  # a pipe or a device would never end
        raise StudyError(f"{path}: cannot be read (not a file).")
    try:
        yield
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeEncodeError as error:  # JSON can spell what no text can hold
        raise StudyError(f"{path}: holds half a character (a lone surrogate); save it as UTF-8.") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: cannot be read (not UTF-8 text at byte {error.start}).") from error


def _read_numbers(path: Path) -> pl.DataFrame:
    """Read one number per line; empty lines and what follows a "#" do not count."""
    numbers = []
    for row, line in enumerate(_text_of(path).splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            numbers.append(float(word))
        except ValueError:
            decimal_comma = re.fullmatch(r"[+-]?\d+,\d+", word)
            how = f"write {word.replace(',', '.')}" if decimal_comma else "write one number per line"
            raise StudyError(f'{path}, line {row}: "{word[:40]}" is not a number; {how}.') from None
    if not numbers:
        raise StudyError(f"{path}: holds no number; write one number per line.")
    return pl.DataFrame({VALUE: numbers})


def _read_csv(path: Path) -> pl.DataFrame:
    text = _text_of(path)
    if not text.strip():
        raise StudyError(f"{path}: holds no number; expected a line of column names, then one line per seed.")
    _csv_lines(path, text)  # refuses a file cut short inside a quote, which Polars before 2 reads as if complete
    try:
        # All rows decide a column's type: one word in the last line makes a text column, named later.
        table = pl.read_csv(io.StringIO(text), separator=_separator(path, text), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise StudyError(f"{path}: not a readable csv file ({first_line(error)[:120]}).") from error
    return table.with_columns(_as_numbers(column) for column in table if column.dtype == pl.String)


def _csv_lines(path: Path, text: str) -> list[tuple[int, list[str]]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(path, text), strict=True)
    try:
        return [(lines.line_num, cells) for cells in lines]
    except csv.Error as error:
        raise StudyError(f"{path}: not a readable csv file ({first_line(error)[:120]}).") from error


def _separator(path: Path, text: str) -> str:
    head = text.split("\n", 1)[0]
    return "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head and "," not in head else ","


def _as_numbers(column: pl.Series) -> pl.Series:
    """Return a text column as numbers if all its words are: Polars reads "nan" as text."""
    numbers = column.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == column.null_count() < column.len() else column


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        table = read_parquet(path.read_bytes())
    except ValueError as error:
        raise StudyError(f"{path}: not a readable parquet file ({first_line(error)[:120]}).") from error
    table = table.select(name for name, kind in table.schema.items() if not kind.is_nested())
    return table.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def _read_json_lines(path: Path) -> pl.DataFrame:
    lines = [(row, line) for row, line in enumerate(_text_of(path).splitlines(), start=1) if line.strip()]
    return _table_of(path, [_parse(path, line, f", line {row}") for row, line in lines])


def _read_json(path: Path) -> pl.DataFrame:
    return _table_of(path, _parse(path, _text_of(path)))


def _parse(path: Path, text: str, place: str = "") -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = place or f", line {error.lineno}, column {error.colno}"
        raise StudyError(f"{path}{place}: not a readable json file ({error.msg}).") from error
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise StudyError(f"{path}{place}: not a readable json file (too deep or too long).") from error


def _table_of(path: Path, document: Any) -> pl.DataFrame:
    """Return the rows of a JSON document: numbers, records, columns, or one trial's metrics."""
    if isinstance(document, dict):
        history = document.get("log_history")
        if isinstance(history, list):  # Hugging Face trainer_state.json
            document = history
        elif document and all(isinstance(value, list) for value in document.values()):
            return _columns(path, document)
        elif document and all(_is_seed(name) for name in document) and all(map(_is_number, document.values())):
            return _columns(path, {"seed": [int(name) for name in document], VALUE: list(document.values())})
        else:
            document = [document]
    if isinstance(document, list) and document:
        if all(map(_is_number, document)):
            return pl.DataFrame({VALUE: [_as(pl.Float64, number) for number in document]})
        if all(isinstance(record, dict) for record in document):
            names = dict.fromkeys(name for record in document for name in record)
            return _columns(path, {name: [_scalar(record.get(name)) for record in document] for name in names})
    raise StudyError(
        f"{path}: expected a list of numbers, a list of records or columns of equal length, "
        'for example [79.6, 79.7] or [{"seed": 0, "top1": 79.6}].'
    )


def _columns(path: Path, columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        longest = max(lengths)
        if not all(_is_number(value) for column in columns.values() for value in column):
            raise StudyError(f"{path}: its columns have different lengths ({', '.join(map(str, sorted(lengths)))}).")
        # One list of numbers per recipe: they need not have equally many seeds.
        columns = {name: [*column, *[None] * (longest - len(column))] for name, column in columns.items()}
    series = []
    for name, column in columns.items():
        cells = [_scalar(value) for value in column]
        is_text = any(isinstance(value, str) for value in cells)
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


def _scalar(value: Any) -> Any:
    """Return a cell, None for a nested value (list or dictionary)."""
    return value if isinstance(value, str | int | float) else None


def _read_events(path: Path) -> pl.DataFrame:
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
    return _table_of(path, [{"step": step, **rows[step]} for step in sorted(rows)])


_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".txt": _read_numbers,
}
SUFFIXES = tuple(_READERS)
