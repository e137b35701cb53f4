"""What must hold for every question that has an answer in words: swapped, reordered, in another unit, turned round."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import seedstudy as ss
from seedstudy.stats.across import combine_differences
from seedstudy.stats.compare import compare as compare_arms

quick = settings(max_examples=15, deadline=None)
value = st.integers(-640, 640).map(lambda k: k / 64)
arm = st.lists(value, min_size=2, max_size=6)
races = st.lists(st.tuples(value, value), min_size=4, max_size=8)
MIRROR = {"better": "worse", "worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"}
PLANS = [{"method": method, "first": 2} for method in ("obrien-fleming", "pocock", "anytime")]


def words(*arms, lower_is_better=False, **options):
    """Return the verdicts on the second arm against the first, or on all pairs."""
    answers = ss.compare(*arms, metric="value", lower_is_better=lower_is_better, **options)
    return [answer.verdict.word for answer in answers]


def raced(a, b, *, lower_is_better=False, **options):
    (pair,) = ss.race(a, b, replay=True, metric="value", lower_is_better=lower_is_better, **options).pairs
    return pair


def passes(new, sweep, *, lower_is_better=False, margin=0.5):
    return ss.gate(new, sweep, metric="value", lower_is_better=lower_is_better, margin=margin).passes


def negative(values):
    return [-x for x in values]


def times(values, factor):
    return [x * factor for x in values]


# --- compare --------------------------------------------------------------------------------------------


@quick
@given(arm, arm, st.booleans())
def test_compare_swapped_and_turned_round(a, b, lower_is_better):
    (word,) = words(a, b, lower_is_better=lower_is_better, margin=1.0)
    assert words(b, a, lower_is_better=lower_is_better, margin=1.0) == [MIRROR[word]]
    assert words(negative(a), negative(b), lower_is_better=not lower_is_better, margin=1.0) == [word]
    (answer,) = ss.compare(a, b, metric="value", lower_is_better=lower_is_better)
    (turned,) = ss.compare(b, a, metric="value", lower_is_better=lower_is_better)
    if answer.verdict.prob_b_better is not None:
        assert turned.verdict.prob_b_better.value == pytest.approx(1 - answer.verdict.prob_b_better.value)
    assert len(turned.verdict.warnings) == len(answer.verdict.warnings)


@quick
@given(arm, arm, st.randoms(use_true_random=False), st.sampled_from([0.25, 4.0, 1024.0]))
def test_compare_in_another_order_and_another_unit(a, b, random, factor):
    (before,) = ss.compare(a, b, metric="value", lower_is_better=False, margin=0.5)
    shuffled = random.sample(a, len(a)), random.sample(b, len(b))
    (after,) = ss.compare(*shuffled, metric="value", lower_is_better=False, margin=0.5)
    assert (after.verdict, after.p_adjusted) == (before.verdict, before.p_adjusted)
    scaled = words(times(a, factor), times(b, factor), margin=0.5 * factor)
    assert scaled == [before.verdict.word]


@quick
@given(st.lists(arm, min_size=3, max_size=4, unique_by=tuple), st.booleans())
def test_all_pairs_do_not_depend_on_the_order_of_the_recipes(arms, lower_is_better):
    def verdicts(order):
        given = [arms[i] for i in order]
        found = words(*given, all_pairs=True, lower_is_better=lower_is_better, margin=1.0)
        return dict(zip(itertools.combinations(order, 2), found, strict=True))

    forward, backward = verdicts(range(len(arms))), verdicts(range(len(arms))[::-1])
    assert {(b, a): MIRROR[word] for (a, b), word in forward.items()} == backward


@quick
@given(arm, st.booleans())
def test_a_recipe_is_never_better_or_worse_than_itself(a, paired):
    assert words(a, list(a), margin=1.0, paired=paired)[0] in ("equivalent", "inconclusive")


# --- race -----------------------------------------------------------------------------------------------


@quick
@given(races, st.sampled_from(PLANS), st.booleans())
def test_a_race_swapped_and_turned_round(pairs, plan, lower_is_better):
    a, b = map(list, zip(*pairs, strict=True))
    forward = raced(a, b, lower_is_better=lower_is_better, margin=2.0, plan=plan)
    backward = raced(b, a, lower_is_better=lower_is_better, margin=2.0, plan=plan)
    assert backward.verdict == MIRROR[forward.verdict]
    assert backward.last.round == forward.last.round
    assert backward.warnings == forward.warnings
    turned = raced(negative(a), negative(b), lower_is_better=not lower_is_better, margin=2.0, plan=plan)
    assert (turned.verdict, turned.last.round) == (forward.verdict, forward.last.round)


@quick
@given(races, st.sampled_from(PLANS), st.sampled_from([0.25, 1024.0]))
def test_a_race_in_another_unit_ends_alike(pairs, plan, factor):
    a, b = map(list, zip(*pairs, strict=True))
    before = raced(a, b, margin=2.0, plan=plan)
    after = raced(times(a, factor), times(b, factor), margin=2.0 * factor, plan=plan)
    assert (after.verdict, after.last.round) == (before.verdict, before.last.round)
    assert after.last.p_value == pytest.approx(before.last.p_value, nan_ok=True)


@quick
@given(st.lists(value, min_size=4, max_size=8), st.sampled_from(PLANS))
def test_a_recipe_does_not_outrun_itself(a, plan):
    assert raced(a, list(a), margin=2.0, plan=plan).verdict in ("equivalent", "inconclusive")


@quick
@given(races, st.sampled_from(PLANS))
def test_a_claim_from_few_seeds_carries_its_caveat(pairs, plan):
    a, b = map(list, zip(*pairs, strict=True))
    pair = raced(a, b, margin=2.0, plan=plan)
    assert bool(pair.warnings) == (pair.verdict != "inconclusive")


# --- several data sets ----------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(arm, arm), min_size=3, max_size=6), st.sampled_from([0.25, 1024.0]))
def test_data_sets_swapped_reordered_and_in_another_unit(pairs, factor):
    assume(all(np.ptp(a) + np.ptp(b) > 0 for a, b in pairs))

    def combined(pairs):
        ones = [compare_arms(a, b, rng=np.random.default_rng(0)) for a, b in pairs]
        return combine_differences([x.difference for x in ones], [x.se for x in ones], [x.df for x in ones])

    before, swapped, reordered = combined(pairs), combined([(b, a) for a, b in pairs]), combined(pairs[::-1])
    scaled = combined([(times(a, factor), times(b, factor)) for a, b in pairs])
    assert swapped.difference.value == pytest.approx(-before.difference.value, abs=1e-12)
    assert swapped.new_data_set.low == pytest.approx(-before.new_data_set.high, abs=1e-9)
    assert reordered.difference.high == pytest.approx(before.difference.high, rel=1e-9, abs=1e-12)
    assert scaled.tau.value == pytest.approx(before.tau.value * factor, rel=1e-6, abs=1e-9)
    for other in (swapped, reordered, scaled):
        assert other.p_value == pytest.approx(before.p_value, rel=1e-6)
        assert other.heterogeneity_p == pytest.approx(before.heterogeneity_p, rel=1e-6)
    low, high = (f([left.value for left in before.leave_one_out], default=0.0) for f in (min, max))
    assert not before.leave_one_out or low - 1e-12 <= before.difference.value <= high + 1e-12


# --- one recipe, a plan, a gate -------------------------------------------------------------------------


@quick
@given(arm, st.randoms(use_true_random=False), st.sampled_from([0.25, 1024.0]))
def test_a_summary_in_another_order_and_unit(a, random, factor):
    (before,) = ss.summary(a, metric="value")
    (shuffled,) = ss.summary(random.sample(a, len(a)), metric="value")
    (scaled,) = ss.summary(times(a, factor), metric="value")
    assert str(shuffled.description) == str(before.description)  # as text: nan is not equal to itself
    assert scaled.description.mean.low == pytest.approx(before.description.mean.low * factor, nan_ok=True)


@quick
@given(st.floats(0.5, 4.0), st.sampled_from([0.25, 1024.0]))
def test_a_plan_does_not_depend_on_the_unit_nor_on_which_arm_varies_more(effect, factor):
    seeds = ss.power((1.0, 2.0), difference=effect, metric="value").n_per_arm
    assert ss.power((factor, 2.0 * factor), difference=effect * factor, metric="value").n_per_arm == seeds
    assert ss.power((2.0, 1.0), difference=effect, metric="value").n_per_arm == seeds
    assert ss.power((1.0, 2.0), difference=-effect, metric="value").n_per_arm == seeds


@quick
@given(arm, st.lists(value, min_size=5, max_size=8), st.booleans())
def test_a_gate_turned_round_and_in_another_unit(new, sweep, lower_is_better):
    assume(np.ptp(sweep) > 0)
    verdict = passes(new, sweep, lower_is_better=lower_is_better)
    assert passes(negative(new), negative(sweep), lower_is_better=not lower_is_better) == verdict
    assert passes(times(new, 4.0), times(sweep, 4.0), lower_is_better=lower_is_better, margin=2.0) == verdict


# --- a grid, a fit, a table -----------------------------------------------------------------------------

cell = st.lists(value, min_size=2, max_size=3)
grids = st.lists(cell, min_size=4, max_size=4)
PLACES = [("m1", "r1"), ("m1", "r2"), ("m2", "r1"), ("m2", "r2")]


def grid_of(cells, order=None, factor=1.0):
    rows = [
        {"model": model, "recipe": recipe, "seed": seed, "value": factor * x}
        for (model, recipe), seeds in zip(PLACES, cells, strict=True)
        for seed, x in enumerate(seeds)
    ]
    (answer,) = ss.grid(pl.DataFrame([rows[i] for i in order] if order else rows), metric="value")
    return answer.grid


def p_values(grid):
    return {
        **{source.name: source.p_value for source in grid.sources},
        **{(d.factor, *sorted((d.a, d.b))): d.p_value for d in grid.differences},
    }


def signed(grid):
    return {(d.factor, *sorted((d.a, d.b))): d.difference.value * (1 if d.a < d.b else -1) for d in grid.differences}


@quick
@given(grids, st.randoms(use_true_random=False), st.sampled_from([-1.0, 0.25, 1024.0]))
def test_a_grid_in_another_order_and_unit_and_turned_round(cells, random, factor):
    assume(sum(np.ptp(seeds) > 0 for seeds in cells) == 4)
    n = sum(map(len, cells))
    before, shuffled, scaled = grid_of(cells), grid_of(cells, random.sample(range(n), n)), grid_of(cells, factor=factor)
    for other in (shuffled, scaled):
        assert p_values(other) == pytest.approx(p_values(before), rel=1e-6, abs=1e-12)
    assert signed(shuffled) == pytest.approx(signed(before), abs=1e-9)
    assert signed(scaled) == pytest.approx({key: factor * d for key, d in signed(before).items()}, rel=1e-9, abs=1e-9)
    assert scaled.seed_noise.value == pytest.approx(abs(factor) * before.seed_noise.value)


@quick
@given(cell, cell)
def test_in_a_grid_a_recipe_does_not_differ_from_itself(one, other):
    assume(np.ptp(one) > 0 and np.ptp(other) > 0)
    grid = grid_of([one, one, other, other])
    (recipes,) = [d for d in grid.differences if d.factor == "recipe"]
    assert recipes.difference.value == pytest.approx(0.0, abs=1e-12)
    assert recipes.p_value == pytest.approx(1.0)


@settings(max_examples=6, deadline=None)
@given(
    st.lists(value, min_size=4, max_size=8, unique=True),
    st.randoms(use_true_random=False),
    st.sampled_from([0.25, 1024.0]),
)
def test_a_fit_in_another_order_and_unit_and_turned_round(values, random, factor):
    def fitted(values):
        (answer,) = ss.fit(values, metric="value")
        return answer.fit

    before, shuffled, scaled, turned = map(
        fitted, (values, random.sample(values, len(values)), times(values, factor), negative(values))
    )
    weights = {family.name: family.weight for family in before.families}
    assert {family.name: family.weight for family in shuffled.families} == pytest.approx(weights, abs=1e-4)
    assert {family.name: family.weight for family in scaled.families} == pytest.approx(weights, abs=1e-4)
    mirror = {"gumbel-min": "gumbel-max", "gumbel-max": "gumbel-min"}
    found = {mirror.get(family.name, family.name): family.weight for family in turned.families}
    assert found == pytest.approx(weights, abs=1e-4)
    assert turned.skewness.value == pytest.approx(-before.skewness.value, abs=1e-9)
    for other in (shuffled, scaled, turned):
        assert other.excess_kurtosis.value == pytest.approx(before.excess_kurtosis.value, abs=1e-9)
        statistics = [test.statistic for test in before.normality]
        assert [test.statistic for test in other.normality] == pytest.approx(statistics, abs=1e-6)


def audited(rows, *, sd=0.1, lower_is_better=False):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text("model,x\n" + "".join(f"{name},{text}\n" for name, text in rows))
        return ss.audit(path, sd=sd, unit="none", lower_is_better=lower_is_better)


def of_pairs(audit):
    (column,) = audit.columns
    return {
        frozenset((column.rows[pair.a], column.rows[pair.b])): (pair.p_value, pair.p_adjusted, pair.p_adjusted_at_worst)
        for pair in column.pairs
    }


def ranks_of(audit):
    (column,) = audit.columns
    return dict(zip(column.rows, zip(column.ranks, np.round(column.prob_best, 9), strict=True), strict=True))


@quick
@given(
    st.lists(st.integers(-30, 30), min_size=3, max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_table_in_another_order_and_unit_and_turned_round(tenths, random):
    names = [f"m{i}" for i in range(len(tenths))]
    rows = [(name, f"{k / 10:.1f}") for name, k in zip(names, tenths, strict=True)]
    before = audited(rows)
    shuffled = audited(random.sample(rows, len(rows)))
    scaled = audited([(name, f"{k}") for name, k in zip(names, tenths, strict=True)], sd=1.0)
    turned = audited([(name, f"{-k / 10:.1f}") for name, k in zip(names, tenths, strict=True)], lower_is_better=True)
    for other in (shuffled, scaled, turned):
        found, expected = of_pairs(other), of_pairs(before)
        assert found.keys() == expected.keys()
        assert all(found[pair] == pytest.approx(expected[pair], rel=1e-6) for pair in expected)
        assert ranks_of(other).keys() == ranks_of(before).keys()
        for name, (rank, best) in ranks_of(before).items():
            assert ranks_of(other)[name][0] == rank
            assert ranks_of(other)[name][1] == pytest.approx(best, abs=1e-6)
    for p, adjusted, at_worst in of_pairs(before).values():
        assert p <= adjusted <= at_worst  # rounding never makes a difference surer


def test_equal_numbers_of_a_table_never_exceed_seed_noise():
    audit = audited([("a", "79.5"), ("b", "79.5"), ("c", "79.5")])
    assert not any(map(audit.is_decided, audit.columns[0].pairs))
