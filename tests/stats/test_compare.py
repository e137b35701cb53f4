import math

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare, compare_summaries

A3 = [78.01, 78.10, 78.19, 78.07, 78.15]
A2 = [79.62, 79.71, 79.78, 79.66, 79.85]


def run(a, b, **options):
    return compare(a, b, rng=np.random.default_rng(0), **options)


def test_welch_agrees_with_scipy():
    from scipy import stats

    expected = stats.ttest_ind(A2[:4], A3, equal_var=False)
    interval = expected.confidence_interval(0.9)
    result = run(A3, A2[:4], level=0.9)
    assert result.method == "welch"
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.df == pytest.approx(expected.df, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert (result.difference.low, result.difference.high) == pytest.approx((interval.low, interval.high))


def test_permutation_p_agrees_with_scipy_when_sizes_differ():
    from scipy import stats

    a, b = [1.0, 2.5, 2.0, 4.0, 1.7], [3.0, 3.1, 2.2]

    def welch_t(x, y, axis):
        return stats.ttest_ind(x, y, equal_var=False, axis=axis).statistic

    expected = stats.permutation_test((b, a), welch_t, n_resamples=np.inf, vectorized=True)
    as_large = np.mean(np.abs(expected.null_distribution) >= abs(expected.statistic) * (1 - 1e-9))
    assert run(a, b).permutation_p == pytest.approx(as_large)


def test_complete_separation_at_three_seeds_shows_both_facts():
    result = run(A3[:3], A2[:3])
    assert result.p_value < 0.001
    assert result.permutation_p == result.permutation_floor == pytest.approx(0.1)
    assert any("smallest attainable two-sided permutation p is 0.1" in w for w in result.warnings)
    assert result.prob_b_greater.value == 1.0
    assert 0.2 < result.prob_b_greater.low < 0.5
    assert result.prob_b_greater.high == 1.0


def test_no_spread_at_all_falls_back_to_the_permutation_and_gives_no_interval():
    result = run([1.0] * 5, [2.0] * 5, margin=0.5)
    assert result.method == "permutation"
    assert result.p_value == pytest.approx(2 / 252)
    assert math.isnan(result.difference.low)
    assert math.isinf(result.hedges_g.value)
    assert result.equivalence_p == 1.0


def test_no_spread_and_no_difference():
    result = run([0.1 + 0.2] * 4, [0.1 + 0.2] * 4, margin=0.5)
    assert result.p_value == 1.0
    assert result.prob_b_greater.value == 0.5
    assert result.equivalence_p == pytest.approx(1 / 70)


def test_spread_in_one_arm_only_uses_its_degrees_of_freedom():
    result = run([1.0, 1.0, 1.0], [2.0, 2.5, 3.5])
    assert result.method == "welch"
    assert result.df == pytest.approx(2.0)
    assert "all 3 seeds gave the same value" in result.warnings[0]


def test_one_seed_against_a_sweep_assumes_the_spread_of_the_sweep():
    sweep = np.array([79.6, 79.7, 79.8, 79.75, 79.65])
    result = run(sweep, [80.3])
    expected = (80.3 - sweep.mean()) / (sweep.std(ddof=1) * math.sqrt(1 + 1 / 5))
    assert result.method == "single-run"
    assert result.statistic == pytest.approx(expected)
    assert result.df == 4
    assert math.isnan(result.sd_b)
    assert any("one seed shows no spread" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], [2.0], "one seed each"),
        ([], [2.0, 3.0], "0 seeds"),
        ([1.0, math.nan], [2.0, 3.0], "nan or infinite"),
        ([1.0, 2.0], [2.0, math.inf], "nan or infinite"),
        ([[1.0, 2.0]], [2.0, 3.0], "one number per seed"),
        (["x", "y"], [2.0, 3.0], "not a number"),
    ],
)
def test_unusable_input_is_refused_in_one_line(a, b, message):
    with pytest.raises(StatisticsError, match=message) as caught:
        run(a, b)
    assert "\n" not in str(caught.value)


