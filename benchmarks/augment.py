"""How fast is augmentation? Ours against timm's PIL pipeline and torchvision.transforms.v2, taking turns, on one core.

The training augmentation of recipe A2 on uint8 images in memory: random resized crop, flip, RandAugment with two
operations, normalise. torchvision has no `mstd` and no probability of 0.5 for each operation (it always applies both),
so its own RandAugment runs at the nearest settings: two of its operations, magnitude 7 of 10 (21 of 31 bins)::

    python benchmarks/augment.py --size 32 --images 2048 --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data.transforms_factory import transforms_imagenet_train
from torchvision.transforms import v2

from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.train.augment import BatchedAugmenter, Chance

# As the engine starts its workers: memory that was freed is kept.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
BATCH = 1024


def photographs(n: int, size: int) -> np.ndarray:
    """Return patches of photographs, shape (n, size, size, 3)."""
    rng = np.random.default_rng(0)
    pictures = load_sample_images().images
    patches = []
    for row in range(n):
        picture = pictures[row % 2]
        top, left = rng.integers(0, picture.shape[0] - size), rng.integers(0, picture.shape[1] - size)
        patches.append(picture[top : top + size, left : left + size])
    return np.stack(patches)


def ours(images: np.ndarray, recipe: Recipe) -> Callable[[], None]:
    """Whole batches in tensors."""
    augment = BatchedAugmenter(recipe, MEAN, STD, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)

    def work() -> None:
        for batch in tensors.split(BATCH):
            chance = Chance([(len(batch), generator)])
            crops = augment.crop(batch, augment.draw_crops(chance, *batch.shape[2:]))
            augment.apply(crops, augment.draw(chance))

    return work


def timm_pil(images: np.ndarray, recipe: Recipe) -> Callable[[], None]:
    """Apply timm's transforms image by image, normalised as a batch (its prefetcher's way)."""
    transform = transforms_imagenet_train(
        recipe.train_size,
        auto_augment=recipe.randaugment,
        interpolation=recipe.train_interpolation,
        mean=MEAN,
        std=STD,
        use_prefetcher=True,
    )
    mean, std = (255 * torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))

    def work() -> None:
        for start in range(0, len(images), BATCH):
            batch = torch.stack([transform(Image.fromarray(image)) for image in images[start : start + BATCH]])
            batch.float().sub_(mean).div_(std)

    return work


def torchvision_v2(images: np.ndarray, recipe: Recipe) -> Callable[[], None]:
    """Apply torchvision's v2 transforms on uint8 tensors, image by image: on a batch they draw once for all images."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(recipe.train_size, scale=recipe.crop_scale, ratio=recipe.crop_ratio, antialias=True),
            v2.RandomHorizontalFlip(recipe.hflip),
            v2.RandAugment(num_ops=2, magnitude=21, interpolation=v2.InterpolationMode.BILINEAR),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def work() -> None:
        for batch in tensors.split(BATCH):
            torch.stack([transform(image) for image in batch])

    return work


def main() -> None:
    """Take turns, then print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32, help="side of the images, before and after (default 32)")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not MALLOC.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
    torch.set_num_threads(1)
    images = photographs(options.images, options.size)
    recipe = replace(load_recipe("a2"), train_size=options.size)
    runners = {
        "seedstudy, batched": ours(images, recipe),
        "timm, PIL": timm_pil(images, recipe),
        "torchvision v2, tensors": torchvision_v2(images, recipe),
    }
    for run in runners.values():
        run()  # tables and first calls are not measured
    costs: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(options.rounds):
        for name, run in runners.items():
            started = time.process_time()
            run()
            costs[name].append((time.process_time() - started) / len(images) * 1e6)
    base = statistics.median(costs["seedstudy, batched"])
    print(
        f"{options.images} images of {options.size} px, one core, batches of {BATCH}, {options.rounds} rounds in turn"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, cost in costs.items():
        median = statistics.median(cost)
        print(f"{name}: {median:.0f} us/image ({min(cost):.0f} to {max(cost):.0f}), {median / base:.1f} x ours")


if __name__ == "__main__":
    main()
