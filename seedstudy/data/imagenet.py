"""`imagenet`: ILSVRC-2012 from folders, tar files, shards or the hub; ReaL and ImageNet-V2; indexed, not decoded."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress
from seedstudy.data.encoded import Decoded, EncodedImages, decode_many, unpacked
from seedstudy.data.finding import EMPTY, Entry, LeftOut, encoded_images, entries, shard_entries, stamp
from seedstudy.data.hub import table_entries
from seedstudy.data.resized import in_words, provenance_of
from seedstudy.errors import DataError, StoreError, first_line, printable, suggest
from seedstudy.files import LARGEST_TOML, read_bytes
from seedstudy.recipes.scaling import IMAGENET_N_TRAIN

Split = tuple[EncodedImages, NDArray[np.int64]]
"""Images and the label of each."""

N_CLASSES, N_VAL, N_V2 = 1000, 50_000, 10_000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HUB_ID = "ILSVRC/imagenet-1k"
MINIVAL_SHARE = 0.02
"""ResNet-RS (Bello et al. 2021) tunes on 2 % of train. Which images those were is not published: ours are chosen by
a hash of their names, equally many of each class."""

V2 = {
    "v2": ("imagenetv2-matched-frequency*", "imagenetv2-matched-frequency.tar.gz"),
    "v2_threshold": ("imagenetv2-threshold0.7*", "imagenetv2-threshold0.7.tar.gz"),
    "v2_top": ("imagenetv2-top*images*", "imagenetv2-top-images.tar.gz"),
}
"""Eval set -> the pattern of its folder or tar, and the file's name on the hub (vaishaal/ImageNetV2)."""

PARTS = {"train": IMAGENET_N_TRAIN, "val": N_VAL, **dict.fromkeys(V2, N_V2)}
"""What lies on disk -> its number of images, where it is complete."""

LEAST_AGREEMENT = 0.7
"""90 % of the val labels are in ReaL's label sets; with numbers shifted by one, about 0.1 % are."""

KAGGLE = Path("ILSVRC", "Data", "CLS-LOC")
"""Where train and val lie below the folder that Kaggle's archive unpacks to. Its val is flat."""
VAL_SOLUTION = "LOC_val_solution.csv"
"""Kaggle's labels of the flat val folder: image, then class and box of each object, all of one class."""

_SHARD = re.compile(r"(?:.*[-_])?(train|val|validation)[-_](\d+)\.tar")
_VAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")
_HUB_SUFFIX = re.compile(r"_n\d{8}$")
_HOW = (
    "lay it out as train/nXXXXXXXX/*.JPEG and val/nXXXXXXXX/ILSVRC2012_val_XXXXXXXX.JPEG "
    "(folders, or tar files of the same), or as Kaggle or timm/imagenet-1k-wds have it: docs/imagenet.md"
)
_HOW_PART = {
    "train": f"train has no images: {_HOW}",
    "val": f"val has no images: {_HOW}",
    "real": "needs val's file names (ILSVRC2012_val_XXXXXXXX.JPEG), by which its labels are looked up.",
    **{
        name: f"{name} needs {file} (huggingface.co/datasets/vaishaal/ImageNetV2), as it is or unpacked, in --data-dir."
        for name, (_, file) in V2.items()
    },
}


# --- labels -------------------------------------------------------------------------------------------------


