"""What the kept weights of a trial gave after its training: on further eval sets, and at other test sizes.

Each is a record of its own beside the trial's, so that the seal of the result is never touched::

    evaluated-<name>-<weights>.json     counts, test size, device, and the digest of the table; written last, once
    evaluated-<table's digest>.parquet  PREDICTIONS

``<name>`` is an eval set, or ``val@192`` for val at 192 px; ``<weights>`` are the first digits of the digest of the
weights, so that nothing that other weights gave is taken for this trial's. The first record stays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StoreError
from seedstudy.files import damaged, is_there, read_bytes, read_record, write_atomically, write_record
from seedstudy.store.rows import COUNTS, checked, counts_of
from seedstudy.store.schema import LARGEST_TABLE, PREDICTIONS, table_of, to_parquet, validate
from seedstudy.study.trial import Evaluation

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")
_RECORD = re.compile(rf"evaluated-({_NAME.pattern})-([0-9a-f]{{16}})\.json")
_DIGITS = 16
_REMEDY = "remove it, and evaluate again"


def is_record(file_name: str) -> bool:
    """Say whether a file of a trial's folder is a record of this kind."""
    return _RECORD.fullmatch(file_name) is not None


def add(
    folder: Path,
    trial_id: str,
    weights: str,
    name: str,
    evaluation: Evaluation,
    predictions: pl.DataFrame,
    facts: Mapping[str, Any],
) -> bool:
    """Add one result to a trial's folder; returns False where the same weights have one of this name."""
    assert _NAME.fullmatch(name), name
    record = folder / f"evaluated-{name}-{weights[:_DIGITS]}.json"
    if is_there(record):
        return False
    content = to_parquet(validate(predictions, PREDICTIONS, where=str(record)))
    digest = hashlib.sha256(content).hexdigest()
    table = _table(folder, digest)
    write_atomically(table, content)
    about = {"trial_id": trial_id, "eval_set": name, "weights": weights, **counts_of(evaluation), **facts}
    is_first = write_record(record, {**about, "sha256": digest}, is_first_only=True)
    if not is_first and read_record(record, remedy=_REMEDY).get("sha256") != digest:
        table.unlink(missing_ok=True)
    return is_first


def rows(
    folder: Path, trial_id: str, weights: str | None, row: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return TRIALS rows like ``row``, the trial's own, and for each record that cannot be used a line that says why.

    A row's ``device`` stays that of the training.
    """
    found, unusable = list[dict[str, Any]](), dict[str, str]()
    for path in _records(folder, weights):
        try:
            record = _read(path, trial_id, weights)
            try:
                counts = {key: record[key] for key in COUNTS}
                found.append(checked({**row, **counts, "eval_set": record["eval_set"], "best_n_correct": None}))
            except (KeyError, TypeError, ValueError) as error:
                raise damaged(path, f"{error!r} is missing or wrong", _REMEDY) from error
            _content(path, record)
        except StoreError as error:
            unusable[f"{trial_id}/{path.name}"] = str(error)
    return found, unusable


def predictions(folder: Path, weights: str | None) -> Iterator[pl.DataFrame]:
    """Yield the PREDICTIONS of each result; DamagedError where a table differs from its digest."""
    for path in _records(folder, weights):
        record = _read(path, folder.name, weights)
        try:
            frame = table_of(_content(path, record))
        except ValueError as error:
            raise damaged(path, f"its table is not a Parquet file: {error}", _REMEDY) from error
        yield validate(frame, PREDICTIONS, where=str(path))


def has_some(folder: Path) -> bool:
    """Say whether a trial has any, without opening one."""
    return any(is_record(path.name) for path in folder.glob("evaluated-*.json"))


def _records(folder: Path, weights: str | None) -> list[Path]:
    if weights is None:
        return []
    return [path for path in sorted(folder.glob(f"evaluated-*-{weights[:_DIGITS]}.json")) if is_record(path.name)]


def _read(path: Path, trial_id: str, weights: str | None) -> dict[str, Any]:
    record = read_record(path, remedy=_REMEDY)
    match = _RECORD.fullmatch(path.name)
    of_name = (trial_id, weights, match and match[1])
    if (record.get("trial_id"), record.get("weights"), record.get("eval_set")) != of_name:
        raise damaged(path, "it belongs to another trial, or to other weights", _REMEDY)
    return record


def _content(path: Path, record: Mapping[str, Any]) -> bytes:
    """Return the table of a record, its digest checked."""
    digest = str(record.get("sha256"))
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise damaged(path, "it names no digest of its table", _REMEDY)
    table = _table(path.parent, digest)
    content = read_bytes(table, limit=LARGEST_TABLE)
    if hashlib.sha256(content).hexdigest() != digest:
        raise damaged(table, "its content is not what was written", _REMEDY)
    return content


def _table(folder: Path, digest: str) -> Path:
    return folder / f"evaluated-{digest[:_DIGITS]}.parquet"
