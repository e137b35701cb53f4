"""Images that stay encoded on disk: what a trial sees does not depend on who decodes it."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from timm.data import create_transform
from timm.data.transforms import RandomResizedCropAndInterpolation

from seedstudy import data as datasets
from seedstudy.data.base import Dataset
from seedstudy.data.encoded import EncodedImages
from seedstudy.data.finding import Entry, encoded_images
from seedstudy.errors import DataError
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import Augmentation, Trial, TrialResult
from seedstudy.train.checkpoint import Checkpoints, Stopped
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import epoch_streams
from seedstudy.train.streaming import Cropped, Loader, StreamFeed, decoded
from seedstudy.train.trial import train_trial
from tests.imagenet_tree import CLASSES, make_sample_tree, make_tree

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


KINDS = pytest.mark.parametrize("augmentation", get_args(Augmentation))


def epoch_of(
    data: Dataset,
    recipe: Recipe,
    seed: int = 0,
    epoch: int = 0,
    augmentation: Augmentation = "batched",
    first: int = 0,
    micro_batches: range = range(2),
) -> list[torch.Tensor]:
    shard, streams = Shard(micro_batches=micro_batches), Streams(seed=seed)
    loader = Loader.of_trial(data, recipe, augmentation, CPU)
    feed = StreamFeed(data, recipe, shard, CPU, augmentation, loader)
    random = epoch_streams(streams, epoch, shard.micro_batches)
    return [
        batch for update in feed.epoch(streams, epoch, random, first_update=first) for pair in update for batch in pair
    ]


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
@KINDS
@pytest.mark.parametrize("values", [["random_erasing=0"], ["random_erasing=1"]])
def test_worker_processes_decide_nothing(
    values: list[str], augmentation: Augmentation, stored: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = with_values(recipe, values)
    here = epoch_of(stored, recipe, augmentation=augmentation)
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "2")
    assert same(epoch_of(stored, recipe, augmentation=augmentation), here)


@KINDS
def test_a_micro_batch_does_not_depend_on_the_others(
    augmentation: Augmentation, stored: Dataset, recipe: Recipe
) -> None:
    """Another process may train them."""
    recipe = with_values(recipe, ["random_erasing=1"])
    together = epoch_of(stored, recipe, augmentation=augmentation)
    second = epoch_of(stored, recipe, augmentation=augmentation, micro_batches=range(1, 2))
    assert same(second, [*together[2:4], *together[6:8]])


def test_training_and_evaluation_share_their_worker_processes(
    stored: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "1")
    shown = Preprocessing.from_recipe(recipe, mean=stored.mean, std=stored.std)
    loader = Loader.of_trial(stored, recipe, "batched", CPU)
    feed = StreamFeed(stored, recipe, Shard(micro_batches=range(2)), CPU, "batched", loader)
    seen, before = [], set(multiprocessing.active_children())
    for epoch in range(2):
        streams = Streams(seed=0)
        for update in feed.epoch(streams, epoch, epoch_streams(streams, epoch, range(2))):
            assert len(list(update)) == 2
        seen.append({each.pid for each in set(multiprocessing.active_children()) - before})
        for part in ("val", "v2"):
            batches = list(loader.load_tests(part, np.arange(5), shown))
            assert torch.equal(torch.cat(batches), shown_here(stored, part, shown))
        seen.append({each.pid for each in set(multiprocessing.active_children()) - before})
    assert len(seen[0]) == 1
    assert seen == [seen[0]] * 4


def shown_here(data: Dataset, part: str, shown: Preprocessing) -> torch.Tensor:
    """Return five test images, decoded in this process."""
    transform, images = shown.transform(), data.stored[part]
    made = torch.stack([torch.from_numpy(np.asarray(transform(images.open(row)))) for row in range(5)])
    return Normaliser(data.mean, data.std).in_two_steps(made)


@pytest.fixture
def start_method(request: pytest.FixtureRequest) -> Iterator[None]:
    usual = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method(request.param, force=True)
    yield
    torch.multiprocessing.set_start_method(usual, force=True)


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"], indirect=True)
@pytest.mark.usefixtures("start_method")
@KINDS
def test_worker_processes_need_not_be_forked(
    augmentation: Augmentation, stored: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS processes are spawned; from Python 3.14 on, Linux has a fork server."""
    here = epoch_of(stored, recipe, augmentation=augmentation)
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "1")
    assert same(epoch_of(stored, recipe, augmentation=augmentation), here)


