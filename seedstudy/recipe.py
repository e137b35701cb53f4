"""Recipes as data: a frozen set of values, read strictly from TOML, each beside its source.

A recipe file names itself and gives every value once, either bare or with the place it comes from::

    format = 1
    name = "a2"
    title = "RSB A2: 300 epochs at 224 px"

    [values]
    epochs = { value = 300, source = "RSB Table 2" }
    drop_path = 0.05

``base = "a2"`` takes what is not given from another recipe (one level: the base may not have a base).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from seedstudy.errors import RecipeError, suggest
from seedstudy.recipe_keys import VALUE_TYPES, Recipe, Value, build, checked, format_value

__all__ = [
    "Recipe",
    "Value",
    "build",
    "diff",
    "format_value",
    "load_recipe",
    "packaged_names",
    "parse_assignments",
    "parse_recipe",
    "with_values",
]

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")

# --- reading ------------------------------------------------------------------------------------------


def packaged_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with seedstudy."""
    folder = resources.files("seedstudy") / "recipes"
    return tuple(sorted(p.name[: -len(".toml")] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Return a packaged recipe by name, or the recipe in a TOML file by path.

    Raises
    ------
    RecipeError
        Unknown name, unreadable file, unknown key, wrong type or impossible value.

    """
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise RecipeError(f"{path}: cannot read the recipe file ({reason}).") from error
        return parse_recipe(text, where=str(path), folder=path.parent)
    if name_or_path not in packaged_names():
        raise RecipeError(
            f'unknown recipe "{name_or_path}".{suggest(name_or_path, packaged_names())} '
            "A recipe of your own is given by the path of its .toml file."
        )
    return _packaged(name_or_path)


@cache
def _packaged(name: str) -> Recipe:
    file = resources.files("seedstudy") / "recipes" / f"{name}.toml"
    return parse_recipe(file.read_text(encoding="utf-8"), where=f"{name}.toml")


def parse_recipe(text: str, *, where: str, folder: Path | None = None) -> Recipe:
    """Read one recipe from TOML text; ``where`` names it in errors, ``folder`` is where a base may lie."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not valid TOML: {error}.") from error
    _check_head(document, where)
    given = document.get("values", {})
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: values must be a table: write [values] above the recipe's values.")
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    if "base" in document:
        base = _load_base(document["base"], where, folder)
        values, sources = base.values(), dict(base.sources)
    for key, raw in given.items():
        value, source = _split_source(key, raw, where)
        values[key] = checked(key, value, where)
        sources.pop(key, None)
        if source is not None:
            sources[key] = source
    missing = [key for key in VALUE_TYPES if key not in values]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise RecipeError(
            f"{where}: no value for {', '.join(missing[:3])}{more}: a recipe without a base gives every value; "
            'add them, or start from another recipe with base = "a2".'
        )
    title = document.get("title", "")
    return build(document["name"], title, values, sources=sources, where=where)


def _check_head(document: dict[str, Any], where: str) -> None:
    known = {"format", "name", "title", "base", "values"}
    for key in document:
        if key not in known:
            hint = " Put it under [values]." if key in VALUE_TYPES else suggest(key, known | set(VALUE_TYPES))
            raise RecipeError(f'{where}: unknown key "{key}".{hint}')
    if document.get("format") != FORMAT:
        found = document.get("format", "none")
        raise RecipeError(f"{where}: format is {found}, this version reads format = {FORMAT}.")
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RecipeError(f'{where}: name must be letters, digits, "_" and ".", for example name = "a2_long".')
    if not isinstance(document.get("title", ""), str):
        raise RecipeError(f"{where}: title must be text.")


def _load_base(base: object, where: str, folder: Path | None) -> Recipe:
    """Return the recipe a file builds on: a packaged one, or a file in the same folder."""
    if not isinstance(base, str):
        raise RecipeError(f'{where}: base must be a recipe name, for example base = "a2".')
    if base in packaged_names():
        return _packaged(base)
    path = folder / f"{base.removesuffix('.toml')}.toml" if folder is not None else None
    if path is None or not _NAME.fullmatch(base) or not path.is_file():
        raise RecipeError(f'{where}: unknown base "{base}".{suggest(base, packaged_names())}')
    text = path.read_text(encoding="utf-8")
    if "base" in tomllib.loads(text):
        raise RecipeError(f'{where}: base "{base}" has a base itself; one level is the limit: write its values out.')
    return parse_recipe(text, where=str(path))


def _split_source(key: str, raw: object, where: str) -> tuple[object, str | None]:
    if key not in VALUE_TYPES:
        raise RecipeError(f'{where}: unknown key "{key}" in [values].{suggest(key, VALUE_TYPES)}')
    if not isinstance(raw, dict):
        return raw, None
    if set(raw) != {"value", "source"} or not isinstance(raw["source"], str):
        raise RecipeError(f'{where}: {key} must be a value or {{ value = …, source = "…" }}.')
    return raw["value"], raw["source"]


# --- changing -----------------------------------------------------------------------------------------


def parse_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Read ``key=value`` words (``--set``), each checked by itself."""
    values: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise RecipeError(f"--set {assignment}: expected key=value, for example --set drop_path=0.1.")
        if key not in VALUE_TYPES:
            raise RecipeError(f'--set {assignment}: unknown key "{key}".{suggest(key, VALUE_TYPES)}')
        values[key] = checked(key, _parse_word(text.strip()), f"--set {assignment}")
    return values


def with_values(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Return the recipe after ``key=value`` assignments; its ``recipe_id`` changes with them."""
    changed = parse_assignments(assignments)
    sources = {**recipe.sources, **dict.fromkeys(changed, "set on the command line")}
    where = f"{recipe.name} with --set " + " --set ".join(assignments)
    return build(recipe.name, recipe.title, {**recipe.values(), **changed}, sources=sources, where=where)


def _parse_word(text: str) -> object:
    """Read a command-line value as TOML would, with bare words and ``a,b`` pairs allowed."""
    if re.fullmatch(r"[^\[\],]+,[^\[\],]+", text):
        text = f"[{text}]"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


# --- showing ------------------------------------------------------------------------------------------


def diff(a: Recipe, b: Recipe) -> list[tuple[str, Value, Value]]:
    """Return (key, value in ``a``, value in ``b``) where they differ, in the order of the class."""
    old, new = a.values(), b.values()
    return [(key, old[key], new[key]) for key in VALUE_TYPES if old[key] != new[key]]
