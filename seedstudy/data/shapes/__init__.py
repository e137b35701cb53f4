"""`shapes`: ten filled shapes on patterned backgrounds, rendered here from fixed seeds; no download.

A measuring instrument for seed studies. The renderer knows every object in a picture, so the eval sets relate to each
other as ImageNet-val, ReaL and V2 do:

- `train` and `val` have ONE label per picture, as from an annotator: usually the larger object's, now and then the
  other one's (`label_slip`);
- `real` accepts every clearly visible object of the same val pictures and leaves out those without one;
- `v2` is drawn again by the same renderer with a slightly harder `Difficulty`.

All randomness is PCG64 with fixed seeds. Pixel arithmetic is float32 with correctly rounded operations only
(+ - * / sqrt min max), so every platform renders the same bytes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress
from seedstudy.data.shapes.outlines import CLASSES
from seedstudy.data.shapes.pixels import render
from seedstudy.data.shapes.scenes import IMAGE_SIZE, Difficulty
from seedstudy.files import sha256

VAL_DIFFICULTY = Difficulty()
"""Of train, val and real."""

V2_DIFFICULTY = dataclasses.replace(
    VAL_DIFFICULTY,
    radius=(8.0, 13.0),
    turn=30.0,
    second_rate=0.34,
    colour_cue=0.85,
    opacity=(0.65, 1.0),
    cover_rate=0.15,
    noise=(0.01, 0.08),
)
"""The same kind of pictures, slightly harder: so the second collection of ImageNet test images turned out."""

N_TRAIN, N_VAL, N_V2 = 2048, 5000, 2500


class Shapes:
    """Train, val and v2 are rendered; real is val judged by label sets."""

    info = DataInfo(
        name="shapes",
        title="Shapes (rendered)",
        n_train=N_TRAIN,
        image_size=IMAGE_SIZE,
        n_classes=len(CLASSES),
        epoch_ratio=1 / 25,
        default_model="resnet8_patch",
        note="Embedded: ten shapes rendered from a fixed seed; a measuring instrument, not a benchmark.",
    )

    def source_key(self, data_dir: Path | None) -> str:
        """Return digests of the renderer's files, so that no change of a knob can meet old pictures."""
        return "".join(sha256(path)[:16] for path in sorted(Path(__file__).parent.glob("*.py")))

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Render everything."""
        train = render(N_TRAIN, VAL_DIFFICULTY, seed=(2021, 0))
        progress(f"shapes: {N_TRAIN:,} training images rendered")
        val = render(N_VAL, VAL_DIFFICULTY, seed=(2021, 1))
        progress(f"shapes: {N_VAL:,} val images rendered")
        v2 = render(N_V2, V2_DIFFICULTY, seed=(2021, 2))
        progress(f"shapes: {N_V2:,} v2 images rendered")
        labelled = EvalSet.of_labels("val", val.labels, _ids("val", N_VAL))
        return Content(
            classes=CLASSES,
            train_images=train.images,
            train_labels=train.labels,
            images={"val": val.images, "v2": v2.images},
            eval_sets=(
                labelled,
                labelled.with_label_sets("real", [np.flatnonzero(visible) for visible in val.clear]),
                EvalSet.of_labels("v2", v2.labels, _ids("v2", N_V2)),
            ),
            missing={},
        )

    def check(self, data_dir: Path | None) -> list[Finding]:
        """Everything is rendered on first use."""
        notes = {
            "train": f"{N_TRAIN:,} images",
            "val": f"{N_VAL:,} images",
            "real": "label sets of the val images",
            "v2": f"{N_V2:,} images",
        }
        return [
            Finding(part=part, status="found", where="built in", note=f"{note}, rendered on first use")
            for part, note in notes.items()
        ]


def _ids(prefix: str, n: int) -> NDArray[np.str_]:
    return np.array([f"{prefix}-{row:05d}" for row in range(n)])
