"""The loop over any engine, here one that trains nothing and does as it is progress."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from seedstudy.data.base import Dataset
from seedstudy.engines.watch import Cancelled, StudyProgress, longest_quiet_s, watch
from seedstudy.errors import StoreError
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

MakeTrial = Callable[..., Trial]


class Progress(StudyProgress):
    """Keeps what it is given."""

    def __init__(self, trial_ids: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(trial_ids, 1), ())
        self.ends: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def ended(self, trial_id: str, state: str, rows: Iterable[Mapping[str, Any]], *, why: str = "") -> None:
        self.ends.append((trial_id, state))

    def note(self, text: str) -> None:
        self.notes.append(text)


class Fake:
    """Does one thing with each submission, and has nothing at the next poll."""

    outlives_launcher = False
    pause_s = 0.0

    def __init__(self, *does: Callable[[str], None]) -> None:
        self._does = list(does)
        self.submitted: list[Sequence[str]] = []

    def submit(self, trial_ids: Sequence[str]) -> None:
        self.submitted.append(list(trial_ids))
        does = self._does.pop(0) if self._does else (lambda trial_id: None)
        for trial_id in trial_ids:
            does(trial_id)

    def poll(self) -> set[str]:
        return set()

    def withdrawn(self) -> set[str]:
        return set()

    def end(self, trial_id: str) -> None: ...

    def cancel(self) -> None: ...


@pytest.fixture
def study(tmp_path: Any, make_trial: MakeTrial) -> tuple[Store, dict[str, Trial]]:
    store = Store(tmp_path, "main")
    trials = [make_trial(seed) for seed in (0, 1)]
    store.plan(Study(recipes=("a2",)), trials)
    return store, {trial.trial_id: trial for trial in trials}


def test_what_is_lost_is_submitted_again_and_the_rest_is_not(
    study: tuple[Store, dict[str, Trial]], data: Dataset
) -> None:
    store, trials = study
    lost, other = trials

    def finish(trial_id: str) -> None:
        with store.claim(trial_id):
            result = drawn_result(data, 0.7, np.random.default_rng(0))
            store.publish(trials[trial_id], result, data.eval_sets, "2026-01-01T00:00:00+00:00")

    def lose_one(trial_id: str) -> None:
        if trial_id == other:
            finish(trial_id)
            return
        with pytest.raises(MemoryError), store.claim(trial_id):
            raise MemoryError

    engine, progress = Fake(lose_one, lose_one, finish), Progress(trials)
    watch(engine, store, list(trials), progress, cancel_mark=0)
    assert engine.submitted == [[lost, other], [lost], [lost]]
    assert progress.ends == [(other, "ok"), (lost, "ok")]


def test_what_never_begins_is_given_up(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    engine, progress = Fake(), Progress(trials)
    watch(engine, store, list(trials), progress, cancel_mark=0)
    assert len(engine.submitted) == 3
    assert progress.ends == [(trial_id, "interrupted") for trial_id in trials]
    assert "was submitted 3 times and never began" in progress.notes[0]


def test_what_another_launcher_trains_is_waited_for(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    theirs, ours = trials
    progress = Progress(trials)

    def fail(trial_id: str) -> None:
        with store.claim(trial_id):
            store.record_failure(trial_id, "RuntimeError: boom", "")
        held.__exit__(None, None, None)
        store.record_failure(theirs, "RuntimeError: theirs", "")

    held = store.claim(theirs)
    held.__enter__()
    engine = Fake(fail)
    watch(engine, store, list(trials), progress, cancel_mark=0)
    assert engine.submitted == [[ours]]
    assert sorted(progress.ends) == sorted([(ours, "failed"), (theirs, "failed")])


def test_what_a_person_took_from_the_queue_is_not_submitted_again(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    taken, other = trials
    engine, progress = Fake(), Progress(trials)
    engine.withdrawn = lambda: {taken} if engine.submitted else set()  # type: ignore[method-assign]
    watch(engine, store, list(trials), progress, cancel_mark=0)
    assert engine.submitted == [[taken, other], [other], [other]]
    assert progress.notes[0] == f"{taken}: was taken out of the queue; the same command submits it again"


def test_a_trial_that_was_removed_is_named_and_not_made_again(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    removed = next(iter(trials))
    engine, progress = Fake(lambda trial_id: shutil.rmtree(store.folder(removed), ignore_errors=True)), Progress(trials)
    watch(engine, store, list(trials), progress, cancel_mark=0)
    assert progress.notes[0].startswith(f"{removed}: was removed while the study was trained")
    assert not store.folder(removed).exists()


def test_a_study_that_was_renamed_ends_the_launcher(study: tuple[Store, dict[str, Trial]], tmp_path: Any) -> None:
    store, trials = study
    engine = Fake(lambda trial_id: store.root.exists() and store.root.rename(tmp_path / "moved"))
    with pytest.raises(StoreError, match="the study was removed or renamed"):
        watch(engine, store, list(trials), Progress(trials), cancel_mark=0)
    assert not store.root.exists()


def test_a_trial_that_hangs_is_named_and_ended_when_asked_for(
    study: tuple[Store, dict[str, Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trials = study
    hanging, other = trials
    progress, engine = Progress(trials), Fake()
    ended: list[str] = []
    held = store.claim(hanging)
    held.__enter__()
    store.record_failure(other, "", "")
    with store.claim(other):
        pass

    def end(trial_id: str) -> None:
        ended.append(trial_id)
        store.record_failure(trial_id, "", "")

    engine.end = end  # type: ignore[method-assign]
    monkeypatch.setattr("seedstudy.engines.watch._QUIET_S", 0.2)
    started = time.monotonic()
    watch(engine, store, list(trials), progress, cancel_mark=0, hang_timeout_s=1.0)
    held.__exit__(None, None, None)
    assert ended == [hanging]
    assert time.monotonic() - started > 1.0
    assert f"{hanging}: no progress for 0 min, pid {os.getpid()} on " in progress.notes[0]
    assert "its process is ended" in progress.notes[1]
    assert len(progress.notes) == 2


def test_a_slow_training_does_not_hang(study: tuple[Store, dict[str, Trial]]) -> None:
    assert longest_quiet_s({}) == 600
    assert longest_quiet_s({"longest_s": 3.0}) == 600
    assert longest_quiet_s({"longest_s": 120.0}) == 1200


def test_cancelled_from_elsewhere_it_ends(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    with pytest.raises(Cancelled):
        watch(Fake(lambda trial_id: store.mark_cancelled()), store, list(trials), Progress(trials), cancel_mark=0)
