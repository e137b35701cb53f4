"""Answers as values: several of one kind, as frames, and how they show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from seedstudy.document import document, fields_of

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


def _show() -> Any:
    """Return the room that draws answers. It lies above this one and is looked up by name: no answer depends on it."""
    return import_module("seedstudy.show.notebook")


class Shown:
    """An answer that a notebook shows as a table with its verdict, and that can draw itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the answer in a line or a few."""
        return str(_show().in_short(self))

    def _repr_html_(self) -> str:
        """Return the answer as a notebook shows it."""
        return str(_show().as_html(self))

    def plot(self, kind: str | None = None, *, width: str = "page", ax: Any = None) -> Any:
        """Return a picture of this answer: a matplotlib figure, or `ax` with the picture in it.

        Parameters
        ----------
        kind
            One of its kinds (``seedstudy plot --help`` names all); None: the usual one.
        width
            ``page`` (17.8 cm) or ``column`` (8.5 cm): words are of one size in print.
        ax
            Matplotlib axes to draw into, for pictures of one panel.

        Raises
        ------
        StudyError
            It has no such picture.

        """
        return _show().picture(self, kind, width=width, ax=ax)

    def to_frame(self) -> pl.DataFrame:
        """Return ``to_dict()`` as a Polars frame of one row; intervals become two columns, nested facts go."""
        return frame_of(document(self))


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Answers(Shown, Sequence[T]):
    """The answers in the order asked for; iterate, index, or take ``to_dict()`` for the document of ``--json``."""

    answers: tuple[T, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the command's ``--json`` document."""
        return fields_of(self)

    def __getitem__(self, index: Any) -> Any:
        return self.answers[index]

    def __len__(self) -> int:
        return len(self.answers)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per answer: intervals become two columns, nested facts are left out."""
        return frame_of(document(self.answers))


def frame_of(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return documents as a frame, one row each.

    ``x_ci`` becomes ``x_low`` and ``x_high``, ``ci`` becomes ``ci_low`` and ``ci_high``, a list of texts one text.
    Other lists and mappings are left out.
    """
    import polars as pl

    flat = []
    for row in [rows] if isinstance(rows, Mapping) else rows:
        cells: dict[str, Any] = {}
        for key, value in row.items():
            if key == "ci" or key.endswith("_ci"):
                name = key.removesuffix("_ci")
                cells[f"{name}_low"], cells[f"{name}_high"] = value or (None, None)
            elif isinstance(value, list) and all(isinstance(each, str) for each in value):
                cells[key] = "; ".join(value)
            elif not isinstance(value, list | Mapping):
                cells[key] = value
        flat.append(cells)
    return pl.DataFrame(flat, infer_schema_length=None)
