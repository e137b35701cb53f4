"""`moving_shapes`: short videos of shapes in motion, rendered here from fixed seeds; no download.

A class is a shape and a motion ("square up"). The picture is a circle in both directions: what leaves it above comes
back below. An object's first place is uniform on it and independent of how it moves, and so is its place in every later
frame: a single frame shows which shape it is, and nothing of its motion (`tests/data/test_moving_shapes.py`). All
motions look alike in a mirror, so that clips may be flipped.

The eval sets are those of :mod:`~seedstudy.data.shapes`, whose outlines and rules for exact pixels are used here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seedstudy.data import shapes
from seedstudy.data.base import DataInfo
from seedstudy.data.rendered import Rendered
from seedstudy.data.shapes import AREAS, IMAGE_SIZE, SHAPES, Bounds, Float

if TYPE_CHECKING:
    from seedstudy.data.base import Images

N_FRAMES = 10
SHOWN_FRAMES = 8
"""Of a clip that a network is shown, so that there are three places to begin."""

KINDS = ("disc", "square", "triangle", "cross")
MOTIONS = ("up", "down", "sideways", "still")
CLASSES = tuple(f"{kind} {motion}" for kind in KINDS for motion in MOTIONS)
_DIRECTIONS = ((0, -1), (0, 1), (1, 0), (0, 0))
"""Of each motion in x and y (downwards); sideways is to the left or to the right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difficulty:
    """Every knob of the renderer. Lengths in pixels, strengths on a 0-1 scale, speeds per frame."""

    radius: Bounds = (6.0, 10.0)
    speed: Bounds = (1.2, 2.4)  # pixels a frame
    second_rate: float = 0.2  # share of clips with a second object of another class, behind the first
    label_slip: float = 0.12  # share of the clips with two objects whose one label is the second object's
    colour_cue: float = 0.9  # share of objects in (about) their shape's own colour, not a random one
    colour_spread: float = 0.1  # largest departure from that colour, per channel
    opacity: Bounds = (0.75, 1.0)  # 1: the object's own vivid colour; 0: no difference from the background
    backdrop: Bounds = (0.3, 0.7)  # grey level of the background
    backdrop_colour: float = 0.08  # largest departure of the background from grey, per channel
    texture: Bounds = (0.0, 0.1)  # amplitude of the blobs on the background, which do not move
    blur: Bounds = (0.0, 0.6)  # weight of the 3 x 3 binomial mean of each pixel's neighbourhood
    noise: Bounds = (0.01, 0.05)  # standard deviation of independent noise per frame, pixel and channel


@dataclass(frozen=True, kw_only=True, slots=True)
class Movers:
    """One object in each of n clips."""

    kinds: NDArray[np.int64]  # (n,) index into KINDS
    motions: NDArray[np.int64]  # (n,) index into MOTIONS
    present: NDArray[np.bool_]  # (n,)
    start: Float  # (n, 2) x and y in the first frame, pixels
    step: Float  # (n, 2) their change from frame to frame
    radius: Float  # (n,) pixels
    heading: Float  # (n, 2) cosine and sine of the rotation
    colour: Float  # (n, 3) RGB 0-1, before opacity
    opacity: Float  # (n,)

    def at(self, frame: int) -> Float:
        """Return x and y in a frame, on the circle of the picture's side; (n, 2) pixels."""
        place = self.start + self.step * np.float32(frame)
        side = np.float32(IMAGE_SIZE)
        on_circle: Float = place - np.floor(place / side) * side
        return on_circle


