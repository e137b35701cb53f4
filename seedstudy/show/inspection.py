"""What `import --dry-run` prints: what a file is taken for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import small_print
from seedstudy.show.sheet import sheet

if TYPE_CHECKING:
    from seedstudy.read.inspect import Inspection, SeenArm

_MANY = 12


def inspection_tables(inspections: Sequence[Inspection]) -> RenderableType:
    """Return the columns and the runs of each file."""
    return Group(*[part for each in inspections for part in _tables(each)])


def _tables(seen: Inspection) -> Iterator[RenderableType]:
    columns = [(column.name, column.role, column.why, column.values) for column in seen.columns]
    yield Text(seen.file if seen.read is None else seen.read.line())
    yield Text()
    yield sheet(["column", "role", "why", "values"], (), columns)
    if seen.arms:
        yield Text()
        yield sheet(["arm", "eval set", "n", "results by seed"], (), map(_row, seen.arms))
    yield from [small_print(f"note: {note}") for note in (seen.read.notes if seen.read else ())]


def _row(arm: SeenArm) -> tuple[str, str, str, str]:
    names = [""] * len(arm.values) if arm.seeds is None else [f"{seed}: " for seed in arm.seeds]
    shown = [f"{name}{value:.6g}" for name, value in zip(names, arm.values, strict=True)]
    more = " …" if len(shown) > _MANY else ""
    return arm.label, arm.eval_set, str(arm.n), ", ".join(shown[:_MANY]) + more
