"""`ss.trial`: a script reports its own training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedstudy as ss
from seedstudy.errors import StatisticsError, StudyError
from seedstudy.store.store import Store


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])


def rows() -> pl.DataFrame:
    return Store(Path("results"), "main").scan().trials


def test_a_block_is_one_row_per_eval_set() -> None:
    for arm, accuracy in (("a", 0.5), ("b", 0.75)):
        for seed in range(3):
            with ss.trial(arm=arm, seed=seed) as t:
                t.result(val=accuracy + seed / 100, real=0.9, n=400)
    found = rows().filter(pl.col("recipe") == "b", pl.col("eval_set") == "val").sort("seed")
    assert found["n_correct"].to_list() == [300, 304, 308]
    assert found["n_examples"].to_list() == [400] * 3
    answer = ss.compare("a", "b", eval_sets="val")[0]
    assert answer.verdict.word == "better"
    assert answer.comparison.difference.value == pytest.approx(25.0)


def test_what_is_no_count_is_a_value() -> None:
    with ss.trial(arm="a", seed=0) as t:
        t.result(val=0.78123, n=400)
    with ss.trial(arm="a", seed=1) as t:
        t.result(val=78.5)
    with ss.trial(arm="loss", seed=0) as t:
        t.result(val=0.5, metric="val_loss")
    assert rows().sort("recipe", "seed")["value"].to_list() == [pytest.approx(78.123), 78.5, 0.5]


def test_bad_ends_are_rows_with_a_reason() -> None:
    with pytest.raises(RuntimeError, match="boom"), ss.trial(arm="a", seed=0):
        raise RuntimeError("boom")
    with ss.trial(arm="a", seed=1):
        pass
    with ss.trial(arm="a", seed=2) as t:
        t.result(val=float("nan"))
    with pytest.raises(KeyboardInterrupt), ss.trial(arm="a", seed=3):
        raise KeyboardInterrupt
    found = dict(rows().sort("seed").select("seed", pl.concat_str("status", "reason", separator=": ")).iter_rows())
    assert found == {
        0: "failed: RuntimeError: boom",
        1: "failed: it ended without an error and reported no result",
        2: "diverged: val is nan",
        3: "interrupted: stopped before the result",
    }


def test_the_first_result_stays_and_a_failure_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), ss.trial(arm="a", seed=0):
        raise RuntimeError
    for value in (0.5, 0.6):
        with ss.trial(arm="a", seed=0) as t:
            assert t.is_done == (value == 0.6)
            t.result(val=value, n=10)
    assert rows()["n_correct"].to_list() == [5]
    assert "it had a result before, which stays" in capsys.readouterr().err
    with ss.trial(arm="a", seed=0, settings={"lr": 0.1}) as t:
        t.result(val=0.7, n=10)
    assert rows()["pool_key"].n_unique() == 2


def test_a_trial_has_one_process_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with ss.trial(arm="a", seed=0) as t:
        other = subprocess.run(
            [sys.executable, "-c", "import sys; sys.argv = ['train.py']; import seedstudy as ss\n"
             "with ss.trial(arm='a', seed=0) as t: t.result(val=0.1)"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert "another process trains it now" in other.stderr
        t.result(val=0.5, n=10)
    monkeypatch.setenv("RANK", "1")
    with ss.trial(arm="a", seed=1) as t:
        t.result(val=0.5, n=10)
    assert rows()["seed"].to_list() == [0]  # the first rank writes


def test_predictions_are_read_by_variance() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    for seed in range(3):
        predicted = np.where(rng.random(200) < 0.8, labels, (labels + 1) % 4)
        table = {"example_id": [f"{i}" for i in range(200)], "label": labels.tolist(), "predicted": predicted.tolist()}
        table["confidence"] = [0.9] * 200
        with ss.trial(arm="a", seed=seed) as t:
            t.result(val=float((predicted == labels).mean()), n=200, predictions=table)
    (answer,) = ss.variance("a")
    assert answer.group.n == 3
    with pytest.raises(StudyError, match="no column label"), ss.trial(arm="b", seed=0) as t:
        t.result(val=0.5, predictions={"example_id": ["a"], "predicted": [1]})


def test_wrong_arguments_are_one_line() -> None:
    for wrong in ({"arm": "a/b", "seed": 0}, {"arm": "a", "seed": -1}, {"arm": "a", "seed": 0, "study": "../x"}):
        with pytest.raises(StudyError):
            ss.trial(**wrong)  # type: ignore[arg-type]
    assert not Path("results").exists()
    with pytest.raises(StatisticsError, match="150 is not an accuracy: say metric="), ss.trial(arm="a", seed=0) as t:
        t.result(val=150.0)
    record = json.loads(next(Path("results/main/trials").glob("*/failure.json")).read_text())
    assert record["reason"].startswith("StatisticsError: val = 150: ")
