"""Two recipes, B against A: the default answer (`compare`), and what is shown on demand (`details`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats import doubt, effect, welch
from seedstudy.stats.describe import median_interval, prediction_interval
from seedstudy.stats.permutation import Permutation, permute, sign_flips, studentised
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Sample, as_sample, check_level, check_margin, mean_of, sd_of
from seedstudy.stats.variance import brown_forsythe_p, sd_factors, sd_ratio

Method = Literal["welch", "paired-t", "single-run", "permutation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """B against A, direction-agnostic: every difference is B minus A in the unit of the input."""

    name_a: str
    name_b: str
    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    sd_a: float
    """Standard deviation with n - 1; nan for one seed."""
    sd_b: float
    difference: Estimate
    """Mean of B minus mean of A, with the interval of `method`."""
    method: Method
    """The test behind `p_value`. "welch"; "paired-t" when declared; "single-run" when an arm has one seed (the spread
    of the other is assumed); "permutation" when no arm shows any spread."""
    df: float
    se: float
    """Standard error of the difference; 0 where there is no spread."""
    p_value: float
    """Two-sided p-value of equal means; never 0."""
    permutation_p: float | None
    """None for summaries."""
    permutation_floor: float | None
    """Smallest two-sided permutation p that these numbers of seeds can give."""
    hedges_g: Estimate
    prob_b_greater: Estimate | None
    """P(B > A) + P(B = A)/2 for one new seed of each; None for summaries."""
    single_run_error: float
    """Probability that one new seed of each comes out against the order of the means."""
    margin: float | None
    p_above_minus_margin: float | None
    """One-sided p-value that supports "B is not lower than A by the margin" (non-inferiority if higher is better)."""
    p_below_plus_margin: float | None
    """One-sided p-value that supports "B is not higher than A by the margin" (non-inferiority if lower is better)."""
    correlation: Estimate | None = None
    """Pearson correlation of the pairs; None when unpaired."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the numbers above."""

    @property
    def level(self) -> float:
        """Confidence level of `difference`."""
        return self.difference.level

    @property
    def paired(self) -> bool:
        """Whether position i of both arms was compared as a pair."""
        return self.correlation is not None

    @property
    def statistic(self) -> float:
        """The difference in standard errors; nan where there is no spread."""
        return self.difference.value / self.se if self.se > 0.0 else math.nan

    @property
    def equivalence_p(self) -> float | None:
        """The larger of the two one-sided p-values: supports "equal within the margin"."""
        if self.p_above_minus_margin is None or self.p_below_plus_margin is None:
            return None
        return max(self.p_above_minus_margin, self.p_below_plus_margin)

    @property
    def equivalence_interval(self) -> Estimate:
        """The difference at level 1 - 2 alpha: inside the margin exactly when `equivalence_p` < alpha = 1 - level."""
        return self.interval_at(round(2.0 * self.level - 1.0, 12))

    def interval_at(self, level: float) -> Estimate:
        """Return the difference with its interval at another level."""
        low = high = math.nan
        if self.difference.has_interval:
            low, high = map(float, welch.interval(welch.TDistance(self.difference.value, self.se, self.df), level))
        return replace(self.difference, low=low, high=high, level=level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What `compare` leaves out because it decides nothing; B against A in the unit of the input."""

    median_a: Estimate
    median_b: Estimate
    """Median with the interval of order statistics, valid for any distribution."""
    new_seed_a: Estimate
    new_seed_b: Estimate
    """The mean with the prediction interval of one new seed, for normal seeds."""
    sd_ratio: Estimate | None
    """Standard deviation of B divided by that of A; None when paired, below 5 seeds per arm and without spread."""
    brown_forsythe_p: float | None
    """Two-sided p-value of equal spreads; None where `sd_ratio` is."""
    hodges_lehmann: Estimate | None
    """Median of all differences of a seed of B and one of A, with the Mann-Whitney interval; None when paired."""
    mann_whitney_p: float | None
    """Two-sided p-value of equal distributions, by ranks; None when paired."""
    brunner_munzel_p: float | None
    """Two-sided p-value of P(B > A) = 1/2, whatever the spreads; None when paired, with one seed in an arm, and for
    many completely separated seeds."""
    wilcoxon_p: float | None
    """Two-sided p-value of differences symmetric about 0, by signed ranks; None when unpaired, and when all are 0."""


def compare(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    margin: float | None = None,
    paired: bool = False,
    resamples: int = 9999,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare two recipes by the results of their seeds.

    Parameters
    ----------
    a, b : array_like, shapes (n_a,), (n_b,)
        One number per seed, both in the same unit.
    rng : numpy.random.Generator
        Used for Monte-Carlo permutations; small samples do not touch it.
    level : float
        Confidence level of all intervals; tests are read at 1 - level.
    margin : float, optional
        Smallest difference that matters, declared before seeing the data, in the unit of the input.
    paired : bool
        Position i of both arms shares the random streams, split or fold. Never assumed: the same seed number in two
        architectures gives independent draws.
    resamples : int
        Monte-Carlo permutations.
    names : tuple of str
        Names of the two arms in messages.

    Returns
    -------
    Comparison

    Raises
    ------
    StatisticsError
        Nan or infinite values, one seed in both arms, unequal lengths of a paired comparison, a bad level or margin.

    Notes
    -----
    The method is chosen by the design alone (numbers of seeds, pairing), never by a test on the data. The one
    exception is an arithmetic one: without any spread in either arm there is no t, and the permutation p takes its
    place.

    """
    check_level(level)
    check_margin(margin)
    first, second = _samples(a, b, paired=paired, names=names)
    arms = _arms(first, second, names)
    options = _Options(level=level, margin=margin, resamples=resamples)
    if paired:
        return _compare_pairs(first, second, arms, options, rng)
    return _compare_arms(first, second, arms, options, rng)


def details(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, paired: bool = False, names: tuple[str, str] = ("A", "B")
) -> Details:
    """Return what may be shown beside a comparison of the same arms; see :func:`compare` for the parameters.

    Raises
    ------
    StatisticsError
        As :func:`compare`.

    """
    from seedstudy.stats import rank  # scipy.stats costs most of a second, and the default answer does without

    check_level(level)
    first, second = _samples(a, b, paired=paired, names=names)
    _check_sizes(first.size, second.size, paired=paired, names=names)
    differences = second - first if paired else None
    ratio = None if paired else sd_ratio(first, second, level=level)
    return Details(
        median_a=median_interval(first, level=level),
        median_b=median_interval(second, level=level),
        new_seed_a=prediction_interval(first, level=level),
        new_seed_b=prediction_interval(second, level=level),
        sd_ratio=ratio,
        brown_forsythe_p=None if ratio is None else brown_forsythe_p(first, second),
        hodges_lehmann=None if paired else rank.hodges_lehmann(first, second, level=level),
        mann_whitney_p=None if paired else rank.mann_whitney_p(first, second),
        brunner_munzel_p=None if paired else rank.brunner_munzel_p(first, second),
        wilcoxon_p=None if differences is None else rank.wilcoxon_p(differences),
    )


def _samples(a: ArrayLike, b: ArrayLike, *, paired: bool, names: tuple[str, str]) -> tuple[Sample, Sample]:
    first, second = as_sample(a, name=names[0]), as_sample(b, name=names[1])
    if paired:
        return first, second
    # In order, so that not even rounding or a random labelling depends on the order of the seeds.
    return np.sort(first), np.sort(second)


def _check_sizes(n_a: int, n_b: int, *, paired: bool, names: tuple[str, str]) -> None:
    if paired and (n_a != n_b or n_a < 2):
        raise StatisticsError(
            f"{names[0]} and {names[1]}: a paired comparison needs the same seeds in both arms, "
            f"at least 2; got {n_a} and {n_b}; leave the pairing out or train the missing seeds"
        )
    if n_a + n_b < 3:
        raise StatisticsError(
            f"{names[0]} and {names[1]}: one seed each shows no spread to compare with; "
            "train at least two seeds of both"
        )


def compare_summaries(
    mean_a: float,
    sd_a: float,
    n_a: int,
    mean_b: float,
    sd_b: float,
    n_b: int,
    *,
    level: float = 0.95,
    margin: float | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare two recipes of which only mean, standard deviation (n - 1) and number of seeds are known.

    Raises
    ------
    StatisticsError
        A number is missing or not finite, n is below 2, or both standard deviations are 0.

    """
    check_level(level)
    check_margin(margin)
    for name, mean, sd, n in ((names[0], mean_a, sd_a, n_a), (names[1], mean_b, sd_b, n_b)):
        _check_summary(name, mean, sd, n)
    if sd_a == 0.0 and sd_b == 0.0:
        raise StatisticsError(f"{names[0]} and {names[1]}: both standard deviations are 0; give more digits")
    arms = _Arms(names, int(n_a), int(n_b), float(mean_a), float(mean_b), float(sd_a), float(sd_b))
    t = welch.welch(*arms.moments)
    return _comparison(
        arms,
        _t_test(t, "welch", (n_a, n_b), _Options(level=level, margin=margin, resamples=0)),
        hedges_g=effect.hedges_g(*arms.moments, level=level),
        single_run_error=effect.contrary_order(*arms.moments),
        warnings=(
            *_design_warnings(arms, level, floor=None),
            "only mean, std and n are known: no check by permutation or ranks",
        ),
    )


class _Options(NamedTuple):
    level: float
    margin: float | None
    resamples: int


class _Arms(NamedTuple):
    names: tuple[str, str]
    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    sd_a: float
    sd_b: float

    @property
    def moments(self) -> tuple[float, float, int, float, float, int]:
        return self.mean_a, self.sd_a, self.n_a, self.mean_b, self.sd_b, self.n_b

    @property
    def no_spread(self) -> bool:
        return not (self.sd_a > 0.0 or self.sd_b > 0.0)


class _Test(NamedTuple):
    """The results of the chosen test; the fields are those of `Comparison`."""

    difference: Estimate
    method: Method
    df: float
    se: float
    p_value: float
    margin: float | None
    p_above_minus_margin: float | None
    p_below_plus_margin: float | None


def _arms(a: Sample, b: Sample, names: tuple[str, str]) -> _Arms:
    return _Arms(names, a.size, b.size, mean_of(a), mean_of(b), sd_of(a), sd_of(b))


def _check_summary(name: str, mean: float, sd: float, n: int) -> None:
    if n < 2 or n != int(n):
        raise StatisticsError(
            f"{name}: n = {n} seeds; mean and std can be compared only with the number of seeds, at least 2"
        )
    if not (math.isfinite(mean) and math.isfinite(sd) and sd >= 0.0):
        raise StatisticsError(
            f"{name}: mean {mean:g} and std {sd:g} must be finite and std not negative; check the table"
        )


def _compare_arms(a: Sample, b: Sample, arms: _Arms, options: _Options, rng: np.random.Generator) -> Comparison:
    _check_sizes(arms.n_a, arms.n_b, paired=False, names=arms.names)
    n = (arms.n_a, arms.n_b)
    pooled = np.concatenate([a, b])
    permutation = permute(studentised(pooled), *n, rng=rng, resamples=options.resamples)
    prob = effect.prob_greater(a, b, level=options.level)
    if arms.no_spread:
        single_run_error = min(prob.value, 1.0 - prob.value)
        test = _spreadless_test(arms, permutation, 1.0 / math.comb(sum(n), n[0]), options)
    elif min(n) == 1:
        t = welch.student(*arms.moments)
        single_run_error = effect.contrary_new_seed(t, arms.n_a, arms.n_b)
        test = _t_test(t, "single-run", n, options)
    else:
        single_run_error = effect.contrary_order(*arms.moments)
        test = _t_test(welch.welch(*arms.moments), "welch", n, options)
    doubts = (*test.difference.warnings, *doubt.seen_skew(a, b, arms.names))
    test = test._replace(difference=replace(test.difference, warnings=doubts))
    return _comparison(
        arms,
        test,
        permutation=permutation,
        hedges_g=effect.hedges_g(*arms.moments, level=options.level),
        prob=prob,
        single_run_error=single_run_error,
        warnings=_design_warnings(arms, options.level, permutation.floor),
    )


def _compare_pairs(a: Sample, b: Sample, arms: _Arms, options: _Options, rng: np.random.Generator) -> Comparison:
    _check_sizes(arms.n_a, arms.n_b, paired=True, names=arms.names)
    n, differences = a.size, b - a
    permutation = sign_flips(differences, rng=rng, resamples=options.resamples)
    prob = effect.prob_greater_paired(a, b, level=options.level)
    spread = sd_of(differences)
    t = welch.TDistance(mean_of(differences), spread / math.sqrt(n), n - 1.0)
    typical = math.sqrt((arms.sd_a**2 + arms.sd_b**2) / 2)
    if spread == 0.0:
        single_run_error = min(prob.value, 1.0 - prob.value)
        test = _spreadless_test(arms, permutation, 0.5**n, options)
    else:
        single_run_error = effect.contrary_new_pair(t, n)
        test = _t_test(t, "paired-t", n, options)
    return _comparison(
        arms,
        test,
        permutation=permutation,
        hedges_g=effect.standardised(
            t.difference,
            t.se,
            n - 1,
            t.se / typical if typical > 0.0 else 1.0,
            n=n,
            level=options.level,
            method="hedges-g-average-sd",
        ),
        prob=prob,
        single_run_error=single_run_error,
        correlation=_correlation(a, b, options.level),
        warnings=_design_warnings(arms, options.level, permutation.floor),
    )


def _comparison(
    arms: _Arms,
    test: _Test,
    *,
    permutation: Permutation | None = None,
    prob: Estimate | None = None,
    **others: Any,
) -> Comparison:
    return Comparison(
        name_a=arms.names[0],
        name_b=arms.names[1],
        n_a=arms.n_a,
        n_b=arms.n_b,
        mean_a=arms.mean_a,
        mean_b=arms.mean_b,
        sd_a=arms.sd_a,
        sd_b=arms.sd_b,
        permutation_p=permutation.p_value if permutation else None,
        permutation_floor=permutation.floor if permutation else None,
        prob_b_greater=prob,
        **test._asdict(),
        **others,
    )


def _t_test(t: welch.TDistance, method: Method, n: int | tuple[int, int], options: _Options) -> _Test:
    above = below = None
    if options.margin is not None:
        above = bounded_p(welch.p_above(t, -options.margin))
        below = bounded_p(welch.p_below(t, options.margin))
    return _Test(
        difference=_t_estimate(t, options.level, n, method),
        method=method,
        df=float(t.df),
        se=float(t.se),
        p_value=bounded_p(welch.two_sided_p(t)),
        margin=options.margin,
        p_above_minus_margin=above,
        p_below_plus_margin=below,
    )


def _t_estimate(t: welch.TDistance, level: float, n: int | tuple[int, int], method: Method) -> Estimate:
    low, high = welch.interval(t, level)
    warnings = doubt.unseen_skew(n)
    return Estimate(
        value=float(t.difference), low=float(low), high=float(high), level=level, n=n, method=method, warnings=warnings
    )


def _spreadless_test(arms: _Arms, permutation: Permutation, one_sided_floor: float, options: _Options) -> _Test:
    """Return the result when no arm shows any spread: the permutation p, and no interval."""
    difference = arms.mean_b - arms.mean_a
    above = below = None
    if options.margin is not None:
        # Shifted by the margin, the arms are completely separated: the smallest one-sided p there is.
        above = one_sided_floor if difference > -options.margin else 1.0
        below = one_sided_floor if difference < options.margin else 1.0
    return _Test(
        difference=Estimate(
            value=difference,
            low=math.nan,
            high=math.nan,
            level=options.level,
            n=(arms.n_a, arms.n_b),
            method="permutation",
            warnings=("no spread between seeds: no interval can be computed",),
        ),
        method="permutation",
        df=math.nan,
        se=0.0,
        p_value=permutation.p_value,
        margin=options.margin,
        p_above_minus_margin=above,
        p_below_plus_margin=below,
    )


def _correlation(a: Sample, b: Sample, level: float) -> Estimate:
    """Return Pearson's r of the pairs with Fisher's z interval (from 4 pairs on)."""
    n = a.size
    is_flat = np.ptp(a) == 0.0 or np.ptp(b) == 0.0
    r = math.nan if is_flat else float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
    if n < 4 or not abs(r) < 1.0:
        low = high = math.nan
    else:
        half = float(special.ndtri(0.5 + level / 2)) / math.sqrt(n - 3)
        low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Estimate(value=r, low=low, high=high, level=level, n=n, method="fisher-z")


def _design_warnings(arms: _Arms, level: float, floor: float | None) -> tuple[str, ...]:
    """Return the warnings that follow from the numbers of seeds and the spreads alone."""
    alpha = 1.0 - level
    warnings = []
    for name, n, sd in ((arms.names[0], arms.n_a, arms.sd_a), (arms.names[1], arms.n_b, arms.sd_b)):
        if n == 1:
            warnings.append(f"{name}: one seed shows no spread; the spread of the other arm is assumed for it")
        elif sd == 0.0:
            warnings.append(f"{name}: all {n} seeds gave the same value; its spread is unknown, not zero")
    smallest = min(arms.n_a, arms.n_b)
    if 1 < smallest < doubt.FEWEST_TO_JUDGE and not arms.no_spread:
        low, high = sd_factors(smallest, level)
        warnings.append(
            f"n = {smallest} seeds hardly show the spread: "
            f"the true std may be {low:.2g} to {high:.2g} times the printed one"
        )
    if floor is not None and floor > alpha:
        warnings.append(
            f"n = {arms.n_a} and {arms.n_b} seeds: the smallest attainable two-sided permutation p is {floor:.2g}, "
            "so relabelling seeds cannot confirm a difference"
        )
    return tuple(warnings)
