"""`shapes`: ten filled shapes on patterned backgrounds, rendered here from fixed seeds; no download.

A measuring instrument for seed studies. The renderer knows every object in a picture, so the eval sets relate to each
other as ImageNet-val, ReaL and V2 do:

- `train` and `val` have ONE label per picture, as from an annotator: usually the larger object's, now and then the
  other one's (`label_slip`);
- `real` accepts every clearly visible object of the same val pictures and leaves out those without one;
- `v2` is drawn again by the same renderer with a slightly harder `Difficulty`.

All randomness is PCG64 with fixed seeds. Pixel arithmetic is float32 with correctly rounded operations only
(+ - * / sqrt min max), and angles enter as rounded constants, because the last bit of sin and cos differs between
platforms: every platform renders the same bytes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from seedstudy.data.base import DataInfo
from seedstudy.data.rendered import Rendered

if TYPE_CHECKING:
    from seedstudy.data.base import Images

Float = NDArray[np.float32]
Bounds = tuple[float, float]
"""Lowest and highest value of a uniform draw."""
Outline = Callable[[Float, Float], Float]
"""Takes coordinates in units of the object's radius, y downwards, and returns the signed distance to the outline in the
same unit: negative inside. All outlines fit the unit circle."""

IMAGE_SIZE = 32  # pixels


# --- outlines -----------------------------------------------------------------------------------------------


def _polygon(*corners: tuple[float, float]) -> Outline:
    """Return the distance function of any simple polygon (I. Quilez, "2D distance functions", sdPolygon)."""

    def distance(x: Float, y: Float) -> Float:
        squared: Float = np.full_like(x, np.inf)
        is_inside = np.zeros(x.shape, dtype=np.bool_)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            edge_x, edge_y = np.float32(bx - ax), np.float32(by - ay)
            from_x, from_y = x - np.float32(ax), y - np.float32(ay)
            along = (from_x * edge_x + from_y * edge_y) / (edge_x * edge_x + edge_y * edge_y)
            np.clip(along, 0, 1, out=along)
            off_x, off_y = from_x - edge_x * along, from_y - edge_y * along
            np.minimum(squared, off_x * off_x + off_y * off_y, out=squared)
            # Even-odd rule: a ray to the left flips the side at each edge it crosses.
            crosses = (from_y >= 0) != (y - np.float32(by) >= 0)
            is_right = (edge_x * from_y < edge_y * from_x) == (edge_y > 0)
            is_inside ^= crosses & is_right
        reach = np.sqrt(squared)
        return np.where(is_inside, -reach, reach)

    return distance


def _on_circle(n: int, radii: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Return n corners at equal angles, the first on top, their radii taken in turn."""
    polar = [(radii[k % len(radii)], 2 * math.pi * k / n) for k in range(n)]
    return tuple((round(r * math.sin(a), 6), round(-r * math.cos(a), 6)) for r, a in polar)


def _round(x: Float, y: Float, centre_x: float, centre_y: float, radius: float) -> Float:
    dx, dy = x - np.float32(centre_x), y - np.float32(centre_y)
    distance: Float = np.sqrt(dx * dx + dy * dy) - np.float32(radius)
    return distance


def _box(x: Float, y: Float, half_width: float, half_height: float) -> Float:
    dx, dy = np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height)
    outside_x, outside_y = np.maximum(dx, 0), np.maximum(dy, 0)
    outside: Float = np.sqrt(outside_x * outside_x + outside_y * outside_y)
    return outside + np.minimum(np.maximum(dx, dy), 0)


def _heart(x: Float, y: Float) -> Float:
    """Two round lobes above a tip."""
    lobes = np.minimum(_round(x, y, -0.4, -0.3, 0.52), _round(x, y, 0.4, -0.3, 0.52))
    return np.minimum(lobes, _HEART_TIP(x, y))


