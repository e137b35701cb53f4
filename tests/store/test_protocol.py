"""The protocol of lease and result as a model: all orders of the steps of two processes, kills included.

The functions are the real ones, on real files and locks; only the moments at which they are interrupted are chosen.
docs/reliability.md says in words what is shown here.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.store import lease, upkeep
from seedstudy.store import store as store_module
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial, TrialResult
from tests.conftest import drawn_result
from tests.store.interleave import Action, every_order, names, some_orders, steadily, step, stop_before

MakeTrial = Callable[..., Trial]
STARTED = "2026-01-01T00:00:00+00:00"

DOES_ALL = bool(os.environ.get("SEEDSTUDY_EXHAUSTIVE"))
exhaustive = pytest.mark.skipif(
    not DOES_ALL,
    reason="thousands of orders, many minutes: SEEDSTUDY_EXHAUSTIVE=1, `make slow`",
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nothing is cut off here
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


# --- the result: the first one to be linked stays --------------------------------------------------------------


@pytest.fixture
def trial(make_trial: MakeTrial) -> Trial:
    return make_trial(0, name="a2")


@pytest.fixture
def planned(tmp_path: Path, trial: Trial) -> Path:
    """Return a results folder with a planned trial, to copy from."""
    Store(tmp_path / "planned", "main").plan(Study(recipes=("a2",)), [trial])
    return tmp_path / "planned"


@pytest.fixture
def publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before every step of publishing that another process can see."""
    # Equal frames again and again: made once.
    for name in ("predictions_of", "curves_of", "validate", "to_parquet"):
        monkeypatch.setattr(store_module, name, _remembered(getattr(store_module, name)))
    stop_before(monkeypatch, os, "lstat", when=names("trial.json"))
    for name in ("replace", "link", "rename", "unlink"):
        stop_before(
            monkeypatch,
            os,
            name,
            when=names("trial.json", "predictions.parquet", "curves.parquet", "predictions", "curves"),
        )


def _remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def remembered(*arguments: Any, **named: Any) -> Any:
        key = tuple(id(each) for each in arguments if not isinstance(each, str))
        if key not in known:
            known[key] = arguments, make(*arguments, **named)  # kept, so that no other object gets the same id
        return known[key][1]

    return remembered


class Watched:
    """What a reader saw of a trial's result: once there is one, it is good and stays the same."""

    def __init__(self, store: Store, trial: Trial) -> None:
        self.store, self.trial = store, trial
        self.first: object = None

    def __call__(self) -> None:
        if not self.store.has_result(self.trial.trial_id):
            assert self.first is None, "the result is gone"
            return
        folder = self.store.folder(self.trial.trial_id)
        digests = store_module.digests_of(folder / "trial.json")
        for name, digest in digests.items():
            store_module.table_path(folder, name, digest)
        assert self.first in (None, digests)
        self.first = digests


@pytest.mark.usefixtures("publishing")
@pytest.mark.slow
@pytest.mark.parametrize("mortal", [(), (0,)], ids=["", "killed"])
@pytest.mark.parametrize("is_equal", [True, False], ids=["equal predictions", "other predictions"])
def test_of_two_results_the_first_one_stays(
    is_equal: bool, mortal: tuple[int, ...], tmp_path: Path, planned: Path, trial: Trial, data: Dataset
) -> None:
    results = [drawn_result(data, 0.7, np.random.default_rng(0 if is_equal else seed)) for seed in range(2)]
    speeds = [_with_speed(result, speed) for result, speed in zip(results, (10.0, 20.0), strict=True)]
    number = itertools.count()

    def setting() -> tuple[Sequence[Action], Callable[[], None]]:
        folder = tmp_path / str(next(number))
        shutil.copytree(planned, folder)
        store = Store(folder, "main")
        actions = [lambda result=result: store.publish(trial, result, data.eval_sets, STARTED) for result in speeds]
        setting.watched = Watched(store, trial)  # type: ignore[attr-defined]
        return actions, setting.watched  # type: ignore[attr-defined]

    n_orders = 0
    orders = every_order(setting, mortal=mortal) if DOES_ALL else some_orders(setting, n=200, mortal=mortal)
    for choices, actors in orders:
        n_orders += 1
        watched: Watched = setting.watched  # type: ignore[attr-defined]
        answers = [actor.answer for actor in actors if not actor.is_killed]
        if not any(actor.is_killed for actor in actors):
            assert sorted(map(str, answers)) == sorted(["first", "equal" if is_equal else "different"]), choices
        if answers:
            assert watched.first is not None, choices
        # Whatever the dead have left is finished by the next one, and removed by `clean`.
        assert watched.store.publish(trial, speeds[0], data.eval_sets, STARTED) in ("first", "equal", "different")
        upkeep.clean(watched.store, upkeep.leftovers(watched.store))
        watched()
        tables = {path.name for path in watched.store.folder(trial.trial_id).glob("*.parquet")}
        assert tables == {"predictions.parquet", "curves.parquet"}
        shutil.rmtree(watched.store.root.parent)
    print(f"{n_orders} orders")
    assert n_orders > 100


def _with_speed(result: TrialResult, speed: float) -> TrialResult:
    from dataclasses import replace

    return replace(result, curves=tuple(replace(report, images_per_s=speed) for report in result.curves))


