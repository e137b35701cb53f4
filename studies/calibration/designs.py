"""What is simulated: shapes of the distribution over seeds, numbers of seeds, spreads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""Simulated samples, shape (n_replicates, n_seeds)."""
Draw = Callable[[np.random.Generator, tuple[int, int]], Rows]

SIZES = (3, 5, 10, 30, 100)
ALPHA = 0.05
LEVEL = 0.95
_AT_ONCE = 2_000
"""Replicates in memory at a time."""


def normal(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    return rng.standard_normal(size)


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return an exponential with mean 0 and std 1: skewness 2."""
    return rng.exponential(1.0, size) - 1.0


def _t5(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    return rng.standard_t(5, size) / math.sqrt(5 / 3)


def _outliers(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return normal seeds of which one in ten has five times the std, scaled to std 1."""
    scale = np.where(rng.random(size) < 0.1, 5.0, 1.0)
    return rng.standard_normal(size) * scale / math.sqrt(0.9 + 0.1 * 25)


def lattice(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return normal seeds read off a test set so small that the std is one step (one image)."""
    return np.round(rng.standard_normal(size) * math.sqrt(1 - 1 / 12))


def mirrored(draw: Draw) -> Draw:
    """Return the same shape, skewed the other way."""
    return lambda rng, size: -draw(rng, size)


SHAPES: dict[str, Draw] = {
    "normal": normal,
    "skewed": skewed,
    "t5": _t5,
    "outliers": _outliers,
    "lattice": lattice,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Two arms to simulate; the means differ by `shift`, in units of the std of arm A."""

    name: str
    draw_a: Draw
    draw_b: Draw
    n_a: int
    n_b: int
    sd_b: float = 1.0

    def arms(self, rng: np.random.Generator, replicates: int, shift: float = 0.0) -> tuple[Rows, Rows]:
        """Return both arms as rows."""
        a = self.draw_a(rng, (replicates, self.n_a))
        b = self.draw_b(rng, (replicates, self.n_b))
        return a, b * self.sd_b + shift

    def __str__(self) -> str:
        """Return the design in a few words."""
        return f"{self.name}, {self.n_a} and {self.n_b}"


def designs(sizes: Sequence[int] = SIZES) -> Iterator[Design]:
    """Yield every design of the tables: equal arms in all shapes, then unequal sizes and spreads."""
    for name, draw in SHAPES.items():
        for n in sizes:
            yield Design(name=name, draw_a=draw, draw_b=draw, n_a=n, n_b=n)
    for n in sizes:
        yield Design(name="opposite skews", draw_a=mirrored(skewed), draw_b=skewed, n_a=n, n_b=n)
    for n in sizes:
        yield Design(name="std 1 : 3", draw_a=normal, draw_b=normal, n_a=n, n_b=n, sd_b=3.0)
    for n in sizes:
        yield Design(name="3x seeds", draw_a=normal, draw_b=normal, n_a=3 * n, n_b=n)
    for n in sizes:
        yield Design(name="3x seeds, small arm 3x std", draw_a=normal, draw_b=normal, n_a=3 * n, n_b=n, sd_b=3.0)
    for n in sizes:
        yield Design(name="3x seeds, large arm 3x std", draw_a=normal, draw_b=normal, n_a=n, n_b=3 * n, sd_b=3.0)
    for n in sizes:
        yield Design(name="skewed, 3x seeds", draw_a=skewed, draw_b=skewed, n_a=3 * n, n_b=n)
    for n in sizes:
        yield Design(
            name="skewed, 3x seeds, small arm 3x std", draw_a=skewed, draw_b=skewed, n_a=3 * n, n_b=n, sd_b=3.0
        )


def blocks(replicates: int) -> Iterator[tuple[int, bool]]:
    """Yield block sizes that add up to the replicates, and whether it is the first block."""
    for start in range(0, replicates, _AT_ONCE):
        yield min(_AT_ONCE, replicates - start), start == 0
