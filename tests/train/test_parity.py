"""Parity with timm, torchvision and TensorFlow, step by step: each part of a training against another way to get it.

Where we differ from a source on purpose, the test is named ``..._on_purpose`` and says by how much.
"""

from __future__ import annotations

import csv
import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform
from timm.data.auto_augment import AugmentOp
from timm.data.distributed_sampler import RepeatAugSampler
from timm.loss import BinaryCrossEntropy
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn
from torchvision import transforms
from torchvision.ops._utils import split_normalization_params

from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe, packaged_names, read_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.study.seeds import Streams
from seedstudy.train.devices import accelerator_of
from seedstudy.train.evaluate import eval_images, evaluate_by_recipe
from seedstudy.train.feed import ArrayFeed, epoch_order, image_transform, mixed
from seedstudy.train.models import build_model
from seedstudy.train.parts import (
    WeightAverage,
    begin_epoch,
    build_loss,
    build_mixing,
    build_optimizer,
    build_schedule,
    weight_decay_groups,
)
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import RandomStream, epoch_streams
from seedstudy.train.trial import train_trial

Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rs(name: str, model: str = "resnet200") -> Recipe:
    return read_recipe(name).for_model(model, given={"micro_batch": 256})


# --- schedule -------------------------------------------------------------------------------------------


def rates(recipe: Recipe, n_updates: int, *, epochs: int | None = None) -> Iterator[float]:
    """Yield the learning rate of every update, as a training would see it."""
    optimizer = build_optimizer(nn.Linear(2, 2), recipe)
    schedule = build_schedule(optimizer, recipe, n_updates)
    for epoch in range(epochs or recipe.epochs):
        for step in range(n_updates):
            yield optimizer.param_groups[0]["lr"]
            schedule.step_update(epoch * n_updates + step + 1)
        begin_epoch(schedule, recipe, epoch + 1)


def test_learning_rate_of_every_update_of_a2_is_that_of_timms_script() -> None:
    recipe = load_recipe("a2")
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=5e-3)
    reference, n_epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=300,
        cooldown_epochs=0,
        min_lr=1e-6,
        warmup_lr=1e-4,
        warmup_epochs=5,
        step_on_epochs=True,
        updates_per_epoch=625,
    )
    assert n_epochs == recipe.total_epochs == 300
    ours = rates(recipe, 625)
    n_seen = 0
    for epoch in range(300):
        for step in range(625):
            assert next(ours) == optimizer.param_groups[0]["lr"]
            n_seen += 1
            reference.step_update(epoch * 625 + step + 1)
        reference.step(epoch + 1)
    assert n_seen == 187_500
    assert next(ours, None) is None


def test_deit_learning_rates_are_those_of_its_script() -> None:
    ours = list(rates(load_recipe("deit"), 1))
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1e-3)
    schedule, _ = create_scheduler_v2(optimizer, num_epochs=300, warmup_epochs=5, warmup_lr=1e-6, min_lr=1e-5)
    of_script = []
    for epoch in range(300):
        of_script.append(optimizer.param_groups[0]["lr"])
        schedule.step(epoch)  # the epoch just trained: the next one runs at its rate
    assert ours == pytest.approx(of_script, rel=1e-12)
    assert ours[0] == ours[1] < ours[2]
    on_time = list(rates(with_values(load_recipe("deit"), ["lr_lag=0"]), 1))
    assert on_time[:-1] == ours[1:]


def test_old_torchvision_learning_rates_are_torchs_step_schedule() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
    for rate in rates(load_recipe("torchvision"), 1):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        schedule.step()


def test_new_torchvision_learning_rates_are_torchs_warm_up_and_cosine() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.5)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=595),
    ]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[5])
    for rate in rates(load_recipe("torchvision2"), 1):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        with warnings.catch_warnings():  # SequentialLR calls its parts in a way torch itself deprecates
            warnings.simplefilter("ignore")
            schedule.step()


