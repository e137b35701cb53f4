"""Recipes as data: a set of values, read strictly from TOML, each beside its source (the format: docs/recipes.md).

What no source gives is not invented: it is ``missing``, and the recipe cannot be trained until the value is given.
``[models]`` names the networks the source trained, with what differs for each. ``base = "a2"`` takes what is not given
from another recipe; a value given here also wins over what the base says of single models.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from seedstudy.arguments import public
from seedstudy.document import HIDDEN
from seedstudy.errors import RecipeError, suggest
from seedstudy.files import parse_toml, read_toml
from seedstudy.recipes.recipe import KEYS, OPTIONAL, Recipe, Value, build, checked, with_changes

T = TypeVar("T")

FORMAT = 1
_NOT_USED = "default: the recipe does not mention it"
_PACKAGED = Path(__file__).with_name("packaged")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """What a recipe file and its bases say, before a network is chosen; it may lack values."""

    name: str
    title: str
    values: Mapping[str, Value]
    missing: Mapping[str, str]
    """Key -> why no source gives it."""
    recipe_id: str | None = None
    """Of a recipe as described for a network and a data set; None where values are missing."""
    sources: Mapping[str, str]
    """Key -> where its value comes from."""
    models: Mapping[str, Mapping[str, Value]]
    """timm name -> what differs for that network."""
    differences: tuple[str, ...] = ()
    """Where our training is known to differ from the source's, and stays so: a sentence each."""
    models_source: str = field(metadata=HIDDEN)
    where: str = field(metadata=HIDDEN)
    """The file, as errors name it."""

    def described(self, model: str | None) -> dict[str, Value]:
        """Return what is known of every key for a network; a gap reads ``missing`` or ``by model``."""
        known = {**self.values, **self.models.get(model or "", {})}
        return {key: known.get(key, "missing" if key in self.missing else "by model") for key in KEYS}

    def gaps(self, model: str | None) -> tuple[str, ...]:
        """Return the keys that have no value for a network."""
        own = self.models.get(model or "", {})
        return tuple(key for key in KEYS if key not in self.values and key not in own)

    def for_model(self, model: str | None, *, given: Mapping[str, Value] | None = None) -> Recipe:
        """Return the recipe for a network, its gaps filled from ``given``; RecipeError where a value is missing."""
        own = self.models.get(model or "", {})
        fillers = {key: value for key, value in (given or {}).items() if key in self.gaps(model)}
        lacking = [key for key in self.gaps(model) if key not in fillers]
        if lacking:
            raise RecipeError(self._lack(model, lacking))
        sources = {
            **self.sources,
            **dict.fromkeys(own, self.models_source),
            **dict.fromkeys(fillers, "set on the command line: the recipe gives none"),
        }
        return build(self.name, self.title, {**self.values, **own, **fillers}, sources=sources, where=self.where)

    def _lack(self, model: str | None, lacking: Sequence[str]) -> str:
        given = " ".join(f"--set {key}=…" for key in lacking)
        cure = f'give {given}, or a recipe file with base = "{self.name}".'
        unknown = [key for key in lacking if key not in self.missing]
        if unknown:
            which = "without a model" if model is None else f'for model "{model}"'
            return (
                f"recipe {self.name} has no {', '.join(unknown)} {which}: it gives them for {', '.join(self.models)}; "
                f"choose one of these, or {cure}"
            )
        by_reason: dict[str, list[str]] = {}
        for key in lacking:
            by_reason.setdefault(self.missing[key], []).append(key)
        reasons = "; ".join(f"no {', '.join(keys)} ({reason})" for reason, keys in by_reason.items())
        return f"recipe {self.name} cannot be trained as published: {reasons}: {cure}"


# --- reading ------------------------------------------------------------------------------------------


