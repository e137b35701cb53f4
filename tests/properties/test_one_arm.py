"""What must hold for the description of any recipe."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seedstudy.stats.audit import expected_best
from seedstudy.stats.describe import describe, rank_of

quick = settings(max_examples=40, deadline=None)
value = st.integers(-640, 640).map(lambda k: k / 64)
arm = st.lists(value, min_size=2, max_size=12)
INTERVALS = ("mean", "std", "std_robust", "median", "new_seed", "tolerance")


@quick
@given(arm, st.integers(-100, 100))
def test_shifting_moves_the_centre_and_keeps_the_spread(values, shift):
    before, after = describe(values), describe(np.add(values, shift))
    for name in ("mean", "median", "new_seed", "tolerance"):
        assert getattr(after, name).low == pytest.approx(getattr(before, name).low + shift, nan_ok=True), name
    assert after.std == before.std
    assert after.iqm == pytest.approx(before.iqm + shift)


@quick
@given(arm, st.sampled_from([0.01, 100.0]))
def test_the_unit_scales_everything(values, factor):
    before, after = describe(values), describe(np.multiply(values, factor))
    for name in INTERVALS:
        for end in ("value", "low", "high"):
            expected = getattr(getattr(before, name), end) * factor
            assert getattr(getattr(after, name), end) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@quick
@given(arm, st.randoms(use_true_random=False))
def test_the_order_of_seeds_is_irrelevant(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    before, after = describe(values), describe(shuffled)
    for name in INTERVALS:
        assert getattr(after, name).high == pytest.approx(getattr(before, name).high, nan_ok=True), name


@quick
@given(arm)
def test_a_prediction_is_wider_than_a_mean_and_a_tolerance_wider_still(values):
    assume(np.ptp(values) > 0)
    result = describe(values)
    assert result.tolerance.low < result.new_seed.low < result.mean.low < result.mean.value
    assert result.mean.value < result.mean.high < result.new_seed.high < result.tolerance.high


@quick
@given(arm, st.floats(0.5, 0.9))
def test_a_higher_level_widens_every_interval(values, level):
    assume(np.ptp(values) > 0)
    narrow, wide = describe(values, level=level), describe(values, level=level + 0.09)
    for name in INTERVALS:
        inner, outer = getattr(narrow, name), getattr(wide, name)
        if inner.has_interval:
            assert outer.low <= inner.low, name
            assert outer.high >= inner.high, name


@quick
@given(arm)
def test_mirrored_values_mirror_the_description(values):
    before, after = describe(values), describe(np.negative(values))
    assert (after.min, after.max) == (-before.max, -before.min)
    assert after.iqm == pytest.approx(-before.iqm)
    assert after.median.low == pytest.approx(-before.median.high)


@quick
@given(arm, st.integers(0, 11))
def test_ranks_add_up(values, position):
    mine = values[position % len(values)]
    result = rank_of(mine, values)
    assert result.n_below + result.n_equal + result.n_above == len(values) - 1
    assert result.percentile + rank_of(-mine, np.negative(values)).percentile == pytest.approx(1.0)


@quick
@given(arm)
def test_the_best_of_more_seeds_is_no_worse(values):
    best = [expected_best(values, n) for n in range(1, len(values) + 1)]
    assert all(x <= y + 1e-9 for x, y in itertools.pairwise(best))
    assert best[0] == pytest.approx(np.mean(values), abs=1e-9)
    assert best[-1] == pytest.approx(max(values), abs=1e-9)
    for n, unbiased in enumerate(best, start=1):
        assert expected_best(values, n, with_replacement=True) <= unbiased + 1e-9
