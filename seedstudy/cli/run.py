"""`run`."""

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
    number_or_auto,
    print_json,
    tell,
    words,
)
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.summary import Source
    from seedstudy.engines.launch import RunOutcome
    from seedstudy.study.study import Placement, Study


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
    augment: Annotated[
        str | None, typer.Option(help="Who augments: batched (tensors on the device, default) or pil (timm's own).")
    ] = None,
    workers: Annotated[str | None, typer.Option(help="Trials at a time: a number, or auto.")] = None,
    engine: Annotated[str | None, typer.Option(help="Where trials are trained: local, slurm or ray.")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes that train one trial together.")] = None,
    cores: Annotated[int | None, typer.Option(help="Cores for each process.")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs for each process; 0.25 shares one among four.")] = None,
    stack: Annotated[
        str | None,
        typer.Option(help="Seeds of a small model trained side by side: a number (default: 1), or auto (timed)."),
    ] = None,
    trials_per_job: Annotated[int | None, typer.Option(help="Trials that one job of a queue trains in turn.")] = None,
    template: Annotated[
        Path | None, typer.Option(help="Slurm: script that stands at the top of each job (#SBATCH lines, modules).")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Slurm: submit and leave.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")] = False,
    results: Results = Path("results"),
    study: Annotated[str | None, typer.Option("--study", help="Name of the study (default: main).")] = None,
    eval_sets: EvalSets = None,
    as_json: AsJson = False,
) -> None:
    """Train recipes across seeds; the same command goes on with what is missing."""
    from dataclasses import replace

    from seedstudy.decide.summary import Source
    from seedstudy.engines import launch

    plan = _study_of(study_file, recipe, model, data, seeds, epochs, train_limit, assignments, vary, augment, study)
    flags: dict[str, Any] = {"engine": engine, "workers": workers, "processes": processes, "cores": cores, "gpus": gpus}
    flags |= {"stack": stack, "trials_per_job": trials_per_job, "template": template}
    plan = replace(plan, placement=placement_of(plan.placement, flags))
    names = eval_names(eval_sets)
    outcome = launch.run(
        plan,
        results=results,
        cache_dir=cache_dir(),
        data_dir=data_dir,
        is_retry=retry_failed,
        is_detached=detach,
        say=tell,
    )
    if detach:
        tell(f"study {plan.name}: submitted; `seedstudy status {plan.name}` shows the state of its trials.")
        return
    _show_run(outcome, Source(results=results, study=plan.name, eval_sets=names), as_json=as_json)
    if not outcome.is_complete:
        raise typer.Exit(EXIT_FAILED)


def placement_of(placement: Placement, flags: Mapping[str, Any]) -> Placement:
    """Return where a study's trials are trained: what its file says, and what the flags say instead."""
    from dataclasses import replace

    from seedstudy.study.study import check_placement

    given = {key: value for key, value in flags.items() if value is not None}
    for key in given.keys() & {"workers", "stack"}:
        given[key] = number_or_auto(given[key], f"--{key}")
    return check_placement(replace(placement, **given), where="--")


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
    augment: str | None,
    name: str | None,
) -> Study:
    """Return what a study file and the flags ask for; flags win."""
    from dataclasses import replace

    from seedstudy.study.seeds import parse_seeds, parse_vary
    from seedstudy.study.study import Study, check_augmentation, check_name, load_study

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
    if augment is not None:
        changes["augment"] = check_augmentation(augment, where="--augment ")
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


def _show_run(outcome: RunOutcome, source: Source, *, as_json: bool) -> None:
    from seedstudy.decide.summary import groups_of_trials, summarise

    groups = groups_of_trials(outcome.scan.trials, source) if outcome.counts["ok"] else []
    summaries = [summarise(group) for group in groups]
    if as_json:
        document = {"study": outcome.study, "planned": len(outcome.states), **outcome.counts}
        print_json({**document, "groups": [summary.to_dict() for summary in summaries]})
        return
    if summaries:
        from seedstudy.show.format import show
        from seedstudy.show.summary import summary_table

        show(summary_table(summaries))
    ended = ", ".join(f"{count} {state}" for state, count in outcome.counts.items() if count)
    tell(f"study {outcome.study}: {len(outcome.states)} trials: {ended}; results in {outcome.folder}")
