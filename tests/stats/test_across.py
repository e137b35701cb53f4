import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.across import combine_differences, rank_recipes
from seedstudy.stats.result import Estimate


def estimates(values):
    return [Estimate(value=v, low=v - 1, high=v + 1, level=0.95, n=(5, 5), method="welch") for v in values]


VALUES, ERRORS = [0.10, 0.30, 0.35, 0.65, 0.45, 0.15], [0.05, 0.08, 0.06, 0.10, 0.07, 0.09]


def test_paule_mandel_and_hartung_knapp_by_their_defining_equations():
    from scipy import stats

    result = combine_differences(estimates(VALUES), ERRORS)
    effects, k = np.array(VALUES), len(VALUES)
    weights = 1 / (np.square(ERRORS) + result.tau**2)
    mean = weights @ effects / weights.sum()
    # Paule-Mandel: the weighted sum of squares equals its expectation.
    assert weights @ (effects - mean) ** 2 == pytest.approx(k - 1, rel=1e-6)
    assert result.difference.value == pytest.approx(mean)
    error = np.sqrt(weights @ (effects - mean) ** 2 / (k - 1) / weights.sum())
    half = stats.t.ppf(0.975, k - 1) * error
    assert result.difference.high - mean == pytest.approx(half, rel=1e-6)
    new = stats.t.ppf(0.975, k - 2) * np.sqrt(result.tau**2 + error**2)
    assert result.new_data_set.high - mean == pytest.approx(new, rel=1e-6)
    assert result.warnings == ()


def test_data_sets_that_agree_have_no_spread_of_their_own():
    result = combine_differences(estimates([0.2, 0.21, 0.19, 0.2]), [0.1] * 4)
    assert result.tau == 0.0
    assert result.heterogeneity_p > 0.9
    # Hartung-Knapp alone would divide by the luck of agreement.
    from scipy import stats

    assert result.difference.high - 0.2 == pytest.approx(stats.t.ppf(0.975, 3) * 0.05)
    assert "4 data sets" in result.warnings[0]


def test_the_interval_excludes_zero_exactly_when_p_says_so():
    for shift in np.linspace(-1, 1, 41):
        result = combine_differences(estimates(np.array(VALUES) + shift), ERRORS)
        excludes = result.difference.low > 0 or result.difference.high < 0
        assert excludes == (result.p_value < 0.05)


@pytest.mark.parametrize(
    ("values", "errors"),
    [([0.1, 0.2], [0.1, 0.1]), (VALUES, ERRORS[:-1]), ([0.1, 0.2, 0.3], [0.1, 0.0, 0.1])],
)
def test_pooling_what_cannot_be_pooled_is_refused(values, errors):
    with pytest.raises(StatisticsError):
        combine_differences(estimates(values), errors)


def test_recipes_are_ranked_over_data_sets():
    from scipy import stats

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
    assert combine_differences(estimates([1, 2, 3]), [1, 1, 1]).difference.value == pytest.approx(2.0)
