"""Files of particular programs: each format is recognised by what it is, and parsed into a table with roles.

To add one, write a module here with a :class:`Format` and name it in `FORMATS`. Everything after parsing (roles of the
other columns, picks, runs, seeds) is the same for every file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedstudy.read.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How the files of one program are read."""

    name: str
    """As the program writes itself: ``MLflow file store``."""
    is_mine: Callable[[Path], bool]
    """Whether a file or folder is of this format, by name and first bytes. Cheap, and never raises for readable paths;
    links that lead out of a folder are not followed."""
    read: Callable[[Path], Table]
    """Parse the file or folder. A folder may hold many runs: then an identity column names each of them.

    Raises StudyError with one line (path, line, how to fix) where it is damaged; OSError is handled by the caller."""


FORMATS: tuple[Format, ...] = ()
"""Tried in this order, before the plain tables (CSV, TSV, JSON, Parquet, text)."""


def format_of(path: Path) -> Format | None:
    """Return the format of a file or folder; None for a plain table."""
    return next((each for each in FORMATS if each.is_mine(path)), None)
