"""Files of results and plain numbers -> groups: one number per seed of one recipe on one eval set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.logs import IDENTITY, LAST_EPOCH, SEED, STATUS, UNFINISHED, parse_selector, read_trials
from seedstudy.read.metrics import DEFAULT_METRIC, is_accuracy, is_default, plain, rounding_note, to_points
from seedstudy.read.tables import VALUE
from seedstudy.study.group import Group, Values

_TIMM = {"epoch", "train_loss", "eval_top1"}
"""Columns of timm's summary.csv, which holds accuracies in percent, however small."""
_COUNTS = ("n_correct", "n_examples")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which results to read."""

    metric: str = DEFAULT_METRIC
    eval_sets: tuple[str, ...] | None = None
    """None for all."""
    unit: str | None = None
    """``percent`` or ``fraction`` of accuracies; needed only where the numbers leave it open."""

    def __post_init__(self) -> None:
        """Refuse a unit that does not exist."""
        if self.unit not in (None, "percent", "fraction"):
            raise StudyError(f'--unit "{self.unit}": expected percent or fraction.')


def group_of_numbers(values: npt.ArrayLike, label: str, request: Request) -> Group:
    """Return a group of plain numbers, one per seed: accuracies in percent or fractions, or any other metric."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise StatisticsError(f"{label}: expected one number per seed, got an array of shape {array.shape}.")
    is_share = _is_share(request.metric, request)
    return Group(
        label=label,
        recipe=label,
        model=None,
        data=None,
        eval_set=request.eval_sets[0] if request.eval_sets else EVAL_SET_ORDER[0],
        metric=request.metric,
        unit="pp" if is_share else None,
        seeds=None,
        values=to_points(array, request.unit, where=label) if is_share else array,
    )


def read_groups(selector: str, request: Request) -> list[Group]:
    """Return every group that a file selector names.

    ``FILE``, ``FILE:NAME`` (a recipe of a long table, or a column of a wide one), ``FILE:COLUMN=VALUE,…`` (rows of a
    table), a folder of trials, or a quoted pattern. Raises StudyError where it is unreadable or ambiguous, and
    StatisticsError where numbers are not accuracies, or may be percent or fractions.
    """
    parsed = parse_selector(selector)
    if parsed is None:
        why = "not a file of results; a folder is written with a slash" if Path(selector).exists() else "no such file"
        raise StudyError(f"{selector}: cannot be read ({why}).")
    files, pick = parsed
    where = files + (f":{pick}" if pick else "")
    table, notes = read_trials(files)
    is_percent = set(table.columns) >= _TIMM
    table = _long_form(table, request.metric)
    has_counts = _holds_counts(table, request.metric)
    unit = request.unit or ("percent" if is_percent or has_counts else None)
    if has_counts:
        table = table.with_columns((100.0 * pl.col("n_correct") / pl.col("n_examples")).alias(DEFAULT_METRIC))
    file_recipe = _name_of(files)
    if pick is not None:
        table, file_recipe = _picked(table, pick, files, request.metric)
    columns = _metric_columns(table, request, files)
    _check_pooling(table, set(columns.values()), files)
    groups = []
    for identity, rows in _by_identity(table):
        recipe, model = identity.get("recipe") or file_recipe, identity.get("model")
        label = recipe + (f"@{model}" if model else "")
        for default_set, column in columns.items():
            eval_set = identity.get("eval_set") or default_set
            is_named = "eval_set" in identity or len(columns) > 1
            if request.eval_sets and is_named and eval_set not in request.eval_sets:
                continue
            for name in (label, eval_set):
                if not name.isprintable():
                    raise StudyError(f"{where}: the name {name!r} holds control characters; rename it.")
            metric = request.metric if request.metric == DEFAULT_METRIC else column
            finished = rows.filter(~pl.col(UNFINISHED)) if UNFINISHED in rows.columns else rows
            values = _values(finished, column, where)
            is_share = _is_share(metric, request)
            if is_share:
                values = to_points(values, unit, where=where)
            n_examples = _n_examples(finished, column)
            rounded = None if n_examples is None or has_counts else rounding_note(values, n_examples)
            groups.append(
                Group(
                    label=label,
                    recipe=recipe,
                    model=model,
                    data=identity.get("data"),
                    eval_set=eval_set,
                    metric=metric,
                    unit="pp" if is_share else None,
                    seeds=_seeds(finished, where, f"{label}, {eval_set}"),
                    values=values,
                    n_left_out=rows.height - finished.height,
                    notes=notes if rounded is None else (*notes, rounded),
                    origin=files,
                    step=None if n_examples is None else 100.0 / n_examples,
                )
            )
    if not groups:
        raise StudyError(f"{files}: holds no result on {', '.join(request.eval_sets or ())}.")
    return groups


