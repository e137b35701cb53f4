"""From arms to groups: the one number per seed that a study, a file or a table holds.

Accuracy becomes percentage points ("pp") here: everything a reader sees is in points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER, OTHER_SIZE
from seedstudy.decide.given import Arm
from seedstudy.errors import StudyError, suggest
from seedstudy.read.counts import N_EXAMPLES
from seedstudy.read.groups import groups_of_table, read_groups
from seedstudy.read.metrics import DEFAULT_METRIC, is_accuracy, to_points
from seedstudy.read.numbers import group_of_numbers
from seedstudy.read.published import group_of_mean_and_std
from seedstudy.read.request import Request
from seedstudy.read.saved import DECLARED, is_trials, saved_trials
from seedstudy.read.selector import parse_selector
from seedstudy.read.table import Table
from seedstudy.read.tables import SUFFIXES, plain_frame
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.store.schema import SEED_COLUMNS, completed
from seedstudy.store.store import Scan, Store, open_study
from seedstudy.study.declaration import Declaration
from seedstudy.study.group import Cells, Group, Reading, Readings, Values, label_of
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Source(Request):
    """Which results to read, and the study in which recipes are looked up.

    A study is read once, however many arms name it.
    """

    results: Path = Path("results")
    study: str = "main"
    scans: dict[Path, Scan] = field(default_factory=dict, repr=False)
    """Folder of a study -> what was read of it; grows as studies are asked for."""
    _trials: dict[Path, pl.DataFrame] = field(default_factory=dict, init=False, repr=False)
    _late_rules: dict[Path, str] = field(default_factory=dict, init=False, repr=False)
    _images: dict[tuple[str, str], pl.DataFrame] = field(default_factory=dict, init=False, repr=False)
    """Trial and eval set -> its images."""

    def trials(self, folder: Path | None = None) -> pl.DataFrame:
        """Return a study's TRIALS frame, and what it declared as its margin; None: the study of this source."""
        folder = self.results / self.study if folder is None else folder
        if folder not in self._trials:
            store = open_study(folder.parent, folder.name)
            rule = store.rule()
            if rule.lateness:
                self._late_rules[folder] = f"study {store.study}: {rule.lateness}"
            said = rule.declared[-1] if rule.declared else Declaration()
            declared = [pl.lit(getattr(said, name), dtype=kind).alias(name) for name, kind in DECLARED.items()]
            is_its_metric = pl.col("metric").eq_missing(pl.lit(said.metric, dtype=pl.String()))
            of_metric = [pl.when(is_its_metric).then(pl.col(name)).alias(name) for name in ("lower_is_better", "unit")]
            if folder not in self.scans:
                self.scans[folder] = store.scan()
            self._trials[folder] = self.scans[folder].trials.with_columns(declared).with_columns(of_metric)
        return self._trials[folder]

    def predictions(self, group: Group) -> Iterator[pl.DataFrame]:
        """Yield for each trial of a group its ``example_id``, ``is_correct``, ``predicted`` and ``confidence``.

        One row per image of the group's eval set, by ``example_id``. StudyError where the group's trials are of no
        study that was read.
        """
        store = self._store_of(group)
        if store is None:
            raise _elsewhere(group, "the predictions are")
        is_correct = pl.col("labels").list.contains(pl.col("predicted")).alias("is_correct")
        for trial_id in group.trial_ids:
            images = store.predictions(trial_id).filter(pl.col("eval_set") == group.eval_set)
            yield images.select("example_id", is_correct, "predicted", "confidence").sort("example_id")

    def _store_of(self, group: Group) -> Store | None:
        """Return the study that holds a group's trials: one that was read, or for a frame the study of this source."""
        if not group.trial_ids:
            return None
        folders = [folder for folder, trials in self._trials.items() if group.trial_ids[0] in trials["trial_id"]]
        here = Store(self.results, self.study)
        if not folders and here.has_predictions(group.trial_ids[0]):
            return here
        return Store(folders[0].parent, folders[0].name) if folders else None

    def correct(self, group: Group) -> tuple[npt.NDArray[np.bool_], str] | None:
        """Return which images each trial of a group has right, (n_seeds, n_images), and the digest of the images.

        None where that is not known: of files, of imported trials, of trials that were tested on different images, and
        where the predictions are not those that the group's accuracies were counted from.
        """
        store = self._store_of(group)
        if store is None:
            return None
        parts = [store.correct(trial_id).get(group.eval_set) for trial_id in group.trial_ids]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len({(part.images, len(part.is_correct)) for part in known}) > 1:
            return None
        matrix = np.stack([part.is_correct for part in known])
        is_counted = np.allclose(100.0 * matrix.mean(axis=1), group.values, rtol=0.0, atol=1e-6)
        return (matrix, known[0].images) if is_counted else None

    def images_of(self, group: Group) -> str | None:
        """Return the digest of the images that a group was tested on; None where it is not known."""
        store = self._store_of(group)
        first = None if store is None else store.correct(group.trial_ids[0]).get(group.eval_set)
        return None if first is None else first.images

    def images(self, group: Group) -> pl.DataFrame:
        """Return ``example_id``, ``labels`` and the first of them as ``label`` of a group's images.

        The order is that of :meth:`correct`.
        """
        key = (group.trial_ids[0], group.eval_set)
        if key not in self._images:
            store = self._store_of(group)
            assert store is not None
            label = pl.col("labels").list.first().alias("label")
            frame = store.predictions(group.trial_ids[0]).select("eval_set", "example_id", "labels", label)
            for (name,), images in frame.group_by("eval_set"):
                self._images[group.trial_ids[0], str(name)] = images.drop("eval_set").sort("example_id")
        return self._images[key]

    def trained(self, group: Group) -> tuple[Trial, int]:
        """Return the plan of a group's first trial, and the multiply-adds of its network.

        StudyError where the group's trials are of no study that was read, or were trained elsewhere.
        """
        store = self._store_of(group)
        if store is None:
            raise _elsewhere(group, "recipe and cost are")
        n_macs = store.n_macs(group.trial_ids[0])
        trial = None if n_macs is None else store.read_spec(group.trial_ids[0])
        if n_macs is None or not isinstance(trial, Trial):
            raise StudyError(f"{group.label}: trained elsewhere, so its cost is not known: give a table with a cost.")
        return trial, n_macs

    @property
    def studies(self) -> dict[str, Path]:
        """Every study that was read, by the name that its groups have as their origin, and its folder."""
        return {_name_of(folder, self): folder for folder in self.scans}

    def options(self) -> list[str]:
        """Return the words of a command that make this source, where it is not the default."""
        single = {
            "--results": (self.results, Path("results")),
            "--study": (self.study, "main"),
            "--metric": (self.metric, DEFAULT_METRIC),
            "--unit": (self.unit, None),
            "--model": (self.model, None),
            "--data": (self.data, None),
        }
        words = [each for option, (value, usual) in single.items() if value != usual for each in (option, str(value))]
        for option, values in (("--by", self.by), ("--ignore", self.ignore)):
            words += [each for value in values for each in (option, value)]
        for option, value in (("--clock", self.clock), ("--seeds-by", self.seeds_by)):
            words += [] if value is None else [option, value]
        return words

    @property
    def declared_baseline(self) -> str | None:
        """The baseline that the studies declared; None where there is none, or several."""
        rules = [open_study(folder.parent, folder.name).rule() for folder in self.scans]
        found = {rule.declared[-1].baseline for rule in rules if rule.declared} - {None}
        return found.pop() if len(found) == 1 else None

    @property
    def late_rules(self) -> tuple[str, ...]:
        """One sentence per study that was read and whose rule was declared after it had results."""
        return tuple(self._late_rules.values())

    @property
    def left_out(self) -> tuple[str, ...]:
        """One sentence per damaged trial of the studies that were read; the other trials were used."""
        return tuple(sentence for scan in self.scans.values() for sentence in scan.damaged.values())


