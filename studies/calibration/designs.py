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

SIZES = (2, 3, 5, 10, 30)
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


def lognormal(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return a lognormal of sigma .8 with mean 0 and std 1: skewness 3.7."""
    variance = math.exp(0.64) * (math.exp(0.64) - 1)
    return (np.exp(0.8 * rng.standard_normal(size)) - math.exp(0.32)) / math.sqrt(variance)


def failing(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return normal seeds of which one in twenty comes out 6 std too low, scaled to mean 0 and std 1.

    That is how real trainings fail.
    """
    drop = 6.0 * (rng.random(size) < 0.05)
    return (rng.standard_normal(size) - drop + 0.3) / math.sqrt(1 + 36 * 0.05 * 0.95)


def mirrored(draw: Draw) -> Draw:
    """Return the same shape, skewed the other way."""
    return lambda rng, size: -draw(rng, size)


SHAPES: dict[str, Draw] = {
    "normal": normal,
    "skewed": skewed,
    "t5": _t5,
    "outliers": _outliers,
    "lattice": lattice,
    "lognormal": lognormal,
    "failing": failing,
}
HARD: dict[str, tuple[Draw, Draw]] = {
    "opposite lognormals": (mirrored(lognormal), lognormal),
    "lognormal": (lognormal, lognormal),
    "opposite skews": (mirrored(skewed), skewed),
    "skewed": (skewed, skewed),
    "failing": (failing, failing),
    "failing A": (failing, normal),
    "failing B": (normal, failing),
    "normal": (normal, normal),
}
"""Shapes of the seeds of A and of B that the bounds of borderline claims are measured with."""


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
    """Yield every design of the tables: equal arms in all shapes, then unequal shapes, spreads and sizes."""

    def design(name: str, draws: tuple[Draw, Draw], n_a: int, n_b: int, sd_b: float = 1.0) -> Design:
        return Design(name=name, draw_a=draws[0], draw_b=draws[1], n_a=n_a, n_b=n_b, sd_b=sd_b)

    two = (normal, normal)
    for name, draw in SHAPES.items():
        yield from (design(name, (draw, draw), n, n) for n in sizes)
    for name in ("opposite skews", "opposite lognormals", "failing B"):
        yield from (design(name, HARD[name], n, n) for n in sizes)
    yield from (design("std 1 : 3", two, n, n, 3.0) for n in sizes)
    yield from (design("opposite skews, std 1 : 3", HARD["opposite skews"], n, n, 3.0) for n in sizes)
    yield from (design("failing, std 1 : 3", HARD["failing"], n, n, 3.0) for n in sizes)
    yield from (design("3x seeds", two, 3 * n, n) for n in sizes)
    yield from (design("3x seeds, small arm 3x std", two, 3 * n, n, 3.0) for n in sizes)
    yield from (design("3x seeds, large arm 3x std", two, n, 3 * n, 3.0) for n in sizes)
    yield from (design("skewed, 3x seeds", HARD["skewed"], 3 * n, n) for n in sizes)
    yield from (design("skewed, 3x seeds, small arm 3x std", HARD["skewed"], 3 * n, n, 3.0) for n in sizes)
    for n in sizes:
        n_a = math.ceil(4 * n / 3)
        yield design("opposite skews, 4 : 3 seeds, small arm 3x std", HARD["opposite skews"], n_a, n, 3.0)


def blocks(replicates: int) -> Iterator[tuple[int, bool]]:
    """Yield block sizes that add up to the replicates, and whether it is the first block."""
    for start in range(0, replicates, _AT_ONCE):
        yield min(_AT_ONCE, replicates - start), start == 0
