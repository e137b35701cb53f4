"""`audit`: what a published table of single runs is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import RARE


@options.grouped
def audit(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.csv", help="A row per model, a column per recipe or eval set.")
    ],
    sd: Annotated[
        str | None, typer.Option("--sd", help="Std over seeds: 0.1, val=0.1,v2=0.23 per column, or rsb by eval set.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="RECIPE, STUDY:RECIPE or a file: std from this sweep over seeds.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns to judge, e.g. top1_a1,top1_a2.")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the names of the rows (default: the first).")] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Each number is the mean of so many seeds.")] = 1,
    best_of: Annotated[int | None, typer.Option("--best-of", help="Each number is the best of so many seeds.")] = None,
    ladder: Annotated[bool, typer.Option("--ladder", help="Compare each row with the one before it.")] = False,
    alpha: Annotated[float, typer.Option(help="Error rate over each family of comparisons.")] = 0.05,
    *,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model of the --reference.", rich_help_panel=RARE)
    ] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Data set of the --reference.", rich_help_panel=RARE)
    ] = None,
    metric: options.Metric = "top1",
    unit: Annotated[
        str | None,
        typer.Option(
            "--unit",
            help="percent or fraction, where the numbers leave it open; none: no accuracies.",
            rich_help_panel=RARE,
        ),
    ] = None,
    lower_is_better: options.LowerIsBetter = None,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Say which published differences exceed seed noise.

    For a table of single runs and the std over seeds that they probably have.

    For example:
    seedstudy audit table.csv --sd rsb
    seedstudy audit ladder.csv --sd 0.1 --ladder
    """
    from seedstudy.show.audit import audit_tables

    answer = ss.audit(
        table,
        sd=sd,
        reference=reference,
        columns=options.words(columns) if columns else None,
        label=label,
        n_seeds=seeds,
        best_of=best_of,
        is_ladder=ladder,
        alpha=alpha,
        results=results,
        study=study,
        model=model,
        data=data,
        metric=metric,
        unit=unit,
        lower_is_better=lower_is_better,
    )
    options.print_answer(answer, lambda: audit_tables(answer), output=output)
    options.save_plot(save, lambda: ss.plot_audit(answer))
    options.name_left_out(answer.left_out)
