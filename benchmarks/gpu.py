"""Is training right, and how fast is it, on this GPU? One script, ten minutes, correctness first.

    python benchmarks/gpu.py -o gpu.json [--minutes 9.5] [--only losses,stacks] [--peak-tflops 989]

The report is rewritten after every step, so that whatever ends the script leaves what was measured. Each step gives its
worst figure first and, where it judges, ``ok``. A step that fails leaves its error and the next one runs; a step for
which too little time is left is skipped and says so, and a long one names what it left out. torch, torchvision, timm,
accelerate and Pillow are enough; no data set and no network are needed. ``--device cpu --tiny`` runs every step in
small on a CPU: the test of this script.

FLOPs are 3 x 2 x multiply-adds of a forward pass. MFU divides them by the bfloat16 peak: ``--peak-tflops``, from the
data sheet, or else the fastest matrix product measured here.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from seedstudy import data as datasets
from seedstudy import machine
from seedstudy.data import imagenet
from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import read_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import scale
from seedstudy.study.placement import LOADERS
from seedstudy.study.seeds import PURPOSES, Streams
from seedstudy.study.trial import Augmentation, Trial, TrialResult
from seedstudy.train import checkpoint
from seedstudy.train.augment import BatchedAugmenter, Chance
from seedstudy.train.checkpoint import Checkpoints, Stopped
from seedstudy.train.cost import measure
from seedstudy.train.devices import accelerator_of, set_determinism
from seedstudy.train.feed import build_erasing, mixed
from seedstudy.train.models import build_model
from seedstudy.train.parts import build_loss, build_mixing, build_optimizer
from seedstudy.train.processes import RunningStatistics, Shard
from seedstudy.train.random_state import RandomStream, epoch_streams
from seedstudy.train.stacks import Stack
from seedstudy.train.streaming import Loader, StreamFeed
from seedstudy.train.trial import train_trial

Report = dict[str, Any]
T = TypeVar("T")
N_CLASSES = 1000
TABLE_3_GB = {
    "resnet18": (12.5, 6.5), "resnet34": (17.5, 9.0), "resnet50": (22.0, 11.4), "resnet101": (16.3, 8.5),
    "resnet152": (22.5, 11.8), "regnety_040": (27.1, 13.9), "regnety_080": (19.8, 10.3), "regnety_160": (25.6, 13.4),
    "regnety_320": (17.6, 9.4), "seresnet50": (27.6, 14.2), "senet154": (23.3, 12.2), "resnet50d": (23.9, 12.3),
    "resnext50_32x4d": (14.3, 14.6), "efficientnet_b0": (22.1, 11.4), "efficientnet_b1": (17.9, 7.9),
    "efficientnet_b2": (22.8, 11.9), "efficientnet_b3": (19.5, 10.1), "efficientnet_b4": (20.4, 14.3),
    "deit_tiny_patch16_224": (16.3, 7.0), "deit_small_patch16_224": (16.1, 7.0), "deit_base_patch16_224": (16.4, 7.3),
    "ecaresnet50t": (29.3, 15.0), "efficientnetv2_rw_s": (16.6, 10.1), "efficientnetv2_rw_m": (18.5, 12.1),
    "ecaresnet269d": (27.4, 17.8),
}  # fmt: skip
"""Peak memory of one V100 under A1 and A2, and under A3, GB (RSB, arXiv 2110.00476, Table 3)."""


# --- the device -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """A CUDA device, or the CPU in its place."""

    torch: torch.device

    @property
    def is_cuda(self) -> bool:
        return self.torch.type == "cuda"

    def wait(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize()

    def forget(self) -> None:
        """Free what is not used and start a new peak of memory."""
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float:
        """Return the peak since :meth:`forget`: of the device's allocations, or of the process."""
        return (torch.cuda.max_memory_allocated() if self.is_cuda else machine.peak_memory()) / 1e9

    def replayed(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return a CUDA graph of a call that always touches the same tensors; on the CPU the call itself."""
        if not self.is_cuda:
            return call
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay


@dataclass(frozen=True)
class Sizes:
    """How large each step is."""

    matmul: int = 8192
    updates: int = 16
    """Of a training whose losses are compared."""
    batch: int = 256
    n_images: int = 2048
    """Small images that are augmented."""
    stacks: tuple[int, ...] = (1, 2, 4, 8, 16)
    processes: tuple[int, ...] = (1, 2, 4)
    seconds: float = 4.0
    """Of one timing."""
    networks: tuple[str, ...] = tuple(TABLE_3_GB)
    micro_batch: int | None = None
    """Instead of a network's own."""
    train_size: int | None = None
    """Pixels, instead of the recipe's."""
    big: tuple[tuple[str, int, int], ...] = (("resnet50", 224, 512), ("resnet50", 160, 512))
    """Network, pixels, images of an update."""
    loaders: tuple[int, ...] = (4, 8, 16)
    entries: int = 50_000
    """Of the streamed data set."""
    jpeg: tuple[int, int] = (500, 375)


TINY = Sizes(
    matmul=64,
    updates=2,
    batch=16,
    n_images=32,
    stacks=(1, 2),
    processes=(1,),
    seconds=0.05,
    networks=("resnet18", "efficientnet_b0"),
    micro_batch=2,
    train_size=32,
    big=(("resnet18", 32, 4),),
    loaders=(0,),
    entries=160,
    jpeg=(48, 36),
)


class Bench:
    """What the steps share."""

    def __init__(self, device: Device, sizes: Sizes, folder: Path, peak_tflops: float | None) -> None:
        self.device, self.sizes, self.folder, self.peak_tflops = device, sizes, folder, peak_tflops
        self.in_background: subprocess.Popen[bytes] | None = None
        self.until = math.inf
        """When the present step's time is up, by the monotonic clock."""
        self.left_out: list[str] = []

    def in_time(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the first item, and the others while the step's time lasts; those left out are named in the report."""
        for n, item in enumerate(items):
            if n and time.monotonic() > self.until:
                self.left_out.append(str(item))
            else:
                yield item

    def seconds_per_call(
        self, call: Callable[[], object], *, warm_up: int = 2, at_least: int = 3, share: float = 1.0
    ) -> float:
        """Return the median of repeated calls; each is waited for. ``share``: of the usual time that is measured."""
        for _ in range(warm_up):
            call()
        self.device.wait()
        times: list[float] = []
        while len(times) < at_least or sum(times) < share * self.sizes.seconds:
            started = time.perf_counter()
            call()
            self.device.wait()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def mfu(self, n_macs: int, images_per_s: float) -> float | None:
        return None if self.peak_tflops is None else 6 * n_macs * images_per_s / (self.peak_tflops * 1e12)


def strict() -> None:
    """Compute float32 as float32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


# --- trials on a small data set -------------------------------------------------------------------------


def small_shapes(folder: Path, batch: int) -> Dataset:
    """Return as many of the embedded images as one update takes, and few to evaluate on."""
    data = datasets.load(datasets.prepare("shapes", cache_dir=folder / "cache"))
    val = data.eval_sets["val"]
    n_val = min(64, len(val))
    short = replace(
        val,
        rows=val.rows[:n_val],
        example_ids=val.example_ids[:n_val],
        label_offsets=val.label_offsets[: n_val + 1],
        label_values=val.label_values[: val.label_offsets[n_val]],
    )
    return replace(
        data,
        train_images=data.train_images[:batch],
        train_labels=data.train_labels[:batch],
        images={val.images: data.images[val.images][:n_val]},
        eval_sets={"val": short},
    )


def trial_of(recipe_name: str, model: str, data: Dataset, sizes: Sizes, *changes: str) -> Trial:
    """Return a trial of one update an epoch, so that the curve holds every update's loss."""
    filler = {"micro_batch": sizes.batch}
    info = replace(datasets.info("shapes"), n_train=len(data.train_labels))
    recipe = scale(read_recipe(recipe_name).for_model(None, given=filler), info, epochs=sizes.updates)
    recipe = with_values(recipe, [f"batch_size={sizes.batch}", f"micro_batch={sizes.batch // 2}", *changes])
    return Trial(
        recipe=recipe,
        model=model,
        data=data.name,
        data_fingerprint=data.fingerprint,
        train_limit=None,
        vary=PURPOSES,
        seed=0,
    )


COMPARED = {"a2": "resnet8", "a3": "resnet18", "deit": "deit_tiny_patch16_224", "rs04": "resnet18"}
WITHOUT_DRAWS = ("precision=float32", "drop_path=0", "dropout=0", "random_erasing=0")
"""Nothing is drawn on the device: its generator is another than the CPU's."""


def losses_of_recipes(folder: Path, sizes: Sizes) -> dict[str, list[float]]:
    """Train each recipe for a few updates in float32 and return the losses."""
    strict()
    data = small_shapes(folder, sizes.batch)
    trials = {name: trial_of(name, model, data, sizes, *WITHOUT_DRAWS) for name, model in COMPARED.items()}
    return {name: [report.train_loss for report in train_trial(trial, data).curves] for name, trial in trials.items()}


# --- steps: is it right? --------------------------------------------------------------------------------


def about(bench: Bench) -> Report:
    """Report versions, and the speed of matrix products and copies."""
    n, device = bench.sizes.matmul, bench.device.torch
    speeds = {}
    for name, dtype, tf32 in (
        ("bfloat16", torch.bfloat16, False),
        ("float16", torch.float16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        speeds[name] = 2 * n**3 / bench.seconds_per_call(lambda a=a, b=b: a @ b) / 1e12
    strict()
    bench.peak_tflops = bench.peak_tflops or speeds["bfloat16"]
    block = torch.empty(n * n, device=device)
    copy_s = bench.seconds_per_call(block.clone)
    versions = {module.__name__: module.__version__ for module in (torch, torchvision, timm, np)}
    facts: Report = {"matmul_tflops": speeds, "copy_gb_per_s": 2 * 4 * n * n / copy_s / 1e9, "versions": versions}
    if bench.device.is_cuda:
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": properties.total_memory / 1e9,
            "cudnn": torch.backends.cudnn.version(),
        }
    return {**facts, "peak_tflops": bench.peak_tflops, "cores": os.cpu_count(), "python": sys.version.split()[0]}


def losses(bench: Bench) -> Report:
    """Compare losses, update by update, with those of the CPU."""
    here = losses_of_recipes(bench.folder, bench.sizes)
    assert bench.in_background is not None
    if bench.in_background.wait(timeout=200):
        raise RuntimeError("the CPU's part failed; its error is above")
    there = json.loads((bench.folder / "cpu_losses.json").read_text())
    apart = {name: [abs(a - b) / abs(b) for a, b in zip(here[name], there[name], strict=True)] for name in here}
    worst = {name: max(values[:4]) for name, values in apart.items()}
    # Rounding grows from update to update; a wrong formula shows in the first ones.
    return {"worst_of_4_updates": worst, "ok": max(worst.values()) < 1e-3, "relative": apart, "here": here}


def augmentation(bench: Bench) -> Report:
    """Augment the same images by the same draws here and on the CPU; compare grey levels."""
    data = small_shapes(bench.folder, bench.sizes.n_images)
    n, worst, share = len(data.train_images), {}, {}
    images = torch.tensor(data.train_images).permute(0, 3, 1, 2)
    for name in ("a1", "a2", "a3", "deit", "torchvision2"):
        recipe = trial_of(name, "resnet8", data, bench.sizes).recipe
        made = []
        for device in (torch.device("cpu"), bench.device.torch):
            augment = BatchedAugmenter(recipe, (0.0,) * 3, (1.0 / 255,) * 3, device)
            chance = Chance([(n, torch.Generator().manual_seed(0))])
            crops = augment.draw_crops(chance, *data.train_images.shape[1:3])
            made.append(augment.apply(augment.crop(images.to(device), crops), augment.draw(chance)).cpu())
        difference = (made[0] - made[1]).abs()
        worst[name] = float(difference.max())
        share[name] = float((difference > 0.5).float().mean())
    return {"worst_grey_levels": worst, "share_of_pixels": share, "ok": max(share.values()) < 1e-3}


def streams(bench: Bench) -> Report:
    """Draw drop masks and erasing of four micro-batches in one process, and of each in a process of its own."""
    device, own = bench.device.torch, Streams(seed=3)
    recipe = with_values(read_recipe("deit").for_model(None), ["random_erasing=1.0"])
    erase, drop = build_erasing(recipe, device), nn.Dropout(0.5)
    assert erase is not None
    images = torch.zeros(8, 3, 32, 32, device=device)

    def drawn(micro_batches: range) -> list[tuple[Tensor, Tensor]]:
        random = epoch_streams(own, 0, micro_batches, device)
        made = []
        for n in micro_batches:
            suffix = f"/{n}" if n else ""
            with random[f"augment{suffix}"].active():
                erased = erase(images.clone())
            with random[f"drop{suffix}"].active():
                made.append((erased.cpu(), drop(torch.ones(64, device=device)).cpu()))
        return made

    together = drawn(range(4))
    apart = [drawn(range(n, n + 1))[0] for n in range(4)]
    n_different = sum(
        not (torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])) for a, b in zip(together, apart, strict=True)
    )
    outer = torch.cuda.get_rng_state(device) if bench.device.is_cuda else torch.get_rng_state()
    with RandomStream(1, device).active():
        torch.rand(3, device=device)
    is_kept = torch.equal(outer, torch.cuda.get_rng_state(device) if bench.device.is_cuda else torch.get_rng_state())
    are_all_new = len({mask.numpy().tobytes() for _, mask in together}) == 4
    ok = n_different == 0 and is_kept and are_all_new
    return {"different_micro_batches": n_different, "ok": ok, "outer_state_is_kept": is_kept, "are_new": are_all_new}


def resume(bench: Bench) -> Report:
    """Train twice, and once stopped and resumed; with and without deterministic kernels."""
    data = small_shapes(bench.folder, 4 * bench.sizes.batch)
    trial = trial_of("a2", "resnet8", data, bench.sizes, "drop_path=0.2", "random_erasing=0.5")

    def outcome(result: TrialResult) -> list[Any]:
        return [[e.loss, e.predicted.tolist()] for e in result.evaluations.values()] + [
            report.train_loss for report in result.curves
        ]

    def stopped_and_resumed(strict_sums: bool) -> TrialResult:
        asked = iter(range(1, 10_000))
        path = bench.folder / f"stop{time.time_ns()}.pt"
        try:
            train_trial(
                trial,
                data,
                checkpoints=Checkpoints(path, trial.trial_id, should_stop=lambda: next(asked) == bench.sizes.updates),
                is_deterministic=strict_sums,
            )
        except Stopped:
            again = Checkpoints(path, trial.trial_id)
            return train_trial(trial, data, checkpoints=again, is_deterministic=strict_sums)
        raise RuntimeError("the training did not stop")

    found: Report = {}
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    for name in ("deterministic", "default"):
        strict_sums = name == "deterministic"
        whole = [outcome(train_trial(trial, data, is_deterministic=strict_sums)) for _ in range(2)]
        resumed = outcome(stopped_and_resumed(strict_sums))
        found[name] = {"resumed_is_equal": resumed == whole[0], "repeated_is_equal": whole[1] == whole[0]}
    set_determinism(False)
    return {"deterministic": found["deterministic"], "ok": all(found["deterministic"].values()), **found}


def flips(bench: Bench) -> Report:
    """Count the predictions of a briefly trained network that bfloat16 changes."""
    data = datasets.load(datasets.prepare("shapes", cache_dir=bench.folder / "cache"))
    device, n = bench.device.torch, 8 * bench.sizes.n_images
    model = build_model("resnet8", trial_of("a3", "resnet8", data, bench.sizes).recipe, len(data.classes), seed=0)
    model = model.to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def shown(images: np.ndarray) -> Tensor:
        return torch.tensor(images).permute(0, 3, 1, 2).to(device).float().sub_(128).div_(64)

    images, labels = shown(data.train_images[:n]), torch.tensor(data.train_labels[:n], dtype=torch.long, device=device)
    for _ in range(2 * bench.sizes.updates):
        for part, own in zip(images.split(256), labels.split(256), strict=True):
            nn.functional.cross_entropy(model(part), own).backward()
            optimizer.step()
            optimizer.zero_grad()
    val = data.eval_sets["val"]
    made, test = [], shown(data.images[val.images][val.rows])
    with torch.inference_mode():
        for is_bf16 in (False, True):
            with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16):
                made.append(torch.cat([model.eval()(part).float() for part in test.split(500)]).argmax(1).cpu())
    right = [float((each.numpy() == val.label_values[val.label_offsets[:-1]]).mean()) for each in made]
    flipped = float((made[0] != made[1]).float().mean())
    return {"share_flipped": flipped, "n": len(test), "accuracy_float32": right[0], "accuracy_bfloat16": right[1]}


