"""A live race: rounds of training, each followed by a look, until the question is decided."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from seedstudy.data import info
from seedstudy.decide.compare import is_lower_better
from seedstudy.decide.images import Images
from seedstudy.decide.race import Race, RaceRule, replay
from seedstudy.engines.interrupt import in_order
from seedstudy.engines.launch import ResolvedStudy, resolve, train
from seedstudy.engines.watch import Say
from seedstudy.errors import SeedstudyError, StudyError, TrialFailed, suggest
from seedstudy.read.metrics import is_accuracy
from seedstudy.stats.images import Correct
from seedstudy.stats.race import Plan
from seedstudy.store.store import Scan, Store
from seedstudy.study.command import AnyTrial, CommandTrial, plans_of
from seedstudy.study.group import Values
from seedstudy.study.study import Study


def arms_of(names: Sequence[str], study: Study) -> dict[str, Study]:
    """Return the study of each arm by its label, ``RECIPE@MODEL``.

    ``names`` are ``RECIPE`` or ``RECIPE@MODEL``; a recipe may be the path of its file. ``study`` is what the arms
    share; its first model is that of arms that name none. The arms of a command are its own.
    """
    arms: dict[str, Study] = {}
    if study.command is not None:
        for plan in plans_of(study.command, study.arms, study.models):
            trial = plan.trial
            models = (trial.model,) if study.models else ()
            own = tuple(arm for arm in study.arms if arm.name == trial.arm)
            arms["@".join(filter(None, (trial.arm, trial.model)))] = replace(study, arms=own, models=models)
        return arms
    for name in names:
        recipe, _, own_model = name.partition("@")
        model = own_model or (study.models[0] if study.models else info(study.data).default_model)
        label = f"{Path(recipe).stem if recipe.endswith('.toml') else recipe}@{model}"
        if label in arms:
            raise StudyError(f"race: {label} is given twice; every arm races once.")
        arms[label] = replace(study, recipes=(recipe,), models=(model,))
    return arms


@in_order()
def race(
    arms: Mapping[str, Study],
    given: Mapping[str, Any],
    *,
    results: Path,
    cache_dir: Path,
    data_dir: Path | None = None,
    eval_set: str = "val",
    target: float | None = None,
    images: Images | None = None,
    is_retry: bool = False,
    is_repair: bool = False,
    say: Say,
    on_look: Callable[[Race], None],
) -> Race:
    """Train round by round until every comparison is decided or the budget is spent.

    The rule is written into the study before the first seed; the same call resumes an interrupted race.

    ``arms`` are as :func:`arms_of` returns them, the first is the baseline. ``given`` are the values of
    :class:`~seedstudy.stats.race.Plan` that were asked for; the others are the declared ones, or the defaults.
    ``target`` is a fixed number to race one arm against. ``images``: what the verdict is about; None: as
    declared, or else these. ``on_look`` receives the race after each look.

    Raises StudyError where the study has a race with another rule, or finished trials from before its rule, and
    TrialFailed where a trial has no result: a race skips no seed.
    """
    store = Store(results, next(iter(arms.values())).name)
    cancel_mark = store.cancel_mark()
    if any(arm.design != "together" or arm.replicates > 1 for arm in arms.values()):
        raise StudyError("a race needs seeds as such: remove the table [design] of the study file.")
    rule = _rule(store, arms, given, eval_set, target, images)
    seeds = tuple(range(rule.plan.most))
    resolved = {
        label: resolve(replace(arm, seeds=seeds), results=results, data_dir=data_dir, cache_dir=cache_dir, say=say)
        for label, arm in arms.items()
    }
    _declare(store, rule, resolved)
    study = replace(arms[rule.arms[0]], margin=rule.plan.margin, baseline=rule.arms[0].partition("@")[0])
    scan = store.scan()
    while True:
        values, costs = _results(scan, resolved, eval_set)
        correct = _networks(store, scan, resolved, eval_set, values) if rule.images == "new" else None
        current = replay(values, rule, costs=costs, correct=correct)
        on_look(current)
        if current.is_over:
            return current
        needed = [trial for label, n_seeds in current.needs.items() for trial in resolved[label].trials[:n_seeds]]
        needed.sort(key=lambda trial: trial.seed)  # recipes in turn
        round_ = replace(_together(resolved), trials=tuple(needed))
        try:
            scan = train(
                store,
                study,
                round_,
                scan,
                is_retry=is_retry,
                is_repair=is_repair,
                cancel_mark=cancel_mark,
                say=say,
            )
        except SeedstudyError:
            if not store.trial_ids():
                store.withdraw_race()
            raise
        is_retry = False
        for trial_id in (trial.trial_id for trial in needed):
            if scan.states.get(trial_id) not in ("ok", "diverged"):
                raise TrialFailed(
                    f"race: {trial_id} has no result, and a race skips no seed: --retry-failed trains it again."
                )


def _together(resolved: Mapping[str, ResolvedStudy]) -> ResolvedStudy:
    """Return what the processes need that train trials of every arm: all starts, all commands that resume."""
    arms = list(resolved.values())
    starts = {digest: load for arm in arms for digest, load in arm.starts.items()}
    work, handlings = arms[0].work, [arm.work.handling for arm in arms if arm.work.handling is not None]
    if handlings:
        resume = {recipe_id: words for each in handlings for recipe_id, words in each.resume.items()}
        work = replace(work, handling=replace(handlings[0], resume=resume))
    return replace(arms[0], starts=starts, work=work)


def _rule(
    store: Store,
    arms: Mapping[str, Study],
    given: Mapping[str, Any],
    eval_set: str,
    target: float | None,
    images: Images | None,
) -> RaceRule:
    """Return the declared rule, or a new one; what is given must agree with what was declared."""
    kept = store.race_rule()
    asked = {"arms": tuple(arms), "eval_set": eval_set, "target": target, **_number_of(next(iter(arms.values())))}
    if images is not None:
        asked["images"] = images
    if kept is None:
        return RaceRule(plan=Plan(**given), **asked)
    declared = RaceRule.from_dict(kept, where=str(store.root / "race.json"))
    wanted = RaceRule(plan=declared.plan, **asked)
    for key in asked:
        _check_unchanged(store, key, getattr(declared, key), getattr(wanted, key))
    is_extended = declared.plan.method == "anytime" and given.get("most", 0) > declared.plan.most
    for key, value in given.items():
        if not (key == "most" and is_extended):
            _check_unchanged(store, key, getattr(declared.plan, key), value)
    return replace(declared, plan=replace(declared.plan, most=given["most"])) if is_extended else declared


def _number_of(study: Study) -> dict[str, Any]:
    """Return which number of a trial is raced, where a command says so; top-1 otherwise."""
    if study.command is None:
        return {}
    metric, is_lower = study.command.metric, study.command.lower_is_better
    unit = "pp" if is_accuracy(metric) or study.command.unit is not None else None
    if is_lower is None:
        is_lower = is_lower_better(metric, unit)
    return {"metric": metric, "unit": unit, "lower_is_better": is_lower}


def _declare(store: Store, rule: RaceRule, resolved: Mapping[str, ResolvedStudy]) -> None:
    """Write the rule before the first seed, with what defines the arms."""
    trains = {label: _identity(arm.trials[0]) for label, arm in resolved.items()}
    document = {**rule.to_dict(), "trains": trains}
    kept = store.race_rule()
    if kept is None:
        n_done = sum(store.has_result(trial.trial_id) for arm in resolved.values() for trial in arm.trials)
        if n_done:
            raise StudyError(
                f"study {store.study}: {n_done} trials of this race are finished already, and its rule must be written "
                "before the first seed: race in a study of its own (--study NAME), or --replay."
            )
        store.declare_race(document)
        return
    for label, identity in trains.items():
        for key, value in identity.items():
            _check_unchanged(store, f"{label}: {key}", kept.get("trains", {}).get(label, {}).get(key), value)
    if kept["plan"] != document["plan"]:
        store.declare_race(document, is_new_budget=True)


def _identity(trial: AnyTrial) -> dict[str, Any]:
    if isinstance(trial, CommandTrial):
        shared = {**trial.to_dict(), "run": shlex.join(trial.run), "recipe_id": trial.recipe_id}
        return {key: shared[key] for key in ("run", "code", "environment", "metric", "recipe_id")}
    return {
        "recipe_id": trial.recipe.recipe_id,
        "model": trial.model,
        "data": trial.data,
        "data_fingerprint": trial.data_fingerprint,
        "vary": list(trial.vary),
    }


def _check_unchanged(store: Store, key: str, declared: Any, wanted: Any) -> None:
    if declared != wanted:
        before, now = (", ".join(value) if isinstance(value, tuple) else value for value in (declared, wanted))
        raise StudyError(
            f"study {store.study}: its race was declared with {key} = {before}, now {key} = {now}: "
            "the rule of a started race cannot be changed; start another one with --study NAME."
        )


def _networks(
    store: Store, scan: Scan, resolved: Mapping[str, ResolvedStudy], eval_set: str, values: Mapping[str, Values]
) -> dict[str, Correct]:
    """Return arm -> which images the seeds that have a result have right, in the order of `values`."""
    found, digests = {}, set()
    for label, arm in resolved.items():
        done = [trial.trial_id for trial in arm.trials[: len(values[label])] if scan.states[trial.trial_id] == "ok"]
        networks = [store.correct(trial_id)[eval_set] for trial_id in done]
        digests |= {network.images for network in networks}
        found[label] = np.array([network.is_correct for network in networks], dtype=np.bool_)
    if len(digests) > 1:
        raise StudyError(f"race: its trials were tested on different images of {eval_set}.")
    return found


def _results(
    scan: Scan, resolved: Mapping[str, ResolvedStudy], eval_set: str
) -> tuple[dict[str, Values], dict[str, list[float]]]:
    """Return results (accuracies in percent) and training seconds per arm, up to the first seed that has none.

    A diverged trial is nan.
    """
    seconds = dict(scan.trials.select("trial_id", "train_s").iter_rows())
    rows = scan.trials.filter(eval_set=eval_set, status="ok").select("trial_id", "n_correct", "n_examples", "value")
    accuracies = {
        trial_id: value if n_correct is None else 100.0 * n_correct / n
        for trial_id, n_correct, n, value in rows.iter_rows()
    }
    values: dict[str, Values] = {}
    costs: dict[str, list[float]] = {}
    for label, arm in resolved.items():
        ids = (trial.trial_id for trial in arm.trials)
        done = list(takewhile(lambda trial_id: scan.states.get(trial_id) in ("ok", "diverged"), ids))
        for trial_id in done:
            if scan.states[trial_id] == "ok" and trial_id not in accuracies:
                known = scan.rows_of([trial_id])["eval_set"]
                raise StudyError(f'{trial_id} was not evaluated on "{eval_set}".{suggest(eval_set, known)}')
        values[label] = np.array([accuracies.get(trial_id, np.nan) for trial_id in done])
        costs[label] = [seconds[trial_id] for trial_id in done]
    return values, costs
