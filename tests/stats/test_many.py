import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare
from seedstudy.stats.many import across_eval_sets, max_t
from seedstudy.stats.many import (
    adjust,
    against_baseline,
    all_pairs,
    compact_letters,
    dunnett_p,
    omnibus,
)

GROUPS = {
    "a1": [80.1, 80.3, 80.2, 80.6],
    "a2": [79.6, 79.7, 79.8, 79.9, 79.75],
    "a3": [78.0, 78.3, 77.9],
}


def rng():
    return np.random.default_rng(0)


def test_holm_and_benjamini_hochberg_by_hand():
    p = [0.01, 0.04, 0.03, 0.005]
    assert adjust(p) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert adjust(p, "bonferroni") == pytest.approx((0.04, 0.16, 0.12, 0.02))
    assert adjust(p, "fdr_bh") == pytest.approx((0.02, 0.04, 0.04, 0.02))
    assert adjust([]) == ()
    from statsmodels.stats.multitest import multipletests

    many = np.random.default_rng(0).uniform(0, 0.1, 50).round(3)
    for method in ("holm", "bonferroni", "fdr_bh"):
        assert adjust(many, method) == pytest.approx(multipletests(many, method=method)[1])
    assert adjust([0.0])[0] > 0.0


def test_pairs_carry_the_same_bare_p_as_compare():
    family = all_pairs(GROUPS, rng=rng())
    assert [(pair.a, pair.b) for pair in family.pairs] == [("a1", "a2"), ("a1", "a3"), ("a2", "a3")]
    for pair in family.pairs:
        alone = compare(GROUPS[pair.a], GROUPS[pair.b], rng=rng())
        assert pair.p_value == alone.p_value
        assert pair.difference.value == alone.difference.value
        assert pair.p_adjusted >= pair.p_value
        assert pair.difference.low < alone.difference.low
        assert pair.difference.high > alone.difference.high


@pytest.mark.parametrize("method", ["welch-holm", "games-howell"])
def test_a_simultaneous_interval_that_excludes_zero_is_an_adjusted_detection(method):
    draws = np.random.default_rng(1)
    for _ in range(4):
        groups = {name: draws.normal(i * 0.9, 1, 4).tolist() for i, name in enumerate("abc")}
        for pair in all_pairs(groups, rng=rng(), method=method).pairs:
            excludes = pair.difference.low > 0 or pair.difference.high < 0
            if method == "games-howell":
                assert excludes == (pair.p_adjusted < 0.05)
            elif excludes:
                assert pair.p_adjusted < 0.05


def test_two_recipes_need_no_adjustment():
    two = {name: GROUPS[name] for name in ("a1", "a2")}
    for method in ("welch-holm", "games-howell"):
        (pair,) = all_pairs(two, rng=rng(), method=method).pairs
        assert pair.p_adjusted == pytest.approx(pair.p_value, rel=1e-6)
    (pair,) = against_baseline("a1", two, rng=rng()).pairs
    assert pair.p_adjusted == pair.p_value


def test_the_baseline_is_arm_a_of_every_pair():
    family = against_baseline("a2", GROUPS, rng=rng())
    assert [(pair.a, pair.b) for pair in family.pairs] == [("a2", "a1"), ("a2", "a3")]
    assert family.pairs[0].difference.value > 0 > family.pairs[1].difference.value
    assert family.letters is None


def test_dunnett_agrees_with_scipy():
    from scipy import stats

    family = against_baseline("a2", GROUPS, rng=rng(), method="dunnett")
    expected = stats.dunnett(GROUPS["a1"], GROUPS["a3"], control=GROUPS["a2"], rng=rng())
    interval = expected.confidence_interval(0.95)
    for i, pair in enumerate(family.pairs):
        assert pair.statistic == pytest.approx(expected.statistic[i])
        assert pair.p_adjusted == pytest.approx(expected.pvalue[i], abs=2e-4)
        assert pair.difference.low == pytest.approx(interval.low[i], abs=0.02)
        assert pair.difference.high == pytest.approx(interval.high[i], abs=0.02)


def test_dunnett_with_one_recipe_is_student():
    from scipy import stats

    for t, df in ((0.5, 3), (2.0, 4), (6.0, 30)):
        assert dunnett_p(t, np.array([4]), 6, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-6)


