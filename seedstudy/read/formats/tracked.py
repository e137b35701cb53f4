"""Runs of an experiment tracker -> one table: a row per run and point, and the roles that a tracker declares."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.metrics import plain
from seedstudy.read.names import ARMS, STATUSES, is_clock_name, is_seed_name, words_of
from seedstudy.read.table import Role, Table
from seedstudy.read.tables import columns_frame

STATUS = "status"
_DEPTH = 8


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_MACHINE = word_set("""
    gpu gpus cpu cpus device devices worker workers num n world size rank local node nodes port pid dir output out path
    folder file log logging save resume checkpoint wandb project entity verbose
""")
"""Settings whose words are all among these say where a run took place and not how it was trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run, as a tracker stores it."""

    identity: Mapping[str, str]
    """Names of the run by column: the same columns for every run of a tracker."""
    points: Sequence[Mapping[str, Any]]
    """What was logged together, its clock among it; numbers, and text where a tracker stores words."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Flat: values are numbers, text, truth values or None."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What somebody attached to the run, such as tags: roles by their cells and names."""
    status: str | None = None


def table_of_runs(
    runs: Sequence[Run], where: Path, *, clocks: Sequence[str] = (), unit: str | None = None, notes: Sequence[str] = ()
) -> Table:
    """Return the rows of runs. One without a number is a row where it did not finish, else left out with a note.

    Columns have the tracker's own names. A setting named like a metric is prefixed with ``config/``. Raises StudyError
    where no run logged a number.
    """
    logged = [run if run.points else replace(run, points=[{}]) for run in runs if run.points or _is_unfinished(run)]
    if not logged:
        raise StudyError(f"{where}: holds {_n(len(runs), 'run')}, none with a number.")
    notes = list(notes)
    if len(logged) < len(runs):
        empty = [run for run in runs if not run.points and not _is_unfinished(run)]
        names = [", ".join([*list(run.identity.values())[:1], *([run.status] if run.status else [])]) for run in empty]
        notes.append(
            f"{_n(len(names), 'run')} without a number left out ({', '.join(names[:2])}{', …' * (len(names) > 2)})"
        )
    has_status = any(run.status is not None for run in logged)
    identity = dict.fromkeys(name for run in logged for name in run.identity)
    fixed = {*identity, *([STATUS] if has_status else [])}
    metrics = {name: f"metrics/{name}" if name in fixed else name for run in logged for p in run.points for name in p}
    taken = {*fixed, *metrics.values()}
    settings = {name: _free(name, "config/", taken) for run in logged for name in run.settings}
    taken |= set(settings.values())
    labels = {name: _free(name, "tags/", taken) for run in logged for name in run.labels}
    columns = {name: list[Any]() for name in (*identity, *settings.values(), *labels.values())}
    columns |= {STATUS: []} if has_status else {}
    columns |= {name: [] for name in metrics.values()}
    for run in logged:
        for point in run.points:
            for name in identity:
                columns[name].append(run.identity.get(name))
            for name, column in settings.items():
                columns[column].append(run.settings.get(name))
            for name, column in labels.items():
                columns[column].append(run.labels.get(name))
            if has_status:
                columns[STATUS].append(run.status)
            for name, column in metrics.items():
                columns[column].append(point.get(name))
    roles = {**dict.fromkeys(identity, Role.IDENTITY), **({STATUS: Role.STATUS} if has_status else {})}
    roles |= {column: role for name, column in settings.items() if (role := role_of_setting(name, columns[column]))}
    roles |= {column: Role.MEASURE for name, column in metrics.items() if _is_measure(name, columns[column])}
    roles |= {metrics[name]: Role.CLOCK for name in clocks if name in metrics}
    return Table(frame=columns_frame(where, columns), roles=roles, unit=unit, notes=tuple(notes))


def _is_unfinished(run: Run) -> bool:
    return run.status is not None and not STATUSES.get(plain(run.status), True)


def _n(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _free(name: str, prefix: str, taken: set[str]) -> str:
    return prefix + name if name in taken else name


def _is_measure(name: str, cells: Sequence[Any]) -> bool:
    """Say whether a logged column is a result; clocks and seeds that were logged among them are left to their names."""
    is_text = any(isinstance(cell, str) for cell in cells)
    return not is_text and not is_clock_name(name) and not is_seed_name(words_of(name))


def role_of_setting(name: str, cells: Sequence[Any]) -> Role | None:
    """Return the role of a run's setting; None where its cells decide, as they do for paths."""
    words = words_of(name)
    if is_seed_name(words):
        return Role.SEED
    if set(words) <= _MACHINE:
        return Role.NOISE
    for role in (Role.MODEL, Role.DATA):
        if plain(name) in ARMS[role]:
            return role
    return None if any(isinstance(cell, str) and "/" in cell for cell in cells) else Role.CONFIGURATION


def flat_settings(
    record: Mapping[str, Any], separator: str = "/", prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a nested configuration under names such as ``optimizer/lr``; lists become text."""
    for name, value in record.items():
        if isinstance(value, Mapping) and depth < _DEPTH:
            yield from flat_settings(value, separator, f"{prefix}{name}{separator}", depth + 1)
        elif isinstance(value, list | tuple | Mapping):
            yield f"{prefix}{name}", json.dumps(value, default=str)
        elif value is None or isinstance(value, str | int | float):
            yield f"{prefix}{name}", value


def flat_numbers(
    record: Mapping[str, Any], separator: str = "/", prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, Any]]:
    """Yield the numbers of a nested record of metrics; words and lists are left out."""
    for name, value in record.items():
        if isinstance(value, Mapping) and depth < _DEPTH:
            yield from flat_numbers(value, separator, f"{prefix}{name}{separator}", depth + 1)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value
