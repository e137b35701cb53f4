"""Errors found in tools of this field; each test fails on the tool's way of doing it."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.decide.verdict import Rule, Verdict, decide
from seedstudy.stats.compare import Comparison, Details, compare, details
from seedstudy.stats.describe import describe
from seedstudy.stats.effect import prob_greater
from seedstudy.stats.fit import fit
from seedstudy.stats.many import adjust
from seedstudy.stats.result import Estimate


def run(a, b, **options):
    return compare(a, b, rng=np.random.default_rng(0), **options)


def test_the_direction_is_not_chosen_from_the_data():
    # autorank: looks which mean is larger, then tests one-sided in that direction: twice the stated error rate.
    rng = np.random.default_rng(0)
    p = np.array([run(*rng.standard_normal((2, 4))).p_value for _ in range(120)])
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.15)
    assert p.max() > 0.9  # a direction taken from the data would keep p below one half


def test_alpha_is_spent_once():
    # deep-significance: mixes up the level of single and joint tests when it corrects for several comparisons.
    p = [0.012, 0.03, 0.2]
    assert adjust(p)[0] == pytest.approx(0.036)
    assert (adjust(p)[0] < 0.05) == (p[0] < 0.05 / 3)
    a, b = [1.0, 2.0, 3.0, 2.5], [3.0, 4.0, 5.0, 3.1]
    assert run(a, b, level=0.9).p_value == run(a, b, level=0.99).p_value
    one = decide(run(a, b), Rule())
    strict = decide(run(a, b), Rule(alpha=0.001))
    assert (one.word, strict.word) == ("better", "inconclusive")


def test_large_differences_count_in_both_directions():
    # adastop: compares signed statistics, so that a difference is seen in one direction only.
    low, high = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 15.0]
    assert run(low, high).permutation_p == run(high, low).permutation_p == pytest.approx(2 / 252)
    assert decide(run(low, high), Rule()).word == "better"
    assert decide(run(high, low), Rule()).word == "worse"


def test_the_global_random_state_is_neither_used_nor_touched():
    # rliable: takes a random state, draws from the global generator all the same; two equal calls disagree.
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 25), rng.normal(0.5, 1, 25)
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, fitted = run(a, b), fit(a, rng=np.random.default_rng(0), resamples=9)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert str(run(a, b)) == str(first)
    assert fit(a, rng=np.random.default_rng(0), resamples=9) == fitted


def test_no_test_is_chosen_by_another_test():
    # Shapiro, Levene, then t or Mann-Whitney: the chain has other error rates than its last link.
    normal, skewed = [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.1, 90.0]
    wide = [-100.0, 0.0, 50.0, 130.0]
    for a, b in ((normal, skewed), (normal, wide), (skewed, wide)):
        assert run(a, b).method == "welch"


def test_no_omnibus_test_guards_the_pairs():
    # Two recipes that never vary much, and a third that varies wildly: F and H see nothing.
    groups = {
        "a": [1.00, 1.01, 0.99, 1.02, 1.01],
        "b": [1.10, 1.11, 1.09, 1.12, 1.10],
        "c": [-9.0, 14.0, 3.0, -6.0, 5.0],
    }
    from scipy.stats import f_oneway

    assert f_oneway(*groups.values()).pvalue > 0.5
    pairs = ss.compare(*groups.values(), metric="val_loss", all_pairs=True)
    assert pairs[0].p_adjusted < 0.001


def test_three_seeds_use_student_and_n_minus_one():
    # 1.96 instead of 4.30, and the population std: an interval that covers 81 % (or less) instead of 95 %.
    result = describe([1.0, 2.0, 3.0])
    assert result.std.value == 1.0
    assert result.mean.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)


def test_three_seeds_are_not_bootstrapped():
    # Percentile bootstrap covers .74 / .83 / .90 at n = 3 / 5 / 10.
    a, b = [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]
    found = [getattr(x, field.name) for x in (run(a, b), details(a, b)) for field in dataclasses.fields(x)]
    assert not any("bootstrap" in estimate.method for estimate in found if isinstance(estimate, Estimate))


def test_complete_separation_is_not_certainty():
    # A bootstrap of P(B > A) gives [1, 1] when all of three seeds of B beat all of three of A.
    low, high = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    interval = prob_greater(low, high, level=0.95)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low < 0.5
    assert run(low, high).single_run_error > 0.0


def test_not_significant_is_never_said_where_significance_is_impossible():
    result = run([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])
    verdict = decide(result, Rule())
    assert verdict.word == "inconclusive"
    assert "nothing shows how much of that is luck" in verdict.reasons[0]


def test_absence_of_evidence_is_not_equality():
    assert decide(run([1.0, 5.0, 3.0], [1.1, 5.1, 3.1], margin=0.5), Rule(margin=0.5)).word == "inconclusive"


def test_there_is_no_observed_power():
    names = {field.name for cls in (Comparison, Details, Verdict) for field in dataclasses.fields(cls)}
    assert not any("power" in name for name in names)


def test_variances_of_three_points_are_not_tested():
    assert details([1.0, 2.0, 3.0], [1.0, 5.0, 9.0]).brown_forsythe_p is None


def test_pairing_is_never_assumed():
    # The same seed number in two architectures gives independent draws; pairing would halve the degrees of freedom.
    result = run([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    assert not result.paired
    assert result.df == pytest.approx(4.0)


@pytest.mark.slow
def test_results_do_not_depend_on_the_hash_seed():
    code = (
        "from seedstudy.stats.many import compact_letters;"
        "means = {c: i for i, c in enumerate('abcde')};"
        "print(compact_letters(means, {('a', 'd'), ('b', 'e'), ('a', 'e'), ('c', 'e')}))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
