"""From a study to its trials, and from its trials to those that are still to be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seedstudy import data as datasets
from seedstudy.data import Dataset
from seedstudy.engines import local
from seedstudy.engines.local import LocalEngine
from seedstudy.engines.progress import StudyProgress
from seedstudy.engines.ray import RayEngine
from seedstudy.engines.slurm import SlurmEngine
from seedstudy.engines.watch import Cancelled, Engine, watch
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.recipes import reader as recipes
from seedstudy.recipes.reader import Recipe
from seedstudy.recipes.scaling import scale
from seedstudy.store.store import Store
from seedstudy.study.study import Augmentation, Placement, Study, Trial, check_layout
from seedstudy.train import check_extra

Tell = Callable[[str], None]
"""Takes one line for the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A study's trials and the prepared data they train on."""

    trials: tuple[Trial, ...]
    """Seeds outermost, so that recipes stay balanced while the study grows."""
    prepared: Path
    n_classes: int
    n_train: int


def resolve(study: Study, *, data_dir: Path | None, cache_dir: Path, tell: Tell) -> Grid:
    """Return the grid of a study: recipes read and scaled, data decoded, each trial with its identity.

    Raises
    ------
    SeedstudyError
        The extra ``train`` is not installed; unknown recipe or data set, a wrong value, data that cannot be read.
    """
    check_extra()
    info = datasets.info(study.data)
    models = study.models or (info.default_model,)
    given = recipes.parse_assignments(study.assignments)  # what is wrong is told before the data are read
    files = [recipes.read_recipe(_locate(name, study.folder)) for name in study.recipes]
    pairs = [(model, file) for model in models for file in files]
    complete = [file.for_model(model, given=given) for model, file in pairs]
    prepared = datasets.prepare(study.data, data_dir=data_dir, cache_dir=cache_dir, progress=tell)
    data = datasets.load(prepared, train_limit=study.train_limit)
    for name, sentence in data.missing.items():
        tell(f"{study.data}: no {name}: {sentence}")
    for part in ("train", data.watched):
        if part in data.missing:  # an eval set may be absent, but nothing can be trained or watched without these
            raise StudyError(f"{study.data}: {data.missing[part]}")
    scaled = []
    for (model, file), recipe in zip(pairs, complete, strict=True):
        # What fills a gap is the recipe's own value, and scales with it; what changes a value is meant as it is.
        changes = [word for word in study.assignments if word.partition("=")[0].strip() not in file.gaps(model)]
        scaled.append(_scaled(recipe, study, changes, data, info.epoch_ratio))
    for recipe in scaled:
        check_layout(recipe, study.placement.processes)
    for sentence in dict.fromkeys(_in_words(recipe, data) for recipe in scaled):
        tell(sentence)
    trials = [
        Trial(
            recipe=recipe,
            model=model,
            data=study.data,
            data_fingerprint=data.fingerprint,
            train_limit=study.train_limit,
            vary=study.vary,
            seed=seed,
            augment=_augmentation(recipe, study, data),
        )
        for seed in study.seeds
        for (model, _), recipe in zip(pairs, scaled, strict=True)
    ]
    distinct = {trial.trial_id: trial for trial in trials}
    return Grid(
        trials=tuple(distinct.values()), prepared=prepared, n_classes=len(data.classes), n_train=len(data.train_labels)
    )


def _locate(name: str, folder: Path) -> str:
    """Return a recipe's name, or the path of its file, which starts at the study file."""
    return str(folder / name) if name.endswith(".toml") else name


def _scaled(recipe: Recipe, study: Study, changes: list[str], data: Dataset, epoch_ratio: float) -> Recipe:
    n_train = len(data.train_labels)
    scaled = scale(
        recipe,
        data=study.data,
        n_train=n_train,
        image_size=data.image_size,
        epoch_ratio=epoch_ratio,
        epochs=study.epochs,
    )
    if changes:
        scaled = recipes.with_values(scaled, changes)
    if scaled.batch_size > n_train:
        raise StudyError(
            f"recipe {recipe.name}: batch_size = {scaled.batch_size} is more than the {n_train} training images: "
            "lower it with --set batch_size=… --set micro_batch=…"
        )
    return scaled


def _augmentation(recipe: Recipe, study: Study, data: Dataset) -> Augmentation:
    """Return who augments: timm's own code where tensors cannot, policies beside RandAugment and images to decode."""
    return "pil" if recipe.auto_augment is not None or data.stored else study.augment


