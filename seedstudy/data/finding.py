"""Images below folders, in tar files (also in tar files of tar files) and in webdataset shards.

What lies among them and is no image is left out, counted and named: nothing vanishes without a word.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, TypeVar

import numpy as np

from seedstudy.data.base import Progress
from seedstudy.data.encoded import LARGEST_IMAGE, EncodedImages
from seedstudy.errors import DataError, first_line, printable

SUFFIXES = (".jpeg", ".jpg", ".png", ".ppm")  # compared in lower case: ImageNet writes .JPEG, decoded copies are .ppm
_THREADS = 16  # a listing waits for the disk or the network, not for the processor


class Entry(NamedTuple):
    """One image file."""

    folder: str  # name of its folder (or tar file): its class; empty where there is none
    name: str  # file name without suffix
    file: str  # the file on disk that holds it
    offset: int
    size: int
    changed_ns: int  # when that file was last changed


def encoded_images(entries: Sequence[Entry], names: Sequence[str]) -> EncodedImages:
    """Return the entries as arrays, under the names given."""
    files: dict[str, int] = {}
    file_of = [files.setdefault(entry.file, len(files)) for entry in entries]
    changed_ns = {entry.file: entry.changed_ns for entry in entries}
    return EncodedImages(
        files=np.array([os.fsencode(file) for file in files], dtype=np.bytes_),
        changed_ns=np.array([changed_ns[file] for file in files], dtype=np.int64),
        file_of=np.array(file_of, dtype=np.int32),
        offsets=np.array([entry.offset for entry in entries], dtype=np.int64),
        sizes=np.array([entry.size for entry in entries], dtype=np.int64),
        names=np.array([name.encode() for name in names], dtype=np.bytes_),
    )


# --- what is left out -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class LeftOut:
    """Files among the images that are not used."""

    kinds: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """Path of the first one."""

    def add(self, kind: str, path: str) -> None:
        self.kinds[kind] += 1
        self.first = min(self.first or path, path)

    def update(self, other: LeftOut) -> None:
        self.kinds.update(other.kinds)
        if other.first:
            self.first = min(self.first or other.first, other.first)

    def __str__(self) -> str:
        n = self.kinds.total()
        if n == 0:
            return ""
        most = sorted(self.kinds.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
        rest = n - sum(count for _, count in most)
        kinds = [f"{count:,} {kind}" for kind, count in most] + ([f"{rest:,} other"] if rest else [])
        files = "file is" if n == 1 else "files are"
        return printable(f"{n:,} {files} not used: {', '.join(kinds)} (the first is {self.first})")


EMPTY = "empty"


def _kind(name: str) -> str:
    """Return why a file of this name is no image; empty where it may be one."""
    if name.startswith("."):
        return "hidden"  # such as the ._x.JPEG that macOS puts beside x.JPEG
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # a million times
    if suffix in SUFFIXES:
        return ""
    return suffix if 1 < len(suffix) <= 10 else "of another kind"


def entry_of(folder: str, file_name: str, file: str, offset: int, size: int, changed_ns: int) -> Entry:
    """Return an image by the name of its file; DataError for a name or a size that no image has."""
    name = os.path.splitext(file_name)[0]  # noqa: PTH122
    where = file if offset == 0 else f"{file} ({file_name})"
    if not name.isprintable():  # also half a character, where the name is not UTF-8
        raise DataError(f"{where}: the name of an image must be printable UTF-8 text; rename it")
    if size > LARGEST_IMAGE:
        raise DataError(f"{where}: {size:,} bytes are too many for one image; move it away")
    return Entry(folder, name, file, offset, size, changed_ns)


# --- folders and tar files -------------------------------------------------------------------------------------


T = TypeVar("T")


def entries(path: Path, progress: Progress, left_out: LeftOut) -> list[Entry]:
    """Find every image below a folder of class folders (or of class tars), or in a tar of either."""
    if path.is_dir():
        return _read(path, lambda: _in_folder(path, progress, left_out))
    return _read(path, lambda: list(_in_tar(path, left_out)))


def _read(path: Path, find: Callable[[], T]) -> T:
    """Return what ``find`` finds; DataError of one line where the folder or tar does not allow it."""
    try:
        return find()
    except OSError as error:
        if error.errno is None:  # gzip
            raise DataError(f"{path}: not a complete tar file ({first_line(error)}); get it again") from error
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror}); check it") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not a complete tar file ({first_line(error)}); get it again") from error


def stamp(path: Path) -> str:
    """Name the state of a folder or file by path, size and time stamps, those of its class folders included."""
    path = path.resolve()
    children = sorted(path.iterdir()) if path.is_dir() else []
    marks = [(each, each.stat()) for each in (path, *children)]
    return " ".join(f"{each} {stat.st_size} {stat.st_mtime_ns}" for each, stat in marks)


def _in_folder(path: Path, progress: Progress, left_out: LeftOut) -> list[Entry]:
    images, places = list[Entry](), list[Path]()
    for child in sorted(path.resolve().iterdir()):
        if (child.is_dir() and not child.name.startswith(".")) or _kind(child.name) == ".tar":
            places.append(child)
        else:
            images += _of_file("", child.name, str(child), child.stat(), left_out)
    return images + _indexed(places, _in_class, f"folders of {path.name}", progress, left_out)


def _indexed(
    places: Sequence[Path],
    index: Callable[[Path], tuple[list[Entry], LeftOut]],
    what: str,
    progress: Progress,
    left_out: LeftOut,
) -> list[Entry]:
    """Return the images of all places in their order, several being read at a time."""
    images = list[Entry]()
    with ThreadPoolExecutor(_THREADS) as pool:
        for n_done, (found, others) in enumerate(pool.map(index, places), start=1):
            images += found
            left_out.update(others)
            if n_done % 100 == 0:
                progress(f"{n_done:,} of {len(places):,} {what} indexed")
    return images


def _in_class(place: Path) -> tuple[list[Entry], LeftOut]:
    left_out = LeftOut()
    if not place.is_dir():
        return list(_in_tar(place, left_out)), left_out
    images, folders = _files_of(place, place.name, left_out)
    if not images and len(folders) == 1:  # n01440764/images/*.JPEG, as in Tiny ImageNet
        images, folders = _files_of(folders[0], place.name, left_out)
    for folder in folders:
        left_out.add("folder", str(folder))
    return images, left_out


def _files_of(place: Path, folder: str, left_out: LeftOut) -> tuple[list[Entry], list[Path]]:
    """Return the images of a folder, and the folders in it."""
    images, folders = list[Entry](), list[Path]()
    with os.scandir(place) as files:
        for file in files:
            if file.is_dir() and not file.name.startswith("."):
                folders.append(Path(file.path))
            else:
                images += _of_file(folder, file.name, file.path, file.stat(), left_out)
    return images, folders


def _of_file(folder: str, name: str, path: str, state: os.stat_result, left_out: LeftOut) -> list[Entry]:
    """Return the image that a file is, or none."""
    kind = _kind(name)
    if not stat.S_ISREG(state.st_mode):
        kind = "folder" if stat.S_ISDIR(state.st_mode) else "no regular file"
    elif not kind and state.st_size == 0:
        kind = EMPTY
    if kind:
        left_out.add(kind, path)
        return []
    return [entry_of(folder, name, path, 0, state.st_size, state.st_mtime_ns)]


class _Header(tarfile.TarInfo):
    """A header, read strictly.

    tarfile takes a damaged header, or a file that ends too early, for the end of the archive, and reads an extended
    header of any size into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Return the header in a block; ReadError, which ends the reading, where there is none."""
        is_end = len(buf) == tarfile.BLOCKSIZE and not any(buf)
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if is_end:
                raise
            raise tarfile.ReadError(first_line(error)) from error
        if header.size < 0:
            raise tarfile.ReadError("a file of negative size")
        if header.type in _EXTENDED and header.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_LARGEST_HEADER = 2**20
"""Bytes; an extended header holds a name or two."""


def _in_tar(path: Path, left_out: LeftOut) -> Iterator[Entry]:
    """Yield the images of a tar; offsets are those in the unpacked stream where it is gzipped."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path}: not a regular file; move it away")
    if state.st_size == 0:
        raise tarfile.ReadError("it is empty")
    with (
        gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as tar,
    ):
        yield from _members(tar, str(path.resolve()), state.st_mtime_ns, left_out, folder=_class_of(path.name), start=0)


