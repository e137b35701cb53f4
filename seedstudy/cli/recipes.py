"""`recipes list | show | diff | models` and `data list | check | prepare`: what there is to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import Command, Commands

recipes_app = typer.Typer(help="The recipes as data: list, show, diff, keys, models.", cls=Commands)
data_app = typer.Typer(help="Data sets: list, check, prepare a smaller copy.", cls=Commands)

ForModel = Annotated[str | None, typer.Option("-m", "--model", help="With what the recipe says of this model.")]
ForData = Annotated[str | None, typer.Option("-d", "--data", help="Show it scaled to this data set.")]


@recipes_app.command("list", cls=Command)
@options.grouped
def recipes_list(*, output: options.Output) -> None:
    """List the recipes that come with seedstudy, and what they lack.

    For example:
    seedstudy recipes list
    """
    from seedstudy.api import choices
    from seedstudy.show.recipes import recipe_list

    answer = choices.recipes()
    options.print_answer(answer, lambda: recipe_list(answer.recipes), output=output)


@recipes_app.command("show", cls=Command)
@options.grouped
def recipes_show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", autocompletion=options.complete_recipe, help="A name, or the path of a recipe file."
        ),
    ],
    model: ForModel = None,
    data: ForData = None,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
    *,
    output: options.Output,
) -> None:
    """Show every value of a recipe, and what it lacks.

    For example:
    seedstudy recipes show a2 --sources
    seedstudy recipes show a2 --data shapes
    """
    from seedstudy.api import choices
    from seedstudy.show.recipes import recipe_table

    answer = choices.recipe(name, model=model, data=data)
    with_sources = sources or data is not None
    options.print_answer(answer, lambda: recipe_table(answer, with_sources=with_sources), output=output)


@recipes_app.command("diff", cls=Command)
@options.grouped
def recipes_diff(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE", autocompletion=options.complete_recipe, help="Names, or paths of recipe files."
        ),
    ],
    model: ForModel = None,
    data: ForData = None,
    everything: Annotated[bool, typer.Option("--all", help="Also show where they agree.")] = False,
    *,
    output: options.Output,
) -> None:
    """Show side by side where recipes differ.

    In the order of RSB's Table 2.

    For example:
    seedstudy recipes diff a1 a2 a3
    """
    from seedstudy.api import choices
    from seedstudy.show.recipes import recipe_diff

    answer = choices.recipe_differences(*names, model=model, data=data, everything=everything)
    options.print_answer(answer, lambda: recipe_diff(answer), output=output)


@recipes_app.command("keys", cls=Command)
@options.grouped
def recipes_keys(*, output: options.Output) -> None:
    """List the keys of a recipe, which --set changes.

    For example:
    seedstudy recipes keys
    seedstudy run --recipe a2 --set drop_path=0.1
    """
    from seedstudy.api import choices
    from seedstudy.show.recipes import key_list

    answer = choices.recipe_keys()
    options.print_answer(answer, lambda: key_list(answer.keys), output=output)


@recipes_app.command("models", cls=Command)
@options.grouped
def recipes_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE", autocompletion=options.complete_recipe, help="Only these (default: all)."),
    ] = None,
    *,
    output: options.Output,
) -> None:
    """List the networks that the recipes' sources trained.

    For example:
    seedstudy recipes models a2
    """
    from seedstudy.api import choices
    from seedstudy.show.recipes import model_list

    answer = choices.recipe_models(*names or ())
    options.print_answer(answer, lambda: model_list(answer.models), output=output)


@data_app.command("list", cls=Command)
@options.grouped
def data_list(*, output: options.Output) -> None:
    """List the data sets.

    For example:
    seedstudy data list
    """
    from seedstudy.show.recipes import data_list

    answer = ss.data_sets()
    options.print_answer(answer, lambda: data_list(answer), output=output)


@data_app.command("check", cls=Command)
@options.grouped
def data_check(
    name: Annotated[
        str, typer.Argument(metavar="D", autocompletion=options.complete_data, help="A data set, as run -d takes it.")
    ],
    data_dir: options.DataDir = None,
    everything: Annotated[bool, typer.Option("--all", help="Decode every image, not a sample.")] = False,
    *,
    output: options.Output,
) -> None:
    """Say which parts of a data set are on disk.

    Also what is missing, and how to get it.

    For example:
    seedstudy data check imagenet --data-dir ~/imagenet
    """
    from seedstudy.show.recipes import data_parts

    answer = ss.check_data(name, data_dir=data_dir, everything=everything, say=options.tell)
    options.print_answer(answer, lambda: data_parts(answer.parts), output=output)
    if answer.is_damaged or answer.is_missing:
        raise typer.Exit(options.EXIT_FAILED)


@data_app.command("prepare", cls=Command)
@options.grouped
def data_prepare(
    name: Annotated[
        str, typer.Argument(metavar="D", autocompletion=options.complete_data, help="A data set, as run -d takes it.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the copy, which does not exist yet.")],
    short_side: Annotated[int, typer.Option("--short-side", help="Shorter side of every image in pixels.")] = 320,
    quality: Annotated[
        int | None, typer.Option("--quality", help="Of the JPEG files, 1 to 95.", show_default="95")
    ] = None,
    decoded: Annotated[
        bool, typer.Option("--decoded", help="Keep the images decoded: fastest to read, about 6 times as large.")
    ] = False,
    data_dir: options.DataDir = None,
    *,
    how: options.Output,
) -> None:
    """Make a smaller copy of a data set, which is faster to read.

    The same command resumes. Trials on the copy never pool with trials on the original.

    For example:
    seedstudy data prepare imagenet --data-dir ~/imagenet -o ~/imagenet-320
    """
    from seedstudy.show.recipes import data_copy

    answer = ss.resize_data(
        name,
        output,
        short_side=short_side,
        quality=quality,
        decoded=decoded,
        data_dir=data_dir,
        say=options.tell,
    )
    options.print_answer(answer, lambda: data_copy(answer), output=how)
