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
        str,
        typer.Argument(
            metavar="TEACHER",
            help="Trials with kept weights: STUDY:RECIPE, or …#SEED; or a timm model: resnet50.a1_in1k.",
        ),
    ],
    file: Annotated[Path, typer.Option("-o", "--output", help="File to write, e.g. labels.json.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images (default: those that the training limit left out)."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Own images of trials: folder:PATH; data set of a timm model.")
    ] = None,
    data_dir: options.DataDir = None,
    train_limit: Annotated[
        int | None, typer.Option(help="Of a timm model: label the training images that this limit leaves out.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A weights file (.safetensors, .pth) instead of timm's.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option("-r", "--recipe", help="Show a timm model images as this recipe tests; default: as timm does."),
    ] = None,
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
        train_limit=train_limit,
        weights=weights,
        recipe=recipe,
        most=most,
        soft=soft,
        threshold=threshold,
        per_class=per_class,
        model=model,
        results=results,
        say=options.tell,
    )
    options.print_answer(answer, lambda: pseudo_label_table(answer), output=output)
