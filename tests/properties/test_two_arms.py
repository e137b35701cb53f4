"""What must hold for any two arms. Values are multiples of 1/64, so that shifting and swapping are exact."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seedstudy.decide.more_seeds import MoreSeeds
from seedstudy.decide.verdict import Rule, decide
from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare, compare_summaries, details
from seedstudy.stats.sample import by_seed

quick = settings(max_examples=25, deadline=None)
value = st.integers(-640, 640).map(lambda k: k / 64)
arm = st.lists(value, min_size=2, max_size=6)
coarse = st.lists(st.integers(0, 2).map(float), min_size=2, max_size=6)  # many ties, often no spread


def run(a, b, **options):
    return compare(a, b, rng=np.random.default_rng(0), **options)


def has_spread(*arms):
    return any(np.ptp(values) > 0 for values in arms)


def same(x, y, rel=1e-9, absolute=1e-12):
    return x == pytest.approx(y, rel=rel, abs=absolute, nan_ok=True)


@quick
@given(st.one_of(arm, coarse), st.one_of(arm, coarse))
def test_swapping_the_arms_mirrors_everything(a, b):
    ab, ba = run(a, b, margin=1.0), run(b, a, margin=1.0)
    assert same(ab.difference.value, -ba.difference.value)
    assert same(ab.difference.low, -ba.difference.high)
    assert same(ab.p_value, ba.p_value)
    assert same(ab.permutation_p, ba.permutation_p)
    assert same(ab.equivalence_p, ba.equivalence_p)
    assert same(ab.p_above_minus_margin, ba.p_below_plus_margin)
    assert same(ab.hedges_g.value, -ba.hedges_g.value)
    assert same(ab.hedges_g.low, -ba.hedges_g.high, rel=1e-6, absolute=1e-6)
    assert ab.prob_b_greater.value + ba.prob_b_greater.value == pytest.approx(1.0)
    assert same(ab.prob_b_greater.low, 1 - ba.prob_b_greater.high)
    assert same(ab.single_run_error, ba.single_run_error)
    ab_more, ba_more = details(a, b), details(b, a)
    assert same(ab_more.hodges_lehmann.low, -ba_more.hodges_lehmann.high)
    assert same(ab_more.mann_whitney_p, ba_more.mann_whitney_p)
    assert same(ab_more.brunner_munzel_p, ba_more.brunner_munzel_p)
    assert same(ab_more.prob_b_greater_by_ranks.low, 1 - ba_more.prob_b_greater_by_ranks.high)
    assert same(ab_more.median_a.low, ba_more.median_b.low)
    if ab_more.sd_ratio is not None:
        assert same(ab_more.sd_ratio.low, 1 / ba_more.sd_ratio.high)
        assert same(ab_more.brown_forsythe_p, ba_more.brown_forsythe_p)


@quick
@given(arm, arm, st.integers(-1000, 1000))
def test_shifting_both_arms_changes_only_the_means(a, b, shift):
    before = run(a, b, margin=0.5)
    after = run(np.add(a, shift), np.add(b, shift), margin=0.5)
    assert after.mean_a == pytest.approx(before.mean_a + shift)
    for name in ("p_value", "permutation_p", "equivalence_p", "single_run_error", "sd_a", "statistic"):
        assert same(getattr(after, name), getattr(before, name)), name
    assert same(after.difference.low, before.difference.low)
    assert same(after.prob_b_greater.value, before.prob_b_greater.value)
    assert same(after.prob_b_greater.low, before.prob_b_greater.low, rel=1e-6)


@quick
@given(arm, arm, st.sampled_from([0.01, 0.5, 100.0, 1e6]))
def test_the_unit_changes_no_conclusion(a, b, factor):
    before = run(a, b, margin=0.5)
    after = run(np.multiply(a, factor), np.multiply(b, factor), margin=0.5 * factor)
    for name in ("p_value", "permutation_p", "equivalence_p", "single_run_error", "df"):
        assert same(getattr(after, name), getattr(before, name), rel=1e-7), name
    assert same(after.hedges_g.value, before.hedges_g.value, rel=1e-7)
    assert same(after.difference.high, before.difference.high * factor, rel=1e-7)


@quick
@given(st.one_of(arm, coarse), arm, st.randoms(use_true_random=False))
def test_the_order_of_seeds_is_irrelevant(a, b, random):
    shuffled_a, shuffled_b = list(a), list(b)
    random.shuffle(shuffled_a)
    random.shuffle(shuffled_b)
    before, after = run(a, b, margin=1.0), run(shuffled_a, shuffled_b, margin=1.0)
    for field in dataclasses.fields(before):
        assert str(getattr(after, field.name)) == str(getattr(before, field.name)), field.name
    assert str(details(shuffled_a, shuffled_b)) == str(details(a, b))


@quick
@given(arm, arm, st.floats(0.5, 0.9))
def test_a_higher_level_widens_every_interval(a, b, level):
    assume(has_spread(a, b))
    narrow, wide = run(a, b, level=level), run(a, b, level=level + 0.09)
    few, many = (details(a, b, level=at).hodges_lehmann for at in (level, level + 0.09))
    for name, inner, outer in (
        *((name, getattr(narrow, name), getattr(wide, name)) for name in ("difference", "hedges_g", "prob_b_greater")),
        ("hodges_lehmann", few, many),
    ):
        assert outer.low <= inner.low + 1e-9, name
        assert outer.high >= inner.high - 1e-9, name
    assert wide.difference.high - wide.difference.low > narrow.difference.high - narrow.difference.low


@quick
@given(arm, arm, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_excludes_zero_exactly_when_p_says_so(a, b, level):
    assume(has_spread(a, b))
    result = run(a, b, level=level)
    assume(abs(result.p_value - (1 - level)) > 1e-9)
    excludes = result.difference.low > 0 or result.difference.high < 0
    assert excludes == (result.p_value < 1 - level)
    prob = result.prob_b_greater
    assume(abs(result.p_value - (1 - level)) > 1e-5)  # the limits come from a root finder
    assert (prob.low > 0.5 or prob.high < 0.5) == excludes


@quick
@given(arm, arm, st.floats(0.05, 20.0))
def test_equivalence_p_agrees_with_its_interval(a, b, margin):
    assume(has_spread(a, b))
    result = run(a, b, margin=margin)
    assume(abs(result.equivalence_p - 0.05) > 1e-9)
    interval = result.interval_at(0.9)
    assert (-margin < interval.low and interval.high < margin) == (result.equivalence_p < 0.05)


@quick
@given(arm, arm, st.floats(0.05, 5.0))
def test_a_difference_beyond_the_margin_is_never_equivalent(a, b, margin):
    result = run(a, b, margin=margin)
    if abs(result.difference.value) >= margin:
        assert result.equivalence_p >= 0.5


@quick
@given(arm, arm, st.floats(0.05, 5.0), st.floats(0.01, 5.0))
def test_a_wider_margin_is_easier_to_stay_within(a, b, margin, more):
    assert run(a, b, margin=margin + more).equivalence_p <= run(a, b, margin=margin).equivalence_p


@quick
@given(st.lists(value, min_size=2, max_size=6))
def test_welch_is_student_when_sizes_and_spreads_are_equal(a):
    from scipy import stats

    assume(np.ptp(a) > 0)
    b = np.array(a) + 1.0
    expected = stats.ttest_ind(b, a)
    result = run(a, b)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.df == pytest.approx(2 * len(a) - 2)


@quick
@given(st.one_of(arm, coarse), st.one_of(arm, coarse))
def test_no_p_is_zero_or_above_one_and_none_below_its_floor(a, b):
    result = run(a, b, margin=0.5)
    floor = result.permutation_floor
    for p in (result.p_value, result.equivalence_p):
        assert 0 < p <= 1
    more = details(a, b)
    for p in (result.permutation_p, more.mann_whitney_p, more.brunner_munzel_p):
        assert floor * (1 - 1e-9) <= p <= 1


@quick
@given(st.one_of(arm, coarse), st.one_of(arm, coarse))
def test_every_interval_holds_its_value(a, b):
    result = run(a, b)
    more = details(a, b)
    for estimate in (result.difference, result.prob_b_greater, more.hodges_lehmann, more.median_a, more.new_seed_b):
        if estimate.has_interval:
            assert estimate.low <= estimate.value + 1e-12, estimate.method
            assert estimate.value <= estimate.high + 1e-12, estimate.method
    assert 0 <= result.prob_b_greater.low <= result.prob_b_greater.high <= 1


@quick
@given(coarse, coarse)
def test_ties_count_one_half(a, b):
    theta = np.mean([[(y > x) + 0.5 * (y == x) for x in a] for y in b])
    assert details(a, b).prob_b_greater_by_ranks.value == pytest.approx(theta)


@quick
@given(arm, st.integers(2, 6))
def test_an_arm_against_itself_is_never_better_or_worse(a, copies):
    result = run(a, a, margin=0.25)
    assert decide(result, Rule(margin=0.25)).word in ("equivalent", "inconclusive")
    assert result.p_value == 1.0
    assert result.single_run_error == pytest.approx(0.5)


@quick
@given(st.one_of(arm, coarse), st.one_of(arm, coarse), st.booleans())
def test_verdicts_mirror_when_arms_or_direction_are_swapped(a, b, lower_is_better):
    mirror = {"better": "worse", "worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"}
    rule = Rule(margin=1.0, lower_is_better=lower_is_better)
    turned = dataclasses.replace(rule, lower_is_better=not lower_is_better)
    ab = decide(run(a, b, margin=1.0), rule)
    assert decide(run(b, a, margin=1.0), rule).word == mirror[ab.word]
    assert decide(run(a, b, margin=1.0), turned).word == mirror[ab.word]
    assert decide(run(a, b, margin=1.0), turned).prob_b_better.value == pytest.approx(1 - ab.prob_b_better.value)
    assert ab.missing == MoreSeeds() or ab.word == "inconclusive"


@quick
@given(arm, arm)
def test_summaries_are_enough_for_the_default_answer(a, b):
    assume(has_spread(a, b))
    full = run(a, b, margin=1.0)
    short = compare_summaries(*(full.mean_a, full.sd_a, full.n_a, full.mean_b, full.sd_b, full.n_b), margin=1.0)
    assert short.p_value == pytest.approx(full.p_value, rel=1e-9)
    assert short.equivalence_p == pytest.approx(full.equivalence_p, rel=1e-9)
    assert same(short.single_run_error, full.single_run_error)


@quick
@given(arm, st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 5))
def test_values_that_are_no_results_are_refused(a, bad, position):
    spoiled = list(a)
    spoiled.insert(min(position, len(a)), bad)
    with pytest.raises(StatisticsError, match="nan or infinite") as caught:
        run(a, spoiled)
    assert "\n" not in str(caught.value)


@quick
@given(value, value)
def test_one_seed_each_is_refused(x, y):
    with pytest.raises(StatisticsError, match="one seed each"):
        run([x], [y])


@quick
@given(value, arm)
def test_one_seed_against_several_borrows_their_spread_and_says_so(x, b):
    assume(has_spread(b))
    result = run([x], b)
    assert result.method == "single-run"
    assert result.df == len(b) - 1
    assert any("one run of A shows no spread" in warning for warning in decide(result, Rule()).warnings)


@quick
@given(st.lists(st.tuples(value, value), min_size=2, max_size=8))
def test_pairs_follow_their_differences(pairs):
    a, b = (list(column) for column in zip(*pairs, strict=True))
    result = run(a, b, paired=True, margin=1.0)
    turned = run(b, a, paired=True, margin=1.0)
    assert same(result.p_value, turned.p_value)
    assert same(result.equivalence_p, turned.equivalence_p)
    assert same(result.difference.value, float(np.mean(np.subtract(b, a))), absolute=1e-9)
    # A constant added to one pair of both arms changes nothing.
    moved = run([a[0] + 5.0, *a[1:]], [b[0] + 5.0, *b[1:]], paired=True, margin=1.0)
    assert same(moved.p_value, result.p_value)


@quick
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_seed_counted_twice_is_refused(seeds):
    values = [float(i) for i in range(len(seeds))]
    if len(set(seeds)) < len(seeds):
        with pytest.raises(StatisticsError, match="occurs twice"):
            by_seed(seeds, values)
    else:
        assert list(by_seed(seeds, values).values()) == values