def optimizer(bench: Bench) -> Report:
    """Compare timm's multi-tensor LAMB, which it takes on GPUs, with its loop over tensors: weights and time."""
    model, _, n = bench.sizes.big[0]
    recipe = with_values(read_recipe("a2").for_model(None), [f"batch_size={n}", f"micro_batch={n}"])
    device, weights, ms = bench.device.torch, [], {}
    for name, is_multi_tensor in (("loop", False), ("multi_tensor", True)):
        network = build_model(model, recipe, N_CLASSES, seed=0).to(device)
        lamb = build_optimizer(network, recipe)
        generator = torch.Generator(device).manual_seed(0)
        for group in lamb.param_groups:
            group["foreach"] = is_multi_tensor
        for parameter in network.parameters():
            parameter.grad = 0.01 * torch.randn(parameter.shape, generator=generator, device=device)
        for _ in range(bench.sizes.updates):
            lamb.step()
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
        ms[name] = 1e3 * bench.seconds_per_call(lamb.step)
    apart = [float((a - b).norm() / a.norm().clamp(min=1e-12)) for a, b in zip(*weights, strict=True)]
    return {"worst_relative": max(apart), "ok": max(apart) < 1e-4, "ms": ms}


# --- steps: how fast is it? -----------------------------------------------------------------------------


