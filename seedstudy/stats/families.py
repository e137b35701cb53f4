"""Families of distributions, fitted to many samples at once.

Everything here takes samples as rows, shape (n_samples, n_seeds), and parameters as rows, shape (n_samples, n_params):
the parametric bootstrap refits hundreds of samples, which one at a time would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family of distributions in the parameters (location, log scale, shape...), free of bounds."""

    name: str
    params: tuple[str, ...]
    """Names of the parameters as a reader gets them."""
    log_density: Callable[[Array, Array], Array]
    """(samples, free parameters) to log densities."""
    cdf: Callable[[Array, Array], Array]
    quantile_start: Callable[[Array], Array]
    """(samples) to free parameters from which the search starts."""
    draw: Callable[[Array, int, np.random.Generator], Array]
    """(free parameters of one sample, size, rng) to values."""
    readable: Callable[[Array], tuple[float, ...]]
    """Free parameters of one sample to the ones in `params`."""


_SHAPE_BOUNDS = {"t": (0.0, math.log(300.0)), "gennorm": (math.log(0.4), math.log(20.0)), "skew": (-30.0, 30.0)}


def fit_rows(family: Family, samples: Array, *, grid: float | None = None) -> tuple[Array, Array]:
    """Return the maximum-likelihood parameters and the log likelihood of each row.

    Parameters
    ----------
    family : Family
        What to fit.
    samples : array, shape (n_samples, n_seeds)
        One sample per row.
    grid : float, optional
        Values were rounded to multiples of this: a value's likelihood is then the mean density over its step. Densities
        at the values themselves grow without bound where a narrow Student t sits on a value that many seeds share.

    """

    def cost(params: Array, rows: NDArray[np.intp]) -> Array:
        with np.errstate(over="ignore"):  # far from the optimum; such points cost 1e300
            logs = _log_mean_density(family, samples[rows], params, grid)
        total: Array = -np.sum(logs, axis=1)
        return np.where(np.isfinite(total), total, 1e300)

    params, value = minimise_rows(cost, family.quantile_start(samples))
    return params, -value


def _log_mean_density(family: Family, samples: Array, params: Array, grid: float | None) -> Array:
    if grid is None:
        return family.log_density(samples, params)
    inside = family.cdf(samples + grid / 2, params) - family.cdf(samples - grid / 2, params)
    logs: Array = np.log(np.maximum(inside, 1e-300) / grid)
    return logs


def anderson_darling(u: Array) -> Array:
    """Return A^2 of each row of sorted cdf values (Anderson & Darling 1954)."""
    n = u.shape[1]
    u = np.clip(u, 1e-300, 1 - 1e-16)
    odd = 2 * np.arange(1, n + 1) - 1
    statistic: Array = -n - np.sum(odd * (np.log(u) + np.log1p(-u[:, ::-1])), axis=1) / n
    return statistic


def _standard(samples: Array, params: Array) -> tuple[Array, Array]:
    return (samples - params[:, :1]) * np.exp(-params[:, 1:2]), params[:, 1:2]


def _moved(params: Array, z: Array) -> Array:
    """Return standard draws moved to the location and scale of one sample's parameters."""
    values: Array = float(params[0]) + math.exp(float(params[1])) * z
    return values


def _shape(params: Array, kind: str) -> Array:
    return np.clip(params[:, 2:3], *_SHAPE_BOUNDS[kind])


def _location_scale(params: Array) -> tuple[float, ...]:
    return float(params[0]), math.exp(float(params[1]))


def _start_moments(samples: Array) -> Array:
    return np.stack([samples.mean(axis=1), np.log(samples.std(axis=1))], axis=1)


def _with_shape(value: float) -> Callable[[Array], Array]:
    def start(samples: Array) -> Array:
        return np.column_stack([_start_moments(samples), np.full(samples.shape[0], value)])

    return start


def _start_skew(samples: Array) -> Array:
    """Start on the side to which the sample leans."""
    start = _start_moments(samples)
    z = (samples - start[:, :1]) * np.exp(-start[:, 1:2])
    lean = np.sign(np.mean(z**3, axis=1))
    scale = np.exp(start[:, 1])
    return np.column_stack([start[:, 0] - 0.8 * lean * scale, start[:, 1] + 0.25, 1.5 * lean])


def _normal_log_density(samples: Array, params: Array) -> Array:
    z, log_scale = _standard(samples, params)
    density: Array = -0.5 * z**2 - log_scale - 0.5 * math.log(2 * math.pi)
    return density


def _normal_cdf(samples: Array, params: Array) -> Array:
    u: Array = special.ndtr(_standard(samples, params)[0])
    return u


