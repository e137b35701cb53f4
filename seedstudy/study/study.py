"""A study: a question, a grid of trials and the rule that decides it, declared before the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from seedstudy.arguments import public
from seedstudy.errors import StudyError, suggest
from seedstudy.files import read_toml
from seedstudy.study.command import Command, CommandArm, arms_of_tables, command_of
from seedstudy.study.design import Cell, DesignName, Source, cells, parse_levels
from seedstudy.study.keys import FORMAT, HEAD, TABLES, Images
from seedstudy.study.placement import Placement, field_value, placed
from seedstudy.study.seeds import PURPOSES, parse_seeds, parse_vary
from seedstudy.study.trial import Augmentation

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LONGEST = {"trial": 200}
"""Characters; a trial's name holds those of its recipe, model and data. Other names: 100."""


def is_name(name: str, what: str = "study") -> bool:
    """Say whether a name is safe as the name of a folder."""
    return len(name) <= _LONGEST.get(what, 100) and _NAME.fullmatch(name) is not None


def check_name(name: str, what: str = "study") -> str:
    """Return a name that is safe as the name of a folder, or raise StudyError."""
    if not is_name(name, what):
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
    design: DesignName = "together"
    """How streams are varied: all by one seed, one source at a time, or crossed."""
    levels: tuple[Source, ...] = ()
    """The sources of a design, and their seeds."""
    replicates: int = 1
    """Trials with the same seed in every stream."""
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
    images: Images | None = None
    """What a verdict is about, beside new seeds: these test images (None too) or new ones; part of the rule."""
    folder: Path = field(default_factory=Path)
    """Where paths in ``recipes`` start."""
    placement: Placement = field(default_factory=Placement)
    command: Command | None = None
    """What runs a trial in place of a recipe: then `arms`, `models` and `seeds` are the grid."""
    arms: tuple[CommandArm, ...] = ()

    def cells(self) -> Iterator[tuple[Cell, int]]:
        """Yield the seed of each stream that varies and the number of the repetition, for each trial of a network."""
        for replicate in range(self.replicates):
            for cell in cells(self.design, seeds=self.seeds, vary=self.vary, levels=self.levels):
                yield cell, replicate


_HINTS = get_type_hints(Study)


_TABLES = {name: tuple(keys) for name, keys in TABLES.items()}
"""Table of a study file -> its keys."""


@public
def load_study(path: str | Path) -> Study:
    """Read a study file; StudyError with the file and the key where it cannot be used."""
    path = Path(path)
    document = read_toml(path, what="study file", error=StudyError)
    _check_keys(path, "", document, (*HEAD, "arms", *_TABLES))
    if document.get("format") != FORMAT:
        raise StudyError(f"{path}: format is {document.get('format', 'none')}, this version reads format = {FORMAT}.")
    if not isinstance(document.setdefault("arms", {}), dict):
        raise StudyError(f"{path}: arms must be tables: [arms.NAME].")
    for name, keys in _TABLES.items():
        if not isinstance(document.setdefault(name, {}), dict):
            raise StudyError(f"{path}: {name} must be a table: [{name}].")
        _check_keys(path, f"[{name}] ", document[name], keys)
    grid, engine = document["grid"], document["engine"]
    for key in ("recipes", "models", "vary", "set"):
        words = grid.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise StudyError(f'{path}: {key} must be a list of texts, for example {key} = ["a2", "a3"].')
    if isinstance(grid.get("data"), str):
        grid["data"] = _data_of(path.parent, grid["data"])
    design = {"design" if key == "kind" else key: value for key, value in document["design"].items()}
    given = {"name": path.parent.name or "main", **grid, **design, **document["rule"]}
    given |= {key: document[key] for key in ("name", "question") if key in document}
    given["assignments"] = given.pop("set", ())
    if not given.get("vary"):
        given.pop("vary", None)
    study = _changed(Study(recipes=(), folder=path.parent), given, where=f"{path}: ")
    _check_inside(path, study.recipes)
    if document["command"]:
        _check_grid(path, grid)
        command = command_of(document["command"], folder=path.parent, where=f"{path}: [command] ")
        study = replace(study, command=command, arms=_named(arms_of_tables(document["arms"], where=f"{path}: ")))
    elif document["arms"]:
        raise StudyError(f"{path}: [arms] belong to a [command], and there is none.")
    machine = {"engine" if key == "name" else key: value for key, value in engine.items()}
    return replace(study, placement=placed(Placement(), machine, where=f"{path}: [engine] "))


_OF_COMMANDS = ("models", "seeds")


def _check_grid(path: Path, grid: Mapping[str, Any]) -> None:
    """Refuse what decides how networks are trained here where a command does."""
    for key in grid:
        if key not in _OF_COMMANDS:
            raise StudyError(f"{path}: [grid] {key} means nothing to a [command]: write it into the command.")


