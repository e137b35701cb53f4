"""Families of distributions, fitted to many samples at once.

Samples are rows, shape (n_samples, n_seeds), and so are their parameters, shape (n_samples, n_params): the parametric
bootstrap refits hundreds of samples, which one at a time would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from seedstudy.stats.sample import Floats

Cost = Callable[[Floats, NDArray[np.intp]], Floats]
"""(points of shape (m, d), indices of the m rows) to costs of shape (m,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocationScale:
    """A family in the free parameters location, log scale and, for some, shape.

    The functions of standardised values z take the shape, where there is one, as their last argument.
    """

    name: str
    in_scipy: str
    """Name in `scipy.stats`."""
    params: tuple[str, ...] = ("location", "scale")
    """Names of the parameters as a reader gets them."""
    log_density_of: Callable[..., Any]
    """(z, log scale) to log densities."""
    cdf_of: Callable[..., Any]
    """(z) to cumulative probabilities."""
    draw_of: Callable[..., Any]
    """(rng, size) to z."""
    start: Callable[[Floats], Floats]
    """(samples) to the free parameters from which the search starts."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """Of the free shape parameter."""
    is_log_shape: bool = False

    def log_density(self, samples: Floats, params: Floats) -> Floats:
        """Return log densities."""
        return np.asarray(self.log_density_of(_standard(samples, params), params[:, 1:2], *self._shape_rows(params)))

    def cdf(self, samples: Floats, params: Floats) -> Floats:
        """Return cumulative probabilities."""
        return np.asarray(self.cdf_of(_standard(samples, params), *self._shape_rows(params)))

    def draw(self, params: Floats, size: int, rng: np.random.Generator) -> Floats:
        """Return values drawn with the parameters of one sample."""
        z = self.draw_of(rng, size, *self._shape(params))
        return np.asarray(float(params[0]) + math.exp(float(params[1])) * z)

    def readable(self, params: Floats, shift: float, scale: float) -> tuple[float, ...]:
        """Return the `params` of shift + scale * x, where x has these free parameters."""
        return shift + scale * float(params[0]), scale * math.exp(float(params[1])), *self._shape(params)

    def _shape_rows(self, params: Floats) -> list[Floats]:
        shape = np.clip(params[:, 2:], *self.bounds)
        return [np.exp(shape) if self.is_log_shape else shape] if len(self.params) > 2 else []

    def _shape(self, params: Floats) -> list[float]:
        shape = np.clip(params[2:], *self.bounds).tolist()
        return [math.exp(value) for value in shape] if self.is_log_shape else shape


def _standard(samples: Floats, params: Floats) -> Floats:
    return np.asarray((samples - params[:, :1]) * np.exp(-params[:, 1:2]))


class Beta:
    """The beta family in the logit of its mean and the log of a + b; the methods are those of `LocationScale`."""

    name = "beta"
    params = ("a", "b")

    def log_density(self, samples: Floats, params: Floats) -> Floats:
        a, b = self._shapes(params)
        return np.asarray(special.xlogy(a - 1, samples) + special.xlog1py(b - 1, -samples) - special.betaln(a, b))

    def cdf(self, samples: Floats, params: Floats) -> Floats:
        return np.asarray(special.betainc(*self._shapes(params), samples))

    def draw(self, params: Floats, size: int, rng: np.random.Generator) -> Floats:
        return np.asarray(rng.beta(*self.readable(params, 0.0, 1.0), size))

    def start(self, samples: Floats) -> Floats:
        mean, variance = samples.mean(axis=1), samples.var(axis=1)
        total = np.maximum(mean * (1 - mean) / variance - 1, 0.1)
        return np.stack([special.logit(mean), np.log(total)], axis=1)

    def readable(self, params: Floats, shift: float, scale: float) -> tuple[float, float]:
        """Return a and b, whatever the unit."""
        a, b = self._shapes(params[None, :])
        return float(a[0, 0]), float(b[0, 0])

    def _shapes(self, params: Floats) -> tuple[Floats, Floats]:
        mean: Floats = special.expit(params[:, :1])
        total = np.exp(np.minimum(params[:, 1:2], 40.0))
        return mean * total, (1 - mean) * total


Family = LocationScale | Beta


# --- the families --------------------------------------------------------------------------------------


def _moments(samples: Floats) -> Floats:
    return np.stack([samples.mean(axis=1), np.log(samples.std(axis=1))], axis=1)


def _moments_and(*offset: float) -> Callable[[Floats], Floats]:
    """Return a start at the moments, and a shape of 0 where there is one, plus this offset."""

    def start(samples: Floats) -> Floats:
        no_shape = np.zeros((len(samples), len(offset) - 2))
        return np.asarray(np.column_stack([_moments(samples), no_shape]) + np.array(offset))

    return start


def _skew_start(samples: Floats) -> Floats:
    """Start on the side to which the sample leans."""
    moments = _moments(samples)
    lean = np.sign(np.mean(_standard(samples, moments) ** 3, axis=1))
    scale = np.exp(moments[:, 1])
    return np.column_stack([moments[:, 0] - 0.8 * lean * scale, moments[:, 1] + 0.25, 1.5 * lean])


def _laplace_start(samples: Floats) -> Floats:
    """Start at the solution: median and mean absolute deviation."""
    median = np.median(samples, axis=1)
    return np.stack([median, np.log(np.mean(np.abs(samples - median[:, None]), axis=1))], axis=1)


def _gumbel_start(sign: float) -> Callable[[Floats], Floats]:
    def start(samples: Floats) -> Floats:
        scale = samples.std(axis=1) * math.sqrt(6) / math.pi
        return np.stack([samples.mean(axis=1) - sign * np.euler_gamma * scale, np.log(scale)], axis=1)

    return start


def _normal_log_density(z: Any, log_scale: Any) -> Any:
    return -0.5 * z**2 - log_scale - 0.5 * math.log(2 * math.pi)


def _skew_draw(rng: np.random.Generator, size: int, alpha: float) -> Any:
    delta = alpha / math.hypot(1, alpha)
    return delta * np.abs(rng.standard_normal(size)) + math.sqrt(1 - delta**2) * rng.standard_normal(size)


def _t_log_density(z: Any, log_scale: Any, df: Any) -> Any:
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    return constant - log_scale - (df + 1) / 2 * np.log1p(z**2 / df)


def _gennorm_log_density(z: Any, log_scale: Any, beta: Any) -> Any:
    return np.log(beta / 2) - special.gammaln(1 / beta) - log_scale - np.abs(z) ** beta


def _gumbel_log_density(z: Any, log_scale: Any) -> Any:
    return -z - np.exp(np.minimum(-z, 700.0)) - log_scale


def _gumbel_cdf(z: Any) -> Any:
    return np.exp(-np.exp(np.minimum(-z, 700.0)))


NORMAL = LocationScale(
    name="normal",
    in_scipy="norm",
    params=("mean", "std"),
    log_density_of=_normal_log_density,
    cdf_of=special.ndtr,
    draw_of=lambda rng, size: rng.standard_normal(size),
    start=_moments,
)
BETA = Beta()
ON_THE_LINE = (
    NORMAL,
    LocationScale(
        name="skew-normal",
        in_scipy="skewnorm",
        params=("location", "scale", "shape"),
        log_density_of=lambda z, log_scale, alpha: (
            math.log(2) + _normal_log_density(z, log_scale) + special.log_ndtr(alpha * z)
        ),
        cdf_of=lambda z, alpha: special.ndtr(z) - 2 * special.owens_t(z, alpha),
        draw_of=_skew_draw,
        start=_skew_start,
        bounds=(-30.0, 30.0),
    ),
    LocationScale(
        name="student-t",
        in_scipy="t",
        params=("location", "scale", "df"),
        log_density_of=_t_log_density,
        cdf_of=lambda z, df: special.stdtr(df, z),
        draw_of=lambda rng, size, df: rng.standard_t(df, size),
        start=_moments_and(0.0, 0.0, math.log(8.0)),
        bounds=(0.0, math.log(300.0)),
        is_log_shape=True,
    ),
    LocationScale(
        name="logistic",
        in_scipy="logistic",
        log_density_of=lambda z, log_scale: special.log_expit(z) + special.log_expit(-z) - log_scale,
        cdf_of=special.expit,
        draw_of=lambda rng, size: rng.logistic(size=size),
        start=_moments_and(0.0, -0.595),
    ),
    LocationScale(
        name="laplace",
        in_scipy="laplace",
        log_density_of=lambda z, log_scale: -np.abs(z) - log_scale - math.log(2),
        cdf_of=lambda z: 0.5 + 0.5 * np.sign(z) * -np.expm1(-np.abs(z)),
        draw_of=lambda rng, size: rng.laplace(size=size),
        start=_laplace_start,
    ),
    LocationScale(
        name="generalised-normal",
        in_scipy="gennorm",
        params=("location", "scale", "shape"),
        log_density_of=_gennorm_log_density,
        cdf_of=lambda z, beta: 0.5 + 0.5 * np.sign(z) * special.gammainc(1 / beta, np.abs(z) ** beta),
        draw_of=lambda rng, size, beta: (
            rng.gamma(1 / beta, size=size) ** (1 / beta) * rng.choice([-1.0, 1.0], size=size)
        ),
        start=_moments_and(0.0, 0.3, math.log(1.8)),
        bounds=(math.log(0.4), math.log(20.0)),
        is_log_shape=True,
    ),
    LocationScale(
        name="gumbel-max",
        in_scipy="gumbel_r",
        log_density_of=_gumbel_log_density,
        cdf_of=_gumbel_cdf,
        draw_of=lambda rng, size: rng.gumbel(size=size),
        start=_gumbel_start(1.0),
    ),
    LocationScale(
        name="gumbel-min",
        in_scipy="gumbel_l",
        log_density_of=lambda z, log_scale: _gumbel_log_density(-z, log_scale),
        cdf_of=lambda z: 1.0 - _gumbel_cdf(-z),
        draw_of=lambda rng, size: -rng.gumbel(size=size),
        start=_gumbel_start(-1.0),
    ),
)


# --- fitting -------------------------------------------------------------------------------------------


def fit_rows(family: Family, samples: Floats, *, grid: float | None = None) -> tuple[Floats, Floats]:
    """Return the maximum-likelihood parameters and the log likelihood of each row.

    With a `grid`, values were rounded to multiples of it: a value's likelihood is then the mean density over its step.
    Densities at the values themselves grow without bound where a narrow Student t sits on a value that many seeds
    share.
    """

    def cost(params: Floats, rows: NDArray[np.intp]) -> Floats:
        with np.errstate(over="ignore"):  # far from the optimum; such points cost 1e300
            if grid is None:
                logs = family.log_density(samples[rows], params)
            else:
                inside = family.cdf(samples[rows] + grid / 2, params) - family.cdf(samples[rows] - grid / 2, params)
                logs = np.log(np.maximum(inside, 1e-300) / grid)
        total: Floats = -np.sum(logs, axis=1)
        return np.where(np.isfinite(total), total, 1e300)

    params, value = minimise_rows(cost, family.start(samples))
    return params, -value


def anderson_darling(u: Floats) -> Floats:
    """Return A^2 of each row of sorted cdf values (Anderson & Darling 1954)."""
    n = u.shape[1]
    u = np.clip(u, 1e-300, 1 - 1e-16)
    odd = 2 * np.arange(1, n + 1) - 1
    return np.asarray(-n - np.sum(odd * (np.log(u) + np.log1p(-u[:, ::-1])), axis=1) / n)


def minimise_rows(cost: Cost, start: Floats, *, n_steps: int = 400, tolerance: float = 1e-8) -> tuple[Floats, Floats]:
    """Return where many small functions are lowest, and their costs there, by the simplex of Nelder & Mead (1965).

    `start` has shape (n_rows, d). A row is done when its simplex costs the same everywhere within the tolerance.
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
        simplex[open_rows], costs[open_rows] = _simplex_step(simplex[open_rows], costs[open_rows], cost, open_rows)
    best = np.argmin(costs, axis=1)
    return simplex[rows, best], costs[rows, best]


def _simplex_step(simplex: Floats, costs: Floats, cost: Cost, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Reflect, expand, contract or shrink each simplex; vertices come sorted, the best first."""
    centre, worst = simplex[:, :-1].mean(axis=1), simplex[:, -1]
    best_cost, second_cost, worst_cost = costs[:, 0], costs[:, -2], costs[:, -1]
    reflected = 2 * centre - worst
    reflected_cost = cost(reflected, rows)
    # One more point for every row: further out where the reflection was the best, closer in where it was poor.
    factor = np.where(reflected_cost < best_cost, 2.0, np.where(reflected_cost < worst_cost, 0.5, -0.5))
    other = centre + factor[:, None] * (centre - worst)
    other_cost = cost(other, rows)
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
            costs[:, i] = np.where(shrink, cost(simplex[:, i], rows), costs[:, i])
    return simplex, costs
