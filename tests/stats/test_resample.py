import itertools

import numpy as np
import pytest

from seedstudy.stats import resample
from seedstudy.stats.resample import FEWEST_SEEDS, bca_limits, bootstrap_difference


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_resampled_means_come_as_often_as_independent_draws_give_them(n):
    from scipy import stats

    # Powers of 7: every mean tells how often each seed was drawn.
    seeds = 7.0 ** np.arange(n)
    expected: dict[float, int] = {}
    for picks in itertools.product(seeds, repeat=n):
        expected[sum(picks)] = expected.get(sum(picks), 0) + 1
    means = resample._resampled_means(seeds[None, :], 30_000, rng())
    assert means.shape == (1, 30_000)
    found = {value: int(np.sum(np.isclose(means[0] * n, value))) for value in expected}
    assert sum(found.values()) == 30_000
    shares = np.array(list(expected.values())) / n**n
    assert stats.chisquare(list(found.values()), shares * 30_000).pvalue > 0.01


@pytest.mark.parametrize("n", [99, 100, 300, 301, 1500])
def test_resampled_means_vary_by_the_standard_error(n):
    # Blocks of 100,000 draws: several of them, and a short last one.
    seeds = np.random.default_rng(1).exponential(1.0, n)
    means = resample._resampled_means(seeds[None, :], 4_001, rng())[0]
    error = seeds.std() / np.sqrt(n)
    assert means.size == 4_001
    assert means.mean() == pytest.approx(seeds.mean(), abs=4 * error / np.sqrt(4_001))
    assert means.std() == pytest.approx(error, rel=0.05)
    assert np.unique(means).size > 4_000


@pytest.mark.parametrize("n", [3, 4])
def test_several_samples_share_their_draws(n):
    from scipy import stats

    seeds = 7.0 ** np.arange(n)
    means = resample._resampled_means(np.stack([seeds, 2 * seeds + 1]), 30_000, rng())
    assert means[1] == pytest.approx(2 * means[0] + 1)
    _, counts = np.unique(np.round(means[0] * n), return_counts=True)
    expected = [sum(picks) for picks in itertools.product(seeds, repeat=n)]
    _, shares = np.unique(expected, return_counts=True)
    assert stats.chisquare(counts, shares / n**n * 30_000).pvalue > 0.01


def test_bca_limits_by_their_formula():
    from scipy import stats

    draws = np.random.default_rng(2)
    a, b = draws.gamma(2.0, 1.0, 25), draws.gamma(1.0, 2.0, 31)
    low, high = bca_limits(a[None, :], b[None, :], level=0.9, resamples=2_000, rng=rng())
    again = rng()
    differences = np.sort(
        resample._resampled_means(b[None, :], 2_000, again)[0] - resample._resampled_means(a[None, :], 2_000, again)[0]
    )
    observed = b.mean() - a.mean()
    bias = stats.norm.ppf((np.sum(differences < observed) + 0.5 * np.sum(differences == observed)) / 2_000)
    # Efron & Tibshirani (1993), equation 14.15, leaving out one seed of either arm at a time.
    left_out = [(np.delete(a, i).mean(), 25) for i in range(25)], [(np.delete(b, i).mean(), 31) for i in range(31)]
    pulls = [24 / 25 * (mean - a.mean()) for mean, _ in left_out[0]] + [
        30 / 31 * (b.mean() - mean) for mean, _ in left_out[1]
    ]
    acceleration = np.sum(np.power(pulls, 3)) / (6 * np.sum(np.square(pulls)) ** 1.5)
    for limit, z in ((low[0], stats.norm.ppf(0.05)), (high[0], stats.norm.ppf(0.95))):
        share = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        assert limit == pytest.approx(np.quantile(differences, share), abs=1e-9)


def test_the_bootstrap_is_offered_from_twenty_seeds_on_and_warns_up_to_a_hundred():
    draws = np.random.default_rng(3)
    long, short = draws.normal(1.0, 1.0, 100), draws.normal(0.0, 1.0, FEWEST_SEEDS)
    found = bootstrap_difference(short, long, level=0.95, resamples=199, rng=rng())
    assert found is not None
    assert (found.n, found.level, found.method) == ((20, 100), 0.95, "bootstrap-bca")
    assert found.value == pytest.approx(long.mean() - short.mean())
    assert found.low < found.value < found.high
    assert any("outliers" in warning for warning in found.warnings)
    for n, n_warnings in ((100, 1), (101, 0)):
        many = draws.normal(0.0, 1.0, n)
        found = bootstrap_difference(many, many + 1.0, level=0.95, resamples=199, rng=rng())
        assert found is not None
        assert len(found.warnings) == n_warnings
    for a, b in ((short[:-1], long), (long, short[:-1]), (np.ones(20), long), (long, np.ones(20))):
        assert bootstrap_difference(a, b, level=0.95, resamples=199, rng=rng()) is None
