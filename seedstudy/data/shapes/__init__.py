"""`shapes`: ten filled shapes on patterned backgrounds, rendered here from fixed seeds; no download.

A measuring instrument for seed studies. The renderer knows every object in a picture, so the eval sets
stand to each other as ImageNet-val, ReaL and V2 do:

- an annotator gives each picture ONE label: the larger object's as a rule, now and then the other one's
  (`label_slip`); `train` and `val` carry these labels;
- `real` accepts every clearly visible object of the same val pictures and leaves out those without one;
- `v2` is drawn anew by the same renderer with a slightly harder `Difficulty`.

All randomness is PCG64 with fixed seeds. Pixel maths is float32 with correctly rounded operations only
(+ - * / sqrt min max), so that every platform renders the same bytes. A NumPy that drew other numbers from a
seed would show in the golden test.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, EvalSet, Finding, Progress, label_sets, single_labels
from seedstudy.data.cache import file_digest
from seedstudy.data.shapes.outlines import CLASSES
from seedstudy.data.shapes.pixels import Pictures, render
from seedstudy.data.shapes.scenes import Difficulty

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


def source_key(data_dir: Path | None) -> str:
    """Name the renderer: a digest of its files, so that no change of a knob can meet old pictures."""
    return "".join(file_digest(path)[:16] for path in sorted(Path(__file__).parent.glob("*.py")))


def build(data_dir: Path | None, progress: Progress) -> Content:
    """Render train, val and v2; real is val judged by label sets."""
    train = render(N_TRAIN, VAL_DIFFICULTY, seed=(2021, 0))
    progress(f"shapes: {N_TRAIN:,} training images rendered")
    val = render(N_VAL, VAL_DIFFICULTY, seed=(2021, 1))
    progress(f"shapes: {N_VAL:,} val images rendered")
    v2 = render(N_V2, V2_DIFFICULTY, seed=(2021, 2))
    progress(f"shapes: {N_V2:,} v2 images rendered")
    return Content(
        classes=CLASSES,
        train_images=train.images,
        train_labels=train.labels,
        images={"val": val.images, "v2": v2.images},
        eval_sets=(_labelled("val", val), _label_set_judged("real", val), _labelled("v2", v2)),
        missing={},
    )


def check(data_dir: Path | None) -> list[Finding]:
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


def _labelled(name: str, pictures: Pictures) -> EvalSet:
    offsets, values = single_labels(pictures.labels)
    n = len(pictures.labels)
    return EvalSet(
        name=name,
        images=name,
        rows=np.arange(n),
        example_ids=_ids(name, np.arange(n)),
        label_offsets=offsets,
        label_values=values,
    )


def _label_set_judged(name: str, val: Pictures) -> EvalSet:
    rows = np.flatnonzero(val.clear.any(axis=1))
    offsets, values = label_sets(val.clear[rows])
    return EvalSet(
        name=name,
        images="val",
        rows=rows,
        example_ids=_ids("val", rows),
        label_offsets=offsets,
        label_values=values,
    )


def _ids(prefix: str, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array([f"{prefix}-{row:05d}" for row in rows])
