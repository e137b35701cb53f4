"""Do both pipelines show a network the same pictures? Statistics of augmented images, `pil` against `batched`.

Recipe a2 on 5,000 CIFAR-10 images at 32 px; each statistic is one number an image, and z is the difference of its means
over the standard error. With 27 statistics, most of them related, a |z| of 2 to 3 is no surprise and 5 would be a bug::

    python studies/fast_path_equivalence/pictures.py --data-dir CIFAR10 --thousands 120 --rng-seed 55
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from seedstudy import data as datasets
from seedstudy.machine import cache_dir
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.scaling import scale
from seedstudy.train.feed import Augmenter, MicroBatch, PilAugmenter, TensorAugmenter
from seedstudy.train.random_state import RandomStream


def statistics_of(images: Tensor, fill: Tensor) -> dict[str, Tensor]:
    """Return, by name, one number for each of the images (n, 3, h, w); ``fill`` (3,) is what lies outside a picture."""
    flat = images.flatten(1)
    across, down = images[..., 1:] - images[..., :-1], images[:, :, 1:] - images[:, :, :-1]
    is_fill = ((images - fill.view(1, 3, 1, 1)).abs().amax(1) < 0.005).float()
    half = images.shape[2] // 2
    found = {
        "mean": flat.mean(1),
        "std": flat.std(1),
        "darkest": flat.amin(1),
        "lightest": flat.amax(1),
        "gradient across": across.abs().mean((1, 2, 3)),
        "gradient down": down.abs().mean((1, 2, 3)),
        "gradient across, squared": across.pow(2).mean((1, 2, 3)),
        "gradient down, squared": down.pow(2).mean((1, 2, 3)),
        "gradient down at the top": down[:, :, 0].abs().mean((1, 2)),
        "saturation": (images.amax(1) - images.amin(1)).mean((1, 2)),
        "first corner": images[:, 0, 0, 0],
        "last corner": images[:, 0, -1, -1],
        "centre": images[:, :, half - 4 : half + 4, half - 4 : half + 4].mean((1, 2, 3)),
        "left - right": images[..., :half].mean((1, 2, 3)) - images[..., half:].mean((1, 2, 3)),
        "top - bottom": images[:, :, :half].mean((1, 2, 3)) - images[:, :, half:].mean((1, 2, 3)),
        "fill": is_fill.mean((1, 2)),
        "fill, top row": is_fill[:, 0].mean(1),
        "fill, bottom row": is_fill[:, -1].mean(1),
        "fill, left column": is_fill[:, :, 0].mean(1),
        "fill, right column": is_fill[:, :, -1].mean(1),
        "any fill": (is_fill.mean((1, 2)) > 0.02).float(),
    }
    for channel, colour in enumerate(("red", "green", "blue")):
        found[f"{colour}, mean"] = images[:, channel].mean((1, 2))
        found[f"{colour}, std"] = images[:, channel].flatten(1).std(1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--thousands", type=int, default=120)
    parser.add_argument("--rng-seed", type=int, default=55)
    options = parser.parse_args()
    prepared = datasets.prepare("cifar10", data_dir=options.data_dir, cache_dir=cache_dir())
    data = datasets.load(prepared, train_limit=5000)
    recipe = scale(load_recipe("a2"), replace(datasets.info("cifar10"), n_train=5000), epochs=10)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    fill = ((255 * mean).round() / 255 - mean) / std
    pipelines: dict[str, Augmenter] = {
        "pil": PilAugmenter(recipe, data),
        "batched": TensorAugmenter(recipe, data, torch.device("cpu")),
    }
    streams = {"pil": RandomStream(options.rng_seed), "batched": RandomStream(700 + options.rng_seed)}
    seen: dict[str, dict[str, list[Tensor]]] = {name: defaultdict(list) for name in pipelines}
    for part in range(options.thousands):
        rows = np.arange(1000) + 1000 * (part % 5)
        for name, augment in pipelines.items():
            (images,) = augment([MicroBatch(rows=rows, stream=streams[name], position=(part, 0))])
            for what, values in statistics_of(images, fill).items():
                seen[name][what].append(values)
    for what in seen["pil"]:
        a, b = (torch.cat(seen[name][what]).double() for name in ("pil", "batched"))
        z = cast("float", ((b.mean() - a.mean()) / ((a.var() + b.var()) / len(a)).sqrt()).item())
        print(f"{what:26} pil {a.mean():8.4f}  batched {b.mean():8.4f}  z {z:5.2f}")


if __name__ == "__main__":
    main()