def test_efficientnet_learning_rates_are_tensorflows_staircase() -> None:
    recipe = load_recipe("efficientnet", "efficientnet_b0")
    n_updates = 625
    for step, rate in enumerate(rates(recipe, n_updates, epochs=20)):
        warm = 0.128 * step / (5 * n_updates)
        stairs = 0.128 * 0.97 ** math.floor(step / (2.4 * n_updates))
        assert rate == pytest.approx(warm if step < 5 * n_updates else stairs, rel=1e-9), step


def test_ladder_starts_with_tensorflows_steps() -> None:
    marks = [(1.0, 5), (0.1, 30), (0.01, 60), (0.001, 80)]  # (multiplier, first epoch)
    n_updates = 312
    for step, rate in enumerate(rates(rs("rs00"), n_updates)):
        epoch = step / n_updates
        expected = 1.6 * epoch / 5
        for factor, first in marks:
            expected = expected if epoch < first else 1.6 * factor
        assert rate == pytest.approx(expected, rel=1e-9), step


def test_resnet_rs_learning_rates_are_tensorflows_but_for_the_warm_ups_end_on_purpose() -> None:
    n_updates, total = 312, 350 * 312
    for step, rate in enumerate(rates(rs("resnet_rs", "resnetrs50"), n_updates, epochs=60)):
        cosine = 0.8 * (1 + math.cos(math.pi * step / total))
        if step >= 1560:
            assert rate == pytest.approx(cosine, rel=1e-9)
        else:  # TensorFlow's warm-up ends at the cosine's value there, timm's at the peak: 0.05 % higher
            target = 0.8 * (1 + math.cos(math.pi * 1560 / total))
            assert rate == pytest.approx(target * step / 1560, rel=6e-4)


# --- optimiser ------------------------------------------------------------------------------------------


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, bias=True)).double()


