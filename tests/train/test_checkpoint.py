"""A trial that was stopped and resumed is the trial that was not, bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Trial, TrialResult
from seedstudy.train import checkpoint
from seedstudy.train.checkpoint import Checkpoints, Stopped
from seedstudy.train.trial import train_trial

MakeTrial = Callable[..., Trial]

LIVELY = ["drop_path=0.5", "lr=0.05", "micro_batch=8"]
"""Every stream has something to decide, and an update has two micro-batches."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


OTHERS = {
    "lamb": ["ema_decay=none"],
    "lamb, EMA": ["ema_decay=0.9"],
    "sgd": ["optimizer=sgd", "momentum=0.9", "max_grad_norm=none"],
}


def stopping_after(path: Path, trial: Trial, updates: int) -> Checkpoints:
    """Return checkpoints that ask for a stop at the n-th update."""
    asked = iter(range(1, 1000))
    return Checkpoints(path, trial.trial_id, should_stop=lambda: next(asked) == updates)


def outcome(result: TrialResult) -> tuple[object, ...]:
    """Return all that must agree: predictions, counts and curves, without what a clock says."""
    evaluations = [
        (name, e.predicted.tobytes(), e.confidence.tobytes(), e.loss) for name, e in result.evaluations.items()
    ]
    curves = [{**asdict(report), "images_per_s": None} for report in result.curves]
    return evaluations, curves, result.best_epoch, result.best_n_correct, result.epochs


@pytest.mark.parametrize(
    ("values", "updates"),
    [
        ("lamb", 4),
        ("lamb, EMA", 5),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("lamb", 1), ("sgd", 3), ("sgd", 8))),
    ],
)
def test_stopped_after_any_update_and_resumed_is_bit_equal(
    values: str, updates: int, tmp_path: Path, data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    trial = make_trial(1, recipe=with_values(tiny_recipe, [*LIVELY, *OTHERS[values]]))
    path = tmp_path / "checkpoint.pt"
    whole = train_trial(trial, data)
    with pytest.raises(Stopped):
        train_trial(trial, data, checkpoints=stopping_after(path, trial, updates))
    assert path.exists()
    torch.manual_seed(99)  # what others drew in between must not matter
    notes: list[str] = []
    resumed = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id, say=notes.append))
    assert outcome(resumed) == outcome(whole)
    assert notes == [f"resumed at epoch {updates // 4 + (updates % 4 > 0)}, update {(updates - 1) % 4 + 2}"]


def test_determinism_is_recorded_and_ends_with_its_trial(
    tmp_path: Path, data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    trial = make_trial(1, recipe=with_values(tiny_recipe, LIVELY))
    path = tmp_path / "checkpoint.pt"
    whole = train_trial(trial, data, is_deterministic=True)
    assert whole.provenance["deterministic"] is True
    with pytest.raises(Stopped):
        train_trial(trial, data, checkpoints=stopping_after(path, trial, 3), is_deterministic=True)
    resumed = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id), is_deterministic=True)
    assert outcome(resumed) == outcome(whole)
    usual = train_trial(trial, data)
    assert "deterministic" not in usual.provenance
    assert outcome(usual) == outcome(whole)  # on a CPU sums are added in one order anyway


@pytest.mark.slow
def test_killed_at_an_epoch_end_it_goes_on_there(
    tmp_path: Path, data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    trial, path = make_trial(2), tmp_path / "checkpoint.pt"
    whole = train_trial(trial, data)

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_trial(trial, data, on_epoch=die, checkpoints=Checkpoints(path, trial.trial_id))
    notes: list[str] = []
    resumed = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id, say=notes.append))
    assert notes == ["resumed at epoch 1, update 5"]  # four updates are done: only the evaluation is repeated
    assert outcome(resumed) == outcome(whole)