@pytest.mark.usefixtures("publishing")
@pytest.mark.parametrize("mortal", [(), pytest.param((0, 1), marks=exhaustive)], ids=["", "killed"])
def test_setting_aside_loses_no_result_that_comes_meanwhile(
    mortal: tuple[int, ...], tmp_path: Path, planned: Path, trial: Trial, data: Dataset
) -> None:
    """A worker that lost its lease while it slept publishes while a launcher sets the damaged result aside."""
    Store(planned, "main").publish(trial, drawn_result(data, 0.7, np.random.default_rng(0)), data.eval_sets, STARTED)
    path = Store(planned, "main").folder(trial.trial_id) / "trial.json"
    path.write_bytes(path.read_bytes().replace(b'"ok"', b'"oK"'))
    good, number = drawn_result(data, 0.7, np.random.default_rng(1)), itertools.count()

    def setting() -> tuple[Sequence[Action], Callable[[], None]]:
        folder = tmp_path / str(next(number))
        shutil.copytree(planned, folder)
        store = setting.store = Store(folder, "main")  # type: ignore[attr-defined]

        def publish() -> object:
            try:
                return store.publish(trial, good, data.eval_sets, STARTED)
            except store_module.StoreError:  # the damaged result is still there
                return "refused"

        return [publish, lambda: upkeep.set_aside(store, trial.trial_id)], lambda: None

    n_first = 0
    for choices, actors in every_order(setting, mortal=mortal):
        store: Store = setting.store  # type: ignore[attr-defined]
        if actors[0].answer == "first":
            n_first += 1
            assert store.read_trial(trial.trial_id)[0] == "ok", choices
        elif not any(actor.is_killed for actor in actors):
            assert not store.has_result(trial.trial_id), choices
        shutil.rmtree(store.root.parent)
    assert n_first


# --- the lease: one holder ---------------------------------------------------------------------------------------


class Holders:
    """Who trains at this moment."""

    def __init__(self) -> None:
        self.inside: dict[str, lease.Lease] = {}
        self.n_most = 0

    def train(self, path: Path, *, does_remove: bool = False) -> bool:
        """Take the lease, train, and release it; or remove its file, as `clean` does. Returns whether it was free."""
        name = threading.current_thread().name
        with lease.held(path) as held:
            if held is None:
                return False
            self.inside[name] = held
            try:
                self.n_most = max(self.n_most, len(self.inside))
                if does_remove:
                    path.unlink()
                else:
                    step()
            finally:
                del self.inside[name]
        return True


@pytest.fixture
def locking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before every step that decides where the kernel's locks do."""
    for name in ("open", "unlink", "lstat"):
        stop_before(monkeypatch, os, name, when=names("lock"))
    stop_before(monkeypatch, fcntl, "flock")
    monkeypatch.setattr(lease.Lease, "release", steadily(lease.Lease.release))  # the lock is still held


@pytest.fixture
def naming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before every step that decides where the name in the file does."""
    stop_before(monkeypatch, os, "open", when=names("lock"))
    for name in ("read", "write", "ftruncate"):
        stop_before(monkeypatch, os, name)


def _starts(path: Path) -> dict[str, Callable[[], None]]:
    def released() -> None:
        with lease.held(path):
            pass

    def dead() -> None:
        released()
        text = path.read_text()
        path.write_text(text.replace('"is_released": true', '"is_released": false'))

    return {"no file": lambda: None, "released": released, "its holder died": dead}


@pytest.mark.usefixtures("locking")
@pytest.mark.parametrize(
    ("start", "does_clean"),
    [
        *((start, False) for start in ("no file", "released", "its holder died")),
        pytest.param("no file", True, marks=pytest.mark.slow),
        *(pytest.param(start, True, marks=exhaustive) for start in ("released", "its holder died")),
    ],
)
def test_on_one_machine_there_is_never_a_second_holder(start: str, does_clean: bool, tmp_path: Path) -> None:
    """A worker that opened the file before `clean` removed it must not train beside one that opened the next file."""
    path, number = tmp_path / "lock", itertools.count()

    def setting() -> tuple[Sequence[Action], Callable[[], None]]:
        path.unlink(missing_ok=True)
        _starts(path)[start]()
        next(number)
        holders = setting.holders = Holders()  # type: ignore[attr-defined]

        def other() -> bool:
            return (does_clean and holders.train(path, does_remove=True)) | holders.train(path)

        return [lambda: holders.train(path), other], lambda: None

    for choices, actors in every_order(setting):
        assert setting.holders.n_most == 1, choices  # type: ignore[attr-defined]
        assert any(actor.answer for actor in actors), choices
    print(f"{next(number)} orders")


@pytest.mark.usefixtures("naming")
@pytest.mark.parametrize("start", ["no file", "released", "its holder died"])
@pytest.mark.parametrize("locks", ["of each machine", "none"])
def test_between_machines_one_holder_remains_after_a_beat(
    locks: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread is a machine: its own kernel, and locks that the other one does not see."""
    path, number = tmp_path / "lock", itertools.count()
    monkeypatch.setattr(machine, "boot_id", lambda: threading.current_thread().name)
    monkeypatch.setattr(machine, "try_lock", lambda *_, **__: True if locks == "of each machine" else None)
    monkeypatch.setattr(lease, "SETTLE_S", 3600.0)  # the beats below are the model's

    def take() -> lease.Lease | None:
        return lease.take(path)

    def setting() -> tuple[Sequence[Action], Callable[[], None]]:
        path.unlink(missing_ok=True)
        _starts(path)[start]()
        if start != "no file":
            os.utime(path, (0, 0))
        next(number)
        return [take, take], lambda: None

    n_both = 0
    for choices, actors in every_order(setting):
        taken = [actor.answer for actor in actors if isinstance(actor.answer, lease.Lease)]
        n_both += len(taken) == 2
        for each in taken:
            each._look()
        assert sum(not each.is_overtaken for each in taken) == 1, choices
        for each in taken:
            each.close()
    print(f"{n_both} of {next(number)} orders with two holders until the first beat")
    assert n_both  # nothing prevents it, so the beat is needed
