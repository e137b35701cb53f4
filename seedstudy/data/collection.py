"""Images in classes, wherever they were found, and from there to a data set: labels, split, size, content.

Every image is read and decoded once when a data set is made, so that a broken one is an error before the first training
and not within it. The digests of their bytes identify the content, show copies, and draw the split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedstudy import machine
from seedstudy.data import videos
from seedstudy.data.base import Content, EvalSet, Finding, Progress
from seedstudy.data.encoded import EncodedImages, Survey, survey
from seedstudy.data.finding import Entry, encoded_images
from seedstudy.errors import DataError, suggest

if TYPE_CHECKING:
    from seedstudy.data.base import Images

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "validation", "valid", "dev")
TEST_NAMES = ("test", "testing")

SMALL_SIDE = 96
"""Pixels; a data set whose images are mostly no larger (the median of their shorter sides) is decoded once and kept as
arrays of one size. Larger images stay as they are and are cropped from the original, epoch by epoch."""
MOST_RESIDENT = 2**31
"""Bytes of such arrays; a larger data set stays encoded, however small its images are."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for images that stay encoded: networks that were pretrained expect them."""


def part_of(name: str) -> str | None:
    """Return which part the name of a folder, file or split means: train, val or test; None for any other name."""
    names = {"train": TRAIN_NAMES, "val": VAL_NAMES, "test": TEST_NAMES}
    return next((part for part, known in names.items() if name.lower() in known), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Images by part, each in the "folder" of its class; names are identities within the data set."""

    where: str
    """For errors: a folder, a file or a name on the hub."""
    parts: Mapping[str, Sequence[Entry]]
    """train, val, test or an eval set of another name; "" where nothing says which part the images belong to."""
    classes: tuple[str, ...] | None = None
    """In the order of the labels, where something declares them; None: those of train in alphabetical order."""
    label_sets: Mapping[str, Sequence[str]] | None = None
    """Val image -> the classes that count as right for it."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Part -> what lies there and is not used."""
    copied: Mapping[str, Any] = field(default_factory=dict)
    """Of a resized copy: what it was made of and how, for the fingerprint."""
    about: str = ""
    """The same in words."""
    as_shown: bool = True
    """How images are decoded: see :func:`~seedstudy.data.encoded.decoded`."""
    holds_videos: bool = False
    """Whether each is a video: a file, or a folder of frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a user may choose of a data set of their own."""

    share: float | None = None
    """Of each class that is held out as val; None: 0.2 where there is no val, and no test."""
    split_seed: int = 0
    size: int | None = None
    """Side in pixels to which every image is resized once; None: as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    images: EncodedImages
    labels: NDArray[np.int64]
    digests: NDArray[np.bytes_]
    """(n,) of the bytes of each image."""

    def take(self, rows: NDArray[np.integer]) -> _Part:
        return _Part(images=self.images.take(rows), labels=self.labels[rows], digests=self.digests[rows])


# --- classes and labels -----------------------------------------------------------------------------------------


def classes_of(found: Found) -> tuple[str, ...]:
    """Return the classes in the order of the labels; DataError where there are fewer than two."""
    first = next((found.parts[part] for part in ("train", "", "val", "test") if found.parts.get(part)), None)
    if first is None:
        first = next(iter(found.parts.values()), ())
    present = {entry.folder for entry in first}
    if found.classes is None and len(present) < 2:
        what = f'one class ("{next(iter(present))}")' if present else "no images"
        raise DataError(f"{found.where}: {what}; a data set has at least two classes, each with images of its own")
    names = found.classes or tuple(sorted(present, key=_order))
    for name in names:
        if not name.isprintable() or not name:
            raise DataError(f"{found.where}: the name of a class must be printable UTF-8 text, not {name!r}; rename it")
    return names


def _order(name: str) -> tuple[bool, int, str]:
    """Return the sort key of a class: numbers by their value, 2 before 10, and then words."""
    is_number = name.isdecimal() and name.isascii()
    return not is_number, int(name) if is_number else 0, name


def _checked(found: Found, classes: tuple[str, ...]) -> dict[str, tuple[list[Entry], NDArray[np.int64]]]:
    """Return the images of each part with their labels, by label, then name."""
    label_of = {name: label for label, name in enumerate(classes)}
    made = {}
    for part, entries in found.parts.items():
        where = f"{found.where} ({part})" if part else found.where
        counts = Counter(entry.folder for entry in entries)
        for name in sorted(counts, key=_order):
            if name not in label_of:
                known = "classes.txt" if found.classes is not None and part in ("train", "") else "train"
                raise DataError(f'{where}: class "{name}" is not in {known}.{suggest(name, label_of)}')
        missing = [name for name in classes if name not in counts]
        if missing and part in ("train", "", "val", "test"):
            raise DataError(
                f"{where}: {len(missing):,} of {len(classes):,} classes have no images (the first is "
                f'"{missing[0]}"); add some, or leave the class out everywhere'
            )
        ordered = sorted(entries, key=lambda entry: (label_of[entry.folder], entry.name))
        doubled = next((a for a, b in pairwise(sorted(entry.name for entry in entries)) if a == b), None)
        if doubled is not None:
            raise DataError(f"{where}: two images have the name {doubled}; rename one of them")
        made[part] = ordered, np.array([label_of[entry.folder] for entry in ordered], dtype=np.int64)
    return made


# --- the split ----------------------------------------------------------------------------------------------------


def held_out(digests: NDArray[np.bytes_], labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Return the rows held out as val: the same share of each class, drawn by a seed of its own.

    The rank of an image is a digest of the seed and its content. So copies of one image stay on one side, another name
    changes nothing, and a new image moves no old one except at the edge. ValueError with the label of a class that
    cannot be split.
    """
    keys = np.array([hashlib.sha256(f"{seed} ".encode() + bytes(each)).digest()[:8] for each in digests], dtype="S8")
    rows = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(keys[members], kind="stable")]
        own = keys[members]
        starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])[1:]  # where another image begins: possible cuts
        if len(starts) == 0:
            raise ValueError(int(label))
        rows.append(members[: starts[np.argmin(np.abs(starts - share * len(members)))]])
    return np.sort(np.concatenate(rows))


