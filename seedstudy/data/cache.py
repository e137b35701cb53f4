"""Prepared data sets on disk: .npy files and meta.json in one folder, published complete or not at all.

An entry `<name>-<key>/` never changes once it is published, so workers map its arrays without any lock. Nothing in it
is believed: every process checks the content of all arrays when it first loads an entry, and refuses one that another
user may write. The files' times are noted at that check, so that a later change is noticed too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy import machine
from seedstudy.data import arrays, encoded, videos
from seedstudy.data.arrays import Marks
from seedstudy.data.base import Content, Dataset, EvalSet, place_of
from seedstudy.data.encoded import EncodedImages
from seedstudy.errors import DataError, StoreError, first_line
from seedstudy.files import read_record, write_record

if TYPE_CHECKING:
    from seedstudy.data.base import Images

FORMAT_VERSION = 1
"""Of the content; part of the fingerprint. History: 1 first version."""
LAYOUT = 2
"""Of the files; part of an entry's name. History: 1 first version; 2 meta.json sealed, times of image files noted."""

_EVAL_FIELDS = ("rows", "example_ids", "label_offsets", "label_values")
_ABANDONED_S = 24 * 3600.0  # a temporary folder this old belongs to a process that was killed
_TEMPORARY = re.compile(r"\.[a-z0-9_]+-[0-9a-f]{16}\.[0-9a-f]{8}\.tmp")


