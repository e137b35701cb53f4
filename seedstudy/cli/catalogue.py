"""`recipes` and `data`: what there is to train."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedstudy.cli.options import EXIT_FAILED, AsJson, DataDir, print_json

recipes_app = typer.Typer(help="The recipes as data: list, show, diff.", no_args_is_help=True)
data_app = typer.Typer(help="Data sets: what is on disk, what is missing and how to get it.", no_args_is_help=True)


RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name, or the path of a recipe file.")]
ForData = Annotated[str | None, typer.Option("-d", "--data", help="Show it scaled to this data set.")]


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """List the recipes that come with seedstudy."""
    from seedstudy import recipe, tables

    loaded = [recipe.load_recipe(name) for name in recipe.packaged_names()]
    if as_json:
        print_json({"recipes": [{"name": r.name, "recipe_id": r.recipe_id, "title": r.title} for r in loaded]})
        return
    tables.show(tables.recipe_list(loaded))


@recipes_app.command("show")
def recipes_show(
    name: RecipeName,
    data: ForData = None,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every value of a recipe."""
    from seedstudy import tables

    recipe = _scaled(name, data)
    if as_json:
        print_json({**recipe.to_dict(), "recipe_id": recipe.recipe_id, "sources": dict(recipe.sources)})
        return
    tables.show(tables.recipe_table(recipe, with_sources=sources or data is not None))


@recipes_app.command("diff")
def recipes_diff(first: RecipeName, second: RecipeName, data: ForData = None, as_json: AsJson = False) -> None:
    """Show in which values two recipes differ."""
    from seedstudy import recipe, tables

    a, b = _scaled(first, data), _scaled(second, data)
    rows = recipe.diff(a, b)
    if as_json:
        print_json({"a": a.name, "b": b.name, "differences": [{"key": k, "a": x, "b": y} for k, x, y in rows]})
        return
    tables.show(tables.recipe_diff(a, b, rows) if rows else f"{a.name} and {b.name} have equal values.")


def _scaled(name: str, data: str | None) -> Any:
    from seedstudy import datasets, recipe
    from seedstudy.scaling import scale

    loaded = recipe.load_recipe(name)
    if data is None:
        return loaded
    info = datasets.info(data)
    return scale(
        loaded,
        data=data,
        n_train=info.n_train,
        image_size=info.image_size,
        epoch_ratio=info.epoch_ratio,
        epochs=None,
    )


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List the data sets."""
    from seedstudy import datasets, tables

    infos = [datasets.info(name) for name in datasets.names()]
    if as_json:
        fields = ("name", "title", "n_train", "image_size", "n_classes", "default_model", "note")
        print_json({"data": [{field: getattr(info, field) for field in fields} for info in infos]})
        return
    rows = [(i.name, f"{i.n_train:,}", str(i.image_size), str(i.n_classes), i.default_model, i.note) for i in infos]
    tables.show(tables.plain_table(("data", "train images", "px", "classes", "default model", "note"), rows))


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(metavar="D", help="Name of a data set.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which parts of a data set are on disk, what is missing and how to get it."""
    from seedstudy import datasets, tables

    findings = datasets.check(name, data_dir)
    if as_json:
        fields = ("part", "status", "where", "note")
        print_json({"data": name, "parts": [{field: getattr(f, field) for field in fields} for f in findings]})
    else:
        rows = [(f.part, f.status, f.where, f.note) for f in findings]
        tables.show(tables.plain_table(("part", "status", "where", "note"), rows))
    if any(finding.status == "damaged" for finding in findings):
        raise typer.Exit(EXIT_FAILED)
