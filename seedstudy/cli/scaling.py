"""`scaling`: error against cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import READ


@options.grouped
def scaling(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="WHAT", help="RECIPE, STUDY:RECIPE, or a table of results.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Column with the cost (default: flops, macs, or counted from timm's names).")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Column with the strategies (default: depth, width, size).")] = None,
    sd: Annotated[float | None, typer.Option(help="Std over seeds, where each cell is a single run.")] = None,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    metric: options.Metric = "top1",
    unit: options.Unit = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Only results of this model.", rich_help_panel=READ)
    ] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Only results on this data set.", rich_help_panel=READ)
    ] = None,
    eval_set: options.EvalSet = None,
    margin: Annotated[float | None, typer.Option(help="Smallest difference of errors that matters.")] = None,
    alpha: options.Alpha = 0.05,
    level: options.Level = 0.95,
    rng_seed: options.RngSeed = 0,
    save: options.Save = None,
    *,
    output: options.Cited,
) -> None:
    """Show how the error falls with cost.

    Fits error = a + b cost^c with a bootstrap over seeds, compares strategies at equal cost, and says of each claim
    whether it is supported.

    For example:
    seedstudy scaling curve.csv --cost flops --by family
    seedstudy scaling table.csv --sd 0.1
    """
    from seedstudy.show.scaling import scaling_tables

    answer = ss.scaling(
        *what or (),
        cost=cost,
        by=by,
        sd=sd,
        results=results,
        study=study,
        metric=metric,
        unit=unit,
        model=model,
        data=data,
        eval_set=options.one_eval_set(eval_set),
        margin=margin,
        alpha=alpha,
        level=level,
        rng_seed=rng_seed,
        say=options.tell,
    )
    options.print_answer(answer, lambda: scaling_tables(answer), output=output)
    options.save_plot(save, lambda: ss.plot_scaling(answer))
    options.name_left_out(answer.left_out)
