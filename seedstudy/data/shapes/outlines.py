"""The ten outlines of `shapes`, their colours and areas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

# Each takes coordinates (m, h, w) in units of the object's radius, y downwards, and returns the signed
# distance to its outline in the same unit: negative inside. All fit the unit circle. Angles enter as
# rounded constants: the last bit of sin and cos differs between platforms.


def _polygon(*corners: tuple[float, float]) -> Callable[[Float, Float], Float]:
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
    angles = [2 * math.pi * k / n for k in range(n)]
    return tuple(
        (round(radii[k % len(radii)] * math.sin(a), 6), round(-radii[k % len(radii)] * math.cos(a), 6))
        for k, a in enumerate(angles)
    )


def _round(x: Float, y: Float, centre_x: float, centre_y: float, radius: float) -> Float:
    dx, dy = x - np.float32(centre_x), y - np.float32(centre_y)
    distance: Float = np.sqrt(dx * dx + dy * dy) - np.float32(radius)
    return distance


def _box(x: Float, y: Float, half_width: float, half_height: float) -> Float:
    dx, dy = np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height)
    outside_x, outside_y = np.maximum(dx, 0), np.maximum(dy, 0)
    outside: Float = np.sqrt(outside_x * outside_x + outside_y * outside_y)
    return outside + np.minimum(np.maximum(dx, dy), 0)


def _disc(x: Float, y: Float) -> Float:
    return _round(x, y, 0, 0, 0.85)


def _ring(x: Float, y: Float) -> Float:
    return np.abs(_round(x, y, 0, 0, 0.72)) - np.float32(0.22)


def _square(x: Float, y: Float) -> Float:
    return _box(x, y, 0.72, 0.72)


def _cross(x: Float, y: Float) -> Float:
    return np.minimum(_box(x, y, 0.95, 0.28), _box(x, y, 0.28, 0.95))


def _bar(x: Float, y: Float) -> Float:
    return _box(x, y, 0.96, 0.26)


def _crescent(x: Float, y: Float) -> Float:
    return np.maximum(_round(x, y, 0, 0, 0.95), -_round(x, y, 0.5, 0, 0.75))


def _heart(x: Float, y: Float) -> Float:
    """Two round lobes on a square that stands on its corner."""
    lobes = np.minimum(_round(x, y, -0.4, -0.3, 0.52), _round(x, y, 0.4, -0.3, 0.52))
    return np.minimum(lobes, _HEART_TIP(x, y))


_HEART_TIP = _polygon((0.0, -0.45), (0.78, 0.05), (0.0, 0.95), (-0.78, 0.05))
_triangle = _polygon(*_on_circle(3, (1.0,)))
_star = _polygon(*_on_circle(10, (1.0, 0.42)))
_arrow = _polygon((1.0, 0.0), (0.1, 0.8), (0.1, 0.3), (-0.95, 0.3), (-0.95, -0.3), (0.1, -0.3), (0.1, -0.8))

OUTLINES: dict[str, Callable[[Float, Float], Float]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "heart": _heart,
    "crescent": _crescent,
    "bar": _bar,
    "arrow": _arrow,
}
CLASSES = tuple(OUTLINES)

COLOURS = {
    "disc": (0.90, 0.12, 0.12),
    "ring": (1.00, 0.55, 0.05),
    "square": (0.95, 0.90, 0.15),
    "triangle": (0.10, 0.65, 0.15),
    "cross": (0.10, 0.85, 0.85),
    "star": (0.15, 0.20, 0.95),
    "heart": (0.95, 0.45, 0.75),
    "crescent": (0.50, 0.10, 0.70),
    "bar": (0.05, 0.05, 0.05),
    "arrow": (0.95, 0.95, 0.95),
}
"""RGB 0-1 that most objects of a class have, as lemons are yellow."""


def _unit_area(outline: Callable[[Float, Float], Float]) -> float:
    """Return the area of an outline of radius 1, counted on a grid of 200 x 200."""
    axis = ((np.arange(200) - 99.5) / 95).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return int((outline(x, y) < 0).sum()) / 95**2


AREAS = tuple(_unit_area(outline) for outline in OUTLINES.values())
