import dataclasses

import numpy as np
import pytest
from scipy import stats

from seedstudy.decide.more_seeds import MoreSeeds
from seedstudy.decide.verdict import Rule, decide
from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare
from seedstudy.stats.doubt import safe_p
from seedstudy.stats.power import difference_power, equivalence_power, pilot_inflation
from seedstudy.stats.welch import TDistance


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
    assert up.missing == MoreSeeds()


def test_detectable_but_inside_the_margin_is_equivalent_and_says_so():
    rng = np.random.default_rng(3)
    result = verdict(rng.normal(0, 1, 60), rng.normal(0.6, 1, 60), margin=1.5)
    assert result.word == "equivalent"
    assert any("detectably better" in reason and "inside the margin" in reason for reason in result.reasons)


def test_no_evidence_is_inconclusive_and_never_equivalent():
    result = verdict([1.0, 2.0, 3.0], [1.1, 2.1, 3.1])
    assert result.word == "inconclusive"
    assert "No margin was declared" in result.reasons[1]
    assert result.missing.number is None
    few, many = result.missing.between
    assert few < many


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_more_seeds_settle_a_difference_of_the_margin_and_equality_with_the_promised_power(shift):
    # Followed once, from 5 seeds per arm, whatever was observed: the true std is 1, the margin 1.
    rng = np.random.default_rng(0)
    settled, followed = 0, 0
    while followed < 300:
        a, b = rng.normal(0, 1, 5), rng.normal(shift, 1, 5)
        first = verdict(a, b, margin=1.0)
        if first.word != "inconclusive":
            continue
        followed += 1
        more = first.missing.number
        a, b = np.append(a, rng.normal(0, 1, more)), np.append(b, rng.normal(shift, 1, more))
        settled += verdict(a, b, margin=1.0).word == ("better" if shift else "equivalent")
    # The std of five seeds is a guess: three standard errors around what the average over it promises.
    assert 0.7 < settled / followed < 0.95


def test_more_seeds_do_not_depend_on_the_observed_difference():
    base = np.array([1.0, 2.0, 3.0, 2.5])
    counts = {verdict(base, base + shift, margin=0.5).missing.number for shift in (0.0, 0.1, 0.4)}
    assert len(counts) == 1


def test_no_silly_number_of_seeds_is_asked_for():
    tiny = verdict([1.0, 2.0, 3.0, 2.5], [1.1, 2.2, 3.0, 2.6], margin=1e-4)
    assert tiny.missing.number is None
    assert "too small for 1,000 seeds per arm to settle it" in tiny.reasons[2]
    open_ended = verdict([0.0, 1.0] * 150, [0.01, 1.0] * 150)
    assert open_ended.word == "inconclusive"
    few, many = open_ended.missing.between
    assert (few < 1000, many) == (True, None)
    assert "more than 1,000 seeds per arm would be needed for one of half that size" in open_ended.reasons[2]


def test_arms_without_any_spread_are_inconclusive_however_many_seeds():
    for n in (3, 5, 20):
        for margin in (None, 0.5, 5.0):
            result = verdict([1.0] * n, [2.0] * n, margin=margin)
            assert (result.word, result.missing) == ("inconclusive", MoreSeeds())
            assert f"all {n} seeds of A gave one value" in result.reasons[0]
            assert "the seed did not reach the training" in result.reasons[1]
    assert "both give the same result" in verdict([1.0] * 6, [1.0] * 6).reasons[0]


def test_an_arm_without_spread_makes_a_claim_borderline():
    flat, other = [79.0] * 5, [79.5, 79.7, 79.6, 79.65, 79.55]
    for a, b, name in ((flat, other, "A"), (other, flat, "B")):
        result = verdict(a, b)
        assert result.word in ("better", "worse")
        assert result.warnings[0].startswith(f"borderline: all 5 seeds of {name} gave one value: perhaps the seed")
    # One run against the other arm: scipy's prediction interval reaches 0 exactly there.
    sd = np.std(other, ddof=1)
    p = 2 * stats.t.sf(0.6 / (sd * np.sqrt(1 + 1 / 5)), 4)
    assert f"as one run they give p = {p:.2g}" in verdict(flat, other).warnings[0]
    unclear = verdict([79.6] * 5, other)
    assert (unclear.word, unclear.warnings[0]) == (
        "inconclusive",
        "all 5 seeds of A gave one value: perhaps the seed did not reach its training",
    )


