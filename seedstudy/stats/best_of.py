"""What reporting the best of several seeds does to a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.sample import as_sample


def expected_best(values: ArrayLike, n: int, *, with_replacement: bool = False) -> float:
    """Return the expected largest of n seeds, as these values tell it (negate them if lower is better).

    Parameters
    ----------
    values : array_like, shape (n_seeds,)
        One number per seed.
    n : int
        How many seeds the best is taken of; at most n_seeds without replacement.
    with_replacement : bool
        The plug-in estimate of Dodge et al. (2019), which is biased low; the default is the unbiased one of Tang et
        al. (2020), an average over all subsets of n seeds.

    Raises
    ------
    StatisticsError
        n is below 1 or, without replacement, above the number of seeds.

    """
    ordered = np.sort(as_sample(values))
    size = ordered.size
    if n < 1 or (n > size and not with_replacement):
        raise StatisticsError(f"best of {n}: only 1 to {size} can be estimated from {size} seeds; train more seeds")
    rank = np.arange(1, size + 1)
    if with_replacement:
        weights = (rank / size) ** n - ((rank - 1) / size) ** n
    else:
        log_weights = _log_choose(rank - 1, n - 1) - _log_choose(np.array([size]), n)
        weights = np.where(rank >= n, np.exp(log_weights), 0.0)
    return float(weights @ ordered)


def normal_best(n: int) -> float:
    """Return the expected largest of n standard normal seeds: how many std the best of n lies above the mean."""
    value, _ = integrate.quad(
        lambda x: x * n * np.exp(stats.norm.logpdf(x) + (n - 1) * stats.norm.logcdf(x)), -10.0, 12.0, epsabs=1e-12
    )
    return float(value)


def _log_choose(n: np.ndarray[tuple[int], np.dtype[np.int64]], k: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return log C(n, k); meaningless where n < k."""
    safe = np.maximum(n, k)
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        special.gammaln(safe + 1) - special.gammaln(k + 1) - special.gammaln(safe - k + 1)
    )
    return result
