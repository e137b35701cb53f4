"""Trials in the queue of a Slurm cluster with a shared file system: arrays of jobs that run `seedstudy trial`.

Only sbatch, squeue, scancel and scontrol are called; no accounting database is needed, which many clusters lack.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from seedstudy.engines.local import cpu_environment, trial_command
from seedstudy.engines.watch import Say
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement

_CALL_TIMEOUT_S = 60.0
_SECONDS_TO_STOP = 120
"""Before the time limit, when Slurm sends the signal to stop."""

_GONE = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
)


class SlurmEngine:
    """Arrays of jobs; they outlive the launcher, and the next one finds them in the study's folder."""

    outlives_launcher = True
    pause_s = 5.0

    def __init__(self, store: Store, placement: Placement, *, prepared: Path, say: Say) -> None:
        if placement.gpus is not None and placement.gpus % 1:
            raise StudyError(f"--gpus {placement.gpus:g}: Slurm gives whole GPUs; --engine ray or local shares them.")
        self._store, self._placement, self._prepared, self._say = store, placement, prepared, say
        self._header = _header(placement.template)
        self._jobs = store.jobs("slurm")
        self._held: set[str] = set()

    def submit(self, trial_ids: Sequence[str]) -> None:
        size = self._placement.trials_per_job
        tasks = [trial_ids[start : start + size] for start in range(0, len(trial_ids), size)]
        limit = _max_array_size()
        for start in range(0, len(tasks), limit):
            array = [list(task) for task in tasks[start : start + limit]]
            job = _call(["sbatch", *self._options(len(array))], stdin=self._script(array)).strip().partition(";")[0]
            self._store.record_job(job, "slurm", array)
            self._jobs[job] = array
            self._say(f"slurm job {job}: {len(array)} tasks")

    def poll(self) -> set[str]:
        """Return the trials that the queue still has; while Slurm does not answer, those it had before."""
        if not self._jobs:
            return set()
        try:
            listed = _call(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(self._jobs), "-o", "%i|%T|%r"])
        except SeedstudyError as error:
            if "Invalid job id" not in str(error):
                self._say(f"{error} Asking again.")
                return self._held
            listed = ""  # the only job is so old that Slurm has forgotten it
        states = {task: state for task, state, _ in (line.split("|", 2) for line in listed.splitlines())}
        self._held = set()
        for job, array in list(self._jobs.items()):
            alive = [i for i in range(len(array)) if states.get(f"{job}_{i}", "COMPLETED") not in _GONE]
            self._held.update(trial_id for i in alive for trial_id in array[i])
            if not alive:
                self._store.remove_job(job)
                del self._jobs[job]
        return self._held

    def cancel(self) -> None:
        if self._jobs:
            cancel(self._jobs)

    def _options(self, n_tasks: int) -> list[str]:
        placement = self._placement
        logs = self._store.root / "logs"
        logs.mkdir(exist_ok=True)
        at_a_time = "" if placement.workers is None else f"%{placement.workers}"
        # torchrun passes on SIGTERM, but not SIGUSR1
        signal = "USR1" if placement.processes == 1 else "TERM"
        return [
            "--parsable",
            f"--array=0-{n_tasks - 1}{at_a_time}",
            "--requeue",
            "--open-mode=append",
            f"--signal=B:{signal}@{_SECONDS_TO_STOP}",
            f"--job-name=seedstudy-{self._store.study}",
            f"--output={logs.absolute()}/slurm-%A_%a.txt",
            *([f"--cpus-per-task={placement.cores * placement.processes}"] if placement.cores > 1 else []),
            *([f"--gres=gpu:{int(placement.gpus) * placement.processes}"] if placement.gpus else []),
        ]

    def _script(self, tasks: Sequence[Sequence[str]]) -> str:
        """Return the job's script; trial ids have passed `check_name`, everything else is quoted."""
        command = trial_command(self._store, (), self._prepared, self._placement)
        lines = [
            self._header,
            *(f"export {key}={shlex.quote(value)}" for key, value in cpu_environment(self._placement.cores).items()),
            "trials=(",
            *(f'  "{" ".join(task)}"' for task in tasks),
            ")",
            f"exec {shlex.join(command)} ${{trials[$SLURM_ARRAY_TASK_ID]}}",  # exec, so that signals reach Python
        ]
        return "\n".join(lines) + "\n"


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs from the queue; running ones receive SIGTERM."""
    _call(["scancel", *jobs])


def _header(template: Path | None) -> str:
    """Return the template, unchanged, for the top of the job's script."""
    if template is None:
        return "#!/bin/bash"
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{template}: cannot read the template ({getattr(error, 'strerror', error)}).") from error
    first = text.partition("\n")[0]
    if not first.startswith("#!") or not first.endswith("bash"):
        raise StudyError(f"{template}: the first line must name bash: #!/bin/bash.")
    return text.rstrip()


def _max_array_size() -> int:
    for line in _call(["scontrol", "show", "config"]).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize":
            return int(value)
    return 1001  # Slurm's default


def _call(command: Sequence[str], stdin: str | None = None) -> str:
    """Run one of Slurm's commands and return what it prints."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=_CALL_TIMEOUT_S)
    except FileNotFoundError as error:
        what = "no such command: --engine slurm needs a machine of the cluster."
        raise SeedstudyError(f"{command[0]}: {what}") from error
    except subprocess.TimeoutExpired as error:
        raise SeedstudyError(f"{command[0]}: no answer within {_CALL_TIMEOUT_S:g} s.") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise SeedstudyError(f"{command[0]}: {words[-1]}.")
    return done.stdout
