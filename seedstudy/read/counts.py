"""Groups read from files -> TRIALS rows: accuracies become the integer counts they came from."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.metrics import rounding, rounding_note
from seedstudy.read.request import Request
from seedstudy.store.schema import TOP1, TRIALS, validate
from seedstudy.study.group import Group
from seedstudy.study.study import check_name, is_name

N_EXAMPLES: Mapping[str, Mapping[str, int]] = {
    # Beyer et al. 2020; Recht et al. 2019
    "imagenet": {"val": 50_000, "real": 46_837, "v2": 10_000, "v2_threshold": 10_000, "v2_top": 10_000},
    "cifar10": {"val": 10_000},
    "cifar100": {"val": 10_000},
}
"""Images of well-known eval sets."""


def trials_of_files(
    files: Sequence[str],
    request: Request,
    *,
    study: str,
    recipe: str | None = None,
    model: str | None = None,
    data: str | None = None,
    n_examples: int | str | Mapping[str, int] | None = None,
) -> tuple[pl.DataFrame, tuple[str, ...], tuple[Group, ...]]:
    """Return the TRIALS rows of files for a study, notes on what the files leave open, and the groups of the rows.

    ``files`` are selectors of :func:`~seedstudy.read.groups.read_groups`. ``model`` and ``data`` count where the files
    do not say, ``recipe`` in place of theirs. Names of the files that no folder could have (``microsoft/resnet-50``)
    are written with "-", with a note. ``n_examples`` are the images of every eval set, or by eval set, where
    the files do not say; as text "10000" or "val=10000,v2=2000".

    Raises StudyError where the metric is not an accuracy, model, data or number of images are unknown, or no number of
    correct images gives an accuracy.
    """
    images = _images(n_examples)
    rows, notes, groups = list[dict[str, Any]](), list[str](), list[Group]()
    stored: dict[tuple[str, str], str] = {}

    def name_of(what: str, given: str | None, own: str | None, file: str) -> str:
        if own is None or (given is not None and what == "recipe"):
            return check_name(_known(given, what, file), what)
        name = _storable(own, what) if given is None else check_name(given, what)
        if stored.setdefault((what, name), own) != own:
            both = f'"{stored[what, name]}" and "{own}"'
            raise StudyError(f"{file}: {what} {both} would both be stored as {name}: import one by one with --{what}.")
        if name != own and given is None:
            notes.append(f'{what} "{own}" is stored as {name}')
        return name

    for file in files:
        for group in read_groups(file, request):
            if group.unit != "pp":
                raise StudyError(
                    f'{file}: "{group.metric}" is not an accuracy: `compare` reads it, a study holds top-1.'
                )
            head = {
                "study": study,
                "recipe": name_of("recipe", recipe, group.recipe, file),
                "model": name_of("model", model, group.model, file),
                "data": name_of("data", data, group.data, file),
                "eval_set": group.eval_set,
            }
            caveats = list(group.notes)
            if group.step is not None:
                n = round(100.0 / group.step)
            else:
                n = _n_examples(head["data"], group.eval_set, images, file)
                caveats += [note for note in [rounding_note(group.values, n)] if note]
            if group.n_left_out:
                caveats.append(f"{group.n_left_out} unfinished trial{'s' if group.n_left_out > 1 else ''} left out")
            notes += [f"{head['recipe']}, {group.eval_set}: {caveat}" for caveat in caveats]
            rows += _rows(group, head, n, file)
            groups.append(group)
    trials = validate(pl.DataFrame(rows, schema=dict(TRIALS)), TRIALS, where="import")
    return trials, tuple(dict.fromkeys(notes)), tuple(groups)


def _rows(group: Group, head: Mapping[str, str], n: int, file: str) -> Iterator[dict[str, Any]]:
    seeds: Sequence[int | None] = group.seeds or [None] * group.n
    for position, (value, seed) in enumerate(zip(group.values, seeds, strict=True)):
        place = ["row", position] if seed is None else ["seed", seed]
        identity = json.dumps([head["recipe"], head["model"], head["data"], *place])
        yield {
            **dict.fromkeys(TRIALS),
            **head,
            "recipe_id": head["recipe"],
            "seed": seed,
            "trial_id": f"imported-{hashlib.sha256(identity.encode()).hexdigest()[:10]}",
            "status": "ok",
            "reason": "",
            "metric": TOP1,
            "replicate": 0,
            "n_correct": _n_correct(value, n, file),
            "n_examples": n,
            "device": "imported",
            "vary": "",
            "pool_key": "imported",
            "versions": "{}",
        }


def _images(given: int | str | Mapping[str, int] | None) -> Mapping[str, int]:
    """Return images by eval set; "" for every eval set that is not named."""
    if isinstance(given, Mapping):
        given = ",".join(f"{eval_set}={number}" for eval_set, number in given.items())
    images = {}
    for word in filter(None, map(str.strip, str(given or "").split(","))):
        eval_set, _, number = word.rpartition("=")
        if not re.fullmatch("0*[1-9][0-9]{0,11}", number):
            raise StudyError(f'--n-examples "{word}": expected a number of images, such as 10000 or val=10000.')
        images[eval_set.strip()] = int(number)
    return images


def _storable(name: str, what: str) -> str:
    """Return a name of a file as a study can hold it: other characters than letters, digits, "_" and "." become "-"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return check_name(name if is_name(name, what) else re.sub(r"[^\w.]+", "-", plain).strip("-._") or name, what)


def _known(value: str | None, what: str, file: str) -> str:
    if value is None:
        raise StudyError(f"{file}: does not say which {what}; give --{what}.")
    return value


def _n_examples(data: str, eval_set: str, given: Mapping[str, int], file: str) -> int:
    n = given.get(eval_set) or given.get("") or N_EXAMPLES.get(data, {}).get(eval_set)
    if n is None:
        raise StudyError(
            f"{file}: how many images has {eval_set} of {data}? Give --n-examples 10000, or for one set "
            f"--n-examples {eval_set}=10000."
        )
    return n


def _n_correct(points: float, n: int, file: str) -> int:
    exact = points / 100 * n
    n_correct = round(exact)
    if abs(exact - n_correct) > rounding(points) / 100 * n + 1e-6 * n:
        raise StudyError(
            f"{file}: {points:.10g} % is not a whole number of {n:,} images (nearest {100 * n_correct / n:.10g} %): "
            "is --n-examples right?"
        )
    return n_correct
