"""Every figure of the tables, each with a random stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from studies.calibration import data_sets, two_arms
from studies.calibration.components import LEVELS, SOURCES, Parts, parts_of
from studies.calibration.data_sets import Across, across_of
from studies.calibration.designs import SHAPES, SIZES, Design, designs
from studies.calibration.one_recipe import OneArm, one_arm
from studies.calibration.several import FamilyError, family_error
from studies.calibration.two_arms import (
    Borderline,
    Caveats,
    Claims,
    Coverages,
    Power,
    Sizes,
    borderline,
    caveats,
    claims,
    coverages_of,
    power_of,
    sizes_of,
)

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Everything measured."""

    replicates: int
    rng_seed: int
    sizes: tuple[Sizes, ...]
    coverages: tuple[Coverages, ...]
    one_arm: tuple[OneArm, ...]
    families: tuple[FamilyError, ...]
    powers: tuple[Power, ...]
    claims: tuple[Claims, ...]
    caveats: tuple[Caveats, ...]
    borderline: tuple[Borderline, ...]
    across: tuple[Across, ...]
    components: tuple[Parts, ...]


PARTS = (
    "sizes",
    "coverages",
    "one arm",
    "families",
    "powers",
    "claims",
    "caveats",
    "borderline",
    "across",
    "components",
)
"""Names of the tables."""


def calibrate(
    *,
    replicates: int = 20_000,
    rng_seed: int = 1,
    sizes: tuple[int, ...] = SIZES,
    parts: tuple[str, ...] = PARTS,
    progress: Progress | None = None,
) -> Calibration:
    """Measure size, coverage and power of every procedure.

    Parameters
    ----------
    replicates : int
        Simulated comparisons per figure.
    rng_seed : int
        Seed of the simulation; each figure has its own stream, so that figures do not depend on which others are run.
    sizes : tuple of int
        Seeds per arm.
    parts : tuple of str
        Which of `PARTS` to measure.
    progress : callable, optional
        Called with one line before each figure.

    """
    chosen = list(designs(sizes))

    def stream(*name: object) -> np.random.Generator:
        if progress:
            progress(" ".join(str(part) for part in name))
        key = int.from_bytes(" ".join(str(part) for part in name).encode(), "big")
        return np.random.default_rng([rng_seed, *_words(key)])

    def cover(d: Design, shift: float) -> Coverages:
        return coverages_of(d, shift, replicates=replicates, rng=stream("coverage", d, shift))

    measures: dict[str, Callable[[], Iterator[Any]]] = {
        "sizes": lambda: (sizes_of(d, replicates=replicates, rng=stream("size", d)) for d in chosen),
        "coverages": lambda: (cover(d, shift) for d in chosen for shift in (0.0, 1.0, 3.0)),
        "one arm": lambda: (
            one_arm(shape, n, replicates=replicates, rng=stream("one arm", shape, n)) for shape in SHAPES for n in sizes
        ),
        "families": lambda: (
            family_error(k, n, unequal, replicates=replicates, rng=stream("family", k, n, unequal))
            for k in (3, 6)
            for unequal in (False, True)
            for n in sizes
        ),
        "powers": lambda: (
            power_of(n, shift, replicates=replicates, rng=stream("power", n, shift))
            for n in sizes
            for shift in (0.0, 0.5, 1.0, 2.0, 3.0)
        ),
    }
    measures["claims"] = lambda: (claims(d, replicates=replicates, rng=stream("claims", d)) for d in chosen)
    measures["caveats"] = lambda: (
        caveats(n, shift, replicates=replicates, rng=stream("caveats", n, shift))
        for n in sizes
        for shift in (1.0, 2.0, 3.0, 5.0)
    )
    measures["borderline"] = lambda: (
        borderline(kind, n, ratio, replicates=replicates, rng=stream("borderline", kind, n, ratio))
        for n in two_arms.SEEDS
        if n in sizes or sizes == SIZES
        for kind, ratio in two_arms.kinds_of_borderline(n)
    )
    measures["across"] = lambda: (
        across_of(k, n, tau, spreads, replicates=replicates, rng=stream("across", k, n, tau, spreads))
        for k in data_sets.NUMBERS
        for n in data_sets.SEEDS
        for tau in data_sets.TAUS
        for spreads in data_sets.SPREADS
    )
    measures["components"] = lambda: (
        parts_of(truth, n, replicates=replicates, rng=stream("components", truth, n))
        for truth in SOURCES
        for n in LEVELS
    )
    measured = {name: tuple(measure()) if name in parts else () for name, measure in measures.items()}
    return Calibration(
        replicates=replicates,
        rng_seed=rng_seed,
        sizes=measured["sizes"],
        coverages=measured["coverages"],
        one_arm=measured["one arm"],
        families=measured["families"],
        powers=measured["powers"],
        claims=measured["claims"],
        caveats=measured["caveats"],
        borderline=measured["borderline"],
        across=measured["across"],
        components=measured["components"],
    )


def _words(key: int) -> list[int]:
    words = []
    while key:
        words.append(key & 0xFFFFFFFF)
        key >>= 32
    return words
