"""Kept weights give the trial's own predictions, and what the day of training lacked is added to the same trial."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import seedstudy as ss
from seedstudy.data.base import Dataset
from seedstudy.errors import DamagedError, StudyError
from seedstudy.files import read_record
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.store import upkeep
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Evaluation, Trial, TrialResult
from seedstudy.train import weights
from seedstudy.train.kept import evaluate_kept
from seedstudy.train.stacks import train_stacked
from seedstudy.train.trial import train_trial
from tests.conftest import drawn_result, make_dataset
from tests.imagenet_tree import make_tree

MakeTrial = Callable[..., Trial]
MakeStore = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
STARTED = "2026-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def everything(evaluations: dict[str, Evaluation]) -> dict[str, tuple[object, ...]]:
    """Return all that an evaluation says, bit for bit."""
    return {
        name: (each.n_correct, each.n_correct_top5, each.loss, each.predicted.tobytes(), each.confidence.tobytes())
        for name, each in evaluations.items()
    }


def again(trial: Trial, result: TrialResult, data: Dataset) -> dict[str, Evaluation]:
    assert result.weights is not None
    return evaluate_kept(trial, result.weights, data, tuple(data.eval_sets), n_threads=1)[0]


# --- the trial's own predictions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [(), ("ema_decay=0.5",), ("precision=bfloat16",), ("loss=ce", "bce_target_threshold=none", "test_size=24")],
)
def test_kept_weights_give_the_predictions_of_the_training_bit_for_bit(
    changes: tuple[str, ...], data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    trial = make_trial(3, recipe=with_values(tiny_recipe, ["lr=0.05", *changes]))
    result = train_trial(trial, data, keeps_weights=True)
    assert everything(again(trial, result, data)) == everything(result.evaluations)
    assert train_trial(trial, data).weights is None
    _, about = weights.from_bytes(result.weights or b"", where="")
    assert about == weights.About(
        model="resnet8_nano", classes=("a", "b", "c", "d"), mean=data.mean, std=data.std, origin=trial.trial_id
    )


def test_each_seed_of_a_stack_keeps_its_own(data: Dataset, make_trial: MakeTrial) -> None:
    trials = [make_trial(seed) for seed in (0, 1)]
    for trial, result in zip(trials, train_stacked(trials, data, keeps_weights=True), strict=True):
        assert everything(again(trial, result, data)) == everything(result.evaluations)


def test_equal_trainings_keep_equal_files(data: Dataset, make_trial: MakeTrial) -> None:
    first, second = (train_trial(make_trial(2), data, keeps_weights=True).weights for _ in range(2))
    assert first is not None
    assert first == second


def test_weights_of_another_network_or_other_classes_are_one_line(data: Dataset, make_trial: MakeTrial) -> None:
    trial = make_trial()
    content = train_trial(trial, data, keeps_weights=True).weights
    assert content is not None
    with pytest.raises(
        StudyError, match=r"not the weights of this network: (size mismatch|they lack \S+ and \d+ more)"
    ):
        evaluate_kept(replace(trial, model="resnet8"), content, data, ("val",))
    with pytest.raises(StudyError, match="other classes"):
        evaluate_kept(trial, content, replace(data, classes=tuple("abcx")), ("val",))
    with pytest.raises(StudyError, match="not a safetensors file"):
        evaluate_kept(trial, content[:100], data, ("val",))


# --- in the store -----------------------------------------------------------------------------------------------


@pytest.fixture
def kept(make_store: MakeStore, make_trial: MakeTrial, data: Dataset) -> tuple[Store, Trial, TrialResult]:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(5, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    result = train_trial(trial, data, keeps_weights=True)
    assert store.publish(trial, result, data.eval_sets, STARTED) == "first"
    return store, trial, result


def test_weights_are_sealed_by_the_result(kept: tuple[Store, Trial, TrialResult], data: Dataset) -> None:
    store, trial, result = kept
    assert store.weights(trial.trial_id) == result.weights
    other = drawn_result(data, 0.5, np.random.default_rng(0))
    assert store.publish(trial, replace(other, weights=b"others"), data.eval_sets, STARTED) == "different"
    assert store.weights(trial.trial_id) == result.weights
    path = store.folder(trial.trial_id) / "weights.safetensors"
    path.write_bytes(b"other" + path.read_bytes())
    assert store.scan().states[trial.trial_id] == "ok"  # a result is whole without its weights
    with pytest.raises(DamagedError, match=r"weights\.safetensors: damaged"):
        store.weights(trial.trial_id)


def test_a_trial_without_weights_says_so(make_store: MakeStore) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    (trial_id,) = store.trial_ids()
    assert store.weights(trial_id) is None
    assert not store.has_weights(trial_id)


def test_clean_removes_weights_only_when_asked(kept: tuple[Store, Trial, TrialResult], cli: Cli) -> None:
    store, trial, _ = kept
    assert "weights" not in cli("clean", "--yes")[1]
    assert store.has_weights(trial.trial_id)
    code, out, err = cli("clean", "--weights", "--yes")
    assert (code, "1 files removed" in err) == (0, True)
    assert "weights.safetensors" in out
    assert not store.has_weights(trial.trial_id)
    assert store.scan().states[trial.trial_id] == "ok"
    code, _, err = cli("evaluate", "main:a2")
    assert code == 2
    assert 'seedstudy: "main:a2": no weights were kept of its 2 trials, or they were removed' in err


def test_weights_are_set_aside_and_put_back_with_their_result(
    kept: tuple[Store, Trial, TrialResult], data: Dataset
) -> None:
    store, trial, result = kept
    path = store.folder(trial.trial_id) / "trial.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"epochs": 2', b'"epochs": 3'))
    aside = upkeep.set_aside(store, trial.trial_id)
    assert aside is not None
    shutil.copy(store.folder(trial.trial_id) / "weights.safetensors", aside / "copy")
    (store.folder(trial.trial_id) / "weights.safetensors").unlink()
    (aside / "trial.json").write_bytes(good)
    assert upkeep.restore(store).restored == (trial.trial_id,)
    assert store.weights(trial.trial_id) == result.weights


# --- evaluated later --------------------------------------------------------------------------------------------


def add(store: Store, trial: Trial, evaluation: Evaluation, data: Dataset, name: str = "v2") -> bool:
    return store.add_evaluation(trial.trial_id, name, evaluation, data.eval_sets["val"], test_size=16, test_crop=1.0)


def test_a_later_result_joins_the_rows_of_its_trial_and_the_first_stays(
    kept: tuple[Store, Trial, TrialResult], data: Dataset
) -> None:
    store, trial, result = kept
    folder = store.folder(trial.trial_id)
    before = (folder / "trial.json").read_bytes(), (folder / "predictions.parquet").read_bytes()
    store.scan()
    val = result.evaluations["val"]
    assert add(store, trial, val, data)
    changed = replace(val, predicted=(val.predicted + 1) % 4, n_correct=0)
    assert not add(store, trial, changed, data)
    rows = store.scan().rows_of([trial.trial_id])
    assert rows["eval_set"].to_list() == ["val", "real", "v2"]
    assert rows.filter(eval_set="v2")["n_correct"].item() == val.n_correct
    predictions = store.predictions(trial.trial_id)
    assert predictions.filter(eval_set="v2")["predicted"].to_list() == val.predicted.tolist()
    assert ((folder / "trial.json").read_bytes(), (folder / "predictions.parquet").read_bytes()) == before
    assert len(list(folder.glob("evaluated-*.parquet"))) == 1


def test_a_damaged_later_result_is_named_and_costs_the_trial_nothing(
    kept: tuple[Store, Trial, TrialResult], data: Dataset
) -> None:
    store, trial, result = kept
    add(store, trial, result.evaluations["val"], data)
    (record,) = store.folder(trial.trial_id).glob("evaluated-v2-*.json")
    record.write_bytes(record.read_bytes().replace(b'"test_size": 16', b'"test_size": 17'))
    for _ in range(2):  # also where the rows come from the index
        scan = store.scan()
        assert scan.states[trial.trial_id] == "ok"
        assert scan.rows_of([trial.trial_id])["eval_set"].to_list() == ["val", "real"]
        assert list(scan.damaged) == [f"{trial.trial_id}/{record.name}"]


def test_what_other_weights_gave_is_not_taken_for_this_trial(
    kept: tuple[Store, Trial, TrialResult], data: Dataset
) -> None:
    store, trial, result = kept
    add(store, trial, result.evaluations["val"], data)
    folder = store.folder(trial.trial_id)
    (folder / "trial.json").unlink()
    other = replace(drawn_result(data, 0.5, np.random.default_rng(0)), weights=b"others")
    store.publish(trial, other, data.eval_sets, STARTED)
    assert "v2" not in store.scan().rows_of([trial.trial_id])["eval_set"]


# --- from the command line --------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "0")
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    return make_tree(tmp_path / "imagenet", n_train=8)


@pytest.mark.slow
def test_an_eval_set_that_was_absent_is_added_to_the_same_trials(cli: Cli, tree: Path, tmp_path: Path) -> None:
    v2, away = tree / "imagenetv2-matched-frequency-format-val", tmp_path / "away"
    v2.rename(away)
    small = ["--set", "train_size=32", "--set", "test_size=32", "--set", "batch_size=8", "--set", "micro_batch=8"]
    code, _, err = cli(
        *("run", "-r", "a3", "-m", "resnet8_nano", "-d", "imagenet", "--data-dir", tree, "--seeds", "2"),
        *("--epochs", "1", "--workers", "1", *small),
    )
    assert code == 0, err
    records = {path: path.read_bytes() for path in Path("results/main/trials").glob("*/trial.json")}
    assert len(list(Path("results/main/trials").glob("*/weights.safetensors"))) == len(records) == 2  # the default
    away.rename(v2)
    code, out, err = cli("evaluate", "main:a3", "--data-dir", tree, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["trials"], document["added"]) == (2, 2)
    assert document["repeated"] == {"val": 0, "real": 0}
    assert {path: path.read_bytes() for path in records} == records
    assert cli("evaluate", "main:a3", "--data-dir", tree, "--eval", "v2")[0] == 0
    code, out, _ = cli("summary", "a3", "--json")
    assert [(group["eval_set"], group["n"]) for group in json.loads(out)["groups"]] == [
        ("val", 2),
        ("real", 2),
        ("v2", 2),
    ]
    # Test sizes answer only when they are asked for.
    code, out, err = cli("evaluate", "main:a3", "--data-dir", tree, "--eval", "val", "--size", "24,32,40", "--json")
    assert (code, json.loads(out)["added"]) == (0, 4)
    assert len(json.loads(cli("summary", "a3", "--json")[1])["groups"]) == 3
    code, out, _ = cli("summary", "a3", "--eval", "val@24,val@40", "--json")
    assert [group["n"] for group in json.loads(out)["groups"]] == [2, 2]
    answer = ss.evaluate_trials("main:a3", data_dir=tree, eval_sets="val", sizes=[24, 32, 40])
    frame = answer.to_frame()
    assert frame["test_size"].to_list() == [24, 32, 40]
    assert frame["is_own"].to_list() == [False, True, False]
    axes = ss.plot_test_sizes(answer).axes[0]
    assert axes.lines[0].get_xdata().tolist() == [24, 32, 40]
    assert axes.lines[0].get_ydata().tolist() == frame["mean"].to_list()


def test_other_images_than_those_of_the_training_are_refused(
    kept: tuple[Store, Trial, TrialResult], data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seedstudy.api import kept as api

    monkeypatch.setattr(api, "_load", lambda *_: replace(make_dataset(seed=1), fingerprint="another"))
    with pytest.raises(StudyError, match=r"not the images that .* was trained and tested on"):
        ss.evaluate_trials("main:a2", results=kept[0].root.parent)
    monkeypatch.setattr(api, "_load", lambda *_: replace(data, fingerprint="another"))
    answer = ss.evaluate_trials("main:a2", results=kept[0].root.parent)
    assert (answer.trials, answer.without_weights, answer.repeated) == (1, 1, {"val": 0, "real": 0})


def test_predictions_of_the_frame_are_those_of_the_table(kept: tuple[Store, Trial, TrialResult], data: Dataset) -> None:
    store, trial, result = kept
    add(store, trial, result.evaluations["val"], data, "val@24")
    path = store.folder(trial.trial_id)
    (record,) = path.glob("evaluated-val@24-*.json")
    assert read_record(record)["test_size"] == 16
    frame = ss.load_predictions(store.root, trial.trial_id)
    assert frame.filter(pl.col("eval_set") == "val@24").height == len(data.eval_sets["val"])
