"""Files are written completely or not at all, through no link; what cannot be read is not taken for damage."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seedstudy import files
from seedstudy.errors import DamagedError, StoreError, TooNewError

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("not there yet"))


def _second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path, victim: Path) -> None:
    path.mkdir()


def _socket(path: Path, victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


IN_THE_WAY = [_link, _dangling_link, _second_name, _pipe, _folder, _socket]


@pytest.mark.parametrize("make", IN_THE_WAY)
def test_nothing_is_written_through_what_is_no_plain_file(make: Callable[[Path, Path], None], tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "log.txt"
    victim.write_text("precious")
    make(path, victim)
    for flags in (APPEND, os.O_RDWR | os.O_CREAT):
        with pytest.raises(StoreError, match=r"log\.txt: not a plain file"):
            files.open_to_write(path, flags)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "not there yet").exists()


def test_a_pipe_that_somebody_reads_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.txt")
    reader = os.open(tmp_path / "log.txt", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(StoreError, match="not a plain file"):
        files.open_to_write(tmp_path / "log.txt", APPEND)
    os.close(reader)


def test_an_atomic_write_replaces_a_link_and_leaves_what_it_points_to(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "trial.json"
    victim.write_text("precious")
    path.symlink_to(victim)
    files.write_atomically(path, b"new")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("precious", "new", False)


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="trial: a link or a file where a folder is expected"):
        files.check_folder(tmp_path / "trial")
    with pytest.raises(StoreError, match="gone: it was removed or renamed"):
        files.check_folder(tmp_path / "gone")
    files.check_folder(tmp_path / "elsewhere")


WRITER = """
import sys
from pathlib import Path
from seedstudy.files import read_record, write_record
path = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    write_record(path, {"who": sys.argv[2], "number": number, "text": sys.argv[2] * 20000})
    read_record(path)
"""


def test_processes_of_equal_number_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Every container of a cluster may have a process 1."""
    program = WRITER.replace("import sys", "import os, sys; os.getpid = lambda: 1", 1)
    command = [sys.executable, "-c", program, str(tmp_path / "study.json")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, name], **pipes) for name in "AB"]  # type: ignore[call-overload]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def test_a_durable_write_waits_for_the_content_then_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the write must find the file, whole."""
    events: list[str] = []
    sync, link, replace = os.fsync, os.link, os.replace

    def fsync(descriptor: int) -> None:
        events.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")  # noqa: PTH112
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", lambda *names: (events.append("name"), link(*names)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("name"), replace(*names)))
    for is_first_only in (False, True):
        events.clear()
        files.write_atomically(tmp_path / f"{is_first_only}", b"x", is_first_only=is_first_only)
        assert events == ["sync file", "name", "sync folder"]
    events.clear()
    files.write_atomically(tmp_path / "again", b"x", is_durable=False)
    assert events == ["name"]


# --- three classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES, errno.ENOENT])
def test_what_cannot_be_read_now_is_not_damaged(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_record(tmp_path / "trial.json", {"n": 1})

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StoreError, match=r"trial\.json: ") as caught:
        files.read_record(tmp_path / "trial.json")
    assert not isinstance(caught.value, DamagedError)


def test_a_newer_format_is_neither_damaged_nor_believed(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    files.write_record(path, {"format": files.FORMAT + 1, "n": 1})
    with pytest.raises(TooNewError, match=r"use the version that wrote it"):
        files.read_record(path)
    path.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n": 2'))
    with pytest.raises(DamagedError):
        files.read_record(path)


@pytest.mark.parametrize("number", ["0", "-1", "true", "null", '"2"', "2.0", "[]"])
def test_what_is_no_format_is_damage(number: str, tmp_path: Path) -> None:
    (tmp_path / "trial.json").write_text(f'{{"format": {number}}}')
    with pytest.raises(DamagedError):
        files.read_record(tmp_path / "trial.json")
