"""`run`: from a study to its trials, and on to those that still have to be trained."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seedstudy import data as datasets
from seedstudy import machine
from seedstudy.data.base import DataInfo, Dataset
from seedstudy.engines import local
from seedstudy.engines.interrupt import in_order
from seedstudy.engines.local import LocalEngine, Work
from seedstudy.engines.ray import RayEngine
from seedstudy.engines.slurm import SlurmEngine
from seedstudy.engines.starts import Starts, with_pseudo_labels, with_starts
from seedstudy.engines.status import Forecast, ForecastOf
from seedstudy.engines.trackers import Trackers
from seedstudy.engines.watch import Cancelled, Engine, Say, StudyProgress, watch
from seedstudy.errors import DamagedError, MissingError, StoreError, StudyError, require_extra
from seedstudy.recipes import reader as recipes
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import scale
from seedstudy.store import upkeep
from seedstudy.store.store import Scan, State, Store
from seedstudy.study.code import code_of
from seedstudy.study.command import AnyTrial, Command, CommandTrial, Handling, plans_of
from seedstudy.study.design import in_words
from seedstudy.study.placement import Placement, check_layout
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

MOST_SET_ASIDE = 3
"""Damaged results that one `run` sets aside without being asked: a flipped bit is rare, and a faulty disk is not."""


@in_order()
def run(
    study: Study,
    *,
    results: Path,
    cache_dir: Path,
    data_dir: Path | None = None,
    is_retry: bool = False,
    is_repair: bool = False,
    is_detached: bool = False,
    say: Say,
) -> tuple[dict[str, State], Scan]:
    """Train what is missing of a study and wait for it; ``is_retry`` also trains failed trials again.

    ``is_repair`` sets aside any number of damaged results, and incomplete ones; more than a few are an error otherwise.

    ``is_detached`` submits the trials and returns at once; only to an engine whose jobs outlive this process. Raises
    SeedstudyError for a study that cannot be trained, before anything is written, and KeyboardInterrupt when it is
    interrupted or cancelled.

    Returns the state of each trial that was asked for, by trial id, and the whole study, earlier trials included.
    """
    if is_detached and study.placement.engine != "slurm":
        raise StudyError("--detach: only the jobs of --engine slurm keep running without this process.")
    store = Store(results, study.name)
    cancel_mark = store.cancel_mark()
    resolved = resolve(study, results=results, data_dir=data_dir, cache_dir=cache_dir, say=say)
    scan = store.scan()
    note_other_code(resolved, scan, say)
    scan = train(
        store,
        study,
        resolved,
        scan,
        is_retry=is_retry,
        is_repair=is_repair,
        is_detached=is_detached,
        cancel_mark=cancel_mark,
        say=say,
    )
    # A trial that somebody has removed meanwhile is to be planned again, so the study is not complete.
    return {trial.trial_id: scan.states.get(trial.trial_id, "planned") for trial in resolved.trials}, scan


def forecast(
    study: Study, *, results: Path, data_dir: Path | None, cache_dir: Path, is_retry: bool, say: Say
) -> Forecast:
    """Return what :func:`run` would train; nothing is written into the results folder.

    StudyError where the run would refuse.
    """
    resolved = resolve(study, results=results, data_dir=data_dir, cache_dir=cache_dir, say=say)
    store = Store(results, study.name)
    if networks := [trial for trial in resolved.trials if isinstance(trial, Trial)]:
        local.check(store, networks, resolved.n_classes, resolved.n_train)
    scan = store.scan()
    times = dict(scan.trials.select("trial_id", "train_s").drop_nulls().unique("trial_id").iter_rows())
    ended = ("ok", "diverged") if is_retry else ("ok", "diverged", "failed")
    kinds: dict[tuple[str, str, str], list[AnyTrial]] = {}
    for trial in resolved.trials:
        kinds.setdefault(trial.label, []).append(trial)
    groups = []
    for (recipe, model, data), trials in kinds.items():
        states = [scan.states.get(trial.trial_id) for trial in trials]
        known = [times[trial.trial_id] for trial in trials if trial.trial_id in times]
        first = trials[0]
        groups.append(
            ForecastOf(
                recipe=recipe,
                model=model,
                data=data,
                trials=len(trials),
                done=sum(state in ("ok", "diverged") for state in states),
                missing=sum(state not in ended for state in states),
                epochs=first.recipe.total_epochs if isinstance(first, Trial) else None,
                seconds=sum(known) / len(known) if known else None,
            )
        )
    n_missing = sum(group.missing for group in groups)
    workers = None
    if study.placement.engine == "local":
        workers = max(1, min(study.placement.workers or local.default_slots(study.placement), n_missing))
    open_groups = [group for group in groups if group.missing]
    total = None
    if workers is not None and all(group.seconds is not None for group in open_groups):
        total = sum(group.missing * (group.seconds or 0.0) for group in open_groups) / workers
    return Forecast(study=study.name, folder=store.root, groups=tuple(groups), workers=workers, seconds=total)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedStudy:
    """A study's trials and what the processes that train them need."""

    trials: tuple[AnyTrial, ...]
    """Seeds outermost, so that recipes stay balanced while the study grows."""
    work: Work
    n_classes: int = 0
    """Of the data set; 0 for a command."""
    n_train: int = 0
    keeps_weights: bool = False
    """Whether the weights of finished trials stay in their folders."""
    starts: Starts = field(default_factory=dict)
    """Digest -> the weights or pseudo-labels that trials start from."""