def ensure(name: str, *, source_key: str, cache_dir: Path, build: Callable[[], Content]) -> Path:
    """Return the folder of a prepared data set; build and publish it where it is absent or damaged.

    An entry of this user that others may write counts as damaged. DataError for one that belongs to another user, and
    for one that cannot be read at the moment.
    """
    digest = hashlib.sha256(f"{name} {LAYOUT} {source_key}".encode()).hexdigest()
    entry = cache_dir / f"{re.sub(r'[^a-z0-9_]+', '_', name.lower())[:60]}-{digest[:16]}"
    if _is_intact(entry):
        return entry
    # Ask for the folder before minutes of decoding, not after.
    with _disk_errors(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        _sweep(cache_dir)
        temporary = _temporary(entry)
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
    """Map one entry into memory; DataError where it is damaged, or others may write it, or the limit is impossible."""
    entry = _open(prepared)
    meta, found = entry.meta, entry.arrays
    stored = {key: _stored(prepared, key, entry) for key in meta.stored}
    images = {key.removeprefix("images."): found[key] for key in found if key.startswith("images.")}
    eval_sets = {}
    for name, key in meta.eval_sets.items():
        fields: dict[str, Any] = {field: np.asarray(found[f"{name}.{field}"]) for field in _EVAL_FIELDS}
        eval_sets[name] = EvalSet(name=name, images=key, **fields)
    train_images: Images = found["train_images"]
    train_labels: NDArray[np.int64] = np.asarray(found["train_labels"])
    if train_limit is not None:
        rows = first_rows(train_labels, train_limit, name=meta.name)
        if len(rows) < len(train_labels):
            train_labels = train_labels[rows]
            if stored:
                stored["train"] = stored["train"].take(rows)
            else:
                train_images = train_images[rows]
    return Dataset(
        name=meta.name,
        classes=meta.classes,
        image_size=None if stored else int(train_images.shape[-2]),
        mean=meta.mean,
        std=meta.std,
        train_images=train_images,
        train_labels=train_labels,
        images=images,
        eval_sets=eval_sets,
        missing=meta.missing,
        fingerprint=_fingerprint(meta, train_limit),
        stored=stored,
        partial=meta.partial,
        left_out=meta.left_out,
        marks=entry.marks,
    )


# --- the training subset -----------------------------------------------------------------------------


def first_rows(labels: NDArray[np.int64], limit: int, *, name: str) -> NDArray[np.int64]:
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


def _fingerprint(meta: _Meta, train_limit: int | None) -> str:
    """Hash what decides the numbers: not paths, times or the .npy header."""
    facts = {
        "name": "" if meta.facts else meta.name,
        "format": FORMAT_VERSION,
        "arrays": {
            key: value
            for key, value in meta.arrays.items()
            if not key.startswith("stored.") or key.rpartition(".")[2] in encoded.CONTENT
        },
        "train_limit": train_limit,
    }
    if meta.facts:
        facts["facts"] = meta.facts
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- writing -------------------------------------------------------------------------------------------


def _write(folder: Path, name: str, content: Content) -> None:
    """Write the arrays and, last, meta.json."""
    made: dict[str, NDArray[Any]] = {"train_images": content.train_images, "train_labels": content.train_labels}
    made |= {f"images.{key}": images for key, images in content.images.items()}
    for eval_set in content.eval_sets:
        made |= {f"{eval_set.name}.{field}": getattr(eval_set, field) for field in _EVAL_FIELDS}
    for key, stored in content.stored.items():
        unpacked = _inside(folder, stored)
        made |= {f"stored.{key}.{field}": getattr(unpacked, field) for field in encoded.FIELDS}
        if unpacked.frames is not None:
            made[f"stored.{key}.frames"] = unpacked.frames
    for key, array in made.items():
        np.save(folder / f"{key}.npy", array, allow_pickle=False)
    mean, std = content.statistics or _channel_statistics(content.train_images)
    meta = {
        "name": name,
        "classes": list(content.classes),
        "mean": mean,
        "std": std,
        "eval_sets": [
            [eval_set.name, eval_set.images]
            for eval_set in sorted(content.eval_sets, key=lambda each: place_of(each.name))
        ],
        "stored": sorted(content.stored),
        "missing": content.missing,
        "partial": content.partial,
        "left_out": content.left_out,
        "facts": content.facts,
        "as_shown": any(stored.as_shown for stored in content.stored.values()),
        "arrays": {key: arrays.facts(array) for key, array in made.items()},
    }
    write_record(folder / _META, meta)
    for path in (folder, *folder.iterdir()):
        path.chmod(path.stat().st_mode & ~0o022)  # whatever the umask is: others must not write it


def _inside(folder: Path, images: EncodedImages) -> EncodedImages:
    """Return the same images, gzipped files unpacked into a folder and named relative to it: it will be renamed."""
    plain = encoded.unpacked(images, folder)
    start = os.fsencode(folder) + b"/"
    return replace(plain, files=np.array([name.removeprefix(start) for name in plain.files.tolist()], dtype=np.bytes_))


def _stored(folder: Path, key: str, entry: _Entry) -> EncodedImages:
    """Return stored images, with the paths of files unpacked into the entry's folder made absolute."""
    values = {name: entry.arrays[f"stored.{key}.{name}"] for name in encoded.FIELDS}
    if len(values["files"]) and not values["files"][0].startswith(b"/"):
        values["files"] = np.array([os.fsencode(folder / os.fsdecode(name)) for name in values["files"]])
    frames = entry.arrays.get(f"stored.{key}.frames")
    return EncodedImages(**values, frames=frames, as_shown=entry.meta.as_shown)


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
            aside = _temporary(entry)
            with contextlib.suppress(FileNotFoundError):
                entry.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            return


def _temporary(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.{secrets.token_hex(4)}.tmp")


def _sweep(cache_dir: Path) -> None:
    """Remove folders that killed processes left behind; other programs may keep theirs here, so the name must be ours.

    A folder of another user, or a link, is left alone.
    """
    for folder in cache_dir.glob(".*.tmp"):
        if not _TEMPORARY.fullmatch(folder.name) or folder.is_symlink():
            continue
        with contextlib.suppress(FileNotFoundError):
            state = folder.stat()
            if time.time() - state.st_mtime > _ABANDONED_S and machine.other_writers(state) is None:
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

_META = "meta.json"


class _Damaged(DataError):
    """An entry that is not what was written, and may be made again."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: the prepared data set is damaged ({why}); delete the folder and start again")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Meta:
    """The content of meta.json; fields as those of :class:`~seedstudy.data.base.Dataset`."""

    name: str
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    eval_sets: dict[str, str]
    """Name -> key of its images."""
    stored: tuple[str, ...]
    missing: dict[str, str]
    partial: dict[str, tuple[int, int]]
    left_out: dict[str, str]
    facts: dict[str, Any]
    as_shown: bool
    arrays: dict[str, dict[str, Any]]
    """Name of each .npy file -> dtype, shape and digest of its content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """An entry whose content is what was written."""

    meta: _Meta
    arrays: dict[str, NDArray[Any]]
    marks: Marks


_checked: dict[Path, Marks] = {}
"""Entries whose content this process has checked, and what their files were then: equal marks need no second check."""


def _is_intact(entry: Path) -> bool:
    """Return whether an entry is there and may be used; DataError where it cannot be read now, or is another user's."""
    if not entry.is_dir():
        return False
    try:
        found = _open(entry)
        return all(_holds_its_images(_stored(entry, key, found)) for key in found.meta.stored)
    except _Damaged:
        return False


def _holds_its_images(images: EncodedImages) -> bool:
    """Return whether the files are as they were indexed: the first thousand, which are all where they are tar files.

    Each file is looked at again when an image of it is read.
    """
    for file, changed_ns in zip(images.files[:1000], images.changed_ns[:1000], strict=True):
        path = Path(os.fsdecode(file))
        if path.is_dir():
            if videos.size_and_time(videos.frame_files(path))[1] != changed_ns:
                return False
        elif not path.is_file() or path.stat().st_mtime_ns != changed_ns:
            return False
    return True


def _open(entry: Path) -> _Entry:
    """Return the description and the mapped arrays of an entry, their content checked."""
    path = entry / _META
    try:
        _mark(entry)  # for its writers alone: a folder changes whenever anything is written beside the arrays
        marks = {path: _mark(path)}
        meta = _parsed(read_record(path))
        found: dict[str, NDArray[Any]] = {}
        for key in meta.arrays:
            path = entry / f"{key}.npy"
            marks[path] = _mark(path)
            found[key] = arrays.mapped(path)
        if _checked.get(entry) != marks:
            for key, array in found.items():
                path = entry / f"{key}.npy"
                if arrays.facts(array) != meta.arrays[key]:
                    raise _Damaged(path, "its content is not what was written")
            path = entry / _META
            _check_fit(entry, _Entry(meta=meta, arrays=found, marks=marks))
            _checked[entry] = marks
    except FileNotFoundError as error:
        raise _Damaged(path, "a file is missing") from error
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise DataError(str(error)) from error
        raise _Damaged(path, "no sealed record") from error
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _Damaged(path, f"not what was written: {first_line(error)}") from error
    except OSError as error:
        raise DataError(f"{path}: the prepared data set cannot be read now ({error.strerror}); try again") from error
    return _Entry(meta=meta, arrays=found, marks=marks)


def _mark(path: Path) -> arrays.Mark:
    """Return what a change of a file would change; DataError where another user may write it."""
    state = path.stat()
    match machine.other_writers(state):
        case None:
            return arrays.mark_of(state)
        case "anyone":
            raise _Damaged(path, "other users may write it")
        case owner:
            raise DataError(
                f"{path}: the prepared data set belongs to another user ({owner}), who may change it; choose a cache "
                "folder of your own with SEEDSTUDY_CACHE"
            )


def _parsed(record: Mapping[str, Any]) -> _Meta:
    """Return the content of a meta.json; KeyError, TypeError or ValueError where it is another program's."""
    for key in ("missing", "left_out"):
        _check(key, all(_is_text(word) for pair in record[key].items() for word in pair))
    for key, facts in record["arrays"].items():
        _check(f"array {key}", set(facts) == {"dtype", "shape", "sha256"} and re.fullmatch(r"[A-Za-z0-9_.]+", key))
    mean, std = (tuple(map(float, record[key])) for key in ("mean", "std"))
    _check("mean, std", len(mean) == len(std) == 3 and all(map(math.isfinite, mean + std)))
    _check("classes", all(map(_is_text, record["classes"])))
    _check("name", _is_text(record["name"]))
    return _Meta(
        name=record["name"],
        classes=tuple(record["classes"]),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        eval_sets=dict(record["eval_sets"]),
        stored=tuple(record["stored"]),
        missing=dict(record["missing"]),
        partial={part: (int(n), int(n_complete)) for part, (n, n_complete) in record["partial"].items()},
        left_out=dict(record["left_out"]),
        facts=dict(record.get("facts", {})),  # older entries have neither
        as_shown=bool(record.get("as_shown", False)),
        arrays=dict(record["arrays"]),
    )


def _check_fit(folder: Path, entry: _Entry) -> None:
    """Raise KeyError or ValueError where arrays do not belong together: labels without classes, rows without images."""
    meta, found = entry.meta, entry.arrays
    sizes = {key.removeprefix("images."): len(array) for key, array in found.items() if key.startswith("images.")}
    for key in meta.stored:
        sizes[key] = len(_stored(folder, key, entry))
    labels, images = found["train_labels"], found["train_images"]
    _check("train_labels", labels.ndim == 1 and _lies_in(labels, len(meta.classes)))
    _check("train_images", len(labels) == (sizes.get("train", 0) if meta.stored else len(images)))
    for name, key in meta.eval_sets.items():
        rows, ids, offsets, values = (found[f"{name}.{field}"] for field in _EVAL_FIELDS)
        _check(f"{name}.rows", _lies_in(rows, sizes[key]) and len(ids) == len(rows))
        _check(f"{name}.label_values", _lies_in(values, len(meta.classes)))
        is_split = len(offsets) == len(rows) + 1 and offsets[0] == 0 and offsets[-1] == len(values)
        _check(f"{name}.label_offsets", is_split and bool((np.diff(offsets) > 0).all()))


def _lies_in(numbers: NDArray[Any], end: int) -> bool:
    """Return whether all numbers, (n,), are indices below ``end``."""
    return numbers.dtype.kind in "iu" and (numbers.size == 0 or bool(numbers.min() >= 0 and numbers.max() < end))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _check(what: str, is_right: object) -> None:
    if not is_right:
        raise ValueError(what)
