"""From selectors to groups: the one number per seed that a study, a file or a table holds.

Accuracy becomes percentage points ("pp") here: everything a reader sees is in points.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.arms import DEFAULT_METRIC, Wanted, parse_selector, read_arms
from seedstudy.read.metrics import to_points
from seedstudy.read.tables import read_table
from seedstudy.store.schema import TRIALS, validate
from seedstudy.store.store import open_study
from seedstudy.study.group import Group, Moments, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where selectors are looked up, and which metric and eval sets are asked for."""

    results: Path = Path("results")
    study: str = "main"
    eval_sets: tuple[str, ...] | None = None
    metric: str = DEFAULT_METRIC
    unit: str | None = None
    """Unit of plain numbers: ``percent`` or ``fraction``; needed only where it cannot be told."""


def select_groups(what: Sequence[str], source: Source) -> list[Group]:
    """Return every group the selectors name (all of the study where there are none), by recipe, then eval set."""
    if not what:
        return _groups_of_study(source.study, source)
    return [group for arm in told_apart([_select(selector, source) for selector in what]) for group in arm]


def select_arms(selectors: Sequence[str], source: Source) -> list[list[Group]]:
    """Return for each selector the groups of the one recipe that it names, labels told apart."""
    return told_apart([select_one(selector, source) for selector in selectors])


def select_all(selectors: Sequence[str], source: Source) -> list[list[Group]]:
    """Return for each selector everything that it names, on however many data sets."""
    return [_select(selector, source) for selector in selectors]