def gradients(net: nn.Module, n_steps: int, *, scale: float) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    shapes = [parameter.shape for parameter in net.parameters()]
    return [
        [scale * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
        for _ in range(n_steps)
    ]


def weights_after(net: nn.Module, recipe: Recipe, steps: list[list[Tensor]]) -> list[Array]:
    optimizer = build_optimizer(net, recipe)
    for step in steps:
        for parameter, gradient in zip(net.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach().numpy() for parameter in net.parameters()]


@pytest.mark.parametrize("scale", [0.01, 1.0])  # below and above the internal clip
def test_lamb_weights_after_20_steps(scale: float) -> None:
    """Against LAMB written out (You et al. 2020, Algorithm 2) with the two extras of timm: clip and no-decay groups."""
    recipe, net = load_recipe("a2"), small_net()
    steps = gradients(net, 20, scale=scale)
    weights = [parameter.detach().numpy().copy() for parameter in net.parameters()]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t, step in enumerate(steps, start=1):
        of_all = math.sqrt(sum(float((g**2).sum()) for g in step))
        for i, w in enumerate(weights):
            g = step[i].numpy() / max(1.0, of_all / 1.0)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            r = first[i] / (1 - 0.9**t) / (np.sqrt(second[i] / (1 - 0.999**t)) + 1e-6)
            trust = 1.0
            if w.ndim > 1:
                r = r + 0.02 * w
                trust = float(np.linalg.norm(w) / np.linalg.norm(r))
            weights[i] = w - 5e-3 * trust * r
    for ours, expected in zip(weights_after(net, recipe, steps), weights, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6, rtol=0)
        assert np.abs(ours).max() > 1e-3


def test_multi_tensor_lamb_of_gpus_gives_the_weights_of_cpus() -> None:
    """Timm takes its multi-tensor LAMB on CUDA, and the loop over tensors elsewhere; 20 updates in float32 agree."""
    recipe, nets = load_recipe("a2"), (small_net().float(), small_net().float())
    steps = [[gradient.float() for gradient in step] for step in gradients(nets[0], 20, scale=0.1)]
    for net, is_multi_tensor in zip(nets, (False, True), strict=True):
        optimizer = build_optimizer(net, recipe)
        for group in optimizer.param_groups:
            assert group["foreach"] is None  # by device
            group["foreach"] = is_multi_tensor
        for step in steps:
            for parameter, gradient in zip(net.parameters(), step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert float((one - other).detach().norm() / one.detach().norm()) < 1e-5


@pytest.mark.parametrize(("name", "timms"), [("a1", "lamb"), ("a2", "lamb"), ("a3", "lamb"), ("deit", "adamw")])
def test_weights_after_20_steps_are_those_of_timms_script(name: str, timms: str) -> None:
    recipe = load_recipe(name)
    ours, reference = small_net(), small_net()
    steps = gradients(ours, 20, scale=0.1)
    optimizer = create_optimizer_v2(reference, opt=timms, lr=recipe.lr, weight_decay=recipe.weight_decay)
    for step in steps:
        for parameter, gradient in zip(reference.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    for mine, theirs in zip(weights_after(ours, recipe, steps), reference.parameters(), strict=True):
        np.testing.assert_array_equal(mine, theirs.detach().numpy())


def test_efficientnet_rmsprop_is_tensorflows() -> None:
    """tf.train.RMSPropOptimizer: ms starts at 1, eps stands under the root, the momentum carries the learning rate."""
    recipe, net = load_recipe("efficientnet", "efficientnet_b0"), small_net()
    steps = gradients(net, 20, scale=0.1)
    decays = [not name.startswith("1.") for name, _ in net.named_parameters()]  # all but batch norm, biases too
    weights = [parameter.detach().numpy().copy() for parameter in net.parameters()]
    squares, momenta = [np.ones_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for step in steps:
        for i, w in enumerate(weights):
            g = step[i].numpy() + (1e-5 * w if decays[i] else 0.0)
            squares[i] = 0.9 * squares[i] + 0.1 * g**2
            momenta[i] = 0.9 * momenta[i] + 0.128 * g / np.sqrt(squares[i] + 1e-3)
            weights[i] = w - momenta[i]
    for ours, expected in zip(weights_after(net, recipe, steps), weights, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("name", "nesterov"), [("torchvision", False), ("rs10", True)])
def test_sgd_is_torchs_with_and_without_nesterov(name: str, nesterov: bool) -> None:
    recipe = with_values(rs(name), ["decay_norm=true", "decay_bias=true"])
    ours, reference = small_net(), small_net()
    steps = gradients(ours, 20, scale=0.1)
    optimizer = torch.optim.SGD(
        reference.parameters(), lr=recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay, nesterov=nesterov
    )
    for step in steps:
        for parameter, gradient in zip(reference.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    for mine, theirs in zip(weights_after(ours, recipe, steps), reference.parameters(), strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), atol=1e-12)


def names_by_decay(model: nn.Module, groups: list[dict[str, Any]]) -> dict[float, set[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {group["weight_decay"]: {names[id(p)] for p in group["params"]} for group in groups}


@pytest.mark.parametrize("name", ["resnet50", "deit_tiny_patch16_224", "efficientnet_b0", "regnety_040"])
def test_weight_decay_groups_of_rsb_are_timms(name: str) -> None:
    model = timm.create_model(name)
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    timms = param_groups_weight_decay(model, 0.02, no_weight_decay_list=exempt)
    assert names_by_decay(model, weight_decay_groups(model, load_recipe("a2"))) == names_by_decay(model, timms)


def test_weight_decay_groups_of_torchvision_are_torchvisions() -> None:
    with torch.device("meta"):
        model = timm.create_model("resnet50")
    norms, others = split_normalization_params(model)
    expected = names_by_decay(model, [{"params": norms, "weight_decay": 0.0}, {"params": others, "weight_decay": 2e-5}])
    assert names_by_decay(model, weight_decay_groups(model, load_recipe("torchvision2"))) == expected
    assert "fc.bias" in expected[2e-5]
    ((decay, everything),) = names_by_decay(model, weight_decay_groups(model, load_recipe("torchvision"))).items()
    assert (decay, len(everything)) == (1e-4, 161)


def test_resnet_rs_spares_batch_norm_alone() -> None:
    with torch.device("meta"):
        model = timm.create_model("resnetrs50")
    groups = names_by_decay(model, weight_decay_groups(model, rs("resnet_rs", "resnetrs50")))
    assert {"fc.bias", "layer1.0.se.fc1.bias"} <= groups[4e-5]
    assert all("bn" in name or "downsample" in name or "conv1." in name or "maxpool" in name for name in groups[0.0])


# --- loss and mixing ------------------------------------------------------------------------------------


def mixed_targets(labels: Array, lam: float, n_classes: int, smoothing: float) -> Array:
    off = smoothing / n_classes
    hot = np.full((len(labels), n_classes), off)
    hot[np.arange(len(labels)), labels.astype(int)] = 1 - smoothing + off
    return lam * hot + (1 - lam) * hot[::-1]


def bce(logits: Array, targets: Array) -> Array:
    return np.logaddexp(0, logits) - targets * logits


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a1", []),  # smoothed, then thresholded: the smoothing has no effect
        ("a2", []),
        ("a1", ["bce_target_threshold=none"]),  # soft targets
        ("a2", ["bce_sum=true"]),
        ("torchvision2", []),
        ("deit", []),
    ],
)
def test_losses_of_mixed_smoothed_thresholded_targets(name: str, changes: list[str]) -> None:
    recipe = with_values(load_recipe(name), [*changes, "mixup_alpha=1.0", "cutmix_alpha=0"])
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(8, 10)), rng.integers(10, size=8).astype(np.float64)
    mix = build_mixing(recipe, 10)
    assert mix is not None
    loss_of = build_loss(recipe, is_mixed=True)
    seen_below = False
    for seed in range(20):
        with RandomStream(seed).active():
            _, targets = mix(torch.zeros(8, 3, 4, 4), torch.from_numpy(labels).long())
        with RandomStream(seed).active():
            np.random.rand()  # noqa: NPY002  # whether to mix at all
            lam = float(np.random.beta(1.0, 1.0))  # noqa: NPY002  # timm draws from the global generator
        expected = mixed_targets(labels, lam, 10, recipe.label_smoothing)
        np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)
        seen_below |= min(lam, 1 - lam) < 0.2
        if recipe.loss == "bce":
            if recipe.bce_target_threshold is not None:
                expected = (expected > recipe.bce_target_threshold).astype(np.float64)
            each = bce(logits, expected)
            loss = each.sum(1).mean() if recipe.bce_sum else each.mean()
        else:
            log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            loss = float(-(expected * log_probs).sum(1).mean())
        assert float(loss_of(torch.from_numpy(logits), targets)) == pytest.approx(loss, rel=1e-6)
    assert seen_below  # a class in the mix below the threshold is no label


def test_losses_without_mixing() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    for name in ("torchvision", "resnet_rs", "efficientnet"):
        recipe = read_recipe(name).for_model(next(iter(read_recipe(name).models)), given={"micro_batch": 2})
        assert build_mixing(recipe, 5) is None
        expected = nn.functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        assert float(build_loss(recipe, is_mixed=False)(logits, labels)) == pytest.approx(float(expected), rel=1e-6)
    dense = build_loss(load_recipe("a2"), is_mixed=False)(logits, labels)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, nn.functional.one_hot(labels, 5).float())
    assert float(dense) == pytest.approx(float(expected), rel=1e-6)


def test_mixup_and_cutmix_masks() -> None:
    """Boxes, lambdas and pairs of 60 batches against the formulas of CutMix (Yun et al. 2019, section 3.2)."""
    recipe = load_recipe("a2")
    mix = build_mixing(recipe, 10)
    assert mix is not None
    images = torch.randn(4, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3])
    n_cutmix = 0
    for seed in range(60):
        with RandomStream(seed).active():
            ours, targets = mix(images.clone(), labels)
        with RandomStream(seed).active():
            assert np.random.rand() < recipe.mix_prob  # noqa: NPY002  # timm draws from the global generator
            is_cutmix = np.random.rand() < recipe.mix_switch_prob  # noqa: NPY002
            alpha = recipe.cutmix_alpha if is_cutmix else recipe.mixup_alpha
            lam = float(np.random.beta(alpha, alpha))  # noqa: NPY002
            expected, partner = images.clone(), images.flip(0)
            if is_cutmix:
                n_cutmix += 1
                high, wide = (int(side * math.sqrt(1 - lam)) for side in (32, 48))
                y, x = np.random.randint(0, 32), np.random.randint(0, 48)  # noqa: NPY002
                # An odd side is rounded up as in today's timm; in timm 0.5 (RSB) such a box had a pixel less.
                top, bottom = max(0, y - high // 2), min(32, y + (high + 1) // 2)
                left, right = max(0, x - wide // 2), min(48, x + (wide + 1) // 2)
                expected[:, :, top:bottom, left:right] = partner[:, :, top:bottom, left:right]
                lam = 1 - (bottom - top) * (right - left) / (32 * 48)
            else:
                expected = lam * images + (1 - lam) * partner
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(targets.numpy(), mixed_targets(labels.numpy(), lam, 10, 0.0), atol=1e-6)
    assert 20 < n_cutmix < 40


# --- order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a2", "deit"])
def test_repeated_augmentation_is_timms_rank_by_rank(name: str) -> None:
    recipe = load_recipe(name)
    n_ranks, n_train = recipe.batch_size // recipe.micro_batch, 20_000
    order = epoch_order(n_train, recipe, seed=3)
    shuffled = np.random.default_rng(3).permutation(n_train)
    for rank in range(n_ranks):
        sampler = RepeatAugSampler(
            range(n_train), num_replicas=n_ranks, rank=rank, shuffle=False, num_repeats=recipe.repeated_augmentation
        )
        of_rank = shuffled[np.fromiter(sampler, dtype=np.int64)]
        n_kept = order.shape[0] * recipe.micro_batch
        np.testing.assert_array_equal(order[:, rank].ravel(), of_rank[:n_kept])


def test_an_epoch_of_imagenet_is_as_long_as_timms() -> None:
    recipe = load_recipe("a2")
    sampler = RepeatAugSampler(range(1_281_167), num_replicas=4, rank=0, num_repeats=3)
    n_updates = len(sampler) // recipe.micro_batch  # the loader drops the last, incomplete batch
    assert epoch_order(1_281_167, recipe, seed=0).shape == (n_updates, 4, 512)
    assert n_updates == 625


# --- network --------------------------------------------------------------------------------------------


def drop_rates(model: Any) -> list[float]:
    stages = (model.layer1, model.layer2, model.layer3, model.layer4)
    return [block.drop_path.drop_prob if block.drop_path else 0.0 for stage in stages for block in stage]


def test_drop_path_rates_of_every_block() -> None:
    with torch.device("meta"):
        rsb = build_model("resnet50", load_recipe("a2"), 1000, seed=0)
        tensorflow = build_model("resnet50", replace(load_recipe("a2"), drop_path_rule="stage"), 1000, seed=0)
        without = build_model("resnet50", load_recipe("a3"), 1000, seed=0)
    assert drop_rates(rsb) == pytest.approx([0.05 * block / 15 for block in range(16)])
    assert drop_rates(tensorflow) == pytest.approx([0.02] * 3 + [0.03] * 4 + [0.04] * 6 + [0.05] * 3)
    assert drop_rates(without) == [0.0] * 16


@pytest.mark.slow
def test_the_ladder_builds_resnet_rs_out_of_a_plain_resnet() -> None:
    """Steps 9 and 10 turn timm's resnet200 into its resnetrs200, tensor by tensor."""
    with torch.device("meta"):
        plain, with_se, end = (build_model("resnet200", rs(name), 1000, seed=0) for name in ("rs08", "rs09", "rs10"))
        published = build_model("resnetrs200", rs("resnet_rs", "resnetrs200"), 1000, seed=0)
    shapes = [{name: tuple(t.shape) for name, t in model.state_dict().items()} for model in (end, published)]
    assert shapes[0] == shapes[1]
    assert drop_rates(end) == drop_rates(published)
    assert sum(p.numel() for p in end.parameters()) / 1e6 == pytest.approx(93.21, abs=0.005)
    added = set(with_se.state_dict()) - set(plain.state_dict())
    assert all(".se." in name for name in added)
    assert len({name.split(".se.")[0] for name in added}) == 66


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a1", "a3", "resnet_rs"])
def test_parameters_of_every_published_network_are_those_of_timms_table(name: str) -> None:
    lines = (Path(__file__).parents[1] / "reference" / "timm_params.csv").read_text().splitlines()
    published = {row["model"]: row["params_m"] for row in csv.DictReader(line for line in lines if line[0] != "#")}
    file = read_recipe(name)
    assert len(file.models) == (7 if name == "resnet_rs" else 25)
    for model in file.models:
        with torch.device("meta"):
            net = build_model(model, file.for_model(model, given={"micro_batch": 256}), 1000, seed=0)
        n_params = sum(parameter.numel() for parameter in net.parameters())
        if name == "a3" and model.startswith("deit"):  # 160 px: 10 x 10 position embeddings instead of 14 x 14
            n_params += (14 * 14 - 10 * 10) * net.embed_dim  # type: ignore[operator]
        assert f"{n_params / 1e6:.2f}" == published[model], model


def test_a_vision_transformer_is_tested_at_another_size_than_it_trains() -> None:
    recipe = load_recipe("a3", "deit_tiny_patch16_224")
    model = build_model("deit_tiny_patch16_224", recipe, 10, seed=0).eval()
    assert model.pos_embed.shape == (1, 101, 192)  # type: ignore[union-attr]
    with torch.inference_mode():
        for size in (recipe.train_size, recipe.test_size):
            assert model(torch.zeros(1, 3, size, size)).shape == (1, 10)


def test_batch_norm_of_efficientnet_is_tensorflows() -> None:
    with torch.device("meta"):
        model = build_model("efficientnet_b0", load_recipe("efficientnet", "efficientnet_b0"), 1000, seed=0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}


# --- average of the weights -----------------------------------------------------------------------------


def averages(recipe: Recipe, n_updates: int, n_epochs: int) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
    """Yield (epoch, step, weight, average of the weight, average of a batch-norm statistic) over a fake training."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    generator = torch.Generator().manual_seed(0)
    ema = WeightAverage(net, recipe, n_updates)
    for epoch, step in itertools.product(range(n_epochs), range(n_updates)):
        with torch.no_grad():
            net[0].weight.copy_(torch.randn(1, 1, generator=generator))  # type: ignore[arg-type]
            net[1].running_mean.copy_(net[0].weight[0])  # type: ignore[operator,index]
        ema.after_update(net, epoch=epoch, step=step)
        state = ema.module.state_dict()
        yield epoch, step, net[0].weight.detach().clone(), state["0.weight"], state["1.running_mean"]


def test_average_copies_first_then_decays_as_timms_script() -> None:
    recipe = replace(load_recipe("a2"), ema_decay=0.9)
    expected = None
    for _, _, weight, average, statistic in averages(recipe, 5, 3):
        expected = weight if expected is None else 0.9 * expected + 0.1 * weight
        torch.testing.assert_close(average, expected)
        torch.testing.assert_close(statistic, expected[0])  # batch-norm statistics are averaged like weights


def test_average_of_torchvision_updates_every_nth_step_and_copies_through_the_warm_up() -> None:
    recipe = replace(load_recipe("torchvision2"), ema_decay=0.9, ema_every=3, ema_start_epochs=2.0)
    n_averaged, expected = 0, torch.zeros(1, 1)
    for epoch, step, weight, average, _ in averages(recipe, 7, 5):
        if step % 3 == 0:  # the loop of references/classification/train.py, with torch's averaging written out
            expected = weight if n_averaged == 0 else 0.9 * expected + 0.1 * weight
            n_averaged += 1
            if epoch < 2:
                n_averaged = 0
        if epoch or step:
            torch.testing.assert_close(average, expected)


def test_average_of_resnet_rs_starts_like_tensorflows() -> None:
    recipe = rs("rs03")
    torch.manual_seed(0)
    expected = None
    for n, (_, _, weight, average, _) in enumerate(averages(recipe, 10, 20), start=1):
        decay = min(0.9999, (1 + n) / (10 + n))
        if expected is None:  # what the first average had been, so that its decay is tested as well
            expected = (average - (1 - decay) * weight) / decay
        expected = decay * expected + (1 - decay) * weight
        torch.testing.assert_close(average, expected)
    assert decay == pytest.approx(201 / 210)


def test_rescaled_decay_of_torchvision() -> None:
    alpha = (1 - 0.99998) * 8 * 128 * 32 / 600  # the script's adjustment: GPUs * batch * steps / epochs
    assert load_recipe("torchvision2").ema_decay == pytest.approx(1 - alpha, rel=1e-12)


# --- images ---------------------------------------------------------------------------------------------


def photograph(data: Dataset) -> tuple[npt.NDArray[np.uint8], Dataset]:
    """Return a real photograph of 427 x 640 pixels and ImageNet's mean and std."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg"), replace(
        data, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), image_size=224
    )


