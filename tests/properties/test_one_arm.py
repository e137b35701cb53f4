"""What must hold for the description of any recipe."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seedstudy.stats.audit import expected_best
from seedstudy.stats.describe import describe, describe_details, rank_of

quick = settings(max_examples=40, deadline=None)
value = st.integers(-640, 640).map(lambda k: k / 64)
arm = st.lists(value, min_size=2, max_size=12)


def intervals(values, **options):
    one, more = describe(values, **options), describe_details(values, **options)
    return {
        "mean": one.mean,
        "std": one.std,
        "std_robust": more.std_robust,
        "median": more.median,
        "new_seed": more.new_seed,
    }


@quick
@given(arm, st.integers(-100, 100))
def test_shifting_moves_the_centre_and_keeps_the_spread(values, shift):
    before, after = intervals(values), intervals(np.add(values, shift))
    for name in ("mean", "median", "new_seed"):
        assert after[name].low == pytest.approx(before[name].low + shift, nan_ok=True), name
    assert after["std"] == before["std"]


@quick
@given(arm, st.sampled_from([0.01, 100.0]))
def test_the_unit_scales_everything(values, factor):
    before, after = intervals(values), intervals(np.multiply(values, factor))
    for name, interval in before.items():
        for end in ("value", "low", "high"):
            expected = getattr(interval, end) * factor
            assert getattr(after[name], end) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@quick
@given(arm, st.randoms(use_true_random=False))
def test_the_order_of_seeds_is_irrelevant(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert str(intervals(shuffled)) == str(intervals(values))


@quick
@given(arm)
def test_a_prediction_is_wider_than_a_mean(values):
    assume(np.ptp(values) > 0)
    mean, new_seed = describe(values).mean, describe_details(values).new_seed
    assert new_seed.low < mean.low < mean.value < mean.high < new_seed.high


@quick
@given(arm, st.floats(0.5, 0.9))
def test_a_higher_level_widens_every_interval(values, level):
    assume(np.ptp(values) > 0)
    wide = intervals(values, level=level + 0.09)
    for name, inner in intervals(values, level=level).items():
        outer = wide[name]
        if inner.has_interval:
            assert outer.low <= inner.low, name
            assert outer.high >= inner.high, name


@quick
@given(arm)
def test_mirrored_values_mirror_the_description(values):
    before, after = describe(values), describe(np.negative(values))
    assert (after.min, after.max) == (-before.max, -before.min)
    assert intervals(np.negative(values))["median"].low == pytest.approx(-intervals(values)["median"].high)


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
