"""What lies beside results: leftovers under a live lease stay, damaged results are set aside and come back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedstudy import files
from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.store import lease, upkeep
from seedstudy.store.store import TABLES, Store, own_name
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]
Cli = Callable[..., tuple[int, str, str]]
STARTED = "2026-01-01T00:00:00+00:00"


def publish(store: Store, trial: Trial, data: Dataset, seed: int = 0) -> str:
    return store.publish(trial, drawn_result(data, 0.7, np.random.default_rng(seed)), data.eval_sets, STARTED)


def damage(store: Store, trial_id: str, name: str = "predictions.parquet") -> bytes:
    """Flip one bit, and return the content as it was."""
    path = store.folder(trial_id) / name
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    return content


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "lock"}


# --- clean ------------------------------------------------------------------------------------------------------


def test_clean_leaves_a_trial_that_began_while_it_asked(
    cli: Cli, make_store: MakeStore, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(5, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    folder, trial_id = store.folder(trial.trial_id), trial.trial_id
    with store.claim(trial_id):
        pass
    (folder / "progress.json").write_text("{}")
    holding: dict[str, Any] = {}

    def answer(*_: object, **__: object) -> bool:
        """Say yes only after a worker has taken the trial."""
        holding["claim"] = store.claim(trial_id)
        assert holding["claim"].__enter__() is not None
        return True

    monkeypatch.setattr("typer.confirm", answer)
    code, out, err = cli("clean")
    assert code == 0
    assert "lock" in out
    assert "0 files removed; 2 are in use by now" in err
    assert (folder / "progress.json").exists()
    assert store.is_running(trial_id)
    with store.claim(trial_id) as second:
        assert second is None
    holding["claim"].__exit__(None, None, None)
    code, _, err = cli("clean", "--yes")
    assert "2 files removed." in err
    assert not store.was_started(trial_id)


def test_clean_removes_tables_of_killed_writers_but_not_those_of_the_result(
    make_store: MakeStore, make_trial: MakeTrial, data: Dataset
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2")
    folder = store.folder(trial.trial_id)
    digest = json.loads((folder / "trial.json").read_text())["sha256"]["predictions.parquet"]
    killed = folder / own_name("predictions.parquet", "0" * 64)
    killed.write_bytes(b"half a training")
    # The winner was killed between linking its record and renaming its tables.
    (folder / "predictions.parquet").rename(folder / own_name("predictions.parquet", digest))
    assert store.read_trial(trial.trial_id)[0] == "ok"
    assert store.predictions(trial.trial_id).height
    assert upkeep.clean(store, upkeep.leftovers(store)) == [killed]
    assert store.read_trial(trial.trial_id)[0] == "ok"
    publish(store, trial, data)  # whoever comes next finishes the renaming
    assert (folder / "predictions.parquet").exists()


def test_clean_follows_no_link(make_store: MakeStore, make_trial: MakeTrial, tmp_path: Path) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("checkpoint.pt", "lock", "trial.json", "spec.json", ".mine.tmp"):
        (elsewhere / name).write_text("mine")
        os.utime(elsewhere / name, (0, 0))
    (store.root / "jobs").symlink_to(elsewhere)
    (store.root / "trials" / make_trial(9).trial_id).symlink_to(elsewhere)
    assert upkeep.leftovers(store) == {}
    assert len(content(elsewhere)) == 4


# --- setting aside ----------------------------------------------------------------------------------------------


def test_only_damage_is_set_aside(
    make_store: MakeStore, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    before = content(store.folder(trial_id))
    assert upkeep.set_aside(store, trial_id) is None  # nothing is wrong with it

    def fail(path: Path, **_: object) -> str:
        raise files._unreadable(path, OSError(24, "Too many open files"))

    monkeypatch.setattr("seedstudy.store.store.sha256", fail)
    with pytest.raises(StoreError, match="cannot be read now"):
        upkeep.set_aside(store, trial_id)
    assert content(store.folder(trial_id)) == before
    assert not list(store.folder(trial_id).glob("damaged-*"))
    assert not store.was_started(trial_id)


def test_a_trial_that_is_trained_again_is_not_set_aside(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    damage(store, trial_id)
    with store.claim(trial_id):
        assert upkeep.set_aside(store, trial_id) is None


def test_a_good_result_that_came_in_between_is_given_back(
    make_store: MakeStore, make_trial: MakeTrial, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines without shared locks may both find a result damaged; one of them is slow."""
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2")
    folder = store.folder(trial.trial_id)
    damage(store, trial.trial_id, "trial.json")
    rename, calls = Path.rename, []

    def slow(path: Path, target: Path) -> Path:
        if path.name == "trial.json" and not calls:
            calls.append(path)
            path.unlink()  # the other machine set it aside …
            assert publish(store, trial, data) == "first"  # … and has trained it again
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", slow)
    assert upkeep.set_aside(store, trial.trial_id) is None
    assert calls
    assert store.read_trial(trial.trial_id)[0] == "ok"
    assert (folder / "predictions.parquet").exists()


class Killed(BaseException):
    """What a process that is killed does next: nothing."""


def survives(n_steps: int, monkeypatch: pytest.MonkeyPatch, action: Callable[..., object], *arguments: object) -> bool:
    """Say whether an action ends before its process is killed, at the system call number ``n_steps``."""
    left = n_steps

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*given, **named)

        return step

    with monkeypatch.context() as patch:
        for name in ("mkdir", "link", "rename", "replace", "unlink", "rmdir", "open"):
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            action(*arguments)
        except Killed:
            return False
    return True


