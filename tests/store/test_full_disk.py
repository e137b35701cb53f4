"""A disk that is full, in earnest: a small file system is filled to its last byte."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.files import TEMPORARY
from seedstudy.store import upkeep
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

MakeTrial = Callable[..., Trial]
STARTED = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, *, leave: int = 0) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))


@pytest.mark.parametrize("leave", [0, 4096, 8192])
def test_a_result_on_a_full_disk_is_written_later(leave: int, disk: Path, make_trial: MakeTrial, data: Dataset) -> None:
    store, trial = Store(disk, "main"), make_trial(0)
    store.plan(Study(recipes=("a2",)), [trial])
    result = drawn_result(data, 0.7, np.random.default_rng(0))
    with store.claim(trial.trial_id) as held:
        assert held is not None
        fill(disk, leave=leave)
        with pytest.raises(StoreError, match=r"cannot write results \(No space left on device\)"):
            store.publish(trial, result, data.eval_sets, STARTED)
        assert not store.has_result(trial.trial_id)
        assert not list(store.folder(trial.trial_id).glob(TEMPORARY))
        (disk / "filler").unlink()
        assert store.publish(trial, result, data.eval_sets, STARTED) == "first"
    assert store.read_trial(trial.trial_id)[0] == "ok"
    assert {path.name for path in store.folder(trial.trial_id).iterdir()} == {
        *("spec.json", "lock", "trial.json", "predictions.parquet", "curves.parquet")
    }


def test_reading_a_study_needs_no_room(disk: Path, write_study: Callable[..., Store], make_trial: MakeTrial) -> None:
    store, trial = write_study(disk, n_seeds=2, a2=0.8), make_trial(1, name="a2")
    fill(disk)
    assert set(store.scan().states.values()) == {"ok"}
    (store.folder(trial.trial_id) / "curves.parquet").write_bytes(b"")
    assert store.scan().states[trial.trial_id] == "damaged"
    with suppress(StoreError):  # a folder needs room on some file systems
        upkeep.set_aside(store, trial.trial_id)
    assert (store.folder(trial.trial_id) / "spec.json").exists()
    (disk / "filler").unlink()
    if store.has_result(trial.trial_id):
        assert upkeep.set_aside(store, trial.trial_id)
    assert not store.has_result(trial.trial_id)
