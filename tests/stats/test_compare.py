import math

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare, compare_summaries, details

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
    assert result.prob_b_greater.low > 0.5  # as the test says
    by_ranks = details(A3[:3], A2[:3]).prob_b_greater_by_ranks
    assert (by_ranks.value, by_ranks.high) == (1.0, 1.0)
    assert 0.2 < by_ranks.low < 0.5  # three seeds cannot exclude .5 by their order alone
    assert "always holds .5" in by_ranks.warnings[0]


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


def test_one_seed_against_a_sweep_assumes_the_spread_of_the_sweep():
    sweep = np.array([79.6, 79.7, 79.8, 79.75, 79.65])
    result = run(sweep, [80.3])
    expected = (80.3 - sweep.mean()) / (sweep.std(ddof=1) * math.sqrt(1 + 1 / 5))
    assert result.method == "single-run"
    assert result.statistic == pytest.approx(expected)
    assert result.df == 4
    assert math.isnan(result.sd_b)


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
    spread = details(a, b)
    assert spread.brown_forsythe_p == pytest.approx(stats.levene(a, b, center="median").pvalue)
    assert spread.sd_ratio.value == pytest.approx(np.std(b, ddof=1) / np.std(a, ddof=1))
    assert spread.sd_ratio.low < spread.sd_ratio.value < spread.sd_ratio.high < 1
    for first, second in ((a[:4], b), ([0.0] * 3 + [1.0] * 3, [0.0] * 3 + [2.0] * 3), ([1.0] * 5, b)):
        none = details(first, second)
        assert (none.sd_ratio, none.brown_forsythe_p) == (None, None)


def test_details_of_arms_and_of_pairs():
    from seedstudy.stats import rank
    from seedstudy.stats.describe import describe_details

    found = details(A3, A2[:4], level=0.9)
    one = describe_details(A2[:4], level=0.9)
    assert (found.median_b, found.new_seed_b) == (one.median, one.new_seed)
    assert found.new_seed_a == describe_details(A3, level=0.9).new_seed
    first, second = np.array(A3), np.array(A2[:4])
    assert found.hodges_lehmann == rank.hodges_lehmann(np.sort(first), np.sort(second), level=0.9)
    assert found.mann_whitney_p == rank.mann_whitney_p(first, second)
    assert found.brunner_munzel_p == rank.brunner_munzel_p(first, second)
    assert found.wilcoxon_p is None
    pairs = details(A3, A2, paired=True)
    assert pairs.wilcoxon_p == rank.wilcoxon_p(np.array(A2) - np.array(A3)) == 2 / 2**5
    assert (pairs.hodges_lehmann, pairs.sd_ratio, pairs.mann_whitney_p, pairs.brunner_munzel_p) == (None,) * 4


def test_details_refuse_what_compare_refuses():
    for a, b, paired in (([1.0], [2.0], False), (A3, A2[:4], True), ([1.0], [2.0], True), ([math.nan], A2, False)):
        with pytest.raises(StatisticsError) as by_details:
            details(a, b, paired=paired)
        with pytest.raises(StatisticsError) as by_compare:
            run(a, b, paired=paired)
        assert str(by_details.value) == str(by_compare.value)


def test_an_interval_at_another_level_is_what_that_level_gives():
    for options in ({}, {"paired": True}):
        wide = run(A3, A2, level=0.99, **options)
        assert wide.interval_at(0.9) == run(A3, A2, level=0.9, **options).difference
    assert not run([1.0] * 5, [2.0] * 5).interval_at(0.5).has_interval


def test_a_comparison_starts_without_scipy_stats_and_statsmodels():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from seedstudy.stats.compare import compare; from seedstudy.stats.many import max_t\n"
        "from seedstudy.stats import describe, fit, grid, across, power\n"
        "compare([1.0, 2.0, 4.0], [3.0, 5.0, 4.0], rng=np.random.default_rng(0), margin=1.0)\n"
        "describe.describe_details([1.0, 2.0])\n"
        "print([m for m in ('scipy.stats', 'scipy.optimize', 'statsmodels', 'torch', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def warned(result, words):
    return any(words in warning for warning in result.warnings)


@pytest.mark.parametrize(("n", "spread", "shape"), [(3, 1, 1), (4, 1, 1), (5, 0, 1), (10, 0, 1), (11, 0, 0)])
def test_few_seeds_carry_warnings_about_what_they_cannot_show(n, spread, shape):
    values = np.random.default_rng(0).standard_normal(n)
    result = run(values, values[::-1] + 0.1)
    assert warned(result, "hardly show the spread") == bool(spread)
    assert any("cannot show a skew" in warning for warning in result.difference.warnings) == bool(shape)


def test_unequal_numbers_of_seeds_have_a_worse_case_of_their_own():
    values = np.random.default_rng(0).standard_normal(9)
    assert "81 %" in run(values, values[:6]).difference.warnings[0]
    assert "87 %" in run(values, values[:7]).difference.warnings[0]


def test_summaries_ask_no_more_than_they_need():
    two = compare_summaries(1.0, 0.1, 2, 2.0, 0.0, 2)
    assert two.df == pytest.approx(1.0)
    assert two.margin is None
    with pytest.raises(StatisticsError, match="margin -1"):
        compare_summaries(1.0, 0.1, 2, 2.0, 0.1, 2, margin=-1.0)
    with pytest.raises(StatisticsError, match="level 2"):
        compare_summaries(1.0, 0.1, 2, 2.0, 0.1, 2, level=2.0)


def test_two_pairs_are_enough():
    result = run([1.0, 2.0], [1.5, 3.0], paired=True)
    assert result.df == 1.0
    assert result.permutation_floor == 0.5
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


def test_a_visible_skew_in_either_arm_is_a_warning():
    skewed = np.array([0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.5, 0.7, 2.6, 3.1])
    even = np.linspace(0.0, 1.0, 40)

    def warnings(a, b):
        return compare(a, b, rng=np.random.default_rng(0), resamples=19, names=("old", "new")).difference.warnings

    assert [text.split(":")[0] for text in warnings(even, skewed)] == ["new"]
    assert [text.split(":")[0] for text in warnings(skewed, even)] == ["old"]
    assert "look skewed" in warnings(even, skewed)[0]
    assert [text.split(":")[0] for text in warnings(even[:14], skewed)] == ["new"]
    assert warnings(even, np.linspace(0.0, 1.0, 12)) == ()
    assert [text.split(":")[0] for text in warnings(np.concatenate([skewed] * 3), even[:12])] == ["old"]
    assert not any("look skewed" in text for text in warnings(even, skewed[2:]))  # ten seeds: said of all shapes
