"""K seeds of a small network trained in one set of kernels; each seed's result is its own, within rounding.

Each seed draws from its own streams, as in :func:`~seedstudy.train.trial.train_trial`; norms, losses and divergence
are per seed. What differs is the order of additions inside a kernel: a stacked and a single trial agree as two thread
counts do.

Every tensor of the stack holds the K single tensors one after the other along its first dimension, so that
``tensor.unflatten(0, (K, -1))`` has one row per seed; activations are (n, K * C, …), seed by seed. A convolution
of K groups then is K convolutions, and batch norm over K * C channels *is* K batch norms (Wang et al. 2021, HFTA,
arXiv:2102.02344, fuse jobs in this way).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from accelerate import Accelerator
from timm.layers import DropPath
from timm.optim import Lamb
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.errors import first_line
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import EpochReport, Trial, TrialResult
from seedstudy.train.checkpoint import Stopped
from seedstudy.train.devices import accelerator_of, set_determinism
from seedstudy.train.feed import ArrayFeed, Batch, mixed
from seedstudy.train.models import build_model
from seedstudy.train.parts import WeightAverage, begin_epoch, build_loss, build_mixing, build_optimizer, build_schedule
from seedstudy.train.processes import RunningStatistics, Shard
from seedstudy.train.random_state import epoch_streams, micro_batch_streams
from seedstudy.train.result import Outcome

# --- networks side by side ------------------------------------------------------------------------------

Generators = list[torch.Generator]
"""One per seed: what all layers of a stack draw stochastic depth and dropout from; its items are replaced in place."""


def seeded(seeds: Iterable[int], device: torch.device) -> Generators:
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


class StackedLinear(nn.Module):
    """K linear layers: (n, K * in) -> (n, K * out)."""

    def __init__(self, first: nn.Linear, n_seeds: int) -> None:
        super().__init__()
        self.n_seeds = n_seeds
        self.weight, self.bias = first.weight, first.bias  # stacked by stack_networks

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's features by its own weights."""
        by_seed = x.unflatten(1, (self.n_seeds, -1)).transpose(0, 1)
        weight = self.weight.unflatten(0, (self.n_seeds, -1)).transpose(1, 2)
        bias = None if self.bias is None else self.bias.view(self.n_seeds, 1, -1)
        y = torch.bmm(by_seed, weight) if bias is None else torch.baddbmm(bias, by_seed, weight)
        return y.transpose(0, 1).flatten(1)


class StackedDrop(nn.Module):
    """Stochastic depth or dropout whose masks each seed draws from its own generator, as the single layer would."""

    def __init__(self, rate: float, generators: Generators, *, is_per_unit: bool, is_scaled: bool = True) -> None:
        super().__init__()
        self.keep, self.generators = 1.0 - rate, generators
        self.is_per_unit, self.is_scaled = is_per_unit, is_scaled

    def forward(self, x: Tensor) -> Tensor:
        """Zero some images' (``is_per_unit``: some units') activations and scale what is kept."""
        if self.keep == 1.0 or not self.training:
            return x
        n_channels = x.shape[1] // len(self.generators)
        shape = (len(x), n_channels, *x.shape[2:]) if self.is_per_unit else (len(x), 1, *[1] * (x.ndim - 2))
        masks = [x.new_empty(shape).bernoulli_(self.keep, generator=own) for own in self.generators]
        mask = torch.cat(masks, dim=1)
        if self.keep > 0.0 and self.is_scaled:
            mask.div_(self.keep)
        return x * (mask if self.is_per_unit else mask.repeat_interleave(n_channels, dim=1))


def stack_networks(networks: Sequence[nn.Module], generators: Generators) -> nn.Module:
    """Return one network that computes all of ``networks``, which keep their weights.

    Takes images (n, K * 3, h, w), or folded clips of K times their channels, to logits (n, K * n_classes). Parameters
    keep their names and their number of dimensions, by which weight decay chooses among them, as it does in the single
    network. :func:`why_not_stackable` says whether an architecture can be stacked at all.
    """
    n_seeds = len(networks)
    stack = deepcopy(networks[0])
    singles = [dict(network.named_modules()) for network in networks]
    for name, module in list(stack.named_modules()):
        stacked = _stacked_module(module, n_seeds, generators)
        for kind in ("_parameters", "_buffers"):
            for key, value in getattr(stacked, kind).items():
                if value is not None and value.ndim:
                    joined = torch.cat([getattr(single[name], key).detach() for single in singles])
                    getattr(stacked, kind)[key] = nn.Parameter(joined) if kind == "_parameters" else joined
        if stacked is not module:
            parent, _, leaf = name.rpartition(".")
            setattr(stack.get_submodule(parent), leaf, stacked)
    return stack


