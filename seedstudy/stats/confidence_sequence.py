"""An interval that holds at every number of seeds at once, so that one may look whenever and stop for any reason."""

from __future__ import annotations

from typing import Any

import numpy as np

EFFECT_SD = 2.0
"""How far apart, in standard deviations over seeds, two arms are expected to lie: the interval is narrowest for
differences of about this size, and valid for all."""


def evidence(statistic: Any, df: Any, information: Any) -> Any:
    """Return the e-value of a t statistic against its null hypothesis; broadcasts.

    Under the null hypothesis it exceeds 1/alpha at any number of seeds, ever, with probability at most alpha (Ville's
    inequality): it is the likelihood ratio of t under a difference of N(0, EFFECT_SD^2) standard deviations, and such a
    ratio for the invariant statistic is a martingale whatever the variance.

    Parameters
    ----------
    statistic, df : array_like
        t and the degrees of freedom of its standard error.
    information : array_like
        n_a n_b / (n_a + n_b) for two arms, n for one: the standard error is s / sqrt(information).

    Notes
    -----
    Goenen, Johnson, Lu and Westfall (2005), "The Bayesian two-sample t test", American Statistician 59 (the ratio);
    Lai (1976), "On confidence sequences", Annals of Statistics 4, and Wang and Ramdas (2025), "Anytime-valid t-tests
    and confidence sequences for Gaussian means with unknown variance", Sequential Analysis 44 (that it may be looked
    at all along). Exact for normal seeds of common variance with the pooled degrees of freedom; Welch's, which are
    fewer, make it smaller where the arms are of equal size.

    """
    growth = 1.0 + np.asarray(information) * EFFECT_SD**2
    squared = np.square(statistic) / df
    log = (np.asarray(df) + 1) / 2 * (np.log1p(squared) - np.log1p(squared / growth)) - np.log(growth) / 2
    return np.exp(log)


def reach(df: Any, information: Any, alpha: float) -> Any:
    """Return the half-width of the confidence sequence in standard errors: where `evidence` is 1 / alpha; broadcasts.

    Infinite while the seeds are too few for any statistic to be evidence enough.
    """
    growth = 1.0 + np.asarray(information) * EFFECT_SD**2
    needed = np.exp(2.0 / (np.asarray(df) + 1) * (np.log(growth) / 2 - np.log(alpha)))
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.asarray(df) * (needed - 1.0) / (1.0 - needed / growth)
    return np.where(needed < growth, np.sqrt(np.maximum(squared, 0.0)), np.inf)
