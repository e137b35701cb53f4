"""Several answers of one kind, as every question that can be asked of many recipes at once returns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from seedstudy.document import fields_of

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
