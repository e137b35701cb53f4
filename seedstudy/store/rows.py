"""From a trial's result to its record and tables, and from its record to rows of TRIALS."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from seedstudy.data.base import EvalSet, place_of
from seedstudy.store.schema import CURVES, PREDICTIONS, SEED_COLUMNS, STATUSES, TOP1, TRIALS
from seedstudy.study.command import AnyTrial, CommandTrial, ReportedNumber, ReportedResult
from seedstudy.study.trial import Evaluation, Trial, TrialResult

COUNTS = tuple(field.name for field in fields(Evaluation) if field.name in TRIALS)
"""Of one evaluation: fields of the result, keys of the record and columns of TRIALS alike."""
FACTS = tuple(field.name for field in fields(TrialResult) if field.name in TRIALS)
"""The same of one result."""

_POOL_KEYS = ("training_version", "device_type", "n_processes", "precision", "augment")
"""Provenance that must agree before trials pool, besides recipe, model, data, streams and torch/timm versions."""

_PYTHON_TYPES: Mapping[pl.DataType, tuple[type, ...]] = {
    pl.String(): (str,),
    pl.Int64(): (int,),
    pl.Float64(): (float, int),
    pl.Datetime("us", "UTC"): (datetime,),
}
_ROW_TYPES = {name: _PYTHON_TYPES[kind] for name, kind in TRIALS.items()}


def record_of(trial: Trial, result: TrialResult, started_at: str) -> dict[str, Any]:
    """Return the record of a result: all of it but the tables."""
    return {
        "trial_id": trial.trial_id,
        **{name: getattr(result, name) for name in FACTS},
        "evaluations": {name: counts_of(evaluation) for name, evaluation in result.evaluations.items()},
        "provenance": result.provenance,
        "started_at": started_at,
    }


def counts_of(evaluation: Evaluation) -> dict[str, Any]:
    return {name: getattr(evaluation, name) for name in COUNTS}


def predictions_of(
    trial_id: str, evaluations: Mapping[str, Evaluation], eval_sets: Mapping[str, EvalSet]
) -> pl.DataFrame:
    """Return the PREDICTIONS of one network on its eval sets, which give the ids and labels of the images."""
    frames = []
    for name, evaluation in evaluations.items():
        eval_set = eval_sets[name]
        owners = np.repeat(np.arange(len(eval_set)), np.diff(eval_set.label_offsets))
        label_types = {"image": pl.Int64, "label": pl.Int32}
        labels = pl.DataFrame({"image": owners, "label": eval_set.label_values}, schema=label_types)
        columns = {
            "trial_id": [trial_id] * len(eval_set),
            "eval_set": [name] * len(eval_set),
            "example_id": eval_set.example_ids,
            "labels": labels.group_by("image", maintain_order=True).agg("label")["label"],
            "predicted": evaluation.predicted,
            "confidence": evaluation.confidence,
            "label_probability": evaluation.label_probability,
        }
        frames.append(pl.DataFrame(columns, schema=dict(PREDICTIONS)))
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(PREDICTIONS))


def curves_of(trial: Trial, result: TrialResult) -> pl.DataFrame:
    """Return the CURVES of a result."""
    rows = [{"trial_id": trial.trial_id, **asdict(report)} for report in result.curves]
    return pl.DataFrame(rows, schema=dict(CURVES))


def reported_record_of(trial: CommandTrial, result: ReportedResult, started_at: str) -> dict[str, Any]:
    """Return the record of a result that a training elsewhere reports."""
    return {
        "trial_id": trial.trial_id,
        "status": result.status,
        "reason": result.reason,
        "train_s": result.train_s,
        "evaluations": {name: asdict(number) for name, number in result.evaluations.items()},
        "provenance": dict(result.provenance),
        "started_at": started_at,
    }


def head_of(study: str, trial: AnyTrial) -> dict[str, Any]:
    """Return the columns of TRIALS that are known before training; the rest is null."""
    if isinstance(trial, CommandTrial):
        return {
            **dict.fromkeys(TRIALS),
            "study": study,
            "recipe": trial.arm,
            "recipe_id": trial.recipe_id,
            "model": trial.model or None,
            "data": trial.data or None,
            "seed": trial.seed,
            "replicate": 0,
            "metric": trial.metric,
            "trial_id": trial.trial_id,
        }
    return {
        **dict.fromkeys(TRIALS),
        "study": study,
        "recipe": trial.recipe.name,
        "recipe_id": trial.recipe.recipe_id,
        "model": trial.model,
        "data": trial.data,
        "seed": trial.seed,
        **{column: trial.streams.seed_of(purpose) for purpose, column in SEED_COLUMNS.items()},
        "replicate": trial.replicate,
        "metric": TOP1,
        "trial_id": trial.trial_id,
        "vary": ",".join(trial.vary),
    }


def rows_of(head: dict[str, Any], trial: AnyTrial, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the TRIALS rows of a trial's record: one per eval set, or one for a trial without counts.

    Raises KeyError, TypeError, ValueError, AttributeError or OverflowError where a trial would not write that record.
    """
    if isinstance(trial, CommandTrial):
        return _reported_rows_of(head, trial, record)
    provenance = record["provenance"]
    common = head | {
        **{name: record[name] for name in FACTS},
        "best_n_correct": None,
        "device": provenance["device"],
        "peak_mem_bytes": provenance["peak_mem_bytes"],
        "pool_key": pool_key(trial, provenance),
        "versions": json.dumps(provenance["versions"], sort_keys=True),
        "started_at": datetime.fromisoformat(record["started_at"]).astimezone(UTC),
    }
    if record["status"] != "ok":
        return [checked(common)]
    if not record["evaluations"]:
        raise ValueError("evaluations")
    rows = []
    for name in sorted(record["evaluations"], key=place_of):
        counts = {key: record["evaluations"][name][key] for key in COUNTS}
        best = record["best_n_correct"] if name == "val" else None
        rows.append(checked(common | counts | {"eval_set": name, "best_n_correct": best}))
    return rows


