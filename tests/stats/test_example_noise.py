import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.variance import split_variance


def test_seeds_that_err_independently_show_no_distribution_wise_variance():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.2, 1.0, 500)
    result = split_variance(rng.random((400, 500)) < chance)
    assert result.on_test_set == pytest.approx(result.if_independent, rel=0.25)
    assert abs(result.distribution_wise_raw) < 0.25 * result.if_independent
    assert (result.n_seeds, result.n_examples) == (400, 500)


def test_seeds_that_differ_as_a_whole_do():
    rng = np.random.default_rng(1)
    skill = rng.normal(0.8, 0.05, (300, 1))
    result = split_variance(rng.random((300, 1000)) < skill)
    assert result.distribution_wise == pytest.approx(0.05**2, rel=0.3)
    assert result.distribution_wise == result.distribution_wise_raw
    assert result.on_test_set > result.distribution_wise


@pytest.mark.parametrize("bad", [[1, 0, 1], [[1, 0]], [[1], [0]], [[2, 0], [1, 0]], [[[1, 0], [0, 1]]]])
def test_other_matrices_are_refused(bad):
    with pytest.raises(StatisticsError, match="zeros and ones"):
        split_variance(bad)
    assert split_variance([[1, 0], [0, 1]]).n_seeds == 2
