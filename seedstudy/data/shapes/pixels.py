"""From scenes to the pixels of `shapes`, and to which objects are clearly visible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.shapes.outlines import AREAS, CLASSES, OUTLINES, Float
from seedstudy.data.shapes.scenes import IMAGE_SIZE, Difficulty, Objects, Scenes, draw_scenes

if TYPE_CHECKING:
    from seedstudy.data.base import Images

# An object is clearly visible when a person would name it at a glance.
CLEAR_PIXELS = 40
"""Least number of visible pixels."""
CLEAR_SHARE = 0.6
"""Least visible share of its area; what is beyond the border of the picture counts as hidden."""
CLEAR_CONTRAST = 0.15
"""Least difference of its colour from the backdrop's, in the channel where they differ most; never less than
the backdrop's texture and the noise together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Rendered pictures with everything the renderer knows of them."""

    images: Images
    """(n, 32, 32, 3) uint8 RGB."""
    labels: NDArray[np.int64]
    """(n,) the annotator's one label."""
    clear: NDArray[np.bool_]
    """(n, n_classes) whether an object of that class is clearly visible."""


_CHUNK = 256  # pictures drawn at once: the arrays of one step stay near the processor's cache


def render(n: int, difficulty: Difficulty, *, seed: tuple[int, ...]) -> Pictures:
    """Render n pictures with balanced labels; equal arguments give equal bytes."""
    scene_stream, noise_stream = np.random.SeedSequence(seed).spawn(2)
    scenes = draw_scenes(np.random.Generator(np.random.PCG64(scene_stream)), n, difficulty)
    noise_rng = np.random.Generator(np.random.PCG64(noise_stream))
    images: Images = np.empty((n, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    clear = np.zeros((n, len(CLASSES)), dtype=np.bool_)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part], clear[part] = _paint(scenes[part], noise_rng)
    return Pictures(images=images, labels=scenes.labels, clear=clear)


def _paint(scenes: Scenes, rng: np.random.Generator) -> tuple[Images, NDArray[np.bool_]]:
    """Paint back to front: backdrop, small object, large object, cover; then blur and noise."""
    picture = _paint_backdrop(scenes)
    small_coverage, small_area = _paint_objects(picture, scenes.small)
    large_coverage, large_area = _paint_objects(picture, scenes.large)
    hidden = _paint_cover(picture, scenes)
    picture = _blurred(picture, scenes.blur)
    picture += _noise(rng, picture.shape) * scenes.noise[:, None, None, None]
    images = np.rint(np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8)

    clear = np.zeros((len(images), len(CLASSES)), dtype=np.bool_)
    for objects, visible, area in (
        (scenes.small, small_coverage * (1 - large_coverage) * (1 - hidden), small_area),
        (scenes.large, large_coverage * (1 - hidden), large_area),
    ):
        is_clear = _is_clear(objects, visible, area, scenes.texture + scenes.noise)
        clear[np.flatnonzero(is_clear), objects.classes[is_clear]] = True
    return images, clear


def _is_clear(objects: Objects, visible: Float, area: NDArray[np.float64], clutter: Float) -> NDArray[np.bool_]:
    """Return for each object (n,) whether it is clearly visible.

    visible: (n, h, w) visible coverage; area: (n,) of the complete object, pixels; clutter: (n,) texture plus noise
    """
    # Whole pixels are counted, not coverages summed: a count is the same on every platform.
    n_visible = (visible > 0.5).sum(axis=(1, 2))
    is_clear: NDArray[np.bool_] = (
        (n_visible >= CLEAR_PIXELS)  # none where the object is absent
        & (n_visible >= CLEAR_SHARE * area)
        & (objects.contrast >= CLEAR_CONTRAST)
        & (objects.contrast >= clutter)
    )
    return is_clear


def _grid() -> tuple[Float, Float]:
    """Return x and y of the pixel centres, (1, h, w) each."""
    axis = np.arange(IMAGE_SIZE, dtype=np.float32)
    return np.broadcast_to(axis, (1, IMAGE_SIZE, IMAGE_SIZE)), np.broadcast_to(
        axis[:, None], (1, IMAGE_SIZE, IMAGE_SIZE)
    )


def _columns(*values: Float) -> Iterator[Float]:
    """Give (n,) arrays two more axes, to meet (n, h, w)."""
    return (value[:, None, None] for value in values)


def _paint_backdrop(scenes: Scenes) -> Float:
    x, y = _grid()
    half = (IMAGE_SIZE - 1) / 2
    slope_x, slope_y, period, texture = _columns(scenes.slope[:, 0], scenes.slope[:, 1], scenes.period, scenes.texture)
    along: Float = (x - half) * slope_x + (y - half) * slope_y
    mix = np.clip(along / (2 * half) + 0.5, 0, 1)[..., None]
    picture: Float = scenes.backdrop[:, 0, None, None] * (1 - mix) + scenes.backdrop[:, 1, None, None] * mix

    across: Float = (x - half) * slope_y - (y - half) * slope_x
    stripes = _wave(along / period)
    checks = stripes * _wave(across / period) * 2
    pattern = scenes.pattern[:, None, None]
    waves = np.where(pattern == 0, _enlarged(scenes.grain), np.where(pattern == 1, stripes, checks))
    picture += (waves * texture)[..., None]
    return picture


def _wave(phase: Float) -> Float:
    """Return a triangle wave of period 1 between -1 and 1."""
    wave: Float = np.abs((phase - np.floor(phase)) * 4 - 2) - 1
    return wave


def _enlarged(grain: Float) -> Float:
    """Interpolate (n, 7, 7) to (n, h, w), bilinear."""
    position = np.arange(IMAGE_SIZE, dtype=np.float32) * np.float32((grain.shape[1] - 1) / IMAGE_SIZE)
    low = position.astype(np.int64)
    weight = position - low.astype(np.float32)
    rows = grain[:, low] * (1 - weight)[:, None] + grain[:, low + 1] * weight[:, None]
    enlarged: Float = rows[:, :, low] * (1 - weight) + rows[:, :, low + 1] * weight
    return enlarged


def _paint_objects(picture: Float, objects: Objects) -> tuple[Float, NDArray[np.float64]]:
    """Paint one object into each picture (n, h, w, 3), in place.

    Returns its coverage (n, h, w) 0-1, antialiased, and its area (n,) in pixels, as if the picture had no
    border.
    """
    coverage: Float = np.zeros(picture.shape[:3], dtype=np.float32)
    area = np.zeros(len(picture), dtype=np.float64)
    x, y = _grid()
    for label, outline in enumerate(OUTLINES.values()):
        members = np.flatnonzero(objects.present & (objects.classes == label))
        if len(members) == 0:
            continue
        cosine, sine, radius, centre_x, centre_y = _columns(
            *objects.heading[members].T, objects.radius[members], *objects.centre[members].T
        )
        right, down = (x - centre_x) / radius, (y - centre_y) / radius
        u, v = right * cosine + down * sine, down * cosine - right * sine
        # One pixel wide ramp across the outline.
        inside = np.clip(np.float32(0.5) - outline(u, v) * radius, 0, 1)
        light_x, light_y, stripes = _columns(*objects.light[members].T, objects.stripes[members])
        lightness = right * light_x + down * light_y + _wave(u * np.float32(1.5)) * stripes
        colour = objects.colour[members][:, None, None] + lightness[..., None]
        alpha = (inside * objects.opacity[members][:, None, None])[..., None]
        picture[members] = picture[members] * (1 - alpha) + colour * alpha
        coverage[members] = inside
        area[members] = AREAS[label] * objects.radius[members].astype(np.float64) ** 2
    return coverage, area


def _paint_cover(picture: Float, scenes: Scenes) -> Float:
    """Hide everything beyond the edge, in place; return the hidden share of each pixel (n, h, w)."""
    x, y = _grid()
    normal_x, normal_y, offset, radius, centre_x, centre_y = _columns(
        *scenes.cover.T, scenes.large.radius, *scenes.large.centre.T
    )
    beyond = (x - centre_x) * normal_x + (y - centre_y) * normal_y - offset * radius
    hidden: Float = np.clip(beyond + np.float32(0.5), 0, 1)
    alpha = hidden[..., None]
    picture[...] = picture * (1 - alpha) + scenes.cover_colour[:, None, None] * alpha
    return hidden


def _blurred(picture: Float, weight: Float) -> Float:
    """Mix each pixel with the binomial mean (1 2 1) of its neighbourhood."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] * 2 + padded[:, 2:]
    soft = (rows[:, :, :-2] + rows[:, :, 1:-1] * 2 + rows[:, :, 2:]) / 16
    mix = weight[:, None, None, None]
    mixed: Float = picture * (1 - mix) + soft * mix
    return mixed


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Return noise of mean 0 and standard deviation 1: the sum of three uniform bytes, exact everywhere."""
    total = rng.integers(0, 256, (3, *shape), dtype=np.uint8).sum(axis=0, dtype=np.int32)
    # Var of a uniform byte = (256^2 - 1) / 12.
    noise: Float = (total.astype(np.float32) - np.float32(382.5)) / np.float32(math.sqrt(3 * 65535 / 12))
    return noise
