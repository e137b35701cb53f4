"""`run` and `status`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import (
    EXIT_FAILED,
    AsJson,
    DataDir,
    EvalSets,
    Results,
    cache_dir,
    eval_names,
    print_json,
    summaries_of,
    tell,
    tell_damaged,
    words,
)
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.analysis import Source
    from seedstudy.study import Study


def run(
    study_file: Annotated[Path | None, typer.Argument(metavar="[STUDY.toml]", help="A study file.")] = None,
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipes, e.g. a2,a3 (names or files).")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Any timm model, resnet8, resnet20, …")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Data set (default: the embedded shapes).")] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.")] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Train for so many epochs instead of the recipe's.")] = None,
    train_limit: Annotated[int | None, typer.Option(help="Only the first N training images, class-balanced.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: change a recipe value (repeatable).")
    ] = None,
    vary: Annotated[str | None, typer.Option(help="Streams that follow the seed: init,order,augment,mix,drop.")] = None,
    workers: Annotated[str, typer.Option(help="Processes that train: a number, or auto.")] = "auto",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")] = False,
    results: Results = Path("results"),
    study: Annotated[str | None, typer.Option("--study", help="Name of the study (default: main).")] = None,
    eval_sets: EvalSets = None,
    as_json: AsJson = False,
) -> None:
    """Train recipes across seeds; the same command goes on with what is missing."""
    from seedstudy.analysis import Source
    from seedstudy.engines.launch import resolve, train
    from seedstudy.store import Store

    plan = _study_of(study_file, recipe, model, data, seeds, epochs, train_limit, assignments, vary, study)
    n_workers = _n_workers(workers)
    names = eval_names(eval_sets)
    grid = resolve(plan, data_dir=data_dir, cache_dir=cache_dir(), tell=tell)
    store = Store(results, plan.name)
    train(store, plan, grid, n_workers=n_workers, is_retry=retry_failed, tell=tell)
    states = {trial.trial_id: store.read_trial(trial.trial_id)[0] for trial in grid.trials}
    source = Source(results=results, study=plan.name, eval_sets=names)
    _show_run(source, plan, states, as_json=as_json)
    if "failed" in states.values():
        raise typer.Exit(EXIT_FAILED)


def _study_of(
    file: Path | None,
    recipe: str | None,
    model: str | None,
    data: str | None,
    seeds: str | None,
    epochs: int | None,
    train_limit: int | None,
    assignments: list[str] | None,
    vary: str | None,
    name: str | None,
) -> Study:
    """Return what a study file and the flags ask for; flags win."""
    from dataclasses import replace

    from seedstudy.seeds import parse_seeds, parse_vary
    from seedstudy.study import Study, check_name, load_study

    if file is None and recipe is None:
        raise StudyError("nothing to train: name a recipe (--recipe a2) or a study file.")
    study = load_study(file) if file is not None else Study(recipes=())
    changes: dict[str, Any] = {}
    if recipe is not None:
        changes |= {"recipes": words(recipe), "folder": Path()}
    if model is not None:
        changes["models"] = words(model)
    if seeds is not None:
        changes["seeds"] = parse_seeds(seeds)
    if vary is not None:
        changes["vary"] = parse_vary(vary.split(","))
    if name is not None:
        changes["name"] = check_name(name)
    for key, value in (("data", data), ("epochs", epochs), ("train_limit", train_limit)):
        if value is not None:
            changes[key] = value
    if assignments:
        changes["assignments"] = (*study.assignments, *assignments)
    study = replace(study, **changes)
    if not study.recipes:
        raise StudyError(f'{file}: names no recipe: write recipes = ["a2"] under [grid], or give --recipe.')
    for key, value in (("--epochs", study.epochs), ("--train-limit", study.train_limit)):
        if value is not None and value < 1:
            raise StudyError(f"{key} {value}: must be at least 1.")
    return study


def _show_run(source: Source, plan: Study, states: Mapping[str, str], *, as_json: bool) -> None:
    counts = {state: list(states.values()).count(state) for state in ("ok", "diverged", "failed")}
    if as_json:
        groups = summaries_of((), source, level=0.95) if counts["ok"] else []
        document = {"study": plan.name, "planned": len(states), **counts}
        print_json({**document, "groups": [summary.to_dict() for summary in groups]})
        return
    if counts["ok"]:
        from seedstudy import tables

        tables.show(tables.summary_table(summaries_of((), source, level=0.95)))
    ended = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    tell(f"study {plan.name}: {len(states)} trials: {ended}; results in {source.results / plan.name}")


def _n_workers(text: str) -> int:
    from seedstudy.engines.local import default_workers

    if text == "auto":
        return default_workers()
    if not text.isdecimal() or int(text) < 1:
        raise StudyError(f"--workers {text}: expected a whole number of at least 1, or auto.")
    return int(text)


def status(
    study: Annotated[str, typer.Argument(metavar="[STUDY]", help="Name of the study.")] = "main",
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Say where every trial of a study stands: planned, running, ok, diverged, failed, interrupted."""
    from seedstudy import tables
    from seedstudy.store import open_study

    store = open_study(results, study)
    scan = store.scan()
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for trial_id in store.trial_ids():
        state = scan.states.get(trial_id, "damaged")
        key = store.label(trial_id)
        row = rows.setdefault(key, dict(zip(("recipe", "model", "data"), key, strict=True)))
        row[state] = row.get(state, 0) + 1
    full = [
        {**dict.fromkeys(("planned", "running", "ok", "diverged", "failed", "interrupted", "damaged"), 0), **row}
        for _, row in sorted(rows.items())
    ]
    failures = {
        row["trial_id"]: row["reason"]
        for row in scan.trials.iter_rows(named=True)
        if row["status"] in ("failed", "diverged")
    }
    if as_json:
        print_json({"study": study, "groups": full, "reasons": failures, "damaged": dict(scan.damaged)})
        return
    tables.show(tables.status_table(full))
    for trial_id, reason in failures.items():
        print(f"{trial_id}: {reason}")
    tell_damaged(scan.damaged)
