"""The frames: their columns, types and units, checked on every write and read; and their Parquet files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import polars as pl

from seedstudy.errors import MissingExtraError, StoreError, first_line, require_extra
from seedstudy.study.seeds import FIXED_SEED, PURPOSES

STATUSES = ("ok", "diverged", "failed", "interrupted")

Schema = Mapping[str, pl.DataType]

SEED_COLUMNS = {purpose: f"seed_{purpose}" for purpose in PURPOSES}
"""Random stream -> the column of its seed."""
TOP1 = "top1"
"""The metric of trials with counts."""

TRIALS: Schema = {
    "study": pl.String(),
    "recipe": pl.String(),
    "recipe_id": pl.String(),  # name and hash of the values as trained
    "model": pl.String(),
    "data": pl.String(),
    "seed": pl.Int64(),  # of the streams that vary, where a design gives none a seed of its own
    **dict.fromkeys(SEED_COLUMNS.values(), pl.Int64()),  # of each stream; null where unknown
    "replicate": pl.Int64(),  # repetitions of one trial share every stream
    "trial_id": pl.String(),
    "status": pl.String(),  # ok, diverged, failed or interrupted
    "reason": pl.String(),  # empty for ok
    "eval_set": pl.String(),  # val, real, v2; null where the trial never got there
    "metric": pl.String(),  # top1 for trainings made here
    "value": pl.Float64(),  # of the metric, where it is no share of images that the counts say
    "n_correct": pl.Int64(),  # last epoch; null unless ok
    "n_examples": pl.Int64(),
    "n_correct_top5": pl.Int64(),
    "loss": pl.Float64(),  # nats per image
    "best_epoch": pl.Int64(),  # by val, among the epochs evaluated; never mixed into n_correct
    "best_n_correct": pl.Int64(),  # on val at best_epoch; null on other eval sets
    "epochs": pl.Int64(),
    "train_s": pl.Float64(),  # wall seconds, evaluation included
    "images_per_s": pl.Float64(),  # training images
    "n_params": pl.Int64(),
    "device": pl.String(),
    "peak_mem_bytes": pl.Int64(),  # device memory on GPUs, resident memory of the process on CPUs
    "vary": pl.String(),  # streams that follow the seed, joined by commas
    "pool_key": pl.String(),  # trials pool only where it is equal
    "versions": pl.String(),  # JSON: package -> version
    "started_at": pl.Datetime("us", "UTC"),
}
"""One row per trial and eval set."""

PREDICTIONS: Schema = {
    "trial_id": pl.String(),
    "eval_set": pl.String(),
    "example_id": pl.String(),
    "labels": pl.List(pl.Int32()),  # every class that counts as right
    "predicted": pl.Int32(),
    "confidence": pl.Float32(),  # probability of the prediction
    "label_probability": pl.Float32(),  # softmax probability of the label set; null before format 3
}
"""One row per trial, eval set and image."""

CURVES: Schema = {
    "trial_id": pl.String(),
    "epoch": pl.Int64(),  # from 1
    "lr": pl.Float64(),  # of the epoch's last update
    "train_loss": pl.Float64(),
    "images_per_s": pl.Float64(),
    "n_correct": pl.Int64(),  # on val; null where it was not evaluated
    "n_examples": pl.Int64(),
}
"""One row per trial and epoch."""


LATER: Mapping[str, Any] = {"label_probability": None}
"""Column that older formats lack -> its value there."""


def validate(frame: pl.DataFrame, schema: Schema, *, where: str) -> pl.DataFrame:
    """Return the frame, its columns in the schema's order; columns of `LATER` that it lacks are filled.

    Raises StoreError where a column is missing, unknown or of another type, or a count lies outside [0, n_examples].
    """
    lacking = [name for name in LATER if name in schema and name not in frame.columns]
    frame = frame.with_columns(pl.lit(LATER[name], dtype=schema[name]).alias(name) for name in lacking)
    for name, kind in schema.items():
        if name not in frame.columns:
            raise StoreError(f'{where}: column "{name}" is missing; the file is damaged or from another version.')
        if frame.schema[name] != kind:
            raise StoreError(f'{where}: column "{name}" has type {frame.schema[name]}, expected {kind}.')
    extra = [name for name in frame.columns if name not in schema]
    if extra:
        raise StoreError(f'{where}: unknown column "{extra[0]}"; the file is from another version.')
    for name in ("n_correct", "n_correct_top5", "best_n_correct"):
        if name in schema and not frame.filter(~pl.col(name).is_between(0, pl.col("n_examples"))).is_empty():
            raise StoreError(f"{where}: {name} lies outside 0 to n_examples; the file is damaged.")
    if "status" in schema:
        unknown = frame.filter(~pl.col("status").is_in(STATUSES))
        if not unknown.is_empty():
            raise StoreError(f'{where}: unknown status "{unknown["status"][0]}".')
        is_ok, has_value = pl.col("status") == "ok", pl.col("value").is_finite().fill_null(value=False)
        if frame.filter(is_ok & pl.col("n_correct").is_null() & ~has_value).height:
            raise StoreError(f'{where}: a trial with status "ok" has no counts and no value; the file is damaged.')
    return frame.select(list(schema))


def completed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of trials with the columns that older versions did not write, filled with what those meant."""
    known = set(frame.columns)
    unknown = pl.lit(None, dtype=pl.Int64())
    seeds = dict.fromkeys(SEED_COLUMNS, unknown)
    if {"seed", "vary"} <= known and (frame.schema["seed"], frame.schema["vary"]) == (pl.Int64(), pl.String()):
        follows = pl.col("vary").str.split(",")
        seeds = {
            purpose: pl.when(pl.col("vary") == "")
            .then(unknown)
            .when(follows.list.contains(purpose))
            .then(pl.col("seed"))
            .when(pl.col("vary").is_not_null())
            .then(pl.lit(FIXED_SEED, dtype=pl.Int64()))
            for purpose in PURPOSES
        }
    added = {SEED_COLUMNS[purpose]: value for purpose, value in seeds.items()} | {
        "replicate": pl.lit(0, dtype=pl.Int64()),
        "metric": pl.lit(TOP1),
        "value": pl.lit(None, dtype=pl.Float64()),
    }
    if "status" in known and (frame["status"] == "ok").all():
        added["reason"] = pl.lit("")  # no trial of these failed
    return frame.with_columns(**{name: value for name, value in added.items() if name not in known})


