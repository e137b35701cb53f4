"""Trainings on videos: streamed from mp4 files and folders of frames; every command of docs/video.md, in order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from seedstudy.data import load, prepare
from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import LOADERS
from seedstudy.study.trial import Augmentation, Trial
from seedstudy.train.clips import unfolded
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.streaming import AsTested, ByPillow, Cropped
from seedstudy.train.trial import train_trial
from tests.train.test_trial import outcome
from tests.videos import lay_out

pytest.importorskip("av")
pytestmark = pytest.mark.train

Cli = Callable[..., tuple[int, str, str]]
MakeTrial = Callable[..., Trial]
PAGE = Path(__file__).parents[2] / "docs" / "video.md"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("videos")
    return load(prepare(f"folder:{lay_out(root / 'clips', {'train': 4, 'val': 2})}", cache_dir=root / "cache"))


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return replace(
        tiny_recipe,
        batch_size=4,
        micro_batch=2,
        train_size=16,
        test_size=16,
        clip_frames=4,
        clip_stride=2,
        test_clips=2,
        test_crops=3,
    )


@pytest.mark.parametrize("augment", get_args(Augmentation))
def test_a_trial_on_mp4_files_does_not_depend_on_who_decodes_them(
    augment: Augmentation, videos: Dataset, make_trial: MakeTrial, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = replace(make_trial(3, recipe=recipe, augment=augment), model="resnet8_nano_3d")
    results = []
    for n_loaders in ("0", "2"):
        monkeypatch.setenv(LOADERS, n_loaders)
        results.append(train_trial(trial, videos))
    assert results[0].status == "ok"
    assert outcome(results[0]) == outcome(results[1])
    assert results[0].evaluations["val"].n_examples == 4


@pytest.mark.parametrize("show", [ByPillow, Cropped])
def test_all_frames_of_a_streamed_clip_are_cropped_alike(show: type, videos: Dataset, recipe: Recipe) -> None:
    """A still video, so that frames differ by what is drawn for them alone."""
    still = replace(recipe, clip_stride=1, clip_frames=8)
    shown = show(still, videos) if show is ByPillow else show(still)
    stored = replace(videos.stored["train"], frames=np.ones(8, dtype=np.int64))  # of which only the first is known
    for position in range(4):
        frames = unfolded(shown(stored, 0, 5, position)[None], 8)
        assert torch.equal(frames, frames[:1].expand_as(frames))


def test_every_view_of_a_stored_video_is_shown(videos: Dataset, recipe: Recipe) -> None:
    preprocessing = Preprocessing.from_recipe(recipe, mean=videos.mean, std=videos.std)
    shown = AsTested(preprocessing)(videos.stored["val"], 0, 0, 0)
    assert shown.shape == (2 * 3 * 4 * 3, 16, 16)
    views = shown.unflatten(0, (2, 3, 12))
    assert not torch.equal(views[0, 0], views[0, 2])  # 64 x 48 px: crops differ
    assert not torch.equal(views[0, 0], views[1, 0])  # and so do clips


@pytest.mark.slow
def test_every_command_of_the_page(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    lay_out(tmp_path / "clips", {"train": 8, "val": 4})
    lay_out(tmp_path / "frames", {"train": 3, "val": 2}, as_frames=True)
    lay_out(tmp_path / "k400", {"train": 2, "val": 1})
    commands = re.findall(r"^    seedstudy (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        words = shlex.split(command)
        more = ["--epochs", "1"] if words[0] == "run" else []
        code, out, err = cli(*words, *more)
        assert code == 0, f"{command}: {err}"
        assert max(map(len, out.splitlines())) <= 80, command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-r", "rsv00", "-d", "shapes"], r"recipe rsv00 is for clips \(clip_frames = 32\), and shapes holds images"),
        (
            ["-r", "a3", "-d", "folder:clips", "-m", "resnet8_3d"],
            "recipe a3 is for images, and folder-clips holds videos",
        ),
        (["-r", "rsv00", "-d", "moving_shapes", "-m", "resnet8"], 'model "resnet8" takes images, .* name resnet8_3d'),
        (["-r", "rsv00", "-d", "moving_shapes", "-m", "vit_tiny_patch16_224_3d"], "only ResNets are inflated"),
        (["-r", "rsv00", "-d", "moving_shapes", "--set", "clip_frames=0"], "clip_frames = .* is impossible"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    lay_out(tmp_path / "clips", {"train": 16, "val": 2})
    code, _, err = cli("run", *arguments, "--seeds", "1", "--epochs", "1")
    assert code == 2
    assert re.search(message, err.splitlines()[-1])
    assert not (tmp_path / "results").exists()
