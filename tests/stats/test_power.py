import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats.power import (
    arms_or_pairs,
    detectable_difference,
    difference_power,
    equivalence_power,
    pilot_inflation,
    seeds_per_arm,
    smallest,
)
from seedstudy.stats.welch import equivalence_p, two_sided_p, welch


def test_power_is_that_of_the_noncentral_t():
    for df, shift in ((2.0, 1.0), (4.0, 3.0), (60.0, 2.0), (7.3, 0.0)):
        t = welch(0, 1, 3, 0, 1, 3)._replace(difference=shift, se=1.0, df=df)
        reach = stats.t.ppf(0.975, df)
        expected = stats.nct.sf(reach, df, shift) + stats.nct.cdf(-reach, df, shift)
        assert difference_power(t, 0.05) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("difference", "margin", "n"), [(0.0, 1.0, 12), (0.5, 1.0, 30), (0.0, 0.3, 5)])
def test_power_of_equivalence_by_simulation(difference, margin, n):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20_000, n)), rng.standard_normal((20_000, n)) + difference
    t = welch(a.mean(1), a.std(1, ddof=1), n, b.mean(1), b.std(1, ddof=1), n)
    simulated = np.mean(equivalence_p(t, margin) < 0.05)
    assert equivalence_power(welch(0, 1, n, difference, 1, n), margin, 0.05) == pytest.approx(simulated, abs=0.012)


def test_power_of_equivalence_counts_only_samples_that_can_show_it():
    # A margin that most samples are too noisy for: where the two limits cross, nothing is shown.
    rng = np.random.default_rng(0)
    n, margin = 5, 1.0
    a, b = rng.standard_normal((2, 200_000, n))
    t = welch(a.mean(1), a.std(1, ddof=1), n, b.mean(1), b.std(1, ddof=1), n)
    simulated = np.mean(equivalence_p(t, margin) < 0.05)
    assert 0.01 < simulated < 0.2
    assert equivalence_power(welch(0, 1, n, 0, 1, n), margin, 0.05) == pytest.approx(simulated, rel=0.15)


def test_seeds_per_arm_are_the_fewest_that_reach_the_power():
    for d, sd_b in ((1.0, 1.0), (0.7, 2.0)):
        n = seeds_per_arm(d, 1.0, sd_b)
        assert difference_power(welch(0, 1, n, d, sd_b, n), 0.05) >= 0.8
        assert difference_power(welch(0, 1, n - 1, d, sd_b, n - 1), 0.05) < 0.8
    assert seeds_per_arm(100.0, 1.0, 1.0) == 2
    assert seeds_per_arm(0.0, 1.0, 1.0) is None
    assert seeds_per_arm(1e-9, 1.0, 1.0) is None


@pytest.mark.parametrize("df", [4.0, 8.0, 30.0])
def test_plans_made_with_the_std_of_a_pilot_have_the_power_on_average(df):
    # Each pilot plans for a difference of .5 true std with the std that it happened to see.
    rng = np.random.default_rng(0)
    factor = pilot_inflation(df, 0.05, 0.8)
    reached = []
    for sd in np.sqrt(rng.chisquare(df, 300) / df):
        n = seeds_per_arm(0.5, factor * sd, factor * sd)
        reached.append(difference_power(welch(0, 1, n, 0.5, 1, n), 0.05))
    assert np.mean(reached) == pytest.approx(0.8, abs=3 * np.std(reached) / math.sqrt(300) + 0.01)


def test_the_better_the_pilot_the_less_is_added():
    factors = [pilot_inflation(df, 0.05, 0.8) for df in (1.0, 4.0, 20.0, 1e6)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1.0, abs=1e-4)
    assert factors[0] < 10.0


def test_smallest_finds_the_border():
    for border in (1, 2, 3, 7, 100):
        assert smallest(lambda n, border=border: n >= border, at_least=1) == border
    assert smallest(lambda n: True, at_least=5) == 5
    assert smallest(lambda n: False, at_least=1) is None


def test_the_size_of_the_test_behind_it():
    # The plan takes the degrees of freedom of the true spreads; estimated ones are fewer, so the test is a bit careful.
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 20_000, 6))
    t = welch(a.mean(1), a.std(1, ddof=1), 6, b.mean(1), b.std(1, ddof=1), 6)
    planned = difference_power(welch(0, 1, 6, 0, 1, 6), 0.05)
    assert planned == pytest.approx(0.05)
    assert planned - 0.01 < np.mean(two_sided_p(t) < 0.05) < planned + 0.003


def test_pairs_of_seeds_are_planned_as_one_sample() -> None:
    """Statsmodels' one-sample t test of the differences, whose std is sqrt(2 (1 - r)) of that of a seed."""
    from statsmodels.stats.power import TTestPower

    for r in (-0.4, 0.0, 0.5, 0.8):
        sd = math.sqrt(2 * (1 - r))
        for n in (4, 12):
            t = arms_or_pairs(0.7, 1.0, 1.0, n, r)
            assert difference_power(t, 0.05) == pytest.approx(TTestPower().power(0.7 / sd, n, 0.05), abs=1e-6)
        found = seeds_per_arm(0.7, 1.0, 1.0, correlation=r)
        assert found == math.ceil(TTestPower().solve_power(0.7 / sd, power=0.8, alpha=0.05))
        reached = detectable_difference(20, 1.0, 1.0, correlation=r)
        assert TTestPower().power(reached / sd, 20, 0.05) == pytest.approx(0.8, abs=1e-6)
