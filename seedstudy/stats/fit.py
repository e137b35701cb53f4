"""Which distributions describe the seeds of one recipe. Descriptive only: no test is chosen by it.

scipy.stats, which takes most of a second to import, is imported by the functions that need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats.describe import mean_interval
from seedstudy.stats.families import BETA, NORMAL, ON_THE_LINE, Family, anderson_darling, fit_rows
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import Floats, Sample, as_sample, check_level, is_constant, mean_of, sd_of
from seedstudy.stats.variance import std_interval

FEWEST_FOR_SHAPE = 10
"""Families with a shape parameter need this many seeds; below, the likelihood chases single values."""
_FEWEST_FOR_BOOTSTRAP = 20
"""Below, bootstrap intervals are too short."""
_NORMALITY_DRAWS = 9999
_COARSE = 0.25
"""Steps from this share of the std on enter the likelihood; finer ones change it by less than 0.3 % per seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedFamily:
    """One family of distributions, fitted by maximum likelihood."""

    name: str
    params: dict[str, float]
    log_likelihood: float
    aicc: float
    """Akaike's criterion with the small-sample correction (Hurvich & Tsai 1989)."""
    weight: float
    """Akaike weight among the families shown."""
    gof_statistic: float
    """Anderson-Darling A^2."""
    gof_p: float
    """Parametric bootstrap with refitted parameters (Stute et al. 1993); small: the family does not fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalityTest:
    """A test that the seeds are normal, mean and std unknown."""

    test: str
    statistic: float
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class QQ:
    """Points of a normal quantile-quantile plot with a pointwise band for normal seeds."""

    theoretical: tuple[float, ...]
    """Standard normal quantiles."""
    observed: tuple[float, ...]
    """The seeds in order."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The shape of the distribution over seeds."""

    n: int
    families: tuple[FittedFamily, ...]
    """The best (lowest AICc) first; empty where there are too few seeds to tell families apart."""
    normality: tuple[NormalityTest, ...]
    mean: Estimate
    std: Estimate
    skewness: Estimate
    """Bias-corrected (G1); BCa interval from 20 seeds on."""
    excess_kurtosis: Estimate
    """Bias-corrected (G2); BCa interval from 20 seeds on."""
    qq: QQ | None
    step: float | None
    warnings: tuple[str, ...] = ()


def fit(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    step: float | None = None,
    largest: float | None = None,
    resamples: int = 199,
    name: str = "sample",
) -> Fit:
    """Fit families of distributions to the seeds of one recipe.

    Parameters
    ----------
    values : array_like, shape (n_seeds,)
        At least 3 seeds, any unit.
    step : float, optional
        Distance between possible values: an accuracy over N images comes in steps of 1/N. Simulated samples are then
        rounded alike, so that ties do not count against a family.
    largest : float, optional
        The largest value there can be, for an accuracy 1 or 100: the beta distribution is fitted to value / largest.
    resamples : int
        Bootstrap samples per family; the smallest p is 1 / (resamples + 1).

    Raises
    ------
    StatisticsError
        Fewer than 3 seeds, not finite, values off the lattice, or outside [0, largest].

    """
    check_level(level)
    sample = as_sample(values, name=name, at_least=3)
    _check_lattice(sample, step, name)
    if largest is not None and not (largest > 0 and sample.min() > 0 and sample.max() < largest):
        raise StatisticsError(f"{name}: values outside (0, {largest:g}) cannot be a share of it; leave `largest` out")
    skewness, kurtosis = _shape_moments(sample, level, rng)
    flat = is_constant(sample)
    return Fit(
        n=sample.size,
        families=() if flat else _fit_families(sample, largest, step, resamples, rng),
        normality=() if flat else _normality(sample, step, rng),
        mean=mean_interval(sample, level=level),
        std=std_interval(sample, level=level),
        skewness=skewness,
        excess_kurtosis=kurtosis,
        qq=None if flat else normal_qq(sample, level=level),
        step=step,
        warnings=_warnings(sample, step),
    )


def density(family: FittedFamily, x: Floats, *, largest: float | None = None) -> Floats:
    """Return the density of a fitted family at x, in the unit that it was fitted in; `largest` as given to `fit`."""
    from scipy import stats

    params = list(family.params.values())
    if family.name == "beta":
        scale = largest or 1.0
        return np.asarray(stats.beta.pdf(x / scale, *params) / scale, dtype=np.float64)
    location, scale, *shape = params
    (name,) = (known.in_scipy for known in ON_THE_LINE if known.name == family.name)
    return np.asarray(getattr(stats, name).pdf(x, *shape, loc=location, scale=scale), dtype=np.float64)


