"""Prepared data sets on disk: .npy files and meta.json in one folder, published complete or not at all.

An entry `<name>-<key>/` never changes once it is published, so workers map its arrays without any lock.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy.data import encoded
from seedstudy.data.base import EVAL_SET_ORDER, Content, Dataset, EvalSet
from seedstudy.data.encoded import EncodedImages
from seedstudy.errors import DataError, StoreError
from seedstudy.files import read_json, write_atomically

if TYPE_CHECKING:
    from seedstudy.data.base import Images

FORMAT_VERSION = 1
"""History: 1 first version. Part of the key and of the fingerprint."""

_EVAL_FIELDS = ("rows", "example_ids", "label_offsets", "label_values")
_ABANDONED_S = 24 * 3600.0  # a temporary folder this old belongs to a process that was killed


def ensure(name: str, *, source_key: str, cache_dir: Path, build: Callable[[], Content]) -> Path:
    """Return the folder of a prepared data set; build and publish it where it is absent or damaged."""
    digest = hashlib.sha256(f"{name} {FORMAT_VERSION} {source_key}".encode()).hexdigest()
    entry = cache_dir / f"{name}-{digest[:16]}"
    if _is_intact(entry):
        return entry
    # Ask for the folder before minutes of decoding, not after.
    with _disk_errors(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        _sweep(cache_dir)
        temporary = cache_dir / f".{entry.name}.{secrets.token_hex(4)}.tmp"
        temporary.mkdir()
    try:
        content = build()
        with _disk_errors(cache_dir):
            _write(temporary, name, content)
            _publish(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return entry


def load(prepared: Path, *, train_limit: int | None = None) -> Dataset:
    """Map one entry into memory; DataError where it is damaged or the limit is impossible."""
    meta, arrays = _open(prepared)
    eval_sets = {}
    for item in meta["eval_sets"]:
        fields: dict[str, Any] = {field: np.asarray(arrays[f"{item['name']}.{field}"]) for field in _EVAL_FIELDS}
        eval_sets[item["name"]] = EvalSet(**item, **fields)
    train_images: Images = arrays["train_images"]
    train_labels: NDArray[np.int64] = np.asarray(arrays["train_labels"])
    stored = {key: _stored(prepared, key, arrays) for key in meta.get("stored", ())}
    if train_limit is not None:
        rows = _first_rows(train_labels, train_limit, name=meta["name"])
        if len(rows) < len(train_labels):
            train_labels = train_labels[rows]
            if stored:
                stored["train"] = stored["train"].take(rows)
            else:
                train_images = train_images[rows]
    return Dataset(
        name=meta["name"],
        classes=tuple(meta["classes"]),
        image_size=None if stored else int(train_images.shape[1]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        train_images=train_images,
        train_labels=train_labels,
        images={key.removeprefix("images."): arrays[key] for key in arrays if key.startswith("images.")},
        eval_sets=eval_sets,
        missing=dict(meta["missing"]),
        fingerprint=_fingerprint(meta, train_limit),
        stored=stored,
    )


# --- the training subset -----------------------------------------------------------------------------


def _first_rows(labels: NDArray[np.int64], limit: int, *, name: str) -> NDArray[np.int64]:
    """Return the rows of the first `limit` images taken class by class in turn, in original order."""
    n_classes = len(np.unique(labels))
    if not n_classes <= limit <= len(labels):
        raise DataError(
            f"train limit {limit}: {name} has {len(labels)} training images of {n_classes} classes; "
            f"give a number from {n_classes} to {len(labels)}"
        )
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class])
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    rank_in_class[by_class] = np.arange(len(labels)) - starts
    return np.sort(np.argsort(rank_in_class, kind="stable")[:limit])


def _fingerprint(meta: dict[str, Any], train_limit: int | None) -> str:
    """Hash what decides the numbers: not paths, times or the .npy header."""
    facts = {
        "name": meta["name"],
        "format": meta["format"],
        "arrays": {
            key: value
            for key, value in meta["arrays"].items()
            if not key.startswith("stored.") or key.rpartition(".")[2] in encoded.CONTENT
        },
        "train_limit": train_limit,
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- writing -------------------------------------------------------------------------------------------


def _write(folder: Path, name: str, content: Content) -> None:
    """Write the arrays and, last, meta.json."""
    arrays: dict[str, NDArray[Any]] = {"train_images": content.train_images, "train_labels": content.train_labels}
    arrays |= {f"images.{key}": images for key, images in content.images.items()}
    for eval_set in content.eval_sets:
        arrays |= {f"{eval_set.name}.{field}": getattr(eval_set, field) for field in _EVAL_FIELDS}
    for key, stored in content.stored.items():
        unpacked = _unpacked(folder, stored)
        arrays |= {f"stored.{key}.{field}": getattr(unpacked, field) for field in encoded.FIELDS}
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array, allow_pickle=False)
    mean, std = content.statistics or _channel_statistics(content.train_images)
    meta = {
        "format": FORMAT_VERSION,
        "name": name,
        "classes": list(content.classes),
        "mean": mean,
        "std": std,
        "eval_sets": [
            {"name": eval_set.name, "images": eval_set.images}
            for eval_set in sorted(content.eval_sets, key=lambda each: EVAL_SET_ORDER.index(each.name))
        ],
        "stored": sorted(content.stored),
        "missing": content.missing,
        "arrays": {key: _array_facts(array) for key, array in arrays.items()},
    }
    write_atomically(folder / "meta.json", json.dumps(meta, indent=1).encode())


def _unpacked(folder: Path, images: EncodedImages) -> EncodedImages:
    """Unpack the gzipped files among those that hold the images, which allow no access by offset."""
    files = []
    for name in map(os.fsdecode, images.files):
        if name.endswith(".gz"):
            target = folder / Path(name).stem
            with gzip.open(name) as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
                plain.flush()
                os.fsync(plain.fileno())  # of this file only the length is verified later
            name = target.name  # relative: the folder is still to be renamed
        files.append(os.fsencode(name))
    return replace(images, files=np.array(files, dtype=np.bytes_))


def _stored(entry: Path, key: str, arrays: Mapping[str, Any]) -> EncodedImages:
    """Return stored images, with the paths of files unpacked into the entry made absolute."""
    values = {name: arrays[f"stored.{key}.{name}"] for name in encoded.FIELDS}
    if not values["files"][0].startswith(b"/"):
        values["files"] = np.array([os.fsencode(entry / os.fsdecode(name)) for name in values["files"]])
    return EncodedImages(**values)


def _publish(temporary: Path, entry: Path) -> None:
    """Rename the finished folder into place; leave it to the other process where that one was first."""
    while True:
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.exists():
                raise
            if _is_intact(entry):
                return
            # Move the damaged entry away in one step: another process may be doing the same.
            aside = entry.parent / f".{entry.name}.{secrets.token_hex(4)}.tmp"
            with contextlib.suppress(FileNotFoundError):
                entry.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            return


def _sweep(cache_dir: Path) -> None:
    """Remove temporary folders that killed processes left behind."""
    for folder in cache_dir.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(cache_dir: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into one line for the user."""
    try:
        yield
    except OSError as error:
        # NumPy reports a short write without an error number; a full disk is what shortens writes.
        why = error.strerror or "no space left"
        raise DataError(
            f"{cache_dir}: the prepared data set cannot be written ({why}); "
            "make room there or choose another cache folder"
        ) from error


