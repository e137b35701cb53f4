"""What `recipes` and `data` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from seedstudy.recipes.recipe import TABLE_2, format_value
from seedstudy.show.format import UNKNOWN
from seedstudy.show.sheet import Column, Sheet, sheet
from seedstudy.show.view import Headline, View

if TYPE_CHECKING:
    from seedstudy.data.base import Catalogue, Finding
    from seedstudy.data.resized import Copy
    from seedstudy.recipes.catalogue import CatalogueEntry, Differences, KeyEntry, Network
    from seedstudy.recipes.reader import RecipeFile


_MOST_GAPS = 2
"""So many missing keys are named in the list; of more, their number."""


def recipe_list(entries: Iterable[CatalogueEntry]) -> View:
    """Return the packaged recipes, and what keeps them from being trained as they are."""
    rows = []
    for entry in entries:
        missing = [f"{len(entry.missing)} keys"] if len(entry.missing) > _MOST_GAPS else [*entry.missing]
        gaps = [*missing, *(["sizes by model"] if entry.by_model else [])]
        rows.append((entry.name, entry.title, ", ".join(gaps), entry.recipe_id or UNKNOWN))
    columns = (
        Column(name="recipe", kind="name"),
        Column(name="title", kind="text"),
        Column(name="to be set", kind="text"),
        Column(name="recipe_id", kind="text", drop=1),
    )
    notes = ("To be set: keys that no source gives (--set key=value); seedstudy recipes show RECIPE names them.",)
    return View(sheets=(Sheet(columns=columns, rows=tuple(rows), notes=notes),))


def recipe_table(recipe: RecipeFile, *, with_sources: bool) -> View:
    """Return every value of a recipe, with its source where asked for."""
    rows = [
        (key, format_value(value), *([recipe.sources.get(key, "")] if with_sources else []))
        for key, value in recipe.values.items()
    ]
    head = f"{recipe.recipe_id or recipe.name}: {recipe.title}"
    differences = recipe.differences
    return View(
        headlines=(Headline(text=head),),
        sheets=(sheet(["key", "value", *(["source"] if with_sources else [])], (), rows),),
        sentences=(
            *(["", "How training here differs from the source:"] if differences else []),
            *(f"- {sentence}" for sentence in differences),
        ),
    )


def recipe_diff(answer: Differences) -> View:
    """Return recipes side by side: first the rows of RSB's Table 2, then the keys it has no row for."""
    rows = dict(answer.differences)
    if not rows:
        return View(headlines=(Headline(text=f"{' and '.join(answer.recipes)} have equal values."),))
    if answer.updates is not None:
        rows["updates"] = answer.updates
    order = list(TABLE_2)
    cells = []
    for key in sorted(rows, key=lambda key: order.index(key) if key in TABLE_2 else len(order)):
        values = [UNKNOWN if value is None else format_value(value) for value in rows[key]]
        cells.append((key, TABLE_2.get(key, ""), *values))
    columns = (
        Column(name="key", kind="text"),
        Column(name="in RSB's Table 2", kind="text", drop=1),
        *(Column(name=name, kind="text") for name in answer.recipes),
    )
    return View(sheets=(Sheet(columns=columns, rows=tuple(cells)),))


def key_list(entries: Iterable[KeyEntry]) -> View:
    """Return every key with what it may be and what it means."""
    rows = [(entry.key, entry.values, entry.meaning) for entry in entries]
    return View(sheets=(sheet(("key", "value", "meaning"), (), rows),))


def model_list(networks: Sequence[Network]) -> View:
    """Return networks with their train and test sizes; recipes that agree on one share a row."""
    if not networks:
        return View(headlines=(Headline(text="No recipe here names a network."),))
    recipes: dict[tuple[str, ...], list[str]] = {}
    for network in networks:
        others = ", ".join(f"{key} {format_value(value)}" for key, value in network.values.items())
        key = (network.model, str(network.train_size), str(network.test_size), others)
        recipes.setdefault(key, []).append(network.recipe)
    rows = [(model, ", ".join(names), others, train, test) for (model, train, test, others), names in recipes.items()]
    return View(sheets=(sheet(["model", "recipes", "its own values"], ["train px", "test px"], rows),))


def data_list(data: Catalogue) -> View:
    """Return the data sets, and how images of one's own are named."""
    rows = [
        (i.name, i.note, f"{i.n_train:,}", str(i.image_size or "any"), str(i.n_classes), i.default_model)
        for i in data.data
    ]
    sets = Sheet(
        columns=(
            Column(name="data", kind="name"),
            Column(name="note", kind="text"),
            Column(name="train images"),
            Column(name="px"),
            Column(name="classes"),
            Column(name="default model", kind="text", drop=1),
        ),
        rows=tuple(rows),
    )
    own = sheet(("images of your own", "what it reads"), (), [form.split(": ", 1) for form in data.own.values()])
    return View(sheets=(sets, own))


def data_parts(findings: Iterable[Finding]) -> View:
    """Return which parts of a data set are on disk, and how to get the others; what several share is said once."""
    found = list(findings)
    rows = [(each.part, each.status, each.where) for each in found]
    notes: dict[str, list[str]] = {}
    for each in found:
        if each.note:
            notes.setdefault(each.note, []).append(each.part)
    return View(
        sheets=(sheet(("part", "status", "where"), (), rows),),
        sentences=tuple(f"{', '.join(parts)}: {note}" for note, parts in notes.items()),
    )


def data_copy(copy: Copy) -> View:
    """Return what a resized copy holds, and how it was made."""
    share = copy.bytes_after / max(copy.bytes_before, 1)
    was = "made" if copy.is_new else "there already"
    is_decoded = copy.quality is None
    others = "decoded as they are" if is_decoded else "copied as they are"
    rows = [
        ("folder", f"{copy.folder} ({was})"),
        ("images", f"{copy.images:,}; {copy.resized:,} resized, the others {others}"),
        ("shorter side", f"{copy.short_side} px ({copy.filter} filter)"),
        ("JPEG quality", "none: decoded, as PPM files" if is_decoded else str(copy.quality)),
        ("bytes", f"{copy.bytes_after:,} of {copy.bytes_before:,} ({share:.0%})"),
        ("train on it", f"-d {_as_named(copy)}"),
    ]
    return View(sheets=(sheet(("copy of", copy.data), (), rows),))


def _as_named(copy: Copy) -> str:
    """Return how `run -d` names a copy."""
    return f"imagenet --data-dir {copy.folder}" if copy.data == "imagenet" else f"folder:{copy.folder}"
