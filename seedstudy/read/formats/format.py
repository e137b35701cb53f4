"""What a format of one program is: how its files are recognised, and what parses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
    run: Literal["folder", "file"] | None = None
    """What one run is where a folder of runs is searched: a folder with such a file, or each such file. None: such a
    file or folder is read only where it is named."""
