"""Pictures, one file each; seaborn and matplotlib are imported by those files alone."""

from __future__ import annotations

from pathlib import Path

from seedstudy.errors import StudyError

SUFFIXES = (".png", ".pdf", ".svg")


def check_picture(path: Path | None) -> None:
    """Refuse a picture's path before anything is computed or drawn.

    Raises
    ------
    StudyError
        Another suffix, or a folder that does not exist.

    """
    if path is None:
        return
    if path.suffix.lower() not in SUFFIXES:
        raise StudyError(f"{path}: a picture's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")
