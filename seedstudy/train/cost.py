"""What a network costs: parameters, multiply-adds, activations, latency, training speed, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import timm
import torch
from timm.layers import set_fused_attn, use_fused_attn
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seedstudy import machine
from seedstudy.errors import StudyError, first_line
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.network import MEASURED_FRAMES, Cost, Size, Speed, flat_name
from seedstudy.train.devices import name_of, peak_mem_bytes
from seedstudy.train.models import build_model, check_name, is_own

_aten = torch.ops.aten
_MATMULS = (_aten.convolution, _aten.addmm, _aten.mm, _aten.bmm, _aten.baddbmm)


def _n_outputs(*_: Any, out_shape: torch.Size, **__: Any) -> int:
    return out_shape.numel()


def size_built_by(build: Callable[[], nn.Module], image_size: int, n_frames: int = 1) -> Size:
    """Count parameters, multiply-adds and activations of one image's, or clip's, forward pass on the meta device.

    Weights are not initialised where the constructor allows that. Activations are, as in timm's tables, the numbers
    that convolutions and matrix products put out.
    """
    flops = FlopCounterMode(display=False)
    activations = FlopCounterMode(display=False, custom_mapping=dict.fromkeys(_MATMULS, _n_outputs))
    is_fused = use_fused_attn()
    set_fused_attn(False)  # a fused kernel shows no matrix products
    try:
        try:
            with torch.device("meta"):
                model = build()
        except NotImplementedError:  # RegNet's constructor reads values, which torch 2.9 and older cannot do on meta
            model = build().to("meta")
        with torch.no_grad(), flops, activations:
            model.eval()(torch.zeros(1, 3 * n_frames, image_size, image_size, device="meta"))
    finally:
        set_fused_attn(bool(is_fused))
    return Size(
        n_params=sum(parameter.numel() for parameter in model.parameters()),
        n_macs=flops.get_total_flops() // 2,
        n_activations=activations.get_total_flops(),
    )


@cache
def _size_of_trial(model: str, recipe: Recipe, n_classes: int) -> Size:
    # Stochastic depth and dropout cost nothing at test, and timm reads their rates from tensors, which are empty here.
    plain = replace(recipe, drop_path=0.0, dropout=0.0)
    return size_built_by(lambda: build_model(model, plain, n_classes, seed=0), recipe.test_size, recipe.n_frames)


def cost_of_trial(
    model: str, recipe: Recipe, n_classes: int, network: nn.Module, device: torch.device
) -> dict[str, Any]:
    """Return size and latency of a trial's network at the recipe's test size; other trials may share the machine."""
    facts: dict[str, Any] = asdict(_size_of_trial(model, recipe, n_classes))
    if device.type != "xla":  # another shape would be compiled
        image = torch.zeros(1, 3 * recipe.n_frames, recipe.test_size, recipe.test_size, device=device)
        facts["latency_s"] = latency(network, image.contiguous(memory_format=torch.channels_last), n_timed=5)
    return facts


def latency(network: nn.Module, images: Tensor, *, n_timed: int) -> float:
    """Return the median seconds of a forward pass in evaluation mode; the network's mode is restored."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        seconds = _median_seconds(lambda: network(images), images.device, n_timed)
    network.train(was_training)
    return seconds


def measure(name: str, *, image_size: int | None, batch_size: int, n_timed: int) -> Cost:
    """Count and time a timm model with fresh weights on this machine's first device.

    Networks for clips are measured with clips of 32 frames in the place of images. The side of the images is in pixels
    (None: the model's own). With ``n_timed`` = 0 passes nothing is timed. Raises StudyError for an unknown model, or a
    size it cannot take.
    """
    check_name(name)
    architecture = name.split(".")[0]
    config = timm.get_pretrained_cfg(name if timm.is_model_pretrained(name) else flat_name(architecture))
    own_side = config.input_size[-1] if config is not None else 32 if is_own(architecture) else 224
    side = image_size or own_side
    clip_frames = None if flat_name(architecture) == architecture else MEASURED_FRAMES

    def create() -> nn.Module:
        network: Any = timm.create_model(architecture, pretrained=False)
        if hasattr(network, "set_input_size") and side != own_side:
            network.set_input_size(img_size=side)
        made: nn.Module = network
        return made

    try:
        size = size_built_by(create, side, clip_frames or 1)
        speed = _speed(create(), side, batch_size, n_timed, clip_frames or 1) if n_timed else None
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise StudyError(f'model "{name}" at {side} px: {first_line(error)}. Try another --size.') from error
    return Cost(model=name, image_size=side, clip_frames=clip_frames, size=size, speed=speed)


def _speed(network: nn.Module, side: int, batch_size: int, n_timed: int, n_frames: int) -> Speed:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_cuda = device.type == "cuda"
    network = network.to(device).to(memory_format=torch.channels_last)
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    is_peak_known = is_cuda or machine.reset_peak_memory()
    with torch.autocast(device.type, torch.bfloat16, enabled=is_cuda):
        images = torch.randn(batch_size, 3 * n_frames, side, side, device=device)
        images = images.contiguous(memory_format=torch.channels_last)
        latency_s = latency(network, images[:1], n_timed=n_timed)
        infer_s = latency(network, images, n_timed=n_timed)
        train_s = _training_step_s(network, images, n_timed)
    return Speed(
        device=name_of(device),
        precision="bfloat16" if is_cuda else "float32",
        latency_s=latency_s,
        batch_size=batch_size,
        infer_images_per_s=batch_size / infer_s,
        train_images_per_s=batch_size / train_s,
        peak_mem_bytes=peak_mem_bytes(device) if is_peak_known else None,
    )


def _training_step_s(network: nn.Module, images: Tensor, n_timed: int) -> float:
    network.train()
    targets = torch.zeros(len(images), dtype=torch.long, device=images.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        loss = nn.functional.cross_entropy(network(images).float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return _median_seconds(step, images.device, n_timed)


def _median_seconds(call: Callable[[], object], device: torch.device, n_timed: int) -> float:
    """Return the median time of a call, after two calls that warm up."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = []
    for _ in range(n_timed + 2):
        wait()
        started = time.perf_counter()
        call()
        wait()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[2:])
