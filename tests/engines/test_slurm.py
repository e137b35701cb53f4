"""What is said to Slurm and understood of its answers, without one; the contract asks a real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seedstudy.engines import slurm
from seedstudy.engines.slurm import SlurmEngine
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement


class Queue:
    """Answers in Slurm's place and keeps the commands."""

    def __init__(self, states: dict[str, str] | None = None) -> None:
        self.calls: list[list[str]] = []
        self.scripts: list[str] = []
        self.states = states or {}
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
                return "".join(f"{task}|{state}|None\n" for task, state in self.states.items())
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
        return SlurmEngine(store, placement, prepared=tmp_path / "da ta", say=lambda text: None)

    return make


def test_arrays_are_no_longer_than_the_cluster_allows(make: Callable[..., SlurmEngine], queue: Queue) -> None:
    make(workers=2).submit([f"t{number}" for number in range(7)])
    arrays = [call[2] for call in queue.calls if call[0] == "sbatch"]
    assert arrays == ["--array=0-2%2", "--array=0-2%2", "--array=0-0%2"]


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
    assert [call[0] for call in queue.calls].count("squeue") == 1  # there is nothing more to ask for


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
    assert queue.calls[-1] == ["scancel", "101"]


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SeedstudyError, match="needs a machine of the cluster"):
        slurm.cancel(["1"])
