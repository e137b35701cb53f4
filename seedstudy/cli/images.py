"""`images`: which single images seeds and recipes disagree about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import OUTPUT, READ, RULE


@options.grouped
def images(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B", help="RECIPE…; later ones are compared with A.")
    ] = None,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Only results of this model.", rich_help_panel=READ)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "-d", "--data", help="Only results on this data set; folder:PATH for its images.", rich_help_panel=READ
        ),
    ] = None,
    eval_set: options.EvalSet = None,
    fdr: Annotated[
        float, typer.Option("--fdr", help="Share of what differs that may be there by chance.", rich_help_panel=RULE)
    ] = 0.05,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Contact sheet (.html, .png), or all images as a table (.csv, .parquet).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    show: Annotated[
        int, typer.Option("--show", help="Images of each kind on a contact sheet.", rich_help_panel=OUTPUT)
    ] = 24,
    data_dir: options.DataDir = None,
    *,
    output: options.Cited,
) -> None:
    """Show which images the seeds disagree about.

    Of one recipe: the images that some seeds have right and others not. Of several: also those that a recipe has right
    more or less often than A, beyond what chance over seeds explains.

    For example:
    seedstudy images a2
    seedstudy images a3 a2 -o sheet.html
    """
    from seedstudy.api.images import check_images
    from seedstudy.show.which_images import images_view

    if file is not None:
        check_images(file)
    eval_set = options.one_eval_set(eval_set)
    answer = ss.images(*what or (), results=results, study=study, model=model, data=data, eval_set=eval_set, fdr=fdr)
    options.print_answer(answer, lambda: images_view(answer), output=output)
    if file is not None:
        where = data if data is not None and ":" in data else None
        ss.save_images(answer, file, data=where, data_dir=data_dir, most=show, say=options.tell)
        options.tell(f"{file}: written.")
    options.name_left_out(answer.left_out)