# --- from what was found to a data set ------------------------------------------------------------------------------


def content_of(found: Found, wishes: Wishes, progress: Progress) -> Content:
    """Read every image and return the data set; DataError where an image, a class or a label is wrong."""
    classes = classes_of(found)
    checked = _checked(found, classes)
    parts, surveys = dict[str, _Part](), list[Survey]()
    for part, (entries, labels) in checked.items():
        name = part or "all"
        say: Progress = lambda line, name=name: progress(f"{name}: {line}")  # type: ignore[misc]  # noqa: E731
        images, looked = _looked_at(_images_of(found, entries), found, say)
        if looked.broken:
            more = f", and {len(looked.broken) - 1:,} more" if len(looked.broken) > 1 else ""
            raise DataError(f"{looked.broken[0]}{more}")
        parts[part] = _Part(images=images, labels=labels, digests=looked.digests)
        surveys.append(looked)
    parts, notes = _split(found, parts, wishes, classes)
    for part, words in _copies(parts, classes).items():
        notes[part] = "; ".join(filter(None, (notes.get(part, ""), words)))
    size = _resident_size(surveys, wishes, found)
    progress(size_in_words(surveys, sum(len(part.labels) for part in parts.values()), wishes, found))
    return _content(found, classes, parts, notes, size, progress)


def _images_of(found: Found, entries: Sequence[Entry]) -> EncodedImages:
    return replace(encoded_images(entries, [entry.name for entry in entries]), as_shown=found.as_shown)


def _looked_at(
    images: EncodedImages, found: Found, progress: Progress, *, is_thorough: bool = False
) -> tuple[EncodedImages, Survey]:
    """Read and decode every image or video; returns the videos with their frames."""
    if not found.holds_videos:
        return images, survey(images, progress, is_thorough=is_thorough)
    looked, frames = videos.survey(images, progress)
    return replace(images, frames=frames), looked


