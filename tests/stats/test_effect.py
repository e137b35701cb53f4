import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats import effect
from seedstudy.stats.compare import compare


def test_hedges_g_by_hand_and_its_interval_by_the_noncentral_t():
    g = effect.hedges_g(10.0, 2.0, 5, 13.0, 1.0, 8, level=0.9)
    pooled = math.sqrt((4 * 4.0 + 7 * 1.0) / 11)
    j = 1 - 3 / (4 * 11 - 1)
    assert g.value == pytest.approx(j * 3.0 / pooled)
    to_d = math.sqrt(1 / 5 + 1 / 8)
    t = 3.0 / (pooled * to_d)
    for end, tail in ((g.low, 0.95), (g.high, 0.05)):
        assert stats.nct.cdf(t, 11, end / to_d) == pytest.approx(tail, abs=1e-6)  # without J: the limits have no bias
    exact_j = math.gamma(5.5) / (math.sqrt(5.5) * math.gamma(5.0))
    assert effect.small_sample_factor(11) == pytest.approx(exact_j, abs=4e-4)


def test_the_interval_of_prob_greater_solves_its_equation():
    a, b = np.array([1.0, 3.0, 5.0, 7.0, 9.0]), np.array([2.0, 6.0, 8.0, 10.0])
    result = effect.prob_greater(a, b, level=0.9)
    below_a, below_b = effect.placements(a, b)
    assert below_a.tolist() == [0.0, 0.25, 0.25, 0.5, 0.75]
    assert below_b.tolist() == [0.2, 0.6, 0.8, 1.0]
    assert result.value == pytest.approx(0.65)
    part_a, part_b = np.var(below_a, ddof=1) / 5, np.var(below_b, ddof=1) / 4
    df = (part_a + part_b) ** 2 / (part_a**2 / 4 + part_b**2 / 3)

    def reference(x):
        q1, q2 = x / (2 - x), 2 * x**2 / (1 + x)
        half = (5 + 4) / 2 - 1
        return (x * (1 - x) + half * (q1 - x**2) + half * (q2 - x**2)) / 20

    factor = max(1.0, (part_a + part_b) / reference(0.65))
    for x in (result.low, result.high):
        assert (0.65 - x) ** 2 == pytest.approx(stats.t.ppf(0.95, df) ** 2 * factor * reference(x), rel=1e-6)


def test_one_seed_in_an_arm_still_has_an_interval():
    result = effect.prob_greater(np.array([1.0]), np.array([2.0, 3.0, 4.0]), level=0.95)
    assert result.value == 1.0
    assert 0.0 < result.low < 0.5


def test_more_seeds_that_agree_raise_the_lower_bound():
    lows = [
        effect.prob_greater(np.arange(float(n)), np.arange(float(n)) + 1000, level=0.95).low for n in (2, 3, 5, 10, 50)
    ]
    assert lows == sorted(lows)
    assert lows[1] < 0.5 < lows[3]
    assert lows[-1] > 0.9


def test_wilson_against_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for wins, n in ((0, 5), (5, 5), (3, 8)):
        low, high = effect.wilson_limits(wins, n, 0.95)
        assert (low, high) == pytest.approx(proportion_confint(wins, n, 0.05, method="wilson"), abs=1e-12)


def test_pairs_won_and_tied():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 5.0, 1.0])
    result = effect.prob_greater_paired(a, b, level=0.95)
    assert result.value == 2.5 / 4
    assert (result.low, result.high) == pytest.approx(effect.wilson_limits(2.5, 4, 0.95))


@pytest.mark.parametrize(
    ("statistic", "df", "low", "high"),  # by mpmath, 25 digits: quadrature over the chi density and a root finder
    [
        (0.0, 4.0, -1.959963984540, 1.959963984540),
        (0.5, 3.0, -1.534376297057, 2.458955811782),
        (2.5, 1.7, -0.677243620937, 5.538921539025),
        (8.0, 2.0, 0.871413525032, 15.57082461643),
        (-8.0, 18.3, -11.19225386337, -4.725949097333),
        (300.0, 4.0, 104.3882280797, 500.7315606434),
        (1e5, 2.0, 15911.57059795, 192064.5582806),
    ],
)
def test_noncentrality_limits_by_mpmath(statistic, df, low, high):
    assert effect.noncentrality_limits(statistic, df, 0.95) == pytest.approx((low, high), rel=5e-5)


