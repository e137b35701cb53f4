"""What a training reports after each epoch, and the result it ends with; the same for single and stacked trials."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import TRAINING_VERSION, EpochReport, Evaluation, Trial, TrialResult
from seedstudy.train import devices
from seedstudy.train.cost import cost_of_trial


def eval_sets_after(epoch: int, recipe: Recipe, data: Dataset) -> tuple[str, ...]:
    """Return the eval sets to evaluate after an epoch, counted from 0: all of them after the last one.

    Before, the watched set alone, in as many epochs as leave no more test than training images.
    """
    if epoch + 1 == recipe.total_epochs:
        return tuple(data.eval_sets)
    every = max(1, math.ceil(len(data.eval_sets[data.watched]) / len(data.train_labels)))
    return () if (epoch + 1) % every else (data.watched,)


def divergence(losses: Tensor, epoch: int) -> str:
    """Return where one epoch's losses, shape (n_updates,), stopped being finite, in words; empty where they did not."""
    is_bad = ~torch.isfinite(losses)
    if not is_bad.any():
        return ""
    first = int(is_bad.nonzero()[0])
    return f"the loss was not finite at update {epoch * len(losses) + first + 1} (epoch {epoch + 1})"


def epoch_report(
    epoch: int, *, lr: float, losses: Tensor, images_per_s: float, watched: Evaluation | None
) -> EpochReport:
    """Return the report of an epoch, counted from 0, from its updates' losses and the watched set's evaluation."""
    return EpochReport(
        epoch=epoch + 1,
        lr=lr,
        train_loss=float(losses.mean()),
        images_per_s=images_per_s,
        n_correct=None if watched is None else watched.n_correct,
        n_examples=None if watched is None else watched.n_examples,
    )


def trial_result(
    trial: Trial,
    network: nn.Module,
    accelerator: Accelerator,
    *,
    reason: str,
    reports: Sequence[EpochReport],
    evaluations: Mapping[str, Evaluation],
    train_s: float,
    images_per_s: float,
    n_classes: int,
    n_stacked: int = 1,
) -> TrialResult:
    """Return the result of a trial.

    Parameters
    ----------
    network
        The one that was evaluated.
    reason
        Why the trial diverged; empty where it did not. A diverged trial has reports, but no evaluations and no best
        epoch.
    evaluations
        Of the last epoch.
    n_stacked
        Seeds that were trained side by side.

    """
    facts = provenance(accelerator, trial, n_stacked)
    if reason:
        best_epoch, best_n_correct, evaluations = None, None, {}
    else:
        watched = {report.epoch: report.n_correct for report in reports if report.n_correct is not None}
        best_epoch = max(watched, key=lambda epoch: (watched[epoch], -epoch))
        best_n_correct = watched[best_epoch]
        facts["cost"] = cost_of_trial(trial.model, trial.recipe, n_classes, network, accelerator.device)
    return TrialResult(
        status="diverged" if reason else "ok",
        reason=reason,
        epochs=len(reports),
        evaluations=dict(evaluations),
        best_epoch=best_epoch,
        best_n_correct=best_n_correct,
        curves=tuple(reports),
        train_s=train_s,
        images_per_s=images_per_s,
        n_params=sum(parameter.numel() for parameter in network.parameters()),
        provenance=facts,
    )


def provenance(accelerator: Accelerator, trial: Trial, n_stacked: int) -> dict[str, Any]:
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
        "stack": n_stacked,
        "peak_mem_bytes": devices.peak_mem_bytes(device),
        "versions": {"python": platform.python_version(), **_versions(device.type)},
    }


@cache
def _versions(device_type: str) -> dict[str, str]:
    # Cached: each look-up lists site-packages, a second per trial where disks are slow.
    names = ["seedstudy", "torch", "torchvision", "timm", "accelerate", "numpy", "pillow"]
    names += ["torch_xla"] if device_type == "xla" else []
    return {name: version(name) for name in names}
