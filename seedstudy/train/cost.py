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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from seedstudy import machine
from seedstudy.errors import StudyError, suggest
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.network import Cost, Size, Speed
from seedstudy.train.devices import name_of, peak_mem_bytes
from seedstudy.train.models import build_model

N_TIMED = 10
_MATMULS = ("convolution", "addmm", "mm", "bmm", "baddbmm")


class _Activations(TorchDispatchMode):
    """Counts the numbers that convolutions and matrix products put out."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket.__name__ in _MATMULS:
            self.n += out.numel()
        return out


def size_of(model: nn.Module, image_size: int) -> Size:
    """Count parameters, multiply-adds and activations of one image's forward pass on the meta device.

    Attention must consist of matrix products, as in :func:`size_built_by`: a fused kernel shows no activations.
    """
    model = model.to("meta").eval()
    image = torch.zeros(1, 3, image_size, image_size, device="meta")
    flops, activations = FlopCounterMode(display=False), _Activations()
    with torch.no_grad(), flops, activations:
        model(image)
    return Size(
        n_params=sum(parameter.numel() for parameter in model.parameters()),
        n_macs=flops.get_total_flops() // 2,
        n_activations=activations.n,
    )


def size_built_by(build: Callable[[], nn.Module], image_size: int) -> Size:
    """Return the size of the network that a constructor makes, without initialising weights where it allows that."""
    is_fused = use_fused_attn()
    set_fused_attn(False)
    try:
        return size_of(_without_weights(build), image_size)
    finally:
        set_fused_attn(bool(is_fused))


def _without_weights(build: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:  # RegNet's constructor reads values, which torch 2.9 and older cannot do on meta
        return build()


@cache
def _size_of_trial(model: str, recipe: Recipe, n_classes: int) -> Size:
    # Stochastic depth and dropout cost nothing at test, and timm reads their rates from tensors, which are empty here.
    plain = replace(recipe, drop_path=0.0, dropout=0.0)
    return size_built_by(lambda: build_model(model, plain, n_classes, seed=0), recipe.test_size)


def cost_of_trial(
    model: str, recipe: Recipe, n_classes: int, network: nn.Module, device: torch.device
) -> dict[str, Any]:
    """Return size and latency of a trial's network at the recipe's test size; other trials may share the machine."""
    facts: dict[str, Any] = asdict(_size_of_trial(model, recipe, n_classes))
    if device.type != "xla":  # another shape would be compiled
        image = torch.zeros(1, 3, recipe.test_size, recipe.test_size, device=device)
        facts["latency_s"] = latency(network, image.contiguous(memory_format=torch.channels_last), n_timed=5)
    return facts


def latency(network: nn.Module, image: Tensor, *, n_timed: int = N_TIMED) -> float:
    """Return the median seconds of a forward pass in evaluation mode; the network's mode is restored."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        seconds = [_seconds(lambda: network(image), image.device) for _ in range(n_timed + 2)][2:]
    network.train(was_training)
    return statistics.median(seconds)


def count(name: str, image_size: int | None) -> tuple[int, Size]:
    """Return the side of the images in pixels and the size of a timm model at that side.

    Raises
    ------
    StudyError
        Unknown model, or a size it cannot take.

    """
    config = _config(name)
    side = image_size or config["input_size"][-1]
    try:
        return side, size_built_by(lambda: _create(name, side), side)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise _unfit(name, side, error) from error


def measure(name: str, *, image_size: int | None, batch_size: int, n_timed: int = N_TIMED) -> Cost:
    """Count and time a timm model with fresh weights on this machine's first device.

    Parameters
    ----------
    image_size
        Side in pixels; None: the model's own.
    n_timed
        Passes that are timed; 0: time nothing.

    Raises
    ------
    StudyError
        Unknown model, or a size it cannot take.

    """
    side, size = count(name, image_size)
    speed = None
    if n_timed:
        try:
            speed = _speed(_create(name, side), side, batch_size, n_timed)
        except (RuntimeError, AssertionError, TypeError, ValueError) as error:
            raise _unfit(name, side, error) from error
    return Cost(model=name, image_size=side, size=size, speed=speed)


def _speed(network: nn.Module, side: int, batch_size: int, n_timed: int) -> Speed:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device).to(memory_format=torch.channels_last)
    is_mixed = device.type == "cuda"
    is_reset = _reset_peak(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=is_mixed):
        images = torch.randn(batch_size, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        latency_s = latency(network, images[:1], n_timed=n_timed)
        infer_s = latency(network, images, n_timed=n_timed)
        train_s = _training_step_s(network, images, n_timed)
    return Speed(
        device=name_of(device),
        precision="bfloat16" if is_mixed else "float32",
        latency_s=latency_s,
        batch_size=batch_size,
        infer_images_per_s=batch_size / infer_s,
        train_images_per_s=batch_size / train_s,
        peak_mem_bytes=peak_mem_bytes(device) if is_reset else None,
    )


def _reset_peak(device: torch.device) -> bool:
    """Reset the memory peak to what is in use now; False where the system cannot."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    return machine.reset_peak_memory()


def _unfit(name: str, side: int, error: Exception) -> StudyError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return StudyError(f'model "{name}" at {side} px: {reason}. Try another --size.')


def _training_step_s(network: nn.Module, images: Tensor, n_timed: int) -> float:
    network.train()
    targets = torch.zeros(len(images), dtype=torch.long, device=images.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        loss = nn.functional.cross_entropy(network(images).float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return statistics.median([_seconds(step, images.device) for _ in range(n_timed + 2)][2:])


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


@cache
def _config(name: str) -> dict[str, Any]:
    if not timm.is_model(name.split(".")[0]):
        raise StudyError(f'unknown model "{name}".{suggest(name, timm.list_models())}')
    model_name = name if name in timm.list_pretrained() else name.split(".")[0]
    config = timm.get_pretrained_cfg(model_name)
    return {"input_size": (3, 224, 224)} if config is None else config.to_dict()


def _create(name: str, side: int) -> nn.Module:
    network: Any = timm.create_model(name.split(".")[0], pretrained=False)
    if hasattr(network, "set_input_size") and side != _config(name)["input_size"][-1]:
        network.set_input_size(img_size=side)
    made: nn.Module = network
    return made
