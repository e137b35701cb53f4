"""Where one process trains: CPU, one CUDA device, or one TPU chip through torch_xla (extra ``tpu``).

XLA records operations and compiles them before it runs them: every new shape or Python number costs a compilation.
So there every batch has the same shape, indices are tensors, and each update ends with :func:`run_recorded`.
"""

from __future__ import annotations

import os
import platform
from datetime import timedelta
from typing import Literal

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

    XLA is used where the environment names its device (``PJRT_DEVICE=TPU``, set by the local engine).
    """
    is_xla = "PJRT_DEVICE" in os.environ
    # accelerate keeps the first precision for the whole process, but a worker trains recipes of both.
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=not is_xla and not torch.cuda.is_available(),
        mixed_precision=_autocast_of(recipe),
        kwargs_handlers=[
            # processes.RunningStatistics synchronises batch-norm statistics.
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=_LONGEST_WAIT),
        ],
    )


def _autocast_of(recipe: Recipe) -> Literal["no", "bf16", "fp16"]:
    """Return what a recipe's ``precision`` means on this device, in accelerate's words.

    ``"mixed"`` is bfloat16 on TPUs and on GPUs that have it, float16 with a scaled loss on older GPUs, and float32 on
    CPUs: few of them have bfloat16 in hardware (AMX), and a recipe's numbers should not depend on the CPU.
    ``"bfloat16"`` is bfloat16 everywhere.
    """
    if recipe.precision == "float32":
        return "no"
    if recipe.precision == "bfloat16" or os.environ.get("PJRT_DEVICE") == "TPU":
        return "bf16"
    if not torch.cuda.is_available():
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def set_determinism(is_deterministic: bool) -> None:
    """Let torch take kernels that add in a fixed order, or the fastest; the former raise RuntimeError where none is.

    cuBLAS needs CUBLAS_WORKSPACE_CONFIG beside it, before CUDA starts.
    """
    torch.use_deterministic_algorithms(is_deterministic)
    torch.backends.cudnn.benchmark = not is_deterministic  # kernels chosen by timing, as in timm's script


def arithmetic_of(accelerator: Accelerator) -> dict[str, str]:
    """Return the number formats that an accelerator computes in, for the record of a trial."""
    names = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
    formats = {"precision": names[accelerator.mixed_precision]}
    if accelerator.device.type == "cuda":  # of what is not autocast
        is_tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        formats |= dict(
            zip(("convolutions", "matmul"), ("tf32" if each else "float32" for each in is_tf32), strict=True)
        )
    return formats


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
