"""Images that stay encoded on disk: what a trial sees does not depend on who decodes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from seedstudy import data as datasets
from seedstudy.data.base import Dataset
from seedstudy.errors import DataError
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import Trial, TrialResult
from seedstudy.train.checkpoint import Checkpoints, Stopped
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import epoch_streams
from seedstudy.train.streaming import StreamFeed, eval_stream
from seedstudy.train.trial import train_trial
from tests.imagenet_tree import CLASSES, make_tree

CPU = torch.device("cpu")
MakeTrial = Callable[..., Trial]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "0")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("streaming")
    tree = make_tree(folder / "imagenet", n_train=8)
    return datasets.load(datasets.prepare("imagenet", data_dir=tree, cache_dir=folder / "cache"))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """A2 at 32 px: an epoch of two updates, each of two micro-batches of 8."""
    values = ["batch_size=16", "micro_batch=8", "train_size=32", "test_size=32", "epochs=2", "warmup_epochs=0.5"]
    return with_values(load_recipe("a2"), [*values, "drop_path=0.5", "lr=0.05"])


def epoch_of(data: Dataset, recipe: Recipe, seed: int = 0, epoch: int = 0, **options: int) -> list[torch.Tensor]:
    shard, streams = Shard(micro_batches=range(2)), Streams(seed=seed)
    feed = StreamFeed(data, recipe, shard, CPU)
    random = epoch_streams(streams, epoch, shard.micro_batches)
    return [batch for update in feed.epoch(streams, epoch, random, **options) for pair in update for batch in pair]


def outcome(result: TrialResult) -> tuple[bytes, ...]:
    assert result.status == "ok"
    return tuple(e.predicted.tobytes() + e.confidence.tobytes() for e in result.evaluations.values())


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_has_whole_updates_of_whole_micro_batches(stored: Dataset, recipe: Recipe) -> None:
    images, labels = epoch_of(stored, recipe)[::2], epoch_of(stored, recipe)[1::2]
    assert [tuple(each.shape) for each in images] == [(8, 3, 32, 32)] * 4
    assert images[0].dtype == torch.float32
    assert set(torch.cat(labels).tolist()) <= {0, 1, 217, 491, 999}


@pytest.mark.slow
@pytest.mark.parametrize("values", [["random_erasing=0"], ["random_erasing=1"]])
def test_worker_processes_decide_nothing(
    values: list[str], stored: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = with_values(recipe, values)
    here = epoch_of(stored, recipe)
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "2")
    assert same(epoch_of(stored, recipe), here)


@pytest.fixture
def start_method(request: pytest.FixtureRequest) -> Iterator[None]:
    usual = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method(request.param, force=True)
    yield
    torch.multiprocessing.set_start_method(usual, force=True)


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"], indirect=True)
@pytest.mark.usefixtures("start_method")
def test_worker_processes_need_not_be_forked(stored: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS processes are spawned; from Python 3.14 on, Linux has a fork server."""
    here = epoch_of(stored, recipe)
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "1")
    assert same(epoch_of(stored, recipe), here)


def test_seed_and_epoch_decide_everything(stored: Dataset, recipe: Recipe) -> None:
    first = epoch_of(stored, recipe)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  # what others draw must not matter
    assert same(epoch_of(stored, recipe), first)
    assert not same(epoch_of(stored, recipe, seed=1), first)
    assert not same(epoch_of(stored, recipe, epoch=1), first)


@pytest.mark.slow
def test_copies_of_one_image_are_augmented_each_in_its_own_way(stored: Dataset, recipe: Recipe) -> None:
    alike = with_values(recipe, ["repeated_augmentation=3"])
    images = torch.cat(epoch_of(stored, alike)[::2])
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_an_epoch_goes_on_in_its_middle(stored: Dataset, recipe: Recipe) -> None:
    assert same(epoch_of(stored, recipe, first_update=1), epoch_of(stored, recipe)[4:])


