"""`run --dry-run`: what would be trained, and for how long; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.train

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_nothing_is_trained_or_written(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("run", "-r", "a2,a3", "--seeds", "3", "--epochs", "1", "--train-limit", "256", "--dry-run")
    assert code == 0, err
    assert out.startswith("6 trials to train")
    assert "  seedstudy run -r a2,a3 --epochs 1 --train-limit 256 --seeds 1\n" in out
    assert not (tmp_path / "results").exists()
    code, out, _ = cli("run", "-r", "a2,a3", "--seeds", "3", "--epochs", "1", "--dry-run", "--json")
    answer = json.loads(out)
    assert [each["missing"] for each in answer["groups"]] == [3, 3]
    assert answer["seconds"] is None
    code, _, err = cli("run", "-r", "a2", "-m", "resnet5", "--dry-run")
    assert code == 2
    assert 'unknown model "resnet5"' in err
    assert not (tmp_path / "results").exists()
