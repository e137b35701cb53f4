"""Boundaries, confidence sequence and race against independent simulations, closed forms and published values."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats import race
from seedstudy.stats.race import (
    EQUIVALENT,
    FUTILE,
    GREATER,
    SMALLER,
    Limit,
    OpenLimit,
    Plan,
    adjusted_difference,
    chance_of_decision,
    nominal_levels,
    planned,
    race_rows,
    sequence_reach,
    spent,
)
from seedstudy.stats.welch import TDistance

REPLICATES = 40_000
THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / REPLICATES)


def t_path(looks: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return Student's two-sample t at each look, computed from scratch, and its degrees of freedom."""
    a, b = rng.standard_normal((2, REPLICATES, looks[-1]))
    t = []
    for n in looks:
        squares = a[:, :n].var(axis=1, ddof=1) + b[:, :n].var(axis=1, ddof=1)
        t.append((b[:, :n].mean(axis=1) - a[:, :n].mean(axis=1)) / np.sqrt(squares / n))
    return np.array(t), np.array([2 * n - 2 for n in looks])


@pytest.mark.slow
@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("looks", [(2, 3, 4, 5, 6), (3, 6, 10)])
@pytest.mark.parametrize("sides", [1, 2])
def test_boundaries_spend_alpha_exactly_at_few_seeds(looks, spending, sides):
    t, df = t_path(looks, np.random.default_rng(3))
    p = special.stdtr(df[:, None], -(np.abs(t) if sides == 2 else t)) * sides
    information = tuple(n / 2 for n in looks)
    levels = nominal_levels(information, tuple(int(x) for x in df), 0.05, spending, sides)
    crossed = np.maximum.accumulate(p <= np.array(levels)[:, None], axis=0).mean(axis=1)
    assert crossed == pytest.approx(
        sides * spent(np.array(looks) / looks[-1], 0.05 / sides, spending), abs=THREE_ERRORS
    )


def test_boundaries_of_one_arm_are_exact_too():
    looks = (2, 3, 5, 8)
    x = np.random.default_rng(4).standard_normal((REPLICATES, 8))
    p = np.array([stats.ttest_1samp(x[:, :n], 0.0, axis=1).pvalue for n in looks])
    levels = nominal_levels(tuple(map(float, looks)), tuple(n - 1 for n in looks), 0.05, "pocock")
    crossed = np.maximum.accumulate(p <= np.array(levels)[:, None], axis=0).mean(axis=1)
    assert crossed == pytest.approx(2 * spent(np.array(looks) / 8, 0.025, "pocock"), abs=THREE_ERRORS)


def test_boundaries_of_many_seeds_are_the_published_normal_ones():
    # Five equal looks, two-sided .05, O'Brien-Fleming type, as printed by the usual group-sequential programs; with
    # 100,000 seeds per look t is normal.
    df = tuple(200_000 * k for k in range(1, 6))
    levels = nominal_levels((1.0, 2.0, 3.0, 4.0, 5.0), df, 0.05, "obrien-fleming")
    assert -special.ndtri(np.array(levels) / 2) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3)


def test_spending_is_lan_and_demets():
    # Half of the information, one-sided .025: 2 - 2 Phi(2.2414 / sqrt(1/2)) and .025 log(1 + (e - 1) / 2).
    assert spent(np.array(0.5), 0.025, "obrien-fleming") == pytest.approx(0.001525, abs=5e-7)
    assert spent(np.array(0.5), 0.025, "pocock") == pytest.approx(0.015503, abs=5e-7)


def test_normal_steps_continue_the_exact_ones(monkeypatch):
    looks = (101, 110, 120, 130)
    information, df = tuple(n / 2 for n in looks), tuple(2 * n - 2 for n in looks)
    normal = nominal_levels.__wrapped__(information, df, 0.05, "obrien-fleming")
    monkeypatch.setattr(race, "_NORMAL_FROM", 1_000_000)
    assert normal == pytest.approx(nominal_levels.__wrapped__(information, df, 0.05, "obrien-fleming"), rel=6e-3)


