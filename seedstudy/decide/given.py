"""What a caller gives -> arms, each with its name: words of a command, paths, numbers, frames, dicts."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike, fspath
from typing import Any

import numpy as np
import polars as pl

from seedstudy.errors import UsageError, suggest
from seedstudy.study.group import Values

Given = Any
"""``"a3"``, ``"runs.csv:cutmix"``, a path, one number per seed, ``{seed: number}``, or a Polars or pandas frame."""

_MOST = len(string.ascii_uppercase)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One arm as it was given: where its numbers are, and what to call it."""

    words: str = ""
    """A selector of studies and files; with a `frame`, of its rows ("" for all)."""
    frame: pl.DataFrame | None = None
    values: Values | None = None
    """One number per seed."""
    seeds: tuple[int, ...] | None = None
    """Of the values, where they were given."""
    label: str = ""
    """What the caller calls it; "": as the source says."""

    def __str__(self) -> str:
        return self.label or self.words or "the frame"


def arms_of(
    what: Sequence[Given],
    named: Mapping[str, Given] | None = None,
    *,
    of: str,
    options: Sequence[str] = (),
    is_table: bool = False,
) -> list[Arm]:
    """Return the arms of a call ``of(*what, **named)`` of a function with these `options`.

    A frame that comes first, before names, is what all arms are looked up in, and so is a list of records. One mapping
    is a dict of arms; with `is_table` (arms are told apart by a column) it is a table.

    Raises UsageError for what is no arm, and where some arms have names and others do not.
    """
    named = dict(named or {})
    only = what[0] if len(what) == 1 and not named else None
    if isinstance(only, list) and (table := _table(only)) is not None:
        what = [table]
    elif isinstance(only, Mapping) and not _is_by_seed(only):
        table = _table(only) if is_table else None
        if table is None:
            what, named = [], {str(name): given for name, given in only.items()}
        else:
            what = [table]
    frames = [frame_of(given) for given in what]
    if frames and frames[0] is not None and all(isinstance(given, str) for given in (*what[1:], *named.values())):
        if what[1:] and named:
            raise _unknown(of, options, next(iter(named)), named)
        picks = [("", str(pick)) for pick in what[1:]] or list(named.items()) or [("", "")]
        return [Arm(words=pick, frame=frames[0], label=label) for label, pick in picks]
    if what and named:
        raise _unknown(of, options, next(iter(named)), named)
    if len(what) > _MOST and not all(isinstance(given, str | PathLike) for given in what):
        raise UsageError(f"{of}: {len(what)} arms without names; give a dict of them, {{name: numbers}}.")
    letters = iter(string.ascii_uppercase)
    arms = [_arm(given, lambda: next(letters), of, frame) for given, frame in zip(what, frames, strict=True)]
    for name, given in named.items():
        if isinstance(given, Real | None):
            raise _unknown(of, options, name, named)
        arms.append(_arm(given, lambda name=name: name, of, frame_of(given), label=name))  # type: ignore[misc]
    return arms


def _unknown(of: str, options: Sequence[str], name: str, named: Mapping[str, Given]) -> UsageError:
    example = f"{of}(baseline=[78.0, 78.1], new=[79.6, 79.7])"
    shown = f"{named[name]!r}"[:40]
    hint = suggest(name, options)
    return UsageError(
        f"{of}: {name}={shown} is not an option.{hint if 'mean' in hint else ''} As an arm it needs one number "
        f"per seed or a selector, and every arm a name: {example}."
    )


def _arm(given: Given, name: Callable[[], str], of: str, frame: pl.DataFrame | None, label: str = "") -> Arm:
    if isinstance(given, str):
        return Arm(words=given, label=label)
    if isinstance(given, PathLike):
        return Arm(words=fspath(given), label=label)
    if frame is not None:
        return Arm(frame=frame, label=label or name())
    if isinstance(given, Mapping) and _is_by_seed(given):
        label, seeds = label or name(), tuple(int(seed) for seed in given)
        return Arm(values=_numbers(list(given.values()), label, of), seeds=seeds, label=label)
    label = label or name()
    return Arm(values=_numbers(given, label, of), label=label)


