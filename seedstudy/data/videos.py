"""Videos that stay encoded on disk: files that PyAV decodes, or folders of frames.

A video is a row of :class:`~seedstudy.data.encoded.EncodedImages` like an image; only here is it known that its content
has frames. Whatever a file is named, it is read as the kind of container that its first bytes say, so that no other
reader of FFmpeg's (playlists, which open further files) is ever asked.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy import machine
from seedstudy.data.base import Progress
from seedstudy.data.encoded import DIGEST_BYTES, LARGEST_AREA, LARGEST_IMAGE, EncodedImages, Survey, decoded
from seedstudy.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".ogv")
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm")
MOST_FRAMES = 1_000_000
"""Of a video; ten seconds have 300."""
_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"G", "mpegts"),
    (0, b"OggS", "ogg"),
)
"""Offset and bytes at the beginning of a file -> FFmpeg's name of the container."""


def frames(videos: EncodedImages, row: int, wanted: Sequence[int] | NDArray[np.integer]) -> list[Image]:
    """Return some frames of a video in RGB, in the order asked for; DataError where they do not decode."""
    indices = [int(each) for each in wanted]
    missing = set(indices)
    found: dict[int, Image] = {}
    try:
        with closing(_decoded(videos, row, missing)) as decoding:
            for number, image in decoding:
                found[number] = image
                missing.discard(number)
                if not missing:
                    break
    except ValueError as error:
        raise DataError(f"{videos.where(row)}: does not decode ({error}); get the file again") from error
    if missing:
        raise DataError(f"{videos.where(row)}: frame {min(missing)} does not decode; get the file again")
    return [found[each] for each in indices]


def _decoded(videos: EncodedImages, row: int, wanted: set[int] | None) -> Generator[tuple[int, Image], None, None]:
    """Yield number and image of the wanted frames (None: of all) in order; ValueError where a frame does not decode."""
    path = videos.path(row)
    if path.is_dir():
        files = frame_files(path)
        _check_unchanged(videos, row, files)
        for number, file in enumerate(files):
            if wanted is None or number in wanted:
                yield number, decoded(file.read_bytes(), as_shown=videos.as_shown)[0]
        return
    yield from _of_file(videos.read(row), wanted)


def _of_file(content: bytes, wanted: set[int] | None) -> Iterator[tuple[int, Image]]:
    import av

    container = next((name for at, magic, name in _CONTAINERS if content[at : at + len(magic)] == magic), None)
    if container is None:
        raise ValueError("not a video")
    try:
        with av.open(io.BytesIO(content), format=container) as opened:
            if not opened.streams.video:
                raise ValueError("a file without pictures")
            for number, frame in enumerate(opened.decode(video=0)):
                if number >= MOST_FRAMES or frame.width * frame.height > LARGEST_AREA:
                    raise ValueError(f"more than {MOST_FRAMES:,} frames, or {LARGEST_AREA:,} pixels in one")
                if wanted is None or number in wanted:
                    yield number, _upright(frame)
    except av.error.FFmpegError as error:
        raise ValueError(error.strerror or "damaged") from error


def _upright(frame: Any) -> Image:
    """Return a frame in RGB as a player shows it: phones store how they were held beside the picture."""
    image: Image = frame.to_image()
    turned = round(frame.rotation) % 360
    return image.rotate(turned, expand=True) if turned else image


# --- folders of frames ---------------------------------------------------------------------------------------------


def frame_files(folder: Path) -> list[Path]:
    """Return the frames in a folder by name, numbers by their value: frame_2 before frame_10."""
    names = [name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in FRAME_SUFFIXES]  # noqa: PTH122, PTH208
    names = [name for name in names if not name.startswith(".")]
    return [folder / name for name in sorted(names, key=_by_number)]


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", name)]


def _check_unchanged(videos: EncodedImages, row: int, files: Sequence[Path]) -> None:
    size, changed_ns = size_and_time(files)
    if (size, changed_ns) != (int(videos.sizes[row]), int(videos.changed_ns[videos.file_of[row]])):
        raise DataError(
            f"{videos.path(row)}: its frames have changed since they were indexed; run `seedstudy data check`"
        )


def size_and_time(files: Sequence[Path]) -> tuple[int, int]:
    """Return how many bytes frames have in all, and when the latest was changed; ValueError for what is no file."""
    states = [file.stat() for file in files]
    odd = next((file for file, state in zip(files, states, strict=True) if not stat.S_ISREG(state.st_mode)), None)
    if odd is not None:
        raise ValueError(f"{odd.name} is not a regular file")
    return sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)


# --- reading all, to know them -------------------------------------------------------------------------------------


def survey(videos: EncodedImages, progress: Progress = lambda line: None) -> tuple[Survey, NDArray[np.int64]]:
    """Decode every frame of every video, one in each core; returns what that has shown, and their frames (n,).

    All frames are decoded because neither a container's header nor its end says how many there are to see.
    """
    digests = np.zeros(len(videos), dtype=f"S{DIGEST_BYTES}")
    sides, n_frames = np.zeros(len(videos), dtype=np.int64), np.zeros(len(videos), dtype=np.int64)
    broken = list[str]()

    def look(row: int) -> None:
        # No byte is 0, with which NumPy would pad.
        digests[row] = hashlib.sha256(_content(videos, row)).digest()[:DIGEST_BYTES].replace(b"\0", b"\1")
        try:
            for number, image in _decoded(videos, row, None):
                n_frames[row], sides[row] = number + 1, min(image.size)
            if n_frames[row] == 0:
                raise ValueError("no frame")
        except ValueError as error:
            broken.append(f"{videos.where(row)}: does not decode ({error}); replace the file, or take it away")

    rows = range(len(videos))
    with ThreadPoolExecutor(machine.cores()) as pool:
        try:
            for n_done, _ in enumerate(pool.map(look, rows), start=1):
                if len(rows) > 100 and 5 * n_done // len(rows) > 5 * (n_done - 1) // len(rows):  # every 20 %
                    progress(f"{n_done:,} of {len(rows):,} videos decoded")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
    looked = Survey(digests=digests, short_sides=sides[sides > 0], odd=Counter(), broken=tuple(sorted(broken)))
    return looked, n_frames


def _content(videos: EncodedImages, row: int) -> bytes:
    """Return the bytes of a video's file, or of all its frames one after the other."""
    path = videos.path(row)
    if not path.is_dir():
        return videos.read(row)
    files = frame_files(path)
    _check_unchanged(videos, row, files)
    if int(videos.sizes[row]) > LARGEST_IMAGE:
        raise DataError(f"{path}: {int(videos.sizes[row]):,} bytes are too many for one video; move it away")
    return b"".join(file.read_bytes() for file in files)
