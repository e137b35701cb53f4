"""Where one process trains: CPU, one CUDA device, or one TPU chip through torch_xla (extra ``tpu``).

XLA records operations and compiles them when it is told to run: a shape or a Python number it has not seen costs a
compilation. So every batch has one shape there, indices are tensors, and each update ends with :func:`run_recorded`.
"""

from __future__ import annotations

import os
import platform
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor

from seedstudy import machine
from seedstudy.recipes.recipe import Recipe

_LONGEST_WAIT = timedelta(days=30)
"""A process waits for the others' next trial as long as it takes; torchrun notices those that die."""


def accelerator_of(recipe: Recipe) -> Accelerator:
    """Return this process's Accelerator; bfloat16 where the recipe is mixed, but on CPUs only where it says so itself.

    Few CPUs have bfloat16 in hardware (AMX), and a recipe's numbers should not depend on which one it met.

    XLA is used where the environment names its device (``PJRT_DEVICE=TPU``, as the local engine sets it).
    """
    is_xla = "PJRT_DEVICE" in os.environ
    has_bf16 = torch.cuda.is_available() or os.environ.get("PJRT_DEVICE") == "TPU"
    is_bf16 = recipe.precision == "bfloat16" or (recipe.precision == "mixed" and has_bf16)
    # The state is process-wide and the first precision wins; a worker trains recipes of both.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=not is_xla and not torch.cuda.is_available(),
        mixed_precision="bf16" if is_bf16 else "no",
        kwargs_handlers=[
            # Batch-norm statistics are the business of processes.RunningStatistics.
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=_LONGEST_WAIT),
        ],
    )


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the device's own generator; the CPU's is never drawn from without a stream."""
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "xla":
        import torch_xla

        torch_xla.manual_seed(seed, device)


def add_at(values: Tensor, index: int, value: Tensor) -> None:
    """Add to one element, with the index as data: as a number it would be part of the compiled program."""
    if values.device.type == "xla":
        values.index_add_(0, torch.tensor([index]).to(values.device), value.reshape(1))
    else:
        values[index] += value


def run_recorded(device: torch.device) -> None:
    """Start what XLA has recorded so far; nothing to do elsewhere."""
    if device.type == "xla":
        import torch_xla

        torch_xla.sync()


def name_of(device: torch.device) -> str:
    """Return the model of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xla":
        import torch_xla.core.xla_model as xm

        return f"XLA {xm.xla_device_hw(device)}"
    return platform.processor() or platform.machine()


def peak_mem_bytes(device: torch.device) -> int:
    """Return the peak of device memory on GPUs, of this process's resident memory elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return machine.peak_memory()


def runtime(device: torch.device) -> dict[str, Any]:
    """Return the packages, beside torch, that the device's numbers depend on."""
    from importlib.metadata import version

    return {"torch_xla": version("torch_xla")} if device.type == "xla" else {}
