"""trials.parquet: the TRIALS rows of a study's ended trials, so that their folders need not be read again.

The table is derived, and never more than a copy: every reader looks at the trial folders first, and takes a trial's
rows from here only if the files in its folder are the ones that the rows were read from. That is decided by the size,
times and inode of each file (the *signature*), which any write changes. Damage that leaves the signature as it was (a
failing disk) is found by the digests when the content itself is used.

Anyone may delete the table. One that was copied with its folder is not used: it is another file. Two writers at once,
or a kill between its two files, leave one that differs from its digest: it is ignored and made again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StoreError
from seedstudy.files import read_bytes, read_record, write_atomically, write_record
from seedstudy.store import later
from seedstudy.store.schema import TRIALS, from_parquet, to_parquet

TABLE, RECORD = "trials.parquet", "index.json"
_RECORDS = ("spec.json", "trial.json", "failure.json")
"""The files of a trial's folder that its rows depend on, with the tables and what was evaluated later."""

_SCHEMA: Mapping[str, pl.DataType] = {**TRIALS, "signature": pl.String()}
ROWS_VERSION = 2
"""Version of the code that turns records into rows; raise it whenever equal records would give other rows."""
_LARGEST = 2**30
"""Bytes of the table; ten million trials have fewer."""
_SETTLED_NS = 1_000_000_000
"""A younger file may be written again within one tick of the file system's clock, with the same signature."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a look at one trial's folder shows without opening a file."""

    signature: str = ""
    """Changes with every write to the trial's files."""
    is_lasting: bool = False
    """Whether the trial has ended, and its files are old enough that an equal signature means equal files."""
    problem: str = ""
    """One line that says why the folder cannot be read; empty where it can."""


def survey(trials: Path) -> dict[str, Seen]:
    """Look at every trial's folder; name -> what was seen, in the order of the names.

    Raises StoreError where the folder of all trials cannot be read: it is never taken for an empty one.
    """
    latest = time.time_ns() - _SETTLED_NS
    try:
        with os.scandir(trials) as folders:
            looks = {folder.name: _look(folder, latest) for folder in folders}
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise StoreError(f"{trials}: a file is where a folder should be; remove it or change --results.") from error
    except OSError as error:
        raise StoreError(f"{trials}: cannot be read now ({error.strerror}); check its permissions.") from error
    return {name: seen for name, seen in sorted(looks.items()) if seen is not None}


def _look(folder: os.DirEntry[str], latest: int) -> Seen | None:
    """Look at one folder; None for what is no trial: a file, or a folder in which nothing was planned."""
    try:
        if folder.is_symlink():
            return Seen(problem=f"{folder.path}: a link, which is not followed: copy the folder here, or remove it.")
        return _look_into(folder.path, latest) if folder.is_dir() else None
    except FileNotFoundError:  # removed at this moment
        return None
    except OSError as error:
        return Seen(problem=f"{folder.path}: cannot be read now ({error.strerror}); check its permissions.")


def _look_into(folder: str, latest: int) -> Seen | None:
    has_ended, is_planned, is_settled, names = False, False, True, []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in _RECORDS and not entry.name.endswith(".parquet") and not later.is_record(entry.name):
                continue
            has_ended |= entry.name in ("trial.json", "failure.json")
            is_planned |= entry.name == "spec.json"
            try:
                status = entry.stat()
            except OSError:  # a broken link, or moved away at this moment
                is_settled = False
                names.append((entry.name, 0, 0, 0, 0))
                continue
            is_settled &= max(status.st_ctime_ns, status.st_mtime_ns) < latest
            names.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    if not (is_planned or has_ended):
        return None
    signature = hashlib.blake2b(repr(sorted(names)).encode(), digest_size=12).hexdigest()
    return Seen(signature=signature, is_lasting=has_ended and is_settled)


def read(root: Path) -> pl.DataFrame:
    """Return TRIALS rows with the signature of the files they were read from; none where the table is unusable."""
    with suppress(StoreError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        record = read_record(root / RECORD)
        content = read_bytes(root / TABLE, limit=_LARGEST)
        # Damaged bytes never reach the Parquet reader, and neither do those of a folder that was copied from elsewhere.
        if _facts(root, content).items() <= record.items():
            known = from_parquet(content)
            if known.schema == _SCHEMA:
                return known
    return pl.DataFrame(schema=dict(_SCHEMA))


def write(root: Path, rows: pl.DataFrame) -> None:
    """Keep rows for the next reader; where that is impossible (a full disk, another user's folder), do without."""
    content = to_parquet(rows)
    with suppress(OSError):
        write_atomically(root / TABLE, content, is_durable=False)
        write_record(root / RECORD, _facts(root, content))


def _facts(root: Path, content: bytes) -> dict[str, Any]:
    """Return what must agree before a table is used: its digest, what made it, and which file it is."""
    status = (root / TABLE).stat()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows_version": ROWS_VERSION,
        "polars": pl.__version__,
        "file": [status.st_ino, status.st_ctime_ns],
    }
