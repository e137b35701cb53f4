"""A stacked seed's result is the seed's own within rounding, and its neighbours never touch it.

The comparisons of weights run in float64: there two ways to the same numbers agree to 1e-9 after any number of updates,
while in float32 one activation that rounds to the other side of zero can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Trial, TrialResult
from seedstudy.train import models, stacks, starts, trial
from seedstudy.train.checkpoint import Stopped
from seedstudy.train.stacks import choose_size, train_stacked, why_not_stackable
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset

MakeTrial = Callable[..., Trial]

SGD = ["optimizer=sgd", "momentum=0.9", "max_grad_norm=none", "lr=0.05"]
ADAMW = ["optimizer=adamw", "max_grad_norm=none", "lr=0.002"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Builder:
    """Builds networks as trainings ask for them and keeps them: they hold the last weights afterwards."""

    def __init__(self) -> None:
        self.networks: list[nn.Module] = []
        self.is_double = False
        self.poisoned: int | None = None
        """Position of a network whose weights become NaN."""

    def __call__(self, name: str, recipe: Recipe, n_classes: int, *, seed: int) -> nn.Module:
        network = models.build_model(name, recipe, n_classes, seed=seed)
        if self.is_double:
            network.double()
            network.register_forward_pre_hook(lambda _, images: (images[0].double(),))
        if self.poisoned == len(self.networks):
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.fill_(torch.nan)
        self.networks.append(network)
        return network


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder()
    monkeypatch.setattr(starts, "build_model", builder)
    monkeypatch.setattr(stacks, "build_model", builder)
    return builder


@pytest.fixture
def lively(tiny_recipe: Recipe) -> Recipe:
    return with_values(tiny_recipe, ["drop_path=0.3"])


def trials_of(make_trial: MakeTrial, recipe: Recipe, seeds: Sequence[int], model: str = "resnet8_nano") -> list[Trial]:
    return [replace(make_trial(seed, recipe=recipe), model=model) for seed in seeds]


def difference(one: nn.Module, other: nn.Module) -> float:
    """Return the largest difference of the weights or statistics of one layer, relative to their norm."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).norm() / a.norm().clamp(min=1e-6)) for a, b in pairs if a.is_floating_point())


def check_agreement(trials: Sequence[Trial], data: Dataset, builder: Builder, *, rounding: float) -> None:
    """Train every trial alone and all of them stacked: weights, running statistics, curves and losses agree."""
    alone = [train_trial(one, data) for one in trials]
    together = train_stacked(trials, data)
    has_ema = trials[0].recipe.ema_decay is not None  # the networks of the single trials then hold no average
    for k, (a, b) in enumerate(zip(alone, together, strict=True)):
        if not has_ema:
            assert difference(builder.networks[k], builder.networks[len(trials) + k]) < rounding
        for name, evaluation in a.evaluations.items():
            assert b.evaluations[name].loss == pytest.approx(evaluation.loss, rel=100 * rounding)
        for ours, theirs in zip(b.curves, a.curves, strict=True):
            # The losses of an epoch are kept in float32.
            assert ours.train_loss == pytest.approx(theirs.train_loss, rel=max(rounding, 1e-6))
            assert (ours.epoch, ours.lr, ours.n_examples) == (theirs.epoch, theirs.lr, theirs.n_examples)
        assert (b.status, b.epochs, b.best_epoch, b.n_params) == (a.status, a.epochs, a.best_epoch, a.n_params)
    # Seeds differ by far more than rounding, or the comparisons above would prove nothing.
    assert difference(builder.networks[0], builder.networks[1]) > 100 * rounding


