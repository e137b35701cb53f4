import math

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.describe import describe, interquartile_mean, median_interval, rank_of, tolerance_factor


def test_one_seed_gives_its_value_and_no_interval():
    result = describe([79.85])
    assert (result.n, result.mean.value, result.min, result.max, result.median.value) == (1, 79.85, 79.85, 79.85, 79.85)
    for estimate in (result.mean, result.std, result.median, result.new_seed, result.tolerance):
        assert not estimate.has_interval
    assert math.isnan(result.std.value)
    assert result.warnings


def test_equal_values_show_no_spread_and_claim_no_interval():
    result = describe([0.1 + 0.2] * 5)
    assert result.std.value == 0.0
    assert not result.mean.has_interval
    assert "unknown, not zero" in result.warnings[0]


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [[1.0]], ["x"]])
def test_unusable_input_is_refused(values):
    with pytest.raises(StatisticsError) as caught:
        describe(values)
    assert "\n" not in str(caught.value)


def test_mean_median_and_iqm_tell_each_other_apart():
    result = describe([1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 100.0])
    assert result.mean.value == pytest.approx(17.875)
    assert result.median.value == pytest.approx(7.0)
    assert result.iqm == pytest.approx((3 + 4 + 10 + 11) / 4)


def test_iqm_counts_border_seeds_in_part():
    # n = 5: the middle half is 2.5 seeds wide: 0.75 of the second, all of the third, 0.75 of the fourth.
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 4.0, -7.0])) == pytest.approx((0.75 * 1 + 2 + 0.75 * 4) / 2.5)


def test_median_interval_drops_as_many_seeds_as_it_may():
    ten = median_interval(np.arange(10.0), level=0.95)
    assert (ten.low, ten.high, ten.level) == (1.0, 8.0, 0.95)
    three = median_interval(np.arange(3.0), level=0.95)
    assert (three.low, three.high, three.level) == (0.0, 2.0, 0.75)
    assert three.warnings


@pytest.mark.parametrize("n", [3, 10, 40])
def test_tolerance_factor_keeps_its_promise(n):
    from scipy import stats

    draws = np.random.default_rng(0).standard_normal((40_000, n))
    mean, sd = draws.mean(axis=1), draws.std(axis=1, ddof=1)
    k = tolerance_factor(n, content=0.9, level=0.95)
    held = stats.norm.cdf(mean + k * sd) - stats.norm.cdf(mean - k * sd)
    assert np.mean(held >= 0.9) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 40_000))


def test_seed_0_is_ranked_against_the_others():
    sweep = [79.85, 79.6, 79.7, 79.8, 79.9]
    result = rank_of(79.85, sweep)
    assert (result.n, result.n_below, result.n_equal, result.n_above) == (4, 3, 0, 1)
    assert result.percentile == 0.75
    others = np.array(sweep[1:])
    assert result.t == pytest.approx((79.85 - others.mean()) / (others.std(ddof=1) * math.sqrt(1.25)))
    outside = rank_of(79.85, sweep, part_of_sweep=False)
    assert (outside.n, outside.n_equal) == (5, 1)


def test_ranking_a_value_that_is_not_there_is_refused():
    with pytest.raises(StatisticsError, match="not among"):
        rank_of(80.0, [79.0, 79.1])
    with pytest.raises(StatisticsError, match="no other seed"):
        rank_of(79.0, [79.0])
