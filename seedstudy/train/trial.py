"""Train and evaluate one trial, top to bottom."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from accelerate import Accelerator
from timm.data.mixup import Mixup
from torch import Tensor

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import TRAINING_VERSION, EpochReport, Trial, TrialResult
from seedstudy.train import devices
from seedstudy.train.checkpoint import Checkpoints, TrainingState
from seedstudy.train.cost import of_trial
from seedstudy.train.evaluate import evaluate_by_recipe
from seedstudy.train.feed import Augmenter, build_augmenter, micro_batches
from seedstudy.train.models import build_model
from seedstudy.train.parts import WeightAverage, build_loss, build_mixing, build_optimizer, build_schedule
from seedstudy.train.processes import (
    RunningStatistics,
    Share,
    mean_over_processes,
    of_slot,
    share_of,
    stream_name,
    whole,
)
from seedstudy.train.random_state import RandomStream
from seedstudy.train.streaming import TrainStream


def train_trial(
    trial: Trial,
    data: Dataset,
    *,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    checkpoints: Checkpoints | None = None,
) -> TrialResult:
    """Train ``trial`` on ``data`` and evaluate the last epoch on every eval set.

    Two calls with equal arguments on the same machine, device and thread count give identical results on CPU.
    A loss that is not finite ends the trial as ``diverged``; it never becomes an accuracy. With ``checkpoints`` the
    trial goes on where an earlier attempt stopped, and ends as if there had been one attempt.

    Raises
    ------
    Stopped
        ``checkpoints`` was asked to stop; the state is written.

    """
    recipe, streams = trial.recipe, Streams(seed=trial.seed, vary=trial.vary)
    started = time.perf_counter()

    # --- device and network ---------------------------------------------------------------------------
    accelerator = devices.accelerator_of(recipe)
    device, share = accelerator.device, share_of(recipe, accelerator)
    model = build_model(trial.model, recipe, len(data.classes), seed=streams.of("init"))
    model = model.to(device).to(memory_format=torch.channels_last)
    n_params = sum(parameter.numel() for parameter in model.parameters())

    # --- optimiser, schedule, loss: timm's own ----------------------------------------------------------
    n_updates = len(data.train_labels) // recipe.batch_size
    optimizer = build_optimizer(model, recipe)
    schedule = build_schedule(optimizer, recipe, n_updates)
    mix = build_mixing(recipe, len(data.classes))
    loss_of = build_loss(recipe, is_mixed=mix is not None)
    statistics = RunningStatistics(model, recipe, share)
    model, optimizer = accelerator.prepare(model, optimizer)
    network = accelerator.unwrap_model(model)  # without what keeps several processes in step
    ema = WeightAverage(network, recipe, n_updates) if recipe.ema_decay is not None else None
    evaluated = ema.module if ema is not None else network
    state = TrainingState(
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        ema=ema,
        losses=torch.zeros(n_updates, device=device),
        started=started,
    )
    if checkpoints is not None:
        checkpoints.restore(state)

    # --- train ------------------------------------------------------------------------------------------
    augment: Augmenter | TrainStream
    if data.stored:
        augment = TrainStream(data, recipe, share, device)
    else:
        augment = build_augmenter(trial.augment, recipe, data, device)
    eval_every = epochs_between_evaluations(data)
    for epoch in range(state.epoch, recipe.total_epochs):
        model.train()
        # Nothing else draws on the device.
        devices.seed_device(device, of_slot(streams, share.slots[0]).of("drop", epoch))
        random = epoch_streams(streams, epoch, share)
        state.begin_epoch(random)
        batches = epoch_batches(
            data, recipe, augment, mix, streams, epoch, device, random=random, first_update=state.step, share=share
        )
        for step, update in enumerate(batches, start=state.step):
            for place, (images, targets) in enumerate(update):
                is_last = place + 1 == len(share.slots)
                drawn = random[stream_name("drop", share.slots[place])]
                with statistics.of_micro_batch(place), nullcontext() if is_last else accelerator.no_sync(model):
                    with drawn.active(), accelerator.autocast():
                        loss = loss_of(model(images), targets) / len(share.slots)
                    accelerator.backward(loss)
                devices.add_at(state.losses, step, loss.detach())
            if recipe.clip_grad_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            if ema is not None:
                ema.after_update(network, epoch=epoch, step=step)
            devices.run_recorded(device)
            state.lr = float(optimizer.param_groups[0]["lr"])
            schedule.step_update(epoch * n_updates + step + 1)
            state.step = step + 1
            if checkpoints is not None:
                checkpoints.after_update(state)
        schedule.step(epoch + 1)
        # The only wait for the device in an epoch.
        epoch_losses = mean_over_processes(state.losses, accelerator).cpu()
        epoch_s = state.seconds_of_epoch()
        if checkpoints is not None:
            checkpoints.after_epoch(state)

        # --- diverged: say where, keep what was seen ----------------------------------------------------
        if reason := divergence(epoch_losses, epoch):
            return TrialResult(
                status="diverged",
                reason=reason,
                epochs=epoch,
                curves=tuple(state.reports),
                train_s=state.seconds(),
                images_per_s=(epoch + 1) * n_updates * recipe.batch_size / (state.train_s + epoch_s),
                n_params=n_params,
                provenance=provenance(accelerator, trial),
            )

        # --- val on the way; the last epoch is evaluated below, on every set ----------------------------
        is_last = epoch + 1 == recipe.total_epochs
        on_val = None
        if not is_last and (epoch + 1) % eval_every == 0:
            on_val = evaluate_by_recipe(evaluated, data, (data.watched,), recipe, device, share)[data.watched]
        if is_last:
            evaluations = evaluate_by_recipe(evaluated, data, tuple(data.eval_sets), recipe, device, share)
            on_val = evaluations[data.watched]
        report = EpochReport(
            epoch=epoch + 1,
            lr=state.lr,
            train_loss=float(epoch_losses.mean()),
            images_per_s=n_updates * recipe.batch_size / epoch_s,
            n_correct=None if on_val is None else on_val.n_correct,
            n_examples=None if on_val is None else on_val.n_examples,
        )
        state.end_epoch(report, epoch_s)
        on_epoch(report)

    # --- result -----------------------------------------------------------------------------------------
    best = best_report(state.reports)
    return TrialResult(
        status="ok",
        reason="",
        epochs=recipe.total_epochs,
        evaluations=evaluations,
        best_epoch=best.epoch,
        best_n_correct=best.n_correct,
        curves=tuple(state.reports),
        train_s=state.seconds(),
        images_per_s=recipe.total_epochs * n_updates * recipe.batch_size / state.train_s,
        n_params=n_params,
        provenance=provenance(accelerator, trial)
        | {"cost": of_trial(trial.model, recipe, len(data.classes), evaluated, device)},
    )


# --- parts --------------------------------------------------------------------------------------------


def epoch_streams(streams: Streams, epoch: int, share: Share) -> dict[str, RandomStream]:
    """Return the streams that one epoch draws from as it goes, per micro-batch; its order is drawn at once."""
    return {
        stream_name(purpose, slot): RandomStream(of_slot(streams, slot).of(purpose, epoch))
        for purpose in ("augment", "mix", "drop")
        for slot in share.slots
    }


def epoch_batches(
    data: Dataset,
    recipe: Recipe,
    augment: Augmenter | TrainStream,
    mix: Mixup | None,
    streams: Streams,
    epoch: int,
    device: torch.device,
    *,
    random: Mapping[str, RandomStream] | None = None,
    first_update: int = 0,
    share: Share | None = None,
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Yield, for each update of one epoch, its micro-batches as network and loss see them: augmented and mixed.

    An update's micro-batches are made as they are asked for, and must be used up before the next update is.

    Parameters
    ----------
    random
        The epoch's streams, where the caller keeps them to go on from ``first_update`` later.
    share
        Which micro-batches are made; all of them where it is not given.

    """
    share = share or whole(recipe)
    random = random or epoch_streams(streams, epoch, share)
    updates: Iterable[Iterable[tuple[Tensor, Tensor]]]
    if isinstance(augment, TrainStream):
        updates = augment.epoch(streams, epoch, random, first_update=first_update)
    else:
        drawn = {slot: random[stream_name("augment", slot)] for slot in share.slots}
        order_seed = streams.of("order", epoch)
        updates = micro_batches(data, recipe, augment, drawn, order_seed=order_seed, first_update=first_update)
    for update in updates:
        yield (
            _mixed(images, labels, mix, random[stream_name("mix", slot)], device)
            for slot, (images, labels) in zip(share.slots, update, strict=True)
        )


