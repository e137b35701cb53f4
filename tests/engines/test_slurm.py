"""What is said to Slurm and understood of its answers, without one; the contract asks a real one."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seedstudy.engines import slurm
from seedstudy.engines.local import Work
from seedstudy.engines.slurm import SlurmEngine
from seedstudy.errors import SeedstudyError, StoreError, StudyError
from seedstudy.files import write_record
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement


class Queue:
    """Answers in Slurm's place and keeps the commands."""

    def __init__(self, states: dict[str, str] | None = None) -> None:
        self.calls: list[list[str]] = []
        self.scripts: list[str] = []
        self.states = states or {}
        self.statuses: dict[str, int] = {}
        self.limit = "1:00:00"
        self.error = ""

    def __call__(self, command: Sequence[str], stdin: str | None = None) -> str:
        self.calls.append(list(command))
        match command[0]:
            case "sbatch":
                self.scripts.append(stdin or "")
                return f"{100 + len(self.scripts)};cluster\n"
            case "scontrol":
                return "Configuration data as of now\nMaxArraySize            = 3\nMaxJobCount = 10000\n"
            case "squeue":
                if self.error:
                    raise SeedstudyError(self.error)
                if command[-1].startswith("TimeLimit"):
                    return f"{self.limit}\n"
                return "".join(
                    f"{task:80}{state:80}{self.statuses.get(task, 0):<80}\n" for task, state in self.states.items()
                )
        return ""


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue()
    monkeypatch.setattr(slurm, "_call", queue)
    return queue


@pytest.fixture
def make(tmp_path: Path, queue: Queue) -> Callable[..., SlurmEngine]:
    def make(folder: str = "results", **values: object) -> SlurmEngine:
        store = Store(tmp_path / folder, "main")
        store.root.mkdir(parents=True, exist_ok=True)
        placement = Placement(engine="slurm", **values)  # type: ignore[arg-type]
        return SlurmEngine(store, placement, work=Work(prepared=tmp_path / "da ta"), say=lambda text: None)

    return make