def _members(
    tar: tarfile.TarFile,
    file: str,
    changed_ns: int,
    left_out: LeftOut,
    *,
    folder: str,
    start: int,
    is_inner: bool = False,
) -> Iterator[Entry]:
    for member in tar:
        inside = PurePosixPath(member.name)
        if member.isdir():
            continue
        kind, place = _kind(inside.name), f"{file} ({member.name})"
        if kind == ".tar" and member.isreg():
            if is_inner:
                raise DataError(f"{place}: a tar in a tar in a tar; unpack the outermost one")
            content: IO[bytes] | None = tar.extractfile(member)
            assert content is not None
            with tarfile.open(fileobj=content, mode="r:", tarinfo=_Header) as inner:
                begin = start + member.offset_data
                yield from _members(inner, file, changed_ns, left_out, folder=inside.stem, start=begin, is_inner=True)
            continue
        if not member.isreg() or member.issparse():
            kind = "no regular file"
        elif not kind and member.size == 0:
            kind = EMPTY
        if kind:
            left_out.add(kind, place)
            continue
        begin = start + member.offset_data
        place_of = inside.parent.parent if inside.parent.name == "images" else inside.parent
        yield entry_of(place_of.name or folder, inside.name, file, begin, member.size, changed_ns)


def _class_of(tar_name: str) -> str:
    """Return the class a tar is named after; a split's own tar (train.tar) names none."""
    stem = tar_name.removesuffix(".gz").removesuffix(".tar")
    return stem if stem[:1] == "n" and stem[1:].isdecimal() else ""


