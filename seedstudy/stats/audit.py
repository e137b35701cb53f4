"""What numbers of one run each say, once the spread over seeds is known from elsewhere.

A cell of a published table is one draw (or the mean, or the best, of a few) from the distribution over seeds of its
recipe. The standard deviation `sd` of a single run comes from a reference sweep; `df` are its degrees of freedom,
infinite where it counts as known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.best_of import normal_best
from seedstudy.stats.many import adjust
from seedstudy.stats.result import honest_p

Values = NDArray[np.float64]
Kind = Literal["mean", "best"]

_POINTS = 801
_SCALES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """What stands behind every number of a table."""

    kind: Kind = "mean"
    n: int = 1
    """Seeds behind each number: its mean (1: a single run) or its best."""

    def __post_init__(self) -> None:
        """Refuse no seed at all."""
        if self.n < 1:
            raise StatisticsError(f"{self.n} seeds behind each number: at least 1")

    @property
    def spread(self) -> float:
        """Standard deviation of a number, in units of that of a single run."""
        return 1.0 / math.sqrt(self.n) if self.kind == "mean" else best_spread(self.n)

    @property
    def lift(self) -> float:
        """Expected number minus the recipe's mean, in the same units; lower is better: with the other sign."""
        return 0.0 if self.kind == "mean" else normal_best(self.n)

    def __str__(self) -> str:
        """Return it in words."""
        if self.n == 1:
            return "single run"
        return f"{'mean' if self.kind == 'mean' else 'best'} of {self.n}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two numbers compared: `b` minus `a`, by position."""

    a: int
    b: int
    difference: float
    p_value: float
    p_adjusted: float
    """By Holm, over the family the pair was given in."""


def pair_p(difference: float, sd: float, *, cells: Cells = Cells(), df: float = math.inf) -> float:
    """Return the two-sided p-value of two numbers whose recipes have equal means.

    For single runs and a known sd it is 2 Phi(-|difference| / (sqrt(2) sd)).
    """
    statistic = abs(difference) / (math.sqrt(2.0) * cells.spread * sd)
    return honest_p(2.0 * float(special.ndtr(-statistic) if math.isinf(df) else special.stdtr(df, -statistic)))


def compare_pairs(
    values: Values,
    pairs: list[tuple[int, int]],
    sd: Values,
    *,
    cells: Cells = Cells(),
    df: float = math.inf,
) -> tuple[Pair, ...]:
    """Compare pairs of numbers as one family.

    Parameters
    ----------
    values : array, shape (n,)
    sd : array, shape (n,)
        Standard deviation of a single run of each recipe.

    """
    differences = [float(values[b] - values[a]) for a, b in pairs]
    p_values = [
        pair_p(d, math.sqrt((sd[a] ** 2 + sd[b] ** 2) / 2), cells=cells, df=df)
        for d, (a, b) in zip(differences, pairs, strict=True)
    ]
    adjusted = adjust(p_values) if p_values else ()
    return tuple(
        Pair(a=a, b=b, difference=d, p_value=p, p_adjusted=q)
        for (a, b), d, p, q in zip(pairs, differences, p_values, adjusted, strict=True)
    )


def rank_intervals(n: int, pairs: tuple[Pair, ...], alpha: float, *, lower_is_better: bool) -> list[tuple[int, int]]:
    """Return for each of n numbers the ranks its recipe may have (1 is best), right for all together at 1 - alpha.

    From all pairs compared with family-wise error control: as many as are shown to be better stand above it for sure
    (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for ranks", Review of Economic Studies 91).
    """
    above, below = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    for pair in pairs:
        if pair.p_adjusted < alpha:
            is_b_better = (pair.difference > 0) != lower_is_better
            better, worse = (pair.b, pair.a) if is_b_better else (pair.a, pair.b)
            above[worse] += 1
            below[better] += 1
    return [(1 + int(a), n - int(b)) for a, b in zip(above, below, strict=True)]


