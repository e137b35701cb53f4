"""The same two recipes, or several recipes, on more than one data set."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Rows, Sample, check_level, mean_of, sd_of

FEWEST_DATA_SETS = 6
"""Fewer data sets cannot show how a difference varies between them; read the differences one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined:
    """One difference over several data sets, which may truly differ in it."""

    tau: Estimate
    """Standard deviation of the true difference between data sets."""
    heterogeneity_p: float
    """Test that all data sets share one difference: their variance against the seeds' own, by F."""
    new_data_set: Estimate
    """Prediction interval: the true difference on one more data set of this kind."""
    difference: Estimate
    """Mean of the differences, each data set counting the same, with Student's interval of k - 1 degrees of freedom."""
    p_value: float
    leave_one_out: tuple[Estimate, ...]
    """`difference` without each data set in turn; empty below four data sets."""
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


def combine_differences(
    differences: Sequence[Estimate], errors: Sequence[float], dfs: Sequence[float], *, level: float = 0.95
) -> Combined:
    """Combine the differences of two recipes on several data sets, which count as drawn from more of their kind.

    The mean is not weighted: Student's t on the k differences keeps its level however the data sets' errors and sizes
    differ and however few seeds they have (Ibragimov & Mueller 2010, "t-statistic based correlation and heterogeneity
    robust inference", J. Business & Economic Statistics 28; for levels up to .083, by Bakirov & Szekely 2006), whereas
    weights from standard errors of few seeds make it too sure. The interval of a new data set integrates over what is
    not known of tau and of the seeds' variance, as Nagashima, Noma & Furukawa (2019, Statistical Methods in Medical
    Research 28) do for known errors; plugging in one tau covers too little (Partlett & Riley 2017).

    Parameters
    ----------
    differences : sequence of Estimate
        B minus A per data set, for example `Comparison.difference`; only the values enter.
    errors, dfs : sequence of float
        Their standard errors and the degrees of freedom of these, for example `Comparison.se` and `.df`.

    Raises
    ------
    StatisticsError
        Fewer than three data sets, or a standard error that is not positive.

    """
    check_level(level)
    effects = np.array([difference.value for difference in differences])
    ses, freedom = np.asarray(errors, dtype=np.float64), np.asarray(dfs, dtype=np.float64)
    k = effects.size
    if k < 3 or ses.shape != effects.shape or freedom.shape != effects.shape:
        raise StatisticsError(
            f"{k} data sets with {ses.size} standard errors: pooling needs at least 3, one error each; "
            "read them one by one"
        )
    if not (np.all(np.isfinite(ses)) and np.all(ses > 0.0) and np.all(np.isfinite(effects))):
        raise StatisticsError("data sets: a difference has no positive standard error; leave that data set out")
    between = Between.of(effects[None, :], ses[None, :], freedom[None, :])
    tau = between.tau_interval(level)
    difference = _mean_of_data_sets(effects, level)
    half = between.reach(level)
    return Combined(
        tau=Estimate.of(between.tau, tau, level=level, n=k, method="generalised-pivot"),
        heterogeneity_p=bounded_p(float(between.heterogeneity_p()[0])),
        new_data_set=replace(
            difference, low=difference.value - half, high=difference.value + half, method="generalised-pivot-prediction"
        ),
        difference=difference,
        p_value=bounded_p(float(t_test_of_rows(effects[None, :])[0])),
        leave_one_out=tuple(_mean_of_data_sets(np.delete(effects, i), level) for i in range(k)) if k >= 4 else (),
        n_data_sets=k,
        warnings=tuple(_doubts(k, ses)),
    )


def _doubts(k: int, ses: Sample) -> Iterator[str]:
    """Yield what so few data sets cannot show, and where calibration shows an interval to be too short."""
    if k < FEWEST_DATA_SETS:
        yield f"{k} data sets hardly show how the difference varies between them; read them one by one"
    ratio = float(ses.max() / ses.min())
    if ratio > 3.0:
        yield (
            f"the data sets' standard errors differ by a factor of {ratio:.2g}: the interval of a new data set may "
            "cover the truth in 90 % of cases only, and p of no difference between data sets errs in up to 12 %"
        )
    else:
        yield "the interval of a new data set is approximate: 95 % intervals cover the truth in 93 to 99 % of cases"


def _mean_of_data_sets(effects: Sample, level: float) -> Estimate:
    k = effects.size
    half = float(special.stdtrit(k - 1, 0.5 + level / 2)) * sd_of(effects) / math.sqrt(k)
    mean = mean_of(effects)
    return Estimate.of(mean, (mean - half, mean + half), level=level, n=k, method="t-over-data-sets")


