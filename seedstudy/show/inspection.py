"""What `import --dry-run` prints: what a file is taken for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from seedstudy.show.format import filled_table, small_print

if TYPE_CHECKING:
    from seedstudy.read.inspect import Inspection, SeenArm

_MANY = 12


def inspection_tables(inspections: Sequence[Inspection]) -> RenderableType:
    """Render the columns and the runs of each file."""
    return Group(*[part for each in inspections for part in _tables(each)])


def _tables(seen: Inspection) -> Iterator[RenderableType]:
    columns = [(column.name, column.role, column.why, column.values) for column in seen.columns]
    yield seen.file if seen.read is None else seen.read.line()
    yield filled_table(["column", "role", "why", "values"], columns)
    if seen.arms:
        yield filled_table(["arm", "eval set", "n", "results by seed"], [_row(arm) for arm in seen.arms])
    yield from [small_print(f"note: {note}") for note in (seen.read.notes if seen.read else ())]


def _row(arm: SeenArm) -> tuple[str, str, str, str]:
    names = [""] * len(arm.values) if arm.seeds is None else [f"{seed}: " for seed in arm.seeds]
    shown = [f"{name}{value:.6g}" for name, value in zip(names, arm.values, strict=True)]
    more = " …" if len(shown) > _MANY else ""
    return arm.label, arm.eval_set, str(arm.n), ", ".join(shown[:_MANY]) + more
