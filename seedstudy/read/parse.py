"""A file, or a folder of one format -> a table: the program's own format where it is known, else a plain table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seedstudy.errors import StudyError
from seedstudy.read.formats import format_of
from seedstudy.read.table import Table
from seedstudy.read.tables import plain_frame, plain_table, readable

LONGEST_NAME = 1000
"""Letters of a column's name; what it means is asked of each group of its words, so that longer ones take minutes."""


def read_table(path: Path) -> Table:
    """Return the rows of a file, without nested values.

    Raises StudyError where there is no such file, or it is not text, not of the format that its name says, or empty.
    """
    with readable(path):
        own = format_of(path)
        table = plain_table(path) if own is None else own.read(path)
    longest = max(table.frame.columns, key=len, default="")
    if len(longest) > LONGEST_NAME:
        raise StudyError(
            f'{path}: column "{longest[:40]}…" has a name of {len(longest):,} letters: give it a shorter one.'
        )
    return replace(table, frame=plain_frame(table.frame, str(path)))
