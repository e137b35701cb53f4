import numpy as np
import pytest

from seedstudy.decide.verdict import Rule, decide
from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare


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
    with pytest.raises(AssertionError):
        decide(comparison, Rule(margin=0.2))


@pytest.mark.parametrize("bad", [{"margin": -1.0}, {"margin": 0.0}, {"level": 0.0}, {"power": 1.0}])
def test_a_rule_refuses_nonsense(bad):
    with pytest.raises(StatisticsError):
        Rule(**bad)


def test_more_seeds_of_pairs_shrink_the_error_of_the_differences():
    a, b = [1.0, 2.0, 3.0, 4.0, 6.0], [1.5, 2.1, 3.9, 3.8, 6.9]
    comparison = compare(a, b, rng=np.random.default_rng(0), paired=True)
    result = decide(comparison, Rule())
    assert result.word == "inconclusive"
    from seedstudy.stats.power import difference_power, sd_inflation
    from seedstudy.stats.welch import TDistance

    differences = np.subtract(b, a)
    sd = np.std(differences, ddof=1) * sd_inflation(4.0)

    def power(n):
        return difference_power(TDistance(differences.mean(), sd / np.sqrt(n), n - 1), 0.05)

    assert power(5 + result.more_seeds) >= 0.8 > power(4 + result.more_seeds)


def test_more_seeds_of_one_run_against_a_sweep_borrow_its_spread():
    sweep = np.array([1.0, 2.0, 3.0, 4.0])
    for a, b in ((sweep, [4.0]), ([4.0], sweep)):
        comparison = compare(a, b, rng=np.random.default_rng(0))
        result = decide(comparison, Rule())
        assert result.word == "inconclusive"
        from seedstudy.stats.power import difference_power, sd_inflation
        from seedstudy.stats.welch import welch

        sd = np.std(sweep, ddof=1) * sd_inflation(3.0)

        def power(extra, sd=sd):
            return difference_power(welch(0, sd, 4 + extra, 1.5, sd, 1 + extra), 0.05)

        assert power(result.more_seeds) >= 0.8 > power(result.more_seeds - 1)


@pytest.mark.parametrize(
    ("paired", "n", "margin", "more"),
    [(False, 3, None, 1), (False, 2, None, 2), (True, 3, None, 3), (True, 5, None, 1)],
)
def test_seeds_until_relabelling_could_settle_it(paired, n, margin, more):
    # Floors: 4 per arm .029, 6 pairs .031.
    comparison = compare([1.0] * n, [2.0] * n, rng=np.random.default_rng(0), paired=paired, margin=margin)
    assert decide(comparison, Rule(margin=margin)).more_seeds == more


def test_equal_constants_can_be_shown_equal_within_a_margin():
    three, four = (compare([1.0] * n, [1.0] * n, rng=np.random.default_rng(0), margin=0.1) for n in (3, 4))
    first, second = decide(three, Rule(margin=0.1)), decide(four, Rule(margin=0.1))
    assert (first.word, first.more_seeds) == ("inconclusive", 1)
    assert second.word == "equivalent"
    at_margin = compare([1.0] * 4, [1.5] * 4, rng=np.random.default_rng(0), margin=0.5)
    assert (at_margin.p_above_minus_margin, at_margin.p_below_plus_margin) == (pytest.approx(1 / 70), 1.0)
    below = compare([1.5] * 4, [1.0] * 4, rng=np.random.default_rng(0), margin=0.5)
    assert (below.p_above_minus_margin, below.p_below_plus_margin) == (1.0, pytest.approx(1 / 70))


def test_non_inferiority_looks_at_the_bad_side():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 30), rng.normal(3, 1, 30)
    comparison = compare(a, b, rng=rng, margin=0.5)
    assert decide(comparison, Rule(margin=0.5)).non_inferiority_p < 1e-6
    assert decide(comparison, Rule(margin=0.5, lower_is_better=True)).non_inferiority_p > 0.99
    assert decide(compare(a, b, rng=rng), Rule()).non_inferiority_p is None


def test_equivalence_may_be_adjusted_for_a_family_too():
    rng = np.random.default_rng(3)
    comparison = compare(rng.normal(0, 1, 60), rng.normal(0.1, 1, 60), rng=rng, margin=1.5)
    assert decide(comparison, Rule(margin=1.5)).word == "equivalent"
    assert decide(comparison, Rule(margin=1.5), equivalence_p_adjusted=0.3).word == "inconclusive"


def test_a_difference_at_alpha_is_not_detected():
    comparison = compare(A, B, rng=np.random.default_rng(0))
    assert decide(comparison, Rule(), p_adjusted=0.05).word == "inconclusive"
    assert decide(comparison, Rule(), p_adjusted=0.0499).word == "better"
    with_margin = compare(A, A, rng=np.random.default_rng(0), margin=1.0)
    assert decide(with_margin, Rule(margin=1.0), equivalence_p_adjusted=0.05).word == "inconclusive"


