"""Train and evaluate one trial, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from seedstudy.data.base import Dataset
from seedstudy.study.placement import Compile
from seedstudy.study.trial import EpochReport, Trial, TrialResult
from seedstudy.train import compiled, devices, layers, starts
from seedstudy.train.checkpoint import Checkpoints, TrainingState
from seedstudy.train.feed import ArrayFeed, mixed, n_updates_of
from seedstudy.train.parts import (
    WeightAverage,
    begin_epoch,
    build_loss,
    build_mixing,
    build_optimizer,
    build_schedule,
    lr_of,
)
from seedstudy.train.processes import RunningStatistics, Shard, mean_over_processes
from seedstudy.train.random_state import epoch_streams, micro_batch_streams, stream_name
from seedstudy.train.result import Outcome
from seedstudy.train.streaming import Loader, StreamFeed


def train_trial(
    trial: Trial,
    data: Dataset,
    *,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    checkpoints: Checkpoints | None = None,
    start: bytes | None = None,
    keeps_weights: bool = False,
    is_deterministic: bool = False,
    compiling: Compile = "off",
    eval_every: int | None = None,
) -> TrialResult:
    """Train ``trial`` on ``data`` and evaluate the last epoch on every eval set.

    Two calls with equal arguments on the same machine, device and thread count give identical results on CPU.
    A loss that is not finite ends the trial as ``diverged``; it never becomes an accuracy. With ``checkpoints`` the
    trial resumes where an earlier attempt stopped, and ends as if there had been one attempt; asked to stop, they
    write the state and raise Stopped. ``start`` is the content of the weights that the trial starts from;
    ``keeps_weights`` puts those that were evaluated into the result.
    ``is_deterministic`` gives identical results on the same GPU too (RuntimeError
    where a layer has no such kernel); ``compiling`` says whether the forward and backward passes are compiled, and the
    result whether they were; the watched set is evaluated every ``eval_every`` epochs.
    """
    recipe, streams = trial.recipe, trial.streams
    started = time.perf_counter()

    # --- device and network ---------------------------------------------------------------------------
    devices.set_determinism(is_deterministic)
    accelerator = devices.accelerator_of(recipe)
    device = accelerator.device
    shard = Shard.of_update(recipe, rank=accelerator.process_index, n_processes=accelerator.num_processes)
    model, data = starts.network_of(trial, data, start)
    layers.freeze(model, recipe, trial.model)
    model = model.to(device).to(memory_format=torch.channels_last)

    # --- optimiser, schedule, loss: timm's own ----------------------------------------------------------
    n_updates = n_updates_of(data, recipe)
    n_images = n_updates * recipe.batch_size  # of an epoch
    optimizer = build_optimizer(model, recipe)
    schedule = build_schedule(optimizer, recipe, n_updates)
    has_shares = data.pseudo_shares is not None
    mix = build_mixing(recipe, len(data.classes), has_shares=has_shares)
    loss_of = build_loss(recipe, is_mixed=mix is not None or has_shares)
    statistics = RunningStatistics(model, recipe, shard)
    model, optimizer = accelerator.prepare(model, optimizer)
    network = accelerator.unwrap_model(model)  # without DistributedDataParallel around it
    forward, is_compiled = compiled.forward_of(
        model, trial.model, recipe, accelerator, wish=compiling, n_updates=n_updates * recipe.total_epochs
    )
    ema = WeightAverage(network, recipe, n_updates) if recipe.ema_decay is not None else None
    evaluated = ema.module if ema is not None else network
    loader = Loader.of_trial(data, recipe, trial.augment, device) if data.stored else None
    outcome = Outcome(
        trial=trial,
        data=data,
        network=evaluated,
        accelerator=accelerator,
        shard=shard,
        loader=loader,
        eval_every=eval_every,
        is_compiled=is_compiled,
    )
    state = TrainingState(
        outcome=outcome,
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
    feed: ArrayFeed | StreamFeed
    if loader is not None:
        feed = StreamFeed(data, recipe, shard, device, trial.augment, loader)
    else:
        feed = ArrayFeed(data, recipe, shard, device, trial.augment)
    for epoch in range(state.epoch, recipe.total_epochs):
        model.train()
        layers.hold_frozen(network, recipe)
        devices.seed_xla(device, micro_batch_streams(streams, shard.micro_batches[0]).of("drop", epoch))
        random = epoch_streams(streams, epoch, shard.micro_batches, device)
        state.begin_epoch(random)
        updates = mixed(feed.epoch(streams, epoch, random, first_update=state.step), mix, shard, random, device)
        for step, update in enumerate(updates, start=state.step):
            for n, (images, targets) in enumerate(update):
                is_last = n + 1 == len(shard.micro_batches)
                drop = random[stream_name("drop", shard.micro_batches[n])]
                with statistics.micro_batch(n), nullcontext() if is_last else accelerator.no_sync(model):
                    with drop.active(), accelerator.autocast():
                        loss = loss_of(forward(images), targets) / len(shard.micro_batches)
                    accelerator.backward(loss)
                devices.add_at(state.losses, step, loss.detach())
            if recipe.clip_grad_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            if ema is not None:
                ema.after_update(network, epoch=epoch, step=step)
            devices.run_recorded(device)
            state.lr = lr_of(optimizer)
            schedule.step_update(epoch * n_updates + step + 1)
            state.step = step + 1
            if checkpoints is not None:
                checkpoints.after_update(state)
        begin_epoch(schedule, recipe, epoch + 1)
        # The only wait for the device in an epoch.
        losses = mean_over_processes(state.losses, accelerator).cpu()
        epoch_s = state.seconds_of_epoch()
        if checkpoints is not None:
            checkpoints.after_epoch(state)
        state.train_s += epoch_s

        # --- diverged, or evaluated ---------------------------------------------------------------------
        report = outcome.after_epoch(epoch, losses, lr=state.lr, images_per_s=n_images / epoch_s)
        if report is None:
            break
        state.end_epoch()
        on_epoch(report)

    # --- result -----------------------------------------------------------------------------------------
    images_per_s = (epoch + 1) * n_images / state.train_s
    return outcome.result(train_s=state.seconds(), images_per_s=images_per_s, keeps_weights=keeps_weights)
