from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Augmentation
from seedstudy.train import evaluate
from seedstudy.train.evaluate import eval_images
from seedstudy.train.feed import MicroBatch, PilAugmenter, TensorAugmenter, epoch_order
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.random_state import RandomStream


def test_repeated_augmentation_draws_each_image_three_times_and_keeps_the_epoch_length() -> None:
    recipe = load_recipe("a2")
    n_train = 1_281_167
    order = epoch_order(n_train, recipe, seed=0)
    assert order.shape == (625, 4, 512)
    rows, counts = np.unique(order, return_counts=True)
    assert len(rows) == pytest.approx(427_008, abs=400)  # 625 * 2048 / 3 different images an epoch
    assert set(counts) == {3} or sorted(set(counts))[-1] == 3
    assert (counts == 3).mean() > 0.999


def test_copies_of_one_image_meet_in_one_update_but_in_different_micro_batches() -> None:
    recipe = replace(load_recipe("a2"), batch_size=24, micro_batch=6)
    for update in epoch_order(240, recipe, seed=1):
        for micro in update:
            assert len(set(micro)) == len(micro)


def test_without_repeated_augmentation_each_image_is_drawn_once() -> None:
    order = epoch_order(4096, load_recipe("a3"), seed=0)
    assert len(np.unique(order)) == order.size == 4096


def test_order_follows_its_seed_alone() -> None:
    recipe = load_recipe("a3")
    assert np.array_equal(epoch_order(4096, recipe, seed=1), epoch_order(4096, recipe, seed=1))
    assert not np.array_equal(epoch_order(4096, recipe, seed=1), epoch_order(4096, recipe, seed=2))


def test_random_stream_goes_on_where_it_stopped() -> None:
    def draws(stream: RandomStream) -> list[float]:
        with stream.active():
            return [float(torch.rand(1)), float(np.random.rand())]  # noqa: NPY002  # timm's generator

    once, twice = RandomStream(1), RandomStream(1)
    first, second = draws(once), draws(once)
    assert first != second
    assert draws(twice) == first
    draws(RandomStream(2))
    assert draws(twice) == second


@pytest.mark.parametrize("kind", get_args(Augmentation))
def test_augmented_batch_has_the_recipes_size_and_scale(kind: Augmentation, data: Dataset, tiny_recipe: Recipe) -> None:
    recipe = replace(tiny_recipe, train_size=12, random_erasing=1.0)
    is_pil = kind == "pil"
    augment = PilAugmenter(recipe, data) if is_pil else TensorAugmenter(recipe, data, torch.device("cpu"))
    (batch,) = augment([MicroBatch(rows=np.arange(8), stream=RandomStream(0), position=(0, 0))])
    assert batch.shape == (8, 3, 12, 12)
    assert batch.dtype == torch.float32
    assert 0.5 < float(batch.std()) < 2


def test_normaliser_takes_out_mean_and_std(data: Dataset) -> None:
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = (torch.tensor([0.0, 127 / 255, 1.0]) - 0.5) / 0.25
    normaliser = Normaliser(data.mean, data.std)
    assert torch.allclose(normaliser.in_one_step(pixels).flatten(), expected, atol=1e-6)
    assert torch.allclose(normaliser.in_two_steps(pixels).flatten(), expected, atol=1e-6)


def shown(recipe: Recipe, data: Dataset) -> Preprocessing:
    return Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std)


def test_native_test_images_are_not_touched(
    data: Dataset, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_EVAL_BATCH", 7)
    images = data.images["val"]
    batches = list(eval_images(images, shown(tiny_recipe, data)))
    assert [len(batch) for batch in batches] == [7] * 5 + [5]
    restored = torch.cat(batches) * 0.25 + 0.5
    assert torch.allclose(restored.permute(0, 2, 3, 1), torch.from_numpy(images / 255).float(), atol=1e-6)


def test_other_test_sizes_are_resized_and_cropped(data: Dataset, tiny_recipe: Recipe) -> None:
    recipe = replace(tiny_recipe, test_size=20, test_crop=0.9)
    assert next(eval_images(data.images["val"], shown(recipe, data))).shape == (40, 3, 20, 20)
