"""Scenes of `shapes`: objects, backdrops and covers of each picture, drawn from a seed before any pixel."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.shapes.outlines import CLASSES, COLOURS, Float

Bounds = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

IMAGE_SIZE = 32  # pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Difficulty:
    """Every knob of the renderer. Lengths in pixels of a 32 px picture, strengths on a 0-1 scale."""

    radius: Bounds = (9.0, 14.0)
    """Of the circle around the larger object."""
    turn: float = 25.0
    """Largest rotation to either side, degrees."""
    off_centre: float = 3.0
    """Largest shift of the scene's centre along each axis."""
    second_rate: float = 0.3
    """Share of pictures with a second object of another class."""
    second_ratio: Bounds = (0.5, 0.85)
    """Radius of the second object relative to the larger one's."""
    second_distance: Bounds = (0.75, 1.05)
    """Between the two centres, relative to the sum of the radii; below 1 they may overlap."""
    label_slip: float = 0.12
    """Share of the pictures with two objects whose one label is the smaller object's."""
    colour_cue: float = 0.92
    """Share of objects in (about) their class's own colour; the others have that of any class."""
    colour_spread: float = 0.1
    """Largest departure from that colour, per channel."""
    opacity: Bounds = (0.7, 1.0)
    """1: the object's own vivid colour; 0: no difference from the background."""
    backdrop: Bounds = (0.3, 0.7)
    """Grey level in the middle of the background."""
    backdrop_colour: float = 0.08
    """Largest departure of the background from grey, per channel."""
    texture: Bounds = (0.0, 0.12)
    """Amplitude of the pattern on the background."""
    shading: float = 0.15
    """Largest amplitude of light and stripes on an object."""
    cover_rate: float = 0.12
    """Share of pictures where an edge (half-plane) hides a part of the larger object."""
    cover_depth: Bounds = (0.15, 0.5)
    """Hidden part of the larger object's diameter."""
    blur: Bounds = (0.0, 0.6)
    """Weight of the 3 x 3 binomial mean of each pixel's neighbourhood."""
    noise: Bounds = (0.01, 0.06)
    """Standard deviation of independent noise per pixel and channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """One object in each of n pictures."""

    classes: NDArray[np.int64]
    """(n,)"""
    present: NDArray[np.bool_]
    """(n,)"""
    centre: Float
    """(n, 2) x and y, pixels."""
    radius: Float
    """(n,) pixels."""
    heading: Float
    """(n, 2) cosine and sine of the rotation."""
    colour: Float
    """(n, 3) RGB 0-1, before opacity."""
    opacity: Float
    """(n,)"""
    contrast: Float
    """(n,) difference from the backdrop in the channel where they differ most, 0-1."""
    light: Float
    """(n, 2) change of brightness per radius along x and y."""
    stripes: Float
    """(n,) amplitude of the stripes."""

    def __getitem__(self, part: slice) -> Objects:
        return Objects(**{f.name: getattr(self, f.name)[part] for f in dataclasses.fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """n pictures before any pixel is painted."""

    labels: NDArray[np.int64]
    """(n,)"""
    large: Objects
    small: Objects
    backdrop: Float
    """(n, 2, 3) RGB 0-1 at the two ends of a gradient."""
    slope: Float
    """(n, 2) direction of the gradient."""
    pattern: NDArray[np.int64]
    """(n,) 0 blobs, 1 stripes, 2 checks."""
    grain: Float
    """(n, 7, 7) heights of the blobs, -1 to 1."""
    period: Float
    """(n,) of stripes and checks, pixels."""
    texture: Float
    """(n,) amplitude of the pattern."""
    cover: Float
    """(n, 3) edge: unit normal x and y, and its distance from the large object's centre, in radii."""
    cover_colour: Float
    """(n, 3) RGB 0-1."""
    blur: Float
    """(n,)"""
    noise: Float
    """(n,)"""

    def __getitem__(self, part: slice) -> Scenes:
        return Scenes(**{f.name: getattr(self, f.name)[part] for f in dataclasses.fields(self)})


