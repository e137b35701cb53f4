"""Small real videos: mp4 files that PyAV writes, and folders of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]


def moving_square(seed: int, *, step: int, n_frames: int = 14, size: tuple[int, int] = (48, 64)) -> Frames:
    """Return a bright square that moves down by ``step`` pixels a frame (around the picture), (t, h, w, 3)."""
    rng = np.random.default_rng(seed)
    height, width = size
    frames = np.full((n_frames, height, width, 3), 60, dtype=np.uint8)
    top, left, colour = int(rng.integers(height)), int(rng.integers(width - 16)), rng.integers(120, 255, 3)
    for number, frame in enumerate(frames):
        rows = (top + number * step + np.arange(16)) % height
        frame[rows, left : left + 16] = colour
    return frames


def write_mp4(path: Path, frames: Frames, *, rate: int = 10) -> Path:
    """Encode frames (t, h, w, 3) as MPEG-4 in an mp4 file."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_frames(folder: Path, frames: Frames) -> Path:
    """Write frames as PNG files frame_1.png, frame_2.png, … without zeros in front."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(folder / f"frame_{number}.png")
    return folder


def lay_out(root: Path, parts: dict[str, int], *, as_frames: bool = False) -> Path:
    """Write parts of two classes, up and down, with so many videos each: root/part/class/video."""
    steps, seed = {"up": -3, "down": 3}, 0
    for part, n in parts.items():
        for name, step in steps.items():
            for number in range(n):
                seed += 1
                frames = moving_square(seed, step=step, n_frames=10 + seed % 5)
                if as_frames:
                    write_frames(root / part / name / f"clip{number}", frames)
                else:
                    write_mp4(root / part / name / f"clip{number}.mp4", frames)
    return root