@pytest.mark.slow
def test_fewer_nodes_are_enough_for_later_looks(monkeypatch):
    looks = (16, 17, 20, 31, 46)
    information, df = tuple(n / 2 for n in looks), tuple(2 * n - 2 for n in looks)
    few = nominal_levels.__wrapped__(information, df, 0.05, "pocock")
    monkeypatch.setattr(race, "_NODES_LATER", 24)
    assert few == pytest.approx(nominal_levels.__wrapped__(information, df, 0.05, "pocock"), rel=2e-5)


def test_a_look_with_next_to_nothing_to_spend_is_out_of_reach():
    first, last = nominal_levels((0.02, 2.0), (2, 6), 0.05, "obrien-fleming")
    assert first == 0.0
    assert last == pytest.approx(0.05, rel=5e-3)
    limit = Limit(first, first)
    assert np.all(np.isinf(limit.reach(np.array([2, 6]))))
    assert np.all(np.isinf(limit.equivalence_reach(np.array([2, 6]))))


def test_boundaries_keep_what_was_spent_when_seeds_are_lost():
    whole = nominal_levels((1.5, 2.0, 2.5, 3.0), (4, 6, 8, 10), 0.05, "pocock", total=3.0)
    lost = nominal_levels((1.5, 2.0, 2.2, 2.4), (4, 6, 7, 8), 0.05, "pocock", total=3.0)
    assert lost[:2] == pytest.approx(whole[:2], rel=1e-6)
    assert lost[3] > whole[3]  # less information since the look before, and all the rest of alpha


@pytest.mark.slow
def test_boundaries_rise_with_alpha_at_every_look():
    # What Holm over arms needs (Maurer and Bretz 2013): a freed share of alpha never takes a rejection back.
    information, df = tuple(n / 2 for n in range(3, 8)), tuple(2 * n - 2 for n in range(3, 8))
    for spending in ("obrien-fleming", "pocock"):
        levels = [nominal_levels(information, df, 0.05 / m, spending) for m in (3, 2, 1)]
        assert np.all(np.diff(levels, axis=0) > 0)


def test_boundaries_refuse_looks_that_add_nothing():
    with pytest.raises(StatisticsError, match="more seeds than the look before"):
        nominal_levels((1.0, 1.0), (4, 5), 0.05, "pocock")


def test_the_sequence_ends_where_the_likelihood_ratio_of_the_mixture_is_one_over_alpha():
    def evidence(t: float, df: int, information: float) -> float:
        """Return the likelihood ratio of t under a difference of N(0, EFFECT_SD^2) against no difference."""

        def under(effect: float) -> float:
            shift = effect * math.sqrt(information)
            return stats.nct.pdf(t, df, shift) * stats.norm.pdf(effect, scale=race.EFFECT_SD)

        return integrate.quad(under, -20, 20, limit=200)[0] / stats.t.pdf(t, df)

    for n in (4, 5, 10):
        reach = float(sequence_reach(2 * n - 2, n / 2, 0.05))
        assert evidence(reach, 2 * n - 2, n / 2) == pytest.approx(20.0, rel=1e-5)
    assert math.isinf(sequence_reach(2, 1.0, 0.05))


def test_the_sequence_counts_information_per_pair_and_claims_nothing_without_spread():
    assert [limit.information for limit in planned(Plan(most=6, method="anytime"))] == [1.5, 2.0, 2.5, 3.0]
    equal = TDistance(difference=np.array(0.0), se=np.array(0.0), df=np.array(8.0))
    assert not OpenLimit(2.5, 0.05).shows_equivalence(equal, 0.5)
    assert not OpenLimit(2.5, 0.05).shows_difference(equal)


def races(plan: Plan, difference: float, *, n: int = 8_000, seed: int = 0, sd_b: float = 1.0):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n, plan.most))
    return race_rows(a, sd_b * b + difference, plan)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["obrien-fleming", "pocock", "anytime"])
def test_a_race_between_equal_arms_errs_no_more_than_promised(method):
    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 8_000)
    equal = races(Plan(most=12, method=method), 0.0)
    assert np.isin(equal.outcome, (GREATER, SMALLER)).mean() < limit
    assert np.mean((equal.low <= 0) & (equal.high >= 0)) > 0.95 - 0.0075
    at_margin = races(Plan(most=12, method=method, margin=1.0), 1.0)
    assert np.mean(at_margin.outcome == EQUIVALENT) < limit
    # Peeking with a plain t test at the same looks would err three times as often.
    naive = Plan(most=12, method=method)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5_000, 12))
    peeks = [stats.ttest_ind(a[:, :n], b[:, :n], axis=1, equal_var=False).pvalue < 0.05 for n in naive.looks]
    assert np.any(peeks, axis=0).mean() > 0.12