def resolve(study: Study, *, results: Path, data_dir: Path | None, cache_dir: Path, say: Say) -> ResolvedStudy:
    """Read and scale a study's recipes, decode its data and return its trials; of a command, those of its arms."""
    if study.command is not None:
        return _resolve_command(study, study.command, results=results)
    if study.placement.engine == "local" and study.placement.nodes > 1:
        raise StudyError(f"--nodes {study.placement.nodes}: this is one machine: --engine slurm or ray has several.")
    if study.placement.compile == "on" and study.placement.engine == "local" and machine.cpp_compiler() is None:
        raise StudyError(f"--compile on: {machine.NO_COMPILER}, or leave the option out.")
    info = datasets.info(study.data)
    given = recipes.parse_assignments(study.assignments)  # before the data, which may take minutes
    cells = list(study.cells())  # same
    files = [  # a path is relative to the study file
        recipes.read_recipe(str(study.folder / name) if name.endswith(".toml") else name) for name in study.recipes
    ]
    models = study.models or (info.default_model,)
    complete = [(model, file, file.for_model(model, given=given)) for model in models for file in files]
    require_extra("train")  # same
    prepared = datasets.prepare(study.data, data_dir=data_dir, cache_dir=cache_dir, progress=say)
    data = datasets.load(prepared, train_limit=study.train_limit)
    for name, sentence in data.missing.items():
        say(f"{data.name}: no {name}: {sentence}")
    for sentence in data.doubts:
        say(f"{data.name}: {sentence}")
    for part in ("train", data.watched):
        if part in data.missing:  # other eval sets may be absent, but nothing can be trained or watched without these
            raise StudyError(f"{data.name}: {data.missing[part]}")
    facts = datasets.facts_of(study.data, data)
    networks: list[tuple[str, Recipe]] = []
    for model, file, recipe in complete:
        # A value that fills a gap becomes the recipe's own and is scaled; one that changes a value is final.
        changes = [word for word in study.assignments if word.partition("=")[0].strip() not in file.gaps(model)]
        scaled = _scaled(recipe, study, changes, facts)
        _check_kind(scaled, data)
        check_layout(scaled, study.placement.n_processes)
        networks.append((model, scaled))
    named: dict[str, dict[str, None]] = {}
    for _, recipe in networks:
        named.setdefault(_in_words(recipe, facts), {})[recipe.name] = None
    for words, names in named.items():
        say(f"{', '.join(names)} {words}")
    if design := in_words(study.design, study.levels, study.vary, study.replicates):
        say(f"{design}; {len(cells) * len(networks):,} trials")
    trials = [
        Trial(
            recipe=recipe,
            model=model,
            data=data.name,
            data_fingerprint=data.fingerprint,
            train_limit=study.train_limit,
            vary=study.vary,
            seed=0,
            # timm's own pipeline where tensors cannot: policies other than RandAugment
            augment="pil" if recipe.auto_augment is not None else study.augment,
        ).at(seeds, replicate=replicate)
        for seeds, replicate in cells
        for model, recipe in networks
    ]
    trials, starts = with_starts(trials, results=results, folder=study.folder, classes=data.classes)
    trials, labels = with_pseudo_labels(trials, folder=study.folder, data=data, full=lambda: datasets.load(prepared))
    distinct = {trial.trial_id: trial for trial in trials}
    wished = study.placement.keep_weights
    return ResolvedStudy(
        trials=tuple(distinct.values()),
        work=Work(prepared=prepared),
        n_classes=len(data.classes),
        n_train=len(data.train_labels),
        starts={**starts, **labels},
        keeps_weights=not info.is_embedded if wished is None else wished,
    )


