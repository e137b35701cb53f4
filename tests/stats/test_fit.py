import math

import numpy as np
import pytest
from scipy import integrate

from seedstudy.errors import StatisticsError
from seedstudy.stats.families import BETA, ON_THE_LINE, anderson_darling, fit_rows, minimise_rows
from seedstudy.stats.fit import density, fit, normal_qq

SCIPY = {
    "normal": "norm",
    "skew-normal": "skewnorm",
    "student-t": "t",
    "logistic": "logistic",
    "laplace": "laplace",
    "generalised-normal": "gennorm",
    "gumbel-max": "gumbel_r",
    "gumbel-min": "gumbel_l",
}


SWEEP = 79.7 + np.random.default_rng(5).normal(0, 0.1, 40)


def scipy_args(name, params):
    """Bring (location, scale, shape) into scipy's order."""
    return (*params[2:], params[0], params[1])


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("family", ON_THE_LINE, ids=lambda family: family.name)
def test_density_cdf_and_draws_belong_to_the_named_distribution(family):
    from scipy import stats

    x = np.linspace(-2.5, 3.5, 13)
    free = np.array([[0.3, math.log(1.4), math.log(4.0)][: len(family.params)]])
    readable = family.readable(free[0], 0.0, 1.0)
    expected = getattr(stats, SCIPY[family.name])(*scipy_args(family.name, readable))
    assert family.log_density(x[None, :], free)[0] == pytest.approx(expected.logpdf(x), abs=1e-10)
    assert family.cdf(x[None, :], free)[0] == pytest.approx(expected.cdf(x), abs=1e-8)
    draws = family.draw(free[0], 20_000, np.random.default_rng(1))
    assert stats.kstest(draws, expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize("family", ON_THE_LINE, ids=lambda family: family.name)
def test_the_likelihood_reached_is_that_of_scipy(family):
    from scipy import stats

    draws = np.random.default_rng(4)
    rows = np.stack([draws.gumbel(0, 1, 60), draws.standard_t(4, 60), draws.logistic(0, 1, 60)])
    rows = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    params, likelihood = fit_rows(family, rows)
    distribution = getattr(stats, SCIPY[family.name])
    for i, row in enumerate(rows):
        mine = distribution(*scipy_args(family.name, family.readable(params[i], 0.0, 1.0))).logpdf(row).sum()
        assert likelihood[i] == pytest.approx(mine, abs=1e-6)
        theirs = distribution(*distribution.fit(row)).logpdf(row).sum()
        assert likelihood[i] >= theirs - 0.02  # the bounds on shapes cost at most this


@pytest.mark.parametrize("family", [*ON_THE_LINE, BETA], ids=lambda family: family.name)
def test_where_no_simulated_sample_has_a_spread_there_is_nothing_to_fit(family):
    params, likelihood = fit_rows(family, np.empty((0, 12)))
    assert params.shape == (0, len(family.params))
    assert likelihood.shape == (0,)


def test_beta_is_fitted_to_the_share():
    from scipy import stats

    values = np.random.default_rng(2).beta(40, 10, 80)
    result = fit(100 * values, rng=rng(), largest=100, resamples=19)
    beta = next(family for family in result.families if family.name == "beta")
    a, b, *_ = stats.beta.fit(values, floc=0, fscale=1)
    assert (beta.params["a"], beta.params["b"]) == pytest.approx((a, b), rel=1e-3)
    in_unit = stats.beta(a, b, 0, 100).logpdf(100 * values).sum()
    assert beta.log_likelihood == pytest.approx(in_unit, abs=1e-3)
    assert fit_rows(BETA, values[None, :])[1][0] == pytest.approx(stats.beta(a, b).logpdf(values).sum(), abs=1e-3)


def test_aicc_and_weights_by_hand():
    values = np.random.default_rng(3).normal(79.7, 0.1, 25)
    result = fit(values, rng=rng(), resamples=19)
    normal = next(family for family in result.families if family.name == "normal")
    assert normal.params["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert normal.params["std"] == pytest.approx(values.std(), rel=1e-4)
    likelihood = -25 / 2 * (math.log(2 * math.pi * values.var()) + 1)
    assert normal.log_likelihood == pytest.approx(likelihood, abs=1e-6)
    assert normal.aicc == pytest.approx(4 - 2 * likelihood + 12 / 22, abs=1e-5)
    assert sum(family.weight for family in result.families) == pytest.approx(1.0)
    best = result.families[0]
    assert normal.weight / best.weight == pytest.approx(math.exp(-(normal.aicc - best.aicc) / 2))
    assert [family.aicc for family in result.families] == sorted(family.aicc for family in result.families)


@pytest.mark.slow
def test_the_right_family_fits_and_a_wrong_one_does_not():
    values = np.random.default_rng(5).gumbel(79.0, 0.2, 150)
    result = {family.name: family for family in fit(values, rng=rng()).families}
    assert result["gumbel-max"].gof_p > 0.05
    assert result["gumbel-min"].gof_p == 1 / 200
    assert result["gumbel-max"].weight > 0.5


def test_the_unit_changes_no_weight_and_no_p():
    values = np.random.default_rng(6).normal(0.797, 0.001, 30)
    one, hundred = fit(values, rng=rng(), resamples=19), fit(100 * values, rng=rng(), resamples=19)
    for x, y in zip(one.families, hundred.families, strict=True):
        assert (x.name, x.gof_p) == (y.name, y.gof_p)
        assert x.weight == pytest.approx(y.weight, abs=1e-6)
    assert [test.p_value for test in one.normality] == pytest.approx([test.p_value for test in hundred.normality])


@pytest.mark.slow
def test_goodness_of_fit_knows_that_parameters_were_estimated():
    # A plain Kolmogorov test with fitted parameters would (almost) never reject: size .000 instead of .05.
    from scipy import stats

    draws = np.random.default_rng(8)
    naive, lilliefors, anderson = [], [], []
    for _ in range(16):
        x = draws.standard_normal(20)
        naive.append(stats.kstest(x, stats.norm(x.mean(), x.std(ddof=1)).cdf).pvalue)
        tests = {test.test: test.p_value for test in fit(x, rng=rng(), resamples=1).normality}
        lilliefors.append(tests["lilliefors"])
        anderson.append(tests["anderson-darling"])
    assert np.mean(naive) > 0.7
    assert np.mean(lilliefors) == pytest.approx(0.5, abs=0.25)
    assert np.mean(anderson) == pytest.approx(0.5, abs=0.25)


def test_normality_statistics_agree_with_statsmodels():
    from statsmodels.stats.diagnostic import lilliefors, normal_ad

    values = np.random.default_rng(9).gamma(4.0, 1.0, 40)
    tests = {test.test: test for test in fit(values, rng=rng(), resamples=1).normality}
    statistic, p = lilliefors(values)
    assert tests["lilliefors"].statistic == pytest.approx(statistic)
    assert tests["lilliefors"].p_value == pytest.approx(p, abs=0.02)
    statistic, p = normal_ad(values)
    assert tests["anderson-darling"].statistic == pytest.approx(statistic)
    assert tests["anderson-darling"].p_value == pytest.approx(p, abs=0.03)  # theirs is an approximation


@pytest.mark.slow
def test_ties_of_the_lattice_do_not_count_against_a_family():
    # Coarse steps: nine possible values within two std.
    step = 0.05
    values = np.round(np.random.default_rng(10).normal(0.0, 0.1, 120) / step) * step
    blind, knowing = (fit(values, rng=rng(), resamples=59, step=given) for given in (None, step))
    p_blind = next(family.gof_p for family in blind.families if family.name == "normal")
    p_knowing = next(family.gof_p for family in knowing.families if family.name == "normal")
    assert p_blind < 0.05 < p_knowing
    assert all(test.p_value > 0.05 for test in knowing.normality)
    assert any("share a value" in warning for warning in blind.warnings)
    assert not any("share a value" in warning for warning in knowing.warnings)
    with pytest.raises(StatisticsError, match="not a multiple of the step"):
        fit(values + 0.01, rng=rng(), step=step)


def test_few_seeds_get_few_words():
    values = [79.6, 79.7, 79.9, 79.75, 79.65]
    three = fit(values[:3], rng=rng())
    assert three.families == ()
    assert "cannot tell" in three.warnings[0]
    assert {family.name for family in fit(values, rng=rng(), resamples=9).families} == {
        "normal",
        "logistic",
        "laplace",
        "gumbel-max",
        "gumbel-min",
    }
    with pytest.raises(StatisticsError, match="at least 3"):
        fit(values[:2], rng=rng())
    flat = fit([1.0] * 5, rng=rng())
    assert (flat.families, flat.normality, flat.qq) == ((), (), None)


def test_moments_agree_with_scipy_and_have_intervals_from_twenty_seeds_on():
    from scipy import stats

    values = np.random.default_rng(11).gamma(3.0, 1.0, 40)
    result = fit(values, rng=rng(), resamples=1)
    assert result.skewness.value == pytest.approx(stats.skew(values, bias=False))
    assert result.excess_kurtosis.value == pytest.approx(stats.kurtosis(values, bias=False))
    assert result.skewness.low < result.skewness.value < result.skewness.high
    assert not fit(values[:19], rng=rng(), resamples=1).skewness.has_interval


def test_qq_band_covers_normal_points_one_by_one():
    draws = np.random.default_rng(12).standard_normal((2000, 8))
    qq = normal_qq(draws[0], level=0.9)
    assert qq.observed == tuple(np.sort(draws[0]))
    low = (np.array(qq.low) - draws[0].mean()) / draws[0].std(ddof=1)
    high = (np.array(qq.high) - draws[0].mean()) / draws[0].std(ddof=1)
    inside = np.mean((np.sort(draws, axis=1) >= low) & (np.sort(draws, axis=1) <= high), axis=0)
    assert inside == pytest.approx(0.9, abs=0.03)
    assert np.all(low < qq.theoretical)


@pytest.mark.slow
def test_same_rng_same_fit():
    values = np.random.default_rng(13).normal(0, 1, 25)
    assert fit(values, rng=rng(), resamples=29) == fit(values, rng=rng(), resamples=29)
    assert fit(values, rng=rng(), resamples=29) != fit(values, rng=np.random.default_rng(1), resamples=29)


def test_anderson_darling_by_hand():
    u = np.array([[0.2, 0.5, 0.9]])
    by_hand = -3 - sum((2 * i - 1) * (math.log(u[0, i - 1]) + math.log(1 - u[0, 3 - i])) for i in (1, 2, 3)) / 3
    assert anderson_darling(u)[0] == pytest.approx(by_hand)


def test_a_seed_beyond_all_others_counts_against_a_family_and_stays_finite():
    for u in ([[0.2, 0.5, 1.0]], [[0.0, 0.5, 0.8]]):
        statistic = anderson_darling(np.array(u))[0]
        assert 10.0 < statistic < 1000.0


def test_the_simplex_finds_the_lowest_points_of_many_bowls():
    draws = np.random.default_rng(14)
    centres, widths = draws.normal(0, 3, (40, 3)), draws.uniform(0.2, 5.0, (40, 3))
    n_asked = np.zeros(40, dtype=int)

    def bowl(points, rows):
        n_asked[rows] += 1
        return np.sum(np.square((points - centres[rows]) / widths[rows]), axis=1) + rows

    found, cost = minimise_rows(bowl, np.zeros((40, 3)))
    assert found == pytest.approx(centres, abs=2e-3)
    assert cost == pytest.approx(np.arange(40), abs=1e-5)
    # As thrifty as scipy's own: about two evaluations a step.
    n_mine = n_asked.mean()
    from scipy import optimize

    theirs = [
        optimize.minimize(
            lambda x, i=i: bowl(x[None, :], np.array([i]))[0],
            np.zeros(3),
            method="Nelder-Mead",
            options={"fatol": 1e-8, "xatol": 1e-4},
        ).nfev
        for i in range(5)
    ]
    assert n_mine < 2.0 * np.mean(theirs)
    # A row that is done is left alone: few steps are no worse than none.
    start = np.zeros((40, 3))
    few, few_cost = minimise_rows(bowl, start, n_steps=3)
    assert np.all(few_cost <= bowl(start, np.arange(40)))
    assert few_cost == pytest.approx(bowl(few, np.arange(40)))


def test_the_simplex_goes_uphill_around_a_banana():
    def rosenbrock(points, rows):
        x, y = points[:, 0], points[:, 1]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    found, cost = minimise_rows(rosenbrock, np.array([[-1.2, 1.0], [0.0, 3.0], [2.0, -1.0]]), tolerance=1e-14)
    assert found == pytest.approx(np.ones((3, 2)), abs=1e-3)
    assert cost == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("largest", [None, 100.0])
def test_the_density_of_every_family_has_area_one_and_its_own_likelihood(largest):
    found = fit(SWEEP, rng=np.random.default_rng(0), largest=largest)
    assert len(found.families) == (8 if largest is None else 9)
    for family in found.families:
        area, _ = integrate.quad(
            lambda x, family=family: float(density(family, np.array([x]), largest=largest)[0]), 78.0, 81.4, limit=200
        )
        assert area == pytest.approx(1.0, abs=2e-3), family.name
        log_likelihood = float(np.log(density(family, SWEEP, largest=largest)).sum())
        offset = 0.0 if family.name != "beta" else log_likelihood - family.log_likelihood
        assert log_likelihood - offset == pytest.approx(family.log_likelihood, abs=1e-6), family.name


@pytest.mark.slow
def test_many_equal_values_do_not_make_a_spike_of_student_t():
    from scipy import optimize, stats

    # Seven of twelve seeds share a value: the density of a t with few degrees of freedom would grow without bound.
    values = np.array([77.5, 79.5] + [80.0] * 7 + [80.5] * 3)
    found = {x.name: x for x in fit(values, rng=np.random.default_rng(0), step=0.5).families}
    assert found["student-t"].params["scale"] > 0.05

    def cost(p):
        inside = np.diff(stats.norm.cdf(values[:, None] + [-0.25, 0.25], p[0], np.exp(p[1])), axis=1)[:, 0]
        return -float(np.log(inside / 0.5).sum())

    best = optimize.minimize(cost, [80.0, -0.5], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8})
    assert found["normal"].log_likelihood == pytest.approx(-best.fun, abs=1e-4)
    assert found["normal"].params["std"] == pytest.approx(np.exp(best.x[1]), rel=1e-3)
    # Without the step it is read off the ties.
    unsaid = {x.name: x for x in fit(values, rng=np.random.default_rng(0)).families}
    assert unsaid["normal"].log_likelihood == pytest.approx(-best.fun, abs=1e-4)


def test_values_that_all_differ_are_taken_as_they_are():
    values = np.array([79.0, 79.5, 80.1, 80.4, 81.2])
    found = {x.name: x for x in fit(values, rng=np.random.default_rng(0)).families}
    # The normal likelihood at its maximum, by its formula; gaps of 0.3 std are no steps.
    expected = -len(values) / 2 * (np.log(2 * np.pi * values.var()) + 1)
    assert found["normal"].log_likelihood == pytest.approx(expected, abs=1e-6)
