"""`evaluate`: published or own weights on val, ReaL and V2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedstudy.cli.options import AsJson, DataDir, EvalSets, Results, eval_names, print_answer, tell


def evaluate(
    model: Annotated[str, typer.Argument(help="timm model with weights: resnet50.a1_in1k, or hf-hub:user/name.")],
    weights: Annotated[Path | None, typer.Option(help="A weights file (.safetensors, .pth) instead of timm's.")] = None,
    data: Annotated[str, typer.Option("-d", "--data", help="Data set.")] = "imagenet",
    data_dir: DataDir = None,
    eval_sets: EvalSets = None,
    recipe: Annotated[
        str | None, typer.Option("-r", "--recipe", help="Preprocess as this recipe tests; default: as the weights say.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Test at this side in pixels instead.")] = None,
    crop: Annotated[float | None, typer.Option(help="Share that the centre crop keeps, instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed these weights were trained with, where it is known.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's folder results: compare with the figures published there.")
    ] = None,
    results: Results = Path("results"),
    study: Annotated[str, typer.Option("--study", help="Study the result is added to.")] = "evaluated",
    as_json: AsJson = False,
) -> None:
    """Evaluate published or own weights on val, ReaL and V2; the result is kept beside trained trials."""
    from seedstudy import api
    from seedstudy.show.networks import evaluation_table

    answer = api.evaluate(
        model,
        weights=weights,
        data=data,
        data_dir=data_dir,
        eval_sets=eval_names(eval_sets),
        recipe=recipe,
        size=size,
        crop=crop,
        seed=seed,
        published=published,
        results=results,
        study=study,
        say=tell,
    )
    print_answer(answer, lambda: evaluation_table(answer.evaluations), as_json=as_json)
    tell(f"{answer.recipe}@{answer.model}: {'added to' if answer.is_new else 'already in'} {answer.folder}")