def _split(
    found: Found, parts: dict[str, _Part], wishes: Wishes, classes: tuple[str, ...]
) -> tuple[dict[str, _Part], dict[str, str]]:
    """Return train, val and the other parts, and what was done to get them."""
    notes = dict(found.notes)
    if "" in parts:
        parts = {"train": parts.pop(""), **parts}
    if "val" in parts and wishes.share is not None:
        raise DataError(f"{found.where}: it has a val already; leave val={wishes.share:g} away")
    if "val" in parts or "train" not in parts:
        return parts, notes
    if "test" in parts and wishes.share is None:
        parts["val"] = parts.pop("test")
        notes["val"] = "the images of test, since there is no val; ,val=0.1 holds out a val of train instead"
        return parts, notes
    share = 0.2 if wishes.share is None else wishes.share
    train = parts.pop("train")
    try:
        rows = held_out(train.digests, train.labels, share, wishes.split_seed)
    except ValueError as error:
        raise DataError(
            f'{found.where}: class "{classes[error.args[0]]}" has only one image (or copies of one), and there is no '
            "val: add images, or lay out train and val yourself"
        ) from error
    rest = np.setdiff1d(np.arange(len(train.labels)), rows)
    notes["val"] = f"{share:.0%} of each class, held out of train by seed {wishes.split_seed} (,val= and ,split_seed=)"
    return {"train": train.take(rest), "val": train.take(rows), **parts}, notes


def _copies(parts: Mapping[str, _Part], classes: tuple[str, ...]) -> dict[str, str]:
    """Say which parts hold images of train too, and images that are in two classes."""
    said = {}
    train = parts.get("train")
    for part, each in parts.items():
        words = []
        if part != "train" and train is not None:
            both = np.flatnonzero(np.isin(each.digests, train.digests))
            if len(both):
                first = bytes(each.images.names[both[0]]).decode()
                are = "is" if len(both) == 1 else "are"
                words.append(f"{len(both):,} of its {len(each.labels):,} images {are} also in train (first: {first})")
        order = np.argsort(each.digests, kind="stable")
        digests, labels = each.digests[order], each.labels[order]
        twice = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]))
        if len(twice):
            pair = sorted(labels[twice[0] : twice[0] + 2].tolist())
            first = bytes(each.images.names[order[twice[0]]]).decode()
            are = "image is" if len(twice) == 1 else "images are"
            names = " and ".join(classes[label] for label in pair)
            words.append(f"{len(twice):,} {are} in two classes (first: {first}, in {names})")
        if words:
            said[part] = "; ".join(words)
    return said


def _resident_size(surveys: Sequence[Survey], wishes: Wishes, found: Found) -> int | None:
    """Return the side of the arrays in pixels; None where the images stay encoded, as videos do."""
    if found.holds_videos:
        if wishes.size is not None:
            raise DataError(f"{found.where}: videos stay encoded and are read as they are needed: leave size= away")
        return None
    where = found.where
    n_images = sum(len(each.digests) for each in surveys)
    size = wishes.size or usual_side(surveys)
    n_bytes = 3 * n_images * size**2
    if wishes.size is not None and n_bytes > MOST_RESIDENT:
        raise DataError(
            f"{where}: {n_images:,} images of {size} px are {n_bytes:,} bytes, more than {MOST_RESIDENT:,}: leave "
            "size= away (images are then read as they are needed), or make a smaller copy (`seedstudy data prepare`)"
        )
    return size if wishes.size is not None or (size <= SMALL_SIDE and n_bytes <= MOST_RESIDENT) else None


def usual_side(surveys: Sequence[Survey]) -> int:
    """Return the median of the shorter sides, pixels."""
    return int(np.median(np.concatenate([each.short_sides for each in surveys])))


