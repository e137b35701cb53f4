"""Where one process trains: CPU, one CUDA device, or one TPU chip through torch_xla (extra ``tpu``).

XLA records operations and compiles them before it runs them: every new shape or Python number costs a compilation.
So there every batch has the same shape, indices are tensors, and each update ends with :func:`run_recorded`.
"""

from __future__ import annotations

import os
import platform
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor

from seedstudy import machine
from seedstudy.recipes.recipe import Recipe

_LONGEST_WAIT = timedelta(days=30)
"""A process waits for the others' next trial as long as that takes; torchrun notices processes that die."""


def accelerator_of(recipe: Recipe) -> Accelerator:
    """Return this process's Accelerator.

    ``precision = "mixed"`` means bfloat16 on GPUs and TPUs, and float32 on CPUs: few of them have bfloat16 in hardware
    (AMX), and a recipe's numbers should not depend on the CPU. ``"bfloat16"`` means bfloat16 everywhere. XLA is used
    where the environment names its device (``PJRT_DEVICE=TPU``, set by the local engine).
    """
    is_xla = "PJRT_DEVICE" in os.environ
    has_bf16 = torch.cuda.is_available() or os.environ.get("PJRT_DEVICE") == "TPU"
    is_bf16 = recipe.precision == "bfloat16" or (recipe.precision == "mixed" and has_bf16)
    # accelerate keeps the first precision for the whole process, but a worker trains recipes of both.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=not is_xla and not torch.cuda.is_available(),
        mixed_precision="bf16" if is_bf16 else "no",
        kwargs_handlers=[
            # processes.RunningStatistics synchronises batch-norm statistics.
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=_LONGEST_WAIT),
        ],
    )


def seed_xla(device: torch.device, seed: int) -> None:
    """Seed the generator of an XLA device; on other devices all draws come from a RandomStream."""
    if device.type == "xla":
        import torch_xla

        torch_xla.manual_seed(seed, device)


def add_at(values: Tensor, index: int, value: Tensor) -> None:
    """Add to one element; on XLA the index is a tensor, because a number would become part of the program."""
    if values.device.type == "xla":
        values.index_add_(0, torch.tensor([index]).to(values.device), value.reshape(1))
    else:
        values[index] += value


def run_recorded(device: torch.device) -> None:
    """Run what XLA has recorded so far; does nothing on other devices."""
    if device.type == "xla":
        import torch_xla

        torch_xla.sync()


def name_of(device: torch.device) -> str:
    """Return the device's product name."""
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
