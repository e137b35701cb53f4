import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.images import (
    agreement,
    arm_on_images,
    bootstrap_both,
    calibration_error,
    difference_on_new_images,
    ensemble_accuracies,
    hadamard,
    mean_on_new_images,
    paired_networks,
    split_variance,
)


def world(rng, n_a, n_b, n_images, *, own=0.3, skill=0.1):
    """Return two arms of equal accuracy on endless images: seeds differ in skill, and arms in what they find hard."""
    difficulty, taste = rng.normal(1.5, 2.0, n_images), rng.normal(0.0, own, n_images)

    def arm(n, sign):
        logits = difficulty + sign * taste + rng.normal(0.0, skill, (n, 1))
        return rng.random((n, n_images)) < 1 / (1 + np.exp(-logits))

    return arm(n_a, -1), arm(n_b, 1)


def difference(a, b, *, clusters=None):
    return difference_on_new_images(arm_on_images(a, clusters=clusters), arm_on_images(b, clusters=clusters))


# --- one recipe -----------------------------------------------------------------------------------------


def test_seeds_that_err_independently_show_no_distribution_wise_variance():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.2, 1.0, 500)
    result = split_variance(rng.random((400, 500)) < chance)
    assert result.on_test_set == pytest.approx(result.if_independent, rel=0.25)
    assert abs(result.distribution_wise_raw) < 4 * result.distribution_wise_se
    assert (result.n_seeds, result.n_examples) == (400, 500)


def test_seeds_that_differ_as_a_whole_do():
    rng = np.random.default_rng(1)
    skill = rng.normal(0.8, 0.05, (300, 1))
    result = split_variance(rng.random((300, 1000)) < skill)
    assert result.distribution_wise == pytest.approx(0.05**2, rel=0.3)
    assert result.distribution_wise == result.distribution_wise_raw
    assert result.on_test_set > result.distribution_wise


def test_a_calibrated_network_has_the_variance_that_its_error_says():
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.0, 1.0, 4000)
    right = rng.random((200, 4000)) < np.maximum(chance, 1 - chance)
    result = split_variance(right)
    # Two classes: correct with p, wrong with 1 - p; v = p (1 - p), and the error is min(p, 1 - p).
    assert result.if_calibrated == pytest.approx((1 - right.mean()) / 8000)


def test_standard_error_is_the_jackknifes():
    matrix = np.random.default_rng(3).random((6, 9)) < 0.7

    def value(kept):
        return split_variance(kept).distribution_wise_raw

    by_seed = np.array([value(np.delete(matrix, i, 0)) for i in range(6)])
    by_image = np.array([value(np.delete(matrix, i, 1)) for i in range(9)])
    variance = 5 * by_seed.var() + 8 * by_image.var()
    assert split_variance(matrix).distribution_wise_se == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert math.isnan(split_variance(matrix[:2]).distribution_wise_se)


@pytest.mark.parametrize("bad", [[1, 0, 1], [[1, 0]], [[1], [0]], [[2, 0], [1, 0]], [[[1, 0], [0, 1]]]])
def test_other_matrices_are_refused(bad):
    with pytest.raises(StatisticsError, match="zeros and ones"):
        split_variance(bad)
    assert split_variance([[1, 0], [0, 1]]).n_seeds == 2


# --- two recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_a", "n_b", "n_images"), [(3, 3, 500), (4, 9, 800)])
def test_the_variance_is_unbiased_and_the_interval_covers(n_a, n_b, n_images):
    rng, n_worlds = np.random.default_rng(4), 1200
    found = [difference(*world(rng, n_a, n_b, n_images)) for _ in range(n_worlds)]
    differences = np.array([each.estimate.value for each in found])
    estimates = np.array([each.variance_seeds + each.variance_images_raw for each in found])
    se = math.hypot(estimates.std() / math.sqrt(n_worlds), differences.var() * math.sqrt(2 / n_worlds))
    assert abs(estimates.mean() - differences.var()) < 3 * se
    covered = np.mean([each.estimate.low <= 0 <= each.estimate.high for each in found])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n_worlds)


def test_both_forms_of_the_variance_agree():
    a, b = world(np.random.default_rng(5), 4, 7, 300)
    split, d = [split_variance(each) for each in (a, b)], b.mean(axis=0) - a.mean(axis=0)
    jordans = split[0].distribution_wise_raw / 4 + split[1].distribution_wise_raw / 7 + d.var(ddof=1) / 300
    result = difference(a, b)
    assert result.variance_seeds + result.variance_images_raw == pytest.approx(jordans, rel=1e-9)


