"""A recipe's optimiser, schedule, mixing, loss and weight average, built from timm's own parts."""

from __future__ import annotations

from typing import Any

import torch
from timm.data.mixup import Mixup
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from seedstudy.recipes.recipe import Recipe
from seedstudy.train import layers


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return timm's optimiser with the recipe's values and weight-decay groups."""
    eps, momentum = {"eps": recipe.optimizer_eps}, {"momentum": recipe.momentum}
    options: dict[str, dict[str, Any]] = {
        "lamb": {"betas": recipe.betas, "max_grad_norm": recipe.max_grad_norm, **eps},
        "adamw": {"betas": recipe.betas, **eps},
        "sgd": momentum,
        "momentum": momentum,
        "rmsproptf": {"alpha": recipe.rms_decay, **momentum, **eps},
    }
    groups, name = weight_decay_groups(model, recipe), recipe.optimizer
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        groups, opt=name, lr=recipe.lr, weight_decay=recipe.weight_decay, **options[name]
    )
    return optimizer


def weight_decay_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the parameters without weight decay and those with it, as two groups; frozen ones are in none.

    Where layers have learning rates of their own, each group is one for each of these.

    ``decay_norm`` decides for all parameters of normalisation layers, ``decay_bias`` for every other bias and 1-D
    parameter. Where neither decays, the parameters that the network itself exempts (``no_weight_decay``: position
    embeddings) do not either, as in timm. LAMB adapts the step size of the decaying group only, so for LAMB the groups
    matter beyond the decay.
    """
    norm_parameters = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm)
        for parameter in module.parameters(recurse=False)
    }
    no_weight_decay: Any = getattr(model, "no_weight_decay", set)
    exempt = set() if recipe.decay_norm or recipe.decay_bias else set(no_weight_decay())
    scales = layers.lr_scales(model, recipe)
    groups: dict[tuple[bool, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in norm_parameters:
            decays = recipe.decay_norm
        elif parameter.ndim <= 1 or name.endswith(".bias"):
            decays = recipe.decay_bias
        else:
            decays = name not in exempt
        groups.setdefault((decays and recipe.weight_decay > 0, scales.get(name, 1.0)), []).append(parameter)
    return [
        {
            "params": groups[decays, scale],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            **({"lr_scale": scale} if scales else {}),  # timm's schedules multiply by it
        }
        for decays, scale in sorted(groups)
    ]


def lr_of(optimizer: torch.optim.Optimizer) -> float:
    """Return the learning rate before it is scaled layer by layer."""
    group = optimizer.param_groups[0]
    return float(group["lr"]) / float(group.get("lr_scale", 1.0))


def build_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, n_updates: int) -> Scheduler:
    """Return timm's schedule over ``recipe.epochs``, counted in epochs or, per update, in updates."""
    per_epoch = 1 if recipe.schedule_per == "epoch" else n_updates
    common: dict[str, Any] = {
        "warmup_t": round(recipe.warmup_epochs * per_epoch),
        "warmup_lr_init": recipe.warmup_lr,
        "warmup_prefix": recipe.warmup_prefix,
        "t_in_epochs": recipe.schedule_per == "epoch",
    }
    kind, *rest = recipe.schedule.split("-")
    if kind == "cosine":
        n_steps = recipe.epochs * per_epoch - (common["warmup_t"] if recipe.warmup_prefix else 0)
        return CosineLRScheduler(optimizer, t_initial=n_steps, lr_min=recipe.min_lr, **common)
    epochs, rate = [float(epoch) for epoch in rest[0].split(",")], float(rest[1].removeprefix("x"))
    if kind == "step":
        return StepLRScheduler(optimizer, decay_t=epochs[0] * per_epoch, decay_rate=rate, **common)
    # timm's milestone m acts at step m - 1; the recipe's acts at m, as in torch and TensorFlow.
    milestones = [epoch * per_epoch + 1 for epoch in epochs]
    return MultiStepLRScheduler(optimizer, decay_t=milestones, decay_rate=rate, **common)


def begin_epoch(schedule: Scheduler, recipe: Recipe, epoch: int) -> None:
    """Set the learning rate of an epoch, counted from 0, where the schedule moves once an epoch."""
    schedule.step(max(0, epoch - recipe.lr_lag))


class ShareMixup(Mixup):
    """timm's mixup/CutMix of images whose targets are shares of the classes already, smoothed where they are to be."""

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (n, c, h, w) in place with those in reverse order, and their targets (n, n_classes) alike."""
        by_mode: dict[str, Any] = {"elem": self._mix_elem, "pair": self._mix_pair, "batch": self._mix_batch}
        share: Any = by_mode[self.mode](x)
        return x, target * share + target.flip(0) * (1.0 - share)


def build_mixing(recipe: Recipe, n_classes: int, *, has_shares: bool = False) -> Mixup | None:
    """Return timm's mixup/CutMix, which also smooths labels, or None where the recipe mixes nothing.

    ``has_shares``: the targets are not labels but shares of the classes.
    """
    if not recipe.mixup_alpha and not recipe.cutmix_alpha:
        return None
    return (ShareMixup if has_shares else Mixup)(
        mixup_alpha=recipe.mixup_alpha,
        cutmix_alpha=recipe.cutmix_alpha,
        prob=recipe.mix_prob,
        switch_prob=recipe.mix_switch_prob,
        mode=recipe.mix_mode,
        label_smoothing=recipe.label_smoothing,
        num_classes=n_classes,
    )


def build_loss(recipe: Recipe, *, is_mixed: bool) -> nn.Module:
    """Return timm's loss for class indices, or for the soft targets of mixing."""
    if recipe.loss == "bce":
        return BinaryCrossEntropy(
            smoothing=recipe.label_smoothing, target_threshold=recipe.bce_target_threshold, sum_classes=recipe.bce_sum
        )
    return SoftTargetCrossEntropy() if is_mixed else LabelSmoothingCrossEntropy(recipe.label_smoothing)


class WeightAverage(ModelEmaV3):
    """The recipe's exponential moving average of weights and batch-norm statistics, by timm's ModelEmaV3.

    Its first update copies the weights (as in timm's and torchvision's scripts); with ``ema_warmup`` it averages them
    with the initial ones, at TensorFlow's decay of 2/11. It keeps no state beside the averaged network.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, n_updates: int) -> None:
        assert recipe.ema_decay is not None
        # With gamma 9 and power 1 timm's warm-up is s / (9 + s): TensorFlow's (1 + n) / (10 + n) for s = n + 1.
        super().__init__(
            model, decay=recipe.ema_decay, use_warmup=recipe.ema_warmup, warmup_gamma=9.0, warmup_power=1.0
        )
        self._every, self._n_updates = recipe.ema_every, n_updates
        self._start = round(recipe.ema_start_epochs * n_updates)

    def after_update(self, model: nn.Module, *, epoch: int, step: int) -> None:
        """Average in the weights after update ``step`` of ``epoch``, both counted from 0."""
        if step % self._every:
            return
        done = epoch * self._n_updates + step
        latest = done - self._every if step else done - 1 - (self._n_updates - 1) % self._every
        if self.use_warmup and done >= self._start:
            self.update(model, step=done - self._start + 3)  # timm's s is its step - 1
        elif latest < self._start:
            self.set(model)
        else:
            self.update(model)