_HEART_TIP = _polygon((0.0, -0.45), (0.78, 0.05), (0.0, 0.95), (-0.78, 0.05))
_ARROW = _polygon((1.0, 0.0), (0.1, 0.8), (0.1, 0.3), (-0.95, 0.3), (-0.95, -0.3), (0.1, -0.3), (0.1, -0.8))

SHAPES: dict[str, tuple[Outline, tuple[float, float, float]]] = {
    "disc": (lambda x, y: _round(x, y, 0, 0, 0.85), (0.90, 0.12, 0.12)),
    "ring": (lambda x, y: np.abs(_round(x, y, 0, 0, 0.72)) - np.float32(0.22), (1.00, 0.55, 0.05)),
    "square": (lambda x, y: _box(x, y, 0.72, 0.72), (0.95, 0.90, 0.15)),
    "triangle": (_polygon(*_on_circle(3, (1.0,))), (0.10, 0.65, 0.15)),
    "cross": (lambda x, y: np.minimum(_box(x, y, 0.95, 0.28), _box(x, y, 0.28, 0.95)), (0.10, 0.85, 0.85)),
    "star": (_polygon(*_on_circle(10, (1.0, 0.42))), (0.15, 0.20, 0.95)),
    "heart": (_heart, (0.95, 0.45, 0.75)),
    "crescent": (lambda x, y: np.maximum(_round(x, y, 0, 0, 0.95), -_round(x, y, 0.5, 0, 0.75)), (0.50, 0.10, 0.70)),
    "bar": (lambda x, y: _box(x, y, 0.96, 0.26), (0.05, 0.05, 0.05)),
    "arrow": (_ARROW, (0.95, 0.95, 0.95)),
}
"""Class -> its outline, and the RGB 0-1 that most of its objects have, as lemons are yellow."""
CLASSES = tuple(SHAPES)


def _unit_area(outline: Outline) -> float:
    """Return the area of an outline of radius 1, counted on a grid of 200 x 200."""
    axis = ((np.arange(200) - 99.5) / 95).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return int((outline(x, y) < 0).sum()) / 95**2


AREAS = tuple(_unit_area(outline) for outline, _ in SHAPES.values())


# --- scenes: everything in a picture, drawn before any pixel ------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Difficulty:
    """Every knob of the renderer. Lengths in pixels of a 32 px picture, strengths on a 0-1 scale."""

    radius: Bounds = (9.0, 14.0)  # of the circle around the larger object
    turn: float = 25.0  # largest rotation to either side, degrees
    off_centre: float = 3.0  # largest shift of the scene's centre along each axis
    second_rate: float = 0.3  # share of pictures with a second object of another class
    second_ratio: Bounds = (0.5, 0.85)  # radius of the second object relative to the larger one's
    second_distance: Bounds = (0.75, 1.05)  # between the centres, in sums of the radii; below 1 they may overlap
    label_slip: float = 0.12  # share of the pictures with two objects whose one label is the smaller object's
    colour_cue: float = 0.92  # share of objects in (about) their class's own colour, not that of any class
    colour_spread: float = 0.1  # largest departure from that colour, per channel
    opacity: Bounds = (0.7, 1.0)  # 1: the object's own vivid colour; 0: no difference from the background
    backdrop: Bounds = (0.3, 0.7)  # grey level in the middle of the background
    backdrop_colour: float = 0.08  # largest departure of the background from grey, per channel
    texture: Bounds = (0.0, 0.12)  # amplitude of the pattern on the background
    shading: float = 0.15  # largest amplitude of light and stripes on an object
    cover_rate: float = 0.12  # share of pictures where an edge (half-plane) hides a part of the larger object
    cover_depth: Bounds = (0.15, 0.5)  # hidden part of the larger object's diameter
    blur: Bounds = (0.0, 0.6)  # weight of the 3 x 3 binomial mean of each pixel's neighbourhood
    noise: Bounds = (0.01, 0.06)  # standard deviation of independent noise per pixel and channel


