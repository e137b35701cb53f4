"""A trial on one XLA device; `make slow-tpu` runs it in an environment of its own with `PJRT_DEVICE=CPU`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Trial
from seedstudy.train.trial import train_trial

pytest.importorskip("torch_xla", reason="needs the extra tpu")
pytestmark = pytest.mark.skipif("PJRT_DEVICE" not in os.environ, reason="PJRT_DEVICE names no device")


def n_compiled() -> int:
    import torch_xla.debug.metrics as metrics

    found = metrics.metric_data("CompileTime")
    return int(found[0]) if found else 0


def test_a_trial_trains_on_xla_and_compiles_each_shape_once(
    data: Dataset, tiny_recipe: Recipe, make_trial: Callable[..., Trial]
) -> None:
    """The second epoch starts with losses to be cleared, one program more; from then on nothing is compiled."""
    trial = make_trial(0, recipe=replace(tiny_recipe, epochs=3))
    compiled: list[int] = []
    result = train_trial(trial, data, on_epoch=lambda report: compiled.append(n_compiled()))
    assert result.status == "ok"
    assert result.provenance["device_type"] == "xla"
    assert "torch_xla" in result.provenance["versions"]
    assert {name: each.n_examples for name, each in result.evaluations.items()} == {"val": 40, "real": 20}
    assert len(result.curves) == 3
    assert compiled[1] == compiled[2], compiled
