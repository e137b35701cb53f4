"""A study: a question, a grid of trials and the rule that decides it, declared before the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from seedstudy.errors import StudyError, suggest
from seedstudy.files import parse_toml, read_short_text
from seedstudy.recipes.recipe import typed
from seedstudy.study.placement import Placement, placed
from seedstudy.study.seeds import PURPOSES, parse_seeds, parse_vary
from seedstudy.study.trial import Augmentation

FORMAT = 1
"""Of study files."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def check_name(name: str, what: str = "study") -> str:
    """Return a name that is safe as the name of a folder, or raise StudyError."""
    if not _NAME.fullmatch(name):
        raise StudyError(f'{what} "{name}": use letters, digits, "_", "-" and ".", starting with a letter or digit.')
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What ``seedstudy run`` trains, by name, and the declared rule."""

    recipes: tuple[str, ...]
    """Names, or paths of recipe files."""
    models: tuple[str, ...] = ()
    """timm names; empty: the data set's default model."""
    data: str = "shapes"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    vary: tuple[str, ...] = PURPOSES
    """Random streams that follow the seed."""
    epochs: int | None = None
    """None: those of the recipe, scaled to the data set."""
    train_limit: int | None = None
    """Number of training images to keep, class-balanced; None: all."""
    assignments: tuple[str, ...] = ()
    """``key=value`` changes to every recipe, after scaling."""
    augment: Augmentation = "batched"
    name: str = "main"
    question: str = ""
    margin: float | None = None
    """Smallest difference of interest, in percentage points; part of the rule."""
    baseline: str | None = None
    folder: Path = field(default_factory=Path)
    """Where paths in ``recipes`` start."""
    placement: Placement = field(default_factory=Placement)


_HINTS = get_type_hints(Study)


# --- the study file --------------------------------------------------------------------------------------

_GRID_KEYS = ("recipes", "models", "data", "seeds", "vary", "epochs", "train_limit", "set", "augment")
_RULE_KEYS = ("margin", "baseline")
_ENGINE_KEYS = ("name", "workers", "processes", "cores", "gpus", "trials_per_job", "stack")


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises
    ------
    StudyError
        Unreadable file, unknown key, wrong type; one line with the file and the key.

    """
    try:
        document = parse_toml(read_short_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot read the study file ({getattr(error, 'strerror', error)}).") from error
    except ValueError as error:
        raise StudyError(f"{path}: not valid TOML: {error}.") from error
    _check_keys(path, "", document, ("format", "name", "question", "grid", "rule", "engine"))
    if document.get("format") != FORMAT:
        raise StudyError(f"{path}: format is {document.get('format', 'none')}, this version reads format = {FORMAT}.")
    grid, rule, engine = (document.get(key, {}) for key in ("grid", "rule", "engine"))
    if not all(isinstance(table, dict) for table in (grid, rule, engine)):
        raise StudyError(f"{path}: grid, rule and engine must be tables: [grid], [rule] and [engine].")
    _check_keys(path, "[grid] ", grid, _GRID_KEYS)
    _check_keys(path, "[rule] ", rule, _RULE_KEYS)
    _check_keys(path, "[engine] ", engine, _ENGINE_KEYS)
    for key in ("recipes", "models", "vary", "set"):
        _check_words(path, key, grid.get(key, []))
    given = {"name": path.parent.name or "main", **grid, **rule}
    given |= {key: document[key] for key in ("name", "question") if key in document}
    given["assignments"] = given.pop("set", ())
    if not given.get("vary"):
        given.pop("vary", None)
    where = f"{path}: "
    study = _changed(Study(recipes=(), folder=path.parent), given, where=where)
    _check_inside(path, study.recipes)
    machine = {"engine" if key == "name" else key: value for key, value in engine.items()}
    return replace(study, placement=placed(Placement(), machine, where=f"{where}[engine] "))


def _check_inside(path: Path, recipes: Iterable[str]) -> None:
    """Refuse a recipe file outside the study's folder, which is meant to be complete wherever it is copied to."""
    folder = path.parent.resolve()
    for name in recipes:
        if "/" not in name and not name.endswith(".toml"):
            continue
        try:
            is_inside = (folder / name).resolve().is_relative_to(folder)
        except (ValueError, OSError, RuntimeError):  # a NUL, a name too long, links in a circle
            is_inside = False
        if not is_inside:
            raise StudyError(f'{path}: recipe "{name}" lies outside the study\'s folder: copy it there.')


def _check_keys(path: Path, table: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise StudyError(f'{path}: {table}unknown key "{key}".{suggest(key, known)}')


def _check_words(path: Path, key: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise StudyError(f'{path}: {key} must be a list of texts, for example {key} = ["a2", "a3"].')


# --- values from a command line or a Python call ----------------------------------------------------------


def adjusted(
    study: Study | None = None,
    *,
    recipes: str | Sequence[str] | None = None,
    models: str | Sequence[str] | None = None,
    data: str | None = None,
    seeds: str | int | Iterable[int] | None = None,
    vary: str | Sequence[str] | None = None,
    epochs: int | None = None,
    train_limit: int | None = None,
    assignments: Sequence[str] | None = None,
    augment: str | None = None,
    name: str | None = None,
    question: str | None = None,
    margin: float | None = None,
    baseline: str | None = None,
    placement: Mapping[str, object] | None = None,
) -> Study:
    """Return a study with the given values in place of its own; None is not given.

    Parameters
    ----------
    study
        None: a study of defaults.
    recipes, models, vary
        A list, or one text with commas: ``"a2,a3"``. Paths of recipe files start at the current folder.
    seeds
        See :func:`~seedstudy.study.seeds.parse_seeds`; also a list of numbers.
    assignments
        Added to the study's own.
    placement
        Fields of :class:`~seedstudy.study.placement.Placement`; see :func:`~seedstudy.study.placement.placed`.

    Raises
    ------
    StudyError
        A value that is impossible, or no recipe at all.

    """
    study = study or Study(recipes=())
    given = {
        "recipes": recipes,
        "models": models,
        "data": data,
        "seeds": seeds,
        "vary": vary,
        "epochs": epochs,
        "train_limit": train_limit,
        "assignments": None if assignments is None else (*study.assignments, *assignments),
        "augment": augment,
        "name": name,
        "question": question,
        "margin": margin,
        "baseline": baseline,
    }
    changed = _changed(study, {key: value for key, value in given.items() if value is not None})
    if recipes is not None:
        changed = replace(changed, folder=Path())
    if not changed.recipes:
        raise StudyError('nothing to train: name a recipe (--recipe a2), or write recipes = ["a2"] in a study file.')
    return replace(changed, placement=placed(study.placement, placement or {}))


def _changed(study: Study, given: Mapping[str, Any], *, where: str = "") -> Study:
    """Return a study with checked values; ``where`` precedes the key in errors."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key in ("recipes", "models", "assignments"):
            values[key] = _words(value)
        elif key == "seeds":
            values[key] = parse_seeds(value, where=where)
        elif key == "vary":
            values[key] = parse_vary(_words(value), where=where)
        else:
            try:
                values[key] = typed(_HINTS[key], value)
            except ValueError as error:
                raise StudyError(f"{where}{key} = {value!r} is wrong: {error}.") from None
            if key in ("epochs", "train_limit") and values[key] < 1:
                raise StudyError(f"{where}{key} = {value}: must be at least 1.")
    if "name" in values:
        check_name(values["name"])
    return replace(study, **values)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(word.strip() for word in parts if word.strip())
