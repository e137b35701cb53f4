"""The same two recipes on several data sets: how often the pooled statements are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from seedstudy.stats.across import Between, combine_differences, t_test_of_rows
from seedstudy.stats.result import Estimate
from studies.calibration.designs import ALPHA, LEVEL, blocks
from studies.calibration.rows import CHECKED, check

NUMBERS, SEEDS, TAUS, SPREADS = (3, 5, 8, 20), (3, 10), (0.0, 0.5, 1.0, 3.0), (1.0, 10.0)
"""Data sets; seeds per arm; std of the true difference between data sets, and how much the seeds' std differ between
them, in units of the smallest one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Across:
    """Shares of replicates in which a statement about several data sets is made, or holds."""

    k: int
    n: int
    tau: float
    spreads: float
    size: float
    """Share in which the mean difference is shown, there being none."""
    tau_shown: float
    """Share in which data sets are shown to differ; an error where tau is 0."""
    new_data_set: float
    """Share of prediction intervals that hold the true difference on one more data set."""


def across_of(k: int, n: int, tau: float, spreads: float, *, replicates: int, rng: np.random.Generator) -> Across:
    """Measure the statements of `combine_differences` for k data sets with n normal seeds in both arms of each."""
    sd, df = np.geomspace(1.0, spreads, k) * math.sqrt(2.0 / n), 2.0 * (n - 1)
    counts = np.zeros(3)
    for size, is_first in blocks(replicates):
        effects = tau * rng.standard_normal((size, k)) + sd * rng.standard_normal((size, k))
        ses = sd * np.sqrt(2.0 * special.gammaincinv(df / 2, rng.random((size, k))) / df)
        dfs = np.full((size, k), df)
        between = Between.of(effects, ses, dfs)
        new = tau * rng.standard_normal(size)
        p, p_tau = t_test_of_rows(effects), between.heterogeneity_p()
        p_new = between.prediction_p(new - effects.mean(axis=1))
        counts += [np.sum(p < ALPHA), np.sum(p_tau < ALPHA), np.sum(p_new >= 1.0 - LEVEL)]
        if is_first:
            _check(effects, ses, dfs, new, p, p_tau, p_new)
    size_, tau_shown, new_data_set = map(float, counts / replicates)
    return Across(k=k, n=n, tau=tau, spreads=spreads, size=size_, tau_shown=tau_shown, new_data_set=new_data_set)


def _check(effects, ses, dfs, new, p, p_tau, p_new) -> None:  # type: ignore[no-untyped-def]  # rows, seven times
    """Compare the first rows with the public function."""
    for i in range(min(CHECKED, len(effects))):
        ones = [Estimate.of(x, None, level=LEVEL, n=1, method="") for x in effects[i]]
        public = combine_differences(ones, ses[i], dfs[i], level=LEVEL)
        is_inside = public.new_data_set.low <= new[i] <= public.new_data_set.high
        check("across", [p[i], p_tau[i]], [public.p_value, public.heterogeneity_p])
        check("new data set", [p_new[i] >= 1.0 - LEVEL], [is_inside])
