"""Training and testing on clips: which frames, alike in all of them, averaged over views, resumed bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from seedstudy.data.base import Dataset
from seedstudy.errors import RecipeError, StudyError
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Augmentation, Trial
from seedstudy.train.checkpoint import Checkpoints, Stopped
from seedstudy.train.clips import random_frames, spread_frames, unfolded
from seedstudy.train.evaluate import averaged, eval_images, evaluate
from seedstudy.train.feed import MicroBatch, PilAugmenter, TensorAugmenter
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.random_state import RandomStream
from seedstudy.train.stacks import train_stacked
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset
from tests.train.test_trial import outcome

N_VIDEO = 10


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def of_videos(data: Dataset, n_video: int = N_VIDEO) -> Dataset:
    """Return videos of the images of a data set: frame k of each is the image with k added to all its levels."""

    def moving(images: np.ndarray) -> np.ndarray:
        dark = images[:, None] // 2
        return (dark + np.arange(n_video, dtype=np.uint8)[:, None, None, None] * 10).astype(np.uint8)

    return replace(
        data,
        train_images=moving(data.train_images),
        images={key: moving(images) for key, images in data.images.items()},
    )


@pytest.fixture(scope="module")
def videos() -> Dataset:
    return of_videos(make_dataset())


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return with_values(tiny_recipe, ["clip_frames=4", "clip_stride=2", "test_clips=3", "drop_path=0.3", "lr=0.05"])


MakeTrial = Callable[..., Trial]


def on_clips(make_trial: MakeTrial, seed: int, **changes: Any) -> Trial:
    return replace(make_trial(seed, **changes), model="resnet8_nano_3d")


# --- which frames ------------------------------------------------------------------------------------------------


def test_a_random_clip_lies_anywhere_in_the_video() -> None:
    rows = random_frames(10, 4, 2, np.linspace(0, 1, 401)[:-1])
    assert set(rows[:, 0]) == {0, 1, 2, 3}  # 10 - 3 * 2 starts
    assert (np.diff(rows, axis=1) == 2).all()
    assert rows.max() == 9


def test_a_short_video_begins_anywhere_and_is_repeated() -> None:
    rows = random_frames(3, 4, 1, np.linspace(0, 1, 301)[:-1])
    assert set(rows[:, 0]) == {0, 1, 2}
    assert (np.diff(rows, axis=1) % 3 == 1).all()
    assert spread_frames(3, 4, 1, 2).tolist() == [[0, 1, 2, 0], [0, 1, 2, 0]]


def test_test_clips_are_spread_over_the_video() -> None:
    assert spread_frames(250, 32, 2, 10)[:, 0].tolist() == [0, 20, 41, 62, 82, 103, 124, 144, 165, 186]
    assert spread_frames(250, 32, 2, 1)[:, 0].tolist() == [93]


# --- alike in all frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(Augmentation))
def test_all_frames_of_a_clip_are_augmented_alike(kind: Augmentation, videos: Dataset, recipe: Recipe) -> None:
    still = replace(videos, train_images=np.repeat(videos.train_images[:, :1], N_VIDEO, axis=1))
    lively = with_values(
        recipe, ["randaugment=rand-m9-mstd0.5-inc1", "hflip=0.5", "train_size=12", "train_interpolation=random"]
    )
    augment = PilAugmenter(lively, still) if kind == "pil" else TensorAugmenter(lively, still, torch.device("cpu"))
    (batch,) = augment([MicroBatch(rows=np.arange(8), stream=RandomStream(0), position=(0, 0))])
    assert batch.shape == (8, 3 * 4, 12, 12)
    frames = unfolded(batch, 4).unflatten(0, (8, 4))
    assert torch.equal(frames, frames[:, :1].expand_as(frames))
    assert not torch.equal(frames[0], frames[1])


@pytest.mark.parametrize("kind", get_args(Augmentation))
def test_the_same_rectangle_is_erased_in_all_frames(kind: Augmentation, videos: Dataset, recipe: Recipe) -> None:
    flat = replace(videos, train_images=np.full_like(videos.train_images, 100))
    erasing = with_values(recipe, ["random_erasing=1.0", "random_erasing_fill=pixel", "randaugment=none"])
    augment = PilAugmenter(erasing, flat) if kind == "pil" else TensorAugmenter(erasing, flat, torch.device("cpu"))
    (batch,) = augment([MicroBatch(rows=np.arange(8), stream=RandomStream(0), position=(0, 0))])
    background = float(batch.flatten().mode().values)
    is_erased = (unfolded(batch, 4) - background).abs().amax(1).unflatten(0, (8, 4)) > 1e-3
    assert is_erased.flatten(1).any(1).all()
    assert torch.equal(is_erased, is_erased[:, :1].expand_as(is_erased))


@pytest.mark.parametrize("kind", get_args(Augmentation))
def test_a_training_clip_is_a_run_of_frames_that_begins_anywhere(
    kind: Augmentation, videos: Dataset, recipe: Recipe
) -> None:
    numbered = np.zeros_like(videos.train_images) + np.arange(N_VIDEO, dtype=np.uint8)[:, None, None, None]
    plain = with_values(
        recipe, ["randaugment=none", "crop_scale=[1.0, 1.0]", "crop_ratio=[1.0, 1.0]", "color_jitter=none"]
    )
    data = replace(videos, train_images=numbered, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
    augment = PilAugmenter(plain, data) if kind == "pil" else TensorAugmenter(plain, data, torch.device("cpu"))
    rows = np.tile(np.arange(16), 8)
    (batch,) = augment([MicroBatch(rows=rows, stream=RandomStream(0), position=(0, 0))])
    numbers = unfolded(batch, 4).unflatten(0, (len(rows), 4))[:, :, 0, 0, 0].round().long()
    assert set(numbers[:, 0].tolist()) == {0, 1, 2, 3}
    assert (numbers.diff(dim=1) == 2).all()


# --- views -----------------------------------------------------------------------------------------------------------


def test_probabilities_of_views_are_averaged() -> None:
    logits = torch.randn(5, 4, 7, generator=torch.Generator().manual_seed(0))
    mean = averaged(logits, "softmax").softmax(1)
    torch.testing.assert_close(mean, logits.softmax(2).mean(1))
    torch.testing.assert_close(averaged(logits, "sigmoid").sigmoid(), logits.sigmoid().mean(1))


class _Sees(nn.Module):
    """Says of a clip which frame it begins with, and of each crop where it lies."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0].mean((1, 2)), x[:, -1].mean((1, 2))], dim=1)


