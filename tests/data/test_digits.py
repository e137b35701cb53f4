"""digits: scikit-learn's scans, split by file order, enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from seedstudy.data import check, info, load, prepare
from seedstudy.data.base import Dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(prepare("digits", cache_dir=tmp_path_factory.mktemp("cache")))


def test_sizes_match_the_static_facts(data: Dataset) -> None:
    facts = info("digits")
    assert len(data.train_images) == len(data.train_labels) == facts.n_train
    assert data.train_images.shape[1:] == (facts.image_size, facts.image_size, 3)
    assert data.train_images.dtype == np.uint8
    assert len(data.classes) == facts.n_classes
    assert len(data.train_labels) + len(data.eval_sets["val"]) == 1797


def test_val_is_the_last_third_of_each_class(data: Dataset) -> None:
    labels = load_digits().target
    val = data.eval_sets["val"]
    source_rows = np.array([int(each.removeprefix("digits-")) for each in val.example_ids])
    np.testing.assert_array_equal(labels[source_rows], val.label_values)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        taken = source_rows[val.label_values == label]
        np.testing.assert_array_equal(taken, members[-len(taken) :])
        assert len(taken) == len(members) // 3


def test_shrinking_an_image_gives_its_scan_back(data: Dataset) -> None:
    val = data.eval_sets["val"]
    source_rows = np.array([int(each.removeprefix("digits-")) for each in val.example_ids])
    pixels = data.images["val"][val.rows].astype(float)
    shrunk = pixels.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4, 5)) * (16 / 255)
    assert np.abs(shrunk - load_digits().images[source_rows]).mean() < 1


def test_real_and_v2_are_named_as_missing(data: Dataset, tmp_path: Path) -> None:
    assert list(data.eval_sets) == ["val"]
    assert set(data.missing) == {"real", "v2"}
    findings = {finding.part: finding for finding in check("digits", tmp_path).parts}
    assert findings["val"].status == "found"
    assert findings["real"].note == data.missing["real"]