def test_no_spread_in_a_pair_falls_back_to_relabelling():
    groups = {"x": [1.0] * 5, "y": [2.0] * 5, "z": [1.0, 1.5, 2.0, 1.2, 1.1]}
    for method in ("welch-holm", "games-howell"):
        family = all_pairs(groups, rng=rng(), method=method)
        assert family.pairs[0].p_value == pytest.approx(2 / 252)
        assert math.isnan(family.pairs[0].difference.low)
        assert sum("all 5 seeds gave the same value" in w for w in family.warnings) == 2
    with pytest.raises(StatisticsError, match="no recipe shows any spread"):
        against_baseline("x", {"x": [1.0] * 3, "y": [2.0] * 3}, rng=rng(), method="dunnett")


def test_unusable_families_are_refused():
    with pytest.raises(StatisticsError, match="a3: 1 seed, at least 2"):
        all_pairs({"a2": [1.0, 2.0], "a3": [1.0]}, rng=rng())
    with pytest.raises(StatisticsError, match="at least two"):
        all_pairs({"a2": [1.0, 2.0]}, rng=rng())
    with pytest.raises(StatisticsError, match="baseline a9"):
        against_baseline("a9", GROUPS, rng=rng())
    with pytest.raises(StatisticsError, match="no recipe shows any spread"):
        omnibus({"x": [1.0] * 3, "y": [2.0] * 3})


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 7).flatmap(
        lambda k: st.tuples(
            st.permutations([float(i) for i in range(k)]),
            st.sets(st.sampled_from(list(itertools.combinations("abcdefg"[:k], 2)))),
        )
    )
)
def test_letters_say_exactly_what_was_told_apart(drawn):
    means, different = drawn
    names = "abcdefg"[: len(means)]
    letters = compact_letters(dict(zip(names, means, strict=True)), different)
    for a, b in itertools.combinations(names, 2):
        shares = bool(set(letters[a]) & set(letters[b]))
        assert shares == ((a, b) not in different)
    columns = {letter: {name for name in names if letter in letters[name]} for letter in "".join(letters.values())}
    assert not any(x < y for x in columns.values() for y in columns.values())
    best = max(names, key=dict(zip(names, means, strict=True)).__getitem__)
    assert "a" in letters[best]


def test_the_primary_eval_set_keeps_its_p_and_the_others_are_adjusted():
    a = {"val": [79.6, 79.7, 79.8], "real": [85.3, 85.4, 85.45], "v2": [67.9, 68.1, 68.0]}
    b = {"val": [79.9, 80.0, 80.1], "real": [85.5, 85.5, 85.6], "v2": [68.0, 68.2, 68.1]}
    result = {test.eval_set: test for test in across_eval_sets(a, b, primary="val", rng=rng())}
    assert result["val"].is_primary
    assert result["val"].p_adjusted == result["val"].p_value
    assert (result["real"].p_adjusted, result["v2"].p_adjusted) == pytest.approx(
        adjust([result["real"].p_value, result["v2"].p_value])
    )


def test_max_t_of_one_column_is_the_permutation_test():
    draws = np.random.default_rng(3)
    a, b = draws.normal(0, 1, (4, 1)), draws.normal(1, 1, (5, 1))
    (p,) = max_t(a, b, rng=rng())
    assert p == pytest.approx(compare(a[:, 0], b[:, 0], rng=rng()).permutation_p)


def test_max_t_uses_that_eval_sets_go_together():
    draws = np.random.default_rng(4)
    a, b = draws.normal(0, 1, (6, 1)), draws.normal(1.5, 1, (6, 1))
    (alone,) = max_t(a, b, rng=rng())
    copies = max_t(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1), rng=rng())
    assert copies == pytest.approx((alone,) * 3)
    apart = max_t(
        np.column_stack([a, draws.normal(0, 1, (6, 2))]), np.column_stack([b, draws.normal(0, 1, (6, 2))]), rng=rng()
    )
    assert apart[0] >= alone


def test_max_t_keeps_the_family_error_and_its_steps_are_ordered():
    draws = np.random.default_rng(5)
    smallest = []
    for _ in range(300):
        a, b = draws.normal(0, 1, (4, 3)), draws.normal(0, 1, (4, 3))
        p = max_t(a, b, rng=rng())
        smallest.append(min(p))
    error = np.mean(np.array(smallest) < 0.0501 + 1e-9)
    assert error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_eval_sets_that_do_not_match_are_refused():
    one = {"val": [1.0, 2.0], "v2": [1.0, 2.0]}
    with pytest.raises(StatisticsError, match="same ones"):
        across_eval_sets(one, {"val": [1.0, 2.0]}, primary="val", rng=rng())
    with pytest.raises(StatisticsError, match="same ones"):
        across_eval_sets(one, one, primary="real", rng=rng())
    with pytest.raises(StatisticsError, match="numbers of seeds differ"):
        across_eval_sets({"val": [1.0, 2.0], "v2": [1.0, 2.0, 3.0]}, one, primary="val", rng=rng())


