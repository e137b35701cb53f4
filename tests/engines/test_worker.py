"""Workers that train several seeds side by side: how many, which, and each published on its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedstudy.engines.worker import StackSizes, fair_shares, kind_of
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
