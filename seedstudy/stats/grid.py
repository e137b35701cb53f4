"""Architectures x recipes: architecture difference, recipe difference and seed noise in one table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from seedstudy.errors import StatisticsError
from seedstudy.stats import welch
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import Floats, as_sample, check_level, mean_of, sd_of
from seedstudy.stats.variance import sd_factors


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSource:
    """One row of the table: the size of the differences that this source makes."""

    name: str
    """"architecture", "recipe" or "interaction"."""
    statistic: float
    """F of the ANOVA-type statistic."""
    df: float
    df_noise: float
    p_value: float
    spread: Estimate
    """Root mean square effect in the unit of the input, freed of seed noise; comparable with `seed_noise`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MarginalDifference:
    """Two levels of one factor, averaged over the other factor with equal weights: B minus A."""

    factor: str
    a: str
    b: str
    difference: Estimate
    """Welch-Satterthwaite interval, Bonferroni over the pairs of this factor."""
    p_value: float
    p_adjusted: float
    """Bonferroni over the pairs of this factor, as the interval of `difference`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A complete grid of two factors with seeds in every cell, spreads allowed to differ from cell to cell."""

    architectures: tuple[str, ...]
    recipes: tuple[str, ...]
    n_seeds: int
    sources: tuple[GridSource, ...]
    """Architecture, recipe and interaction."""
    seed_noise: Estimate
    """Standard deviation between seeds of one cell, averaged (in variance) over cells."""
    differences: tuple[MarginalDifference, ...]
    level: float
    warnings: tuple[str, ...] = ()


def two_way(cells: Mapping[tuple[str, str], ArrayLike], *, level: float = 0.95) -> Grid:
    """Analyse a grid of architectures and recipes.

    ANOVA-type statistic with Box's approximation for unequal variances: Brunner, Dette & Munk (1997), J. American
    Statistical Association 92. With two levels it is the square of Welch's t. `spread` inverts the noncentral F of
    that approximation, so its interval is approximate.

    Parameters
    ----------
    cells : mapping of (architecture, recipe) to array_like, shapes (n_seeds,)
        Every combination, at least two seeds each; the numbers of seeds may differ.

    Raises
    ------
    StatisticsError
        A cell is missing or has one seed, a factor has one level, or no cell shows any spread.

    """
    check_level(level)
    architectures = tuple(dict.fromkeys(key[0] for key in cells))
    recipes = tuple(dict.fromkeys(key[1] for key in cells))
    keys = list(itertools.product(architectures, recipes))
    missing = [f"{recipe}@{architecture}" for architecture, recipe in keys if (architecture, recipe) not in cells]
    if missing:
        raise StatisticsError(
            f"grid: no seeds for {', '.join(missing[:3])}; train them, or leave out that recipe or architecture"
        )
    if len(architectures) < 2 or len(recipes) < 2:
        raise StatisticsError(
            f"grid: {len(architectures)} architectures x {len(recipes)} recipes; at least 2 x 2 needed, else compare"
        )
    samples = [as_sample(cells[key], name="@".join(reversed(key)), at_least=2) for key in keys]
    n = np.array([sample.size for sample in samples], dtype=np.float64)
    means = np.array([mean_of(sample) for sample in samples])
    variances = np.array([sd_of(sample) for sample in samples]) ** 2
    if not np.any(variances > 0.0):
        raise StatisticsError("grid: no cell shows any spread between seeds; nothing to compare the differences with")
    sources = [
        _source(name, projection(name, len(architectures), len(recipes)), means, variances, n, level)
        for name in ("architecture", "recipe", "interaction")
    ]
    return Grid(
        architectures=architectures,
        recipes=recipes,
        n_seeds=int(n.sum()),
        sources=tuple(sources),
        seed_noise=_seed_noise(variances, n, level),
        differences=(
            *_marginal("architecture", architectures, len(recipes), means, variances, n, level),
            *_marginal("recipe", recipes, len(architectures), means, variances, n, level),
        ),
        level=level,
        warnings=_warnings(keys, variances, n),
    )


def projection(name: str, n_architectures: int, n_recipes: int) -> Floats:
    """Return the matrix that keeps one source of the cell means, cells running over recipes fastest."""

    def part(levels: int, factor: str) -> Floats:
        mean = np.full((levels, levels), 1.0 / levels)
        return np.eye(levels) - mean if name in (factor, "interaction") else mean

    return np.kron(part(n_architectures, "architecture"), part(n_recipes, "recipe")).astype(np.float64)


