"""Pseudo-labels: what a network says of images without labels, in one small sealed file, and such images in training.

The images are either the training images of a data set that a training limit leaves out, by their rows, or those of a
folder, by their names and the digest of all their pixels.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Dataset
from seedstudy.data.encoded import decoded
from seedstudy.errors import DataError
from seedstudy.files import read_sealed, write_record

if TYPE_CHECKING:
    from seedstudy.data.base import Images
    from seedstudy.recipes.recipe import Recipe

KIND = "pseudo-labels"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
_MOST = 2**28
"""Bytes of an unpacked array."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoLabels:
    """What a teacher says of images."""

    classes: tuple[str, ...]
    teacher: str
    """In words: the trials, or the file."""
    data: str
    """Data set whose training images they are; with `folder`, the one whose size and classes the teacher has."""
    fingerprint: str
    """Of all training images of that data set."""
    rows: NDArray[np.int64]
    """(n,) images: rows of all training images of the data set, or of `names`; a repeated one counts twice."""
    labels: NDArray[np.int64]
    """(n,) the most likely class of each."""
    confidence: NDArray[np.float32]
    """(n,) its probability."""
    probabilities: NDArray[np.float32] | None
    """(n, n_classes), rows that sum to 1; None: the labels are hard."""
    folder: str = ""
    names: tuple[str, ...] = ()
    """Files of the folder, in the order of `rows`' numbers."""
    pixels: str = ""
    """Digest of the decoded images of the folder."""


