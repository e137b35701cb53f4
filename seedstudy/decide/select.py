"""From selectors to groups: the one number per seed that a study, a file or a table holds.

Accuracy becomes percentage points ("pp") here: everything a reader sees is in points.
"""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StudyError, suggest
from seedstudy.read.groups import group_of_numbers, read_groups
from seedstudy.read.metrics import DEFAULT_METRIC
from seedstudy.read.parse import read_table
from seedstudy.read.published import group_of_mean_and_std
from seedstudy.read.request import Request
from seedstudy.read.selector import parse_selector
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.store.schema import TRIALS, validate
from seedstudy.store.store import Scan, open_study
from seedstudy.study.group import Group, Values

Selector = str | Sequence[float] | Values
"""``RECIPE``, ``RECIPE@MODEL``, ``STUDY:RECIPE@MODEL``, a file, ``"79.5±0.1 n=5"``, or one number per seed."""
What = Sequence[pl.DataFrame | Selector]
"""Selectors, looked up in studies and files; or a TRIALS frame and selectors of its recipes."""

_MARGIN = "margin"
"""Column of a TRIALS frame in memory: what its study declared as the smallest difference of interest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source(Request):
    """Which results to read, and the study in which recipes are looked up.

    A study is read once, however many selectors name it.
    """

    results: Path = Path("results")
    study: str = "main"
    scans: dict[str, Scan] = field(default_factory=dict, repr=False)
    """Study -> what was read of it; grows as studies are asked for."""
    _trials: dict[str, pl.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def trials(self, study: str = "") -> pl.DataFrame:
        """Return a study's TRIALS frame, and what it declared as its margin."""
        name = study or self.study
        if name not in self._trials:
            store = open_study(self.results, name)
            margin = pl.lit(store.rule().get("margin"), dtype=pl.Float64).alias(_MARGIN)
            if name not in self.scans:
                self.scans[name] = store.scan()
            self._trials[name] = self.scans[name].trials.with_columns(margin)
        return self._trials[name]

    @property
    def left_out(self) -> tuple[str, ...]:
        """One sentence per damaged trial of the studies that were read; the other trials were used."""
        return tuple(sentence for scan in self.scans.values() for sentence in scan.damaged.values())


def n_selectors(what: What) -> int:
    """Return how many arms are asked for; a TRIALS frame is none."""
    return len(what) - 1 if what and isinstance(what[0], pl.DataFrame) else len(what)


def select(what: What, source: Source) -> list[list[Group]]:
    """Return for each selector everything that it names; all recipes of the study or frame where there is none."""
    if what and isinstance(what[0], pl.DataFrame):
        groups = groups_of_trials(what[0], source)
        return [_matching(groups, str(each), "these trials") for each in what[1:]] or [groups]
    if not what:
        return [groups_of_trials(source.trials(), source)]
    letters = iter(string.ascii_uppercase)
    arms = []
    for given in what:
        if isinstance(given, pl.DataFrame):
            raise StudyError("a TRIALS frame comes first, then selectors of its recipes: ss.compare(trials, 'a3').")
        if isinstance(given, str):
            arms.append(_named(given, source))
        elif label := next(letters, ""):
            arms.append([group_of_numbers(given, label, source)])
        else:
            raise StudyError("up to 26 lists of numbers have names; give files for more.")
    return arms


def select_arms(what: What, source: Source) -> list[list[Group]]:
    """Return for each selector the groups, one per eval set, of the one recipe, model and data set that it names.

    Raises
    ------
    StudyError
        A selector names nothing, or several things; the message lists the candidates.

    """
    given = what[len(what) - n_selectors(what) :]
    arms = select(what, source) if given else []
    return with_distinct_labels([_only(groups, str(name)) for groups, name in zip(arms, given, strict=True)])


def with_distinct_labels(arms: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the arms with longer labels where files in different folders, or studies, have recipes of one name."""
    origins: dict[str, set[str]] = defaultdict(set)
    for group in chain.from_iterable(arms):
        origins[group.label] |= {group.origin} - {""}
    longer: dict[tuple[str, str], str] = {}
    for label, files in origins.items():
        if len(files) > 1:
            longer |= {(label, file): f"{place}{label}" for file, place in _folders(files).items()}
    return [[replace(g, label=longer.get((g.label, g.origin), g.label)) for g in arm] for arm in arms]


def _folders(files: set[str]) -> dict[str, str]:
    """Return for each file as much of its folder, "/" at the end, as distinguishes the files."""
    parts = {file: [f"{part}/" for part in Path(file).parent.parts] for file in sorted(files)}
    for depth in range(1, max(map(len, parts.values())) + 1):
        folders = {file: "".join(places[-depth:]) for file, places in parts.items()}
        if len(set(folders.values())) == len(files):
            return folders
    return {file: f"{file}:" for file in files}


def moments_of(group: Group) -> tuple[float, float, int]:
    """Return mean, standard deviation (n - 1) and number of a group's seeds, measured or published."""
    if group.moments is not None:
        return group.moments.mean, group.moments.sd, group.moments.n
    return mean_of(group.values), sd_of(group.values), group.n


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
    published = group_of_mean_and_std(selector, source)
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
    chosen = [group for group in groups if recipe in (group.recipe, group.recipe_id)]
    chosen = [group for group in chosen if (model or group.model, data or group.data) == (group.model, group.data)]
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
        left_out = trials.filter(pl.col("status") != "ok", recipe_id=recipe_id, model=model, data=data)
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
                    train_s=None if of_set["train_s"].null_count() else float(of_set["train_s"].to_numpy().mean()),
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


def _groups_of_files(selector: str, source: Source) -> list[Group]:
    """Return the groups of a file, a folder or a pattern; a file of trials is read as a study is."""
    files, pick = parse_selector(selector) or (selector, None)
    if Path(files).suffix == ".parquet":
        table = read_table(Path(files)).frame
        if "trial_id" in table.columns:
            # A frame that load_trials returned has one column more: the margin that its study declared.
            schema = {**TRIALS, _MARGIN: pl.Float64()} if _MARGIN in table.columns else TRIALS
            groups = groups_of_trials(validate(table, schema, where=files), source)
            return groups if pick is None else _matching(groups, pick, files)
    return read_groups(selector, source)