def test_many_seeds_never_give_a_p_of_zero():
    rng = np.random.default_rng(1)
    result = run(rng.normal(0, 1e-9, 100), rng.normal(1e6, 1e-9, 100))
    assert 0.0 < result.p_value < 1e-300
    assert result.permutation_method == "monte-carlo"
    assert result.permutation_p == pytest.approx(1e-4)


def test_the_same_rng_gives_the_same_monte_carlo_p():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 30), rng.normal(0.4, 1, 30)
    assert run(a, b).permutation_p == run(a, b).permutation_p
    assert run(a, b).permutation_p != compare(a, b, rng=np.random.default_rng(5)).permutation_p


def test_pairs_are_compared_only_when_declared():
    a = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    b = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    paired, unpaired = run(a, b, paired=True), run(a, b)
    assert (unpaired.method, unpaired.correlation) == ("welch", None)
    assert paired.method == "paired-t"
    assert paired.p_value == pytest.approx(0.0028328902, abs=1e-10)
    assert paired.correlation.value == pytest.approx(np.corrcoef(a, b)[0, 1])
    with pytest.raises(StatisticsError, match="needs the same seeds"):
        run(a, b[:-1], paired=True)


def test_summaries_give_what_the_seeds_would():
    full = run(A3, A2, margin=1.0)
    short = compare_summaries(
        full.mean_a, full.sd_a, full.n_a, full.mean_b, full.sd_b, full.n_b, level=0.95, margin=1.0
    )
    assert short.difference == full.difference
    assert short.p_value == full.p_value
    assert short.equivalence_p == full.equivalence_p
    assert short.hedges_g == full.hedges_g
    assert short.permutation_p is None


@pytest.mark.parametrize(("sd_a", "n_a"), [(0.1, 1), (math.nan, 3), (-0.1, 3), (0.0, 3)])
def test_summaries_without_n_or_spread_are_refused(sd_a, n_a):
    with pytest.raises(StatisticsError):
        compare_summaries(1.0, sd_a, n_a, 2.0, 0.0 if sd_a == 0.0 else 0.1, 3)


def test_spreads_are_compared_as_scipy_does_and_only_from_five_seeds_on():
    from scipy import stats

    a, b = [1.0, 2.0, 4.0, 7.0, 7.5, 9.0], [3.0, 3.2, 3.3, 3.1, 2.5]
    spread = run(a, b).spread
    expected = stats.levene(a, b, center="median")
    assert spread.brown_forsythe == pytest.approx(expected.statistic)
    assert spread.p_value == pytest.approx(expected.pvalue)
    assert spread.ratio.value == pytest.approx(np.std(b, ddof=1) / np.std(a, ddof=1))
    assert spread.ratio.low < spread.ratio.value < spread.ratio.high < 1
    assert run(a[:4], b).spread is None
    assert run([0.0] * 3 + [1.0] * 3, [0.0] * 3 + [2.0] * 3).spread is None


def test_the_bootstrap_waits_for_twenty_seeds():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 20), rng.normal(1, 2, 25)
    result = run(a, b)
    assert run(a[:19], b).bootstrap is None
    assert result.bootstrap.low == pytest.approx(result.difference.low, abs=0.2)
    assert result.bootstrap.high == pytest.approx(result.difference.high, abs=0.2)
    assert result.bootstrap != result.difference
    assert run(a, b).bootstrap == result.bootstrap


def warned(result, words):
    return any(words in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("n", "spread", "shape", "floor"), [(3, 1, 1, 1), (4, 1, 1, 0), (5, 0, 1, 0), (10, 0, 1, 0), (11, 0, 0, 0)]
)
def test_few_seeds_are_told_what_they_cannot_show(n, spread, shape, floor):
    values = np.random.default_rng(0).standard_normal(n)
    result = run(values, values[::-1] + 0.1)
    assert warned(result, "hardly show the spread") == bool(spread)
    assert any("cannot show a skew" in warning for warning in result.difference.warnings) == bool(shape)
    assert warned(result, "smallest attainable") == bool(floor)


