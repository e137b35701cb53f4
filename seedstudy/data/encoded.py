"""Images that stay encoded on disk: each is a byte range of a file, be it a JPEG, a tar file or an Arrow table.

They are read and decoded one by one; :mod:`seedstudy.data.finding` finds them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
import struct
import warnings
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy import machine
from seedstudy.data.base import Progress
from seedstudy.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_IMAGE = 2**28
"""Bytes; the largest of ImageNet has 15 million. A file that says it is larger would only fill the memory."""
LARGEST_AREA = 89_478_485
"""Pixels, Pillow's own bound; the largest of ImageNet has 61 million. A file of 20 kB can decode to gigabytes."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What an image may be, whatever its suffix says; some of Pillow's other readers start programs (EPS)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImages:
    """The images of one split, in a fixed order; cheap to hand to other processes."""

    files: NDArray[np.bytes_]  # (m,) paths of the files that hold them
    changed_ns: NDArray[np.int64]  # (m,) when each file was last changed, as it was indexed
    file_of: NDArray[np.int32]  # (n,) index into `files`
    offsets: NDArray[np.int64]  # (n,) where an image starts, bytes
    sizes: NDArray[np.int64]  # (n,) bytes
    names: NDArray[np.bytes_]  # (n,) identity of each image, whatever file holds it: `n01440764_10026`
    frames: NDArray[np.int64] | None = None
    """(n,) of each video, where these are videos; None: images"""
    as_shown: bool = False
    """Whether images are decoded as a viewer shows them (:func:`decoded`); ImageNet's are as timm decodes them."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.integer]) -> EncodedImages:
        """Return some of the images, in the order of `rows`."""
        some = {name: getattr(self, name)[rows] for name in FIELDS if name not in _OF_FILES}
        return replace(self, **some, frames=None if self.frames is None else self.frames[rows])

    def path(self, row: int) -> Path:
        """Return the file that holds an image."""
        return Path(os.fsdecode(self.files[self.file_of[row]]))

    def where(self, row: int) -> str:
        """Return the path of an image, with its name where the file holds several."""
        path, name = str(self.path(row)), os.fsdecode(self.names[row])
        return path if name in path else f"{path} (image {name})"

    def read(self, row: int) -> bytes:
        """Return the encoded bytes; DataError where the file is gone or has changed since it was indexed."""
        size, offset = int(self.sizes[row]), int(self.offsets[row])
        try:
            # A pipe in the place of the file would otherwise wait for its other end.
            descriptor = os.open(self.path(row), os.O_RDONLY | machine.NON_BLOCKING | machine.BINARY)
            with os.fdopen(descriptor, "rb", buffering=0) as stream:
                state = os.fstat(descriptor)
                if stat.S_ISREG(state.st_mode) and state.st_mtime_ns == self.changed_ns[self.file_of[row]]:
                    stream.seek(offset)
                    content = stream.read(size)
                    if len(content) == size:
                        return content
        except OSError as error:
            raise DataError(f"{self.where(row)}: cannot be read ({error.strerror}); check the file") from error
        raise DataError(
            f"{self.where(row)}: the file has changed since it was indexed; get it again, or give its folder a new "
            "time stamp (touch) to have it indexed anew"
        )

    def open(self, row: int) -> Image:
        """Return an image in RGB (a few of ImageNet's are CMYK, grey or PNG); DataError with its name."""
        return self.decode(row)[0]

    def decode(self, row: int) -> tuple[Image, str]:
        """Return the image in RGB and the mode it was stored in."""
        try:
            return decoded(self.read(row), as_shown=self.as_shown)
        except ValueError as error:
            raise DataError(
                f"{self.where(row)}: does not decode ({error}); get the file again "
                "(`seedstudy data check --all` finds all such images)"
            ) from error


_OF_FILES = ("files", "changed_ns")
FIELDS = tuple(field.name for field in fields(EncodedImages) if field.name not in ("frames", "as_shown"))
"""Arrays that images and videos have."""
CONTENT = ("sizes", "names")
"""What identifies images, whatever files hold them; part of a data set's fingerprint."""


@cache
def _pillow() -> Any:
    """Return Pillow's module, without its warning of many pixels: more than :data:`LARGEST_AREA` are an error here."""
    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    return Image


def decoded(content: bytes, *, as_shown: bool = False) -> tuple[Image, str]:
    """Return an image in RGB and the mode it was stored in; ValueError with the reason where it does not decode.

    ``as_shown``: turned upright as its EXIF data say, transparent parts white, 16 bits a channel scaled to 8. Otherwise
    the image is only converted to RGB, as timm and torchvision do.
    """
    Image = _pillow()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > LARGEST_AREA:
                raise OSError(f"image of {image.width:,} x {image.height:,} pixels")
            return (_as_shown(image) if as_shown else image.convert("RGB")), image.mode
    except Exception as error:  # Pillow's readers raise whatever their parsing of damaged bytes runs into
        is_clear = isinstance(error, OSError) and str(error).startswith("image")
        raise ValueError(str(error) if is_clear else "not an image") from error


_PPM = re.compile(rb"P6\n(\d{1,5}) (\d{1,5})\n255\n")
"""The head of a PPM as Pillow and resized copies have it."""


def ppm(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (h, w, 3) as a PPM file: its pixels behind a line of text."""
    height, width = pixels.shape[:2]
    return b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()


def ppm_bytes(head: bytes) -> int | None:
    """Return the size that the PPM with this beginning must have; None where it is none, or one of another kind."""
    found = _PPM.match(head)
    return None if found is None else found.end() + 3 * int(found[1]) * int(found[2])


def ppm_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels (h, w, 3) of a complete PPM, without a copy; None for anything else."""
    found = _PPM.match(content)
    if found is None or len(content) != ppm_bytes(content):
        return None
    return np.frombuffer(content, np.uint8, offset=found.end()).reshape(int(found[2]), int(found[1]), 3)


def _as_shown(image: Image) -> Image:
    """Return an image in RGB as a viewer shows it."""
    from PIL import Image, ImageOps

    mode = image.mode
    image.load()
    with suppress(SyntaxError, ValueError, KeyError, TypeError, struct.error):  # damaged EXIF data turn nothing
        image = ImageOps.exif_transpose(image)
    if mode.startswith("I") or mode == "F":
        levels = np.asarray(image, dtype=np.float64)
        low, high = float(levels.min()), float(levels.max())
        # Whole numbers fill 16 bits or 8; floating-point ones go to 1 or to 255.
        top = 65535.0 if mode.startswith("I;16") or high > 255 else 1.0 if mode == "F" and high <= 1 else 255.0
        if not (low >= 0 and high <= top):
            raise OSError(f"image with levels from {low:g} to {high:g}, not 0 to {top:g}")
        return Image.fromarray(np.rint(levels * (255 / top)).astype(np.uint8)).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        front = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", front.size, "white"), front).convert("RGB")
    return image.convert("RGB")


def unpacked(images: EncodedImages, folder: Path) -> EncodedImages:
    """Return the same images with gzipped files, which allow no access by offset, unpacked into a folder."""
    files, changed_ns = images.files.tolist(), images.changed_ns.copy()
    for number, name in enumerate(files):
        if not name.endswith(b".gz"):
            continue
        target = folder / Path(os.fsdecode(name)).stem
        is_here = images.file_of == number
        left = int((images.offsets[is_here] + images.sizes[is_here]).max())  # what follows the last image is not needed
        with gzip.open(os.fsdecode(name)) as packed, target.open("wb") as plain:
            while left > 0 and (piece := packed.read(min(left, 1 << 20))):
                left -= plain.write(piece)
            plain.flush()
            os.fsync(plain.fileno())  # of this file only size and time are verified later
        files[number], changed_ns[number] = os.fsencode(target), target.stat().st_mtime_ns
    return replace(images, files=np.array(files, dtype=np.bytes_), changed_ns=changed_ns)


# --- reading all, to know them ------------------------------------------------------------------------------

DIGEST_BYTES = 16
_FEW = 16  # chunks of images: no progress is said


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What reading and decoding every image once has shown."""

    digests: NDArray[np.bytes_]
    """(n,) of the bytes of each image: equal for copies."""
    short_sides: NDArray[np.int64]
    """Pixels of the shorter side of each image that decodes."""
    odd: Mapping[str, int]
    """Mode of those that were not RGB -> how many."""
    broken: tuple[str, ...]
    """One sentence per image that does not decode."""

    def __str__(self) -> str:
        n_broken = len(self.broken)
        text = f"{len(self.digests) - n_broken:,} decoded"
        if self.odd:
            text += f" ({', '.join(f'{n:,} {mode}' for mode, n in sorted(self.odd.items()))}, converted to RGB)"
        if n_broken:
            more = f"; and {n_broken - _NAMED:,} more" if n_broken > _NAMED else ""
            text += f", {n_broken:,} not: {'; '.join(self.broken[:_NAMED])}{more}"
        return text


def survey(images: EncodedImages, progress: Progress = lambda line: None, *, is_thorough: bool = False) -> Survey:
    """Read every image, in one thread per core, and decode it: a JPEG at an eighth of its size, unless thorough.

    All of a JPEG's data are read for that too, so that one cut short is noticed, in a third of the time.
    """
    digests = np.zeros(len(images), dtype=f"S{DIGEST_BYTES}")
    sides = np.zeros(len(images), dtype=np.int64)
    odd, broken = list[str](), list[str]()

    def look(start: int) -> None:
        for row in range(start, min(start + _AT_ONCE, len(images))):
            content = images.read(row)
            # No byte is 0, with which NumPy would pad.
            digests[row] = hashlib.sha256(content).digest()[:DIGEST_BYTES].replace(b"\0", b"\1")
            try:
                sides[row], mode = _glance(content, as_shown=images.as_shown, is_thorough=is_thorough)
            except ValueError as error:
                broken.append(f"{images.where(row)}: does not decode ({error}); replace the file, or take it away")
            else:
                odd.extend([] if mode == "RGB" else [mode])

    starts = range(0, len(images), _AT_ONCE)
    with ThreadPoolExecutor(machine.cores()) as pool:
        try:
            for n_done, _ in enumerate(pool.map(look, starts), start=1):
                if len(starts) > _FEW and 5 * n_done // len(starts) > 5 * (n_done - 1) // len(starts):  # every 20 %
                    progress(f"{min(n_done * _AT_ONCE, len(images)):,} of {len(images):,} images read")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
    return Survey(digests=digests, short_sides=sides[sides > 0], odd=Counter(odd), broken=tuple(sorted(broken)))


def _glance(content: bytes, *, as_shown: bool, is_thorough: bool) -> tuple[int, str]:
    """Return the shorter side of an image in pixels and its mode; ValueError where it does not decode."""
    if not is_thorough:
        Image = _pillow()
        with suppress(Exception), Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.mode == "RGB" and image.width * image.height <= LARGEST_AREA:
                side = min(image.size)
                image.draft("RGB", (1, 1))
                image.load()
                return side, "RGB"
    image, mode = decoded(content, as_shown=as_shown)
    return min(image.size), mode


# --- decoding many, to check them ----------------------------------------------------------------------------

_AT_ONCE = 64  # images that a thread decodes before it looks for more
_NAMED = 10
"""Images that do not decode, at most, that are named one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """How the decoding of many images went."""

    n: int
    odd: tuple[str, ...]
    """Those that were not RGB and converted, with their modes."""
    broken: tuple[str, ...]
    """One sentence per image that does not decode."""

    def __str__(self) -> str:
        text = f"{self.n - len(self.broken):,} decoded"
        if self.odd:
            text += f", {len(self.odd):,} of them not RGB and converted (the first is {self.odd[0]})"
        if self.broken:
            more = f"; and {len(self.broken) - _NAMED:,} more" if len(self.broken) > _NAMED else ""
            text += f", {len(self.broken):,} not: {'; '.join(self.broken[:_NAMED])}{more}"
        return text


def decode_many(images: EncodedImages, rows: NDArray[np.integer], progress: Progress = lambda line: None) -> Decoded:
    """Decode images and throw them away, in one thread per core (Pillow lets go of the interpreter lock)."""
    chunks = [rows[at : at + _AT_ONCE].tolist() for at in range(0, len(rows), _AT_ONCE)]
    odd, broken = list[str](), list[str]()

    def decode(chunk: list[int]) -> None:
        for row in chunk:
            try:
                _, mode = images.decode(row)
            except DataError as error:
                broken.append(str(error))
            else:
                if mode != "RGB":
                    odd.append(f"{images.where(row)}, {mode}")

    with ThreadPoolExecutor(machine.cores()) as pool:
        try:
            for n_done, _ in enumerate(pool.map(decode, chunks), start=1):
                if 20 * n_done // len(chunks) > 20 * (n_done - 1) // len(chunks):  # a line every 5 %
                    progress(f"{min(n_done * _AT_ONCE, len(rows)):,} of {len(rows):,} images decoded")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
    return Decoded(n=len(rows), odd=tuple(sorted(odd)), broken=tuple(sorted(broken)))
