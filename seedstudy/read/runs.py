"""Rows of a table -> runs: which rows belong together, and the last measured point of each.

Epochs are never counted as seeds. A clock that starts again in one file is refused, because the file does not say
whether a second run begins there; a resumed run that repeats a few epochs keeps its last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.names import words_of
from seedstudy.read.roles import AS_ASKED, AS_DECLARED, Columns, names_of
from seedstudy.read.table import FILE, Role, quoted_column

LAST = "last epoch"
"""Column that is added: where along the clock the result of a run was measured."""
_ROW = "row of the file"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """One row per run, with the columns that are constant within each run, and its measures."""

    frame: pl.DataFrame
    clock: str | None = None
    """The column that counts within a run; None where each row is a run."""
    n_points: int | None = None
    notes: tuple[str, ...] = ()


def runs_of(frame: pl.DataFrame, columns: Columns, measures: Sequence[str], where: str) -> Runs:
    """Return the runs of a table by their last measured point.

    Raises StudyError where rows of one run cannot be ordered, or a clock starts again.
    """
    clocks = [name for name in names_of(columns, Role.CLOCK) if name in frame.columns and name not in measures]
    for name in clocks:
        if not frame[name].dtype.is_numeric() and frame[name].null_count() < frame.height:
            raise StudyError(f'{where}: column "{name}" is not a number in every line; repair the file.')
    clocks = [name for name in clocks if frame[name].dtype.is_numeric()]
    measured = frame.filter(pl.any_horizontal(pl.col(*measures).is_not_null()))
    if not clocks or measured.is_empty():
        return Runs(frame=frame)
    clocks = sorted(clocks, key=lambda name: (measured[name].null_count() > 0, measured[name].n_unique()))
    keys = _keys(measured, columns, clocks)
    _check_pieces(measured, columns, keys, clocks, where)
    is_curve = measured.height > (measured.select(keys).unique().height if keys else 1)
    if not keys and measured.height > 1 and measured.select(clocks).unique().height == 1:
        return Runs(frame=frame)  # one row per run, and a column for how long they all trained
    notes = list[str]()
    runs, n_points = [], 0
    constant = _constant_within(measured, keys, columns)
    is_in_order = any(columns[name].why == AS_DECLARED for name in clocks)
    for key, rows in _groups(frame, keys):
        name = _name_of(key, keys)
        usable = rows.filter(pl.any_horizontal(pl.col(*measures).is_not_null()))
        if usable.is_empty():
            usable = rows.tail(1)
        else:
            notes += _restart(usable, columns, clocks, measures, f"{where}{name}", is_in_order=is_in_order)
        ordered = usable.sort(clocks, maintain_order=True)
        ordered, after = _before_the_end(ordered, rows, clocks, measures)
        if after:
            notes.append(f"{after}{name}")
        n_points = max(n_points, ordered.select(clocks).unique().height)
        last = {column: rows[column].drop_nulls().tail(1) for column in constant}
        last |= {column: ordered[column].drop_nulls().tail(1) for column in measures}
        row = {column: cells[0] if cells.len() else None for column, cells in last.items()}
        shown = ordered.filter(pl.any_horizontal(pl.col(*measures).is_not_null()))
        row[LAST] = shown[clocks[0]].max() if shown.height else None
        runs.append(row)
    schema = {name: frame.schema[name] for name in [*constant, *[m for m in measures if m not in constant]]}
    reduced = pl.DataFrame(runs, schema={**schema, LAST: pl.Float64}, strict=False)
    notes += _ended_early(reduced, columns, clocks[0]) if is_curve or reduced.height > 1 else []
    return Runs(
        frame=reduced,
        clock=clocks[0] if is_curve or measured.height == 1 else None,
        n_points=n_points,
        notes=tuple(dict.fromkeys(notes)),
    )


def _groups(frame: pl.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[object, ...], pl.DataFrame]]:
    if not keys:
        yield (), frame
        return
    yield from frame.group_by(keys, maintain_order=True)


def _keys(measured: pl.DataFrame, columns: Columns, clocks: Sequence[str]) -> list[str]:
    """Return the columns that tell runs apart: what names a run, then settings, as far as a clock value repeats."""
    roles = (Role.SEED, Role.IDENTITY, Role.RECIPE, Role.MODEL, Role.DATA, Role.EVAL_SET)
    keys = [name for name in names_of(columns, *roles) if name in measured.columns]
    if _is_curve(measured, clocks):  # what differs in every line names lines
        keys = [
            name
            for name in keys
            if columns[name].role is not Role.IDENTITY or measured[name].n_unique() < measured.height
        ]
    if FILE in keys and any(columns[name].role in (Role.SEED, Role.IDENTITY) for name in keys if name != FILE):
        keys.remove(FILE)
    settings = [name for name in names_of(columns, Role.CONFIGURATION) if name in measured.columns]
    settings.sort(key=lambda name: measured[name].dtype != pl.String)
    asked = [name for name in settings if columns[name].why == AS_ASKED]
    keys += asked
    candidates = [FILE] if FILE in measured.columns and FILE not in keys else []
    for name in [*candidates, *[name for name in settings if name not in asked]]:
        repeated = measured.filter(pl.struct([*keys, *clocks]).is_duplicated())
        if repeated.is_empty():
            break
        within = repeated.group_by([*keys, *clocks]).agg(pl.col(name).n_unique())
        more = [*keys, name]
        if within[name].max() != 1 and (_are_whole(measured, more, clocks) or _are_blocks(measured, more, clocks)):
            keys = more
    return keys


def _is_curve(measured: pl.DataFrame, clocks: Sequence[str]) -> bool:
    """Say whether a clock takes every value from its first on, as within a run; final epochs of many runs do not."""
    for name in clocks:
        points = measured[name].drop_nulls().cast(pl.Float64).unique().sort().to_numpy()
        if len(points) > 2 or points.tolist() in ([0.0, 1.0], [1.0, 2.0]):
            gaps = np.diff(points)
            if np.ptp(gaps) <= 1e-9 * gaps.max() and points[0] in (0.0, 1.0, gaps[0]):
                return True
    return False


def _are_whole(measured: pl.DataFrame, keys: Sequence[str], clocks: Sequence[str]) -> bool:
    """Say whether every run begins at the first point of all and has each point up to its last.

    Else a column that varies within runs, such as a machine, would cut them into pieces.
    """
    grid = measured.select(clocks).unique().sort(clocks).with_row_index(_ROW)
    points = measured.join(grid, on=clocks, nulls_equal=True).group_by(keys)
    counts = points.agg(pl.col(_ROW).max().alias("last"), pl.col(_ROW).n_unique().alias("n"))
    return bool((counts["last"] + 1 == counts["n"]).all())


def _are_blocks(measured: pl.DataFrame, keys: Sequence[str], clocks: Sequence[str]) -> bool:
    """Say whether the lines of every run follow one another in the file, and its clock rises from line to line."""
    rows = measured.with_row_index(_ROW).group_by(keys, maintain_order=True)
    spans = rows.agg((pl.col(_ROW).max() - pl.col(_ROW).min() + 1 == pl.len()).alias("together"))
    if not spans["together"].all():
        return False
    return all((points.diff().drop_nulls() > 0).all() for points in rows.agg(clocks[-1])[clocks[-1]])


def _check_pieces(
    measured: pl.DataFrame, columns: Columns, keys: Sequence[str], clocks: Sequence[str], where: str
) -> None:
    """Refuse files that are pieces of one table, where a column with no known meaning tells the runs apart."""
    if FILE not in keys or _are_whole(measured, keys, clocks):
        return
    others = [name for name in keys if name != FILE]
    settings = [name for name in names_of(columns, Role.CONFIGURATION) if name not in keys]
    for name in [name for name in settings if not measured[name].null_count()]:
        varies = measured.group_by(keys).agg(pl.col(name).n_unique())[name].max() != 1
        if varies and _are_whole(measured, [*others, name], clocks):
            raise StudyError(
                f"{where}: are the files runs, or pieces of one table? Runs seem to be numbered by `{name}`: use "
                f"--seeds-by {quoted_column(name)}, or --ignore {quoted_column(name)} if each file is a run."
            )


def _constant_within(measured: pl.DataFrame, keys: Sequence[str], columns: Columns) -> list[str]:
    """Return the columns that have one value, or none, within each run."""
    if not keys:
        return [name for name in columns if name in measured.columns and measured[name].drop_nulls().n_unique() <= 1]
    others = [name for name in columns if name in measured.columns and name not in keys]
    most = measured.group_by(keys).agg(pl.col(others).drop_nulls().n_unique()) if others else measured
    return [*keys, *[name for name in others if most[name].max() <= 1]]  # type: ignore[operator]


def _restart(
    rows: pl.DataFrame,
    columns: Columns,
    clocks: Sequence[str],
    measures: Sequence[str],
    where: str,
    *,
    is_in_order: bool,
) -> list[str]:
    """Return what to say about points that are in several rows of one run; refuse where a second run may begin.

    `is_in_order`: the format says that its lines are in the order in which they were logged.
    """
    name, quoted = clocks[0], quoted_column(clocks[0])
    if (again := _starts_again(rows, clocks)) is not None:
        own, before, after = again
        raise StudyError(
            f'{where}: column "{own}" starts again (at {after:g} after {before:g}) while another one counts on: a '
            f"second run? Keep the lines of one run, or use --ignore {quoted_column(own)} if it is one run."
        )
    points = [tuple(-np.inf if x is None else x for x in point) for point in rows.select(clocks).iter_rows()]
    if len(set(points)) == len(points):
        return []
    twice = _measured_twice(rows, clocks, measures)
    back = [i for i in range(1, len(points)) if points[i] < points[i - 1]]
    is_restart = bool(back) and all(points[i] == min(points) for i in back)
    if not twice and not is_restart:
        return []
    starts = ", ".join(f"{points[i][0]:g}" for i in back[:2])
    if back and all(points[i] > points[0] for i in back) and points[-1] == max(points):
        return [f"`{name}` goes back to {starts}: a resumed run, its last line counts"]
    if is_in_order and not back:
        return [f"`{measures[0]}` was logged twice at `{name}` {twice[0]:g}: the later line counts"]
    what = (
        f"is {twice[0]:g} in several rows"
        if not back
        else f"starts again (at {starts} after {points[back[0] - 1][0]:g})"
    )
    settings = [other for other in names_of(columns, Role.CONFIGURATION) if other in rows.columns]
    apart = next((other for other in settings if rows[other].dtype == pl.String and rows[other].n_unique() > 1), None)
    way = "add a column that names the runs (--seeds-by COLUMN)"
    if apart is not None:
        way = f"pick rows by `{apart}` or compare them (--by {quoted_column(apart)})"
    raise StudyError(
        f'{where}: column "{name}" {what}: a second run? Keep the lines of one run, {way}, or use --ignore {quoted} if '
        "each row is a run."
    )


def _starts_again(rows: pl.DataFrame, clocks: Sequence[str]) -> tuple[str, float, float] | None:
    """Return a clock that starts again while another one counts on from row to row, and from where to where it goes.

    A count within epochs starts again wherever one begins: with the epochs beside it, or again and again.
    """
    known = {name: rows[name].cast(pl.Float64) for name in clocks if not rows[name].null_count()}
    through = next((cells for cells in known.values() if cells.n_unique() == rows.height), None)
    if through is None:
        return None
    in_order = {name: cells.gather(through.arg_sort()).to_numpy() for name, cells in known.items()}
    for name, points in in_order.items():
        again = np.flatnonzero((np.diff(points) < 0) & (points[1:] == points.min())) + 1
        is_within = len(again) > 1 and not {"epoch", "epochs"} & set(words_of(name))
        rises = [np.diff(other) > 0 for other in in_order.values()]
        is_explained = any(rise[again - 1].all() and not rise.all() for rise in rises)
        if len(again) and not is_within and not is_explained:
            return name, float(points[again[0] - 1]), float(points[again[0]])
    return None


def _measured_twice(rows: pl.DataFrame, clocks: Sequence[str], measures: Sequence[str]) -> list[float]:
    """Return where along the first clock a measure has several values at one point."""
    found = list[float]()
    for measure in measures:
        kinds = rows.group_by(clocks).agg(pl.col(measure).drop_nulls().n_unique())
        found += kinds.filter(pl.col(measure) > 1)[clocks[0]].to_list()
    return found


def _before_the_end(
    ordered: pl.DataFrame, rows: pl.DataFrame, clocks: Sequence[str], measures: Sequence[str]
) -> tuple[pl.DataFrame, str]:
    """Return the points of the training itself: an evaluation behind the last trained epoch is another number."""
    epoch = clocks[0]
    trained = [name for name in rows.columns if "train" in words_of(name) and rows[name].dtype.is_numeric()]
    if not trained or ordered.height < 2:
        return ordered, ""
    epochs = set(rows.filter(pl.any_horizontal(pl.col(trained).is_not_null()))[epoch].drop_nulls())
    inside = ordered.filter(pl.col(epoch).is_in(list(epochs)))
    beyond = ordered.filter(~pl.col(epoch).is_in(list(epochs)))
    if not epochs or inside.is_empty() or beyond.is_empty() or beyond[epoch].min() <= max(epochs):
        return ordered, ""
    if set(ordered[epoch].drop_nulls()) - set(beyond[epoch]) != set(inside[epoch]):
        return ordered, ""
    value = beyond[measures[0]].cast(pl.Float64, strict=False).drop_nulls()
    shown = f" ({value[-1]:.6g})" if value.len() else ""
    return inside, f"`{epoch}` {max(beyond[epoch].to_list()):g}{shown} was measured after the training: left out"


def _name_of(key: Sequence[object], keys: Sequence[str]) -> str:
    shown = ", ".join(f"{name} {_short(value)}" for name, value in zip(keys, key, strict=True))
    return f" ({shown})" if shown else ""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"…{text[-23:]}"


def _ended_early(runs: pl.DataFrame, columns: Columns, clock: str) -> list[str]:
    last = runs[LAST]
    if last.null_count() or runs.height < 2:
        return []
    longest = float(last.max())  # type: ignore[arg-type]
    early = runs.filter(pl.col(LAST) < longest)
    if early.is_empty():
        return []
    names = [name for name in (FILE, *names_of(columns, Role.IDENTITY, Role.SEED)) if name in runs.columns]
    shown = [
        f"{_short(row[names[0]]) if names else 'one'} ({row[LAST]:g})" for row in early.head(2).iter_rows(named=True)
    ]
    more = f" and {early.height - 2} more" if early.height > 2 else ""
    what = "epochs" if clock.lower() == "epoch" else f"`{clock}`"
    return [f"trials ended at different {what}, the longest at {longest:g}: {', '.join(shown)}{more}"]
