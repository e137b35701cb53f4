"""`init` and `schema`: a study file to begin with, and what editors need to complete and check one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file to write.")] = Path("study.toml"),
    recipe: Annotated[
        str | None, typer.Option("-r", "--recipe", help="Recipes, e.g. a3,a2.", autocompletion=options.complete_recipe)
    ] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="timm names, or resnet8, resnet20, …")] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Data set.", autocompletion=options.complete_data)
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.")] = None,
    margin: Annotated[float | None, typer.Option("--margin", help="Smallest difference of interest.")] = None,
) -> None:
    """Write a study file with a comment on every key.

    A file that exists is left alone.

    For example:
    seedstudy init
    seedstudy init ladder.toml -r a3,a2 -d cifar10 --seeds 10 --margin 0.5
    """
    ss.init(file, recipes=recipe, models=model, data=data, seeds=seeds, margin=margin)
    options.tell(f"{file}: written; edit it, then: seedstudy run {file}")


def schema(of: Annotated[str, typer.Argument(metavar="KIND", help="study or recipe.")]) -> None:
    """Print the JSON schema of a study or recipe file, for editors.

    Editors with a TOML language server (Even Better TOML, taplo) complete and check a file whose first line is
    "#:schema ./study.schema.json".

    For example:
    seedstudy schema study > study.schema.json
    seedstudy schema recipe > recipe.schema.json
    """
    print(json.dumps(ss.schema(of), indent=1, ensure_ascii=False))
