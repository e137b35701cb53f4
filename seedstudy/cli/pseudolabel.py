"""`pseudolabel`: a teacher's labels for images that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


@options.grouped
def pseudolabel(
    teacher: Annotated[
        str, typer.Argument(metavar="TEACHER", help="Trials with kept weights: STUDY:RECIPE, or …#SEED.")
    ],
    file: Annotated[Path, typer.Option("-o", "--output", help="File to write, e.g. labels.json.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images (default: those that the teacher's --train-limit left out)."),
    ] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Own images of the teacher: folder:PATH.")] = None,
    data_dir: options.DataDir = None,
    most: Annotated[int | None, typer.Option(help="Only the first N images.")] = None,
    soft: Annotated[
        bool, typer.Option("--soft/--hard", help="Keep the probabilities, or the likeliest class.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="Least probability of the likeliest class.")] = 0.0,
    per_class: Annotated[
        int | None, typer.Option(help="N images of each class, the most certain ones; repeated where there are fewer.")
    ] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only trials of this model.")] = None,
    results: options.Results = Path("results"),
    *,
    output: options.Output,
) -> None:
    """Label images without labels by trained networks.

    A recipe names the file as `pseudo_labels`, and mixes its images with labelled ones.

    For example:
    seedstudy pseudolabel main:a2 -o labels.json
    seedstudy pseudolabel main:a2 -o labels.json --images photos --threshold 0.8
    """
    from seedstudy.show.networks import pseudo_label_table

    answer = ss.pseudolabel(
        teacher,
        file,
        images=images,
        data=data,
        data_dir=data_dir,
        most=most,
        soft=soft,
        threshold=threshold,
        per_class=per_class,
        model=model,
        results=results,
        say=options.tell,
    )
    options.print_answer(answer, lambda: pseudo_label_table(answer), output=output)