def _stacked_module(module: nn.Module, n_seeds: int, generators: Generators) -> nn.Module:
    """Return the module for K times the channels; its tensors are still the single one's."""
    match module:
        case nn.Conv2d():
            module.in_channels *= n_seeds
            module.out_channels *= n_seeds
            module.groups *= n_seeds
        case nn.BatchNorm2d():
            module.num_features *= n_seeds
        case nn.Linear():
            return StackedLinear(module, n_seeds)
        case DropPath():
            return StackedDrop(module.drop_prob, generators, is_per_unit=False, is_scaled=module.scale_by_keep)
        case nn.Dropout():
            return StackedDrop(module.p, generators, is_per_unit=True)
    return module


# --- LAMB and gradient clipping: norms across a network's tensors, for each seed ------------------------
# SGD, AdamW, EMA and the schedule work element by element, so timm's own serve a stack as they serve one network.


class StackedLamb(torch.optim.Optimizer):
    """timm's LAMB with a trust ratio, and a clipped gradient norm, for each seed of a stack.

    The update is that of ``timm.optim.Lamb`` with the options that recipes use (You et al. 2020, arXiv:1904.00962, with
    averaged and bias-corrected moments; decay inside the trust ratio; parameters without decay not adapted).
    Moments lie in one array per group, one row per seed, parameters side by side.
    """

    def __init__(self, lamb: Lamb, n_seeds: int) -> None:
        assert not any(lamb.defaults[key] for key in ("trust_clip", "always_adapt", "caution", "decoupled_decay"))
        assert all(lamb.defaults[key] for key in ("bias_correction", "grad_averaging"))
        super().__init__(lamb.param_groups, lamb.defaults)
        self.n_seeds = n_seeds

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every seed by its own gradients."""
        assert closure is None, "a closure would evaluate all seeds again"
        gradients = [_rows([p.grad for p in group["params"]], self.n_seeds) for group in self.param_groups]
        if self.defaults["max_grad_norm"] is not None:
            norm = torch.cat(gradients, dim=1).norm(dim=1, keepdim=True)
            factor = (norm / self.defaults["max_grad_norm"]).clamp_(min=1.0)
            for gradient in gradients:
                gradient.div_(factor)
        for group, gradient in zip(self.param_groups, gradients, strict=True):
            self._update(group, gradient)

    def _update(self, group: dict[str, Any], gradient: Tensor) -> None:
        state = self.state[group["params"][0]]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(gradient), "exp_avg_sq": torch.zeros_like(gradient)}
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        spread = (square.sqrt() / (1 - beta2 ** state["step"]) ** 0.5).add_(group["eps"])
        update = (mean / (1 - beta1 ** state["step"])).div_(spread)
        sizes = [p.numel() // self.n_seeds for p in group["params"]]
        if group["weight_decay"]:
            weights = _rows(group["params"], self.n_seeds)
            update.add_(weights, alpha=group["weight_decay"])
            for weight, part in zip(weights.split(sizes, 1), update.split(sizes, 1), strict=True):
                weight_norm, norm = weight.norm(dim=1, keepdim=True), part.norm(dim=1, keepdim=True)
                part.mul_(torch.where((weight_norm > 0) & (norm > 0), weight_norm / norm, 1.0))  # the trust ratio
        for parameter, part in zip(group["params"], update.split(sizes, 1), strict=True):
            parameter.add_(part.reshape(parameter.shape), alpha=-group["lr"])


def _rows(tensors: Iterable[Tensor | None], n_seeds: int) -> Tensor:
    """Return a copy of all tensors side by side, one row per seed."""
    return torch.cat([tensor.reshape(n_seeds, -1) for tensor in tensors if tensor is not None], dim=1)


@torch.no_grad()
def clip_grad_norms_(network: nn.Module, max_norm: float, n_seeds: int) -> None:
    """Scale each seed's gradients in place to a global norm of at most ``max_norm``, as ``clip_grad_norm_`` does."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norms = _rows(gradients, n_seeds).norm(dim=1)
    factors = (max_norm / (norms + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        by_seed = gradient.unflatten(0, (n_seeds, -1))
        by_seed.mul_(factors.view(-1, *[1] * (by_seed.ndim - 1)))


# --- training -------------------------------------------------------------------------------------------


class Stack:
    """K networks in training: one network, one optimiser, one schedule."""

    def __init__(self, networks: Sequence[nn.Module], recipe: Recipe, accelerator: Accelerator, n_updates: int) -> None:
        self.networks, self.recipe, self._accelerator = networks, recipe, accelerator
        self._generators = [torch.Generator() for _ in networks]
        network = stack_networks(networks, self._generators).to(accelerator.device)
        network = network.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(network, recipe)
        if recipe.optimizer == "lamb":
            optimizer = StackedLamb(optimizer, len(networks))
        self._n_updates, self._shard = n_updates, Shard.of_update(recipe)
        self._statistics = RunningStatistics(network, recipe, self._shard)
        self._schedule = build_schedule(optimizer, recipe, n_updates)
        self._loss_of = build_loss(recipe, is_mixed=bool(recipe.mixup_alpha or recipe.cutmix_alpha))
        self._network, self.optimizer = accelerator.prepare(network, optimizer)
        self._ema = WeightAverage(network, recipe, n_updates) if recipe.ema_decay is not None else None

    def begin_epoch(self, epoch: int, streams: Sequence[Streams]) -> None:
        """Set the schedule to an epoch, counted from 0, and seed the generators from each seed's streams."""
        self._epoch, self._step = epoch, 0
        if epoch:
            begin_epoch(self._schedule, self.recipe, epoch)
        self._network.train()
        self._drop = [
            seeded([micro_batch_streams(each, n).of("drop", epoch) for each in streams], self._accelerator.device)
            for n in self._shard.micro_batches
        ]

    def update(self, updates: Sequence[Iterable[Batch]]) -> Tensor:
        """Make one update from each seed's micro-batches; returns the seeds' losses, shape (K,)."""
        losses = torch.zeros(len(updates), device=self._accelerator.device)
        for n, batches in enumerate(zip(*updates, strict=True)):
            self._generators[:] = self._drop[n]
            # An image of the stack has K times the channels: channels_last keeps those of one pixel together.
            images = torch.cat([images for images, _ in batches], dim=1).contiguous(memory_format=torch.channels_last)
            with self._statistics.micro_batch(n):
                with self._accelerator.autocast():
                    logits = self._network(images).unflatten(1, (len(batches), -1)).unbind(1)
                    pairs = zip(logits, (targets for _, targets in batches), strict=True)
                    loss = torch.stack([self._loss_of(own, targets) for own, targets in pairs])
                    loss = loss / len(self._shard.micro_batches)
                # The sum's gradient by one seed's weights is that of its own loss: the others do not depend on them.
                self._accelerator.backward(loss.sum())
            losses += loss.detach()
        if self.recipe.clip_grad_norm is not None:
            self._accelerator.unscale_gradients(self.optimizer)
            clip_grad_norms_(self._network, self.recipe.clip_grad_norm, len(updates))
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self._ema is not None:
            self._ema.after_update(self._network, epoch=self._epoch, step=self._step)
        self._step += 1
        self._schedule.step_update(self._epoch * self._n_updates + self._step)
        return losses

    def unstack(self) -> None:
        """Copy the stack's weights and statistics into the single networks, which are evaluated."""
        state = (self._network if self._ema is None else self._ema.module).state_dict()
        for row, network in enumerate(self.networks):
            for name, value in network.state_dict().items():
                value.copy_(state[name].unflatten(0, (len(self.networks), -1))[row] if value.ndim else state[name])


def train_stacked(
    trials: Sequence[Trial],
    data: Dataset,
    *,
    on_epoch: Callable[[Trial, EpochReport], None] = lambda trial, report: None,
    should_stop: Callable[[], bool] = lambda: False,
    keeps_weights: bool = False,
    is_deterministic: bool = False,
    eval_every: int | None = None,
) -> list[TrialResult]:
    """Train trials that differ in nothing but their seeds, side by side; returns their results in order.

    A seed that diverges is no longer evaluated, but its channels are trained on, so that its neighbours keep their
    place in memory: their results are, bit for bit, what they are beside any other seed. Each seed's training time is
    the stack's divided by its size. Stacks are for trainings of minutes, of models that :func:`why_not_stackable`
    allows: they keep no checkpoints. Raises Stopped, keeping nothing, where ``should_stop`` is true after an update.
    The other options are those of :func:`~seedstudy.train.trial.train_trial`.
    """
    started = time.perf_counter()
    first, recipe = trials[0], trials[0].recipe
    assert len({(one.recipe, one.model, one.data_fingerprint, one.vary, one.augment) for one in trials}) == 1

    # Networks, optimiser, and what the seeds share.
    set_determinism(is_deterministic)
    accelerator = accelerator_of(recipe)
    assert accelerator.num_processes == 1, "a stack is one process"
    device, shard = accelerator.device, Shard.of_update(recipe)
    n_classes, n_updates = len(data.classes), len(data.train_labels) // recipe.batch_size
    streams = [trial.streams for trial in trials]
    networks = [build_model(first.model, recipe, n_classes, seed=each.of("init")) for each in streams]
    networks = [network.to(device).to(memory_format=torch.channels_last) for network in networks]
    outcomes = [
        Outcome(trial=trial, data=data, network=network, accelerator=accelerator, shard=shard, eval_every=eval_every)
        for trial, network in zip(trials, networks, strict=True)
    ]
    stack = Stack(networks, recipe, accelerator, n_updates)
    mix = build_mixing(recipe, n_classes)
    feed = ArrayFeed(data, recipe, shard, device, first.augment)
    n_images = len(trials) * n_updates * recipe.batch_size  # of an epoch
    updates_s = 0.0

    for epoch in range(recipe.total_epochs):
        epoch_started = time.perf_counter()
        losses = torch.zeros(n_updates, len(trials), device=device)
        stack.begin_epoch(epoch, streams)
        feeds = []
        for own in streams:
            random = epoch_streams(own, epoch, shard.micro_batches, device)
            feeds.append(mixed(feed.epoch(own, epoch, random), mix, shard, random, device))
        for step, updates in enumerate(zip(*feeds, strict=True)):
            lr = float(stack.optimizer.param_groups[0]["lr"])
            losses[step] = stack.update(updates)
            if should_stop():
                raise Stopped
        epoch_losses = losses.cpu()  # the only wait for the device in an epoch
        epoch_s = time.perf_counter() - epoch_started
        updates_s += epoch_s

        # Each seed: diverged, or evaluated as it would be alone.
        stack.unstack()
        for outcome, own_losses in zip(outcomes, epoch_losses.unbind(1), strict=True):
            report = outcome.after_epoch(epoch, own_losses, lr=lr, images_per_s=n_images / epoch_s)
            if report is not None:
                on_epoch(outcome.trial, report)
        if all(outcome.reason for outcome in outcomes):
            break
    train_s = (time.perf_counter() - started) / len(trials)
    images_per_s = (epoch + 1) * n_images / updates_s
    facts: dict[str, Any] = {"train_s": train_s, "images_per_s": images_per_s, "n_stacked": len(trials)}
    return [outcome.result(**facts, keeps_weights=keeps_weights) for outcome in outcomes]


# --- can a model be stacked? ----------------------------------------------------------------------------

TOLERANCE = 1e-3
"""Of logits, relative to the largest: rounding in float32 is far below it, mixed-up channels of two seeds far above."""


def why_not_stackable(model: str, recipe: Recipe, n_classes: int) -> str:
    """Return what keeps a model from being stacked; empty where the stack's logits equal the single networks'.

    Two networks with random weights (also where they start at zero) run singly and stacked, in training mode. This
    shows whether anything mixes channels outside the known layers (concatenation, attention).
    """
    networks = [build_model(model, recipe, n_classes, seed=seed) for seed in (0, 1)]
    for name, module in networks[0].named_modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if own and not isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            return f"its {type(module).__name__} ({name or 'at the top'}) has no stacked form"
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, 3 * recipe.n_frames, recipe.train_size, recipe.train_size, generator=generator)
    generators = seeded((0, 1), torch.device("cpu"))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for network in networks:
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        stack = stack_networks(networks, generators).train()
        single = torch.cat([_logits(network.train(), images[k], seed=k) for k, network in enumerate(networks)], dim=1)
        try:
            stacked = _logits(stack, images.transpose(0, 1).flatten(1, 2), seed=2)
        except (RuntimeError, ValueError, IndexError) as error:
            return f"its layers do not fit side by side ({first_line(error)})"
    if stacked.shape != single.shape or not (stacked - single).abs().max() <= TOLERANCE * single.abs().max():
        return "side by side its seeds do not compute what each computes alone"
    return ""


def _logits(network: nn.Module, images: Tensor, *, seed: int) -> Any:
    torch.manual_seed(seed)
    return network(images)


# --- how many seeds? ------------------------------------------------------------------------------------

SIZES = (2, 4, 8, 16)

MIN_GAIN = 1.15
"""A stack must train a seed this many times as fast as alone: less is lost again where the last stack is not full, and
is not worth a result whose last bits depend on the size of its stack."""

MIN_FURTHER_GAIN = 1.05  # of a stack of twice the size
LONGEST_STACK_S = 1800.0  # a stack keeps no checkpoint
LONG_STEP_S = 0.25  # spent in kernels: a stack would save nothing


def choose_size(
    model: str, recipe: Recipe, n_classes: int, *, n_updates: int, wish: int | None, limit: int
) -> tuple[int, str]:
    """Return how many seeds to stack, at most ``limit``, and a line for the user (empty: nothing to say).

    ``wish`` is taken where the model can be stacked; where it is None, a few updates are timed, of the ``n_updates``
    of a training.
    """
    if min(limit, wish or limit) == 1:
        return 1, ""
    if recipe.is_fine_tuning:
        return 1, "" if wish is None else f"{model}: one seed at a time: recipe {recipe.name} starts from weights"
    if wish is None:
        accelerator = accelerator_of(recipe)
        if accelerator.device.type == "xla":  # each new shape is compiled: timing a few steps says nothing
            return 1, ""
        alone = _step_times(model, recipe, n_classes, 1, accelerator)
        next(alone)  # the first step allocates and chooses kernels
        if next(alone) > LONG_STEP_S:
            return 1, ""
    if reason := why_not_stackable(model, recipe, n_classes):
        return 1, f"{model}: one seed at a time: {reason}"
    if wish is not None:
        return min(wish, limit), ""
    chosen, gain = 1, 1.0
    for size in (size for size in SIZES if size <= limit):
        stacked = _step_times(model, recipe, n_classes, size, accelerator)
        next(stacked)
        # Alternating, and the shortest of each: other load on the machine then affects both alike.
        pairs = [(next(alone), next(stacked)) for _ in range(3)]
        alone_s, stacked_s = (min(times) for times in zip(*pairs, strict=True))
        if alone_s / stacked_s < MIN_FURTHER_GAIN * gain or size * stacked_s * n_updates > LONGEST_STACK_S:
            break
        chosen, gain = size, alone_s / stacked_s
    if gain < MIN_GAIN:
        return 1, ""
    return chosen, f"{model}: {chosen} seeds stacked, {gain:.1f}x the steps of one at a time"


def _step_times(model: str, recipe: Recipe, n_classes: int, size: int, accelerator: Accelerator) -> Iterator[float]:
    """Yield the seconds per seed of one update after another, on random images."""
    device = accelerator.device
    networks = [build_model(model, recipe, n_classes, seed=seed).to(device) for seed in range(size)]
    stack = Stack(networks, recipe, accelerator, n_updates=1)
    stack.begin_epoch(0, [Streams(seed=seed) for seed in range(size)])
    generator = torch.Generator().manual_seed(0)
    shape = recipe.micro_batch, 3 * recipe.n_frames, recipe.train_size, recipe.train_size
    images = torch.randn(*shape, generator=generator)
    images = images.to(device, memory_format=torch.channels_last)
    labels = torch.arange(recipe.micro_batch, device=device) % n_classes
    is_mixed = build_mixing(recipe, n_classes) is not None
    targets = nn.functional.one_hot(labels, n_classes).float() if is_mixed else labels
    while True:
        started = time.perf_counter()
        losses = stack.update([[(images, targets)] * (recipe.batch_size // recipe.micro_batch)] * size)
        losses.cpu()  # waits for the device
        yield (time.perf_counter() - started) / size