def draw_scenes(rng: np.random.Generator, n: int, difficulty: Difficulty) -> Scenes:
    """Draw n scenes whose annotator labels are balanced over the classes."""
    n_classes = len(CLASSES)
    labels = rng.permutation(np.arange(n) % n_classes)
    has_two = rng.random(n) < difficulty.second_rate
    is_slip = has_two & (rng.random(n) < difficulty.label_slip)
    other = (labels + rng.integers(1, n_classes, n)) % n_classes
    radius = _uniform(rng, difficulty.radius, n)
    small_radius = radius * _uniform(rng, difficulty.second_ratio, n)
    scene_centre = (IMAGE_SIZE - 1) / 2 + _uniform(rng, (-difficulty.off_centre, difficulty.off_centre), (n, 2))
    apart = _directions(rng, n) * ((radius + small_radius) * _uniform(rng, difficulty.second_distance, n))[:, None]
    # Two objects share the middle in proportion to their sizes; one alone has it for itself.
    share = np.where(has_two, small_radius / (radius + small_radius), 0).astype(np.float32)[:, None]
    tint = difficulty.backdrop_colour
    grey = _uniform(rng, difficulty.backdrop, (n, 1, 1)) + _uniform(rng, (-0.1, 0.1), (n, 2, 1))
    backdrop = grey + _uniform(rng, (-tint, tint), (n, 2, 3))
    large = _draw_objects(
        rng,
        difficulty,
        classes=np.where(is_slip, other, labels),
        present=np.ones(n, dtype=np.bool_),
        centre=(scene_centre - apart * share).astype(np.float32),
        radius=radius,
        backdrop=backdrop,
    )
    small = _draw_objects(
        rng,
        difficulty,
        classes=np.where(is_slip, labels, other),
        present=has_two,
        centre=(scene_centre + apart * (1 - share)).astype(np.float32),
        radius=small_radius,
        backdrop=backdrop,
    )
    return Scenes(
        labels=labels,
        large=large,
        small=small,
        backdrop=np.clip(backdrop, 0, 1),
        slope=_directions(rng, n),
        pattern=rng.integers(0, 3, n),
        grain=_uniform(rng, (-1, 1), (n, 7, 7)),
        period=_uniform(rng, (4, 10), n),
        texture=_uniform(rng, difficulty.texture, n),
        cover=_draw_covers(rng, n, difficulty),
        cover_colour=_uniform(rng, (0, 1), (n, 3)),
        blur=_uniform(rng, difficulty.blur, n),
        noise=_uniform(rng, difficulty.noise, n),
    )


def _draw_objects(
    rng: np.random.Generator,
    difficulty: Difficulty,
    *,
    classes: NDArray[np.int64],
    present: NDArray[np.bool_],
    centre: Float,
    radius: Float,
    backdrop: Float,
) -> Objects:
    n = len(classes)
    has_own = rng.random(n) < difficulty.colour_cue
    palette = np.array([COLOURS[name] for name in CLASSES], dtype=np.float32)
    colour = palette[np.where(has_own, classes, rng.integers(0, len(CLASSES), n))]
    colour += _uniform(rng, (-difficulty.colour_spread, difficulty.colour_spread), (n, 3))
    opacity = _uniform(rng, difficulty.opacity, n)
    distance = np.abs(colour - (backdrop[:, 0] + backdrop[:, 1]) / 2)
    return Objects(
        classes=classes,
        present=present,
        centre=centre,
        radius=radius,
        heading=_directions(rng, n, turn=difficulty.turn),
        colour=colour,
        opacity=opacity,
        contrast=opacity * distance.max(axis=1),
        light=_directions(rng, n) * _uniform(rng, (0, difficulty.shading), n)[:, None],
        stripes=_uniform(rng, (0, difficulty.shading), n) * (rng.random(n) < 0.3).astype(np.float32),
    )


def _draw_covers(rng: np.random.Generator, n: int, difficulty: Difficulty) -> Float:
    depth = _uniform(rng, difficulty.cover_depth, n)
    # A line at 1 - 2 * depth radii hides `depth` of the diameter; one at 99 radii hides nothing.
    offset = np.where(rng.random(n) < difficulty.cover_rate, 1 - 2 * depth, 99)
    return np.column_stack([_directions(rng, n), offset.astype(np.float32)])


def _uniform(rng: np.random.Generator, bounds: Bounds, shape: int | tuple[int, ...]) -> Float:
    low, high = bounds
    return (low + (high - low) * rng.random(shape)).astype(np.float32)


def _directions(rng: np.random.Generator, n: int, *, turn: float = 180.0) -> Float:
    """Return (n, 2) unit vectors up to `turn` degrees from (1, 0), at whole half degrees.

    They come from a table of rounded values: the last bit of sin and cos differs between platforms.
    """
    angles = [math.radians(half / 2) for half in range(720)]
    table = np.array([(round(math.cos(a), 6), round(math.sin(a), 6)) for a in angles], dtype=np.float32)
    most = round(2 * turn)
    directions: Float = table[rng.integers(-most, most + 1, n) % 720]
    return directions
