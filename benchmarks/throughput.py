"""Seeds per hour of a bash loop over timm's own train.py and of `seedstudy run`: same recipe, model, images, epochs.

Both train a2, scaled to 5,000 CIFAR-10 images, and are timed in turns, from the start of the command to the last
result, start-up counted. What is made once for a data set is not (PNG files for train.py, our decoded copy for ours);
it is printed. The loop is what people run today: train.py's own defaults (all cores for each seed, four loaders), one
process after the other. Its seeds share nothing, so ``--loop-seeds`` of them may stand for all. timm has no 32-px
ResNet-8: both build ours, registered with timm. train.py is not part of timm's package; it is taken from the repository
at the commit named below::

    curl -o train.py https://raw.githubusercontent.com/huggingface/pytorch-image-models/COMMIT/train.py
    python benchmarks/throughput.py --train-py train.py --data-dir CIFAR10 --work nano:3,tiny:3,r20:5 --rounds 3

Differences that remain: train.py evaluates after each epoch, `seedstudy` where test images are no more than training
images since (and on ReaL's label sets and each image's prediction too); train.py refuses repeated augmentation on one
process, which changes which images an update sees, not how many. The floor is the time the multiply-adds alone take
(training 3 x forward; evaluation 1 x) at the speed of large float32 matrix products, measured just before ours on all
cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import polars
from PIL import Image

from seedstudy import data as datasets
from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.scaling import scale

COMMIT = "aa4b5850c1543fa488abf260f18390eda46cf85d"
SHA256 = "f0bb70b9e1c8c576eb1f7beba9cb46953d01ec1308d68c59ec055a6266f76388"

N_TRAIN, N_VAL = 5000, 10_000
MODELS = {"nano": "resnet8_nano", "tiny": "resnet8", "r20": "resnet20"}

WITH_OUR_NETWORKS = "import runpy, seedstudy.train.models, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
"""train.py, with our networks registered; its own imports make up the rest of its start-up."""

MATMUL = """
import time, torch
torch.set_num_threads(1)
a = torch.randn(1024, 1024)
best, end = 0.0, time.perf_counter() + 5
while time.perf_counter() < end:
    started = time.perf_counter()
    for _ in range(10):
        a @ a
    best = max(best, 10 * 2 * 1024**3 / (time.perf_counter() - started))
print(best)
"""


@dataclass(frozen=True)
class Spent:
    """What some seeds took."""

    n_seeds: int
    wall_s: float
    cpu_s: float

    @property
    def seeds_per_hour(self) -> float:
        return 3600 * self.n_seeds / self.wall_s

    @property
    def seeds_per_core_hour(self) -> float:
        return 3600 * self.n_seeds / self.cpu_s


def timed(commands: list[list[str]], n_seeds: int, folder: Path) -> Spent:
    """Run the commands one after the other and return what they and their children took."""
    before, started = os.times(), time.perf_counter()
    for command in commands:
        environment = {**os.environ, "SEEDSTUDY_CACHE": str(folder / "cache")}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(n_seeds, time.perf_counter() - started, cpu_s)


def loop_command(
    train_py: Path, images: Path, data: Dataset, model: str, epochs: int, seed: int, options: list[str]
) -> list[str]:
    """Return train.py's command for one seed of a2, scaled as `seedstudy` scales it."""
    recipe = scale(load_recipe("a2"), replace(datasets.info("cifar10"), n_train=N_TRAIN), epochs=epochs)
    flags = {
        "--data-dir": images,
        "--device": "cpu",
        "--model": model,
        "--num-classes": 10,
        "--input-size": (3, 32, 32),
        "--crop-pct": 1.0,
        "--mean": data.mean,
        "--std": data.std,
        "--seed": seed,
        "--epochs": epochs,
        "--batch-size": recipe.batch_size,
        "--opt": recipe.optimizer,
        "--lr": recipe.lr,
        "--warmup-lr": recipe.warmup_lr,
        "--warmup-epochs": round(recipe.warmup_epochs),
        "--min-lr": recipe.min_lr,
        "--weight-decay": recipe.weight_decay,
        "--aa": recipe.randaugment,
        "--mixup": recipe.mixup_alpha,
        "--cutmix": recipe.cutmix_alpha,
        "--smoothing": recipe.label_smoothing,
        "--bce-target-thresh": recipe.bce_target_threshold,
        "--drop-path": recipe.drop_path,
    }
    words = [str(word) for flag, value in flags.items() for word in (flag, *_values(value))]
    return [
        sys.executable,
        "-c",
        WITH_OUR_NETWORKS,
        str(train_py),
        *words,
        "--bce-loss",
        "--sched-on-updates",
        *options,
    ]


