"""What every process that trains owes a trial: claim it, keep what it prints, and record how it ended.

Networks are trained in :mod:`seedstudy.engines.worker`, commands of a user are run in
:mod:`seedstudy.engines.command`.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from seedstudy import machine
from seedstudy.errors import DamagedError, SeedstudyError, StoreError, first_line
from seedstudy.files import open_to_write
from seedstudy.store.lease import JOB, Lease
from seedstudy.store.store import Store
from seedstudy.terminal import print_without_fail

EXIT_OK = 0
"""Every trial has a result or is trained by another process."""
EXIT_USAGE = 2
"""The input or the results folder must be repaired."""
EXIT_FAILED = 10
"""A trial failed. Several processes that train a trial together end with `EXIT_OK` instead: torchrun passes on none."""
EXIT_STOPPED = 75
"""Stopped at a signal; can be resumed."""

ORPHAN_WAIT_S = 120.0
"""How long a process may take to stop when its launcher is gone. A training that hangs in a call would hold its GPU,
and the trial's lease, for ever."""

_PEER_WAIT_S = 10.0
"""Within which torchrun notices that a process has died."""
_MACHINE_WAIT_S = 120.0
"""Within which a queue ends what is left of a trial of several machines, one of which has died."""

_WRITE_WAIT_S, _WRITE_PAUSE_S = 600.0, 5.0
"""How long, and how often, what a training has earned is written again where the disk is full."""

MAX_ATTEMPTS = 3
"""How often in a row a trial's process may die (killed, out of memory) without reaching a later checkpoint."""

T = TypeVar("T")

Requests = queue.SimpleQueue[dict[str, Any] | None]
"""None ends it. A signal handler may put into a SimpleQueue while the same thread waits for it."""


class Stop:
    """Whether to stop, because of a signal or the end of stdin."""

    def __init__(self, requests: Requests) -> None:
        self._requests, self._is_requested = requests, False
        self.is_out_of_time = False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._handle)

    def request(self) -> None:
        self._is_requested = True
        self._requests.put(None)

    def __call__(self) -> bool:
        return self._is_requested

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.is_out_of_time |= number == signal.SIGUSR1
        self.request()


def begin(*, is_attended: bool) -> tuple[Requests, Stop]:
    """Prepare a process that attempts trials: signals, the name of its job, requests from stdin, prints that last."""
    requests: Requests = queue.SimpleQueue()
    stop = Stop(requests)
    if "SLURM_ARRAY_JOB_ID" in os.environ:  # a Slurm job learns its number only once it runs
        os.environ[JOB] = f"slurm:{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    print_without_fail("stdout", "stderr")
    if is_attended:
        threading.Thread(target=_listen, args=(requests, stop), daemon=True).start()
    return requests, stop


def end(stop: Stop) -> None:
    """Ask for another turn where the time of a Slurm job is up."""
    if stop.is_out_of_time and "SLURM_JOB_ID" in os.environ:
        _requeue(os.environ["SLURM_JOB_ID"])


def _requeue(job: str) -> None:
    """Ask Slurm for another turn; where it does not answer, the launcher submits the trials again."""
    try:
        subprocess.run(["scontrol", "requeue", "--", job], timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"scontrol requeue: {error}", file=sys.stderr)


def _listen(requests: Requests, stop: Stop) -> None:
    # Not sys.stdin: this thread would hold its lock, and a process forked to decode images first closes sys.stdin.
    with os.fdopen(os.dup(0)) as lines:
        for line in lines:
            requests.put(json.loads(line))
    stop.request()
    # In C, because a call that hangs may hold Python's lock by then. It shows where each thread hangs.
    faulthandler.dump_traceback_later(ORPHAN_WAIT_S, exit=True, file=2)