def size_in_words(surveys: Sequence[Survey], n_images: int, wishes: Wishes, found: Found) -> str:
    """Say how large images are, and whether they are kept decoded or read as they are needed."""
    sides = np.concatenate([each.short_sides for each in surveys])
    if len(sides) == 0:
        return f"no {'video' if found.holds_videos else 'image'} decodes"
    usual = usual_side(surveys)
    range_ = f"{usual}" if sides.min() == sides.max() else f"{sides.min()} to {sides.max()} (median {usual})"
    size = wishes.size or usual
    n_bytes = 3 * n_images * size**2
    about = f"shorter sides: {range_} px"
    if found.holds_videos:
        return f"{about}; frames are decoded as they are needed, and cropped to the recipe's own train and test size"
    if wishes.size is not None or (usual <= SMALL_SIDE and n_bytes <= MOST_RESIDENT):
        resized = "" if sides.min() == sides.max() == size else ", resized (bicubic) and cropped to the middle"
        return f"{about}; kept in memory at {size} x {size} px{resized}: {n_bytes:,} bytes, at most {MOST_RESIDENT:,}"
    why = f"longer than {SMALL_SIDE} px" if usual > SMALL_SIDE else f"{n_bytes:,} bytes decoded, over {MOST_RESIDENT:,}"
    return (
        f"{about}; {why}: read as they are needed, and resized and cropped to the recipe's own train and test size "
        "(,size=N keeps them in memory at N px)"
    )


def _content(
    found: Found,
    classes: tuple[str, ...],
    parts: dict[str, _Part],
    notes: dict[str, str],
    size: int | None,
    progress: Progress,
) -> Content:
    eval_sets = []
    for name, part in parts.items():
        if name != "train":
            ids = np.array([bytes(each).decode() for each in part.images.names])
            eval_sets.append(EvalSet.of_labels(name, part.labels, ids))
    by_name = {each.name: each for each in eval_sets}
    if found.label_sets is not None:
        if "val" not in by_name:
            raise DataError(f"{found.where}: real.csv judges the images of val, and there is no val")
        eval_sets.append(_with_label_sets(by_name["val"], found.label_sets, classes, found.where))
    nothing = np.empty(0, dtype=np.int64)
    missing = {} if "train" in parts else {"train": "there is no folder, list or split of this name."}
    content = Content(
        classes=classes,
        train_images=np.empty((0, 0, 0, 3), dtype=np.uint8),
        train_labels=parts["train"].labels if "train" in parts else nothing,
        images={},
        eval_sets=tuple(eval_sets),
        missing=missing,
        left_out=notes,
        facts={"as_shown": found.as_shown, "content": _digest(parts), **found.copied},
        statistics=(MEAN, STD),
    )
    if size is None:
        return replace(content, stored={name: part.images for name, part in parts.items()})
    arrays = {name: decoded_to(name, part.images, size, progress) for name, part in parts.items()}
    train = arrays.pop("train", np.empty((0, size, size, 3), dtype=np.uint8))
    statistics = None if len(train) else (MEAN, STD)
    return replace(content, train_images=train, images=arrays, statistics=statistics)


