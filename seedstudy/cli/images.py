"""`images`: which single images seeds and recipes disagree about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


def images(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A [B]...", help="RECIPE…; later ones are compared with A.")
    ] = None,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only results of this model.")] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Only results on this data set; folder:PATH for its images.")
    ] = None,
    eval_set: options.EvalSet = None,
    fdr: Annotated[float, typer.Option("--fdr", help="Share of what differs that may be there by chance.")] = 0.05,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Contact sheet (.html, .png), or all images as a table (.csv, .parquet)."),
    ] = None,
    show: Annotated[int, typer.Option("--show", help="Images of each kind on a contact sheet.")] = 24,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Show which images seeds disagree about, and which differ between recipes.

    Of one recipe: the images that some seeds have right and others not. Of several: also those that a recipe has right
    more or less often than A beyond what chance over seeds explains.
    """
    from seedstudy.api.images import check_images
    from seedstudy.show.which_images import images_view

    if output is not None:
        check_images(output)
    answer = ss.images(
        *what or (),
        results=results,
        study=study,
        model=model,
        data=data,
        eval_set=options.one_eval_set(eval_set),
        fdr=fdr,
    )
    options.print_answer(answer, lambda: images_view(answer), as_json=as_json)
    if output is not None:
        where = data if data is not None and ":" in data else None
        ss.save_images(answer, output, data=where, data_dir=data_dir, most=show, say=options.tell)
        options.tell(f"{output}: written.")
    options.name_left_out(answer.left_out)