class Attempts:
    """Goes through trials and attempts the free ones, one after the other."""

    def __init__(self, store: Store, stop: Stop) -> None:
        self._store, self._stop = store, stop
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._is_alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        self._leases: dict[str, Lease | None] = {}

    def each(self, trial_ids: Sequence[str], attempt: Callable[[str, Iterable[str], ExitStack], int]) -> int:
        """Call ``attempt`` with each trial that could be claimed, the ones after it, and what holds the lease.

        Returns the exit code. Whatever goes wrong with one trial is its own failure, and the others are still
        attempted. Raises SeedstudyError where the folder or the data cannot be used, which is true for every trial.
        """
        code = EXIT_OK
        for n_seen, trial_id in enumerate(trial_ids, start=1):
            if self._stop():
                return EXIT_STOPPED
            code = max(code, self._one(trial_id, islice(trial_ids, n_seen, None), attempt))
        return code

    def _one(self, trial_id: str, later: Iterable[str], attempt: Callable[[str, Iterable[str], ExitStack], int]) -> int:
        with ExitStack() as leases:
            try:
                refusal = self._shared(self._claim_or_record(trial_id, leases) if self._is_main else None)
                if refusal is not None:
                    return refusal
                leases.enter_context(_printing_to(self._store.log(trial_id)))
                return attempt(trial_id, later, leases)
            except SeedstudyError as error:
                print(error, file=sys.stderr)
                if isinstance(error, DamagedError) or not self._store.is_planned(trial_id):  # removed at this moment
                    return self._record_failure(trial_id, error)
                raise
            except Exception as error:  # before the training began
                return self._record_failure(trial_id, error)

    def _shared(self, refusal: int | None) -> int | None:
        """Return the first process's value in all processes that train a trial together."""
        return refusal

    def _mark(self, trial_id: str) -> int:
        """Return a number that changes when a trial gets on."""
        return self._store.mark(trial_id)

    def _claim_or_record(self, trial_id: str, leases: ExitStack) -> int | None:
        """Claim as :meth:`_claim`; a trial at which this trips, be it over a file of another program, has failed."""
        try:
            return self._claim(trial_id, leases)
        except SeedstudyError as error:
            if isinstance(error, DamagedError) or not self._store.is_planned(trial_id):
                return self._record_failure(trial_id, error)
            raise
        except Exception as error:
            return self._record_failure(trial_id, error)

    def _claim(self, trial_id: str, leases: ExitStack) -> int | None:
        """Take the lease of a trial until ``leases`` is closed; returns an exit code where it is not to be trained."""
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: not planned, or removed since; it is left out", file=sys.stderr)
            return EXIT_OK
        if not self._store.has_ended(trial_id):
            lease = self._leases[trial_id] = self._lasting(
                lambda: leases.enter_context(self._store.claim(trial_id, mark=self._mark(trial_id))), "lease"
            )
            if lease is None:
                return EXIT_OK
        if self._store.has_result(trial_id):
            return EXIT_OK
        if self._store.has_ended(trial_id):
            return EXIT_FAILED
        lease = self._leases.get(trial_id)
        if lease is not None and lease.holder.n_lost >= MAX_ATTEMPTS:
            reason = f"its process died {MAX_ATTEMPTS} times in a row without progress"
            self._lasting(
                lambda: self._store.record_failure(trial_id, reason, traceback="", host=machine.host()), "failure"
            )
            return EXIT_FAILED
        return None

    def _lasting(self, write: Callable[[], T], what: str) -> T:
        """Write something, again and again while the disk is full; raises StoreError where it stays so."""
        until = time.monotonic() + _WRITE_WAIT_S
        while True:
            try:
                return write()
            except StoreError as error:
                full = isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT)
                if not full or self._stop() or time.monotonic() > until:
                    raise
                print(f"the {what} is not written yet: {error}", file=sys.stderr)
                time.sleep(_WRITE_PAUSE_S)

    def _record_failure(self, trial_id: str, error: Exception, **where: int) -> int:
        """Record the exception that is being handled as the trial's failure; an OSError names its file itself.

        A process that was asked to stop records none: the trial continues later.
        """
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: removed, or its study renamed, while it was trained", file=sys.stderr)
            return EXIT_OK
        traceback.print_exc()
        text, holder = traceback.format_exc(), self._store.holder(trial_id)
        if not self._is_alone and self._is_told_to_stop():
            sys.exit(EXIT_STOPPED)  # another process died, which is what this one tripped over: the trial is lost
        if self._stop():  # the signal may have reached the processes that decode images too, and ended them first
            return EXIT_STOPPED
        self._lasting(
            lambda: self._store.record_failure(
                trial_id,
                f"{type(error).__name__}: {first_line(error)}",
                text,
                **where,
                host=machine.host(),
                job=os.environ.get(JOB, ""),
                attempt=1 + (holder.n_lost if holder else 0),
            ),
            "failure",
        )
        if not self._is_alone:  # the others wait for this process: torchrun ends them, and the launcher starts again
            sys.exit(EXIT_FAILED)
        return EXIT_FAILED

    def _is_told_to_stop(self) -> bool:
        """Wait for the signal that torchrun, or the queue, sends to all processes of a trial when one has died."""
        n_machines = int(os.environ.get("GROUP_WORLD_SIZE", "1"))  # as torchrun names it
        until = time.monotonic() + (_PEER_WAIT_S if n_machines == 1 else _MACHINE_WAIT_S)
        while not self._stop() and time.monotonic() < until:
            time.sleep(0.1)
        return self._stop()


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append everything that this process and its libraries print to a file, where that can be written."""
    try:
        file = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        print(f"{path}: not written ({error.strerror})", file=sys.stderr)
        yield
        return
    kept = os.dup(1), os.dup(2)
    try:
        sys.stdout.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, file):
            os.close(descriptor)
        with suppress(OSError):  # moved away
            if path.stat().st_size == 0:
                path.unlink()
