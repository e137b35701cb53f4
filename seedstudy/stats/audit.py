"""What numbers of one run each say, once the spread over seeds is known from elsewhere.

A cell of a published table is one draw (or the mean, or the best, of a few) from the distribution over seeds of its
recipe. The standard deviation `sd` of a single run comes from a reference sweep; `df` are its degrees of freedom,
infinite where it counts as known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Floats, as_sample, check_level, mean_of, sd_of

Kind = Literal["mean", "best"]

_POINTS = 801
_SCALES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """How each number of a table was made."""

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
class CellPair:
    """Two numbers of a table compared: `b` minus `a`, by position."""

    a: int
    b: int
    difference: float
    p_value: float
    p_adjusted: float
    """By Holm, over the family the pair was given in."""
    p_adjusted_at_worst: float
    """The same, were every difference the smallest that rounds to the one printed."""


def pair_p(difference: float, sd: float, *, cells: Cells = Cells(), df: float = math.inf) -> float:
    """Return the two-sided p-value of two numbers whose recipes have equal means.

    For single runs and a known sd it is 2 Phi(-|difference| / (sqrt(2) sd)).
    """
    statistic = abs(difference) / (math.sqrt(2.0) * cells.spread * sd)
    return bounded_p(2.0 * float(special.ndtr(-statistic) if math.isinf(df) else special.stdtr(df, -statistic)))


def compare_pairs(
    values: Floats,
    pairs: list[tuple[int, int]],
    sd: Floats,
    *,
    steps: Floats | None = None,
    cells: Cells = Cells(),
    df: float = math.inf,
) -> tuple[CellPair, ...]:
    """Compare pairs of numbers as one family; `sd` has the standard deviation of a single run of each recipe.

    `steps`: what each number is rounded to; None where all are exact.
    """
    differences = [float(values[b] - values[a]) for a, b in pairs]
    sds = [math.sqrt((sd[a] ** 2 + sd[b] ** 2) / 2) for a, b in pairs]
    p_values = [pair_p(d, sd, cells=cells, df=df) for d, sd in zip(differences, sds, strict=True)]
    adjusted = at_worst = adjust(p_values)
    if steps is not None and steps.any():
        open_by = [(steps[a] + steps[b]) / 2 for a, b in pairs]
        least = [max(0.0, abs(d) - step) for d, step in zip(differences, open_by, strict=True)]
        at_worst = adjust([pair_p(d, sd, cells=cells, df=df) for d, sd in zip(least, sds, strict=True)])
    return tuple(
        CellPair(a=a, b=b, difference=d, p_value=p, p_adjusted=p_adjusted, p_adjusted_at_worst=p_at_worst)
        for (a, b), d, p, p_adjusted, p_at_worst in zip(pairs, differences, p_values, adjusted, at_worst, strict=True)
    )


def rank_intervals(n: int, pairs: Sequence[CellPair], alpha: float, *, lower_is_better: bool) -> list[tuple[int, int]]:
    """Return for each of n numbers the ranks its recipe may have (1 is best), right for all together at 1 - alpha.

    From all pairs compared with family-wise error control: as many as are shown to be better rank above it for sure
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
    values: Floats, sd: float, *, cells: Cells = Cells(), df: float = math.inf, lower_is_better: bool = False
) -> Floats:
    """Return the probability that each number's recipe has the best mean, given the table and nothing else.

    A posterior probability under a flat prior for every mean: seed noise is the only doubt it knows of. Numbers that
    are the best of k count as normal with that spread.
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
    """The mean of a recipe, as estimated from one claimed number."""

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
    low, high = sorted(value - sign * sd * _number_quantile(cells, p, df) for p in (0.5 + level / 2, 0.5 - level / 2))
    return Worth(cells=cells, mean=value - sign * sd * cells.lift, low=low, high=high)


def shrink(values: Floats, sd: float, *, cells: Cells = Cells()) -> tuple[Floats, float]:
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


def _number_quantile(cells: Cells, p: float, df: float) -> float:
    """Return the quantile of (number - mean of the recipe) / sd, where sd may be estimated."""
    scales, weights = _scales(df)

    def below(q: float) -> float:
        if cells.kind == "mean":
            return float(weights @ special.ndtr(q * scales * math.sqrt(cells.n))) - p
        return float(weights @ np.exp(cells.n * special.log_ndtr(q * scales))) - p

    return float(optimize.brentq(below, -200.0, 200.0, xtol=1e-10))


def _scales(df: float) -> tuple[Floats, Floats]:
    """Return points and weights of s / sigma of the reference sweep."""
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    shares, weights = np.polynomial.legendre.leggauss(_SCALES)
    return np.sqrt(stats.chi2.ppf((1 + shares) / 2, df) / df), weights / 2


# --- the best of several seeds -------------------------------------------------------------------------


def expected_best(values: ArrayLike, n: int) -> float:
    """Return the expected largest of n seeds, as these values tell it (negate them if lower is better).

    The average over all subsets of n seeds, which is unbiased: Tang et al. (2020). n is at most the number of seeds.
    """
    ordered = np.sort(as_sample(values))
    size = ordered.size
    if not 1 <= n <= size:
        raise StatisticsError(f"best of {n}: only 1 to {size} can be estimated from {size} seeds; train more seeds")
    rank = np.arange(1, size + 1)
    log_weights = _log_choose(rank - 1, n - 1) - _log_choose(np.array([size]), n)
    return float(np.where(rank >= n, np.exp(log_weights), 0.0) @ ordered)


def best_of(values: ArrayLike, n: int, *, level: float = 0.95, lower_is_better: bool = False) -> Estimate:
    """Return the expected best of n seeds with its interval.

    The value is the unbiased estimate of `expected_best` where the seeds suffice (n up to their number), else that of a
    normal distribution, mean + e_n std. The interval is that of mean + e_n std for normal seeds (noncentral t), exact
    at any number of seeds and for any n. `values` has one number per seed, at least 2.
    """
    check_level(level)
    sample = as_sample(values, at_least=2)
    if n < 1:
        raise StatisticsError(f"best of {n}: at least 1 seed")
    x = -sample if lower_is_better else sample
    mean, sd, size = mean_of(x), sd_of(x), x.size
    warnings: tuple[str, ...] = ()
    if n <= size:
        value, method = expected_best(x, n), "unbiased (Tang et al. 2020), interval for normal seeds"
    else:
        value, method = mean + normal_best(n) * sd, "normal seeds"
        warnings = (f"best of {n} from {size} seeds goes beyond the seeds: it rests on the normal distribution",)
    ends = [mean + factor * sd for factor in _best_factors(size, n, level)]
    best = Estimate.of(value, ends, level=level, n=size, method=method, warnings=warnings)
    return best.mirrored() if lower_is_better else best


@lru_cache(maxsize=256)
def _best_factors(size: int, n: int, level: float) -> tuple[float, float]:
    """Return how many std of the sample the ends of the interval lie above its mean."""
    # sqrt(size) (mean - truth) / sd is noncentral t, where truth = true mean + e_n true sd.
    shift = -normal_best(n) * np.sqrt(size)
    low, high = (float(stats.nct.ppf(p, size - 1, shift)) for p in (0.5 + level / 2, 0.5 - level / 2))
    return -low / np.sqrt(size), -high / np.sqrt(size)


def normal_best(n: int) -> float:
    """Return the expected largest of n standard normal seeds: how many std the best of n lies above the mean."""
    return _best_moment(n, 1)


def best_spread(n: int) -> float:
    """Return the standard deviation of the largest of n standard normal seeds."""
    return math.sqrt(_best_moment(n, 2) - normal_best(n) ** 2)


@lru_cache(maxsize=256)
def _best_moment(n: int, order: int) -> float:
    """Return a moment of the largest of n standard normal seeds, whose density is n phi Phi^(n - 1)."""

    def integrand(x: float) -> float:
        log_density = -(x**2) / 2 - math.log(2 * math.pi) / 2 + (n - 1) * float(special.log_ndtr(x))
        return x**order * n * math.exp(log_density)

    return float(integrate.quad(integrand, -10.0, 12.0, epsabs=1e-12)[0])


def _log_choose(n: NDArray[np.int64], k: int) -> Floats:
    """Return log C(n, k); meaningless where n < k."""
    safe = np.maximum(n, k)
    return np.asarray(special.gammaln(safe + 1) - special.gammaln(k + 1) - special.gammaln(safe - k + 1))
