"""Which frames of a video a clip has, and how clips travel: folded into images of 3 * t channels.

Between a video and the network, a clip is its t frames one after the other, (n * t, 3, h, w), where frames are treated
one by one (cropped, augmented, normalised), and one image of 3 * t channels, (n, 3 * t, h, w), everywhere else. An
image is a clip of one frame, for which the two are the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Rows = npt.NDArray[np.int64]


def random_frames(n_video: int, n_frames: int, stride: int, draws: npt.NDArray[np.float64]) -> Rows:
    """Return the frames of a random clip for each draw in [0, 1), shape (n, n_frames).

    A video that is shorter than a clip begins anywhere and is repeated (as in tensorflow/models,
    official/vision/ops/preprocess_ops_3d.py).
    """
    n_starts = n_video - (n_frames - 1) * stride
    starts = (draws * (n_starts if n_starts > 0 else n_video)).astype(np.int64)
    return _from(starts, n_video, n_frames, stride)


def spread_frames(n_video: int, n_frames: int, stride: int, n_clips: int) -> Rows:
    """Return the frames of test clips spread evenly over a video, shape (n_clips, n_frames); one is in its middle."""
    spare = max(0, n_video - n_frames * stride)
    starts = np.linspace(0, spare, n_clips).astype(np.int64) if n_clips > 1 else np.array([spare // 2])
    return _from(starts, n_video, n_frames, stride)


def _from(starts: Rows, n_video: int, n_frames: int, stride: int) -> Rows:
    rows: Rows = (starts[:, None] + stride * np.arange(n_frames)) % n_video
    return rows


def folded(frames: Tensor, n_frames: int) -> Tensor:
    """Take frames (n * t, c, h, w), clip by clip, to clips (n, t * c, h, w)."""
    return frames if n_frames == 1 else frames.unflatten(0, (-1, n_frames)).flatten(1, 2)


def unfolded(clips: Tensor, n_frames: int) -> Tensor:
    """Take clips (n, t * c, h, w) to their frames (n * t, c, h, w)."""
    return clips if n_frames == 1 else clips.unflatten(1, (n_frames, -1)).flatten(0, 1)


def for_frames(draws: Tensor, n_frames: int) -> Tensor:
    """Repeat what was drawn for each clip, (n, …), for each of its frames, (n * t, …)."""
    return draws if n_frames == 1 else draws.repeat_interleave(n_frames, dim=0)