def _is_share(metric: str, request: Request) -> bool:
    """Say whether values are accuracies: by the metric's name, or because the user gave their unit."""
    return request.unit is not None or is_accuracy(metric)


def _name_of(files: str) -> str:
    """Return the name of a recipe that a file does not name: the file's, or its folder's where all logs share one."""
    path = Path(files)
    if any(mark in files for mark in "*?[") or path.stem in ("summary", "metrics", "all_results", "trainer_state"):
        fixed = re.split(r"[*?\[]", files, maxsplit=1)[0].rstrip("/")
        parent = Path(fixed) if fixed != files else path.parent
        return parent.name or path.stem
    return path.stem


def _long_form(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return a table of ``metric, value`` pairs with the metric as a column of its own."""
    if {"metric", VALUE} <= set(table.columns) and metric in table["metric"].cast(pl.String).to_list():
        return table.filter(pl.col("metric").cast(pl.String) == metric).drop("metric").rename({VALUE: metric})
    return table


def _holds_counts(table: pl.DataFrame, metric: str) -> bool:
    return (
        metric == DEFAULT_METRIC
        and DEFAULT_METRIC not in table.columns
        and all(name in table.columns and table[name].dtype.is_numeric() for name in _COUNTS)
    )


def _picked(table: pl.DataFrame, pick: str, files: str, metric: str) -> tuple[pl.DataFrame, str]:
    """Return the picked rows, or the picked column as the metric's, and the name of the recipe."""
    if "=" in pick:
        for condition in pick.split(","):
            name, _, value = (part.strip() for part in condition.partition("="))
            if name not in table.columns:
                raise StudyError(f'{files}: no column "{name}".{suggest(name, table.columns)}')
            cells = table[name].cast(pl.String)
            table = table.filter(cells == value)
            if table.is_empty():
                raise StudyError(f'{files}: no row has {name} = "{value}".{suggest(value, set(cells.drop_nulls()))}')
        return table, pick
    recipe, _, model = pick.partition("@")
    if "recipe" in table.columns:
        names = table["recipe"].cast(pl.String)
        picked = table.filter(names == recipe)
        if model and "model" in table.columns:
            picked = picked.filter(pl.col("model").cast(pl.String) == model)
        if picked.is_empty():
            raise StudyError(f'{files}: holds no "{pick}".{suggest(pick, set(names.drop_nulls()))}')
        return picked, recipe
    if pick in table.columns:
        others = [name for name in table.columns if name not in (pick, SEED, "model", "data", "eval_set")]
        return table.drop(others).filter(pl.col(pick).is_not_null()).rename({pick: metric}), pick
    raise StudyError(f'{files}: neither a recipe nor a column is named "{pick}".{suggest(pick, table.columns)}')


def _metric_columns(table: pl.DataFrame, request: Request, files: str) -> dict[str, str]:
    """Return eval set -> column of the metric."""
    metric = request.metric
    default_set = request.eval_sets[0] if request.eval_sets and len(request.eval_sets) == 1 else EVAL_SET_ORDER[0]
    columns = [name for name in table.columns if name not in (SEED, *IDENTITY, LAST_EPOCH, UNFINISHED, STATUS)]
    if metric in columns:
        return {default_set: metric}
    per_set = {}
    for eval_set in EVAL_SET_ORDER:
        names = {f"{eval_set}_{plain(metric)}", f"{plain(metric)}_{eval_set}"}
        if metric == DEFAULT_METRIC:
            names.add(eval_set)
        matches = [name for name in columns if plain(name) in names]
        if len(matches) == 1:
            per_set[eval_set] = matches[0]
    if per_set:
        return per_set
    if columns == [VALUE]:
        return {default_set: VALUE}
    if metric == DEFAULT_METRIC:
        matches = [name for name in columns if is_default(name)]
        if len(matches) == 1:
            return {default_set: matches[0]}
        if matches:
            raise StudyError(f"{files}: several columns may be top-1: use --metric {' or --metric '.join(matches)}.")
    numbers = [name for name in columns if table[name].dtype.is_numeric()]
    how = f", or pick a recipe's column: {Path(files).name}:{numbers[0]}" if numbers else ""
    raise StudyError(f'{files}: no column "{metric}".{suggest(metric, columns)} Name it with --metric{how}.')


def _check_pooling(table: pl.DataFrame, metrics: set[str], files: str) -> None:
    """Refuse to pool rows that a text column distinguishes: they are different recipes, not seeds of one."""
    for name in table.columns:
        if name in (*IDENTITY, *metrics, SEED, STATUS) or table[name].dtype != pl.String:
            continue
        cells = table[name].drop_nulls()
        kinds = cells.unique(maintain_order=True).to_list()
        if 1 < len(kinds) < cells.len():
            shown = ", ".join(kind[:30] for kind in kinds[:4]) + ("…" if len(kinds) > 4 else "")
            raise StudyError(
                f'{files}: column "{name}" holds {shown}: which rows are seeds of one recipe? '
                f"Pick them: {Path(files).name}:{name}={kinds[0][:30]}."
            )


def _by_identity(table: pl.DataFrame) -> Iterator[tuple[Mapping[str, str | None], pl.DataFrame]]:
    keys = [name for name in IDENTITY if name in table.columns]
    if not keys:
        yield {}, table
        return
    for values, rows in table.group_by(keys, maintain_order=True):
        yield {key: None if value is None else str(value) for key, value in zip(keys, values, strict=True)}, rows


def _values(rows: pl.DataFrame, column: str, where: str) -> Values:
    cells = rows[column]
    if not cells.dtype.is_numeric():
        words = cells.cast(pl.String).drop_nulls()
        odd = words.filter(words.cast(pl.Float64, strict=False).is_null())
        shown = f'"{odd[0][:30]}"' if odd.len() else "no number"
        raise StudyError(f'{where}: column "{column}" holds {shown}; every row needs a number.')
    if cells.is_empty():
        raise StudyError(f'{where}: column "{column}" holds no result of a finished trial.')
    if cells.null_count():
        row = cells.is_null().arg_true()[0] + 1
        raise StudyError(f'{where}: column "{column}" is empty in trial {row} of {rows.height}; fill or drop the row.')
    numbers: Values = cells.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise StudyError(
            f'{where}: column "{column}" is {numbers[bad[0]]:g} in trial {bad[0] + 1} of {rows.height}; a diverged '
            "trial has no result: drop its row, and say so in the report."
        )
    return numbers


def _seeds(rows: pl.DataFrame, where: str, what: str) -> tuple[int, ...] | None:
    if SEED not in rows.columns or rows[SEED].null_count() or not rows[SEED].dtype.is_integer():
        return None
    repeated = rows[SEED].filter(rows[SEED].is_duplicated())
    if repeated.len():
        raise StudyError(
            f"{where}: seed {repeated[0]} is in several rows of {what}; a seed counts once: give one row per seed, "
            "or pick rows with FILE:column=value."
        )
    return tuple(rows[SEED].to_list())


def _n_examples(rows: pl.DataFrame, column: str) -> int | None:
    """Return the images of the eval set, where the file says."""
    if column != DEFAULT_METRIC or "n_examples" not in rows.columns or not rows["n_examples"].dtype.is_integer():
        return None
    return int(rows["n_examples"][0]) if rows["n_examples"].n_unique() == 1 else None