@KINDS
def test_seed_and_epoch_decide_everything(augmentation: Augmentation, stored: Dataset, recipe: Recipe) -> None:
    first = epoch_of(stored, recipe, augmentation=augmentation)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  # what others draw must not matter
    random.seed(99)
    drawn = random.getstate()
    assert same(epoch_of(stored, recipe, augmentation=augmentation), first)
    assert random.getstate() == drawn
    assert not same(epoch_of(stored, recipe, seed=1, augmentation=augmentation), first)
    assert not same(epoch_of(stored, recipe, epoch=1, augmentation=augmentation), first)


@pytest.mark.slow
@KINDS
def test_copies_of_one_image_are_augmented_each_in_its_own_way(
    augmentation: Augmentation, stored: Dataset, recipe: Recipe
) -> None:
    alike = with_values(recipe, ["repeated_augmentation=3"])
    images = torch.cat(epoch_of(stored, alike, augmentation=augmentation)[::2])
    assert len({image.numpy().tobytes() for image in images}) == len(images)


@KINDS
def test_an_epoch_goes_on_in_its_middle(augmentation: Augmentation, stored: Dataset, recipe: Recipe) -> None:
    whole = epoch_of(stored, recipe, augmentation=augmentation)
    assert same(epoch_of(stored, recipe, augmentation=augmentation, first=1), whole[4:])


# --- decoding and cropping in tensors -------------------------------------------------------------------


def in_a_file(content: bytes, path: Path) -> EncodedImages:
    path.write_bytes(content)
    return encoded_images([Entry("", path.name, str(path), 0, len(content), path.stat().st_mtime_ns)], [path.name])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_image_decodes_to_pillows_pixels(mode: str, format: str, tmp_path: Path) -> None:
    if mode == "CMYK" and format != "JPEG":
        pytest.skip("there is no such file")
    stream = io.BytesIO()
    photograph(3).convert(mode).save(stream, format)
    images = in_a_file(stream.getvalue(), tmp_path / "image")
    assert np.array_equal(decoded(images, 0).permute(1, 2, 0).numpy(), np.asarray(images.open(0)))


