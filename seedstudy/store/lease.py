"""Who trains a trial: a lease on its folder, held by one process at a time.

On one machine the kernel decides: the holder keeps a lock (flock) on the lease's file, and the kernel frees it when
that process dies, however it dies. A network file system may keep such locks to each machine or refuse them, and
Windows has none. So the file also names its holder, who touches it every :data:`BEAT_S` seconds, and another machine
takes a lease whose file has not been touched for :data:`STALE_S`.

A lease saves work; it does not protect results: where two processes train one trial, the store keeps the first result.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seedstudy import machine
from seedstudy.files import open_to_write

BEAT_S = 15.0
STALE_S = 120.0
_SETTLE_S = 1.0
"""When two machines take one stale lease, the later writer wins; the earlier one waits this long to see it."""

JOB = "SEEDSTUDY_JOB"
"""Environment variable by which an engine names the job that its process belongs to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What a lease's file says about its present or last holder."""

    host: str
    boot: str
    """:func:`seedstudy.machine.boot_id`: equal for all processes that see the same locks."""
    pid: int
    job: str
    """The engine's job, empty for none: ``local:…``, ``slurm:123_4``, ``ray:…``."""
    since: float
    """Seconds since 1970."""
    n_lost: int
    """How many holders in a row, before this one, died without making progress."""
    mark: int
    """The trial's progress when the lease was taken: its checkpoint's modification time in ns, 0 for none."""
    is_released: bool
    """Whether the holder released it, rather than died."""


class Lease:
    """A lease that this process holds."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self.holder, self._path, self._descriptor = holder, path, descriptor
        self._is_over = threading.Event()
        self.is_overtaken = False
        """Whether another machine took the lease because this one was asleep for too long."""
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Say in the file that the trial has ended, or can go on elsewhere at once."""
        if not self.is_overtaken:
            self.holder = replace(self.holder, is_released=True)
            self._write()

    def close(self) -> None:
        self._is_over.set()
        os.close(self._descriptor)

    def _write(self) -> None:
        content = json.dumps(asdict(self.holder)).encode() + b"\n"
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, content)
        os.fsync(self._descriptor)

    def _beat(self) -> None:
        while not self._is_over.wait(BEAT_S):
            with suppress(OSError):  # tried again at the next beat; after close() there is none
                present = read(self._path)
                if present is not None and present != self.holder:
                    self.is_overtaken = True
                    return
                os.utime(self._path)


def take(path: Path, *, mark: int = 0) -> Lease | None:
    """Take the lease of a trial, or return None where another process holds it."""
    descriptor = open_to_write(path, os.O_RDWR | os.O_CREAT)
    try:
        is_ours, earlier = _lock(descriptor), read(path)
        if _is_held(path, earlier, is_free=is_ours):
            os.close(descriptor)
            return None
        lease = Lease(path, descriptor, _next_holder(earlier, mark))
        if earlier is not None and not earlier.is_released and earlier.boot != machine.boot_id():
            time.sleep(_SETTLE_S)
            if read(path) != lease.holder:
                lease.close()
                return None
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise
    return lease


@contextmanager
def held(path: Path, *, mark: int = 0) -> Iterator[Lease | None]:
    """Hold a lease inside the block; yields None where another process holds it. An exception counts as a death."""
    lease = take(path, mark=mark)
    if lease is None:
        yield None
        return
    try:
        yield lease
        lease.release()
    finally:
        lease.close()


def read(path: Path) -> Holder | None:
    """Return what the file says; None where it is missing or unreadable."""
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_live(path: Path) -> bool:
    """Say whether some process holds the lease."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.BINARY)
    except FileNotFoundError:
        return False
    try:
        is_free = machine.try_lock(descriptor, is_shared=True)
        return _is_held(path, read(path), is_free=is_free)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock as :func:`seedstudy.machine.try_lock`, several times: a `status` may hold the lock for an instant."""
    for pause_s in (0.0, 0.05, 0.2):
        time.sleep(pause_s)
        is_ours = machine.try_lock(descriptor)
        if is_ours is not False:
            return is_ours
    return False


def _is_held(path: Path, holder: Holder | None, *, is_free: bool | None) -> bool:
    """Say whether a process holds a lease: by the lock (``is_free``) or, where it does not tell, by its heartbeat."""
    if is_free is False:
        return True
    if holder is None or holder.is_released or (is_free and holder.boot == machine.boot_id()):
        return False
    clock = path.with_name(f".clock.{os.getpid()}.tmp")  # the file system's clock may differ from ours
    try:
        clock.touch()
        return clock.stat().st_mtime - path.stat().st_mtime < STALE_S
    except OSError:
        return True
    finally:
        clock.unlink(missing_ok=True)


def _next_holder(earlier: Holder | None, mark: int) -> Holder:
    n_lost = 0
    if earlier is not None and not earlier.is_released:
        n_lost = 1 if mark != earlier.mark else earlier.n_lost + 1
    return Holder(
        host=machine.host(),
        boot=machine.boot_id(),
        pid=os.getpid(),
        job=os.environ.get(JOB, ""),
        since=time.time(),
        n_lost=n_lost,
        mark=mark,
        is_released=False,
    )
