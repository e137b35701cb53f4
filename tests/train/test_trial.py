from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.store.rows import pool_key
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Augmentation, EpochReport, Trial, TrialResult
from seedstudy.train.parts import build_loss, build_mixing, build_optimizer, build_schedule
from seedstudy.train.result import eval_sets_after
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset

MakeTrial = Callable[..., Trial]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lively(tiny_recipe: Recipe) -> Recipe:
    """Every stream has something to decide: stochastic depth at 0.5 drops blocks in so short a training."""
    return with_values(tiny_recipe, ["drop_path=0.5", "lr=0.05"])


def outcome(result: TrialResult) -> tuple[bytes, ...]:
    return tuple(e.predicted.tobytes() + e.confidence.tobytes() for e in result.evaluations.values())


@pytest.mark.parametrize("augment", get_args(Augmentation))
def test_same_trial_twice_is_identical(
    augment: Augmentation, data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    trial = make_trial(3, recipe=lively, augment=augment)
    first = train_trial(trial, data)
    # What others draw from the process-wide generators in between must not matter.
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  # the point of the test
    assert outcome(train_trial(trial, data)) == outcome(first)
    assert first.status == "ok"


def test_incomplete_data_are_recorded_and_change_nothing_else(
    data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    trial = make_trial(3, recipe=lively)
    whole = train_trial(trial, data)
    partial = train_trial(trial, replace(data, partial={"val": (40, 50)}))
    assert "partial_data" not in whole.provenance
    assert partial.provenance["partial_data"] == {"val": (40, 50)}
    assert outcome(partial) == outcome(whole)
    assert pool_key(trial, partial.provenance) == pool_key(trial, whole.provenance)


@pytest.mark.skipif("PJRT_DEVICE" in os.environ or torch.cuda.is_available(), reason="says what CPUs do")
def test_a_cpu_trains_in_bfloat16_where_the_recipe_says_so_itself(
    data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    def of(precision: str) -> TrialResult:
        return train_trial(make_trial(3, recipe=with_values(lively, [f"precision={precision}"])), data)

    plain, mixed, half = of("float32"), of("mixed"), of("bfloat16")
    assert [r.provenance["precision"] for r in (plain, mixed, half)] == ["float32", "float32", "bfloat16"]
    assert outcome(plain) == outcome(mixed)
    assert half.status == "ok"
    assert outcome(of("bfloat16")) == outcome(half) != outcome(plain)


@pytest.mark.parametrize("augment", get_args(Augmentation))
@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_stream_alone_changes_the_result(
    purpose: str, augment: Augmentation, data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    base = train_trial(make_trial(0, recipe=lively, vary=(purpose,), augment=augment), data)
    other = train_trial(make_trial(1, recipe=lively, vary=(purpose,), augment=augment), data)
    assert outcome(other) != outcome(base)


def test_repetitions_share_every_stream_and_are_equal(data: Dataset, make_trial: MakeTrial, lively: Recipe) -> None:
    """Eight networks, trained one after the other: on a CPU nothing is left that could make them differ."""
    base = make_trial(recipe=lively).at({"init": 1, "order": 2, "augment": 3, "mix": 4, "drop": 5})
    trials = [replace(base, replicate=number) for number in range(8)]
    results = [train_trial(trial, data) for trial in trials]
    assert len({trial.trial_id for trial in trials}) == 8
    assert {outcome(result) for result in results} == {outcome(results[0])}
    assert len({pool_key(*each) for each in zip(trials, (r.provenance for r in results), strict=True)}) == 1


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_stream_with_a_seed_of_its_own_is_that_of_a_plain_seed(
    purpose: str, data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    """All streams at seed 0 but one at 1: what `--vary` of that stream trains as seed 1."""
    mixed = make_trial(recipe=lively).at({**dict.fromkeys(PURPOSES, 0), purpose: 1})
    assert outcome(train_trial(mixed, data)) == outcome(
        train_trial(make_trial(1, recipe=lively, vary=(purpose,)), data)
    )


def test_with_all_streams_fixed_the_seed_changes_nothing(data: Dataset, make_trial: MakeTrial, lively: Recipe) -> None:
    fixed = [train_trial(make_trial(seed, recipe=lively, vary=()), data) for seed in (0, 1)]
    assert outcome(fixed[0]) == outcome(fixed[1])


def test_training_leaves_the_global_generators_alone(data: Dataset, make_trial: MakeTrial) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  # the point of the test
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    train_trial(make_trial(), data)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_learns_what_is_easy(make_trial: MakeTrial, tiny_recipe: Recipe) -> None:
    easy = make_dataset(n_train=256, n_val=100)
    recipe = with_values(
        tiny_recipe,
        ["epochs=6", "randaugment=none", "cutmix_alpha=0", "mixup_alpha=0", "crop_scale=0.5,1", "lr=0.05"],
    )
    result = train_trial(make_trial(recipe=recipe), easy)
    val = result.evaluations["val"]
    assert val.n_correct / val.n_examples > 0.8  # chance is 0.25


def test_result_holds_counts_that_fit_together(data: Dataset, make_trial: MakeTrial) -> None:
    reports: list[EpochReport] = []
    result = train_trial(make_trial(), data, on_epoch=reports.append)
    for name, evaluation in result.evaluations.items():
        eval_set = data.eval_sets[name]
        assert evaluation.n_examples == len(eval_set)
        assert evaluation.n_correct == int(eval_set.is_correct(evaluation.predicted).sum())
        assert evaluation.n_correct <= evaluation.n_correct_top5 == len(eval_set)  # 4 classes: all are in the top 5
        assert ((evaluation.confidence > 0) & (evaluation.confidence < 1)).all()
        sure = -np.log(np.maximum(evaluation.label_probability.astype(np.float64), 1e-30)).mean()
        assert sure == pytest.approx(evaluation.loss, rel=1e-4)  # the loss is that of the label set
        assert math.isfinite(evaluation.loss)
    assert list(result.curves) == reports
    assert [report.epoch for report in reports] == [1, 2]
    best = max((report for report in reports if report.n_correct is not None), key=lambda r: r.n_correct or 0)
    assert result.best_n_correct == best.n_correct
    assert result.n_params > 10_000


def test_real_is_judged_by_sets_on_vals_predictions(data: Dataset, make_trial: MakeTrial) -> None:
    result = train_trial(make_trial(), data)
    rows = data.eval_sets["real"].rows
    assert np.array_equal(result.evaluations["real"].predicted, result.evaluations["val"].predicted[rows])


def test_loss_that_is_not_finite_ends_the_trial_as_diverged(
    data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    wild = replace(tiny_recipe, optimizer="sgd", momentum=0.9, max_grad_norm=None, lr=1e30, warmup_epochs=0.0)
    result = train_trial(make_trial(recipe=wild), data)
    assert result.status == "diverged"
    assert "not finite at update" in result.reason
    assert result.evaluations == {}


def test_last_epoch_is_the_result_and_best_stands_beside_it(data: Dataset, make_trial: MakeTrial) -> None:
    result = train_trial(make_trial(), data)
    assert result.curves[-1].n_correct == result.evaluations["val"].n_correct
    assert result.best_epoch in (1, 2)


@pytest.mark.parametrize(("n_val", "evaluated"), [(40, [0, 1, 2, 3]), (65, [1, 3]), (200, [3])])
def test_evaluation_never_costs_more_images_than_training(
    n_val: int, evaluated: list[int], tiny_recipe: Recipe
) -> None:
    data, recipe = make_dataset(n_train=64, n_val=n_val), replace(tiny_recipe, epochs=4)
    assert [len(eval_sets_after(epoch, recipe, data, 3)) for epoch in range(4)] == [0, 0, 1, len(data.eval_sets)]
    names = [eval_sets_after(epoch, recipe, data) for epoch in range(4)]
    assert [epoch for epoch in range(4) if names[epoch]] == evaluated
    assert set(names[:-1]) <= {("val",), ()}
    assert names[-1] == ("val", "real")


# --- parts, against what the recipes say ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a1", "a2", "a3"])
def test_learning_rate_of_every_epoch_on_imagenet(name: str) -> None:
    recipe = load_recipe(name)
    optimizer = build_optimizer(torch.nn.Linear(2, 2), recipe)
    schedule = build_schedule(optimizer, recipe, n_updates=625)
    for epoch in range(recipe.epochs):
        expected = (
            recipe.warmup_lr + epoch / 5 * (recipe.lr - recipe.warmup_lr)
            if epoch < 5
            else recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        )
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12), epoch
        schedule.step_update(625 * (epoch + 1))  # per epoch: updates must not move it
        schedule.step(epoch + 1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(recipe.min_lr)


def test_scaled_schedule_moves_at_every_update() -> None:
    recipe = scale(load_recipe("a2"), DataFacts(name="d", n_train=1280, image_size=32, epoch_ratio=0.04))
    optimizer = build_optimizer(torch.nn.Linear(2, 2), recipe)
    schedule = build_schedule(optimizer, recipe, n_updates=10)
    rates = []
    for update in range(120):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step_update(update + 1)
        schedule.step((update + 1) // 10)
    assert rates[0] == pytest.approx(recipe.warmup_lr)
    assert max(rates) == pytest.approx(recipe.lr, rel=0.01)
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))


def test_a_lagging_learning_rate_is_that_of_the_epoch_before(
    data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe
) -> None:
    recipe = with_values(tiny_recipe, ["epochs=4", "schedule_per=epoch"])
    on_time = [report.lr for report in train_trial(make_trial(recipe=recipe), data).curves]
    late = with_values(recipe, ["lr_lag=1"])
    assert [report.lr for report in train_trial(make_trial(recipe=late), data).curves] == [on_time[0], *on_time[:3]]
    assert len(set(on_time)) == 4


def test_biases_and_norms_do_not_decay() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = build_optimizer(net, load_recipe("a2"))
    decays = {tuple(p.shape): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decays == {(4, 3, 3, 3): 0.02, (4,): 0.0}
    assert optimizer.defaults["max_grad_norm"] == 1.0


def test_bce_sees_thresholded_targets_and_takes_the_mean_over_classes() -> None:
    recipe = load_recipe("a2")
    loss = build_loss(recipe, is_mixed=True)
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0]])
    mixed = torch.tensor([[0.85, 0.15, 0.0, 0.0]])  # 0.15 is below the threshold of 0.2: no label
    expected = (
        -(math.log(1 / (1 + math.exp(-2.0))) + sum(math.log(1 / (1 + math.exp(x))) for x in (-1.0, 0.5, 0.0))) / 4
    )
    assert float(loss(logits, mixed)) == pytest.approx(expected, rel=1e-6)


def test_mixing_smooths_with_the_recipes_smoothing() -> None:
    mix = build_mixing(with_values(load_recipe("a1"), ["mix_prob=0"]), n_classes=10)
    assert mix is not None
    _, targets = mix(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    assert targets[0, 0] == pytest.approx(1 - 0.1 + 0.1 / 10)
    assert targets[0, 5] == pytest.approx(0.1 / 10)
    assert build_mixing(with_values(load_recipe("a1"), ["mixup_alpha=0", "cutmix_alpha=0"]), 10) is None
