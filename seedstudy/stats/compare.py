"""Two recipes, B against A: the default answer (`compare`), and what is shown on demand (`details`)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats import doubt, effect, welch
from seedstudy.stats.describe import median_interval, prediction_interval
from seedstudy.stats.images import OnNewImages, PairedNetworks, tango_limits, tango_score
from seedstudy.stats.permutation import Permutation, permute, sign_flips, studentised
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Sample, as_sample, check_level, check_margin, mean_of, sd_of
from seedstudy.stats.variance import brown_forsythe_p, sd_ratio, unsure_spread

Method = Literal["welch", "paired-t", "single-run", "permutation", "welch-images", "paired-t-images", "mcnemar"]


@dataclass(frozen=True, slots=True)
class Arms:
    """The two arms of a comparison, in the unit of the input."""

    name_a: str
    name_b: str
    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    sd_a: float
    """Standard deviation with n - 1; nan for one seed."""
    sd_b: float

    @property
    def moments(self) -> tuple[float, float, int, float, float, int]:
        """Mean, standard deviation and n of A and of B, as the functions of `welch` take them."""
        return self.mean_a, self.sd_a, self.n_a, self.mean_b, self.sd_b, self.n_b

    @property
    def no_spread(self) -> bool:
        """Whether no arm shows any spread."""
        return not (self.sd_a > 0.0 or self.sd_b > 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoNetworks:
    """Two single networks on the same images, by how often one alone is right."""

    only_a: int
    only_b: int
    n_images: int
    unit: float
    """What all images right are in the unit of the comparison: 100 for percentage points."""

    def limits(self, level: float) -> tuple[float, float]:
        """Return Tango's score interval of the difference."""
        low, high = tango_limits(self.only_b, self.only_a, self.n_images, level)
        return self.unit * low, self.unit * high

    def p_above(self, bound: float) -> float:
        """Return the one-sided p-value that supports "the difference lies above the bound", by the score test."""
        return float(special.ndtr(-tango_score(self.only_b, self.only_a, self.n_images, bound / self.unit)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison(Arms):
    """B against A, direction-agnostic: every difference is B minus A in the unit of the input."""

    difference: Estimate
    """Mean of B minus mean of A, with the interval of `method`."""
    method: Method
    """The test behind `p_value`. "welch"; "paired-t" when declared; "single-run" when an arm has one seed (the spread
    of the other is assumed); "permutation" when no arm shows any spread. With "-images" the test images are a sample
    too. "mcnemar": two single networks, image by image."""
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
    prob_b_greater: Estimate
    """P(B > A) + P(B = A)/2 for one new seed of each: for normal seeds, its interval excluding 1/2 exactly when
    `p_value` is below 1 - level; by ranks from `effect.FEWEST_FOR_RANKS` seeds per arm on, and without any spread."""
    margin: float | None
    p_above_minus_margin: float | None
    """One-sided p-value that supports "B is not lower than A by the margin" (non-inferiority if higher is better)."""
    p_below_plus_margin: float | None
    """One-sided p-value that supports "B is not higher than A by the margin" (non-inferiority if lower is better)."""
    correlation: Estimate | None = None
    """Pearson correlation of the pairs; None when unpaired."""
    image_error: float | None = None
    """The part of `se` that is due to the images, which more seeds do not reduce; None where images are no sample."""
    networks: TwoNetworks | None = None
    """What is known of two single networks; None where seeds are compared."""
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
    def single_run_error(self) -> float:
        """Probability that one new seed of each comes out against the order of the means."""
        theta = self.prob_b_greater.value
        return 1.0 - theta if self.difference.value > 0.0 else theta

    @property
    def equivalence_p(self) -> float | None:
        """The larger of the two one-sided p-values: supports "equal within the margin"."""
        if self.p_above_minus_margin is None or self.p_below_plus_margin is None:
            return None
        return max(self.p_above_minus_margin, self.p_below_plus_margin)

    def interval_at(self, level: float) -> Estimate:
        """Return the difference with its interval at another level."""
        t = welch.TDistance(self.difference.value, self.se, self.df)
        if self.networks is not None:
            low, high = self.networks.limits(level)
        else:
            low, high = welch.interval(t, level) if self.difference.has_interval else (math.nan, math.nan)
        return replace(self.difference, low=float(low), high=float(high), level=level)


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
    prob_b_greater_by_ranks: Estimate
    """P(B > A) + P(B = A)/2 from the order of the seeds alone; the share of pairs when paired."""
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

    The method is chosen by the design alone (numbers of seeds, pairing), never by a test on the data. The one
    exception is an arithmetic one: without any spread in either arm there is no t, and the permutation p takes its
    place.

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

    Raises
    ------
    StatisticsError
        Nan or infinite values, one seed in both arms, unequal lengths of a paired comparison, a bad level or margin.

    """
    check_level(level)
    check_margin(margin)
    first, second = _samples(a, b, paired=paired, names=names)
    arms = Arms(*names, first.size, second.size, mean_of(first), mean_of(second), sd_of(first), sd_of(second))
    if paired:
        permutation = sign_flips(second - first, rng=rng, resamples=resamples)
        answers = _compare_pairs(first, second, arms, permutation, level, margin)
    else:
        statistic = studentised(np.concatenate([first, second]), first.size, second.size)
        permutation = permute(statistic, first.size, second.size, rng=rng, resamples=resamples)
        answers = _compare_arms(first, second, arms, permutation, level, margin)
    return Comparison(
        **asdict(arms),
        **answers,
        permutation_p=permutation.p_value,
        permutation_floor=permutation.floor,
        warnings=_design_warnings(arms, level),
    )


def details(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, paired: bool = False, names: tuple[str, str] = ("A", "B")
) -> Details:
    """Return what may be shown beside a comparison of the same arms; parameters and errors as in :func:`compare`."""
    from seedstudy.stats import rank  # scipy.stats costs most of a second, and the default answer does without

    check_level(level)
    first, second = _samples(a, b, paired=paired, names=names)
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
        prob_b_greater_by_ranks=_prob_by_ranks(first, second, paired=paired, level=level),
        brunner_munzel_p=None if paired else rank.brunner_munzel_p(first, second),
        wilcoxon_p=rank.wilcoxon_p(second - first) if paired else None,
    )


def _samples(a: ArrayLike, b: ArrayLike, *, paired: bool, names: tuple[str, str]) -> tuple[Sample, Sample]:
    """Return the arms, checked; unless paired in order, so that nothing depends on the order of the seeds."""
    first, second = as_sample(a, name=names[0]), as_sample(b, name=names[1])
    if paired and (first.size != second.size or first.size < 2):
        raise StatisticsError(
            f"{names[0]} and {names[1]}: a paired comparison needs the same seeds in both arms, "
            f"at least 2; got {first.size} and {second.size}; leave the pairing out or train the missing seeds"
        )
    if first.size + second.size < 3:
        raise StatisticsError(
            f"{names[0]} and {names[1]}: one seed each shows no spread to compare with; "
            "train at least two seeds of both"
        )
    return (first, second) if paired else (np.sort(first), np.sort(second))


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

    Numbers that are not finite, an n below 2, and two standard deviations of 0 are refused.
    """
    check_level(level)
    check_margin(margin)
    for name, mean, sd, n in ((names[0], mean_a, sd_a, n_a), (names[1], mean_b, sd_b, n_b)):
        if n < 2 or n != int(n):
            raise StatisticsError(
                f"{name}: n = {n} seeds; mean and std can be compared only with the number of seeds, at least 2"
            )
        if not (math.isfinite(mean) and math.isfinite(sd) and sd >= 0.0):
            raise StatisticsError(
                f"{name}: mean {mean:g} and std {sd:g} must be finite and std not negative; check the table"
            )
    if sd_a == 0.0 and sd_b == 0.0:
        raise StatisticsError(f"{names[0]} and {names[1]}: both standard deviations are 0; give more digits")
    arms = Arms(*names, int(n_a), int(n_b), float(mean_a), float(mean_b), float(sd_a), float(sd_b))
    t = welch.welch(*arms.moments)
    unchecked = "only mean, std and n are known: no check by permutation or ranks"
    return Comparison(
        **asdict(arms),
        **_t_test(t, "welch", (n_a, n_b), level, margin),
        permutation_p=None,
        permutation_floor=None,
        prob_b_greater=_prob_of_normal(t, arms, level),
        hedges_g=effect.hedges_g(*arms.moments, level=level),
        warnings=(*_design_warnings(arms, level), unchecked),
    )


def compare_on_new_images(c: Comparison, found: OnNewImages, *, unit: float) -> Comparison:
    """Return a comparison of seeds with the test images as one more sample: its error, interval and p-values.

    `found` is in fractions, of which `unit` makes the comparison's unit. What only seeds say (permutation, effect size,
    one new seed) stays. Without any spread between seeds nothing is changed: there is no t.
    """
    if c.method == "permutation":
        return c
    t = welch.TDistance(c.difference.value, unit * math.sqrt(found.variance_seeds + found.variance_images), found.df)
    method: Method = "paired-t-images" if c.paired else "welch-images"
    test = _t_test(t, method, c.difference.n, c.level, c.margin)
    test["difference"] = replace(test["difference"], warnings=c.difference.warnings)
    return replace(c, **test, image_error=unit * math.sqrt(found.variance_images))


def compare_networks(
    pair: PairedNetworks,
    accuracies: tuple[float, float],
    *,
    unit: float,
    level: float,
    margin: float | None,
    names: tuple[str, str],
) -> Comparison:
    """Compare two single networks by the images on which they differ; accuracies and differences in units of `unit`."""
    check_level(level)
    check_margin(margin)
    counts = TwoNetworks(only_a=pair.only_a, only_b=pair.only_b, n_images=pair.n_images, unit=unit)
    difference = replace(pair.difference, **{k: unit * getattr(pair.difference, k) for k in ("value", "low", "high")})
    m, d = pair.only_a + pair.only_b, pair.only_b - pair.only_a
    unknown = Estimate.of(math.nan, None, level=level, n=(1, 1), method="one seed of each")
    return Comparison(
        *names, 1, 1, *accuracies, math.nan, math.nan,
        difference=difference,
        method="mcnemar",
        df=math.nan,
        se=unit * math.sqrt(max(m - d**2 / pair.n_images, 0.0)) / pair.n_images,
        p_value=pair.p_value,
        permutation_p=None,
        permutation_floor=None,
        hedges_g=unknown,
        prob_b_greater=unknown,
        margin=margin,
        p_above_minus_margin=None if margin is None else bounded_p(counts.p_above(-margin)),
        p_below_plus_margin=None if margin is None else bounded_p(1.0 - counts.p_above(margin)),
        networks=counts,
        warnings=("one network each: this says nothing about seeds",),
    )  # fmt: skip


def _compare_arms(
    a: Sample, b: Sample, arms: Arms, permutation: Permutation, level: float, margin: float | None
) -> dict[str, Any]:
    n = (arms.n_a, arms.n_b)
    prob: Estimate | None = None
    if arms.no_spread:
        test = _spreadless_test(arms, permutation, 1.0 / math.comb(sum(n), arms.n_a), level, margin)
    else:
        is_single = min(n) == 1
        t = (welch.student if is_single else welch.welch)(*arms.moments)
        test = _t_test(t, "single-run" if is_single else "welch", n, level, margin)
        if min(n) < effect.FEWEST_FOR_RANKS:
            prob = _prob_of_normal(t, arms, level)
    doubts = (*test["difference"].warnings, *doubt.seen_skew(a, b, (arms.name_a, arms.name_b)))
    test["difference"] = replace(test["difference"], warnings=doubts)
    g = effect.hedges_g(*arms.moments, level=level)
    return {**test, "hedges_g": g, "prob_b_greater": prob or _prob_by_ranks(a, b, paired=False, level=level)}


def _prob_of_normal(t: welch.TDistance, arms: Arms, level: float) -> Estimate:
    """Return P(B > A) for normal seeds; an arm with one seed has the spread of the other."""
    sds = (arms.sd_a, arms.sd_b) if min(arms.n_a, arms.n_b) > 1 else (arms.sd_a if arms.n_a > 1 else arms.sd_b,) * 2
    return effect.prob_greater_normal(t, math.hypot(*sds), n=(arms.n_a, arms.n_b), level=level)


def _prob_by_ranks(a: Sample, b: Sample, *, paired: bool, level: float) -> Estimate:
    return (effect.prob_greater_paired if paired else effect.prob_greater)(a, b, level=level)


def _compare_pairs(
    a: Sample, b: Sample, arms: Arms, permutation: Permutation, level: float, margin: float | None
) -> dict[str, Any]:
    n, differences = a.size, b - a
    t = welch.TDistance(mean_of(differences), sd_of(differences) / math.sqrt(n), n - 1.0)
    if t.se == 0.0:
        test = _spreadless_test(arms, permutation, 0.5**n, level, margin)
    else:
        test = _t_test(t, "paired-t", n, level, margin)
    if t.se == 0.0 or n >= effect.FEWEST_FOR_RANKS:
        prob = _prob_by_ranks(a, b, paired=True, level=level)
    else:
        prob = effect.prob_greater_normal(t, sd_of(differences), n=n, level=level, method="noncentral-t-pairs")
    typical = math.sqrt((arms.sd_a**2 + arms.sd_b**2) / 2)
    return {
        **test,
        "hedges_g": effect.hedges_g_of_pairs(t, typical, n, level=level),
        "prob_b_greater": prob,
        "correlation": correlation(a, b, level),
    }


def _t_test(
    t: welch.TDistance, method: Method, n: int | tuple[int, int], level: float, margin: float | None
) -> dict[str, Any]:
    """Return the fields of `Comparison` that a t test gives."""
    ends, warnings = welch.interval(t, level), doubt.unseen_skew(n)
    return {
        "difference": Estimate.of(t.difference, ends, level=level, n=n, method=method, warnings=warnings),
        "method": method,
        "df": float(t.df),
        "se": float(t.se),
        "p_value": bounded_p(welch.two_sided_p(t)),
        "margin": margin,
        "p_above_minus_margin": None if margin is None else bounded_p(welch.p_above(t, -margin)),
        "p_below_plus_margin": None if margin is None else bounded_p(welch.p_below(t, margin)),
    }


def _spreadless_test(
    arms: Arms, permutation: Permutation, one_sided_floor: float, level: float, margin: float | None
) -> dict[str, Any]:
    """Return the same fields when no arm shows any spread: the permutation p, and no interval."""
    difference, n = arms.mean_b - arms.mean_a, (arms.n_a, arms.n_b)
    above = below = None
    if margin is not None:
        # Shifted by the margin, the arms are completely separated: the smallest one-sided p there is.
        above = one_sided_floor if difference > -margin else 1.0
        below = one_sided_floor if difference < margin else 1.0
    warnings = ("no spread between seeds: no interval can be computed",)
    return {
        "difference": Estimate.of(difference, None, level=level, n=n, method="permutation", warnings=warnings),
        "method": "permutation",
        "df": math.nan,
        "se": 0.0,
        "p_value": permutation.p_value,
        "margin": margin,
        "p_above_minus_margin": above,
        "p_below_plus_margin": below,
    }


def correlation(a: Sample, b: Sample, level: float) -> Estimate:
    """Return Pearson's r of the pairs with Fisher's z interval (from 4 pairs on)."""
    n = a.size
    is_flat = np.ptp(a) == 0.0 or np.ptp(b) == 0.0
    r = math.nan if is_flat else float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
    ends = None
    if n >= 4 and abs(r) < 1.0:
        half = float(special.ndtri(0.5 + level / 2)) / math.sqrt(n - 3)
        ends = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Estimate.of(r, ends, level=level, n=n, method="fisher-z")


def _design_warnings(arms: Arms, level: float) -> tuple[str, ...]:
    """Return the warnings that follow from the numbers of seeds and the spreads alone."""
    smallest = min(arms.n_a, arms.n_b)
    if 1 < smallest < doubt.FEWEST_TO_JUDGE and not arms.no_spread:
        return (unsure_spread(smallest, level),)
    return ()