def _timm_file(name: str) -> Path:
    """Return a label file that comes with timm, without importing timm (and so torch)."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'timm'", name="timm")
    return Path(spec.submodule_search_locations[0], "data", "_info", name)


@cache
def synsets() -> tuple[str, ...]:
    """Return the 1,000 WordNet ids in the order of the labels, which is their alphabetical one."""
    return tuple(_timm_file("imagenet_synsets.txt").read_text(encoding="utf-8").split())


@cache
def real_labels() -> tuple[tuple[int, ...], ...]:
    """Return the label set of ILSVRC2012_val_{i + 1:08d} at position i (Beyer et al. 2020); 3,163 are empty."""
    return tuple(map(tuple, json.loads(_timm_file("imagenet_real_labels.json").read_text(encoding="utf-8"))))


def real_set(val: EvalSet, where: Path | str) -> EvalSet | None:
    """Return val judged by ReaL's label sets, matched by file name; None where no image has ReaL labels.

    Images without ReaL labels are left out of numerator and denominator; any subset of val will do. DataError for a
    number beyond the validation set, and labels that disagree with ReaL's in a way that shows renamed files.
    """
    numbers = [_VAL_NAME.fullmatch(name) for name in val.example_ids]
    labelled = real_labels()
    wrong = next((m[0] for m in numbers if m and not 1 <= int(m[1]) <= N_VAL), None)
    if wrong is not None:
        raise DataError(f"{where}: {wrong} is no ILSVRC-2012 validation image: the numbers go from 1 to 50,000")
    sets = [labelled[int(match[1]) - 1] if match else () for match in numbers]
    rows = np.array([row for row, labels in enumerate(sets) if labels], dtype=np.int64)
    if len(rows) == 0:
        return None
    agreement = float(np.mean([val.label_values[row] in sets[row] for row in rows]))
    if len(rows) >= 50 and agreement < LEAST_AGREEMENT:
        raise DataError(
            f"{where}: only {agreement:.1%} of the val labels are among the ReaL labels of the same file names "
            "(90 % in the original): images were renamed or sorted into wrong folders; get val again"
        )
    return val.with_label_sets("real", sets)


def _declared(data_dir: Path | None) -> tuple[str, ...]:
    """Return the classes that must be present: all, or those listed in classes.txt."""
    path = None if data_dir is None else data_dir / "classes.txt"
    if path is None or not path.is_file():
        return synsets()
    try:
        names = read_bytes(path, limit=LARGEST_TOML).decode("utf-8-sig").split()  # Windows editors write a mark first
    except (StoreError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a list of classes ({first_line(error)}); write one synset a line") from error
    known = set(synsets())
    for name in names:
        if name not in known:
            raise DataError(f'{path}: "{name}" is no ImageNet-1k synset.{suggest(name, known)}')
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{path}: list at least two classes, one a line, each once")
    return tuple(sorted(names))


# --- from files to splits -----------------------------------------------------------------------------------


def _label(part: str, where: Path | str, entry: Entry, val_classes: Mapping[str, str]) -> int:
    """Return the label of an image: its class folder's synset, in V2 and in shards its number.

    Sorted as text, V2's folder '10' would come before '2' and nearly every label be wrong.
    """
    folder = entry.folder
    if folder.isdecimal() and int(folder) < N_CLASSES and (part in V2 or _is_shard(entry.file)):
        return int(folder)
    if part in V2:
        raise DataError(
            f'{where}: folder "{folder}" is not a class number; ImageNet-V2\'s folders are named 0 to 999: '
            "unpack the original tar, or leave it packed"
        )
    if part == "val" and folder not in _labels():
        folder = val_classes.get(entry.name, folder)
    if folder not in _labels():
        hint = f"folder {folder} is no ImageNet-1k synset" if folder else "it has images outside class folders"
        flat = f" (a flat folder has no labels); Kaggle's {VAL_SOLUTION} beside it would give them"
        flat = flat if part == "val" and not folder else ""
        raise DataError(f"{where}: {hint}{flat}; {_HOW}")
    return _labels()[folder]


def _is_shard(file: str) -> bool:
    return _SHARD.fullmatch(Path(file).name) is not None


def _val_classes(data_dir: Path | None) -> dict[str, str]:
    """Return the class of each val image by its name, from Kaggle's table; nothing where it is not there."""
    path = None if data_dir is None else _val_solution(data_dir)
    if path is None:
        return {}
    try:
        lines = read_bytes(path, limit=_LARGEST_SOLUTION).decode("utf-8-sig").splitlines()
        rows = [row for row in csv.reader(lines[1:]) if row]
        return {name: boxes.split()[0] for name, boxes in rows}
    except (StoreError, ValueError, IndexError, csv.Error) as error:
        raise DataError(f"{path}: not Kaggle's table of the val classes ({first_line(error)}); get it again") from error


_LARGEST_SOLUTION = 2**24
"""Bytes; the original has 2.8 million."""


