"""Images that stay encoded on disk: each is a byte range of a file, be it a JPEG, a tar file or an Arrow table.

Found below folders, in tar files (also tar files in tar files) and in the hub's tables; read and decoded one by one.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import Progress
from seedstudy.errors import DataError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpeg", ".jpg", ".png")  # compared in lower case: ImageNet writes .JPEG
_THREADS = 16  # a listing waits for the disk or the network, not for the processor


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImages:
    """The images of one split, in a fixed order; cheap to hand to other processes."""

    files: NDArray[np.bytes_]  # (m,) paths of the files that hold them
    file_of: NDArray[np.int32]  # (n,) index into `files`
    offsets: NDArray[np.int64]  # (n,) where an image starts, bytes
    sizes: NDArray[np.int64]  # (n,) bytes
    names: NDArray[np.bytes_]  # (n,) identity of each image, whatever file holds it: `n01440764_10026`

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.integer]) -> EncodedImages:
        """Return some of the images, in the order of `rows`."""
        return replace(self, **{name: getattr(self, name)[rows] for name in FIELDS if name != "files"})

    def where(self, row: int) -> str:
        """Return the path of an image, with its name where the file holds several."""
        path = os.fsdecode(self.files[self.file_of[row]])
        name = os.fsdecode(self.names[row])
        return path if name in path else f"{path} (image {name})"

    def read(self, row: int) -> bytes:
        """Return the encoded bytes; DataError where the file is gone or has changed since it was indexed."""
        size = int(self.sizes[row])
        try:
            with Path(os.fsdecode(self.files[self.file_of[row]])).open("rb") as stream:
                stream.seek(int(self.offsets[row]))
                content = stream.read(size)
        except OSError as error:
            raise DataError(f"{self.where(row)}: cannot be read ({error.strerror}); check the file") from error
        if len(content) != size:
            raise DataError(
                f"{self.where(row)}: holds {len(content):,} bytes, {size:,} were indexed: the file has changed; "
                "get it again, or give its folder a new time stamp (touch) to have it indexed anew"
            )
        return content

    def open(self, row: int) -> Image:
        """Return an image in RGB (a few of ImageNet's are CMYK, grey or PNG); DataError with its name."""
        return self.decode(row)[0]

    def decode(self, row: int) -> tuple[Image, str]:
        """Return the image in RGB and the mode it was stored in."""
        try:
            return decoded(self.read(row))
        except ValueError as error:
            raise DataError(f"{self.where(row)}: does not decode ({error}); get the file again") from error


FIELDS = tuple(field.name for field in fields(EncodedImages))
CONTENT = ("sizes", "names")
"""What identifies images, whatever files hold them; part of a data set's fingerprint."""


def decoded(content: bytes) -> tuple[Image, str]:
    """Return an image in RGB and the mode it was stored in; ValueError with the reason where it does not decode."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB"), image.mode
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        is_truncated = isinstance(error, OSError) and str(error).startswith("image")
        raise ValueError(str(error) if is_truncated else "not an image") from error


def decode_sample(images: EncodedImages, n: int) -> str:
    """Decode up to ``n`` images, spread evenly, and say how it went; DataError names one that does not decode."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(n, len(images))).astype(int)).tolist()
    odd = [(row, mode) for row in rows if (mode := images.decode(row)[1]) != "RGB"]
    note = f", {len(rows):,} decoded"
    if odd:
        row, mode = odd[0]
        note += f", {len(odd)} of them not RGB and converted (the first is {images.where(row)}, {mode})"
    return note


# --- finding: folders, tar files, the hub -------------------------------------------------------------------


class Entry(NamedTuple):
    """One image file."""

    folder: str  # name of its folder (or tar file): its class; empty where there is none
    name: str  # file name without suffix
    file: str  # the file on disk that holds it
    offset: int
    size: int


def encoded_images(entries: Sequence[Entry], names: Sequence[str]) -> EncodedImages:
    """Return the entries as arrays, under the names given."""
    files: dict[str, int] = {}
    file_of = [files.setdefault(entry.file, len(files)) for entry in entries]
    return EncodedImages(
        files=np.array([os.fsencode(file) for file in files], dtype=np.bytes_),
        file_of=np.array(file_of, dtype=np.int32),
        offsets=np.array([entry.offset for entry in entries], dtype=np.int64),
        sizes=np.array([entry.size for entry in entries], dtype=np.int64),
        names=np.array([name.encode() for name in names], dtype=np.bytes_),
    )


def entries(path: Path, progress: Progress) -> Iterator[Entry]:
    """Find every image below a folder of class folders (or of class tars), or in a tar of either."""
    try:
        if path.is_dir():
            yield from _in_folder(path, progress)
        else:
            yield from _in_tar(path)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror}); check it") from error
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path}: not a complete tar file ({error}); get it again") from error