def our_command(data_dir: Path, model: str, epochs: int, n_seeds: int, study: str, options: list[str]) -> list[str]:
    """Return the command that trains all seeds."""
    command = [sys.executable, "-m", "seedstudy", "run", "-r", "a2", "-m", model, "-d", "cifar10"]
    command += ["--data-dir", str(data_dir), "--train-limit", str(N_TRAIN), "--epochs", str(epochs)]
    return [*command, "--seeds", str(n_seeds), "--study", study, *options]


def write_images(data: Dataset, folder: Path) -> None:
    """Write the images as train.py reads them: PNG files in a folder for each class."""
    val = data.eval_sets["val"]
    parts = {
        "train": (data.train_images[:N_TRAIN], data.train_labels[:N_TRAIN]),
        "validation": (data.images["val"], val.label_values[val.label_offsets[:-1]]),
    }
    for part, (images, labels) in parts.items():
        for number in range(10):
            (folder / "images" / part / str(number)).mkdir(parents=True)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(folder / "images" / part / str(label) / f"{row:05d}.png")


def peak_flops() -> float:
    """Return FLOP/s of large float32 matrix products, one process on each core at the same time."""
    n_cores = machine.cores()
    running = [subprocess.Popen([sys.executable, "-c", MATMUL], stdout=subprocess.PIPE) for _ in range(n_cores)]
    return sum(float(process.communicate()[0]) for process in running)


def floor_share(study: Path, peak: float) -> float:
    """Return the floor of a study's trials over the time they took, start-up not counted: its median over trials."""
    shares = []
    for folder in study.glob("trials/*"):
        trial = json.loads((folder / "trial.json").read_text())
        n_evaluated = N_VAL * polars.read_parquet(folder / "curves.parquet")["n_correct"].count()
        flops = 2 * trial["provenance"]["cost"]["n_macs"] * (3 * N_TRAIN * trial["epochs"] + n_evaluated)
        shares.append(flops / trial["train_s"] / (peak / machine.cores()))
    return statistics.median(shares)


def _values(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-py", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True, help="CIFAR-10 as the hub lays it out")
    parser.add_argument("--work", default="nano:3,tiny:3,r20:5", help="network:epochs, …")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--loop-seeds", type=int, default=8, help="seeds of the loop that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run-options", default="", help="further options of `seedstudy run`")
    parser.add_argument("--loop-options", default="", help="further options of train.py")
    options = parser.parse_args()
    train_py, data_dir = options.train_py.resolve(), options.data_dir.resolve()
    if hashlib.sha256(train_py.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{train_py} is not train.py of timm's commit {COMMIT}.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started = time.perf_counter()
        data = datasets.load(datasets.prepare("cifar10", data_dir=data_dir, cache_dir=folder / "cache"))
        decoded_s = time.perf_counter() - started
        write_images(data, folder)
        print(f"once: decoded in {decoded_s:.0f} s, PNG written in {time.perf_counter() - started - decoded_s:.0f} s")
        print(f"{machine.cores()} cores, timm {COMMIT[:8]}")
        for work in options.work.split(","):
            name, epochs = work.split(":")
            model, ratios = MODELS[name], []
            for number in range(options.rounds):
                loop = [
                    loop_command(
                        train_py, folder / "images", data, model, int(epochs), seed, options.loop_options.split()
                    )
                    for seed in range(options.loop_seeds)
                ]
                theirs = timed(loop, options.loop_seeds, folder)
                peak = peak_flops()  # each time: what a shared host grants changes within minutes
                study = f"{name}-{number}"
                ours = our_command(data_dir, model, int(epochs), options.seeds, study, options.run_options.split())
                mine = timed([ours], options.seeds, folder)
                ratios.append(mine.seeds_per_hour / theirs.seeds_per_hour)
                print(
                    f"{name}, {epochs} epochs: loop {theirs.seeds_per_hour:.0f} seeds/hour "
                    f"({theirs.seeds_per_core_hour:.0f} per core-hour), seedstudy {mine.seeds_per_hour:.0f} "
                    f"({mine.seeds_per_core_hour:.0f}): {ratios[-1]:.1f}x; of the floor "
                    f"{floor_share(folder / 'results' / study, peak):.0%} at {peak / 1e9:.0f} GFLOP/s; "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            low, high = min(ratios), max(ratios)
            print(
                f"{name}, {epochs} epochs: median {statistics.median(ratios):.1f}x ({low:.1f} to {high:.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
