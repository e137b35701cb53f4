"""The one bridge: frames and files -> one number per seed -> statistics -> the facts that tables and JSON show.

Accuracy becomes a fraction here and percentage points ("pp") right after it: everything a reader sees is in points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seedstudy.datasets import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.stats.compare import Comparison, compare
from seedstudy.stats.describe import Description, Rank, describe, rank_of
from seedstudy.stats.result import Estimate
from seedstudy.store import open_study

DEFAULT_RNG_SEED = 0
_FILES = (".csv", ".parquet", ".json", ".txt")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The seeds of one recipe on one model and data set, by one eval set."""

    label: str
    """How tables call it."""
    recipe: str
    model: str | None
    data: str | None
    eval_set: str
    metric: str
    unit: str | None
    """``pp`` (percentage points) for accuracies; None for any other metric."""
    seeds: tuple[int, ...] | None
    """Seed of each value; None where the file does not say."""
    values: Values
    """One number per finished trial, shape (n_seeds,), in ``unit``."""
    n_left_out: int = 0
    """Trials that ended without a result (diverged, failed or interrupted)."""
    recipe_id: str = ""
    pool_key: str = ""
    """Equal for trials whose provenance agrees."""

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def seed0(self) -> float | None:
        """Result of seed 0, the one most papers would have reported."""
        return float(self.values[self.seeds.index(0)]) if self.seeds and 0 in self.seeds else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One row of the summary table."""

    group: Group
    description: Description
    seed0_rank: Rank | None
    """Where seed 0 stands in the sweep; None without a seed 0, or without another seed."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of ``summary --json``."""
        d, g = self.description, self.group
        return {
            "recipe": g.recipe,
            "model": g.model,
            "data": g.data,
            "eval_set": g.eval_set,
            "metric": g.metric,
            "unit": g.unit,
            "n": d.n,
            "mean": d.mean.value,
            "mean_ci": interval(d.mean),
            "std": finite(d.std.value),
            "std_ci": interval(d.std),
            "min": d.min,
            "max": d.max,
            "seed0": g.seed0,
            "level": d.mean.level,
            "warnings": list(self.warnings),
        }


# --- selecting ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where selectors are looked up, and which metric and eval sets are asked for."""

    results: Path = Path("results")
    study: str = "main"
    eval_sets: tuple[str, ...] | None = None
    metric: str = "top1"
    unit: str | None = None
    """Unit of plain numbers: ``percent`` or ``fraction``; needed only where it cannot be told."""


def select_groups(what: Sequence[str], source: Source) -> list[Group]:
    """Return every group the selectors name (all of the study where there are none), by recipe, then eval set."""
    if not what:
        return _groups_of_study(source.study, source)
    groups: list[Group] = []
    for selector in what:
        groups.extend(_select(selector, source))
    return groups


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


def _select(selector: str, source: Source) -> list[Group]:
    if Path(selector).suffix in _FILES:
        return [_group_of_file(Path(selector), source)]
    study, _, rest = selector.rpartition(":")
    study = study or source.study
    return _matching(_groups_of_study(study, source), rest, f'study "{study}"')


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
    if source.metric != "top1":
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
                    seeds=tuple(of_set["seed"]),
                    values=100.0 * of_set["n_correct"].to_numpy() / of_set["n_examples"].to_numpy(),
                    n_left_out=left_out["trial_id"].n_unique(),
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


# --- plain numbers ------------------------------------------------------------------------------------


