"""A data set of one's own, prepared, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedstudy.data import load, prepare
from seedstudy.data.base import Dataset
from seedstudy.errors import DataError


def loaded(name: str, tmp_path: Path) -> Dataset:
    return load(prepare(name, cache_dir=tmp_path / "cache"))


def fails(name: str, tmp_path: Path, message: str) -> None:
    """Check that a data set is refused in one line, and nothing is left behind."""
    with pytest.raises(DataError, match=message) as caught:
        loaded(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())
