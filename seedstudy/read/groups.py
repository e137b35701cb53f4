"""Files of results and plain numbers -> groups: one number per seed of one recipe on one eval set.

A table is read in a fixed order: parse, roles of the columns, what the user picks, rows -> runs by their last measured
point, runs -> seeds of one recipe. Runs that are not shown to be seeds of one recipe are refused, with the words that
would make it work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import NotFiniteError, StudyError, suggest
from seedstudy.read.footers import without_footers
from seedstudy.read.logs import read_files
from seedstudy.read.means import groups_of_means, holds_means
from seedstudy.read.metrics import (
    DEFAULT_METRIC,
    check_mixture,
    check_size,
    is_default,
    plain,
    rounding_note,
    to_points,
    unit_of_name,
)
from seedstudy.read.names import COUNTS, STATUSES, TRAINING
from seedstudy.read.numbers import is_share_of
from seedstudy.read.pooling import check_counts_once, check_no_curve, not_seeds, of_means, seeds_of
from seedstudy.read.request import Request
from seedstudy.read.roles import AS_ASKED, AS_DECLARED, Columns, find_roles, names_of
from seedstudy.read.runs import Runs, runs_of
from seedstudy.read.selector import Pick, parse_selector, picked
from seedstudy.read.shapes import one_row_per_point
from seedstudy.read.sides import one_row_per_run
from seedstudy.read.table import VALUE, Role, Table, quoted_column
from seedstudy.study.group import Group, Reading, Values


def read_groups(selector: str, request: Request) -> list[Group]:
    """Return every group that a file selector names.

    ``FILE``, ``FILE:NAME`` (a value of the column that names recipes, or a column of a wide table),
    ``FILE:COLUMN=VALUE,…`` (rows of a table), a folder of trials, or a quoted pattern. Raises StudyError where it is
    unreadable or ambiguous, and StatisticsError where numbers are not accuracies, or may be percent or fractions.
    """
    files, pick = _parsed(selector)
    return groups_of_table(read_files(files), pick, request, files)


def columns_of(selector: str, request: Request) -> tuple[pl.DataFrame, Columns]:
    """Return the table of a file selector before anything is picked from it, and the role of each column."""
    files, pick = _parsed(selector)
    table, _ = one_row_per_run(one_row_per_point(read_files(files), request.metric, files), pick, request, files)
    return table.frame, find_roles(table, request)


def _parsed(selector: str) -> tuple[str, str | None]:
    parsed = parse_selector(selector)
    if parsed is None:
        why = "not a file of results; a folder is written with a slash" if Path(selector).exists() else "no such file"
        raise StudyError(f"{selector}: cannot be read ({why}).")
    return parsed


def groups_of_table(table: Table, pick: str | None, request: Request, files: str) -> list[Group]:
    """Return every group of a table, or of what is picked from it; `files` is what to call the table."""
    where = files + (f":{pick}" if pick else "")
    table = one_row_per_point(without_footers(table, files), request.metric, files)
    table, pick = one_row_per_run(table, pick, request, files)
    columns = find_roles(table, request)
    chosen = Pick(rows=table.frame, label=_name_of(files))
    if pick is not None:
        chosen = picked(table.frame, pick, columns, files)
    if chosen.measure is not None:
        columns = _of_one_arm(chosen, columns)
    chosen = replace(chosen, rows=_at_place(chosen.rows, columns, request, files))
    frame, notes = _eval_rows(chosen.rows, columns, request, files)
    has_counts = _holds_counts(frame, request.metric)
    if has_counts:
        frame = frame.with_columns((100.0 * pl.col(COUNTS[0]) / pl.col(COUNTS[1])).alias(DEFAULT_METRIC))
    measures = _measures(frame, columns, request, files, chosen)
    if all(holds_means(frame[measure]) for measure in measures.values()):
        return _with_reading(groups_of_means(frame, measures, columns, request, files), measures, files)
    for measure in measures.values():
        of_means(frame, measure, columns, request, files)
    runs = runs_of(frame, columns, list(dict.fromkeys(measures.values())), where)
    reader = _Reader(
        request=request,
        columns=columns,
        chosen=chosen,
        is_picked=pick is not None,
        files=files,
        where=where,
        unit=request.unit or ("percent" if has_counts else table.unit),
        units={} if request.unit else table.units,
        has_counts=has_counts,
        notes=(*table.notes, *notes, *runs.notes),
        table=table.frame,
        measures=tuple(measures.values()),
    )
    groups = list(reader.groups(runs, measures))
    if not groups:
        raise StudyError(f"{files}: holds no result on {', '.join(request.eval_sets or ())}.")
    n_runs = {group.label: 0 for group in groups}
    for group in groups:
        n_runs[group.label] = max(n_runs[group.label], group.n)
    read = Reading(
        file=files,
        n_runs=sum(n_runs.values()),
        metric=", ".join(request.metric if name == VALUE else name for name in dict.fromkeys(measures.values())),
        clock=runs.clock,
        n_points=runs.n_points if runs.clock else None,
        arms_by=tuple(dict.fromkeys((*[n for n in reader.arms() if n in runs.frame.columns], *chosen.columns))),
        seeds_by=next((by for by in reader.seeds_by if by is not None), None),
        notes=tuple(dict.fromkeys(note for group in groups for note in group.notes)),
    )
    return [replace(group, read=read) for group in groups]


def _with_reading(groups: Sequence[Group], measures: Mapping[str, str], files: str) -> list[Group]:
    """Return published means with what was read."""
    n_runs = sum(group.n for group in groups)
    read = Reading(file=files, n_runs=n_runs, metric=", ".join(measures.values()), is_of_means=True)
    return [replace(group, read=read) for group in groups]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """What all groups of one table share."""

    request: Request
    columns: Columns
    chosen: Pick
    is_picked: bool
    files: str
    where: str
    unit: str | None
    units: Mapping[str, str]
    """Of columns that say theirs."""
    has_counts: bool
    notes: tuple[str, ...]
    table: pl.DataFrame
    measures: tuple[str, ...]
    seeds_by: list[str | None] = field(default_factory=list)
    """Grows: the column of seeds of each group."""

    def groups(self, runs: Runs, measures: Mapping[str, str]) -> Iterator[Group]:
        """Yield the groups of all arms and eval sets."""
        arms = [name for name in self.arms() if name in runs.frame.columns]
        eval_column = next(iter(names_of(self.columns, Role.EVAL_SET)), None)
        keys = [*arms, *([eval_column] if eval_column in runs.frame.columns else [])]
        for identity, rows in _by(runs.frame, keys):
            for default_set, measure in measures.items():
                eval_set = identity.get(eval_column or "") or default_set
                is_named = eval_column in keys or len(measures) > 1
                if self.request.eval_sets and is_named and eval_set not in self.request.eval_sets:
                    continue
                yield self._group(rows, measure, eval_set, {name: identity[name] for name in arms}, runs)

    def arms(self) -> list[str]:
        """Return the columns whose values are arms."""
        if self.request.by:
            return [*self.request.by, *[n for n in names_of(self.columns, Role.DATA) if n not in self.request.by]]
        # A pattern that picks several recipes or models says that they are one arm.
        pooled = [name for name in self.chosen.columns if self.chosen.rows[name].n_unique() > 1]
        names = [name for name in names_of(self.columns, Role.RECIPE, Role.MODEL) if name not in pooled]
        return [*names, *names_of(self.columns, Role.DATA)]

    def _group(
        self, rows: pl.DataFrame, measure: str, eval_set: str, arm: Mapping[str, str | None], runs: Runs
    ) -> Group:
        recipe, model, data, label = self._names(arm)
        model = model or self._only_value(rows, Role.MODEL)
        for name in (label, eval_set):
            if not name.isprintable():
                raise StudyError(f"{self.where}: the name {name!r} holds control characters; rename it.")
        finished, n_left_out = _finished(rows, self.columns, self.chosen.columns, self.where)
        finished, gone = self._without_gaps(finished, measure)
        _check_numbers(finished[measure], self.where)
        seeds = seeds_of(finished, self.columns, self.request, self.where)
        self.seeds_by.append(seeds.by)
        picks = self.chosen.columns if self.is_picked else ()
        doubts = not_seeds(
            finished,
            self.columns,
            self.request,
            self.files,
            arms=tuple(arm),
            picks=picks,
            measures=self.measures,
            seeds=seeds,
        )
        check_counts_once(finished, self.columns, seeds, self.where, f"{label}, {eval_set}")
        values = _values(finished, measure, self.where)
        metric = self.request.metric if measure in (VALUE, DEFAULT_METRIC, self.chosen.measure) else measure
        if self.request.metric == DEFAULT_METRIC:
            metric = measure if is_default(measure) else DEFAULT_METRIC if plain(measure) in EVAL_SET_ORDER else metric
        is_share = is_share_of(metric, self.request) or is_share_of(measure, self.request)
        if seeds.by is None and runs.clock is None and not self.request.pool:
            check_no_curve(values, measure, finished, self.columns, self.where, is_share=is_share)
        check_size(values, self.where)
        if is_share:
            unit = self.units.get(measure) or self.unit or unit_of_name(measure)
            check_mixture(values, unit, self.where)
            values = to_points(values, unit, where=self.where)
        n_examples = _n_examples(finished, measure)
        rounded = None if n_examples is None or self.has_counts else rounding_note(values, n_examples)
        notes = (*self.notes, *gone, *doubts, *([rounded] if rounded else []))
        return Group(
            label=label,
            recipe=recipe,
            model=model,
            data=data,
            eval_set=eval_set,
            metric=metric,
            unit="pp" if is_share else None,
            seeds=seeds.numbers,
            values=values,
            n_left_out=n_left_out,
            notes=notes,
            origin=self.files,
            step=None if n_examples is None else 100.0 / n_examples,
        )

    def _names(self, arm: Mapping[str, str | None]) -> tuple[str, str | None, str | None, str]:
        """Return recipe, model, data and label of an arm."""
        by_role = {self.columns[name].role: value for name, value in arm.items() if name in self.columns}
        recipe, model, data = (by_role.get(role) for role in (Role.RECIPE, Role.MODEL, Role.DATA))
        if self.request.by:
            shown = [self._shown(name, arm[name]) for name in self.request.by]
            label = ", ".join(shown)
            return label, model, data, label
        is_chosen = {self.columns[name].role for name in self.chosen.columns if name in self.columns}
        own = [name for name in names_of(self.columns, Role.RECIPE) if self.chosen.rows[name].n_unique() > 1]
        if recipe is not None and own and Role.RECIPE not in is_chosen:
            return recipe, model, data, recipe if model is None else f"{recipe}@{model}"
        if self.is_picked and (recipe is None or Role.RECIPE not in is_chosen):
            recipe = self.chosen.label if recipe is None or self.chosen.columns else recipe
        recipe = recipe or self.chosen.label
        label = recipe if model is None or Role.MODEL in is_chosen else f"{recipe}@{model}"
        if model and not self.is_picked and Role.RECIPE not in by_role and self._has_several(Role.MODEL):
            label = model  # the file's name says nothing more
        if Role.MODEL in is_chosen and Role.RECIPE in is_chosen and model:
            label = f"{recipe}@{model}"
        return recipe, model, data, label

    def _only_value(self, rows: pl.DataFrame, role: Role) -> str | None:
        """Return the one value that a column of this role has in these rows."""
        names = [name for name in names_of(self.columns, role) if name in rows.columns]
        values = {_text(cell) for name in names for cell in rows[name].to_list() if cell is not None}
        return values.pop() if len(values) == 1 else None

    def _has_several(self, role: Role) -> bool:
        return any(self.table[name].drop_nulls().n_unique() > 1 for name in names_of(self.columns, role))

    def _shown(self, name: str, value: str | None) -> str:
        if value is None:
            return f"{name} empty"
        return value if self.table[name].dtype == pl.String else f"{name}={value}"

    def _without_gaps(self, rows: pl.DataFrame, measure: str) -> tuple[pl.DataFrame, list[str]]:
        """Return the rows that hold a number, and a note on the others: an empty cell is the same as nan."""
        cells = rows[measure]
        if not cells.dtype.is_numeric():
            return rows, []
        is_there = cells.is_not_null() & cells.cast(pl.Float64).is_not_nan().fill_null(False)
        gone = rows.filter(~is_there)
        if gone.is_empty() or gone.height == rows.height:
            return rows, []
        names = [name for name in names_of(self.columns, Role.SEED, Role.IDENTITY) if name in rows.columns]
        which = "" if not names else f" ({names[0]} {', '.join(map(str, gone[names[0]].head(3).to_list()))}"
        which += "" if not names else f"{', …' if gone.height > 3 else ''})"
        plural = "" if gone.height == 1 else "s"
        note = f"{gone.height} run{plural} without a number left out{which}; report it if it diverged"
        return rows.filter(is_there), [note]


def _by(frame: pl.DataFrame, keys: Sequence[str]) -> Iterator[tuple[Mapping[str, str | None], pl.DataFrame]]:
    if not keys:
        yield {}, frame
        return
    for values, rows in frame.group_by(keys, maintain_order=True):
        yield {key: None if value is None else _text(value) for key, value in zip(keys, values, strict=True)}, rows


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name_of(files: str) -> str:
    """Return the name of a recipe that a file does not name: the file's, or its folder's where all logs share one."""
    path = Path(files)
    if any(mark in files for mark in "*?[") or path.stem in ("summary", "metrics", "all_results", "trainer_state"):
        fixed = re.split(r"[*?\[]", files, maxsplit=1)[0].rstrip("/")
        parent = Path(fixed) if fixed != files else path.parent
        return parent.name or path.stem
    return path.stem


def _of_one_arm(chosen: Pick, columns: Columns) -> Columns:
    """Return the columns of a wide table that speak of the picked one: the other arms are not settings."""
    kept = {}
    for name, column in columns.items():
        cells = chosen.rows[name]
        is_other = (
            name != chosen.measure
            and cells.dtype.is_float()
            and ("setting" not in column.why or _is_alike(cells, chosen.rows[str(chosen.measure)]))
            and column.why not in (AS_DECLARED, AS_ASKED)
            and column.role in (Role.CONFIGURATION, Role.MEASURE, Role.SPREAD)
        )
        if not is_other:
            kept[name] = replace(column, role=Role.MEASURE) if name == chosen.measure else column
    return kept


def _is_alike(cells: pl.Series, measure: pl.Series) -> bool:
    """Say whether two columns hold numbers of one size, as two arms do."""
    sizes = [float(column.cast(pl.Float64, strict=False).abs().median() or 0.0) for column in (cells, measure)]  # type: ignore[arg-type]
    return min(sizes) > 0.25 * max(sizes)


def _at_place(rows: pl.DataFrame, columns: Columns, request: Request, files: str) -> pl.DataFrame:
    """Return the rows of the model and on the data set asked for."""
    for option, what, role in (("-m", "model", Role.MODEL), ("-d", "data", Role.DATA)):
        asked = request.model if role is Role.MODEL else request.data
        if asked is None:
            continue
        names = [name for name in names_of(columns, role) if name in rows.columns]
        if not names:
            raise StudyError(f"{files}: {option} {asked}: it does not say which {what}.")
        cells = rows[names[0]].cast(pl.String)
        if not (cells == asked).any():
            raise StudyError(
                f"{files}: {option} {asked}: it holds no {what} of that name.{suggest(asked, set(cells.drop_nulls()))}"
            )
        rows = rows.filter((cells == asked).fill_null(False))
    return rows


def _eval_rows(
    frame: pl.DataFrame, columns: Columns, request: Request, files: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the rows on eval sets: those asked for, and none of the training set unless it is asked for."""
    names = names_of(columns, Role.EVAL_SET)
    if not names:
        return frame, ()
    cells = frame[names[0]].cast(pl.String)
    known = cells.drop_nulls().unique(maintain_order=True).to_list()
    if request.eval_sets is not None:
        if not set(request.eval_sets) & set(known):
            there = ", ".join(known[:6])
            raise StudyError(f"{files}: holds no result on {', '.join(request.eval_sets)}; `{names[0]}` holds {there}.")
        return frame.filter(cells.is_in(list(request.eval_sets))), ()
    training = [name for name in known if name.lower() in TRAINING]
    if not training or len(training) == len(known):
        return frame, ()
    return frame.filter(~cells.is_in(training).fill_null(False)), (f"rows of {names[0]} {training[0]}: left out",)


