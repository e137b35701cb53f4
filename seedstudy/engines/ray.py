"""Trials on a Ray cluster with a shared file system: tasks that run `seedstudy trial`, also on shares of GPUs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, EXIT_USAGE, MAX_ATTEMPTS
from seedstudy.engines.local import (
    MEETING,
    MEETING_FROM,
    MEETING_ID,
    STOP_WAIT_S,
    Work,
    complaint_in,
    cpu_environment,
    trial_command,
)
from seedstudy.engines.watch import Say
from seedstudy.errors import SeedstudyError, first_line, require_extra
from seedstudy.store.lease import JOB
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement

_PAUSE_S = 0.1
"""Between two looks at a command that runs."""
_MOST_WORDS = 10_000
"""Bytes of a command's stderr that come back to the launcher."""


@contextmanager
def _own_handler(number: signal.Signals) -> Iterator[None]:
    """Keep this program's handler of a signal: Ray puts its own in its place, which ends a launcher without order."""
    own = signal.getsignal(number)
    yield
    if own is not None and threading.current_thread() is threading.main_thread():
        signal.signal(number, own)


@dataclass(kw_only=True, slots=True)
class _Job:
    """Trials that one machine trains one after the other, or several machines together."""

    trial_ids: Sequence[str]
    tasks: list[Any]
    """One for each machine."""
    machines: Any = None
    """What keeps several machines apart and together: a placement group."""
    is_ending: bool = False


class RayEngine:
    """One task per trial and machine; Ray restarts the task of a machine that is lost. Tasks end with the launcher."""

    outlives_launcher = False
    pause_s = 1.0

    def __init__(self, store: Store, placement: Placement, *, work: Work, say: Say) -> None:
        require_extra("ray")
        import ray

        self._ray, self._store, self._placement, self._work, self._say = ray, store, placement, work, say
        self._jobs: list[_Job] = []
        if not ray.is_initialized():
            with _own_handler(signal.SIGTERM):
                ray.init(log_to_driver=False)

    def submit(self, trial_ids: Sequence[str]) -> None:
        size = self._placement.trials_per_job
        for start in range(0, len(trial_ids), size):
            ids = trial_ids[start : start + size]
            command = [*trial_command(self._store, ids, self._work, self._placement), "--attended"]
            if self._placement.nodes > 1:
                self._jobs.append(self._on_machines(ids, command))
                continue
            cores, gpus = self._share()
            run = self._ray.remote(_run).options(num_cpus=cores, num_gpus=gpus, max_retries=MAX_ATTEMPTS)
            task = run.remote(command, cpu_environment(self._placement.cores))
            self._jobs.append(_Job(trial_ids=ids, tasks=[task]))

    def _share(self) -> tuple[int, float]:
        """Return the cores and GPUs that a trial takes of a machine."""
        placement = self._placement
        return placement.cores * placement.processes, (placement.gpus or 0) * placement.processes

    def _on_machines(self, ids: Sequence[str], command: list[str]) -> _Job:
        """Start the command on several machines, which meet at the first; a lost machine ends the others' tasks."""
        from ray.util import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        cores, gpus = self._share()
        n = self._placement.nodes
        machines = placement_group([{"CPU": cores, **({"GPU": gpus} if gpus else {})}] * n, strategy="STRICT_SPREAD")
        at = [PlacementGroupSchedulingStrategy(machines, placement_group_bundle_index=k) for k in range(n)]
        # Ray starts a task once its arguments are known: each waits for the address.
        meeting = self._ray.remote(_meeting).options(num_cpus=0, scheduling_strategy=at[0], max_retries=0).remote()
        tasks = [
            self._ray.remote(_run)
            .options(num_cpus=cores, num_gpus=gpus, scheduling_strategy=where, max_retries=0)
            .remote(command, cpu_environment(self._placement.cores), meeting)
            for where in at
        ]
        return _Job(trial_ids=ids, tasks=tasks, machines=machines)

    def poll(self) -> set[str]:
        for job in list(self._jobs):
            ended, running = self._ray.wait(job.tasks, num_returns=len(job.tasks), timeout=0)
            if not running:
                self._jobs.remove(job)
                self._note_end(job)
            elif ended and not job.is_ending and any(self._outcome(task)[0] != EXIT_OK for task in ended):
                self._cancel(job)  # the other machines would wait for this one
        return {trial_id for job in self._jobs for trial_id in job.trial_ids}

    def _outcome(self, task: Any) -> tuple[int | None, str]:
        """Return the exit status of an ended task's command and its last words; None for a task that Ray lost."""
        try:
            code, words = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return None, first_line(error)
        return code, words

    def _note_end(self, job: _Job) -> None:
        self._release(job)
        outcomes = [self._outcome(task) for task in job.tasks]
        for code, words in outcomes:
            if code in (EXIT_USAGE, 1) and (complaint := complaint_in(words)):
                raise SeedstudyError(complaint)
        unfinished = [trial_id for trial_id in job.trial_ids if not self._store.has_ended(trial_id)]
        if not unfinished:
            return
        for code, words in outcomes:
            if code is None:
                self._say(f"{', '.join(job.trial_ids)}: {words}")
            elif code not in (EXIT_OK, EXIT_FAILED, EXIT_STOPPED):
                last = (words.splitlines() or ["nothing on stderr"])[-1]
                self._say(f"{', '.join(unfinished)}: its worker died (exit status {code}, {last})")

    def _release(self, job: _Job) -> None:
        """Give back the machines that a job has kept for itself."""
        if job.machines is not None:
            from ray.util import remove_placement_group

            remove_placement_group(job.machines)

    def withdrawn(self) -> set[str]:
        return set()  # a task that is cancelled elsewhere looks like any lost one

    def end(self, trial_id: str) -> None:
        for job in self._jobs:
            if trial_id in job.trial_ids:
                self._cancel(job)

    def cancel(self) -> None:
        for job in self._jobs:
            self._cancel(job)
        tasks = [task for job in self._jobs for task in job.tasks]
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=STOP_WAIT_S)
        for job in self._jobs:
            self._release(job)
        self._jobs = []

    def _cancel(self, job: _Job) -> None:
        job.is_ending = True
        for task in job.tasks:
            self._ray.cancel(task)  # raises KeyboardInterrupt in the task, which closes the stdin of its process


def _meeting() -> str:
    """Return the address of this machine with a free port, for the processes of one trial."""
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"


def _run(command: Sequence[str], environment: dict[str, str], meeting: str | None = None) -> tuple[int, str]:
    """Run a command on a machine of the cluster; returns its exit status and the end of its stderr.

    ``meeting`` is the address at which it meets the same command on other machines.
    A task that is cancelled, and a process of Ray that dies, close the command's stdin, at which it stops. After a
    cancelled task it is killed where it does not stop in time.
    """
    import ray

    job = f"ray:{ray.get_runtime_context().get_task_id()}"
    if meeting is not None:
        own = ray.util.get_node_ip_address()  # names of machines need not be known to each other
        environment = {**environment, MEETING: meeting, MEETING_ID: meeting, MEETING_FROM: own}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment, JOB: job},
            start_new_session=True,  # ended with all that it has started
        )
        assert process.stdin is not None
        try:
            # Not process.wait(): `ray.cancel` only marks this thread, which sees the mark between two calls.
            while (code := process.poll()) is None:
                time.sleep(_PAUSE_S)
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_WORDS))
        return code, log.read().decode(errors="replace")
