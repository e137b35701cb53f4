"""From a trial and its record to rows of the frames, and from a result to its tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import require_extra
from seedstudy.store.schema import CURVES, PREDICTIONS, STATUSES, TRIALS
from seedstudy.study.trial import Trial, TrialResult

_POOL_KEYS = ("training_version", "device_type", "n_processes", "precision", "augment")
"""Provenance that must agree before trials pool, beside recipe, model, data, streams and torch/timm versions."""

_PYTHON_TYPES: Mapping[pl.DataType, tuple[type, ...]] = {
    pl.String(): (str,),
    pl.Int64(): (int,),
    pl.Float64(): (float, int),
    pl.Datetime("us", "UTC"): (datetime,),
}
_ROW_TYPES = {name: _PYTHON_TYPES[kind] for name, kind in TRIALS.items()}


def head_of(study: str, trial: Trial) -> dict[str, Any]:
    """Return the columns of TRIALS that are known before training; the rest is null."""
    return {
        **dict.fromkeys(TRIALS),
        "study": study,
        "recipe": trial.recipe.name,
        "recipe_id": trial.recipe.recipe_id,
        "model": trial.model,
        "data": trial.data,
        "seed": trial.seed,
        "trial_id": trial.trial_id,
        "vary": ",".join(trial.vary),
    }


def rows_of(head: dict[str, Any], trial: Trial, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the TRIALS rows of a trial's record: one per eval set, or one for a trial without counts.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        The record is not what a trial writes.

    """
    provenance = record["provenance"]
    common = head | {
        "status": record["status"],
        "reason": record["reason"],
        "best_epoch": record["best_epoch"],
        "epochs": record["epochs"],
        "train_s": record["train_s"],
        "images_per_s": record["images_per_s"],
        "n_params": record["n_params"],
        "device": provenance["device"],
        "peak_mem_bytes": provenance["peak_mem_bytes"],
        "pool_key": pool_key(trial, provenance),
        "versions": json.dumps(provenance["versions"], sort_keys=True),
        "started_at": datetime.fromisoformat(record["started_at"]).astimezone(UTC),
    }
    if record["status"] != "ok":
        return [_checked(common)]
    if not record["evaluations"]:
        raise ValueError("evaluations")
    return [
        _checked(
            common
            | {"eval_set": name, **{key: counts[key] for key in ("n_correct", "n_examples", "n_correct_top5", "loss")}}
            | {"best_n_correct": record["best_n_correct"] if name == "val" else None}
        )
        for name, counts in sorted(record["evaluations"].items(), key=lambda item: _place(item[0]))
    ]


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose values are of the columns' types; one bad trial must not spoil the frame of all."""
    for name, kinds in _ROW_TYPES.items():
        value = row[name]
        if value is None:
            continue
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(name)
        if isinstance(value, str):
            value.encode()  # half a surrogate pair is no text
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(name)
    if row["status"] not in STATUSES:
        raise ValueError("status")
    if row["status"] == "ok":
        for name in ("n_correct", "n_correct_top5", "best_n_correct"):
            count = row[name] if row[name] is not None or name == "best_n_correct" else -1
            if count is not None and not 0 <= count <= row["n_examples"]:
                raise ValueError(name)
    return row


def _place(eval_set: str) -> tuple[int, str]:
    """Return the sort key that puts val, real and v2 first, in this order."""
    order = EVAL_SET_ORDER.index(eval_set) if eval_set in EVAL_SET_ORDER else len(EVAL_SET_ORDER)
    return order, eval_set


def pool_key(trial: Trial, provenance: Mapping[str, Any]) -> str:
    """Return a short hash of all that must agree before two trials count as seeds of one thing."""
    versions = provenance["versions"]
    parts = [
        trial.recipe.recipe_id,
        trial.model,
        trial.data_fingerprint,
        list(trial.vary),
        *(provenance[key] for key in _POOL_KEYS),
        # A patch release does not change numbers on purpose; a minor one may.
        *(".".join(versions[name].split(".")[:2]) for name in ("torch", "timm")),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def predictions_of(trial: Trial, result: TrialResult, label_sets: Mapping[str, Any]) -> pl.DataFrame:
    """Return the PREDICTIONS of a result; ``label_sets`` maps eval sets to ids and labels."""
    frames = []
    for name, evaluation in result.evaluations.items():
        eval_set = label_sets[name]
        owners = np.repeat(np.arange(len(eval_set)), np.diff(eval_set.label_offsets))
        labels = pl.DataFrame(
            {"image": owners, "label": eval_set.label_values}, schema={"image": pl.Int64, "label": pl.Int32}
        )
        frames.append(
            pl.DataFrame(
                {
                    "trial_id": [trial.trial_id] * len(eval_set),
                    "eval_set": [name] * len(eval_set),
                    "example_id": eval_set.example_ids,
                    "labels": labels.group_by("image", maintain_order=True).agg("label")["label"],
                    "predicted": evaluation.predicted,
                    "confidence": evaluation.confidence,
                },
                schema=dict(PREDICTIONS),
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(PREDICTIONS))


def curves_of(trial: Trial, result: TrialResult) -> pl.DataFrame:
    """Return the CURVES of a result."""
    rows = [{"trial_id": trial.trial_id, **asdict(report)} for report in result.curves]
    return pl.DataFrame(rows, schema=dict(CURVES))


def read_parquet(content: bytes) -> pl.DataFrame:
    """Return the table in a Parquet file that anybody may have written.

    Arrow reads it, and checks every offset and every text: at some damaged files Polars 2.1 ends the process.

    Raises
    ------
    ValueError
        Not a Parquet file, or one that contradicts itself.
    MissingExtraError
        Arrow is not installed.

    """
    require_extra("parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        table.validate(full=True)
        return pl.DataFrame(table)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
