"""What trained networks say of images without labels: probabilities of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from seedstudy.data.base import Dataset
from seedstudy.data.encoded import EncodedImages
from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Trial
from seedstudy.train import pretrained, starts, weights
from seedstudy.train.devices import accelerator_of
from seedstudy.train.evaluate import eval_images
from seedstudy.train.layers import head_names
from seedstudy.train.models import build_model
from seedstudy.train.preprocessing import Preprocessing
from seedstudy.train.streaming import AsTested, Loader

_BLOCK = 8000
"""Images at a time, of which all teachers' probabilities are held: whole batches of arrays and of streams."""
_PART = "unlabelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """A network, and how it is shown images; it is not noised."""

    network: nn.Module
    preprocessing: Preprocessing
    device: torch.device


def of_trial(trial: Trial, content: bytes, data: Dataset) -> Teacher:
    """Return the network of a kept trial, shown images as its recipe tests; StudyError where it has other classes."""
    state, about = weights.from_bytes(content, where=trial.trial_id)
    classes = None if about is None else about.classes
    return _teacher(
        trial.model, trial.recipe, state, starts.as_normalised(data, trial), classes=classes, where=trial.trial_id
    )


def of_weights(model: str, data: Dataset, *, file: Path | None, recipe: Recipe | None) -> Teacher:
    """Return a timm model with timm's weights, or those in a file.

    It is shown images as the recipe tests; None: as timm tests these weights. StudyError where there are no such
    weights, or they are of another network or other classes.
    """
    if recipe is None:
        network, preprocessing, device = pretrained.network_of(model, data, weights=file, recipe=None)
        return Teacher(network=network.eval(), preprocessing=preprocessing, device=device)
    source = starts.of_name(f"timm:{model}" if file is None else str(file), model, what="teacher")
    state, _ = weights.from_bytes(source.content, where=source.where)
    if source.mean is not None and source.std is not None:
        data = replace(data, mean=source.mean, std=source.std)
    return _teacher(model, recipe, state, data, classes=source.classes, where=source.where)


def _teacher(
    model: str, recipe: Recipe, state: weights.State, data: Dataset, *, classes: tuple[str, ...] | None, where: str
) -> Teacher:
    """Return the network that a recipe trains, with its weights; ``classes`` are theirs, where that is known."""
    other = f"than {data.name} ({len(data.classes)}: {', '.join(data.classes[:3])}, …)"
    if classes is not None and classes != data.classes:
        own = f"{len(classes)}: {', '.join(classes[:3])}, …"
        raise StudyError(f"{where}: a teacher of other classes ({own}) {other}.")
    accelerator = accelerator_of(recipe)
    network = build_model(model, recipe, len(data.classes), seed=0, like=state)
    state, own_state = starts.converted(network, state), network.state_dict()
    for name in head_names(network) & state.keys():
        if state[name].shape[:1] != own_state[name].shape[:1]:  # inputs of another number: another network
            raise StudyError(f"{where}: a teacher of {state[name].shape[0]} classes, other {other}.")
    weights.load_into(network, state, where=where)
    network = network.to(accelerator.device).to(memory_format=torch.channels_last)
    network = accelerator.unwrap_model(accelerator.prepare(network))
    preprocessing = Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std)
    return Teacher(network=network.eval(), preprocessing=preprocessing, device=accelerator.device)


def mean_probabilities(
    teachers: Sequence[Teacher], images: npt.NDArray[np.uint8] | EncodedImages
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield, for one block of images after the other, the mean of the teachers' softmax, shape (n, n_classes).

    Images are arrays (n, h, w, 3) uint8, or stay encoded and are read as they are needed.
    """
    loaders: dict[Preprocessing, Loader] = {}
    for start in range(0, len(images), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(images)))
        total = sum(_probabilities(teacher, images, rows, loaders).astype(np.float64) for teacher in teachers)
        assert not isinstance(total, int), "there is a teacher"
        yield (total / total.sum(axis=1, keepdims=True)).astype(np.float32)


def _probabilities(
    teacher: Teacher,
    images: npt.NDArray[np.uint8] | EncodedImages,
    rows: npt.NDArray[np.int64],
    loaders: dict[Preprocessing, Loader],
) -> npt.NDArray[np.float32]:
    shown = teacher.preprocessing
    if isinstance(images, EncodedImages):
        if shown not in loaders:
            loaders[shown] = Loader({_PART: (images, AsTested(shown))}, teacher.device)
        batches = loaders[shown].load_tests(_PART, rows, shown)
    else:
        batches = eval_images(images[rows[0] : rows[-1] + 1], shown)
    parts = []
    with torch.no_grad():
        for batch in batches:
            on_device = batch.to(teacher.device).contiguous(memory_format=torch.channels_last)
            parts.append(teacher.network(on_device).float().softmax(1).cpu().numpy())
    return np.concatenate(parts)
