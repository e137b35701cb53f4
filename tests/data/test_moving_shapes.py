"""moving_shapes: equal bytes on every machine, and a single frame says nothing of the motion."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from seedstudy.data import check, info, load, prepare
from seedstudy.data.base import Dataset
from seedstudy.data.moving_shapes import (
    CLASSES,
    KINDS,
    MOTIONS,
    N_FRAMES,
    VAL_DIFFICULTY,
    Movers,
    draw_movers,
    render,
)
from seedstudy.data.shapes import IMAGE_SIZE


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(prepare("moving_shapes", cache_dir=tmp_path_factory.mktemp("cache")))


@pytest.mark.slow
def test_golden_bytes(data: Dataset) -> None:
    """Whoever changes a pixel, a label or their order changes published numbers: say so in the changelog."""
    assert data.fingerprint == "aa77076e683b23f9"


def test_sizes_match_the_static_facts(data: Dataset) -> None:
    facts = info("moving_shapes")
    assert data.train_images.shape == (facts.n_train, N_FRAMES, facts.image_size, facts.image_size, 3)
    assert data.classes == CLASSES
    assert list(data.eval_sets) == ["val", "real", "v2"]
    assert data.holds_videos
    assert data.image_size == IMAGE_SIZE
    assert data.missing == {}


def test_labels_are_balanced(data: Dataset) -> None:
    counts = [np.bincount(data.train_labels)]
    counts += [np.bincount(data.eval_sets[name].label_values) for name in ("val", "v2")]
    assert all(len(set(each)) == 1 for each in counts)


def test_real_shares_the_clips_of_val_and_forgives_slips(data: Dataset) -> None:
    val, real = data.eval_sets["val"], data.eval_sets["real"]
    assert real.images == "val"
    assert 0.9 < len(real) / len(val) < 1  # nearly all videos have an object that shows in half of the frames
    n_labels = np.diff(real.label_offsets)
    assert n_labels.min() == 1
    assert 0.05 < (n_labels == 2).mean() < 0.35
    assert real.is_correct(val.label_values[real.rows]).mean() > 0.95


def test_equal_seeds_give_equal_clips_and_others_do_not() -> None:
    first, same, other = (render(24, VAL_DIFFICULTY, seed=(seed,)).images for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any(axis=(1, 2, 3, 4)).all()


def test_everything_is_built_in() -> None:
    assert {finding.status for finding in check("moving_shapes").parts} == {"found"}


# --- a single frame says nothing of the motion -----------------------------------------------------------------


def movers(motion: str, n: int = 4000) -> Movers:
    labels = np.full(n, MOTIONS.index(motion), dtype=np.int64)
    return draw_movers(np.random.default_rng(5), VAL_DIFFICULTY, labels, np.ones(n, dtype=np.bool_))


@pytest.mark.parametrize("frame", [0, 3, N_FRAMES - 1])
def test_in_every_frame_an_object_may_be_anywhere_whatever_its_motion(frame: int) -> None:
    for motion in MOTIONS:
        place = movers(motion).at(frame) / IMAGE_SIZE
        assert place.min() >= 0
        assert place.max() <= 1
        for column in place.T:
            assert stats.kstest(column, "uniform").pvalue > 1e-4, motion
        assert abs(np.corrcoef(place.T) - np.eye(2)).max() < 0.07, motion


def test_nothing_else_depends_on_the_motion() -> None:
    first, *others = (movers(motion, 50) for motion in MOTIONS)
    for other in others:
        for name in ("start", "radius", "heading", "colour", "opacity"):
            np.testing.assert_array_equal(getattr(first, name), getattr(other, name))


def test_of_a_single_frame_no_motion_is_learned_and_of_two_frames_it_is() -> None:
    """A forest on pixels, trained on one half of 1,200 plain clips and tested on the other, against chance (1 in 4)."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    plain = replace(VAL_DIFFICULTY, second_rate=0, opacity=(1, 1), noise=(0, 0), texture=(0, 0), blur=(0, 0))
    clips = render(1200, plain, seed=(11,))
    motions = clips.labels % len(MOTIONS)
    grey = clips.images.astype(np.float32).mean(axis=4)[:, :, ::2, ::2]
    single = grey[:, 4].reshape(len(grey), -1)
    moved = np.abs(grey[:, 5] - grey[:, 4])
    # Where an object was and where it is: sums along rows and columns of what changed, and of either frame.
    pair = np.concatenate([moved.mean(axis=1), moved.mean(axis=2), moved.reshape(len(grey), -1)], axis=1)

    def n_right(features: np.ndarray) -> int:
        forest = ensemble.RandomForestClassifier(200, random_state=0).fit(features[:600], motions[:600])
        return int((forest.predict(features[600:]) == motions[600:]).sum())

    assert stats.binomtest(n_right(single), 600, 1 / len(MOTIONS)).pvalue > 0.01
    assert stats.binomtest(n_right(pair), 600, 1 / len(MOTIONS), alternative="greater").pvalue < 1e-6


def test_all_motions_look_alike_in_a_mirror() -> None:
    """A flipped clip is still one of its class: only `sideways` moves along x, and in both directions."""
    steps = movers("sideways").step
    assert 0.45 < (steps[:, 0] > 0).mean() < 0.55
    assert all((movers(motion).step[:, 0] == 0).all() for motion in MOTIONS if motion != "sideways")


def test_a_class_is_a_shape_and_a_motion() -> None:
    assert len(CLASSES) == len(KINDS) * len(MOTIONS) == len(set(CLASSES))
    assert "square up" in CLASSES


@pytest.mark.parametrize(
    ("knob", "harder"), [("noise", (0.2, 0.2)), ("blur", (1, 1)), ("texture", (0.4, 0.4)), ("speed", (5, 5))]
)
def test_every_knob_reaches_the_pixels(knob: str, harder: object) -> None:
    hard = dataclasses.replace(VAL_DIFFICULTY, **{knob: harder})  # type: ignore[arg-type]
    easy, other = (render(24, each, seed=(6,)).images for each in (VAL_DIFFICULTY, hard))
    assert (easy != other).any(axis=(2, 3, 4)).mean() > 0.3
