"""`audit`: what a published table of single runs is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedstudy.cli.options import (
    AsJson,
    LowerIsBetter,
    Metric,
    Results,
    Save,
    StudyName,
    name_left_out,
    print_answer,
    words,
)


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
    results: Results = Path("results"),
    study: StudyName = "main",
    metric: Metric = "top1",
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="percent or fraction, where the numbers leave it open; none: no accuracies."),
    ] = None,
    lower_is_better: LowerIsBetter = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Say which differences of a published table of single runs exceed seed noise."""
    from seedstudy import api
    from seedstudy.show.audit import audit_tables
    from seedstudy.show.plots import check_picture

    check_picture(save)
    answer = api.audit(
        table,
        sd=sd,
        reference=reference,
        columns=words(columns) if columns else None,
        label=label,
        n_seeds=seeds,
        best_of=best_of,
        is_ladder=ladder,
        alpha=alpha,
        results=results,
        study=study,
        metric=metric,
        unit=unit,
        lower_is_better=lower_is_better,
    )
    print_answer(answer, lambda: audit_tables(answer), as_json=as_json)
    if save is not None:
        from seedstudy.show.plots.audit import plot_audit
        from seedstudy.show.plots.canvas import save_picture

        save_picture(plot_audit(answer), save)
    name_left_out(answer.left_out)
