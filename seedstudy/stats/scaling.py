"""Error against cost: a power law with its interval and its misfit, and two strategies at equal cost.

Cells (networks, sizes, lengths of training) have a cost, a mean error and some seeds. The spread over seeds is pooled
over cells: with two or three seeds each, a cell's own standard deviation says next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Floats, Sample, mean_of

FEWEST_CELLS = 5
"""Below this many costs, a law with three parameters leaves nothing to judge it by."""
_SLOWEST, _FASTEST = 0.02, 4.0
"""Exponents that are tried, without their sign: a slower law looks like a logarithm, a faster one like a step."""
_EXPONENTS = -np.geomspace(_FASTEST, _SLOWEST, 240)
_MOST_AT_EDGE = 0.025
"""Share of replicates with an exponent at the end of the range from which it has no interval."""
_POINTS = 201


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """Standard deviation over seeds, one for all cells."""

    sd: float
    df: float
    """Degrees of freedom behind it; infinite where it was given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """``error = floor + scale * (cost / reference) ** exponent``."""

    floor: Estimate
    """Error that no cost removes."""
    scale: Estimate
    """Error above the floor at the reference cost."""
    exponent: Estimate
    reference: float
    """Geometric mean of the costs."""
    misfit: float
    """Root mean square of what the cells deviate from the curve beyond seed noise, in the unit of the error."""
    misfit_high: float
    """Its one-sided upper limit, at 1 - alpha."""
    misfit_p: float
    """p of no misfit: the lack-of-fit F test (Draper and Smith 1998, section 2.1)."""
    residuals: Floats
    """Mean error of each cell minus the curve."""
    warnings: tuple[str, ...] = ()

    def at(self, costs: Floats) -> Floats:
        """Return the curve's error at these costs."""
        curve: Floats = self.floor.value + self.scale.value * (costs / self.reference) ** self.exponent.value
        return curve


def pooled_noise(samples: Sequence[Sample]) -> Noise | None:
    """Return the standard deviation within cells; None where no cell has two different seeds."""
    df = sum(sample.size - 1 for sample in samples)
    squares = sum(float(np.sum(np.square(sample - mean_of(sample)))) for sample in samples)
    return Noise(sd=math.sqrt(squares / df), df=df) if df and squares else None


def fit_law(
    costs: Floats,
    samples: Sequence[Sample],
    noise: Noise,
    *,
    level: float = 0.95,
    alpha: float = 0.05,
    replicates: int = 2000,
    rng_seed: int = 0,
) -> Law:
    """Fit a power law by least squares, weighted by the number of seeds.

    Intervals are of a bootstrap over seeds: each replicate gives every cell the mean of as many deviations as it has
    seeds. Those are drawn from the deviations of all seeds from their cell's mean, widened by sqrt(n / (n - 1)) so that
    their variance is right; where the noise was given, from a normal. Percentiles are taken bias-corrected (Efron 1987,
    without acceleration) and stretched by the ratio of Student's quantile to the normal one. The floor is not kept
    above zero, which would make its interval too narrow.

    Parameters
    ----------
    costs, samples
        One cost per cell, and its errors, one per seed.

    Raises
    ------
    StatisticsError
        A cost that is not positive, or too few different costs.

    """
    costs = np.asarray(costs, dtype=np.float64)
    n_seeds = np.array([sample.size for sample in samples])
    means = np.array([mean_of(sample) for sample in samples])
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        raise StatisticsError("a cost must be a positive number")
    if np.unique(costs).size < FEWEST_CELLS:
        raise StatisticsError(
            f"{np.unique(costs).size} different costs: a power law with a floor needs at least {FEWEST_CELLS}"
        )
    reference = float(np.exp(np.average(np.log(costs), weights=n_seeds)))
    fitter = _Fitter(costs / reference, n_seeds.astype(np.float64))
    (estimate,), (squares,), _ = fitter.fit(means[None])
    draws = _deviations(samples, noise, replicates, np.random.default_rng(rng_seed))
    replicated, _, is_edge = fitter.fit(means + draws)

    warnings = []
    share = max(float(is_edge.mean()), float(_is_edge(estimate[2])))
    ends = np.full((2, 3), np.nan)
    if share <= _MOST_AT_EDGE:
        ends = _bias_corrected(estimate, replicated, level=level, df=noise.df)
    else:
        warnings.append(
            "the costs span too little, or the noise is too large, to tell floor and exponent from each other: "
            "they have no interval"
        )
    if estimate[0] < 0:
        warnings.append("the floor is below zero: the law does not hold far beyond these costs")
    n = int(n_seeds.sum())
    floor, scale, exponent = (
        Estimate.of(value, pair, level=level, n=n, method="seed bootstrap")
        for value, pair in zip(estimate, ends.T, strict=True)
    )
    df = costs.size - 3
    statistic = squares / df / noise.sd**2
    p = float(special.fdtrc(df, noise.df, statistic) if math.isfinite(noise.df) else special.chdtrc(df, df * statistic))
    to_rms = noise.sd / math.sqrt(n)
    return Law(
        floor=floor,
        scale=scale,
        exponent=exponent,
        reference=reference,
        misfit=to_rms * math.sqrt(max(0.0, df * (statistic - 1.0))),
        misfit_high=to_rms * math.sqrt(_largest_noncentrality(statistic, df, noise.df, alpha)),
        misfit_p=bounded_p(p),
        residuals=means - fitter.curve(estimate),
        warnings=tuple(warnings),
    )