def select(arms: Sequence[Arm], source: Source) -> list[list[Group]]:
    """Return for each arm everything that it names; all recipes of the study where there is none."""
    if not arms:
        return [_of_study(source.results / source.study, "", source)]
    return [_called(arm.label, _groups(arm, source)) for arm in arms]


def may_be_several(arms: Sequence[Arm]) -> bool:
    """Say whether arms may be two or more: two are named, or a file or a table is, which may hold several."""
    return len(arms) > 1 or any(arm.frame is not None or bool(parse_selector(arm.words)) for arm in arms)


def select_each(arms: Sequence[Arm], source: Source) -> list[tuple[str, list[Group]]]:
    """Return the name and the groups of each arm; the arms that one file holds, told apart as it says, are several."""
    found = []
    for arm, groups in zip(arms, select(arms, source) if arms else [], strict=True):
        is_of_files = all(group.read is not None for group in groups)
        if is_of_files and (source.by or len(arms) == 1):
            by_label: dict[str, list[Group]] = defaultdict(list)
            for group in groups:
                by_label[group.label].append(group)
            found += list(by_label.items())
        else:
            found.append((str(arm), groups))
    return found


def select_arms(arms: Sequence[Arm], source: Source) -> list[list[Group]]:
    """Return for each arm the groups, one per eval set, of the one recipe, model and data set that it names.

    Raises
    ------
    StudyError
        An arm names nothing, or several things; the message lists the candidates.

    """
    return with_distinct_labels([_only(groups, name) for name, groups in select_each(arms, source)])


