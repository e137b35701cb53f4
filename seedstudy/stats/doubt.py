"""When the default test may err more often than it says. The bounds come from `docs/calibration.md`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
FEWEST_TO_JUDGE = 5
"""Fewer seeds in an arm say nothing about the shape of its distribution."""
MOST_WITHOUT_SHAPE = 10
"""Up to this many seeds in an arm the skews that spoil error rates go unseen too often; the output says so always."""
_SKEWED_DIFFERENCE, _SKEWED_MEAN = 0.1, 0.25
"""Skewness of the estimate from which one-sided errors leave [.03, .07], or coverage of a mean falls below .93."""
_SURPRISING = 1.5
"""Standard errors above which a skewness counts as seen."""


def skewness_of_difference(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return the skewness of the difference of means, and the standard error that it has for normal seeds.

    To first order the error rates of a t test depend on the distribution of the seeds through this number only; it is
    0 for equal sizes and spreads whatever skewness both arms share.

    Parameters
    ----------
    a, b : arrays, shapes (n_samples, n_a), (n_samples, n_b)
        Each row at least 3 seeds.

    """
    parts = []
    for rows in (a, b):
        n = rows.shape[1]
        centred = rows - rows.mean(axis=1, keepdims=True)
        variance = np.sum(centred**2, axis=1) / (n - 1)
        # Unbiased third cumulant of the mean; its standard error for normal seeds.
        third = n * np.sum(centred**3, axis=1) / ((n - 1) * (n - 2)) / n**2
        error = variance**1.5 / n**2 * np.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
        parts.append((variance / n, third, error))
    (variance_a, third_a, error_a), (variance_b, third_b, error_b) = parts
    scale = np.power(variance_a + variance_b, 1.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness, error = (third_b - third_a) / scale, np.hypot(error_a, error_b) / scale
    return np.nan_to_num(skewness), np.nan_to_num(error)


def is_lopsided(a: Rows, b: Rows) -> Any:
    """Return for each row whether skewed seeds are seen to make the error rates of the difference unreliable."""
    if min(a.shape[1], b.shape[1]) < FEWEST_TO_JUDGE:
        return np.zeros(a.shape[0], dtype=bool)
    skewness, error = skewness_of_difference(a, b)
    return np.abs(skewness) > np.maximum(_SKEWED_DIFFERENCE, _SURPRISING * error)


def is_unbalanced(sd_a: Any, n_a: int, sd_b: Any, n_b: int) -> Any:
    """Return whether sizes differ twofold in a way that few seeds cannot make up for; broadcasts over spreads.

    Below `FEWEST_TO_JUDGE` seeds in the small arm always, below 10 where the small arm shows the larger spread.
    """
    small, large = min(n_a, n_b), max(n_a, n_b)
    sd_small, sd_large = (sd_a, sd_b) if n_a < n_b else (sd_b, sd_a)
    is_wide = np.asarray(sd_small) > np.asarray(sd_large)
    if large < 2 * small or small >= 10:
        return np.zeros_like(is_wide)
    return is_wide | (small < FEWEST_TO_JUDGE)


def _skewness(rows: Rows) -> tuple[Rows, float]:
    """Return the bias-corrected skewness of each row, and its standard error for normal seeds."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    variance = np.sum(centred**2, axis=1) / (n - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = n * np.sum(centred**3, axis=1) / ((n - 1) * (n - 2)) / variance**1.5
    return np.nan_to_num(skewness), math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))


def is_skewed(rows: Rows) -> Any:
    """Return for each row whether its skewness is seen to make the t interval of its mean too short."""
    n = rows.shape[1]
    if n < FEWEST_TO_JUDGE:
        return np.zeros(rows.shape[0], dtype=bool)
    skewness, error = _skewness(rows)
    return np.abs(skewness) / math.sqrt(n) > max(_SKEWED_MEAN, _SURPRISING * error / math.sqrt(n))


def has_another_shape(rows: Rows) -> Any:
    """Return for each row whether intervals for the std and for new seeds are seen to be too short.

    Longer tails than normal seeds have, or a skewness above 1/2 and twice its standard error.
    """
    if rows.shape[1] < FEWEST_TO_JUDGE:
        return np.zeros(rows.shape[0], dtype=bool)
    skewness, error = _skewness(rows)
    return has_long_tails(rows) | (np.abs(skewness) > max(0.5, 2 * error))


def has_long_tails(rows: Rows) -> Any:
    """Return for each row of at least 10 seeds whether single seeds lie further out than normal ones do.

    The bias-corrected excess kurtosis exceeds 1; chi-square intervals of a std are then too short.
    """
    if rows.shape[1] < 10:
        return np.zeros(rows.shape[0], dtype=bool)
    return _excess_kurtosis(rows) > 1.0


def _excess_kurtosis(rows: Rows) -> Rows:
    """Return the bias-corrected excess kurtosis of each row; 0 without spread."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    second, fourth = np.sum(centred**2, axis=1), np.sum(centred**4, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = n * (n + 1) * (n - 1) * fourth / ((n - 2) * (n - 3) * second**2)
    kurtosis: Rows = np.where(second > 0.0, ratio - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)), 0.0)
    return kurtosis


def is_coarse(sample: NDArray[np.float64]) -> bool:
    """Return whether ties show that values come in steps of at least half a standard deviation."""
    distinct = np.unique(sample)
    if distinct.size in (1, sample.size):
        return False
    return bool(np.min(np.diff(distinct)) >= 0.5 * np.std(sample, ddof=1))