def test_one_run_against_a_sweep_is_always_borderline():
    sweep = [5.0, 5.1, 5.2, 5.1]
    p = 2 * stats.t.sf(4.1 / (np.std(sweep, ddof=1) * np.sqrt(9 + 1 / 4)), 3)
    for a, b, one, other in (([1.0], sweep, "A", "B"), (sweep, [1.0], "B", "A")):
        result = verdict(a, b)
        assert result.warnings[0].startswith(
            f"borderline: one run of {one} shows no spread, and that of {other} was assumed; if it is three times as "
            f"large, p = {p:.2g}"
        )
    assert verdict([5.0], sweep).warnings == ("one run of A shows no spread, and that of B was assumed",)
    assert "three times" in verdict([5.1], sweep, margin=2.0).warnings[0]


def test_the_caller_may_adjust_for_a_family():
    assert verdict(A, B, p_adjusted=0.2).word == "inconclusive"


def test_the_margin_of_rule_and_comparison_must_agree():
    comparison = compare(A, B, rng=np.random.default_rng(0), margin=0.1)
    with pytest.raises(AssertionError):
        decide(comparison, Rule(margin=0.2))


@pytest.mark.parametrize(
    "bad", [{"margin": -1.0}, {"margin": 0.0}, {"level": 0.4}, {"alpha": 0.0}, {"alpha": 0.5}, {"power": 1.0}]
)
def test_a_rule_refuses_nonsense(bad):
    with pytest.raises(StatisticsError):
        Rule(**bad)


def test_more_seeds_of_pairs_and_of_one_run():
    a, b = [1.0, 2.0, 3.0, 4.0, 6.0], [1.5, 2.1, 3.9, 3.8, 6.9]
    paired = decide(compare(a, b, rng=np.random.default_rng(0), paired=True, margin=0.5), Rule(margin=0.5))
    differences = np.subtract(b, a)

    def power(extra):
        n = 5 + extra
        sd = np.std(differences, ddof=1) * pilot_inflation(4.0, 0.05, 0.8)
        t = TDistance(0.5, sd / np.sqrt(n), n - 1)
        return min(difference_power(t, 0.05), equivalence_power(t._replace(difference=0.0), 0.5, 0.05))

    assert power(paired.missing.number) >= 0.8 > power(paired.missing.number - 1)
    sweep = np.array([1.0, 2.0, 3.0, 4.0])
    # One run borrows the spread of the sweep.
    turned = [verdict(*arms, margin=2.0).missing.number for arms in ((sweep, [4.0]), ([4.0], sweep))]
    assert turned[0] == turned[1] > 0


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
def test_whether_the_margin_is_exceeded_is_said_on_both_sides(shift, is_settled):
    rng = np.random.default_rng(4)
    result = verdict(rng.normal(0, 1, 40), rng.normal(shift, 1, 40), margin=1.0)
    assert result.word == ("better" if shift > 0 else "worse")
    assert any("is not settled" in reason for reason in result.reasons) != is_settled


