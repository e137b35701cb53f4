"""Who trains a trial: a lease on its folder, held by one process at a time.

On one machine the kernel decides: the holder keeps a lock (flock) on the lease's file, and the kernel frees it when
that process dies, however it dies. A network file system may keep such locks to each machine or refuse them, and
Windows has none. So the file also names its holder, who touches it every :data:`BEAT_S` seconds, and another machine
takes a lease whose file has not been touched for :data:`STALE_S`. Where two machines take one free lease at the same
moment, the name that remains in the file decides: each looks again after :data:`SETTLE_S`, and the other one stops.

A holder whose file is gone, or is another file, has lost the lease: the trial was removed, or its study renamed.

A lease saves work; it does not protect results: where two processes train one trial, the store keeps the first result.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from seedstudy import machine
from seedstudy.errors import StoreError
from seedstudy.files import open_to_write, temporary_name

BEAT_S = 15.0
STALE_S = 120.0
SETTLE_S = 1.0
"""The first beat comes this soon, so that of two machines that took one lease only one trains on."""

JOB = "SEEDSTUDY_JOB"
"""Environment variable by which an engine names the job that its process belongs to."""

_LENGTH = 1024
"""Bytes of the file, filled up with spaces: one write replaces all of it, and needs no room on a full disk."""
_LONGEST = 65536
_TRIES = 10
"""How often the file may be replaced between opening and locking it."""


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


_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "float": (float, int), "int": int, "bool": bool}
_TYPES = {field.name: _KINDS[str(field.type)] for field in fields(Holder)}


class Lease:
    """A lease that this process holds."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self.holder, self._path, self._descriptor = holder, path, descriptor
        self._is_over = threading.Event()
        self._in_use = threading.Lock()
        """The descriptor's number may belong to another file once it is closed."""
        self.is_overtaken = False
        """Whether the lease is another's now, or its file is gone: the holder must stop, and write nothing more."""
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Say in the file that the trial has ended, or can go on elsewhere at once."""
        self._look()
        if not self.is_overtaken:
            self.holder = replace(self.holder, is_released=True)
            self._write()

    def close(self) -> None:
        self._is_over.set()
        with self._in_use:
            os.close(self._descriptor)

    def _write(self) -> None:
        content = json.dumps(asdict(self.holder)).encode().ljust(_LENGTH - 1) + b"\n"
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, content)
        os.ftruncate(self._descriptor, len(content))  # not before: nobody finds the file empty
        os.fsync(self._descriptor)

    def _look(self) -> None:
        """Notice that the lease was lost."""
        try:
            is_same_file = _is_file_of(self._path, self._descriptor)
        except OSError:  # a server that does not answer: asked again at the next beat
            return
        present = read(self._path)
        if not is_same_file or (present is not None and present != self.holder):
            self.is_overtaken = True

    def _beat(self) -> None:
        pause_s = min(SETTLE_S, BEAT_S)
        while not self._is_over.wait(pause_s):
            pause_s = BEAT_S
            with self._in_use:
                if self._is_over.is_set():
                    return
                self._look()
                if self.is_overtaken:
                    return
                with suppress(OSError):  # tried again at the next beat
                    os.utime(self._path)


def take(path: Path, *, mark: int = 0) -> Lease | None:
    """Take the lease of a trial, or return None where another process holds it.

    Raises StoreError where the path is no plain file, and OSError where it cannot be written.
    """
    for _ in range(_TRIES):
        descriptor = open_to_write(path, os.O_RDWR | os.O_CREAT)
        try:
            is_ours = _lock(descriptor)
            is_same_file, earlier = _is_file_of(path, descriptor), _parsed(os.read(descriptor, _LONGEST))
            if is_same_file and not _is_held(path, earlier, is_free=is_ours, is_writer=True):
                return Lease(path, descriptor, _next_holder(earlier, mark))
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if is_same_file:
            return None
    return None


@contextmanager
def held(path: Path, *, mark: int = 0) -> Iterator[Lease | None]:
    """Hold a lease inside the block; yields None where another process holds it. An exception counts as a death."""
    lease = take(path, mark=mark)
    if lease is None:
        yield None
        return
    try:
        yield lease
        with suppress(OSError):  # its end is seen all the same, as a death
            lease.release()
    finally:
        lease.close()


def read(path: Path) -> Holder | None:
    """Return what the file says; None where it is missing, cannot be read or says something else."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
        try:
            return _parsed(os.read(descriptor, _LONGEST))
        finally:
            os.close(descriptor)
    return None


def is_live(path: Path) -> bool:
    """Say whether some process holds the lease; StoreError where the file cannot be read, or is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read now ({error.strerror}): nobody knows who trains the trial."
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path}: not a regular file (a pipe, folder or device): move it away.")
        is_free = machine.try_lock(descriptor, is_shared=True)
        return _is_held(path, read(path), is_free=is_free, is_writer=False)
    finally:
        os.close(descriptor)


def _parsed(content: bytes) -> Holder | None:
    """Return what a lease's file says; None for what no holder writes."""
    try:
        holder = Holder(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    values = [(getattr(holder, name), kinds) for name, kinds in _TYPES.items()]
    is_right = all(isinstance(value, kinds) and (kinds is bool) == isinstance(value, bool) for value, kinds in values)
    if not is_right or not (0 < holder.pid < 2**31 and holder.n_lost >= 0 and 0 <= holder.since < 1e11):
        return None
    return holder if (holder.host + holder.boot + holder.job).isprintable() else None


def _is_file_of(path: Path, descriptor: int) -> bool:
    """Say whether a path still names the open file; a lock on a file that was removed excludes nobody."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool | None:
    """Lock as :func:`seedstudy.machine.try_lock`, several times: a `status` may hold the lock for an instant."""
    for pause_s in (0.0, 0.05, 0.2):
        time.sleep(pause_s)
        is_ours = machine.try_lock(descriptor)
        if is_ours is not False:
            return is_ours
    return False


def _is_held(path: Path, holder: Holder | None, *, is_free: bool | None, is_writer: bool) -> bool:
    """Say whether a process holds a lease: by the lock (``is_free``) or, where it does not tell, by its heartbeat."""
    if is_free is False:
        return True
    if holder is None or holder.is_released or (is_free and holder.boot == machine.boot_id()):
        return False
    try:
        touched = os.lstat(path).st_mtime
    except FileNotFoundError:
        return False
    now = _file_systems_time(path.parent)
    if now is None:
        if is_writer:  # two trainings are worse than a wait
            return True
        now = time.time()
    return now - touched < STALE_S


def _file_systems_time(folder: Path) -> float | None:
    """Return the time by the file system's clock, which may differ from ours; None where nothing can be written."""
    path = folder / temporary_name("clock")
    try:
        os.close(open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        return os.lstat(path).st_mtime
    except OSError:
        return None
    finally:
        with suppress(OSError):
            path.unlink()


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
