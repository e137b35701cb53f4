"""`cost` and `evaluate`: what networks cost, and what published or own weights reach on val, ReaL and V2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


def cost(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="timm names, e.g. resnet50.")],
    size: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the model's own).")] = None,
    batch: Annotated[int, typer.Option(help="Images at a time, where more than one is timed.")] = 32,
    repeats: Annotated[int, typer.Option(help="Passes that are timed; the median is shown.")] = 10,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Count, but time nothing.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what networks cost, without training them.

    Parameters, multiply-adds, activations, latency, throughput, memory.
    """
    from seedstudy.show.networks import cost_table

    answer = ss.cost(*models, size=size, batch=batch, repeats=repeats, counts_only=counts_only, say=options.tell)
    options.print_answer(answer, lambda: cost_table(answer, repeats=repeats), as_json=as_json)


def evaluate(
    model: Annotated[str, typer.Argument(help="timm model with weights: resnet50.a1_in1k, or hf-hub:user/name.")],
    weights: Annotated[Path | None, typer.Option(help="A weights file (.safetensors, .pth) instead of timm's.")] = None,
    data: Annotated[str, typer.Option("-d", "--data", help="Data set.")] = "imagenet",
    data_dir: options.DataDir = None,
    eval_sets: options.EvalSets = None,
    recipe: Annotated[
        str | None, typer.Option("-r", "--recipe", help="Preprocess as this recipe tests; default: as the weights say.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Test at this side in pixels instead.")] = None,
    crop: Annotated[float | None, typer.Option(help="Share that the centre crop keeps, instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed these weights were trained with, where it is known.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's folder results: compare with the figures published there.")
    ] = None,
    results: options.Results = Path("results"),
    study: Annotated[str, typer.Option("--study", help="Study the result is added to.")] = "evaluated",
    as_json: options.AsJson = False,
) -> None:
    """Evaluate published or own weights on val, ReaL and V2.

    The result is kept beside trained trials.
    """
    from seedstudy.show.networks import evaluation_table

    answer = ss.evaluate(
        model,
        weights=weights,
        data=data,
        data_dir=data_dir,
        eval_sets=options.eval_names(eval_sets, is_known=":" not in data),
        recipe=recipe,
        size=size,
        crop=crop,
        seed=seed,
        published=published,
        results=results,
        study=study,
        say=options.tell,
    )
    preprocessing = str(answer.preprocessing)
    options.print_answer(
        answer,
        lambda: evaluation_table(answer.evaluations, answer.beside, preprocessing=preprocessing),
        as_json=as_json,
    )
    options.tell(f"{answer.recipe}@{answer.model}: {'added to' if answer.is_new else 'already in'} {answer.folder}")
