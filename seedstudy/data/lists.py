"""Lists of images and their labels: CSV, TSV, or lines of `path label`."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedstudy.data import videos
from seedstudy.data.base import Progress
from seedstudy.data.collection import Found, part_of
from seedstudy.data.encoded import LARGEST_IMAGE
from seedstudy.data.finding import Entry
from seedstudy.errors import DataError, StoreError, first_line, suggest
from seedstudy.files import read_bytes

LARGEST_LIST = 2**28
"""Bytes; a list of ImageNet-21k has about as many."""
_IMAGE_NAMES = (
    *("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_name"),
    *("img", "img_path", "image_id", "imageid", "id"),
)
_LABEL_NAMES = ("label", "labels", "class", "class_name", "target", "category", "species", "breed", "y", "cls")
_SPLIT_NAMES = ("split", "set", "subset", "partition", "part", "fold")
_SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".JPEG", ".JPG", ".PNG", ".webp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A list as it is written."""

    path: Path
    header: tuple[str, ...]
    """Empty where the file has none."""
    rows: tuple[tuple[str, ...], ...]


def read_table(path: Path) -> Table:
    """Read a list; the separator is a comma, a semicolon, a tab, or else white space."""
    try:
        text = read_bytes(path, limit=LARGEST_LIST).decode("utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        first = lines[0] if lines else ""
        separator = next((mark for mark in "\t;," if mark in first), None)
        cells = [line.rsplit(maxsplit=1) for line in lines]
        if separator is not None:
            cells = list(csv.reader(lines, delimiter=separator))
        rows = [tuple(cell.strip() for cell in row) for row in cells]
    except (StoreError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a list of images ({first_line(error)}); write rows of image,label") from error
    if not rows:
        raise DataError(f"{path}: it is empty; write rows of image,label")
    width = len(rows[0])
    odd = next((number for number, row in enumerate(rows, start=1) if len(row) != width), None)
    if odd is not None:
        raise DataError(f"{path}: row {odd} has {len(rows[odd - 1])} cells, and the first has {width}; fix the row")
    has_header = separator is not None and not any(_place(path, cell) for cell in rows[0])
    return Table(path=path, header=rows[0] if has_header else (), rows=tuple(rows[1 if has_header else 0 :]))


def _place(path: Path, cell: str) -> str | None:
    """Return the file that a cell of a list names: beside the list, or in a folder named like it, or in images."""
    if not cell or "\0" in cell or len(cell) > 4096:
        return None
    folders = (path.parent, path.with_suffix(""), path.parent / "images")
    for folder in folders:
        for suffix in _SUFFIXES:
            place = os.path.join(folder, cell + suffix)  # noqa: PTH118  # a million times
            if os.path.isfile(place):  # noqa: PTH113
                return place
    return None


def _column(table: Table, what: str, asked: str | None, names: Sequence[str], others: Sequence[int]) -> int:
    """Return the number of a column: the one asked for, one of a known name, or the only one left."""
    header = [name.lower() for name in table.header]
    if asked is not None:
        if asked.lower() not in header:
            raise DataError(f'{table.path}: no column "{asked}".{suggest(asked, table.header)}')
        return header.index(asked.lower())
    named = [header.index(name) for name in names if name in header]
    if named:
        return named[0]
    if len(others) == 1:
        return others[0]
    columns = ", ".join(table.header) or f"{len(table.rows[0]) if table.rows else 0} columns without names"
    raise DataError(f"{table.path}: which column is the {what}? ({columns}); name it with ,{what}=NAME")


def _columns(table: Table, image: str | None, label: str | None) -> tuple[int, int, int | None]:
    """Return the numbers of the columns of images, labels, and parts where there is one."""
    if not table.rows:
        raise DataError(f"{table.path}: it has no rows; write rows of image,label")
    numbers = range(len(table.rows[0]))
    sample = table.rows[:20]
    files = [number for number in numbers if all(_place(table.path, row[number]) for row in sample)]
    images = _column(table, "image", image, () if len(files) == 1 else _IMAGE_NAMES, files)
    header = [name.lower() for name in table.header]
    split = next((header.index(name) for name in _SPLIT_NAMES if name in header), None)
    if split is not None and any(part_of(row[split]) is None for row in table.rows):
        split = None
    rest = [number for number in numbers if number not in (images, split)]
    return images, _column(table, "label", label, _LABEL_NAMES, rest), split


def listed(lists: Mapping[str, Path], *, where: str, image: str | None = None, label: str | None = None) -> Found:
    """Return the images of lists; part -> list, "" for one that says itself which part an image belongs to."""
    parts: dict[str, list[Entry]] = {}
    notes: dict[str, str] = {}
    for name, path in lists.items():
        table = read_table(path)
        if name == "test" and not _has_labels(table, label):
            notes["test"] = f"{path.name} has no column of labels and is not used"
            continue
        images, labels, splits = _columns(table, image, label)
        for number, row in enumerate(table.rows, start=2 if table.header else 1):
            part = part_of(row[splits]) if splits is not None and not name else name
            assert part is not None
            parts.setdefault(part, []).append(_entry(table, number, part, row[images], row[labels]))
    for part, entries in parts.items():
        seen: dict[str, str] = {}
        for entry in entries:
            if seen.setdefault(entry.file, entry.folder) != entry.folder:
                both = f"{seen[entry.file]} and {entry.folder}"
                raise DataError(f"{where}: {entry.file} is listed twice, as {both}; keep one of the rows")
        parts[part] = list({entry.file: entry for entry in entries}.values())
    kinds = {entry.file.lower().endswith(videos.SUFFIXES) for entries in parts.values() for entry in entries}
    if len(kinds) > 1:
        raise DataError(f"{where}: it lists videos and images; keep one kind")
    return Found(where=where, parts=parts, notes=notes, holds_videos=kinds == {True})


def _has_labels(table: Table, label: str | None) -> bool:
    header = [name.lower() for name in table.header]
    named = not header or any(name in header for name in ((label or "").lower(), *_LABEL_NAMES))
    return named and len(header or table.rows[0]) > 1


def _entry(table: Table, number: int, part: str, cell: str, label: str) -> Entry:
    place = _place(table.path, cell)
    if place is None:
        raise DataError(f'{table.path}: row {number}: there is no image "{cell}"; get it, or drop the row')
    if not label or not label.isprintable() or not cell.isprintable():
        raise DataError(f"{table.path}: row {number} has no label that can be printed; write one, or drop the row")
    state = os.stat(place)  # noqa: PTH116
    if not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST_IMAGE:
        raise DataError(f"{place}: {state.st_size:,} bytes are too many for one image; move it away")
    return Entry(label, f"{part}/{cell}" if part else cell, place, 0, state.st_size, state.st_mtime_ns)


class ListReader:
    """One list of images, with a column that says train, val or test, or without."""

    def __init__(self, path: Path, *, image: str | None, label: str | None) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; give a table with the columns image and label")
        self.where, self._path = str(path), path
        # What the list names is looked up at once: its state belongs to the stamp.
        self._found = listed({"": path}, where=self.where, image=image, label=label)

    def stamp(self) -> list[object]:
        """Return what changes with the list and the images: names, labels, sizes and time stamps."""
        return [[part, *entry] for part, entries in self._found.parts.items() for entry in entries]

    def read(self, progress: Progress) -> Found:
        """Return the images by part and class."""
        return self._found


def label_sets_of(table: Table, val: Iterable[str]) -> dict[str, list[str]]:
    """Return for images of val the classes that count as right: a row for each, or several in a cell with `|`.

    An image is named by its path below val, with or without its class folder, or by its file name alone.
    """
    names: dict[str, set[str]] = {}
    for name in val:
        inside = name.split("/")
        for start in range(len(inside)):
            tail = "/".join(inside[start:])
            for spelling in (tail, os.path.splitext(tail)[0]):  # noqa: PTH122
                names.setdefault(spelling, set()).add(name)
    if not table.rows or len(table.rows[0]) < 2:
        raise DataError(f"{table.path}: write rows of image,label")
    header = [name.lower() for name in table.header]
    image = next((header.index(name) for name in _IMAGE_NAMES if name in header), 0)
    label = next((header.index(name) for name in _LABEL_NAMES if name in header), 1)
    sets: dict[str, list[str]] = {}
    for number, row in enumerate(table.rows, start=2 if table.header else 1):
        meant = names.get(row[image], set())
        if len(meant) != 1:
            why = "no image of val" if not meant else f"{len(meant)} images of val"
            raise DataError(f'{table.path}: row {number}: "{row[image]}" is {why}; write its path below val')
        sets.setdefault(next(iter(meant)), []).extend(word.strip() for word in row[label].split("|"))
    return sets