@pytest.mark.parametrize(
    "values",
    [
        ["test_size=32", "test_crop=0.95"],
        ["test_size=40", "test_crop=0.875", "test_interpolation=bilinear"],
    ],
)
def test_eval_images_are_timms_to_the_pixel(values: list[str], stored: Dataset, recipe: Recipe) -> None:
    recipe = with_values(recipe, values)
    images = stored.stored["val"]
    shown = Preprocessing.from_recipe(recipe, mean=stored.mean, std=stored.std)
    batch = torch.cat(list(eval_stream(images, np.arange(len(images)), shown, CPU)))
    transform = create_transform(
        (3, recipe.test_size, recipe.test_size),
        is_training=False,
        interpolation=recipe.test_interpolation,
        mean=stored.mean,
        std=stored.std,
        crop_pct=recipe.test_crop,
    )
    expected = []
    for row in range(len(images)):
        path = Path(images.where(row))
        with Image.open(path) as image:
            expected.append(transform(image.convert("RGB")))
    assert torch.allclose(batch, torch.stack(expected), atol=1e-6)


@pytest.mark.slow
def test_same_trial_twice_is_identical(stored: Dataset, recipe: Recipe, make_trial: MakeTrial) -> None:
    trial = replace(make_trial(3, recipe=recipe), model="test_resnet")
    first = train_trial(trial, stored)
    assert set(first.evaluations) == {"val", "real", "v2"}
    assert outcome(train_trial(trial, stored)) == outcome(first)
    assert outcome(train_trial(replace(trial, seed=4), stored)) != outcome(first)


@pytest.mark.slow
def test_stopped_in_the_middle_of_an_epoch_and_resumed_is_bit_equal(
    tmp_path: Path, stored: Dataset, recipe: Recipe, make_trial: MakeTrial
) -> None:
    trial = replace(make_trial(3, recipe=with_values(recipe, ["random_erasing=0.5"])), model="test_resnet")
    whole = train_trial(trial, stored)
    asked = iter(range(1, 100))
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Stopped):
        train_trial(trial, stored, checkpoints=Checkpoints(path, trial.trial_id, should_stop=lambda: next(asked) == 3))
    resumed = train_trial(trial, stored, checkpoints=Checkpoints(path, trial.trial_id, say=lambda text: None))
    assert outcome(resumed) == outcome(whole)


@pytest.mark.parametrize("loaders", ["0", "1"])
def test_broken_jpeg_ends_the_epoch_with_its_name(
    loaders: str, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDSTUDY_LOADERS", loaders)
    tree = make_tree(tmp_path / "imagenet", n_train=8)
    victim = tree / "train" / CLASSES[2] / f"{CLASSES[2]}_12.JPEG"
    victim.write_bytes(victim.read_bytes()[:300])
    data = datasets.load(datasets.prepare("imagenet", data_dir=tree, cache_dir=tmp_path / "cache"))
    everything = with_values(recipe, ["repeated_augmentation=1", "batch_size=40", "micro_batch=20"])
    with pytest.raises(DataError, match=rf"{victim}: does not decode") as caught:
        epoch_of(data, everything)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_minival_is_watched_where_val_is_not_looked_at(tmp_path: Path, recipe: Recipe, make_trial: MakeTrial) -> None:
    tree = make_tree(tmp_path / "imagenet", n_train=8)
    data = datasets.load(datasets.prepare("imagenet_minival", data_dir=tree, cache_dir=tmp_path / "cache"))
    result = train_trial(replace(make_trial(0, recipe=recipe), model="test_resnet"), data)
    assert set(result.evaluations) == {"minival"}
    assert result.curves[-1].n_examples == 5


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_run_decodes_in_processes_of_its_own(processes: str, tmp_path: Path) -> None:
    """A process forked to decode closes stdin, on which an attended worker waits: this once hung for ever."""
    tree = make_tree(tmp_path / "imagenet", n_train=8)
    values = ["batch_size=16", "micro_batch=8", "train_size=32", "test_size=32"]
    options = [word for value in values for word in ("--set", value)]
    what = ["-r", "a2", "-m", "test_resnet", "-d", "imagenet", "--data-dir", str(tree), "--seeds", "1", "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "seedstudy", "run", *what, "--processes", processes, "--workers", "1", *options],
        cwd=tmp_path,
        env={**os.environ, "SEEDSTUDY_CACHE": str(tmp_path / "cache"), "SEEDSTUDY_LOADERS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("results/main/trials/*/trial.json")
    assert f'"n_processes": {processes}' in path.read_text()