def _resolve_command(study: Study, command: Command, *, results: Path) -> ResolvedStudy:
    """Return the trials of a command: of every arm, model and seed, each with the code that it runs."""
    placement = study.placement
    for option, is_given in (
        ("--nodes", placement.nodes > 1),
        ("--processes", placement.processes > 1),
        ("--stack", placement.stack != 1),
    ):
        if is_given:
            raise StudyError(
                f"{option} means nothing to a command, which starts its own processes (torchrun …): give it its share "
                "of the machine with --cores and --gpus."
            )
    for option, is_given in (
        ("--deterministic", placement.deterministic),
        ("--compile", placement.compile != "off"),
        ("--eval-every", placement.eval_every is not None),
    ):
        if is_given:
            raise StudyError(f"{option} means nothing to a command: give it the command's own option for that.")
    plans = plans_of(command, study.arms, study.models)
    folder = command.folder.absolute()
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder, and the command is to run there.")
    coded = []
    for plan in plans:
        words, _ = plan.trial.arguments(results)
        if placement.engine == "local" and not _is_program(words[0], folder):
            raise StudyError(f'command: no program "{words[0]}" on this machine; check its name and PATH.')
        code = code_of(folder, command.code, plan.trial.run, results=results)
        coded.append((replace(plan.trial, code=code), plan.resume))
    minutes = (command.time_limit, placement.hang_timeout)
    time_limit_s, hang_timeout_s = (None if each is None else 60.0 * each for each in minutes)
    handling = Handling(
        folder=str(folder),
        resume={trial.recipe_id: words for trial, words in coded if words is not None},
        unit=command.unit,
        keep=command.keep,
        time_limit_s=time_limit_s,
        hang_timeout_s=hang_timeout_s,
        results=str(results.absolute()),
    )
    trials = tuple(replace(trial, seed=seed) for seed in study.seeds for trial, _ in coded)
    return ResolvedStudy(trials=trials, work=Work(handling=handling))


def _is_program(word: str, folder: Path) -> bool:
    return shutil.which(str(folder / word) if "/" in word else word) is not None


def note_other_code(resolved: ResolvedStudy, scan: Scan, say: Say) -> None:
    """Say where a study holds trials of an arm that ran with other code, or another command: they do not pool."""
    import polars as pl

    planned = {trial.label: trial.recipe_id for trial in resolved.trials if isinstance(trial, CommandTrial)}
    for (arm, model, _), recipe_id in planned.items():
        same_arm = pl.col("recipe") == arm, pl.col("model").fill_null("") == model
        others = scan.trials.filter(*same_arm, pl.col("recipe_id") != recipe_id)["trial_id"].n_unique()
        if others:
            trials = "1 earlier trial" if others == 1 else f"{others} earlier trials"
            why = "of other code, or of another command: not pooled with these"
            say(f"{arm}: {trials} {why}. --code FILES says which files matter.")


def _scaled(recipe: Recipe, study: Study, changes: list[str], data: DataInfo) -> Recipe:
    scaled = scale(recipe, data, epochs=study.epochs)
    if changes:
        scaled = recipes.with_values(scaled, changes)
    if scaled.n_labelled > data.n_train:
        raise StudyError(
            f"recipe {recipe.name}: batch_size = {scaled.batch_size} is more than the {data.n_train} training images: "
            "lower it with --set batch_size=… --set micro_batch=…"
        )
    return scaled


