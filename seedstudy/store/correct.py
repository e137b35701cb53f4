"""images/: which images each network has right, one bit each, so that predictions need not be read for every answer.

One file per network, named after the place of its record on the disk, or by the digest of its predictions. Derived, and
never more than a copy: anyone may delete the folder, and a file that is damaged or cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seedstudy.errors import SeedstudyError
from seedstudy.files import check_folder, read_bytes, write_atomically

FOLDER = "images"
_VERSION = 1
_LARGEST = 2**28
"""Bytes of a file; a network on 107,000 images has 14,000."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correct:
    """Which images of one eval set one network has right."""

    images: str
    """Digest of the ids of the images; equal for equal images in equal order."""
    is_correct: npt.NDArray[np.bool_]
    """(n_images,) in the order of the ids."""


def of_predictions(predictions: pl.DataFrame) -> dict[str, Correct]:
    """Return eval set -> which images are right, from a PREDICTIONS frame of one network."""
    is_correct = pl.col("labels").list.contains(pl.col("predicted")).alias("is_correct")
    found = {}
    for (name,), frame in predictions.group_by("eval_set", maintain_order=True):
        by_id = frame.select("example_id", is_correct).sort("example_id")
        ids = "\n".join(by_id["example_id"].to_list())
        digest = hashlib.sha256(ids.encode(errors="surrogatepass")).hexdigest()[:16]
        found[str(name)] = Correct(images=digest, is_correct=by_id["is_correct"].to_numpy())
    return found


def key_of(record: Path) -> str:
    """Return a name for a record, which is written once, without opening it: its trial, size and inode.

    Who uses the bits compares their number with the counts of the record.
    """
    seen = record.stat()
    where = (record.parent.name, seen.st_size, seen.st_ino)
    return hashlib.sha256(repr(where).encode()).hexdigest()


def read(study: Path, key: str) -> dict[str, Correct] | None:
    """Return what :func:`keep` wrote under this key; None where there is nothing to be used."""
    with suppress(SeedstudyError, OSError, KeyError, TypeError, ValueError):
        head, _, bits = read_bytes(_path(study, key), limit=_LARGEST).partition(b"\n")
        facts = json.loads(head)
        if facts["version"] != _VERSION or facts["sha256"] != hashlib.sha256(bits).hexdigest():
            return None
        found, packed, start = {}, np.frombuffer(bits, dtype=np.uint8), 0
        for name, images, n in facts["sets"]:
            end = start + -(-n // 8)
            is_correct = np.unpackbits(packed[start:end], count=n).astype(np.bool_)
            found[name], start = Correct(images=images, is_correct=is_correct), end
        return found
    return None


def keep(study: Path, key: str, correct: Mapping[str, Correct]) -> None:
    """Keep what :func:`read` returns; where that is impossible (a full disk, another user's folder), do without."""
    bits = b"".join(np.packbits(each.is_correct).tobytes() for each in correct.values())
    facts: dict[str, Any] = {
        "version": _VERSION,
        "sha256": hashlib.sha256(bits).hexdigest(),
        "sets": [[name, each.images, len(each.is_correct)] for name, each in correct.items()],
    }
    path = _path(study, key)
    with suppress(SeedstudyError, OSError):
        check_folder(study)
        path.parent.mkdir(exist_ok=True)
        check_folder(path.parent)
        write_atomically(path, json.dumps(facts).encode() + b"\n" + bits, is_durable=False)


def _path(study: Path, key: str) -> Path:
    return study / FOLDER / f"{key[:32]}.bits"
