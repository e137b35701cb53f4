"""From selectors to groups: the one number per seed that a study, a file or a table holds.

Accuracy becomes percentage points ("pp") here: everything a reader sees is in points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.arms import DEFAULT_METRIC, Wanted, parse_selector, read_arms
from seedstudy.read.metrics import to_points
from seedstudy.read.tables import read_table
from seedstudy.store.schema import TRIALS, validate
from seedstudy.store.store import Scan, open_study
from seedstudy.study.group import Group, Moments, Values

Selector = str | Sequence[float] | Values
"""``RECIPE``, ``RECIPE@MODEL``, ``STUDY:RECIPE@MODEL``, a file, ``"79.5±0.1 n=5"``, or one number per seed."""
What = Sequence[pl.DataFrame | Selector]
"""Selectors, looked up in studies and files; or a TRIALS frame and selectors of its recipes."""

_MARGIN = "margin"
"""Column of a TRIALS frame in memory: what its study declared as the smallest difference of interest."""


@dataclass(kw_only=True, slots=True)
class Source:
    """Where selectors are looked up, and which metric and eval sets are asked for.

    A study is read once, however many selectors name it.
    """

    results: Path = Path("results")
    study: str = "main"
    eval_sets: tuple[str, ...] | None = None
    metric: str = DEFAULT_METRIC
    unit: str | None = None
    """Unit of plain numbers: ``percent`` or ``fraction``; needed only where the numbers do not tell."""
    _scans: dict[str, Scan] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a unit that does not exist."""
        if self.unit not in (None, "percent", "fraction"):
            raise StudyError(f'--unit "{self.unit}": expected percent or fraction.')

    def trials(self, study: str = "") -> pl.DataFrame:
        """Return a study's TRIALS frame, and what it declared as its margin."""
        name = study or self.study
        store = open_study(self.results, name)
        if name not in self._scans:
            self._scans[name] = store.scan()
        margin = store.rule().get("margin")
        return self._scans[name].trials.with_columns(pl.lit(margin, dtype=pl.Float64).alias(_MARGIN))

    @property
    def left_out(self) -> tuple[str, ...]:
        """One sentence per damaged trial of the studies that were read; the other trials were used."""
        return tuple(sentence for scan in self._scans.values() for sentence in scan.damaged.values())


def select(what: What, source: Source) -> list[list[Group]]:
    """Return for each selector everything that it names; all recipes of the study or frame where there is none."""
    if what and isinstance(what[0], pl.DataFrame):
        groups = groups_of_trials(what[0], source)
        return [_matching(groups, str(each), "these trials") for each in what[1:]] or [groups]
    if not what:
        return [groups_of_trials(source.trials(), source)]
    letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    arms = []
    for given in what:
        if isinstance(given, str):
            arms.append(_named(given, source))
            continue
        if isinstance(given, pl.DataFrame):
            raise StudyError("a TRIALS frame comes first, then selectors of its recipes: ss.compare(trials, 'a3').")
        label = next(letters, "")
        if not label:
            raise StudyError("up to 26 lists of numbers have names; give files for more.")
        arms.append([group_of_numbers(given, label, source)])
    return arms


def select_arms(what: What, source: Source) -> list[list[Group]]:
    """Return for each selector the groups, one per eval set, of the one recipe, model and data set that it names.

    Raises
    ------
    StudyError
        A selector names nothing, or several things; the message lists the candidates.

    """
    given = what[1:] if what and isinstance(what[0], pl.DataFrame) else what
    arms = select(what, source) if given else []
    return with_distinct_labels([_only(groups, str(name)) for groups, name in zip(arms, given, strict=True)])


def with_distinct_labels(arms: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the arms with longer labels where files in different folders, or studies, have recipes of one name."""
    origins: dict[str, set[str]] = {}
    for group in (group for arm in arms for group in arm if group.origin):
        origins.setdefault(group.label, set()).add(group.origin)
    longer: dict[tuple[str, str], str] = {}
    for label, files in origins.items():
        if len(files) > 1:
            longer |= {(label, file): f"{place}{label}" for file, place in _folders(files).items()}
    return [[replace(g, label=longer.get((g.label, g.origin), g.label)) for g in arm] for arm in arms]


def _folders(files: set[str]) -> dict[str, str]:
    """Return for each file as much of its folder, "/" at the end, as distinguishes the files."""
    parts = {file: Path(file).parent.parts for file in sorted(files)}
    for depth in range(1, max(map(len, parts.values())) + 1):
        folders = {file: "".join(f"{part}/" for part in places[-depth:]) for file, places in parts.items()}
        if len(set(folders.values())) == len(files):
            return folders
    return {file: f"{file}:" for file in files}


def by_eval_set(groups: Iterable[Group]) -> dict[str, Group]:
    """Return the groups of one arm by the name of their eval set."""
    return {group.eval_set: group for group in groups}


def on_one_eval_set(groups: Iterable[Group], source: Source) -> Group:
    """Return an arm's group on the eval set asked for: by default val, or else the first."""
    by_name = by_eval_set(groups)
    if source.eval_sets:
        return by_name[source.eval_sets[0]]
    return by_name.get(EVAL_SET_ORDER[0]) or next(iter(by_name.values()))


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


def _named(selector: str, source: Source) -> list[Group]:
    published = _published(selector, source)
    if published is not None:
        return [published]
    if parse_selector(selector) is not None:
        return _groups_of_files(selector, source)
    prefix, _, rest = selector.rpartition(":")
    study = prefix or source.study
    groups = _matching(groups_of_trials(source.trials(study), source), rest, f'study "{study}"')
    return [replace(group, origin=study) for group in groups]


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
        raise StudyError(f'no "{selector}" in {where}.{suggest(selector, known)}')
    return chosen


def groups_of_trials(trials: pl.DataFrame, source: Source) -> list[Group]:
    """Return the groups of a TRIALS frame; only trials whose provenance agrees are in one group."""
    if source.metric != DEFAULT_METRIC:
        raise StudyError(f'metric "{source.metric}": trials hold top1; other metrics come from files.')
    finished = trials.filter(pl.col("status") == "ok")
    if finished.is_empty():
        raise StudyError("no trial has finished yet: `seedstudy status` says what is planned or failed.")
    names = _eval_sets(finished, source)
    several_data = finished["data"].n_unique() > 1
    declared = _MARGIN in trials.columns
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
                    declared_margin=of_set[_MARGIN][0] if declared else None,
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
