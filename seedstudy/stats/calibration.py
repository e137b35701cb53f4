"""Measure what the procedures promise: simulate seeds, apply the very formulas of the product, count the errors.

``python -m seedstudy.stats.calibration`` writes the tables of `docs/calibration.md`.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from seedstudy.stats import describe, doubt, effect, grid, many, power, rank, resample, spread, welch
from seedstudy.stats.permutation import labellings
from seedstudy.stats.welch import TDistance

Rows = NDArray[np.float64]
"""Simulated samples, shape (n_replicates, n_seeds)."""
Draw = Callable[[np.random.Generator, tuple[int, int]], Rows]
Progress = Callable[[str], None]

SIZES = (3, 5, 10, 30, 100)
ALPHA = 0.05
LEVEL = 0.95
_AT_ONCE = 2_000
"""Replicates in memory at a time."""
_RANDOM_LABELLINGS = 999


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    return rng.standard_normal(size)


def _skewed(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return an exponential with mean 0 and std 1: skewness 2."""
    return rng.exponential(1.0, size) - 1.0


def _t5(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    return rng.standard_t(5, size) / math.sqrt(5 / 3)


def _outliers(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return normal seeds of which one in ten has five times the std, scaled to std 1."""
    scale = np.where(rng.random(size) < 0.1, 5.0, 1.0)
    return rng.standard_normal(size) * scale / math.sqrt(0.9 + 0.1 * 25)


def _lattice(rng: np.random.Generator, size: tuple[int, int]) -> Rows:
    """Return normal seeds read off a test set so small that the std is one step (one image)."""
    return np.round(rng.standard_normal(size) * math.sqrt(1 - 1 / 12))


def _left(draw: Draw) -> Draw:
    return lambda rng, size: -draw(rng, size)


SHAPES: dict[str, Draw] = {
    "normal": _normal,
    "skewed": _skewed,
    "t5": _t5,
    "outliers": _outliers,
    "lattice": _lattice,
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


def designs() -> Iterator[Design]:
    """Yield every design of the tables: equal arms in all shapes, then unequal sizes and spreads."""
    for name, draw in SHAPES.items():
        for n in SIZES:
            yield Design(name=name, draw_a=draw, draw_b=draw, n_a=n, n_b=n)
    for n in SIZES:
        yield Design(name="opposite skews", draw_a=_left(_skewed), draw_b=_skewed, n_a=n, n_b=n)
    for n in SIZES:
        yield Design(name="std 1 : 3", draw_a=_normal, draw_b=_normal, n_a=n, n_b=n, sd_b=3.0)
    for n in SIZES:
        yield Design(name="3x seeds, small arm 3x std", draw_a=_normal, draw_b=_normal, n_a=3 * n, n_b=n, sd_b=3.0)
    for n in SIZES:
        yield Design(name="3x seeds, large arm 3x std", draw_a=_normal, draw_b=_normal, n_a=n, n_b=3 * n, sd_b=3.0)
    for n in SIZES:
        yield Design(name="skewed, 3x seeds", draw_a=_skewed, draw_b=_skewed, n_a=3 * n, n_b=n)
    for n in SIZES:
        yield Design(
            name="skewed, 3x seeds, small arm 3x std", draw_a=_skewed, draw_b=_skewed, n_a=3 * n, n_b=n, sd_b=3.0
        )


def blocks(replicates: int) -> Iterator[int]:
    """Yield block sizes that add up to the replicates."""
    for start in range(0, replicates, _AT_ONCE):
        yield min(_AT_ONCE, replicates - start)


def welch_rows(a: Rows, b: Rows) -> TDistance:
    """Return Welch's t of each replicate; where no arm shows spread it is nan, as the product refuses it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return welch.welch(
            a.mean(axis=1), a.std(axis=1, ddof=1), a.shape[1], b.mean(axis=1), b.std(axis=1, ddof=1), b.shape[1]
        )


def permutation_rows(a: Rows, b: Rows, rng: np.random.Generator) -> Rows:
    """Return the studentised permutation p of each replicate: exact up to 1,000 labellings, else random ones."""
    n_a, n_b = a.shape[1], b.shape[1]
    pooled = np.concatenate([a, b], axis=1)
    z = pooled - pooled.mean(axis=1, keepdims=True)
    z = z / np.maximum(np.abs(z).max(axis=1, keepdims=True), 1e-300)
    labels, extra = labellings(n_a, n_b, rng=rng, at_most=1_000, resamples=_RANDOM_LABELLINGS)
    observed = np.repeat([0.0, 1.0], [n_a, n_b])[:, None]
    reference, mine = _welch_image(z, labels.T, n_a, n_b), _welch_image(z, observed, n_a, n_b)
    p: Rows = (extra + np.sum(reference >= mine - 1e-10, axis=1)) / (extra + labels.shape[0])
    return p


def _welch_image(z: Rows, labels: Rows, n_a: int, n_b: int) -> Rows:
    """Return t^2 / (1 + t^2) for replicates (rows) and labellings (columns)."""
    sums, squares = z @ labels, np.square(z) @ labels
    total, total_of_squares = z.sum(axis=1, keepdims=True), np.square(z).sum(axis=1, keepdims=True)
    mean_b, mean_a = sums / n_b, (total - sums) / n_a
    ss_b = np.maximum(squares - n_b * mean_b**2, 0.0)
    ss_a = np.maximum(total_of_squares - squares - n_a * mean_a**2, 0.0)
    squared = (mean_b - mean_a) ** 2
    whole = squared + ss_a / (n_a * (n_a - 1)) + ss_b / (n_b * (n_b - 1))
    image: Rows = np.divide(squared, whole, out=np.zeros_like(whole), where=whole > 1e-30)
    return image


def rank_rows(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return the Mann-Whitney p (normal with tie correction) and the estimate of P(B > A) of each replicate."""
    n_a, n_b = a.shape[1], b.shape[1]
    pooled = np.concatenate([a, b], axis=1)
    ranks = stats.rankdata(pooled, axis=1)
    u = ranks[:, n_a:].sum(axis=1) - n_b * (n_b + 1) / 2
    n = n_a + n_b
    variance = n_a * n_b / (n * (n - 1)) * np.sum(np.square(ranks - (n + 1) / 2), axis=1)
    distance = np.maximum(np.abs(u - n_a * n_b / 2) - 0.5, 0.0)
    z = np.divide(distance, np.sqrt(variance), out=np.zeros_like(distance), where=variance > 0)
    return 2 * special.ndtr(-z), u / (n_a * n_b)


def brunner_munzel_rows(a: Rows, b: Rows) -> Rows:
    """Return the Brunner-Munzel p of each replicate (t approximation); 0 at complete separation."""
    theta, variance, df = effect.prob_greater_moments(*placement_rows(a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(welch.two_sided_p(TDistance(theta - 0.5, np.sqrt(variance), df)), nan=0.0))


def placement_rows(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return `seedstudy.stats.effect.placements` of each replicate, from ranks."""
    n_a, n_b = a.shape[1], b.shape[1]
    ranks = stats.rankdata(np.concatenate([a, b], axis=1), axis=1)
    return (ranks[:, :n_a] - stats.rankdata(a, axis=1)) / n_b, (ranks[:, n_a:] - stats.rankdata(b, axis=1)) / n_a


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Shares of replicates of two arms with equal means in which a procedure errs; nan where it is not offered."""

    design: Design
    welch: float
    verdict: float
    """Share of "better" and "worse" under the rule of `seedstudy.verdict` without a margin."""
    permutation: float
    mann_whitney: float
    brunner_munzel: float
    equivalent: float
    """Share of "equivalent" when the true difference equals the margin of one std of arm A."""
    warned: float
    """Share of replicates in which the output says that its error rate may be higher."""
    no_spread: float
    """Share of replicates in which no arm showed any spread, and the permutation p stood in."""


def sizes_of(design: Design, *, replicates: int, rng: np.random.Generator) -> Sizes:
    """Measure how often procedures err when the means are equal (and, for equivalence, a margin apart)."""
    counts = np.zeros(8)
    for size in blocks(replicates):
        a, b = design.arms(rng, size)
        t = welch_rows(a, b)
        no_spread = t.se == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            p = np.where(no_spread, 1.0, np.nan_to_num(welch.two_sided_p(t), nan=1.0))
        permuted = permutation_rows(a, b, rng)
        u_p, _ = rank_rows(a, b)
        far = design.arms(rng, size, shift=1.0)
        t_far = welch_rows(*far)
        with np.errstate(invalid="ignore", divide="ignore"):
            equal_p = np.nan_to_num(welch.equivalence_p(t_far, 1.0), nan=1.0)
        counts += [
            np.sum(p < ALPHA),
            np.sum(np.where(no_spread, permuted, p) < ALPHA),
            np.sum(permuted <= ALPHA),
            np.sum(u_p < ALPHA),
            np.sum(brunner_munzel_rows(a, b) < ALPHA),
            np.sum(equal_p < ALPHA),
            np.sum(no_spread),
            np.sum(_is_warned(a, b)),
        ]
    share = counts / replicates
    few = min(design.n_a, design.n_b) < 30
    return Sizes(
        design=design,
        welch=float(share[0]),
        verdict=float(share[1]),
        permutation=float(share[2]),
        mann_whitney=math.nan if few else float(share[3]),
        brunner_munzel=math.nan if few else float(share[4]),
        equivalent=float(share[5]),
        no_spread=float(share[6]),
        warned=float(share[7]),
    )


def _is_warned(a: Rows, b: Rows) -> NDArray[np.bool_]:
    if min(a.shape[1], b.shape[1]) <= doubt.MOST_WITHOUT_SHAPE:
        return np.ones(a.shape[0], dtype=bool)
    unbalanced = doubt.is_unbalanced(a.std(axis=1, ddof=1), a.shape[1], b.std(axis=1, ddof=1), b.shape[1])
    return np.asarray(unbalanced | doubt.is_lopsided(a, b))


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverages:
    """Shares of replicates in which an interval holds the truth; nan where it is not offered."""

    design: Design
    shift: float
    difference: float
    hedges_g: float
    prob_b_greater: float
    hodges_lehmann: float
    hodges_lehmann_level: float
    """Level that the interval states for these sizes."""
    ratio: float
    bootstrap: float


def coverages_of(
    design: Design, shift: float, *, replicates: int, rng: np.random.Generator, bootstrap: bool = False
) -> Coverages:
    """Measure how often the intervals of a comparison hold the true value."""
    n_a, n_b = design.n_a, design.n_b
    truth_p = _true_prob(design, shift, rng)
    truth_g = shift / math.sqrt(((n_a - 1) + (n_b - 1) * design.sd_b**2) / (n_a + n_b - 2))
    n_cut, hl_level = rank.cut(n_a, n_b, LEVEL)
    # Hodges-Lehmann asks for arms that differ by a shift only.
    is_shift = design.sd_b == 1.0 and design.draw_a is design.draw_b is not _lattice
    counts = np.zeros(6)
    for size in blocks(replicates):
        a, b = design.arms(rng, size, shift)
        t = welch_rows(a, b)
        moments = (a.mean(axis=1), a.std(axis=1, ddof=1), n_a, b.mean(axis=1), b.std(axis=1, ddof=1), n_b)
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = welch.interval(t, LEVEL)
            pooled = welch.student(*moments)
            g_low, g_high = effect.noncentrality_limits(pooled.statistic, n_a + n_b - 2.0, LEVEL)
        # The interval of g is the interval of delta = shift / sigma times J; it covers J delta.
        to_d = math.sqrt(1 / n_a + 1 / n_b)
        p_low, p_high = effect.prob_greater_limits(*effect.prob_greater_moments(*placement_rows(a, b)), n_a, n_b, LEVEL)
        below = rank_rows(a, b - shift)[1] * n_a * n_b
        counts += [
            np.sum((low <= shift) & (shift <= high)),
            np.sum((g_low * to_d <= truth_g) & (truth_g <= g_high * to_d)),
            np.sum((p_low <= truth_p) & (truth_p <= p_high)),
            np.sum((below > n_cut) & (below < n_a * n_b - n_cut)),
            _ratio_covers(a, b, design.sd_b),
            _bootstrap_covers(a, b, shift, rng) if bootstrap else math.nan,
        ]
    share = counts / replicates
    return Coverages(
        design=design,
        shift=shift,
        difference=float(share[0]),
        hedges_g=float(share[1]),
        prob_b_greater=float(share[2]),
        hodges_lehmann=float(share[3]) if is_shift else math.nan,
        hodges_lehmann_level=min(hl_level, LEVEL),
        ratio=float(share[4]) if min(n_a, n_b) >= spread.FEWEST_SEEDS else math.nan,
        bootstrap=float(share[5]),
    )


def _true_prob(design: Design, shift: float, rng: np.random.Generator) -> float:
    """Return P(B > A) + P(B = A)/2 from a large sample of each arm (error below .0005)."""
    large = Design(name="", draw_a=design.draw_a, draw_b=design.draw_b, n_a=1, n_b=1, sd_b=design.sd_b)
    a, b = large.arms(rng, 1_000_000, shift)
    return float(np.mean(effect.placements(a[:, 0], np.sort(b[:, 0]))[1]))


def _ratio_covers(a: Rows, b: Rows, truth: float) -> float:
    if min(a.shape[1], b.shape[1]) < spread.FEWEST_SEEDS:
        return math.nan
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low, high = spread.ratio_limits(a, b, LEVEL)
    return float(np.sum((low <= truth) & (truth <= high)))


def _bootstrap_covers(a: Rows, b: Rows, truth: float, rng: np.random.Generator) -> float:
    if min(a.shape[1], b.shape[1]) < resample.FEWEST_SEEDS:
        return math.nan
    low, high = resample.bca_limits(a, b, level=LEVEL, resamples=999, rng=rng)
    return float(np.sum((low <= truth) & (truth <= high)))


@dataclass(frozen=True, kw_only=True, slots=True)
class OneArm:
    """Coverage of the intervals that describe one recipe."""

    shape: str
    n: int
    mean: float
    std: float
    std_robust: float
    median: float
    median_level: float
    new_seed: float
    tolerance: float
    """Share of samples whose interval holds at least 95 % of all seeds."""
    warned: float
    """Share of samples in which the output says that intervals may be too short."""


def one_arm(shape: str, n: int, *, replicates: int, rng: np.random.Generator) -> OneArm:
    """Measure the intervals of `describe` for one shape and number of seeds."""
    draw = SHAPES[shape]
    population = np.sort(draw(rng, (1_000_000, 1))[:, 0])
    median = float(np.median(population))
    t_quantile = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2))
    k = describe.tolerance_factor(n, content=0.95, level=LEVEL)
    factors = describe.sd_factors(n, LEVEL)
    n_cut, median_level = describe.median_cut(n, LEVEL)
    counts = np.zeros(7)
    for size in blocks(replicates):
        x, new = draw(rng, (size, n)), draw(rng, (size, 1))[:, 0]
        m, s = x.mean(axis=1), x.std(axis=1, ddof=1)
        ordered = np.sort(x, axis=1)
        inside = (
            np.searchsorted(population, m + k * s, side="right") - np.searchsorted(population, m - k * s, side="left")
        ) / population.size
        robust = math.nan
        if n >= 5:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                low, high = describe.bonett_limits(x, LEVEL)
            robust = float(np.sum((low <= 1.0) & (high >= 1.0)))
        counts += [
            np.sum(np.abs(m) <= t_quantile * s / math.sqrt(n)),
            np.sum((factors[0] * s <= 1.0) & (factors[1] * s >= 1.0)),
            robust,
            np.sum((ordered[:, n_cut] <= median) & (ordered[:, -1 - n_cut] >= median)),
            np.sum(np.abs(new - m) <= t_quantile * s * math.sqrt(1 + 1 / n)),
            np.sum(inside >= 0.95),
            size if n < describe.FEWEST_FOR_SHAPE else np.sum(doubt.has_another_shape(x)),
        ]
    share = counts / replicates
    return OneArm(
        shape=shape,
        n=n,
        mean=float(share[0]),
        std=float(share[1]),
        std_robust=float(share[2]),
        median=float(share[3]),
        median_level=min(median_level, LEVEL),
        new_seed=float(share[4]),
        tolerance=float(share[5]),
        warned=float(share[6]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyError:
    """Share of replicates of k equal recipes in which at least one pair is told apart."""

    k: int
    n: int
    spreads: str
    welch_holm: float
    games_howell: float
    dunnett: float
    interaction: float
    """Size of the interaction test of a 2 x 2 grid with these seeds per cell."""


@functools.lru_cache(maxsize=64)
def _games_howell_reach(k: int, n: int) -> tuple[Rows, Rows]:
    """Return degrees of freedom, and the t beyond which Games-Howell rejects with them."""
    dfs = np.concatenate([np.arange(1.0, 2.0, 0.1), np.geomspace(2.0, max(2.0 * n, 4.0), 24)])
    return dfs, np.array([float(stats.studentized_range.ppf(LEVEL, k, df)) for df in dfs]) / math.sqrt(2)


def family_error(k: int, n: int, unequal: bool, *, replicates: int, rng: np.random.Generator) -> FamilyError:
    """Measure the familywise error of many recipes, with one spread or with spreads of 1 to 3."""
    sds = np.linspace(1.0, 3.0, k) if unequal else np.ones(k)
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    dfs, reach = _games_howell_reach(k, n)
    reach_dunnett = many.dunnett_reach(np.full(k - 1, n), n, k * (n - 1), LEVEL)
    cells, cell_sds = 4, np.array([1.0, 3.0, 1.0, 3.0]) if unequal else np.ones(4)
    matrix = grid.projection("interaction", 2, 2)
    counts = np.zeros(4)
    for size in blocks(replicates):
        x = rng.standard_normal((size, k, n)) * sds[:, None]
        m, s = x.mean(axis=2), x.std(axis=2, ddof=1)
        smallest, howell = np.ones(size), np.zeros(size, dtype=bool)
        for i, j in pairs:
            t = welch.welch(m[:, i], s[:, i], n, m[:, j], s[:, j], n)
            smallest = np.minimum(smallest, welch.two_sided_p(t))
            howell |= np.abs(t.statistic) > np.interp(t.df, dfs, reach)
        pooled = np.sqrt(np.mean(np.square(s), axis=1))
        largest = np.max(np.abs(m[:, 1:] - m[:, :1]), axis=1) / (pooled * math.sqrt(2 / n))
        y = rng.standard_normal((size, cells, n)) * cell_sds[:, None]
        statistic, df, df_noise = grid.anova_type(
            matrix, y.mean(axis=2), y.var(axis=2, ddof=1), np.full(cells, float(n))
        )
        counts += [
            np.sum(smallest * len(pairs) < ALPHA),
            np.sum(howell),
            np.sum(largest > reach_dunnett),
            np.sum(special.fdtrc(df, df_noise, statistic) < ALPHA),
        ]
    share = counts / replicates
    return FamilyError(
        k=k,
        n=n,
        spreads="1 to 3" if unequal else "equal",
        welch_holm=float(share[0]),
        games_howell=float(share[1]),
        dunnett=float(share[2]),
        interaction=float(share[3]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """Shares of verdicts for a true difference of `shift` std, normal seeds, margin of one half std."""

    n: int
    shift: float
    planned: float
    """Power that the product computes for Welch's test."""
    detected: float
    permutation: float
    mann_whitney: float
    equivalent: float
    inconclusive: float
    wrong_direction: float
    single_run_error: float
    """Mean of the printed probability that single runs are ordered wrongly."""
    single_run_error_true: float


def power_of(n: int, shift: float, *, replicates: int, rng: np.random.Generator, margin: float = 0.5) -> Power:
    """Measure detection, equivalence and the probability of a wrong order for normal seeds."""
    design = Design(name="normal", draw_a=_normal, draw_b=_normal, n_a=n, n_b=n)
    counts = np.zeros(7)
    for size in blocks(replicates):
        a, b = design.arms(rng, size, shift)
        t = welch_rows(a, b)
        detected = welch.two_sided_p(t) < ALPHA
        equal = welch.equivalence_p(t, margin) < ALPHA
        u_p, _ = rank_rows(a, b)
        error = effect.contrary_new(t, np.square(a.std(axis=1, ddof=1)) + np.square(b.std(axis=1, ddof=1)))
        counts += [
            np.sum(detected),
            np.sum(permutation_rows(a, b, rng) <= ALPHA),
            np.sum(u_p < ALPHA),
            np.sum(equal),
            np.sum(~detected & ~equal),
            np.sum(detected & (t.difference < 0)),
            np.sum(error),
        ]
    share = counts / replicates
    return Power(
        n=n,
        shift=shift,
        planned=power.difference_power(welch.welch(0.0, 1.0, n, shift, 1.0, n), ALPHA) if shift else math.nan,
        detected=float(share[0]),
        permutation=float(share[1]),
        mann_whitney=math.nan if n < 30 else float(share[2]),
        equivalent=float(share[3]),
        inconclusive=float(share[4]),
        wrong_direction=float(share[5]),
        single_run_error=float(share[6]),
        single_run_error_true=float(special.ndtr(-shift / math.sqrt(2))),
    )


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


PARTS = ("sizes", "coverages", "one arm", "families", "powers")
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
    chosen = [design for design in designs() if min(design.n_a, design.n_b) in sizes]

    def stream(*name: object) -> np.random.Generator:
        if progress:
            progress(" ".join(str(part) for part in name))
        key = int.from_bytes(" ".join(str(part) for part in name).encode(), "big")
        return np.random.default_rng([rng_seed, *_words(key)])

    def cover(d: Design, shift: float) -> Coverages:
        with_bootstrap = shift == 0.0 and max(d.n_a, d.n_b) <= 100
        rng = stream("coverage", d, shift)
        return coverages_of(d, shift, replicates=replicates, rng=rng, bootstrap=with_bootstrap)

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
    found = {name: tuple(measure()) if name in parts else () for name, measure in measures.items()}
    return Calibration(
        replicates=replicates,
        rng_seed=rng_seed,
        sizes=found["sizes"],
        coverages=found["coverages"],
        one_arm=found["one arm"],
        families=found["families"],
        powers=found["powers"],
    )


def _words(key: int) -> list[int]:
    words = []
    while key:
        words.append(key & 0xFFFFFFFF)
        key >>= 32
    return words


def _cell(value: float, *, too_high: float | None = None, too_low: float | None = None) -> str:
    """Return a figure; bold where it misses what is promised."""
    if math.isnan(value):
        return "·"
    text = f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1.000"
    misses = (too_high is not None and value > too_high) or (too_low is not None and value < too_low)
    return f"**{text}**" if misses else text


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def tables(result: Calibration) -> dict[str, str]:
    """Return the measured figures as Markdown tables by name."""
    limit = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / result.replicates)
    sizes = [
        (
            row.design.name,
            f"{row.design.n_a} / {row.design.n_b}",
            *(
                _cell(value, too_high=limit)
                for value in (
                    row.welch,
                    row.verdict,
                    row.equivalent,
                    row.permutation,
                    row.mann_whitney,
                    row.brunner_munzel,
                )
            ),
            _cell(row.warned),
            _cell(row.no_spread),
        )
        for row in result.sizes
    ]
    coverages = [
        (
            row.design.name,
            f"{row.design.n_a} / {row.design.n_b}",
            f"{row.shift:g}",
            *(
                _cell(value, too_low=LEVEL - 0.02)
                for value in (row.difference, row.hedges_g, row.prob_b_greater, row.ratio, row.bootstrap)
            ),
            _cell(row.hodges_lehmann, too_low=row.hodges_lehmann_level - 0.02),
            _cell(row.hodges_lehmann_level),
        )
        for row in result.coverages
    ]
    one = [
        (
            arm.shape,
            str(arm.n),
            *(_cell(value, too_low=LEVEL - 0.02) for value in (arm.mean, arm.std, arm.std_robust)),
            _cell(arm.median, too_low=arm.median_level - 0.02),
            _cell(arm.median_level),
            *(_cell(value, too_low=LEVEL - 0.02) for value in (arm.new_seed, arm.tolerance)),
            _cell(arm.warned),
        )
        for arm in result.one_arm
    ]
    families = [
        (
            str(row.k),
            row.spreads,
            str(row.n),
            *(
                _cell(value, too_high=limit)
                for value in (row.welch_holm, row.games_howell, row.dunnett, row.interaction)
            ),
        )
        for row in result.families
    ]
    powers = [
        (
            str(row.n),
            f"{row.shift:g}",
            *(
                _cell(value)
                for value in (
                    row.planned,
                    row.detected,
                    row.permutation,
                    row.mann_whitney,
                    row.equivalent,
                    row.inconclusive,
                    row.wrong_direction,
                    row.single_run_error,
                    row.single_run_error_true,
                )
            ),
        )
        for row in result.powers
    ]
    return {
        "sizes": _table(
            (
                "seeds drawn from",
                "n_A / n_B",
                "Welch",
                "better or worse",
                "equivalent",
                "permutation",
                "Mann-Whitney",
                "Brunner-Munzel",
                "warned",
                "no spread",
            ),
            sizes,
        ),
        "coverages": _table(
            (
                "seeds drawn from",
                "n_A / n_B",
                "difference / std",
                "difference",
                "Hedges g",
                "P(B > A)",
                "std ratio",
                "bootstrap",
                "Hodges-Lehmann",
                "its level",
            ),
            coverages,
        ),
        "one arm": _table(
            (
                "seeds drawn from",
                "n",
                "mean",
                "std",
                "std robust",
                "median",
                "its level",
                "new seed",
                "tolerance",
                "warned",
            ),
            one,
        ),
        "families": _table(
            ("recipes", "spreads", "n", "Welch-Holm", "Games-Howell", "Dunnett", "interaction 2 x 2"), families
        ),
        "powers": _table(
            (
                "n",
                "difference / std",
                "planned",
                "detected",
                "permutation",
                "Mann-Whitney",
                "equivalent",
                "inconclusive",
                "wrong direction",
                "printed single-run error",
                "true",
            ),
            powers,
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the calibration and put its tables into a document between the marks ``<!-- name -->``."""
    parser = argparse.ArgumentParser(prog="python -m seedstudy.stats.calibration", description=__doc__)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--rng-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SIZES), help="numbers of seeds per arm")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="tables to measure")
    parser.add_argument("--into", type=Path, help="document whose tables are replaced; default: print")
    options = parser.parse_args(arguments)
    started = time.monotonic()

    def progress(line: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {line}", file=sys.stderr)

    result = calibrate(
        replicates=options.replicates,
        rng_seed=options.rng_seed,
        sizes=tuple(options.seeds),
        parts=tuple(options.only),
        progress=progress,
    )
    found = {name: table for name, table in tables(result).items() if name in options.only}
    if options.into is None:
        for name, table in found.items():
            print(f"## {name}\n\n{table}\n")
        return 0
    text = options.into.read_text(encoding="utf-8")
    for name, table in found.items():
        text = _replaced(text, name, table)
    options.into.write_text(text, encoding="utf-8")
    return 0


def _replaced(text: str, name: str, table: str) -> str:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{table}\n{end}{after}"


if __name__ == "__main__":
    raise SystemExit(main())