@pytest.mark.parametrize(
    "changes",
    [
        ["micro_batch=8", "clip_grad_norm=0.05", "repeated_augmentation=1", "schedule_per=epoch", "lr_lag=1"],
        ["mixup_alpha=0", "cutmix_alpha=0", "loss=ce", "bce_target_threshold=none", "dropout=0.2"],
        [*SGD, "clip_grad_norm=0.1", "decay_norm=true"],
        *(
            pytest.param(changes, marks=pytest.mark.slow)
            for changes in (
                [],
                ADAMW,
                ["max_grad_norm=none"],
                ["mix_mode=pair", "bce_target_threshold=none", "label_smoothing=0.1"],
                ["random_erasing=0.5", "ema_decay=0.8"],
                SGD,
                [*ADAMW, "clip_grad_norm=0.1"],
            )
        ),
    ],
    ids=lambda changes: " ".join(changes) or "a2",
)
def test_a_stacked_seed_is_the_seed_itself(
    changes: list[str], data: Dataset, make_trial: MakeTrial, lively: Recipe, builder: Builder
) -> None:
    builder.is_double = True
    recipe = with_values(lively, ["epochs=3", *changes])  # twelve updates
    check_agreement(trials_of(make_trial, recipe, (0, 1)), data, builder, rounding=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet8", "resnet20", pytest.param("resnet18", marks=pytest.mark.long)])
def test_other_networks_agree_too(model: str, make_trial: MakeTrial, lively: Recipe, builder: Builder) -> None:
    builder.is_double = True
    size = ["train_size=32", "test_size=32", "batch_size=4", "micro_batch=4", "epochs=1"]
    seeds = trials_of(make_trial, with_values(lively, size), (0, 1), model)
    check_agreement(seeds, make_dataset(n_train=16, n_val=8, size=32), builder, rounding=1e-9)


# --- neighbours -----------------------------------------------------------------------------------------


def outcome(result: TrialResult) -> tuple[object, ...]:
    """Return all that must not change by a bit; times may."""
    of_sets = [e.predicted.tobytes() + e.confidence.tobytes() for e in result.evaluations.values()]
    return result.status, [(r.train_loss, r.lr, r.n_correct) for r in result.curves], of_sets


@pytest.mark.slow
@pytest.mark.parametrize("changes", [["clip_grad_norm=0.1"], SGD], ids=["lamb", "sgd"])
def test_another_neighbour_changes_nothing(
    changes: list[str], data: Dataset, make_trial: MakeTrial, lively: Recipe
) -> None:
    recipe = with_values(lively, changes)
    first = train_stacked(trials_of(make_trial, recipe, (0, 1, 2)), data)
    other = train_stacked(trials_of(make_trial, recipe, (0, 9, 2)), data)
    assert [outcome(other[k]) == outcome(first[k]) for k in range(3)] == [True, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [["clip_grad_norm=0.1"], SGD, ADAMW], ids=["lamb", "sgd", "adamw"])
def test_a_seed_of_nan_is_recorded_and_its_neighbours_are_untouched(
    changes: list[str], data: Dataset, make_trial: MakeTrial, lively: Recipe, builder: Builder
) -> None:
    seeds = trials_of(make_trial, with_values(lively, changes), (0, 1, 2))
    healthy = train_stacked(seeds, data)
    builder.poisoned = len(builder.networks) + 1
    reported: list[int] = []
    results = train_stacked(seeds, data, on_epoch=lambda trial, report: reported.append(trial.seed))
    assert [result.status for result in results] == ["ok", "diverged", "ok"]
    assert results[1].reason == "the loss was not finite at update 1 (epoch 1)"
    assert (results[1].evaluations, results[1].curves, results[1].epochs) == ({}, (), 0)
    assert [outcome(results[k]) for k in (0, 2)] == [outcome(healthy[k]) for k in (0, 2)]
    assert reported == [0, 2, 0, 2]


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: a group of channels there may be a dense one"
)
@pytest.mark.parametrize("model", ["resnet8_nano", "resnet20"])
def test_neighbours_are_untouched_on_a_gpu_too(
    model: str, data: Dataset, make_trial: MakeTrial, lively: Recipe, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    seeds = trials_of(make_trial, with_values(lively, ["precision=float32"]), (0, 1, 2), model)
    healthy = train_stacked(seeds, data)
    builder.poisoned = len(builder.networks) + 1
    results = train_stacked(seeds, data)
    assert [result.status for result in results] == ["ok", "diverged", "ok"]
    assert [outcome(results[k]) for k in (0, 2)] == [outcome(healthy[k]) for k in (0, 2)]


class NanAtCall(nn.Module):
    """A loss that is NaN once."""

    def __init__(self, loss: nn.Module, call: int) -> None:
        super().__init__()
        self.loss, self.call, self.n_calls = loss, call, 0

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        self.n_calls += 1
        return self.loss(logits, targets) * (torch.nan if self.n_calls == self.call else 1.0)


@pytest.mark.slow
def test_a_seed_that_diverges_later_keeps_what_was_seen(
    data: Dataset, make_trial: MakeTrial, lively: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = trials_of(make_trial, lively, (0, 1))
    healthy = train_stacked(seeds, data)
    # Two seeds, four updates an epoch: call 12 is the second seed's at the sixth update.
    loss = NanAtCall(trial.build_loss(lively, is_mixed=True), call=12)
    monkeypatch.setattr(stacks, "build_loss", lambda recipe, is_mixed: loss)
    first, second = train_stacked(seeds, data)
    assert outcome(first) == outcome(healthy[0])
    assert (second.status, second.epochs) == ("diverged", 1)
    assert second.reason == "the loss was not finite at update 6 (epoch 2)"
    assert [report.train_loss for report in second.curves] == [healthy[1].curves[0].train_loss]


def test_a_stack_that_diverges_whole_ends_at_once(
    data: Dataset, make_trial: MakeTrial, tiny_recipe: Recipe, builder: Builder
) -> None:
    wild = with_values(tiny_recipe, [*SGD, "lr=1e30", "warmup_epochs=0", "epochs=50"])
    results = train_stacked(trials_of(make_trial, wild, (0, 1)), data)
    alone = [train_trial(one, data) for one in trials_of(make_trial, wild, (0, 1))]
    assert [(r.status, r.reason, r.epochs) for r in results] == [(r.status, r.reason, r.epochs) for r in alone]


def test_a_stack_stops_after_the_update_it_is_in(data: Dataset, make_trial: MakeTrial, lively: Recipe) -> None:
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    with pytest.raises(Stopped):
        train_stacked(trials_of(make_trial, lively, (0, 1)), data, should_stop=should_stop)
    assert asked == [False, False, True]


@pytest.mark.slow
def test_times_are_shares_and_the_size_is_recorded(data: Dataset, make_trial: MakeTrial, lively: Recipe) -> None:
    results = train_stacked(trials_of(make_trial, lively, (0, 1, 2, 3)), data)
    assert [result.provenance["stack"] for result in results] == [4] * 4
    for result in results:
        # Four updates of 16 images in each of two epochs; evaluation is in train_s alone.
        assert result.images_per_s > 128 / result.train_s
    assert train_trial(make_trial(0), data).provenance["stack"] == 1


# --- which networks, how many seeds ---------------------------------------------------------------------


@pytest.mark.parametrize("model", ["resnet8_nano", "resnet20", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_resnets_can_be_stacked(model: str, lively: Recipe) -> None:
    assert why_not_stackable(model, lively, 4) == ""


def test_an_unknown_layer_is_named(tiny_recipe: Recipe) -> None:
    reason = why_not_stackable("convnext_atto", with_values(tiny_recipe, ["train_size=32"]), 4)
    assert reason == "its LayerNorm2d (stem.1) has no stacked form"


class Concatenating(nn.Module):
    """Known layers, put together so that the channels of two seeds would change places."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(8, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.cat([self.left(images), self.right(images)], dim=1)).mean((2, 3))


class Reshaping(nn.Module):
    """A network that counts on its number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images).view(len(images), 4, -1).mean(2))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Concatenating, "side by side its seeds do not compute what each computes alone"),
        (Reshaping, "its layers do not fit side by side"),
    ],
)
def test_what_mixes_channels_unseen_is_found_by_running_it(
    network: type[nn.Module], reason: str, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "build_model", lambda *args, seed: network())
    assert why_not_stackable("own", tiny_recipe, 4).startswith(reason)


