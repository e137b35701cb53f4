"""The same two recipes, or several recipes, on more than one data set."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Rows, check_level

FEWEST_DATA_SETS = 6
"""Fewer data sets cannot show how a difference varies between them; read the differences one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined:
    """One difference over several data sets, which may truly differ in it."""

    difference: Estimate
    """Mean difference over data sets; Hartung-Knapp interval with k - 1 degrees of freedom."""
    new_data_set: Estimate
    """Prediction interval: the true difference on one more data set of this kind."""
    p_value: float
    tau: float
    """Standard deviation of the true difference between data sets (Paule-Mandel)."""
    heterogeneity_p: float
    """Cochran's Q test that all data sets share one difference."""
    n_data_sets: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPair:
    """Two recipes over data sets, by Wilcoxon's signed ranks."""

    a: str
    b: str
    median_difference: float
    """Median over data sets of B minus A."""
    p_value: float
    p_adjusted: float
    """Holm over all pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Several recipes on several data sets."""

    mean_ranks: dict[str, float]
    """Mean over data sets; rank 1 is the lowest value."""
    friedman_p: float
    """For the record; the pairs are not gated by it."""
    pairs: tuple[RankedPair, ...]
    floor: float
    """Smallest p that Wilcoxon can give with so many data sets, before adjustment."""
    warnings: tuple[str, ...] = ()


def combine_differences(differences: Sequence[Estimate], errors: Sequence[float], *, level: float = 0.95) -> Combined:
    """Combine the differences of two recipes on several data sets by a random-effects model.

    Between-variance by Paule & Mandel (1982), interval by Hartung & Knapp (2001), both from statsmodels; prediction
    interval with k - 2 degrees of freedom (Higgins, Thompson & Spiegelhalter 2009). Standard errors count as known,
    which few seeds do not justify.

    Parameters
    ----------
    differences : sequence of Estimate
        B minus A per data set, for example `Comparison.difference`; only the values enter.
    errors : sequence of float
        Their standard errors, for example `Comparison.se`.

    Raises
    ------
    StatisticsError
        Fewer than three data sets, or a standard error that is not positive.

    """
    from statsmodels.stats.meta_analysis import combine_effects  # a second to import, for this function alone

    check_level(level)
    effects = np.array([difference.value for difference in differences])
    ses = np.asarray(errors, dtype=np.float64)
    k = effects.size
    if k < 3 or ses.shape != effects.shape:
        raise StatisticsError(
            f"{k} data sets with {ses.size} standard errors: pooling needs at least 3, one error each; "
            "read them one by one"
        )
    if not (np.all(np.isfinite(ses)) and np.all(ses > 0.0) and np.all(np.isfinite(effects))):
        raise StatisticsError("data sets: a difference has no positive standard error; leave that data set out")
    combined = combine_effects(effects, np.square(ses), method_re="iterated", atol=1e-12)
    value, tau2 = float(combined.mean_effect_re), max(float(combined.tau2), 0.0)
    # Never below the fixed-effect error: with data sets that agree by luck Hartung-Knapp alone can be too short.
    error = max(float(combined.sd_eff_w_re_hksj), float(combined.sd_eff_w_re))
    half = float(special.stdtrit(k - 1, 0.5 + level / 2)) * error
    half_new = float(special.stdtrit(k - 2, 0.5 + level / 2)) * float(np.sqrt(tau2 + error**2))
    weights = 1 / np.square(ses)
    q = float(weights @ np.square(effects - weights @ effects / weights.sum()))
    warnings: tuple[str, ...] = ()
    if k < FEWEST_DATA_SETS:
        warnings = (f"{k} data sets hardly show how the difference varies between them; read them one by one",)

    ends, ends_new = (value - half, value + half), (value - half_new, value + half_new)
    return Combined(
        difference=Estimate.of(value, ends, level=level, n=k, method="hartung-knapp"),
        new_data_set=Estimate.of(value, ends_new, level=level, n=k, method="random-effects-prediction"),
        p_value=bounded_p(2 * float(special.stdtr(k - 1, -abs(value) / error))),
        tau=float(np.sqrt(tau2)),
        heterogeneity_p=bounded_p(float(special.chdtrc(k - 1, q))),
        n_data_sets=k,
        warnings=warnings,
    )


def rank_recipes(means: Mapping[str, ArrayLike]) -> Ranking:
    """Compare recipes over data sets by ranks: Wilcoxon for every pair, Holm over the pairs.

    Demsar (2006) with Wilcoxon-Holm instead of Nemenyi, whose verdict on two recipes depends on the others (Benavoli,
    Corani & Mangili 2016).

    Parameters
    ----------
    means : mapping of str to array_like, shapes (n_data_sets,)
        Per recipe its mean on each data set, in the same order.

    Raises
    ------
    StatisticsError
        Fewer than two recipes or three data sets, or recipes with different numbers of data sets.

    """
    # scipy.stats takes most of a second to import, and a comparison does without.
    from scipy.stats import rankdata

    from seedstudy.stats.rank import wilcoxon_p

    names = list(means)
    columns = [np.asarray(means[name], dtype=np.float64) for name in names]
    sizes = {column.size for column in columns}
    if len(names) < 2 or len(sizes) != 1 or min(sizes) < 3:
        raise StatisticsError(
            f"{len(names)} recipes on {sorted(sizes)} data sets: at least 2 recipes on the same 3 data sets needed"
        )
    table = np.stack(columns, axis=1)
    if not np.isfinite(table).all():
        raise StatisticsError("data sets: a mean is nan or infinite; leave that data set out for all recipes")
    k = table.shape[0]
    ranks = rankdata(table, axis=1)
    pairs = list(itertools.combinations(range(len(names)), 2))
    gaps = [table[:, j] - table[:, i] for i, j in pairs]
    p_values = [1.0 if (p := wilcoxon_p(gap)) is None else p for gap in gaps]
    floor = 2.0 ** (1 - k)
    warnings: tuple[str, ...] = ()
    if k < FEWEST_DATA_SETS:
        warnings = (f"{k} data sets: the smallest attainable p of Wilcoxon's test is {floor:.2g}",)
    return Ranking(
        mean_ranks=dict(zip(names, ranks.mean(axis=0).tolist(), strict=True)),
        friedman_p=_friedman_p(ranks),
        pairs=tuple(
            RankedPair(
                a=names[i], b=names[j], median_difference=float(np.median(gap)), p_value=p, p_adjusted=p_adjusted
            )
            for (i, j), gap, p, p_adjusted in zip(pairs, gaps, p_values, adjust(p_values), strict=True)
        ),
        floor=floor,
        warnings=warnings,
    )


def _friedman_p(ranks: Rows) -> float:
    """Return Friedman's p by the F approximation of Iman & Davenport (1980); 1 where all ranks tie."""
    k, m = ranks.shape
    treatment = k * float(np.sum(np.square(ranks.mean(axis=0) - (m + 1) / 2)))
    total = float(np.sum(np.square(ranks - (m + 1) / 2)))
    residual = total - treatment
    if treatment == 0.0:
        return 1.0
    if residual <= 1e-12 * total:
        return bounded_p(float(np.prod(1 / np.arange(1, m + 1, dtype=np.float64))) ** (k - 1))
    f = (k - 1) * treatment / residual
    return bounded_p(float(special.fdtrc(m - 1, (m - 1) * (k - 1), f)))
