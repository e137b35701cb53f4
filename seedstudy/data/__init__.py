"""The data-set room: what data sets there are, prepared once on disk, loaded by every worker.

`prepare` decodes or renders a data set into a cache folder; `load` maps that folder into memory.
Importing this package costs the standard library alone; NumPy, Pillow, PyArrow, scikit-learn and
HF datasets are imported where they are used.
"""

from __future__ import annotations

from pathlib import Path

from seedstudy.data.base import EVAL_SET_ORDER, DataInfo, Dataset, EvalSet, Finding, Progress, Source
from seedstudy.errors import DataError, suggest

__all__ = [
    "EVAL_SET_ORDER",
    "DataInfo",
    "Dataset",
    "EvalSet",
    "Finding",
    "check",
    "info",
    "load",
    "names",
    "prepare",
]

_INFOS = (
    DataInfo(
        name="shapes",
        title="Shapes (rendered)",
        n_train=2048,
        image_size=32,
        n_classes=10,
        epoch_ratio=1 / 25,
        default_model="resnet8_patch",
        needs_data_dir=False,
        note="Embedded: ten shapes rendered from a fixed seed; a measuring instrument, not a benchmark.",
    ),
    DataInfo(
        name="digits",
        title="Digits (scikit-learn)",
        n_train=1201,
        image_size=32,
        n_classes=10,
        epoch_ratio=0.1,
        default_model="resnet8_patch",
        needs_data_dir=False,
        note="Scanned handwritten digits that come with scikit-learn, 8 px enlarged to 32 px; val only.",
    ),
    DataInfo(
        name="cifar10",
        title="CIFAR-10",
        n_train=50_000,
        image_size=32,
        n_classes=10,
        epoch_ratio=0.1,
        default_model="resnet8",
        needs_data_dir=False,
        note="val: test images, real: CIFAR-10H, v2: CIFAR-10.1 v6; from --data-dir, else downloaded.",
    ),
    DataInfo(
        name="imagenet",
        title="ImageNet-1k",
        n_train=1_281_167,
        image_size=None,
        n_classes=1000,
        epoch_ratio=1.0,
        default_model="resnet50",
        needs_data_dir=False,
        note="val, ReaL and ImageNet-V2; folders or tar files in --data-dir, else the hub (docs/imagenet.md).",
    ),
    DataInfo(
        name="imagenet_minival",
        title="ImageNet-1k, 2 % of train held out",
        n_train=1_255_544,
        image_size=None,
        n_classes=1000,
        epoch_ratio=1.0,
        default_model="resnet50",
        needs_data_dir=False,
        note="For tuning a recipe: trains on 98 % of train and looks at minival alone, never at val.",
    ),
)


def names() -> tuple[str, ...]:
    """Return the names of all data sets, the embedded one first."""
    return tuple(entry.name for entry in _INFOS)


def info(name: str) -> DataInfo:
    """Return the static facts of a data set; DataError where there is none of that name."""
    for entry in _INFOS:
        if entry.name == name:
            return entry
    raise DataError(f'unknown data set "{name}".{suggest(name, names())}')


def prepare(name: str, *, data_dir: Path | None = None, cache_dir: Path, progress: Progress | None = None) -> Path:
    """Decode or render a data set once and return its folder in the cache, for `load`.

    The folder is keyed by the content of the sources, so that a changed file makes a new entry. An
    entry that is already there is verified and reused; a damaged one is made again.
    """
    source = _source(name)
    from seedstudy.data import cache

    report = progress or (lambda line: None)
    return cache.ensure(
        name,
        source_key=source.source_key(data_dir),
        cache_dir=cache_dir,
        build=lambda: source.build(data_dir, report),
    )


def load(prepared: Path, *, train_limit: int | None = None) -> Dataset:
    """Map a prepared data set into memory.

    train_limit: keep that many training images: the first ones of each class, in their original order,
    with class counts as equal as the data allow.
    """
    from seedstudy.data import cache

    return cache.load(prepared, train_limit=train_limit)


def check(name: str, data_dir: Path | None = None) -> list[Finding]:
    """Report for each part of a data set what is on disk, what is missing and how to get it."""
    return _source(name).check(data_dir)


def _source(name: str) -> Source:
    """Import the module of one data set."""
    match info(name).name:
        case "shapes":
            from seedstudy.data import shapes

            return shapes
        case "digits":
            from seedstudy.data import digits

            return digits
        case "cifar10":
            from seedstudy.data import cifar

            return cifar
        case chosen:
            from seedstudy.data.imagenet import ImageNet

            return ImageNet(with_minival=chosen == "imagenet_minival")
