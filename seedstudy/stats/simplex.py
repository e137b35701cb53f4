"""Many small minimisations at once: the simplex of Nelder and Mead, row by row in step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def minimise_rows(
    cost: Callable[[Array, NDArray[np.intp]], Array], start: Array, *, n_steps: int = 400, tolerance: float = 1e-8
) -> tuple[Array, Array]:
    """Minimise many small functions at once by the simplex of Nelder & Mead (1965).

    Parameters
    ----------
    cost : callable
        (points of shape (m, d), indices of the m rows) to costs of shape (m,).
    start : array, shape (n_rows, d)
        One starting point per row.
    n_steps : int
        Most steps of any row.
    tolerance : float
        A row is done when its simplex costs the same everywhere within this.

    """
    n_rows, d = start.shape
    rows = np.arange(n_rows)
    simplex = np.repeat(start[:, None, :], d + 1, axis=1)
    for axis in range(d):
        simplex[:, axis + 1, axis] += 0.25
    costs = np.stack([cost(simplex[:, i], rows) for i in range(d + 1)], axis=1)
    for _ in range(n_steps):
        order = np.argsort(costs, axis=1, kind="stable")
        costs = np.take_along_axis(costs, order, axis=1)
        simplex = np.take_along_axis(simplex, order[:, :, None], axis=1)
        open_rows = rows[costs[:, -1] - costs[:, 0] > tolerance * (1 + np.abs(costs[:, 0]))]
        if not open_rows.size:
            break
        simplex[open_rows], costs[open_rows] = _simplex_step(
            simplex[open_rows], costs[open_rows], partial(_swapped, cost, open_rows)
        )
    best = np.argmin(costs, axis=1)
    return simplex[rows, best], costs[rows, best]


def _swapped(cost: Callable[[Array, NDArray[np.intp]], Array], rows: NDArray[np.intp], points: Array) -> Array:
    return cost(points, rows)


def _simplex_step(simplex: Array, costs: Array, cost: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Reflect, expand, contract or shrink each simplex; vertices come sorted, the best first."""
    centre, worst = simplex[:, :-1].mean(axis=1), simplex[:, -1]
    best_cost, second_cost, worst_cost = costs[:, 0], costs[:, -2], costs[:, -1]
    reflected = 2 * centre - worst
    reflected_cost = cost(reflected)
    # One more point for every row: further out where the reflection was the best, closer in where it was poor.
    factor = np.where(reflected_cost < best_cost, 2.0, np.where(reflected_cost < worst_cost, 0.5, -0.5))
    other = centre + factor[:, None] * (centre - worst)
    other_cost = cost(other)
    take_other = (other_cost < np.minimum(reflected_cost, worst_cost)) & (
        (reflected_cost < best_cost) | (reflected_cost >= second_cost)
    )
    take_reflected = ~take_other & (reflected_cost < second_cost)
    new = np.where(take_other[:, None], other, np.where(take_reflected[:, None], reflected, worst))
    simplex, costs = simplex.copy(), costs.copy()
    simplex[:, -1] = new
    costs[:, -1] = np.where(take_other, other_cost, np.where(take_reflected, reflected_cost, worst_cost))
    shrink = ~(take_other | take_reflected)
    if shrink.any():
        simplex[shrink, 1:] = (simplex[shrink, :1] + simplex[shrink, 1:]) / 2
        for i in range(1, simplex.shape[1]):
            costs[:, i] = np.where(shrink, cost(simplex[:, i]), costs[:, i])
    return simplex, costs