def to_parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as the content of a Parquet file; equal frames give equal bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(content: bytes) -> pl.DataFrame:
    """Return the frame that :func:`to_parquet` was given; the content's digest must have been checked."""
    return pl.read_parquet(io.BytesIO(content))


LARGEST_TABLE = 2**30
"""Bytes of a Parquet file."""
_MOST_CELLS, _MOST_BYTES = 2**28, 2**30
"""Of an unpacked table: a file of two megabytes may hold 400 million rows of one value."""
_ROWS_AT_ONCE = 2**14


def read_parquet(content: bytes) -> pl.DataFrame:
    """Return the table in a Parquet file that anybody may have written.

    Arrow reads it and checks every offset and every text: some damaged files end the process in Polars 2.1. Raises
    ValueError where it is no Parquet file, contradicts itself, or would fill the memory, and MissingExtraError without
    Arrow.
    """
    require_extra("parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Texts that repeat stay one text each until their size is known.
        head = pq.read_schema(pa.BufferReader(content))
        texts = [field.name for field in head if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        if file.metadata.num_rows * max(file.metadata.num_columns, 1) > _MOST_CELLS:
            raise ValueError(f"{file.metadata.num_rows:,} rows are more than any study has")
        batches, n_bytes = [], 0
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            n_bytes += sum(map(_unpacked_bytes, batch.columns))
            if n_bytes > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES:,} bytes when unpacked")
            batches.append(batch)
        table = pa.Table.from_batches(batches, schema=file.schema_arrow) if batches else file.read()
        table = table.cast(head)
        table.validate(full=True)
        return pl.DataFrame(table)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(first_line(error)) from error


def _unpacked_bytes(column: Any) -> int:
    """Return the size of an Arrow array; of a dictionary, that of the texts its rows repeat."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    longest = max(map(len, column.dictionary.to_pylist()), default=0) if len(column.dictionary) else 0
    return len(column) * longest


def table_of(content: bytes) -> pl.DataFrame:
    """Return the table in a Parquet file of a study, which another program may have written, with or without Arrow.

    Raises ValueError as :func:`read_parquet` does. Without Arrow, a file that was made to harm may end the process.
    """
    with suppress(MissingExtraError):
        return read_parquet(content)
    try:
        return from_parquet(content)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(first_line(error)) from error
