"""`run`: train recipes across seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedstudy.cli.options import (
    EXIT_FAILED,
    AsJson,
    DataDir,
    EvalSets,
    Placement,
    Results,
    RetryFailed,
    Training,
    eval_names,
    grouped,
    name_left_out,
    print_answer,
    tell,
    values,
)


@grouped
def run(
    study_file: Annotated[Path | None, typer.Argument(metavar="[STUDY.toml]", help="A study file.")] = None,
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipes, e.g. a2,a3 (names or files).")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Any timm model, resnet8, resnet20, …")] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.")] = None,
    *,
    training: Training,
    data_dir: DataDir = None,
    placement: Placement,
    detach: Annotated[bool, typer.Option("--detach", help="Slurm: submit and leave.")] = False,
    retry_failed: RetryFailed = False,
    results: Results = Path("results"),
    study: Annotated[str | None, typer.Option("--study", help="Name of the study (default: main).")] = None,
    eval_sets: EvalSets = None,
    as_json: AsJson = False,
) -> None:
    """Train recipes across seeds; the same command goes on with what is missing."""
    from seedstudy import api

    answer = api.run(
        study_file,
        recipes=recipe,
        models=model,
        seeds=seeds,
        name=study,
        **values(training),
        placement=values(placement),
        results=results,
        data_dir=data_dir,
        is_retry=retry_failed,
        is_detached=detach,
        eval_sets=eval_names(eval_sets),
        say=tell,
    )
    if detach:
        tell(f"study {answer.study}: submitted; `seedstudy status {answer.study}` shows the state of its trials.")
        return
    if as_json or answer.summaries:
        from seedstudy.show.summary import summary_tables

        print_answer(answer, lambda: summary_tables(answer.summaries or (), with_details=False), as_json=as_json)
    if not as_json:
        ended = ", ".join(f"{count} {state}" for state, count in answer.counts.items() if count)
        tell(f"study {answer.study}: {answer.planned} trials: {ended}; results in {answer.folder}")
    if not answer.is_complete:
        raise typer.Exit(EXIT_FAILED)
    if answer.summaries:
        name_left_out(answer.summaries.left_out)
