"""What `recipes` and `data` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.recipes.recipe import TABLE_2, Value, format_value
from seedstudy.show.format import UNKNOWN, filled_table, table

if TYPE_CHECKING:
    from seedstudy.data.base import DataInfo, Finding


def recipe_list(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render the packaged recipes, and what keeps them from being trained as they are."""
    recipes = table(["recipe", "recipe_id", "title", "gaps"])
    for row in rows:
        gaps = [*row["missing"], *(["sizes and more by model"] if row["by_model"] else [])]
        recipes.add_row(row["name"], row["recipe_id"] or UNKNOWN, row["title"], ", ".join(gaps))
    return recipes


def recipe_table(heading: str, values: Mapping[str, Value], sources: Mapping[str, str] | None) -> RenderableType:
    """Render every value of a recipe, with its source where asked for."""
    rows = table(["key", "value", *([] if sources is None else ["source"])])
    for key, value in values.items():
        rows.add_row(key, format_value(value), *([] if sources is None else [sources.get(key, "")]))
    return Group(Text(heading), rows)


def recipe_diff(names: Sequence[str], rows: Iterable[tuple[str, Sequence[Value]]]) -> RenderableType:
    """Render recipes side by side: first the rows of RSB's Table 2, then the keys it has no row for."""
    order = list(TABLE_2)
    side_by_side = table(["", "key", *names])
    for key, values in sorted(rows, key=lambda row: order.index(row[0]) if row[0] in TABLE_2 else len(order)):
        cells = [UNKNOWN if value is None else format_value(value) for value in values]
        side_by_side.add_row(TABLE_2.get(key, ""), "" if key == "updates" else key, *cells)
    return side_by_side


def model_list(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render networks with their train and test sizes; recipes that agree on one share a row."""
    recipes: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        others = ", ".join(f"{key} {format_value(value)}" for key, value in row["values"].items())
        key = (row["model"], str(row["train_size"]), str(row["test_size"]), others)
        recipes.setdefault(key, []).append(row["recipe"])
    return filled_table(
        ("model", "train px", "test px", "recipes", "its own values"),
        [(model, train, test, ", ".join(names), others) for (model, train, test, others), names in recipes.items()],
    )


def data_list(infos: Iterable[DataInfo]) -> RenderableType:
    """Render the data sets."""
    return filled_table(
        ("data", "train images", "px", "classes", "default model", "note"),
        [(i.name, f"{i.n_train:,}", str(i.image_size), str(i.n_classes), i.default_model, i.note) for i in infos],
    )


def data_parts(findings: Iterable[Finding]) -> RenderableType:
    """Render which parts of a data set are on disk, and how to get the others."""
    return filled_table(("part", "status", "where", "note"), [(f.part, f.status, f.where, f.note) for f in findings])
