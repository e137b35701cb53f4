"""Eval sets: their layout, and predictions judged by label sets."""

from __future__ import annotations

import numpy as np
import pytest

from seedstudy.data.base import EvalSet

IDS = np.array(["a", "b", "c"])


@pytest.fixture
def label_set_judged() -> EvalSet:
    """Three images: {0, 2}, {1}, {0, 1, 3}."""
    return EvalSet.of_labels("val", np.array([0, 1, 1]), IDS).with_label_sets("real", [[0, 2], [1], [0, 1, 3]])


def test_any_label_of_the_set_is_right(label_set_judged: EvalSet) -> None:
    for label, right in {0: [1, 0, 1], 1: [0, 1, 1], 2: [1, 0, 0], 3: [0, 0, 1]}.items():
        answer = label_set_judged.is_correct(np.full(3, label))
        assert answer.dtype == np.bool_
        assert answer.tolist() == [bool(each) for each in right]


def test_columns_are_judged_one_by_one(label_set_judged: EvalSet) -> None:
    best_two = np.array([[2, 3], [0, 1], [2, 2]])
    assert label_set_judged.is_correct(best_two).tolist() == [[True, False], [False, True], [False, False]]


def test_another_number_of_predictions_is_refused(label_set_judged: EvalSet) -> None:
    with pytest.raises(ValueError, match="3 images in real, but 2 predictions"):
        label_set_judged.is_correct(np.zeros(2, dtype=int))


def test_label_sets_and_single_labels_have_one_layout() -> None:
    single = EvalSet.of_labels("val", np.array([2, 0, 1]), IDS)
    sets = single.with_label_sets("real", [np.array([2]), [0], (1,)])
    np.testing.assert_array_equal(sets.label_offsets, single.label_offsets)
    np.testing.assert_array_equal(sets.label_values, single.label_values)
    assert sets.label_offsets.dtype == single.label_offsets.dtype == sets.rows.dtype == np.int64
    assert sets.label_values.dtype == single.label_values.dtype == np.int32
    assert (single.images, sets.images, sets.name) == ("val", "val", "real")


def test_images_without_a_label_are_left_out() -> None:
    judged = EvalSet.of_labels("val", np.array([0, 1, 2]), IDS).with_label_sets("real", [[], [1, 2], [0]])
    assert (judged.rows.tolist(), judged.example_ids.tolist()) == ([1, 2], ["b", "c"])
    assert judged.label_offsets.tolist() == [0, 2, 3]
    assert judged.is_correct(np.array([2, 2])).tolist() == [True, False]


def test_an_empty_set_is_never_right() -> None:
    judged = EvalSet(
        name="real",
        images="val",
        rows=np.arange(2),
        example_ids=np.array(["a", "b"]),
        label_offsets=np.array([0, 0, 1]),
        label_values=np.array([1], dtype=np.int32),
    )
    assert judged.is_correct(np.array([1, 1])).tolist() == [False, True]