def break_of(costs: Floats, samples: Sequence[Sample], noise: Noise) -> tuple[float, float] | None:
    """Return where one law breaks: the cost, and how far the dearer cells lie above the law of the cheaper ones.

    The split is the one whose two laws leave the smallest squares; each side has `FEWEST_CELLS` costs at least. The
    second number is the mean residual of the cells above the split from the law of those below it. None where there are
    too few cells to split.
    """
    order = np.argsort(costs, kind="stable")
    costs, means = costs[order], np.array([mean_of(samples[i]) for i in order])
    n_seeds = np.array([samples[i].size for i in order], dtype=np.float64)
    reference = float(np.exp(np.log(costs).mean()))
    best: tuple[float, float, float] | None = None
    for split in range(1, costs.size):
        below, above = slice(None, split), slice(split, None)
        if min(np.unique(costs[below]).size, np.unique(costs[above]).size) < FEWEST_CELLS:
            continue
        fits = [_Fitter(costs[part] / reference, n_seeds[part]) for part in (below, above)]
        (low, low_squares, _), (_, high_squares, _) = (
            fitter.fit(means[None, part]) for fitter, part in zip(fits, (below, above), strict=True)
        )
        squares = float(low_squares[0] + high_squares[0])
        if best is None or squares < best[0]:
            expected = low[0, 0] + low[0, 1] * (costs[above] / reference) ** low[0, 2]
            gap = float(np.average(means[above] - expected, weights=n_seeds[above]))
            best = squares, float(math.sqrt(costs[split - 1] * costs[split])), gap
    return None if best is None else best[1:]


@dataclass(frozen=True, kw_only=True, slots=True)
class AtEqualCost:
    """Error of strategy B minus that of A, at the costs that both reach."""

    low: float
    high: float
    """The shared range of costs."""
    difference: Estimate
    """Mean over the range, in the unit of the error; every octave of cost counts the same."""
    at_low: Estimate
    at_high: Estimate
    p_value: float
    equivalence_p: float | None
    """Larger of the two one-sided p of a difference beyond the margin; None without a margin."""


def at_equal_cost(
    costs_a: Floats,
    samples_a: Sequence[Sample],
    costs_b: Floats,
    samples_b: Sequence[Sample],
    noise: Noise,
    *,
    level: float = 0.95,
    margin: float | None = None,
) -> AtEqualCost | None:
    """Compare two strategies over the costs that both reach; None where the ranges do not overlap.

    Mean errors are interpolated linearly in the logarithm of the cost, so that every number here is a weighted sum of
    cell means: its standard error is exact, and no curve is assumed. Nothing is extrapolated.
    """
    low = max(costs_a.min(), costs_b.min())
    high = min(costs_a.max(), costs_b.max())
    if not low < high:
        return None
    points = np.linspace(math.log(low), math.log(high), _POINTS)
    weights = [_interpolation(np.log(costs), points) for costs in (costs_a, costs_b)]
    means = [np.array([mean_of(sample) for sample in samples]) for samples in (samples_a, samples_b)]
    n_seeds = [np.array([sample.size for sample in samples]) for samples in (samples_a, samples_b)]

    def difference(rows: slice) -> tuple[float, float]:
        """Return the mean difference over some of the points, and its standard error."""
        values, variance = [], 0.0
        for of_arm, of_cell, n in zip(weights, means, n_seeds, strict=True):
            average = of_arm[rows].mean(axis=0)
            values.append(float(average @ of_cell))
            variance += float(np.sum(np.square(average) / n)) * noise.sd**2
        return values[1] - values[0], math.sqrt(variance)

    n = (int(n_seeds[0].sum()), int(n_seeds[1].sum()))
    quantile = float(stats.t.ppf((1.0 + level) / 2.0, noise.df))

    def estimate(rows: slice) -> Estimate:
        value, se = difference(rows)
        ends = (value - quantile * se, value + quantile * se)
        return Estimate.of(value, ends, level=level, n=n, method="pooled t")

    value, se = difference(slice(None))
    p = 2.0 * float(stats.t.sf(abs(value) / se, noise.df))
    outside = None if margin is None else float(stats.t.sf((margin - abs(value)) / se, noise.df))
    return AtEqualCost(
        low=float(low),
        high=float(high),
        difference=estimate(slice(None)),
        at_low=estimate(slice(0, 1)),
        at_high=estimate(slice(-1, None)),
        p_value=bounded_p(p),
        equivalence_p=outside,
    )


