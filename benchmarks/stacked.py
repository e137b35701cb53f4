"""How many seeds an hour one core trains alone and stacked: K = 1, 2, 4, 8, taking turns in one process.

Whole trainings of one short epoch by `train_trial` and `train_stacked`, augmentation counted, on the first images of
CIFAR-10 (or the embedded shapes). Printed for each K: milliseconds of CPU per training image (the least of the rounds),
seeds per core-hour of `--epochs` epochs over `--n-train` images without evaluation, and the ratio to K = 1, with its
range over the rounds::

    python benchmarks/stacked.py --data-dir DIR --models resnet8_nano,resnet8,resnet20 --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from seedstudy import data as datasets
from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import scale
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Trial
from seedstudy.train.stacks import train_stacked
from seedstudy.train.trial import train_trial


def shortened(data: Dataset, n_train: int, n_val: int = 32) -> Dataset:
    """Return the data with few training images and hardly any to evaluate on."""
    val = data.eval_sets["val"]
    short = replace(
        val,
        rows=val.rows[:n_val],
        example_ids=val.example_ids[:n_val],
        label_offsets=val.label_offsets[: n_val + 1],
        label_values=val.label_values[: val.label_offsets[n_val]],
    )
    return replace(
        data,
        train_images=data.train_images[:n_train],
        train_labels=data.train_labels[:n_train],
        images={val.images: data.images[val.images][:n_val]},
        eval_sets={"val": short},
    )


def cpu_s_per_image(recipe: Recipe, model: str, data: Dataset, n_seeds: int) -> float:
    """Train ``n_seeds`` side by side and return CPU seconds by training images of all seeds."""
    trials = [
        Trial(
            recipe=recipe,
            model=model,
            data=data.name,
            data_fingerprint=data.fingerprint,
            train_limit=None,
            vary=PURPOSES,
            seed=seed,
        )
        for seed in range(n_seeds)
    ]
    started = time.process_time()
    if n_seeds == 1:
        train_trial(trials[0], data)
    else:
        train_stacked(trials, data)
    return (time.process_time() - started) / (n_seeds * len(data.train_labels))


def main() -> None:
    """Print one row per model and stack size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="resnet8_nano,resnet8,resnet20")
    parser.add_argument("--sizes", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=4, help="updates of a training")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--cache-dir", type=Path, default=Path.home() / ".cache" / "seedstudy")
    parser.add_argument("--recipe", default="a2")
    parser.add_argument("--set", action="append", default=[], help="key=value, any recipe key", dest="changes")
    parser.add_argument("--n-train", type=int, default=5000, help="training images of the study that is timed")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    prepared = datasets.prepare(arguments.data, data_dir=arguments.data_dir, cache_dir=arguments.cache_dir)
    data = datasets.load(prepared, train_limit=arguments.n_train)
    facts = replace(datasets.info(arguments.data), n_train=arguments.n_train)
    recipe = scale(load_recipe(arguments.recipe), facts, epochs=arguments.epochs)
    recipe = with_values(recipe, ["epochs=1", *arguments.changes])
    short = shortened(data, arguments.updates * recipe.batch_size)
    sizes = [int(size) for size in arguments.sizes.split(",")]
    n_images = arguments.epochs * (arguments.n_train // recipe.batch_size) * recipe.batch_size
    print(
        f"{arguments.data}, {recipe.name}, batch {recipe.batch_size}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()}"
    )
    print("model           K  CPU ms/image  seeds/core-hour  ratio to K = 1: median (range)")
    for model in arguments.models.split(","):
        cpu_s_per_image(recipe, model, short, 1)  # chooses kernels, fills caches
        rounds = [{n: cpu_s_per_image(recipe, model, short, n) for n in sizes} for _ in range(arguments.rounds)]
        for n in sizes:
            least = min(times[n] for times in rounds)
            ratios = sorted(times[sizes[0]] / times[n] for times in rounds)
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            print(f"{model:14} {n:2}  {1e3 * least:12.3f}  {3600 / (least * n_images):15.0f}  {spread}", flush=True)


if __name__ == "__main__":
    main()