def small_recipe(sizes: Sizes) -> Recipe:
    """Return A2 as it is scaled to all of CIFAR-10."""
    recipe = scale(read_recipe("a2").for_model(None), datasets.info("cifar10"))
    return recipe if sizes.micro_batch is None else with_values(recipe, ["batch_size=16", "micro_batch=16"])


def stack_step(model: str, n_seeds: int, recipe: Recipe) -> Callable[[], object]:
    """Return one update of a stack on images that lie on the device."""
    accelerator = accelerator_of(recipe)
    device = accelerator.device
    networks = [build_model(model, recipe, 10, seed=seed).to(device) for seed in range(n_seeds)]
    stack = Stack(networks, recipe, accelerator, n_updates=1000)
    stack.begin_epoch(0, [Streams(seed=seed) for seed in range(n_seeds)])
    shape = (recipe.micro_batch, 3, recipe.train_size, recipe.train_size)
    images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    targets = nn.functional.one_hot(torch.arange(len(images), device=device) % 10, 10).float()
    n_micro = recipe.batch_size // recipe.micro_batch
    return lambda: stack.update([[(images, targets)] * n_micro] * n_seeds)


def stacks(bench: Bench) -> Report:
    """Time seeds side by side in one process, and in several: seeds of 50,000 images x 30 epochs an hour."""
    recipe, rows = small_recipe(bench.sizes), []
    per_seed = 30 * 50_000 / recipe.batch_size  # updates
    for model in ("resnet8", "resnet20"):
        n_macs = measure(model, image_size=recipe.train_size, batch_size=2, n_timed=0).size.n_macs
        for n_seeds in bench.in_time(bench.sizes.stacks):
            seconds = bench.seconds_per_call(stack_step(model, n_seeds, recipe), warm_up=5) / n_seeds
            images_per_s = recipe.batch_size / seconds
            rows.append({"model": model, "stacked": n_seeds, "seeds_per_hour": 3600 / (per_seed * seconds),
                         "mfu": bench.mfu(n_macs, images_per_s)})  # fmt: skip
        for n_processes in bench.in_time(bench.sizes.processes):
            steps_per_s = sum(steps_in_processes(bench, model, n_processes))
            rows.append({"model": model, "processes": n_processes, "seeds_per_hour": 3600 * steps_per_s / per_seed})
    return {"rows": sorted(rows, key=lambda row: row["seeds_per_hour"])}