def _val_solution(data_dir: Path) -> Path | None:
    folders = [data_dir, *(data_dir.resolve().parents[2:3] if data_dir.resolve().match(f"*/{KAGGLE}") else ())]
    return next((path for folder in folders if (path := folder / VAL_SOLUTION).is_file()), None)


@cache
def _labels() -> dict[str, int]:
    return {synset: label for label, synset in enumerate(synsets())}


def _split(
    part: str,
    where: Path | str,
    entries: Iterable[Entry],
    declared: tuple[str, ...],
    val_classes: Mapping[str, str] = MappingProxyType({}),
) -> Split:
    """Return a split's images and labels, by label, then name; every declared class must be present."""
    wanted = {_labels()[synset] for synset in declared}
    labelled = [(_label(part, where, entry, val_classes), entry) for entry in entries]
    if part != "train":  # images of classes outside the subset are ignored
        labelled = [(label, entry) for label, entry in labelled if label in wanted]
    present = {label for label, _ in labelled}
    if unknown := sorted(present - wanted):
        raise DataError(f"{where}: class {synsets()[unknown[0]]} is not in classes.txt; add it there or move it away")
    if missing := sorted(wanted - present):
        first = str(missing[0]) if part in V2 else synsets()[missing[0]]
        raise DataError(
            f"{where}: {len(missing):,} of {len(wanted):,} classes are missing (the first is {first}); get the "
            "complete split, or declare a subset: a file classes.txt in the data folder with one synset a line"
        )
    labelled.sort(key=lambda pair: (pair[0], pair[1].name))
    prefix = f"{part}-{{}}-{{}}" if part in V2 else "{1}"
    names = [prefix.format(label, _HUB_SUFFIX.sub("", entry.name)) for label, entry in labelled]
    doubled = next((a for a, b in pairwise(sorted(names)) if a == b), None)
    if doubled is not None:
        raise DataError(f"{where}: two images have the name {doubled}; names must be unique")
    images = encoded_images([entry for _, entry in labelled], names)
    return images, np.array([label for label, _ in labelled], dtype=np.int64)


