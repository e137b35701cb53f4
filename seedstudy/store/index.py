"""trials.parquet: the TRIALS rows of a study's ended trials, so that their folders need not be read again.

The table is derived, and never more than a copy: every reader looks at the trial folders first, and takes a trial's
rows from here only if the files in its folder are the ones that the rows were read from. That is decided by the size,
times and inode of each file (the *signature*), which any write changes. Damage that leaves the signature as it was (a
failing disk) is found by the digests when the content itself is used.

Anyone may delete the table. Two writers at once, or a kill between its two files, leave one that differs from its
digest: it is ignored and made again.
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
from seedstudy.files import read_record, write_atomically, write_record
from seedstudy.store.schema import TRIALS, from_parquet, to_parquet

TABLE, RECORD = "trials.parquet", "index.json"
CONTENT = ("spec.json", "trial.json", "failure.json", "predictions.parquet", "curves.parquet")
"""The files of a trial's folder that its rows depend on."""

_SCHEMA: Mapping[str, pl.DataType] = {**TRIALS, "signature": pl.String()}
ROWS_VERSION = 1
"""Version of the code that turns records into rows; raise it whenever equal records would give other rows."""
_SETTLED_NS = 1_000_000_000
"""A younger file may be written again within one tick of the file system's clock, with the same signature."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one trial's folder shows without opening a file."""

    signature: str
    """Changes with every write to the trial's files."""
    is_lasting: bool
    """Whether the trial has ended, and its files are old enough that an equal signature means equal files."""


def survey(trials: Path) -> dict[str, Seen]:
    """Look at every trial's folder; trial id -> what was seen, in the order of the ids."""
    if not trials.is_dir():
        return {}
    latest = time.time_ns() - _SETTLED_NS
    with os.scandir(trials) as folders:
        looks = {folder.name: _look(folder.path, latest) for folder in folders if folder.is_dir()}
    return {trial_id: seen for trial_id, seen in sorted(looks.items()) if seen is not None}


def _look(folder: str, latest: int) -> Seen | None:
    has_ended, is_settled, names = False, True, []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in CONTENT:
                continue
            try:
                status = entry.stat()
            except OSError:  # a broken link, or moved away at this moment
                is_settled = False
                names.append((entry.name, 0, 0, 0, 0))
                continue
            is_settled &= max(status.st_ctime_ns, status.st_mtime_ns) < latest
            has_ended |= entry.name in ("trial.json", "failure.json")
            names.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    if not names:
        return None
    signature = hashlib.blake2b(repr(sorted(names)).encode(), digest_size=12).hexdigest()
    return Seen(signature=signature, is_lasting=has_ended and is_settled)


def read(root: Path) -> pl.DataFrame:
    """Return TRIALS rows with the signature of the files they were read from; none where the table is unusable."""
    nothing = pl.DataFrame(schema=dict(_SCHEMA))
    with suppress(StoreError, OSError):
        record = read_record(root / RECORD)
        content = (root / TABLE).read_bytes()
        # The digest comes first: damaged bytes never reach the Parquet reader.
        if _facts(content).items() <= record.items():
            return from_parquet(content)
    return nothing


def write(root: Path, rows: pl.DataFrame) -> None:
    """Keep rows for the next reader; where that is impossible (a full disk, another user's folder), do without."""
    content = to_parquet(rows)
    with suppress(OSError):
        write_atomically(root / TABLE, content, is_durable=False)
        write_record(root / RECORD, _facts(content))


def _facts(content: bytes) -> dict[str, Any]:
    """Return what must agree before a table is used: its digest and what made it."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "rows_version": ROWS_VERSION, "polars": pl.__version__}
