"""`data list | check`: the data sets, and what of them is on disk."""

from __future__ import annotations

from typing import Annotated

import typer

from seedstudy.cli.options import EXIT_FAILED, AsJson, DataDir, print_answer

data_app = typer.Typer(help="Data sets: what is on disk, what is missing and how to get it.", no_args_is_help=True)


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List the data sets."""
    from seedstudy import api
    from seedstudy.show.recipes import data_list

    answer = api.data_sets()
    print_answer(answer, lambda: data_list(answer.data), as_json=as_json)


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(metavar="D", help="Name of a data set.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which parts of a data set are on disk, what is missing and how to get it."""
    from seedstudy import api
    from seedstudy.show.recipes import data_parts

    answer = api.check_data(name, data_dir=data_dir)
    print_answer(answer, lambda: data_parts(answer.parts), as_json=as_json)
    if answer.is_damaged:
        raise typer.Exit(EXIT_FAILED)
