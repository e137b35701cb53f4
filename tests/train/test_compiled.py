"""Compiled trainings: the same within rounding, reused by the next process, and chosen by timing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import Placement, placed
from seedstudy.train import compiled
from seedstudy.train.devices import accelerator_of
from seedstudy.train.models import build_model
from seedstudy.train.trial import train_trial

pytestmark = pytest.mark.train

MakeTrial = Callable[..., Any]
Cli = Callable[..., tuple[int, str, str]]

TWO_SEEDS = """
import json, sys
from dataclasses import replace
import torch
from tests import conftest
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Trial
from seedstudy.train.trial import train_trial

torch.set_num_threads(1)
data = conftest.make_dataset()
facts = DataFacts(name="tiny", n_train=64, image_size=16, epoch_ratio=0.04)
recipe = replace(scale(load_recipe("a2"), facts, epochs=2), batch_size=16, micro_batch=8)
recipe = with_values(recipe, ["drop_path=0.5", "dropout=0.2", *sys.argv[1:]])


def curve(seed, wish):
    trial = Trial(recipe=recipe, model="resnet8_nano", data="tiny", data_fingerprint="0", train_limit=None,
                  vary=PURPOSES, seed=seed)
    result = train_trial(trial, data, compiling=wish)
    losses = [report.train_loss for report in result.curves] + [result.evaluations["val"].loss]
    return losses, result.provenance.get("compiled", False)


plain, is_compiled = curve(0, "off")
assert not is_compiled
made, is_compiled = curve(0, "on")
assert is_compiled
from torch._dynamo.utils import counters
n_graphs = counters["stats"]["unique_graphs"]
curve(1, "on")
print(json.dumps({
    "apart": [abs(a - b) / abs(b) for a, b in zip(made, plain)],
    "graphs": [n_graphs, counters["stats"]["unique_graphs"]],
    "missed": counters["inductor"]["fxgraph_cache_miss"], "hit": counters["inductor"]["fxgraph_cache_hit"],
}))
"""


def two_seeds(cache: Path, *changes: str) -> dict[str, Any]:
    """Train two seeds compiled, the first also as it is, in a process of their own."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", TWO_SEEDS, *changes], capture_output=True, text=True, env=environment, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.skipif(machine.cpp_compiler() is None, reason="needs a C++ compiler")
def test_a_compiled_training_is_the_same_and_the_next_process_compiles_nothing(tmp_path: Path) -> None:
    """Masks of dropped paths and units, mixing and micro-batches are as they are without it."""
    first, second = two_seeds(tmp_path), two_seeds(tmp_path)
    for found in (first, second):
        assert max(found["apart"]) < 1e-4
        assert 0 < found["graphs"][0] == found["graphs"][1]  # the second seed needs nothing new
    assert first["missed"] > 0
    assert (second["missed"], second["hit"]) == (0, first["missed"] + first["hit"])


# --- when it is taken -----------------------------------------------------------------------------------


@pytest.fixture
def parts(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Module, Recipe, Accelerator]:
    monkeypatch.setattr(compiled, "_found", {})
    recipe = with_values(tiny_recipe, ["drop_path=0.5"])
    return build_model("resnet8_nano", recipe, 4, seed=0), recipe, accelerator_of(recipe)


def chosen(parts: tuple[nn.Module, Recipe, Accelerator], n_updates: int = 10**9) -> bool:
    network, recipe, accelerator = parts
    forward, is_compiled = compiled.forward_of(
        network, "resnet8_nano", recipe, accelerator, wish="auto", n_updates=n_updates
    )
    assert is_compiled == (forward is not network)
    return is_compiled


@pytest.mark.parametrize(("compiled_s", "is_taken"), [(0.9, True), (0.99, False), (1.5, False)])
def test_auto_takes_what_a_timing_says(
    compiled_s: float,
    is_taken: bool,
    parts: tuple[nn.Module, Recipe, Accelerator],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def times(forward: object, network: object, *_: object) -> Iterator[float]:
        while True:
            yield 1.0 if forward is network else compiled_s

    monkeypatch.setattr(compiled, "_compiled", lambda network: nn.Sequential(network))
    monkeypatch.setattr(compiled, "_step_times", times)
    monkeypatch.setattr(machine, "cpp_compiler", lambda: "/usr/bin/g++")
    assert chosen(parts) is is_taken
    assert f"{1 / compiled_s:.2f}x the steps" in capsys.readouterr().err
    assert chosen(parts) is is_taken
    assert capsys.readouterr().err == ""  # timed once


def test_timing_leaves_no_trace(
    parts: tuple[nn.Module, Recipe, Accelerator], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in the network nor in the random numbers; and a compiler that fails ends no training."""

    def fail(network: nn.Module) -> nn.Module:
        raise RuntimeError("no such\nheader")

    monkeypatch.setattr(compiled, "_compiled", fail)
    monkeypatch.setattr(machine, "cpp_compiler", lambda: "/usr/bin/g++")
    network, state = parts[0], torch.get_rng_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not chosen(parts)
    assert "resnet8_nano: not compiled: RuntimeError: no such" in capsys.readouterr().err
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_short_training_and_one_without_a_compiler_are_trained_as_they_are(
    parts: tuple[nn.Module, Recipe, Accelerator],
    monkeypatch: pytest.MonkeyPatch,
    data: Dataset,
    make_trial: MakeTrial,
) -> None:
    monkeypatch.setattr(compiled, "_compiled", lambda _: pytest.fail("compiled"))
    assert not chosen(parts, n_updates=8)
    monkeypatch.setattr(machine, "cpp_compiler", lambda: None)
    monkeypatch.setattr(compiled, "_found", {})
    assert not chosen(parts)
    assert "compiled" not in train_trial(make_trial(), data, compiling="auto").provenance
    with pytest.raises(StudyError, match=r"^--compile on: there is no C\+\+ compiler on PATH"):
        train_trial(make_trial(), data, compiling="on")


def test_without_a_compiler_it_is_refused_before_anything_is_planned(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.chdir(tmp_path)
    code, _, error = cli("run", "-r", "a2", "-d", "shapes", "--seeds", "1", "--compile", "on")
    assert code == 2
    assert "--compile on: there is no C++ compiler on PATH (g++, or what CXX names): " in " ".join(error.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [{"processes": 2}, {"nodes": 2}, {"stack": "auto"}, {"stack": 4}])
def test_what_does_not_go_with_it_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(StudyError, match=r"compile = on: it takes a trial of one process, and one seed at a time"):
        placed(Placement(), {"compile": "on", **given})
    assert placed(Placement(), {"compile": "auto", **given}).compile == "auto"
