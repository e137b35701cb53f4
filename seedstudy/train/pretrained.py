"""Networks that were trained elsewhere, with timm's weights or those in a file, evaluated on our eval sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import timm
import torch
from timm.data import resolve_model_data_config
from torch import nn

from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError, first_line, suggest
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Evaluation
from seedstudy.train.devices import name_of
from seedstudy.train.evaluate import evaluate
from seedstudy.train.models import check_name
from seedstudy.train.preprocessing import Preprocessing


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
    model = _load(name, weights, len(data.classes))
    config = resolve_model_data_config(model)
    if recipe is None:
        preprocessing = Preprocessing.from_timm(config)
    else:
        preprocessing = Preprocessing.from_recipe(recipe, mean=tuple(config["mean"]), std=tuple(config["std"]))
    preprocessing = replace(preprocessing, size=size or preprocessing.size, crop=crop or preprocessing.crop)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).to(memory_format=torch.channels_last)
    return Judged(
        preprocessing=preprocessing,
        evaluations=evaluate(model, data, eval_sets, preprocessing, device),
        n_params=sum(parameter.numel() for parameter in model.parameters()),
        device=name_of(device),
    )


def _load(name: str, weights: Path | None, n_classes: int) -> nn.Module:
    is_hub = name.startswith(("hf-hub:", "hf_hub:"))
    if not is_hub:
        check_name(name)
    if weights is None and not is_hub and "." in name and name not in timm.list_pretrained():
        base = name.split(".")[0]
        raise StudyError(f'timm has no weights "{name}".{suggest(name, timm.list_pretrained(f"{base}.*"))}')
    if weights is not None and not weights.is_file():
        raise StudyError(f"{weights}: no such file.")
    try:
        if weights is None:
            model = timm.create_model(name, pretrained=True)
        else:
            model = timm.create_model(name, pretrained=False, num_classes=n_classes)
            timm.models.load_checkpoint(model, str(weights), weights_only=True)
    except Exception as error:  # the hub, the file system, unpickling and load_state_dict each have their own
        where, reason = weights or f"the weights of {name}", first_line(error)
        raise StudyError(f"{where}: cannot be loaded ({reason}); name a file of this model with --weights.") from error
    if getattr(model, "num_classes", n_classes) != n_classes:
        raise StudyError(f"{name}: has {model.num_classes} classes, the data {n_classes}.")
    made: nn.Module = model
    return made