def _is_by_seed(given: Mapping[Any, Any]) -> bool:
    """Say whether a mapping is one arm, seed -> number."""
    return bool(given) and all(isinstance(seed, int) and _is_number(x) for seed, x in given.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _numbers(given: Given, name: str, of: str) -> Values:
    expected = "expected one number per seed ([79.6, 79.7]), a selector, a path or a frame"
    if isinstance(given, bytes | bool | None) or _is_number(given):
        raise UsageError(f"{of}: {name} is {given!r}; {expected}.")
    try:
        entries = list(given)
    except TypeError:
        raise UsageError(f"{of}: {name} is of the type {type(given).__name__}; {expected}.") from None
    if not entries:
        raise UsageError(f"{of}: {name} holds no number; {expected}.")
    for position, entry in enumerate(entries):
        if isinstance(entry, str):
            raise UsageError(f'{of}: {name} is a list that holds the text "{entry[:40]}"; {expected}.')
        if not _is_number(entry) and entry is not None and not hasattr(entry, "__float__"):
            raise UsageError(f"{of}: entry {position} of {name} is of the type {type(entry).__name__}; {expected}.")
    try:
        return np.array([np.nan if entry is None else float(entry) for entry in entries], dtype=np.float64)
    except (TypeError, ValueError):  # pandas.NA, an array in the array
        raise UsageError(f"{of}: {name} holds what is not one number per seed; {expected}.") from None


# --- frames ---------------------------------------------------------------------------------------------


def _table(given: Given) -> pl.DataFrame | None:
    """Return columns or records as a frame; None for anything else."""
    if isinstance(given, Mapping) and given:
        columns = {str(name): column for name, column in given.items()}
        if all(isinstance(column, Sequence) and not isinstance(column, str) for column in columns.values()):
            lengths = {len(column) for column in columns.values()}
            return _frame((name, list(column)) for name, column in columns.items()) if len(lengths) == 1 else None
    if isinstance(given, list) and given and all(isinstance(record, Mapping) for record in given):
        names = dict.fromkeys(str(name) for record in given for name in record)
        return _frame((name, [record.get(name) for record in given]) for name in names)
    return None


def frame_of(given: Given) -> pl.DataFrame | None:
    """Return a Polars, pandas or Arrow table as a frame with plain cells; None for anything else.

    pandas is not imported: its frames are known by what they can do. Names of its rows become a column.
    """
    if isinstance(given, pl.LazyFrame):
        return given.collect()
    if isinstance(given, pl.DataFrame):
        return given
    if hasattr(given, "reset_index") and hasattr(given, "iloc") and hasattr(given, "columns"):
        return _of_pandas(given)
    if hasattr(given, "__arrow_c_stream__") and hasattr(given, "schema"):  # a table, not one column
        return pl.DataFrame(given)
    return None


def _of_pandas(frame: Any) -> pl.DataFrame:
    if type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index()
    columns = []
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        missing = column.isna().tolist()
        cells = [None if is_missing else x for x, is_missing in zip(column.tolist(), missing, strict=True)]
        words = [str(part) for part in (name if isinstance(name, tuple) else (name,)) if str(part)]
        columns.append((" ".join(words), cells))
    return _frame(iter(columns))


def _frame(columns: Iterator[tuple[str, list[Any]]]) -> pl.DataFrame:
    series = []
    for name, cells in columns:
        known = [cell for cell in cells if cell is not None]
        if not all(_is_number(cell) for cell in known):
            # pandas has nan for an empty cell, among text too
            cells = [None if cell is None or cell != cell else str(cell) for cell in cells]
        series.append(pl.Series(name, cells, strict=False))
    repeated = [one.name for one in series if [other.name for other in series].count(one.name) > 1]
    if repeated:
        raise UsageError(f'the frame has several columns "{repeated[0]}"; give each a name of its own.')
    return pl.DataFrame(series)