def _channel_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel (0-1 scale, 4 digits) from exact counts."""
    levels = np.arange(256, dtype=np.int64)
    mean, std = [], []
    for channel in range(3):
        counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
        first, second = (int(counts @ levels**power) / int(counts.sum()) for power in (1, 2))
        mean.append(round(first / 255, 4))
        std.append(round((second - first**2) ** 0.5 / 255, 4))
    return mean, std


# --- reading -------------------------------------------------------------------------------------------


def _array_facts(array: NDArray[Any]) -> dict[str, Any]:
    """Return what identifies an array's content."""
    digest = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest.hexdigest()}


def _is_intact(entry: Path) -> bool:
    """Return whether an entry is complete and its content is what was written."""
    if not entry.is_dir():
        return False
    try:
        meta, arrays = _open(entry)
        return all(_array_facts(array) == meta["arrays"][key] for key, array in arrays.items()) and all(
            _holds_its_images(_stored(entry, key, arrays)) for key in meta.get("stored", ())
        )
    except DataError:
        return False


def _holds_its_images(images: EncodedImages) -> bool:
    """Return whether the last image lies inside its file; each image is checked when it is read."""
    if len(images) == 0:
        return True
    last = int(np.argmax(images.offsets + images.sizes))
    path = Path(os.fsdecode(images.files[images.file_of[last]]))
    return path.is_file() and path.stat().st_size >= int(images.offsets[last] + images.sizes[last])


def _open(entry: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return meta.json and the mapped arrays; DataError where one is absent, truncated or another's."""
    path = entry / "meta.json"
    try:
        meta = read_json(path)
        if meta.get("format") != FORMAT_VERSION:
            raise ValueError("of another format")
        arrays = {}
        for key, facts in meta["arrays"].items():
            path = entry / f"{key}.npy"
            arrays[key] = array = np.load(path, mmap_mode="r", allow_pickle=False)
            if [array.dtype.str, list(array.shape)] != [facts["dtype"], facts["shape"]]:
                raise ValueError("another array's")
    except (StoreError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: the prepared data set is damaged; delete the folder and start again") from error
    return meta, arrays