def _holds_counts(table: pl.DataFrame, metric: str) -> bool:
    return (
        metric == DEFAULT_METRIC
        and DEFAULT_METRIC not in table.columns
        and all(name in table.columns and table[name].dtype.is_numeric() for name in COUNTS)
    )


def _is_training_twin(name: str, names: Sequence[str]) -> bool:
    """Say whether a column is of the training images: Keras writes ``accuracy`` beside ``val_accuracy``."""
    return any(f"{part}_{name}" in names for part in ("val", "valid", "test", "eval"))


def _measures(frame: pl.DataFrame, columns: Columns, request: Request, files: str, chosen: Pick) -> dict[str, str]:
    """Return eval set -> column of the metric."""
    metric = request.metric
    default_set = request.eval_sets[0] if request.eval_sets and len(request.eval_sets) == 1 else EVAL_SET_ORDER[0]
    if chosen.measure is not None:
        return {default_set: chosen.measure}
    if metric in frame.columns:
        return {default_set: metric}
    apart = (Role.SEED, Role.IDENTITY, Role.STATUS, Role.CLOCK, Role.RECIPE, Role.MODEL, Role.DATA, Role.EVAL_SET)
    names = [name for name, column in columns.items() if column.role not in apart]
    per_set = {}
    for eval_set in dict.fromkeys((*EVAL_SET_ORDER, *(request.eval_sets or ()))):
        wanted = {f"{eval_set}_{plain(metric)}", f"{plain(metric)}_{eval_set}"}
        if metric == DEFAULT_METRIC:
            wanted.add(eval_set)
        matches = [name for name in names if plain(name) in wanted]
        if len(matches) == 1:
            per_set[eval_set] = matches[0]
    if per_set:
        return per_set
    of_values = [name for name in names if plain(name) == VALUE]  # "Value" beside "Wall time" is TensorBoard's
    if len(of_values) == 1 and (len(names) == 1 or (metric == DEFAULT_METRIC and not any(map(is_default, names)))):
        return {default_set: of_values[0]}
    if metric == DEFAULT_METRIC:
        matches = [name for name in names if is_default(name) and not _is_training_twin(name, names)]
        of_set = [name for name in matches if request.eval_sets and plain(name).split("_")[0] in request.eval_sets]
        if len(of_set) == 1 and request.eval_sets and len(request.eval_sets) == 1:
            return {request.eval_sets[0]: of_set[0]}
        if len(matches) == 1:
            return {default_set: matches[0]}
        if matches:
            shown = " or --metric ".join(map(quoted_column, matches))
            raise StudyError(f"{files}: several columns may be top-1: use --metric {shown}.")
    else:
        matches = [name for name in names if plain(name) == plain(metric)]
        if len(matches) == 1:
            return {default_set: matches[0]}
    numbers = [name for name in names if frame[name].dtype.is_numeric()]
    how = f", or pick a recipe's column: {Path(files).name}:{numbers[0]}" if numbers else ""
    raise StudyError(f'{files}: no column "{metric}".{suggest(metric, names)} Name it with --metric{how}.')


