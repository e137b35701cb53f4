"""Trials on a Ray cluster with a shared file system: tasks that run `seedstudy trial`, also on shares of GPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, EXIT_USAGE, MAX_ATTEMPTS
from seedstudy.engines.local import STOP_WAIT_S, Work, complaint_in, cpu_environment, trial_command
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


class RayEngine:
    """One task per trial; Ray restarts a task whose machine is lost. Tasks end with the launcher."""

    outlives_launcher = False
    pause_s = 1.0

    def __init__(self, store: Store, placement: Placement, *, work: Work, say: Say) -> None:
        require_extra("ray")
        import ray

        self._ray, self._store, self._placement, self._work, self._say = ray, store, placement, work, say
        self._tasks: dict[Any, Sequence[str]] = {}
        if not ray.is_initialized():
            with _own_handler(signal.SIGTERM):
                ray.init(log_to_driver=False)

    def submit(self, trial_ids: Sequence[str]) -> None:
        placement = self._placement
        run = self._ray.remote(_run).options(
            num_cpus=placement.cores * placement.processes,
            num_gpus=(placement.gpus or 0) * placement.processes,
            max_retries=MAX_ATTEMPTS,
        )
        size = placement.trials_per_job
        for start in range(0, len(trial_ids), size):
            ids = trial_ids[start : start + size]
            command = trial_command(self._store, ids, self._work, placement)
            self._tasks[run.remote([*command, "--attended"], cpu_environment(placement.cores))] = ids

    def poll(self) -> set[str]:
        if self._tasks:
            ended, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
            for task in ended:
                ids = self._tasks.pop(task)
                try:
                    code, words = self._ray.get(task)
                except self._ray.exceptions.RayError as error:
                    self._say(f"{', '.join(ids)}: {first_line(error)}")
                    continue
                if code in (EXIT_USAGE, 1) and (complaint := complaint_in(words)):
                    raise SeedstudyError(complaint)
                unfinished = [trial_id for trial_id in ids if not self._store.has_ended(trial_id)]
                if unfinished and code not in (EXIT_OK, EXIT_FAILED, EXIT_STOPPED):
                    last = (words.splitlines() or ["nothing on stderr"])[-1]
                    self._say(f"{', '.join(unfinished)}: its worker died (exit status {code}, {last})")
        return {trial_id for ids in self._tasks.values() for trial_id in ids}

    def withdrawn(self) -> set[str]:
        return set()  # a task that is cancelled elsewhere looks like any lost one

    def end(self, trial_id: str) -> None:
        for task, ids in self._tasks.items():
            if trial_id in ids:
                self._ray.cancel(task)

    def cancel(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task)  # raises KeyboardInterrupt in the task, which closes the stdin of its process
        if self._tasks:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=STOP_WAIT_S)
        self._tasks = {}


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a machine of the cluster; returns its exit status and the end of its stderr.

    A task that is cancelled, and a process of Ray that dies, close the command's stdin, at which it stops. After a
    cancelled task it is killed where it does not stop in time.
    """
    import ray

    job = f"ray:{ray.get_runtime_context().get_task_id()}"
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