def normal_qq(sample: Sample, *, level: float) -> QQ:
    """Return QQ points at the medians of uniform order statistics, and where each point may lie if normal.

    The band is pointwise and takes mean and std as known: one point in twenty outside it is expected at 95 %.
    """
    n = sample.size
    rank = np.arange(1, n + 1)
    centre, spread = mean_of(sample), sd_of(sample)

    def quantiles(q: float) -> Floats:
        return np.asarray(special.ndtri(special.betaincinv(rank, n + 1 - rank, q)), dtype=np.float64)

    low, high = (centre + spread * quantiles(q) for q in ((1 - level) / 2, (1 + level) / 2))
    points = {"theoretical": quantiles(0.5), "observed": np.sort(sample), "low": low, "high": high}
    return QQ(**{name: tuple(values.tolist()) for name, values in points.items()}, level=level)


def _check_lattice(sample: Sample, step: float | None, name: str) -> None:
    if step is None:
        return
    if not (step > 0.0 and math.isfinite(step)):
        raise StatisticsError(f"{name}: step {step:g} must be positive; for N images it is 1/N, in the unit given")
    off = np.abs(sample / step - np.round(sample / step))
    if off.max() > 1e-3:
        raise StatisticsError(
            f"{name}: {sample[off.argmax()]:g} is not a multiple of the step {step:g}; "
            "give unrounded values, or leave the step out"
        )


def _fit_families(
    sample: Sample, largest: float | None, step: float | None, resamples: int, rng: np.random.Generator
) -> tuple[FittedFamily, ...]:
    fitted: list[FittedFamily] = []
    n, sd = sample.size, sd_of(sample)
    blur = _smallest_gap(sample) if step is None else step
    for family in ON_THE_LINE if largest is None else (*ON_THE_LINE, BETA):
        if n < (FEWEST_FOR_SHAPE if len(family.params) > 2 else 4):  # AICc needs n > k + 1
            continue
        # Standardised data keep the search well scaled; the likelihood is brought back to the given unit.
        shift, scale = (0.0, float(largest or 1.0)) if family is BETA else (mean_of(sample), sd)
        z = np.sort((sample - shift) / scale)[None, :]
        coarse = blur / scale if blur is not None and blur >= _COARSE * sd else None
        params, log_likelihoods = fit_rows(family, z, grid=coarse)
        observed = float(anderson_darling(family.cdf(z, params))[0])
        draws = family.draw(params[0], resamples * n, rng).reshape(resamples, n)
        if step is not None:
            draws = _on_lattice(draws, step / scale, -shift / scale)
        null = _refitted_statistics(family, np.sort(draws, axis=1), coarse)
        k, log_likelihood = len(family.params), float(log_likelihoods[0]) - n * math.log(scale)
        fitted.append(
            FittedFamily(
                name=family.name,
                params=dict(zip(family.params, family.readable(params[0], shift, scale), strict=True)),
                log_likelihood=log_likelihood,
                aicc=2 * k - 2 * log_likelihood + 2 * k * (k + 1) / (n - k - 1),
                weight=math.nan,
                gof_statistic=observed,
                gof_p=(1 + int(np.sum(null >= observed))) / (resamples + 1),
            )
        )
    return _weighted(fitted) if fitted else ()


def _refitted_statistics(family: Family, draws: Floats, coarse: float | None) -> Floats:
    """Return the goodness-of-fit statistic of each sorted row, refitted; inf for a row of equal values."""
    usable = draws[:, -1] > draws[:, 0]
    statistics = np.full(len(draws), np.inf)
    refitted, _ = fit_rows(family, draws[usable], grid=coarse)
    statistics[usable] = anderson_darling(family.cdf(draws[usable], refitted))
    return statistics


def _weighted(fitted: list[FittedFamily]) -> tuple[FittedFamily, ...]:
    """Return the families with their Akaike weights, the best first."""
    criteria = np.array([family.aicc for family in fitted])
    relative = np.exp(-(criteria - criteria.min()) / 2)
    weights = relative / relative.sum()
    weighted = [replace(family, weight=float(weight)) for family, weight in zip(fitted, weights, strict=True)]
    return tuple(sorted(weighted, key=lambda family: family.aicc))