@pytest.mark.parametrize(
    ("milliseconds", "limit", "n_updates", "expected"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.5, 8: 0.49}, 8, 100, 4),  # 8 is not worth it
        ({1: 1.0, 2: 0.6, 4: 0.5, 8: 0.3}, 5, 100, 4),  # only five seeds
        ({1: 1.0, 2: 0.97, 4: 0.5}, 8, 100, 1),
        ({1: 1.0, 2: 0.92, 4: 0.9}, 8, 100, 1),  # a gain, too small for the bits
        ({1: 1.0}, 1, 100, 1),
        ({1: 300.0, 2: 1.0}, 8, 100, 1),  # a long step: nothing is tried
        ({1: 1.0, 2: 0.6, 4: 0.5, 8: 0.1}, 8, 1_000_000, 2),  # four seeds would take 2,000 seconds
    ],
)
def test_size_is_chosen_by_time(
    milliseconds: dict[int, float],
    limit: int,
    n_updates: int,
    expected: int,
    tiny_recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def step_times(model: str, recipe: Recipe, n_classes: int, size: int, accelerator: object) -> Iterator[float]:
        yield 99.0  # the first step is slow
        while True:
            yield milliseconds[size] / 1000

    monkeypatch.setattr(stacks, "_step_times", step_times)
    size, sentence = choose_size("resnet8_nano", tiny_recipe, 4, n_updates=n_updates, wish=None, limit=limit)
    assert size == expected
    gain = {1: "", 2: "1.7x", 4: "2.0x"}[size]
    assert sentence == (gain and f"resnet8_nano: {size} seeds stacked, {gain} the steps of one at a time")


@pytest.mark.parametrize("wish", [None, 2])
def test_a_model_that_cannot_be_stacked_says_so(
    wish: int | None, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "_step_times", lambda *_: iter([0.1, 0.1]))
    recipe = with_values(tiny_recipe, ["train_size=32"])
    assert choose_size("convnext_atto", recipe, 4, n_updates=8, wish=wish, limit=4) == (
        1,
        "convnext_atto: one seed at a time: its LayerNorm2d (stem.1) has no stacked form",
    )


def test_a_wished_size_is_taken(tiny_recipe: Recipe) -> None:
    assert choose_size("resnet8_nano", tiny_recipe, 4, n_updates=8, wish=3, limit=8) == (3, "")
    assert choose_size("resnet8_nano", tiny_recipe, 4, n_updates=8, wish=3, limit=2) == (2, "")
    assert choose_size("no such model", tiny_recipe, 4, n_updates=8, wish=1, limit=8) == (1, "")


def test_steps_are_timed_on_the_real_thing(tiny_recipe: Recipe) -> None:
    size, _ = choose_size(
        "resnet8_nano", with_values(tiny_recipe, ["clip_grad_norm=1"]), 4, n_updates=8, wish=None, limit=2
    )
    assert size in (1, 2)