def _skew_log_density(samples: Array, params: Array) -> Array:
    z, _ = _standard(samples, params)
    density: Array = math.log(2) + _normal_log_density(samples, params) + special.log_ndtr(_shape(params, "skew") * z)
    return density


def _skew_cdf(samples: Array, params: Array) -> Array:
    z, _ = _standard(samples, params)
    u: Array = special.ndtr(z) - 2 * special.owens_t(z, _shape(params, "skew"))
    return u


def _draw_skew(params: Array, size: int, rng: np.random.Generator) -> Array:
    alpha = float(np.clip(params[2], *_SHAPE_BOUNDS["skew"]))
    delta = alpha / math.hypot(1, alpha)
    z: Array = delta * np.abs(rng.standard_normal(size)) + math.sqrt(1 - delta**2) * rng.standard_normal(size)
    return _moved(params, z)


def _t_log_density(samples: Array, params: Array) -> Array:
    z, log_scale = _standard(samples, params)
    nu = np.exp(_shape(params, "t"))
    constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    density: Array = constant - log_scale - (nu + 1) / 2 * np.log1p(z**2 / nu)
    return density


def _t_cdf(samples: Array, params: Array) -> Array:
    u: Array = special.stdtr(np.exp(_shape(params, "t")), _standard(samples, params)[0])
    return u


def _logistic_log_density(samples: Array, params: Array) -> Array:
    z, log_scale = _standard(samples, params)
    density: Array = special.log_expit(z) + special.log_expit(-z) - log_scale
    return density


def _logistic_cdf(samples: Array, params: Array) -> Array:
    u: Array = special.expit(_standard(samples, params)[0])
    return u


def _laplace_log_density(samples: Array, params: Array) -> Array:
    z, log_scale = _standard(samples, params)
    density: Array = -np.abs(z) - log_scale - math.log(2)
    return density


def _laplace_cdf(samples: Array, params: Array) -> Array:
    z, _ = _standard(samples, params)
    u: Array = 0.5 + 0.5 * np.sign(z) * -np.expm1(-np.abs(z))
    return u


def _start_laplace(samples: Array) -> Array:
    """Start at the solution: median and mean absolute deviation."""
    median = np.median(samples, axis=1)
    return np.stack([median, np.log(np.mean(np.abs(samples - median[:, None]), axis=1))], axis=1)


def _gennorm_log_density(samples: Array, params: Array) -> Array:
    z, log_scale = _standard(samples, params)
    beta = np.exp(_shape(params, "gennorm"))
    density: Array = np.log(beta / 2) - special.gammaln(1 / beta) - log_scale - np.abs(z) ** beta
    return density


def _gennorm_cdf(samples: Array, params: Array) -> Array:
    z, _ = _standard(samples, params)
    beta = np.exp(_shape(params, "gennorm"))
    u: Array = 0.5 + 0.5 * np.sign(z) * special.gammainc(1 / beta, np.abs(z) ** beta)
    return u


def _draw_gennorm(params: Array, size: int, rng: np.random.Generator) -> Array:
    beta = math.exp(float(np.clip(params[2], *_SHAPE_BOUNDS["gennorm"])))
    z: Array = rng.gamma(1 / beta, size=size) ** (1 / beta) * rng.choice([-1.0, 1.0], size=size)
    return _moved(params, z)


def _gumbel(sign: float) -> tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]:
    """Return log density and cdf of the largest (sign 1) or smallest (sign -1) extreme value."""

    def log_density(samples: Array, params: Array) -> Array:
        z, log_scale = _standard(samples, params)
        density: Array = -sign * z - np.exp(np.minimum(-sign * z, 700.0)) - log_scale
        return density

    def cdf(samples: Array, params: Array) -> Array:
        z, _ = _standard(samples, params)
        largest = np.exp(-np.exp(np.minimum(-sign * z, 700.0)))
        return largest if sign > 0 else 1.0 - largest

    return log_density, cdf


def _start_gumbel(sign: float) -> Callable[[Array], Array]:
    def start(samples: Array) -> Array:
        scale = samples.std(axis=1) * math.sqrt(6) / math.pi
        return np.stack([samples.mean(axis=1) - sign * np.euler_gamma * scale, np.log(scale)], axis=1)

    return start


def _beta_shapes(params: Array) -> tuple[Array, Array]:
    """Return a and b; free parameters are the logit of the mean and the log of a + b."""
    mean: Array = special.expit(params[:, :1])
    total = np.exp(np.minimum(params[:, 1:2], 40.0))
    return mean * total, (1 - mean) * total


def _beta_log_density(samples: Array, params: Array) -> Array:
    a, b = _beta_shapes(params)
    density: Array = special.xlogy(a - 1, samples) + special.xlog1py(b - 1, -samples) - special.betaln(a, b)
    return density


