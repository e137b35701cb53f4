"""The data sets: prepared once in a cache folder, mapped into memory by every process that trains.

A new data set is one file beside this one, with a class like :class:`~seedstudy.data.base.DatasetBuilder`, and one line
in ``_BUILDERS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy.data.base import Catalogue, Check, DataInfo, Dataset, Progress
from seedstudy.data.source import FORMS, Source
from seedstudy.errors import DataError, missing_extra, suggest
from seedstudy.recipes.scaling import IMAGENET_N_TRAIN, KINETICS_N_TRAIN, SMALLEST_BATCH

if TYPE_CHECKING:
    from seedstudy.data.base import DatasetBuilder

_BUILDERS = {
    "shapes": "shapes.Shapes",
    "moving_shapes": "moving_shapes.MovingShapes",
    "digits": "digits.Digits",
    "cifar10": "cifar10.Cifar10",
    "cifar100": "named.Cifar100",
    "imagenette": "named.Imagenette",
    "pets": "named.Pets",
    "flowers": "named.Flowers",
    "cars": "named.Cars",
    "food101": "named.Food101",
    "imagenet": "imagenet.ImageNet",
    "imagenet_minival": "imagenet.ImageNetMinival",
}
"""Name -> class in this folder, the embedded data set first. A class is imported where its data set is used: the room
itself costs the standard library alone."""


def names() -> tuple[str, ...]:
    """Return the names of all data sets, the embedded one first."""
    return tuple(_BUILDERS)


def info(name: str) -> DataInfo:
    """Return the static facts of a data set; DataError where there is none of that name.

    Of images of one's own nothing but the name is known before they are read: see :func:`facts_of`.
    """
    return _builder(name).info


def facts_of(name: str, data: Dataset) -> DataInfo:
    """Return the facts of a data set that has been loaded."""
    static = info(name)
    n_train = len(data.train_labels)
    facts = replace(static, n_train=n_train, image_size=data.image_size, n_classes=len(data.classes))
    if Source.parse(name) is None:
        return facts
    if data.image_size is None and 2 * n_train >= (KINETICS_N_TRAIN if data.holds_videos else IMAGENET_N_TRAIN):
        return replace(facts, epoch_ratio=1.0)  # as large as the data for which recipes are written
    eighth = 2 ** max(1, (n_train // 8).bit_length() - 1)  # a power of two
    return replace(facts, smallest_batch=min(SMALLEST_BATCH, eighth))


def name_of(text: str) -> str:
    """Return the name that studies and tables give to what ``-d`` names: `folder-photos` for `folder:/data/photos`."""
    source = Source.parse(text)
    return text if source is None else source.name


def catalogue() -> Catalogue:
    """Return the static facts of all data sets, and how images of one's own are named."""
    return Catalogue(data=tuple(info(name) for name in names()), own=FORMS)


def check(
    name: str, data_dir: Path | None = None, *, is_thorough: bool = False, progress: Progress | None = None
) -> Check:
    """Report for each part of a data set what is on disk, what is missing and how to get it.

    ``is_thorough``: decode every image, in as many threads as there are cores, and name those that do not decode.
    """
    builder = _builder(name)
    with _errors_in_words():
        found = builder.check(data_dir, is_thorough=is_thorough, progress=progress or (lambda line: None))
        return Check(data=builder.info.name, parts=tuple(found))


def prepare(name: str, *, data_dir: Path | None = None, cache_dir: Path, progress: Progress | None = None) -> Path:
    """Decode, render or index a data set once and return its folder in the cache, for :func:`load`.

    The folder is keyed by the content of the sources, so a changed file makes a new entry. An entry that exists is
    verified and reused; a damaged one is made again. DataError for files that are missing, incomplete or damaged, and a
    cache folder that cannot be written; MissingExtraError where the data set needs the extra ``train``.
    """
    from seedstudy.data import cache

    builder = _builder(name)
    with _errors_in_words():
        return cache.ensure(
            builder.info.name,
            source_key=builder.source_key(data_dir),
            cache_dir=cache_dir,
            build=lambda: builder.build(data_dir, progress or (lambda line: None)),
        )


def load(prepared: Path, *, train_limit: int | None = None) -> Dataset:
    """Map a prepared data set into memory; DataError where the folder is damaged or the limit impossible.

    Of the training images the first ``train_limit`` are kept, class by class in turn and in their original order.
    """
    from seedstudy.data import cache

    with _errors_in_words():
        return cache.load(prepared, train_limit=train_limit)


def _builder(name: str) -> DatasetBuilder:
    if (source := Source.parse(name)) is not None:
        from seedstudy.data.own import OwnImages

        return OwnImages(source)
    if name not in _BUILDERS:
        hint = suggest(name, names())
        if Path(name).is_dir():
            hint = f" A folder of your own is folder:{name}."
        elif name.partition("-")[0] in FORMS:
            hint = " It is a name in tables; say where the images are, folder:PATH, or name the --prepared folder."
        raise DataError(f'unknown data set "{name}".{hint}')
    module, _, builder = _BUILDERS[name].partition(".")
    made: DatasetBuilder = getattr(import_module(f"seedstudy.data.{module}"), builder)()
    return made


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Name the extra to install where an import fails, and the file that the system does not let us read."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{error.filename}: cannot be read ({why}); check its name and permissions") from error
    except ModuleNotFoundError as error:
        raise (missing_extra(error) or error) from error
