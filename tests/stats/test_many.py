import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seedstudy.stats.compare import compare
from seedstudy.stats.many import adjust, compact_letters, holm_steps, max_t
from seedstudy.stats.permutation import permute, studentised


def rng():
    return np.random.default_rng(0)


def test_holm_by_hand_and_by_statsmodels():
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert adjust([]) == ()
    from statsmodels.stats.multitest import multipletests

    many = np.random.default_rng(0).uniform(0, 0.1, 50).round(3)
    assert adjust(many) == pytest.approx(multipletests(many, method="holm")[1])
    assert adjust([0.0])[0] > 0.0


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 7).flatmap(
        lambda k: st.tuples(
            st.permutations([float(i) for i in range(k)]),
            st.sets(st.sampled_from(list(itertools.combinations("abcdefg"[:k], 2)))),
        )
    )
)
def test_letters_say_exactly_which_pairs_differ(drawn):
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


def test_max_t_of_one_column_is_the_permutation_test():
    draws = np.random.default_rng(3)
    a, b = draws.normal(0, 1, (4, 1)), draws.normal(1, 1, (5, 1))
    (p,) = max_t(a, b, rng=rng()).p_values
    assert p == pytest.approx(compare(a[:, 0], b[:, 0], rng=rng()).permutation_p)


def test_max_t_uses_that_eval_sets_go_together():
    draws = np.random.default_rng(4)
    a, b = draws.normal(0, 1, (6, 1)), draws.normal(1.5, 1, (6, 1))
    (alone,) = max_t(a, b, rng=rng()).p_values
    copies = max_t(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1), rng=rng()).p_values
    assert copies == pytest.approx((alone,) * 3)
    apart = max_t(
        np.column_stack([a, draws.normal(0, 1, (6, 2))]), np.column_stack([b, draws.normal(0, 1, (6, 2))]), rng=rng()
    )
    assert apart.p_values[0] >= alone


def test_max_t_keeps_the_family_error():
    draws = np.random.default_rng(5)
    smallest = []
    for _ in range(300):
        a, b = draws.normal(0, 1, (4, 3)), draws.normal(0, 1, (4, 3))
        p = max_t(a, b, rng=rng()).p_values
        smallest.append(min(p))
    error = np.mean(np.array(smallest) < 0.0501 + 1e-9)
    assert error <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_max_t_of_many_seeds_draws_labellings():
    draws = np.random.default_rng(0)
    a, b = draws.normal(0, 1, (30, 2)), draws.normal(0.5, 1, (30, 2))

    def adjusted(seed, resamples):
        return max_t(a, b, rng=np.random.default_rng(seed), resamples=resamples).p_values

    assert adjusted(0, 99) == adjusted(0, 99)
    assert adjusted(0, 999) != adjusted(1, 999)
    for p in adjusted(0, 99):
        assert round(p * 100) == pytest.approx(p * 100)
    default = max_t(a, b, rng=rng()).p_values
    assert round(default[1] * 10_000) == pytest.approx(default[1] * 10_000)


def test_max_t_in_blocks_is_the_permutation_test_with_the_same_labellings():
    draws = np.random.default_rng(0)
    a, b = draws.normal(0, 1, 250), draws.normal(0.15, 1, 250)
    alone = permute(studentised(np.concatenate([a, b]), 250, 250), 250, 250, rng=rng(), resamples=9999)
    assert max_t(a[:, None], b[:, None], rng=rng()).p_values == (alone.p_value,)
    assert 0.01 < alone.p_value < 0.5


def test_max_t_by_hand():
    # Two eval sets, exact: both statistics are compared with the maximum.
    draws = np.random.default_rng(2)
    a, b = draws.normal(0, 1, (4, 2)), draws.normal([2.0, 0.8], 1, (4, 2))
    seen = [compare(a[:, i], b[:, i], rng=rng()).statistic for i in (0, 1)]
    pooled = np.concatenate([a, b])
    largest = []
    for chosen in itertools.combinations(range(8), 4):
        rest = [i for i in range(8) if i not in chosen]
        t = stats.ttest_ind(pooled[list(chosen)], pooled[rest], equal_var=False).statistic
        largest.append(np.abs(t).max())
    expected = [np.mean(np.array(largest) >= abs(t) - 1e-9) for t in seen]
    assert max_t(a, b, rng=rng()).p_values == pytest.approx(expected)
    assert max_t(a[:, ::-1], b[:, ::-1], rng=rng()).p_values == pytest.approx(expected[::-1])


@pytest.mark.parametrize("n", [4, 15])
def test_intervals_of_max_t_exclude_0_exactly_where_its_p_is_below_alpha(n):
    outcomes = set()
    for seed in range(12):
        draws = np.random.default_rng(seed)
        a, b = draws.normal(0, 1, (n, 3)), draws.normal([0.0, 1.0, 2.5], 1, (n, 3))
        found = max_t(a, b, rng=rng(), resamples=999)
        t = [abs(compare(a[:, i], b[:, i], rng=rng()).statistic) for i in range(3)]
        for level in (0.8, 0.9, 0.95):
            for p, size in zip(found.p_values, t, strict=True):
                assert (size > found.reach(level)) == (p < round(1 - level, 9))
                outcomes.add(p < 0.05)
    assert outcomes == {True, False}
    assert max_t(a[:2], b[:2], rng=rng()).reach(0.95) == math.inf  # six labellings show nothing at .05


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8), st.sampled_from([0.05, 0.2]))
def test_steps_of_holm_agree_with_its_p_values(p_values, error):
    for p, step, adjusted in zip(p_values, holm_steps(p_values, error), adjust(p_values), strict=True):
        assert (p * step < error) == (adjusted < error)
