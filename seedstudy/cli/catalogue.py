"""`recipes` and `data`: what there is to train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import EXIT_FAILED, AsJson, DataDir, print_json
from seedstudy.errors import RecipeError

if TYPE_CHECKING:
    from seedstudy.recipes.reader import RecipeFile
    from seedstudy.recipes.recipe import Recipe

recipes_app = typer.Typer(help="The recipes as data: list, show, diff, models.", no_args_is_help=True)
data_app = typer.Typer(help="Data sets: what is on disk, what is missing and how to get it.", no_args_is_help=True)


RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name, or the path of a recipe file.")]
RecipeNames = Annotated[list[str], typer.Argument(metavar="RECIPE…", help="Names, or paths of recipe files.")]
ForModel = Annotated[str | None, typer.Option("-m", "--model", help="With what the recipe says of this model.")]
ForData = Annotated[str | None, typer.Option("-d", "--data", help="Show it scaled to this data set.")]


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """List the recipes that come with seedstudy, and what they lack."""
    from seedstudy.recipes import reader as recipe
    from seedstudy.show.format import show
    from seedstudy.show.recipes import recipe_list

    rows = []
    for name in recipe.packaged_names():
        file = recipe.read_recipe(name)
        gaps = file.gaps(None)
        recipe_id = None if gaps else file.for_model(None).recipe_id
        rows.append(
            {
                "name": name,
                "recipe_id": recipe_id,
                "title": file.title,
                "models": len(file.models),
                "missing": [key for key in gaps if key in file.missing],
                "by_model": [key for key in gaps if key not in file.missing],
            }
        )
    if as_json:
        print_json({"recipes": rows})
        return
    show(recipe_list(rows))


@recipes_app.command("show")
def recipes_show(
    name: RecipeName,
    model: ForModel = None,
    data: ForData = None,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every value of a recipe, and what it lacks."""
    from seedstudy.recipes import reader as recipe
    from seedstudy.show.format import show
    from seedstudy.show.recipes import recipe_table

    file = recipe.read_recipe(name)
    values, where, recipe_id = file.described(model), {**file.sources, **file.missing}, None
    if data is not None or not file.gaps(model):
        complete = _scaled(file, model, data)
        values, where, recipe_id = complete.values(), dict(complete.sources), complete.recipe_id
    if as_json:
        document = {"name": file.name, "title": file.title, "values": values, "missing": dict(file.missing)}
        models = {key: dict(own) for key, own in file.models.items()}
        print_json({**document, "recipe_id": recipe_id, "sources": where, "models": models})
        return
    heading = f"{recipe_id or file.name}: {file.title}"
    show(recipe_table(heading, values, where if sources or data is not None else None))


@recipes_app.command("diff")
def recipes_diff(
    names: RecipeNames,
    model: ForModel = None,
    data: ForData = None,
    everything: Annotated[bool, typer.Option("--all", help="Also show where they agree.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show side by side in which values recipes differ, in the rows and order of RSB's Table 2."""
    from seedstudy.recipes import reader as recipe
    from seedstudy.recipes.recipe import KEYS
    from seedstudy.recipes.scaling import imagenet_updates
    from seedstudy.show.format import show
    from seedstudy.show.recipes import recipe_diff

    if len(names) < 2:
        raise RecipeError("recipes diff needs two recipes or more, for example: seedstudy recipes diff a1 a2.")
    files = [recipe.read_recipe(name) for name in names]
    shown = [file.described(model) if data is None else _scaled(file, model, data).values() for file in files]
    rows = [
        (key, [values[key] for values in shown])
        for key in KEYS
        if everything or len({values[key] for values in shown}) > 1
    ]
    labels = [file.name for file in files]
    if as_json:
        print_json(_differences(labels, rows))
        return
    if not rows:
        print(f"{' and '.join(labels)} have equal values.")
        return
    if data is None and any(key in ("epochs", "batch_size") for key, _ in rows):
        rows.append(("updates", [imagenet_updates(values) for values in shown]))
    show(recipe_diff(labels, rows))


def _differences(names: list[str], rows: list[tuple[str, list[Any]]]) -> dict[str, Any]:
    if len(names) == 2:
        return {"a": names[0], "b": names[1], "differences": [{"key": k, "a": v[0], "b": v[1]} for k, v in rows]}
    return {"recipes": names, "differences": [{"key": k, "values": v} for k, v in rows]}


@recipes_app.command("models")
def recipes_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[RECIPE…]", help="Only these (default: all).")] = None,
    as_json: AsJson = False,
) -> None:
    """List the networks whose training the recipes' sources report, with their sizes."""
    from seedstudy.recipes import reader as recipe
    from seedstudy.show.format import show
    from seedstudy.show.recipes import model_list

    rows = []
    for name in names or recipe.packaged_names():
        file = recipe.read_recipe(name)
        for model, own in file.models.items():
            known = file.described(model)
            sizes = {"train_size": known["train_size"], "test_size": known["test_size"]}
            others = {key: value for key, value in own.items() if key not in sizes}
            rows.append({"model": model, "recipe": file.name, **sizes, "values": others})
    if as_json:
        print_json({"models": rows})
        return
    show(model_list(rows) if rows else "No recipe here names a network.")


def _scaled(file: RecipeFile, model: str | None, data: str | None) -> Recipe:
    from seedstudy import data as datasets
    from seedstudy.recipes.scaling import scale

    complete = file.for_model(model)
    if data is None:
        return complete
    info = datasets.info(data)
    return scale(
        complete,
        data=data,
        n_train=info.n_train,
        image_size=info.image_size,
        epoch_ratio=info.epoch_ratio,
        epochs=None,
    )


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List the data sets."""
    from seedstudy import data as datasets
    from seedstudy.show.format import show
    from seedstudy.show.recipes import data_list as table_of_data

    infos = [datasets.info(name) for name in datasets.names()]
    if as_json:
        fields = ("name", "title", "n_train", "image_size", "n_classes", "default_model", "note")
        print_json({"data": [{field: getattr(info, field) for field in fields} for info in infos]})
        return
    show(table_of_data(infos))


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(metavar="D", help="Name of a data set.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which parts of a data set are on disk, what is missing and how to get it."""
    from seedstudy import data as datasets
    from seedstudy.show.format import show
    from seedstudy.show.recipes import data_parts

    findings = datasets.check(name, data_dir)
    if as_json:
        fields = ("part", "status", "where", "note")
        print_json({"data": name, "parts": [{field: getattr(f, field) for field in fields} for f in findings]})
    else:
        show(data_parts(findings))
    if any(finding.status == "damaged" for finding in findings):
        raise typer.Exit(EXIT_FAILED)
