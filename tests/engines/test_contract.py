"""What every engine owes a study: one result per trial, none lost, the same numbers, whatever dies.

The cases run on this machine with the slow tests; on Slurm where SEEDSTUDY_TEST_SLURM_CONF names the slurm.conf of a
throw-away cluster on this machine, and on Ray where SEEDSTUDY_TEST_RAY is set (root, for a network namespace).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.places import (
    WAIT_S,
    Local,
    Ray,
    RayCluster,
    Results,
    Slurm,
    in_flight,
    kill,
    log,
    results,
    store,
    wait_for,
)

CONF, RAY = os.environ.get("SEEDSTUDY_TEST_SLURM_CONF"), os.environ.get("SEEDSTUDY_TEST_RAY")
pytestmark = pytest.mark.slow
on_slurm = [
    pytest.mark.cluster,
    pytest.mark.skipif(not CONF, reason="needs a throw-away Slurm: SEEDSTUDY_TEST_SLURM_CONF=/path/to/slurm.conf"),
]
on_ray = [pytest.mark.cluster, pytest.mark.skipif(not RAY, reason="needs Ray and root: SEEDSTUDY_TEST_RAY=1")]


@pytest.fixture(scope="session")
def ray_cluster(cache: Path) -> Iterator[RayCluster]:
    cluster = Ray(cache, None).cluster
    yield cluster
    cluster.close()


@pytest.fixture(
    params=["local", pytest.param("slurm", marks=on_slurm), pytest.param("ray", marks=on_ray)],
)
def place(request: pytest.FixtureRequest, cache: Path, tmp_path: Path) -> Iterator[Local]:
    match request.param:
        case "local":
            place = Local(cache)
        case "slurm":
            place = Slurm(cache, Path(CONF or ""), tmp_path / "template.sh")
        case _:
            place = Ray(cache, request.getfixturevalue("ray_cluster"))
    yield place
    place.close()


def test_finishes_with_the_numbers_of_every_other_engine(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert results(tmp_path) == undisturbed
    assert not list(tmp_path.glob("results/main/trials/*/checkpoint.pt"))


def test_an_exception_is_recorded_and_not_tried_again_by_itself(
    place: Local, tmp_path: Path, undisturbed: Results
) -> None:
    place.break_trainings("raise RuntimeError('boom')")
    code, _, err = place.finish(tmp_path)
    assert code == 1, err
    failures = sorted(tmp_path.glob("results/main/trials/*/failure.json"))
    assert len(failures) == 2  # the first failure did not sink the second trial
    record = store(tmp_path).failure(failures[0].parent.name)
    assert record["reason"] == "RuntimeError: boom"
    assert record["traceback"].startswith("Traceback")
    assert (record["epoch"], record["attempt"]) == (1, 1)
    assert "RuntimeError: boom" in log(tmp_path, failures[0].parent.name)
    place.break_trainings(None)
    code, _, err = place.finish(tmp_path)
    assert code == 1
    assert "2 trials failed earlier and are left alone" in err
    code, _, err = place.finish(tmp_path, "--retry-failed")
    assert code == 0, err
    assert results(tmp_path) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_halfway_is_replaced_and_its_trial_goes_on(
    number: signal.Signals, place: Local, tmp_path: Path, undisturbed: Results
) -> None:
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
    os.kill(holder.pid, number)
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 0, err
    assert results(tmp_path) == undisturbed
    words = log(tmp_path, trial_id)
    assert "resumed at epoch" in words
    assert ("stopped on request" in words) == (number == signal.SIGTERM)
    last = store(tmp_path).holder(trial_id)
    assert last is not None
    assert last.n_lost == (number == signal.SIGKILL)


def test_a_machine_that_dies_loses_no_trial(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
    place.kill_machine(tmp_path, holder)
    place.mend_machine(tmp_path)
    assert results(tmp_path) == undisturbed
    assert "resumed at epoch" in log(tmp_path, trial_id)


def test_a_killed_launcher_loses_no_trial(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    kill(launcher.pid)
    launcher.communicate()
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert results(tmp_path) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_a_launcher_in_order_and_with_a_word(
    number: signal.Signals, place: Local, tmp_path: Path, undisturbed: Results
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as under nohup, and so it is by what is started")
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    os.kill(launcher.pid, number)
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 128 + number
    assert "interrupted: 0 of 2 trials are finished and safe; " in err
    assert err.splitlines()[-1] == f"seedstudy: ended by {number.name}"
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert results(tmp_path) == undisturbed


def test_python_that_raises_is_no_failed_trial(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    place.break_trainings("os._exit(1)")  # as Python ends where it raises
    launcher = place.start(tmp_path, "--seeds", "1")
    wait_for(lambda: any(store(tmp_path).holder(each) for each in store(tmp_path).trial_ids()), "a trial that began")
    (trial_id,) = store(tmp_path).trial_ids()
    if isinstance(place, Slurm):
        wait_for(lambda: launcher.poll() is not None or (place.now(), False)[1], "the launcher to end")
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 1, err
    assert "exit status 1" in err
    assert store(tmp_path).failure(trial_id)["reason"] == "its process died 3 times in a row without progress"


def test_a_training_that_hangs_is_ended_and_trained_again(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    launcher = place.start(tmp_path, "--hang-timeout", "1")
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
    os.kill(holder.pid, signal.SIGSTOP)
    if isinstance(place, Slurm):
        wait_for(lambda: place.now() or launcher.poll() is not None, "the requeued job to end")
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 0, err
    assert f"{trial_id}: no progress for 1 min (--hang-timeout); its process is ended" in err
    assert results(tmp_path) == undisturbed
    assert "resumed at epoch" in log(tmp_path, trial_id)


def test_two_launchers_share_a_study(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    both = [place.start(tmp_path) for _ in range(2)]
    for launcher in both:
        _, err = launcher.communicate(timeout=WAIT_S)
        assert launcher.returncode == 0, err
    assert results(tmp_path) == undisturbed


def test_done_again_it_is_done_once(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    assert place.finish(tmp_path)[0] == 0
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/main/trials/*/trial.json")}
    if isinstance(place, Slurm):
        wait_for(lambda: len(place.tasks("COMPLETED")) == 2, "the tasks to leave")  # after their results
        for task in place.tasks("COMPLETED"):
            place.ask("scontrol", "requeue", task)
        wait_for(lambda: len(place.tasks()) == 2, "Slurm to take them back")
        wait_for(lambda: place.now() or not place.tasks(), "the requeued jobs to end")
    again = place.call(tmp_path, "trial", "results/main", *undisturbed)
    assert again.returncode == 0, again.stderr
    assert place.finish(tmp_path)[0] == 0
    assert results(tmp_path) == undisturbed
    assert all(path.stat().st_mtime_ns == at for path, at in done.items())


def test_cancelled_it_stops_in_order_and_goes_on_later(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    # Each epoch takes seconds, so that `cancel` comes before the last one on a busy machine too.
    place.break_trainings("__import__('time').sleep(3)", at="progress.json")
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    done = place.call(tmp_path, "cancel")
    assert done.returncode == 0, done.stderr
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 130
    assert "cancelled:" in err
    wait_for(lambda: not any(map(store(tmp_path).is_running, undisturbed)), "the trials to stop")
    place.break_trainings(None)
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert results(tmp_path) == undisturbed


# --- Ray alone --------------------------------------------------------------------------------------------


HALVES = ("--seeds", "1", "--set", "micro_batch=64")
"""Options of a trial that two processes share."""


def on_one_machine(cache: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Train a trial with two processes of this machine; returns its folder, and an empty one for two machines."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    code, _, err = Local(cache).finish(one, "--processes", "2", *HALVES)
    assert code == 0, err
    return one, two


@pytest.mark.cluster
@pytest.mark.skipif(not RAY, reason="needs Ray and root: SEEDSTUDY_TEST_RAY=1")
def test_a_worker_of_ray_that_is_killed_alone_takes_its_training_along(
    cache: Path, ray_cluster: RayCluster, tmp_path: Path, undisturbed: Results
) -> None:
    place = Ray(cache, ray_cluster)
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
    parent = subprocess.run(["ps", "-o", "ppid=", "-p", str(holder.pid)], capture_output=True, text=True, check=True)
    kill(int(parent.stdout))
    _, err = launcher.communicate(timeout=WAIT_S)
    place.close()
    assert launcher.returncode == 0, err
    assert results(tmp_path) == undisturbed
    assert "stopped on request" in log(tmp_path, trial_id)


@pytest.mark.cluster
@pytest.mark.skipif(not RAY, reason="needs Ray and root: SEEDSTUDY_TEST_RAY=1")
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_trial_on_two_machines_of_ray_gives_the_numbers_of_two_processes_on_one(
    cache: Path, ray_cluster: RayCluster, tmp_path: Path, is_killed: bool
) -> None:
    one, two = on_one_machine(cache, tmp_path)
    place = Ray(cache, ray_cluster)
    launcher = place.start(two, "--nodes", "2", *HALVES)
    wait_for(lambda: in_flight(two), "a trial in flight")
    if is_killed:
        _, holder = in_flight(two) or pytest.fail("nothing in flight")
        kill(holder.pid)
    _, err = launcher.communicate(timeout=WAIT_S)
    place.close()
    assert launcher.returncode == 0, err
    assert results(two) == results(one)


# --- Slurm alone ------------------------------------------------------------------------------------------


@pytest.fixture
def slurm(cache: Path, tmp_path: Path) -> Iterator[Slurm]:
    place = Slurm(cache, Path(CONF or ""), tmp_path / "template.sh")
    yield place
    place.close()


@pytest.mark.cluster
@pytest.mark.skipif(not CONF, reason="needs a throw-away Slurm: SEEDSTUDY_TEST_SLURM_CONF=/path/to/slurm.conf")
class TestSlurmAlone:
    def test_near_its_time_limit_a_job_writes_its_state_and_asks_for_another_turn(
        self, slurm: Slurm, tmp_path: Path, undisturbed: Results
    ) -> None:
        launcher = slurm.start(tmp_path)
        wait_for(lambda: in_flight(tmp_path), "a trial in flight")
        trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
        slurm.ask("scancel", "--batch", "--signal=USR1", holder.job.partition(":")[2])
        wait_for(lambda: slurm.now() or launcher.poll() is not None, "the requeued job to end")
        assert launcher.returncode == 0, launcher.communicate()[1]
        assert results(tmp_path) == undisturbed
        assert "stopped on request" in log(tmp_path, trial_id)
        last = store(tmp_path).holder(trial_id)
        assert last is not None
        assert last.job == holder.job  # the same task, not a new submission

    def test_what_exceeds_an_array_goes_into_several(self, slurm: Slurm, tmp_path: Path) -> None:
        limit = int(slurm.ask("bash", "-c", "scontrol show config | grep MaxArraySize").split()[-1])
        if limit > 10:
            pytest.skip(f"MaxArraySize is {limit}: set it to 2 in the throw-away cluster's slurm.conf")
        launcher = slurm.start(tmp_path, "--seeds", str(limit + 1), "--epochs", "1", "--workers", "1")
        n_most = 0
        while launcher.poll() is None:
            n_most = max(n_most, len(slurm.tasks("RUNNING")))
            time.sleep(0.5)
        _, err = launcher.communicate()
        assert launcher.returncode == 0, err
        assert n_most == 1  # of both arrays together
        assert f": {limit} tasks" in err
        assert ": 1 tasks" in err
        assert len(results(tmp_path)) == limit + 1

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_a_trial_on_two_nodes_gives_the_numbers_of_two_processes_on_one(
        self, slurm: Slurm, tmp_path: Path, cache: Path, is_killed: bool
    ) -> None:
        one, two = on_one_machine(cache, tmp_path)
        launcher = slurm.start(two, "--nodes", "2", *HALVES)
        wait_for(lambda: in_flight(two), "a trial in flight")
        _, holder = in_flight(two) or pytest.fail("nothing in flight")
        job = holder.job.partition(":")[2]
        assert slurm.ask("squeue", "-h", "-r", "-j", job, "-o", "%D").strip() == "2"
        if is_killed:
            kill(holder.pid)
        wait_for(lambda: slurm.now() or launcher.poll() is not None, "the launcher to end")
        assert launcher.returncode == 0, launcher.communicate()[1]
        assert results(two) == results(one)
        if is_killed:
            assert "resumed at epoch" in log(two, next(iter(results(two))))

    def test_a_task_that_a_person_cancels_is_left_alone(
        self, slurm: Slurm, tmp_path: Path, undisturbed: Results
    ) -> None:
        launcher = slurm.start(tmp_path)
        wait_for(lambda: in_flight(tmp_path), "a trial in flight")
        trial_id, holder = in_flight(tmp_path) or pytest.fail("nothing in flight")
        slurm.ask("scancel", holder.job.partition(":")[2])
        _, err = launcher.communicate(timeout=WAIT_S)
        assert launcher.returncode == 1, err
        assert f"{trial_id}: was taken out of the queue; the same command submits it again" in err
        assert "stopped on request" in log(tmp_path, trial_id)
        code, _, err = slurm.finish(tmp_path)
        assert code == 0, err
        assert results(tmp_path) == undisturbed

    def test_a_time_limit_that_leaves_no_time_is_refused(self, slurm: Slurm, tmp_path: Path) -> None:
        (tmp_path / "short.sh").write_text("#!/bin/bash\n#SBATCH --partition=low\n#SBATCH --time=2\n")
        code, _, err = slurm.finish(tmp_path, "--template", "short.sh")
        assert code == 2
        assert "a time limit of 2 min is too short" in err.splitlines()[-1]
        wait_for(lambda: not slurm.tasks(), "the queue to be empty")

    def test_needs_no_accounting(self, slurm: Slurm, tmp_path: Path) -> None:
        asked = subprocess.run(["sacct"], env=slurm.environment, capture_output=True, text=True, check=False)
        assert asked.returncode != 0, "this cluster has accounting: the other cases show nothing about life without"

    def test_left_alone_the_jobs_go_on_and_status_tells(
        self, slurm: Slurm, tmp_path: Path, undisturbed: Results
    ) -> None:
        code, _, err = slurm.finish(tmp_path, "--detach")
        assert code == 0, err
        assert "submitted" in err
        shown = slurm.call(tmp_path, "status").stdout
        assert "queued" in shown or "running on" in shown
        code, _, err = slurm.finish(tmp_path)  # the next launcher finds the jobs: it submits nothing
        assert code == 0, err
        assert "slurm job" not in err
        assert results(tmp_path) == undisturbed

    def test_a_template_without_bash_is_refused(self, slurm: Slurm, tmp_path: Path) -> None:
        (tmp_path / "bad.sh").write_text("#SBATCH --time=1\n")
        code, _, err = slurm.finish(tmp_path, "--template", "bad.sh")
        assert code == 2
        assert "the first line must name bash" in err.splitlines()[-1]
