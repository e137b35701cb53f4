"""K seeds of a small network in one set of kernels: each seed's result is its own, within rounding.

A small network leaves most of a step to what is paid per call, not per image; K seeds side by side pay it once.
Weights, image order, augmentation, mixing and dropped paths of each seed come from its own streams, exactly as in
:func:`~seedstudy.train.trial.train_trial`; norms, losses and divergence are per seed. What differs is the order of
additions inside a kernel: a stacked and a single trial agree as two thread counts do, and neither is part of what
decides whether trials pool. The stack's size stands in the provenance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import EpochReport, Evaluation, Trial, TrialResult
from seedstudy.train.checkpoint import Stopped
from seedstudy.train.devices import accelerator_of
from seedstudy.train.evaluate import evaluate_by_recipe
from seedstudy.train.feed import build_augmenter
from seedstudy.train.models import build_model
from seedstudy.train.parts import WeightAverage, build_loss, build_mixing, build_optimizer, build_schedule
from seedstudy.train.processes import RunningStatistics, of_slot, whole
from seedstudy.train.stacks.network import OwnDraws, stack_networks, unstack_into, why_not_stackable
from seedstudy.train.stacks.optimizer import StackedLamb, clip_grad_norms_
from seedstudy.train.trial import (
    best_report,
    divergence,
    epoch_batches,
    epochs_between_evaluations,
    provenance,
)

SIZES = (2, 4, 8, 16)
"""Stacks that are tried, in this order, for as long as the larger one is worth it."""

MIN_GAIN = 1.15
"""A stack must train a seed this much faster than it is trained alone: less is lost again where the last stack is not
full, and is not worth the bits of a result, which depend on its stack."""

MIN_FURTHER_GAIN = 1.05
"""And a larger stack this much faster than the smaller one."""

LONGEST_STACK_S = 1800.0
"""Seconds of training that may lie between two results: a stack keeps no checkpoint."""

LONG_STEP_S = 0.25
"""A step of one seed that takes longer is spent in its kernels: there is nothing to share."""

MicroBatches = Iterable[tuple[Tensor, Tensor]]


class Stack:
    """K networks in training: one network, one optimiser, one schedule."""

    def __init__(self, networks: Sequence[nn.Module], recipe: Recipe, accelerator: Accelerator, n_updates: int) -> None:
        self.networks, self.recipe, self._accelerator = networks, recipe, accelerator
        self._draws = OwnDraws(len(networks))
        network = stack_networks(networks, self._draws).to(accelerator.device)
        network = network.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(network, recipe)
        if recipe.optimizer == "lamb":
            optimizer = StackedLamb(optimizer, len(networks))
        self._n_updates, self._share = n_updates, whole(recipe)
        self._statistics = RunningStatistics(network, recipe, self._share)
        self._schedule = build_schedule(optimizer, recipe, n_updates)
        self._loss_of = build_loss(recipe, is_mixed=bool(recipe.mixup_alpha or recipe.cutmix_alpha))
        self._network, self._optimizer = accelerator.prepare(network, optimizer)
        self._ema = WeightAverage(network, recipe, n_updates) if recipe.ema_decay is not None else None

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def begin_epoch(self, epoch: int, streams: Sequence[Streams]) -> None:
        """Set the schedule to an epoch, counted from 0, and start each seed's streams of dropped paths."""
        self._epoch, self._step = epoch, 0
        if epoch:
            self._schedule.step(epoch)
        self._network.train()
        self._drawn = []
        for slot in self._share.slots:
            seeds = [of_slot(each, slot).of("drop", epoch) for each in streams]
            self._draws.restart(seeds, self._accelerator.device)
            self._drawn.append(self._draws.generators)

    def update(self, of_seeds: Sequence[MicroBatches]) -> Tensor:
        """Make one update from each seed's micro-batches; returns the seeds' losses, shape (K,)."""
        losses = torch.zeros(len(of_seeds), device=self._accelerator.device)
        for place, parts in enumerate(zip(*of_seeds, strict=True)):
            self._draws.generators = self._drawn[place]
            # Side by side an image is as many channels: channels_last keeps a pixel's together.
            images = torch.cat([images for images, _ in parts], dim=1).contiguous(memory_format=torch.channels_last)
            with self._statistics.of_micro_batch(place):
                with self._accelerator.autocast():
                    logits = self._network(images).unflatten(1, (len(parts), -1)).unbind(1)
                    own = [self._loss_of(of_seed, targets) for of_seed, (_, targets) in zip(logits, parts, strict=True)]
                    loss = torch.stack(own) / len(self._share.slots)
                # The sum's gradient by one seed's weights is that of its own mean: the others do not depend on them.
                self._accelerator.backward(loss.sum())
            losses += loss.detach()
        if self.recipe.clip_grad_norm is not None:
            clip_grad_norms_(self._network, self.recipe.clip_grad_norm, len(of_seeds))
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._ema is not None:
            self._ema.after_update(self._network, epoch=self._epoch, step=self._step)
        self._step += 1
        self._schedule.step_update(self._epoch * self._n_updates + self._step)
        return losses

    def unstacked(self) -> Sequence[nn.Module]:
        """Return the networks to evaluate: the single ones, with the stack's weights."""
        unstack_into(self.networks, self._ema.module if self._ema is not None else self._network)
        return self.networks


