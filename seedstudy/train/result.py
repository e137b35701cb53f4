"""What a training reports after each epoch, and the result it ends with; the same for single and stacked trials."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import TRAINING_VERSION, EpochReport, Evaluation, Trial, TrialResult
from seedstudy.train import devices, weights
from seedstudy.train.cost import cost_of_trial
from seedstudy.train.evaluate import evaluate_by_recipe
from seedstudy.train.processes import Shard
from seedstudy.train.streaming import Loader


def eval_sets_after(epoch: int, recipe: Recipe, data: Dataset, every: int | None = None) -> tuple[str, ...]:
    """Return the eval sets to evaluate after an epoch, counted from 0: all of them after the last one.

    Before, the watched set alone, once in ``every`` epochs; None: as many as leave no more test than training images.
    """
    if epoch + 1 == recipe.total_epochs:
        return tuple(data.eval_sets)
    n_shown = len(data.eval_sets[data.watched]) * recipe.test_clips * recipe.test_crops
    every = every or max(1, math.ceil(n_shown / len(data.train_labels)))
    return () if (epoch + 1) % every else (data.watched,)


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What the training of one trial has come to, epoch by epoch."""

    trial: Trial
    data: Dataset
    network: nn.Module
    """The one that is evaluated."""
    accelerator: Accelerator
    shard: Shard
    loader: Loader | None = None
    """Of images that are stored."""
    eval_every: int | None = None
    is_compiled: bool = False
    """Whether the training's passes are."""
    reports: list[EpochReport] = field(default_factory=list)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    """After the latest epoch."""
    reason: str = ""
    """Why the trial diverged; empty where it did not."""

    def after_epoch(self, epoch: int, losses: Tensor, *, lr: float, images_per_s: float) -> EpochReport | None:
        """Evaluate the network after an epoch, counted from 0, of these losses (n_updates,); None where it diverged."""
        if self.reason:
            return None
        is_bad = ~torch.isfinite(losses)
        if is_bad.any():
            update = epoch * len(losses) + int(is_bad.nonzero()[0]) + 1
            self.reason = f"the loss was not finite at update {update} (epoch {epoch + 1})"
            return None
        recipe, device = self.trial.recipe, self.accelerator.device
        names = eval_sets_after(epoch, recipe, self.data, self.eval_every)
        self.evaluations = evaluate_by_recipe(self.network, self.data, names, recipe, device, self.shard, self.loader)
        watched = self.evaluations.get(self.data.watched)
        report = EpochReport(
            epoch=epoch + 1,
            lr=lr,
            train_loss=float(losses.mean()),
            images_per_s=images_per_s,
            n_correct=None if watched is None else watched.n_correct,
            n_examples=None if watched is None else watched.n_examples,
        )
        self.reports.append(report)
        return report

    def result(
        self, *, train_s: float, images_per_s: float, n_stacked: int = 1, keeps_weights: bool = False
    ) -> TrialResult:
        """Return the trial's result; one that diverged has reports, but no evaluations, best epoch or weights."""
        result = TrialResult(
            status="diverged" if self.reason else "ok",
            reason=self.reason,
            epochs=len(self.reports),
            curves=tuple(self.reports),
            train_s=train_s,
            images_per_s=images_per_s,
            n_params=sum(parameter.numel() for parameter in self.network.parameters()),
            provenance={
                **_provenance(self.accelerator, self.trial, self.data, n_stacked),
                **({"compiled": True} if self.is_compiled else {}),
            },
        )
        if self.reason:
            return result
        watched = {report.epoch: report.n_correct for report in self.reports if report.n_correct is not None}
        best_epoch = max(watched, key=lambda epoch: (watched[epoch], -epoch))
        model, n_classes = self.trial.model, len(self.data.classes)
        cost = cost_of_trial(model, self.trial.recipe, n_classes, self.network, self.accelerator.device)
        return replace(
            result,
            evaluations=self.evaluations,
            best_epoch=best_epoch,
            best_n_correct=watched[best_epoch],
            provenance={**result.provenance, "cost": cost},
            weights=weights.to_bytes(self.network, self._about_weights()) if keeps_weights else None,
        )

    def _about_weights(self) -> weights.About:
        """Return what must be known to use the weights without their trial."""
        return weights.About(
            model=self.trial.model,
            classes=self.data.classes,
            mean=self.data.mean,
            std=self.data.std,
            origin=self.trial.trial_id,
        )


def _provenance(accelerator: Accelerator, trial: Trial, data: Dataset, n_stacked: int) -> dict[str, Any]:
    """Return what the numbers depend on beside the trial itself."""
    device = accelerator.device
    return {
        "training_version": TRAINING_VERSION,
        "device_type": device.type,
        "device": devices.name_of(device),
        "host": platform.node(),
        "threads": torch.get_num_threads(),
        "n_processes": accelerator.num_processes,
        **devices.arithmetic_of(accelerator),
        "augment": trial.augment,
        "stack": n_stacked,
        **({"deterministic": True} if torch.are_deterministic_algorithms_enabled() else {}),
        "peak_mem_bytes": devices.peak_mem_bytes(device),
        "versions": {"python": platform.python_version(), **_versions(device.type)},
        # Part -> its images, and those of the complete one.
        **({"partial_data": dict(data.partial)} if data.partial else {}),
    }


@cache
def _versions(device_type: str) -> dict[str, str]:
    # Cached: each look-up lists site-packages, a second per trial where disks are slow.
    names = ["seedstudy", "torch", "torchvision", "timm", "accelerate", "numpy", "pillow"]
    names += ["torch_xla"] if device_type == "xla" else []
    return {name: version(name) for name in names}