def rank_agreement(a: Floats, b: Floats, *, level: float = 0.95) -> Estimate:
    """Return Spearman's rank correlation of two errors per cell, and its interval over cells.

    Fisher's z with the standard error of Bonett and Wright (2000, "Sample size requirements for estimating Pearson,
    Kendall and Spearman correlations"). No interval below five cells.
    """
    value = float(stats.spearmanr(a, b).statistic)
    ends = None
    if a.size >= 5 and abs(value) < 1.0:
        half = float(special.ndtri((1.0 + level) / 2.0)) * math.sqrt((1.0 + value**2 / 2.0) / (a.size - 3))
        ends = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return Estimate.of(value, ends, level=level, n=int(a.size), method="Fisher z, over cells")


def fronts(costs: Floats, means: Floats, n_seeds: NDArray[Any], noise: Noise | None, *, alpha: float) -> list[str]:
    """Say of each cell whether it is on the Pareto front: ``on``, ``off``, or ``?`` where seeds leave it open.

    A cell is off where one that costs no more has a smaller error, and on where every one that costs no more has a
    larger error; each comparison by the pooled t test, Bonferroni over a cell's comparisons. Without noise all
    differences count.
    """
    words = []
    for cell in range(costs.size):
        rivals = np.array([i for i in range(costs.size) if i != cell and costs[i] <= costs[cell]], dtype=int)
        lead = means[rivals] - means[cell]
        needed = np.zeros(rivals.size)
        if noise is not None and rivals.size:
            se = noise.sd * np.sqrt(1.0 / n_seeds[rivals] + 1.0 / n_seeds[cell])
            needed = float(stats.t.ppf(1.0 - alpha / 2 / rivals.size, noise.df)) * se
        if (lead < -needed).any():
            words.append("off")
        elif (lead > needed).all():
            words.append("on")
        else:
            words.append("?")
    return words


# --- details --------------------------------------------------------------------------------------------