@pytest.mark.parametrize(
    ("name", "model", "resized", "size", "interpolation"),
    [
        ("a2", "resnet50", 235, 224, "bicubic"),
        ("a3", "resnet50", 235, 224, "bicubic"),
        ("torchvision", "resnet50", 256, 224, "bilinear"),
        ("torchvision2", "resnet50", 232, 224, "bilinear"),
        ("deit", "deit_tiny_patch16_224", 256, 224, "bicubic"),
        ("resnet_rs", "resnetrs50", 182, 160, "bicubic"),
    ],
)
def test_evaluation_images_are_pixel_equal_to_timm_and_torchvision(
    name: str, model: str, resized: int, size: int, interpolation: str, data: Dataset
) -> None:
    image, like_imagenet = photograph(data)
    recipe = rs(name, model)
    shown = Preprocessing.from_recipe(recipe, mean=like_imagenet.mean, std=like_imagenet.std)
    ours = next(eval_images(image[None], shown))[0]
    timms = create_transform(
        (3, size, size),
        interpolation=interpolation,
        crop_pct=recipe.test_crop,
        mean=like_imagenet.mean,
        std=like_imagenet.std,
    )
    torchvisions = transforms.Compose(
        [
            transforms.Resize(resized, interpolation=transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(like_imagenet.mean, like_imagenet.std),
        ]
    )
    for theirs in (timms, torchvisions):
        expected = theirs(Image.fromarray(image))
        pixels = [torch.round((x * torch.tensor(like_imagenet.std).view(3, 1, 1)) * 255) for x in (ours, expected)]
        assert ours.shape == expected.shape == (3, size, size)
        assert torch.equal(*pixels)  # the same uint8 pixels
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)  # normalised in another order of operations


