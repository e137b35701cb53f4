"""What a parser gives: the cells of a file, and what its format says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

VALUE = "value"
"""Column of a file that holds nothing but numbers."""
FILE = "file"
"""Column that is added where several files are read as one: where each row comes from."""


class Role(StrEnum):
    """What a column of a table is."""

    MEASURE = "measure"
    """A result, such as accuracy or loss."""
    CLOCK = "clock"
    """Counts within a run: epoch, step, iteration."""
    SEED = "seed"
    IDENTITY = "identity"
    """Names one run: its id, name, folder or number. Tells runs apart, never recipes."""
    STATUS = "status"
    """How a run ended."""
    EVAL_SET = "eval set"
    RECIPE = "recipe"
    MODEL = "model"
    DATA = "data"
    CONFIGURATION = "configuration"
    """A setting of a run: rows that differ in it are not seeds of one recipe."""
    SPREAD = "spread"
    """A standard deviation, standard error, bound or number of runs: the rows are means already."""
    NOISE = "noise"
    """Says nothing about the recipe: times, machines, comments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The cells of a file, one row per line or record, in the file's order and under its own names.

    A column is numeric where every cell is a number or empty, text otherwise; there are no nested values.
    """

    frame: pl.DataFrame
    roles: Mapping[str, Role] = field(default_factory=dict)
    """What the format itself declares; columns that are not named here get their roles from their cells and names."""
    unit: str | None = None
    """``percent`` or ``fraction``, where the format always writes its accuracies so."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The same, of the columns whose cells say it: ``76.1%``."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed while parsing, one short sentence each."""


def quoted_column(name: str) -> str:
    """Return a column's name as a shell takes it."""
    return name if re.fullmatch(r"[\w./@:+-]+", name) else f'"{name}"'
