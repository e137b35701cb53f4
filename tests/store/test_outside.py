"""Trials that were trained or evaluated elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.store import outside
from seedstudy.store.schema import PREDICTIONS, TRIALS, validate
from seedstudy.store.store import Store
from tests.conftest import drawn_result


def add_evaluated(root: Path, data: Dataset, **changes: Any) -> bool:
    evaluations = drawn_result(data, 0.7, np.random.default_rng(0)).evaluations
    facts: dict[str, Any] = {"recipe": "a1_in1k", "model": "resnet50", "seed": 3, "n_params": 1, "device": "cpu"}
    return outside.add_evaluated(root, evaluations, data, **facts | {"preprocessing": "224 px", **changes})


@pytest.mark.train  # the row names the versions of torch and timm
def test_evaluated_weights_are_a_trial_with_predictions(tmp_path: Path, data: Dataset) -> None:
    assert add_evaluated(tmp_path / "main", data)
    assert not add_evaluated(tmp_path / "main", data)
    scan = Store(tmp_path, "main").scan()
    assert (scan.n_imported, dict(scan.states), dict(scan.damaged)) == (1, {}, {})
    assert scan.trials.select("recipe", "recipe_id", "model", "seed", "eval_set").rows() == [
        ("a1_in1k", "a1_in1k (224 px)", "resnet50", 3, "val"),
        ("a1_in1k", "a1_in1k (224 px)", "resnet50", 3, "real"),
    ]
    (path,) = (tmp_path / "main" / outside.EVALUATED).iterdir()
    assert path.stem == scan.trials["trial_id"][0]
    predictions = validate(pl.read_parquet(path), PREDICTIONS, where="")
    right = predictions.filter(pl.col("labels").list.contains(pl.col("predicted"))).group_by("eval_set").len()
    assert dict(right.iter_rows()) == dict(scan.trials.select("eval_set", "n_correct").iter_rows())


@pytest.mark.train  # the row names the versions of torch and timm
def test_a_kill_before_the_rows_are_written_loses_nothing(tmp_path: Path, data: Dataset) -> None:
    add_evaluated(tmp_path, data)
    (rows,) = (tmp_path / outside.IMPORTED).iterdir()
    rows.unlink()
    assert add_evaluated(tmp_path, data)
    assert outside.read(tmp_path)[0].height == 2


@pytest.mark.train  # the row names the versions of torch and timm
def test_a_seed_counts_once(tmp_path: Path, data: Dataset) -> None:
    add_evaluated(tmp_path, data)
    with pytest.raises(StoreError, match=r"a1_in1k@resnet50, seed 3, val was imported before with another result"):
        add_evaluated(tmp_path, data, preprocessing="288 px")
    assert add_evaluated(tmp_path, data, preprocessing="288 px", seed=4)
    rows = outside.read(tmp_path)[0].filter(pl.col("seed") == 3)
    with pytest.raises(StoreError, match=r"seed 3, val is in two of the files"):
        outside.add(tmp_path / "other", pl.concat([rows, rows]))


@pytest.mark.train  # the row names the versions of torch and timm
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path, data: Dataset) -> None:
    for seed in (3, 4):
        add_evaluated(tmp_path, data, seed=seed, recipe=f"r{seed}")
    first, second = sorted((tmp_path / outside.IMPORTED).iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    rows, unusable = outside.read(tmp_path)
    assert rows.height == 2
    assert rows.schema == pl.Schema(dict(TRIALS))
    assert unusable == {
        first.name: f"{first}: damaged (its content is not what was imported); remove it and import again."
    }
    second.unlink()
    second.mkdir()
    assert "not a regular file" in outside.read(tmp_path)[1][second.name]


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet50.a1_in1k", None, ("a1_in1k", "resnet50")),
        ("hf-hub:someone/net.tag", None, ("tag", "net")),
        ("resnet50", None, ("default", "resnet50")),
        ("resnet50.a1_in1k", Path("runs/my best.pth"), ("my_best", "resnet50")),
    ],
)
def test_names_of_networks(name: str, weights: Path | None, expected: tuple[str, str]) -> None:
    assert outside.recipe_and_model(name, weights) == expected
