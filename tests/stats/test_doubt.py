import numpy as np
import pytest

from seedstudy.stats import doubt
from seedstudy.stats.doubt import has_long_tails, is_skewed, safe_p


def test_doubts_are_raised_where_they_belong_and_rarely_elsewhere():
    rng = np.random.default_rng(6)
    normal, skewed = rng.standard_normal((2000, 30)), rng.exponential(1, (2000, 30))
    assert np.mean(is_skewed(normal)) < 0.02 < 0.4 < np.mean(is_skewed(skewed))
    assert np.mean(has_long_tails(normal)) < 0.15 < 0.5 < np.mean(has_long_tails(rng.standard_t(3, (2000, 30))))


def test_skewness_and_kurtosis_are_the_usual_ones():
    from scipy import stats

    rows = np.random.default_rng(0).gamma(2.0, 1.0, (4, 11)) + np.arange(4)[:, None]
    skewness, error = doubt._skewness(rows)
    assert skewness == pytest.approx(stats.skew(rows, axis=1, bias=False))
    assert doubt._excess_kurtosis(rows) == pytest.approx(stats.kurtosis(rows, axis=1, bias=False))
    assert doubt._excess_kurtosis(np.ones((2, 11))).tolist() == [0.0, 0.0]
    # Tables of the standard error of the skewness of normal samples.
    for n, expected in ((5, 0.913), (10, 0.687), (30, 0.427), (100, 0.241)):
        assert doubt._skewness(np.zeros((1, n)))[1] == pytest.approx(expected, abs=5e-4)
    assert error == pytest.approx(doubt._skewness(rows[:1])[1])


def test_doubts_begin_at_their_number_of_seeds_and_of_rows():
    one_far = np.zeros((3, 10))
    one_far[:, 0] = 1.0
    assert has_long_tails(one_far).tolist() == [True] * 3
    assert has_long_tails(one_far[:, :9]).tolist() == [False] * 3
    assert is_skewed(one_far[:, :5]).tolist() == [True] * 3
    assert is_skewed(one_far[:, :4]).tolist() == [False] * 3
    assert doubt.has_another_shape(one_far[:, :5]).tolist() == [True] * 3
    assert doubt.has_another_shape(one_far[:, :4]).tolist() == [False] * 3
    # Skewness above 1.27 of 12 seeds: twice its standard error is 1.27.
    values = np.array([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.4, 1.8, 2.5]])
    skewness, error = doubt._skewness(values)
    assert 2 * error < skewness[0] < 3 * error
    assert doubt._excess_kurtosis(values)[0] < 1.5
    assert doubt.has_another_shape(values)[0]


def test_safe_p_by_design():
    def at(n_a, n_b, claim="difference", **options):
        return safe_p(n_a, n_b, **{"alpha": 0.05, "claim": claim, **options})

    assert at(3, 3) == pytest.approx(0.0145)
    assert at(3, 3, paired=True) == pytest.approx(0.021)
    assert at(9, 3) == at(3, 9) == pytest.approx(0.0021)
    assert at(3, 3, "equivalence") == pytest.approx(0.0075)
    assert 0.0088 < at(3, 4) < 0.0145  # no hole between equal sizes and 3 : 2
    assert at(3, 1) == at(1, 40) == 0.0  # one run against a sweep
    assert at(2, 40) == 0.0
    assert at(500, 500, "equivalence") == at(100, 100, "equivalence")
    assert 0.0037 < at(8, 8, "equivalence") < 0.0046
    assert at(3, 3, alpha=0.01) < 0.01 * 0.5
    assert at(2, 2, alpha=0.2) <= 0.2


def test_a_skew_that_is_seen_is_named_whatever_the_sizes():
    rng = np.random.default_rng(0)
    calm, far = rng.normal(size=30), np.append(rng.normal(size=29), 12.0)
    for a, b in ((far, calm), (calm, far), (far, calm[:20])):
        (warning,) = doubt.seen_skew(a, b, ("A", "B"))
        assert warning.startswith("A" if a is far else "B")
    assert doubt.seen_skew(calm, calm[:20], ("A", "B")) == ()
    assert doubt.seen_skew(far, calm[:10], ("A", "B")) == ()  # ten seeds have the caveat anyhow


def test_the_note_on_few_pairs_gives_the_coverage_of_the_worst_shape():
    from studies.calibration.designs import lognormal, mirrored

    rng, n = np.random.default_rng(5), 5
    covered = 0
    for _ in range(10):
        differences = lognormal(rng, (2000, n)) / 3 - mirrored(lognormal)(rng, (2000, n))
        half = 2.7764451 * differences.std(axis=1, ddof=1) / np.sqrt(n)  # t(0.975, 4)
        covered += int(np.sum(np.abs(differences.mean(axis=1)) <= half))
    assert covered / 20_000 == pytest.approx(0.886, abs=0.007)  # three Monte-Carlo errors
    assert "89 % of cases" in doubt.unseen_skew(n)[0]
    assert "pairs" in doubt.unseen_skew(n)[0]
    assert "pairs" not in doubt.unseen_skew((n, n))[0]
    assert doubt.unseen_skew(11) == ()
