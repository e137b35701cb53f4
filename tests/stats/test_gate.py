import math

import numpy as np
import pytest
from scipy import stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.gate import gate
from seedstudy.testing import assert_not_worse

N_SWEEPS = 20_000


@pytest.mark.slow
@pytest.mark.parametrize("n_new", [3, 5, 10])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_seeds_worse_by_the_margin_fail_as_often_as_is_said(n_new, margin):
    """The function that tests call, on sweeps of 10 baseline seeds."""
    rng = np.random.default_rng(n_new)
    failed = 0
    for _ in range(N_SWEEPS):
        baseline, new = rng.normal(0.0, 1.0, 10), rng.normal(-margin, 1.0, n_new)
        failed += not gate(baseline, n_new, margin=margin).passes(float(new.mean()))
    assert abs(failed / N_SWEEPS - 0.05) < 3 * math.sqrt(0.05 * 0.95 / N_SWEEPS)


@pytest.mark.parametrize(("n_baseline", "n_new", "lower"), [(3, 1, False), (5, 3, True), (20, 2, False)])
def test_size_and_power_of_many_sweeps(n_baseline, n_new, lower):
    rng, n = np.random.default_rng(7), 4000
    equal = detected = 0
    for _ in range(n):
        baseline, new = rng.normal(70.0, 0.3, n_baseline), rng.normal(70.0, 0.3, n_new)
        made = gate(baseline, n_new, lower_is_better=lower)
        equal += not made.passes(float(new.mean()))
        # What is detectable scales with the std that was seen; here with the true one.
        drop = made.detectable / made.sd * 0.3 * (1 if lower else -1)
        detected += not made.passes(float(new.mean()) + drop)
    assert abs(equal / n - 0.05) < 3 * math.sqrt(0.05 * 0.95 / n)
    assert abs(detected / n - 0.80) < 3 * math.sqrt(0.8 * 0.2 / n)


def test_the_threshold_is_the_prediction_bound_of_the_mean():
    baseline = [79.7, 79.8, 79.6, 79.75, 79.72]
    made = gate(baseline, 3, margin=0.1, alpha=0.01)
    t = stats.t.ppf(0.99, 4)
    assert made.threshold == pytest.approx(
        np.mean(baseline) - 0.1 - t * np.std(baseline, ddof=1) * math.sqrt(1 / 5 + 1 / 3)
    )
    mirrored = gate([-x for x in baseline], 3, margin=0.1, alpha=0.01, lower_is_better=True)
    assert mirrored.threshold == pytest.approx(-made.threshold)
    assert mirrored.detectable == pytest.approx(made.detectable)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"baseline": [1.0], "n_new": 1}, "at least 2"),
        ({"baseline": [1.0, 1.0], "n_new": 1}, "all 2 seeds are equal"),
        ({"baseline": [1.0, 2.0], "n_new": 0}, "at least one new seed"),
        ({"baseline": [1.0, 2.0], "n_new": 1, "margin": -1}, "margin -1"),
        ({"baseline": [1.0, 2.0], "n_new": 1, "alpha": 0.9}, "alpha 0.9"),
    ],
)
def test_what_no_gate_can_be_made_of_is_refused(arguments, message):
    with pytest.raises(StatisticsError, match=message):
        gate(**arguments)


def test_a_test_fails_with_a_sentence_and_passes_without():
    baseline = [79.7, 79.8, 79.6, 79.75, 79.72]
    answer = assert_not_worse([79.65, 79.7], baseline=baseline)
    assert answer.passes
    assert answer.to_dict()["n_new"] == 2
    with pytest.raises(
        AssertionError, match=f"below {gate(baseline, 1).threshold:.3f}, the threshold from the baseline"
    ):
        assert_not_worse(79.0, baseline=baseline)
    with pytest.raises(AssertionError, match=r"Seeds worse by the margin fail in 1 of 100 runs"):
        assert_not_worse([3.5], baseline=[2.0, 2.1, 2.05], metric="val_loss", margin=0.05, alpha=0.01)
