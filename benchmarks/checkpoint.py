"""What do checkpoints cost? The part of a training's time that is spent inside the calls that write them.

One ResNet-20 on the embedded images (32 px), on one thread; process time (what the CPU did) and wall time (the disk
included). Beside it, for the eye, whole trainings with and without, alternately: on a busy machine their difference is
noise. With `--every-epoch` one is written at each epoch's end, however short the epoch; without, `Checkpoints` decides
as it does for users::

    python benchmarks/checkpoint.py --rounds 3 --epochs 4
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from seedstudy import data as datasets
from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.study.trial import Trial
from seedstudy.train import checkpoint
from seedstudy.train.checkpoint import Checkpoints, TrainingState
from seedstudy.train.trial import train_trial


def a_trial(data: Dataset, model: str, epochs: int) -> Trial:
    facts = DataFacts(name="shapes", n_train=len(data.train_labels), image_size=data.image_size, epoch_ratio=1 / 15)
    recipe = scale(load_recipe("a2"), facts, epochs=epochs)
    return Trial(
        recipe=recipe,
        model=model,
        data="shapes",
        data_fingerprint=data.fingerprint,
        train_limit=None,
        vary=("init",),
        seed=0,
    )


def seconds(trial: Trial, data: Dataset, checkpoints: Checkpoints | None) -> tuple[float, float]:
    """Return process and wall seconds of one training."""
    process_s, wall_s = time.process_time(), time.perf_counter()
    train_trial(trial, data, checkpoints=checkpoints)
    return time.process_time() - process_s, time.perf_counter() - wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every-epoch", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        data = datasets.load(datasets.prepare("shapes", cache_dir=Path(folder)))
        trial = a_trial(data, options.model, options.epochs)
        spent: list[tuple[float, float]] = []
        write = Checkpoints._write

        def timed(self: Checkpoints, state: TrainingState) -> None:
            process_s, wall_s = time.process_time(), time.perf_counter()
            write(self, state)
            spent.append((time.process_time() - process_s, time.perf_counter() - wall_s))

        Checkpoints._write = timed  # type: ignore[method-assign]
        shares = []
        if options.every_epoch:
            checkpoint.SHARE = 1e9
        for _ in range(options.rounds):
            without, _ = seconds(trial, data, None)
            spent.clear()
            path.unlink(missing_ok=True)
            process_s, wall_s = seconds(trial, data, Checkpoints(path, trial.trial_id))
            shares.append(sum(each for each, _ in spent) / process_s)
            print(
                f"{len(spent)} written: {100 * shares[-1]:.3f} % of {process_s:.1f} s of process time, "
                f"{100 * sum(each for _, each in spent) / wall_s:.3f} % of {wall_s:.1f} s of wall time "
                f"({without:.1f} s of process time without any)"
            )
        print(
            f"{options.model}, {options.epochs} epochs, file of {path.stat().st_size / 1e6:.2f} MB, "
            f"n = {options.rounds}: {100 * statistics.median(shares):.3f} % of the process time (median; "
            f"{100 * min(shares):.3f} to {100 * max(shares):.3f})"
        )


if __name__ == "__main__":
    main()