@pytest.mark.slow
def test_timms_own_augmentation_goes_on_in_the_middle_of_an_epoch(
    tmp_path: Path, data: Dataset, make_trial: MakeTrial
) -> None:
    trial, path = make_trial(4, augment="pil"), tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        train_trial(trial, data, checkpoints=stopping_after(path, trial, 3))
    resumed = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id))
    assert outcome(resumed) == outcome(train_trial(trial, data))


@pytest.mark.slow
def test_stopped_twice_is_still_the_same(tmp_path: Path, data: Dataset, make_trial: MakeTrial) -> None:
    trial, path = make_trial(3), tmp_path / "checkpoint.pt"
    for updates in (2, 3):
        with pytest.raises(Stopped):
            train_trial(trial, data, checkpoints=stopping_after(path, trial, updates))
    resumed = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id))
    assert outcome(resumed) == outcome(train_trial(trial, data))
    assert resumed.train_s > 0


@pytest.mark.parametrize("damage", ["flip", *(pytest.param(each, marks=pytest.mark.slow) for each in ("cut", "empty"))])
def test_damaged_checkpoint_is_named_and_not_used(
    damage: str, tmp_path: Path, data: Dataset, make_trial: MakeTrial
) -> None:
    trial, path = make_trial(1), tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        train_trial(trial, data, checkpoints=stopping_after(path, trial, 3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:1000]), "empty": b""}[damage])
    notes: list[str] = []
    result = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id, say=notes.append))
    assert outcome(result) == outcome(train_trial(trial, data))
    assert "checkpoint.pt: damaged (its checksum does not match). It is not used" in notes[0]


def test_checkpoint_of_another_trial_is_not_used(tmp_path: Path, data: Dataset, make_trial: MakeTrial) -> None:
    trial, other, path = make_trial(1), make_trial(2), tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        train_trial(other, data, checkpoints=stopping_after(path, other, 3))
    notes: list[str] = []
    result = train_trial(trial, data, checkpoints=Checkpoints(path, trial.trial_id, say=notes.append))
    assert outcome(result) == outcome(train_trial(trial, data))
    assert "different trial_id" in notes[0]


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    checkpoint.write(tmp_path / "evil.pt", {"state": Evil()})
    with pytest.raises(StoreError, match="damaged"):
        checkpoint.read(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_full_disk_costs_the_checkpoint_and_not_the_trial(tmp_path: Path, data: Dataset, make_trial: MakeTrial) -> None:
    trial, notes = make_trial(1), []
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "checkpoint.pt"
    result = train_trial(trial, data, checkpoints=Checkpoints(nowhere, trial.trial_id, say=notes.append))
    assert outcome(result) == outcome(train_trial(trial, data))
    assert "the training continues without" in notes[-1]


def test_writing_takes_no_more_than_its_share(
    tmp_path: Path, data: Dataset, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    monkeypatch.setattr(checkpoint, "write", lambda path, content: written.append(path))
    trial = make_trial(1)
    monkeypatch.setattr(checkpoint, "SHARE", 1e-9)
    train_trial(trial, data, checkpoints=Checkpoints(tmp_path / "c.pt", trial.trial_id))
    assert len(written) == 1  # the first tells the cost; the second would come too soon
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    monkeypatch.setattr(checkpoint, "MAX_GAP_S", 0.0)
    train_trial(trial, data, checkpoints=Checkpoints(tmp_path / "c.pt", trial.trial_id))
    assert len(written) == 1 + 2 * (4 + 1)  # after each of four updates and at the end of each of two epochs


def test_anything_in_place_of_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    """A right digest says nothing about who wrote the file."""
    path, rng = tmp_path / "checkpoint.pt", np.random.default_rng(0)
    checkpoint.write(path, {"format": 1, "state": {"w": torch.zeros(3), "epoch": 1, "streams": [{}]}})
    right = path.read_bytes()[:-32]
    for _ in range(200):
        content = bytearray(right)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content + hashlib.sha256(content).digest())
        with contextlib.suppress(StoreError):
            checkpoint.read(path)
    checkpoint.write(path, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="it holds no state"):
        checkpoint.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="not a regular file"):
        checkpoint.read(path)
