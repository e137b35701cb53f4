"""`variance` on trials whose predictions are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.stats.images import split_variance
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]
MakeStore = Callable[..., Store]


def correct_by_hand(store: Store, recipe: str, eval_set: str) -> np.ndarray:
    rows = []
    for trial_id in (
        store.scan().trials.filter(pl.col("recipe") == recipe).sort("seed")["trial_id"].unique(maintain_order=True)
    ):
        frame = store.predictions(trial_id).filter(pl.col("eval_set") == eval_set).sort("example_id")
        rows.append([p in labels for p, labels in zip(frame["predicted"], frame["labels"], strict=True)])
    return np.array(rows)


def test_the_parts_are_those_of_the_stored_predictions(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(n_seeds=6, a2=0.8)
    answers = ss.variance(results=tmp_path / "results")
    assert [answer.group.eval_set for answer in answers] == ["val", "real"]
    for answer in answers:
        matrix = correct_by_hand(store, "a2", answer.group.eval_set)
        split = split_variance(matrix)
        assert (answer.group.n, answer.n_images) == matrix.shape
        assert answer.mean == pytest.approx(100 * matrix.mean())
        assert answer.std.value == pytest.approx(100 * split.on_test_set**0.5)
        assert answer.variance_on_endless_images == pytest.approx(1e4 * split.distribution_wise_raw)
        assert answer.std_on_endless_images.value == pytest.approx(100 * split.distribution_wise**0.5)
        assert answer.agreement + answer.churn == 1.0
        assert [vote.n_seeds for vote in answer.ensembles] == [2, 3, 5, 6]


def test_two_recipes_are_also_read_as_a_difference(make_store: MakeStore, cli: Cli) -> None:
    store = make_store(n_seeds=5, a3=0.7, a2=0.8)
    code, out, err = cli("variance", "a3", "a2", "--eval", "val", "--bootstrap", "400", "--json")
    assert code == 0, err
    (reading,) = json.loads(out)["differences"]
    a, b = (correct_by_hand(store, recipe, "val") for recipe in ("a3", "a2"))
    assert reading["difference"] == pytest.approx(100 * (b.mean() - a.mean()))
    assert reading["n_images"] == a.shape[1]
    theirs = ss.compare("a3", "a2", eval_sets=["val"])[0]
    assert reading["on_these_images_p"] == pytest.approx(theirs.to_dict()["p_value"])
    assert reading["error_of_images"] > 0
    assert reading["bootstrap"] is not None
    code, out, err = cli("variance", "a3", "a2", "--eval", "val")
    rows = {line[:8]: line.split()[-6:-2] for line in out.splitlines()}
    assert rows["these 40"] == ["+8.00", "[0.99,", "15.01]", "0.032"]
    assert rows["new ones"] == ["+8.00", "[0.68,", "15.32]", "0.035"]


def test_what_has_no_predictions_is_refused_in_one_line(make_store: MakeStore, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("79.1\n79.3\n")
    make_store(n_seeds=1, a2=0.8)
    for what, message in ((("a.txt",), "holds accuracies alone"), (("a2",), "a spread needs two or more")):
        code, out, err = cli("variance", *what)
        assert (code, out) == (2, "")
        assert message in err.splitlines()[-1]
    trials = ss.load_trials(tmp_path / "results" / "main")
    with pytest.raises(StudyError, match="name the study instead"):
        ss.variance(trials, "a2", results=tmp_path / "elsewhere")


def test_single_networks_are_compared_image_by_image(make_store: MakeStore, cli: Cli) -> None:
    store = make_store(n_seeds=1, a3=0.6, a2=0.8)
    code, out, err = cli("variance", "a3", "a2", "--eval", "val", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["groups"] == []
    (reading,) = document["differences"]
    a, b = (correct_by_hand(store, recipe, "val")[0] for recipe in ("a3", "a2"))
    assert reading["difference"] == pytest.approx(100 * (int((b & ~a).sum()) - int((a & ~b).sum())) / len(a))
    assert reading["on_these_images"] is None
    assert reading["warnings"] == ["one network each: this says nothing about seeds"]
    make_store(n_seeds=3, a1=0.6)
    code, _, err = cli("variance", "a1", "a2", "--eval", "val")
    assert code == 2
    assert "has one seed on val" in err
