"""What reporting the best of several seeds does to a number."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import as_sample, check_level, mean_of, sd_of


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


def best_of(values: ArrayLike, n: int, *, level: float = 0.95, lower_is_better: bool = False) -> Estimate:
    """Return the expected best of n seeds with its interval.

    The value is the unbiased estimate of `expected_best` where the seeds suffice (n up to their number), else that of a
    normal distribution, mean + e_n std. The interval is that of mean + e_n std for normal seeds (noncentral t), exact
    at any number of seeds and for any n.

    Parameters
    ----------
    values : array_like, shape (n_seeds,)
        One number per seed, at least 2.
    n : int
        How many seeds the best is taken of.

    Raises
    ------
    StatisticsError
        Fewer than 2 seeds, or n below 1.

    """
    check_level(level)
    sample = as_sample(values, at_least=2)
    if n < 1:
        raise StatisticsError(f"best of {n}: at least 1 seed")
    x = -sample if lower_is_better else sample
    mean, sd, size = mean_of(x), sd_of(x), x.size
    lift = normal_best(n)
    warnings: tuple[str, ...] = ()
    if n <= size:
        value, method = expected_best(x, n), "unbiased (Tang et al. 2020), interval for normal seeds"
    else:
        value, method = mean + lift * sd, "normal seeds"
        warnings = (f"best of {n} from {size} seeds goes beyond the seeds: it rests on the normal distribution",)
    low, high = (mean + factor * sd for factor in _best_factors(size, n, level))
    found = Estimate(value=value, low=low, high=high, level=level, n=size, method=method, warnings=warnings)
    return found.mirrored() if lower_is_better else found


@lru_cache(maxsize=256)
def _best_factors(size: int, n: int, level: float) -> tuple[float, float]:
    """Return how many std of the sample the ends of the interval lie above its mean."""
    # sqrt(size) (mean - truth) / sd is noncentral t, where truth = true mean + e_n true sd.
    shift = -normal_best(n) * np.sqrt(size)
    low, high = (float(stats.nct.ppf(p, size - 1, shift)) for p in (0.5 + level / 2, 0.5 - level / 2))
    return -low / np.sqrt(size), -high / np.sqrt(size)


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
