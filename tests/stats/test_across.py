import numpy as np
import pytest
from scipy import stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.across import combine_differences, rank_recipes
from seedstudy.stats.result import Estimate


def estimates(values):
    return [Estimate(value=v, low=v - 1, high=v + 1, level=0.95, n=(5, 5), method="welch") for v in values]


VALUES, ERRORS = [0.10, 0.30, 0.35, 0.65, 0.45, 0.15], [0.05, 0.08, 0.06, 0.10, 0.07, 0.09]


def combined(values, errors, df=8.0):
    return combine_differences(estimates(values), errors, [df] * len(errors))


def test_the_mean_over_data_sets_is_a_t_test_of_their_differences():
    result = combined(VALUES, ERRORS)
    expected = stats.ttest_1samp(VALUES, 0.0)
    low, high = expected.confidence_interval(0.95)
    assert (result.difference.value, result.p_value) == pytest.approx((np.mean(VALUES), expected.pvalue))
    assert (result.difference.low, result.difference.high) == pytest.approx((low, high))
    assert [left.value for left in result.leave_one_out] == pytest.approx(
        [np.mean(VALUES[:i] + VALUES[i + 1 :]) for i in range(6)]
    )
    assert combined(VALUES[:3], ERRORS[:3]).leave_one_out == ()


def test_tau_is_what_the_variance_of_the_differences_has_beyond_that_of_the_seeds():
    result = combined(VALUES, ERRORS)
    squares = np.square(ERRORS)
    assert result.tau.value == pytest.approx(np.sqrt(np.var(VALUES, ddof=1) - squares.mean()))
    df = squares.sum() ** 2 / np.sum(squares**2 / 8)
    assert result.heterogeneity_p == pytest.approx(stats.f.sf(np.var(VALUES, ddof=1) / squares.mean(), 5, df))


def test_without_seed_noise_the_new_data_set_has_the_exact_prediction_interval():
    values = [1.0, 2.0, 4.0, 7.0]
    result, sd = combined(values, [1e-7] * 4), np.std(values, ddof=1)
    half = stats.t.ppf(0.975, 3) * sd * np.sqrt(1 + 1 / 4)
    assert result.new_data_set.high - result.difference.value == pytest.approx(half, rel=1e-4)
    limits = [sd * np.sqrt(3 / stats.chi2.ppf(share, 3)) for share in (0.975, 0.025)]
    assert (result.tau.low, result.tau.high) == pytest.approx(limits, rel=2e-3)


def test_the_new_data_set_by_random_draws_of_the_pivots():
    rng, n = np.random.default_rng(1), 400_000
    result = combined(VALUES, ERRORS)
    squares = np.square(ERRORS)
    df = squares.sum() ** 2 / np.sum(squares**2 / 8)
    total = np.var(VALUES, ddof=1) * 5 / rng.chisquare(5, n)
    tau2 = np.maximum(total - squares.mean() * df / rng.chisquare(df, n), 0.0)
    draws = np.mean(VALUES) + rng.standard_normal(n) * np.sqrt(total / 6 + tau2)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (result.new_data_set.low, result.new_data_set.high) == pytest.approx((low, high), abs=0.01)
    limits = np.sqrt(np.quantile(tau2, [0.025, 0.975]))
    assert (result.tau.low, result.tau.high) == pytest.approx(limits, abs=0.006)


def test_data_sets_that_agree_have_no_spread_of_their_own():
    result = combined([0.2, 0.21, 0.19, 0.2], [0.1] * 4)
    assert (result.tau.value, result.tau.low) == (0.0, 0.0)
    assert result.heterogeneity_p > 0.9
    assert "4 data sets" in result.warnings[0]
    same = combined([0.2] * 4, [0.1] * 4)
    assert (same.new_data_set.low, same.new_data_set.high) == (0.2, 0.2)


def test_errors_that_differ_much_are_named():
    assert "factor of 4" in combined(VALUES, [0.1, 0.1, 0.1, 0.1, 0.1, 0.4]).warnings[0]
    assert "93 to 99 %" in combined(VALUES, ERRORS).warnings[0]


def test_the_interval_excludes_zero_exactly_when_p_says_so():
    for shift in np.linspace(-1, 1, 41):
        result = combined(np.array(VALUES) + shift, ERRORS)
        excludes = result.difference.low > 0 or result.difference.high < 0
        assert excludes == (result.p_value < 0.05)


@pytest.mark.parametrize(
    ("values", "errors"),
    [([0.1, 0.2], [0.1, 0.1]), (VALUES, ERRORS[:-1]), ([0.1, 0.2, 0.3], [0.1, 0.0, 0.1])],
)
def test_pooling_what_cannot_be_pooled_is_refused(values, errors):
    with pytest.raises(StatisticsError):
        combined(values, errors)


def test_recipes_are_ranked_over_data_sets():
    rng = np.random.default_rng(0)
    means = {"a": rng.normal(0, 1, 9), "b": rng.normal(0.3, 1, 9), "c": rng.normal(2.0, 1, 9)}
    result = rank_recipes(means)
    by_pair = {(pair.a, pair.b): pair for pair in result.pairs}
    expected = stats.wilcoxon(means["c"], means["a"], method="exact").pvalue
    assert by_pair["a", "c"].p_value == pytest.approx(expected)
    assert by_pair["a", "c"].median_difference == pytest.approx(np.median(means["c"] - means["a"]))
    assert all(pair.p_adjusted >= pair.p_value for pair in result.pairs)
    assert sum(result.mean_ranks.values()) == pytest.approx(6.0)
    assert result.mean_ranks["c"] > result.mean_ranks["a"]
    chi2 = stats.friedmanchisquare(*means.values()).statistic
    assert result.friedman_p == pytest.approx(stats.f.sf(8 * chi2 / (9 * 2 - chi2), 2, 16))


def test_the_verdict_on_two_recipes_does_not_depend_on_a_third():
    # Nemenyi's does: the reason for Wilcoxon with Holm.
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(0, 1, (3, 10))
    with_c = {(p.a, p.b): p for p in rank_recipes({"a": a, "b": b, "c": c}).pairs}
    with_d = {(p.a, p.b): p for p in rank_recipes({"a": a, "b": b, "c": c + 100}).pairs}
    assert with_c["a", "b"].p_value == with_d["a", "b"].p_value


def test_few_data_sets_report_their_smallest_p():
    result = rank_recipes({"a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 3.5, 5.0, 6.5]})
    assert result.pairs[0].p_value == result.floor == 0.125
    assert "0.12" in result.warnings[0]
    with pytest.raises(StatisticsError):
        rank_recipes({"a": [1.0, 2.0], "b": [2.0, 3.5]})
    with pytest.raises(StatisticsError):
        rank_recipes({"a": [1.0, 2.0, 3.0], "b": [2.0, 3.5]})
    assert rank_recipes({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]}).friedman_p == 1.0


def test_recipes_that_rank_alike_everywhere():
    # Three recipes, four data sets, the same order on all: probability (1/3!)^3 of the other three agreeing.
    base = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_recipes({"a": base, "b": base + 1, "c": base + 2}).friedman_p == pytest.approx((1 / 6) ** 3)
    six = rank_recipes({"a": np.arange(6.0), "b": np.arange(6.0) ** 2 - 3})
    assert six.warnings == ()
    assert rank_recipes({"a": [1, 2, 3], "b": [1, 2, 3]}).pairs[0].p_value == 1.0
