"""The first bytes of a file, by which formats without a name of their own are recognised."""

from __future__ import annotations

from pathlib import Path

_BYTES = 65_536


def head_of(path: Path, *suffixes: str) -> bytes:
    """Return the first bytes of a file; none of a folder, or of a file with another suffix."""
    if path.suffix.lower() not in suffixes or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_BYTES)
