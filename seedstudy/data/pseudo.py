"""Pseudo-labels: what a network says of images without labels, in one small sealed file, and such images in training.

The images are either the training images of a data set that a training limit leaves out, by their rows, or those of a
folder, by their names and a digest: of all their pixels, or of their sizes in bytes where the data set is read as it is
needed, as ImageNet's own identity is.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.data.encoded import EncodedImages, decoded
from seedstudy.data.finding import encoded_images, entry_of
from seedstudy.errors import DataError, printable
from seedstudy.files import read_sealed, write_record

if TYPE_CHECKING:
    from seedstudy.data.base import Images

Pictures: TypeAlias = "Images | EncodedImages"
"""Arrays (n, h, w, 3) uint8, or images that stay encoded."""

KIND = "pseudo-labels"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
STORED = "train/pseudo"
"""Key of pseudo-labelled images in `Dataset.stored`; no folder, and so no eval set, has such a name."""
LARGEST = 2**28
"""Bytes of a file, and of an unpacked array in it."""


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
    """Digest of the images of the folder."""


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


def check_size(n: int, classes: Sequence[str], *, is_soft: bool) -> None:
    """Raise DataError where labels of so many images are too large for a file."""
    if n * (2 * len(classes) if is_soft else 4) > LARGEST:
        raise DataError(
            f"{'soft' if is_soft else 'hard'} labels of {n:,} images with {len(classes):,} classes are more than "
            f"{LARGEST:,} bytes: label fewer (--most N){', or write hard ones' if is_soft else ''}."
        )


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


def joined(data: Dataset, labels: PseudoLabels, full: Dataset) -> Dataset:
    """Return a data set with pseudo-labelled images behind its own; ``full`` are all its training images.

    Raises DataError where the teacher has other classes, the images are others than those that were labelled, or are
    among the labelled ones.
    """
    if labels.classes != data.classes:
        raise DataError(
            f"the pseudo-labels' teacher has other classes ({len(labels.classes)}: {', '.join(labels.classes[:3])}, …) "
            f"than {data.name} ({len(data.classes)}: {', '.join(data.classes[:3])}, …)."
        )
    images: Pictures
    if labels.folder:
        images, digest = unlabelled(Path(labels.folder), labels.names, full)
        if digest != labels.pixels:
            raise DataError(f"{labels.folder}: its images are not those that were labelled; label them again.")
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
        images = full.stored["train"] if full.stored else full.train_images
    together: dict[str, Any] = {
        "train_labels": np.concatenate([data.train_labels, labels.labels]),
        "n_pseudo": len(labels.rows),
        "pseudo_shares": labels.probabilities,
    }
    if isinstance(images, EncodedImages):
        return replace(data, stored={**data.stored, STORED: images.take(labels.rows)}, **together)
    return replace(data, train_images=np.concatenate([data.train_images, images[labels.rows]]), **together)


def rows_with_labels(full: Dataset, limit: int) -> NDArray[np.int64]:
    """Return the rows of the training images that a training limit keeps."""
    from seedstudy.data.cache import first_rows

    return first_rows(full.train_labels, limit, name=full.name)


def training_images(full: Dataset, rows: NDArray[np.int64]) -> Pictures:
    """Return some training images of a data set, as it keeps them."""
    return full.stored["train"].take(rows) if full.stored else full.train_images[rows]


# --- images of a folder ---------------------------------------------------------------------------------


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the image files below a folder, sorted, hidden ones left out; DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.")
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(folder)
        found = (name for name in files if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES)
        names += [(below / name).as_posix() for name in found]
    if not names:
        raise DataError(f"{folder}: holds no images ({', '.join(SUFFIXES)}).")
    if unprintable := [name for name in names if not name.isprintable()]:
        raise DataError(f"{folder}: the name of an image must be printable UTF-8 text: {printable(unprintable[0])}.")
    return tuple(sorted(names))


def unlabelled(folder: Path, names: Sequence[str], full: Dataset) -> tuple[Pictures, str]:
    """Return the images of a folder as those of a data set are kept, and their digest; DataError names a broken one.

    As arrays they are (n, size, size, 3) uint8, the largest centred square of each, resized; otherwise they stay files.
    """
    if full.stored:
        return _indexed(folder, names)
    from PIL import Image, ImageOps

    size = int(full.image_size or 0)
    images = np.empty((len(names), size, size, 3), dtype=np.uint8)

    def decode(row: int) -> None:
        path = folder / names[row]
        try:
            image, _ = decoded(path.read_bytes(), as_shown=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise DataError(f"{path}: does not decode ({error}); remove it from the folder.") from error
        images[row] = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))

    with ThreadPoolExecutor(machine.cores()) as pool:
        try:
            for _ in pool.map(decode, range(len(names))):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
    return images, hashlib.sha256(images.data).hexdigest()


def _indexed(folder: Path, names: Sequence[str]) -> tuple[EncodedImages, str]:
    entries = []
    for name in names:
        path = folder / name
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        if not stat.S_ISREG(state.st_mode) or state.st_size == 0:
            raise DataError(f"{path}: empty, or no regular file; remove it from the folder.")
        entries.append(entry_of("", name, str(path), 0, state.st_size, state.st_mtime_ns))
    images = replace(encoded_images(entries, names), as_shown=True)
    sizes = "".join(f"{entry.size} {name}\n" for entry, name in zip(entries, names, strict=True))
    return images, hashlib.sha256(sizes.encode()).hexdigest()


# --- arrays in a record ---------------------------------------------------------------------------------


def _packed(array: NDArray[Any], kind: Any) -> dict[str, Any]:
    made = np.ascontiguousarray(array.astype(kind))
    return {"shape": list(made.shape), "zlib": base64.b64encode(zlib.compress(made.tobytes(), 9)).decode()}


def _unpacked(packed: Mapping[str, Any], kind: Any) -> NDArray[Any]:
    shape = tuple(int(side) for side in packed["shape"])
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
    if not 0 <= n_bytes <= LARGEST:
        raise ValueError("an array is too large")
    content = zlib.decompressobj().decompress(base64.b64decode(packed["zlib"]), n_bytes + 1)
    if len(content) != n_bytes:
        raise ValueError("an array has another length than it says")
    return np.frombuffer(content, dtype=kind).reshape(shape)


def _lies_in(numbers: NDArray[Any], end: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < end)