def _reported_rows_of(head: dict[str, Any], trial: CommandTrial, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    provenance, evaluations = record["provenance"], record["evaluations"]
    common = head | {
        **{name: record[name] for name in ("status", "reason", "train_s")},
        "device": provenance["device"],
        "pool_key": _digest([trial.recipe_id, provenance["device_type"]]),
        "versions": json.dumps(provenance.get("versions", {}), sort_keys=True),
        "started_at": datetime.fromisoformat(record["started_at"]).astimezone(UTC),
    }
    if record["status"] != "ok":
        return [checked(common)]
    if not evaluations:
        raise ValueError("evaluations")
    names = [field.name for field in fields(ReportedNumber)]
    return [
        checked(common | {name: evaluations[each][name] for name in names} | {"eval_set": each}, needed=("n_correct",))
        for each in sorted(evaluations, key=place_of)
    ]


def checked(row: dict[str, Any], *, needed: tuple[str, ...] = ("n_correct", "n_correct_top5")) -> dict[str, Any]:
    """Return a row whose values are of the columns' types; one bad trial must not spoil the frame of all.

    ``needed`` are the counts of a result that has no value.
    """
    for name, kinds in _ROW_TYPES.items():
        value = row[name]
        if value is None:
            continue
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(name)
        if isinstance(value, str):
            value.encode()  # a lone surrogate is not text
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(name)
    if row["status"] not in STATUSES:
        raise ValueError("status")
    if row["value"] is not None and not math.isfinite(row["value"]):
        raise ValueError("value")
    if row["status"] == "ok" and row["value"] is None:
        for name in ("n_correct", "n_correct_top5", "best_n_correct"):
            count = row[name] if row[name] is not None or name not in needed else -1
            if count is not None and not 0 <= count <= row["n_examples"]:
                raise ValueError(name)
    return row


def pool_key(trial: Trial, provenance: Mapping[str, Any]) -> str:
    """Return a short hash of everything that must agree before two trials count as seeds of the same thing."""
    versions = provenance["versions"]
    parts = [
        trial.recipe.recipe_id,
        trial.model,
        trial.data_fingerprint,
        list(trial.vary),
        *(provenance[key] for key in _POOL_KEYS),
        # In float32 a compiled trial adds in another order; in 16 bits it also rounds at other places.
        *(["compiled"] if provenance.get("compiled") and provenance["precision"] != "float32" else []),
        *([] if trial.start is None else [trial.start.pool]),
        *([] if trial.pseudo_labels is None else [trial.pseudo_labels]),
        # A patch release does not change numbers on purpose; a minor one may.
        *(".".join(versions[name].split(".")[:2]) for name in ("torch", "timm")),
    ]
    return _digest(parts)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
