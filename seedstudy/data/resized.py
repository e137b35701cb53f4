"""A smaller copy of a data set: every image resized once, so that a training decodes a fraction of the pixels, or none.

The copy is a folder of class folders in the layout that the data set is read from: ImageNet's own, or that of images of
one's own. `resized.json` in it says what it was made of and how, and belongs to its fingerprint: no trial on a copy
ever pools with one on the original.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from seedstudy import machine
from seedstudy.data.base import Dataset, EvalSet, Progress
from seedstudy.data.encoded import FORMATS, ppm, ppm_bytes
from seedstudy.document import HIDDEN
from seedstudy.errors import DataError, StoreError, printable
from seedstudy.files import check_folder, is_there, read_record, write_atomically, write_record

if TYPE_CHECKING:
    from seedstudy.data.encoded import EncodedImages

RECORD = "resized.json"
FILTER = "bicubic"
"""Pillow's, which averages over all pixels that become one."""
SMALLEST_SIDE = 32  # pixels
MOST_QUALITY = 95  # of JPEG; above, files grow and pixels hardly change

_V2_FOLDERS = {
    "v2": "imagenetv2-matched-frequency-format-val",
    "v2_threshold": "imagenetv2-threshold0.7-format-val",
    "v2_top": "imagenetv2-top-images-format-val",
}
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_AT_ONCE = 32  # images
_SAY_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A resized copy, and how it was made."""

    folder: Path
    data: str
    """Of what."""
    fingerprint: str
    """Of the original."""
    short_side: int
    """Pixels; an image whose shorter side is not longer is copied byte for byte."""
    filter: str
    quality: int | None
    """Of the JPEG files, 1 to 95; None: the images are kept decoded, as PPM files."""
    images: int
    resized: int
    bytes_before: int
    bytes_after: int
    is_new: bool = field(metadata=HIDDEN)
    """False where the copy was there already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    """One image of the copy."""

    source: EncodedImages
    row: int
    place: str
    """Path below the copy's folder, where the image is resized; the suffix of a smaller image may differ."""


def resized_copy(
    data: Dataset, folder: Path, *, short_side: int, quality: int | None, progress: Progress = lambda line: None
) -> Copy:
    """Make a copy in a folder of its own, complete or not at all; the same call resumes after an interruption.

    Without ``quality`` the images are kept decoded.

    DataError for images that are kept decoded (they are small), for a folder that holds something else, and where an
    image does not decode.
    """
    if short_side < SMALLEST_SIDE or not 1 <= (quality or MOST_QUALITY) <= MOST_QUALITY:
        at_least = f"at least {SMALLEST_SIDE} px, and 1 to {MOST_QUALITY}"
        raise DataError(f"short side {short_side}, quality {quality}: {at_least}")
    if not data.stored:
        raise DataError(f"{data.name}: its images are small and kept decoded; there is nothing to resize")
    if data.name == "imagenet_minival":
        raise DataError("imagenet_minival: make the copy of imagenet; it has the same names, and so the same minival")
    plan = {"data": data.name, "fingerprint": data.fingerprint, "short_side": short_side, "quality": quality}
    if is_there(folder):
        return _existing(folder, plan)
    partial = folder.with_name(f".{folder.name}.partial")
    images = list(_layout(data, is_decoded=quality is None))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(exist_ok=True)
        check_folder(partial)
        lock = _begin(partial, plan)
        try:
            n_resized, n_before, n_after = _make(partial, images, short_side, quality, progress, name=data.name)
            _write_lists(partial, data, images)
            record = {**plan, "filter": FILTER, "images": len(images), "resized": n_resized}
            record |= {"bytes_before": n_before, "bytes_after": n_after}
            write_record(partial / RECORD, record)
            (partial / _PLAN).unlink()
            if hasattr(os, "sync"):
                os.sync()  # every image, before the name that says so
            partial.rename(folder)
        finally:
            os.close(lock)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: the copy cannot be written ({error.strerror or error}); make room, or choose "
            "another place, and repeat the command: what is done is kept"
        ) from error
    return _read(folder, is_new=True)


def _existing(folder: Path, plan: dict[str, Any]) -> Copy:
    """Return a copy that is there already; DataError where the folder is anything else."""
    if not is_there(folder / RECORD):
        raise DataError(f"{folder}: it exists and is not a resized copy; choose another folder with -o")
    copy = _read(folder, is_new=False)
    for key, value in plan.items():
        if (kept := getattr(copy, key)) != value:
            was, now = ("none (decoded)" if each is None else each for each in (kept, value))
            raise DataError(f"{folder}: a copy with {key} {was}, not {now}; choose another folder, or remove it")
    return copy