def test_arrays_are_no_longer_than_the_cluster_allows(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    make(workers=2).submit([f"t{number}" for number in range(7)])
    arrays = [call[2] for call in queue.calls if call[0] == "sbatch"]
    assert arrays == ["--array=0-2%2", "--array=0-2%2", "--array=0-0%2"]


def test_several_arrays_train_no_more_at_a_time_than_one(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    engine = make(workers=2)
    engine.submit([f"t{number}" for number in range(7)])
    queue.states = {"101_0": "COMPLETED", "101_1": "COMPLETED", "101_2": "FAILED", "102_0": "RUNNING"}
    engine.poll()
    engine.submit(["t2"])
    waiting = [
        [word.partition("=")[2] for word in call if word.startswith("--dependency")]
        for call in queue.calls
        if call[0] == "sbatch"
    ]
    assert waiting == [[], ["afterany:101"], ["afterany:101:102"], ["afterany:102"]]
    make("without a limit").submit([f"t{number}" for number in range(7)])
    assert not [word for call in queue.calls[-8:] for word in call if word.startswith("--dependency")]


def test_trials_of_one_task_stand_in_one_line(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    engine = make(trials_per_job=2)
    engine.submit(["t0", "t1", "t2"])
    assert 'trials=(\n  "t0 t1"\n  "t2"\n)' in queue.scripts[0]
    queue.states = {"101_0": "COMPLETED", "101_1": "PENDING"}
    assert engine.poll() == {"t2"}


def test_resources_are_named_only_where_they_are_given(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    make().submit(["t0"])
    make(cores=4, gpus=2.0).submit(["t0"])
    plain, rich = (call for call in queue.calls if call[0] == "sbatch")
    assert not [word for word in plain if "gres" in word or "cpus" in word]  # the template's stand
    assert {"--cpus-per-task=4", "--gres=gpu:2"} < set(rich)
    with pytest.raises(StudyError, match="Slurm gives whole GPUs"):
        make(gpus=0.5)


def test_several_machines_get_a_task_each_and_meet_at_the_first(
    make: Callable[..., SlurmEngine], queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(nodes=2, processes=4, gpus=1.0).submit(["t0"])
    (submitted,) = (call for call in queue.calls if call[0] == "sbatch")
    each = {"--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--gres=gpu:4"}
    assert each | {f"--signal=TERM@{slurm._SECONDS_TO_STOP}"} <= set(submitted)
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$PET_RDZV_ID $PET_RDZV_ENDPOINT $*"\n')
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_JOB_ID": "123456"}
    done = subprocess.run(["bash"], input=queue.scripts[0], env={**os.environ, **job}, capture_output=True, text=True)
    name, meeting, *words = done.stdout.split()
    assert (name, meeting) == ("123456", f"{socket.gethostname()}:23456")
    assert "--ntasks=2 --ntasks-per-node=1 --kill-on-bad-exit=1 --cpus-per-task=4" in " ".join(words)
    assert "--nnodes=2 --rdzv-backend=c10d --nproc-per-node=4" in " ".join(words)
    assert words[-1] == "t0"


def test_no_name_of_a_folder_is_run_by_the_shell(
    make: Callable[..., SlurmEngine], queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/echo")
    make("$(touch ran) `touch ran`; touch ran #").submit(["t0", "t1"])
    done = subprocess.run(
        ["bash"],
        input=queue.scripts[0],
        env={**os.environ, "SLURM_ARRAY_TASK_ID": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    study_dir = tmp_path / "$(touch ran) `touch ran`; touch ran #" / "main"
    assert done.stdout == f"-m seedstudy trial {study_dir} --prepared {tmp_path / 'da ta'} --stack 1 t1\n"
    assert not (tmp_path / "ran").exists()


def test_the_template_stands_first_and_as_it_is(make: Callable[..., SlurmEngine], queue: Queue, tmp_path: Path) -> None:
    template = "#!/bin/bash\n#SBATCH --time={not} %touched$\nmodule load x"
    (tmp_path / "t.sh").write_text(template)
    make(template=tmp_path / "t.sh").submit(["t0"])
    assert queue.scripts[0].startswith(template + "\nexport OMP_NUM_THREADS=1\n")
    (tmp_path / "t.sh").write_bytes(b"\xff")
    with pytest.raises(StudyError, match="cannot read the template"):
        make(template=tmp_path / "t.sh")


def test_an_answer_that_does_not_come_changes_nothing(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    engine = make()
    engine.submit(["t0", "t1"])
    queue.states = {"101_0": "RUNNING", "101_1": "PENDING"}
    assert engine.poll() == {"t0", "t1"}
    queue.error = "squeue: no answer within 60 s."
    assert engine.poll() == {"t0", "t1"}


def test_a_job_that_the_queue_has_forgotten_is_gone(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    engine = make()
    engine.submit(["t0"])
    queue.error = "squeue: slurm_load_jobs error: Invalid job id specified."
    assert engine.poll() == set()
    queue.error = ""
    assert engine.poll() == set()
    asked = [call for call in queue.calls if call[0] == "squeue" and call[-1].startswith("JobArrayID")]
    assert len(asked) == 1  # there is nothing more to ask for


def test_until_the_queue_has_answered_it_has_everything(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    make().submit(["t0", "t1"])
    queue.error = "squeue: Unable to contact slurm controller (connect failure)."
    engine = make()  # the next launcher, whose first question is not answered
    assert engine.poll() == {"t0", "t1"}
    engine.submit(["t2"])
    assert engine.poll() == {"t0", "t1", "t2"}


def test_a_task_that_a_person_cancelled_is_left_alone_until_the_next_command(
    make: Callable[..., SlurmEngine], queue: Queue
) -> None:
    engine = make()
    engine.submit(["t0", "t1"])
    queue.states = {"101_0": "CANCELLED", "101_1": "RUNNING"}
    assert engine.poll() == {"t1"}
    assert engine.withdrawn() == {"t0"}
    again = make()
    assert again.poll() == {"t1"}
    assert again.withdrawn() == set()


@pytest.mark.parametrize("limit", ["1:00", "3:59", "0:30"])
def test_a_time_limit_that_leaves_no_time_to_train_is_refused(
    limit: str, make: Callable[..., SlurmEngine], queue: Queue
) -> None:
    queue.limit = limit
    engine = make()
    with pytest.raises(StudyError, match="tasks are to stop 120 s before it; give at least 4 min"):
        engine.submit(["t0"])
    assert queue.calls[-1] == ["scancel", "--", "101"]
    assert make().poll() == set()


@pytest.mark.parametrize("limit", ["4:00", "1:00:00", "2-00:00:00", "UNLIMITED", "NOT_SET", "INVALID"])
def test_other_time_limits_are_not(limit: str, make: Callable[..., SlurmEngine], queue: Queue) -> None:
    queue.limit = limit
    make().submit(["t0"])


def test_a_task_that_ends_without_a_result_says_why(
    make: Callable[..., SlurmEngine], queue: Queue, tmp_path: Path
) -> None:
    engine = make()
    said: list[str] = []
    engine._say = said.append
    engine.submit(["t0", "t1", "t2", "t3"])
    said.clear()
    queue.states = dict.fromkeys(("101_0", "101_1", "101_2", "102_0"), "FAILED")
    queue.statuses = {"101_0": 1 << 8, "101_1": 9, "101_2": 75 << 8, "102_0": 10 << 8}
    engine.poll()
    engine.poll()
    assert [line.partition(", without")[0] for line in said] == [
        "slurm task 101_0: failed, exit status 1",
        "slurm task 101_1: failed, exit status -9",
    ]
    engine.submit(["t0"])
    log = tmp_path / "results" / "main" / "logs" / "slurm-103_0.txt"
    log.write_text("a line\nseedstudy: no such data: name its folder\n")
    queue.states, queue.statuses = {"103_0": "FAILED"}, {"103_0": 2 << 8}
    with pytest.raises(SeedstudyError, match=r"^no such data: name its folder$"):
        engine.poll()


@pytest.mark.parametrize("job", ["--me", "-u", "", "a b", "77,78", "../77"])
def test_no_name_in_a_record_becomes_an_option(job: str, make: Callable[..., SlurmEngine], tmp_path: Path) -> None:
    engine = make()
    folder = tmp_path / "results" / "main" / "jobs"
    folder.mkdir()
    for record in (
        {"engine": "slurm", "job": job, "tasks": [["t0"]]},
        {"engine": "slurm", "job": "77", "tasks": [["--me"]]},
        {"engine": "slurm", "job": "77", "tasks": "t0"},
        {"engine": "slurm", "job": "77"},
        {"engine": "slurm", "tasks": [["t0"]]},
        {"engine": "slurm", "job": "77", "tasks": [7]},
    ):
        write_record(folder / "77.json", record)
        with pytest.raises(StoreError, match=r"77\.json: damaged"):
            engine._store.jobs("slurm")
    (folder / "77.json").rename(folder / "--me.json")
    with pytest.raises(StoreError, match=r"--me\.json: damaged"):
        engine._store.jobs("slurm")


@pytest.mark.parametrize(("state", "is_held"), [("SUSPENDED", True), ("COMPLETING", True), ("NODE_FAIL", False)])
def test_states(state: str, is_held: bool, make: Callable[..., SlurmEngine], queue: Queue) -> None:
    engine = make()
    engine.submit(["t0"])
    queue.states = {"101_0": state}
    assert bool(engine.poll()) == is_held


def test_the_next_launcher_finds_the_jobs(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    make().submit(["t0", "t1"])
    queue.states = {"101_0": "RUNNING", "101_1": "FAILED"}
    engine = make()
    assert engine.poll() == {"t0"}
    engine.cancel()
    assert queue.calls[-1] == ["scancel", "--", "101"]


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SeedstudyError, match="needs a machine of the cluster"):
        slurm.cancel(["1"])