def _in_words(recipe: Recipe, data: Dataset) -> str:
    how = "on" if data.image_size is None else "scaled to"
    epochs = "1 epoch" if recipe.total_epochs == 1 else f"{recipe.total_epochs} epochs"
    return (
        f"{recipe.name} {how} {data.name}: {epochs}, batch {recipe.batch_size}, "
        f"learning rate {recipe.lr:.3g}, train/test {recipe.train_size}/{recipe.test_size} px"
    )


def train(
    store: Store,
    study: Study,
    grid: Grid,
    *,
    n_workers: int | None = None,
    is_retry: bool,
    tell: Tell,
    is_detached: bool = False,
) -> None:
    """Train what is missing of a grid, with progress on stderr; interrupted, it says what is safe.

    Nothing is written before a worker has found every model trainable.

    Parameters
    ----------
    n_workers
        Trials at a time; None: what the study's placement says.
    is_detached
        Only submit, to an engine whose jobs outlive this process.

    """
    placement = study.placement if n_workers is None else replace(study.placement, workers=n_workers)
    by_id = {trial.trial_id: trial for trial in grid.trials}
    missing, done_rows = _missing(store, list(by_id), is_retry=is_retry, tell=tell)
    if not missing:
        return
    if len(missing) < len(by_id):
        tell(f"study {study.name}: {len(missing)} of {len(by_id)} trials are missing")
    progress = StudyProgress({trial_id: by_id[trial_id].recipe.total_epochs for trial_id in missing}, done_rows)
    engine = _engine(store, placement, grid, n_trials=len(missing), tell=progress.note)
    try:
        distinct = [by_id[trial_id] for trial_id in missing]
        if isinstance(engine, LocalEngine):
            engine.check(distinct, grid.n_classes, grid.n_train)
        else:
            local.check(store, distinct, grid.n_classes, grid.n_train)
        store.plan(study, grid.trials)
        if is_detached:
            held = engine.poll()
            engine.submit([trial_id for trial_id in missing if trial_id not in held])
            return
        with progress:
            watch(engine, store, missing, progress)
    except (KeyboardInterrupt, Cancelled) as error:
        n_done = sum(store.is_done(trial_id) for trial_id in by_id)
        is_left = engine.outlives_launcher and isinstance(error, KeyboardInterrupt)
        rest = "its jobs go on: `seedstudy status` tells, `seedstudy cancel` ends them" if is_left else ""
        tell(
            f"{'cancelled' if isinstance(error, Cancelled) else 'interrupted'}: {n_done} of {len(by_id)} trials are "
            f"finished and safe; {rest or 'the same command goes on'}."
        )
        raise KeyboardInterrupt from None
    finally:
        if not engine.outlives_launcher:
            engine.cancel()


def _engine(store: Store, placement: Placement, grid: Grid, *, n_trials: int, tell: Tell) -> Engine:
    """Start the engine that a placement names."""
    match placement.engine:
        case "slurm":
            return SlurmEngine(store, placement, prepared=grid.prepared, tell=tell)
        case "ray":
            return RayEngine(store, placement, prepared=grid.prepared, tell=tell)
        case "local":
            n_slots = min(placement.workers or local.default_slots(placement), n_trials)
            return LocalEngine(store, placement, prepared=grid.prepared, n_slots=n_slots, tell=tell)


def _missing(
    store: Store, trial_ids: Sequence[str], *, is_retry: bool, tell: Tell
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the trials to train, and the rows of those that are done; damaged ones are set aside and named."""
    missing, rows, failed = [], [], []
    for trial_id in trial_ids:
        if not store.is_planned(trial_id):
            missing.append(trial_id)
            continue
        try:
            state, trial_rows = store.read_trial(trial_id)
        except SeedstudyError as error:
            tell(f"{error} It is trained again; what was there is kept in {store.set_aside(trial_id)}.")
            missing.append(trial_id)
            continue
        if state in ("ok", "diverged"):
            rows.extend(trial_rows)
        elif state == "failed" and not is_retry:
            failed.append(trial_id)
        else:
            missing.append(trial_id)
    if failed:
        tell(f"{len(failed)} trials failed earlier and are left alone: --retry-failed trains them again.")
    if is_retry:
        store.forget_failures(missing)
    return missing, rows