def _smallest_gap(sample: Sample) -> float | None:
    """Return the smallest gap between values where some are shared: seeds that tie were rounded by somebody."""
    distinct = np.unique(sample)
    return None if distinct.size in (1, sample.size) else float(np.diff(distinct).min())


def _on_lattice(draws: Floats, grid: float, origin: float) -> Floats:
    return np.asarray(np.round((draws - origin) / grid) * grid + origin)


def _normality(sample: Sample, step: float | None, rng: np.random.Generator) -> tuple[NormalityTest, ...]:
    """Return Shapiro-Wilk, Lilliefors and Anderson-Darling; p-values know that mean and std were estimated."""
    n, sd = sample.size, sd_of(sample)
    draws = rng.standard_normal((_NORMALITY_DRAWS, n))
    if step is not None:
        draws = _on_lattice(draws, step / sd, -mean_of(sample) / sd)
        draws = draws[np.ptp(draws, axis=1) > 0.0]
    null, observed = _normal_cdf_of_standardised(draws), _normal_cdf_of_standardised(sample[None, :])
    tests = [_shapiro(sample, None if step is None else draws)]
    for name, statistic in (("lilliefors", _kolmogorov), ("anderson-darling", anderson_darling)):
        value = float(statistic(observed)[0])
        p = (1 + int(np.sum(statistic(null) >= value - 1e-12))) / (len(null) + 1)
        tests.append(NormalityTest(test=name, statistic=value, p_value=p))
    return tuple(tests)


def _shapiro(sample: Sample, on_lattice: Floats | None) -> NormalityTest:
    from scipy import stats

    test = stats.shapiro(sample)
    value, p = float(test.statistic), float(test.pvalue)
    if on_lattice is not None:
        null = np.array([stats.shapiro(row).statistic for row in on_lattice[:999]])
        p = (1 + int(np.sum(null <= value + 1e-12))) / (len(null) + 1)
    return NormalityTest(test="shapiro-wilk", statistic=value, p_value=p)


def _normal_cdf_of_standardised(rows: Floats) -> Floats:
    z = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, ddof=1, keepdims=True)
    return NORMAL.cdf(np.sort(z, axis=1), np.zeros((rows.shape[0], 2)))


def _kolmogorov(u: Floats) -> Floats:
    n = u.shape[1]
    rank = np.arange(1, n + 1)
    return np.asarray(np.maximum((rank / n - u).max(axis=1), (u - (rank - 1) / n).max(axis=1)))


def _shape_moments(sample: Sample, level: float, rng: np.random.Generator) -> tuple[Estimate, Estimate]:
    from scipy import stats

    n = sample.size
    estimates = []
    for name, function, fewest in (("skewness", stats.skew, 3), ("kurtosis", stats.kurtosis, 4)):
        unbiased: Callable[..., Any] = partial(function, bias=False)
        value, ends = math.nan, None
        if n >= fewest and not is_constant(sample):
            value = float(unbiased(sample))
        if n >= _FEWEST_FOR_BOOTSTRAP and not is_constant(sample):
            options: dict[str, Any] = {"n_resamples": 1999, "vectorized": True, "method": "BCa", "rng": rng}
            ends = stats.bootstrap((sample,), unbiased, confidence_level=level, **options).confidence_interval
        estimates.append(Estimate.of(value, ends, level=level, n=n, method=f"{name}-bootstrap-bca"))
    return estimates[0], estimates[1]


def _warnings(sample: Sample, step: float | None) -> tuple[str, ...]:
    n = sample.size
    if is_constant(sample):
        return (f"all {n} seeds gave the same value; no distribution can be fitted",)
    warnings = []
    if n < 4:
        warnings.append(f"{n} seeds cannot tell one distribution from another; no family is fitted")
    elif n < FEWEST_FOR_SHAPE:
        warnings.append(f"{n} seeds: families with a shape parameter need {FEWEST_FOR_SHAPE}")
    if n < 30:
        warnings.append(f"{n} seeds rarely show that a family is wrong: a large p is no proof that it is right")
    if step is None and np.unique(sample).size < 0.8 * n:
        warnings.append(
            "many seeds share a value: say how many images the eval set has, so that ties do not count against a family"
        )
    return tuple(warnings)