def draw_movers(
    rng: np.random.Generator, difficulty: Difficulty, labels: NDArray[np.int64], present: NDArray[np.bool_]
) -> Movers:
    """Draw an object of each class in ``labels`` (n,); nothing but its steps depends on how it moves."""
    n = len(labels)
    kinds, motions = labels // len(MOTIONS), labels % len(MOTIONS)
    start = (shapes.uniform(rng, (0, 1), (n, 2)) * np.float32(IMAGE_SIZE)).astype(np.float32)
    speed = shapes.uniform(rng, difficulty.speed, n)
    left_or_right = np.where(rng.random(n) < 0.5, -1, 1)
    own = np.array([SHAPES[kind][1] for kind in KINDS], dtype=np.float32)[kinds]
    own += shapes.uniform(rng, (-difficulty.colour_spread, difficulty.colour_spread), (n, 3))
    has_own = rng.random(n) < difficulty.colour_cue
    colour: Float = np.where(has_own[:, None], own, shapes.uniform(rng, (0, 1), (n, 3))).astype(np.float32)
    directions = np.array(_DIRECTIONS, dtype=np.float32)[motions]
    return Movers(
        kinds=kinds,
        motions=motions,
        present=present,
        start=start,
        step=(directions * np.column_stack([speed * left_or_right, speed])).astype(np.float32),
        radius=shapes.uniform(rng, difficulty.radius, n),
        heading=shapes.directions(rng, n),
        colour=colour,
        opacity=shapes.uniform(rng, difficulty.opacity, n),
    )


# --- pixels -------------------------------------------------------------------------------------------------

# An object is clearly visible when a person would name it at a glance, in at least half of the frames.
CLEAR_PIXELS, CLEAR_SHARE, CLEAR_CONTRAST = 30, 0.6, 0.15

