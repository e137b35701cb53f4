"""What a format of one program is: how its files are recognised, and what parses them."""

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
    is_log: bool = False
    """Whether one file is the log of one run, so that a folder of runs is searched for such files."""
