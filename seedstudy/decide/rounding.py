"""What rounded numbers leave open: every comparison that the printed digits allow, and the least favourable of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seedstudy.decide.select import moments_of
from seedstudy.decide.verdict import BORDERLINE
from seedstudy.stats import welch
from seedstudy.stats.compare import Comparison
from seedstudy.stats.effect import prob_greater_normal_limits
from seedstudy.stats.result import bounded_p, format_p, p_equals
from seedstudy.stats.sample import Floats
from seedstudy.stats.welch import TDistance
from seedstudy.study.group import Group

_NODES = 17
"""Values tried between the smallest and the largest std: with few seeds p is not monotone in a std."""
_MOST_DECIMALS = 4
_MOST_SEEDS = 300
_FINE = 0.05
"""A step of so many std over seeds is too small to matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounding:
    """The comparisons that round to the printed one."""

    t: TDistance
    """All of them, as arrays of one shape."""
    spread: Floats
    """Of each, the std of the difference of one seed of B and one of A."""
    step: float
    """Unit of the last digit, in the metric's unit; the larger one of both arms."""
    is_published: bool
    """Whether means and stds are rounded, and not single seeds."""
    decides: bool
    """Whether the largest p decides. The test itself allows for single seeds that are rounded to less than a std."""

    @property
    def p_values(self) -> tuple[float, float]:
        """Smallest and largest two-sided p-value."""
        p = welch.two_sided_p(self.t)
        return bounded_p(p.min()), bounded_p(p.max())

    def interval(self, level: float) -> tuple[float, float]:
        """Return the ends that hold for every one of the comparisons."""
        low, high = welch.interval(self.t, level)
        return float(low.min()), float(high.max())

    def applied(self, c: Comparison) -> Comparison:
        """Return the comparison with the largest p-values and the widest interval, where these decide."""
        if not self.decides:
            return c
        low, high = self.interval(c.level)
        above = below = None
        if c.margin is not None:
            above = bounded_p(welch.p_above(self.t, -c.margin).max())
            below = bounded_p(welch.p_below(self.t, c.margin).max())
        prob = c.prob_b_greater
        least, most = prob_greater_normal_limits(self.t, self.spread, prob.level)
        return replace(
            c,
            difference=replace(c.difference, low=low, high=high),
            prob_b_greater=replace(prob, low=float(least.min()), high=float(most.max())),
            p_value=self.p_values[1],
            p_above_minus_margin=above,
            p_below_plus_margin=below,
        )

    def in_words(self, printed: float) -> str:
        """Return what the reader must know, given the p-value of the printed digits."""
        low, high = self.p_values
        if self.is_published:
            return (
                f"Rounding alone allows any p from {format_p(low)} to {format_p(high)} ({format_p(printed)} as "
                "printed), and the largest decides"
            )
        if self.decides:
            return (
                f"Seeds are given in steps of {self.step:g}, more than their std: rounding alone allows "
                f"{p_equals(high)} ({p_equals(printed)} as given), which decides"
            )
        return (
            BORDERLINE + f"seeds are given in steps of {self.step:g}; if that is rounding, it allows {p_equals(high)}"
        )


def rounding_of(a: Group, b: Group, c: Comparison) -> Rounding | None:
    """Return what rounding leaves open of a comparison; None where the numbers are exact, or fine enough."""
    if a.moments is not None or b.moments is not None:
        return _of_published(a, b)
    if c.method != "welch" or max(c.n_a, c.n_b) > _MOST_SEEDS:
        return None
    steps = _step(a), _step(b)
    matters = _FINE * max(c.sd_a, c.sd_b)
    if max(steps) <= matters:
        return None
    (mean_a, sd_a), (mean_b, sd_b) = (_spread_out(g.values, step / 2) for g, step in zip((a, b), steps, strict=True))
    means_a, means_b = (x.ravel() for x in np.meshgrid(mean_a, mean_b))
    stds_a, stds_b = (x.ravel() for x in np.meshgrid(sd_a, sd_b))
    if (means_b - means_a).min() < 0.0 < (means_b - means_a).max():  # no difference at all is possible too
        means_a, means_b = np.append(means_a, c.mean_a), np.append(means_b, c.mean_a)
        stds_a, stds_b = np.append(stds_a, sd_a[-1]), np.append(stds_b, sd_b[-1])
    t, spread = _distances(means_a, stds_a, means_b, stds_b, c.n_a, c.n_b)
    coarse = [step for step, sd in zip(steps, (c.sd_a, c.sd_b), strict=True) if step > max(sd, matters)]
    return Rounding(t=t, spread=spread, step=max(coarse or steps), is_published=False, decides=bool(coarse))


def _of_published(a: Group, b: Group) -> Rounding:
    (mean_a, sd_a, n_a), (mean_b, sd_b, n_b) = moments_of(a), moments_of(b)
    half = sum(0.0 if g.moments is None else g.moments.mean_step / 2 for g in (a, b))
    d = mean_b - mean_a
    # p falls with the size of the difference: its extremes are at the ends, or at 0 between them.
    differences = np.array([d - half, d, d + half, np.clip(0.0, d - half, d + half)])
    stds = [_stds(g, sd) for g, sd in ((a, sd_a), (b, sd_b))]
    d_at, sd_a_at, sd_b_at = (x.ravel() for x in np.meshgrid(differences, *stds))
    step = max(g.moments.mean_step for g in (a, b) if g.moments is not None)
    t, spread = _distances(0.0 * d_at, sd_a_at, d_at, sd_b_at, n_a, n_b)
    return Rounding(t=t, spread=spread, step=step, is_published=True, decides=True)


def _stds(group: Group, sd: float) -> Floats:
    half = 0.0 if group.moments is None else group.moments.sd_step / 2
    return np.linspace(sd - half, sd + half, _NODES) if half else np.array([sd])


def _distances(mean_a: Any, sd_a: Any, mean_b: Any, sd_b: Any, n_a: int, n_b: int) -> tuple[TDistance, Floats]:
    """Return Welch's t of all these arms of which at least one has a spread, as flat arrays, and their spreads."""
    has_spread = (sd_a > 0.0) | (sd_b > 0.0)
    mean_a, sd_a, mean_b, sd_b = (x[has_spread] for x in (mean_a, sd_a, mean_b, sd_b))
    return welch.welch(mean_a, sd_a, n_a, mean_b, sd_b, n_b), np.hypot(sd_a, sd_b)


def _step(group: Group) -> float:
    """Return the unit of the last decimal of a group's seeds; 0 where they are exact, or have many decimals.

    They are exact where the number of images is known, and where another metric is a whole number.
    """
    if group.step is not None or group.n < 2:
        return 0.0
    for decimals in range(_MOST_DECIMALS + 1):
        if np.abs(group.values - np.round(group.values, decimals)).max() < 1e-9:
            return 0.0 if decimals == 0 and group.unit is None else 10.0**-decimals
    return 0.0


def _spread_out(values: Floats, half: float) -> tuple[Floats, Floats]:
    """Return mean and std when the k largest seeds were rounded down by half a step and the others up, for all k.

    No other errors of rounding give a larger std with the same mean. The seeds as given come last.
    """
    n = values.size
    centred = np.sort(values - values.mean())[::-1]
    up = np.arange(n + 1)[:, None] > np.arange(n)[None, :]
    rows = np.vstack([centred + np.where(up, half, -half), centred])
    return values.mean() + rows.mean(axis=1), rows.std(axis=1, ddof=1)