def minival_rows(names: NDArray[np.bytes_], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the training rows held out as minival: 2 % of each class (at least one image), by a hash of the name."""
    digests = np.array([hashlib.sha256(bytes(name)).digest()[:8] for name in names], dtype="S8")
    order = np.lexsort((digests, labels))
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank_in_class = np.arange(len(labels)) - np.repeat(starts, counts)
    n_held_out = np.maximum(1, np.rint(MINIVAL_SHARE * counts))
    return np.sort(order[rank_in_class < np.repeat(n_held_out, counts)])


# --- the data sets ------------------------------------------------------------------------------------------


class ImageNet:
    """val, ReaL and the three variants of ImageNet-V2."""

    info = DataInfo(
        name="imagenet",
        title="ImageNet-1k",
        n_train=IMAGENET_N_TRAIN,
        image_size=None,
        n_classes=N_CLASSES,
        epoch_ratio=1.0,
        default_model="resnet50",
        note="val, ReaL and ImageNet-V2; folders or tar files in --data-dir, else the hub (docs/imagenet.md).",
    )
    _with_minival = False

    def source_key(self, data_dir: Path | None) -> str:
        """Return paths, sizes and time stamps: hashing 140 GB at every start is no option."""
        parts = {part: _places(data_dir, part) for part in PARTS}
        if not (parts["train"] or parts["val"] or _hub(data_dir)):
            raise DataError(f"{data_dir}: it contains neither train nor val; {_HOW}")
        marks = [f"{part} {stamp(path)}" for part, paths in parts.items() for path in paths]
        if data_dir is not None and (solution := _val_solution(data_dir)) is not None:
            marks.append(stamp(solution))
        marks.append(json.dumps(_copied(data_dir)))
        more = [list(_declared(data_dir)), marks, _unused(data_dir)]
        return json.dumps([f"hub {_hub(data_dir) or ''}", self._with_minival, *more])

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Index every image: which bytes of which file it is, and its label."""
        declared = _declared(data_dir)
        splits: dict[str, Split] = {}
        left_out: dict[str, str] = {}
        for part in PARTS:
            found = _indexed(part, data_dir, declared, lambda line: progress(f"imagenet: {line}"))
            if found is not None:
                splits[part], others = found
                if words := str(others):
                    left_out[part] = words
        for part, (images, _) in splits.items():
            progress(f"imagenet: {len(images):,} images in {part}")
        if unused := _unused(data_dir):
            left_out["data folder"] = unused
        partial = {
            part: (len(images), PARTS[part])
            for part, (images, _) in splits.items()
            if _is_partial(part, len(images), declared)
        }
        content = self._content(splits, _where(_places(data_dir, "val")) or HUB_ID)
        return replace(content, partial=partial, left_out=left_out, facts=_copied(data_dir))

    def _content(self, splits: dict[str, Split], where: Path | str) -> Content:
        nothing = encoded_images([], []), np.empty(0, dtype=np.int64)
        train, labels = splits.pop("train", nothing)
        if self._with_minival:
            held_out = minival_rows(train.names, labels)
            splits = {"minival": (train.take(held_out), labels[held_out])}
            kept = np.setdiff1d(np.arange(len(labels)), held_out)
            train, labels = train.take(kept), labels[kept]
        eval_sets = {}
        for name, (images, wanted) in splits.items():
            ids = np.array([bytes(each).decode() for each in images.names])
            eval_sets[name] = EvalSet.of_labels(name, wanted, ids)
        if "val" in eval_sets and (real := real_set(eval_sets["val"], where)) is not None:
            eval_sets["real"] = real
        stored = {name: images for name, (images, _) in splits.items()} | ({"train": train} if len(labels) else {})
        expected = ("train", "minival") if self._with_minival else ("train", "val", "real", *V2)
        return Content(
            classes=synsets(),
            train_images=np.empty((0, 0, 0, 3), dtype=np.uint8),
            train_labels=labels,
            images={},
            eval_sets=tuple(eval_sets.values()),
            missing={
                name: _HOW_PART.get(name, _HOW_PART["train"])
                for name in expected
                if name not in stored and name not in eval_sets
            },
            stored=stored,
            statistics=(MEAN, STD),
        )

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> list[Finding]:
        """Index each part and decode a sample of it, spread evenly, or all."""
        found = [_finding(part, data_dir, is_thorough=is_thorough, progress=progress) for part in PARTS]
        if data_dir is not None and (words := in_words(data_dir)):
            found.append(Finding(part="copy", status="found", where=str(data_dir), note=words))
        if unused := _unused(data_dir):
            found.append(Finding(part="other", status="unused", where=str(data_dir), note=unused))
        return found


class ImageNetMinival(ImageNet):
    """Trains without minival and evaluates on it alone."""

    info = replace(
        ImageNet.info,
        name="imagenet_minival",
        title="ImageNet-1k, 2 % of train held out",
        n_train=1_255_544,
        note="For tuning a recipe: trains on 98 % of train and evaluates on minival alone, never on val.",
    )
    _with_minival = True


_SAMPLE = 200  # images that a check decodes where it is not thorough


def _finding(part: str, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> Finding:
    places, hub = _places(data_dir, part), None if part in V2 else _hub(data_dir)
    if not places and (hub is None or data_dir is None or not is_thorough):
        how = f"read through HF datasets on first use; or {_HOW}" if hub else _HOW_PART[part]
        return Finding(part=part, status="missing", where=str(data_dir or HUB_ID), note=how)
    where = _where(places) or str(hub)
    say: Progress = (lambda line: progress(f"imagenet: {part}: {line}")) if is_thorough else (lambda line: None)
    try:
        declared = _declared(data_dir)
        indexed = _indexed(part, data_dir, declared, say)
        assert indexed is not None
        (images, _), others = indexed
        decoded = None if where.endswith(".gz") and not is_thorough else _decoded(images, say, is_thorough=is_thorough)
    except DataError as error:
        return Finding(part=part, status="damaged", where=where, note=str(error))
    notes = [f"{len(images):,} of {PARTS[part]:,} images", "" if decoded is None else str(decoded), str(others)]
    status: Literal["found", "partial", "damaged"] = "found"
    if others.kinds[EMPTY] or (decoded and decoded.broken):
        status = "damaged"
    elif _is_partial(part, len(images), declared):
        status = "partial"
    return Finding(part=part, status=status, where=where, note=", ".join(filter(None, notes)))


def _decoded(images: EncodedImages, say: Progress, *, is_thorough: bool) -> Decoded:
    """Decode all images, or a sample of them, spread evenly."""
    rows = np.arange(len(images))
    if not is_thorough:
        rows = np.unique(np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).astype(int))
    with TemporaryDirectory() as folder:
        return decode_many(unpacked(images, Path(folder)), rows, say)


def _is_partial(part: str, n: int, declared: tuple[str, ...]) -> bool:
    """Return whether a part has all classes, and not all images; a subset that was declared is as it is meant to be."""
    return len(declared) == N_CLASSES and n != PARTS[part]


def _indexed(
    part: str, data_dir: Path | None, declared: tuple[str, ...], progress: Progress
) -> tuple[Split, LeftOut] | None:
    """Return the images of a part, and what lies among them and is not used; None where the part is not there."""
    left_out = LeftOut()
    if places := _places(data_dir, part):
        found = (
            shard_entries(places, progress, left_out)
            if _is_shard(places[0].name)
            else entries(places[0], progress, left_out)
        )
        return _split(part, _where(places), found, declared, _val_classes(data_dir)), left_out
    if part in V2 or not (hub := _hub(data_dir)):
        return None
    progress(f"{part} from {hub}")
    in_tables = table_entries(hub, {"train": "train", "val": "validation"}[part], synsets())
    return _split(part, f"{hub} ({part})", in_tables, declared), left_out


def _unused(data_dir: Path | None) -> str:
    """Name the folders and tar files of the data folder that are no part: a folder Val, or val.tar beside val."""
    if data_dir is None:
        return ""
    used = {path for part in PARTS for path in _places(data_dir, part)}
    if (data_dir / KAGGLE).is_dir():
        used.add(data_dir / KAGGLE.parts[0])
    is_hub = _hub(data_dir) is not None
    others = [
        child.name
        for child in sorted(data_dir.iterdir())
        if child not in used
        and not child.name.startswith(".")
        and (child.suffix in (".tar", ".gz", ".tgz", ".zip") or (child.is_dir() and not is_hub))
    ]
    if not others:
        return ""
    more = f" and {len(others) - 5:,} more" if len(others) > 5 else ""
    return printable(
        f"{', '.join(others[:5])}{more}: no part has this name (train, val, imagenetv2-…), so it is not used"
    )


def _places(data_dir: Path | None, part: str) -> list[Path]:
    """Return the folder or tar of one part, or its shards."""
    if data_dir is None:
        return []
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; {_HOW}")
    # An archive, and the folder that somebody unpacked it to.
    patterns = {
        "train": ("train", "ILSVRC2012_img_train", "ILSVRC2012_img_train.tar", "train.tar"),
        "val": ("val", "validation", "ILSVRC2012_img_val", "ILSVRC2012_img_val.tar", "val.tar", "validation.tar"),
    }.get(part) or (V2[part][0],)
    roots = [data_dir, *([data_dir / KAGGLE] if (data_dir / KAGGLE).is_dir() else [])]
    candidates = [path for root in roots for pattern in patterns for path in sorted(root.glob(pattern))]
    usable = [path for path in candidates if path.is_dir() or path.name.endswith((".tar", ".tar.gz"))]
    if usable:
        return [min(usable, key=lambda path: not path.is_dir())]  # unpacked before packed
    shards = [(path, match) for path in data_dir.iterdir() if (match := _SHARD.fullmatch(path.name))]
    return sorted(path for path, match in shards if match[1].startswith(part))


def _where(places: Sequence[Path]) -> str:
    """Name the folder or tar of a part, or the first of its shards."""
    if len(places) < 2:
        return "".join(map(str, places))
    return f"{places[0]} and {len(places) - 1:,} more"


def _copied(data_dir: Path | None) -> dict[str, Any]:
    """Return what a resized copy was made of and how; nothing for an original."""
    return {} if data_dir is None else provenance_of(data_dir)


def _hub(data_dir: Path | None) -> str | None:
    """Return what HF datasets reads: the hub's id without a folder, the folder where it holds the hub's Parquet."""
    if data_dir is None:
        return HUB_ID
    return str(data_dir) if any(data_dir.glob("**/train-*-of-*.parquet")) else None
