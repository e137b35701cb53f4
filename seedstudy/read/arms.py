"""Rows of trials -> arms: the results of one recipe on one eval set, one number per seed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StudyError, suggest
from seedstudy.read.logs import IDENTITY, LAST, SEED, is_selector, read_trials
from seedstudy.read.metrics import Values, is_accuracy, is_default, plain, to_points
from seedstudy.read.tables import SUFFIXES, VALUE

DEFAULT_METRIC = "top1"
UNFINISHED = "unfinished"
_PICKED = re.compile(rf"(?P<file>.+(?:{'|'.join(map(re.escape, SUFFIXES))})):(?P<pick>[^/:]+)", re.IGNORECASE)
_COUNTS = {"n_correct", "n_examples"}
_TIMM = {"epoch", "train_loss", "eval_top1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is asked of a file."""

    metric: str = DEFAULT_METRIC
    eval_sets: tuple[str, ...] | None = None
    unit: str | None = None
    """``percent`` or ``fraction`` of accuracies; needed only where the numbers do not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """The results of one recipe on one eval set, read from files."""

    label: str
    recipe: str
    model: str | None
    data: str | None
    eval_set: str
    metric: str
    unit: str | None
    """``pp`` (percentage points) for accuracies; None for any other metric."""
    seeds: tuple[int, ...] | None
    values: Values
    n_left_out: int
    """Trials that the file says did not finish."""
    notes: tuple[str, ...]
    n_examples: int | None = None
    """Images of the eval set, where the file says."""
    has_counts: bool = False
    """Whether the file gave the number of right images, so that no value is rounded."""


def parse_selector(selector: str) -> tuple[str, str | None] | None:
    """Return the files a selector means and what to pick from them; None where it means a study's recipe."""
    picked = _PICKED.fullmatch(selector)
    if picked and not Path(selector).exists():
        return picked["file"], picked["pick"]
    return (selector, None) if is_selector(selector) else None


def read_arms(selector: str, wanted: Wanted) -> list[Arm]:
    """Return every arm that a file selector names.

    ``FILE``, ``FILE:NAME`` (a recipe of a long table, or a column of a wide one), ``FILE:COLUMN=VALUE,…`` (rows of a
    table), a folder of trials, or a pattern in quotes.

    Raises
    ------
    StudyError
        Unreadable, or not clear what is meant; one line with file, row or column, and how to fix it.
    StatisticsError
        Numbers that are no accuracies, or accuracies of which percent or fraction is not clear.

    """
    parsed = parse_selector(selector)
    assert parsed is not None, selector
    files, pick = parsed
    table, notes = read_trials(files)
    is_percent = set(table.columns) >= _TIMM  # timm writes percent, whatever the value
    table = _in_long_form(table, wanted.metric)
    has_counts = (
        wanted.metric == DEFAULT_METRIC and set(table.columns) >= _COUNTS and DEFAULT_METRIC not in table.columns
    )
    if has_counts:
        table = table.with_columns((100.0 * pl.col("n_correct") / pl.col("n_examples")).alias(DEFAULT_METRIC))
        is_percent = True
    recipe = _stem(files)
    if pick is not None:
        table, recipe, column = _picked(table, pick, files)
        if column is not None:
            table = table.rename({column: wanted.metric}) if column != wanted.metric else table
    columns = _metric_columns(table, wanted, files)
    _check_pooling(table, set(columns.values()), files)
    arms = []
    for identity, rows in _groups(table):
        name = str(identity.get("recipe") or recipe)
        model, data = (identity.get(key) for key in ("model", "data"))
        for eval_set, column in columns.items():
            of_set = identity.get("eval_set") or eval_set
            is_named = "eval_set" in identity or len(columns) > 1
            if wanted.eval_sets and is_named and of_set not in wanted.eval_sets:
                continue
            unit = "percent" if is_percent and wanted.unit is None else wanted.unit
            arms.append(
                _arm(
                    rows,
                    column,
                    where=f"{files}" + (f":{pick}" if pick else ""),
                    label=name + (f"@{model}" if model else ""),
                    recipe=name,
                    model=model,
                    data=data,
                    eval_set=of_set,
                    metric=wanted.metric if wanted.metric == DEFAULT_METRIC else column,
                    unit=unit,
                    notes=notes,
                    has_counts=has_counts,
                )
            )
    if not arms:
        raise StudyError(f"{files}: holds no result on {', '.join(wanted.eval_sets or ())}.")
    return arms


