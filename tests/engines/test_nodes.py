"""A trial on several machines: here two torchruns of one machine, each with a process of its own (gloo)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedstudy.engines.launch import resolve
from seedstudy.engines.local import MEETING, MEETING_ID, Work, cpu_environment, trial_command
from seedstudy.study.placement import Placement
from seedstudy.study.study import Study
from tests.engines.places import WAIT_S, Local, Results, in_flight, kill, log, results, store, wait_for

HALVES = ("--set", "micro_batch=64")
"""Two micro-batches an update, one for each process."""


@pytest.fixture
def place(cache: Path) -> Iterator[Local]:
    place = Local(cache)
    yield place
    place.close()


@pytest.fixture(scope="module")
def on_one_machine(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("one")
    code, _, err = Local(cache).finish(folder, "--seeds", "1", "--processes", "2", *HALVES)
    assert code == 0, err
    return results(folder)


def planned(folder: Path, cache: Path) -> str:
    """Plan the trial of :func:`on_one_machine` in another folder."""
    study = Study(
        recipes=("a3",), data="digits", seeds=(0,), epochs=6, train_limit=256, assignments=("micro_batch=64",)
    )
    resolved = resolve(study, results=folder / "results", data_dir=None, cache_dir=cache, say=lambda text: None)
    store(folder).plan(study, resolved.trials)
    (trial,) = resolved.trials
    return trial.trial_id


def machines(place: Local, folder: Path, cache: Path, trial_id: str) -> list[subprocess.Popen[bytes]]:
    """Start the command of a trial as a queue does, once for each of two machines."""
    (prepared,) = cache.glob("digits-*")
    placement = Placement(engine="slurm", nodes=2)
    command = trial_command(store(folder), [trial_id], Work(prepared=prepared), placement)
    with socket.socket() as free:
        free.bind(("", 0))
        meeting = {MEETING: f"localhost:{free.getsockname()[1]}", MEETING_ID: "1"}
    environment = {**place.environment, **cpu_environment(1), **meeting}
    return [subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True) for _ in range(2)]


@pytest.mark.slow
@pytest.mark.long
def test_two_machines_give_the_numbers_of_two_processes_of_one(
    place: Local, tmp_path: Path, cache: Path, on_one_machine: Results
) -> None:
    trial_id = planned(tmp_path, cache)
    assert [each.wait(WAIT_S) for each in machines(place, tmp_path, cache, trial_id)] == [0, 0]
    assert results(tmp_path) == on_one_machine
    record = json.loads((store(tmp_path).folder(trial_id) / "trial.json").read_text())
    assert record["provenance"]["n_processes"] == 2


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_that_loses_a_machine_goes_on_from_its_checkpoint(
    place: Local, tmp_path: Path, cache: Path, on_one_machine: Results
) -> None:
    trial_id = planned(tmp_path, cache)
    one, other = machines(place, tmp_path, cache, trial_id)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    ranks = subprocess.run(["pgrep", "-P", str(other.pid)], capture_output=True, text=True, check=True).stdout.split()
    other.kill()
    for rank in ranks:
        kill(int(rank))
    time.sleep(15)  # a queue may take that long to notice
    one.send_signal(signal.SIGTERM)  # to what is left of the job; torchrun passes it on
    assert 0 not in [each.wait(WAIT_S) for each in (one, other)]
    assert not (store(tmp_path).folder(trial_id) / "failure.json").exists()
    assert [each.wait(WAIT_S) for each in machines(place, tmp_path, cache, trial_id)] == [0, 0]
    assert results(tmp_path) == on_one_machine
    assert "resumed at epoch" in log(tmp_path, trial_id)
