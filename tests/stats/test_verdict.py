import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare
from seedstudy.verdict import Rule, decide


def verdict(a, b, *, margin=None, lower_is_better=False, **adjusted):
    comparison = compare(a, b, rng=np.random.default_rng(0), margin=margin)
    return decide(comparison, Rule(margin=margin, lower_is_better=lower_is_better), **adjusted)


A = [78.10, 78.20, 78.15]
B = [79.10, 79.20, 79.25]


def test_direction_of_the_metric():
    up, down = verdict(A, B), verdict(A, B, lower_is_better=True)
    assert (up.word, down.word) == ("better", "worse")
    assert (up.prob_b_better.value, down.prob_b_better.value) == (1.0, 0.0)
    assert up.single_run_error == down.single_run_error < 0.01
    assert up.more_seeds is None


def test_detectable_but_inside_the_margin_is_equivalent_and_says_so():
    rng = np.random.default_rng(3)
    result = verdict(rng.normal(0, 1, 60), rng.normal(0.6, 1, 60), margin=1.5)
    assert result.word == "equivalent"
    assert any("detectably better" in reason and "inside the margin" in reason for reason in result.reasons)


def test_no_evidence_is_inconclusive_and_never_equivalent():
    result = verdict([1.0, 2.0, 3.0], [1.1, 2.1, 3.1])
    assert result.word == "inconclusive"
    assert "no margin was declared" in result.reasons[1]
    assert result.more_seeds is not None


def test_more_seeds_reach_the_promised_power():
    a, b = [1.0, 2.0, 3.0, 2.5], [2.0, 3.0, 4.0, 2.7]
    result = verdict(a, b)
    assert result.word == "inconclusive"
    n = 4 + result.more_seeds
    rng = np.random.default_rng(0)
    draws_a, draws_b = rng.normal(0, np.std(a, ddof=1), (4000, n)), rng.normal(0, np.std(b, ddof=1), (4000, n))
    from scipy import stats

    shift = np.mean(b) - np.mean(a)
    power = np.mean(stats.ttest_ind(draws_b + shift, draws_a, axis=1, equal_var=False).pvalue < 0.05)
    assert power > 0.9  # more than 0.8, since the std is taken at its upper limit


def test_constant_arms_at_three_seeds_are_inconclusive():
    result = verdict([1.0] * 3, [2.0] * 3, margin=0.5)
    assert result.word == "inconclusive"
    assert "smallest possible p is 0.1" in result.reasons[0]
    assert result.more_seeds == 1


def test_constant_and_identical_arms_without_a_margin():
    result = verdict([1.0] * 6, [1.0] * 6)
    assert (result.word, result.more_seeds) == ("inconclusive", None)


def test_the_caller_may_adjust_for_a_family():
    assert verdict(A, B, p_adjusted=0.2).word == "inconclusive"


def test_the_margin_of_rule_and_comparison_must_agree():
    comparison = compare(A, B, rng=np.random.default_rng(0), margin=0.1)
    with pytest.raises(StatisticsError, match="compare again"):
        decide(comparison, Rule(margin=0.2))


@pytest.mark.parametrize("bad", [{"margin": -1.0}, {"margin": 0.0}, {"alpha": 0.0}, {"power": 1.0}])
def test_a_rule_refuses_nonsense(bad):
    with pytest.raises(StatisticsError):
        Rule(**bad)
