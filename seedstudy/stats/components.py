"""Components of variance of crossed random sources: what each adds alone, and what combinations of them add.

Balanced tables: the analysis of variance with expected mean squares, and modified large-sample limits (Burdick &
Graybill 1992, "Confidence Intervals on Variance Components"; Ting, Burdick, Graybill, Jeyaratnam & Lu 1990). Tables
with empty cells: restricted maximum likelihood (REML), with limits by Satterthwaite.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.sample import Floats

FEWEST_LEVELS = 5
"""Below this many levels of a source, its component cannot be known; see docs/calibration.md."""
MOST_FOR_REML = 600
"""Observations; REML inverts a matrix of this size in every step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """The variance that one source, or one combination of sources, adds."""

    sources: tuple[int, ...]
    """Axes of the table, in order; empty for repetitions."""
    variance: float
    """Unbiased estimate (of REML: at least 0); may be negative."""
    low: float
    """Of the variance; not below 0."""
    high: float
    df: int
    """Of the mean square of the sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """The components of one table, sources alone first; the last one of the sources includes what no source explains.

    With repetitions, these are a component of their own.
    """

    parts: tuple[Component, ...]
    total: Component
    """Variance of one training with new seeds in every source: the sum of the parts."""
    method: str
    level: float


def subsets(n_sources: int) -> Iterator[tuple[int, ...]]:
    """Yield the sources alone, then the combinations of two, and so on."""
    for size in range(1, n_sources + 1):
        yield from itertools.combinations(range(n_sources), size)


# --- balanced -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sums:
    """Mean squares of a balanced table."""

    squares: dict[tuple[int, ...], float]
    df: dict[tuple[int, ...], int]
    """Empty tuple: within cells, where there are repetitions."""
    n_in: dict[tuple[int, ...], int]
    """Observations that share one level of each of the sources."""


def mean_squares(table: Floats) -> _Sums:
    """Return the mean square of every combination of a table (levels of each source, …, repetitions)."""
    *levels, n_repetitions = table.shape
    axes = tuple(range(len(levels)))
    cells = table.mean(axis=-1)
    effects: dict[tuple[int, ...], Floats] = {(): np.asarray(cells.mean(keepdims=True))}
    squares, df, n_in = {}, {}, {}
    for sources in subsets(len(levels)):
        means = cells.mean(axis=tuple(axis for axis in axes if axis not in sources), keepdims=True)
        smaller = (subset for size in range(len(sources)) for subset in itertools.combinations(sources, size))
        effects[sources] = means - sum(effects[subset] for subset in smaller)
        n_in[sources] = table.size // math.prod(levels[axis] for axis in sources)
        df[sources] = math.prod(levels[axis] - 1 for axis in sources)
        squares[sources] = n_in[sources] * float((effects[sources] ** 2).sum()) / df[sources]
    if n_repetitions > 1:
        df[()] = cells.size * (n_repetitions - 1)
        squares[()] = float(((table - cells[..., None]) ** 2).sum()) / df[()]
    return _Sums(squares, df, n_in)


def weights_of(sources: tuple[int, ...], sums: _Sums) -> dict[tuple[int, ...], float]:
    """Return the weight of each mean square in the unbiased estimate of a component.

    The expected mean square of S is the sum over all T that contain S of (observations in one cell of T) times
    the component of T, and the variance within cells.
    """
    if not sources:
        return {(): 1.0}
    n = sums.n_in[sources]
    found = {
        other: (-1) ** (len(other) - len(sources)) / n for other in sums.squares if other and set(sources) <= set(other)
    }
    if len(found) == 1 and () in sums.squares:
        found[()] = -1.0 / n
    return found


def balanced_components(table: ArrayLike, *, level: float = 0.95) -> Components:
    """Return the components of a complete table, shape (levels of each source, …, repetitions).

    Raises StatisticsError for a table of fewer than two levels of a source.
    """
    y = np.asarray(table, dtype=np.float64)
    if y.ndim < 2 or min(y.shape[:-1]) < 2 or y.shape[-1] < 1:
        raise StatisticsError(f"a table of shape {y.shape}: each source needs two levels")
    sums = mean_squares(y)
    names = [*subsets(y.ndim - 1), *([()] if () in sums.squares else [])]
    weights = {sources: weights_of(sources, sums) for sources in names}
    parts = tuple(_component(sources, weights[sources], sums, level) for sources in names)
    whole = {key: sum(each.get(key, 0.0) for each in weights.values()) for key in sums.squares}
    total = _component((), {key: weight for key, weight in whole.items() if abs(weight) > 1e-15}, sums, level)
    return Components(parts=parts, total=total, method="anova, modified large-sample limits", level=level)


def _component(sources: tuple[int, ...], weights: dict[tuple[int, ...], float], sums: _Sums, level: float) -> Component:
    keys = list(weights)
    squares = np.array([sums.squares[key] for key in keys])
    df = np.array([sums.df[key] for key in keys], dtype=np.float64)
    signed = np.array([weights[key] for key in keys])
    low, high = large_sample_limits(squares, df, signed, level)
    estimate = float(signed @ squares)
    return Component(
        sources=sources, variance=estimate, low=max(low, 0.0), high=max(high, 0.0), df=sums.df.get(sources, 0)
    )


def large_sample_limits(squares: Floats, df: Floats, weights: Floats, level: float) -> tuple[float, float]:
    """Return modified large-sample limits of a linear combination of expected mean squares.

    Burdick & Graybill (1992), section 3.3 (positive and negative weights); each limit misses with (1 - level) / 2.
    Exact for a single mean square. May be negative.
    """
    tail = (1 - level) / 2
    terms = weights * squares
    is_plus = weights > 0
    estimate = float(terms.sum())
    upper = df / (2 * special.gammaincinv(df / 2, tail))  # mean square times this: its own upper limit
    lower = df / (2 * special.gammainccinv(df / 2, tail))
    g, h = 1 - lower, upper - 1
    low = (np.where(is_plus, g, h) * terms) @ (np.where(is_plus, g, h) * terms)
    high = (np.where(is_plus, h, g) * terms) @ (np.where(is_plus, h, g) * terms)
    plus, minus = np.flatnonzero(is_plus), np.flatnonzero(~is_plus)
    for q, r in itertools.product(plus, minus):
        product = float(terms[q] * -terms[r])
        f_high, f_low = (_f_quantile(p, float(df[q]), float(df[r])) for p in (1 - tail, tail))
        low += product * ((f_high - 1) ** 2 - g[q] ** 2 * f_high**2 - h[r] ** 2) / f_high
        high += product * ((1 - f_low) ** 2 - h[q] ** 2 * f_low**2 - g[r] ** 2) / f_low
    low += _same_sign(plus, terms, df, g, tail)
    high += _same_sign(minus, terms, df, g, tail)
    return estimate - math.sqrt(max(float(low), 0.0)), estimate + math.sqrt(max(float(high), 0.0))


@functools.cache
def _f_quantile(p: float, df_1: float, df_2: float) -> float:
    return float(stats.f.ppf(p, df_1, df_2))


def _same_sign(members: NDArray[np.intp], terms: Floats, df: Floats, g: Floats, tail: float) -> float:
    """Return the cross terms of mean squares whose weights have one sign."""
    found = 0.0
    for q, t in itertools.combinations(members, 2):
        n = df[q] + df[t]
        both = (1 - n / (2 * special.gammainccinv(n / 2, tail))) ** 2 * n**2 / (df[q] * df[t])
        star = both - g[q] ** 2 * df[q] / df[t] - g[t] ** 2 * df[t] / df[q]
        found += float(star * terms[q] * terms[t]) / (len(members) - 1)
    return found


# --- with empty cells -----------------------------------------------------------------------------------


def reml_components(levels: Sequence[ArrayLike], values: ArrayLike, *, level: float = 0.95) -> Components:
    """Return the components of observations of which some cells are missing, by restricted maximum likelihood.

    The combination of all sources is the residual. statsmodels maximises the likelihood; standard errors are those of
    the expected information at the maximum, and the limits are chi-square ones with Satterthwaite's df. A component
    within its normal limits of 0 has a lower limit of 0.

    Parameters
    ----------
    levels : sequence of array_like, each of shape (n,)
        Level of each source, for each observation.
    values : array_like of shape (n,)

    """
    y = np.asarray(values, dtype=np.float64)
    codes = [np.unique(np.asarray(each), return_inverse=True)[1] for each in levels]
    if len(y) > MOST_FOR_REML:
        raise StatisticsError(f"{len(y)} trainings with empty cells: at most {MOST_FOR_REML} can be fitted")
    names = [sources for sources in subsets(len(codes)) if len(sources) < len(codes)]
    shares = [_same_level([codes[axis] for axis in sources]) for sources in names]
    estimates = _reml(y, shares)
    errors = _reml_errors(y, shares, estimates)
    parts = []
    names.append(tuple(range(len(codes))))
    for sources, value, error in zip(names, estimates, np.sqrt(np.diag(errors)), strict=True):
        low, high = _satterthwaite(float(value), float(error), level)
        n_levels = [int(codes[axis].max()) for axis in sources]
        parts.append(Component(sources=sources, variance=float(value), low=low, high=high, df=math.prod(n_levels)))
    sum_, sum_error = float(estimates.sum()), math.sqrt(float(errors.sum()))
    low, high = _satterthwaite(sum_, sum_error, level)
    total = Component(sources=(), variance=sum_, low=low, high=high, df=0)
    return Components(parts=tuple(parts), total=total, method="reml, satterthwaite limits", level=level)


def _same_level(codes: Sequence[NDArray[np.intp]]) -> Floats:
    """Return (n, n): whether two observations share the level of every source."""
    same = np.ones((len(codes[0]), len(codes[0])), dtype=np.bool_)
    for each in codes:
        same &= each[:, None] == each
    return same.astype(np.float64)


def _reml(y: Floats, shares: Sequence[Floats]) -> Floats:
    """Return the components of the shares and of the residual that maximise the restricted likelihood."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    scale = float(y.std())
    if scale == 0.0:
        return np.zeros(len(shares) + 1)
    columns = [_indicator(share) for share in shares]
    spec = VCSpec(
        [str(i) for i in range(len(columns))],
        [[[f"{i}-{j}" for j in range(each.shape[1])]] for i, each in enumerate(columns)],
        [[each] for each in columns],
    )
    model = MixedLM(y / scale, np.ones((len(y), 1)), np.zeros(len(y)), exog_vc=spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a maximum at 0 is one
        fit = model.fit(reml=True, method=["lbfgs"])
    return np.append(np.maximum(fit.vcomp, 0.0), fit.scale) * scale**2


def _indicator(share: Floats) -> Floats:
    """Return (n, n_levels) of the level of each observation."""
    return np.unique(share, axis=0).T


def _reml_errors(y: Floats, shares: Sequence[Floats], estimates: Floats) -> Floats:
    """Return the covariance matrix of REML estimates: the inverse of the expected information."""
    all_shares = [*shares, np.eye(len(y))]
    if not estimates.sum() > 0.0:
        return np.zeros((len(all_shares), len(all_shares)))
    covariance = sum(value * share for value, share in zip(estimates, all_shares, strict=True))
    inverse = np.linalg.pinv(covariance)
    ones = np.ones((len(y), 1))
    p = inverse - inverse @ ones @ ones.T @ inverse / float((ones.T @ inverse @ ones).item())
    products = [p @ share for share in all_shares]
    information = np.array([[0.5 * float((a * b.T).sum()) for b in products] for a in products])
    return np.linalg.pinv(information)


def _satterthwaite(value: float, error: float, level: float) -> tuple[float, float]:
    """Return chi-square limits of a variance with a standard error; the lower one is 0 where the normal one is."""
    tail = (1 - level) / 2
    reach = float(special.ndtri(1 - tail)) * error
    if value <= 1e-6 * error or error <= 0.0:
        return max(value, 0.0), max(value, 0.0) + reach
    df = 2 * (value / error) ** 2
    # The quantiles are 0 and infinite where df is near 0: there neither limit comes from them.
    low = df * value / (2 * float(special.gammainccinv(df / 2, tail))) if value > reach else 0.0
    high = df * value / (2 * float(special.gammaincinv(df / 2, tail))) if df >= 1 else value + reach
    return low, high
