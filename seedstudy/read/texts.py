"""Numbers that people write down without a table -> the table that they mean, with tabs.

``baseline: 78.1 78.2`` is an arm and its seeds, ``seed 0: 78.1`` a seed and its number, ``top1`` above a column of
numbers its name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from statistics import median

from seedstudy.read.metrics import direction_of, is_default
from seedstudy.read.names import is_clock_name

ROWS = "first column"
"""Column that is added: the words with which the lines begin."""
_VALUE = "value"
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s?%?")
_MISSING = re.compile(r"na|n/a|nan|null|none|-|--", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<word>[A-Za-z]+)[ _=#-]*(?P<number>\d{1,18})")
_RUNS = frozenset(["seed", "s", "run", "trial", "rep", "repeat", "replicate", "repetition", "fold", "init", "rng"])
"""Words before the number of a run. ``resnet18`` and ``A1`` are names of arms."""
_RATIO = 1.5
"""Lines whose medians differ by more do not hold one measure: the first is a line of column names."""


def table_meant(text: str, *, has_commas: bool = False) -> str | None:
    """Return the table that lines of names and numbers mean; None where the text is a table, or plain numbers.

    `has_commas`: the text is of a file of tables, whose first line names columns unless each line is a name and
    numbers.
    """
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    rows = [_cells(line) for line in lines if line]
    if not rows:
        return None
    named = _of_named_lines(rows)
    return named if named or has_commas else _of_titled_numbers([line for line in lines if line])


def _cells(line: str) -> list[str]:
    """Return the words of a line: between ";" or tabs, where it has some, else between commas or blanks."""
    names: list[str] = []
    while True:
        name, colon, rest = line.partition(":")
        if not colon or _is_number(name):
            return [*names, *_cells_behind(line)]
        names.append(name.strip())
        if not rest.strip():
            return names
        line = rest


def _cells_behind(line: str) -> list[str]:
    """Return the words of a line behind the names that end with ":"."""
    if re.search(r"[;\t]", line):
        return [cell.strip() for cell in re.split(r"[;\t]", line)]
    if "," in line:
        return [cell.strip() for cell in line.split(",")]
    words = line.split()
    first = next((i for i, word in enumerate(words) if _is_number(word)), len(words))
    numbered = first > 0 and len(words) > first + 1 and words[first].isdecimal() and "." in words[first + 1]
    n_name = first + 1 if numbered and _NUMBERED.fullmatch(" ".join(words[: first + 1])) else first
    return [" ".join(words[:n_name]), *words[n_name:]] if n_name else words


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _of_named_lines(rows: Sequence[Sequence[str]]) -> str | None:
    """Return the table of lines that are each a name and one number or more."""
    names = [row[0] for row in rows]
    numbers = [[cell for cell in row[1:] if cell and not _MISSING.fullmatch(cell)] for row in rows]
    is_named = all(re.search(r"[A-Za-z]", name) and not _MISSING.fullmatch(name) for name in names)
    if not is_named or not all(numbers) or not all(_is_number(cell) for row in numbers for cell in row):
        return None
    sizes = [abs(median(_float(cell) for cell in row)) for row in numbers]
    if max(sizes) > _RATIO * min(sizes) or not any(re.search(r"\d[.,]\d", cell) for cell in numbers[0]):
        return None
    if max(map(len, rows)) > 2:
        width = max(map(len, rows)) - 1
        head = [ROWS, *(f"run {number}" for number in range(1, width + 1))]
        return _csv([head, *([row[0], *row[1:], *[""] * (width + 1 - len(row))] for row in rows)])
    numbered = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    words = {match["word"].lower() for match in numbered}
    if len(numbered) == len(names) and (words <= _RUNS or (len(words) == 1 and all(map(is_clock_name, words)))):
        title = "seed" if words <= _RUNS else words.pop()
        return _csv([[title, _VALUE], *([match["number"], row[1]] for match, row in zip(numbered, rows, strict=True))])
    return _csv([[ROWS, _VALUE], *rows])


def _of_titled_numbers(lines: Sequence[str]) -> str | None:
    """Return a column of numbers, a number in each line, below its name where there is one."""
    is_titled = re.search(r"[A-Za-z]", lines[0]) is not None and not _MISSING.fullmatch(lines[0])
    if is_titled and re.search(r"\d[.,]\d", lines[0]):
        return None
    body = lines[1:] if is_titled else lines
    known = [cell for cell in body if not _MISSING.fullmatch(cell)]
    is_plain = not is_titled and len(known) == len(body) and not any("%" in cell for cell in known)
    if is_plain or len(known) < 2 or not all(map(_is_number, known)):
        return None
    if any("," in cell for cell in known):
        return None  # a decimal comma is named, not guessed
    title = lines[0].strip(":") if is_titled else ""
    name = title if title and (is_default(title) or direction_of(title)) else _VALUE
    return _csv([[name, ""], *([cell, ""] for cell in body)])


def _float(cell: str) -> float:
    return float(cell.rstrip("% ").replace(",", "."))


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue()