@pytest.mark.parametrize(("shift", "lower_is_better", "direction"), [(0.6, True, "worse"), (-0.6, False, "worse")])
def test_detectably_worse_inside_the_margin(shift, lower_is_better, direction):
    rng = np.random.default_rng(3)
    result = verdict(rng.normal(0, 1, 80), rng.normal(shift, 1, 80), margin=1.5, lower_is_better=lower_is_better)
    assert result.word == "equivalent"
    assert f"B is detectably {direction} by" in result.reasons[1]


@pytest.mark.parametrize(("shift", "is_settled"), [(3.0, True), (-3.0, True), (1.0, False), (-1.0, False)])
def test_whether_the_margin_is_exceeded_is_told_on_both_sides(shift, is_settled):
    rng = np.random.default_rng(4)
    result = verdict(rng.normal(0, 1, 40), rng.normal(shift, 1, 40), margin=1.0)
    assert result.word == ("better" if shift > 0 else "worse")
    assert any("is not settled" in reason for reason in result.reasons) != is_settled


def test_an_unconfirmed_difference_says_so():
    # Welch .040, all 126 relabellings .071; the smallest possible is .008.
    unconfirmed = verdict([-2.0, -1.5, -0.1, 0.2], [1.8, 1.2, 0.0, -0.1, 1.6])
    assert unconfirmed.word == "better"
    assert "relabelling the seeds gives p = 0.071, which does not confirm it" in unconfirmed.reasons
    few = verdict(A, B)
    assert "relabelling the seeds gives p = 0.1, the smallest possible with so few seeds" in few.reasons
    confirmed = verdict([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert not any("relabelling" in reason for reason in confirmed.reasons)


@pytest.mark.parametrize(
    ("p", "text"), [(0.00012, "0.00012"), (0.5, "0.5"), (0.0000123, "1.2e-5"), (2e-299, "2.0e-299"), (1e-305, "less")]
)
def test_p_in_words(p, text):
    comparison = compare(A, B, rng=np.random.default_rng(0))
    assert text in decide(comparison, Rule(level=0.1), p_adjusted=p).reasons[0]


def test_more_seeds_follow_alpha_and_power():
    comparison = compare([1.0, 2.0, 3.0, 2.5], [2.0, 3.0, 4.0, 2.7], rng=np.random.default_rng(0))
    usual = decide(comparison, Rule()).more_seeds
    assert decide(comparison, Rule(power=0.95)).more_seeds > usual
    assert decide(comparison, Rule(level=0.99)).more_seeds > usual


def test_two_seeds_keep_their_own_spread_when_more_are_counted():
    # n = 2 is few, but not one: the other arm's spread is not borrowed.
    tight, wide = [1.0, 1.01], [1.5, 4.0]
    from seedstudy.stats.power import difference_power, sd_inflation
    from seedstudy.stats.welch import welch

    for a, b in ((tight, wide), (wide, tight)):
        comparison = compare(a, b, rng=np.random.default_rng(0))
        result = decide(comparison, Rule())
        assert result.word == "inconclusive"
        factor = sd_inflation(comparison.df)
        n = 2 + result.more_seeds
        power = difference_power(
            welch(0, factor * comparison.sd_a, n, comparison.difference.value, factor * comparison.sd_b, n), 0.05
        )
        assert 0.8 <= power < 0.82


def test_a_claim_close_to_alpha_says_what_it_rests_on():
    arms = ([1.0, 2.0, 3.0, 2.0, 2.2], [3.0, 2.6, 4.0, 3.1, 2.9])
    comparison = compare(*arms, rng=np.random.default_rng(0), margin=9.0)
    for p, is_borderline in ((0.0169, False), (0.018, True), (0.0499, True)):
        found = decide(comparison, Rule(margin=9.0), p_adjusted=p, equivalence_p_adjusted=0.5)
        assert found.word == "better"
        assert bool(found.warnings) == is_borderline
    assert "5 seeds cannot show whether seeds are skewed in opposite directions; only p < 0.017" in found.warnings[0]
    for p, is_borderline in ((0.0109, False), (0.012, True)):
        found = decide(comparison, Rule(margin=9.0), p_adjusted=0.5, equivalence_p_adjusted=p)
        assert (found.word, bool(found.warnings)) == ("equivalent", is_borderline)
    assert decide(comparison, Rule(margin=9.0), p_adjusted=0.5, equivalence_p_adjusted=0.5).warnings == ()
    unequal = compare(arms[0], [*arms[1], *arms[1]], rng=np.random.default_rng(0))
    found = decide(unequal, Rule(), p_adjusted=0.01)
    assert "5 and 10 seeds cannot show whether seeds are skewed, or vary more in the smaller arm" in found.warnings[0]
    two = compare(arms[0], [9.0, 9.1], rng=np.random.default_rng(0))
    assert "no p would be small enough" in decide(two, Rule()).warnings[0]
    alone = compare([1.0], [5.0, 5.1, 5.2, 5.1], rng=np.random.default_rng(0))
    assert decide(alone, Rule()).warnings == ()
