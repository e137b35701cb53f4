"""More than two recipes: the more one looks at, the more one finds by luck."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats import welch
from seedstudy.stats.permutation import permute, studentised
from seedstudy.stats.result import Estimate, honest_p
from seedstudy.stats.sample import Sample, as_sample, check_level, mean_of, sd_of

Correction = Literal["holm", "bonferroni", "fdr_bh"]
PairMethod = Literal["welch-holm", "games-howell"]
BaselineMethod = Literal["welch-holm", "dunnett"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairDifference:
    """One pair of a family of comparisons: B minus A."""

    a: str
    b: str
    difference: Estimate
    """Simultaneous interval: all intervals of the family hold together with this level."""
    statistic: float
    """Welch's t, or the pooled t for Dunnett; nan without any spread."""
    df: float
    p_value: float
    """Unadjusted two-sided p-value."""
    p_adjusted: float
    """p-value adjusted for the whole family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Comparisons that are read together."""

    pairs: tuple[PairDifference, ...]
    method: str
    level: float
    letters: dict[str, str] | None
    """Recipes that share a letter were not told apart (Piepho 2004); None when compared with a baseline only."""
    warnings: tuple[str, ...] = ()


def adjust(p_values: Sequence[float], method: Correction = "holm") -> tuple[float, ...]:
    """Return p-values adjusted for their number: Holm (default), Bonferroni, or Benjamini-Hochberg (exploratory)."""
    # Six lines instead of statsmodels' multipletests, which collects garbage (50 ms) on every call.
    p = np.asarray(p_values, dtype=np.float64)
    order, rank = np.argsort(p, kind="stable"), np.arange(p.size)
    if method == "bonferroni":
        in_order = p[order] * p.size
    elif method == "holm":
        in_order = np.maximum.accumulate(p[order] * (p.size - rank))
    else:
        in_order = np.minimum.accumulate((p[order] * p.size / (rank + 1))[::-1])[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = in_order
    return tuple(honest_p(float(value)) for value in adjusted)


def all_pairs(
    groups: Mapping[str, ArrayLike],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    method: PairMethod = "welch-holm",
) -> Family:
    """Compare every recipe with every other one.

    Parameters
    ----------
    groups : mapping of str to array_like, shapes (n_seeds,)
        At least two recipes with at least two seeds each.
    rng : numpy.random.Generator
        Used only for pairs that show no spread at all and are too large for exact permutation.
    level : float
        Simultaneous level of the intervals.
    method : {"welch-holm", "games-howell"}
        "welch-holm" adjusts Welch's p-values by Holm and gives Bonferroni intervals, which are wider than the tests
        need but never narrower. "games-howell" takes both from the studentised range; it has more power from about 10
        seeds per recipe on, and errs too often below (see `docs/calibration.md`).

    Returns
    -------
    Family
        In the order of `itertools.combinations`; B minus A with A first. No omnibus test is asked for permission.

    Raises
    ------
    StatisticsError
        Fewer than two recipes, or a recipe with one seed.

    """
    check_level(level)
    samples = _samples(groups)
    names = list(itertools.combinations(samples, 2))
    bare = [_bare_pair(samples, a, b, rng) for a, b in names]
    pairs = _games_howell(bare, len(samples), level) if method == "games-howell" else _welch_holm(bare, level)
    letters = compact_letters(
        {name: mean_of(sample) for name, sample in samples.items()},
        {(pair.a, pair.b) for pair in pairs if pair.p_adjusted < 1 - level},
    )
    return Family(pairs=pairs, method=method, level=level, letters=letters, warnings=_warnings(samples, method))


def against_baseline(
    baseline: str,
    groups: Mapping[str, ArrayLike],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    method: BaselineMethod = "welch-holm",
) -> Family:
    """Compare every other recipe with one baseline.

    Parameters
    ----------
    baseline : str
        Key of the baseline in `groups`.
    groups : mapping of str to array_like, shapes (n_seeds,)
        At least two recipes with at least two seeds each.
    rng : numpy.random.Generator
        Used only for pairs that show no spread at all and are too large for exact permutation.
    level : float
        Simultaneous level of the intervals.
    method : {"welch-holm", "dunnett"}
        Dunnett (1955) assumes one spread for all recipes; the default does not.

    Raises
    ------
    StatisticsError
        The baseline is unknown, there is nothing to compare with it, or a recipe has one seed.

    """
    check_level(level)
    samples = _samples(groups)
    if baseline not in samples:
        raise StatisticsError(f"baseline {baseline}: not among the recipes {', '.join(samples)}; name one of them")
    others = [name for name in samples if name != baseline]
    if method == "dunnett":
        pairs = _dunnett(baseline, others, samples, level)
    else:
        pairs = _welch_holm([_bare_pair(samples, baseline, name, rng) for name in others], level)
    return Family(pairs=pairs, method=method, level=level, letters=None, warnings=_warnings(samples, method))


class _Bare:
    """A pair before any adjustment."""

    def __init__(self, a: str, b: str, n: tuple[int, int], t: welch.TDistance | None, gap: float, p: float) -> None:
        self.a, self.b, self.n, self.t, self.gap, self.p = a, b, n, t, gap, p

    def adjusted(self, low: float, high: float, p_adjusted: float, level: float, method: str) -> PairDifference:
        return PairDifference(
            a=self.a,
            b=self.b,
            difference=Estimate(value=self.gap, low=low, high=high, level=level, n=self.n, method=method),
            statistic=float(self.t.statistic) if self.t else math.nan,
            df=float(self.t.df) if self.t else math.nan,
            p_value=self.p,
            p_adjusted=p_adjusted,
        )


def _samples(groups: Mapping[str, ArrayLike]) -> dict[str, Sample]:
    samples = {name: as_sample(values, name=name, at_least=2) for name, values in groups.items()}
    if len(samples) < 2:
        raise StatisticsError(f"{len(samples)} recipe: comparing needs at least two; name another one")
    return samples


def pair_test(a: Sample, b: Sample, rng: np.random.Generator) -> tuple[welch.TDistance | None, float]:
    """Return Welch's t of B minus A with its two-sided p; the permutation p alone where no arm shows any spread."""
    sd_a, sd_b = sd_of(a), sd_of(b)
    if sd_a == 0.0 and sd_b == 0.0:
        pooled = studentised(np.concatenate([a, b]))
        return None, permute(pooled, a.size, b.size, rng=rng, resamples=9999).p_value
    t = welch.welch(mean_of(a), sd_a, a.size, mean_of(b), sd_b, b.size)
    return t, honest_p(float(welch.two_sided_p(t)))


def _bare_pair(samples: Mapping[str, Sample], a: str, b: str, rng: np.random.Generator) -> _Bare:
    first, second = samples[a], samples[b]
    t, p = pair_test(first, second, rng)
    return _Bare(a, b, (first.size, second.size), t, mean_of(second) - mean_of(first), p)


def _welch_holm(bare: list[_Bare], level: float) -> tuple[PairDifference, ...]:
    single = 1 - (1 - level) / len(bare)
    pairs = []
    for pair, p_adjusted in zip(bare, adjust([pair.p for pair in bare]), strict=True):
        low, high = welch.interval(pair.t, single) if pair.t else (math.nan, math.nan)
        pairs.append(pair.adjusted(float(low), float(high), p_adjusted, level, "welch-bonferroni"))
    return tuple(pairs)


def _games_howell(bare: list[_Bare], k: int, level: float) -> tuple[PairDifference, ...]:
    """Return studentised-range p-values and intervals with each pair's Welch error (Games & Howell 1976)."""
    pairs = []
    for pair in bare:
        if pair.t is None:
            # Without spread there is no t; the permutation p is adjusted by the number of pairs.
            low = high = math.nan
            p_adjusted = min(pair.p * len(bare), 1.0)
        else:
            df = float(pair.t.df)
            p_adjusted = honest_p(float(stats.studentized_range.sf(abs(float(pair.t.statistic)) * math.sqrt(2), k, df)))
            half = float(stats.studentized_range.ppf(level, k, df)) / math.sqrt(2) * float(pair.t.se)
            low, high = pair.gap - half, pair.gap + half
        pairs.append(pair.adjusted(low, high, p_adjusted, level, "games-howell"))
    return tuple(pairs)


def _dunnett(
    baseline: str, others: list[str], samples: Mapping[str, Sample], level: float
) -> tuple[PairDifference, ...]:
    """Return Dunnett's (1955) many-to-one t with the pooled spread of all recipes."""
    control = samples[baseline]
    df = sum(sample.size - 1 for sample in samples.values())
    pooled = math.sqrt(sum((sample.size - 1) * sd_of(sample) ** 2 for sample in samples.values()) / df)
    if pooled == 0.0:
        raise StatisticsError("Dunnett: no recipe shows any spread between seeds; use the method welch-holm")
    sizes = np.array([samples[name].size for name in others])
    reach = dunnett_reach(sizes, control.size, df, level)
    pairs = []
    for name in others:
        sample = samples[name]
        se = pooled * math.sqrt(1 / sample.size + 1 / control.size)
        gap = mean_of(sample) - mean_of(control)
        pairs.append(
            PairDifference(
                a=baseline,
                b=name,
                difference=Estimate(
                    value=gap,
                    low=gap - reach * se,
                    high=gap + reach * se,
                    level=level,
                    n=(control.size, sample.size),
                    method="dunnett",
                ),
                statistic=gap / se,
                df=float(df),
                p_value=honest_p(2 * float(special.stdtr(df, -abs(gap / se)))),
                p_adjusted=honest_p(dunnett_p(abs(gap / se), sizes, control.size, df)),
            )
        )
    return tuple(pairs)


def dunnett_reach(sizes: NDArray[np.int64], n_control: int, df: float, level: float) -> float:
    """Return the t beyond which Dunnett's test rejects."""
    return float(optimize.brentq(lambda c: dunnett_p(c, sizes, n_control, df) - (1 - level), 1e-6, 1e3, xtol=1e-10))


def dunnett_p(statistic: float, sizes: NDArray[np.int64], n_control: int, df: float) -> float:
    """Return the probability that the largest of Dunnett's |t| exceeds the statistic, all recipes being equal.

    Given the control's mean and the pooled spread the recipes are independent, so the multivariate t is a double
    integral; quadrature makes it exact to about 1e-9 and the same every time.
    """
    shared = np.sqrt(sizes / (sizes + n_control))[:, None, None]
    own = np.sqrt(1 - shared**2)
    z, weight_z = np.polynomial.hermite_e.hermegauss(100)
    nodes, weight_s = np.polynomial.legendre.leggauss(100)
    low, high = np.sqrt(special.chdtri(df, [1 - 1e-12, 1e-12]) / df)
    spread = (low + high) / 2 + (high - low) / 2 * nodes
    log_density = (df - 1) * np.log(spread) - df * spread**2 / 2
    weight_s = weight_s * np.exp(log_density - log_density.max())
    reach, centre = statistic * spread[None, None, :] / own, shared * z[None, :, None] / own
    inside = np.prod(special.ndtr(centre + reach) - special.ndtr(centre - reach), axis=0)
    weights = np.outer(weight_z / weight_z.sum(), weight_s / weight_s.sum())
    return float(np.clip(1 - np.sum(weights * inside), 0.0, 1.0))


def compact_letters(means: Mapping[str, float], different: set[tuple[str, str]]) -> dict[str, str]:
    """Return letters such that two recipes share one exactly when they were not told apart.

    Notes
    -----
    Insert and absorb, Piepho (2004), "An algorithm for a letter-based representation of all-pairwise comparisons",
    J. Computational and Graphical Statistics 13. Letters run from the highest mean down.

    """
    order = sorted(means, key=lambda name: (-means[name], name))
    columns = [frozenset(order)]
    for a, b in sorted(different):
        split = []
        for column in columns:
            split += [column - {a}, column - {b}] if a in column and b in column else [column]
        columns = [
            column
            for i, column in enumerate(split)
            if not any(column < other or (column == other and j < i) for j, other in enumerate(split))
        ]
    columns.sort(key=lambda column: [order.index(name) for name in order if name in column])
    return {name: "".join(_letter(i) for i, column in enumerate(columns) if name in column) for name in order}


def _letter(i: int) -> str:
    """Return a, b, ..., z, then a1, b1, ..."""
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")


def _warnings(samples: Mapping[str, Sample], method: str) -> tuple[str, ...]:
    found = [
        f"{name}: all {sample.size} seeds gave the same value; its spread is unknown, not zero"
        for name, sample in samples.items()
        if sd_of(sample) == 0.0
    ]
    fewest = min(sample.size for sample in samples.values())
    if method == "games-howell" and fewest <= 10:
        found.append(f"Games-Howell with {fewest} seeds errs more often than stated; welch-holm does not")
    if method == "dunnett":
        found.append("Dunnett assumes the same spread in all recipes")
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Omnibus:
    """Tests that all recipes are equal; for the record, never a gate before the pairs."""

    f: float
    """One-way F with pooled spread."""
    f_p: float
    welch_f: float
    """Welch (1951), spreads free; nan where a recipe shows no spread."""
    welch_p: float
    kruskal_h: float
    kruskal_p: float


def omnibus(groups: Mapping[str, ArrayLike]) -> Omnibus:
    """Return the one-way tests that papers print; `all_pairs` says which recipes differ and does not wait for them."""
    from statsmodels.stats.oneway import anova_oneway  # a second to import, for this function alone

    named = _samples(groups)
    # Numbers are moved to their common start first: 13 equal leading digits would cost all precision.
    start = next(iter(named.values()))[0]
    samples = [sample - start for sample in named.values()]
    if all(np.ptp(sample) == 0.0 for sample in samples):
        raise StatisticsError("omnibus: no recipe shows any spread between seeds; there is no F")
    pooled = stats.f_oneway(*samples)
    ranked = stats.kruskal(*samples)
    welch_f = welch_p = math.nan
    if all(np.ptp(sample) > 0.0 for sample in samples):
        free = anova_oneway(samples, use_var="unequal", welch_correction=True)
        welch_f, welch_p = float(free.statistic), honest_p(float(free.pvalue))
    return Omnibus(
        f=float(pooled.statistic),
        f_p=honest_p(float(pooled.pvalue)),
        welch_f=welch_f,
        welch_p=welch_p,
        kruskal_h=float(ranked.statistic),
        kruskal_p=honest_p(float(ranked.pvalue)),
    )
