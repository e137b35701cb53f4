"""From a recipe's `init` and `pseudo_labels` to the weights and labels that each trial starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy.data import pseudo
from seedstudy.errors import StudyError, suggest
from seedstudy.files import read_bytes
from seedstudy.recipes.recipe import with_changes
from seedstudy.store.store import Scan, Store, open_study
from seedstudy.study.trial import Start, Trial

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.train.starts import Source

Starts = Mapping[str, Callable[[], bytes]]
"""Digest -> a function that reads the weights once more: those of a hundred seeds are not held in memory."""


def with_starts(
    trials: Sequence[Trial], *, results: Path, folder: Path, classes: Sequence[str]
) -> tuple[list[Trial], Starts]:
    """Return the trials with the weights that they start from, each known by its content.

    ``timm:NAME`` and a file are one start for all seeds; a relative path begins at the study's ``folder``. Of
    ``trial:STUDY:RECIPE`` each trial starts from the one whose seed is that of its stream ``init``: both the weights
    and the new head then follow that stream. Raises StudyError where there are no such weights, or they are of another
    network or other classes.
    """
    if all(trial.recipe.init is None for trial in trials):
        return list(trials), {}
    from seedstudy.train import starts

    made, contents = list[Trial](), dict[str, Callable[[], bytes]]()
    scans = cache(lambda study: _scan(results, study))
    plain = cache(starts.of_name)
    checked = set[tuple[str, str, str]]()
    for trial in trials:
        init = trial.recipe.init
        if init is None:
            made.append(trial)
            continue
        if init.startswith("trial:"):
            load, pool = _of_trial(trial, init, scans)
            source = load()
        else:
            name = init if init.startswith("timm:") else str(folder / init)
            load, pool = partial(plain, name, trial.model), ""
            source = load()
            if name is not init and not init.startswith("timm:"):  # where the file lay is nothing that decides
                trial = replace(trial, recipe=with_changes(trial.recipe, {"init": Path(init).name}, how="file named"))
        if (key := (source.digest, trial.model, trial.recipe.recipe_id)) not in checked:
            starts.check(source, trial.model, trial.recipe, classes)
            checked.add(key)
        start = Start(digest=source.digest, pool=pool or source.digest, mean=source.mean, std=source.std)
        made.append(replace(trial, start=start))
        contents[source.digest] = partial(_content, load)
    return made, contents


def with_pseudo_labels(
    trials: Sequence[Trial], *, folder: Path, data: Dataset, full: Callable[[], Dataset]
) -> tuple[list[Trial], Starts]:
    """Return the trials with the digest of the pseudo-labels that their recipe names, and these.

    A relative path begins at the study's ``folder``; ``full`` are all training images of the data set. DataError where
    the file is none of pseudo-labels, or of other classes or images.
    """
    made, contents = list[Trial](), dict[str, Callable[[], bytes]]()
    for trial in trials:
        name = trial.recipe.pseudo_labels
        if name is not None:
            path = folder / name
            content = read_bytes(path, limit=pseudo.LARGEST)
            digest = hashlib.sha256(content).hexdigest()
            if digest not in contents:
                pseudo.joined(data, pseudo.read(content, str(path)), full())
            contents[digest] = partial(bytes, content)
            recipe = with_changes(trial.recipe, {"pseudo_labels": Path(name).name}, how="file named")
            trial = replace(trial, recipe=recipe, pseudo_labels=digest)
        made.append(trial)
    return made, contents


def _content(load: Callable[[], Source]) -> bytes:
    return load().content


def _scan(results: Path, study: str) -> tuple[Store, Scan]:
    store = open_study(results, study)
    return store, store.scan()


def _of_trial(trial: Trial, init: str, scans: Callable[[str], tuple[Store, Scan]]) -> tuple[Callable[[], Source], str]:
    """Return how to read the weights of the trial that another one starts from, and what its seeds have in common."""
    import polars as pl

    from seedstudy.train import starts

    _, study, recipe = init.split(":")
    recipe, _, fixed = recipe.partition("#")
    store, scan = scans(study)
    seed = int(fixed) if fixed else trial.streams.seed_of("init")
    recipe, _, model = recipe.partition("@")
    ok = scan.trials.filter(pl.col("status") == "ok", pl.col("trial_id").is_in(list(scan.states)))
    named = ok.filter((pl.col("recipe") == recipe) | (pl.col("recipe_id") == recipe))
    if named.is_empty():
        raise StudyError(
            f'init = "{init}": study {study} has no finished trial of it.{suggest(recipe, set(ok["recipe"]))}'
        )
    fitting = named.filter(pl.col("model") == (model or trial.model))
    if fitting.is_empty():
        models = ", ".join(sorted(named["model"].unique()))
        raise StudyError(f'init = "{init}": these are trials of {models}, not of {trial.model}.')
    if (n := fitting["pool_key"].n_unique()) > 1:
        raise StudyError(
            f'init = "{init}" names {n} groups of trials that do not pool: say which recipe_id of '
            f"{', '.join(sorted(fitting['recipe_id'].unique()))}, or keep them in studies of their own."
        )
    of_seed = fitting.filter(pl.col("seed") == seed)
    kept = [trial_id for trial_id in of_seed["trial_id"].unique() if store.has_weights(trial_id)]
    if len(kept) != 1:
        which = "" if fixed else " (each seed starts from the trial of its own seed; #0 behind it: all from seed 0)"
        raise StudyError(
            f'init = "{init}": no kept weights of seed {seed}{which}: train it with --keep-weights, in a study of '
            "its own."
        )
    trial_id = kept[0]

    def load() -> Source:
        content = store.weights(trial_id)
        if content is None:
            raise StudyError(f"{trial_id}: its weights were removed at this moment.")
        return starts.of_kept(content, where=f"{init}, seed {seed}")

    common = "" if fixed or "init" not in trial.vary else f"seeds of {fitting['pool_key'][0]}"
    return load, common
