"""`digits`: the scanned handwritten digits that come with scikit-learn, enlarged to 32 px."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, EvalSet, Finding, Progress, single_labels
from seedstudy.data.cache import file_digest
from seedstudy.errors import DataError

if TYPE_CHECKING:
    from seedstudy.data.base import Images

CLASSES = tuple("0123456789")
IMAGE_SIZE = 32  # pixels
MISSING = {
    "real": "digits has no labels by several annotators, and none exist to download: use shapes or cifar10.",
    "v2": "digits has no second test set, and none exists to download: use shapes or cifar10.",
}


def source_key(data_dir: Path | None) -> str:
    """Name the split and the enlargement: a digest of this file. The scans are equal in all versions."""
    return file_digest(Path(__file__))


def build(data_dir: Path | None, progress: Progress) -> Content:
    """Enlarge and split: the last third of each class in file order is val, the rest is train."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    labels = scans.target.astype(np.int64)
    images = _enlarge(scans.images)
    val_rows = _last_third(labels)
    train_rows = np.setdiff1d(np.arange(len(labels)), val_rows)
    offsets, values = single_labels(labels[val_rows])
    val = EvalSet(
        name="val",
        images="val",
        rows=np.arange(len(val_rows)),
        example_ids=np.array([f"digits-{row:04d}" for row in val_rows]),
        label_offsets=offsets,
        label_values=values,
    )
    progress(f"digits: {len(labels):,} images enlarged to {IMAGE_SIZE} px")
    return Content(
        classes=CLASSES,
        train_images=images[train_rows],
        train_labels=labels[train_rows],
        images={"val": images[val_rows]},
        eval_sets=(val,),
        missing=MISSING,
    )


def check(data_dir: Path | None) -> list[Finding]:
    """Train and val come with scikit-learn; real and v2 do not exist."""
    present = [
        Finding(part=part, status="found", where="scikit-learn", note="comes with the package")
        for part in ("train", "val")
    ]
    absent = [Finding(part=part, status="missing", where="", note=why) for part, why in MISSING.items()]
    return present + absent


def _last_third(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the val rows, a tail: neighbours in the file look alike, so every third image would be easier."""
    tails = []
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        tails.append(members[len(members) - len(members) // 3 :])
    return np.sort(np.concatenate(tails))


def _enlarge(scans: NDArray[np.float64]) -> Images:
    """Turn (n, 8, 8) grey levels 0-16 into (n, 32, 32, 3) uint8; Pillow resamples in integers."""
    from PIL import Image

    if scans.shape[1:] != (8, 8):
        raise DataError(f"scikit-learn's digits have shape {scans.shape}, expected (n, 8, 8); reinstall it")
    grey = np.rint(scans * (255 / 16)).astype(np.uint8)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    enlarged = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in grey]
    return np.repeat(np.stack(enlarged)[..., None], 3, axis=3)
