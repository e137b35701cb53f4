"""Files that are written completely or not at all, and whose damage is noticed when they are read.

A record is a JSON object with a ``format`` and a ``seal``: the digest of everything else. A table's digest is in the
record beside it. History of the format of records:

2   sealed
1   not sealed; still read
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seedstudy import machine
from seedstudy.errors import SeedstudyError, StoreError

FORMAT = 2
READABLE_FORMATS = (1, 2)
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
    """Return a descriptor, as ``os.open``; the only place where files of a study are opened to be written."""
    return os.open(path, flags | machine.BINARY, 0o666)


def write_atomically(
    path: Path, content: bytes | memoryview, *, is_first_only: bool = False, is_durable: bool = True
) -> None:
    """Write a file completely or not at all, in a folder that exists.

    ``is_first_only`` keeps a file that exists already. ``is_durable`` waits until the disk has it, which is unnecessary
    for a file that can be made again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # left by a killed process with the same number
    try:
        # O_EXCL follows no link that somebody put there.
        with os.fdopen(open_to_write(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        if is_first_only:
            with suppress(FileExistsError):
                os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def damaged(path: Path, why: str, remedy: str = "") -> StoreError:
    """Return the error that says which file is damaged, why, and what to do."""
    return StoreError(f"{path}: damaged ({why})" + (f"; {remedy}." if remedy else "."))


@contextmanager
def opened(path: Path, *, remedy: str = "") -> Iterator[io.BufferedReader]:
    """Open a file for reading; a folder, pipe or device in its place is an error of one line."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise damaged(path, "not a regular file", remedy)
        with os.fdopen(descriptor, "rb") as file:
            yield file
    except OSError as error:
        how = remedy if remedy and isinstance(error, FileNotFoundError) else "check its permissions"
        raise StoreError(f"{path}: cannot be read ({error.strerror}); {how}.") from error


def sha256(path: Path, *, remedy: str = "") -> str:
    """Return the digest of a file's content, read in pieces."""
    with opened(path, remedy=remedy) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Return the JSON object in a file, its seal unchecked; raises StoreError where there is none.

    ``remedy`` is what the user can do about a damaged file, the end of the error's sentence.
    """
    with opened(path, remedy=remedy) as file:
        content = file.read(LARGEST_RECORD + 1)
    try:
        if len(content) > LARGEST_RECORD:
            raise ValueError("too long")
        document = json.loads(content.decode())
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


def write_record(path: Path, record: Mapping[str, Any], *, is_first_only: bool = False) -> None:
    """Write a record with its format and its seal."""
    with_format = {"format": FORMAT, **record}
    write_atomically(path, to_json({**with_format, "seal": _seal(with_format)}), is_first_only=is_first_only)


def read_record(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Return what :func:`write_record` wrote, in this or an older format; ``remedy`` as in :func:`read_json`.

    Raises StoreError where the file cannot be read, is damaged, or has a newer format.
    """
    record = read_json(path, remedy=remedy)
    if record.get("format") not in READABLE_FORMATS:
        raise StoreError(
            f"{path}: format {record.get('format', 'none')}, this version of seedstudy reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}: use the version that wrote it."
        )
    seal = record.pop("seal", None)
    if seal != _seal(record) and (seal is not None or record["format"] != 1):
        raise damaged(path, "its content is not what was written", remedy)
    return record


def to_json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
