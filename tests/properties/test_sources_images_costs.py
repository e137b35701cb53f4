"""What must hold where variance is split, images are a sample, and error follows cost: reordered, rescaled, swapped."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seedstudy.stats.components import balanced_components, reml_components
from seedstudy.stats.images import arm_on_images, difference_on_new_images, mean_on_new_images, split_variance
from seedstudy.stats.scaling import Noise, at_equal_cost, fit_law

quick = settings(max_examples=25, deadline=None)
rngs = st.integers(0, 2**32 - 1).map(np.random.default_rng)
factors = st.sampled_from([1 / 64, 1 / 4, 2.0, 128.0])


# --- components of variance -----------------------------------------------------------------------------


def parts_of(found):
    """Return variance and limits by the sources of a part, and of the total."""
    parts = {frozenset(part.sources) or "cells": (part.variance, part.low, part.high) for part in found.parts}
    return parts | {"total": (found.total.variance, found.total.low, found.total.high)}


def drawn_table(rng):
    shape = tuple(rng.integers(2, 5, rng.integers(2, 4)))
    table = rng.normal(size=(*shape, rng.integers(1, 3)))
    for axis, n in enumerate(shape):
        table += rng.normal(scale=axis + 1.0, size=n).reshape(
            [n if other == axis else 1 for other in range(table.ndim)]
        )
    return table


@quick
@given(rngs, factors, st.integers(-640, 640))
def test_components_do_not_depend_on_order_unit_or_level(rng, factor, shift):
    table = drawn_table(rng)
    expected = parts_of(balanced_components(table))
    shuffled = table
    for axis, n in enumerate(table.shape):
        shuffled = np.take(shuffled, rng.permutation(n), axis=axis)
    scaled = {key: np.multiply(values, factor**2) for key, values in expected.items()}
    for other, wanted in (
        (shuffled, expected),
        (-table, expected),
        (table + shift, expected),
        (table * factor, scaled),
    ):
        found = parts_of(balanced_components(other))
        for key, values in wanted.items():
            scale = wanted["total"][2] if np.isfinite(wanted["total"][2]) else wanted["total"][0]
            assert found[key] == pytest.approx(values, rel=1e-6, abs=1e-9 * max(scale, 1e-300) * 1e3)


@quick
@given(rngs)
def test_the_names_of_the_sources_do_not_matter(rng):
    table = drawn_table(rng)
    n = table.ndim - 1
    order = rng.permutation(n)
    turned = parts_of(balanced_components(np.transpose(table, (*order, n))))
    for sources, values in parts_of(balanced_components(table)).items():
        if isinstance(sources, frozenset):
            sources = frozenset(int(np.flatnonzero(order == axis)[0]) for axis in sources)
        assert turned[sources] == pytest.approx(values, rel=1e-6, abs=1e-9)


@settings(max_examples=8, deadline=None)
@given(rngs)
def test_components_of_a_table_with_gaps_do_not_depend_on_order_or_unit(rng):
    a, b = (each.ravel() for each in np.indices((4, 4)))
    values = rng.normal(size=4)[a] * 2 + rng.normal(size=4)[b] + rng.normal(size=16)
    kept = rng.permutation(16)[:13]
    assume(len(set(a[kept])) == 4 and len(set(b[kept])) == 4)
    expected = parts_of(reml_components([a[kept], b[kept]], values[kept]))
    again = rng.permutation(kept)
    for found in (
        parts_of(reml_components([a[again], b[again]], values[again] * 4.0)),
        parts_of(reml_components([a[again] * 7 + 3, b[again]], -4.0 * values[again])),
    ):
        for key, wanted in expected.items():
            assert found[key][0] == pytest.approx(16.0 * wanted[0], rel=2e-2, abs=2e-2 * 16 * expected["total"][0])


# --- images as a sample ---------------------------------------------------------------------------------


def drawn_matrix(rng, n_images):
    return rng.random((rng.integers(2, 6), n_images)) < rng.random(n_images)


def reading(found):
    return (found.estimate.value, found.estimate.low, found.estimate.high, found.p_value, found.df)


@quick
@given(rngs)
def test_a_difference_on_new_images_swapped_and_reordered(rng):
    n = int(rng.integers(20, 60))
    a, b = drawn_matrix(rng, n), drawn_matrix(rng, n)
    found = difference_on_new_images(arm_on_images(a), arm_on_images(b))
    assume(found.estimate.low is not None)
    swapped = difference_on_new_images(arm_on_images(b), arm_on_images(a))
    mirrored = (-found.estimate.value, -found.estimate.high, -found.estimate.low, found.p_value, found.df)
    assert reading(swapped) == pytest.approx(mirrored, rel=1e-9, abs=1e-12)
    columns = rng.permutation(n)
    shuffled = difference_on_new_images(
        arm_on_images(rng.permutation(a)[:, columns]), arm_on_images(rng.permutation(b)[:, columns])
    )
    assert reading(shuffled) == pytest.approx(reading(found), rel=1e-9, abs=1e-12)
    # Right counted as wrong: the difference changes its sign, and nothing else.
    turned = difference_on_new_images(arm_on_images(~a), arm_on_images(~b))
    assert reading(turned) == pytest.approx(mirrored, rel=1e-9, abs=1e-12)
    # Each image a cluster of its own is no cluster at all.
    alone = np.arange(n)
    clustered = difference_on_new_images(arm_on_images(a, clusters=alone), arm_on_images(b, clusters=alone))
    assert reading(clustered) == pytest.approx(reading(found), rel=1e-9, abs=1e-12)


@quick
@given(rngs)
def test_a_recipe_does_not_differ_from_itself_on_new_images(rng):
    arm = arm_on_images(drawn_matrix(rng, 40))
    found = difference_on_new_images(arm, arm)
    assert found.estimate.value == 0.0
    assert not found.p_value < 0.05


@quick
@given(rngs)
def test_the_split_of_the_variance_does_not_depend_on_order_or_on_what_counts_as_right(rng):
    matrix = drawn_matrix(rng, int(rng.integers(10, 40)))
    expected = split_variance(matrix)
    for other in (rng.permutation(matrix), matrix[:, rng.permutation(matrix.shape[1])], ~matrix):
        found = split_variance(other)
        assert found.on_test_set == pytest.approx(expected.on_test_set, abs=1e-12)
        assert found.distribution_wise_raw == pytest.approx(expected.distribution_wise_raw, abs=1e-12)
    mean = mean_on_new_images(arm_on_images(matrix)).estimate.value
    assert mean == pytest.approx(matrix.mean())


# --- error against cost ---------------------------------------------------------------------------------


def drawn_cells(rng, n=7):
    costs = np.sort(rng.uniform(1, 100, n)) * np.arange(1, n + 1)
    curve = 20 + 15 * (costs / costs.mean()) ** -0.5
    return costs, [at + rng.normal(scale=0.3, size=3) for at in curve]


def law_of(costs, samples, noise):
    found = fit_law(costs, samples, noise, replicates=200)
    return found.floor.value, found.scale.value, found.exponent.value, found.misfit, found.misfit_p


@quick
@given(rngs, factors)
def test_a_law_in_another_order_and_other_units(rng, factor):
    costs, samples = drawn_cells(rng)
    noise = Noise(sd=0.3, df=14)
    expected = law_of(costs, samples, noise)
    order = rng.permutation(len(costs))
    shuffled = law_of(costs[order], [samples[i] for i in order], noise)
    dearer = law_of(costs * factor, samples, noise)  # the reference cost moves along
    assert shuffled == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert dearer == pytest.approx(expected, rel=1e-4, abs=1e-6)
    floor, scale, exponent, misfit, p = law_of(costs, [x * factor for x in samples], Noise(sd=0.3 * factor, df=14))
    assert (floor / factor, scale / factor, exponent, misfit / factor, p) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@quick
@given(rngs, factors)
def test_strategies_at_equal_cost_swapped_and_in_other_units(rng, factor):
    costs_a, a = drawn_cells(rng)
    costs_b, b = drawn_cells(rng)
    noise = Noise(sd=0.3, df=28)
    found = at_equal_cost(costs_a, a, costs_b, b, noise, margin=0.5)
    assume(found is not None)
    swapped = at_equal_cost(costs_b, b, costs_a, a, noise, margin=0.5)
    d, s = found.difference, swapped.difference
    assert (s.value, s.low, s.high) == pytest.approx((-d.value, -d.high, -d.low))
    assert (swapped.p_value, swapped.equivalence_p) == pytest.approx((found.p_value, found.equivalence_p))
    other = at_equal_cost(
        costs_a * factor,
        [x * factor for x in a],
        costs_b * factor,
        [x * factor for x in b],
        Noise(sd=0.3 * factor, df=28),
        margin=0.5 * factor,
    )
    assert other.difference.value / factor == pytest.approx(d.value)
    assert (other.p_value, other.equivalence_p) == pytest.approx((found.p_value, found.equivalence_p))


@quick
@given(rngs)
def test_a_strategy_is_as_good_as_itself(rng):
    costs, samples = drawn_cells(rng)
    found = at_equal_cost(costs, samples, costs, samples, Noise(sd=0.3, df=14), margin=0.5)
    assert found.difference.value == pytest.approx(0.0, abs=1e-12)
    assert found.p_value == pytest.approx(1.0)
