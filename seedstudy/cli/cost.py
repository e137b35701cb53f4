"""`cost`: what networks cost before they are trained."""

from __future__ import annotations

from typing import Annotated

import typer

from seedstudy.cli.options import AsJson, print_answer, tell


def cost(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="timm names, e.g. resnet50.")],
    size: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the model's own).")] = None,
    batch: Annotated[int, typer.Option(help="Images at a time, where more than one is timed.")] = 32,
    repeats: Annotated[int, typer.Option(help="Passes that are timed; the median is shown.")] = 10,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Count, but time nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what networks cost without training them: parameters, multiply-adds, activations, latency, memory."""
    from seedstudy import api
    from seedstudy.show.networks import cost_table

    answer = api.cost(*models, size=size, batch=batch, repeats=repeats, counts_only=counts_only, say=tell)
    print_answer(answer, lambda: cost_table(answer.costs, repeats=repeats), as_json=as_json)
