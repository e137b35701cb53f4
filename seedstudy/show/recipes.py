"""What `recipes` and `data` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from seedstudy.recipes.recipe import TABLE_2, format_value
from seedstudy.show.format import UNKNOWN, filled_table, table

if TYPE_CHECKING:
    from seedstudy.data.base import Catalogue, Finding
    from seedstudy.data.resized import Copy
    from seedstudy.recipes.catalogue import CatalogueEntry, Differences, Network
    from seedstudy.recipes.reader import RecipeFile


def recipe_list(entries: Iterable[CatalogueEntry]) -> RenderableType:
    """Render the packaged recipes, and what keeps them from being trained as they are."""
    recipes = table(["recipe", "recipe_id", "title", "gaps"])
    for entry in entries:
        gaps = [*entry.missing, *(["sizes and more by model"] if entry.by_model else [])]
        recipes.add_row(entry.name, entry.recipe_id or UNKNOWN, entry.title, ", ".join(gaps))
    return recipes


def recipe_table(recipe: RecipeFile, *, with_sources: bool) -> RenderableType:
    """Render every value of a recipe, with its source where asked for."""
    rows = table(["key", "value", *(["source"] if with_sources else [])])
    for key, value in recipe.values.items():
        rows.add_row(key, format_value(value), *([recipe.sources.get(key, "")] if with_sources else []))
    parts: list[RenderableType] = [Text(f"{recipe.recipe_id or recipe.name}: {recipe.title}"), rows]
    if recipe.differences:
        parts += [Text("Trained here otherwise than by its source:"), *map(_bullet, recipe.differences)]
    return Group(*parts)


def _bullet(sentence: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", sentence)
    return grid


def recipe_diff(answer: Differences) -> RenderableType:
    """Render recipes side by side: first the rows of RSB's Table 2, then the keys it has no row for."""
    rows = dict(answer.differences)
    if not rows:
        return Text(f"{' and '.join(answer.recipes)} have equal values.")
    if answer.updates is not None:
        rows["updates"] = answer.updates
    order = list(TABLE_2)
    side_by_side = table(["", "key", *answer.recipes])
    side_by_side.columns[1].no_wrap = True
    for key in sorted(rows, key=lambda key: order.index(key) if key in TABLE_2 else len(order)):
        cells = [UNKNOWN if value is None else format_value(value) for value in rows[key]]
        side_by_side.add_row(TABLE_2.get(key, ""), "" if key == "updates" else key, *cells)
    return side_by_side


def model_list(networks: Sequence[Network]) -> RenderableType:
    """Render networks with their train and test sizes; recipes that agree on one share a row."""
    if not networks:
        return Text("No recipe here names a network.")
    recipes: dict[tuple[str, ...], list[str]] = {}
    for network in networks:
        others = ", ".join(f"{key} {format_value(value)}" for key, value in network.values.items())
        key = (network.model, str(network.train_size), str(network.test_size), others)
        recipes.setdefault(key, []).append(network.recipe)
    return filled_table(
        ("model", "train px", "test px", "recipes", "its own values"),
        [(model, train, test, ", ".join(names), others) for (model, train, test, others), names in recipes.items()],
    )


def data_list(data: Catalogue) -> RenderableType:
    """Render the data sets, and how images of one's own are named."""
    sets = filled_table(
        ("data", "train images", "px", "classes", "default model", "note"),
        [
            (i.name, f"{i.n_train:,}", str(i.image_size or "any"), str(i.n_classes), i.default_model, i.note)
            for i in data.data
        ],
    )
    own = filled_table(("images of your own", "what it reads"), [form.split(": ", 1) for form in data.own.values()])
    return Group(sets, own)


def data_parts(findings: Iterable[Finding]) -> RenderableType:
    """Render which parts of a data set are on disk, and how to get the others."""
    return filled_table(("part", "status", "where", "note"), [(f.part, f.status, f.where, f.note) for f in findings])


def data_copy(copy: Copy) -> RenderableType:
    """Render what a resized copy holds, and how it was made."""
    share = copy.bytes_after / max(copy.bytes_before, 1)
    was = "made" if copy.is_new else "there already"
    return filled_table(
        ("copy of", copy.data),
        [
            ("folder", f"{copy.folder} ({was})"),
            ("images", f"{copy.images:,}; {copy.resized:,} resized, the others copied as they are"),
            ("shorter side", f"{copy.short_side} px ({copy.filter} filter)"),
            ("JPEG quality", str(copy.quality)),
            ("bytes", f"{copy.bytes_after:,} of {copy.bytes_before:,} ({share:.0%})"),
            ("train on it", f"-d {_as_named(copy)}"),
        ],
    )


def _as_named(copy: Copy) -> str:
    """Return how `run -d` names a copy."""
    return f"imagenet --data-dir {copy.folder}" if copy.data == "imagenet" else f"folder:{copy.folder}"
