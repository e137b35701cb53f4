import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.result import SMALLEST_P, Estimate, bounded_p
from seedstudy.stats.sample import as_sample, by_seed, mean_of, sd_of


def test_one_value_per_seed_in_the_order_given():
    assert by_seed([3, 1, 2], [0.3, 0.1, 0.2]) == {3: 0.3, 1: 0.1, 2: 0.2}
    with pytest.raises(StatisticsError, match="a2: holds something"):
        by_seed([1], ["x"], name="a2")
    with pytest.raises(StatisticsError, match="sample: seed 1 occurs twice"):
        by_seed([1, 1], [0.1, 0.1])


def test_samples_are_float_vectors():
    sample = as_sample([1, 2, 3])
    assert sample.dtype == np.float64
    with pytest.raises(StatisticsError, match="sample: 0 seeds"):
        as_sample([])
    assert as_sample([1.0]).size == 1


def test_equal_values_have_exactly_no_spread():
    values = as_sample([0.1 + 0.2] * 7)
    assert (mean_of(values), sd_of(values)) == (0.1 + 0.2, 0.0)
    assert np.isnan(sd_of(values[:1]))
    assert sd_of(as_sample([1.0, 2.0])) == pytest.approx(np.sqrt(0.5))


def test_p_stays_inside_its_bounds():
    assert bounded_p(0.0) == SMALLEST_P > 0.0
    assert bounded_p(1.0 + 1e-12) == 1.0
    assert bounded_p(0.3) == 0.3


def test_a_mirrored_estimate_is_that_of_the_other_arm():
    one = Estimate(value=0.7, low=0.6, high=0.9, level=0.9, n=(3, 5), method="x", warnings=("w",))
    turned = one.mirrored(0.5)
    assert (turned.value, turned.low, turned.high) == pytest.approx((0.3, 0.1, 0.4))
    assert (turned.level, turned.n, turned.method, turned.warnings) == (0.9, (5, 3), "x", ("w",))
    assert one.mirrored().value == -0.7
    single = Estimate(value=1.0, low=np.nan, high=2.0, level=0.9, n=3, method="x")
    assert single.mirrored().n == 3
    assert not single.has_interval
    assert one.has_interval
