"""Files that are there whole or not at all, and say themselves whether they are still what was written.

A record is a JSON object with a ``format`` and a ``seal``: the digest of the rest. A table has its digest in the record
beside it. History of the format of records:

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
from seedstudy.errors import StoreError

FORMAT = 2
READABLE_FORMATS = (1, 2)
LARGEST_TOML = 2**20
"""Bytes; a file of recipes or studies has a few thousand."""
LARGEST_RECORD = 64 * 2**20
"""Bytes; no record of ours comes near it, and a file that does would fill the memory."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder or a file in the way into one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: cannot write results ({error.strerror or error}); finished trials are safe: "
            "mend it, or choose another folder with --results, and give the same command again."
        ) from error


def write_atomically(path: Path, content: bytes, *, is_first_only: bool = False, is_durable: bool = True) -> None:
    """Write a file so that it is there whole or not at all.

    Parameters
    ----------
    is_first_only
        Keep a file that is there already.
    is_durable
        Wait until the disk has it; a file that can be made again needs no waiting.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed process with the same number
    try:
        with temporary.open("xb") as file:  # "x" follows no link that somebody put there
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


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading; a pipe or a device in its place is an error instead of an endless wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}).") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path}: damaged (not a regular file).")
        try:
            yield file
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}).") from error


def sha256(path: Path) -> str:
    """Return the digest of a file's content, read in pieces."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, unchecked.

    Raises
    ------
    StoreError
        The file cannot be read, or holds no JSON object.

    """
    with opened(path) as file:
        content = file.read(LARGEST_RECORD + 1)
    try:
        if len(content) > LARGEST_RECORD:
            raise ValueError("too long")
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: damaged (not valid JSON).") from error
    if not isinstance(document, dict):
        raise StoreError(f"{path}: damaged (not a JSON object).")
    return document


def read_short_text(path: Path) -> str:
    """Return a file that a person wrote.

    Raises
    ------
    OSError
        The file cannot be read.
    UnicodeDecodeError
        It is not UTF-8; also where it is longer than anybody writes (a device without end).

    """
    with path.open("rb") as file:
        content = file.read(LARGEST_TOML + 1)
    if len(content) > LARGEST_TOML:
        raise UnicodeDecodeError("utf-8", b"", LARGEST_TOML, LARGEST_TOML, "longer than a megabyte")
    return content.decode()


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


def read_record(path: Path) -> dict[str, Any]:
    """Return what :func:`write_record` wrote, of this or an older format.

    Raises
    ------
    StoreError
        The file cannot be read, is damaged, or is of a newer format.

    """
    record = read_json(path)
    check_format(path, record, READABLE_FORMATS)
    seal = record.pop("seal", None)
    if seal != _seal(record) and (seal is not None or record["format"] != 1):
        raise StoreError(f"{path}: damaged (its content is not what was written).")
    return record


def check_format(path: Path, record: Mapping[str, Any], readable: tuple[int, ...]) -> None:
    """Raise StoreError unless this version reads the record's format."""
    if record.get("format") not in readable:
        raise StoreError(
            f"{path}: format {record.get('format', 'none')}, this version of seedstudy reads "
            f"{' and '.join(map(str, readable))}: use the version that wrote it."
        )


def to_json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
