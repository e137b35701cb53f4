"""Groups read from files -> TRIALS rows: accuracies become the integer counts they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import rounding, rounding_note
from seedstudy.store.schema import TRIALS, validate
from seedstudy.study.group import Group
from seedstudy.study.study import check_name

N_EXAMPLES: Mapping[str, Mapping[str, int]] = {
    "imagenet": {"val": 50_000, "real": 46_837, "v2": 10_000},  # Beyer et al. 2020; Recht et al. 2019
    "cifar10": {"val": 10_000},
    "cifar100": {"val": 10_000},
}
"""Images of well-known eval sets."""


def image_counts(given: int | str | Mapping[str, int] | None) -> Mapping[str, int]:
    """Return the number of images per eval set; "" is every set.

    Parameters
    ----------
    given
        Of every set, by set, or as text: "10000", "val=10000,v2=2000".

    """
    if given is None or isinstance(given, Mapping):
        return given or {}
    counts = {}
    for word in str(given).split(","):
        eval_set, _, number = word.strip().rpartition("=")
        if not number.isdecimal() or not 0 < int(number) < 10**12:
            raise StudyError(f'--n-examples "{word}": expected a number of images, such as 10000 or val=10000.')
        counts[eval_set.strip()] = int(number)
    return counts


def trials_of(
    groups: Sequence[Group],
    *,
    study: str,
    recipe: str | None,
    model: str | None,
    data: str | None,
    n_examples: Mapping[str, int],
    where: str,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the TRIALS rows of one import, and notes on what the files leave open.

    Parameters
    ----------
    groups : sequence of Group
        Top-1 accuracies in percentage points.
    study : str
        Name of the study that the rows are for.
    recipe, model, data : str, optional
        Where the files do not say.
    n_examples : mapping of str to int
        Images per eval set; "" for every eval set that is not named.
    where : str
        Name of the files in messages.

    Raises
    ------
    StudyError
        Not an accuracy; model, data or number of images unknown; or an accuracy that no number of correct images gives.

    """
    rows, notes = [], list[str]()
    for group in groups:
        if group.unit != "pp":
            raise StudyError(f'{where}: "{group.metric}" is not an accuracy: `compare` reads it, a study holds top-1.')
        head = {
            "study": study,
            "recipe": check_name(recipe or group.recipe, "recipe"),
            "model": check_name(_known(model or group.model, "model", where), "model"),
            "data": check_name(_known(data or group.data, "data", where), "data"),
            "eval_set": group.eval_set,
        }
        of_group = list(group.notes)
        if group.step is not None:
            n = round(100.0 / group.step)
        else:
            n = _n_examples(head["data"], group.eval_set, n_examples, where)
            of_group += [note for note in [rounding_note(group.values, n)] if note]
        if group.n_left_out:
            of_group.append(f"{group.n_left_out} unfinished trials left out")
        notes += [f"{head['recipe']}, {group.eval_set}: {note}" for note in of_group]
        seeds: Sequence[int | None] = group.seeds or [None] * group.n
        for position, (value, seed) in enumerate(zip(group.values, seeds, strict=True)):
            place = ["row", position] if seed is None else ["seed", seed]
            identity = json.dumps([head["recipe"], head["model"], head["data"], *place])
            rows.append(
                {
                    **dict.fromkeys(TRIALS),
                    **head,
                    "recipe_id": head["recipe"],
                    "seed": seed,
                    "trial_id": f"imported-{hashlib.sha256(identity.encode()).hexdigest()[:10]}",
                    "status": "ok",
                    "reason": "",
                    "n_correct": _n_correct(value, n, where),
                    "n_examples": n,
                    "device": "imported",
                    "vary": "",
                    "pool_key": "imported",
                    "versions": "{}",
                }
            )
    frame = pl.DataFrame(rows, schema=dict(TRIALS), orient="row")
    return validate(frame, TRIALS, where=where), tuple(dict.fromkeys(notes))


def _known(value: str | None, what: str, where: str) -> str:
    if value is None:
        raise StudyError(f"{where}: does not say which {what}; give --{what}.")
    return value


def _n_examples(data: str, eval_set: str, given: Mapping[str, int], where: str) -> int:
    n = given.get(eval_set) or given.get("") or N_EXAMPLES.get(data, {}).get(eval_set)
    if n is None:
        raise StudyError(
            f"{where}: how many images has {eval_set} of {data}? Give --n-examples 10000, or for one set "
            f"--n-examples {eval_set}=10000."
        )
    return n


def _n_correct(points: float, n: int, where: str) -> int:
    exact = points / 100 * n
    n_correct = round(exact)
    if abs(exact - n_correct) > rounding(points) / 100 * n + 1e-6 * n:
        raise StudyError(
            f"{where}: {points:.10g} % is not a whole number of {n:,} images (nearest {100 * n_correct / n:.10g} %): "
            "is --n-examples right?"
        )
    return n_correct
