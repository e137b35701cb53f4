"""Networks that were trained elsewhere, with timm's weights or those in a file, evaluated on our eval sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError, suggest
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Evaluation
from seedstudy.train.devices import name_of
from seedstudy.train.evaluate import evaluate
from seedstudy.train.models import check_name
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.weights import why_not


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One network on every requested eval set."""

    preprocessing: Preprocessing
    evaluations: dict[str, Evaluation]
    n_params: int
    device: str


def judge(
    name: str,
    data: Dataset,
    eval_sets: tuple[str, ...],
    *,
    weights: Path | None,
    recipe: Recipe | None,
    size: int | None,
    crop: float | None,
) -> Judged:
    """Evaluate a timm model (``resnet50.a1_in1k``, ``hf-hub:user/name``) on a data set's eval sets.

    Confidences are the softmax's, whatever loss the weights were trained with. The images are shown as the recipe says,
    or else as the weights come with; a given size or crop takes precedence. A file of ``weights`` (.safetensors, or
    .pth read without unpickling objects) takes the place of timm's own download.

    Raises StudyError for an unknown model, and weights that cannot be loaded or do not fit.
    """
    model, preprocessing, device = network_of(name, data, weights=weights, recipe=recipe, size=size, crop=crop)
    return Judged(
        preprocessing=preprocessing,
        evaluations=evaluate(model, data, eval_sets, preprocessing, device),
        n_params=sum(parameter.numel() for parameter in model.parameters()),
        device=name_of(device),
    )


def network_of(
    name: str,
    data: Dataset,
    *,
    weights: Path | None,
    recipe: Recipe | None,
    size: int | None = None,
    crop: float | None = None,
) -> tuple[nn.Module, Preprocessing, torch.device]:
    """Return a timm model with its weights on a device, and how it is shown images; arguments as of :func:`judge`."""
    model = _load(name, weights, len(data.classes))
    pretrained_cfg: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    if recipe is not None:
        mean, std = (pretrained_cfg.get(key, getattr(data, key)) for key in ("mean", "std"))
        preprocessing = Preprocessing.from_recipe(recipe, mean=tuple(mean), std=tuple(std))
        preprocessing = replace(preprocessing, size=size or preprocessing.size)
    elif pretrained_cfg:
        preprocessing = Preprocessing.from_timm(pretrained_cfg, size=size)
    else:
        raise StudyError(f"{name}: nothing says how its test images are prepared; name the --recipe that trained it.")
    if crop is not None:
        preprocessing = replace(preprocessing, crop=crop)
    _fit_to(model, name, pretrained_cfg, preprocessing.size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).to(memory_format=torch.channels_last), preprocessing, device


def _fit_to(model: Any, name: str, pretrained_cfg: dict[str, Any], size: int) -> None:
    """Let a network of one fixed input size take images of another, by timm's own resampling where it has one."""
    if not pretrained_cfg.get("fixed_input_size") or size == (own := pretrained_cfg["input_size"][-1]):
        return
    try:
        model.set_input_size((size, size))
    except Exception as error:  # no such method, or a size that its patches or windows do not divide
        raise StudyError(f"{name}: takes images of {own} px alone, not {size} px: name --size {own}.") from error


def _load(name: str, weights: Path | None, n_classes: int) -> nn.Module:
    is_hub = name.startswith(("hf-hub:", "hf_hub:"))
    if not is_hub:
        check_name(name)
    if weights is None and not is_hub and "." in name and name not in timm.list_pretrained():
        base = name.split(".")[0]
        raise StudyError(f'timm has no weights "{name}".{suggest(name, timm.list_pretrained(f"{base}.*"))}')
    if weights is None and not is_hub and not _has_weights(name):
        raise StudyError(f"{name}: timm has no weights for it; name a file of this model with --weights.")
    if weights is not None and not weights.is_file():
        raise StudyError(f"{weights}: no such file.")
    try:
        if weights is None:
            model = timm.create_model(name, pretrained=True)
        else:
            model = timm.create_model(name, pretrained=False, num_classes=n_classes)
            timm.models.load_checkpoint(model, str(weights), weights_only=True)
    except Exception as error:  # the hub, the file system, unpickling and load_state_dict each have their own
        where, reason = weights or f"the weights of {name}", why_not(error)
        raise StudyError(f"{where}: cannot be loaded ({reason}); name a file of this model with --weights.") from error
    if getattr(model, "num_classes", n_classes) != n_classes:
        raise StudyError(f"{name}: has {model.num_classes} classes, the data {n_classes}.")
    made: nn.Module = model
    return made


def _has_weights(name: str) -> bool:
    cfg = timm.get_pretrained_cfg(name)
    return cfg is not None and cfg.has_weights