def test_the_bootstrap_has_the_variance_of_its_formula():
    """A pigeonhole bootstrap counts the seed-by-image part three times, the closed form once (Owen 2007)."""
    a, b = world(np.random.default_rng(6), 6, 9, 1500)
    result, split = difference(a, b), [split_variance(each) for each in (a, b)]
    seeds_by_image = sum(each.if_independent / each.n_seeds for each in split)
    expected = result.variance_seeds + result.variance_images_raw + 2 * seeds_by_image
    n = 20_000
    replicates = bootstrap_both(a, b, rng=np.random.default_rng(0), n_replicates=n)
    assert replicates.var() == pytest.approx(expected, rel=4 * math.sqrt(2 / n) + 2 / 1500 + 0.02)
    assert replicates.mean() == pytest.approx(result.estimate.value, abs=4 * math.sqrt(expected / n))


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_the_transform_is_the_product_with_orthogonal_signs(k):
    values = np.random.default_rng(0).integers(-3, 4, 1 << k).astype(np.float32)
    rows = np.stack([hadamard(unit) for unit in np.eye(1 << k, dtype=np.float32)])
    assert np.array_equal(np.abs(rows), np.ones_like(rows))
    assert np.array_equal(rows @ rows.T, (1 << k) * np.eye(1 << k))
    assert np.array_equal(hadamard(values), rows @ values)


def test_clusters_of_one_image_are_images_and_clustered_images_count_for_less():
    rng = np.random.default_rng(7)
    a, b = world(rng, 4, 4, 600)
    alone = difference(a, b)
    assert difference(a, b, clusters=np.arange(600)).p_value == pytest.approx(alone.p_value, rel=1e-9)
    copied = difference(np.repeat(a, 5, axis=1), np.repeat(b, 5, axis=1), clusters=np.repeat(np.arange(600), 5))
    assert copied.estimate.high == pytest.approx(alone.estimate.high, rel=1e-9)
    assert copied.n_clusters == 600


def test_arms_that_swap_give_the_mirrored_answer():
    a, b = world(np.random.default_rng(8), 3, 5, 200)
    one, other = difference(a, b), difference(b, a)
    assert (one.estimate.low, one.p_value) == pytest.approx((-other.estimate.high, other.p_value))


def test_no_spread_has_no_interval_and_other_images_are_refused():
    same = np.ones((3, 10))
    result = difference(same, same)
    assert not result.estimate.has_interval
    assert math.isnan(result.p_value)
    with pytest.raises(StatisticsError, match="10 and 9 images"):
        difference(same, same[:, :9])
    with pytest.raises(StatisticsError, match="one per image"):
        difference(same, same, clusters=[1, 2])
    with pytest.raises(StatisticsError, match="one cluster"):
        difference(same, same, clusters=[1] * 10)


def test_jordans_toy():
    """Five runs on four images: the published figures, and the mean covariance of two images, to 1e-12."""
    rows = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]])
    split = split_variance(rows)
    assert split.on_test_set == pytest.approx(0.01875, abs=1e-12)
    assert 16 * split.if_independent == pytest.approx(1.0, abs=1e-12)
    assert split.distribution_wise_raw == pytest.approx(-7 / 120, abs=1e-12)
    covariances = np.cov(rows, rowvar=False)
    assert split.distribution_wise_raw == pytest.approx(covariances[~np.eye(4, dtype=bool)].mean(), abs=1e-12)


@pytest.mark.parametrize("n_seeds", [3, 12])
def test_a_mean_is_the_difference_from_an_arm_without_any_spread(n_seeds):
    a, _ = world(np.random.default_rng(12), n_seeds, 3, 400)
    alone = mean_on_new_images(arm_on_images(a))
    beside_nothing = difference(np.zeros((2, 400)), a)
    assert alone.estimate.low == pytest.approx(beside_nothing.estimate.low, abs=1e-12)
    assert alone.variance_images == pytest.approx(a.mean(axis=0).var(ddof=1) / 400 - arm_on_images(a).within / n_seeds)


def test_pairs_that_share_their_seed_are_one_arm_of_differences():
    rng = np.random.default_rng(13)
    a, b = world(rng, 6, 6, 500)
    together = (rng.random((6, 1)) < 0.5) & np.ones((1, 500), dtype=bool)  # what seed moves, it moves in both arms
    a, b = a | together, b | together
    paired = mean_on_new_images(arm_on_images(b.astype(np.int8) - a.astype(np.int8)))
    apart = difference(a, b)
    assert paired.estimate.value == pytest.approx(apart.estimate.value)
    d = (b.mean(axis=1) - a.mean(axis=1)).var(ddof=1) / 6
    assert paired.variance_seeds == pytest.approx(d)
    assert paired.variance_seeds < apart.variance_seeds / 10