def _read(folder: Path, *, is_new: bool) -> Copy:
    record: dict[str, Any] = read_record(folder / RECORD)
    keys = (each.name for each in fields(Copy) if each.name not in ("folder", "is_new"))
    try:
        return Copy(folder=folder, is_new=is_new, **{key: record[key] for key in keys})
    except KeyError as error:
        raise DataError(f"{folder / RECORD}: not the record of a copy; make the copy again") from error


def provenance_of(folder: Path) -> dict[str, Any]:
    """Return what a copy was made of and how, for its fingerprint; nothing where a folder is no copy."""
    if not (folder / RECORD).is_file():
        return {}
    try:
        copy = _read(folder, is_new=False)
    except StoreError as error:
        raise DataError(f"{error} Make the copy again.") from error
    return {"copy_of": copy.fingerprint, "short_side": copy.short_side, "filter": copy.filter, "quality": copy.quality}


def in_words(folder: Path) -> str:
    """Say what a copy was made of and how; empty where a folder is no copy."""
    if not (folder / RECORD).is_file():
        return ""
    copy = _read(folder, is_new=False)
    stored = "decoded" if copy.quality is None else f"JPEG quality {copy.quality}"
    return printable(
        f"a copy of {copy.data} ({copy.fingerprint}): shorter side {copy.short_side} px by {copy.filter}, {stored}; "
        "trials on it do not pool with those on the original"
    )


# --- where each image goes ----------------------------------------------------------------------------------------


def _layout(data: Dataset, *, is_decoded: bool) -> Iterator[_Image]:
    """Yield every image with its place, train first; DataError where two have the same."""
    taken = set[str]()
    for part, labels in _labels(data):
        for row, label in enumerate(labels):
            place = _place(data, part, bytes(data.stored[part].names[row]).decode(), label)
            if is_decoded:
                place = os.path.splitext(place)[0] + ".ppm"  # noqa: PTH122  # a million times
            if place in taken:
                stem, suffix = os.path.splitext(place)  # noqa: PTH122
                place = f"{stem}_{row}{suffix if is_decoded else '.jpg'}"
            taken.add(place)
            yield _Image(source=data.stored[part], row=row, place=place)


def _labels(data: Dataset) -> Iterator[tuple[str, list[int]]]:
    """Yield each part with the labels of its images."""
    if "train" in data.stored:
        yield "train", data.train_labels.tolist()
    for key in data.stored:
        if key != "train":
            yield key, _first_labels(data.eval_sets[key])


def _first_labels(eval_set: EvalSet) -> list[int]:
    labels: list[int] = eval_set.label_values[eval_set.label_offsets[:-1]].tolist()
    return labels


def _place(data: Dataset, part: str, name: str, label: int) -> str:
    if _is_imagenet(data):
        if part in _V2_FOLDERS:
            return f"{_V2_FOLDERS[part]}/{label}/{name.split('-', 2)[2]}.jpeg"
        return f"{part}/{data.classes[label]}/{name}.JPEG"
    inside = [word for word in PurePosixPath(name).parts if word not in ("/", "..")]
    folder = _safe(data.classes[label])
    if inside[0] == part and len(inside) > 1:
        inside = inside[1:]
    if inside[0] == data.classes[label] and len(inside) > 1:
        inside = inside[1:]
    stem, suffix = os.path.splitext("_".join(inside))  # noqa: PTH122  # a million times
    return f"{part}/{folder}/{stem}{suffix if suffix.lower() in _JPEG else '.jpg'}"


def _is_imagenet(data: Dataset) -> bool:
    return data.name == "imagenet"


def _safe(name: str) -> str:
    """Return the name of a class as that of a folder."""
    safe = name.replace("/", "_").replace("\\", "_").strip()
    return f"_{safe}" if not safe or safe.startswith(".") else safe


def _write_lists(folder: Path, data: Dataset, images: Sequence[_Image]) -> None:
    """Write the classes in the order of the labels, and the label sets of val."""
    present = set(data.train_labels.tolist()) if len(data.train_labels) else None
    classes = [name for label, name in enumerate(data.classes) if present is None or label in present]
    if not _is_imagenet(data):
        classes = [_safe(name) for name in classes]
        if len(set(classes)) < len(classes):
            raise DataError(f"{data.name}: two classes would share a folder; rename one of them")
    if not _is_imagenet(data) or len(classes) < len(data.classes):
        write_atomically(folder / "classes.txt", ("\n".join(classes) + "\n").encode())
    if _is_imagenet(data) or "real" not in data.eval_sets:
        return
    places = [image.place for image in images if image.source is data.stored["val"]]
    real = data.eval_sets["real"]
    sets = np.split(real.label_values, real.label_offsets[1:-1])
    rows = [
        f'"{places[row].partition("/")[2]}","{"|".join(_safe(data.classes[label]) for label in labels)}"'
        for row, labels in zip(real.rows.tolist(), sets, strict=True)
    ]
    write_atomically(folder / "real.csv", ("image,label\n" + "\n".join(rows) + "\n").encode())


# --- making it ----------------------------------------------------------------------------------------------------