@pytest.mark.parametrize(
    ("name", "model", "policy"),
    [
        ("a2", "resnet50", "RandAugment"),
        ("resnet_rs", "resnetrs50", "RandAugment"),
        ("efficientnet", "efficientnet_b0", "AutoAugment"),
        ("torchvision2", "resnet50", "TrivialAugmentWide"),
        ("torchvision", "resnet50", ""),
    ],
)
def test_the_policy_stands_between_flip_and_tensor(name: str, model: str, policy: str, data: Dataset) -> None:
    image, like_imagenet = photograph(data)
    recipe = rs(name, model)
    text = str(image_transform(recipe, like_imagenet))
    assert policy in text
    assert text.index("RandomResizedCrop") < text.index("HorizontalFlip") < (text.index(policy) if policy else 1e9)
    with RandomStream(0).active():
        once = image_transform(recipe, like_imagenet)(Image.fromarray(image))
    assert once.dtype == torch.uint8
    assert once.shape == (3, recipe.train_size, recipe.train_size)


@pytest.mark.parametrize(("name", "magnitude", "bits"), [("PosterizeIncreasing", 10, 0), ("Posterize", 7, 2)])
def test_posterize_at_its_strongest_is_black_and_not_an_error(
    name: str, magnitude: int, bits: int, data: Dataset
) -> None:
    """DeiT's magnitude of 9 with noise reaches 10, and so 0 bits, in one of 650 images; RSB's 7 never does."""
    image = Image.fromarray(photograph(data)[0])
    ours = np.asarray(AugmentOp(name, prob=1.0, magnitude=magnitude)(image))
    np.testing.assert_array_equal(ours, np.asarray(image) & ((0xFF << (8 - bits)) & 0xFF))