@pytest.mark.slow
def test_peeking_every_five_seeds_errs_four_times_as_often_as_a_race_does():
    # Simulated independently for the design notes of this project: .205 with a plain t test.
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 10_000, 50))
    looks = range(5, 51, 5)
    peeks = [stats.ttest_ind(a[:, :n], b[:, :n], axis=1).pvalue < 0.05 for n in looks]
    assert np.any(peeks, axis=0).mean() == pytest.approx(0.205, abs=3 * math.sqrt(0.205 * 0.795 / 10_000))
    plan = Plan(first=5, every=5, most=50)
    assert list(plan.looks) == list(looks)
    found = race_rows(a, b, plan)
    assert np.isin(found.outcome, (GREATER, SMALLER)).mean() < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 10_000)


def test_a_race_finds_large_differences_with_fewer_seeds():
    plan = Plan(most=10)
    stop = races(plan, 2.0)
    assert np.mean(stop.outcome == GREATER) > 0.95
    assert stop.n.mean() < 7.0
    assert np.mean(races(plan, -2.0).outcome == SMALLER) > 0.95


def test_mirrored_arms_take_mirrored_paths():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 500, 10))
    plan = Plan(most=10, margin=1.0)
    one, other = race_rows(a, b, plan), race_rows(b, a, plan)
    assert np.array_equal(one.n, other.n)
    assert one.difference == pytest.approx(-other.difference)
    assert one.low == pytest.approx(-other.high)


def test_futility_stops_races_that_nothing_can_decide_and_costs_no_error():
    with_futility = races(Plan(most=20, futility=0.2), 0.0)
    without = races(Plan(most=20), 0.0)
    assert np.mean(with_futility.outcome == FUTILE) > 0.3
    assert with_futility.n.mean() < without.n.mean() - 2
    assert np.isin(with_futility.outcome, (1, -1)).mean() <= np.isin(without.outcome, (1, -1)).mean()


@pytest.mark.slow
def test_the_predicted_chance_comes_true():
    # Under flat priors: take the true difference and spread from the posterior of one look, and race on.
    plan, n, rng = Plan(most=16), 8, np.random.default_rng(5)
    last = planned(plan)[-1]
    mean, sd, size = 0.9, 1.0, 20_000
    df = 2 * n - 2
    sigma = sd * np.sqrt(df / rng.chisquare(df, size))
    true = mean + sigma * math.sqrt(2 / n) * rng.standard_normal(size)
    more = true + sigma * math.sqrt(2 / (16 - n)) * rng.standard_normal(size)
    final = (mean + more) / 2
    se = sd * math.sqrt(2 / 16)
    simulated = np.mean(np.abs(final) > float(last.reach(30.0)) * se)
    t = TDistance(mean, sd * math.sqrt(2 / n), float(df))
    assert chance_of_decision(t, 0.5, last, 30.0, plan) == pytest.approx(simulated, abs=0.012)


@pytest.mark.slow
def test_the_adjusted_difference_is_the_one_whose_races_stop_there():
    plan = Plan(most=10, method="pocock")
    true = 1.5
    seen = races(plan, true, n=20_000, seed=9).difference.mean()
    assert seen > true + 0.05  # a race stops where the difference looks large
    adjusted = adjusted_difference(float(seen), 1.0, 1.0, plan, rng=np.random.default_rng(0))
    assert adjusted == pytest.approx(true, abs=0.04)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"first": 1}, "at least 2 seeds"),
        ({"most": 2}, "no fewer than the first"),
        ({"alpha": 0.7}, "between 0 and 0.5"),
        ({"method": "peeking"}, "expected one of"),
        ({"margin": -1.0}, "positive"),
        ({"futility": 1.0}, "between 0 and 1"),
    ],
)
def test_a_wrong_plan_is_refused(wrong, message):
    with pytest.raises(StatisticsError, match=message):
        Plan(**wrong)
