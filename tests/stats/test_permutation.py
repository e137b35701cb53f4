import itertools
import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats import permutation
from seedstudy.stats.permutation import (
    EXACT_UP_TO,
    label_arms,
    permute,
    permute_all,
    random_bits,
    sign_flips,
    studentised,
)


def every_labelling(n_a, n_b):
    """Return all labellings: the sums of the columns of the identity are the labels themselves."""
    return permutation._all_sums(np.eye(n_a + n_b), n_b)


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 5), (5, 2), (3, 3), (1, 4), (4, 1), (6, 7)])
def test_every_labelling_is_tried_once(n_a, n_b):
    labels = every_labelling(n_a, n_b)
    assert labels.shape == (math.comb(n_a + n_b, n_a), n_a + n_b)
    assert set(labels.sum(axis=1)) == {n_b}
    assert set(labels.ravel()) == {0.0, 1.0}
    assert len({tuple(row) for row in labels.tolist()}) == labels.shape[0]


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (4, 2), (2, 4), (5, 5), (1, 6)])
def test_all_labellings_by_hand(n_a, n_b):
    values = np.random.default_rng(n_a).normal(size=n_a + n_b)
    t = []
    for picks in itertools.combinations(range(n_a + n_b), n_b):
        rest = [i for i in range(n_a + n_b) if i not in picks]
        t.append(abs(stats.ttest_ind(values[list(picks)], values[rest], equal_var=min(n_a, n_b) == 1).statistic))
    seen = t[-1]  # the last seeds are arm B
    expected = np.mean(np.array(t) >= seen - 1e-9)
    assert permute_all(studentised(values, n_a, n_b), n_a, n_b).p_value == pytest.approx(expected)


def test_random_labellings_keep_the_sizes_and_count_the_observed_one():
    labels = np.unpackbits(random_bits(3, 30, 500, np.random.default_rng(0)), axis=1, count=33).astype(float)
    assert labels.shape == (500, 33)
    assert set(labels.sum(axis=1)) == {30}
    assert labels.mean(axis=0) == pytest.approx(30 / 33, abs=0.06)


def test_exact_up_to_the_stated_number():
    rng = np.random.default_rng(0)
    assert math.comb(20, 10) <= EXACT_UP_TO < math.comb(21, 10)
    exact, monte_carlo = (
        label_arms([studentised(rng.normal(size=10 + n), 10, n)], 10, n, rng=rng, resamples=9) for n in (10, 11)
    )
    assert (exact.n_total, exact.n_counted_extra) == (math.comb(20, 10) // 2, 0)
    assert (monte_carlo.n_total, monte_carlo.n_counted_extra) == (10, 1)


def image(values, label):
    """Return the image of one labelling, given as 0 for A and 1 for B."""
    label = np.asarray(label, dtype=float)
    statistic = studentised(values, int(np.sum(label == 0)), int(np.sum(label == 1)))
    return statistic.image((label @ statistic.columns)[None, :])[0]


@pytest.mark.parametrize("label", [(0, 1, 1, 0, 1, 1), (0, 1, 0, 1, 0, 1)])
def test_the_image_of_t_orders_like_t(label):
    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    in_b = np.array(label, dtype=bool)
    t2 = stats.ttest_ind(values[in_b], values[~in_b], equal_var=False).statistic ** 2
    assert image(values, label) == pytest.approx(t2 / (1 + t2))


def test_labellings_without_spread_are_the_most_extreme_or_say_nothing():
    assert image(np.array([1.0, 1.0, 2.0, 2.0]), (0, 0, 1, 1)) == pytest.approx(1.0)
    assert image(np.ones(4), (0, 0, 1, 1)) == 0.0
    # Rounding must not make a constant sample look different from itself.
    for n in range(3, 12):
        assert image(np.full(n, 0.1 + 0.2), [0] * (n - 2) + [1, 1]) == 0.0


def test_one_seed_against_several_uses_the_pooled_spread():
    t = stats.ttest_ind([9.0], [1.0, 2.0, 4.0]).statistic
    assert image(np.array([1.0, 2.0, 4.0, 9.0]), (0, 0, 0, 1)) == pytest.approx(t**2 / (1 + t**2))


def test_monte_carlo_comes_near_the_exact_p():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 11), rng.normal(0.8, 1, 12)
    values = np.concatenate([a, b])
    first = permute(studentised(values, 11, 12), 11, 12, rng=np.random.default_rng(1), resamples=20_000)
    assert first.p_value == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=0.02)
    assert round(first.p_value * 20_001) >= 1


def test_sign_flips_are_exact_and_then_random():
    d = np.array([1.0, -0.5, 2.0, 0.7])
    means = [abs(np.mean(d * np.array(signs))) for signs in itertools.product((-1, 1), repeat=4)]
    result = sign_flips(d, rng=np.random.default_rng(0), resamples=0)
    assert result.p_value == pytest.approx(np.mean(np.array(means) >= abs(d.mean()) - 1e-12))
    assert result.floor == 0.125
    many = np.random.default_rng(2).normal(0.3, 1, 30)
    random = sign_flips(many, rng=np.random.default_rng(0), resamples=20_000)
    assert round(random.p_value * 20_001) == pytest.approx(random.p_value * 20_001)
    assert random.p_value == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)
    assert sign_flips(np.zeros(3), rng=np.random.default_rng(0), resamples=0).p_value == 1.0


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 2), (3, 3), (5, 1)])
def test_random_labellings_are_equally_likely(n_a, n_b):
    labels = np.unpackbits(random_bits(n_a, n_b, 20_001, np.random.default_rng(0)), axis=1, count=n_a + n_b)
    _, counts = np.unique(labels, axis=0, return_counts=True)
    assert counts.size == math.comb(n_a + n_b, n_a)
    assert counts.sum() == 20_001
    assert stats.chisquare(counts).pvalue > 0.01


def test_random_sign_flips_count_every_block_and_the_observed_signs_once():
    # All differences alike: a flip reaches the observed mean only if all signs agree, which never happens here.
    alike = np.ones(40)
    assert sign_flips(alike, rng=np.random.default_rng(0), resamples=999).p_value == 1 / 1000
    # 3,000 pairs need several blocks; symmetric differences make every flip at least as extreme as a mean of 0.
    balanced = np.tile([1.0, -1.0], 1500)
    result = sign_flips(balanced, rng=np.random.default_rng(0), resamples=1999)
    assert result.p_value == 1.0
    assert result.floor == 2.0**-2999 or result.floor == 0.0


def test_sign_flips_hold_ties_together_at_any_scale():
    for scale in (1e-9, 1.0, 1e9):
        d = scale * np.array([0.1, 0.2, 0.3, -0.1])
        assert sign_flips(d, rng=np.random.default_rng(0), resamples=0).p_value == 0.375