@pytest.mark.parametrize(("n_a", "n_b", "gap"), [(2, 2, 3.0), (3, 3, 2.0), (5, 4, 1.0), (12, 20, 0.6)])
def test_the_chance_of_normal_seeds_and_its_limits_by_the_noncentral_t(n_a, n_b, gap):
    a, b = np.arange(float(n_a)), 2.0 * np.arange(float(n_b)) + gap
    result = compare(a, b, rng=np.random.default_rng(0))
    prob, spread = result.prob_b_greater, math.hypot(result.sd_a, result.sd_b)
    assert prob.value == pytest.approx(stats.norm.cdf(result.difference.value / spread))
    for end, tail in ((prob.low, 0.975), (prob.high, 0.025)):
        noncentrality = stats.norm.ppf(end) * spread / result.se
        assert stats.nct.cdf(result.statistic, result.df, noncentrality) == pytest.approx(tail, abs=1e-6)
    assert "normal seeds" in prob.warnings[0]


def test_one_number_for_how_often_a_seed_of_b_beats_one_of_a():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 7))
    for x, y, options in ((a, b, {}), (b, a, {}), (a, [2.0], {}), (a, b, {"paired": True}), (a, a, {})):
        result = compare(x, y, rng=rng, **options)
        theta = result.prob_b_greater.value
        assert result.single_run_error == pytest.approx(min(theta, 1 - theta))
    many = rng.normal(size=(2, effect.FEWEST_FOR_RANKS))
    assert compare(*many, rng=rng).prob_b_greater.method == "newcombe-brunner-munzel"
    assert compare(*many, rng=rng, paired=True).prob_b_greater.method == "wilson-pairs"
    assert compare(many[0], many[1][1:], rng=rng).prob_b_greater.method == "reiser-guttman"
    assert compare([1.0, 1.0], [2.0, 2.0], rng=rng).prob_b_greater.method == "newcombe-brunner-munzel"


def test_one_run_against_a_sweep_and_pairs():
    sweep = np.array([1.0, 2.0, 3.0, 4.0])
    result = compare(sweep, [6.0], rng=np.random.default_rng(0))
    sd = np.std(sweep, ddof=1)
    assert result.prob_b_greater.value == pytest.approx(stats.norm.cdf(3.5 / (sd * math.sqrt(2))))
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 2.0, 4.5, 4.2])
    pairs = compare(a, b, rng=np.random.default_rng(0), paired=True)
    eta = np.mean(b - a) / np.std(b - a, ddof=1)
    assert pairs.prob_b_greater.value == pytest.approx(stats.norm.cdf(eta))
    low = stats.norm.ppf(pairs.prob_b_greater.low) * 2
    assert stats.nct.cdf(eta * 2, 3, low) == pytest.approx(0.975, abs=1e-6)


def test_g_of_pairs_is_in_units_of_the_average_std():
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 2.0, 4.5, 4.2])
    pairs = compare(a, b, rng=np.random.default_rng(0), paired=True)
    average = math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2)
    assert pairs.hedges_g.value == pytest.approx((1 - 3 / 11) * np.mean(b - a) / average)
    assert pairs.correlation.value == pytest.approx(np.corrcoef(a, b)[0, 1])
    z, half = math.atanh(pairs.correlation.value), 1.959964
    assert pairs.correlation.low == pytest.approx(math.tanh(z - half), abs=1e-6)


def test_the_interval_of_g_warns_where_calibration_saw_it_fail():
    def warnings(n_a, n_b, gap):
        return " ".join(effect.hedges_g(0.0, 1.0, n_a, gap, 1.0, n_b, level=0.95).warnings)

    assert "so few seeds" in warnings(10, 10, 0.1)
    assert warnings(11, 11, 0.1) == ""
    assert "so few seeds" in warnings(14, 10, 0.1)
    assert "heavy tails" in warnings(30, 30, 0.9)
    assert warnings(30, 30, 0.7) == ""
    assert "unequal sizes" in warnings(30, 20, 0.1)
    assert warnings(29, 20, 0.1) == ""


def test_the_interval_of_the_probability_warns_where_calibration_saw_it_fail():
    def warnings(a, b):
        return " ".join(
            effect.prob_greater(np.asarray(a, dtype=float), np.asarray(b, dtype=float), level=0.95).warnings
        )

    assert "unequal numbers" in warnings(np.arange(9), np.arange(3) + 2)
    assert "unequal numbers" in warnings(np.arange(3), np.arange(5))
    assert "unequal numbers" not in warnings(np.arange(4), np.arange(3))
    assert "by ranks alone the interval of P(B > A) always holds .5" in warnings(np.arange(4), np.arange(4))
    assert "5 seeds per arm" in warnings(np.arange(4), np.arange(4))
    assert warnings(np.arange(5), np.arange(5)) == ""
    assert warnings(np.arange(12), np.arange(4)) == ""
    calm, far = np.arange(20.0), np.append(np.arange(19.0), 90.0)
    assert "outliers" in warnings(far, calm + 18)
    assert "outliers" in warnings(calm + 18, far)
    assert warnings(far, calm + 5) == ""  # P is .7 there
    assert warnings(calm, calm + 18) == ""