def told_apart(arms: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the arms with longer labels where files in different folders, or studies, have recipes of one name."""
    origins: dict[str, set[str]] = {}
    for group in (group for arm in arms for group in arm if group.origin):
        origins.setdefault(group.label, set()).add(group.origin)
    longer: dict[tuple[str, str], str] = {}
    for label, files in origins.items():
        if len(files) > 1:
            longer |= {(label, file): f"{place}{label}" for file, place in _places(files).items()}
    return [[replace(g, label=longer.get((g.label, g.origin), g.label)) for g in arm] for arm in arms]


def _places(files: set[str]) -> dict[str, str]:
    """Return for each file as much of its folder, "/" at the end, as tells the files apart."""
    parts = {file: Path(file).parent.parts for file in sorted(files)}
    for depth in range(1, max(map(len, parts.values())) + 1):
        found = {file: "".join(f"{part}/" for part in places[-depth:]) for file, places in parts.items()}
        if len(set(found.values())) == len(files):
            return found
    return {file: f"{file}:" for file in files}


def select_one(selector: str, source: Source) -> list[Group]:
    """Return the groups of exactly one recipe on one model and data set, one per eval set.

    Raises
    ------
    StudyError
        The selector names nothing, or several things; lists the candidates.

    """
    return _only(_select(selector, source), selector)


def one_of(groups: Sequence[Group], selector: str, where: str) -> list[Group]:
    """Return what a selector names among the groups, like :func:`select_one`."""
    return _only(_matching(groups, selector, where), selector)


def _only(groups: list[Group], selector: str) -> list[Group]:
    labels = [label for label, _ in sorted({(group.label, group.pool_key) for group in groups})]
    if len(labels) == 1:
        return groups
    if len(set(labels)) == len(labels):
        raise StudyError(f'"{selector}" is ambiguous: say which of {", ".join(labels)}.')
    full = sorted({f"{group.recipe_id}@{group.model}@{group.data}" for group in groups})
    if len(full) == len(labels):
        raise StudyError(f'"{selector}" names recipes of different values: say which of {", ".join(full)}.')
    raise StudyError(
        f'"{selector}" names trials that do not pool: they differ in the streams that vary, the data\'s content, the '
        "device, the precision or the torch or timm version. Keep them in studies of their own (--study)."
    )


def studies_of(what: Sequence[str], source: Source) -> tuple[str, ...]:
    """Return the names of the studies that selectors speak of; none for files and published numbers."""
    if not what:
        return (source.study,)
    named = [text for text in what if parse_selector(text) is None and not _PUBLISHED.fullmatch(text.strip())]
    return tuple(dict.fromkeys(text.rpartition(":")[0] or source.study for text in named))


def _select(selector: str, source: Source) -> list[Group]:
    published = _published(selector, source)
    if published is not None:
        return [published]
    if parse_selector(selector) is not None:
        return _groups_of_files(selector, source)
    study, _, rest = selector.rpartition(":")
    found = _matching(_groups_of_study(study or source.study, source), rest, f'study "{study or source.study}"')
    return [replace(group, origin=study or source.study) for group in found]


def _matching(groups: Sequence[Group], selector: str, where: str) -> list[Group]:
    """Return the groups of ``RECIPE``, ``RECIPE@MODEL`` or ``RECIPE@MODEL@DATA``; a recipe_id is a recipe too."""
    recipe, _, place = selector.partition("@")
    model, _, data = place.partition("@")
    chosen = [
        group
        for group in groups
        if recipe in (group.recipe, group.recipe_id)
        and (not model or group.model == model)
        and (not data or group.data == data)
    ]
    if not chosen:
        known = {group.label for group in groups} | {group.recipe for group in groups}
        raise StudyError(f'nothing is called "{selector}" in {where}.{suggest(selector, known)}')
    return chosen


def _groups_of_study(study: str, source: Source) -> list[Group]:
    store = open_study(source.results, study)
    return groups_of_trials(store.scan().trials, source)


def groups_of_trials(trials: pl.DataFrame, source: Source) -> list[Group]:
    """Return the groups of a TRIALS frame; only trials whose provenance agrees are in one group."""
    if source.metric != DEFAULT_METRIC:
        raise StudyError(f'metric "{source.metric}": trials hold top1; other metrics come from files.')
    finished = trials.filter(pl.col("status") == "ok")
    if finished.is_empty():
        raise StudyError("no trial has finished yet: `seedstudy status` says what is planned or failed.")
    names = _eval_sets(finished, source)
    several_data = finished["data"].n_unique() > 1
    keys = ["recipe", "model", "data", "recipe_id", "pool_key"]
    groups = []
    for (recipe, model, data, recipe_id, key), rows in finished.group_by(keys, maintain_order=True):
        left_out = trials.filter(
            (pl.col("recipe_id") == recipe_id)
            & (pl.col("model") == model)
            & (pl.col("data") == data)
            & (pl.col("status") != "ok")
        )
        for name in names:
            of_set = rows.filter(pl.col("eval_set") == name).sort("seed")
            if of_set.is_empty():
                continue
            groups.append(
                Group(
                    label=f"{recipe}@{model}" + (f"@{data}" if several_data else ""),
                    recipe=str(recipe),
                    model=str(model),
                    data=str(data),
                    eval_set=name,
                    metric="top1",
                    unit="pp",
                    seeds=None if of_set["seed"].null_count() else tuple(of_set["seed"]),
                    values=100.0 * of_set["n_correct"].to_numpy() / of_set["n_examples"].to_numpy(),
                    n_left_out=left_out["trial_id"].n_unique(),
                    step=100.0 / of_set["n_examples"][0] if of_set["n_examples"].n_unique() == 1 else None,
                    pool_key=str(key),
                    recipe_id=str(recipe_id),
                )
            )
    return sorted(groups, key=lambda group: (group.data or "", group.model or "", group.recipe, group.pool_key))


def _eval_sets(finished: pl.DataFrame, source: Source) -> list[str]:
    there = set(finished["eval_set"].unique())
    known = [name for name in EVAL_SET_ORDER if name in there] + sorted(there - set(EVAL_SET_ORDER))
    if source.eval_sets is None:
        return known
    for name in source.eval_sets:
        if name not in known:
            raise StudyError(f'no trial was evaluated on "{name}".{suggest(name, known)}')
    return list(source.eval_sets)


# --- numbers from anywhere ----------------------------------------------------------------------------


def group_of_numbers(values: Sequence[float] | Values, label: str, source: Source) -> Group:
    """Return a group made of plain numbers, accuracies in percent or fractions, or any other metric."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise StatisticsError(f"{label}: expected one number per seed, got an array of shape {array.shape}.")
    is_share = source.metric == DEFAULT_METRIC or source.unit is not None
    return Group(
        label=label,
        recipe=label,
        model=None,
        data=None,
        eval_set=source.eval_sets[0] if source.eval_sets else EVAL_SET_ORDER[0],
        metric=source.metric,
        unit="pp" if is_share else None,
        seeds=None,
        values=to_points(array, source.unit, where=label) if is_share else array,
    )


def _groups_of_files(selector: str, source: Source) -> list[Group]:
    """Return the groups of a file, a folder or a pattern; a file of trials is read as a study is."""
    files, pick = parse_selector(selector) or (selector, None)
    if Path(files).suffix == ".parquet":
        table = read_table(Path(files))
        if "trial_id" in table.columns:
            groups = groups_of_trials(validate(table, TRIALS, where=files), source)
            return groups if pick is None else _matching(groups, pick, files)
    wanted = Wanted(metric=source.metric, eval_sets=source.eval_sets, unit=source.unit)
    return [
        Group(
            label=arm.label,
            recipe=arm.recipe,
            model=arm.model,
            data=arm.data,
            eval_set=arm.eval_set,
            metric=arm.metric,
            unit=arm.unit,
            seeds=arm.seeds,
            values=arm.values,
            n_left_out=arm.n_left_out,
            notes=arm.notes,
            origin=files,
            step=100.0 / arm.n_examples if arm.n_examples else None,
        )
        for arm in read_arms(selector, wanted)
    ]


_PUBLISHED = re.compile(
    r"(?:(?P<label>[^:]+):\s*)?(?P<mean>[+-]?[\d.]+(?:e[+-]?\d+)?)\s*(?:±|\+-|\+/-)\s*(?P<sd>[\d.]+(?:e[+-]?\d+)?)"
    r"(?:[\s,(]*n\s*=\s*(?P<n>\d+)\)?)?",
    re.IGNORECASE,
)


def _published(selector: str, source: Source) -> Group | None:
    """Return the group of a published "mean ± std, n = seeds"; None where the selector is none."""
    found = _PUBLISHED.fullmatch(selector.strip())
    if found is None:
        return None
    if found["n"] is None:
        raise StudyError(
            f'"{selector}": a mean without its number of seeds cannot be compared; write "{selector} n=5".'
        )
    try:
        mean, sd, n = float(found["mean"]), float(found["sd"]), int(found["n"])
    except ValueError:
        raise StudyError(f'"{selector}": not two numbers; write it like "79.5±0.1 n=5".') from None
    label = found["label"] or selector.strip()
    group = group_of_numbers([mean], label, source)
    scale = 100.0 if source.unit == "fraction" else 1.0
    moments = Moments(mean=float(group.values[0]), sd=sd * scale, n=n)
    return replace(group, values=np.empty(0), moments=moments)
