"""Workers that train several seeds side by side: how many, which, and each published on its own."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from seedstudy.data.base import Dataset
from seedstudy.engines import local, worker
from seedstudy.engines.attempts import EXIT_FAILED
from seedstudy.engines.worker import StackSizes, _Worker, fair_shares, kind_of
from seedstudy.errors import StoreError
from seedstudy.files import writing
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement, placed
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from seedstudy.train import stacks
from tests.engines.places import Local, log, store

MakeTrial = Callable[..., Trial]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the models whose steps are timed; four seeds pay."""
    models: list[str] = []

    def choose_size(model: str, *_: object, limit: int, **__: object) -> tuple[int, str]:
        models.append(model)
        return min(4, limit), "four seeds stacked"

    monkeypatch.setattr(stacks, "choose_size", choose_size)
    return models


def test_seeds_of_one_kind_are_shared_out_among_the_slots(make_trial: MakeTrial) -> None:
    trials = [make_trial(seed, name=name) for seed in range(5) for name in ("a2", "a3")]
    assert fair_shares(trials, 2) == {kind_of(trials[0]): 3, kind_of(trials[1]): 3}
    assert kind_of(trials[0]) == kind_of(trials[2]) != kind_of(trials[1])


def test_a_kind_is_measured_once(make_trial: MakeTrial, measured: list[str]) -> None:
    sizes, notes = StackSizes(None), list[str]()
    assert sizes.of(make_trial(0), 10, 500, limit=8, say=notes.append) == 4
    assert sizes.of(make_trial(1), 10, 500, limit=3, say=notes.append) == 3
    assert (measured, notes) == (["resnet8_nano"], ["four seeds stacked"])
    learnt = StackSizes(None)
    learnt.known |= sizes.known
    assert learnt.of(make_trial(2), 10, 500, limit=8, say=notes.append) == 4
    assert (len(measured), len(notes)) == (1, 1)


def test_nothing_is_measured_where_no_stack_is_wished_or_possible(make_trial: MakeTrial, measured: list[str]) -> None:
    assert StackSizes(1).of(make_trial(0), 10, 500, limit=8, say=print) == 1
    assert StackSizes(None).of(make_trial(0), 10, 500, limit=1, say=print) == 1
    assert measured == []


@pytest.fixture
def place(cache: Path) -> Iterator[Local]:
    place = Local(cache)
    yield place
    place.close()


class _Trips(_Worker):
    """Trips over every trial of seed 0, and trains none."""

    def _claim(self, trial_id: str, leases: ExitStack) -> int | None:
        if "-s0-" in trial_id:
            raise TypeError("a lease that another program wrote")
        return super()._claim(trial_id, leases)

    def _load(self, trial: Trial, prepared: str | None) -> Dataset:
        if trial.seed == 1:
            raise OSError(errno.EIO, "Input/output error", "prepared/train.npy")
        raise StoreError("nobody can train this") if trial.seed == 3 else RuntimeError("boom")


def test_a_trial_at_which_the_worker_trips_shuts_out_no_other(
    tmp_path: Path, make_trial: MakeTrial, capfd: pytest.CaptureFixture[str]
) -> None:
    made = Store(tmp_path, "main")
    trials = [make_trial(seed) for seed in range(4)]
    made.plan(Study(recipes=("a2",)), trials)
    zero, one, two, three = (trial.trial_id for trial in trials)
    (made.folder(two) / "spec.json").write_text("{")
    worker = _Trips(made, lambda: False, tmp_path, StackSizes(1))  # type: ignore[arg-type]
    assert worker.train([zero, one, two], None, 1) == EXIT_FAILED
    reasons = {trial_id: made.failure(trial_id)["reason"] for trial_id in (zero, one, two)}
    assert reasons[zero] == "TypeError: a lease that another program wrote"
    assert reasons[one] == "OSError: [Errno 5] Input/output error: 'prepared/train.npy'"
    assert reasons[two].startswith("DamagedError: ")
    assert "spec.json: damaged" in reasons[two]
    with pytest.raises(StoreError, match="nobody can train this"):  # true for every trial: the launcher says so
        worker.train([three], None, 1)
    assert not made.has_ended(three)


def test_a_result_waits_for_room_on_the_disk(
    tmp_path: Path, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seedstudy.engines.attempts._WRITE_PAUSE_S", 0.0)
    worker = _Trips(Store(tmp_path, "main"), lambda: False, tmp_path, StackSizes(1))  # type: ignore[arg-type]
    errors = [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded")]

    def write() -> str:
        if errors:
            with writing(tmp_path):
                raise errors.pop()
        return "written"

    assert worker._lasting(write, "result") == "written"
    assert capfd.readouterr().err.count("the result is not written yet") == 2
    errors.append(OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(StoreError, match="Permission denied"):  # nobody waits for that to pass
        worker._lasting(write, "result")


@pytest.mark.parametrize(("is_told", "has_failed"), [(True, False), (False, True)])
def test_a_rank_that_trips_over_the_death_of_another_has_not_failed(
    is_told: bool,
    has_failed: bool,
    tmp_path: Path,
    make_trial: MakeTrial,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("seedstudy.engines.attempts._PEER_WAIT_S", 0.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    made, trial = Store(tmp_path, "main"), make_trial(0)
    made.plan(Study(recipes=("a2",)), [trial])
    worker = _Trips(made, lambda: is_told, tmp_path, StackSizes(1))  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        worker._record_failure(trial.trial_id, RuntimeError("Connection closed by peer"))
    assert made.has_ended(trial.trial_id) == has_failed


@pytest.mark.slow
def test_each_seed_of_a_stack_is_a_trial_of_its_own(place: Local, tmp_path: Path) -> None:
    code, _, err = place.finish(tmp_path, "--epochs", "2", "-m", "resnet8_nano", "--stack", "3", "--seeds", "5")
    assert code == 0, err
    records = {}
    for trial_id in store(tmp_path).trial_ids():
        record = json.loads((store(tmp_path).folder(trial_id) / "trial.json").read_text())
        records[store(tmp_path).read_spec(trial_id).seed] = record
    assert {seed: record["provenance"]["stack"] for seed, record in records.items()} == {0: 3, 1: 3, 2: 3, 3: 2, 4: 2}
    assert len({record["sha256"]["predictions.parquet"] for record in records.values()}) == 5
    first = next(trial_id for trial_id in store(tmp_path).trial_ids() if "-s0-" in trial_id)
    assert "in a stack of 3: seeds 0, 1, 2" in log(tmp_path, first)


@pytest.mark.parametrize("given", [{}, {"deterministic": True, "eval_every": 3, "stack": "auto"}, {"compile": "on"}])
def test_determinism_and_the_pace_of_evaluation_reach_every_worker(
    given: dict[str, object], tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = placed(Placement(), given)
    command = local.trial_command(Store(tmp_path, "main"), ["a"], local.Work(), wanted)
    got: list[Placement] = []
    monkeypatch.setattr(worker, "main", lambda *_, placement, **__: got.append(placement) or 0)
    code, _, error = cli(*command[command.index("trial") :])
    assert code == 0, error
    assert got == [wanted]
