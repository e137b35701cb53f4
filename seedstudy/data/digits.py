"""`digits`: the scanned handwritten digits that come with scikit-learn, enlarged to 32 px."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress
from seedstudy.files import sha256

if TYPE_CHECKING:
    from seedstudy.data.base import Images

CLASSES = tuple("0123456789")
IMAGE_SIZE = 32  # pixels
MISSING = {
    "real": "digits has no labels by several annotators, and none exist to download: use shapes or cifar10.",
    "v2": "digits has no second test set, and none exists to download: use shapes or cifar10.",
}


class Digits:
    """The last third of each class in file order is val, the rest is train."""

    info = DataInfo(
        name="digits",
        title="Digits (scikit-learn)",
        n_train=1201,
        image_size=IMAGE_SIZE,
        n_classes=len(CLASSES),
        epoch_ratio=0.1,
        default_model="resnet8_patch",
        note="Scanned handwritten digits that come with scikit-learn, 8 px enlarged to 32 px; val only.",
        is_embedded=True,
    )

    def source_key(self, data_dir: Path | None) -> str:
        """Return a digest of this file, which splits and enlarges; the scans are equal in all versions."""
        return sha256(Path(__file__))

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Enlarge and split."""
        from sklearn.datasets import load_digits

        scans = load_digits()
        labels = scans.target.astype(np.int64)
        images = _enlarged(scans.images)
        val_rows = _last_third(labels)
        train_rows = np.setdiff1d(np.arange(len(labels)), val_rows)
        ids = np.array([f"digits-{row:04d}" for row in val_rows])
        progress(f"digits: {len(labels):,} images enlarged to {IMAGE_SIZE} px")
        return Content(
            classes=CLASSES,
            train_images=images[train_rows],
            train_labels=labels[train_rows],
            images={"val": images[val_rows]},
            eval_sets=(EvalSet.of_labels("val", labels[val_rows], ids),),
            missing=MISSING,
        )

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> list[Finding]:
        """Train and val come with scikit-learn; real and v2 do not exist."""
        comes = Finding(part="train", status="found", where="scikit-learn", note="comes with the package")
        if find_spec("sklearn") is None:
            how = "scikit-learn is not installed: pip install 'seedstudy[train]'"
            comes = Finding(part="train", status="missing", where="", note=how)
        absent = [Finding(part=part, status="missing", where="", note=why) for part, why in MISSING.items()]
        return [comes, replace(comes, part="val"), *absent]


def _last_third(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the val rows: the tail of each class, because neighbours in the file look alike.

    Every third image instead would make val easier.
    """
    members = [np.flatnonzero(labels == label) for label in range(len(CLASSES))]
    return np.sort(np.concatenate([rows[len(rows) - len(rows) // 3 :] for rows in members]))


def _enlarged(scans: NDArray[np.float64]) -> Images:
    """Turn (n, 8, 8) grey levels 0-16 into (n, 32, 32, 3) uint8; Pillow resamples in integers."""
    from PIL import Image

    grey = np.rint(scans * (255 / 16)).astype(np.uint8)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    enlarged = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in grey]
    return np.repeat(np.stack(enlarged)[..., None], 3, axis=3)