def prob_best(
    values: Values, sd: float, *, cells: Cells = Cells(), df: float = math.inf, lower_is_better: bool = False
) -> Values:
    """Return the probability that each number's recipe has the best mean, given the table and nothing else.

    A posterior probability under a flat prior for every mean: seed noise is the only doubt it knows of. Numbers that
    are the best of k count as normal with that spread.

    Returns
    -------
    array, shape (n,)
        Sums to 1.

    """
    x = -values if lower_is_better else values
    spread = sd * cells.spread
    scales, weights = _scales(df)
    total = np.zeros(x.size)
    for scale, weight in zip(scales, weights, strict=True):
        width = spread / scale
        grid = np.linspace(x.max() - 9 * width, x.max() + 9 * width, _POINTS)
        z = (grid[None, :] - x[:, None]) / width
        log_below = special.log_ndtr(z)
        density = np.exp(log_below.sum(axis=0)[None, :] - log_below - z**2 / 2)
        share = integrate.simpson(density, x=grid, axis=1)
        total += weight * share / share.sum()
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """What a claimed number says about the mean of its recipe."""

    cells: Cells
    mean: float
    """Estimate of the recipe's mean: the number itself, less what being the best of several lifts it by."""
    low: float
    high: float


def worth(
    value: float, sd: float, cells: Cells, *, level: float = 0.95, df: float = math.inf, lower_is_better: bool = False
) -> Worth:
    """Return estimate and interval of a recipe's mean from one number that is a single run, a mean or a best of k."""
    sign = -1.0 if lower_is_better else 1.0
    upper, lower = _number_quantile(cells, 0.5 + level / 2, df), _number_quantile(cells, 0.5 - level / 2, df)
    ends = sorted([value - sign * sd * upper, value - sign * sd * lower])
    return Worth(cells=cells, mean=value - sign * sd * cells.lift, low=ends[0], high=ends[1])


def shrink(values: Values, sd: float, *, cells: Cells = Cells()) -> tuple[Values, float]:
    """Return the numbers pulled towards their mean by their share of seed noise, and that share.

    The best of a table was also lucky: this is what a new set of seeds would give on average (empirical Bayes, positive
    part; James and Stein 1961, Efron and Morris 1975). At least four numbers; fewer come back as they are.
    """
    k = values.size
    spread = sd * cells.spread
    total = float(np.sum(np.square(values - values.mean())))
    if k < 4 or total == 0.0:
        return values.copy(), 0.0
    share = min(1.0, (k - 3) * spread**2 / total)
    return values.mean() + (1.0 - share) * (values - values.mean()), share


@lru_cache(maxsize=64)
def best_spread(n: int) -> float:
    """Return the standard deviation of the largest of n standard normal seeds."""
    second, _ = integrate.quad(
        lambda x: x**2 * n * np.exp(stats.norm.logpdf(x) + (n - 1) * stats.norm.logcdf(x)), -10.0, 12.0, epsabs=1e-12
    )
    return math.sqrt(second - normal_best(n) ** 2)


def _number_quantile(cells: Cells, p: float, df: float) -> float:
    """Return the quantile of (number - mean of the recipe) / sd, where sd may be estimated."""
    scales, weights = _scales(df)

    def below(q: float) -> float:
        if cells.kind == "mean":
            return float(weights @ special.ndtr(q * scales * math.sqrt(cells.n))) - p
        return float(weights @ np.exp(cells.n * special.log_ndtr(q * scales))) - p

    return float(optimize.brentq(below, -200.0, 200.0, xtol=1e-10))


def _scales(df: float) -> tuple[Values, Values]:
    """Return points and weights of s / sigma of the reference sweep."""
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    shares, weights = np.polynomial.legendre.leggauss(_SCALES)
    return np.sqrt(stats.chi2.ppf((1 + shares) / 2, df) / df), weights / 2
