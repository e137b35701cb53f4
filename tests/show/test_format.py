"""The one form of a number, an interval and a note."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from seedstudy.show.format import duration, ends, mean_and_std, notes, percent, seeds_of, verdict_line, with_interval
from seedstudy.stats.result import Estimate


def test_numbers() -> None:
    assert ends(-0.1, 2.0, 2) == "[-0.10, 2.00]"
    assert ends(math.nan, math.nan, 2) == ends(-math.inf, math.inf, 2) == "–"
    assert ends(0.5, math.inf, 1) == "[0.5, inf]", "one end is known"
    assert mean_and_std(79.5, 0.1, 2) == "79.50 ± 0.10"
    assert mean_and_std(79.5, math.nan, 2) == "79.50", "one seed shows no spread"
    assert [seeds_of(5, 5), seeds_of(3, 100)] == ["5", "3 | 100"]
    assert [percent(0.95), percent(1 - 0.05), percent(0.99999), percent(1 - 0.05 / 3)] == (
        ["95%", "95%", "99.999%", "98.3333%"]
    )


def test_a_value_stands_before_its_interval() -> None:
    estimate = Estimate(value=0.5, low=-0.1, high=2.0, level=0.95, n=3, method="t")
    assert with_interval(estimate, 1) == "0.5 [-0.1, 2.0]"
    assert with_interval(estimate, 1, sign="+", interval_sign="+") == "+0.5 [-0.1, +2.0]"
    assert with_interval(replace(estimate, low=math.nan), 1, sign="+") == "+0.5"
    assert with_interval(replace(estimate, value=math.nan), 1) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (360_000, "100:00:00"), (-3, "0:00:00")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_note_names_everything_it_applies_to_once() -> None:
    found = notes([("a", ("few seeds", "skewed")), ("b", ("few seeds",)), ("a", ("few seeds",))])
    assert [note.plain for note in found] == ["note: few seeds", "note (a): skewed"]
    found = notes([("a", ("few seeds",)), ("b", ("few seeds",)), ("c", ())])
    assert [note.plain for note in found] == ["note (a; b): few seeds"]


def test_the_verdict_has_its_colour() -> None:
    line = verdict_line("val", "worse", "by 1 point.")
    assert line.plain == "val: worse: by 1 point."
    assert [(line.plain[span.start : span.end], span.style) for span in line.spans] == [("worse", "red")]
