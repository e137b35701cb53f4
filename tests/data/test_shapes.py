"""shapes: equal bytes on every machine, balanced labels, label sets that follow what is visible."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seedstudy.data import check, info, load, prepare
from seedstudy.data.base import Dataset
from seedstudy.data.shapes import CLASSES, SHAPES, VAL_DIFFICULTY, Difficulty, render

PLAIN = dataclasses.replace(
    VAL_DIFFICULTY, second_rate=0, cover_rate=0, noise=(0, 0), blur=(0, 0), texture=(0, 0), off_centre=0, opacity=(1, 1)
)
"""One whole object in the middle of a calm picture."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(prepare("shapes", cache_dir=tmp_path_factory.mktemp("cache")))


def varied(**knobs: object) -> Difficulty:
    return dataclasses.replace(PLAIN, **knobs)  # type: ignore[arg-type]


@pytest.mark.slow
def test_golden_bytes(data: Dataset) -> None:
    """Whoever changes a pixel, a label or their order changes published numbers: say so in the changelog."""
    assert data.fingerprint == "f36dcd6e206c3f5b"


def test_sizes_match_the_static_facts(data: Dataset) -> None:
    facts = info("shapes")
    assert data.train_images.shape == (facts.n_train, facts.image_size, facts.image_size, 3)
    assert data.classes == CLASSES
    assert list(data.eval_sets) == ["val", "real", "v2"]
    assert len(data.eval_sets["val"]) == 5000
    assert len(data.eval_sets["v2"]) == 2500
    assert data.missing == {}


def test_labels_are_balanced(data: Dataset) -> None:
    train = np.bincount(data.train_labels)
    assert train.max() - train.min() <= 1
    for name in ("val", "v2"):
        assert set(np.bincount(data.eval_sets[name].label_values)) == {len(data.eval_sets[name]) // 10}


def test_real_shares_the_pictures_of_val_and_forgives_slips(data: Dataset) -> None:
    val, real = data.eval_sets["val"], data.eval_sets["real"]
    assert real.images == "val"
    assert real.example_ids.tolist() == val.example_ids[real.rows].tolist()
    assert 0.90 < len(real) / len(val) < 0.98  # ReaL keeps 93.7 % of ImageNet-val
    n_labels = np.diff(real.label_offsets)
    assert n_labels.min() == 1
    assert 0.1 < (n_labels == 2).mean() < 0.35
    agrees = real.is_correct(val.label_values[real.rows]).mean()
    assert 0.95 < agrees < 1


def test_a_lone_object_that_shows_is_its_own_label_set() -> None:
    pictures = render(200, varied(colour_cue=1, colour_spread=0), seed=(3,))
    assert pictures.clear.sum(axis=1).max() == 1
    is_clear = pictures.clear.any(axis=1)
    assert is_clear.mean() > 0.85  # a dark bar on a dark backdrop shows too little
    np.testing.assert_array_equal(pictures.clear[is_clear].argmax(axis=1), pictures.labels[is_clear])


def test_a_slip_names_the_smaller_object() -> None:
    knobs = {"second_rate": 1, "second_ratio": (0.6, 0.6), "second_distance": (1.05, 1.05), "radius": (8, 8)}
    always, never = (render(300, varied(**knobs, label_slip=slip), seed=(4,)) for slip in (1, 0))
    # Equal streams: the same pair of classes, sizes swapped; the annotator's label stays balanced.
    np.testing.assert_array_equal(always.labels, never.labels)
    assert (always.images != never.images).any(axis=(1, 2, 3)).all()
    rows = np.arange(300)
    seen_large, seen_small = never.clear[rows, never.labels].mean(), always.clear[rows, always.labels].mean()
    assert seen_large > seen_small


def test_what_cannot_be_seen_is_in_no_label_set() -> None:
    assert not render(100, varied(opacity=(0.05, 0.05)), seed=(5,)).clear.any()
    assert not render(100, varied(cover_rate=1, cover_depth=(0.9, 0.9)), seed=(5,)).clear.any()
    assert not render(100, varied(noise=(2, 2)), seed=(5,)).clear.any()


def test_every_outline_lies_in_the_unit_circle_and_is_a_distance() -> None:
    axis = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    for name, (outline, _) in SHAPES.items():
        distance = outline(x[None], y[None])[0]
        inside = distance < 0
        assert (np.hypot(x, y)[inside] <= 1.03).all(), name
        assert 0.2 < inside.mean() * 9 < np.pi, name
        # A distance never changes faster than one walks.
        steps = np.abs(np.diff(distance, axis=0)) / np.diff(axis)[:, None]
        assert steps.max() < 1.01, name


@pytest.mark.parametrize(
    ("knob", "harder"),
    [("noise", (0.1, 0.1)), ("blur", (1, 1)), ("texture", (0.3, 0.3)), ("turn", 90.0), ("off_centre", 6.0)],
)
def test_every_knob_reaches_the_pixels(knob: str, harder: object) -> None:
    easy, hard = (render(20, each, seed=(6,)).images for each in (PLAIN, varied(**{knob: harder})))
    assert (easy != hard).any(axis=(1, 2, 3)).mean() > 0.8


def test_equal_seeds_give_equal_pictures_and_others_do_not() -> None:
    first, same, other = (render(30, VAL_DIFFICULTY, seed=(seed,)).images for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any(axis=(1, 2, 3)).all()


def test_everything_is_built_in() -> None:
    assert {finding.status for finding in check("shapes").parts} == {"found"}