def test_killed_at_any_step_nothing_is_lost(
    make_store: MakeStore, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every system call of setting aside, and then of putting back, is once the last one of its process."""
    trial_id, n_steps, is_whole = make_trial(0, name="a2").trial_id, 0, False
    while not is_whole:
        store = make_store(n_seeds=1, a2=0.8)
        folder = store.folder(trial_id)
        good = {name: (folder / name).read_bytes() for name in ("trial.json", *TABLES)}
        damage(store, trial_id, "curves.parquet")
        is_whole = survives(n_steps, monkeypatch, upkeep.set_aside, store, trial_id)
        places = [folder, *folder.glob("damaged-*")]
        for name in ("trial.json", "predictions.parquet"):
            assert good[name] in [(place / name).read_bytes() for place in places if (place / name).exists()]
        if store.has_result(trial_id):  # the next launcher finds it damaged, as this one did
            assert upkeep.set_aside(store, trial_id)
        assert not store.has_ended(trial_id)
        for aside in folder.glob("damaged-*"):  # the disk reads well again
            if (aside / "curves.parquet").exists():
                (aside / "curves.parquet").unlink()
                (aside / "curves.parquet").write_bytes(good["curves.parquet"])
        n_back = 0
        while not survives(n_back, monkeypatch, upkeep.restore, store):
            if store.has_result(trial_id):
                assert store.read_trial(trial_id)[0] == "ok"
            n_back += 1
        assert {name: (folder / name).read_bytes() for name in good} == good
        shutil.rmtree(store.root.parent)
        n_steps += 1
    assert n_steps > 8


# --- putting back -----------------------------------------------------------------------------------------------


def test_restore_puts_back_what_is_good_and_says_what_is_not(
    cli: Cli, make_store: MakeStore, make_trial: MakeTrial, data: Dataset
) -> None:
    store = make_store(n_seeds=4, a2=0.8)
    trials = [make_trial(seed, name="a2") for seed in range(4)]
    ids = [trial.trial_id for trial in trials]
    before = {trial_id: content(store.folder(trial_id)) for trial_id in ids}
    for trial_id in ids:
        right = damage(store, trial_id)
        aside = upkeep.set_aside(store, trial_id)
        assert aside is not None
        if trial_id != ids[1]:  # for the others, the disk was at fault, and reads well again
            (aside / "predictions.parquet").write_bytes(right)
    assert publish(store, trials[2], data, seed=99) == "first"
    with store.claim(ids[3]):
        code, _, err = cli("restore")
    assert code == 0
    lines = err.splitlines()
    assert lines[-1] == "study main: 1 results restored, 3 left where they are."
    assert sum("its content is not what the trial wrote" in line for line in lines) == 1
    assert sum(f"{ids[2]} was trained again, with other predictions" in line for line in lines) == 1
    assert sum(f"{ids[3]} is being trained" in line for line in lines) == 1
    assert content(store.folder(ids[0])) == before[ids[0]]
    assert not list(store.folder(ids[0]).glob("damaged-*"))
    assert json.loads(cli("restore", "--json")[1])["restored"] == [ids[3]]
    assert store.read_trial(ids[3])[0] == "ok"


# --- who may touch what ------------------------------------------------------------------------------------------


def test_a_lease_is_taken_on_the_file_that_the_path_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clean` removes the file of a lease between the opening and the locking by somebody else."""
    path, lock = tmp_path / "lock", lease._lock
    calls: list[int] = []

    def late(descriptor: int) -> bool | None:
        if not calls:
            calls.append(descriptor)
            path.unlink()
        return lock(descriptor)

    monkeypatch.setattr(lease, "_lock", late)
    first = lease.take(path)
    assert first is not None
    assert lease.take(path) is None
    first.close()


@pytest.mark.parametrize("what", ["removed", "replaced", "renamed"])
def test_a_holder_whose_file_is_gone_has_lost_the_lease(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    folder = tmp_path / "trial"
    folder.mkdir()
    with lease.held(folder / "lock") as held:
        assert held is not None
        if what == "renamed":
            folder.rename(tmp_path / "moved")
        else:
            (folder / "lock").unlink()
        if what == "replaced":
            (folder / "lock").write_text("")
        for _ in range(1000):
            if held.is_overtaken:
                break
            threading.Event().wait(0.01)
        assert held.is_overtaken
    if what == "renamed":
        assert not folder.exists()  # nothing is made again
    elif what == "replaced":
        assert (folder / "lock").read_text() == ""


def test_a_lease_is_never_empty_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    with lease.held(path):
        pass
    seen: list[lease.Holder | None] = []
    for name in ("ftruncate", "write", "fsync"):
        call = getattr(os, name)

        def watched(*arguments: Any, _call: Callable[..., Any] = call) -> Any:
            seen.append(lease.read(path))
            return _call(*arguments)

        monkeypatch.setattr(os, name, watched)
    with lease.held(path):
        pass
    assert len(seen) == 6
    assert None not in seen


def test_a_full_disk_lets_a_lease_be_taken_again(tmp_path: Path) -> None:
    """The file has its full length from the first holder on."""
    path = tmp_path / "lock"
    with lease.held(path):
        pass
    size = path.stat().st_size
    program = (
        "import resource, signal, sys; from pathlib import Path; from seedstudy.store import lease\n"
        f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "with lease.held(Path(sys.argv[1])) as held: assert held is not None\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    holder = lease.read(path)
    assert holder is not None
    assert holder.is_released
