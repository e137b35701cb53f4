"""`run`: train recipes across seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


@options.grouped
def run(
    study_file: Annotated[Path | None, typer.Argument(metavar="[STUDY.toml]", help="A study file.")] = None,
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipes, e.g. a2,a3 (names or files).")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Any timm model, resnet8, resnet20, …")] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.")] = None,
    *,
    training: options.Training,
    data_dir: options.DataDir = None,
    placement: options.Placement,
    detach: Annotated[bool, typer.Option("--detach", help="Slurm: submit and leave.")] = False,
    retry_failed: options.RetryFailed = False,
    results: options.Results = Path("results"),
    study: Annotated[str | None, typer.Option("--study", help="Name of the study (default: main).")] = None,
    eval_sets: options.EvalSets = None,
    as_json: options.AsJson = False,
) -> None:
    """Train recipes across seeds; the same command goes on with what is missing."""
    answer = ss.run(
        study_file,
        recipes=recipe,
        models=model,
        seeds=seeds,
        name=study,
        **options.values(training),
        placement=options.values(placement),
        results=results,
        data_dir=data_dir,
        is_retry=retry_failed,
        is_detached=detach,
        eval_sets=options.eval_names(eval_sets),
        say=options.tell,
    )
    summaries, about = answer.summaries, f"study {answer.study}"
    if detach:
        options.tell(f"{about}: submitted; `seedstudy status {answer.study}` shows the state of its trials.")
        return
    if as_json or summaries:
        from seedstudy.show.summary import summary_tables

        options.print_answer(answer, lambda: summary_tables(summaries or ()), as_json=as_json)
    if not as_json:
        ended = ", ".join(f"{count} {state}" for state, count in answer.counts.items() if count)
        options.tell(f"{about}: {len(answer.states)} trials: {ended}; results in {answer.folder}")
    if not answer.is_complete:
        raise typer.Exit(options.EXIT_FAILED)
    if summaries:
        options.name_left_out(summaries.left_out)
