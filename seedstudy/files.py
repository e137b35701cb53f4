"""Files that are written completely or not at all, and whose damage is noticed when they are read.

A record is a JSON object with a ``format`` and a ``seal``: the digest of everything else. A table's digest is in the
record beside it. History of the format of records:

3   predictions have the probability of the label set
2   sealed; still read
1   not sealed; still read
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seedstudy import machine
from seedstudy.errors import DamagedError, MissingError, SeedstudyError, StoreError, TooNewError

FORMAT = 3
LARGEST_TOML = 2**20
"""Bytes; a file of recipes or studies has a few thousand."""
LARGEST_RECORD = 64 * 2**20
"""Bytes; our records are far smaller, and a file of this size would fill the memory."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder or a file in the way into a StoreError of one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: cannot write results ({error.strerror or error}); finished trials are safe: "
            "make room or check the folder's permissions, or choose another folder with --results, and run the same "
            "command again."
        ) from error


def open_to_write(path: Path, flags: int) -> int:
    """Return a descriptor, as ``os.open``; every file of a study that is written is opened here.

    Writing follows no link: StoreError where the path is a link, has a second name (a hard link), or is a pipe, a
    folder or a device. The file may belong to another user, because several may share a study. ``flags`` must not hold
    ``O_TRUNC``, which would act before the check.
    """
    try:
        descriptor = os.open(path, flags | machine.NO_FOLLOW | machine.NON_BLOCKING | machine.BINARY, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a pipe that nobody reads
            raise _in_the_way(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise _in_the_way(path)
    return descriptor


def check_folder(folder: Path) -> None:
    """Raise StoreError where a folder of a study that is about to be written into is a link, missing, or no folder.

    A link would lead what is written to another place. What is missing was removed or renamed, and is not made again.
    """
    try:
        is_folder = stat.S_ISDIR(os.lstat(folder).st_mode)
    except FileNotFoundError as error:
        raise MissingError(f"{folder}: it was removed or renamed; `seedstudy run` plans it again.") from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not is_folder:
        what = "a link or a file where a folder is expected"
        raise StoreError(f"{folder}: {what}: copy the folder here; only a study's own folder may be a link.")


def _in_the_way(path: Path) -> StoreError:
    return StoreError(
        f"{path}: not a plain file (a link, pipe, folder or device), so nothing is written to it: remove it."
    )


TEMPORARY = ".*.tmp"
"""Pattern of the names that :func:`temporary_name` gives; a killed process leaves such files behind."""


def temporary_name(name: str) -> str:
    """Return a name for a file that is being written; random, because containers have processes of equal number."""
    return f".{name}.{secrets.token_hex(8)}.tmp"


def write_atomically(
    path: Path, content: bytes | memoryview, *, is_first_only: bool = False, is_durable: bool = True
) -> bool:
    """Write a file completely or not at all, in a folder that exists.

    ``is_first_only`` keeps a file that exists already, and returns False then. ``is_durable`` waits until the disk has
    the file and its name, which is unnecessary for a file that can be made again.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with os.fdopen(open_to_write(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        if is_first_only:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    if is_durable:
        sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Wait until the disk has a file's content, or the names in a folder, where the system can (Windows cannot)."""
    with suppress(PermissionError, NotImplementedError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot, either
                raise
        finally:
            os.close(descriptor)


def damaged(path: Path, why: str, remedy: str = "") -> DamagedError:
    """Return the error that says which file is damaged, why, and what to do."""
    return DamagedError(f"{path}: damaged ({why})" + (f"; {remedy}." if remedy else "."))


def _unreadable(path: Path, error: OSError) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return MissingError(f"{path}: missing; restore it from a copy.")
    return StoreError(f"{path}: cannot be read now ({error.strerror or error}); it may be intact: try again later.")


def is_there(path: Path) -> bool:
    """Say whether a name exists, be it a broken link; StoreError where that cannot be known now."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading; a folder, pipe or device in its place is an error of one line."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StoreError(f"{path}: not a regular file (a pipe, folder or device): move it away.")
        with os.fdopen(descriptor, "rb") as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from error


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return a file's content; a longer one is damage, and fills no memory."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise damaged(path, f"longer than {limit:,} bytes")
        return file.read(size)


def sha256(path: Path) -> str:
    """Return the digest of a file's content, read in pieces."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Return the JSON object in a file, its seal unchecked; raises StoreError where there is none.

    ``remedy`` is what the user can do about a damaged file, the end of the error's sentence.
    """
    return _parsed(read_bytes(path, limit=LARGEST_RECORD), path, remedy)


def _parsed(content: bytes, path: Path, remedy: str) -> dict[str, Any]:
    try:
        document = json.loads(content.decode())
        json.dumps(document)  # what is nested too deep for it has no seal
    except (ValueError, RecursionError) as error:
        raise damaged(path, "not valid JSON", remedy) from error
    if not isinstance(document, dict):
        raise damaged(path, "not a JSON object", remedy)
    return document


def read_toml(path: Path, *, what: str, error: type[SeedstudyError]) -> dict[str, Any]:
    """Return the TOML document in a file that a person wrote; what cannot be read raises an error of this type."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TOML + 1)  # and no more: it may be an endless device
        if len(content) > LARGEST_TOML:
            raise error(f"{path}: cannot read the {what} (longer than a megabyte).")
        text = content.decode()
    except (OSError, ValueError) as cause:  # ValueError: not UTF-8, or a NUL in the name
        reason = getattr(cause, "strerror", None) or "not UTF-8 text"
        raise error(f"{path}: cannot read the {what} ({reason}).") from cause
    try:
        return parse_toml(text)
    except ValueError as cause:
        raise error(f"{path}: not valid TOML: {cause}.") from cause


def parse_toml(text: str) -> dict[str, Any]:
    """Return a TOML document, or raise ValueError with what is wrong with it."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def write_record(path: Path, record: Mapping[str, Any], *, is_first_only: bool = False) -> bool:
    """Write a record with its format and its seal; returns as :func:`write_atomically`."""
    with_format = {"format": FORMAT, **record}
    return write_atomically(path, to_json({**with_format, "seal": _seal(with_format)}), is_first_only=is_first_only)


def read_record(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Return what :func:`write_record` wrote, in this or an older format; ``remedy`` as in :func:`read_json`.

    Raises StoreError where the file cannot be read, DamagedError where it is damaged, and TooNewError where its format
    is newer. The seal is checked first and alike in every format, so that a flipped bit in the number is damage.
    """
    return read_sealed(read_bytes(path, limit=LARGEST_RECORD), path, remedy=remedy)


def read_sealed(content: bytes, path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Return the record whose bytes were read from a file, as :func:`read_record` does."""
    record = _parsed(content, path, remedy)
    written, seal = record.get("format"), record.pop("seal", None)
    if seal is None:
        check_format(path, written, FORMAT, remedy=remedy)
    if seal != _seal(record) and (seal is not None or written != 1):
        raise damaged(path, "its content is not what was written", remedy)
    check_format(path, written, FORMAT, remedy=remedy)
    return record


def check_format(path: Path, written: object, newest: int, *, remedy: str = "") -> None:
    """Raise TooNewError where a file's format is newer than ``newest``, and DamagedError where it is no format."""
    if isinstance(written, bool) or not isinstance(written, int) or written < 1:
        raise damaged(path, "its format is not a number", remedy)
    if written > newest:
        raise TooNewError(
            f"{path}: format {written}, this version of seedstudy reads up to {newest}: use the version that wrote it."
        )


def to_json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