class _Rows:
    """Arrays over n pictures, sliced together."""

    __slots__ = ()

    def __getitem__(self, part: slice) -> Self:
        return type(self)(**{f.name: getattr(self, f.name)[part] for f in dataclasses.fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects(_Rows):
    """One object in each of n pictures."""

    classes: NDArray[np.int64]  # (n,)
    present: NDArray[np.bool_]  # (n,)
    centre: Float  # (n, 2) x and y, pixels
    radius: Float  # (n,) pixels
    heading: Float  # (n, 2) cosine and sine of the rotation
    colour: Float  # (n, 3) RGB 0-1, before opacity
    opacity: Float  # (n,)
    contrast: Float  # (n,) difference from the backdrop in the channel where they differ most, 0-1
    light: Float  # (n, 2) change of brightness per radius along x and y
    stripes: Float  # (n,) amplitude of the stripes


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes(_Rows):
    """n pictures before any pixel is painted."""

    labels: NDArray[np.int64]  # (n,)
    large: Objects
    small: Objects
    backdrop: Float  # (n, 2, 3) RGB 0-1 at the two ends of a gradient
    slope: Float  # (n, 2) direction of the gradient
    pattern: NDArray[np.int64]  # (n,) 0 blobs, 1 stripes, 2 checks
    grain: Float  # (n, 7, 7) heights of the blobs, -1 to 1
    period: Float  # (n,) of stripes and checks, pixels
    texture: Float  # (n,) amplitude of the pattern
    cover: Float  # (n, 3) edge: unit normal x and y, and its distance from the large object's centre, in radii
    cover_colour: Float  # (n, 3) RGB 0-1
    blur: Float  # (n,)
    noise: Float  # (n,)


def draw_scenes(rng: np.random.Generator, n: int, difficulty: Difficulty) -> Scenes:
    """Draw n scenes whose annotator labels are balanced over the classes."""
    labels = rng.permutation(np.arange(n) % len(CLASSES))
    has_two = rng.random(n) < difficulty.second_rate
    is_slip = has_two & (rng.random(n) < difficulty.label_slip)
    other = (labels + rng.integers(1, len(CLASSES), n)) % len(CLASSES)
    radius = uniform(rng, difficulty.radius, n)
    small_radius = radius * uniform(rng, difficulty.second_ratio, n)
    scene_centre = (IMAGE_SIZE - 1) / 2 + uniform(rng, (-difficulty.off_centre, difficulty.off_centre), (n, 2))
    apart = directions(rng, n) * ((radius + small_radius) * uniform(rng, difficulty.second_distance, n))[:, None]
    # Two objects share the middle in proportion to their sizes; one alone has it for itself.
    share = np.where(has_two, small_radius / (radius + small_radius), 0).astype(np.float32)[:, None]
    tint = difficulty.backdrop_colour
    grey = uniform(rng, difficulty.backdrop, (n, 1, 1)) + uniform(rng, (-0.1, 0.1), (n, 2, 1))
    backdrop = grey + uniform(rng, (-tint, tint), (n, 2, 3))
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
        slope=directions(rng, n),
        pattern=rng.integers(0, 3, n),
        grain=uniform(rng, (-1, 1), (n, 7, 7)),
        period=uniform(rng, (4, 10), n),
        texture=uniform(rng, difficulty.texture, n),
        cover=_draw_covers(rng, n, difficulty),
        cover_colour=uniform(rng, (0, 1), (n, 3)),
        blur=uniform(rng, difficulty.blur, n),
        noise=uniform(rng, difficulty.noise, n),
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
    palette = np.array([colour for _, colour in SHAPES.values()], dtype=np.float32)
    colour = palette[np.where(has_own, classes, rng.integers(0, len(CLASSES), n))]
    colour += uniform(rng, (-difficulty.colour_spread, difficulty.colour_spread), (n, 3))
    opacity = uniform(rng, difficulty.opacity, n)
    distance = np.abs(colour - (backdrop[:, 0] + backdrop[:, 1]) / 2)
    return Objects(
        classes=classes,
        present=present,
        centre=centre,
        radius=radius,
        heading=directions(rng, n, turn=difficulty.turn),
        colour=colour,
        opacity=opacity,
        contrast=opacity * distance.max(axis=1),
        light=directions(rng, n) * uniform(rng, (0, difficulty.shading), n)[:, None],
        stripes=uniform(rng, (0, difficulty.shading), n) * (rng.random(n) < 0.3).astype(np.float32),
    )


def _draw_covers(rng: np.random.Generator, n: int, difficulty: Difficulty) -> Float:
    depth = uniform(rng, difficulty.cover_depth, n)
    # A line at 1 - 2 * depth radii hides `depth` of the diameter; one at 99 radii hides nothing.
    offset = np.where(rng.random(n) < difficulty.cover_rate, 1 - 2 * depth, 99)
    return np.column_stack([directions(rng, n), offset.astype(np.float32)])


def uniform(rng: np.random.Generator, bounds: Bounds, shape: int | tuple[int, ...]) -> Float:
    low, high = bounds
    return (low + (high - low) * rng.random(shape)).astype(np.float32)


def directions(rng: np.random.Generator, n: int, *, turn: float = 180.0) -> Float:
    """Return (n, 2) unit vectors up to `turn` degrees from (1, 0), at whole half degrees."""
    angles = [math.radians(half / 2) for half in range(720)]
    table = np.array([(round(math.cos(a), 6), round(math.sin(a), 6)) for a in angles], dtype=np.float32)
    most = round(2 * turn)
    directions: Float = table[rng.integers(-most, most + 1, n) % 720]
    return directions


# --- pixels -------------------------------------------------------------------------------------------------

# An object is clearly visible when a person would name it at a glance: at least so many pixels, so large a share of its
# area (what is beyond the picture's border counts as hidden), and so much contrast (never less than the backdrop's
# texture and the noise together).
CLEAR_PIXELS, CLEAR_SHARE, CLEAR_CONTRAST = 40, 0.6, 0.15

_CHUNK = 256  # pictures drawn at once: the arrays of one step stay near the processor's cache
_X, _Y = np.meshgrid(*2 * [np.arange(IMAGE_SIZE, dtype=np.float32)])  # of the pixel centres, (h, w) each


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Rendered pictures with everything the renderer knows of them."""

    images: Images  # (n, 32, 32, 3) uint8 RGB
    labels: NDArray[np.int64]  # (n,) the annotator's one label
    clear: NDArray[np.bool_]  # (n, n_classes) whether an object of that class is clearly visible


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
    picture = blurred(picture, scenes.blur)
    picture += noise(rng, picture.shape) * scenes.noise[:, None, None, None]
    images = np.rint(np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8)

    clear = np.zeros((len(images), len(CLASSES)), dtype=np.bool_)
    for objects, visible, area in (
        (scenes.small, small_coverage * (1 - large_coverage) * (1 - hidden), small_area),
        (scenes.large, large_coverage * (1 - hidden), large_area),
    ):
        # Whole pixels are counted, not coverages summed: a count is the same on every platform.
        n_visible = (visible > 0.5).sum(axis=(1, 2))
        is_clear = (
            (n_visible >= CLEAR_PIXELS)  # none where the object is absent
            & (n_visible >= CLEAR_SHARE * area)
            & (objects.contrast >= CLEAR_CONTRAST)
            & (objects.contrast >= scenes.texture + scenes.noise)
        )
        clear[np.flatnonzero(is_clear), objects.classes[is_clear]] = True
    return images, clear


def _columns(*values: Float) -> Iterator[Float]:
    """Give (n,) arrays two more axes, to meet (n, h, w)."""
    return (value[:, None, None] for value in values)


def _paint_backdrop(scenes: Scenes) -> Float:
    half = (IMAGE_SIZE - 1) / 2
    slope_x, slope_y, period, texture = _columns(*scenes.slope.T, scenes.period, scenes.texture)
    along: Float = (_X - half) * slope_x + (_Y - half) * slope_y
    mix = np.clip(along / (2 * half) + 0.5, 0, 1)[..., None]
    picture: Float = scenes.backdrop[:, 0, None, None] * (1 - mix) + scenes.backdrop[:, 1, None, None] * mix

    across: Float = (_X - half) * slope_y - (_Y - half) * slope_x
    stripes = _wave(along / period)
    checks = stripes * _wave(across / period) * 2
    pattern = scenes.pattern[:, None, None]
    waves = np.where(pattern == 0, enlarged(scenes.grain), np.where(pattern == 1, stripes, checks))
    picture += (waves * texture)[..., None]
    return picture


def _wave(phase: Float) -> Float:
    """Return a triangle wave of period 1 between -1 and 1."""
    wave: Float = np.abs((phase - np.floor(phase)) * 4 - 2) - 1
    return wave


def enlarged(grain: Float) -> Float:
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
    for label, (outline, _) in enumerate(SHAPES.values()):
        members = np.flatnonzero(objects.present & (objects.classes == label))
        if len(members) == 0:
            continue
        cosine, sine, radius, centre_x, centre_y = _columns(
            *objects.heading[members].T, objects.radius[members], *objects.centre[members].T
        )
        right, down = (_X - centre_x) / radius, (_Y - centre_y) / radius
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
    normal_x, normal_y, offset, radius, centre_x, centre_y = _columns(
        *scenes.cover.T, scenes.large.radius, *scenes.large.centre.T
    )
    beyond = (_X - centre_x) * normal_x + (_Y - centre_y) * normal_y - offset * radius
    hidden: Float = np.clip(beyond + np.float32(0.5), 0, 1)
    alpha = hidden[..., None]
    picture[...] = picture * (1 - alpha) + scenes.cover_colour[:, None, None] * alpha
    return hidden


def blurred(picture: Float, weight: Float) -> Float:
    """Mix each pixel with the binomial mean (1 2 1) of its neighbourhood."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] * 2 + padded[:, 2:]
    soft = (rows[:, :, :-2] + rows[:, :, 1:-1] * 2 + rows[:, :, 2:]) / 16
    mix = weight[:, None, None, None]
    mixed: Float = picture * (1 - mix) + soft * mix
    return mixed


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Return noise of mean 0 and standard deviation 1: the sum of three uniform bytes, exact everywhere."""
    total = rng.integers(0, 256, (3, *shape), dtype=np.uint8).sum(axis=0, dtype=np.int32)
    # Var of a uniform byte = (256^2 - 1) / 12.
    noise: Float = (total.astype(np.float32) - np.float32(382.5)) / np.float32(math.sqrt(3 * 65535 / 12))
    return noise


# --- the data set -------------------------------------------------------------------------------------------

VAL_DIFFICULTY = Difficulty()
"""Of train, val and real."""

V2_DIFFICULTY = dataclasses.replace(
    VAL_DIFFICULTY,
    radius=(8.0, 13.0),
    turn=30.0,
    second_rate=0.34,
    colour_cue=0.85,
    opacity=(0.65, 1.0),
    cover_rate=0.15,
    noise=(0.01, 0.08),
)
"""The same kind of pictures, slightly harder: so the second collection of ImageNet test images turned out."""

N_TRAIN, N_VAL, N_V2 = 2048, 5000, 2500
_PARTS = (("training", N_TRAIN, VAL_DIFFICULTY), ("val", N_VAL, VAL_DIFFICULTY), ("v2", N_V2, V2_DIFFICULTY))


class Shapes(Rendered):
    """See the head of this file."""

    info = DataInfo(
        name="shapes",
        title="Shapes (rendered)",
        n_train=N_TRAIN,
        image_size=IMAGE_SIZE,
        n_classes=len(CLASSES),
        epoch_ratio=1 / 25,
        default_model="resnet8_patch",
        note="Embedded: ten shapes rendered from a fixed seed; a measuring instrument, not a benchmark.",
        is_embedded=True,
    )

    classes = CLASSES
    what = "images"
    parts = _PARTS
    seed = 2021
    sources = (__file__,)
    draw = staticmethod(render)