def _digest(parts: Mapping[str, _Part]) -> str:
    """Return the digest of every image's bytes, part by part."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name} {len(parts[name].labels)} ".encode())
        digest.update(parts[name].digests.tobytes())
    return digest.hexdigest()


def _with_label_sets(
    val: EvalSet, label_sets: Mapping[str, Sequence[str]], classes: tuple[str, ...], where: str
) -> EvalSet:
    label_of = {name: label for label, name in enumerate(classes)}
    rows = {name: row for row, name in enumerate(val.example_ids.tolist())}
    sets: list[list[int]] = [[] for _ in rows]
    for name, wanted in label_sets.items():
        if name not in rows:
            raise DataError(f'{where}: real.csv names "{name}", which is not an image of val.{suggest(name, rows)}')
        for each in wanted:
            if each not in label_of:
                raise DataError(f'{where}: real.csv has the class "{each}", which train has not.')
        sets[rows[name]] = sorted({label_of[each] for each in wanted})
    return val.with_label_sets("real", sets)


# --- decoding to one size -------------------------------------------------------------------------------------------

_AT_ONCE = 64  # images
_FEW = 16  # times as many: no progress is said


def decoded_to(name: str, images: EncodedImages, size: int, progress: Progress) -> Images:
    """Return (n, size, size, 3): the shorter side resized to ``size`` (bicubic), and the middle cut out."""
    pixels: Images = np.empty((len(images), size, size, 3), dtype=np.uint8)

    def decode(start: int) -> None:
        for row in range(start, min(start + _AT_ONCE, len(images))):
            pixels[row] = np.asarray(squared(images, row, size))

    starts = range(0, len(images), _AT_ONCE)
    with ThreadPoolExecutor(machine.cores()) as pool:
        try:
            for n_done, _ in enumerate(pool.map(decode, starts), start=1):
                if len(starts) > _FEW and 5 * n_done // len(starts) > 5 * (n_done - 1) // len(starts):  # every 20 %
                    progress(f"{name}: {min(n_done * _AT_ONCE, len(images)):,} of {len(images):,} images resized")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return pixels


def squared(images: EncodedImages, row: int, size: int) -> object:
    """Return a PIL image of size x size pixels; one that has this size already is not touched."""
    from PIL import Image

    image = images.open(row)
    if image.size == (size, size):
        return image
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + size, top + size))


# --- what a check says ------------------------------------------------------------------------------------------------

_SAMPLE = 200  # images of a part that a check decodes where it is not thorough


def findings(found: Found, wishes: Wishes, *, is_thorough: bool, progress: Progress) -> list[Finding]:
    """Say what each part holds; decode a sample of it, spread evenly, or all."""
    classes = classes_of(found)
    checked = _checked(found, classes)
    lines, surveys, parts = list[Finding](), list[Survey](), dict[str, _Part]()
    notes = dict(found.notes)
    for part, (entries, labels) in checked.items():
        images = _images_of(found, entries)
        name, rows = part or "train + val", np.arange(len(images))
        if not is_thorough:
            rows = np.unique(np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).astype(int))
        say: Progress = (lambda line, name=name: progress(f"{name}: {line}")) if is_thorough else (lambda line: None)  # type: ignore[misc]
        _, looked = _looked_at(images.take(rows), found, say, is_thorough=is_thorough)
        surveys.append(looked)
        status: Literal["found", "damaged"] = "damaged" if looked.broken else "found"
        n_classes = len(np.unique(labels))
        some = f"{n_classes:,} of {len(classes):,}" if n_classes < len(classes) else f"{n_classes:,}"
        what = "videos" if found.holds_videos else "images"
        said = [f"{len(images):,} {what} of {some} classes", str(looked), notes.pop(part, "")]
        if is_thorough and not looked.broken:
            parts[part or "train"] = _Part(images=images, labels=labels, digests=looked.digests)
        lines.append(Finding(part=name, status=status, where=found.where, note=", ".join(filter(None, said))))
    if is_thorough and len(parts) == len(checked):
        split, made = _split(found, parts, wishes, classes)
        for part, words in made.items():
            if words != found.notes.get(part):
                lines.append(Finding(part=part, status="found", where="", note=words))
        for part, words in _copies(split, classes).items():
            lines.append(Finding(part=part, status="found", where="", note=words))
    elif "" in checked:
        share = 0.2 if wishes.share is None else wishes.share
        note = f"{share:.0%} of each class will be val, drawn by seed {wishes.split_seed} (,val= and ,split_seed=)"
        lines.append(Finding(part="val", status="found", where="", note=note))
    if found.label_sets is not None:
        lines.append(
            Finding(part="real", status="found", where="real.csv", note=f"{len(found.label_sets):,} images of val")
        )
    if found.about:
        lines.append(Finding(part="copy", status="found", where="", note=found.about))
    n_images = sum(len(entries) for entries, _ in checked.values())
    lines.append(Finding(part="size", status="found", where="", note=size_in_words(surveys, n_images, wishes, found)))
    lines += [Finding(part=part, status="unused", where=found.where, note=words) for part, words in notes.items()]
    return lines
