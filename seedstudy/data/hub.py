"""Images in the tables of HF datasets: from the hub, from its cache, or from a folder laid out like a repository.

HF datasets keeps a split as Arrow files that are not compressed, so each image is a byte range of one of them, or the
path of a file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Progress
from seedstudy.data.collection import Found, part_of
from seedstudy.data.finding import Entry, entry_of
from seedstudy.errors import DataError, first_line

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category", "cls")
"""Names that decide where several columns would do."""


@contextmanager
def _loading(what: str, remedy: str) -> Iterator[None]:
    import datasets

    try:
        with quiet_tries():
            yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{what} cannot be loaded ({first_line(error)}); {remedy}") from error


def table_entries(source: str, split: str, classes: Sequence[str]) -> Iterator[Entry]:
    """Find every image of one split of ImageNet on the hub (or in a folder with its Parquet files)."""
    import datasets

    how = "accept its terms on the hub and log in (`hf auth login`), or give --data-dir"
    with _loading(f"{source}: split {split}", how):
        table = datasets.load_dataset(source, split=split)
        if not isinstance(table.features.get("image"), datasets.Image):
            raise ValueError("no column image with images")
        labels = np.asarray(table.with_format("numpy")["label"][:]).tolist()
    for row, label in zip(_rows(table, "image", f"{source}: split {split}"), labels, strict=True):
        if not isinstance(label, int) or not 0 <= label < len(classes):
            raise DataError(f"{source}: split {split} has label {label}, expected 0 to {len(classes) - 1}")
        if not row.name:
            raise DataError(f"{source}: split {split} has an image without a name or content")
        yield entry_of(classes[label], PurePosixPath(row.name).name, row.file, row.offset, row.size, row.changed_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """One image of a table."""

    name: str
    """The path that the table gives; may be empty."""
    file: str
    offset: int
    size: int
    changed_ns: int


def _rows(table: Any, column: str, where: str) -> Iterator[_Row]:
    """Yield where each image of a table lies."""
    import pyarrow

    for cached in table.cache_files:
        path = Path(cached["filename"]).resolve()
        changed_ns = path.stat().st_mtime_ns
        with pyarrow.memory_map(str(path)) as mapped:
            start = mapped.read_buffer(mapped.size()).address
            mapped.seek(0)
            for batch in pyarrow.ipc.open_stream(mapped):
                images = batch.column(column)
                names = images.field("path").to_pylist()
                for name, (offset, size) in zip(names, _byte_ranges(images.field("bytes")), strict=True):
                    if size:
                        begin = offset - start
                        yield _Row(name=name or "", file=str(path), offset=begin, size=size, changed_ns=changed_ns)
                    elif name and (file := Path(name)).is_file():
                        state = file.stat()
                        kept = str(file.resolve())
                        yield _Row(name=name, file=kept, offset=0, size=state.st_size, changed_ns=state.st_mtime_ns)
                    else:
                        raise DataError(f"{where} has an image without a name or content")


def _byte_ranges(column: Any) -> Iterator[tuple[int, int]]:
    """Yield (address, size) of every value of an Arrow binary column."""
    _, offsets, data = column.buffers()
    if data is None:  # no value at all
        yield from [(0, 0)] * len(column)
        return
    width = np.int64 if str(column.type).startswith("large") else np.int32
    bounds: NDArray[Any] = np.frombuffer(offsets, dtype=width)[column.offset : column.offset + len(column) + 1]
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield data.address + low, high - low


# --- any data set ---------------------------------------------------------------------------------------------


class HubReader:
    """A data set as HF datasets loads it."""

    def __init__(self, name: str, *, config: str | None, image: str | None, label: str | None) -> None:
        import datasets

        how = (
            "name a data set of the hub (user/name) or a folder laid out like one; the hub's terms may have to be "
            "accepted and `hf auth login` done; a configuration is chosen with ,config=NAME"
        )
        self._name = name
        with _loading(f"hub:{name}", how), _without_bars():
            self._tables = datasets.load_dataset(name, config)
        if not self._tables:
            raise DataError(f"hub:{name}: it has no splits; name another data set")
        self._image, self._label = self._columns(image, label)
        self.where = f"hub:{name} (columns {self._image} and {self._label})"

    def stamp(self) -> object:
        """Return what changes with the tables: columns, paths, sizes and time stamps."""
        files = sorted({cached["filename"] for table in self._tables.values() for cached in table.cache_files})
        states = [(file, os.stat(file)) for file in files]  # noqa: PTH116  # texts, as the tables have them
        marks = [[file, state.st_size, state.st_mtime_ns] for file, state in states]
        return [self._image, self._label, sorted(self._tables), marks]

    def read(self, progress: Progress) -> Found:
        """Return every labelled image; DataError where a label is no class."""
        import datasets

        feature = next(iter(self._tables.values())).features[self._label]
        is_numbered = isinstance(feature, datasets.ClassLabel)
        given = {split: self._labels(table) for split, table in self._tables.items()}
        labels = {split: values for split, values in given.items() if any(value not in (None, -1) for value in values)}
        if not labels:
            raise DataError(f"{self.where}: no split has labels; name their column with ,label=NAME")
        parts: dict[str, list[Entry]] = {}
        for split, values in labels.items():
            where = f"{self.where}: split {split}"
            part = part_of(split) or split
            if part in parts:
                raise DataError(f"{where}: another split is {part} too; they cannot both be")
            names = _names(values, feature.names if is_numbered else None, where)
            rows = _rows(self._tables[split], self._image, where)
            parts[part] = [
                Entry(folder, f"{part}/{number:07d}", row.file, row.offset, row.size, row.changed_ns)
                for number, (folder, row) in enumerate(zip(names, rows, strict=True))
            ]
        if len(parts) == 1 and "train" not in parts:
            parts = {"": next(iter(parts.values()))}
        used = {entry.folder for entries in parts.values() for entry in entries}
        return Found(
            where=self.where,
            parts=parts,
            # A class that no image has is no class here.
            classes=tuple(name for name in feature.names if name in used) if is_numbered else None,
            notes=dict.fromkeys(given.keys() - labels.keys(), "its rows have no labels, so it is not used"),
        )

    def _labels(self, table: Any) -> list[Any]:
        if self._label not in table.features:
            return []
        values: list[Any] = table.with_format("arrow")[self._label].to_pylist()
        if any(value is not None and not isinstance(value, int | str) for value in values):
            raise DataError(f"{self.where}: {self._label} holds no labels; name their column with ,label=NAME")
        return values

    def _columns(self, image: str | None, label: str | None) -> tuple[str, str]:
        """Return the columns of images and labels: those that were named, or those that the features show."""
        import datasets

        features = next(iter(self._tables.values())).features
        images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        others = [name for name in LABEL_COLUMNS if name in features and name not in images]
        return (
            _column("image", image, images, IMAGE_COLUMNS, f"hub:{self._name}", tuple(features)),
            _column("label", label, classes or others, LABEL_COLUMNS, f"hub:{self._name}", tuple(features)),
        )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep bars of progress off the terminal: one line of ours says it."""
    import datasets

    was_on = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            datasets.utils.logging.enable_progress_bar()