_CHUNK = 256  # clips drawn at once
_X, _Y = np.meshgrid(*2 * [np.arange(IMAGE_SIZE, dtype=np.float32)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """Rendered clips with everything the renderer knows of them."""

    images: Images  # (n, N_FRAMES, 32, 32, 3) uint8 RGB
    labels: NDArray[np.int64]  # (n,) the annotator's one label
    clear: NDArray[np.bool_]  # (n, n_classes) whether an object of that class is clearly visible


def render(n: int, difficulty: Difficulty, *, seed: tuple[int, ...]) -> Clips:
    """Render n clips with balanced labels; equal arguments give equal bytes."""
    scene_stream, noise_stream = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.Generator(np.random.PCG64(scene_stream))
    noise_rng = np.random.Generator(np.random.PCG64(noise_stream))
    labels = rng.permutation(np.arange(n) % len(CLASSES))
    images: Images = np.empty((n, N_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    clear = np.zeros((n, len(CLASSES)), dtype=np.bool_)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part], clear[part] = _painted(labels[part], difficulty, rng, noise_rng)
    return Clips(images=images, labels=labels, clear=clear)


def _painted(
    labels: NDArray[np.int64], difficulty: Difficulty, rng: np.random.Generator, noise_rng: np.random.Generator
) -> tuple[Images, NDArray[np.bool_]]:
    """Draw and paint one clip for each label: the backdrop, the second object, the first; then blur and noise."""
    n = len(labels)
    has_two = rng.random(n) < difficulty.second_rate
    is_slip = has_two & (rng.random(n) < difficulty.label_slip)
    other = (labels + rng.integers(1, len(CLASSES), n)) % len(CLASSES)
    front = draw_movers(rng, difficulty, np.where(is_slip, other, labels), np.ones(n, dtype=np.bool_))
    behind = draw_movers(rng, difficulty, np.where(is_slip, labels, other), has_two)
    tint = difficulty.backdrop_colour
    grey = shapes.uniform(rng, difficulty.backdrop, (n, 1)) + shapes.uniform(rng, (-tint, tint), (n, 3))
    texture, blur = shapes.uniform(rng, difficulty.texture, n), shapes.uniform(rng, difficulty.blur, n)
    noise = shapes.uniform(rng, difficulty.noise, n)
    blobs = shapes.enlarged(shapes.uniform(rng, (-1, 1), (n, 7, 7))) * texture[:, None, None]
    backdrop: Float = (grey[:, None, None] + blobs[..., None]).astype(np.float32)

    images: Images = np.empty((n, N_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    n_clear = {id(movers): np.zeros(n, dtype=np.int64) for movers in (front, behind)}
    for frame in range(N_FRAMES):
        picture = backdrop.copy()
        covered, area_behind = _paint(picture, behind, frame)
        cover, area_front = _paint(picture, front, frame)
        for movers, visible, area in ((behind, covered * (1 - cover), area_behind), (front, cover, area_front)):
            # Whole pixels are counted, not coverages summed: a count is the same on every platform.
            n_visible = (visible > 0.5).sum(axis=(1, 2))
            n_clear[id(movers)] += (n_visible >= CLEAR_PIXELS) & (n_visible >= CLEAR_SHARE * area)
        picture = shapes.blurred(picture, blur)
        picture += shapes.noise(noise_rng, picture.shape) * noise[:, None, None, None]
        images[:, frame] = np.rint(np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8)

    clear = np.zeros((n, len(CLASSES)), dtype=np.bool_)
    for movers in (front, behind):
        contrast = movers.opacity * np.abs(movers.colour - grey).max(axis=1)
        is_clear = movers.present & (2 * n_clear[id(movers)] >= N_FRAMES)
        is_clear &= (contrast >= CLEAR_CONTRAST) & (contrast >= texture + noise)
        rows = np.flatnonzero(is_clear)
        clear[rows, movers.kinds[rows] * len(MOTIONS) + movers.motions[rows]] = True
    return images, clear


def _paint(picture: Float, movers: Movers, frame: int) -> tuple[Float, NDArray[np.float64]]:
    """Paint one object into each picture (n, h, w, 3), in place; what crosses an edge comes in at the opposite one.

    Returns its coverage (n, h, w) 0-1, antialiased, and its area (n,) in pixels.
    """
    coverage: Float = np.zeros(picture.shape[:3], dtype=np.float32)
    area = np.zeros(len(picture), dtype=np.float64)
    place = movers.at(frame)
    for kind, name in enumerate(KINDS):
        members = np.flatnonzero(movers.present & (movers.kinds == kind))
        if len(members) == 0:
            continue
        columns = (*place[members].T, movers.radius[members], *movers.heading[members].T)
        centre_x, centre_y, radius, cosine, sine = (value[:, None, None] for value in columns)
        right, down = _around(_X - centre_x) / radius, _around(_Y - centre_y) / radius
        u, v = right * cosine + down * sine, down * cosine - right * sine
        inside = np.clip(np.float32(0.5) - SHAPES[name][0](u, v) * radius, 0, 1)  # a ramp of one pixel
        alpha = (inside * movers.opacity[members][:, None, None])[..., None]
        picture[members] = picture[members] * (1 - alpha) + movers.colour[members][:, None, None] * alpha
        coverage[members] = inside
        area[members] = AREAS[tuple(SHAPES).index(name)] * movers.radius[members].astype(np.float64) ** 2
    return coverage, area


def _around(distance: Float) -> Float:
    """Return distances on the circle of the picture's side, from minus to plus half of it."""
    side = np.float32(IMAGE_SIZE)
    shortest: Float = distance - np.floor(distance / side + np.float32(0.5)) * side
    return shortest


# --- the data set -------------------------------------------------------------------------------------------

VAL_DIFFICULTY = Difficulty()
"""Of train, val and real."""

V2_DIFFICULTY = dataclasses.replace(
    VAL_DIFFICULTY, radius=(5.5, 9.5), speed=(1.1, 2.5), second_rate=0.25, opacity=(0.65, 1.0), noise=(0.01, 0.07)
)
"""The same kind of clips, slightly harder."""

N_TRAIN, N_VAL, N_V2 = 960, 640, 320
_PARTS = (("training", N_TRAIN, VAL_DIFFICULTY), ("val", N_VAL, VAL_DIFFICULTY), ("v2", N_V2, V2_DIFFICULTY))


class MovingShapes(Rendered):
    """See the head of this file."""

    info = DataInfo(
        name="moving_shapes",
        title="Moving shapes (rendered)",
        n_train=N_TRAIN,
        image_size=IMAGE_SIZE,
        clip_frames=SHOWN_FRAMES,
        video_frames=N_FRAMES,
        n_classes=len(CLASSES),
        epoch_ratio=1 / 25,
        smallest_batch=32,
        default_model="resnet_d8_w1_s4_3d",
        note="Embedded: videos of four shapes in four motions, rendered from a fixed seed; a measuring instrument.",
        is_embedded=True,
    )

    classes = CLASSES
    what = "clips"
    parts = _PARTS
    seed = 2109
    sources = (__file__, shapes.__file__)
    draw = staticmethod(render)