# --- webdataset shards ------------------------------------------------------------------------------------------

_LARGEST_LABEL = 2**16
"""Bytes of a file beside an image: a number, or a few facts as JSON."""


def shard_entries(shards: Sequence[Path], progress: Progress, left_out: LeftOut) -> list[Entry]:
    """Find every image in webdataset shards: tar files in which `KEY.jpg` and `KEY.cls` belong together.

    The class is the number in `KEY.cls`, as text. The name is that of the original file where `KEY.json` gives it under
    `filename`, and KEY where it does not.
    """
    return _indexed(shards, _in_shard, "shards", progress, left_out)


def _in_shard(path: Path) -> tuple[list[Entry], LeftOut]:
    left_out = LeftOut()
    return _read(path, lambda: _of_shard(path, left_out)), left_out


def _of_shard(path: Path, left_out: LeftOut) -> list[Entry]:
    images, labels, names = dict[str, tuple[str, int, int]](), dict[str, str](), dict[str, str]()
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path}: not a regular file; move it away")
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as tar:
        for member in tar:
            folder, _, file_name = member.name.rpartition("/")
            stem, _, extension = file_name.partition(".")  # webdataset: the key ends at the first dot
            key, place = f"{folder}/{stem}", f"{path} ({member.name})"
            if member.isdir():
                continue
            if extension in ("cls", "json") and member.isreg() and 0 < member.size <= _LARGEST_LABEL:
                content = tar.extractfile(member)
                assert content is not None
                text = content.read().decode("utf-8", "replace").strip()
                if extension == "cls":
                    labels[key] = text
                elif name := _file_name(text):
                    names[key] = name
            elif kind := _kind(file_name) or ("" if member.isreg() else "no regular file"):
                left_out.add(kind, place)
            elif member.size == 0:
                left_out.add(EMPTY, place)
            else:
                images[key] = (file_name, member.offset_data, member.size)
    found = []
    for key, (file_name, offset, size) in images.items():
        if not labels.get(key, "").isdecimal():
            raise DataError(
                f"{path} ({file_name}): it has no class number beside it in a file .cls; get the shard again"
            )
        name = names.get(key, file_name)
        found.append(entry_of(str(int(labels[key])), name, str(path.resolve()), offset, size, state.st_mtime_ns))
    return found


def _file_name(text: str) -> str:
    """Return the file name that the JSON beside an image gives; empty where it gives none."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    name = facts.get("filename") if isinstance(facts, dict) else None
    return PurePosixPath(name).name if isinstance(name, str) else ""
