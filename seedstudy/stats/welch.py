"""Welch's t and its relatives, from means, standard deviations and counts.

All functions broadcast over arrays, so that the calibration uses the same formulas as a comparison.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import special

Array = Any
"""A float or a float64 array; all arguments of one call broadcast together."""


class TDistance(NamedTuple):
    """A difference in units of its standard error, with the degrees of freedom of that error."""

    difference: Array
    se: Array
    df: Array

    @property
    def statistic(self) -> Array:
        """The t statistic."""
        return self.difference / self.se


def welch(mean_a: Array, sd_a: Array, n_a: Array, mean_b: Array, sd_b: Array, n_b: Array) -> TDistance:
    """Return B minus A with Welch's standard error and the Welch-Satterthwaite degrees of freedom.

    Welch (1947), "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34. At least one standard deviation must be positive.
    """
    var_a, var_b = np.square(sd_a) / n_a, np.square(sd_b) / n_b
    # Shares, not squares of variances: no underflow where accuracies are given as fractions.
    share_a = var_a / (var_a + var_b)
    df = 1.0 / (np.square(share_a) / (n_a - 1) + np.square(1.0 - share_a) / (n_b - 1))
    return TDistance(mean_b - mean_a, np.sqrt(var_a + var_b), df)


def student(mean_a: Array, sd_a: Array, n_a: Array, mean_b: Array, sd_b: Array, n_b: Array) -> TDistance:
    """Return B minus A with the pooled standard error; an arm with n = 1 adds nothing to the spread."""
    df = n_a + n_b - 2
    weight_a, weight_b = n_a - 1, n_b - 1
    pooled = (
        np.where(weight_a > 0, weight_a * np.square(sd_a), 0.0)
        + np.where(weight_b > 0, weight_b * np.square(sd_b), 0.0)
    ) / df
    return TDistance(mean_b - mean_a, np.sqrt(pooled * (1.0 / n_a + 1.0 / n_b)), df * np.ones_like(pooled))


def two_sided_p(t: TDistance) -> Array:
    """Return the two-sided p-value of no difference."""
    return 2.0 * special.stdtr(t.df, -np.abs(t.statistic))


def interval(t: TDistance, level: float) -> tuple[Array, Array]:
    """Return the ends of the confidence interval of the difference."""
    half = special.stdtrit(t.df, 0.5 + level / 2) * t.se
    return t.difference - half, t.difference + half


def p_above(t: TDistance, bound: Array) -> Array:
    """Return the one-sided p-value that supports "the difference lies above the bound"."""
    return special.stdtr(t.df, -(t.difference - bound) / t.se)


def p_below(t: TDistance, bound: Array) -> Array:
    """Return the one-sided p-value that supports "the difference lies below the bound"."""
    return special.stdtr(t.df, (t.difference - bound) / t.se)


def equivalence_p(t: TDistance, margin: Array) -> Array:
    """Return the larger of the two one-sided p-values against -margin and +margin.

    Two one-sided tests of Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15, with Welch's error.
    """
    return np.maximum(p_above(t, -margin), p_below(t, margin))
