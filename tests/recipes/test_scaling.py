from __future__ import annotations

import math

import pytest

from seedstudy.errors import RecipeError
from seedstudy.recipes.reader import load_recipe, read_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import DataFacts, scale
from tests.recipes.changes import changes


def _scaled(name: str, *, n_train: int, epochs: int | None = None, ratio: float = 0.1) -> Recipe:
    data = DataFacts(name="d", n_train=n_train, image_size=32, epoch_ratio=ratio)
    return scale(load_recipe(name), data, epochs=epochs)


def test_scaling_follows_the_written_rule() -> None:
    a3 = _scaled("a3", n_train=50_000)
    assert (a3.epochs, a3.batch_size, a3.micro_batch) == (10, 128, 128)
    assert (a3.train_size, a3.test_size, a3.test_crop) == (24, 32, 1.0)
    assert a3.warmup_epochs / a3.epochs == pytest.approx(5 / 100)
    assert a3.schedule_per == "update"
    # sqrt(128/2048) for the batch, sqrt(62500 / 3900) for the updates; both by hand
    assert a3.lr == pytest.approx(8e-3 * math.sqrt(128 / 2048 * 62_500 / 3_900))
    assert a3.lr / a3.min_lr == pytest.approx(8e-3 / 1e-6)
    assert a3.sources["lr"] == "scaled to d from 0.008"
    unscaled = {"repeated_augmentation", "randaugment", "mixup_alpha", "drop_path", "loss", "weight_decay"}
    assert {key: a3.values()[key] for key in unscaled} == {key: load_recipe("a3").values()[key] for key in unscaled}


def test_scaling_bounds_the_learning_rate_and_the_batch() -> None:
    short = _scaled("a2", n_train=1000, epochs=1)
    assert short.lr == pytest.approx(10 * 5e-3)
    assert _scaled("a2", n_train=100).batch_size == 64
    assert _scaled("a2", n_train=1_281_167).batch_size == 2048


def test_scaled_epochs_can_be_named() -> None:
    assert _scaled("a2", n_train=5000, epochs=3).warmup_epochs == pytest.approx(5 / 300 * 3)


def test_on_imagenet_a_recipe_is_used_as_written() -> None:
    a2 = load_recipe("a2")
    imagenet = DataFacts(name="imagenet", n_train=1_281_167, image_size=None, epoch_ratio=1.0)
    assert scale(a2, imagenet).recipe_id == a2.recipe_id
    short = scale(a2, imagenet, epochs=30)
    assert [key for key, _, _ in changes(a2, short)] == ["epochs", "warmup_epochs"]
    assert (short.epochs, short.warmup_epochs) == (30, 0.5)


def test_a_scaled_learning_rate_moves_at_every_update_and_does_not_lag() -> None:
    assert load_recipe("deit").lr_lag == 1
    assert _scaled("deit", n_train=50_000).lr_lag == 0
    with pytest.raises(RecipeError, match=r"lr_lag = 1 counts epochs: it needs schedule_per = \"epoch\""):
        with_values(load_recipe("deit"), ["schedule_per=update"])


def test_scaling_keeps_the_shape_of_step_schedules_and_of_the_average() -> None:
    rs00 = read_recipe("rs00").for_model("resnet200", given={"micro_batch": 256})
    data = DataFacts(name="d", n_train=50_000, image_size=32, epoch_ratio=0.1)
    short = scale(rs00, data)
    assert short.schedule == "steps-3,6,8-x0.1"
    assert short.lr == pytest.approx(1.6 * 128 / 4096)  # linear in the batch
    average = load_recipe("torchvision2")
    short = scale(average, data, epochs=12)
    old, new = 600 * (1_281_167 // 1024) / 32, 12 * (50_000 // 128) / 1  # updates of the average
    assert short.ema_every == 1
    assert (1 - short.ema_decay) * new == pytest.approx((1 - average.ema_decay) * old)  # type: ignore[operator]
    assert short.ema_start_epochs == pytest.approx(5 / 600 * 12)