def test_a_network_sees_every_view_of_a_video_in_a_row(videos: Dataset, recipe: Recipe) -> None:
    preprocessing = replace(
        Preprocessing.from_recipe(recipe, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)), n_crops=3
    )
    numbered = np.zeros((2, N_VIDEO, 24, 24, 3), dtype=np.uint8)
    numbered += np.arange(N_VIDEO, dtype=np.uint8)[None, :, None, None, None]
    (batch,) = eval_images(numbered, preprocessing)
    assert batch.shape == (2 * 9, 3 * 4, preprocessing.size, preprocessing.size)
    first = batch[:, 0].mean((1, 2)).round().tolist()
    assert first == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2


def test_crops_are_spread_along_the_longer_side(recipe: Recipe) -> None:
    wide = np.zeros((1, 4, 16, 48, 3), dtype=np.uint8)
    wide += np.arange(48, dtype=np.uint8)[None, None, None, :, None]
    preprocessing = replace(
        Preprocessing.from_recipe(recipe, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)),
        size=16, crop=1.0, n_clips=1, n_crops=3, clip_stride=1,
    )  # fmt: skip
    (batch,) = eval_images(wide, preprocessing)
    assert batch[:, 0, 0, 0].round().tolist() == [0, 16, 32]
    tall = wide.transpose(0, 1, 3, 2, 4)
    (batch,) = eval_images(np.ascontiguousarray(tall), preprocessing)
    assert batch[:, 0, 0, 0].round().tolist() == [0, 16, 32]


