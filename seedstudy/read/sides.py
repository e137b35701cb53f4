"""Tables with an arm in each column, or a seed in each column -> one row per run, as every other table has.

Both are recognised by the whole table and not by one name: what does not look alike in every column stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import direction_of, is_accuracy, is_default, plain
from seedstudy.read.names import (
    COUNTS,
    EVAL_SETS,
    IDENTITY,
    MEANS,
    PARAMETERS,
    SPREADS,
    is_clock_name,
    is_seed_name,
    words_of,
)
from seedstudy.read.request import Request
from seedstudy.read.table import VALUE, Role, Table

SIDE = "columns"
"""Column that is added: the arm, or the seed, that a column of the file was."""

_SEED_COLUMN = re.compile(
    r"(?:(?P<before>.*[^A-Za-z]))?(?:seed|run|trial|rep|repeat|replicate|repetition|fold|init|s)[ _.:=#-]*"
    r"(?P<seed>\d{1,9})(?P<after>\D*)",
    re.IGNORECASE,
)
_BARE = re.compile(r"#?(?P<seed>\d{1,9})")
_TREND = 0.8
"""Rank correlation with their place from which numbers in bare columns look like epochs."""
_RATIO = 4.0
"""Columns whose medians differ by more are not the same measure of several arms."""


def one_row_per_run(table: Table, pick: str | None, request: Request, where: str) -> tuple[Table, str | None]:
    """Return a table whose arms or seeds are columns with a row for each of their numbers, and what to pick from it.

    Any other table is returned as it is. Raises StudyError where columns may be epochs.
    """
    if request.metric in table.frame.columns:
        return table, pick
    seeds = _seed_columns(table.frame)
    if seeds and pick not in table.frame.columns:
        return _of_seeds(table, seeds, request, where), pick
    arms = None if request.by else _arm_columns(table, request)
    if arms is None:
        return table, pick
    labels, measure = arms
    return _of_arms(table, labels, measure), pick if pick is None else labels.get(pick, pick)


# --- a seed in each column ------------------------------------------------------------------------------


def _seed_columns(frame: pl.DataFrame) -> dict[str, dict[int, str]]:
    """Return measure -> seed -> column; "" is a measure without a name. Empty where rows are the seeds."""
    if any(is_seed_name(words_of(name)) and not _SEED_COLUMN.fullmatch(name) for name in frame.columns):
        return {}
    if any(is_clock_name(name) for name in frame.columns):
        return {}
    found: dict[str, dict[int, str]] = {}
    for name in frame.columns:
        bare = _BARE.fullmatch(name)
        match = bare or _SEED_COLUMN.fullmatch(name)
        if match is None or not frame[name].dtype.is_numeric():
            continue
        parts = () if bare else (match["before"] or "", match["after"])
        measure = " ".join(word for part in parts if (word := part.strip(" _-./:()")))
        found.setdefault(measure, {})[int(match["seed"])] = name
    return {measure: columns for measure, columns in found.items() if len(columns) > 1}


def _of_seeds(table: Table, measures: Mapping[str, Mapping[int, str]], request: Request, where: str) -> Table:
    frame = table.frame
    used = {name for columns in measures.values() for name in columns.values()}
    _refuse_epochs(frame, [name for name in frame.columns if name in used], where)
    others = [name for name in frame.columns if name not in used]
    summed = [name for name in others if frame[name].dtype.is_numeric() and set(words_of(name)) & (MEANS | SPREADS)]
    kept = [name for name in others if name not in summed]
    notes = [f"{', '.join(f'`{name}`' for name in summed)}: left out, the seeds are there"] if summed else []
    seeds = sorted({seed for columns in measures.values() for seed in columns})
    named = {measure or request.metric: columns for measure, columns in measures.items()}
    parts = []
    for seed in seeds:
        cells = {name: pl.col(columns[seed]) if seed in columns else pl.lit(None) for name, columns in named.items()}
        numbers = [cell.cast(pl.Float64).alias(name) for name, cell in cells.items()]
        parts.append(frame.select(*kept, pl.lit(seed, dtype=pl.Int64).alias(SIDE), *numbers))
    texts = [name for name in kept if frame[name].dtype == pl.String]
    roles = {name: role for name, role in table.roles.items() if name in kept}
    if len(texts) == 1 and not request.by:
        roles[texts[0]] = Role.RECIPE
    return replace(table, frame=pl.concat(parts), roles={**roles, SIDE: Role.SEED}, notes=(*table.notes, *notes))


def _refuse_epochs(frame: pl.DataFrame, names: Sequence[str], where: str) -> None:
    """Refuse bare numbers as names where the cells rise or fall along them as in training."""
    if len(names) < 4 or not all(map(_BARE.fullmatch, names)):
        return
    ordered = sorted(names, key=lambda name: int(name.lstrip("#")))
    cells = frame.select(pl.col(ordered).cast(pl.Float64)).to_numpy()
    places = np.arange(len(ordered))
    trends = [abs(np.corrcoef(places, row.argsort().argsort())[0, 1]) for row in cells if np.isfinite(row).all()]
    if trends and min(trends) > _TREND:
        raise StudyError(
            f"{where}: the numbers follow the columns {ordered[0]}, {ordered[1]}, … in every row: seeds or epochs? "
            f"Seeds are columns named seed{ordered[0]}, seed{ordered[1]}, …"
        )


# --- an arm in each column ------------------------------------------------------------------------------


def _arm_columns(table: Table, request: Request) -> tuple[dict[str, str], str] | None:
    """Return the columns that are arms, with their labels, and the measure; None where columns are measures."""
    frame = table.frame
    names = [
        name
        for name in frame.columns
        if frame[name].dtype.is_numeric()
        and name not in request.ignore
        and name not in (request.clock, request.seeds_by)
        and not is_seed_name(words_of(name))
        and not is_clock_name(name)
        and words_of(name)[-1] not in IDENTITY
        and table.roles.get(name) not in (Role.CLOCK, Role.SEED, Role.IDENTITY, Role.NOISE)
    ]
    if len(names) < 2 or any(name in (VALUE, *COUNTS) or PARAMETERS.match(name) for name in names):
        return None
    labels, measure = _labels(names, request.metric)
    words = [set(words_of(label)) for label in labels]
    if not all(labels) or len(set(labels)) < len(labels) or any(each <= EVAL_SETS for each in words):
        return None
    if any(is_default(label) or direction_of(label) for label in labels) or any(each & SPREADS for each in words):
        return None
    is_share = is_accuracy(measure) or request.unit is not None
    return (dict(zip(names, labels, strict=True)), measure) if _are_alike(frame.select(names), is_share) else None


def _labels(names: Sequence[str], metric: str) -> tuple[list[str], str]:
    """Return what distinguishes the names, and the measure that they share: acc_cutmix, acc_mixup -> acc."""
    words = [re.split(r"[^A-Za-z0-9]+", name) for name in names]
    first = _shared(words)
    last = _shared([each[len(first) :][::-1] for each in words])[::-1]
    measure = "_".join([*first, *last])
    if measure and (is_default(measure) or direction_of(measure) or plain(measure) == plain(metric)):
        return ["_".join(each[len(first) : len(each) - len(last)]) for each in words], measure
    return list(names), metric


def _shared(lists: Sequence[list[str]]) -> list[str]:
    """Return the words with which all lists begin."""
    same = [len(set(words)) == 1 for words in zip(*lists, strict=False)]
    return lists[0][: [*same, False].index(False)]


def _are_alike(frame: pl.DataFrame, is_share: bool) -> bool:
    """Say whether all columns may hold one measure: of one size, of one kind, and no setting that is constant."""
    medians, kinds = [], set()
    for column in frame:
        numbers = column.drop_nulls().cast(pl.Float64).drop_nans()
        if numbers.is_empty() or (numbers.len() > 1 and numbers.n_unique() == 1):
            return False
        if is_share and not (numbers.min() >= 0.0 and numbers.max() <= 100.0):  # type: ignore[operator]
            return False
        medians.append(abs(float(numbers.median())))  # type: ignore[arg-type]
        kinds.add(bool((numbers == numbers.round()).all()))
    return len(kinds) == 1 and max(medians) <= _RATIO * min(medians)


def _of_arms(table: Table, arms: Mapping[str, str], measure: str) -> Table:
    frame = table.frame
    others = [name for name in frame.columns if name not in arms]
    parts = [
        frame.select(*others, pl.lit(label).alias(SIDE), pl.col(name).cast(pl.Float64).alias(measure))
        for name, label in arms.items()
    ]
    roles = {name: role for name, role in table.roles.items() if name in others}
    return replace(table, frame=pl.concat(parts), roles={**roles, SIDE: Role.RECIPE})
