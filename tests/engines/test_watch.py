"""The loop over any engine, here one that trains nothing and does as it is progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from seedstudy.data.base import Dataset
from seedstudy.engines.watch import Cancelled, StudyProgress, watch
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

    def ended(self, trial_id: str, state: str, rows: Iterable[Mapping[str, Any]]) -> None:
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
    watch(engine, store, list(trials), progress)
    assert engine.submitted == [[lost, other], [lost], [lost]]
    assert progress.ends == [(other, "ok"), (lost, "ok")]


def test_what_never_begins_is_given_up(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    engine, progress = Fake(), Progress(trials)
    watch(engine, store, list(trials), progress)
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
    watch(engine, store, list(trials), progress)
    assert engine.submitted == [[ours]]
    assert sorted(progress.ends) == sorted([(ours, "failed"), (theirs, "failed")])


def test_cancelled_from_elsewhere_it_ends(study: tuple[Store, dict[str, Trial]]) -> None:
    store, trials = study
    with pytest.raises(Cancelled):
        watch(Fake(lambda trial_id: store.mark_cancelled()), store, list(trials), Progress(trials))
