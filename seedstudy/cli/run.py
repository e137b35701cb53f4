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
    print_json,
    summaries_of,
    tell,
)
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.summary import Source
    from seedstudy.study.study import Study


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
    from seedstudy.decide.summary import Source
    from seedstudy.engines.launch import resolve, train
    from seedstudy.store.store import Store
    from seedstudy.study.study import adjusted, load_study

    if study_file is None and recipe is None:
        raise StudyError("nothing to train: name a recipe (--recipe a2) or a study file.")
    flags: dict[str, Any] = {"engine": engine, "workers": workers, "processes": processes, "cores": cores, "gpus": gpus}
    flags |= {"stack": stack, "trials_per_job": trials_per_job, "template": template}
    plan = adjusted(
        None if study_file is None else load_study(study_file),
        recipes=recipe,
        models=model,
        data=data,
        seeds=seeds,
        vary=vary,
        epochs=epochs,
        train_limit=train_limit,
        assignments=assignments,
        augment=augment,
        name=study,
        placement=flags,
    )
    if detach and plan.placement.engine != "slurm":
        raise StudyError("--detach: only the jobs of --engine slurm go on without this process.")
    names = eval_names(eval_sets)
    grid = resolve(plan, data_dir=data_dir, cache_dir=cache_dir(), tell=tell)
    store = Store(results, plan.name)
    train(store, plan, grid, is_retry=retry_failed, tell=tell, is_detached=detach)
    if detach:
        tell(f"study {plan.name}: submitted; `seedstudy status {plan.name}` tells where its trials stand.")
        return
    states = {trial.trial_id: store.read_trial(trial.trial_id)[0] for trial in grid.trials}
    source = Source(results=results, study=plan.name, eval_sets=names)
    _show_run(source, plan, states, as_json=as_json)
    if not {"ok", "diverged"}.issuperset(states.values()):
        raise typer.Exit(EXIT_FAILED)


def _show_run(source: Source, plan: Study, states: Mapping[str, str], *, as_json: bool) -> None:
    counts = {state: list(states.values()).count(state) for state in ("ok", "diverged", "failed")}
    if as_json:
        groups = summaries_of((), source, level=0.95) if counts["ok"] else []
        document = {"study": plan.name, "planned": len(states), **counts}
        print_json({**document, "groups": [summary.to_dict() for summary in groups]})
        return
    if counts["ok"]:
        from seedstudy.show.format import show
        from seedstudy.show.summary import summary_table

        show(summary_table(summaries_of((), source, level=0.95)))
    ended = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    tell(f"study {plan.name}: {len(states)} trials: {ended}; results in {source.results / plan.name}")
