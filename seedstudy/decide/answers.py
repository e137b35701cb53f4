"""What answers have in common: several of one kind, and what was read from files to give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from seedstudy.document import fields_of

if TYPE_CHECKING:
    from seedstudy.study.group import Group, Reading

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers(Sequence[T]):
    """The answers in the order asked for; iterate, index, or take ``to_dict()`` for the document of ``--json``."""

    answers: tuple[T, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the command's ``--json`` document."""
        return fields_of(self)

    def __getitem__(self, index: Any) -> Any:
        return self.answers[index]

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What was read from files, and what was assumed; every answer begins with it."""

    files: tuple[Reading, ...] = ()
    """One per file, in the order asked for; none where the numbers come from studies or from the caller."""

    def lines(self) -> list[str]:
        """Return a sentence per file, at most `_MOST_LINES`."""
        lines = [reading.line() for reading in self.files]
        n_more = len(lines) - _MOST_LINES
        return lines if n_more <= 0 else [*lines[:_MOST_LINES], f"… and {n_more} more file{'s' if n_more > 1 else ''}"]

    def to_dict(self) -> Any:
        """Return ``"read"`` of every document: a record of the file, a list of them for several, None for no file."""
        records = [fields_of(reading) for reading in self.files]
        return records[0] if len(records) == 1 else records or None


NO_FILE = Read()
_MOST_LINES = 6


def what_was_read(groups: Iterable[Group]) -> Read:
    """Return what was read from the files of these groups, one record per file."""
    of_file: dict[str, list[Group]] = {}
    for group in groups:
        if group.read is not None:
            of_file.setdefault(group.read.file, []).append(group)
    return Read(files=tuple(_of_one_file(members) for members in of_file.values()))


def _of_one_file(groups: Sequence[Group]) -> Reading:
    readings = [group.read for group in groups if group.read is not None]
    n_runs: dict[str, int] = {}
    for group in groups:
        n_runs[group.eval_set] = n_runs.get(group.eval_set, 0) + group.n
    return replace(
        readings[0],
        n_runs=max(n_runs.values()),
        metric=", ".join(dict.fromkeys(reading.metric for reading in readings)),
        clock=next((reading.clock for reading in readings if reading.clock is not None), None),
        n_points=max((reading.n_points for reading in readings if reading.n_points is not None), default=None),
        arms_by=tuple(dict.fromkeys(name for reading in readings for name in reading.arms_by)),
        seeds_by=next((reading.seeds_by for reading in readings if reading.seeds_by is not None), None),
        notes=tuple(dict.fromkeys(note for reading in readings for note in reading.notes)),
    )
