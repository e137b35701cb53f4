"""Answers about recipes: which there are, what one says, where several differ, which networks they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedstudy.document import document
from seedstudy.errors import RecipeError
from seedstudy.recipes.reader import RecipeFile, packaged_names, read_recipe
from seedstudy.recipes.recipe import KEYS, TABLE_2, Recipe, Value, allowed_in_words
from seedstudy.recipes.scaling import DataFacts, imagenet_updates, scale


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueEntry:
    """One packaged recipe."""

    name: str
    recipe_id: str | None
    """None where values are missing."""
    title: str
    models: int
    """Number of networks that its source trained."""
    missing: tuple[str, ...]
    """Keys that no source gives."""
    by_model: tuple[str, ...]
    """Keys that have a value for certain networks only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The packaged recipes."""

    recipes: tuple[CatalogueEntry, ...]


def catalogue() -> Catalogue:
    """Return the recipes that come with seedstudy, and what keeps them from being trained as they are."""
    return Catalogue(recipes=tuple(_entry(read_recipe(name)) for name in packaged_names()))


def _entry(file: RecipeFile) -> CatalogueEntry:
    gaps = file.gaps(None)
    return CatalogueEntry(
        name=file.name,
        recipe_id=None if gaps else file.for_model(None).recipe_id,
        title=file.title,
        models=len(file.models),
        missing=tuple(key for key in gaps if key in file.missing),
        by_model=tuple(key for key in gaps if key not in file.missing),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyEntry:
    """One key of a recipe."""

    key: str
    values: str
    """What it may be, in words."""
    meaning: str
    table_2: str | None
    """Its row in Table 2 of RSB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The keys of a recipe, which ``--set`` changes."""

    keys: tuple[KeyEntry, ...]


def keys() -> Keys:
    """Return every key of a recipe, what it may be and what it means."""
    return Keys(
        keys=tuple(
            KeyEntry(key=name, values=allowed_in_words(key), meaning=key.meaning, table_2=TABLE_2.get(name))
            for name, key in KEYS.items()
        )
    )


def describe(name: str, model: str | None = None, *, data: DataFacts | None = None) -> RecipeFile:
    """Return every value of a recipe, for a network and scaled to a data set where these are given.

    A gap reads ``missing`` or ``by model``; ``sources`` also say what a value was before scaling, or why it is missing.
    RecipeError for an unknown or unreadable recipe and, with ``data``, a value that is missing.
    """
    file = read_recipe(name)
    if data is None and file.gaps(model):
        return replace(file, values=file.described(model), sources={**file.sources, **file.missing})
    recipe = _complete(file, model, data)
    return replace(file, values=recipe.values(), sources=recipe.sources, recipe_id=recipe.recipe_id)


def _complete(file: RecipeFile, model: str | None, data: DataFacts | None) -> Recipe:
    recipe = file.for_model(model)
    return recipe if data is None else scale(recipe, data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """Recipes side by side."""

    recipes: tuple[str, ...]
    differences: Mapping[str, tuple[Value, ...]]
    """Key -> its value in each recipe, in the order of the keys."""
    updates: tuple[Value, ...] | None
    """Updates on ImageNet of each recipe; None where they cannot differ, or the recipes are scaled to other data."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``recipes diff --json``; two recipes have the short names ``a`` and ``b``."""
        rows = document(self.differences).items()
        if len(self.recipes) > 2:
            several = [{"key": key, "values": values} for key, values in rows]
            return {"recipes": list(self.recipes), "differences": several}
        a, b = self.recipes
        return {"a": a, "b": b, "differences": [{"key": key, "a": old, "b": new} for key, (old, new) in rows]}


def differences(
    names: Sequence[str], model: str | None = None, *, data: DataFacts | None = None, everything: bool = False
) -> Differences:
    """Return in which values recipes differ, or all values, for a network and scaled where these are given."""
    if len(names) < 2:
        raise RecipeError("recipes diff needs two recipes or more, for example: seedstudy recipes diff a1 a2.")
    files = [read_recipe(name) for name in names]
    values = [file.described(model) if data is None else _complete(file, model, data).values() for file in files]
    rows = {key: tuple(each[key] for each in values) for key in KEYS}
    shown = {key: row for key, row in rows.items() if everything or len(set(row)) > 1}
    has_updates = data is None and not shown.keys().isdisjoint(("epochs", "batch_size"))
    return Differences(
        recipes=tuple(file.name for file in files),
        differences=shown,
        updates=tuple(imagenet_updates(each) for each in values) if has_updates else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network that a recipe's source trained."""

    model: str
    """timm name."""
    recipe: str
    train_size: Value
    """Pixels."""
    test_size: Value
    values: Mapping[str, Value]
    """What else differs for this network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """Networks with the recipes that trained them."""

    models: tuple[Network, ...]


def networks(names: Sequence[str] = ()) -> Networks:
    """Return the networks whose training the recipes' sources report; of all packaged recipes by default."""
    files = [read_recipe(name) for name in names or packaged_names()]
    return Networks(models=tuple(_network(file, model) for file in files for model in file.models))


def _network(file: RecipeFile, model: str) -> Network:
    sizes = {key: file.described(model)[key] for key in ("train_size", "test_size")}
    others = {key: value for key, value in file.models[model].items() if key not in sizes}
    return Network(model=model, recipe=file.name, values=others, **sizes)