class _Fitter:
    """Weighted least squares for many sets of means at once: linear in floor and scale, a search over the exponent."""

    def __init__(self, costs: Floats, weights: Floats) -> None:
        self._costs, self._weights = costs, weights / weights.sum()
        self._roots = np.sqrt(weights)
        bases = np.stack([np.broadcast_to(self._roots, (_EXPONENTS.size, costs.size))] * 2, axis=2)
        bases = bases * np.stack([np.ones((_EXPONENTS.size, costs.size)), costs ** _EXPONENTS[:, None]], axis=2)
        self._bases, _ = np.linalg.qr(bases)  # (n_exponents, n_cells, 2), orthonormal

    def fit(self, means: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return for each row of means (floor, scale, exponent), the weighted squares, and whether it is at an edge."""
        scaled = means * self._roots
        parts = np.einsum("gki,bk->bgi", self._bases, scaled, optimize=True)
        squares = np.square(scaled).sum(axis=1)[:, None] - np.square(parts).sum(axis=2)
        best = squares.argmin(axis=1)
        is_edge = (best == 0) | (best == _EXPONENTS.size - 1)
        exponents = self._refined(squares, best)
        powers = self._costs ** exponents[:, None]
        centre, level = (powers * self._weights).sum(axis=1), (means * self._weights).sum(axis=1)
        away = powers - centre[:, None]
        scale = ((means - level[:, None]) * away * self._weights).sum(axis=1) / (away**2 * self._weights).sum(axis=1)
        floor = level - scale * centre
        left = np.square((means - floor[:, None] - scale[:, None] * powers) * self._roots).sum(axis=1)
        return np.stack([floor, scale, exponents], axis=1), left, is_edge

    def curve(self, parameters: Floats) -> Floats:
        """Return the errors of one fit at the fitter's costs."""
        floor, scale, exponent = parameters
        curve: Floats = floor + scale * self._costs**exponent
        return curve

    @staticmethod
    def _refined(squares: Floats, best: NDArray[np.intp]) -> Floats:
        """Return the exponents at the vertex of the parabola through each minimum and its neighbours."""
        logs = np.log(-_EXPONENTS)
        middle = np.clip(best, 1, logs.size - 2)
        rows = np.arange(best.size)
        y0, y1, y2 = (squares[rows, middle + step] for step in (-1, 0, 1))
        spacing = logs[1] - logs[0]
        bend = y0 - 2.0 * y1 + y2
        step = np.where(bend > 0, (y0 - y2) / (2.0 * np.where(bend > 0, bend, 1.0)), 0.0)
        exponents: Floats = -np.exp(logs[middle] + spacing * np.clip(step, -1.0, 1.0))
        return exponents


def _is_edge(exponent: float) -> bool:
    return not _SLOWEST * 1.02 < -exponent < _FASTEST * 0.98


def _interpolation(logs: Floats, points: Floats) -> Floats:
    """Return the weight of each cell at each point, (n_points, n_cells); cells of equal cost are averaged."""
    knots, place, counts = np.unique(logs, return_inverse=True, return_counts=True)
    left = np.clip(np.searchsorted(knots, points, side="right") - 1, 0, knots.size - 2)
    share = np.clip((points - knots[left]) / (knots[left + 1] - knots[left]), 0.0, 1.0)
    of_knot = np.zeros((points.size, knots.size))
    rows = np.arange(points.size)
    of_knot[rows, left], of_knot[rows, left + 1] = 1.0 - share, share
    weights: Floats = of_knot[:, place] / counts[place]
    return weights


def _deviations(samples: Sequence[Sample], noise: Noise, replicates: int, rng: np.random.Generator) -> Floats:
    """Return what replicates add to each cell's mean, shape (replicates, n_cells)."""
    if math.isfinite(noise.df):
        several = [sample for sample in samples if sample.size > 1]
        pool = np.concatenate([(s - mean_of(s)) * math.sqrt(s.size / (s.size - 1)) for s in several])
        columns = [rng.choice(pool, (replicates, sample.size)).mean(axis=1) for sample in samples]
    else:
        columns = [rng.normal(0.0, noise.sd / math.sqrt(sample.size), replicates) for sample in samples]
    return np.stack(columns, axis=1)


def _bias_corrected(estimate: Floats, replicated: Floats, *, level: float, df: float) -> Floats:
    """Return the ends of the intervals, shape (2, n_parameters)."""
    tail = float(special.ndtri((1.0 + level) / 2.0))
    stretch = float(stats.t.ppf((1.0 + level) / 2.0, df)) / tail
    bias = special.ndtri(np.clip((replicated < estimate).mean(axis=0), 1e-3, 1.0 - 1e-3))
    ends = np.empty((2, estimate.size))
    for row, side in enumerate((-1.0, 1.0)):
        shares = special.ndtr(2.0 * bias + side * tail)
        percentiles = [np.quantile(replicated[:, i], share) for i, share in enumerate(shares)]
        ends[row] = estimate + stretch * (np.array(percentiles) - estimate)
    return ends


def _largest_noncentrality(statistic: float, df: float, noise_df: float, alpha: float) -> float:
    """Return the noncentrality at which so small an F statistic, or a smaller one, has probability alpha."""

    def share(noncentrality: float) -> float:
        if math.isfinite(noise_df):
            return float(stats.ncf.cdf(statistic, df, noise_df, noncentrality)) - alpha
        return float(stats.ncx2.cdf(df * statistic, df, noncentrality)) - alpha

    if share(1e-9) <= 0.0:
        return 0.0
    high = 4.0 * df * max(1.0, statistic) + 20.0
    while share(high) > 0.0:
        high *= 2.0
    return float(optimize.brentq(share, 1e-9, high))
