from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seedstudy.recipes.reader import load_recipe
from seedstudy.train import devices

CASES = [
    # precision, CUDA, native bfloat16, PJRT_DEVICE, autocast
    ("mixed", False, False, None, "no"),
    ("mixed", True, True, None, "bf16"),
    ("mixed", True, False, None, "fp16"),
    ("mixed", False, False, "TPU", "bf16"),
    ("mixed", False, False, "CPU", "no"),
    ("float32", True, True, None, "no"),
    ("bfloat16", False, False, None, "bf16"),
    ("bfloat16", True, False, None, "bf16"),
]


@pytest.mark.parametrize(("precision", "has_cuda", "has_bf16", "pjrt", "autocast"), CASES)
def test_precision_by_device(
    precision: str, has_cuda: bool, has_bf16: bool, pjrt: str | None, autocast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    monkeypatch.delenv("PJRT_DEVICE", raising=False)
    if pjrt is not None:
        monkeypatch.setenv("PJRT_DEVICE", pjrt)
    recipe = replace(load_recipe("a2"), precision=precision)
    assert devices._autocast_of(recipe) == autocast
