from __future__ import annotations

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.read.metrics import direction_of, rounding_note, to_points


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val_loss", "lower"),
        ("eval/loss", "lower"),
        ("error", "lower"),
        ("top1_error", None),
        ("val/Acc@1", "higher"),
        ("mIoU", "higher"),
        ("f1", "higher"),
        ("margin", None),
        ("lossless", None),
    ],
)
def test_direction_only_where_the_name_tells(metric: str, direction: str | None) -> None:
    assert direction_of(metric) == direction


@pytest.mark.parametrize(
    ("metric", "direction"), [("val_error", "lower"), ("top1_error", None), ("quality", "higher"), ("top1", "higher")]
)
def test_a_share_whose_name_says_nothing_is_better_higher(metric: str, direction: str | None) -> None:
    assert direction_of(metric, "pp") == direction


def test_percent_stays_and_fractions_become_points_of_any_shape_with_holes() -> None:
    assert to_points([0.5, 79.0], None, where="x").tolist() == [0.5, 79.0]
    assert to_points([0.5, 0.9], "percent", where="x").tolist() == [0.5, 0.9]
    np.testing.assert_array_equal(to_points([np.nan, 79.0], None, where="x"), [np.nan, 79.0])
    np.testing.assert_array_equal(to_points([[0.5], [np.nan]], "fraction", where="x"), [[50.0], [np.nan]])


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ([0.79, 1.0], None, "x: percent or fraction? No number exceeds 1"),
        ([], None, "x: percent or fraction?"),
        ([np.nan, 0.79, 1.5], "fraction", "x: 1.5 is not a fraction"),
        ([79.0, 100.5], None, "x: 100.5 is not an accuracy: name the metric"),
        ([79.0, -2.0], "percent", "x: -2 is not an accuracy"),
        ([79.0, np.inf], None, "x: inf is not an accuracy"),
    ],
)
def test_what_is_not_an_accuracy_is_refused(values: list[float], unit: str | None, message: str) -> None:
    with pytest.raises(StatisticsError) as caught:
        to_points(values, unit, where="x")
    assert str(caught.value).startswith(message)


def test_rounding_leaves_counts_open_where_several_give_the_same_digits() -> None:
    assert "±25 of 50,000" in str(rounding_note(np.array([79.85, 79.8]), 50_000))
    assert rounding_note(np.array([67.93, 67.91]), 10_000) is None  # two decimals are one image
    assert rounding_note(100 * np.array([7 / 9, 8 / 9]), 9) is None
