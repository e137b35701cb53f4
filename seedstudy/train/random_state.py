"""Random streams: timm, torchvision and torch draw from process-wide generators, here for one purpose at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch

from seedstudy.study.seeds import Streams

T = TypeVar("T")
R = TypeVar("R")
_State = tuple[Any, Any, Any]


CPU = torch.device("cpu")


class RandomStream:
    """The generators of Python, NumPy and torch as one stream; code inside ``active`` draws from it.

    torch's are the CPU's and, with a CUDA device, that device's: there dropout, stochastic depth and random erasing
    draw. XLA has one generator for a whole program (:func:`~seedstudy.train.devices.seed_xla`).
    """

    def __init__(self, seed: int, device: torch.device = CPU) -> None:
        self.seed, self._cuda = seed, device if device.type == "cuda" else None
        # timm's RandAugment and Mixup draw from NumPy's legacy global generator.
        numpy = np.random.RandomState(np.random.MT19937(seed))
        self._state: _State = (
            random.Random(seed).getstate(),
            numpy.get_state(),
            torch.Generator().manual_seed(seed).get_state(),
        )
        self._cuda_state = None if self._cuda is None else torch.Generator(self._cuda).manual_seed(seed).get_state()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside the block, going on where the last such block ended."""
        outer = _get_state()
        _set_state(self._state)
        with self._cuda_active():
            try:
                yield
            finally:
                self._state = _get_state()
                _set_state(outer)

    @contextmanager
    def _cuda_active(self) -> Iterator[None]:
        if self._cuda is None or self._cuda_state is None:
            yield
            return
        outer = torch.cuda.get_rng_state(self._cuda)
        torch.cuda.set_rng_state(self._cuda_state, self._cuda)
        try:
            yield
        finally:
            self._cuda_state = torch.cuda.get_rng_state(self._cuda)
            torch.cuda.set_rng_state(outer, self._cuda)

    def state_dict(self) -> dict[str, Any]:
        """Return the stream's state in types that `torch.load(weights_only=True)` reads."""
        python_state, (name, keys, *rest), torch_state = self._state
        return {
            "python": python_state,
            "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
            "torch": torch_state,
            "cuda": self._cuda_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state to one that :meth:`state_dict` returned."""
        name, keys, *rest = state["numpy"]
        self._state = state["python"], (name, keys.numpy().astype(np.uint32), *rest), state["torch"]
        self._cuda_state = state["cuda"]


def drawn_alike(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function that draws from the process-wide generators to each item, with the same draws."""
    state, made = _get_state(), list[R]()
    for item in items:
        _set_state(state)
        made.append(function(item))
    return made


def _get_state() -> _State:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # see RandomStream


def _set_state(state: _State) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002  # see RandomStream
    torch.set_rng_state(state[2])


# --- the streams of micro-batches -----------------------------------------------------------------------


def micro_batch_streams(streams: Streams, micro_batch: int) -> Streams:
    """Return the streams of one of an update's micro-batches; those of the first one are the trial's own."""
    return replace(streams, rank=micro_batch)


def stream_name(purpose: str, micro_batch: int) -> str:
    """Return the key of a micro-batch's stream: ``mix`` for the first one, then ``mix/1``, ``mix/2``, …"""
    return f"{purpose}/{micro_batch}" if micro_batch else purpose


def epoch_streams(
    streams: Streams, epoch: int, micro_batches: Iterable[int], device: torch.device = CPU
) -> dict[str, RandomStream]:
    """Return the streams that one epoch's micro-batches draw from, by name; the image order is drawn at once."""
    return {
        stream_name(purpose, n): RandomStream(micro_batch_streams(streams, n).of(purpose, epoch), device)
        for purpose in ("augment", "mix", "drop")
        for n in micro_batches
    }
