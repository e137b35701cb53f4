"""Whole results for whole scenarios, as text files to be read; a change of any number or word shows as a diff.

The numbers are proven elsewhere. ``python tests/stats/test_whole_results.py`` rewrites the files after a change that is
meant.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from seedstudy.decide.verdict import Rule, decide
from seedstudy.errors import StatisticsError
from seedstudy.stats.across import combine_differences, rank_recipes
from seedstudy.stats.audit import expected_best
from seedstudy.stats.compare import compare, compare_summaries, details
from seedstudy.stats.describe import describe, describe_details, rank_of
from seedstudy.stats.fit import density, fit
from seedstudy.stats.grid import two_way
from seedstudy.stats.images import split_variance
from seedstudy.stats.sample import as_sample, by_seed

FOLDER = Path(__file__).parent / "whole"
A3 = [78.01, 78.10, 78.19, 78.07, 78.15]
A2 = [78.12, 78.21, 78.08, 78.26, 78.15, 78.30]
FLAT = [78.1] * 4


def rng():
    return np.random.default_rng(0)


def judged(a, b, *, margin=None, lower_is_better=False, **options):
    comparison = compare(a, b, rng=rng(), margin=margin, names=("a3", "a2"), **options)
    return comparison, decide(comparison, Rule(margin=margin, lower_is_better=lower_is_better))


def summarised(**options):
    comparison = compare_summaries(79.7, 0.1, 5, 79.9, 0.12, 4, names=("a3", "a2"), **options)
    return comparison, decide(comparison, Rule(margin=options.get("margin")))


def long_arms():
    draws = np.random.default_rng(7)
    return draws.normal(78, 0.1, 24), draws.gamma(2.0, 0.1, 30) + 78


def on_lattice():
    return np.round(long_arms()[0] / 0.05) * 0.05


def densities(found):
    at = np.array([78.05, 78.2, 78.4])
    return [{family.name: density(family, at, largest=100).tolist()} for family in found.families]


def a_grid():
    draws = np.random.default_rng(8)
    return {(m, r): draws.normal(i + 2 * j, 1 + j, 4 + i) for i, m in enumerate("xyz") for j, r in enumerate("pq")}


def pooled():
    ones = [compare(A3, np.add(A2, k / 10), rng=rng()) for k in range(4)]
    return combine_differences([one.difference for one in ones], [one.se for one in ones], [one.df for one in ones])


SCENARIOS = {
    "describe": lambda: [describe(A2[:1]), describe(FLAT), describe(A3[:3]), describe(A2), describe(long_arms()[1])],
    "describe-other-level": lambda: [describe(A2, level=0.8), describe_details(A2, level=0.8)],
    "describe-details": lambda: [describe_details(values) for values in (A2[:1], FLAT, A3[:3], A2, long_arms()[1])],
    "rank-and-best": lambda: [
        rank_of(78.12, A2),
        rank_of(78.12, A3, part_of_sweep=False),
        rank_of(78.1, FLAT),
        expected_best(A2, 3),
    ],
    "compare-five": lambda: judged(A3, A2, margin=0.05),
    "compare-three-no-margin": lambda: judged(A3[:3], A2[:3], lower_is_better=True),
    "compare-better-inside-margin-unsettled": lambda: judged(A3, np.add(A2, 0.15), margin=0.2),
    "compare-equivalent": lambda: judged(A3, np.add(A2, 0.1), margin=0.5),
    "compare-worse": lambda: judged(A3, np.add(A2, 1.0), margin=0.2, lower_is_better=True),
    "compare-no-spread": lambda: judged(FLAT[:3], np.add(FLAT, 0.1), margin=0.2),
    "compare-no-spread-few": lambda: judged(FLAT[:3], np.add(FLAT[:3], 0.1)),
    "compare-no-spread-equal": lambda: judged(FLAT, FLAT),
    "compare-no-spread-in-one": lambda: judged(FLAT, A2),
    "compare-single-run": lambda: judged(A3, A2[:1], margin=0.05),
    "compare-single-run-turned": lambda: judged(A2[:1], A3),
    "compare-paired": lambda: judged(A3, A2[:5], paired=True, margin=0.05),
    "compare-paired-no-spread": lambda: judged([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], paired=True, margin=1.0),
    "compare-many": lambda: judged(*long_arms(), margin=0.05, resamples=999),
    "compare-summaries": lambda: summarised(margin=0.3),
    "compare-summaries-no-margin": lambda: summarised(level=0.9),
    "compare-details": lambda: [
        details(A3, A2),
        details(A3[:3], A2[:1]),
        details(A3, A2[:5], paired=True),
        details(FLAT, FLAT),
        details(*long_arms(), level=0.9),
    ],
    "grid": lambda: [two_way(a_grid()), two_way({**a_grid(), ("x", "p"): FLAT}, level=0.9)],
    "data-sets": lambda: [pooled(), rank_recipes({"a": [1.0, 2.0, 3.0, 5.0], "b": [1.5, 2.1, 2.9, 7.0]})],
    "fit": lambda: [
        fit(A3[:3], rng=rng()),
        fit(A2, rng=rng(), resamples=9),
        fit(long_arms()[1], rng=rng(), resamples=9, largest=100),
    ],
    "fit-lattice": lambda: [
        fit(on_lattice(), rng=rng(), step=0.05, largest=100, resamples=9),
        fit(on_lattice()[:12], rng=rng(), resamples=9),
        # So few values that simulated samples tie with it: ties count as at least as extreme.
        fit([78.0, 78.1, 78.1], rng=rng(), step=0.1, resamples=9),
    ],
    "fit-density": lambda: densities(fit(long_arms()[1], rng=rng(), resamples=1, largest=100)),
    "split-variance": lambda: [split_variance([[1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]])],
}

REFUSED = (
    lambda: as_sample(["x"], name="a2"),
    lambda: as_sample([[1.0, 2.0]], name="a2"),
    lambda: as_sample([1.0, math.nan, math.inf], name="a2"),
    lambda: as_sample([], name="a2"),
    lambda: as_sample([1.0], name="a2", at_least=2),
    lambda: by_seed([1, 2, 1], [1.0, 2.0, 3.0], name="a2"),
    lambda: by_seed([1, 2], [1.0], name="a2"),
    lambda: describe(A2, level=95),
    lambda: describe([math.inf]),
    lambda: rank_of(1.0, A2),
    lambda: rank_of(math.nan, A2),
    lambda: rank_of(78.1, [78.1]),
    lambda: rank_of(math.nan, []),
    lambda: compare([1.0], [2.0], rng=rng(), names=("a3", "a2")),
    lambda: compare(A2, A3, rng=rng(), paired=True, names=("a3", "a2")),
    lambda: compare([1.0], [2.0], rng=rng(), paired=True, names=("a3", "a2")),
    lambda: compare(A2, [math.nan], rng=rng(), names=("a3", "a2")),
    lambda: compare([math.nan], A2, rng=rng(), names=("a3", "a2")),
    lambda: details([1.0], [2.0], names=("a3", "a2")),
    lambda: details(A2, A3, paired=True, names=("a3", "a2")),
    lambda: compare(A2, A3, rng=rng(), margin=-0.1),
    lambda: compare(A2, A3, rng=rng(), margin=math.inf),
    lambda: compare(A2, A3, rng=rng(), level=0.0),
    lambda: compare_summaries(1.0, 0.1, 1, 2.0, 0.1, 3, names=("a3", "a2")),
    lambda: compare_summaries(1.0, 0.1, 3, 2.0, 0.1, 2.5, names=("a3", "a2")),
    lambda: compare_summaries(1.0, -0.1, 3, 2.0, 0.1, 3, names=("a3", "a2")),
    lambda: compare_summaries(math.nan, 0.1, 3, 2.0, 0.1, 3, names=("a3", "a2")),
    lambda: compare_summaries(1.0, 0.0, 3, 2.0, 0.0, 3, names=("a3", "a2")),
    lambda: Rule(level=5),
    lambda: Rule(power=0),
    lambda: two_way({("x", "p"): A2, ("y", "q"): A2}),
    lambda: two_way({("x", "p"): A2, ("x", "q"): A2}),
    lambda: two_way({(m, r): FLAT for m in "xy" for r in "pq"}),
    lambda: two_way({(m, r): [1.0] for m in "xy" for r in "pq"}),
    lambda: combine_differences([], [], []),
    lambda: combine_differences([describe(A2).mean] * 3, [0.1, 0.0, 0.1], [8.0] * 3),
    lambda: rank_recipes({"a": A2, "b": A3}),
    lambda: rank_recipes({"a": [1.0, 2.0, math.nan], "b": [1.0, 2.0, 3.0]}),
    lambda: fit(A2[:2], rng=rng(), name="a2"),
    lambda: fit(A2, rng=rng(), step=0.03, name="a2"),
    lambda: fit(A2, rng=rng(), step=-1.0, name="a2"),
    lambda: fit(A2, rng=rng(), largest=1.0, name="a2"),
    lambda: expected_best(A2, 7),
    lambda: split_variance([[0.5, 1.0], [1.0, 0.0]]),
)


def lines(value, indent=""):
    """Render results as indented lines, numbers to six digits."""
    if dataclasses.is_dataclass(value):
        yield type(value).__name__
        for field in dataclasses.fields(value):
            first, *rest = lines(getattr(value, field.name), indent + "  ")
            yield f"{indent}  {field.name}: {first}"
            yield from rest
    elif isinstance(value, dict):
        yield "{" + ", ".join(f"{key}: {next(lines(item))}" for key, item in value.items()) + "}"
    elif isinstance(value, (list, tuple)) and any(dataclasses.is_dataclass(item) for item in value):
        yield ""
        for item in value:
            first, *rest = lines(item, indent + "  ")
            yield f"{indent}  - {first}"
            yield from rest
    elif isinstance(value, (list, tuple)) and any(isinstance(item, str) for item in value):
        yield ""
        yield from (f"{indent}  - {item}" for item in value)
    elif isinstance(value, (list, tuple)):
        yield "(" + ", ".join(next(lines(item)) for item in value) + ")"
    elif isinstance(value, float):
        # Below a billionth of the scale of the data there is only rounding.
        yield "0" if abs(value) < 1e-11 and value != 0 and abs(value) > 1e-18 else f"{value:.6g}"
    else:
        yield str(value)


def text_of(results):
    return "\n".join(line.rstrip() for result in results for line in lines(result)) + "\n"


def refusals():
    messages = []
    for call in REFUSED:
        with pytest.raises(StatisticsError) as caught:
            call()
        messages.append(str(caught.value))
    return "\n".join(messages) + "\n"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_result(name):
    assert text_of(SCENARIOS[name]()) == (FOLDER / f"{name}.txt").read_text()


def test_every_refusal_says_what_where_and_how_to_fix():
    messages = refusals()
    assert messages == (FOLDER / "refusals.txt").read_text()
    assert len(messages.splitlines()) == len(REFUSED)


if __name__ == "__main__":
    for name, scenario in SCENARIOS.items():
        (FOLDER / f"{name}.txt").write_text(text_of(scenario()))
    (FOLDER / "refusals.txt").write_text(refusals())