def select_by_data(arms: Sequence[Arm], source: Source) -> list[list[list[Group]]]:
    """Return the arms of :func:`select_arms` within each data set on which all of them have results.

    A note says which data sets were left out because an arm has no result there.
    """
    found = select_each(arms, source)
    by_data = [_by_data(groups) for _, groups in found]
    if all(len(sets) <= 1 for sets in by_data):
        return [with_distinct_labels([_only(groups, name) for name, groups in found])]
    shared = [data for data in by_data[0] if all(data in sets for sets in by_data)]
    if not shared:
        there = "; ".join(f"{name}: {', '.join(map(str, s))}" for (name, _), s in zip(found, by_data, strict=True))
        raise StudyError(f"no data set on which all have results ({there}).")
    other = sorted({str(data) for sets in by_data for data in sets if data not in shared})
    note = (f"results on {', '.join(other)} left out: not all have some there",) if other else ()
    return [
        with_distinct_labels(
            [
                [
                    replace(group, notes=(*group.notes, *note), label=_on(group))
                    for group in _only(sets[data], f"{name}, {data}")
                ]
                for (name, _), sets in zip(found, by_data, strict=True)
            ]
        )
        for data in shared
    ]


def _by_data(groups: Iterable[Group]) -> dict[str | None, list[Group]]:
    found: dict[str | None, list[Group]] = defaultdict(list)
    for group in groups:
        found[group.data].append(group)
    return found


def _on(group: Group) -> str:
    """Return a group's label with its data set."""
    return group.label if group.label.endswith(f"@{group.data}") else f"{group.label}@{group.data}"


def _called(label: str, groups: list[Group]) -> list[Group]:
    """Return groups by the name that their caller gave; what else distinguishes them stays."""
    if not label:
        return groups
    names = dict.fromkeys(group.label for group in groups)
    if len(names) == 1:
        return [replace(group, label=label) for group in groups]
    return [replace(group, label=f"{label}: {group.label}") for group in groups]


