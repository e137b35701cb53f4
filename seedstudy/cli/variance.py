"""`variance`: where the spread over seeds comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import READ


@options.grouped
def variance(
    what: Annotated[list[str] | None, typer.Argument(metavar="WHAT", help="RECIPE, RECIPE@MODEL, FOLDER…")] = None,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Only results of this model.", rich_help_panel=READ)
    ] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Only results on this data set.", rich_help_panel=READ)
    ] = None,
    eval_sets: options.EvalSets = None,
    level: options.Level = 0.95,
    clusters: options.Clusters = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Replicates of a bootstrap over seeds and images, as a check (e.g. 10000).")
    ] = 0,
    rng_seed: options.RngSeed = 0,
    *,
    output: options.Cited,
) -> None:
    """Show where the spread over seeds comes from.

    Of a design, what each random stream adds (run --design). From each image's prediction: seeds as such, the test
    images that happen to be tested, and what a vote of seeds gains.

    For example:
    seedstudy variance a2
    seedstudy variance a3 a2 --eval val
    """
    from seedstudy.show.variance import variance_view

    names = options.eval_names(eval_sets)
    asked: dict[str, Any] = {
        "results": results,
        "study": study,
        "model": model,
        "data": data,
        "eval_sets": names,
        "level": level,
        "clusters": clusters,
    }
    answer = ss.variance(*what or (), **asked, replicates=bootstrap, rng_seed=rng_seed)
    options.print_answer(answer, lambda: variance_view(answer), output=output)
    options.name_left_out(answer.left_out)