def test_an_unconfirmed_difference_says_so():
    # Welch .040, all 126 relabellings .071; the smallest possible is .008.
    unconfirmed = verdict([-2.0, -1.5, -0.1, 0.2], [1.8, 1.2, 0.0, -0.1, 1.6])
    assert unconfirmed.word == "better"
    assert "Relabelling the seeds gives p = 0.071, which does not confirm it" in unconfirmed.reasons
    few = verdict(A, B)
    assert not any("relabelling" in reason for reason in few.reasons)
    assert "relabelling 3 seeds gives no two-sided p below 0.1" in few.warnings[-1]
    assert not any("relabelling" in warning for warning in verdict(A, A[::-1]).warnings)
    confirmed = verdict([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert not any("relabelling" in reason for reason in confirmed.reasons)


@pytest.mark.parametrize(
    ("p", "text"), [(0.00012, "0.00012"), (0.4, "0.4"), (0.0000123, "1.2e-5"), (2e-299, "2.0e-299"), (1e-305, "<")]
)
def test_p_in_words(p, text):
    comparison = dataclasses.replace(compare(A, B, rng=np.random.default_rng(0)), p_value=p)
    assert text in decide(comparison, Rule(alpha=0.49)).reasons[0]


@pytest.mark.parametrize(
    ("p", "n", "text"),
    [
        (0.999, 40, "in almost every try"),
        (0.9949, 40, "in about 99 of 100 tries"),
        (0.031, 40, "in about 3.1 of 100 tries"),
        (0.0052, 40, "about once in 190 tries"),
        (0.00012, 40, "about once in 8,300 tries"),
        (1e-9, 40, "less than once in a million tries"),
        (0.0011, 10, "about once in 910 tries"),
        (0.00012, 10, "less than once in 1,000 tries"),
    ],
)
def test_how_often_is_said_no_more_exactly_than_the_seeds_support(p, n, text):
    values = np.random.default_rng(0).normal(0, 1, n)
    comparison = dataclasses.replace(compare(values, values + 1, rng=np.random.default_rng(0)), p_value=p)
    assert text in decide(comparison, Rule(alpha=0.05)).reasons[0]


def test_how_often_is_a_matter_of_the_bare_p():
    comparison = dataclasses.replace(compare(A, B, rng=np.random.default_rng(0)), p_value=0.004)
    said = decide(comparison, Rule(), p_adjusted=0.012, n_family=3).reasons[0]
    assert "about once in 250 tries (p = 0.004; p = 0.012 adjusted for 3 comparisons)" in said


def test_more_seeds_follow_alpha_and_power_but_not_the_level():
    arms = [1.0, 2.0, 3.0, 2.5], [2.0, 3.0, 4.0, 2.7]
    comparison = compare(*arms, rng=np.random.default_rng(0), margin=1.0)
    usual = decide(comparison, Rule(margin=1.0)).missing.number
    assert decide(comparison, Rule(margin=1.0, power=0.95)).missing.number > usual
    assert decide(comparison, Rule(margin=1.0, alpha=0.01)).missing.number > usual
    assert decide(comparison, Rule(margin=1.0), n_family=5).missing.number > usual
    assert decide(comparison, Rule(margin=1.0, level=0.9)).missing.number == usual


def test_the_level_of_intervals_sets_no_alpha():
    values = np.random.default_rng(2).normal(0, 1, 12)
    comparison = dataclasses.replace(compare(values, values + 1, rng=np.random.default_rng(0)), p_value=0.07)
    assert decide(comparison, Rule(level=0.9)).word == "inconclusive"
    assert decide(comparison, Rule(alpha=0.1)).word == "better"


def test_a_claim_close_to_alpha_says_what_it_rests_on():
    arms = ([1.0, 2.0, 3.0, 2.0, 2.2], [3.0, 2.6, 4.0, 3.1, 2.9])
    comparison = compare(*arms, rng=np.random.default_rng(0), margin=9.0)
    safe = safe_p(5, 5, alpha=0.05, claim="difference")
    for p, is_borderline in ((0.99 * safe, False), (1.01 * safe, True), (0.0499, True)):
        found = decide(comparison, Rule(margin=9.0), p_adjusted=p, equivalence_p_adjusted=0.5)
        assert found.word == "better"
        assert bool(found.warnings) == is_borderline
    assert f"spread differently; only p < {safe:.2g} would hold even then" in found.warnings[0]
    safe = safe_p(5, 5, alpha=0.05, claim="equivalence")
    for p, is_borderline in ((0.99 * safe, False), (1.01 * safe, True)):
        found = decide(comparison, Rule(margin=9.0), p_adjusted=0.5, equivalence_p_adjusted=p)
        assert (found.word, bool(found.warnings)) == ("equivalent", is_borderline)
    assert decide(comparison, Rule(margin=9.0), p_adjusted=0.5, equivalence_p_adjusted=0.5).warnings == ()
    unequal = compare(arms[0], [*arms[1], *arms[1]], rng=np.random.default_rng(0))
    found = decide(unequal, Rule(), p_adjusted=0.01)
    assert "borderline: 5 and 10 seeds cannot show" in found.warnings[0]
