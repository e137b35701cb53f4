"""How much of the seeds' spread comes from the finite test set, and how much from the networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedstudy.errors import StatisticsError


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceSplit:
    """Variances of accuracy (a fraction) over seeds."""

    n_seeds: int
    n_examples: int
    on_test_set: float
    """Variance of the accuracy on this test set."""
    distribution_wise_raw: float
    """Unbiased estimate of the variance of the accuracy on endless test data; may be negative."""
    distribution_wise: float
    """The same, not below 0."""
    if_independent: float
    """The variance that seeds would show on this test set if they erred independently on each example."""


def split_variance(correct: ArrayLike) -> VarianceSplit:
    """Split the variance between seeds as Jordan (2024), arXiv 2304.01910.

    Parameters
    ----------
    correct : array_like of bool, shape (n_seeds, n_examples)
        Whether each network is right on each example.

    Raises
    ------
    StatisticsError
        Not a matrix of zeros and ones with at least two rows and two columns.

    Notes
    -----
    With C the matrix, the unbiased estimate N/(N-1) (V_test - sum_i var_i / N^2) equals the mean covariance of two
    different examples over seeds; all variances with n - 1.

    """
    matrix = np.asarray(correct)
    if matrix.ndim != 2 or min(matrix.shape) < 2 or not np.isin(matrix, (0, 1)).all():
        raise StatisticsError(
            f"predictions of shape {matrix.shape}: expected zeros and ones, one row per seed and one column per "
            "example, at least two of both"
        )
    right = matrix.astype(np.float64)
    n_seeds, n = right.shape
    on_test_set = float(np.var(right.mean(axis=1), ddof=1))
    if_independent = float(np.sum(np.var(right, axis=0, ddof=1))) / n**2
    raw = n / (n - 1) * (on_test_set - if_independent)
    return VarianceSplit(
        n_seeds=n_seeds,
        n_examples=n,
        on_test_set=on_test_set,
        distribution_wise_raw=raw,
        distribution_wise=max(raw, 0.0),
        if_independent=if_independent,
    )
