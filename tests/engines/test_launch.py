"""`run` around its engine: what is missing, and what a repeated command reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedstudy.api import studies
from seedstudy.engines import launch
from seedstudy.engines.launch import ResolvedStudy
from seedstudy.engines.local import Work
from seedstudy.errors import StudyError
from seedstudy.files import sha256
from seedstudy.store import index
from seedstudy.store.store import Scan, State, Store
from seedstudy.study.placement import Placement
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]
Outcome = tuple[dict[str, State], Scan]
STUDY = Study(recipes=("a2",))


class Engine:
    """Takes trials and has them no more at the next poll."""

    outlives_launcher = False
    pause_s = 0.0

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.train: Callable[[str], object] = lambda trial_id: None

    def submit(self, trial_ids: Any) -> None:
        for trial_id in trial_ids:
            self.submitted.append(trial_id)
            self.train(trial_id)

    def poll(self) -> set[str]:
        return set()

    def withdrawn(self) -> set[str]:
        return set()

    def end(self, trial_id: str) -> None: ...

    def cancel(self) -> None: ...


def failing(store: Store, reason: str) -> Callable[[str], None]:
    def train(trial_id: str) -> None:
        with store.claim(trial_id):
            store.record_failure(trial_id, reason, "")

    return train


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(launch, "_engine", lambda *_, **__: engine)
    monkeypatch.setattr(launch.local, "check", lambda *_: None)
    return engine


@pytest.fixture
def run(tmp_path: Path, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Return a function that runs the study of recipe a2 with two seeds."""
    trials = tuple(make_trial(seed, name="a2") for seed in range(2))
    resolved = ResolvedStudy(trials=trials, work=Work(prepared=tmp_path), n_classes=4, n_train=64)
    monkeypatch.setattr(launch, "resolve", lambda *_, **__: resolved)

    def run(**how: Any) -> Outcome:
        how = {"say": lambda line: None, **how}
        return launch.run(STUDY, results=tmp_path / "results", cache_dir=tmp_path, **how)

    return run


def test_a_repeated_run_reads_the_index_alone(
    engine: Engine,
    run: Callable[..., Outcome],
    make_store: MakeStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    make_store(n_seeds=2, a2=0.8)
    monkeypatch.setattr(index, "_SETTLED_NS", 0)
    checked: list[str] = []

    def noted(path: Path, **how: Any) -> str:
        checked.append(path.name)
        return sha256(path, **how)

    monkeypatch.setattr("seedstudy.store.store.sha256", noted)
    first = run()
    assert sorted(checked) == ["curves.parquet"] * 2 + ["predictions.parquet"] * 2
    checked.clear()
    again = run()
    assert checked == []
    assert engine.submitted == []
    assert again[0] == first[0]
    assert list(again[0].values()) == ["ok", "ok"]
    answer = studies.run(STUDY, results=tmp_path / "results", say=lambda line: None)
    assert (answer.counts, answer.is_complete) == ({"ok": 2, "diverged": 0, "failed": 0}, True)
    assert again[1].trials.equals(first[1].trials)


def test_a_damaged_trial_is_moved_aside_and_trained_again(
    engine: Engine, run: Callable[..., Outcome], make_store: MakeStore
) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    victim = store.trial_ids()[0]
    (store.folder(victim) / "trial.json").write_text("{")
    lines: list[str] = []
    engine.train = failing(store, "RuntimeError: boom")
    states, _ = run(say=lines.append)
    assert engine.submitted == [victim]
    assert states[victim] == "failed"
    assert "trial.json" in lines[0]
    assert "It is trained again" in lines[0]
    assert (next(store.folder(victim).glob("damaged-*")) / "trial.json").read_text() == "{"


def test_failed_trials_are_trained_again_only_when_asked_for(
    engine: Engine, run: Callable[..., Outcome], make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    trial = make_trial(1, name="a2")
    store.plan(STUDY, [trial])
    failing(store, "RuntimeError: boom")(trial.trial_id)
    lines: list[str] = []
    assert sorted(run(say=lines.append)[0].values()) == ["failed", "ok"]
    answer = studies.run(STUDY, results=store.root.parent, say=lambda line: None)
    assert (answer.counts, answer.is_complete) == ({"ok": 1, "diverged": 0, "failed": 1}, False)
    assert lines == ["1 of 2 trials failed earlier and are left alone; --retry-failed trains them again."]
    engine.train = failing(store, "RuntimeError: again")
    run(is_retry=True)
    assert engine.submitted == [trial.trial_id]
    assert store.failure(trial.trial_id)["reason"] == "RuntimeError: again"


def test_a_study_of_which_a_trial_was_removed_is_not_complete(
    engine: Engine, run: Callable[..., Outcome], make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store, removed = make_store(n_seeds=1, a2=0.8), make_trial(1, name="a2").trial_id
    engine.train = lambda trial_id: shutil.rmtree(store.folder(trial_id))
    assert run()[0][removed] == "planned"
    assert not studies.run(STUDY, results=store.root.parent, say=lambda line: None).is_complete


@pytest.mark.parametrize("moment", ["resolve", "check"])
def test_cancelled_while_it_prepares_it_trains_nothing(
    moment: str,
    engine: Engine,
    run: Callable[..., Outcome],
    make_store: MakeStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    place = launch if moment == "resolve" else launch.local
    before = getattr(place, moment)

    def prepare(*what: Any, **how: Any) -> Any:
        store.mark_cancelled()
        return before(*what, **how)

    lines: list[str] = []
    monkeypatch.setattr(place, moment, prepare)
    with pytest.raises(KeyboardInterrupt):
        run(say=lines.append)
    monkeypatch.setattr(place, moment, before)
    assert lines[-1] == "cancelled: 1 of 2 trials are finished and safe; the same command resumes."
    assert engine.submitted == []
    assert len(store.trial_ids()) == 1  # nothing more was planned
    engine.train = failing(store, "RuntimeError: boom")
    run()  # the next one is not cancelled
    assert len(engine.submitted) == 1


def test_only_jobs_of_a_queue_are_left_alone(run: Callable[..., Outcome]) -> None:
    assert STUDY.placement == Placement()
    with pytest.raises(StudyError, match="--detach: only the jobs of --engine slurm"):
        run(is_detached=True)