@np.errstate(invalid="ignore", divide="ignore")
def t_test_of_rows(effects: Rows) -> Rows:
    """Return Student's two-sided p-value of a mean of 0 per row, shape (n_rows, n_data_sets); 1 where all are 0."""
    k = effects.shape[1]
    t = np.abs(effects.mean(axis=1)) / (effects.std(axis=1, ddof=1) / math.sqrt(k))
    return np.where(np.isnan(t), 1.0, 2 * special.stdtr(k - 1, -t))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_FINE = (2.0 * np.arange(2000) + 1.0) / 2000 - 1.0
"""Even nodes for quantiles, where those of Gauss lie too far apart."""
_SEED_NODES, _SEED_WEIGHTS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """What rows of differences say of the spread between data sets; arrays of shape (n_rows,) but for the draws.

    The observed variance s^2 of k differences estimates tau^2 + sigma^2, sigma^2 being the seeds' share. Given the
    data, (k - 1) s^2 / chi-square and df sigma^2 / chi-square are draws of the two, and their difference, cut at 0, is
    one of tau^2: a generalised pivot (Weerahandi 1993), exact without seed noise.
    """

    n_data_sets: int
    observed: Rows
    """Variance of the differences."""
    seeds: Rows
    """Mean squared standard error."""
    seeds_df: Rows
    """Degrees of freedom of `seeds`, by Satterthwaite."""

    @classmethod
    def of(cls, effects: Rows, ses: Rows, dfs: Rows) -> Between:
        """Return it for differences, standard errors and degrees of freedom, shapes (n_rows, n_data_sets)."""
        squares = np.square(ses)
        df = np.square(squares.sum(axis=1)) / np.sum(np.square(squares) / dfs, axis=1)
        return cls(
            n_data_sets=effects.shape[1], observed=effects.var(axis=1, ddof=1), seeds=squares.mean(axis=1), seeds_df=df
        )

    @property
    def tau(self) -> Rows:
        """Moment estimate, 0 where the differences vary no more than seeds make them."""
        return np.asarray(np.sqrt(np.maximum(self.observed - self.seeds, 0.0)))

    def heterogeneity_p(self) -> Rows:
        """Return the p-value of no difference between data sets."""
        return np.asarray(special.fdtrc(self.n_data_sets - 1, self.seeds_df, self.observed / self.seeds))

    def _pivots(self, nodes: Rows = _NODES, node_weights: Rows = _WEIGHTS) -> tuple[Rows, Rows, Rows]:
        """Return variance of the mean, tau^2 and weight of each node, shapes (n_rows, nodes, seed nodes)."""
        df = self.n_data_sets - 1
        share, seed_share = (1 + nodes) / 2, (1 + _SEED_NODES) / 2
        total = self.observed[:, None] * (df / (2 * special.gammaincinv(df / 2, share)))
        half = self.seeds_df[:, None] / 2
        seeds = self.seeds[:, None] * (half / special.gammaincinv(half, seed_share))
        tau2 = np.maximum(total[:, :, None] - seeds[:, None, :], 0.0)
        weights = np.outer(node_weights, _SEED_WEIGHTS) / 4
        return np.broadcast_to(total[:, :, None] / self.n_data_sets, tau2.shape), tau2, weights

    def prediction_p(self, distance: Rows) -> Rows:
        """Return how surprising a new data set's true difference is, so far from the mean: two-sided, per row."""
        mean_variance, tau2, weights = self._pivots()
        with np.errstate(invalid="ignore", divide="ignore"):
            beyond = special.ndtr(-np.abs(distance)[:, None, None] / np.sqrt(mean_variance + tau2))
        return np.asarray(2 * np.sum(weights * np.nan_to_num(beyond, nan=0.5), axis=(1, 2)))

    def reach(self, level: float) -> float:
        """Return the half-width of the prediction interval of the first row."""
        low, high = 0.0, math.sqrt(float(self.observed[0]))
        if high == 0.0:
            return 0.0

        def is_inside(distance: float) -> bool:
            return bool(self.prediction_p(np.array([distance]))[0] > 1.0 - level)

        while is_inside(high):
            high *= 2.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if is_inside(middle) else (low, middle)
        return high

    def tau_interval(self, level: float) -> tuple[float, float]:
        """Return the limits of tau of the first row; the lower one may be 0."""
        _, tau2, weights = self._pivots(_FINE, np.full(_FINE.size, 2.0 / _FINE.size))
        order = np.argsort(tau2[0], axis=None)
        sorted_weights = weights.ravel()[order]
        below = np.cumsum(sorted_weights) - sorted_weights / 2
        ends = np.interp([(1 - level) / 2, (1 + level) / 2], below, tau2[0].ravel()[order])
        return float(np.sqrt(ends[0])), float(np.sqrt(ends[1]))


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