def group_of_numbers(values: Sequence[float] | Values, label: str, source: Source) -> Group:
    """Return a group made of plain numbers, accuracies in percent or fractions, or any other metric."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise StatisticsError(f"{label}: expected one number per seed, got an array of shape {array.shape}.")
    scale, unit = _scale(array, label, source) if source.metric == "top1" else (1.0, None)
    return Group(
        label=label,
        recipe=label,
        model=None,
        data=None,
        eval_set=source.eval_sets[0] if source.eval_sets else "val",
        metric=source.metric,
        unit=unit,
        seeds=None,
        values=array * scale,
    )


def _scale(values: Values, label: str, source: Source) -> tuple[float, str]:
    """Return what makes accuracies percentage points; whether 0.8 is 80 % or 0.8 % is never guessed."""
    if source.unit == "percent":
        return 1.0, "pp"
    if source.unit == "fraction":
        return 100.0, "pp"
    if values.size and 1.0 < values.max() <= 100.0 and values.min() >= 0.0:
        return 1.0, "pp"
    if values.size and (values.max() > 100.0 or values.min() < 0.0):
        raise StatisticsError(
            f"{label}: {values.max():g} is no accuracy: name the metric with --metric (and --lower-is-better)."
        )
    raise StatisticsError(f"{label}: percent or fraction? Every number is at most 1: say --unit percent or fraction.")


def _group_of_file(path: Path, source: Source) -> Group:
    numbers = _numbers_of_text(path) if path.suffix == ".txt" else _numbers_of_table(path, source)
    return group_of_numbers(numbers, path.stem, source)


def _numbers_of_text(path: Path) -> list[float]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'}).") from error
    numbers = []
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            numbers.append(float(line))
        except ValueError:
            raise StudyError(
                f'{path}, line {row}: "{line.strip()}" is not a number; write one number a line.'
            ) from None
    if not numbers:
        raise StudyError(f"{path}: holds no number; write one number a line.")
    return numbers


def _numbers_of_table(path: Path, source: Source) -> list[float]:
    """Read the metric's column of a CSV, Parquet or JSON (list of records) file."""
    readers: Mapping[str, Callable[[Path], pl.DataFrame]]
    readers = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".json": pl.read_json}
    try:
        frame = readers[path.suffix](path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror}).") from error
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise StudyError(f"{path}: not a readable {path.suffix[1:]} file ({str(error).splitlines()[0]}).") from error
    if source.metric not in frame.columns:
        raise StudyError(
            f'{path}: no column "{source.metric}".{suggest(source.metric, frame.columns)} Name it with --metric.'
        )
    column = frame[source.metric]
    if not column.dtype.is_numeric() or column.null_count():
        raise StudyError(f'{path}: column "{source.metric}" holds empty cells or text; every row needs a number.')
    if "seed" in frame.columns and frame["seed"].is_duplicated().any():
        raise StudyError(f"{path}: a seed stands in several rows; a seed counts once, so give one row per seed.")
    return [float(value) for value in column]


# --- statistics ---------------------------------------------------------------------------------------


def summarise(group: Group, *, level: float = 0.95) -> Summary:
    """Describe one group: n, mean, std, extremes, seed 0, with intervals and what they do not show."""
    description = describe(group.values, level=level, name=group.label)
    warnings = list(description.warnings)
    if group.n_left_out:
        trials = "1 trial" if group.n_left_out == 1 else f"{group.n_left_out} trials"
        warnings.append(f"{trials} without a result (diverged, failed or interrupted) left out")
    rank = rank_of(group.seed0, group.values) if group.seed0 is not None and group.n > 1 else None
    return Summary(group=group, description=description, seed0_rank=rank, warnings=tuple(dict.fromkeys(warnings)))


def compare_groups(
    a: Group, b: Group, *, level: float, margin: float | None, rng_seed: int = DEFAULT_RNG_SEED
) -> Comparison:
    """Compare B against A in their unit; both must be of one metric and one eval set."""
    if (a.metric, a.unit) != (b.metric, b.unit):
        raise StatisticsError(f"{a.label} is {a.metric}, {b.label} is {b.metric}: compare numbers of one metric.")
    if a.data != b.data:
        raise StatisticsError(f"{a.label} is on {a.data}, {b.label} is on {b.data}: compare on one data set.")
    rng = np.random.default_rng(rng_seed)
    return compare(a.values, b.values, rng=rng, level=level, margin=margin, names=(a.label, b.label))


def by_eval_set(groups: Iterable[Group]) -> Mapping[str, Group]:
    return {group.eval_set: group for group in groups}


def finite(value: float | None) -> float | None:
    """Return a number JSON can hold; what is not known is null."""
    return None if value is None or not math.isfinite(value) else float(value)


def interval(estimate: Estimate) -> list[float | None] | None:
    """Return [low, high], or None where nothing is known of either end."""
    ends = [finite(estimate.low), finite(estimate.high)]
    return None if ends == [None, None] else ends
