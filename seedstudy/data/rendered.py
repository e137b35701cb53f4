"""What data sets that are rendered here share: train, val and v2 from fixed seeds; real is val with label sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress, numbered
from seedstudy.files import sha256

if TYPE_CHECKING:
    from seedstudy.data.base import Images


class Part(Protocol):
    """What a renderer draws for one part of a data set of n examples."""

    @property
    def images(self) -> Images: ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,)."""

    @property
    def clear(self) -> NDArray[np.bool_]:
        """(n, n_classes): whether an object of the class is clearly visible."""


class Rendered:
    """An embedded data set; nothing is read or downloaded."""

    info: ClassVar[DataInfo]
    classes: ClassVar[tuple[str, ...]]
    what: ClassVar[str]
    """Plural of an example."""
    parts: ClassVar[Sequence[tuple[str, int, Any]]]
    """Name, size and difficulty of the training part, of val and of v2."""
    seed: ClassVar[int]
    sources: ClassVar[Sequence[str]]
    """Files of the renderer."""

    draw: ClassVar[Callable[..., Part]]
    """Renders so many examples of a difficulty, from a seed."""

    def source_key(self, data_dir: Path | None) -> str:
        """Return a digest of the renderer, so that a changed knob never meets what an older version rendered."""
        return "".join(sha256(Path(file)) for file in (__file__, *self.sources))

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Render everything."""
        rendered = []
        for stream, (part, n, difficulty) in enumerate(self.parts):
            rendered.append(self.draw(n, difficulty, seed=(self.seed, stream)))
            progress(f"{self.info.name}: {n:,} {part} {self.what} rendered")
        train, val, v2 = rendered
        labelled = EvalSet.of_labels("val", val.labels, numbered("val", len(val.labels)))
        return Content(
            classes=self.classes,
            train_images=train.images,
            train_labels=train.labels,
            images={"val": val.images, "v2": v2.images},
            eval_sets=(
                labelled,
                labelled.with_label_sets("real", [np.flatnonzero(visible) for visible in val.clear]),
                EvalSet.of_labels("v2", v2.labels, numbered("v2", len(v2.labels))),
            ),
            missing={},
        )

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> list[Finding]:
        """Everything is rendered on first use."""
        (_, n_train, _), (_, n_val, _), (_, n_v2, _) = self.parts
        notes = {"train": f"{n_train:,} {self.what}", "val": f"{n_val:,} {self.what}"}
        notes |= {"real": f"label sets of the val {self.what}", "v2": f"{n_v2:,} {self.what}"}
        return [
            Finding(part=part, status="found", where="built in", note=f"{note}, rendered on first use")
            for part, note in notes.items()
        ]