# --- all of it ------------------------------------------------------------------------------------------


def test_a_whole_trial_is_timms_loop(data: Dataset, make_trial: Any, tiny_recipe: Recipe) -> None:
    """Two epochs by our engine and by a loop in the order of timm's train.py give the same predictions.

    One micro-batch an update: ours stand for timm's devices (test_processes.py), not for its gradient accumulation,
    which moves batch norm's running statistics once a micro-batch.
    """
    recipe = with_values(tiny_recipe, ["drop_path=0.3", "ema_decay=0.8", "warmup_epochs=0.5"])
    trial = make_trial(2, recipe=recipe, augment="pil")
    ours = train_trial(trial, data)

    streams = Streams(seed=2, vary=trial.vary)
    device = accelerator_of(recipe).device
    model = build_model(trial.model, recipe, 4, seed=streams.of("init")).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, opt="lamb", lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule, n_epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=recipe.epochs,
        min_lr=recipe.min_lr,
        warmup_lr=recipe.warmup_lr,
        warmup_epochs=0.5,  # type: ignore[arg-type]  # timm counts it in updates all the same
        step_on_epochs=False,
        updates_per_epoch=4,
    )
    loss_of = BinaryCrossEntropy(target_threshold=0.2, smoothing=0.0)
    average = timm.utils.ModelEmaV3(model, decay=0.8)
    mix = build_mixing(recipe, 4)
    shard = Shard()
    feed = ArrayFeed(data, recipe, shard, device, trial.augment)
    n_done = 0
    for epoch in range(n_epochs):
        model.train()
        random = epoch_streams(streams, epoch, shard.micro_batches)
        for update in mixed(feed.epoch(streams, epoch, random), mix, shard, random, device):
            optimizer.zero_grad()
            for images, targets in update:
                with random["drop"].active():
                    loss = loss_of(model(images), targets)
                loss.backward()
            optimizer.step()
            n_done += 1
            average.update(model, step=n_done)
            schedule.step_update(n_done)
        schedule.step(epoch + 1)
    theirs = evaluate_by_recipe(average.module, data, tuple(data.eval_sets), recipe, device)
    assert n_done == 8
    for name, evaluation in theirs.items():
        np.testing.assert_array_equal(evaluation.confidence, ours.evaluations[name].confidence)
        np.testing.assert_array_equal(evaluation.predicted, ours.evaluations[name].predicted)


FOR_IMAGES = [
    name
    for name in packaged_names()
    if {*read_recipe(name).missing} <= {"micro_batch"} and read_recipe(name).values.get("clip_frames") is None
]
"""Recipes for videos train in test_videos.py."""
SMALL_MODELS = {"rs09": "resnet18", "rs10": "resnet18"}
"""Architecture steps need a plain ResNet; everything else trains the smallest network there is."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FOR_IMAGES)
def test_every_packaged_recipe_trains_scaled_to_small_images(name: str, data: Dataset, make_trial: Any) -> None:
    file = read_recipe(name)
    published = file.for_model(next(iter(file.models)), given={"micro_batch": 256})
    recipe = scale(published, DataFacts(name="tiny", n_train=64, image_size=16, epoch_ratio=1.0), epochs=2)
    recipe = with_values(recipe, ["batch_size=16", "micro_batch=16", "drop_path_rule=block"])
    augment = "pil" if recipe.auto_augment else "batched"  # as the launcher has it
    trial = replace(make_trial(0, recipe=recipe), model=SMALL_MODELS.get(name, "resnet8_nano"), augment=augment)
    result = train_trial(trial, data)
    assert result.status == "ok", result.reason
    assert result.epochs == 2
