"""What `scaling` reads: cells of tables and studies, each with its cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy.api.shared import flat
from seedstudy.errors import SeedstudyError, StudyError, require_extra
from seedstudy.study.group import Group, Readings

if TYPE_CHECKING:
    import polars as pl

    from seedstudy.decide.given import Arm
    from seedstudy.decide.select import Source
    from seedstudy.engines.watch import Say
    from seedstudy.read.cells import Row

COUNTED = "GMACs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Costed:
    """Cells whose costs are all in one unit."""

    rows: tuple[Row, ...]
    cost: str
    metric: str
    unit: str | None
    read: Readings


def cells_of(
    arms: Sequence[Arm], source: Source, *, cost: str | None, by: str | None, metric: str, unit: str | None, say: Say
) -> Costed:
    """Return the cells of tables, or of a study's trials.

    StudyError where both are mixed, or the tables' costs are not of one kind.
    """
    from seedstudy.read.tables import SUFFIXES

    has_columns = cost is not None or by is not None
    tables = [
        arm
        for arm in arms
        if (Path(arm.words).suffix.lower() in SUFFIXES if arm.frame is None else has_columns or _holds_cells(arm.frame))
    ]
    if not tables:
        if has_columns:
            raise StudyError("scaling: --cost and --by name columns of a table; trials of a study have counted costs.")
        return _of_trials(arms, source)
    if len(tables) < len(arms):
        raise StudyError("scaling: tables and trials do not mix: export the trials with `seedstudy summary --json`.")
    picked = next((arm for arm in tables if arm.frame is not None and arm.words), None)
    if picked is not None:
        raise StudyError(f'scaling: "{picked.words}": all rows of a frame are read; give the rows that you mean.')
    files = [Path(arm.words) if arm.frame is None else arm.frame for arm in tables]
    return _of_tables(files, cost=cost, by=by, metric=metric, unit=unit, say=say)


def _holds_cells(frame: pl.DataFrame) -> bool:
    """Return whether a frame is a table with costs or networks; the trials of a study are not."""
    return not {"study", "recipe_id", "eval_set"} <= set(frame.columns)


def _of_tables(
    files: Sequence[Path | pl.DataFrame], *, cost: str | None, by: str | None, metric: str, unit: str | None, say: Say
) -> Costed:
    from seedstudy.read.cells import read_cells

    found = [
        read_cells(file, metric=metric, unit=unit, cost=cost, by=by, is_model=None if cost else _model_check())
        for file in files
    ]
    kinds = {(each.cost, each.unit) for each in found}
    if len(kinds) > 1:
        raise StudyError("scaling: the tables have different costs or units: name one column of all with --cost.")
    rows = [row for each in found for row in each.rows]
    if not found[0].cost:
        rows = _counted(rows, say)
    return Costed(
        rows=tuple(rows),
        cost=found[0].cost or COUNTED,
        metric=found[0].metric,
        unit=found[0].unit,
        read=Readings(each.reading for each in found),
    )


def _model_check() -> Callable[[str], bool] | None:
    """Return what says whether a text names a network; None without torch, where networks cannot be counted."""
    try:
        require_extra("train")
    except SeedstudyError:
        return None
    from seedstudy.train.models import is_known

    return is_known


def _counted(rows: Sequence[Row], say: Say) -> list[Row]:
    """Return rows with the multiply-adds of their networks, in billions."""
    from seedstudy.train.cost import measure

    counted = []
    for row in rows:
        assert row.model is not None, "tables without a cost have networks"
        size = row.coordinates.get("size")
        say(f"{row.label}: counting")
        of_model = measure(row.model, image_size=None if size is None else int(size), batch_size=2, n_timed=0)
        counted.append(replace(row, cost=of_model.size.n_macs / 1e9))
    return counted


def _of_trials(arms: Sequence[Arm], source: Source) -> Costed:
    from seedstudy.decide.select import on_one_eval_set, select
    from seedstudy.read.cells import Row, coordinates_of_name, label_of

    by_recipe: dict[tuple[str, str], list[Group]] = {}
    for group in flat(select(arms, source)):
        by_recipe.setdefault((group.label, group.pool_key), []).append(group)
    rows = []
    for group in (on_one_eval_set(of, source) for of in by_recipe.values()):
        trial, n_macs = source.trained(group)
        recipe = trial.recipe
        at = {**coordinates_of_name(trial.model), "size": float(recipe.test_size), "epochs": float(recipe.epochs)}
        label, spent = label_of(trial.model, at, None), n_macs / 1e9
        rows.append(
            Row(
                label=label,
                model=trial.model,
                coordinates=at,
                cost=spent,
                strategy=None,
                errors=100.0 - group.values,
            )
        )
    return Costed(rows=tuple(rows), cost=COUNTED, metric="top1", unit="pp", read=Readings())
