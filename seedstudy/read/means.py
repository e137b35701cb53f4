"""Tables whose cells are means ± std -> groups without seeds, as published figures are: one for each row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import plain
from seedstudy.read.names import N_OF_RUNS
from seedstudy.read.published import group_of_mean_and_std
from seedstudy.read.request import Request
from seedstudy.read.roles import Columns, names_of
from seedstudy.read.table import Role
from seedstudy.study.group import Group

_PLUS_MINUS = re.compile(r"[^±]*\d\s*%?\s*(±|\+-|\+/-|\\pm)\s*[\d.][^±]*")


def holds_means(cells: pl.Series) -> bool:
    """Say whether every cell is a mean ± std."""
    known = cells.drop_nulls().to_list() if cells.dtype == pl.String else []
    return bool(known) and all(_PLUS_MINUS.fullmatch(cell) for cell in known)


def groups_of_means(
    frame: pl.DataFrame, measures: Mapping[str, str], columns: Columns, request: Request, files: str
) -> list[Group]:
    """Return a group for each row and eval set of a table of means; StudyError where the number of seeds is missing."""
    return list(_groups(frame, measures, columns, request, files))


def _groups(
    frame: pl.DataFrame, measures: Mapping[str, str], columns: Columns, request: Request, files: str
) -> Iterator[Group]:
    roles = (Role.RECIPE, Role.MODEL, Role.CONFIGURATION, Role.IDENTITY)
    texts = [
        name for name in names_of(columns, *roles) if frame[name].dtype == pl.String and not holds_means(frame[name])
    ]
    named_by = request.by or tuple(texts[:1])
    numbered = [name for name in columns if N_OF_RUNS.fullmatch(plain(name)) or plain(name) in ("n", "seeds", "runs")]
    counts = [name for name in numbered if frame[name].dtype.is_integer()]
    for position, row in enumerate(frame.iter_rows(named=True), start=1):
        label = ", ".join(str(row[name]) for name in named_by) or f"row {position}"
        for eval_set, measure in measures.items():
            if row[measure] is None:
                continue
            text = row[measure].replace("\\pm", "±").replace("$", "").replace("%", "").strip()
            has_n = "n" in text.lower()
            n = row[counts[0]] if counts and not has_n else None
            if n is None and not has_n:
                raise StudyError(
                    f'{files}: "{row[measure]}" is a mean without its number of seeds: add a column n_seeds, or write '
                    f'"{label}: {text} n=5" in place of the file.'
                )
            group = group_of_mean_and_std(text if n is None else f"{text} n={n}", request)
            if group is None:
                raise StudyError(f'{files}: "{row[measure]}" is not a mean ± std; write it like "79.5±0.1 n=5".')
            yield replace(group, label=label, recipe=label, eval_set=eval_set, origin=files)