@dataclass(kw_only=True, slots=True)
class _Seed:
    """One seed on its way."""

    trial: Trial
    streams: Streams
    reports: list[EpochReport] = field(default_factory=list)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    result: TrialResult | None = None
    """Set when it has diverged or is done."""


def train_stacked(
    trials: Sequence[Trial],
    data: Dataset,
    *,
    on_epoch: Callable[[Trial, EpochReport], None] = lambda trial, report: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[TrialResult]:
    """Train trials that differ in nothing but their seeds, side by side; returns their results in order.

    A seed that diverges is recorded and left out of evaluation; its channels are trained on, so that its neighbours
    are not moved in memory: their results are, bit for bit, what they are beside any other seed. Times are
    a seed's share: the stack's seconds by its size.

    The model must be one that :func:`~seedstudy.train.stacks.network.why_not_stackable` has nothing against. Stacks
    are for trainings of minutes: they keep no checkpoints.

    Raises
    ------
    Stopped
        ``should_stop`` said so after an update; nothing is kept.

    """
    first, started = trials[0], time.perf_counter()
    recipe = first.recipe
    assert (
        len({(trial.recipe, trial.model, trial.data_fingerprint, trial.vary, trial.augment) for trial in trials}) == 1
    )

    # --- networks, optimiser, what the seeds share ------------------------------------------------------
    accelerator = accelerator_of(recipe)
    assert accelerator.num_processes == 1, "a stack is one process"
    device = accelerator.device
    seeds = [_Seed(trial=trial, streams=Streams(seed=trial.seed, vary=trial.vary)) for trial in trials]
    n_classes, n_updates = len(data.classes), len(data.train_labels) // recipe.batch_size
    networks = [build_model(first.model, recipe, n_classes, seed=seed.streams.of("init")) for seed in seeds]
    networks = [network.to(device).to(memory_format=torch.channels_last) for network in networks]
    stack = Stack(networks, recipe, accelerator, n_updates)
    mix = build_mixing(recipe, n_classes)
    augment = build_augmenter(first.augment, recipe, data, device)
    eval_every = epochs_between_evaluations(data)
    n_images = len(seeds) * n_updates * recipe.batch_size
    train_only_s = 0.0

    def end(seed: _Seed, *, epochs: int, reason: str = "") -> TrialResult:
        best = best_report(seed.reports) if not reason else None
        return TrialResult(
            status="diverged" if reason else "ok",
            reason=reason,
            epochs=epochs,
            evaluations=seed.evaluations,
            best_epoch=None if best is None else best.epoch,
            best_n_correct=None if best is None else best.n_correct,
            curves=tuple(seed.reports),
            train_s=(time.perf_counter() - started) / len(seeds),
            images_per_s=(epoch + 1) * n_images / train_only_s,
            n_params=sum(parameter.numel() for parameter in networks[0].parameters()),
            provenance=provenance(accelerator, first) | {"stack": len(seeds)},
        )

    # --- train ------------------------------------------------------------------------------------------
    for epoch in range(recipe.total_epochs):
        epoch_started = time.perf_counter()
        losses = torch.zeros(n_updates, len(seeds), device=device)
        stack.begin_epoch(epoch, [seed.streams for seed in seeds])
        feeds = [epoch_batches(data, recipe, augment, mix, seed.streams, epoch, device) for seed in seeds]
        for step, of_seeds in enumerate(zip(*feeds, strict=True)):
            lr = stack.lr
            losses[step] = stack.update(of_seeds)
            if should_stop():
                raise Stopped
        epoch_losses = losses.cpu()  # the only wait for the device in an epoch
        epoch_s = time.perf_counter() - epoch_started
        train_only_s += epoch_s

        # --- each seed: diverged, or evaluated as it would be alone -------------------------------------
        is_last = epoch + 1 == recipe.total_epochs
        names = tuple(data.eval_sets) if is_last else (data.watched,) if (epoch + 1) % eval_every == 0 else ()
        for seed, network, own_losses in zip(seeds, stack.unstacked(), epoch_losses.unbind(1), strict=True):
            if seed.result is not None:
                continue
            if reason := divergence(own_losses, epoch):
                seed.result = end(seed, epochs=epoch, reason=reason)
                continue
            evaluations = evaluate_by_recipe(network, data, names, recipe, device)
            on_val = evaluations.get(data.watched)
            report = EpochReport(
                epoch=epoch + 1,
                lr=lr,
                train_loss=float(own_losses.mean()),
                images_per_s=n_images / epoch_s,
                n_correct=None if on_val is None else on_val.n_correct,
                n_examples=None if on_val is None else on_val.n_examples,
            )
            seed.reports.append(report)
            seed.evaluations = evaluations if is_last else {}
            on_epoch(seed.trial, report)
        if all(seed.result is not None for seed in seeds):
            break
    return [seed.result or end(seed, epochs=recipe.total_epochs) for seed in seeds]


# --- how many seeds? ----------------------------------------------------------------------------------


def choose_size(
    model: str, recipe: Recipe, n_classes: int, *, n_updates: int, wish: int | None, limit: int
) -> tuple[int, str]:
    """Return how many seeds to stack, at most ``limit``, and one line for the user, empty where there is no news.

    Parameters
    ----------
    n_updates
        Of one whole training.
    wish
        A size that is taken where the model can be stacked; None times a few updates and chooses.

    """
    if min(limit, wish or limit) == 1:
        return 1, ""
    if wish is not None:
        reason = why_not_stackable(model, recipe, n_classes)
        return (1, _alone(model, reason)) if reason else (min(wish, limit), "")
    accelerator = accelerator_of(recipe)
    if accelerator.device.type not in (
        "cpu",
        "cuda",
    ):  # where each new shape is compiled, timing a few steps says nothing
        return 1, ""
    alone = _step_times(model, recipe, n_classes, 1, accelerator)
    next(alone)  # the first step allocates and chooses kernels
    if next(alone) > LONG_STEP_S:
        return 1, ""
    if reason := why_not_stackable(model, recipe, n_classes):
        return 1, _alone(model, reason)
    chosen, gain = 1, 1.0
    for size in (size for size in SIZES if size <= limit):
        stacked = _step_times(model, recipe, n_classes, size, accelerator)
        next(stacked)
        # Alternating, and the least of each: what else the machine does meets both.
        pairs = [(next(alone), next(stacked)) for _ in range(3)]
        alone_s, stacked_s = (min(times) for times in zip(*pairs, strict=True))
        if alone_s / stacked_s < MIN_FURTHER_GAIN * gain or size * stacked_s * n_updates > LONGEST_STACK_S:
            break
        chosen, gain = size, alone_s / stacked_s
    if gain < MIN_GAIN:
        return 1, ""
    return chosen, f"{model}: {chosen} seeds stacked, {gain:.1f}x the steps of one at a time"


def _alone(model: str, reason: str) -> str:
    return f"{model}: one seed at a time: {reason}"


def _step_times(model: str, recipe: Recipe, n_classes: int, size: int, accelerator: Accelerator) -> Iterator[float]:
    """Yield the seconds per seed of one update after another, on drawn images."""
    device = accelerator.device
    networks = [build_model(model, recipe, n_classes, seed=seed).to(device) for seed in range(size)]
    stack = Stack(networks, recipe, accelerator, n_updates=1)
    stack.begin_epoch(0, [Streams(seed=seed) for seed in range(size)])
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(recipe.micro_batch, 3, recipe.train_size, recipe.train_size, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.arange(recipe.micro_batch, device=device) % n_classes
    is_mixed = build_mixing(recipe, n_classes) is not None
    targets = nn.functional.one_hot(labels, n_classes).float() if is_mixed else labels
    while True:
        started = time.perf_counter()
        losses = stack.update([[(images, targets)] * (recipe.batch_size // recipe.micro_batch)] * size)
        losses.cpu()  # waits for the device
        yield (time.perf_counter() - started) / size
