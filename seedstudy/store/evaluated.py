"""Weights trained elsewhere and evaluated here, as TRIALS rows and PREDICTIONS of a study.

The rows are kept beside the imported ones (:mod:`seedstudy.store.outside`), predictions in
``evaluated/<trial_id>.parquet``.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from seedstudy.data.base import Dataset, EvalSet
from seedstudy.files import write_atomically, writing
from seedstudy.store import outside as imported
from seedstudy.store.schema import PREDICTIONS, TRIALS, validate

if TYPE_CHECKING:
    from seedstudy.study.trial import Evaluation

FOLDER = "evaluated"


def label_of(model: str, weights: Path | None) -> tuple[str, str]:
    """Return (recipe, model) as selectors call them: resnet50.a1_in1k is a1_in1k@resnet50."""
    base, _, tag = model.rpartition("/")[2].partition(".")
    return re.sub(r"[^A-Za-z0-9_.]", "_", weights.stem if weights is not None else tag or "default"), base


def add(
    root: Path,
    evaluations: Mapping[str, Evaluation],
    data: Dataset,
    *,
    how: str,
    recipe: str,
    model: str,
    seed: int | None,
    n_params: int,
    device: str,
) -> bool:
    """Write one network's evaluations into a study's folder; returns False where exactly these are there already.

    Parameters
    ----------
    how
        The preprocessing, in words: part of the recipe_id.

    """
    predictions = {name: each.predicted.tobytes() for name, each in evaluations.items()}
    facts = [recipe, model, data.fingerprint, how, *(hashlib.sha256(p).hexdigest() for p in predictions.values())]
    trial_id = f"evaluated-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]}"
    path = root / FOLDER / f"{trial_id}.parquet"
    if path.exists():
        return False
    rows = [
        {
            **dict.fromkeys(TRIALS),
            "study": root.name,
            "recipe": recipe,
            "recipe_id": f"{recipe} ({how})",
            "model": model,
            "data": data.name,
            "seed": seed,
            "trial_id": trial_id,
            "status": "ok",
            "reason": "",
            "eval_set": name,
            "n_correct": each.n_correct,
            "n_examples": each.n_examples,
            "n_correct_top5": each.n_correct_top5,
            "loss": each.loss,
            "n_params": n_params,
            "device": device,
            "pool_key": hashlib.sha256(f"evaluated|{data.fingerprint}|{how}".encode()).hexdigest()[:8],
            "versions": json.dumps({package: version(package) for package in ("seedstudy", "timm", "torch")}),
            "started_at": datetime.now(UTC),
        }
        for name, each in evaluations.items()
    ]
    is_new = imported.write(root, pl.DataFrame(rows, schema=dict(TRIALS), orient="row"))
    frames = [_predictions(trial_id, data.eval_sets[name], each) for name, each in evaluations.items()]
    buffer = io.BytesIO()
    validate(pl.concat(frames), PREDICTIONS, where=str(path)).write_parquet(buffer, compression="zstd")
    with writing(path):
        write_atomically(path, buffer.getvalue())
    return is_new


def _predictions(trial_id: str, eval_set: EvalSet, evaluation: Evaluation) -> pl.DataFrame:
    labels = [part.tolist() for part in np.split(eval_set.label_values, eval_set.label_offsets[1:-1])]
    columns = {
        "trial_id": [trial_id] * len(eval_set),
        "eval_set": [eval_set.name] * len(eval_set),
        "example_id": eval_set.example_ids,
        "labels": labels,
        "predicted": evaluation.predicted,
        "confidence": evaluation.confidence,
    }
    return pl.DataFrame(columns, schema=dict(PREDICTIONS))