def test_eval_sets_of_many_seeds_draw_labellings():
    draws = np.random.default_rng(0)
    a = {name: draws.normal(0, 1, 30) for name in ("val", "real", "v2")}
    b = {name: draws.normal(0.5, 1, 30) for name in a}

    def adjusted(seed, resamples):
        found = across_eval_sets(
            a, b, primary="val", rng=np.random.default_rng(seed), method="max-t", resamples=resamples
        )
        return [test.p_adjusted for test in found if not test.is_primary]

    assert adjusted(0, 99) == adjusted(0, 99)
    assert adjusted(0, 999) != adjusted(1, 999)
    for p in adjusted(0, 99):
        assert round(p * 100) == pytest.approx(p * 100)
    default = [t.p_adjusted for t in across_eval_sets(a, b, primary="val", rng=rng(), method="max-t")]
    assert round(default[1] * 10_000) == pytest.approx(default[1] * 10_000)
    with pytest.raises(StatisticsError, match="v2: 1 seed"):
        across_eval_sets({"v2": [1.0]}, {"v2": [1.0]}, primary="v2", rng=rng())
    assert len(across_eval_sets({"v2": [1.0, 2.0]}, {"v2": [1.0, 3.0]}, primary="v2", rng=rng(), method="max-t")) == 1


def test_flat_arms_of_many_seeds_draw_labellings_too():
    tests = across_eval_sets({"v": [1.0] * 30}, {"v": [2.0] * 30}, primary="v", rng=rng())
    assert tests[0].p_value == pytest.approx(1e-4)


def test_max_t_in_blocks_is_the_permutation_test_with_the_same_labellings():
    from seedstudy.stats.permutation import permute, studentised

    draws = np.random.default_rng(0)
    a, b = draws.normal(0, 1, 250), draws.normal(0.15, 1, 250)
    alone = permute(studentised(np.concatenate([a, b])), 250, 250, rng=rng(), resamples=9999)
    assert max_t(a[:, None], b[:, None], rng=rng()) == (alone.p_value,)
    assert 0.01 < alone.p_value < 0.5


def test_max_t_steps_down_by_hand():
    # Two eval sets, exact: the larger statistic is held against the maximum, the smaller against itself.
    from seedstudy.stats.permutation import labellings, studentised

    draws = np.random.default_rng(2)
    a, b = draws.normal(0, 1, (4, 2)), draws.normal([2.0, 0.8], 1, (4, 2))
    labels, _ = labellings(4, 4, rng=rng(), at_most=1000, resamples=0)
    first, second = (studentised(np.concatenate([a[:, i], b[:, i]]))(labels) for i in (0, 1))
    observed = np.array([[0.0] * 4 + [1.0] * 4])
    seen = [studentised(np.concatenate([a[:, i], b[:, i]]))(observed)[0] for i in (0, 1)]
    assert seen[0] > seen[1]
    p_first = np.mean(np.maximum(first, second) >= seen[0] - 1e-9)
    p_second = max(np.mean(second >= seen[1] - 1e-9), p_first)
    assert max_t(a, b, rng=rng()) == pytest.approx((p_first, p_second))
    assert max_t(a[:, ::-1], b[:, ::-1], rng=rng()) == pytest.approx((p_second, p_first))


def test_welch_anova_by_its_formula():
    from scipy import stats

    samples = [np.array(values) for values in GROUPS.values()]
    n = np.array([sample.size for sample in samples])
    means = np.array([sample.mean() for sample in samples])
    weights = n / np.array([sample.var(ddof=1) for sample in samples])
    grand = weights @ means / weights.sum()
    spill = np.sum((1 - weights / weights.sum()) ** 2 / (n - 1))
    f = (weights @ (means - grand) ** 2 / 2) / (1 + 2 * (3 - 2) / (9 - 1) * spill)
    result = omnibus(GROUPS)
    assert result.welch_f == pytest.approx(f)
    assert result.welch_p == pytest.approx(stats.f.sf(f, 2, 8 / (3 * spill)))
    flat = omnibus({"x": [1.0] * 3, "y": [1.0, 2.0, 3.0]})
    assert math.isnan(flat.welch_f)
    assert flat.f_p > 0.1