@pytest.mark.parametrize("format", ["JPEG", "PPM"])
@pytest.mark.parametrize("size", [0, 10, 300, -30, -1])
def test_an_image_cut_short_is_named(size: int, format: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    photograph(3).save(stream, format)
    images = in_a_file(stream.getvalue()[:size], tmp_path / "image")
    with pytest.raises(DataError, match="image: does not decode"):
        decoded(images, 0)


def photograph(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return an image with smooth areas, edges, noise, and much that is black or white."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = 1.6 * (np.asarray(coarse).astype(float) - 128) + 128 + rng.normal(0, 6, (size[1], size[0], 3))
    pixels[40:90, 100:180] = 255 * rng.integers(0, 2)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("interpolation", "within_one", "most"), [("bilinear", 1.0, 2), ("bicubic", 0.998, 60), ("random", 0.998, 60)]
)
@pytest.mark.parametrize("size", [64, 160])
def test_crops_are_timms_within_rounding(
    interpolation: str, within_one: float, most: int, size: int, tmp_path: Path, recipe: Recipe
) -> None:
    """The box, the interpolation and the flip are those that timm draws by the same generator."""
    recipe = with_values(recipe, [f"train_size={size}", f"train_interpolation={interpolation}"])
    crop = Cropped(recipe)
    apart = []
    for seed in range(60):
        stream = io.BytesIO()
        photograph(seed).save(stream, "JPEG")
        images = in_a_file(stream.getvalue(), tmp_path / f"{seed}.jpg")
        state = np.random.SeedSequence((seed, 7)).generate_state(1, np.uint64)
        drawn = random.Random(int(state[0]))
        outer, image = random.getstate(), images.open(0)
        random.setstate(drawn.getstate())
        top, left, height, width = RandomResizedCropAndInterpolation.get_params(
            image, recipe.crop_scale, recipe.crop_ratio
        )
        is_bicubic = random.random() < 0.5 if interpolation == "random" else interpolation == "bicubic"
        is_flipped = random.random() < recipe.hflip
        random.setstate(outer)
        mode = Image.Resampling.BICUBIC if is_bicubic else Image.Resampling.BILINEAR
        cut = image.crop((left, top, left + width, top + height)).resize((size, size), mode)
        expected = np.asarray(ImageOps.mirror(cut) if is_flipped else cut).astype(int)
        ours = crop(images, 0, seed, 7).permute(1, 2, 0).numpy().astype(int)
        apart.append(np.abs(ours - expected))
    assert (np.stack(apart) <= 1).mean() >= within_one
    assert np.stack(apart).max() <= most


@pytest.mark.slow
def test_real_crops_are_pillows_within_rounding(tmp_path: Path, recipe: Recipe) -> None:
    tree = make_sample_tree(tmp_path / "imagenet", n_classes=40)
    data = datasets.load(datasets.prepare("imagenet", data_dir=tree, cache_dir=tmp_path / "cache"))
    plain = with_values(recipe, ["train_size=224", "randaugment=none", "crop_scale=1,1", "hflip=0", "crop_ratio=1,1"])
    for interpolation, within_one in (("bilinear", 0.999_99), ("bicubic", 0.999)):
        same_way = with_values(plain, [f"train_interpolation={interpolation}"])
        parts = {kind: Loader.of_trial(data, same_way, kind, CPU) for kind in get_args(Augmentation)}
        chunk = [("train", row, 1, row) for row in range(len(data.train_labels))]
        ours, pillows = (next(each.load([chunk])).int() for each in parts.values())
        assert ((ours - pillows).abs() <= 1).float().mean() >= within_one


@pytest.mark.slow
def test_both_ways_agree_in_distribution(stored: Dataset, recipe: Recipe) -> None:
    """Mean and spread of 40 epochs of two updates, per channel; the standard error of a mean is below 0.02."""
    recipe = with_values(recipe, ["random_erasing=0.25"])
    made = {
        kind: torch.cat(
            [each for epoch in range(40) for each in epoch_of(stored, recipe, epoch=epoch, augmentation=kind)[::2]]
        )
        for kind in get_args(Augmentation)
    }
    ours, pillows = (each.transpose(0, 1).flatten(1) for each in made.values())
    assert ours.mean(1).tolist() == pytest.approx(pillows.mean(1).tolist(), abs=0.06)
    assert ours.std(1).tolist() == pytest.approx(pillows.std(1).tolist(), rel=0.05)


# --- trials ---------------------------------------------------------------------------------------------


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
    loader = Loader.of_trial(stored, recipe, "batched", CPU)
    batch = torch.cat(list(loader.load_tests("val", np.arange(len(images)), shown)))
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


@pytest.mark.slow
def test_a_signal_that_ends_the_decoders_too_is_no_failure(tmp_path: Path) -> None:
    """A queue that takes its machine back signals every process of a job."""
    tree = make_tree(tmp_path / "imagenet", n_train=8)
    values = ["batch_size=16", "micro_batch=16", "train_size=32", "test_size=32"]
    options = [word for value in values for word in ("--set", value)]
    what = ["-r", "a2", "-m", "test_resnet", "-d", "imagenet", "--data-dir", str(tree), "--seeds", "1"]
    command = [sys.executable, "-m", "seedstudy", "run", *what, "--workers", "1", *options, "--epochs"]
    environment = {**os.environ, "SEEDSTUDY_CACHE": str(tmp_path / "cache"), "SEEDSTUDY_LOADERS": "2"}
    launcher = subprocess.Popen(
        [*command, "400"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("results/main/trials/*/progress.json")):
        assert time.monotonic() < deadline
        assert launcher.poll() is None
        time.sleep(0.2)
    listed = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True, check=True)
    for worker in listed.stdout.split():
        os.killpg(int(worker), signal.SIGTERM)
    launcher.send_signal(signal.SIGTERM)
    launcher.communicate(timeout=300)
    assert not list(tmp_path.glob("results/main/trials/*/failure.json"))
