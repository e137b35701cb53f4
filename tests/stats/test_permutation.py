import itertools
import math

import numpy as np
import pytest

from seedstudy.stats.permutation import (
    EXACT_UP_TO,
    label_arms,
    permute,
    sign_flips,
    studentised,
)


def labellings(n_a, n_b, *, exact_up_to=1000, resamples=0):
    rng = np.random.default_rng(0)
    labelled = label_arms(n_a, n_b, rng=rng, exact_up_to=exact_up_to, resamples=resamples)
    return np.concatenate(list(labelled.blocks)), labelled.n_counted_extra


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 5), (5, 2), (3, 3), (1, 4)])
def test_every_labelling_is_tried_once(n_a, n_b):
    labels, extra = labellings(n_a, n_b)
    assert extra == 0
    assert labels.shape == (math.comb(n_a + n_b, n_a), n_a + n_b)
    assert set(labels.sum(axis=1)) == {n_b}
    assert len({tuple(row) for row in labels.tolist()}) == labels.shape[0]


def test_random_labellings_keep_the_sizes_and_count_the_observed_one():
    labels, extra = labellings(3, 30, exact_up_to=10, resamples=500)
    assert (labels.shape, extra) == ((500, 33), 1)
    assert set(labels.sum(axis=1)) == {30}
    assert labels.mean(axis=0) == pytest.approx(30 / 33, abs=0.06)


def test_exact_up_to_the_stated_number():
    rng = np.random.default_rng(0)
    assert math.comb(20, 10) <= EXACT_UP_TO < math.comb(21, 10)
    exact, monte_carlo = (label_arms(10, n, rng=rng, resamples=9) for n in (10, 11))
    assert (exact.n_total, exact.n_counted_extra) == (math.comb(20, 10), 0)
    assert (monte_carlo.n_total, monte_carlo.n_counted_extra) == (10, 1)


def test_the_image_of_t_orders_like_t():
    from scipy import stats

    values = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    statistic = studentised(values)
    labels, _ = labellings(2, 4)
    splits = [(values[row], values[~row]) for row in labels.astype(bool)]
    t2 = np.array([stats.ttest_ind(x, y, equal_var=False).statistic ** 2 for x, y in splits])
    assert statistic(labels) == pytest.approx(t2 / (1 + t2))


def test_labellings_without_spread_are_the_most_extreme_or_say_nothing():
    assert studentised(np.array([1.0, 1.0, 2.0, 2.0]))(np.array([[0.0, 0.0, 1.0, 1.0]]))[0] == pytest.approx(1.0)
    assert studentised(np.ones(4))(np.array([[0.0, 0.0, 1.0, 1.0]]))[0] == 0.0
    # Rounding must not make a constant sample look different from itself.
    assert studentised(np.full(4, 0.1 + 0.2))(np.array([[0.0, 0.0, 1.0, 1.0]]))[0] == 0.0


def test_one_seed_against_several_uses_the_pooled_spread():
    from scipy import stats

    values = np.array([1.0, 2.0, 4.0, 9.0])
    labels = np.array([[0.0, 0.0, 0.0, 1.0]])
    t = stats.ttest_ind([9.0], [1.0, 2.0, 4.0]).statistic
    assert studentised(values)(labels)[0] == pytest.approx(t**2 / (1 + t**2))


def test_monte_carlo_comes_near_the_exact_p():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 11), rng.normal(0.8, 1, 12)
    values = np.concatenate([a, b])
    first = permute(studentised(values), 11, 12, rng=np.random.default_rng(1), resamples=20_000)
    from scipy import stats

    assert first.p_value == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=0.02)
    assert round(first.p_value * 20_001) >= 1


def test_sign_flips_are_exact_and_then_random():
    d = np.array([1.0, -0.5, 2.0, 0.7])
    means = [abs(np.mean(d * np.array(signs))) for signs in itertools.product((-1, 1), repeat=4)]
    result = sign_flips(d, rng=np.random.default_rng(0), resamples=0)
    assert result.p_value == pytest.approx(np.mean(np.array(means) >= abs(d.mean()) - 1e-12))
    assert result.floor == 0.125
    many = np.random.default_rng(2).normal(0.3, 1, 30)
    from scipy import stats

    random = sign_flips(many, rng=np.random.default_rng(0), resamples=20_000)
    assert round(random.p_value * 20_001) == pytest.approx(random.p_value * 20_001)
    assert random.p_value == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)
    assert sign_flips(np.zeros(3), rng=np.random.default_rng(0), resamples=0).p_value == 1.0


def test_random_labellings_are_equally_likely_and_the_same_whatever_the_blocks(monkeypatch):
    from scipy import stats

    from seedstudy.stats import permutation

    def draw():
        return labellings(3, 2, exact_up_to=1, resamples=20_001)[0]

    labels = draw()
    _, counts = np.unique(labels, axis=0, return_counts=True)
    assert counts.size == math.comb(5, 2)
    assert counts.sum() == 20_001
    assert stats.chisquare(counts).pvalue > 0.01
    monkeypatch.setattr(permutation, "_CELLS_AT_ONCE", 1_000)
    assert np.array_equal(draw(), labels)


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
