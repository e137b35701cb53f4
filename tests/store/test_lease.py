"""One holder at a time: judged by the kernel on one machine, by the heartbeat between machines."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from seedstudy.errors import StoreError
from seedstudy.store import lease

HOLD = """
import sys, time
from pathlib import Path
from seedstudy.store import lease
taken = lease.take(Path(sys.argv[1]))
print(taken is not None, flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process on this machine that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    with process:
        yield process
        process.kill()


def as_if_on_another_machine(path: Path, *, age_s: float, **changes: object) -> None:
    """Write a lease that a machine without shared locks holds, last touched ``age_s`` ago."""
    with lease.held(path) as held:
        assert held is not None
    holder = replace(held.holder, boot="another kernel", host="node7", is_released=False, **changes)
    path.write_text(json.dumps(asdict(holder)))
    os.utime(path, (time.time() - age_s,) * 2)


def test_no_second_holder_on_one_machine(path: Path, other: subprocess.Popen[str]) -> None:
    assert lease.take(path) is None
    assert lease.is_live(path)
    holder = lease.read(path)
    assert holder is not None
    assert holder.pid == other.pid


def test_a_killed_holder_is_seen_at_once_and_counted(path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not lease.is_live(path)
    taken = lease.take(path)
    assert taken is not None
    assert taken.holder.n_lost == 1
    taken.close()


def test_a_stopped_process_still_holds(path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGSTOP)
    os.utime(path, (0, 0))  # its heart does not beat, but on one machine the kernel knows better
    assert lease.take(path) is None
    other.send_signal(signal.SIGCONT)


def test_given_back_in_order_counts_no_loss(path: Path) -> None:
    for _ in range(3):
        with lease.held(path) as held:
            assert held is not None
            assert lease.is_live(path)
            assert held.holder.n_lost == 0
        assert not lease.is_live(path)


def test_an_exception_counts_as_a_death_and_getting_on_counts_anew(path: Path) -> None:
    def die(mark: int) -> int:
        with suppress(MemoryError), lease.held(path, mark=mark) as held:
            raise MemoryError
        assert held is not None
        return held.holder.n_lost

    assert [die(mark) for mark in (0, 0, 0, 7, 7, 7)] == [0, 1, 2, 1, 2, 3]


def test_another_machine_is_believed_while_its_heart_beats(path: Path) -> None:
    as_if_on_another_machine(path, age_s=lease.STALE_S - 30)
    assert lease.is_live(path)
    assert lease.take(path) is None


def test_another_machine_that_fell_silent_loses_the_lease(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE_S", 0.01)
    as_if_on_another_machine(path, age_s=lease.STALE_S + 30)
    assert not lease.is_live(path)
    taken = lease.take(path)
    assert taken is not None
    assert taken.holder.n_lost == 1
    taken.close()


def test_what_another_machine_gave_back_is_free_at_once(path: Path) -> None:
    as_if_on_another_machine(path, age_s=0)
    path.write_text(json.dumps(asdict(replace(lease.read(path), is_released=True))))  # type: ignore[type-var]
    assert not lease.is_live(path)


def test_without_locks_the_heartbeat_judges_on_one_machine_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    first = lease.take(path)
    assert first is not None
    assert lease.take(path) is None
    first.close()  # as a death: nothing was given back
    assert lease.take(path) is None
    os.utime(path, (time.time() - lease.STALE_S - 1,) * 2)
    second = lease.take(path)
    assert second is not None
    second.close()


def test_the_holder_beats_and_notices_that_it_was_overtaken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    with lease.held(path) as held:
        assert held is not None
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 20
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        theirs = json.dumps(asdict(replace(held.holder, boot="another kernel", pid=1))).encode()
        path.write_bytes(theirs)
        while not held.is_overtaken:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert path.read_bytes() == theirs  # what the other wrote stays


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("n_lost", each) for each in ("x", -1, True, None, 0.5)),
        *(("pid", each) for each in (-1, 0, "1", 10**30)),
        *(("since", each) for each in ("soon", float("nan"), float("inf"), -1.0, 1e300)),
        *(("host", each) for each in (3, "\x1b[31mEVIL", None)),
        *(("is_released", each) for each in (0, "no", None)),
        ("more", 1),
    ],
)
def test_what_no_holder_writes_is_nobody(key: str, value: object, path: Path) -> None:
    """The number of a process reaches `os.kill`, and -1 is every process."""
    with lease.held(path) as held:
        assert held is not None
    path.write_text(json.dumps({**asdict(held.holder), "is_released": False, key: value}))
    assert lease.read(path) is None
    assert not lease.is_live(path)
    taken = lease.take(path)
    assert taken is not None
    taken.close()


def test_a_pipe_or_link_in_place_of_a_lease_is_named_and_hangs_nothing(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    assert lease.read(path) is None
    with pytest.raises(StoreError, match="not a regular file"):
        lease.is_live(path)
    with pytest.raises(StoreError, match="not a plain file"):
        lease.take(path)
    path.unlink()
    (tmp_path / "victim").write_text("precious")
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="not a plain file"):
        lease.take(path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_whatever_was_longer_is_gone(path: Path) -> None:
    path.write_bytes(b'{"x": 1}' * 1000)
    with lease.held(path) as held:
        assert held is not None
        assert lease.read(path) == held.holder
