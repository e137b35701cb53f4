"""The tables of `compare`: what is shown beside the verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seedstudy.decide.compare import Comparisons, Design, judge
from seedstudy.decide.verdict import Rule
from seedstudy.show.compare import comparison_tables
from seedstudy.study.group import Group, Moments

Draw = Callable[..., Group]
Render = Callable[..., str]


def details_of(rendered: Render, comparisons: Comparisons) -> str:
    """Return what --details adds, on 80 columns."""
    return rendered(comparison_tables(comparisons, with_details=True)).partition("value, 95% interval")[2]


def test_details_are_shown_on_demand_and_fit_80_columns(drawn_group: Draw, rendered: Render) -> None:
    a, b = drawn_group("a3@resnet50", 6, mean=78.0, std=0.03), drawn_group("a2@resnet50", 6, std=0.03)
    comparisons = judge([[[a], [b]]], Rule(margin=0.1))
    assert "median" not in rendered(comparison_tables(comparisons))
    text = details_of(rendered, comparisons)
    rows = {line[:38].strip(): line[38:].strip() for line in text.splitlines()}
    d, c = comparisons[0].details, comparisons[0].comparison
    assert d is not None
    assert d.hodges_lehmann is not None
    shift = d.hodges_lehmann
    assert rows["median of A"] == f"{d.median_a.value:.3f} [{d.median_a.low:.3f}, {d.median_a.high:.3f}]"
    assert rows["one new seed of B"].startswith(f"{b.values.mean():.3f} [")
    assert rows["B - A: Hodges-Lehmann, Mann-Whitney"].startswith(f"{shift.value:.3f} [{shift.low:.3f}, ")
    assert rows["B - A: Hodges-Lehmann, Mann-Whitney"].endswith(f"{d.mann_whitney_p:.2g}")
    assert rows["B - A: relabelled seeds"] == f"{c.permutation_p:.2g}"
    assert rows["std of B / std of A: Brown-Forsythe"].endswith(f"{d.brown_forsythe_p:.2g}")
    assert "B not worse than A by the margin" in rows
    assert "B - A: signed ranks (Wilcoxon)" not in rows, "the arms are not paired"
    assert "…" not in text
    assert "None of these details decides" in text


def test_details_of_pairs_are_signed_ranks(drawn_group: Draw, rendered: Render) -> None:
    a, b = drawn_group("a3", 6), drawn_group("a22", 6)
    text = details_of(rendered, judge([[[a], [b]]], Rule(), design=Design(paired=True)))
    assert "B - A: signed ranks (Wilcoxon)" in text
    assert "Mann-Whitney" not in text
    assert "not worse than A" not in text, "no margin was declared"


def test_details_of_a_published_mean_are_its_effect_size(drawn_group: Draw, rendered: Render) -> None:
    published = drawn_group("a3", 0, moments=Moments(mean=78.0, sd=0.1, n=5), seeds=None)
    text = details_of(rendered, judge([[[published], [drawn_group("a2", 5)]]], Rule()))
    assert "Hedges' g" in text
    assert "median" not in text


@pytest.mark.parametrize("has_two_data_sets", [False, True])
def test_a_verdict_names_its_data_set_where_there_are_several(
    has_two_data_sets: bool, drawn_group: Draw, rendered: Render
) -> None:
    from seedstudy.decide.across import across_data
    from seedstudy.show.compare import across_data_tables

    arms = [[drawn_group(name, 5, data=data) for data in ("cifar10", "shapes")] for name in ("a3", "a22")]
    if has_two_data_sets:
        text = rendered(across_data_tables(across_data(arms, Rule())), 200)
        assert "INCONCLUSIVE on val, cifar10: " in text
        assert "INCONCLUSIVE on val, shapes: " in text
    else:
        text = rendered(comparison_tables(judge([[arms[0][:1], arms[1][:1]]], Rule())), 200)
        assert text.startswith("INCONCLUSIVE on val: ")
