"""What do checkpoints cost? One training with and without them, alternately, as a share of the training time.

Process time of whole trainings of ResNet-20 on the embedded images (32 px), on one thread, and beside it the wall time
inside the calls that write, disk included. With `--every-epoch` one checkpoint is written at each epoch's end, however
short the epoch; without, `Checkpoints` decides as it does for users::

    python benchmarks/checkpoint.py --rounds 3 --epochs 4
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from seedstudy import datasets
from seedstudy.datasets import Dataset
from seedstudy.recipe import load_recipe
from seedstudy.scaling import scale
from seedstudy.study import Trial
from seedstudy.train import checkpoint
from seedstudy.train.checkpoint import Checkpoints
from seedstudy.train.trial import train_trial


def a_trial(data: Dataset, model: str, epochs: int) -> Trial:
    recipe = scale(
        load_recipe("a2"),
        data="shapes",
        n_train=len(data.train_labels),
        image_size=data.image_size,
        epoch_ratio=1 / 15,
        epochs=epochs,
    )
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
        spent: list[float] = []
        write = checkpoint.write

        def timed(target: Path, content: dict[str, object]) -> None:
            started = time.perf_counter()
            write(target, content)
            spent.append(time.perf_counter() - started)

        checkpoint.write = timed  # type: ignore[assignment]
        train_trial(trial, data)  # warm-up: first calls compile and allocate
        shares, written_s = [], []
        for _ in range(options.rounds):
            without, _ = seconds(trial, data, None)
            spent.clear()
            path.unlink(missing_ok=True)
            share = 1e9 if options.every_epoch else 0.01
            with_them, wall_s = seconds(trial, data, Checkpoints(path, trial.trial_id, share=share))
            shares.append(with_them / without - 1)
            written_s.append(sum(spent) / wall_s)
            print(
                f"without {without:.2f} s, with {with_them:.2f} s of process time: {100 * shares[-1]:+.2f} %; "
                f"{len(spent)} written in {1e3 * sum(spent):.1f} ms of {wall_s:.1f} s wall: {100 * written_s[-1]:.3f} %"
            )
        print(
            f"{options.model}, {options.epochs} epochs, file of {path.stat().st_size / 1e6:.2f} MB, "
            f"n = {options.rounds} rounds: share of process time median {100 * statistics.median(shares):+.2f} % "
            f"({100 * min(shares):+.2f} to {100 * max(shares):+.2f}); "
            f"writing as a share of wall time, median {100 * statistics.median(written_s):.3f} %"
        )


if __name__ == "__main__":
    main()
