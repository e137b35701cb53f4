import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats.rank import brunner_munzel_p, cut, hodges_lehmann, mann_whitney_p, wilcoxon_p


def arms(n_a, n_b, seed=0, shift=0.7):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n_a), rng.standard_normal(n_b) + shift


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (4, 7), (8, 9)])
def test_mann_whitney_is_exact_for_few_seeds(n_a, n_b):
    a, b = arms(n_a, n_b)
    assert mann_whitney_p(a, b) == pytest.approx(stats.mannwhitneyu(b, a, method="exact").pvalue)


def test_mann_whitney_with_ties_counts_all_relabellings_of_these_values():
    a, b = np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 3.0, 4.0])
    pooled, ranks = np.concatenate([a, b]), stats.rankdata([*a, *b])
    import itertools

    observed = abs(ranks[4:].sum() - 18)
    sums = [abs(ranks[list(picks)].sum() - 18) for picks in itertools.combinations(range(8), 4)]
    assert pooled.size == 8
    assert mann_whitney_p(a, b) == pytest.approx(np.mean(np.array(sums) >= observed - 1e-9))


def test_mann_whitney_of_many_seeds_has_the_tie_correction():
    a, b = (np.round(arm) for arm in arms(40, 50))
    assert mann_whitney_p(a, b) == pytest.approx(stats.mannwhitneyu(b, a, method="asymptotic").pvalue)
    assert mann_whitney_p(np.ones(40), np.ones(50)) == 1.0


def test_brunner_munzel_of_many_seeds_agrees_with_scipy():
    a, b = arms(30, 40)
    assert brunner_munzel_p(a, 3 * b) == pytest.approx(stats.brunnermunzel(a, 3 * b).pvalue)


def test_brunner_munzel_of_few_seeds_is_permuted():
    a, b = arms(4, 5, seed=3, shift=0.3)
    observed = abs(stats.brunnermunzel(a, b).statistic)
    import itertools

    pooled = np.concatenate([a, b])
    extreme = 0
    for picks in itertools.combinations(range(9), 5):
        rest = [i for i in range(9) if i not in picks]
        with np.errstate(divide="ignore"), pytest.warns() if _apart(pooled, picks, rest) else _nothing():
            value = stats.brunnermunzel(pooled[rest], pooled[list(picks)]).statistic
        extreme += abs(value) >= observed - 1e-9
    assert brunner_munzel_p(a, b) == pytest.approx(extreme / math.comb(9, 5))


def _apart(pooled, picks, rest):
    return pooled[list(picks)].min() > pooled[rest].max() or pooled[list(picks)].max() < pooled[rest].min()


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_brunner_munzel_at_separation_and_without_spread():
    assert brunner_munzel_p(np.arange(4.0), np.arange(4.0) + 10) == pytest.approx(2 / 70)
    assert brunner_munzel_p(np.arange(30.0), np.arange(30.0) + 100) is None
    assert brunner_munzel_p(np.array([1.0]), np.arange(4.0)) is None
    assert brunner_munzel_p(np.ones(3), np.ones(4)) == 1.0


def test_hodges_lehmann_inverts_the_mann_whitney_test():
    a, b = arms(5, 6, seed=1)
    result = hodges_lehmann(a, b, level=0.95)
    assert result.value == pytest.approx(np.median(np.subtract.outer(b, a)))
    for shift, inside in (
        (result.low + 1e-9, True),
        (result.low - 1e-9, False),
        (result.high - 1e-9, True),
        (result.high + 1e-9, False),
    ):
        p = stats.mannwhitneyu(b - shift, a, method="exact").pvalue
        assert (p >= 0.05) == inside


def test_hodges_lehmann_of_many_seeds_and_of_too_few():
    a, b = arms(60, 70)
    many = hodges_lehmann(a, b, level=0.95)
    p_low = stats.mannwhitneyu(b - many.low, a, method="asymptotic").pvalue
    assert p_low == pytest.approx(0.05, abs=0.003)
    few = hodges_lehmann(np.arange(3.0), np.arange(3.0) + 0.5, level=0.95)
    assert (few.low, few.high, few.level) == (-1.5, 2.5, pytest.approx(0.9))
    assert "not 0.95" in few.warnings[0]


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 9), (12, 30)])
def test_the_cut_drops_as_much_as_the_level_allows(n_a, n_b):
    n_cut, reached = cut(n_a, n_b, 0.9)
    tail = stats.mannwhitneyu(np.arange(n_a) + 0.5, np.r_[np.arange(n_b) + 100], method="exact").pvalue / 2
    assert tail == pytest.approx(1 / math.comb(n_a + n_b, n_a))
    assert reached >= 0.9
    assert cut(n_a, n_b, reached - 1e-9)[0] == n_cut
    assert cut(n_a, n_b, reached + 1e-9)[0] == max(n_cut - 1, 0)


def test_wilcoxon_exact_with_ties_and_asymptotic():
    differences = np.array([1.0, -2.0, 2.0, 3.0, 3.0, 0.0])
    nonzero = differences[differences != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    import itertools

    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((-1, 1), repeat=5)]
    observed = abs(np.sign(nonzero) @ ranks)
    assert wilcoxon_p(differences) == pytest.approx(np.mean(np.array(sums) >= observed))
    rng = np.random.default_rng(0)
    small, large = rng.normal(0.5, 1, 12), rng.normal(0.3, 1, 60)
    assert wilcoxon_p(small) == pytest.approx(stats.wilcoxon(small, method="exact").pvalue)
    expected = stats.wilcoxon(large, method="asymptotic", correction=True).pvalue
    assert wilcoxon_p(large) == pytest.approx(expected, rel=1e-6)
    assert wilcoxon_p(np.zeros(4)) is None


def test_wilcoxon_changes_to_the_normal_after_seventeen_pairs():
    rng = np.random.default_rng(3)
    d = rng.normal(0.4, 1, 18)
    assert wilcoxon_p(d[:17]) == pytest.approx(stats.wilcoxon(d[:17], method="exact").pvalue)
    assert wilcoxon_p(d) == pytest.approx(stats.wilcoxon(d, method="asymptotic", correction=True).pvalue)
    centred = np.array([1.0, -1.0] * 10)
    assert wilcoxon_p(centred) == 1.0


def test_wilcoxon_with_a_sum_just_below_counts_only_larger_ones():
    # Ranks 1, 2, 3: sums 0, 2, 4, 6 in size; observed 4.
    assert wilcoxon_p(np.array([-1.0, 2.0, 3.0])) == 0.5
    assert wilcoxon_p(np.array([1.0, 2.0, 3.0])) == 0.25
