"""`report`: one page with the verdict and all that it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import OUTPUT


@options.grouped
def report(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B", help="A is the baseline; none: the whole study.")
    ] = None,
    *,
    where: options.Judged,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The report: .html, .md, .tex or .typ.", rich_help_panel=OUTPUT)
    ] = Path("report.html"),
    title: Annotated[str | None, typer.Option("--title", help="Title of the page.", rich_help_panel=OUTPUT)] = None,
    eval_sets: options.EvalSets = None,
    lower_is_better: options.LowerIsBetter = None,
    margin: options.Margin = None,
    alpha: options.Alpha = 0.05,
    level: options.Level = 0.95,
    as_json: options.AsJson = False,
) -> None:
    """Write one page: the verdict, and all that it rests on.

    The page needs no network and no other file. A, B as for `seedstudy compare`.

    For example:
    seedstudy report a3 a2 -o report.html
    seedstudy report runs.csv --by recipe -o report.md
    """
    from seedstudy.api.reporting import check_report

    check_report(output)
    answer = ss.report(
        *what or (),
        **options.values(where),
        eval_sets=options.eval_names(eval_sets),
        lower_is_better=lower_is_better,
        margin=margin,
        alpha=alpha,
        level=level,
        title=title,
    )
    ss.save_report(answer, output)
    if as_json:
        options.print_document(answer)
    else:
        options.tell(f"{output}: written; open it in a browser." if output.suffix == ".html" else f"{output}: written.")
    options.name_left_out(answer.summaries.left_out)
