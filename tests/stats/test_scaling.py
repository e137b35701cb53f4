from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.scaling import (
    Noise,
    at_equal_cost,
    break_of,
    fit_law,
    fronts,
    pooled_noise,
    rank_agreement,
)

COSTS = np.geomspace(1.0, 1000.0, 12)
FLOOR, SCALE, EXPONENT = 10.0, 15.0, -0.3  # at the geometric mean of the costs


def curve(costs: np.ndarray) -> np.ndarray:
    return FLOOR + SCALE * (costs / math.sqrt(1000.0)) ** EXPONENT


def cells(means: np.ndarray, sd: float, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [mean + sd * rng.standard_normal(n) for mean in means]


def law_of(samples: list[np.ndarray], **options: int) -> object:
    noise = pooled_noise(samples)
    assert noise is not None
    return fit_law(COSTS, samples, noise, **options)  # type: ignore[arg-type]


def test_a_law_without_noise_is_recovered() -> None:
    law = fit_law(COSTS, [np.array([mean]) for mean in curve(COSTS)], Noise(sd=0.01, df=math.inf))
    found = (law.floor.value, law.scale.value, law.exponent.value)
    assert found == pytest.approx((FLOOR, SCALE, EXPONENT), abs=0.005)
    assert law.reference == pytest.approx(math.sqrt(1000.0))
    assert law.at(COSTS) == pytest.approx(curve(COSTS), abs=1e-3)


def test_the_fit_is_scipys_weighted_least_squares() -> None:
    rng = np.random.default_rng(3)
    samples = [rng.normal(mean, 0.5, n) for mean, n in zip(curve(COSTS), [1, 2, 3, 4] * 3, strict=True)]
    noise = pooled_noise(samples)
    assert noise is not None
    law = fit_law(COSTS, samples, noise, replicates=50)
    (floor, scale, exponent), _ = optimize.curve_fit(
        lambda c, a, b, e: a + b * (c / law.reference) ** e,
        COSTS,
        [sample.mean() for sample in samples],
        p0=(5.0, 10.0, -0.5),
        sigma=[1.0 / math.sqrt(sample.size) for sample in samples],
    )
    assert (law.floor.value, law.scale.value, law.exponent.value) == pytest.approx((floor, scale, exponent), rel=5e-3)


def test_noise_is_pooled_within_cells() -> None:
    noise = pooled_noise([np.array([1.0, 3.0]), np.array([10.0, 10.0, 13.0]), np.array([99.0])])
    assert noise == Noise(sd=math.sqrt((2.0 + 6.0) / 3.0), df=3)
    assert pooled_noise([np.array([1.0]), np.array([2.0])]) is None


def test_a_law_that_breaks_is_said_to_break_and_where() -> None:
    rng = np.random.default_rng(1)
    broken = curve(COSTS) + np.where(COSTS > 40.0, 4.0, 0.0)
    samples = cells(broken, 0.5, 3, rng)
    law = law_of(samples)
    assert law.misfit_p < 1e-4  # type: ignore[attr-defined]
    split = break_of(COSTS, samples, pooled_noise(samples))  # type: ignore[arg-type]
    assert split is not None
    assert 23.0 < split[0] < 66.0  # the costs beside the jump
    assert split[1] == pytest.approx(4.0, abs=1.5)


def test_costs_that_span_too_little_give_no_interval() -> None:
    costs = np.linspace(1.0, 1.2, 8)
    samples = cells(curve(costs), 1.0, 2, np.random.default_rng(0))
    law = fit_law(costs, samples, Noise(sd=1.0, df=8))
    assert not law.exponent.has_interval
    assert "span too little" in law.warnings[0]


def test_too_few_costs_and_impossible_ones_are_refused() -> None:
    four = [np.array([1.0, 2.0])] * 4
    with pytest.raises(StatisticsError, match="4 different costs: a power law with a floor needs at least 5"):
        fit_law(np.array([1.0, 2.0, 3.0, 4.0]), four, Noise(sd=1.0, df=4))
    with pytest.raises(StatisticsError, match="positive"):
        fit_law(np.array([0.0, 2.0, 3.0, 4.0]), four, Noise(sd=1.0, df=4))


def test_strategies_are_compared_where_both_reach_and_the_error_is_exact() -> None:
    a = [np.array([10.0]), np.array([8.0])]
    b = [np.array([9.0]), np.array([5.0])]
    found = at_equal_cost(np.array([1.0, 4.0]), a, np.array([1.0, 16.0]), b, Noise(sd=1.0, df=math.inf), margin=0.5)
    assert found is not None
    assert (found.low, found.high) == (1.0, 4.0)
    # B at cost 4 is half-way in log cost: 7. The difference falls from -1 to -1, so -1 on average.
    assert found.at_low.value == pytest.approx(-1.0)
    assert found.at_high.value == pytest.approx(-1.0)
    assert found.difference.value == pytest.approx(-1.0)
    # Mean weights: 1/2, 1/2 of A; 3/4, 1/4 of B.
    se = math.sqrt(0.25 + 0.25 + 0.5625 + 0.0625)
    assert found.difference.high - found.difference.value == pytest.approx(1.959964 * se)
    assert at_equal_cost(np.array([1.0, 2.0]), a, np.array([3.0, 9.0]), b, Noise(sd=1.0, df=5.0)) is None


def test_swapping_strategies_mirrors_the_difference() -> None:
    rng = np.random.default_rng(5)
    one, two = cells(curve(COSTS), 0.4, 3, rng), cells(curve(COSTS[2:]) - 1.0, 0.4, 3, rng)
    noise = Noise(sd=0.4, df=44)
    ab = at_equal_cost(COSTS, one, COSTS[2:], two, noise)
    ba = at_equal_cost(COSTS[2:], two, COSTS, one, noise)
    assert ab is not None
    assert ba is not None
    assert ab.difference.value == pytest.approx(-ba.difference.value)
    assert ab.difference.low == pytest.approx(-ba.difference.high)
    assert ab.p_value == pytest.approx(ba.p_value)


def test_the_front_says_what_seeds_leave_open() -> None:
    costs, means, n = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 8.0, 9.0, 7.9]), np.full(4, 3)
    assert fronts(costs, means, n, Noise(sd=0.1, df=8.0), alpha=0.05) == ["on", "on", "off", "?"]
    assert fronts(costs, means, n, None, alpha=0.05) == ["on", "on", "off", "on"]


