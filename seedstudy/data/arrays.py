"""Arrays in .npy files: mapped into memory, known by their content, and checked to be still what was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedstudy.errors import DataError, first_line

Mark = tuple[int, int, int, int]
"""Size, time of the last change (ns), inode and device of a file: what a change of its content also changes."""
Marks = Mapping[Path, Mark]


def mark_of(status: os.stat_result) -> Mark:
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def mapped(path: Path) -> NDArray[Any]:
    """Map an .npy file into memory, read-only; OSError, or ValueError where it is no such file.

    Pickled objects are refused, since reading them would run code from the file.
    """
    if not path.is_file():  # opening a pipe would wait for its other end
        raise FileNotFoundError(2, "no such file", str(path)) if not path.exists() else ValueError("not a regular file")
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy hands a header to Python's own parser, which may raise anything
        raise ValueError(first_line(error)) from error
    return array


def facts(array: NDArray[Any]) -> dict[str, Any]:
    """Return what identifies an array's content."""
    digest = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest.hexdigest()}


def check_unchanged(marks: Marks) -> None:
    """Raise DataError where a file has changed since its content was checked."""
    for path, mark in marks.items():
        try:
            is_same = mark_of(path.stat()) == mark
        except OSError:
            is_same = False
        if not is_same:
            raise DataError(
                f"{path}: changed while it was in use, so the result is not kept; find out what writes there, or "
                "choose another cache folder with SEEDSTUDY_CACHE"
            )
