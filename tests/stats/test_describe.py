import math

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.describe import (
    describe,
    describe_details,
    median_interval,
    rank_of,
)


def test_one_seed_gives_its_value_and_no_interval():
    result, more = describe([79.85]), describe_details([79.85])
    assert (result.n, result.mean.value, result.min, result.max, more.median.value) == (1, 79.85, 79.85, 79.85, 79.85)
    for estimate in (result.mean, result.std, more.median, more.new_seed, more.std_robust):
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


def test_mean_and_median_are_not_the_same():
    values = [1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 100.0]
    assert describe(values).mean.value == pytest.approx(17.875)
    assert describe_details(values).median.value == pytest.approx(7.0)


def test_median_interval_drops_as_many_seeds_as_it_may():
    ten = median_interval(np.arange(10.0), level=0.95)
    assert (ten.low, ten.high, ten.level) == (1.0, 8.0, 0.95)
    three = median_interval(np.arange(3.0), level=0.95)
    assert (three.low, three.high, three.level) == (0.0, 2.0, 0.75)
    assert three.warnings


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


def warned(result, words):
    return any(words in warning for warning in result.warnings)


@pytest.mark.parametrize(("n", "spread", "shape"), [(2, 1, 1), (4, 1, 1), (5, 0, 1), (29, 0, 1), (30, 0, 0)])
def test_few_seeds_carry_warnings_about_what_they_cannot_show(n, spread, shape):
    from scipy import stats

    result = describe(stats.norm.ppf((np.arange(n) + 0.5) / n))
    assert warned(result, "hardly show the spread") == bool(spread)
    assert warned(result, "cannot show whether seeds are normally distributed") == bool(shape)
    assert result.std.warnings
    assert not result.mean.warnings


def test_a_visible_shape_is_a_warning():
    rng = np.random.default_rng(0)
    normal, skewed = rng.standard_normal(60), rng.exponential(1, 60)
    tails = np.concatenate([normal, [9.0, -9.0]])
    assert describe(normal).warnings == ()
    assert warned(describe(skewed), "skewed or have outliers")
    assert warned(describe(skewed[:30] ** 2), "the interval of the mean is too short")
    assert warned(describe(tails), "skewed or have outliers")
    assert not warned(describe(tails), "the interval of the mean is too short")


def test_the_robust_interval_follows_the_tails_and_waits_for_five_seeds():
    rng = np.random.default_rng(1)
    tails = rng.standard_t(3, 40)
    std, robust = describe(tails).std, describe_details(tails).std_robust
    assert robust.value == std.value
    assert robust.high - robust.low > std.high - std.low
    assert not describe_details(tails[:4]).std_robust.has_interval
    assert describe_details(tails[:5]).std_robust.has_interval


def test_bonett_by_its_formula():
    from scipy import stats

    x = np.random.default_rng(2).gamma(3.0, 1.0, 12)
    n, z = 12, stats.norm.ppf(0.975)
    centre = stats.trim_mean(x, 1 / (2 * math.sqrt(n - 4)))
    kurtosis = n * np.sum((x - centre) ** 4) / np.sum((x - x.mean()) ** 2) ** 2
    c = n / (n - z)
    half = z * c * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    variance = c * x.var(ddof=1)
    result = describe_details(x).std_robust
    assert result.low == pytest.approx(math.sqrt(variance * math.exp(-half)))
    assert result.high == pytest.approx(math.sqrt(variance * math.exp(half)))


def test_ranking_against_seeds_without_spread():
    result = rank_of(3.0, [3.0, 1.0, 1.0, 1.0])
    assert (result.n_above, result.n_below, result.percentile) == (0, 3, 1.0)
    assert math.isnan(result.t)
    assert math.isnan(result.p_value)


def test_two_seeds_have_every_interval_but_the_robust_one():
    result, more = describe([1.0, 2.0]), describe_details([1.0, 2.0])
    for estimate in (result.mean, result.std, more.median, more.new_seed):
        assert estimate.has_interval
    assert not more.std_robust.has_interval
    assert (more.median.low, more.median.high, more.median.level) == (1.0, 2.0, 0.5)
    at_level = median_interval(np.arange(3.0), level=0.75)
    assert at_level.warnings == ()
    assert (at_level.low, at_level.high, at_level.level) == (0.0, 2.0, 0.75)