def test_unequal_numbers_of_seeds_have_a_worse_case_of_their_own():
    values = np.random.default_rng(0).standard_normal(9)
    assert "86 %" in run(values, values[:6]).difference.warnings[0]
    assert "91 %" in run(values, values[:7]).difference.warnings[0]


def test_a_wider_level_is_what_the_floor_is_held_against():
    values = [1.0, 2.0, 3.0, 4.0]
    assert not warned(run(values, values), "smallest attainable")
    assert warned(run(values, values, level=0.99), "smallest attainable")


def test_summaries_ask_no_more_than_they_need():
    two = compare_summaries(1.0, 0.1, 2, 2.0, 0.0, 2)
    assert two.df == pytest.approx(1.0)
    assert two.margin is None
    with pytest.raises(StatisticsError, match="margin -1"):
        compare_summaries(1.0, 0.1, 2, 2.0, 0.1, 2, margin=-1.0)
    with pytest.raises(StatisticsError, match="level 2"):
        compare_summaries(1.0, 0.1, 2, 2.0, 0.1, 2, level=2.0)


def test_two_pairs_are_enough_and_their_floor_is_told():
    result = run([1.0, 2.0], [1.5, 3.0], paired=True)
    assert result.df == 1.0
    assert result.permutation_floor == 0.5
    assert warned(result, "smallest attainable")
    assert not result.correlation.has_interval


def test_many_pairs_flip_signs_at_random():
    draws = np.random.default_rng(0)
    a = draws.normal(0, 1, 40)
    b = a + draws.normal(0.2, 1, 40)

    def p(seed, resamples):
        return compare(a, b, rng=np.random.default_rng(seed), paired=True, resamples=resamples).permutation_p

    assert p(0, 99) == p(0, 99)
    assert p(0, 999) != p(1, 999)
    assert round(p(0, 99) * 100) == pytest.approx(p(0, 99) * 100)
    exact = run(a, b, paired=True)
    assert exact.permutation_method == "monte-carlo"
    assert exact.permutation_floor == 2.0**-39
    assert exact.permutation_p == pytest.approx(exact.p_value, abs=0.03)


def test_the_correlation_of_pairs():
    x = np.arange(6.0)
    for a, b in (([1.0] * 6, x), (x, [1.0] * 6)):
        flat = run(a, b, paired=True).correlation
        assert math.isnan(flat.value)
        assert not flat.has_interval
    assert run(x, 2 * x, paired=True).correlation.value == 1.0
    assert not run(x, -x, paired=True).correlation.has_interval
    assert run(x, -x, paired=True).correlation.value == -1.0


def test_a_skew_that_is_seen_in_a_smaller_arm_is_told():
    skewed = np.array([0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.5, 0.7, 2.6, 3.1])
    even = np.linspace(0.0, 1.0, 40)

    def warnings(a, b):
        return compare(a, b, rng=np.random.default_rng(0), resamples=19, names=("old", "new")).difference.warnings

    assert [text.split(":")[0] for text in warnings(even, skewed)] == ["new"]
    assert [text.split(":")[0] for text in warnings(skewed, even)] == ["old"]
    assert "look skewed" in warnings(even, skewed)[0]
    assert warnings(even[:14], skewed) == ()  # nearly equal numbers
    assert warnings(even, np.linspace(0.0, 1.0, 12)) == ()
    assert warnings(np.concatenate([skewed] * 3), even[:12]) == ()  # the larger arm's skew does less
    assert not any("look skewed" in text for text in warnings(even, skewed[2:]))  # ten seeds: said of all shapes
