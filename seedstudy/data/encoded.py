"""Images that stay encoded on disk: each one is a byte range of a file, be it a JPEG, a tar or an Arrow table."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seedstudy.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImages:
    """The images of one split, in a fixed order; cheap to hand to other processes."""

    files: NDArray[np.bytes_]
    """(m,) paths of the files that hold them."""
    file_of: NDArray[np.int32]
    """(n,) index into `files`."""
    offsets: NDArray[np.int64]
    """(n,) where an image starts, bytes."""
    sizes: NDArray[np.int64]
    """(n,) bytes."""
    names: NDArray[np.bytes_]
    """(n,) identity of each image, equal wherever the images lie: `n01440764_10026`."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: NDArray[np.integer]) -> EncodedImages:
        """Return some of the images, in the order of `rows`."""
        changed = {name: getattr(self, name)[rows] for name in PER_IMAGE}
        return replace(self, **changed)

    def where(self, row: int) -> str:
        """Name an image as a user finds it."""
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
        """Decode one image to RGB (a few of ImageNet's are CMYK, grey or PNG); DataError with its name."""
        image, _ = self.decode(row)
        return image

    def decode(self, row: int) -> tuple[Image, str]:
        """Return the image in RGB and the mode it was stored in."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(self.read(row))) as image:
                return image.convert("RGB"), image.mode
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = str(error) if isinstance(error, OSError) and str(error).startswith("image") else "not an image"
            raise DataError(f"{self.where(row)}: does not decode ({reason}); get the file again") from error


FIELDS = tuple(field.name for field in fields(EncodedImages))
PER_IMAGE = tuple(name for name in FIELDS if name != "files")
CONTENT = ("sizes", "names")
"""What an image is, as against where it lies: only these enter a data set's fingerprint."""
