"""Group-sequential boundaries for t statistics: how small a p-value must be at each look so that all looks together err
no more often than promised.

The boundaries are exact for normal seeds of unknown, common variance, up to 200 degrees of freedom; beyond, levels
come out up to one percent of themselves too large. Jennison and Turnbull (1991), "Exact calculations for sequential
t, chi-squared and F tests", Biometrika 78, in one dimension instead of two. Under the null hypothesis the correlation
of the data with the contrast, r = t / sqrt(t^2 + df), is independent of their sum of squares, and r at one look
depends on the past through r at the look before only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from seedstudy.errors import StatisticsError

Values = NDArray[np.float64]
Spending = Literal["obrien-fleming", "pocock"]

_REACH = 6.5
"""Normal quantile beyond which a boundary counts as out of reach (a level of 8e-11)."""
_CELLS_PER_STEP = 2.0
"""Cells of the grid per standard deviation of the step from one look to the next."""
_FEWEST_CELLS = 60
_NODES, _NODES_LATER = 12, 4
"""Of the integral over the other new dimensions; four, from 30 degrees of freedom on, change a level by 1e-5 of it."""
_NORMAL_FROM = 200
"""Degrees of freedom from which the steps of the normal quantile of r are taken as normal: exact ones cost seconds."""


def spent(fraction: Values, alpha: float, spending: Spending) -> Values:
    """Return how much of a one-sided alpha may have been spent when this fraction of the information is in.

    A two-sided boundary spends alpha / 2 on each side in this way, as the published tables do. Lan and DeMets (1983),
    "Discrete sequential boundaries for clinical trials", Biometrika 70: the functions that come close to the boundaries
    of O'Brien and Fleming (early stops need overwhelming evidence) and of Pocock (early stops cost more seeds later).
    """
    share = np.clip(fraction, 0.0, 1.0)
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((np.e - 1.0) * share))
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 * special.ndtr(special.ndtri(alpha / 2) / np.sqrt(share)))


@lru_cache(maxsize=256)
def nominal_levels(
    information: tuple[float, ...],
    df: tuple[int, ...],
    alpha: float,
    spending: Spending,
    sides: Literal[1, 2] = 2,
    total: float | None = None,
) -> tuple[float, ...]:
    """Return the largest p-value (one- or two-sided, as `sides`) that crosses the boundary at each look.

    Parameters
    ----------
    information : tuple of float
        Information of the contrast at each look, up to a common factor: n_a n_b / (n_a + n_b) for two arms, n for one.
        The last look spends what is left of alpha.
    df : tuple of int
        Degrees of freedom of the variance at each look.
    alpha : float
        Probability, under the null hypothesis, that the p-value is at or below its level at any look.
    total : float, optional
        Information that was planned for the last look, where seeds without a result have left less: what was spent
        before stays spent. The last look's own by default.

    Raises
    ------
    StatisticsError
        Looks that do not add information, or have no degree of freedom.

    """
    if min(df) < 1 or np.any(np.diff(information) <= 0) or np.any(np.diff(df) <= 0):
        raise StatisticsError("a look needs at least one degree of freedom and more seeds than the look before")
    fractions = np.array(information) / (total or information[-1])
    fractions[-1] = 1.0
    to_spend = np.diff(spent(fractions, alpha / sides, spending), prepend=0.0)
    levels = []
    cells = _Cells()
    for look, amount in enumerate(to_spend):
        if look:
            cells.move_on(information[look - 1] / information[look], df[look - 1], df[look])
        bound = cells.bound(df[look], amount)
        levels.append(float(sides * special.ndtr(-bound)))
        step = 1.0 if look + 1 == len(df) else np.sqrt(1.0 - information[look] / information[look + 1])
        cells.keep_inside(df[look], bound, sides, step)
    return tuple(levels)


class _Cells:
    """The distribution of r over the races that go on, as masses on a grid that is even in normal quantiles."""

    def __init__(self) -> None:
        self._is_first = True
        self._mass = self._r = np.empty(0)
        self._move: tuple[float, int, int] | None = None

    def move_on(self, share: float, df: int, next_df: int) -> None:
        """Go to the next look; `share` is the information it had before."""
        self._is_first, self._move = False, (share, df, next_df)

    def bound(self, df: int, amount: float) -> float:
        """Return the normal quantile above which this much probability lies; inf where none is to be spent."""
        if amount <= 0.0 or self._above(df, _REACH) > amount:
            return np.inf
        if self._is_first:
            return float(-special.ndtri(amount))
        return float(optimize.brentq(lambda z: np.log(max(self._above(df, z), 1e-300) / amount), -_REACH, _REACH))

    def keep_inside(self, df: int, bound: float, sides: int, step: float) -> None:
        """Cut off what crossed, and lay out the grid for a next step of this standard deviation."""
        top = min(bound, _REACH)
        bottom = -top if sides == 2 else -_REACH
        n_cells = max(_FEWEST_CELLS, int(np.ceil((top - bottom) * _CELLS_PER_STEP / step)))
        edges, width = np.linspace(bottom, top, n_cells + 1, retstep=True)
        below = special.ndtr(edges)[None, :] if self._is_first else self._below(df, _r_of(edges, df))
        mass = np.diff(below, axis=1)[0] if self._is_first else self._mass @ np.diff(below, axis=1)
        # Two points per cell keep the mean and the variance of a density that is linear inside it.
        tilt = np.gradient(mass) * np.sqrt(3) / 12
        middles, half = (edges[1:] + edges[:-1]) / 2, width / (2 * np.sqrt(3))
        self._mass = np.concatenate([mass / 2 - tilt, mass / 2 + tilt])
        self._r = _r_of(np.concatenate([middles - half, middles + half]), df)

    def _above(self, df: int, z: float) -> float:
        if self._is_first:
            return float(special.ndtr(-z))
        # Seen from below, by symmetry of the step: no cancellation in the tail.
        return float(self._mass @ self._below(df, _r_of(np.array([-z]), df), mirrored=True)[:, 0])

    def _below(self, df: int, x: Values, *, mirrored: bool = False) -> Values:
        """Return P(next r <= x), shape (n_points, n_x); `mirrored` starts from -r."""
        assert self._move is not None
        share, df_before, _ = self._move
        return _step(-self._r if mirrored else self._r, x, share, df_before, df)


def _step(r: Values, x: Values, share: float, df: int, next_df: int) -> Values:
    """Return P(next r <= x | r).

    The new seeds add one dimension along the contrast, which turns r by an angle, and others that shrink it.
    """
    if df >= _NORMAL_FROM:
        z, z_next = _quantile(r, df), _quantile(x, next_df)
        return np.asarray(special.ndtr((z_next[None, :] - np.sqrt(share) * z[:, None]) / np.sqrt(1.0 - share)))
    others = next_df - df - 1
    if others == 0:
        return _turned(r, x, share, df)
    n_nodes = _NODES if df < 30 else _NODES_LATER
    nodes, weights = special.roots_jacobi(n_nodes, others / 2 - 1, df / 2)
    total = np.zeros((r.size, x.size))
    for node, weight in zip((1 + nodes) / 2, weights / weights.sum(), strict=True):
        total += weight * _turned(r, x / np.sqrt(node), share, df)
    return total


def _turned(r: Values, x: Values, share: float, df: int) -> Values:
    """Return P(sqrt(share) r cos(phi) + sqrt(1 - share) sin(phi) <= x), phi having density cos(phi)^df."""
    length = np.sqrt(share * r**2 + 1.0 - share)[:, None]
    start = np.arctan2(np.sqrt(share) * r, np.sqrt(1.0 - share))[:, None]
    angle = np.arcsin(np.clip(x[None, :] / length, -1.0, 1.0))
    # sin(phi + start) <= sin(angle), on the arc that phi + start can reach.
    return (
        _angle_below(angle - start, df)
        - _angle_below(-np.pi - angle - start, df)
        + _angle_below(start + angle - np.pi, df)
    )


def _angle_below(phi: Values, df: int) -> Values:
    """Return P(angle <= phi) on (-pi/2, pi/2) with density proportional to cos(phi)^df: tan(phi) is t on df + 1."""
    below = (phi > 0.0).astype(np.float64)
    is_inside = np.abs(phi) < np.pi / 2
    below[is_inside] = special.stdtr(df + 1, np.tan(phi[is_inside]) * np.sqrt(df + 1))
    return below


def _r_of(z: Values, df: int) -> Values:
    """Return the r whose distribution function is that of the normal quantile z."""
    t = -np.sign(z) * special.stdtrit(df, special.ndtr(-np.abs(z)))
    return np.asarray(t / np.sqrt(t**2 + df))


def _quantile(r: Values, df: int) -> Values:
    t = r * np.sqrt(df / (1.0 - r**2))
    return np.asarray(-np.sign(t) * special.ndtri(special.stdtr(df, -np.abs(t))))