# --- two networks ---------------------------------------------------------------------------------------


def test_published_example_of_paired_proportions():
    """Airway hyper-responsiveness before and after transplantation (Fagerland, Lydersen & Laake 2013, 2014)."""
    a = np.array([1, 1] + [0] * 19, dtype=bool)
    b = np.array([1, 0] + [1] * 7 + [0] * 12, dtype=bool)
    result = paired_networks(a, b)
    assert (result.only_a, result.only_b, result.n_images) == (1, 7, 21)
    assert result.p_value == pytest.approx(0.0391, abs=5e-5)
    assert (result.difference.low, result.difference.high) == pytest.approx((0.026, 0.517), abs=5e-4)


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 11), (20, 6), (5, 5), (0, 4)])
def test_mid_p_lies_half_an_outcome_below_the_exact_p(only_a, only_b):
    from statsmodels.stats.contingency_tables import mcnemar

    a = np.array([1] * only_a + [0] * only_b + [1] * 30, dtype=bool)
    b = np.array([0] * only_a + [1] * only_b + [1] * 30, dtype=bool)
    exact = mcnemar([[30, only_a], [only_b, 0]], exact=True).pvalue
    half = stats.binom.pmf(min(only_a, only_b), only_a + only_b, 0.5)
    assert paired_networks(a, b).p_value == pytest.approx(min(1.0, exact - half if only_a != only_b else 1.0))


def test_interval_of_the_paired_difference_covers():
    rng, n, n_tables = np.random.default_rng(9), 200, 2000
    tables = rng.multinomial(n, [0.70, 0.12, 0.06, 0.12], n_tables)  # true difference 0.06
    covered = 0
    for both, only_b, only_a, none in tables:
        a = np.repeat([True, False, True, False], [both, only_b, only_a, none])
        b = np.repeat([True, True, False, False], [both, only_b, only_a, none])
        result = paired_networks(a, b).difference
        covered += result.low <= 0.06 <= result.high
    assert abs(covered / n_tables - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n_tables)


def test_equal_and_opposite_networks():
    ones, zeros = np.ones(50, dtype=bool), np.zeros(50, dtype=bool)
    equal = paired_networks(ones, ones)
    assert (equal.p_value, equal.difference.value) == (1.0, 0.0)
    assert equal.difference.low < 0 < equal.difference.high
    assert paired_networks(zeros, ones).difference.high == 1.0
    with pytest.raises(StatisticsError, match="the same images"):
        paired_networks(ones, zeros[:-1])


# --- agreement, calibration, ensembles ------------------------------------------------------------------


def test_agreement_is_the_mean_over_pairs():
    predicted = np.random.default_rng(10).integers(0, 4, (5, 300))
    pairs = [(predicted[i] == predicted[j]).mean() for i in range(5) for j in range(i)]
    assert agreement(predicted) == pytest.approx(np.mean(pairs))
    assert math.isnan(agreement(predicted[:1]))


def test_calibration_error_by_its_definition():
    rng = np.random.default_rng(11)
    sure = rng.random((2, 500)).astype(np.float32)
    sure[0, 0] = 1.0
    right = rng.random((2, 500)) < 0.5
    expected = []
    for own, confidence in zip(right, sure, strict=True):
        total = 0.0
        for k in range(15):
            inside = (confidence >= k / 15) & ((confidence < (k + 1) / 15) | (k == 14))
            if inside.any():
                total += inside.mean() * abs(own[inside].mean() - confidence[inside].mean())
        expected.append(total)
    assert calibration_error(right, sure) == pytest.approx(np.mean(expected), abs=1e-6)


def test_an_ensemble_votes_and_confidence_breaks_ties():
    predicted = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0], [0, 1, 1]])
    truth = np.array([0, 1, 1])
    correct = predicted == truth
    sure = np.array([[0.9, 0.9, 0.2], [0.5, 0.6, 0.8], [0.9, 0.5, 0.3], [0.3, 0.3, 0.9]])
    found = dict(ensemble_accuracies(predicted, correct, sure, (1, 2, 3, 4)))
    assert found[1] == pytest.approx(correct.mean())
    # Pairs: (0 1 1), every tie to the surer seed, all right; then (1 2 1): a third right.
    assert found[2] == pytest.approx((1.0 + 1 / 3) / 2)
    assert found[3] == pytest.approx((1 + 0 + 1) / 3)  # 0 0 1; 1 2 2; 2 1 0: a tie that seed 1 wins
    assert found[4] == pytest.approx((1 + 1 + 1) / 3)  # the second image is a tie: 1.2 of confidence against 1.1
