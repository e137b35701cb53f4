"""One update shared by several processes: which micro-batches each trains, and what they agree on.

An update is ``batch_size / micro_batch`` micro-batches, each with its own random streams and batch statistics, like a
device of the recipe's original training. The number of processes therefore changes an update by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import check_layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One process's part of every update."""

    rank: int = 0
    n_processes: int = 1
    micro_batches: range = range(1)
    """Indices of its micro-batches within the update."""

    @classmethod
    def of_update(cls, recipe: Recipe, *, rank: int = 0, n_processes: int = 1) -> Shard:
        """Return an equal part of a recipe's updates; all of them for a process that trains alone."""
        check_layout(recipe, n_processes)
        n = recipe.batch_size // recipe.micro_batch // n_processes
        return cls(rank=rank, n_processes=n_processes, micro_batches=range(rank * n, (rank + 1) * n))


class RunningStatistics:
    """Batch norm's running mean and variance, updated once per update and alike on every process.

    ``reduce`` updates them by the average over the update's micro-batches. The moving average is linear, so this
    equals timm's ``dist_bn="reduce"``, where every device keeps its own statistics until the epoch ends. ``none``
    updates them by the first micro-batch alone, which is the effect of DistributedDataParallel's broadcast.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, shard: Shard) -> None:
        # The modules, not their buffers: Accelerator.prepare replaces the buffers.
        self._norms = [each for each in model.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
        self._is_average, self._shard = recipe.batch_norm_sync != "none", shard
        self._before: list[Tensor] = []
        self._sums: list[Tensor] = []

    @contextmanager
    def micro_batch(self, n: int) -> Iterator[None]:
        """Train this process's ``n``-th micro-batch of an update, from 0; the last one ends the update.

        The block must contain the backward pass: autograd refuses buffers that changed since the forward pass.
        """
        n_micro = len(self._shard.micro_batches)
        if not self._norms or (n_micro == 1 and self._shard.n_processes == 1):
            yield
            return
        with torch.no_grad():
            if n == 0:
                self._before = [buffer.clone() for buffer in self._buffers()]
            else:
                torch._foreach_copy_(self._buffers(), self._before)
        yield
        with torch.no_grad():
            if n == 0:
                self._sums = [buffer.clone() for buffer in self._buffers()]
            elif self._is_average:
                torch._foreach_add_(self._sums, self._buffers())
            if n + 1 == n_micro:
                self._end_update(n_micro)

    def _buffers(self) -> list[Tensor]:
        buffers = (buffer for norm in self._norms for buffer in (norm.running_mean, norm.running_var))
        return [buffer for buffer in buffers if buffer is not None]

    def _end_update(self, n_micro: int) -> None:
        if self._is_average:
            torch._foreach_div_(self._sums, n_micro)
        if self._shard.n_processes > 1:
            flat = parameters_to_vector(self._sums)
            if self._is_average:
                torch.distributed.all_reduce(flat)
                flat /= self._shard.n_processes
            else:
                torch.distributed.broadcast(flat, src=0)
            vector_to_parameters(flat, self._sums)
        torch._foreach_copy_(self._buffers(), self._sums)
        for norm in self._norms:
            if norm.num_batches_tracked is not None and norm.training:  # a frozen one counts nothing
                norm.num_batches_tracked -= n_micro - 1  # one update counts as one batch


def mean_over_processes(values: Tensor, accelerator: Accelerator) -> Tensor:
    """Return the elementwise mean; it is not finite where the value of any process is not."""
    mean: Tensor = values if accelerator.num_processes == 1 else accelerator.reduce(values, reduction="mean")
    return mean


def any_process(accelerator: Accelerator, *votes: bool) -> list[bool]:
    """Return for each vote whether any process cast it."""
    if accelerator.num_processes == 1:
        return list(votes)
    return [bool(count) for count in accelerator.reduce(torch.tensor(votes, device=accelerator.device).float())]


def gather(part: Any, n_processes: int) -> list[Any]:
    """Return the parts of all processes, by rank, on every process; parts may differ in length, none is padded."""
    return list(gather_object([part])) if n_processes > 1 else [part]
