import numpy as np
import pytest
from scipy import stats

from seedstudy.stats.looks import error_of_looks


@pytest.mark.parametrize("counts", [((5, 5),), ((3, 3), (5, 5), (8, 8)), ((4, 6), (10, 6), (10, 12))])
def test_the_error_of_looks_is_that_of_the_tests_one_after_the_other(counts):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 40_000, max(max(n) for n in counts)))
    is_shown = np.zeros(len(a), dtype=bool)
    for n_a, n_b in counts:
        is_shown |= stats.ttest_ind(a[:, :n_a], b[:, :n_b], axis=1, equal_var=False).pvalue < 0.05
    assert error_of_looks(counts, 0.05) == pytest.approx(np.mean(is_shown), abs=0.006)


def test_one_look_spends_about_alpha_and_each_further_one_more():
    errors = [error_of_looks(tuple((n, n) for n in range(20, 20 + 10 * k, 10)), 0.05) for k in (1, 2, 5, 10)]
    assert errors[0] == pytest.approx(0.05, abs=0.004)
    assert errors == sorted(errors)
    assert errors[-1] > 0.12