def _finished(rows: pl.DataFrame, columns: Columns, picks: Sequence[str], where: str) -> tuple[pl.DataFrame, int]:
    """Return the rows of runs that finished, and how many did not; an unknown word for how a run ended is named."""
    names = [name for name in names_of(columns, Role.STATUS) if name in rows.columns and name not in picks]
    kept = rows
    for name in names:
        words = kept[name].cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("unfinished")
        plain_words = words.str.replace_all(r"^.*[.:]", "").str.replace_all(r"[ -]", "_")
        unknown = kept[name].filter(~plain_words.is_in(list(STATUSES))).cast(pl.String).to_list()
        if unknown:
            raise StudyError(
                f'{where}: `{name}` holds "{unknown[0][:30]}", which does not say whether the run finished: pick rows '
                f"({Path(where).name}:{name}={unknown[0][:30]}), or use --ignore {quoted_column(name)}."
            )
        kept = kept.filter(plain_words.replace_strict(dict(STATUSES), return_dtype=pl.Boolean))
    return kept, rows.height - kept.height


def _check_numbers(cells: pl.Series, where: str) -> None:
    """Refuse a measure of words."""
    if cells.dtype.is_numeric() or cells.is_empty():
        return
    words = cells.cast(pl.String).drop_nulls()
    odd = words.filter(words.cast(pl.Float64, strict=False).is_null())
    shown = f'"{odd[0][:30]}"' if odd.len() else "no number"
    is_mean = odd.len() > 0 and re.fullmatch(r"[\d.,]+ ?%? ?\([\d.,]+\)", odd[0]) is not None
    how = ": a mean and its spread? Write it like 79.5±0.1 n=5" if is_mean else "; every row needs a number"
    raise StudyError(f'{where}: column "{cells.name}" holds {shown}{how}.')


def _values(rows: pl.DataFrame, column: str, where: str) -> Values:
    cells = rows[column]
    if cells.is_empty():
        raise StudyError(f'{where}: column "{column}" holds no result of a finished trial.')
    if cells.null_count():
        row = cells.is_null().arg_true()[0] + 1
        raise StudyError(f'{where}: column "{column}" is empty in trial {row} of {rows.height}; fill or drop the row.')
    numbers: Values = cells.cast(pl.Float64).to_numpy()
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise NotFiniteError(
            f'{where}: column "{column}" is {numbers[bad[0]]:g} in trial {bad[0] + 1} of {rows.height}; a diverged '
            "trial has no result: drop its row, and say so in the report.",
            float(numbers[bad[0]]),
        )
    return numbers


def _n_examples(rows: pl.DataFrame, column: str) -> int | None:
    """Return the images of the eval set, where the file says."""
    if column != DEFAULT_METRIC or COUNTS[1] not in rows.columns or not rows[COUNTS[1]].dtype.is_integer():
        return None
    return int(rows[COUNTS[1]][0]) if rows[COUNTS[1]].n_unique() == 1 else None
