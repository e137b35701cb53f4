"""One update shared by processes: the layout decides nothing but rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seedstudy.errors import StudyError
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import check_layout
from seedstudy.study.seeds import Streams
from seedstudy.train.processes import RunningStatistics, Shard
from seedstudy.train.random_state import micro_batch_streams
from tests.imagenet_tree import make_tree

ROOT = Path(__file__).parents[2]


def network_after(micro_batches: list[torch.Tensor], recipe: Recipe) -> nn.BatchNorm2d:
    model = nn.BatchNorm2d(3)
    statistics = RunningStatistics(model, recipe, Shard(micro_batches=range(len(micro_batches))))
    for n, images in enumerate(micro_batches):
        with statistics.micro_batch(n):
            model(images).sum().backward()
    return model


@pytest.fixture(scope="module")
def micro_batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [level + torch.randn(8, 3, 4, 4, generator=generator) for level in (0.0, 2.0, 10.0)]


def test_reduce_moves_statistics_once_an_update_by_the_average(micro_batches: list[torch.Tensor]) -> None:
    model = network_after(micro_batches, replace(load_recipe("a2"), batch_norm_sync="reduce"))
    alone = [network_after([images], load_recipe("a2")) for images in micro_batches]
    assert torch.allclose(model.running_mean, torch.stack([each.running_mean for each in alone]).mean(0), atol=1e-6)
    assert torch.allclose(model.running_var, torch.stack([each.running_var for each in alone]).mean(0), atol=1e-6)
    assert model.num_batches_tracked == 1
    assert model.running_mean.mean() == pytest.approx(0.1 * 4.0, abs=0.02)  # momentum 0.1, batch means 0, 2 and 10


def test_reduce_is_devices_that_keep_their_own_statistics_until_the_epoch_ends() -> None:
    """Timm's ``dist_bn="reduce"``: by hand, three devices over five updates, then the mean."""
    generator = torch.Generator().manual_seed(1)
    updates = [[level + torch.randn(8, 3, 4, 4, generator=generator) for level in (0.0, 3.0, -5.0)] for _ in range(5)]
    devices = [nn.BatchNorm2d(3) for _ in range(3)]
    ours = nn.BatchNorm2d(3)
    statistics = RunningStatistics(
        ours, replace(load_recipe("a2"), batch_norm_sync="reduce"), Shard(micro_batches=range(3))
    )
    for update in updates:
        for n, images in enumerate(update):
            devices[n](images)
            with statistics.micro_batch(n):
                ours(images)
    assert torch.allclose(ours.running_mean, torch.stack([d.running_mean for d in devices]).mean(0), atol=1e-6)
    assert torch.allclose(ours.running_var, torch.stack([d.running_var for d in devices]).mean(0), atol=1e-6)
    assert ours.num_batches_tracked == 5


def test_none_moves_statistics_by_the_first_micro_batch_alone(micro_batches: list[torch.Tensor]) -> None:
    model = network_after(micro_batches, replace(load_recipe("a2"), batch_norm_sync="none"))
    first = network_after(micro_batches[:1], load_recipe("a2"))
    assert torch.equal(model.running_mean, first.running_mean)
    assert torch.equal(model.running_var, first.running_var)


def test_one_micro_batch_is_plain_batch_norm(micro_batches: list[torch.Tensor]) -> None:
    plain = nn.BatchNorm2d(3)
    plain(micro_batches[1])
    ours = network_after(micro_batches[1:2], load_recipe("a2"))
    assert torch.equal(ours.running_var, plain.running_var)


def test_micro_batches_draw_from_streams_of_their_own() -> None:
    streams = Streams(seed=5)
    drawn = {micro_batch_streams(streams, n).of(purpose) for n in range(4) for purpose in ("augment", "mix", "drop")}
    assert len(drawn) == 12
    assert micro_batch_streams(streams, 0).of("mix") == streams.of("mix")
    assert micro_batch_streams(streams, 3).of("init") == streams.of("init")


def test_a_recipes_own_layout_is_four_micro_batches() -> None:
    assert list(Shard.of_update(load_recipe("a2")).micro_batches) == [0, 1, 2, 3]


def test_micro_batches_that_cannot_be_shared_equally_are_refused() -> None:
    check_layout(load_recipe("a2"), 2)
    with pytest.raises(StudyError, match=r"recipe a2: an update has 4 micro-batches .* 3 processes cannot share"):
        check_layout(load_recipe("a2"), 3)


# --- real processes -----------------------------------------------------------------------------------------

Train = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    folder = tmp_path_factory.mktemp("layouts")
    tree = make_tree(folder / "imagenet", n_train=8, n_val=3)
    (tree / "val" / "n01440764" / "ILSVRC2012_val_00000001.JPEG").write_bytes(  # val: 16 images, ReaL: 15
        next((tree / "val" / "n01440764").iterdir()).read_bytes()
    )

    def call(n_processes: int, micro_batch: int, *, sync: str = "reduce", streamed: bool = False) -> dict[str, Any]:
        out = folder / f"{n_processes}-{micro_batch}-{sync}-{streamed}.npz"
        if not out.exists():
            launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            script = [str(ROOT / "tests" / "train" / "layout_trial.py"), str(out), str(micro_batch), sync]
            more = [str(tree), str(folder / "cache")] if streamed else []
            done = subprocess.run(
                [*launcher, f"--nproc-per-node={n_processes}", *script, *more],
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SEEDSTUDY_LOADERS": "0"},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
        return dict(np.load(out))

    return call


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_two_processes_equal_one_with_two_micro_batches(train: Train, streamed: bool) -> None:
    one, two = train(1, 8, streamed=streamed), train(2, 8, streamed=streamed)
    assert (one.pop("n_processes"), two.pop("n_processes")) == (1, 2)
    assert set(one) == set(two)
    assert {key for key in one if key.endswith("counts")} >= {"val.counts", "real.counts"}
    for key, value in one.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(two[key], value, rtol=2e-4, atol=2e-5, err_msg=key)
        else:
            np.testing.assert_array_equal(two[key], value, err_msg=key)


@pytest.mark.slow
def test_an_odd_number_of_images_is_counted_once_each(train: Train) -> None:
    assert train(2, 8)["val.counts"][0] == 41
    assert len(train(2, 8)["val.predicted"]) == 41


@pytest.mark.slow
def test_other_micro_batches_are_another_training(train: Train) -> None:
    """Batch norm sees the micro-batch: were the layouts above equal by chance, these would be too."""
    one, two = train(1, 8), train(1, 16)
    assert not np.allclose(one["train_loss"], two["train_loss"], rtol=2e-4)
