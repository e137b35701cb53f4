from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "files"


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[[str], Path]:
    """Return what unpacks the files of a program into the test's folder."""

    def unpack(program: str) -> Path:
        with zipfile.ZipFile(FILES / f"{program}.zip") as archive:
            archive.extractall(tmp_path)
        return tmp_path

    return unpack