_PLAN = "plan.json"


def _begin(partial: Path, plan: dict[str, Any]) -> int:
    """Write what is being made, or check that it is the same; returns the lock, held until it is closed."""
    path = partial / _PLAN
    if not is_there(path):
        write_record(path, plan, is_first_only=True)
    begun = read_record(path)
    different = [key for key, value in plan.items() if begun.get(key) != value]
    if different:
        raise DataError(
            f"{partial}: an unfinished copy with another {different[0]} ({begun.get(different[0])}, now "
            f"{plan[different[0]]}); remove it, or choose another folder with -o"
        )
    lock = os.open(path, os.O_RDONLY | machine.NO_FOLLOW)
    if machine.try_lock(lock) is False:
        os.close(lock)
        raise DataError(f"{partial}: another process is making this copy; wait for it")
    return lock


def _make(
    folder: Path, images: Sequence[_Image], short_side: int, quality: int | None, progress: Progress, *, name: str
) -> tuple[int, int, int]:
    """Write every image that is not there yet; returns how many were resized, and bytes before and after."""
    for part, of_class in sorted({PurePosixPath(image.place).parts[:2] for image in images}):
        for inside in (folder / part, folder / part / of_class):
            inside.mkdir(exist_ok=True)
            check_folder(inside)

    def write(chunk: Sequence[_Image]) -> list[tuple[bool, bool, int, int]]:
        return [_one(folder, image, short_side, quality) for image in chunk]

    started = said = time.monotonic()
    n_done = n_kept = n_resized = n_before = n_after = 0
    with ThreadPoolExecutor(machine.cores()) as pool:
        chunks = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
        try:
            for results in pool.map(write, chunks):
                for is_resized, is_kept, before, after in results:
                    n_done, n_kept, n_resized = n_done + 1, n_kept + is_kept, n_resized + is_resized
                    n_before, n_after = n_before + before, n_after + after
                now = time.monotonic()
                if now - said > _SAY_EVERY_S or n_done == len(images):
                    said, per_s = now, (n_done - n_kept) / max(now - started, 1e-3)
                    minutes = (len(images) - n_done) / max(per_s, 1e-3) / 60
                    left = f", {minutes:.0f} min left" if n_done < len(images) else ""
                    kept = f", {n_kept:,} from before" if n_kept else ""
                    progress(f"{name}: {n_done:,} of {len(images):,} images{kept}, {per_s:,.0f} images/s{left}")
        except BaseException as error:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
            if isinstance(error, KeyboardInterrupt):
                progress(f"{name}: interrupted; what is done is kept, and the same command resumes")
            raise
    return n_resized, n_before, n_after


def _one(folder: Path, image: _Image, short_side: int, quality: int | None) -> tuple[bool, bool, int, int]:
    """Write one image; returns whether it is resized, whether it was there already, and bytes before and after."""
    from PIL import Image

    before = int(image.source.sizes[image.row])
    path = folder / image.place
    if (size := _finished(path)) is not None:
        is_resized = size != before if quality is not None else _short_side(image) > short_side
        return is_resized, True, before, size
    pixels = image.source.open(image.row)
    is_large = min(pixels.size) > short_side
    if not is_large and quality is not None:
        content = image.source.read(image.row)
        suffix = os.path.splitext(bytes(image.source.names[image.row]).decode())[1]  # noqa: PTH122
        if suffix and suffix.lower() not in _JPEG:
            path = path.with_suffix(suffix)
        if not (path.is_file() and path.stat().st_size == len(content)):
            write_atomically(path, content, is_durable=False)
        return False, False, before, len(content)
    if is_large:
        scale = short_side / min(pixels.size)
        width, height = (max(short_side, round(side * scale)) for side in pixels.size)
        pixels = pixels.resize((width, height), Image.Resampling.BICUBIC)
    if quality is None:
        content = ppm(np.asarray(pixels))
    else:
        stream = io.BytesIO()
        pixels.save(stream, "JPEG", quality=quality)
        content = stream.getvalue()
    write_atomically(path, content, is_durable=False)
    return is_large, False, before, len(content)


def _short_side(image: _Image) -> int:
    """Return the shorter side of an original in pixels, from its head alone."""
    from PIL import Image

    with Image.open(io.BytesIO(image.source.read(image.row)), formats=FORMATS) as head:
        return min(head.size)


def _finished(path: Path) -> int | None:
    """Return the size of an image that an earlier attempt wrote; None where it is absent, or cut short by a crash."""
    try:
        descriptor = os.open(path, os.O_RDONLY | machine.NO_FOLLOW | machine.NON_BLOCKING | machine.BINARY)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size < 4:
            return None
        if (whole := ppm_bytes(file.read(32))) is not None:
            return size if size == whole else None
        file.seek(size - 2)
        return size if file.read(2) == b"\xff\xd9" else None  # the end of a JPEG
