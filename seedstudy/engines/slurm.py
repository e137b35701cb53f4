"""Trials in the queue of a Slurm cluster with a shared file system: arrays of jobs that run `seedstudy trial`.

Only sbatch, squeue, scancel and scontrol are called; no accounting database is needed, which many clusters lack.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, EXIT_USAGE
from seedstudy.engines.local import MEETING, MEETING_ID, Work, complaint_in, cpu_environment, trial_command
from seedstudy.engines.watch import Say
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.files import writing
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement

_CALL_TIMEOUT_S = 60.0
_SECONDS_TO_STOP = 120
"""Before the time limit, when Slurm sends the signal to stop."""
_SHORTEST_S = 2 * _SECONDS_TO_STOP
"""Under a shorter limit, a task would be asked to stop as soon as it has begun, and ask for another turn, for ever."""

_GONE = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
)


class SlurmEngine:
    """Arrays of jobs; they outlive the launcher, and the next one finds them in the study's folder."""

    outlives_launcher = True
    pause_s = 5.0

    def __init__(self, store: Store, placement: Placement, *, work: Work, say: Say) -> None:
        if placement.gpus is not None and placement.gpus % 1:
            raise StudyError(f"--gpus {placement.gpus:g}: Slurm gives whole GPUs; --engine ray or local shares them.")
        self._store, self._placement, self._work, self._say = store, placement, work, say
        self._header = _header(placement.template)
        self._jobs = store.jobs("slurm")
        # Until the queue has answered, it may have all of them: to submit them again would be the mistake.
        self._held = {trial_id for array in self._jobs.values() for task in array for trial_id in task}
        self._seen: set[str] = set()
        """Tasks that this launcher has submitted, or seen in the queue."""
        self._withdrawn: set[str] = set()

    def submit(self, trial_ids: Sequence[str]) -> None:
        size = self._placement.trials_per_job
        tasks = [trial_ids[start : start + size] for start in range(0, len(trial_ids), size)]
        limit = _max_array_size()
        for start in range(0, len(tasks), limit):
            array = [list(task) for task in tasks[start : start + limit]]
            job = _call(["sbatch", *self._options(len(array))], stdin=self._script(array)).strip().partition(";")[0]
            try:
                _check_time_limit(job)
                self._store.record_job(job, "slurm", array)
            except SeedstudyError:
                cancel([job])
                raise
            self._jobs[job] = array
            self._seen.update(f"{job}_{i}" for i in range(len(array)))
            self._held.update(trial_id for task in array for trial_id in task)
            self._say(f"slurm job {job}: {len(array)} tasks")

    def poll(self) -> set[str]:
        """Return the trials that the queue still has; while Slurm does not answer, those it had before."""
        if not self._jobs:
            return set()
        try:
            listed = _squeue(self._jobs, "JobArrayID", "State", "exit_code")
        except SeedstudyError as error:
            if "Invalid job id" not in str(error):
                self._say(f"{error} Asking again.")
                return self._held
            listed = []  # the only job is so old that Slurm has forgotten it
        states = {task: (state, status) for task, state, status in listed}
        self._held = set()
        for job, array in list(self._jobs.items()):
            is_alive = False
            for i, trial_ids in enumerate(array):
                task = f"{job}_{i}"
                state, status = states.get(task, ("COMPLETED", "0"))
                if state not in _GONE:
                    is_alive = True
                    self._seen.add(task)
                    self._held.update(trial_ids)
                elif task in self._seen:  # what ended before this launcher began is submitted again without a word
                    self._seen.remove(task)
                    self._note_end(task, trial_ids, state, status)
            if not is_alive:
                self._store.remove_job(job)
                del self._jobs[job]
        return self._held

    def _note_end(self, task: str, trial_ids: Sequence[str], state: str, status: str) -> None:
        """Say why a task ended before its trials did; one that a person cancelled is not submitted again."""
        unfinished = [trial_id for trial_id in trial_ids if not self._store.has_ended(trial_id)]
        if state == "CANCELLED":
            self._withdrawn.update(unfinished)
            return
        log = self._store.root / "logs" / f"slurm-{task}.txt"
        code = os.waitstatus_to_exitcode(int(status)) if status.isdecimal() else None
        if code == EXIT_USAGE and (complaint := complaint_in(_text_of(log))):
            raise SeedstudyError(complaint)
        if unfinished and code not in (EXIT_OK, EXIT_FAILED, EXIT_STOPPED):
            how = state.lower() if code is None else f"{state.lower()}, exit status {code}"
            self._say(f"slurm task {task}: {how}, without a result of {', '.join(unfinished)}; see {log}")

    def withdrawn(self) -> set[str]:
        return self._withdrawn

    def end(self, trial_id: str) -> None:
        holder = self._store.holder(trial_id)
        task = "" if holder is None else holder.job.removeprefix("slurm:")
        if task.partition("_")[0] in self._jobs:
            try:
                _call(["scontrol", "requeue", "--", task])  # it kills the task first
            except SeedstudyError as error:
                self._say(str(error))

    def cancel(self) -> None:
        if self._jobs:
            cancel(self._jobs)

    def _options(self, n_tasks: int) -> list[str]:
        placement = self._placement
        logs = self._store.root / "logs"
        with writing(logs):
            logs.mkdir(exist_ok=True)
        at_a_time, waits_for = "", list[str]()
        if placement.workers is not None:
            at_a_time = f"%{placement.workers}"
            # That is the limit of one array: the next one waits for those that the queue still has.
            waits_for = sorted({task.partition("_")[0] for task in self._seen}, key=int)
        # To the batch script, which is Python, or torchrun, which passes on SIGTERM, but not SIGUSR1; or to all that
        # srun has started, because srun itself would give up at the first.
        signal = "B:USR1" if placement.n_processes == 1 else "B:TERM" if placement.nodes == 1 else "TERM"
        n_cores = placement.cores * placement.processes
        return [
            "--parsable",
            f"--array=0-{n_tasks - 1}{at_a_time}",
            *([f"--dependency=afterany:{':'.join(waits_for)}"] if waits_for else []),
            "--requeue",
            "--open-mode=append",
            f"--signal={signal}@{_SECONDS_TO_STOP}",
            f"--job-name=seedstudy-{self._store.study}",
            f"--output={logs.absolute()}/slurm-%A_%a.txt",
            *([f"--nodes={placement.nodes}", "--ntasks-per-node=1"] if placement.nodes > 1 else []),
            *([f"--cpus-per-task={n_cores}"] if n_cores > 1 else []),
            *([f"--gres=gpu:{int(placement.gpus) * placement.processes}"] if placement.gpus else []),
        ]

    def _script(self, tasks: Sequence[Sequence[str]]) -> str:
        """Return the job's script; trial ids have passed `check_name`, everything else is quoted."""
        placement = self._placement
        command = trial_command(self._store, (), self._work, placement)
        meeting = []
        if placement.nodes > 1:
            # The job's first machine runs this script. srun asks for cores anew (since Slurm 22.05).
            meeting = [f'export {MEETING}="$(hostname):$((20000 + SLURM_JOB_ID % 20000))" {MEETING_ID}="$SLURM_JOB_ID"']
            each = [f"--ntasks={placement.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
            command = ["srun", *each, f"--cpus-per-task={placement.cores * placement.processes}", *command]
        lines = [
            self._header,
            *(f"export {key}={shlex.quote(value)}" for key, value in cpu_environment(placement.cores).items()),
            *meeting,
            "trials=(",
            *(f'  "{" ".join(task)}"' for task in tasks),
            ")",
            f"exec {shlex.join(command)} ${{trials[$SLURM_ARRAY_TASK_ID]}}",  # exec, so that signals reach Python
        ]
        return "\n".join(lines) + "\n"


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs from the queue; running ones receive SIGTERM."""
    _call(["scancel", "--", *jobs])


def _squeue(jobs: Iterable[str], *columns: str) -> list[list[str]]:
    """Ask for every task of some jobs, also of those that ended a short while ago."""
    widths = ",".join(f"{column}:80" for column in columns)
    listed = _call(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(jobs), "-O", widths])
    rows = [line.split() for line in listed.splitlines()]
    return [row for row in rows if len(row) == len(columns)]


def _check_time_limit(job: str) -> None:
    """Raise StudyError where a job's time limit is too short to train anything before the signal to stop."""
    try:
        limits = [_seconds(limit) for (limit,) in _squeue([job], "TimeLimit")]
    except SeedstudyError:  # it may be done already
        return
    if known := [limit for limit in limits if limit is not None and limit < _SHORTEST_S]:
        raise StudyError(
            f"a time limit of {known[0] // 60} min is too short: tasks are to stop {_SECONDS_TO_STOP} s before it; "
            f"give at least {_SHORTEST_S // 60} min (#SBATCH --time=… in the template)."
        )


def _seconds(limit: str) -> int | None:
    """Return a time limit such as 1-00:00:00 or 5:00; None for those without a number (UNLIMITED, NOT_SET)."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in (*parts, days or "0")):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


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
        if key.strip() == "MaxArraySize" and value.strip().isdecimal():
            return max(1, int(value))
    return 1001  # Slurm's default


def _call(command: Sequence[str], stdin: str | None = None) -> str:
    """Run one of Slurm's commands and return what it prints."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, errors="replace", timeout=_CALL_TIMEOUT_S
        )
    except FileNotFoundError as error:
        what = "no such command: --engine slurm needs a machine of the cluster."
        raise SeedstudyError(f"{command[0]}: {what}") from error
    except OSError as error:
        raise SeedstudyError(f"{command[0]}: cannot be run ({error.strerror}).") from error
    except subprocess.TimeoutExpired as error:
        raise SeedstudyError(f"{command[0]}: no answer within {_CALL_TIMEOUT_S:g} s.") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise SeedstudyError(f"{command[0]}: {words[-1]}.")
    return done.stdout