def _named(arms: Sequence[CommandArm]) -> tuple[CommandArm, ...]:
    for arm in arms:
        check_name(arm.name, "arm")
    return tuple(arms)


def _data_of(folder: Path, data: str) -> str:
    """Return what a study file names as data; the path of images of one's own starts at the file's folder."""
    kind, colon, place = data.partition(":")
    is_path = colon and (kind in ("folder", "csv") or (kind == "hub" and place.startswith(".")))
    return f"{kind}:{folder / place}" if is_path and not place.startswith("~") else data


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


def adjusted(
    study: Study | None = None,
    *,
    recipes: str | Sequence[str] | None = None,
    models: str | Sequence[str] | None = None,
    data: str | None = None,
    seeds: str | int | Iterable[int] | None = None,
    vary: str | Sequence[str] | None = None,
    design: str | None = None,
    levels: str | Sequence[str] | Mapping[str, object] | None = None,
    replicates: int | None = None,
    epochs: int | None = None,
    train_limit: int | None = None,
    assignments: Sequence[str] | None = None,
    augment: str | None = None,
    name: str | None = None,
    question: str | None = None,
    margin: float | None = None,
    baseline: str | None = None,
    placement: Mapping[str, object] | None = None,
    command: str | Mapping[str, object] | None = None,
    arms: str | Sequence[str] | Mapping[str, Mapping[str, object]] | None = None,
) -> Study:
    """Return a study with the given values in place of its own; None is not given.

    Lists may also be one text with commas: ``"a2,a3"``. Paths of recipe files start at the current folder. Seeds are as
    in :func:`~seedstudy.study.seeds.parse_seeds`, levels as in :func:`~seedstudy.study.design.parse_levels`;
    assignments are added to the study's own; ``placement`` has fields of
    :class:`~seedstudy.study.placement.Placement`. StudyError where a value is impossible, or there is no recipe.

    ``command`` is what to run in place of recipes, as text or with the keys of the table ``[command]`` of a study file;
    ``arms`` are its arms, by name, or names with the values of their placeholders.
    """
    apart = ("study", "placement", "command", "arms")
    given = {key: value for key, value in locals().items() if value is not None and key not in (*apart, "apart")}
    study = study or Study(recipes=())
    study = _with_command(study, {"run": command} if isinstance(command, str) else command, arms)
    if study.command is not None:
        return replace(_of_command(study, given), placement=placed(study.placement, placement or {}))
    if assignments is not None:
        given["assignments"] = (*study.assignments, *assignments)
    changed = _changed(study, given)
    if recipes is not None:
        changed = replace(changed, folder=Path())
    if not changed.recipes:
        raise StudyError('nothing to train: name a recipe (--recipe a2), or write recipes = ["a2"] in a study file.')
    return replace(changed, placement=placed(study.placement, placement or {}))


def _with_command(
    study: Study,
    command: Mapping[str, object] | None,
    arms: str | Sequence[str] | Mapping[str, Mapping[str, object]] | None,
) -> Study:
    """Return a study with the given command and arms in place of its own."""
    known = {key: value for key, value in (command or {}).items() if value is not None}
    if known:
        study = replace(study, command=command_of(known, study.command, folder=Path()))
    if arms is None:
        return study
    if study.command is None:
        raise StudyError('--arms are those of a command: --command "python train.py --config {arm}.yaml …".')
    if isinstance(arms, Mapping):
        return replace(study, arms=_named(arms_of_tables({name: dict(each) for name, each in arms.items()}, where="")))
    declared = {arm.name: arm for arm in study.arms}
    names = _words(arms)
    for name in names:
        if declared and name not in declared:
            raise StudyError(f'unknown arm "{name}".{suggest(name, declared)} A new one is a table [arms.{name}].')
    return replace(study, arms=_named([declared.get(name, CommandArm(name=name)) for name in names]))


def _of_command(study: Study, given: Mapping[str, Any]) -> Study:
    """Return the study of a command with the given values; what only networks trained here have is refused."""
    for key in given:
        if (key in _TABLES["grid"] or key == "assignments") and key not in _OF_COMMANDS:
            name = {"assignments": "--set", "recipes": "--recipe"}.get(key, f"--{key.replace('_', '-')}")
            raise StudyError(f"{name} means nothing to a command: write it into the command.")
    if study.recipes:
        raise StudyError("a study trains recipes or runs a command, not both: leave out one of them.")
    changed = _changed(study, given)
    if changed.levels or (changed.design, changed.replicates) != ("together", 1):
        raise StudyError("a command has one seed and no streams to vary one by one: leave out the design.")
    return changed


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
        elif key == "levels":
            values[key] = parse_levels(value, where=where)
        else:
            values[key] = field_value(_HINTS[key], key, value, where=where)
    if "name" in values:
        check_name(values["name"])
    return replace(study, **values)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(word.strip() for word in parts if word.strip())
