"""Tables with an arm in each column, or a seed in each column -> one row per run, as every other table has.

Both are recognised by the whole table and not by one name: what does not look alike in every column stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import DEFAULT_METRIC, direction_of, is_accuracy, is_default, plain
from seedstudy.read.names import (
    ARMS,
    COUNTS,
    EVAL_SETS,
    IDENTITY,
    MEANS,
    NOISE,
    PARAMETERS,
    RESULT,
    SETTING,
    SPREADS,
    is_clock_name,
    is_seed_name,
    words_of,
)
from seedstudy.read.request import Request
from seedstudy.read.table import VALUE, Role, Table, quoted_column

SIDE = "columns"
"""Column that is added: the arm, or the seed, that a column of the file was."""

_EVAL_SET = "eval_set"
_INDEX = frozenset(("fold", "folds", "cv"))
"""Last word of the name of a column that numbers the runs of every arm, beside those of `IDENTITY`."""

_SEED_COLUMN = re.compile(
    r"(?:(?P<before>.*[^A-Za-z]))?(?:seed|run|trial|rep|repeat|replicate|repetition|fold|init|s)[ _.:=#-]*"
    r"(?P<seed>\d{1,9})(?P<after>(?:\D.*)?)",
    re.IGNORECASE,
)
_BARE = re.compile(r"#?(?P<seed>\d{1,9})")
_TREND = 0.8
"""Rank correlation with their place from which numbers in bare columns look like epochs."""
_BASELINES = frozenset(
    ("baseline", "base", "control", "reference", "ref", "vanilla", "plain", "default", "ours", "old", "new")
)
_DATA_SETS = ("cifar", "imagenet", "mnist", "fashion_mnist", "svhn", "stl10", "food101", "places365", "inat")
"""How the names of data sets begin: columns that are all named so are no arms of one comparison."""
_RATIO = 4.0
"""Columns whose medians differ by more are not the same measure of several arms."""


def one_row_per_run(table: Table, pick: str | None, request: Request, where: str) -> tuple[Table, str | None]:
    """Return a table whose arms or seeds are columns with a row for each of their numbers, and what to pick from it.

    Any other table is returned as it is. Raises StudyError where columns may be epochs.
    """
    if request.metric in table.frame.columns or Role.MEASURE in table.roles.values():
        return table, pick  # the metric, or whatever the file's format measures, has a column of its own
    seeds = _seed_columns(table.frame)
    if seeds and pick not in table.frame.columns:
        table = _of_seeds(table, seeds, request, where)
        if "" in seeds:
            return table, pick
    arms = None if request.by else _arm_columns(table, pick, request, where)
    if arms is None:
        return table, pick
    label_of = dict(zip(arms.names, arms.labels, strict=True))
    return _of_arms(table, arms), pick if pick is None else label_of.get(pick, pick)


# --- a seed in each column ------------------------------------------------------------------------------


def _seed_columns(frame: pl.DataFrame) -> dict[str, dict[int, str]]:
    """Return measure -> seed -> column; "" is a measure without a name. Empty where rows are the seeds."""
    named = [name for name in frame.columns if is_seed_name(words_of(name)) and not _SEED_COLUMN.fullmatch(name)]
    if any(not _names_rows(frame[name]) for name in named):
        return {}
    has_clock = any(is_clock_name(name) for name in frame.columns)
    found: dict[str, dict[int, str]] = {}
    for name in frame.columns:
        bare = _BARE.fullmatch(name)
        match = bare or _SEED_COLUMN.fullmatch(name)
        if match is None or not frame[name].dtype.is_numeric() or (bare and has_clock):
            continue
        parts = () if bare else (match["before"] or "", match["after"])
        measure = " ".join(word for part in parts if (word := part.strip(" _-./:()")))
        found.setdefault(measure, {})[int(match["seed"])] = name
    return {measure: columns for measure, columns in found.items() if len(columns) > 1}


def _names_rows(cells: pl.Series) -> bool:
    """Say whether a column holds names, and its head is a word for the others: ``seed,0,1,2`` above ``baseline``."""
    return cells.dtype == pl.String and not any(re.search(r"\d", cell) for cell in cells.drop_nulls().to_list())


def _of_seeds(table: Table, measures: Mapping[str, Mapping[int, str]], request: Request, where: str) -> Table:
    frame = table.frame
    used = {name for columns in measures.values() for name in columns.values()}
    _refuse_epochs(frame, [name for name in frame.columns if name in used], where)
    others = [name for name in frame.columns if name not in used]
    summed = [name for name in others if frame[name].dtype.is_numeric() and set(words_of(name)) & (MEANS | SPREADS)]
    kept = [name for name in others if name not in summed]
    notes = [f"{', '.join(f'`{name}`' for name in summed)}: left out, the seeds are there"] if summed else []
    named = {measure or request.metric: columns for measure, columns in measures.items()}
    parts = []
    for seed in sorted({seed for columns in measures.values() for seed in columns}):
        cells = {name: pl.col(columns[seed]) if seed in columns else pl.lit(None) for name, columns in named.items()}
        numbers = [cell.cast(pl.Float64).alias(name) for name, cell in cells.items()]
        parts.append(frame.select(*kept, pl.lit(seed, dtype=pl.Int64).alias(SIDE), *numbers))
    roles = {name: role for name, role in table.roles.items() if name in kept}
    if not request.by:
        roles |= dict.fromkeys(_labels_of_rows(frame.select(kept)), Role.RECIPE)
    return replace(
        table,
        frame=pl.concat(parts),
        roles={**roles, SIDE: Role.SEED},
        units={name: unit for name, cols in named.items() if (unit := _unit_of(table, cols.values()))},
        notes=(*table.notes, *notes),
    )


def _unit_of(table: Table, names: Iterable[str]) -> str | None:
    """Return the unit that the cells of all columns say."""
    units = {table.units.get(name) for name in names}
    return units.pop() if len(units) == 1 else None


def _labels_of_rows(frame: pl.DataFrame) -> list[str]:
    """Return the column of text that names each row, where no column is known to; none where rows share a name."""
    own = {name for names in ARMS.values() for name in names}
    texts = [name for name in frame.columns if frame[name].dtype == pl.String]
    if any(plain(name) in own for name in texts):
        return []
    return [name for name in texts if frame[name].n_unique() == frame.height][:1]


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


def _arm_columns(table: Table, pick: str | None, request: Request, where: str) -> _Arms | None:
    """Return the columns that are arms; None where columns are measures or settings.

    Raises StudyError where a column of numbers holds a word, and where the columns may be metrics of one arm:
    ``clean_acc, robust_acc`` are as likely that as ``old_acc, new_acc`` are arms.
    """
    frame = table.frame
    names = [name for name in frame.columns if _may_be_arm(frame[name], table.roles.get(name), request)]
    if len(names) < 2 or any(name in (VALUE, *COUNTS) or PARAMETERS.match(name) for name in names):
        return None
    of_metric = _of_one_metric(names, request.metric)
    apart = [name for name in names if name not in of_metric]
    names = of_metric
    arms = replace(_named(names, request.metric), apart=apart)
    words = [set(words_of(label)) for label in arms.labels]
    if not all(arms.labels) or len({*zip(arms.labels, arms.sets, strict=True)}) < len(names):
        return None
    if any(is_default(label) or direction_of(label) for label in arms.labels):
        return None
    if all(plain(label).startswith(_DATA_SETS) for label in arms.labels):
        return None
    if any(each & SPREADS or each <= EVAL_SETS | RESULT for each in words):
        return None
    numbers = [name for name in names if frame[name].dtype.is_numeric()]
    if not numbers or not _are_alike(frame.select(numbers), is_accuracy(arms.measure) or request.unit is not None):
        return None
    if pick not in names and arms.is_of_measure and not any(map(_names_an_arm, arms.labels)):
        listed, file = " and ".join(f"`{name}`" for name in names[:3]), Path(where).name
        raise StudyError(
            f"{where}: are {listed} arms, or several metrics of the same runs? Arms are {file}:{names[0]} and "
            f"{file}:{names[1]}; a metric is --metric {quoted_column(names[0])}."
        )
    for name in names:
        if name not in numbers:
            odd = next(cell for cell in frame[name].drop_nulls().to_list() if not _is_number(cell))
            raise StudyError(
                f'{where}: column "{name}" holds "{odd[:30]}"; leave the cell of a run without result empty.'
            )
    return arms


def _may_be_arm(cells: pl.Series, declared: Role | None, request: Request) -> bool:
    """Say whether a column may hold the numbers of an arm, by its name and cells."""
    name, words = cells.name, words_of(cells.name)
    if name in (*request.ignore, request.clock, request.seeds_by) or declared is not None:
        return False
    if is_seed_name(words) or is_clock_name(name) or words[-1] in IDENTITY | _INDEX or set(words) & NOISE:
        return False
    known = cells.drop_nulls()
    if not cells.dtype.is_numeric():
        return known.len() > 2 and 2 * sum(map(_is_number, known.to_list())) > known.len()
    is_setting = bool(set(words) & SETTING) and known.n_unique() == 1 and known.len() > 1
    return not is_setting


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Arms:
    """Columns that are arms."""

    names: Sequence[str]
    labels: Sequence[str]
    sets: Sequence[str | None]
    """The eval set of each, where the names say so."""
    measure: str
    is_of_measure: bool = False
    """Whether the names are a word and the metric, as names of metrics are too."""
    apart: Sequence[str] = ()
    """Columns of the same arms by other metrics."""


def _of_one_metric(names: list[str], metric: str) -> list[str]:
    """Return the columns of the metric asked for where every arm has several: old_acc, old_loss, new_acc, new_loss."""
    by_metric: dict[str, list[str]] = {}
    for name in names:
        words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
        ends = ["_".join(words[cut:]) for cut in range(len(words) - 1, 0, -1)]
        starts = ["_".join(words[:cut]) for cut in range(1, len(words))]
        found = next((part for part in (*ends, *starts) if is_default(part) or direction_of(part)), "")
        by_metric.setdefault(found, []).append(name)
    if "" in by_metric or len(by_metric) < 2 or {len(each) for each in by_metric.values()} == {1}:
        return names
    is_asked = is_default if metric == DEFAULT_METRIC else lambda each: plain(each) == plain(metric)
    asked = [each for each in by_metric if is_asked(each)]
    return by_metric[asked[0]] if len(asked) == 1 else names


def _named(names: Sequence[str], metric: str) -> _Arms:
    """Return what distinguishes the names, and the measure that they share: acc_cutmix, acc_mixup -> acc.

    A first or last word that is an eval set in every name is one: val_cutmix, test_cutmix.
    """
    words = [[word for word in re.split(r"[^A-Za-z0-9]+", name) if word] for name in names]
    first = _shared(words)
    last = _shared([each[len(first) :][::-1] for each in words])[::-1]
    measure = "_".join([*first, *last])
    is_measure = bool(measure) and (is_default(measure) or direction_of(measure) or plain(measure) == plain(metric))
    if is_measure:
        words = [each[len(first) : len(each) - len(last)] for each in words]
    for end in (0, -1):
        if all(len(each) > 1 and each[end].lower() in EVAL_SETS for each in words):
            labels = ["_".join(each[1:] if end == 0 else each[:-1]) for each in words]
            return _Arms(
                names=names,
                labels=labels,
                sets=[each[end].lower() for each in words],
                measure=measure if is_measure else metric,
            )
    labels = ["_".join(each) for each in words] if is_measure else list(names)
    return _Arms(
        names=names,
        labels=labels,
        sets=[None] * len(names),
        measure=measure if is_measure else metric,
        is_of_measure=bool(is_measure),
    )


def _names_an_arm(label: str) -> bool:
    """Say whether a word before the metric can be that of an arm alone: a setting, a letter or number, a baseline."""
    words = set(words_of(label))
    return bool(words & (SETTING | _BASELINES)) or len(label) == 1 or re.search(r"\d", label) is not None


def _shared(lists: Sequence[list[str]]) -> list[str]:
    """Return the words with which all lists begin."""
    same = [len(set(words)) == 1 for words in zip(*lists, strict=False)]
    return lists[0][: [*same, False].index(False)]


def _are_alike(frame: pl.DataFrame, is_share: bool) -> bool:
    """Say whether all columns may hold one measure: of one size, of one kind, and no setting that is constant."""
    medians, whole = list[float](), list[str]()
    for column in frame:
        numbers = column.drop_nulls().cast(pl.Float64).drop_nans()
        if numbers.is_empty():
            return False
        is_constant = numbers.len() > 1 and numbers.n_unique() == 1
        if is_constant and not (is_share and float(numbers[0]) in (0.0, 1.0, 100.0)):
            return False
        if is_share and not (numbers.min() >= 0.0 and numbers.max() <= 100.0):  # type: ignore[operator]
            return False
        medians.append(abs(float(numbers.median())))  # type: ignore[arg-type]
        if (numbers == numbers.round()).all():
            whole.append(column.name)
    if whole and len(whole) < frame.width and any(set(words_of(name)) & SETTING for name in whole):
        return False
    return max(medians) <= _RATIO * min(medians)


def _of_arms(table: Table, arms: _Arms) -> Table:
    frame = table.frame
    others = [name for name in frame.columns if name not in (*arms.names, *arms.apart)]
    side = SIDE if SIDE not in others else "names of columns"
    has_sets = None not in arms.sets
    parts = [
        frame.select(
            *others,
            pl.lit(label).alias(side),
            *([pl.lit(eval_set).alias(_EVAL_SET)] if has_sets else []),
            pl.col(name).cast(pl.Float64).alias(arms.measure),
        )
        for name, label, eval_set in zip(arms.names, arms.labels, arms.sets, strict=True)
    ]
    roles = {name: role for name, role in table.roles.items() if name in others}
    roles |= {name: Role.SEED for name in others if words_of(name)[-1] in _INDEX}
    roles |= {side: Role.RECIPE, **({_EVAL_SET: Role.EVAL_SET} if has_sets else {})}
    unit = _unit_of(table, arms.names)
    return replace(table, frame=pl.concat(parts), roles=roles, units={arms.measure: unit} if unit else {})