@contextmanager
def quiet_tries() -> Iterator[None]:
    """Keep the warnings of every try to reach the hub off the terminal: the error says what they say."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _column(
    what: str, asked: str | None, fitting: Sequence[str], preferred: Sequence[str], where: str, known: Sequence[str]
) -> str:
    if asked is not None:
        if asked not in known or (what == "image" and asked not in fitting):
            names = ", ".join(fitting if what == "image" else known)
            raise DataError(f"{where}: no column {asked} with {what}s; there is {names or 'none'}")
        return asked
    best = [name for name in preferred if name in fitting] or list(fitting)
    if len(best) == 1 or (best and best[0] in preferred):
        return best[0]
    if not best:
        raise DataError(
            f"{where}: no column with {what}s (there is {', '.join(known)}); name the column with ,{what}=NAME"
        )
    raise DataError(f"{where}: {what}s are in {' or '.join(best)}; name one of them, for example ,{what}={best[0]}")


def _names(values: Sequence[Any], classes: Sequence[str] | None, where: str) -> list[str]:
    """Return the class of each row; ``classes`` are those that a table declares for its numbers."""
    for row, value in enumerate(values):
        if value is None or (classes is not None and not (isinstance(value, int) and 0 <= value < len(classes))):
            expected = "a class" if classes is None else f"0 to {len(classes) - 1}"
            raise DataError(f"{where}: row {row} has label {value}, expected {expected}; drop the row from the table")
    return [str(value) if classes is None else classes[value] for value in values]