def test_ranks_have_an_interval_over_cells() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = rank_agreement(a, a[[1, 0, 2, 3, 5, 4]])
    assert found.value == pytest.approx(1 - 6 * 4 / (6 * 35))
    z, half = math.atanh(found.value), 1.959964 * math.sqrt((1 + found.value**2 / 2) / 3)
    assert (found.low, found.high) == pytest.approx((math.tanh(z - half), math.tanh(z + half)))


@pytest.mark.slow
@pytest.mark.long
def test_a_known_law_is_recovered_within_its_interval() -> None:
    rng = np.random.default_rng(11)
    truth = np.array([FLOOR, SCALE, EXPONENT])
    covered, called_broken = np.zeros(3), 0
    n_simulations = 1000
    for number in range(n_simulations):
        law = law_of(cells(curve(COSTS), 1.0, 3, rng), replicates=800, rng_seed=number)
        ends = [(each.low, each.high) for each in (law.floor, law.scale, law.exponent)]  # type: ignore[attr-defined]
        covered += [low <= true <= high for (low, high), true in zip(ends, truth, strict=True)]
        called_broken += law.misfit_p < 0.05  # type: ignore[attr-defined]
    rates = covered / n_simulations
    print("coverage", rates, "called broken", called_broken / n_simulations)
    assert ((rates >= 0.93) & (rates <= 0.97)).all()
    assert 0.03 <= called_broken / n_simulations <= 0.07


@pytest.mark.parametrize("jump", [3.0, 6.0])
def test_a_broken_law_is_said_to_be_broken_as_often_as_the_f_test_can(jump: float) -> None:
    broken = curve(COSTS) + np.where(COSTS > 40.0, jump, 0.0)
    exact = fit_law(COSTS, [np.array([mean]) for mean in broken], Noise(sd=1.0, df=math.inf), replicates=10)
    n, n_cells = 3, COSTS.size
    noncentrality = n * float(np.sum(exact.residuals**2))
    critical = stats.f.ppf(0.95, n_cells - 3, n_cells * (n - 1))
    power = float(stats.ncf.sf(critical, n_cells - 3, n_cells * (n - 1), noncentrality))
    rng = np.random.default_rng(7)
    n_simulations = 200
    named = sum(
        law_of(cells(broken, 1.0, n, rng), replicates=10).misfit_p < 0.05  # type: ignore[attr-defined]
        for _ in range(n_simulations)
    )
    assert named / n_simulations == pytest.approx(power, abs=3 * math.sqrt(0.25 / n_simulations))
    assert jump < 6.0 or named / n_simulations > 0.99
