"""A finished trial's network, evaluated again from its kept weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError, first_line
from seedstudy.study.trial import Evaluation, Trial
from seedstudy.train import starts, weights
from seedstudy.train.devices import accelerator_of, name_of
from seedstudy.train.evaluate import evaluate_by_recipe
from seedstudy.train.models import build_model


def evaluate_kept(
    trial: Trial,
    content: bytes,
    data: Dataset,
    names: tuple[str, ...],
    *,
    size: int | None = None,
    crop: float | None = None,
    n_threads: int | None = None,
) -> tuple[dict[str, Evaluation], str]:
    """Evaluate the kept weights of a trial as its recipe tests, at another test size and crop where they are given.

    On the CPU, with the number of threads of the training (``n_threads``), the predictions are those of the training,
    bit for bit. Returns also the device's name. Raises StudyError where the weights are of another network, or the
    network takes no images of that size.
    """
    recipe = trial.recipe
    state, about = weights.from_bytes(content, where=trial.trial_id)
    if about is not None and about.classes != data.classes:
        raise StudyError(
            f"{data.name}: other classes ({len(data.classes)}: {', '.join(data.classes[:3])}, …) than {trial.trial_id} "
            f"was trained on ({len(about.classes)}: {', '.join(about.classes[:3])}, …)."
        )
    accelerator = accelerator_of(recipe)
    data = starts.as_normalised(data, trial)
    network = build_model(trial.model, recipe, len(data.classes), seed=0, like=state)
    weights.load_into(network, state, where=trial.trial_id)
    tested = replace(recipe, test_size=size or recipe.test_size, test_crop=recipe.test_crop if crop is None else crop)
    if tested.test_size != recipe.test_size:
        _resize(network, trial.model, tested.test_size)
    device = accelerator.device
    network = network.to(device).to(memory_format=torch.channels_last)
    network = accelerator.unwrap_model(accelerator.prepare(network))  # computes in the recipe's precision, as it did
    before = torch.get_num_threads()
    if n_threads is not None and device.type == "cpu":
        torch.set_num_threads(n_threads)
    try:
        return evaluate_by_recipe(network, data, names, tested, device), name_of(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise StudyError(
            f"{trial.model} takes no test images of {tested.test_size} px: {first_line(error)}; choose another --size."
        ) from error
    finally:
        torch.set_num_threads(before)


def _resize(network: nn.Module, name: str, size: int) -> None:
    """Let a network with position embeddings take images of another size, by timm's own resampling."""
    resize = getattr(network, "set_input_size", None)
    if resize is None:
        return
    try:
        resize((size, size))
    except Exception as error:  # a size that its patches or windows do not divide
        raise StudyError(f"{name} takes no test images of {size} px: {first_line(error)}.") from error


def n_different(then: Mapping[str, int], evaluation: Evaluation, example_ids: list[str]) -> int:
    """Return for how many images a prediction differs from an earlier one; an image that was not there differs."""
    now = dict(zip(example_ids, evaluation.predicted.tolist(), strict=True))
    return sum(then.get(each) != predicted for each, predicted in now.items()) + len(then.keys() - now.keys())
