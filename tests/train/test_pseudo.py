"""Pseudo-labels: what a teacher writes, and how a recipe mixes such images with labelled ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seedstudy as ss
from seedstudy.data import pseudo
from seedstudy.data.base import Dataset
from seedstudy.data.pseudo import PseudoLabels
from seedstudy.engines.starts import with_pseudo_labels
from seedstudy.errors import DataError, RecipeError, SeedstudyError
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.store.rows import pool_key
from seedstudy.study.trial import Trial
from seedstudy.train.feed import mixed_order, n_updates_of
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset

MakeTrial = Callable[..., Trial]
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def full() -> Dataset:
    return replace(make_dataset(n_train=96), fingerprint="f" * 16)


@pytest.fixture
def limited(full: Dataset) -> Dataset:
    """Return the same data with 32 labels."""
    rows = pseudo.rows_with_labels(full, 32)
    return replace(
        full, train_images=full.train_images[rows], train_labels=full.train_labels[rows], fingerprint="0" * 16
    )


def labels_for(full: Dataset, **changes: Any) -> PseudoLabels:
    rest = np.setdiff1d(np.arange(96), pseudo.rows_with_labels(full, 32))[:20]
    probabilities = np.full((20, 4), 0.1, dtype=np.float32)
    probabilities[np.arange(20), full.train_labels[rest]] = 0.7
    made = PseudoLabels(
        classes=full.classes,
        teacher="a trial",
        data="tiny",
        fingerprint=full.fingerprint,
        rows=rest,
        labels=full.train_labels[rest],
        confidence=probabilities.max(axis=1),
        probabilities=None,
    )
    return replace(made, **changes)


@pytest.fixture
def recipe(tiny_recipe: Recipe) -> Recipe:
    plain = ["repeated_augmentation=1", "mixup_alpha=0", "cutmix_alpha=0", "pseudo_labels=l.json", "pseudo_ratio=3"]
    return with_values(tiny_recipe, plain)


# --- the file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_soft", [False, True])
def test_what_is_written_is_read_and_sealed(full: Dataset, tmp_path: Path, is_soft: bool) -> None:
    made = labels_for(full, probabilities=np.full((20, 4), 0.25, dtype=np.float32) if is_soft else None)
    path = tmp_path / "l.json"
    pseudo.write(path, made, {"threshold": 0.5})
    found = pseudo.read(path.read_bytes(), str(path))
    for name in ("rows", "labels", "confidence", "probabilities"):
        assert np.array_equal(getattr(found, name), getattr(made, name)), name
    assert (found.classes, found.fingerprint) == (made.classes, made.fingerprint)
    with pytest.raises(DataError, match="there is a file of this name"):
        pseudo.write(path, made, {})
    with pytest.raises(SeedstudyError, match="damaged"):
        pseudo.read(path.read_bytes().replace(b'"threshold": 0.5', b'"threshold": 0.6'), str(path))


def test_another_record_is_no_file_of_pseudo_labels(tmp_path: Path) -> None:
    from seedstudy.files import write_record

    write_record(tmp_path / "x.json", {"kind": "pseudo-labels", "rows": {"shape": [10**9], "zlib": ""}})
    with pytest.raises(DataError, match="not a file of `seedstudy pseudolabel`"):
        pseudo.read((tmp_path / "x.json").read_bytes(), "x.json")


# --- mixing -----------------------------------------------------------------------------------------------------


def test_every_update_has_both_kinds_at_the_ratio(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    data = pseudo.joined(limited, labels_for(full), recipe, full)
    assert (len(data.train_labels), data.n_pseudo) == (52, 20)
    assert recipe.n_labelled == 4
    assert n_updates_of(data, recipe) == 8
    order = mixed_order(data, recipe, seed=1)
    assert order.shape == (8, 1, 16)
    for update in order:
        assert (update < 32).sum() == 4
    seen = Counter(order.ravel().tolist())
    assert [seen[row] for row in range(32)] == [1] * 32  # one pass over the labelled images
    assert {seen[row] for row in range(32, 52)} == {4, 5}  # 96 draws of 20 images, pass by pass
    assert not np.array_equal(order, mixed_order(data, recipe, seed=2))
    halves = with_values(recipe, ["micro_batch=8"])
    assert mixed_order(data, halves, seed=1).shape == (8, 2, 8)


def test_the_images_are_those_that_were_labelled(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    made = labels_for(full)
    data = pseudo.joined(limited, made, recipe, full)
    assert np.array_equal(data.train_images[32:], full.train_images[made.rows])
    assert np.array_equal(data.train_labels[32:], made.labels)


@pytest.mark.parametrize("is_soft", [False, True])
def test_training_with_them_ends_in_a_result(
    is_soft: bool, full: Dataset, limited: Dataset, recipe: Recipe, make_trial: MakeTrial, tmp_path: Path
) -> None:
    soft = np.full((20, 4), 0.25, dtype=np.float32)
    pseudo.write(tmp_path / "l.json", labels_for(full, probabilities=soft if is_soft else None), {})
    trials, contents = with_pseudo_labels(
        [make_trial(seed, recipe=recipe) for seed in (0, 1)], folder=tmp_path, data=limited, full=lambda: full
    )
    (digest,) = contents
    assert {trial.pseudo_labels for trial in trials} == {digest}
    assert Trial.from_dict(json.loads(json.dumps(trials[0].to_dict())), where="spec") == trials[0]
    data = pseudo.joined(limited, pseudo.read(contents[digest](), "there"), recipe, full)
    first, second = (train_trial(trials[0], data) for _ in range(2))
    assert first.status == "ok"
    assert first.evaluations["val"].predicted.tobytes() == second.evaluations["val"].predicted.tobytes()
    without = train_trial(make_trial(0, recipe=with_values(recipe, ["pseudo_labels=none"])), limited)
    assert pool_key(trials[0], first.provenance) != pool_key(make_trial(0), without.provenance)
    hard = pseudo.joined(limited, labels_for(full), recipe, full)
    assert (train_trial(trials[0], hard).curves == first.curves) is False


def test_labels_of_certain_classes_are_the_hard_ones(
    full: Dataset, limited: Dataset, recipe: Recipe, make_trial: MakeTrial
) -> None:
    """Soft labels that are certain train the same network as hard ones."""
    recipe = with_values(recipe, ["loss=ce", "bce_target_threshold=none", "label_smoothing=0"])
    made = labels_for(full)
    certain = np.eye(4, dtype=np.float32)[made.labels]
    results = [
        train_trial(make_trial(0, recipe=recipe), pseudo.joined(limited, each, recipe, full))
        for each in (made, replace(made, probabilities=certain))
    ]
    losses = [[report.train_loss for report in result.curves] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# --- wrong input ------------------------------------------------------------------------------------------------


def test_wrong_labels_are_one_line(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    kept = pseudo.rows_with_labels(full, 32)
    soft = np.full((20, 4), 0.25, dtype=np.float32)
    for changes, message in (
        ({"classes": tuple("abcx")}, "teacher has other classes"),
        ({"fingerprint": "another"}, "are of other training images"),
        ({"rows": np.repeat(kept[:1], 20)}, "some pseudo-labelled images are labelled here too"),
        ({"folder": "nowhere", "names": ("a.png",)}, "nowhere/a.png: cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            pseudo.joined(limited, labels_for(full, **changes), recipe, full)
    with pytest.raises(DataError, match="are labelled here too"):
        pseudo.joined(full, labels_for(full), recipe, full)
    mixing = with_values(recipe, ["mixup_alpha=0.2"])
    with pytest.raises(DataError, match="soft pseudo-labels do not allow"):
        pseudo.joined(limited, labels_for(full, probabilities=soft), mixing, full)
    with pytest.raises(RecipeError, match="leaves one kind of images out"):
        with_values(recipe, ["pseudo_ratio=100"])
    with pytest.raises(RecipeError, match="exclude each other"):
        with_values(recipe, ["repeated_augmentation=3"])


# --- from the command line --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_teacher_labels_the_rest_and_a_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    small = ["--set", "batch_size=32", "--set", "micro_batch=32", "--set", "repeated_augmentation=1", "--epochs", "1"]
    run = ["run", "-r", "a3", "-m", "resnet8_nano", "-d", "digits", "--train-limit", "128", "--workers", "1", *small]
    assert cli(*run, "--seeds", "2", "--study", "teacher", "--keep-weights")[0] == 0
    code, out, err = cli("pseudolabel", "teacher:a3", "-o", "rest.json", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["n_images"], document["n_labelled"], len(document["teacher"])) == (1201 - 128, 1201 - 128, 2)
    assert sum(document["by_class"].values()) == 1201 - 128
    assert Path("rest.json").stat().st_size < 50_000
    answer = ss.pseudolabel("teacher:a3#1", "soft.json", soft=True, most=50)
    assert (answer.is_soft, answer.n_labelled, len(answer.teacher)) == (True, 50, 1)
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    assert ss.pseudolabel("teacher:a3#0", "photos.json", images=folder).n_labelled == 6
    for file in ("rest.json", "photos.json"):
        code, _, err = cli(*run, "--seeds", "1", "--study", "student", "--set", f"pseudo_labels={file}")
        assert code == 0, err
    assert len(list(Path("results/student/starts").iterdir())) == 2
    for arguments, message in (
        (("teacher:a3", "-o", "rest.json"), "there is a file of this name"),
        (("teacher:a3#7", "-o", "x.json"), "no kept weights"),
        (("teacher:a3", "-o", "x.json", "--threshold", "0.9999"), "no image is as certain"),
        (("teacher:a3", "-o", "x.json", "--images", "nowhere"), "nowhere: no such folder"),
    ):
        code, _, err = cli("pseudolabel", *arguments)
        assert (code, message in err) == (2, True), err
        assert not Path("x.json").exists()
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    code, _, err = cli(*run, "--seeds", "2", "--study", "student", "--set", "pseudo_labels=photos.json")
    assert (code, "its images are not those that were labelled" in err) == (2, True)
