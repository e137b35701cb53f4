"""What networks cost, counted, against timm's own tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

import seedstudy as ss
from seedstudy.data.base import Dataset
from seedstudy.document import document
from seedstudy.errors import StudyError
from seedstudy.study.network import Size
from seedstudy.study.trial import Trial
from seedstudy.train.cost import latency, measure, size_built_by
from seedstudy.train.trial import train_trial
from tests.imagenet_tree import SHARED

TABLE = SHARED / "reference" / "timm_results" / "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv"
MODELS = [
    ("resnet50", 160),
    ("resnet50", 224),
    ("resnetrs50", 160),
    ("seresnet50", 224),
    ("efficientnet_b0", 224),
    ("deit_small_patch16_224", 224),
]


def counted(name: str, side: int | None) -> Size:
    return measure(name, image_size=side, batch_size=2, n_timed=0).size


def norm_outputs(name: str, side: int) -> int:
    """Return what timm's table counts beside multiply-adds: 2 a number that batch norm puts out, 5 of layer norm."""
    total = 0

    def add(module: nn.Module, _: Any, out: torch.Tensor) -> None:
        nonlocal total
        total += out.numel() * (5 if isinstance(module, nn.LayerNorm) else 2)

    with torch.device("meta"):
        model = timm.create_model(name).eval()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
                module.register_forward_hook(add)
        with torch.no_grad():
            model(torch.zeros(1, 3, side, side))
    return total


@pytest.mark.skipif(not TABLE.is_file(), reason="needs timm's benchmark tables (timm_results)")
@pytest.mark.parametrize(("name", "side"), MODELS)
def test_counts_are_those_of_timms_table(name: str, side: int) -> None:
    with TABLE.open() as file:
        rows = [r for r in csv.DictReader(file) if r["model"] == name and int(r["infer_img_size"]) == side]
    (row,) = rows
    size = counted(name, side)
    assert size.n_params / 1e6 == pytest.approx(float(row["param_count"]), abs=0.0051)
    assert size.n_activations / 1e6 == pytest.approx(float(row["infer_macts"]), abs=0.0051)
    # Printed with two digits; the rest is pooling.
    assert (size.n_macs + norm_outputs(name, side)) / 1e9 == pytest.approx(float(row["infer_gmacs"]), abs=0.006)
    assert size.n_macs / 1e9 < float(row["infer_gmacs"])


def test_counts_by_hand() -> None:
    """ResNet-18 at 32 px: the stem alone is 3 x 64 x 49 weights at 16 x 16 places."""
    small, large = counted("resnet18", 32), counted("resnet18", 64)
    convolutions = large.n_macs - 512 * 1000  # the classifier sees no pixels
    assert convolutions == 4 * (small.n_macs - 512 * 1000)
    assert small.n_params == 11_689_512


def test_a_constructor_that_reads_values_is_counted() -> None:
    def build() -> nn.Module:
        if torch.empty(0).is_meta:
            raise NotImplementedError
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 5))

    assert size_built_by(build, 2).n_macs == 60


def test_latency_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()).train()
    before = network[0].running_mean.clone()  # type: ignore[union-attr,operator]
    assert 0 < latency(network, torch.ones(1, 3, 4, 4), n_timed=2) < 10
    assert network.training
    assert torch.equal(network[0].running_mean, before)  # type: ignore[arg-type]


def test_measured_costs_are_numbers() -> None:
    keys = document(measure("test_resnet", image_size=64, batch_size=4, n_timed=2))
    assert keys["model"] == "test_resnet"
    for key in ("latency_s", "infer_images_per_s", "train_images_per_s"):
        assert math.isfinite(keys[key])
        assert keys[key] > 0
    assert keys["train_images_per_s"] < keys["infer_images_per_s"]


def test_counts_alone_have_no_times() -> None:
    keys = document(measure("test_resnet", image_size=64, batch_size=4, n_timed=0))
    assert set(keys) == {"model", "image_size", "clip_frames", "n_params", "n_macs", "n_activations"}


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet5O", None, 'unknown model "resnet5O"'),
        ("resnet18", -8, 'model "resnet18" at -8 px: .*Try another'),
    ],
)
def test_wrong_model_or_size_is_one_line(name: str, size: int | None, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        counted(name, size)
    assert "\n" not in str(caught.value)


def test_a_trial_tells_what_its_network_costs(data: Dataset, make_trial: Callable[..., Trial]) -> None:
    result = train_trial(make_trial(), data)
    cost = result.provenance["cost"]
    assert set(cost) == {"n_params", "n_macs", "n_activations", "latency_s"}
    assert cost["n_params"] == result.n_params  # of the network as built for the data: its stem, its classes
    assert 0 < cost["latency_s"] < 10
    assert cost["n_activations"] < cost["n_macs"]


def test_accuracies_are_joined_with_cost_and_the_front_is_named(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    rows = [("resnet8_nano", 60), ("resnet8_patch", 55), ("resnet8", 70), ("resnet20", 70.1)]
    lines = [f"{model},32,{seed},{top1 + seed / 10}" for model, top1 in rows for seed in range(3)]
    table.write_text("model,img_size,seed,top1\n" + "\n".join(lines) + "\n")
    answer = ss.cost(pareto=table, counts_only=True)
    assert [each.model for each in answer] == [model for model, _ in rows]
    assert [each.image_size for each in answer] == [32] * 4
    found = {each.model: each for each in answer.pareto}
    assert answer.noise_sd == pytest.approx(0.1)
    assert found["resnet8"].error == pytest.approx(29.9)
    fronts = {name: (each.front_macs, each.front_params) for name, each in found.items()}
    assert fronts == {
        "resnet8_nano": ("on", "on"),
        "resnet8_patch": ("off", "off"),
        "resnet8": ("on", "on"),
        "resnet20": ("?", "?"),
    }
    assert found["resnet8"].front_latency is None
    assert [each.model for each in ss.cost("resnet20", pareto=table, counts_only=True).pareto] == ["resnet20"]
    with pytest.raises(StudyError, match="no result of a network asked for; it has resnet20"):
        ss.cost("resnet50", pareto=table, counts_only=True)


def test_single_published_numbers_are_joined_with_what_is_timed_here(
    tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    table = tmp_path / "results.csv"
    table.write_text("model,size,top1,params\nresnet_d8_w1,16,60.0,1\nresnet_d8_w050,16,62.0,1\n")
    code, out, err = cli("cost", "--pareto", str(table), "--repeats", "1", "--batch", "2", "--sd", "0.5")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines() if line.startswith("resnet_d8")]
    assert lines[0][:6] == ["resnet_d8_w050", "16", "1", "38.00", "yes", "yes"]
    assert lines[1][:6] == ["resnet_d8_w1", "16", "1", "40.00", "·", "·"]
    assert max(map(len, out.splitlines())) <= 80