def _check_kind(recipe: Recipe, data: Dataset) -> None:
    """Raise StudyError where a recipe shows clips and the data hold images, or the other way round."""
    if data.holds_videos and recipe.clip_frames is None:
        raise StudyError(
            f"recipe {recipe.name} is for images, and {data.name} holds videos: say what of them a network is shown, "
            "--set clip_frames=16 (and clip_stride, test_clips), or choose a recipe for clips, such as rsv00."
        )
    if not data.holds_videos and recipe.clip_frames is not None:
        raise StudyError(
            f"recipe {recipe.name} is for clips (clip_frames = {recipe.clip_frames}), and {data.name} holds images: "
            "choose videos, such as moving_shapes, or --set clip_frames=none --set clip_stride=1 --set test_clips=1 "
            "--set test_crops=1."
        )


def _in_words(recipe: Recipe, data: DataInfo) -> str:
    how = "on" if data.is_like_imagenet else "scaled to"
    epochs = "1 epoch" if recipe.total_epochs == 1 else f"{recipe.total_epochs} epochs"
    clips = "" if recipe.clip_frames is None else f", clips of {recipe.clip_frames} frames"
    return (
        f"{how} {data.name}: {epochs}, batch {recipe.batch_size}, "
        f"learning rate {recipe.lr:.3g}, train/test {recipe.train_size}/{recipe.test_size} px{clips}"
    )


def train(
    store: Store,
    study: Study,
    resolved: ResolvedStudy,
    scan: Scan,
    *,
    is_retry: bool,
    is_repair: bool = False,
    is_detached: bool = False,
    cancel_mark: int | None = None,
    say: Say,
) -> Scan:
    """Train the missing trials of a study, of which ``scan`` is the present state; returns its state afterwards.

    Shows live progress on stderr. Nothing is written before a worker has confirmed that every model can be trained.
    ``cancel_mark`` is the study's when the command began: one that has changed since means that it was cancelled
    meanwhile. None: this is the beginning.
    """
    cancel_mark = store.cancel_mark() if cancel_mark is None else cancel_mark
    by_id = {trial.trial_id: trial for trial in resolved.trials}
    missing = _missing(store, list(by_id), scan, is_retry=is_retry, is_repair=is_repair, say=say)
    if study.placement.keep_weights:
        bare = [trial_id for trial_id in by_id if scan.states.get(trial_id) == "ok" and not store.has_weights(trial_id)]
        if bare:
            say(f"study {study.name}: {len(bare)} finished trials have no weights, and are not trained again for them")
    if not missing:
        _declare(store, study, say)
        return scan
    if len(missing) < len(by_id):
        say(f"study {study.name}: {len(missing)} of {len(by_id)} trials are missing")
    done_rows = scan.rows_of(by_id.keys() - set(missing)).iter_rows(named=True)
    progress = StudyProgress(
        {trial_id: _n_epochs(by_id[trial_id]) for trial_id in missing},
        done_rows,
        log=Trackers(study.placement.log_to, store).log,
    )
    placement = replace(study.placement, keep_weights=resolved.keeps_weights)
    engine = _engine(store, placement, resolved, n_trials=len(missing), say=progress.note)
    try:
        trials = [by_id[trial_id] for trial_id in missing]
        networks = [trial for trial in trials if isinstance(trial, Trial)]
        if isinstance(engine, LocalEngine) and networks:
            engine.check(networks, resolved.n_classes, resolved.n_train)
        elif networks:
            local.check(store, networks, resolved.n_classes, resolved.n_train)
        if store.cancel_mark() != cancel_mark:
            raise Cancelled
        _declare(store, study, say)
        store.plan(study, resolved.trials, resolved.starts)
        if is_detached:
            held = engine.poll()
            engine.submit([trial_id for trial_id in missing if trial_id not in held])
        else:
            with progress:
                timeout = study.placement.hang_timeout
                # What runs a command ends it itself, and knows why.
                timeout_s = None if timeout is None or not networks else 60 * timeout
                watch(engine, store, missing, progress, cancel_mark=cancel_mark, hang_timeout_s=timeout_s)
    except (KeyboardInterrupt, Cancelled) as error:
        n_done = sum(store.has_result(trial_id) for trial_id in by_id)
        what = "cancelled" if isinstance(error, Cancelled) else "interrupted"
        rest = "the same command resumes"
        if engine.outlives_launcher and what == "interrupted":
            rest = "its jobs keep running: `seedstudy status` shows them, `seedstudy cancel` ends them"
        say(f"{what}: {n_done} of {len(by_id)} trials are finished and safe; {rest}.")
        raise (error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt()) from None
    finally:
        if not engine.outlives_launcher:
            engine.cancel()
    return store.scan()


