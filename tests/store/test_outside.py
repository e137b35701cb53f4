"""Trials that were trained or evaluated elsewhere."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.store import outside
from seedstudy.store.schema import PREDICTIONS, TRIALS, to_parquet, validate
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


# --- files of others ---------------------------------------------------------------------------------------


def put(root: Path, content: bytes) -> str:
    """Write what anybody can write: a file that is named by its digest."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    (root / outside.IMPORTED).mkdir(parents=True, exist_ok=True)
    (root / outside.IMPORTED / name).write_bytes(content)
    return name


def rows(n: int = 3) -> pl.DataFrame:
    row = {**dict.fromkeys(TRIALS), "recipe": "r", "trial_id": "t", "status": "ok", "eval_set": "val"}
    return pl.DataFrame(
        [{**row, "n_correct": 1, "n_examples": 2, "seed": seed} for seed in range(n)], schema=dict(TRIALS)
    )


@pytest.mark.train  # Arrow reads Parquet
def test_any_content_of_an_imported_file_is_one_line(tmp_path: Path) -> None:
    right, rng = to_parquet(rows()), np.random.default_rng(0)
    put(tmp_path, right)
    assert outside.read(tmp_path)[0].height == 3
    for _ in range(150):
        content = bytearray(right)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(0, 256)
        name = put(tmp_path, bytes(content))
        found, unusable = outside.read(tmp_path)
        assert found.height >= 3
        assert all("\n" not in line for line in unusable.values())
        if bytes(content) != right:
            (tmp_path / outside.IMPORTED / name).unlink()
    for content in (b"", b"garbage", right[:-1], to_parquet(pl.DataFrame({"x": [1]}))):
        name = put(tmp_path, content)
        assert name in outside.read(tmp_path)[1]


@pytest.mark.train
def test_a_file_that_unpacks_to_more_than_any_study_has_is_refused(tmp_path: Path) -> None:
    """400 million equal rows are a file of two megabytes; texts that repeat are worse."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    zeros = pa.array(np.zeros(2_000_000, dtype=np.int32))
    many = io.BytesIO()
    with pq.ParquetWriter(many, pa.schema([("seed", pa.int32())]), compression="zstd") as writer:
        for _ in range(200):
            writer.write_table(pa.table({"seed": zeros}))
    long = io.BytesIO()
    texts = pa.DictionaryArray.from_arrays(np.zeros(65_536, dtype=np.int32), ["x" * 10_000_000])
    pq.write_table(pa.table({"reason": texts}), long, compression="zstd")
    assert len(many.getvalue()) + len(long.getvalue()) < 2_000_000
    for content, why in ((many.getvalue(), "400,000,000 rows are more than"), (long.getvalue(), "when unpacked")):
        name = put(tmp_path, content)
        assert why in outside.read(tmp_path)[1][name]


def test_a_pipe_among_imported_files_hangs_nothing(tmp_path: Path) -> None:
    (tmp_path / outside.IMPORTED).mkdir()
    os.mkfifo(tmp_path / outside.IMPORTED / "x.parquet")
    assert "not a regular file" in outside.read(tmp_path)[1]["x.parquet"]


def test_nothing_is_imported_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "main" / outside.IMPORTED).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="a link or a file where a folder is expected"):
        outside.add(tmp_path / "main", rows())
    assert not list((tmp_path / "elsewhere").iterdir())