def stamp(path: Path) -> str:
    """Name the state of a folder or file by path, size and time stamps, those of its class folders included."""
    path = path.resolve()
    children = sorted(path.iterdir()) if path.is_dir() else []
    marks = [(each, each.stat()) for each in (path, *children)]
    return " ".join(f"{each} {stat.st_size} {stat.st_mtime_ns}" for each, stat in marks)


def _in_folder(path: Path, progress: Progress) -> Iterator[Entry]:
    children = sorted(path.resolve().iterdir())
    for child in children:
        if child.suffix.lower() in SUFFIXES:
            yield Entry("", child.stem, str(child), 0, child.stat().st_size)
    places = [child for child in children if child.is_dir() or child.suffix == ".tar"]
    with ThreadPoolExecutor(_THREADS) as pool:
        for n_done, images in enumerate(pool.map(_in_class, places), start=1):
            yield from images
            if n_done % 100 == 0:
                progress(f"{n_done:,} of {len(places):,} folders of {path.name} indexed")


def _in_class(place: Path) -> list[Entry]:
    if not place.is_dir():
        return list(_in_tar(place))
    with os.scandir(place) as files:
        return [
            Entry(place.name, os.path.splitext(file.name)[0], file.path, 0, file.stat().st_size)  # noqa: PTH122  # a million times
            for file in files
            if file.name.lower().endswith(SUFFIXES)
        ]


def _in_tar(path: Path) -> Iterator[Entry]:
    """Yield the images of a tar; offsets are those in the unpacked stream where it is gzipped."""
    with tarfile.open(path, mode="r|*" if path.name.endswith(".gz") else "r:") as tar:
        yield from _members(tar, str(path.resolve()), folder=_class_of(path.name), start=0)


def _members(tar: tarfile.TarFile, file: str, *, folder: str, start: int) -> Iterator[Entry]:
    for member in tar:
        if not member.isfile():
            continue
        inside = Path(member.name)
        if inside.suffix == ".tar":
            content: IO[bytes] | None = tar.extractfile(member)
            assert content is not None
            with tarfile.open(fileobj=content, mode="r:") as inner:
                yield from _members(inner, file, folder=inside.stem, start=start + member.offset_data)
        elif inside.suffix.lower() in SUFFIXES and not inside.name.startswith("."):
            yield Entry(inside.parent.name or folder, inside.stem, file, start + member.offset_data, member.size)


def _class_of(tar_name: str) -> str:
    """Return the class a tar is named after; a split's own tar (train.tar) names none."""
    stem = tar_name.removesuffix(".gz").removesuffix(".tar")
    return stem if stem[:1] == "n" and stem[1:].isdecimal() else ""


def hub_entries(source: str, split: str, classes: Sequence[str]) -> Iterator[Entry]:
    """Find every image of one split of a hub data set (or of a folder with its Parquet files).

    HF datasets keeps a split as Arrow files that are not compressed, so each image is a byte range of one of them.
    """
    import datasets
    import pyarrow

    try:
        table = datasets.load_dataset(source, split=split)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{source}: split {split} cannot be loaded ({first_line(error)}); accept its terms on the hub and log in "
            "(`hf auth login`), or give --data-dir"
        ) from error
    labels = np.asarray(table.with_format("numpy")["label"][:], dtype=np.int64)
    rows = iter(labels.tolist())
    for cached in table.cache_files:
        file = str(Path(cached["filename"]).resolve())
        with pyarrow.memory_map(file) as mapped:
            start = mapped.read_buffer(mapped.size()).address
            mapped.seek(0)
            for batch in pyarrow.ipc.open_stream(mapped):
                images = batch.column("image")
                paths = images.field("path").to_pylist()
                for path, (offset, size) in zip(paths, _byte_ranges(images.field("bytes")), strict=True):
                    label = next(rows)
                    if not 0 <= label < len(classes):
                        raise DataError(f"{source}: split {split} has label {label}, expected 0 to {len(classes) - 1}")
                    yield Entry(classes[label], Path(path).stem, file, offset - start, size)


def _byte_ranges(column: Any) -> Iterator[tuple[int, int]]:
    """Yield (address, size) of every value of an Arrow binary column."""
    _, offsets, data = column.buffers()
    width = np.int64 if str(column.type).startswith("large") else np.int32
    bounds: NDArray[Any] = np.frombuffer(offsets, dtype=width)[column.offset : column.offset + len(column) + 1]
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield data.address + low, high - low
