import math

import numpy as np
import pytest

from seedstudy.stats.variance import bonett_limits, ratio_limits, sd_ratio, std_interval_robust


def test_limits_of_many_samples_are_those_of_each():
    rows = np.random.default_rng(0).gamma(2.0, 1.0, (3, 9)) * np.array([[1.0], [2.0], [5.0]])
    low, high = bonett_limits(rows, 0.9)
    for i in range(3):
        alone = std_interval_robust(rows[i], level=0.9)
        assert (low[i], high[i]) == pytest.approx((alone.low, alone.high))


def test_ratio_limits_of_many_samples_are_those_of_each():
    rng = np.random.default_rng(0)
    a = rng.gamma(2.0, 1.0, (3, 7)) * np.array([[1.0], [3.0], [9.0]])
    b = rng.normal(5.0, 1.0, (3, 9))
    low, high = ratio_limits(a, b, 0.9)
    for i in range(3):
        alone = sd_ratio(a[i], b[i], level=0.9)
        assert (low[i], high[i]) == pytest.approx((alone.low, alone.high))


def test_the_ratio_by_its_formula():
    from scipy import stats

    rng = np.random.default_rng(1)
    a, b = rng.gamma(2.0, 1.0, 12), rng.normal(5.0, 2.0, 9)

    def fourth(x):
        centre = stats.trim_mean(x, 1 / (2 * math.sqrt(x.size - 4)))
        return np.sum((x - centre) ** 4) / x.var(ddof=1) ** 2

    kurtosis = 21 * (fourth(a) + fourth(b)) / 19**2
    se = math.sqrt((kurtosis - 9 / 12) / 11 + (kurtosis - 6 / 9) / 8)
    z, t = stats.norm.ppf(0.975), stats.t.ppf(0.975, 19)
    centre = math.log((9 / (9 - z)) / (12 / (12 - z)) * b.var(ddof=1) / a.var(ddof=1))
    ratio = sd_ratio(a, b, level=0.95)
    assert ratio.low == pytest.approx(math.exp((centre - t * se) / 2))
    assert ratio.high == pytest.approx(math.exp((centre + t * se) / 2))