def packaged_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with seedstudy."""
    return tuple(sorted(path.stem for path in _PACKAGED.glob("*.toml")))


@public
def load_recipe(name_or_path: str, model: str | None = None) -> Recipe:
    """Return a packaged recipe by name, or the recipe in a TOML file by path, complete for ``model``.

    RecipeError for an unknown name or key, an unreadable file, and a value that is missing, impossible or mistyped.
    """
    return read_recipe(name_or_path).for_model(model)


def read_recipe(name_or_path: str) -> RecipeFile:
    """Return what a packaged recipe, or the recipe file at a path, says; unlike a recipe, it may lack values."""
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return _read_file(Path(name_or_path))
    if name_or_path not in packaged_names():
        raise RecipeError(
            f'unknown recipe "{name_or_path}".{suggest(name_or_path, packaged_names())} '
            "`seedstudy recipes list` names them; one of your own is given by the path of its .toml file."
        )
    return _packaged(name_or_path)


@cache
def _packaged(name: str) -> RecipeFile:
    return _read_file(_PACKAGED / f"{name}.toml")


def _read_file(path: Path, above: tuple[Path, ...] = ()) -> RecipeFile:
    """Read a recipe file and its base, which may lie beside it; ``above`` are the files that build on this one."""
    document, where = read_toml(path, what="recipe file", error=RecipeError), str(path)
    _check_head(document, where)
    values, sources, missing = _parse_values(document.get("values", {}), where)
    models, models_source = _parse_models(document.get("models", {}), where)
    differences = _parse_differences(document.get("differences", []), where)
    if "base" in document:
        base = _load_base(document["base"], path, (*above, path.resolve()))
        inherited = {model: _without(own, {*values, *missing}) for model, own in base.models.items()}
        models_source = models_source if models else base.models_source
        differences = differences or base.differences
        models = {model: {**inherited.get(model, {}), **own} for model, own in models.items()} or inherited
        sources = {**_without(base.sources, values), **sources}
        missing = {**_without(base.missing, values), **missing}
        values = {**_without(base.values, missing), **values}
    for key, default in OPTIONAL.items():
        if key not in {*values, *missing}.union(*models.values()):
            values[key], sources[key] = default, _NOT_USED
    nowhere = [key for key in KEYS if key not in {*values, *missing}.union(*models.values())]
    if nowhere:
        more = f" and {len(nowhere) - 3} more" if len(nowhere) > 3 else ""
        raise RecipeError(
            f"{where}: no value for {', '.join(nowhere[:3])}{more}: a recipe without a base gives every value; "
            'add them, or start from another recipe with base = "a2".'
        )
    return RecipeFile(
        name=document["name"],
        title=document.get("title", ""),
        values=values,
        sources=sources,
        missing=missing,
        models=models,
        differences=differences,
        models_source=models_source,
        where=where,
    )


def _without(values: Mapping[str, T], keys: Container[str]) -> dict[str, T]:
    return {key: value for key, value in values.items() if key not in keys}


def _check_head(document: dict[str, Any], where: str) -> None:
    known = {"format", "name", "title", "base", "differences", "values", "models"}
    for key in document:
        if key not in known:
            hint = " Put it under [values]." if key in KEYS else suggest(key, known | set(KEYS))
            raise RecipeError(f'{where}: unknown key "{key}".{hint}')
    if document.get("format") != FORMAT:
        found = document.get("format", "none")
        raise RecipeError(f"{where}: format is {found}, this version reads format = {FORMAT}.")
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RecipeError(f'{where}: name must be letters, digits, "_" and ".", for example name = "a2_long".')
    if not isinstance(document.get("title", ""), str):
        raise RecipeError(f"{where}: title must be text.")


def _check_key(key: str, where: str, place: str = "") -> None:
    if key not in KEYS:
        raise RecipeError(f'{where}: unknown key "{key}"{place}.{suggest(key, KEYS)}')


def _parse_values(given: object, where: str) -> tuple[dict[str, Value], dict[str, str], dict[str, str]]:
    """Return the values of a file, their sources, and what it says is missing."""
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: values must be a table: write [values] above the recipe's values.")
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    missing: dict[str, str] = {}
    for key, raw in given.items():
        _check_key(key, where, " in [values]")
        if not isinstance(raw, dict):
            values[key] = checked(key, raw, where)
        elif set(raw) == {"missing"} and isinstance(raw["missing"], str):
            missing[key] = raw["missing"]
        elif set(raw) == {"value", "source"} and isinstance(raw["source"], str):
            values[key], sources[key] = checked(key, raw["value"], where), raw["source"]
        else:
            raise RecipeError(
                f'{where}: {key} must be a value, {{ value = …, source = "…" }} or {{ missing = "why" }}.'
            )
    return values, sources, missing


def _parse_models(given: object, where: str) -> tuple[dict[str, dict[str, Value]], str]:
    """Return what differs for single networks, and where it comes from."""
    if not isinstance(given, dict) or not isinstance(given.get("source", ""), str):
        raise RecipeError(f'{where}: models must be a table: write [models], source = "…" and a line per model.')
    models = {}
    for model, raw in given.items():
        if model == "source":
            continue
        if not isinstance(raw, dict):
            raise RecipeError(f"{where}: {model} in [models] must be a table, such as {{ train_size = 240 }} or {{}}.")
        for key in raw:
            _check_key(key, where, f" of {model} in [models]")
        models[model] = {key: checked(key, value, where) for key, value in raw.items()}
    return models, given.get("source", "")


def _parse_differences(given: object, where: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise RecipeError(f'{where}: differences must be a list of sentences: differences = ["…"].')
    return tuple(given)


def _load_base(base: object, file: Path, above: tuple[Path, ...]) -> RecipeFile:
    """Return the recipe a file builds on: a packaged one, or a file in the same folder."""
    if not isinstance(base, str):
        raise RecipeError(f'{file}: base must be a recipe name, for example base = "a2".')
    if base in packaged_names():
        return _packaged(base)
    path = file.with_name(f"{base.removesuffix('.toml')}.toml") if _NAME.fullmatch(base) else None
    if path is None or path.resolve().parent != file.parent.resolve() or not path.is_file():
        raise RecipeError(f'{file}: unknown base "{base}".{suggest(base, packaged_names())}')
    if path.resolve() in above:
        raise RecipeError(f'{file}: base "{base}" builds on this recipe in turn: one of them must have no base.')
    return _read_file(path, above)


# --- changing -----------------------------------------------------------------------------------------


def parse_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Read ``key=value`` words (``--set``), each checked by itself."""
    values: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise RecipeError(f"--set {assignment}: expected key=value, for example --set drop_path=0.1.")
        _check_key(key, f"--set {assignment}")
        values[key] = checked(key, _parse_word(text.strip()), f"--set {assignment}")
    return values


def with_values(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Return the recipe after ``key=value`` assignments; its ``recipe_id`` changes with them."""
    return with_changes(recipe, parse_assignments(assignments), how="changed with --set " + " --set ".join(assignments))


def _parse_word(text: str) -> object:
    """Read a command-line value as TOML would, with bare words and ``a,b`` pairs allowed."""
    if re.fullmatch(r"[^\[\],]+,[^\[\],]+", text):
        text = f"[{text}]"
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text