def test_one_view_in_any_batch_counts_what_several_equal_ones_count(videos: Dataset, recipe: Recipe) -> None:
    still = replace(videos, images={key: np.repeat(each[:, :1], N_VIDEO, 1) for key, each in videos.images.items()})
    preprocessing = Preprocessing.from_recipe(recipe, mean=videos.mean, std=videos.std)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12 * preprocessing.size**2, len(videos.classes)))
    once, thrice = (
        evaluate(network, still, ("val",), replace(preprocessing, n_clips=n), torch.device("cpu"))["val"]
        for n in (1, 3)
    )
    assert once.n_examples == thrice.n_examples == len(videos.eval_sets["val"])
    np.testing.assert_array_equal(once.predicted, thrice.predicted)
    np.testing.assert_allclose(once.confidence, thrice.confidence, rtol=1e-5)


# --- trials ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", get_args(Augmentation))
def test_the_same_trial_twice_is_identical_and_another_seed_is_not(
    augment: Augmentation, videos: Dataset, make_trial: MakeTrial, recipe: Recipe
) -> None:
    trials = [on_clips(make_trial, seed, recipe=recipe, augment=augment) for seed in (3, 3, 4)]
    first, again, other = (outcome(train_trial(trial, videos)) for trial in trials)
    assert first == again != other


@pytest.mark.parametrize("augment", get_args(Augmentation))
def test_a_trial_on_clips_resumes_bit_for_bit(
    augment: Augmentation, videos: Dataset, make_trial: MakeTrial, recipe: Recipe, tmp_path: Path
) -> None:
    lively = with_values(recipe, ["ema_decay=0.9", "cutmix_alpha=1.0"])
    trial = on_clips(make_trial, 5, recipe=lively, augment=augment)
    whole = train_trial(trial, videos)
    stops, path = iter([False, False, True]), tmp_path / "checkpoint.pt"
    checkpoints = Checkpoints(path, trial.trial_id, should_stop=lambda: next(stops))
    with pytest.raises(Stopped):
        train_trial(trial, videos, checkpoints=checkpoints)
    assert path.exists()
    assert outcome(train_trial(trial, videos, checkpoints=Checkpoints(path, trial.trial_id))) == outcome(whole)


def test_a_stack_of_seeds_learns_clips_as_each_seed_alone(
    videos: Dataset, make_trial: MakeTrial, recipe: Recipe
) -> None:
    plain = with_values(recipe, ["drop_path=0.0"])
    trials = [on_clips(make_trial, seed, recipe=plain) for seed in (0, 1)]
    for single, stacked in zip([train_trial(t, videos) for t in trials], train_stacked(trials, videos), strict=True):
        assert single.curves[0].train_loss == pytest.approx(stacked.curves[0].train_loss, rel=1e-3)


# --- wrong input -----------------------------------------------------------------------------------------------------


def test_videos_need_a_recipe_for_clips_and_images_one_for_images(
    data: Dataset, videos: Dataset, recipe: Recipe
) -> None:
    for holder, shown in ((videos, replace(recipe, clip_frames=None, clip_stride=1, test_clips=1)), (data, recipe)):
        preprocessing = Preprocessing.from_recipe(shown, mean=data.mean, std=data.std)
        with pytest.raises(StudyError, match="clip_frames"):
            evaluate(_Sees(), holder, ("val",), preprocessing, torch.device("cpu"))


def test_views_without_clips_are_a_contradiction() -> None:
    with pytest.raises(RecipeError, match="test_clips = 3 is about clips: set clip_frames too"):
        with_values(load_recipe("a3"), ["test_clips=3"])


def test_ids_of_recipes_for_images_are_what_they_were(make_trial: MakeTrial) -> None:
    assert "clip_frames" not in load_recipe("a3").spelled_out()
    assert make_trial(0).to_dict()["format"] == 2
    assert make_trial(0, recipe=replace(load_recipe("a3"), clip_frames=4)).to_dict()["format"] == 4