def _mixed(
    images: Tensor, labels: Tensor, mix: Mixup | None, drawn: RandomStream, device: torch.device
) -> tuple[Tensor, Tensor]:
    if mix is None:
        return _moved(images, labels, device)
    if device.type != "xla":  # XLA would compile every rectangle of CutMix anew: it gets batches that are mixed
        images, labels = _moved(images, labels, device)
    with drawn.active():
        images, labels = mix(images, labels)
    return _moved(images, labels, device)


def _moved(images: Tensor, targets: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
    return images, targets.to(device, non_blocking=True)


def divergence(losses: Tensor, epoch: int) -> str:
    """Return where one epoch's losses, shape (n_updates,), stopped being finite, in words; empty where they did not."""
    is_bad = ~torch.isfinite(losses)
    if not is_bad.any():
        return ""
    first = int(is_bad.nonzero()[0])
    return f"the loss was not finite at update {epoch * len(losses) + first + 1} (epoch {epoch + 1})"


def best_report(reports: Iterable[EpochReport]) -> EpochReport:
    """Return the epoch with the most right answers on val, the earlier one of equals."""
    return max((r for r in reports if r.n_correct is not None), key=lambda r: (r.n_correct, -r.epoch))


def epochs_between_evaluations(data: Dataset) -> int:
    """Return how many epochs pass between evaluations on val: never more test than training images."""
    n_val = len(data.eval_sets[data.watched])
    return max(1, math.ceil(n_val / len(data.train_labels)))


def provenance(accelerator: Accelerator, trial: Trial) -> dict[str, Any]:
    """Return what the numbers depend on beside the trial itself."""
    device = accelerator.device
    return {
        "training_version": TRAINING_VERSION,
        "device_type": device.type,
        "device": devices.name_of(device),
        "host": platform.node(),
        "threads": torch.get_num_threads(),
        "n_processes": accelerator.num_processes,
        "precision": "bfloat16" if accelerator.mixed_precision == "bf16" else "float32",
        "augment": trial.augment,
        "stack": 1,
        "peak_mem_bytes": devices.peak_mem_bytes(device),
        "versions": {
            "python": platform.python_version(),
            **devices.runtime(device),
            **_versions(),
        },
    }


@cache
def _versions() -> dict[str, str]:
    # Kept: each look-up lists site-packages, a second a trial where disks are slow.
    names = ("seedstudy", "torch", "torchvision", "timm", "accelerate", "numpy", "pillow")
    return {name: version(name) for name in names}
