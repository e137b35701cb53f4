"""timm, torchvision and torch draw from process-wide generators; here one purpose holds them at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class RandomStream:
    """The generators of Python, NumPy and torch (CPU) as one stream that is switched in while active."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        python_state = random.Random(seed).getstate()
        # timm's RandAugment and Mixup draw from NumPy's legacy global generator, so its state is what we keep.
        numpy_state = np.random.RandomState(np.random.MT19937(seed)).get_state()
        self._state: tuple[Any, Any, Any] = (
            python_state,
            numpy_state,
            torch.Generator().manual_seed(seed).get_state(),
        )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside the block; it goes on where it stopped at the next one."""
        outer = _get_state()
        _set_state(self._state)
        try:
            yield
        finally:
            self._state = _get_state()
            _set_state(outer)

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, in types that `torch.load(weights_only=True)` reads."""
        python_state, (name, keys, *rest), torch_state = self._state
        return {
            "python": python_state,
            "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
            "torch": torch_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where :meth:`state_dict` was called."""
        name, keys, *rest = state["numpy"]
        self._state = state["python"], (name, keys.numpy().astype(np.uint32), *rest), state["torch"]


def _get_state() -> tuple[Any, Any, Any]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # see RandomStream


def _set_state(state: tuple[Any, Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002  # see RandomStream
    torch.set_rng_state(state[2])
