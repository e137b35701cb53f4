"""What trained networks say of images without labels: probabilities of the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Trial
from seedstudy.train import starts, weights
from seedstudy.train.devices import accelerator_of
from seedstudy.train.evaluate import eval_images
from seedstudy.train.models import build_model
from seedstudy.train.preprocessing import Preprocessing


def probabilities(
    trial: Trial, content: bytes, data: Dataset, images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Return the softmax of a kept trial's logits, shape (n, n_classes), for images (n, h, w, 3) uint8.

    The network is not noised: images are shown as the trial's recipe tests. StudyError where it has other classes.
    """
    recipe: Recipe = trial.recipe
    state, about = weights.from_bytes(content, where=trial.trial_id)
    if about is not None and about.classes != data.classes:
        raise StudyError(
            f"{trial.trial_id}: a teacher of other classes ({len(about.classes)}: {', '.join(about.classes[:3])}, …) "
            f"than {data.name} ({len(data.classes)}: {', '.join(data.classes[:3])}, …)."
        )
    data = starts.as_normalised(data, trial)
    accelerator = accelerator_of(recipe)
    network = build_model(trial.model, recipe, len(data.classes), seed=0, like=state)
    weights.load_into(network, state, where=trial.trial_id)
    network = network.to(accelerator.device).to(memory_format=torch.channels_last)
    network = accelerator.unwrap_model(accelerator.prepare(network))
    preprocessing = Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std)
    network.eval()
    parts = []
    with torch.no_grad():
        for batch in eval_images(images, preprocessing):
            on_device = batch.to(accelerator.device).contiguous(memory_format=torch.channels_last)
            parts.append(network(on_device).float().softmax(1).cpu().numpy())
    return np.concatenate(parts)
