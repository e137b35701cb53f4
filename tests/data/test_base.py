"""EvalSet scores predictions against label sets."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from seedstudy.data.base import EvalSet, label_sets, single_labels


@pytest.fixture
def label_set_judged() -> EvalSet:
    """Three images: {0, 2}, {1}, {0, 1, 3}."""
    belongs = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1]], dtype=bool)
    offsets, values = label_sets(belongs)
    return EvalSet(
        name="real",
        images="val",
        rows=np.array([4, 5, 9]),
        example_ids=np.array(["a", "b", "c"]),
        label_offsets=offsets,
        label_values=values,
    )


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
    offsets, values = label_sets(np.eye(3, dtype=bool)[[2, 0, 1]])
    expected_offsets, expected_values = single_labels(np.array([2, 0, 1]))
    np.testing.assert_array_equal(offsets, expected_offsets)
    np.testing.assert_array_equal(values, expected_values)
    assert offsets.dtype == expected_offsets.dtype == np.int64
    assert values.dtype == expected_values.dtype == np.int32


def test_an_empty_set_is_never_right() -> None:
    offsets, values = label_sets(np.array([[0, 0], [0, 1]], dtype=bool))
    judged = EvalSet(
        name="real",
        images="val",
        rows=np.arange(2),
        example_ids=np.array(["a", "b"]),
        label_offsets=offsets,
        label_values=values,
    )
    assert judged.is_correct(np.array([1, 1])).tolist() == [False, True]


def test_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, seedstudy.data as d; d.names(); d.info('shapes');"
        "print(*{'numpy', 'pyarrow', 'PIL', 'sklearn', 'datasets', 'polars', 'torch'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
