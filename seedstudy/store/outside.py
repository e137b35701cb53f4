"""Trials that were trained or evaluated elsewhere.

Their TRIALS rows are ``imported/<digest>.parquet`` in a study's folder, one file per import. The name is the digest of
the content, so that a file imported twice is there once, and damage is noticed. The predictions of weights that were
trained elsewhere and evaluated here are ``evaluated/<trial_id>.parquet``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import polars as pl

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.files import check_folder, damaged, is_there, read_bytes, write_atomically, writing
from seedstudy.store.rows import counts_of, predictions_of
from seedstudy.store.schema import (
    LARGEST_TABLE,
    PREDICTIONS,
    TOP1,
    TRIALS,
    completed,
    table_of,
    to_parquet,
    validate,
)
from seedstudy.study.trial import Evaluation

IMPORTED, EVALUATED = "imported", "evaluated"
_DIGITS = 16


def add(root: Path, rows: pl.DataFrame) -> bool:
    """Add TRIALS rows to a study's folder; returns False where exactly these were added before.

    Raises StoreError where rows do not fit the schema, a seed was imported before with another result, or there is no
    room to write.
    """
    content = to_parquet(validate(rows, TRIALS, where=str(root)))
    path = root / IMPORTED / f"{hashlib.sha256(content).hexdigest()[:_DIGITS]}.parquet"
    if is_there(path):
        return False
    known = read(root)[0]
    facts = [name for name in TRIALS if name != "study"]  # which a copied folder may have changed
    if rows.join(known, on=facts, how="anti", nulls_equal=True).is_empty():
        return False  # added by a version whose frames had fewer columns
    _check_seeds(rows, known, path.parent)
    with writing(path):
        (root / "trials").mkdir(parents=True, exist_ok=True)  # what makes a folder a study
        _make(path.parent)
        write_atomically(path, content)
    return True


def read(root: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return all rows, and for each file that cannot be used: name -> one line that says why."""
    parts, unusable = [pl.DataFrame(schema=dict(TRIALS))], dict[str, str]()
    for path in sorted((root / IMPORTED).glob("*.parquet")):
        try:
            content = read_bytes(path, limit=LARGEST_TABLE)
            if hashlib.sha256(content).hexdigest()[:_DIGITS] != path.stem:
                raise damaged(path, "its content is not what was imported", "remove it and import again")
            parts.append(validate(completed(table_of(content)), TRIALS, where=str(path)))
        except ValueError as error:
            unusable[path.name] = str(damaged(path, f"not a Parquet file: {error}", "remove it and import again"))
        except StoreError as error:
            unusable[path.name] = str(error)
    return pl.concat(parts), unusable


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    check_folder(folder)


def is_evaluated(root: Path, trial_id: str) -> bool:
    """Say whether a trial is weights that were trained elsewhere and evaluated here."""
    return is_there(root / EVALUATED / f"{trial_id}.parquet")


def digest(root: Path, trial_id: str) -> str | None:
    """Return the digest of the predictions of weights that were evaluated here; None where the trial is no such one."""
    path = root / EVALUATED / f"{trial_id}.parquet"
    return hashlib.sha256(read_bytes(path, limit=LARGEST_TABLE)).hexdigest() if is_there(path) else None


def predictions(root: Path, trial_id: str) -> pl.DataFrame | None:
    """Return the PREDICTIONS of weights that were evaluated here; None where the trial is no such one."""
    path = root / EVALUATED / f"{trial_id}.parquet"
    if not is_there(path):
        return None
    try:
        return validate(table_of(read_bytes(path, limit=LARGEST_TABLE)), PREDICTIONS, where=str(path))
    except ValueError as error:
        raise damaged(path, f"not a Parquet file: {error}") from error


def _check_seeds(rows: pl.DataFrame, known: pl.DataFrame, folder: Path) -> None:
    """Raise StoreError where a seed would count twice."""
    key = ["recipe", "model", "data", "seed", "eval_set"]
    with_seed = rows.filter(pl.col("seed").is_not_null())
    in_two_files = with_seed.filter(with_seed.select(key).is_duplicated())
    again = with_seed.join(known, on=key, how="semi")
    repeated = pl.concat([in_two_files, again])
    if repeated.is_empty():
        return
    row = repeated.row(0, named=True)
    what = f"{row['recipe']}@{row['model']}, seed {row['seed']}, {row['eval_set']}"
    if in_two_files.height:
        raise StoreError(f"{what} is in two of the files; a seed counts once: leave one out.")
    raise StoreError(
        f"{folder}: {what} was imported before with another result; a seed counts once: remove that file, or choose "
        "another --study."
    )


def recipe_and_model(name: str, weights: Path | None) -> tuple[str, str]:
    """Return the recipe and model by which selectors name a network: resnet50.a1_in1k is ("a1_in1k", "resnet50").

    ``weights`` is a file that was given instead of timm's weights; its name is the recipe.
    """
    model, _, tag = name.rpartition("/")[2].partition(".")
    return re.sub(r"[^A-Za-z0-9_.]", "_", weights.stem if weights is not None else tag or "default"), model


def add_evaluated(
    root: Path,
    evaluations: Mapping[str, Evaluation],
    data: Dataset,
    *,
    preprocessing: str,
    recipe: str,
    model: str,
    seed: int | None,
    n_params: int,
    device: str,
) -> bool:
    """Add one network's evaluations to a study's folder; returns False where exactly these were added before.

    ``preprocessing`` is a part of the recipe_id, in words. Raises as :func:`add`.
    """
    digests = [hashlib.sha256(each.predicted.tobytes()).hexdigest() for each in evaluations.values()]
    identity = json.dumps([recipe, model, data.fingerprint, preprocessing, *digests])
    trial_id = f"evaluated-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"
    if trial_id in read(root)[0]["trial_id"]:
        return False
    rows = [
        {
            **dict.fromkeys(TRIALS),
            "study": root.name,
            "recipe": recipe,
            "recipe_id": f"{recipe} ({preprocessing})",
            "model": model,
            "data": data.name,
            "seed": seed,
            "trial_id": trial_id,
            "status": "ok",
            "reason": "",
            "eval_set": name,
            "metric": TOP1,
            "replicate": 0,
            **counts_of(evaluation),
            "n_params": n_params,
            "device": device,
            "pool_key": hashlib.sha256(f"evaluated|{data.fingerprint}|{preprocessing}".encode()).hexdigest()[:8],
            "versions": json.dumps({package: version(package) for package in ("seedstudy", "timm", "torch")}),
            "started_at": datetime.now(UTC),
        }
        for name, evaluation in evaluations.items()
    ]
    path = root / EVALUATED / f"{trial_id}.parquet"
    predictions = predictions_of(trial_id, evaluations, data.eval_sets)
    with writing(path):
        root.mkdir(parents=True, exist_ok=True)
        _make(path.parent)
        write_atomically(path, to_parquet(validate(predictions, PREDICTIONS, where=str(path))))
    return add(root, pl.DataFrame(rows, schema=dict(TRIALS), orient="row"))