def write(path: Path, labels: PseudoLabels, about: Mapping[str, Any]) -> None:
    """Write the file; ``about`` says how the labels were chosen. DataError where there is a file."""
    record = {
        **about,
        "kind": KIND,
        "classes": list(labels.classes),
        "teacher": labels.teacher,
        "data": labels.data,
        "fingerprint": labels.fingerprint,
        "folder": labels.folder,
        "names": list(labels.names),
        "pixels": labels.pixels,
        "rows": _packed(labels.rows, np.int32),
        "labels": _packed(labels.labels, np.int32),
        "confidence": _packed(labels.confidence, np.float32),
        "probabilities": None if labels.probabilities is None else _packed(labels.probabilities, np.float16),
    }
    try:
        is_new = write_record(path, record, is_first_only=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another place.") from error
    if not is_new:
        raise DataError(f"{path}: there is a file of this name; remove it, or choose another name.")


def read(content: bytes, where: str) -> PseudoLabels:
    """Return what :func:`write` wrote; DataError where that is not in the file."""
    record = read_sealed(content, Path(where))
    try:
        if record["kind"] != KIND:
            raise ValueError("another kind of file")
        found = PseudoLabels(
            classes=tuple(map(str, record["classes"])),
            teacher=str(record["teacher"]),
            data=str(record["data"]),
            fingerprint=str(record["fingerprint"]),
            folder=str(record["folder"]),
            names=tuple(map(str, record["names"])),
            pixels=str(record["pixels"]),
            rows=_unpacked(record["rows"], np.int32).astype(np.int64),
            labels=_unpacked(record["labels"], np.int32).astype(np.int64),
            confidence=_unpacked(record["confidence"], np.float32),
            probabilities=None
            if record["probabilities"] is None
            else _unpacked(record["probabilities"], np.float16).astype(np.float32),
        )
        n, n_classes = len(found.rows), len(found.classes)
        shapes = [found.rows.shape, found.labels.shape, found.confidence.shape]
        if shapes != [(n,)] * 3 or n == 0 or found.rows.min() < 0 or not _lies_in(found.labels, n_classes):
            raise ValueError("its parts do not fit together")
        if found.probabilities is not None and found.probabilities.shape != (n, n_classes):
            raise ValueError("its parts do not fit together")
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise DataError(f"{where}: not a file of `seedstudy pseudolabel` ({error}).") from error
    return found


def joined(data: Dataset, labels: PseudoLabels, recipe: Recipe, full: Dataset) -> Dataset:
    """Return a data set with pseudo-labelled images behind its own; ``full`` are all its training images.

    Raises DataError where the teacher has other classes, the images are others than those that were labelled, are among
    the labelled ones, or where soft labels meet a recipe that mixes images.
    """
    if data.stored:
        raise DataError(f"{data.name}: pseudo-labels need a data set that is held in memory, whose images are small.")
    if labels.classes != data.classes:
        raise DataError(
            f"the pseudo-labels' teacher has other classes ({len(labels.classes)}: {', '.join(labels.classes[:3])}, …) "
            f"than {data.name} ({len(data.classes)}: {', '.join(data.classes[:3])}, …)."
        )
    if labels.folder:
        images, pixels = folder_images(Path(labels.folder), labels.names, int(data.image_size or 0))
        if pixels != labels.pixels:
            raise DataError(f"{labels.folder}: its images are not those that were labelled; label them again.")
        extra = images[labels.rows]
    else:
        if labels.fingerprint != full.fingerprint:
            raise DataError(
                f"the pseudo-labels are of other training images than those of {data.name} here: label these again."
            )
        if len(data.train_labels) == len(full.train_labels):
            raise DataError("the pseudo-labelled images are labelled here too: give the --train-limit of the teacher.")
        kept = set(rows_with_labels(full, len(data.train_labels)).tolist())
        if kept & set(labels.rows.tolist()):
            raise DataError("some pseudo-labelled images are labelled here too: give the --train-limit of the teacher.")
        extra = full.train_images[labels.rows]
    targets = None
    if labels.probabilities is not None:
        if recipe.mixup_alpha or recipe.cutmix_alpha:
            raise DataError(
                f"recipe {recipe.name} mixes images, which soft pseudo-labels do not allow: write hard ones."
            )
        own = np.eye(len(data.classes), dtype=np.float32)[data.train_labels]
        own = own * (1.0 - recipe.label_smoothing) + recipe.label_smoothing / len(data.classes)
        targets = np.concatenate([own, labels.probabilities]).astype(np.float32)
    return replace(
        data,
        train_images=np.concatenate([data.train_images, extra]),
        train_labels=np.concatenate([data.train_labels, labels.labels]),
        n_pseudo=len(labels.rows),
        targets=targets,
    )


def rows_with_labels(full: Dataset, limit: int) -> NDArray[np.int64]:
    """Return the rows of the training images that a training limit keeps."""
    from seedstudy.data.cache import first_rows

    return first_rows(full.train_labels, limit, name=full.name)


# --- images of a folder ---------------------------------------------------------------------------------


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the image files below a folder, sorted; DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not names:
        raise DataError(f"{folder}: holds no images ({', '.join(SUFFIXES)}).")
    return tuple(names)


def folder_images(folder: Path, names: Sequence[str], size: int) -> tuple[Images, str]:
    """Return images as (n, size, size, 3) uint8 and the digest of them: the largest centred square, resized."""
    from PIL import Image, ImageOps

    images = np.empty((len(names), size, size, 3), dtype=np.uint8)
    for row, name in enumerate(names):
        path = folder / name
        try:
            image, _ = decoded(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise DataError(f"{path}: does not decode ({error}); remove it from the folder.") from error
        images[row] = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
    return images, hashlib.sha256(images.data).hexdigest()


# --- arrays in a record ---------------------------------------------------------------------------------


def _packed(array: NDArray[Any], kind: Any) -> dict[str, Any]:
    made = np.ascontiguousarray(array.astype(kind))
    return {"shape": list(made.shape), "zlib": base64.b64encode(zlib.compress(made.tobytes(), 9)).decode()}


def _unpacked(packed: Mapping[str, Any], kind: Any) -> NDArray[Any]:
    shape = tuple(int(side) for side in packed["shape"])
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
    if not 0 <= n_bytes <= _MOST:
        raise ValueError("an array is too large")
    content = zlib.decompressobj().decompress(base64.b64decode(packed["zlib"]), n_bytes + 1)
    if len(content) != n_bytes:
        raise ValueError("an array has another length than it says")
    return np.frombuffer(content, dtype=kind).reshape(shape)


def _lies_in(numbers: NDArray[Any], end: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < end)
