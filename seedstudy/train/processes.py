"""One update shared by several processes: who trains which micro-batch, and what they have in common.

An update is ``batch_size / micro_batch`` micro-batches, and each stands for one device of the recipe's own training:
it has its own random streams and its own batch statistics. So an update does not depend on how many processes share
it: two processes with one micro-batch each, or one process with two, differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import check_layout
from seedstudy.study.seeds import Streams


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one process does of every update."""

    rank: int = 0
    n_processes: int = 1
    slots: range = range(1)
    """The places of its micro-batches among all of an update's."""


def of_slot(streams: Streams, slot: int) -> Streams:
    """Return the streams of one of an update's micro-batches; those of slot 0 are the trial's own."""
    return replace(streams, rank=slot)


def stream_name(purpose: str, slot: int) -> str:
    """Return the key of a slot's stream: ``mix`` for slot 0, ``mix/1`` for slot 1…"""
    return f"{purpose}/{slot}" if slot else purpose


def whole(recipe: Recipe) -> Share:
    """Return the share of a process that trains alone: every micro-batch."""
    return Share(slots=range(recipe.batch_size // recipe.micro_batch))


def share_of(recipe: Recipe, accelerator: Accelerator) -> Share:
    """Return this process's share of the recipe's updates."""
    rank, n_processes = accelerator.process_index, accelerator.num_processes
    check_layout(recipe, n_processes)
    n_slots = recipe.batch_size // recipe.micro_batch // n_processes
    return Share(rank=rank, n_processes=n_processes, slots=range(rank * n_slots, (rank + 1) * n_slots))


class RunningStatistics:
    """The running mean and variance of batch norm, moved once an update, alike on every process.

    ``reduce`` moves them by the average over the update's micro-batches. The moving average is linear, so this is
    what timm's ``dist_bn="reduce"`` ends an epoch with when every device keeps its own until then. ``none`` moves
    them by the first micro-batch alone: what DistributedDataParallel's broadcast leaves.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, share: Share) -> None:
        # The modules, not their buffers: Accelerator.prepare puts other buffers in their place.
        self._norms = [each for each in model.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
        self._is_average, self._share = recipe.batch_norm_sync != "none", share
        self._before: list[Tensor] = []
        self._sums: list[Tensor] = []

    @contextmanager
    def of_micro_batch(self, place: int) -> Iterator[None]:
        """Train this process's n-th micro-batch, forward and backward; the last one ends the update.

        Backward must be inside: autograd minds when what forward saw is changed before it.
        """
        n_places = len(self._share.slots)
        if not self._norms or (n_places == 1 and self._share.n_processes == 1):
            yield
            return
        with torch.no_grad():
            if place == 0:
                self._before = [buffer.clone() for buffer in self._buffers()]
            else:
                torch._foreach_copy_(self._buffers(), self._before)
        yield
        with torch.no_grad():
            if place == 0:
                self._sums = [buffer.clone() for buffer in self._buffers()]
            elif self._is_average:
                torch._foreach_add_(self._sums, self._buffers())
            if place + 1 == n_places:
                self._settle(n_places)

    def _buffers(self) -> list[Tensor]:
        found = [buffer for norm in self._norms for buffer in (norm.running_mean, norm.running_var)]
        return [buffer for buffer in found if buffer is not None]

    def _settle(self, n_places: int) -> None:
        buffers = self._buffers()
        if self._is_average:
            torch._foreach_div_(self._sums, n_places)
        if self._share.n_processes > 1:
            flat = torch.cat([each.flatten() for each in self._sums])
            if self._is_average:
                torch.distributed.all_reduce(flat)
                flat /= self._share.n_processes
            else:
                torch.distributed.broadcast(flat, src=0)
            sizes = [buffer.numel() for buffer in buffers]
            self._sums = [part.view_as(old) for part, old in zip(flat.split(sizes), buffers, strict=True)]
        torch._foreach_copy_(buffers, self._sums)
        for norm in self._norms:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked -= n_places - 1  # one update, one step


def mean_over_processes(values: Tensor, accelerator: Accelerator) -> Tensor:
    """Return the elementwise mean; where one process has a value that is not finite, so has the mean."""
    if accelerator.num_processes == 1:
        return values
    mean: Tensor = accelerator.reduce(values, reduction="mean")
    return mean


def gather(part: Any, n_processes: int) -> list[Any]:
    """Return the parts of all processes, by rank, on every process; parts may differ in length: nothing is padded."""
    return list(gather_object([part])) if n_processes > 1 else [part]
