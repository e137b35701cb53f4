"""A table -> cells for `scaling`: per row an error, and what it cost or what network and size it was."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seedstudy.errors import StudyError, suggest
from seedstudy.read.metrics import direction_of, is_accuracy, is_default, plain, to_points
from seedstudy.read.names import is_seed_name, words_of
from seedstudy.read.tables import cells_as_written, texts_of
from seedstudy.study.group import Reading, Values
from seedstudy.study.network import shape_of

if TYPE_CHECKING:
    import polars as pl

COSTS = ("flops", "gflops", "macs", "gmacs", "n_macs", "cost")
"""Names of a column that holds the cost, in lower case."""
COORDINATES = {
    "depth": ("depth", "layers", "n_layers"),
    "width": ("width", "width_multiplier"),
    "size": ("size", "resolution", "img_size", "image_size", "test_size", "px"),
    "epochs": ("epochs", "n_epochs"),
}
"""What networks are scaled by, and the columns that hold it."""
NETWORKS = ("model", "network", "architecture", "arch", "name")
"""Names of a column that says what a row's network is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One cell of a table: what was trained, and its errors."""

    label: str
    model: str | None
    """The timm name, where the table has a column of them."""
    coordinates: Mapping[str, float]
    """Depth, width, size, epochs: those that are known."""
    cost: float | None
    """As the table says; None where it does not."""
    strategy: str | None
    """Value of the column that was asked for."""
    errors: Values
    """One number per seed: percentage points for accuracies, else the metric itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The rows of a table."""

    rows: tuple[Row, ...]
    cost: str
    """Name of the cost; empty where networks have to be counted."""
    metric: str
    unit: str | None
    reading: Reading


def read_cells(
    source: Path | pl.DataFrame,
    *,
    metric: str,
    unit: str | None = None,
    cost: str | None = None,
    by: str | None = None,
    is_model: Callable[[str], bool] | None = None,
) -> Cells:
    """Read a table, or a frame, with one row per network, size and seed.

    Rows that agree in network, coordinates, cost and strategy are seeds of one cell.

    Parameters
    ----------
    metric
        Column of the results; ``top1`` also means the one column whose name says so.
    cost, by
        Columns of the cost and of the strategies; None: a cost by its name (`COSTS`), no strategies.
    is_model
        Says whether a text names a network that can be counted; needed where no column holds a cost.

    """
    path: Path | str = source if isinstance(source, Path) else "the frame"
    texts, written_unit = cells_as_written(source) if isinstance(source, Path) else (texts_of(source), None)
    value = _value_column(texts, metric, path)
    for name in (cost, by):
        if name is not None and name not in texts:
            raise StudyError(f'{path}: no column "{name}".{suggest(name, texts)}')
    cost = cost or next((name for name in texts if plain(name) in COSTS), None)
    model = None
    if is_model is not None:
        model = next((name for name, cells in texts.items() if any(cells) and all(map(is_model, cells))), None)
    if cost is None and model is None:
        raise StudyError(
            f"{path}: no column holds the cost ({', '.join(COSTS)}) and none holds timm's names of networks, which "
            "could be counted: say --cost COLUMN."
        )
    where = {what: next((name for name in texts if plain(name) in known), None) for what, known in COORDINATES.items()}
    numbers = [_number(text) for text in texts[value]]
    errors = _as_errors([math.nan if n is None else n for n in numbers], value, unit or written_unit, path)
    seeds = next((name for name in texts if is_seed_name(words_of(name))), None)
    names = next((cells for name, cells in texts.items() if plain(name) in NETWORKS), None)
    called: dict[Any, set[str]] = defaultdict(set)
    found: dict[tuple[str | None, tuple[tuple[str, float], ...], float | None, str | None], list[float]] = {}
    for row, error in enumerate(errors):
        if math.isnan(error):
            continue
        at = {what: _required(texts[name][row], name, path) for what, name in where.items() if name is not None}
        named = None if model is None else texts[model][row]
        if named is not None:
            at = coordinates_of_name(named) | at
        spent = None if cost is None else _required(texts[cost][row], cost, path)
        strategy = None if by is None else texts[by][row]
        cell = named, tuple(at.items()), spent, strategy
        found.setdefault(cell, []).append(error)
        called[cell].add("" if names is None else names[row])
    rows = tuple(
        Row(
            label=label_of(named or _only(called[named, at, spent, strategy]), dict(at), spent),
            model=named,
            coordinates=dict(at),
            cost=spent,
            strategy=strategy,
            errors=np.array(values, dtype=np.float64),
        )
        for (named, at, spent, strategy), values in found.items()
    )
    reading = Reading(
        file=str(path),
        n_runs=sum(r.errors.size for r in rows),
        metric=value,
        arms_by=(by,) if by else (),
        seeds_by=seeds,
    )
    accuracy = is_accuracy(value)
    return Cells(rows=rows, cost=cost or "", metric=value, unit="pp" if accuracy else None, reading=reading)


def _only(names: set[str]) -> str | None:
    """Return the one name of a cell; None where its rows have several, or none."""
    return next(iter(names)) or None if len(names) == 1 else None


def coordinates_of_name(model: str) -> dict[str, float]:
    """Return depth and width as a network's name says them; nothing where it does not."""
    shape = shape_of(model)
    return {} if shape is None else {"depth": float(shape.depth), "width": shape.width_percent / 100}


def _value_column(texts: Mapping[str, Sequence[str]], metric: str, path: Path | str) -> str:
    if metric in texts:
        return metric
    known = [name for name in texts if is_default(name)] or [name for name in texts if plain(name).startswith("top1")]
    if metric != "top1" or not known:
        raise StudyError(
            f'{path}: no column "{metric}".{suggest(metric, texts)} Say which holds the results: --metric.'
        )
    if len(known) > 1:
        raise StudyError(f"{path}: say which column holds the results: --metric {' or '.join(known)}.")
    return known[0]


def _as_errors(values: Sequence[float], name: str, unit: str | None, path: Path | str) -> Values:
    if is_accuracy(name):
        return 100.0 - to_points(values, unit, where=f"{path}, {name}")
    if direction_of(name) == "lower":
        return np.asarray(values, dtype=np.float64)
    raise StudyError(f"{path}: {name} is neither an accuracy nor an error by its name: rename the column.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _required(text: str, column: str, path: Path | str) -> float:
    number = _number(text)
    if number is None or not math.isfinite(number):
        raise StudyError(f'{path}: {column} = "{text}" in a row with a result is not a number.')
    return number


def label_of(model: str | None, coordinates: Mapping[str, float], cost: float | None) -> str:
    """Return what a cell is called: ``resnetrs50, size 160``."""
    named = {} if model is None else coordinates_of_name(model)
    words = [f"{what} {value:g}" for what, value in coordinates.items() if what not in named]
    words = [word for word in words if model is None or not word.startswith("depth")]
    return ", ".join(words if model is None else [model, *words]) or f"cost {cost:g}"