def _n_epochs(trial: AnyTrial) -> int:
    """Return how many epochs a trial trains; a command's are its own."""
    return trial.recipe.total_epochs if isinstance(trial, Trial) else 1


def _declare(store: Store, study: Study, say: Say) -> None:
    """Put a study's rule in force, and say so where results existed before."""
    if store.root.exists() and store.declare(study) and (words := store.rule().lateness):
        say(f"study {study.name}: {words}")


def _engine(store: Store, placement: Placement, resolved: ResolvedStudy, *, n_trials: int, say: Say) -> Engine:
    """Start the engine that a placement names."""
    match placement.engine:
        case "slurm":
            return SlurmEngine(store, placement, work=resolved.work, say=say)
        case "ray":
            return RayEngine(store, placement, work=resolved.work, say=say)
        case "local":
            n_slots = min(placement.workers or local.default_slots(placement), n_trials)
            return LocalEngine(store, placement, work=resolved.work, n_slots=n_slots, say=say)


def _missing(
    store: Store, trial_ids: Sequence[str], scan: Scan, *, is_retry: bool, is_repair: bool, say: Say
) -> list[str]:
    """Return the trials to train; damaged results are moved aside, and a line says so.

    Raises StoreError, and changes nothing, where a result cannot be read now, or more are damaged than chance damages:
    then the disk, the copy or this version is at fault rather than the results. ``is_repair`` sets aside any number,
    and those of which a file is missing.
    """
    missing, n_failed = [], 0
    damaged = [trial_id for trial_id in trial_ids if scan.states.get(trial_id) == "damaged"]
    unreadable = [trial_id for trial_id in trial_ids if scan.states.get(trial_id) == "unreadable"]
    if is_repair:
        incomplete = [trial_id for trial_id in unreadable if _lacks_a_file(store, trial_id)]
        damaged += incomplete
        unreadable = [trial_id for trial_id in unreadable if trial_id not in incomplete]
    if unreadable:
        others = f" So are {len(unreadable) - 1} more of these {len(trial_ids)} trials." if len(unreadable) > 1 else ""
        raise StoreError(f"{scan.damaged[unreadable[0]]}{others} Nothing was changed.")
    ended = [trial_id for trial_id in damaged if store.has_ended(trial_id)]  # a plan alone is no loss
    if len(ended) > MOST_SET_ASIDE and not is_repair:
        raise StoreError(
            f"{scan.damaged[ended[0]].partition(';')[0].rstrip('.')}, and {len(ended) - 1} more of these "
            f"{len(trial_ids)} trials are damaged; nothing was changed: restore them from a copy, or give --repair, "
            "which trains them again."
        )
    for trial_id in damaged:
        aside = upkeep.set_aside(store, trial_id, kinds=(DamagedError, MissingError) if is_repair else (DamagedError,))
        if aside is not None:
            say(f"{scan.damaged[trial_id]} It is trained again; the damaged files are in {aside}.")
    for trial_id in trial_ids:
        state = scan.states.get(trial_id)
        if state == "failed" and not is_retry:
            n_failed += 1
        elif state not in ("ok", "diverged"):
            missing.append(trial_id)
    if n_failed:
        kept = f"{n_failed} of {len(trial_ids)} trials failed earlier and are left alone"
        say(f"{kept}; --retry-failed trains them again.")
    if is_retry:
        store.clear_failures(missing)
    return missing


def _lacks_a_file(store: Store, trial_id: str) -> bool:
    try:
        store.read_trial(trial_id)
    except MissingError:
        return True
    except StoreError:
        return False
    return False