WAYS: dict[str, Callable[..., Tensor]] = {}
"""How the convolutions of several seeds may be computed in one call."""


def way(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    WAYS[function.__name__] = function
    return function


@way
def grouped(images: Tensor, weight: Tensor, stride: int, n_seeds: int) -> Tensor:
    """Return one convolution with a group for each seed: what a stack computes."""
    return nn.functional.conv2d(images, weight, stride=stride, padding=weight.shape[2] // 2, groups=n_seeds)


@way
def one_by_one(images: Tensor, weight: Tensor, stride: int, n_seeds: int) -> Tensor:
    """Return a convolution for each seed, one after the other."""
    parts = zip(images.chunk(n_seeds, 1), weight.chunk(n_seeds, 0), strict=True)
    return torch.cat([grouped(image, own, stride, 1) for image, own in parts], dim=1)


@way
def matrices(images: Tensor, weight: Tensor, stride: int, n_seeds: int) -> Tensor:
    """Return a batch of matrix products, a matrix for each seed, over the windows of all images."""
    n_out, n_in, side = weight.shape[0] // n_seeds, weight.shape[1], weight.shape[2]
    pad = (side // 2,) * 4
    padded = nn.functional.pad(images, pad).permute(0, 2, 3, 1).contiguous()
    n, height, width = padded.shape[:3]
    across, down = ((each - side) // stride + 1 for each in (width, height))
    of_image, of_row, of_pixel, of_channel = padded.stride()
    shape = (n_seeds, n, down, across, side, side, n_in)
    steps = (n_in * of_channel, of_image, stride * of_row, stride * of_pixel, of_row, of_pixel, of_channel)
    windows = padded.as_strided(shape, steps).reshape(n_seeds, n * down * across, -1)
    by_seed = weight.view(n_seeds, n_out, n_in, side, side).permute(0, 3, 4, 2, 1).reshape(n_seeds, -1, n_out)
    made = torch.bmm(windows, by_seed).transpose(0, 1)
    return made.reshape(n, down, across, n_seeds * n_out).permute(0, 3, 1, 2)


LAYERS = ((16, 16, 3, 1, 32), (16, 32, 3, 2, 32), (32, 32, 3, 1, 16), (64, 64, 3, 1, 8), (16, 32, 1, 2, 32))
"""Of ResNet-8 and ResNet-20: channels in and out, side of the kernel, stride, pixels of the image."""


def layer_passes(
    function: Callable[..., Tensor], images: Tensor, weight: Tensor, stride: int, n_seeds: int
) -> tuple[Tensor, ...]:
    """Return a layer's output, and its gradients."""
    images.grad = weight.grad = None
    made = function(images, weight, stride, n_seeds)
    made.square().mean().backward()
    assert images.grad is not None
    assert weight.grad is not None
    return made.detach(), images.grad, weight.grad


def formulations(bench: Bench) -> Report:
    """Time forward and backward of single layers of a stack in three ways; compare their outputs and gradients."""
    rows, device = [], bench.device.torch
    cells = [(layer, n) for layer in LAYERS for n in bench.sizes.stacks if n > 1]
    for layer, n_seeds in bench.in_time(cells):
        n_in, n_out, side, stride, px = layer
        generator = torch.Generator(device).manual_seed(0)
        shapes = (bench.sizes.batch, n_seeds * n_in, px, px), (n_seeds * n_out, n_in, side, side)
        images, weight = (
            torch.randn(shape, generator=generator, device=device)
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_()
            for shape in shapes
        )
        ms, found = {}, {}
        for name, function in WAYS.items():
            passes = partial(layer_passes, function, images, weight, stride, n_seeds)
            found[name] = passes()
            ms[name] = 1e3 * bench.seconds_per_call(passes, share=0.1)
        apart = {name: max(float((a - b).norm() / b.norm()) for a, b in zip(made, found["grouped"], strict=True))
                 for name, made in found.items()}  # fmt: skip
        rows.append({"layer": layer, "stacked": n_seeds, "ms": ms, "apart": max(apart.values())})
    rows.sort(key=lambda row: -row["apart"])
    return {"rows": rows, "ok": all(row["apart"] < 1e-4 for row in rows)}


def steps_in_processes(bench: Bench, model: str, n_processes: int) -> list[float]:
    """Return updates a second of each of several processes that train at the same time."""
    command = [sys.executable, __file__, "--device", bench.device.torch.type, "--part", f"steps:{model}"]
    command += ["--folder", str(bench.folder), *(["--tiny"] if bench.sizes == TINY else [])]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(n_processes)]
    return [float(process.communicate(timeout=120)[0]) for process in running]


def table_3(bench: Bench) -> Report:
    """Make one update's micro-batch of each network of RSB's Table 3 under A2, then A3; compare memory with its."""
    rows = []
    for way, name in bench.in_time([(way, name) for way in ("a2", "a3") for name in bench.sizes.networks]):
        recipe = read_recipe(way).for_model(name)
        changes = [] if bench.sizes.train_size is None else [f"train_size={bench.sizes.train_size}"]
        if bench.sizes.micro_batch is not None:
            changes += ["batch_size=4", f"micro_batch={bench.sizes.micro_batch}"]
        recipe = with_values(recipe, changes) if changes else recipe
        row: Report = {"model": name, "recipe": way, "micro_batch": recipe.micro_batch, "train_size": recipe.train_size}
        bench.device.forget()
        training = None
        try:
            training = Training(name, recipe, n_micro=1)
            for _ in range(2):
                loss = training.update(next(training.resident()))
            bench.device.wait()
            started = time.perf_counter()
            training.update(next(training.resident()))
            bench.device.wait()
            row |= {"loss_is_finite": bool(torch.isfinite(loss)),
                    "images_per_s": recipe.micro_batch / (time.perf_counter() - started)}  # fmt: skip
        except RuntimeError as error:  # out of memory
            row |= {"loss_is_finite": False, "error": str(error)[:200]}
        row |= {"peak_gb": bench.device.peak_gb(), "table_gb": TABLE_3_GB[name][way == "a3"]}
        rows.append(row)
    rows.sort(key=lambda row: (row["loss_is_finite"], -row["peak_gb"] / row["table_gb"]))
    return {"rows": rows, "ok": all(row["loss_is_finite"] for row in rows)}


class Training:
    """A recipe's update, without a schedule."""

    def __init__(self, model: str, recipe: Recipe, *, n_micro: int | None = None, precision: str = "") -> None:
        self.recipe = recipe if n_micro is None else replace(recipe, batch_size=n_micro * recipe.micro_batch)
        self.shard = Shard.of_update(self.recipe)
        self.accelerator = accelerator_of(self.recipe)
        self.device = self.accelerator.device
        network = build_model(model, self.recipe, N_CLASSES, seed=0).to(self.device)
        network = network.to(memory_format=torch.channels_last).train()
        optimizer = build_optimizer(network, self.recipe)
        self.model, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.statistics = RunningStatistics(self.model, self.recipe, self.shard)
        self.mix = build_mixing(self.recipe, N_CLASSES)
        self.loss_of = build_loss(self.recipe, is_mixed=self.mix is not None)
        self.is_half = precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.is_half)

    def update(self, micro_batches: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
        loss = torch.zeros(())
        for n, (images, targets) in enumerate(micro_batches):
            with self.statistics.micro_batch(n):
                half = torch.autocast(self.device.type, torch.float16) if self.is_half else None
                with half or self.accelerator.autocast():
                    loss = self.loss_of(self.model(images), targets) / len(self.shard.micro_batches)
                self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.detach()

    def resident(self) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        """Yield updates of images that lie on the device."""
        size, n = self.recipe.train_size, self.recipe.micro_batch
        images = torch.randn(n, 3, size, size, device=self.device).contiguous(memory_format=torch.channels_last)
        labels = torch.arange(n, device=self.device) % N_CLASSES
        while True:
            yield (self.mix(images.clone(), labels) if self.mix else (images, labels) for _ in self.shard.micro_batches)


def big_network(bench: Bench) -> Report:
    """Time ResNet-50's forward, backward and update in several ways, on images that lie on the device."""
    rows = []
    for model, size, n in bench.sizes.big:
        recipe = with_values(read_recipe("a2").for_model(None), [f"batch_size={n}", f"micro_batch={n}",
                                                                 f"train_size={size}"])  # fmt: skip
        n_macs = measure(model, image_size=size, batch_size=2, n_timed=0).size.n_macs
        for way in bench.in_time(("eager", "benchmark", "graph", "float16", "compile blocks", "compile")):
            bench.device.forget()
            row: Report = {"model": model, "px": size, "batch": n, "way": way}
            torch.backends.cudnn.benchmark = way not in ("eager", "float16")
            try:
                seconds = bench.seconds_per_call(step_of(bench, model, recipe, way), warm_up=4)
                row |= {"images_per_s": n / seconds, "mfu": bench.mfu(n_macs, n / seconds)}
            except Exception as error:
                row |= {"images_per_s": 0.0, "error": f"{type(error).__name__}: {error}"[:300]}
            rows.append({**row, "peak_gb": bench.device.peak_gb()})
    torch.backends.cudnn.benchmark = False
    return {"rows": sorted(rows, key=lambda row: row["images_per_s"])}


def step_of(bench: Bench, model: str, recipe: Recipe, way: str) -> Callable[[], object]:
    """Return one update; a graph holds forward and backward, LAMB follows it."""
    training = Training(model, recipe, n_micro=1, precision="float16" if way == "float16" else "")
    if way == "compile":
        training.model.compile()
    if way == "compile blocks":  # one graph for all blocks of a shape: less to compile
        for module in training.model.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                module.compile()
    batches = training.resident()
    if way != "graph":
        return lambda: training.update(next(batches))
    images, targets = next(next(batches))

    def forward_and_backward() -> None:
        with training.accelerator.autocast():
            loss = training.loss_of(training.model(images), targets)
        loss.backward()

    training.optimizer.zero_grad(set_to_none=True)
    replay = bench.device.replayed(forward_and_backward)

    def update() -> None:
        for parameter in training.model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        replay()
        training.optimizer.step()

    return update


def make_jpegs(root: Path, sizes: Sizes) -> Path:
    """Lay out ImageNet-like training images: ten classes, each of a few photographs-by-number under many names."""
    rng = np.random.default_rng(0)
    synsets = imagenet.synsets()[:10]
    for synset in synsets:
        folder = root / "train" / synset
        folder.mkdir(parents=True, exist_ok=True)
        for n in range(4):
            coarse = rng.integers(0, 256, (sizes.jpeg[1] // 8 + 1, sizes.jpeg[0] // 8 + 1, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize(sizes.jpeg, Image.Resampling.BICUBIC)
            noisy = np.clip(np.asarray(image) + rng.normal(0, 8, (*sizes.jpeg[::-1], 3)), 0, 255).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(noisy).save(stream, "JPEG", quality=90)
            (root / f"{synset}_{n}.jpg").write_bytes(stream.getvalue())
        for n in range(sizes.entries // len(synsets)):
            os.link(root / f"{synset}_{n % 4}.jpg", folder / f"{synset}_{n}.JPEG")
        label = imagenet.synsets().index(synset)
        number = next(i + 1 for i, labels in enumerate(imagenet.real_labels()) if labels == (label,))
        val = root / "val" / synset / f"ILSVRC2012_val_{number:08d}.JPEG"
        val.parent.mkdir(parents=True, exist_ok=True)
        os.link(root / f"{synset}_0.jpg", val)
    (root / "classes.txt").write_text("\n".join(synsets) + "\n")
    return root


def streaming(bench: Bench) -> Report:
    """Time the loader alone with several numbers of processes, then a training that it feeds."""
    root = make_jpegs(bench.folder / "imagenet", bench.sizes)
    data = datasets.load(datasets.prepare("imagenet", data_dir=root, cache_dir=bench.folder / "cache"))
    model, size, n = bench.sizes.big[0]
    recipe = with_values(
        read_recipe("a2").for_model(None), [f"batch_size={n}", f"micro_batch={n}", f"train_size={size}"]
    )
    rows = []
    for n_loaders in bench.in_time(bench.sizes.loaders):
        is_most = n_loaders == max(bench.sizes.loaders)
        kinds: list[tuple[str, Augmentation]] = [("loader", "batched")]
        kinds += [("loader", "pil"), ("training", "pil"), ("training", "batched")] if is_most else []
        for kind, augmentation in kinds:
            os.environ[LOADERS] = str(n_loaders)
            training = Training(model, recipe, n_micro=1)
            updates = streamed(training, data, augmentation)
            take: Callable[[], object] = (
                (lambda u=updates: [None for _ in next(u)])
                if kind == "loader"
                else (lambda u=updates, t=training: t.update(next(u)))
            )
            seconds = bench.seconds_per_call(take, warm_up=2)
            updates.close()
            images_per_s = n / seconds
            rows.append({"what": kind, "augment": augmentation, "loaders": n_loaders, "images_per_s": images_per_s,
                         "images_per_s_per_loader": images_per_s / max(1, n_loaders)})  # fmt: skip
    os.environ.pop(LOADERS)
    return {"rows": sorted(rows, key=lambda row: row["images_per_s_per_loader"]), "jpeg": bench.sizes.jpeg}


def streamed(training: Training, data: Dataset, augmentation: Augmentation) -> Iterator[Any]:
    """Yield updates of images that are read, decoded and augmented by loader processes."""
    loader = Loader.of_trial(data, training.recipe, augmentation, training.device)
    feed = StreamFeed(data, training.recipe, training.shard, training.device, augmentation, loader)
    epoch = 0
    while True:
        own = Streams(seed=0)
        random = epoch_streams(own, epoch, training.shard.micro_batches, training.device)
        yield from mixed(feed.epoch(own, epoch, random), training.mix, training.shard, random, training.device)
        epoch += 1


def checkpoints(bench: Bench) -> Report:
    """Write and read a checkpoint of the big network and its optimiser."""
    model, size, n = bench.sizes.big[0]
    recipe = with_values(
        read_recipe("a2").for_model(None), [f"batch_size={n}", f"micro_batch={n}", f"train_size={size}"]
    )
    training = Training(model, recipe, n_micro=1)
    training.update(next(training.resident()))
    path = bench.folder / "big.pt"
    content = {"model": training.model.state_dict(), "optimizer": training.optimizer.state_dict()}
    started = time.perf_counter()
    checkpoint.write(path, content)
    written = time.perf_counter()
    read = checkpoint.read(path)
    seconds = {"write_s": written - started, "read_s": time.perf_counter() - written}
    same = all(torch.equal(value.cpu(), read["model"][key]) for key, value in content["model"].items())
    return {**seconds, "ok": same, "megabytes": path.stat().st_size / 1e6}


STEPS: dict[str, tuple[Callable[[Bench], Report], float]] = {
    "about": (about, 15),
    "augmentation": (augmentation, 10),
    "streams": (streams, 5),
    "losses": (losses, 60),
    "resume": (resume, 30),
    "flips": (flips, 5),
    "optimizer": (optimizer, 10),
    "stacks": (stacks, 120),
    "formulations": (formulations, 30),
    "table_3": (table_3, 120),
    "big_network": (big_network, 150),
    "streaming": (streaming, 90),
    "checkpoints": (checkpoints, 15),
}
"""Step -> what it runs, and the seconds without which it is not begun; a long one ends after half as many again."""


# --- the run --------------------------------------------------------------------------------------------


def run(bench: Bench, names: list[str], output: Path, seconds: float) -> Report:
    """Run the steps one after the other, and write the report after each."""
    began, report = time.monotonic(), {}
    if "losses" in names:
        command = [sys.executable, __file__, "--device", "cpu", "--part", "cpu_losses", "--folder", str(bench.folder)]
        command += ["--tiny"] if bench.sizes == TINY else []
        bench.in_background = subprocess.Popen(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    for name in names:
        step, needs_s = STEPS[name]
        left = seconds - (time.monotonic() - began)
        started = time.monotonic()
        if left < needs_s:
            found: Report = {"skipped": f"{left:.0f} s left, {needs_s:.0f} s needed"}
        else:
            bench.device.forget()
            bench.left_out, bench.until = [], started + (left if bench.sizes == TINY else min(left, 1.5 * needs_s))
            try:
                found = step(bench)
            except Exception as error:
                traceback.print_exc()
                found = {"ok": False, "error": f"{type(error).__name__}: {error}"[:1000]}
        if bench.left_out:
            found["left_out"] = bench.left_out
        report[name] = {**found, "seconds": round(time.monotonic() - started, 1)}
        output.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {json.dumps(report[name])[:600]}", flush=True)
    if bench.in_background is not None:
        bench.in_background.kill()
    wrong = [name for name, found in report.items() if found.get("ok") is False]
    print("wrong: " + ", ".join(wrong) if wrong else "nothing is wrong", flush=True)
    return report


def part(name: str, bench: Bench) -> None:
    """Run the part of a step that needs a process of its own."""
    kind, _, model = name.partition(":")
    if kind == "cpu_losses":
        made = losses_of_recipes(bench.folder / "cpu", bench.sizes)
        (bench.folder / "cpu_losses.json").write_text(json.dumps(made))
    else:
        print(1 / bench.seconds_per_call(stack_step(model, 1, small_recipe(bench.sizes)), warm_up=5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=9.5, help="no step is begun that would end later")
    parser.add_argument("--only", default=",".join(STEPS), help="steps, in this order (default: all)")
    parser.add_argument("--peak-tflops", type=float, help="dense bfloat16 peak of the GPU, data sheet")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes: tests this script")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py measures a CUDA device, and there is none; --device cpu --tiny tests the script.")
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Device(torch.device(given.device)), TINY if given.tiny else Sizes(), Path(folder), given.peak_tflops
        )
        strict()
        if given.part:
            part(given.part, bench)
        else:
            report = run(bench, given.only.split(","), given.output, 60 * given.minutes)
            sys.exit(any(found.get("ok") is False for found in report.values()))


if __name__ == "__main__":
    main()
