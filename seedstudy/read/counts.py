"""Arms read from files -> TRIALS rows: accuracies become the integer counts they were."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.arms import Arm
from seedstudy.store.schema import TRIALS, validate
from seedstudy.study.study import check_name

N_EXAMPLES: Mapping[str, Mapping[str, int]] = {
    "imagenet": {"val": 50_000, "real": 46_837, "v2": 10_000},  # Beyer et al. 2020; Recht et al. 2019
    "cifar10": {"val": 10_000},
    "cifar100": {"val": 10_000},
}
"""Images of well-known eval sets."""


def trials_of(
    arms: Sequence[Arm],
    *,
    study: str,
    recipe: str | None,
    model: str | None,
    data: str | None,
    n_examples: Mapping[str, int],
    where: str,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return TRIALS rows of arms of one import, and what could not be known.

    Parameters
    ----------
    arms : sequence of Arm
        Top-1 accuracies in percentage points.
    study : str
        Name of the study the rows are for.
    recipe, model, data : str, optional
        Where the files do not say.
    n_examples : mapping of str to int
        Images per eval set; "" for every eval set that is not named.
    where : str
        How messages call the files.

    Raises
    ------
    StudyError
        Not an accuracy, model, data or number of images unknown, or an accuracy that no number of right answers gives.

    """
    rows, notes = [], []
    for arm in arms:
        if arm.unit != "pp":
            raise StudyError(
                f'{where}: "{arm.metric}" is no accuracy; a study holds top-1. `compare` takes this file as it is.'
            )
        name = check_name(recipe or arm.recipe, "recipe")
        of_model, of_data = (
            check_name(_known(given or told, what, where), what)
            for given, told, what in ((model, arm.model, "model"), (data, arm.data, "data"))
        )
        n = arm.n_examples or _n_examples(of_data, arm.eval_set, n_examples, where)
        counts = [_count(value, n, where) for value in arm.values]
        step = max(open_by for _, open_by in counts)
        if step >= 0.5 and not arm.has_counts:
            notes.append(
                f"{name}, {arm.eval_set}: rounded values leave the number of right images open by "
                f"±{math.ceil(step)} of {n:,}"
            )
        seeds: Sequence[int | None] = arm.seeds or [None] * len(counts)
        for position, ((n_correct, _), seed) in enumerate(zip(counts, seeds, strict=True)):
            identity = [
                name,
                of_model,
                of_data,
                "seed" if seed is not None else "row",
                position if seed is None else seed,
            ]
            rows.append(
                {
                    **dict.fromkeys(TRIALS),
                    "study": study,
                    "recipe": name,
                    "recipe_id": name,
                    "model": of_model,
                    "data": of_data,
                    "seed": seed,
                    "trial_id": "imported-" + hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10],
                    "status": "ok",
                    "reason": "",
                    "eval_set": arm.eval_set,
                    "n_correct": n_correct,
                    "n_examples": n,
                    "device": "imported",
                    "vary": "",
                    "pool_key": "imported",
                    "versions": "{}",
                }
            )
        notes += [f"{name}, {arm.eval_set}: {note}" for note in arm.notes]
        if arm.n_left_out:
            notes.append(f"{name}, {arm.eval_set}: {arm.n_left_out} unfinished trials left out")
    frame = pl.DataFrame(rows, schema=dict(TRIALS), orient="row")
    return validate(frame, TRIALS, where=where), tuple(dict.fromkeys(notes))


def _known(value: str | None, what: str, where: str) -> str:
    if value is None:
        raise StudyError(f"{where}: does not say which {what}; say --{what}.")
    return value


def _n_examples(data: str, eval_set: str, given: Mapping[str, int], where: str) -> int:
    n = given.get(eval_set) or given.get("") or N_EXAMPLES.get(data, {}).get(eval_set)
    if n is None:
        raise StudyError(
            f"{where}: how many images has {eval_set} of {data}? Say --n-examples 10000, or for one set "
            f"--n-examples {eval_set}=10000."
        )
    return n


def _count(points: float, n: int, where: str) -> tuple[int, float]:
    """Return how many images were right, and by how many images the printed digits leave that open."""
    n_correct = round(points / 100 * n)
    digits = repr(float(points)).partition("e")[0].partition(".")[2]
    # A fraction times 100 has noise in its last digits: no more than nine are taken as printed.
    open_by = 0.5 * 10.0 ** -min(len(digits), 9) / 100 * n
    if abs(points / 100 * n - n_correct) > open_by + 1e-6 * n:
        raise StudyError(
            f"{where}: {points:.10g} % is no whole number of {n:,} images (nearest {100 * n_correct / n:.10g} %): "
            "is --n-examples right?"
        )
    return n_correct, open_by
