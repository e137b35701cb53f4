"""Trials trained elsewhere, as TRIALS rows in a study's folder: ``imported/<digest>.parquet``, one file per import.

The name is the digest of the content, so that the same file imported twice is there once, and a damaged one is seen.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import polars as pl

from seedstudy.errors import StoreError
from seedstudy.files import write_atomically, writing
from seedstudy.store.schema import TRIALS, validate

FOLDER = "imported"
_DIGITS = 16


def write(root: Path, rows: pl.DataFrame) -> bool:
    """Add rows to a study's folder; returns False where exactly these are there already.

    Raises
    ------
    StoreError
        Rows that are not of the schema, a seed that was imported before with another result, or no room to write.

    """
    buffer = io.BytesIO()
    validate(rows, TRIALS, where=str(root)).write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    path = root / FOLDER / f"{hashlib.sha256(content).hexdigest()[:_DIGITS]}.parquet"
    if path.exists():
        return False
    _check_new(rows, read(root)[0], path.parent)
    with writing(path):
        (root / "trials").mkdir(parents=True, exist_ok=True)  # what makes a folder a study
        write_atomically(path, content)
    return True


def read(root: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return all imported rows, and for each file that cannot be used one line that says why."""
    parts, damaged = [pl.DataFrame(schema=dict(TRIALS))], dict[str, str]()
    for path in sorted((root / FOLDER).glob("*.parquet")) if (root / FOLDER).is_dir() else []:
        try:
            content = path.read_bytes()
            # The digest comes first: damaged bytes never reach the Parquet reader.
            if hashlib.sha256(content).hexdigest()[:_DIGITS] != path.stem:
                raise StoreError(f"{path}: damaged (its content is not what was imported); remove it and import again.")
            parts.append(validate(pl.read_parquet(io.BytesIO(content)), TRIALS, where=str(path)))
        except OSError as error:
            damaged[path.name] = f"{path}: cannot be read ({error.strerror})."
        except StoreError as error:
            damaged[path.name] = str(error)
    return pl.concat(parts), damaged


def _check_new(rows: pl.DataFrame, there: pl.DataFrame, folder: Path) -> None:
    key = ["recipe", "model", "data", "seed", "eval_set"]
    with_seed = rows.filter(pl.col("seed").is_not_null())
    twice = with_seed.filter(with_seed.select(key).is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise StoreError(
            f"{row['recipe']}@{row['model']}, seed {row['seed']}, {row['eval_set']} stands in two of the files; "
            "a seed counts once: leave one out."
        )
    again = with_seed.join(there, on=key, how="semi")
    if again.height:
        row = again.row(0, named=True)
        raise StoreError(
            f"{folder}: {row['recipe']}@{row['model']}, seed {row['seed']}, {row['eval_set']} was imported before with "
            "another result; a seed counts once: remove that file, or choose another --study."
        )