def _stem(files: str) -> str:
    """Return what to call the arm of a file: its name, or its folder's where the name is every trial's."""
    path = Path(files)
    if any(mark in files for mark in "*?[") or path.stem in ("summary", "metrics", "all_results", "trainer_state"):
        fixed = re.split(r"[*?\[]", files, maxsplit=1)[0].rstrip("/")
        parent = Path(fixed) if fixed != files else path.parent
        return parent.name or path.stem
    return path.stem


def _in_long_form(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return a table of ``metric, value`` pairs with the wanted metric as a column of its own."""
    if {"metric", VALUE} <= set(table.columns) and metric in table["metric"].cast(pl.String).to_list():
        return table.filter(pl.col("metric").cast(pl.String) == metric).drop("metric").rename({VALUE: metric})
    return table


def _picked(table: pl.DataFrame, pick: str, files: str) -> tuple[pl.DataFrame, str, str | None]:
    """Return the rows that were picked, how the recipe is called, and the column where one was picked."""
    if "=" in pick:
        for condition in pick.split(","):
            name, _, value = (part.strip() for part in condition.partition("="))
            if name not in table.columns:
                raise StudyError(f'{files}: no column "{name}".{suggest(name, table.columns)}')
            cells = table[name].cast(pl.String)
            kept = table.filter(cells == value)
            if kept.is_empty():
                raise StudyError(f'{files}: no row has {name} = "{value}".{suggest(value, set(cells.drop_nulls()))}')
            table = kept
        return table, pick, None
    recipe, _, model = pick.partition("@")
    if "recipe" in table.columns:
        names = table["recipe"].cast(pl.String)
        kept = table.filter(names == recipe)
        if model and "model" in table.columns:
            kept = kept.filter(pl.col("model").cast(pl.String) == model)
        if kept.is_empty():
            known = {str(name) for name in names.drop_nulls()}
            raise StudyError(f'{files}: holds no "{pick}".{suggest(pick, known)}')
        return kept, recipe, None
    if pick in table.columns:
        others = [name for name in table.columns if name not in (pick, SEED, "model", "data", "eval_set")]
        return table.drop(others).filter(pl.col(pick).is_not_null()), pick, pick
    raise StudyError(f'{files}: neither a recipe nor a column is called "{pick}".{suggest(pick, table.columns)}')


def _metric_columns(table: pl.DataFrame, wanted: Wanted, files: str) -> dict[str, str]:
    """Return eval set -> column of the wanted metric."""
    default_set = wanted.eval_sets[0] if wanted.eval_sets and len(wanted.eval_sets) == 1 else EVAL_SET_ORDER[0]
    columns = [name for name in table.columns if name not in (SEED, *IDENTITY, LAST, UNFINISHED, "status")]
    if wanted.metric in columns:
        return {default_set: wanted.metric}
    per_set = {}
    for eval_set in EVAL_SET_ORDER:
        names = {f"{eval_set}_{plain(wanted.metric)}", f"{plain(wanted.metric)}_{eval_set}"}
        if wanted.metric == DEFAULT_METRIC:
            names.add(eval_set)
        found = [name for name in columns if plain(name) in names]
        if len(found) == 1:
            per_set[eval_set] = found[0]
    if per_set:
        return per_set
    if wanted.metric == DEFAULT_METRIC:
        found = [name for name in columns if is_default(name)]
        if not found and columns == [VALUE]:
            found = columns
        if len(found) == 1:
            return {default_set: found[0]}
        if found:
            raise StudyError(f"{files}: several columns may be meant: say --metric {' or --metric '.join(found)}.")
    elif columns == [VALUE]:
        return {default_set: VALUE}
    numbers = [name for name in columns if table[name].dtype.is_numeric()]
    how = " Name it with --metric" + (
        f", or pick a recipe's column: {Path(files).name}:{numbers[0]}." if numbers else "."
    )
    raise StudyError(f'{files}: no column "{wanted.metric}".{suggest(wanted.metric, columns)}{how}')


def _check_pooling(table: pl.DataFrame, metrics: set[str], files: str) -> None:
    """Refuse to pool rows that a text column tells apart: they are different recipes, not seeds of one."""
    for name in table.columns:
        cells = table[name]
        if name in (*IDENTITY, *metrics, SEED, "status") or cells.dtype != pl.String:
            continue
        kinds = cells.drop_nulls().unique(maintain_order=True).to_list()
        if 1 < len(kinds) < cells.drop_nulls().len():
            shown = ", ".join(str(kind)[:30] for kind in kinds[:4]) + ("…" if len(kinds) > 4 else "")
            raise StudyError(
                f'{files}: column "{name}" holds {shown}: which rows are seeds of one recipe? '
                f"Pick them: {Path(files).name}:{name}={str(kinds[0])[:30]}."
            )


def _groups(table: pl.DataFrame) -> Iterator[tuple[Mapping[str, Any], pl.DataFrame]]:
    keys = [name for name in IDENTITY if name in table.columns]
    if not keys:
        yield {}, table
        return
    for values, rows in table.group_by(keys, maintain_order=True):
        yield {key: None if value is None else str(value) for key, value in zip(keys, values, strict=True)}, rows


def _arm(
    rows: pl.DataFrame,
    column: str,
    *,
    where: str,
    label: str,
    recipe: str,
    model: str | None,
    data: str | None,
    eval_set: str,
    metric: str,
    unit: str | None,
    notes: tuple[str, ...],
    has_counts: bool,
) -> Arm:
    for name in (label, eval_set):
        if not name.isprintable():
            raise StudyError(f"{where}: the name {name!r} holds control characters; rename it.")
    n_rows = rows.height
    if UNFINISHED in rows.columns:
        rows = rows.filter(~pl.col(UNFINISHED))
    numbers = _numbers(rows, column, where)
    is_share = metric == DEFAULT_METRIC or unit is not None or is_accuracy(metric)
    return Arm(
        label=label,
        recipe=recipe,
        model=model,
        data=data,
        eval_set=eval_set,
        metric=metric,
        unit="pp" if is_share else None,
        seeds=_seeds(rows, where, f"{label}, {eval_set}"),
        values=to_points(numbers, unit, where=where) if is_share else numbers,
        n_left_out=n_rows - rows.height,
        notes=notes,
        n_examples=_n_examples(rows, column),
        has_counts=has_counts,
    )


def _n_examples(rows: pl.DataFrame, column: str) -> int | None:
    if column != DEFAULT_METRIC or "n_examples" not in rows.columns or not rows["n_examples"].dtype.is_integer():
        return None
    return int(rows["n_examples"][0]) if rows["n_examples"].n_unique() == 1 else None


def _numbers(rows: pl.DataFrame, column: str, where: str) -> Values:
    cells = rows[column]
    if not cells.dtype.is_numeric():
        words = [word for word in cells.cast(pl.String) if word is not None and not _is_number(word)]
        found = f'"{words[0][:30]}"' if words else "no number"
        raise StudyError(f'{where}: column "{column}" holds {found}; every row needs a number.')
    if cells.is_empty():
        raise StudyError(f'{where}: column "{column}" holds no result of a finished trial.')
    if cells.null_count():
        row = cells.is_null().arg_true()[0] + 1
        raise StudyError(
            f'{where}: column "{column}" is empty in trial {row} of {rows.height}; fill it or drop the row.'
        )
    numbers: Values = cells.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise StudyError(
            f'{where}: column "{column}" is {numbers[bad[0]]:g} in trial {bad[0] + 1} of {rows.height}; a diverged '
            "trial has no result: drop its row, and tell the reader."
        )
    return numbers


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _seeds(rows: pl.DataFrame, where: str, what: str) -> tuple[int, ...] | None:
    if SEED not in rows.columns or rows[SEED].null_count() or not rows[SEED].dtype.is_integer():
        return None
    seeds = tuple(rows[SEED].to_list())
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise StudyError(
            f"{where}: seed {twice[0]} stands in several rows of {what}; a seed counts once: give one row per seed, "
            "or pick rows with FILE:column=value."
        )
    return seeds
