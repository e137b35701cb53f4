"""A2 on ResNet-50 at 224 px on one GPU: images/s, peak memory, MFU, share of the time spent waiting for the loader.

NOT RUN YET: there was no GPU when it was written; no figure of it stands anywhere.

    python benchmarks/imagenet_gpu.py --data-dir /data/imagenet --peak-tflops 989 -o results/benchmarks/gpu.json

Each update is A2's own: 2048 images as 4 micro-batches of 512, bfloat16, LAMB, BCE, mixing. The same updates run (a) on
images that lie on the device and (b) on the training images of --data-dir, read, decoded and augmented by loader
processes. What (b) takes longer than (a) is the loader's share.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from seedstudy import data as datasets
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.train.cost import measure
from seedstudy.train.devices import accelerator_of, name_of
from seedstudy.train.feed import mixed
from seedstudy.train.models import build_model
from seedstudy.train.parts import build_loss, build_mixing, build_optimizer
from seedstudy.train.processes import RunningStatistics, Shard
from seedstudy.train.random_state import epoch_streams
from seedstudy.train.streaming import StreamFeed, n_loaders

MODEL, N_CLASSES = "resnet50", 1000
WARM_UP = 2
"""Updates that allocate, choose kernels and fill the loader's queues."""


class Training:
    """A2's update, without a schedule."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.shard = recipe, Shard.of_update(recipe)
        self.accelerator = accelerator_of(recipe)
        self.device = self.accelerator.device
        model = build_model(MODEL, recipe, N_CLASSES, seed=0).to(self.device).to(memory_format=torch.channels_last)
        optimizer = build_optimizer(model, recipe)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.statistics = RunningStatistics(self.model, recipe, self.shard)
        self.mix = build_mixing(recipe, N_CLASSES)
        self.loss_of = build_loss(recipe, is_mixed=self.mix is not None)

    def update(self, micro_batches) -> None:
        for n, (images, targets) in enumerate(micro_batches):
            with self.statistics.micro_batch(n):
                with self.accelerator.autocast():
                    loss = self.loss_of(self.model(images), targets) / len(self.shard.micro_batches)
                self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()


def seconds_per_update(training: Training, updates, n_updates: int) -> float:
    for _ in range(WARM_UP):
        training.update(next(updates))
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(n_updates):
        training.update(next(updates))
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / n_updates


def on_device(training: Training):
    size, n = training.recipe.train_size, training.recipe.micro_batch
    images = torch.randn(n, 3, size, size, device=training.device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(n, device=training.device) % N_CLASSES
    while True:
        yield (
            training.mix(images.clone(), labels) if training.mix is not None else (images, labels)
            for _ in training.shard.micro_batches
        )


def from_disk(training: Training, data: datasets.Dataset):
    shard, device = training.shard, training.device
    feed = StreamFeed(data, training.recipe, shard, device)
    streams, epoch = Streams(seed=0), 0
    while True:
        random = epoch_streams(streams, epoch, shard.micro_batches)
        yield from mixed(feed.epoch(streams, epoch, random), training.mix, shard, random, device)
        epoch += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="ImageNet with at least 2,048 training images")
    parser.add_argument("--cache-dir", type=Path, default=Path.home() / ".cache" / "seedstudy")
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--peak-tflops", type=float, required=True, help="dense bfloat16 peak of the GPU, data sheet")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("imagenet_gpu.py measures a CUDA device, and there is none.")
    training = Training(load_recipe("a2"))
    data = datasets.load(datasets.prepare("imagenet", data_dir=given.data_dir, cache_dir=given.cache_dir))
    torch.cuda.reset_peak_memory_stats()
    resident_s = seconds_per_update(training, on_device(training), given.updates)
    streamed_s = seconds_per_update(training, from_disk(training, data), given.updates)
    batch = training.recipe.batch_size
    size = measure(MODEL, image_size=training.recipe.train_size, batch_size=2, n_timed=0).size
    # Forward is one pass of 2 FLOPs a multiply-add; backward is two.
    flops = 3 * 2 * size.n_macs * batch
    report = {
        "device": name_of(training.device),
        "torch": torch.__version__,
        "updates": given.updates,
        "loaders": n_loaders(),
        "images_per_s_on_device": batch / resident_s,
        "images_per_s_from_disk": batch / streamed_s,
        "loader_share": max(0.0, 1 - resident_s / streamed_s),
        "mfu_on_device": flops / resident_s / (given.peak_tflops * 1e12),
        "mfu_from_disk": flops / streamed_s / (given.peak_tflops * 1e12),
        "peak_mem_bytes": torch.cuda.max_memory_allocated(),
    }
    print(json.dumps(report, indent=1))
    if given.output is not None:
        given.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
