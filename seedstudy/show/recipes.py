"""What `recipes` and `data` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.recipes.recipe import TABLE_2, format_value
from seedstudy.show.format import UNKNOWN, filled_table

if TYPE_CHECKING:
    from seedstudy.data.base import DataInfo, Finding
    from seedstudy.recipes.catalogue import CatalogueEntry, Description, Differences, Network


def recipe_list(recipes: Iterable[CatalogueEntry]) -> RenderableType:
    """Render the packaged recipes, and what keeps them from being trained as they are."""
    return filled_table(
        ("recipe", "recipe_id", "title", "gaps"),
        [
            (
                recipe.name,
                recipe.recipe_id or UNKNOWN,
                recipe.title,
                ", ".join([*recipe.missing, *(["sizes and more by model"] if recipe.by_model else [])]),
            )
            for recipe in recipes
        ],
    )


def recipe_table(recipe: Description, *, with_sources: bool) -> RenderableType:
    """Render every value of a recipe, with its source where asked for."""
    rows = [(key, format_value(value), recipe.sources.get(key, "")) for key, value in recipe.values.items()]
    n_columns = 3 if with_sources else 2
    return Group(
        Text(f"{recipe.recipe_id or recipe.name}: {recipe.title}"),
        filled_table(("key", "value", "source")[:n_columns], [row[:n_columns] for row in rows]),
    )


def recipe_diff(answer: Differences) -> RenderableType:
    """Render recipes side by side: first the rows of RSB's Table 2, then the keys it has no row for."""
    if not answer.differences:
        return Text(f"{' and '.join(answer.recipes)} have equal values.")
    values = {row.key: row.values for row in answer.differences}
    if answer.updates is not None:
        values["updates"] = answer.updates
    in_table_2 = [key for key in TABLE_2 if key in values]
    return filled_table(
        ("", "key", *answer.recipes),
        [
            (
                TABLE_2.get(key, ""),
                "" if key == "updates" else key,
                *(UNKNOWN if value is None else format_value(value) for value in values[key]),
            )
            for key in dict.fromkeys([*in_table_2, *values])
        ],
    )


def model_list(networks: Sequence[Network]) -> RenderableType:
    """Render networks with their train and test sizes; recipes that agree on one share a row."""
    if not networks:
        return Text("No recipe here names a network.")
    recipes: dict[tuple[str, str, str, str], list[str]] = {}
    for network in networks:
        others = ", ".join(f"{key} {format_value(value)}" for key, value in network.values.items())
        key = (network.model, str(network.train_size), str(network.test_size), others)
        recipes.setdefault(key, []).append(network.recipe)
    return filled_table(
        ("model", "train px", "test px", "recipes", "its own values"),
        [(model, train, test, ", ".join(names), others) for (model, train, test, others), names in recipes.items()],
    )


def data_list(data: Iterable[DataInfo]) -> RenderableType:
    """Render the data sets."""
    return filled_table(
        ("data", "train images", "px", "classes", "default model", "note"),
        [(i.name, f"{i.n_train:,}", str(i.image_size), str(i.n_classes), i.default_model, i.note) for i in data],
    )


def data_parts(findings: Iterable[Finding]) -> RenderableType:
    """Render which parts of a data set are on disk, and how to get the others."""
    return filled_table(("part", "status", "where", "note"), [(f.part, f.status, f.where, f.note) for f in findings])
