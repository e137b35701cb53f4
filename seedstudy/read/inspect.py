"""What a file is taken for: the role of every column and why, the runs that are found, or why none are."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from seedstudy.document import HIDDEN
from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import columns_of, read_groups
from seedstudy.read.request import Request
from seedstudy.read.roles import Column
from seedstudy.study.group import Group, Reading

_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenColumn:
    """One column of a file."""

    name: str
    role: str
    """A word of :class:`~seedstudy.read.table.Role`, or ``ignored``."""
    why: str
    values: str
    """Its first different values, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenArm:
    """The runs of one arm on one eval set."""

    label: str
    eval_set: str
    n: int
    seeds: tuple[int, ...] | None
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What one file is taken for."""

    file: str
    columns: tuple[SeenColumn, ...]
    arms: tuple[SeenArm, ...]
    read: Reading | None
    """None where the file is refused."""
    refusal: str | None
    """Why no runs can be read, and how to change it."""
    error: SeedstudyError | None = field(metadata=HIDDEN)


def inspect(selector: str, request: Request) -> Inspection:
    """Return what a file selector is taken for; a file that cannot be parsed at all raises as in ``read_groups``."""
    frame, columns = columns_of(selector, request)
    groups, error = list[Group](), None
    try:
        groups = read_groups(selector, request)
    except SeedstudyError as caught:
        error = caught
    return Inspection(
        file=selector,
        columns=tuple(_seen(frame[name], columns.get(name)) for name in frame.columns),
        arms=tuple(
            SeenArm(label=g.label, eval_set=g.eval_set, n=g.n, seeds=g.seeds, values=tuple(g.values.tolist()))
            for g in groups
        ),
        read=groups[0].read if groups else None,
        refusal=None if error is None else str(error),
        error=error,
    )


def _seen(cells: pl.Series, column: Column | None) -> SeenColumn:
    known = cells.drop_nulls().unique(maintain_order=True)
    shown = [f"{cell:.6g}" if isinstance(cell, float) else str(cell)[:20] for cell in known.head(_SHOWN).to_list()]
    more = f" … ({known.len()})" if known.len() > _SHOWN else ""
    role, why = ("ignored", "as you say") if column is None else (column.role.value, column.why)
    return SeenColumn(name=cells.name, role=role, why=why, values=", ".join(shown) + more)