def anova_type(matrix: Floats, means: Floats, variances: Floats, n: Floats) -> tuple[Any, Any, Any]:
    """Return F and both degrees of freedom of the ANOVA-type statistic of a `projection`.

    `means` and `variances` of the cells have shapes (..., n_cells), `n` (seeds per cell) has shape (n_cells,).
    """
    errors, diagonal = variances / n, np.diag(matrix)
    # Expectation of the quadratic form without any effect; its distribution is matched by a scaled chi-square.
    expected = errors @ diagonal
    df = expected**2 / np.sum((errors @ np.square(matrix)) * errors, axis=-1)
    df_noise = expected**2 / np.sum(np.square(diagonal * errors) / (n - 1), axis=-1)
    return np.sum((means @ matrix) * means, axis=-1) / expected, df, df_noise


def _source(name: str, matrix: Floats, means: Floats, variances: Floats, n: Floats, level: float) -> GridSource:
    statistic, df, df_noise = (float(value) for value in anova_type(matrix, means, variances, n))
    expected = float(variances / n @ np.diag(matrix))
    value = math.sqrt(max(statistic - 1.0, 0.0) * expected / means.size)
    ends = [math.sqrt(limit * (expected / df / means.size)) for limit in _noncentrality(statistic, df, df_noise, level)]
    return GridSource(
        name=name,
        statistic=statistic,
        df=df,
        df_noise=df_noise,
        p_value=bounded_p(float(special.fdtrc(df, df_noise, statistic))),
        spread=Estimate.of(value, ends, level=level, n=int(n.sum()), method="noncentral-f"),
    )


def _noncentrality(statistic: float, df: float, df_noise: float, level: float) -> tuple[float, float]:
    """Return the noncentralities of F under which the observed one is just not extreme; 0 where none is."""
    from scipy import optimize  # a tenth of a second that a comparison does not need

    def solve(probability: float) -> float:
        def gap(noncentrality: float) -> float:
            return float(special.ncfdtr(df, df_noise, noncentrality, statistic)) - probability

        if gap(0.0) <= 0.0:
            return 0.0
        upper = 10.0
        while gap(upper) > 0.0:
            upper *= 2.0
        return float(optimize.brentq(gap, 0.0, upper, xtol=1e-10))

    return solve(0.5 + level / 2), solve(0.5 - level / 2)


def _seed_noise(variances: Floats, n: Floats, level: float) -> Estimate:
    """Return the root of the mean cell variance, with Satterthwaite's degrees of freedom."""
    df = float(variances.sum() ** 2 / np.sum(np.square(variances) / (n - 1)))
    sd = math.sqrt(float(variances.mean()))
    ends = [sd * factor for factor in sd_factors(df, level)]
    return Estimate.of(sd, ends, level=level, n=int(n.sum()), method="satterthwaite-chi2")


def _marginal(
    factor: str, levels: Sequence[str], n_other: int, means: Floats, variances: Floats, n: Floats, level: float
) -> list[MarginalDifference]:
    pairs = list(itertools.combinations(range(len(levels)), 2))
    single = 1 - (1 - level) / len(pairs)
    contrasts = []
    for i, j in pairs:
        weights = np.zeros((len(levels), n_other))
        weights[j], weights[i] = 1 / n_other, -1 / n_other
        # Cells run over recipes fastest: for recipes the table is the other way round.
        flat = (weights if factor == "architecture" else weights.T).ravel()
        parts = np.square(flat) * variances / n
        variance = float(parts.sum())
        df = variance**2 / float(np.sum(np.square(parts) / (n - 1))) if variance > 0.0 else math.nan
        contrasts.append(welch.TDistance(float(flat @ means), math.sqrt(variance), df))
    p_values = [bounded_p(float(welch.two_sided_p(t))) if t.se > 0 else 1.0 for t in contrasts]
    method = "welch-satterthwaite-bonferroni"
    differences = []
    for (i, j), t, p in zip(pairs, contrasts, p_values, strict=True):
        ends = welch.interval(t, single) if t.se > 0 else None
        difference = Estimate.of(t.difference, ends, level=level, n=int(n.sum()), method=method)
        differences.append(
            MarginalDifference(
                factor=factor,
                a=levels[i],
                b=levels[j],
                difference=difference,
                p_value=p,
                p_adjusted=bounded_p(len(pairs) * p),
            )
        )
    return differences


def _warnings(keys: list[tuple[str, str]], variances: Floats, n: Floats) -> tuple[str, ...]:
    warnings = [
        f"{recipe}@{architecture}: all seeds gave the same value; its spread is unknown, not zero"
        for (architecture, recipe), variance in zip(keys, variances, strict=True)
        if variance == 0.0
    ]
    if n.min() < 5:
        warnings.append(f"{int(n.min())} seeds in a cell: p-values of the grid are approximate")
    return tuple(warnings)