def _beta_cdf(samples: Array, params: Array) -> Array:
    a, b = _beta_shapes(params)
    return np.asarray(special.betainc(a, b, samples), dtype=np.float64)


def _start_beta(samples: Array) -> Array:
    mean, variance = samples.mean(axis=1), samples.var(axis=1)
    total = np.maximum(mean * (1 - mean) / variance - 1, 0.1)
    return np.stack([special.logit(mean), np.log(total)], axis=1)


def _draw_beta(params: Array, size: int, rng: np.random.Generator) -> Array:
    a, b = (float(shape[0, 0]) for shape in _beta_shapes(params[None, :]))
    return rng.beta(a, b, size)


def _drawn(method: str) -> Callable[[Array, int, np.random.Generator], Array]:
    def draw(params: Array, size: int, rng: np.random.Generator) -> Array:
        z: Array = getattr(rng, method)(size=size)
        return _moved(params, z)

    return draw


def _draw_t(params: Array, size: int, rng: np.random.Generator) -> Array:
    nu = math.exp(float(np.clip(params[2], *_SHAPE_BOUNDS["t"])))
    return _moved(params, rng.standard_t(nu, size))


def _draw_gumbel_min(params: Array, size: int, rng: np.random.Generator) -> Array:
    return _moved(params, -rng.gumbel(size=size))


def _readable_log_shape(kind: str) -> Callable[[Array], tuple[float, ...]]:
    def readable(params: Array) -> tuple[float, ...]:
        return (*_location_scale(params), math.exp(float(np.clip(params[2], *_SHAPE_BOUNDS[kind]))))

    return readable


def _readable_skew(params: Array) -> tuple[float, ...]:
    return (*_location_scale(params), float(np.clip(params[2], *_SHAPE_BOUNDS["skew"])))


def _readable_beta(params: Array) -> tuple[float, ...]:
    a, b = _beta_shapes(params[None, :])
    return float(a[0, 0]), float(b[0, 0])


NORMAL = Family(
    name="normal",
    params=("mean", "std"),
    log_density=_normal_log_density,
    cdf=_normal_cdf,
    quantile_start=_start_moments,
    draw=_drawn("standard_normal"),
    readable=_location_scale,
)
BETA = Family(
    name="beta",
    params=("a", "b"),
    log_density=_beta_log_density,
    cdf=_beta_cdf,
    quantile_start=_start_beta,
    draw=_draw_beta,
    readable=_readable_beta,
)
ON_THE_LINE = (
    NORMAL,
    Family(
        name="skew-normal",
        params=("location", "scale", "shape"),
        log_density=_skew_log_density,
        cdf=_skew_cdf,
        quantile_start=_start_skew,
        draw=_draw_skew,
        readable=_readable_skew,
    ),
    Family(
        name="student-t",
        params=("location", "scale", "df"),
        log_density=_t_log_density,
        cdf=_t_cdf,
        quantile_start=_with_shape(math.log(8.0)),
        draw=_draw_t,
        readable=_readable_log_shape("t"),
    ),
    Family(
        name="logistic",
        params=("location", "scale"),
        log_density=_logistic_log_density,
        cdf=_logistic_cdf,
        quantile_start=lambda samples: _start_moments(samples) - np.array([0.0, 0.595]),
        draw=_drawn("logistic"),
        readable=_location_scale,
    ),
    Family(
        name="laplace",
        params=("location", "scale"),
        log_density=_laplace_log_density,
        cdf=_laplace_cdf,
        quantile_start=_start_laplace,
        draw=_drawn("laplace"),
        readable=_location_scale,
    ),
    Family(
        name="generalised-normal",
        params=("location", "scale", "shape"),
        log_density=_gennorm_log_density,
        cdf=_gennorm_cdf,
        quantile_start=lambda samples: _with_shape(math.log(1.8))(samples) + np.array([0.0, 0.3, 0.0]),
        draw=_draw_gennorm,
        readable=_readable_log_shape("gennorm"),
    ),
    Family(
        name="gumbel-max",
        params=("location", "scale"),
        log_density=_gumbel(1.0)[0],
        cdf=_gumbel(1.0)[1],
        quantile_start=_start_gumbel(1.0),
        draw=_drawn("gumbel"),
        readable=_location_scale,
    ),
    Family(
        name="gumbel-min",
        params=("location", "scale"),
        log_density=_gumbel(-1.0)[0],
        cdf=_gumbel(-1.0)[1],
        quantile_start=_start_gumbel(-1.0),
        draw=_draw_gumbel_min,
        readable=_location_scale,
    ),
)


# --- many small minimisations at once ------------------------------------------------------------------


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
