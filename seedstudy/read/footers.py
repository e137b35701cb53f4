"""Lines below the runs of a table that sum them up (mean, std, …) are no runs: they are left out, with a note."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl

from seedstudy.read.metrics import rounding
from seedstudy.read.names import IDENTITY, is_seed_name, words_of
from seedstudy.read.table import Table
from seedstudy.read.tables import plain_frame

_SUMS_UP = re.compile(
    r"(overall |grand )?(mean|avg|average)|median|st(an)?d(ard)?[. ]*(dev(iation)?|err(or)?)?\.?|st[. ]*dev\.?"
    r"|stddev|sd|sem?|var(iance)?|min(imum)?|max(imum)?|range|total|sum|overall|count|mean ?(±|\+/?-) ?(std|sd)"
    r"|(95 ?% ?)?ci( ?95 ?%?)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[A-Za-z]*[ _=:#-]*\d+(\.0+)?")
"""A seed or the number of a run: ``42``, ``seed_2``."""


def without_footers(table: Table, where: str) -> Table:
    """Return a table without the rows that sum others up.

    They have a word for it where all other rows have a seed or number of a run, or no seed and exactly the mean of the
    other rows in every column that holds a number.
    """
    frame, gone = table.frame, list[str]()
    for position, name in enumerate(table.frame.columns):
        if position and not _numbers_runs(name):
            continue
        if frame[name].dtype == pl.String:
            cells = [None if cell is None else cell.strip().rstrip(":") for cell in frame[name].to_list()]
            sums = [cell is not None and _SUMS_UP.fullmatch(cell) is not None for cell in cells]
            others = [cell for cell, is_sum in zip(cells, sums, strict=True) if not is_sum and cell]
            if any(sums) and others and all(map(_NUMBERED.fullmatch, others)):
                gone += [f"`{cell}`" for cell, is_sum in zip(cells, sums, strict=True) if is_sum]
                frame = frame.filter(~pl.Series(sums))
        elif frame[name].null_count() == 1 and frame.height > 2 and _is_mean(frame, name):
            gone.append("without a seed")
            frame = frame.drop_nulls(name)
    if not gone:
        return table
    rows = ", ".join(dict.fromkeys(gone))
    note = f"row{'' if len(gone) == 1 else 's'} {rows}: left out, the mean or spread of other rows"
    return replace(table, frame=plain_frame(frame, where), notes=(*table.notes, note))


def _numbers_runs(name: str) -> bool:
    words = words_of(name)
    return is_seed_name(words) or words[-1] in IDENTITY or name.startswith(("column ", "Unnamed"))


def _is_mean(frame: pl.DataFrame, seeds: str) -> bool:
    """Say whether the one row without a seed is the mean of the others, to the decimals that it shows."""
    row, others = frame.filter(pl.col(seeds).is_null()), frame.drop_nulls(seeds)
    names = [name for name in frame.columns if name != seeds and frame[name].dtype.is_float()]
    cells = {name: row[name][0] for name in names if row[name][0] is not None}
    return bool(cells) and all(
        abs(cell - float(others[name].mean())) <= 1.01 * rounding(cell)  # type: ignore[arg-type]
        for name, cell in cells.items()
        if others[name].null_count() < others.height
    )