def with_distinct_labels(arms: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the arms with longer labels where data sets, recipes of other values, files or studies share a name."""
    of_label: dict[str, set[str | None]] = defaultdict(set)
    for group in chain.from_iterable(arms):
        of_label[group.label].add(group.data)
    arms = [[replace(g, label=_on(g)) if len(of_label[g.label]) > 1 else g for g in arm] for arm in arms]
    recipes: dict[str, set[str]] = defaultdict(set)
    for group in chain.from_iterable(arms):
        recipes[group.label] |= {group.recipe_id} - {""}
    arms = [[_with_recipe_id(g) if len(recipes[g.label]) > 1 else g for g in arm] for arm in arms]
    origins: dict[str, set[str]] = defaultdict(set)
    for group in chain.from_iterable(arms):
        origins[group.label] |= {group.origin} - {""}
    longer: dict[tuple[str, str], str] = {}
    for label, files in origins.items():
        if len(files) > 1:
            longer |= {(label, file): f"{place}{label}" for file, place in _folders(files).items()}
    arms = [[replace(g, label=longer.get((g.label, g.origin), g.label)) for g in arm] for arm in arms]
    pools: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for group in chain.from_iterable(arms):
        of_set = pools[group.label, group.eval_set]
        of_set.setdefault(group.pool_key, len(of_set) + 1)
    # What no name tells apart, such as the device, is numbered.
    numbered = {(label, key): n for (label, _), keys in pools.items() if len(keys) > 1 for key, n in keys.items()}
    number = {key: f"{key[0]} ({n})" for key, n in numbered.items()}
    return [[replace(g, label=number.get((g.label, g.pool_key), g.label)) for g in arm] for arm in arms]


def _with_recipe_id(group: Group) -> Group:
    """Return a group whose label names the values of its recipe, as an argument may, too."""
    rest = group.label.removeprefix(group.recipe)
    return replace(group, label=group.recipe_id + rest) if group.recipe_id and rest != group.label else group


def _folders(files: set[str]) -> dict[str, str]:
    """Return for each file as much of its folder, "/" at the end, as distinguishes the files."""
    parts = {file: [f"{part}/" for part in Path(file).parent.parts] for file in sorted(files)}
    for depth in range(1, max(map(len, parts.values())) + 1):
        folders = {file: "".join(places[-depth:]) for file, places in parts.items()}
        if len(set(folders.values())) == len(files):
            return folders
    return {file: f"{file}:" for file in files}


def what_was_read(groups: Iterable[Group]) -> Readings:
    """Return what was read from each file of these groups; its runs are those of the eval set that has most."""
    of_file: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if group.read is not None:
            of_file[group.read.file].append(group)
    return Readings(_of_one_file(members) for members in of_file.values())


def _of_one_file(groups: Sequence[Group]) -> Reading:
    readings = {id(group.read): group.read for group in groups if group.read is not None}
    n_runs: dict[str, int] = defaultdict(int)
    for group in groups:
        n_runs[group.eval_set] += group.n
    return replace(reduce(Reading.with_arm, readings.values()), n_runs=max(n_runs.values()))


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


def _only(groups: list[Group], arm: str) -> list[Group]:
    labels = [label for label, *_ in sorted({(g.label, g.data or "", g.pool_key) for g in groups})]
    if len(labels) == 1:
        if len(by_eval_set(groups)) < len(groups):
            raise StudyError(
                f'"{arm}" names several groups of runs that are not seeds of one recipe: pick one, or --by.'
            )
        return groups
    if len(data := sorted({str(group.data) for group in groups})) == len(labels):
        raise StudyError(f'"{arm}" has results on several data sets: say which with -d: {", ".join(data)}.')
    if len(set(labels)) == len(labels):
        raise StudyError(f'"{arm}" is ambiguous: say which of {", ".join(labels)}. Or pick with -m MODEL.')
    full = sorted({f"{group.recipe_id}@{group.model}@{group.data}" for group in groups})
    if len(full) == len(labels):
        raise StudyError(f'"{arm}" names recipes of different values: say which of {", ".join(full)}.')
    raise StudyError(
        f'"{arm}" names trials that do not pool: they differ in the streams that vary, the data\'s content, the '
        "device, the precision or the torch or timm version. Keep them in studies of their own (--study)."
    )


def _groups(arm: Arm, source: Source) -> list[Group]:
    if arm.values is not None:
        group = group_of_numbers(arm.values, arm.label, source)
        return [group if arm.seeds is None else replace(group, seeds=arm.seeds)]
    if arm.frame is not None:
        return _groups_of_frame(arm, arm.frame, source)
    try:
        return _named(arm.words, source)
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise StudyError(f'"{arm.words[:40]}": cannot be read ({error.strerror}).') from error


def _named(words: str, source: Source) -> list[Group]:
    if not words.strip():
        raise StudyError(f'"{words}" names nothing: an argument is a recipe, a file or a folder.')
    published = group_of_mean_and_std(words, source)
    if published is not None:
        return [published]
    if (study := _study_folder(words)) is not None:
        folder, recipe = study
        return _of_study(folder, recipe, source)
    if parse_selector(words) is not None:
        return _groups_of_files(words, source)
    prefix, _, recipe = words.rpartition(":")
    folder = source.results / (prefix or source.study)
    if not recipe or not folder.is_dir():
        raise _not_recognised(words, source)
    return _of_study(folder, recipe, source)


def _of_study(folder: Path, recipe: str, source: Source) -> list[Group]:
    name = _name_of(folder, source)
    groups = groups_of_trials(source.trials(folder), source)
    if recipe:
        groups = _matching(groups, recipe, f'study "{name}"')
    return [replace(group, origin=name) for group in groups]


def _name_of(folder: Path, source: Source) -> str:
    return folder.name if folder.parent == source.results else str(folder)


def _study_folder(words: str) -> tuple[Path, str] | None:
    """Return the folder of a study, as `run` prints it, and the recipe of ``FOLDER:RECIPE``; None for anything else.

    A folder that holds one study means that study.
    """
    for path, recipe in _splits(words):
        if not path.is_dir():
            continue
        if (path / "trials").is_dir():
            return path, recipe
        studies = sorted(inner for inner in path.iterdir() if (inner / "trials").is_dir())
        if len(studies) > 1:
            known = ", ".join(map(str, studies))
            raise StudyError(f'"{words}": {path} holds {len(studies)} studies: say which of {known}.')
        if studies:
            return studies[0], recipe
    return None


def _splits(words: str) -> Iterator[tuple[Path, str]]:
    """Yield what may be a path and what may be picked from it: all of the words first."""
    yield Path(words), ""
    path, colon, rest = words.rpartition(":")
    if colon and path and rest:
        yield Path(path), rest


def _not_recognised(words: str, source: Source) -> StudyError:
    """Return the error for words that are neither a file nor a recipe; it says why they are neither."""
    known = ", ".join(SUFFIXES)
    prefix = words.rpartition(":")[0]
    if not source.results.is_dir():
        return StudyError(
            f'"{words}" is neither a file that can be read ({known}) nor a recipe: there is no results folder '
            f"{source.results} either; `seedstudy run` makes one, --results names another."
        )
    studies = [path.name for path in source.results.iterdir() if (path / "trials").is_dir()]
    hint = suggest(prefix or source.study, studies) if studies else " Name a file, or train first (seedstudy run)."
    return StudyError(
        f'"{words}" is neither a file that can be read nor a recipe: {source.results} holds no study '
        f'"{prefix or source.study}".{hint}'
    )


def _matching(groups: Sequence[Group], selector: str, where: str) -> list[Group]:
    """Return the groups of ``RECIPE``, ``RECIPE@MODEL`` or ``RECIPE@MODEL@DATA``; a recipe_id is a recipe too."""
    if exact := [group for group in groups if group.label == selector]:
        return exact
    recipe, _, place = selector.partition("@")
    model, _, data = place.partition("@")
    chosen = [group for group in groups if recipe in (group.recipe, group.recipe_id)]
    chosen = [group for group in chosen if (model or group.model, data or group.data) == (group.model, group.data)]
    if not chosen:
        known = {group.label for group in groups} | {group.recipe for group in groups}
        raise StudyError(f'no "{selector}" in {where}.{suggest(selector, known)}')
    return chosen


_TRIALS_NEEDED = ("recipe", "recipe_id", "model", "data", "seed", "trial_id", "status", "eval_set", "pool_key")


def _groups_of_frame(arm: Arm, frame: pl.DataFrame, source: Source) -> list[Group]:
    if not is_trials(frame):
        name = arm.label or "frame"
        table = Table(frame=plain_frame(frame, name))
        return groups_of_table(table, arm.words or None, source, name)
    missing = [name for name in (*_TRIALS_NEEDED, "n_correct", "n_examples", "train_s") if name not in frame.columns]
    if missing:
        raise StudyError(
            f"this frame of trials has no column {', '.join(missing)}: pass it as load_trials returned it."
        )
    groups = groups_of_trials(completed(frame), source)
    return _matching(groups, arm.words, "these trials") if arm.words else groups


def groups_of_trials(trials: pl.DataFrame, source: Source) -> list[Group]:
    """Return the groups of a TRIALS frame; only trials whose provenance agrees are in one group."""
    for name in ("model", "data"):
        asked = getattr(source, name)
        if asked is not None:
            known = trials[name].unique().to_list()
            trials = trials.filter(pl.col(name) == asked)
            if trials.is_empty():
                raise StudyError(f'no trial of {name} "{asked}".{suggest(asked, map(str, known))}')
    finished = trials.filter(pl.col("status") == "ok").with_columns(pl.col("metric").fill_null(DEFAULT_METRIC))
    if finished.is_empty():
        raise StudyError("no trial has finished yet: `seedstudy status` says what is planned or failed.")
    names = _eval_sets(finished, source)
    finished = _of_metric(finished, source.metric)
    several_data = finished["data"].n_unique() > 1
    varied = defaultdict[str, set[str]](set)
    for recipe_id, words in finished.select("recipe_id", "vary").iter_rows() if "vary" in finished.columns else ():
        varied[recipe_id].add(words)

    def only_some(recipe_id: object, vary: tuple[str, ...]) -> bool:
        """Say whether a name must tell which streams vary: others do in other trials of the recipe."""
        return len(varied[str(recipe_id)]) > 1 and vary != PURPOSES

    keys = ["recipe", "model", "data", "recipe_id", "pool_key"]
    groups = []
    for (recipe, model, data, recipe_id, key), rows in finished.group_by(keys, maintain_order=True):
        same = [pl.col(name).eq_missing(value) for name, value in (("model", model), ("data", data))]
        left_out = trials.filter(pl.col("status") != "ok", *same, recipe_id=recipe_id)
        for name in names:
            of_set = rows.filter(pl.col("eval_set").eq_missing(name)).sort("seed", maintain_order=True)
            if of_set.is_empty():
                continue
            everything, of_set = of_set, independent(of_set)
            values, metric, unit = _values(of_set, source)
            vary = _streams(of_set)
            which = f" ({'+'.join(vary)})" if only_some(recipe_id, vary) else ""
            groups.append(
                Group(
                    label=label_of(recipe, model, data if several_data else None) + which,
                    recipe=str(recipe),
                    model=None if model is None else str(model),
                    data=None if data is None else str(data),
                    eval_set=name,
                    metric=metric,
                    unit=unit,
                    seeds=None if of_set["seed"].null_count() else tuple(of_set["seed"]),
                    values=values,
                    n_left_out=left_out["trial_id"].n_unique(),
                    step=_step(of_set),
                    pool_key=str(key),
                    recipe_id=str(recipe_id),
                    trial_ids=tuple(of_set["trial_id"]),
                    train_s=None if of_set["train_s"].null_count() else float(of_set["train_s"].to_numpy().mean()),
                    device=_the_one(of_set, "device"),
                    declared_margin=_first(of_set, "margin"),
                    declared_images=_first(of_set, "images"),
                    declared_lower=_first(of_set, "lower_is_better"),
                    notes=(
                        *_incomplete(str(data), name, of_set),
                        *_sharing(everything.height, of_set.height),
                        *_all_equal(of_set, values),
                    ),
                    vary=vary,
                    cells=None if everything.height == of_set.height else _cells(everything, vary, source),
                )
            )
    return sorted(groups, key=lambda group: (group.data or "", group.model or "", group.recipe, group.pool_key))


def _elsewhere(group: Group, what: str) -> StudyError:
    return StudyError(f"{group.label}: {what} in the study's folder: name the study instead.")


def _first(rows: pl.DataFrame, column: str) -> Any:
    """Return what the study of these rows declared; None where a frame does not say."""
    return rows[column][0] if column in rows.columns else None


def _of_metric(finished: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return the rows of one metric per recipe: the one asked for, or else top1, or else the first one of its trials.

    StudyError where no row is of the metric asked for.
    """
    known = finished["metric"].unique(maintain_order=True).to_list()
    if metric == DEFAULT_METRIC:
        is_top1 = pl.col("metric") == DEFAULT_METRIC
        over = ["recipe_id", "model", "data", "pool_key"]
        first = pl.when(is_top1.any().over(over)).then(pl.lit(DEFAULT_METRIC)).otherwise(pl.first("metric").over(over))
        return finished.filter(pl.col("metric") == first)
    chosen = finished.filter(pl.col("metric") == metric)
    if chosen.is_empty():
        raise StudyError(f'metric "{metric}": these trials hold {", ".join(map(str, known))}.')
    return chosen


def _values(rows: pl.DataFrame, source: Source) -> tuple[Values, str, str | None]:
    """Return the values of trials of one metric, its name and its unit: points for counts, and for known accuracies."""
    metric = str(rows["metric"][0])
    if not rows["n_correct"].null_count():
        return 100.0 * rows["n_correct"].to_numpy() / rows["n_examples"].to_numpy(), metric, "pp"
    values = rows["value"].to_numpy().astype(np.float64)
    if is_accuracy(metric) or _first(rows, "unit") is not None:
        return values, metric, "pp"
    if source.unit is None:
        return values, metric, None
    return to_points(values, source.unit, where=metric), metric, "pp"


def _streams(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the streams that vary in trials of one pool; none where that is not known."""
    words = (_the_one(rows, "vary") or "").split(",")
    return tuple(purpose for purpose in PURPOSES if purpose in words)


def _cells(rows: pl.DataFrame, vary: tuple[str, ...], source: Source) -> Cells:
    return Cells(
        seeds={purpose: rows[SEED_COLUMNS[purpose]].to_numpy() for purpose in vary},
        replicates=rows["replicate"].to_numpy(),
        values=_values(rows, source)[0],
    )


def _step(rows: pl.DataFrame) -> float | None:
    images = rows["n_examples"].unique().to_list()
    return 100.0 / images[0] if len(images) == 1 and images[0] is not None else None


def independent(rows: pl.DataFrame) -> pl.DataFrame:
    """Return as many rows as possible such that no two share the seed of a stream that varies.

    Trials of a crossed design share streams, and repetitions of a trial share all: their spread and number are not
    those of seeds drawn anew. Plain seeds come first. Rows whose streams are unknown stay.
    """
    if "vary" not in rows.columns:
        return rows
    varies = rows["vary"].str.split(",")
    streams = [column for purpose, column in SEED_COLUMNS.items() if varies.list.contains(purpose).any()]
    is_plain = [pl.col(column).eq(pl.col("seed")).fill_null(value=True) for column in streams]
    rows = rows.with_columns(pl.all_horizontal(pl.col("replicate").eq(0), *is_plain).alias(_PLAIN))
    ordered = rows.with_row_index(_ROW).sort(_PLAIN, "replicate", descending=[True, False], maintain_order=True)
    taken, kept = set[tuple[str, int]](), list[int]()
    for row in ordered.select(_ROW, _PLAIN, *streams).iter_rows(named=True):
        own = {(stream, row[stream]) for stream in streams if row[stream] is not None}
        if row[_PLAIN] or not own & taken:
            taken |= own
            kept.append(row[_ROW])
    return rows[sorted(kept)].drop(_PLAIN)


_ROW, _PLAIN = "_row", "_plain"
"""Columns in between: the place of a row, and whether all its streams follow the trial's seed."""


def _sharing(n_all: int, n: int) -> tuple[str, ...]:
    """Say that trials were left out because they share streams with others."""
    if n_all == n:
        return ()
    return (
        f"{n} of {n_all} trials count: the others share random streams with these, as a design has it; "
        "`seedstudy variance` reads all",
    )


def _all_equal(rows: pl.DataFrame, values: Values) -> tuple[str, ...]:
    """Say that every seed of a command has the same result: a command that ignores its seed shows no seed noise."""
    is_command = "vary" in rows.columns and rows["vary"].fill_null("").eq("").all() and not rows["seed"].null_count()
    if not is_command or rows["seed"].n_unique() < 2 or (values != values[0]).any():
        return ()
    return (
        f"all {len(values)} seeds have the same result: does the command use its seed? Then there is no noise to see",
    )


def _incomplete(data: str, eval_set: str, rows: pl.DataFrame) -> tuple[str, ...]:
    """Say that trials were evaluated on more or fewer images than a well-known eval set has."""
    whole = N_EXAMPLES.get(data, {}).get(eval_set)
    counts = rows["n_examples"].unique().sort().to_list()
    if whole is None or counts in ([whole], [None]):
        return ()
    some = " or ".join(f"{n:,}" for n in counts)
    return (f"{eval_set}: {some} images, {data} has {whole:,}; numbers on all of them do not compare with these",)


def _the_one(rows: pl.DataFrame, column: str) -> str | None:
    """Return the value that all rows share; None where they differ, or where the frame has no such column."""
    found = rows[column].unique().to_list() if column in rows.columns else []
    return str(found[0]) if len(found) == 1 and found[0] is not None else None


def _eval_sets(finished: pl.DataFrame, source: Source) -> list[str]:
    there = set(finished["eval_set"].unique())
    known = [name for name in EVAL_SET_ORDER if name in there] + sorted(there - set(EVAL_SET_ORDER))
    if source.eval_sets is None:
        return [name for name in known if OTHER_SIZE not in name] or known  # val@192 answers when it is asked for
    for name in source.eval_sets:
        if name not in known:
            raise StudyError(f'no trial was evaluated on "{name}".{suggest(name, known)}')
    return list(source.eval_sets)


def _groups_of_files(selector: str, source: Source) -> list[Group]:
    """Return the groups of a file, a folder or a pattern; a file of trials is read as a study is."""
    files, pick = parse_selector(selector) or (selector, None)
    trials = saved_trials(files)
    if trials is None:
        return read_groups(selector, source)
    groups = groups_of_trials(trials, source)
    return groups if pick is None else _matching(groups, pick, files)
