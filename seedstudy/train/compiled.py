"""Forward and backward passes compiled by torch.compile: fused into fewer kernels, which the next process reuses.

Only a training's passes are compiled, never an evaluation. Random numbers are those of the uncompiled network; sums are
added in another order, so that a compiled trial agrees with one that is not as two thread counts do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from seedstudy import machine
from seedstudy.errors import StudyError, first_line, printable
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import Compile

Forward = Callable[[Tensor], Any]

MIN_GAIN = 1.05
"""An update must be this many times as fast; less is not worth a result whose last bits depend on a timing."""
SHORTEST_S = 600.0
"""Of a training. Compiling takes up to a minute of a core once per network, and seconds in each process after that."""

_found: dict[tuple[str, str, str], bool] = {}
"""What a timing said: network, recipe, device -> whether to compile. A worker times each once."""


def forward_of(
    network: nn.Module, model: str, recipe: Recipe, accelerator: Accelerator, *, wish: Compile, n_updates: int
) -> tuple[Forward, bool]:
    """Return what maps a network's training images to logits, and whether it is compiled.

    ``auto`` compiles where a training is long (``n_updates``, all of them) and a timing of some updates says that it
    pays; anything that keeps it from compiling is said in a line. ``on`` compiles, or raises StudyError.
    """
    if wish == "off":
        return network, False
    if reason := _why_not(accelerator):
        if wish == "on":
            raise StudyError(f"--compile on: {reason}, or leave the option out.")
        return network, False
    if wish == "on":
        return _compiled(network), True
    key = model, recipe.recipe_id, str(accelerator.device)
    if key not in _found:
        _found[key] = _pays(network, model, recipe, accelerator, n_updates)
    return (_compiled(network), True) if _found[key] else (network, False)


def _why_not(accelerator: Accelerator) -> str:
    if accelerator.device.type == "xla":
        return "this device compiles every training itself: take auto"
    if accelerator.num_processes > 1:
        return "it takes a trial of one process: take auto"
    if machine.cpp_compiler() is None:
        return machine.NO_COMPILER
    return ""


def _compiled(network: nn.Module) -> Forward:
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.fallback_random = True  # masks are drawn as the network itself draws them
    torch._dynamo.config.recompile_limit = 64  # a worker trains many networks and sizes
    forward: Forward = torch.compile(network, dynamic=False)
    return forward


def _pays(network: nn.Module, model: str, recipe: Recipe, accelerator: Accelerator, n_updates: int) -> bool:
    """Time micro-batches of the network, which keeps its state, as it is and compiled."""
    buffers = [buffer.clone() for buffer in network.buffers()]
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    network.train()
    try:
        with torch.random.fork_rng(devices=devices):
            plain = _step_times(network, network, recipe, accelerator)
            next(plain)  # the first step allocates and chooses kernels
            n_micro = recipe.batch_size // recipe.micro_batch
            if next(plain) * n_micro * n_updates < SHORTEST_S:
                return False
            compiled = _step_times(_compiled(network), network, recipe, accelerator)
            next(compiled), next(compiled)
            # Alternating, and the shortest of each: other load on the machine then affects both alike.
            pairs = [(next(plain), next(compiled)) for _ in range(5)]
    except Exception as error:  # compilers raise errors of every kind; the network is then trained uncompiled
        _say(f"{model}: not compiled: {type(error).__name__}: {first_line(error)}")
        return False
    finally:
        network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in zip(network.buffers(), buffers, strict=True):
                buffer.copy_(before)
    plain_s, compiled_s = (min(times) for times in zip(*pairs, strict=True))
    gain = plain_s / compiled_s
    is_faster = gain >= MIN_GAIN
    _say(f"{model}: {'compiled' if is_faster else 'not compiled'}, {gain:.2f}x the steps of the network as it is")
    return is_faster


def _step_times(forward: Forward, network: nn.Module, recipe: Recipe, accelerator: Accelerator) -> Iterator[float]:
    """Yield the seconds of one micro-batch after another, forward and backward, on random images."""
    shape = recipe.micro_batch, 3 * recipe.n_frames, recipe.train_size, recipe.train_size
    images = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    images = images.to(accelerator.device, memory_format=torch.channels_last)
    while True:
        started = time.perf_counter()
        with accelerator.autocast():
            loss = forward(images).float().square().mean()
        loss.backward()
        loss.detach().cpu()  # waits for the device
        network.zero_grad(set_to_none=True)
        yield time.perf_counter() - started


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)
