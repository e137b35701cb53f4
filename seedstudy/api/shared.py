"""Steps that several questions share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy.arguments import options_of
from seedstudy.data import facts_of, name_of
from seedstudy.errors import StudyError
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.scaling import scale

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.decide.compare import Comparisons
    from seedstudy.decide.given import Arm, Given
    from seedstudy.decide.select import Source
    from seedstudy.decide.summary import Summaries
    from seedstudy.recipes.recipe import Recipe
    from seedstudy.store.store import Store
    from seedstudy.study.group import Group


def source_of(given: Mapping[str, Any]) -> Source:
    """Return where a public function looks for results, from those of its arguments that say so."""
    from seedstudy.decide.select import Source

    known = {each.name for each in fields(Source) if each.init}
    asked = {name: value for name, value in given.items() if name in known and value is not None}
    if given.get("eval_set") is not None:
        asked["eval_sets"] = given["eval_set"]
    for name in ("eval_sets", "by", "ignore"):
        if isinstance(asked.get(name), str):
            asked[name] = (asked[name],)
    if isinstance(asked.get("data"), str):
        asked["data"] = name_of(asked["data"])
    lists = {name: tuple(value) for name, value in asked.items() if name in ("eval_sets", "by", "ignore")}
    return Source(**{**asked, **lists, "results": Path(given["results"])})


def arms_of_call(
    what: Sequence[Given], named: Mapping[str, Given], function: Callable[..., Any], source: Source
) -> list[Arm]:
    from seedstudy.decide.given import arms_of

    options = options_of(function)
    return arms_of(what, named, of=function.__name__, options=options, is_table=bool(source.by))


def store_of(results: str | Path, study: str) -> Store:
    from seedstudy.store.store import open_study

    return open_study(Path(results), study)


def is_given(command: str | Mapping[str, Any] | None) -> bool:
    """Say whether a command is given in place of recipes, by at least one of its keys."""
    return any(value is not None for value in command.values()) if isinstance(command, Mapping) else command is not None


def recipe_for(name: str, model: str, data: str, loaded: Dataset) -> Recipe:
    """Return a recipe as `run` trains a model with it on a data set: smaller for smaller data."""
    return scale(load_recipe(name, model.partition(".")[0]), facts_of(data, loaded))


def path_of(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def summaries_of(arms: Sequence[Arm], source: Source, *, level: float) -> Summaries:
    from seedstudy.decide.images import OnImages
    from seedstudy.decide.select import select, what_was_read, with_distinct_labels
    from seedstudy.decide.summary import Summaries, summarise

    check_level(level)
    groups = flat(with_distinct_labels(select(arms, source)))
    on_images = OnImages(source)
    answers = tuple(
        replace(summarise(group, level=level), on_new_images=on_images.mean(group, groups, level=level))
        for group in groups
    )
    return Summaries(
        answers=answers, left_out=source.left_out, late_rules=source.late_rules, read=what_was_read(groups)
    )


def with_sources(
    comparisons: Comparisons, source: Source, groups: Iterable[Group], *, margin: float | None
) -> Comparisons:
    """Return comparisons with what is to be said of the files and studies; a margin given is not the declared one."""
    from seedstudy.decide.select import what_was_read

    late_rules = source.late_rules if margin is None else ()
    return replace(comparisons, left_out=source.left_out, late_rules=late_rules, read=what_was_read(groups))


def check_level(level: float) -> None:
    if not 0.5 <= level < 1.0:
        raise StudyError(f"--level {level:g}: must lie between 0.5 and 1, for example 0.95.")


def needs_two(verb: str, arms: Sequence[Sequence[Group]]) -> str:
    """Return what to say where a comparison has no second arm."""
    if not arms:
        return f"{verb} needs two: A (the baseline) and B, for example `seedstudy compare a3 a2`."
    label, origin = arms[0][0].label, arms[0][0].origin
    return f"{verb} needs two: {origin} holds one arm, {label}; which column tells the arms apart? Say --by COLUMN."


def flat(arms: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(arms))
