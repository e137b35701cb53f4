"""A user's first day with a folder of photographs: every command of docs/own_images.md, in order; an interruption."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import seedstudy as ss
from tests.imagenet_tree import SAMPLE

pytestmark = [pytest.mark.slow, pytest.mark.train]

Cli = Callable[..., tuple[int, str, str]]
PAGE = Path(__file__).parents[2] / "docs" / "own_images.md"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of 120 JPEGs of three classes: cuttings of real photographs, or of noise where there are none."""
    rng = np.random.default_rng(0)
    sample = sorted(SAMPLE.glob("*/*.JPEG"))[:3] if SAMPLE.is_dir() else []
    for label, name in enumerate(("shark", "grouse", "hen")):
        if sample:
            with Image.open(sample[label]) as image:
                whole = image.convert("RGB")
        else:
            whole = Image.fromarray(np.clip(rng.normal(60 + 60 * label, 40, (300, 400, 3)), 0, 255).astype(np.uint8))
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(40):
            width, height = int(whole.width * 0.6), int(whole.height * 0.6)
            left, top = rng.integers(whole.width - width), rng.integers(whole.height - height)
            whole.crop((left, top, left + width, top + height)).save(tmp_path / "photos" / name / f"IMG_{n:04d}.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "photos"


def test_every_command_of_the_page(photos: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = re.findall(r"^    seedstudy (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        words = shlex.split(command)
        more = ["--epochs", "10"] if words[0] == "run" else []
        code, out, err = cli(*words, *more)
        assert code == 0, f"{command}: {err}"
        assert max(map(len, out.splitlines())) <= 80, command
        if words[0] == "compare":
            assert " on val: " in out.splitlines()[0]
            assert "5 seeds" in " ".join(out.split())
    trials = ss.load_trials("results/main")
    assert trials.height == 10
    assert trials["data"].unique().to_list() == ["folder-photos"]


def test_photographs_stay_as_they_are_and_a_copy_does_not_pool(photos: Path, cli: Cli) -> None:
    sizes = ["--set", "train_size=48", "--set", "test_size=64"]
    assert cli("data", "prepare", "folder:photos", "--short-side", "80", "-o", "small")[0] == 0
    for place in ("photos", "small"):
        words = ["-r", "a3", "-d", f"folder:{place}", "-m", "resnet8_nano", "--seeds", "2", "--epochs", "2"]
        code, _, err = cli("run", *words, *sizes, "--study", place)
        assert code == 0, err
        assert "10 of" not in err
    original, copy = (ss.load_trials(f"results/{place}") for place in ("photos", "small"))
    assert set(original["pool_key"]) & set(copy["pool_key"]) == set()
    assert original.filter(pl.col("status") == "ok").height == 2


def test_an_interrupted_run_goes_on(photos: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "seedstudy",
        "run",
        "-r",
        "a3",
        "-d",
        "folder:photos,size=32",
        "-m",
        "resnet8_nano",
    ]
    command += ["-m", "resnet8_nano", "--seeds", "3", "--epochs", "40"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("[1/3]"):
            break
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=300)
    assert started.returncode == 130
    assert "the same command resumes" in err
    done = {path.parent.name for path in Path("results/main/trials").glob("*/trial.json")}
    assert done
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{3 - len(done)} of 3 trials are missing" in again.stderr
    assert ss.load_trials("results/main").height == 3
