"""How many images a second one core prepares for training: decoded and cropped in tensors, and by timm's pipeline.

Both kinds of a recipe's augmentation (`--augment batched` and `pil`) read the same JPEG files, in alternating rounds,
on one thread; CPU time is measured. ``core`` is what a loader process does, ``rest`` what the training process does
afterwards, on its GPU where it has one. With ``--short-side`` the same is done with copies of the images whose shorter
side has that length, encoded and decoded, as `seedstudy data prepare --short-side` and `--decoded` make them::

    python benchmarks/loader.py IMAGES --recipe a2 --short-side 320 --rounds 7
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seedstudy.data import imagenet
from seedstudy.data.encoded import EncodedImages, ppm
from seedstudy.data.finding import Entry, encoded_images
from seedstudy.recipes.reader import read_recipe
from seedstudy.train.random_state import RandomStream
from seedstudy.train.streaming import ByPillow, Cropped, FinishCrops, FinishPillows

SUFFIXES = (".jpg", ".jpeg", ".ppm")


def images_of(folder: Path) -> EncodedImages:
    """Index every image below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    entries = [Entry("", p.stem, str(p), 0, p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    return encoded_images(entries, [str(number) for number in range(len(entries))])


def shrunk(images: EncodedImages, side: int, quality: int | None, folder: Path) -> EncodedImages:
    """Write copies whose shorter side is at most ``side`` pixels; without ``quality`` decoded ones."""
    for row in range(len(images)):
        image = images.open(row)
        share = min(1.0, side / min(image.size))
        size = tuple(max(1, round(each * share)) for each in image.size)
        small = image.resize(size, Image.Resampling.BICUBIC)
        if quality is None:
            (folder / f"{row}.ppm").write_bytes(ppm(np.asarray(small)))
        else:
            small.save(folder / f"{row}.jpg", "JPEG", quality=quality)
    return images_of(folder)


def ms_per_image(call: Callable[[], Any], n: int) -> float:
    """Return the CPU milliseconds of one image."""
    started = time.process_time()
    call()
    return 1e3 * (time.process_time() - started) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="JPEG files")
    parser.add_argument("--recipe", default="a2")
    parser.add_argument("--short-side", type=int)
    parser.add_argument("--quality", type=int, default=95, help="of the copies")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(given.recipe).for_model("resnet50")
    statistics_of: Any = SimpleNamespace(mean=imagenet.MEAN, std=imagenet.STD)
    device = torch.device("cpu")
    ways = {
        "pil": (ByPillow(recipe, statistics_of), FinishPillows(recipe, statistics_of, device)),
        "batched": (Cropped(recipe), FinishCrops(recipe, statistics_of, device)),
    }
    with tempfile.TemporaryDirectory() as encoded, tempfile.TemporaryDirectory() as decoded:
        originals = images_of(given.folder)
        sources = {"originals": originals}
        if given.short_side:
            sources["copies"] = shrunk(originals, given.short_side, given.quality, Path(encoded))
            sources["decoded"] = shrunk(originals, given.short_side, None, Path(decoded))
        n, stream = len(originals), RandomStream(0)

        def loaded(source: EncodedImages, show: Any) -> Tensor:
            return torch.stack([show(source, row, 1, row) for row in range(n)])

        cells = [(way, name) for way in ways for name in sources if way != "pil" or name == "originals"]
        core: dict[tuple[str, str], list[float]] = {cell: [] for cell in cells}
        rest: dict[str, list[float]] = {way: [] for way in ways}
        batches = {way: loaded(originals, show) for way, (show, _) in ways.items()}  # also a warm-up
        for _ in range(given.rounds):
            for way, name in cells:
                core[way, name].append(ms_per_image(lambda w=way, s=name: loaded(sources[s], ways[w][0]), n))
            for way, (_, finish) in ways.items():
                rest[way].append(ms_per_image(lambda f=finish, b=batches[way]: f(b, stream, (0, 0)), n))
    mean_bytes = {name: statistics.mean(source.sizes.tolist()) for name, source in sources.items()}
    print(
        f"{given.recipe}, {recipe.train_size} px, {n} images, load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )
    print("way      images     kB each   core ms: median (range)   images/s a core   ratio to pil: median (range)")
    for way, name in cells:
        times = core[way, name]
        middle = statistics.median(times)
        spread = f"{middle:5.2f} ({min(times):.2f} to {max(times):.2f})"
        pairs = zip(core["pil", "originals"], times, strict=True)
        ratios = sorted(before / own for before, own in pairs)
        gain = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{way:8} {name:10} {mean_bytes[name] / 1e3:6.0f}   {spread:24} {1e3 / middle:12.0f}      {gain}")
    for way, times in rest.items():
        print(f"{way}: the rest of the augmentation, on this CPU: {statistics.median(times):.2f} ms an image")


if __name__ == "__main__":
    main()
