"""Test images -> logits -> per-image predictions -> integer counts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seedstudy.data.base import Dataset, EvalSet
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Evaluation
from seedstudy.train.devices import run_recorded
from seedstudy.train.models import CifarResNet
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Shard, gather
from seedstudy.train.streaming import eval_stream

Probability = Literal["softmax", "sigmoid"]
"""How a network's logits become probabilities: sigmoid where it was trained with BCE."""


_EVAL_BATCH = 500


def eval_images(images: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Iterator[Tensor]:
    """Yield the images of an evaluation array, (n, h, w, 3) uint8, preprocessed for a network, in batches."""
    normalise = Normaliser(preprocessing.mean, preprocessing.std).in_one_step
    is_native = preprocessing.size == images.shape[1] == images.shape[2] and preprocessing.crop == 1.0
    transform = None if is_native else preprocessing.transform()
    for start in range(0, len(images), _EVAL_BATCH):
        chunk = images[start : start + _EVAL_BATCH]
        if transform is None:
            batch = torch.tensor(chunk).permute(0, 3, 1, 2)  # in memory as convolutions want it
        else:
            batch = torch.stack([transform(Image.fromarray(image)) for image in chunk])
        yield normalise(batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """A network's outputs for every image of one array."""

    top5: npt.NDArray[np.int32]
    """Classes by falling logit, shape (n, 5), or (n, n_classes) where there are fewer; the first is the prediction."""
    confidence: npt.NDArray[np.float32]
    """Probability of the prediction, shape (n,)."""
    log_probs: npt.NDArray[np.float32]
    """Log-softmax of the logits, shape (n, n_classes)."""


def folded(model: nn.Module) -> nn.Module:
    """Return a copy with each batch norm folded into the convolution before it; logits change by rounding.

    The order of layers is known for our ResNets and timm's, where ``bn1`` follows ``conv1``, and so on. Other networks,
    and those with a wrapped forward pass (automatic mixed precision), are returned as they are.
    """
    if not isinstance(model, CifarResNet | ResNet) or "forward" in vars(model):
        return model
    copied = copy.deepcopy(model).eval()
    for module in list(copied.modules()):
        children = dict(module.named_children())
        pairs = [(name, name.replace("conv", "bn")) for name in children if name.startswith("conv")]
        if isinstance(module, nn.Sequential):
            pairs = list(itertools.pairwise(children))
        for before, after in pairs:
            conv, norm = children[before], children.get(after)
            if isinstance(conv, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                setattr(module, before, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, nn.Identity())
    return copied.to(memory_format=torch.channels_last)


def predict(model: nn.Module, batches: Iterable[Tensor], device: torch.device, probability: Probability) -> Outputs:
    """Run the network over batches of preprocessed images."""
    model.eval()
    parts: list[list[Tensor]] = []
    is_xla, n_batch = device.type == "xla", 0
    with torch.no_grad() if is_xla else torch.inference_mode():  # XLA's linear layer fails in inference mode
        for batch in batches:
            n_images = len(batch)
            n_batch = n_batch or n_images
            if is_xla:  # the last batch is padded: a new shape would be compiled
                batch = torch.cat([batch, batch.new_zeros(n_batch - n_images, *batch.shape[1:])])
            logits = model(batch.to(device).contiguous(memory_format=torch.channels_last)).float()
            top = logits.topk(min(5, logits.shape[1]), dim=1).indices
            probabilities = logits.sigmoid() if probability == "sigmoid" else logits.softmax(1)
            part = [top, probabilities.gather(1, top[:, :1])[:, 0], logits.log_softmax(1)]
            run_recorded(device)
            if is_xla:  # the padding is cut off on the CPU, where that compiles nothing
                part = [each.cpu() for each in part]
            parts.append([each[:n_images] for each in part])
    top5, confidence, log_probs = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
    return Outputs(top5=top5.astype(np.int32), confidence=confidence, log_probs=log_probs)


def _counted(outputs: Outputs, eval_set: EvalSet) -> Evaluation:
    """Compare the outputs with an eval set's label sets."""
    top5 = outputs.top5[eval_set.rows]
    is_correct = eval_set.is_correct(top5)
    rows = np.repeat(eval_set.rows, np.diff(eval_set.label_offsets))  # one for each label
    label_probs = np.exp(outputs.log_probs[rows, eval_set.label_values].astype(np.float64))
    set_probs = np.add.reduceat(label_probs, eval_set.label_offsets[:-1])
    return Evaluation(
        n_examples=len(eval_set),
        n_correct=int(is_correct[:, 0].sum()),
        n_correct_top5=int(is_correct.any(axis=1).sum()),
        loss=float(-np.log(np.maximum(set_probs, np.finfo(np.float64).tiny)).mean()),
        predicted=top5[:, 0],
        confidence=outputs.confidence[eval_set.rows],
        label_probability=set_probs.astype(np.float32),
    )


def evaluate(
    model: nn.Module,
    data: Dataset,
    names: tuple[str, ...],
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    probability: Probability = "softmax",
    shard: Shard = Shard(),
) -> dict[str, Evaluation]:
    """Evaluate a network on the named sets; sets that share images (val and real) share one pass over them.

    Several processes take equal shares of the images, one image more or less: no image is padded, none counts twice.
    """
    if names and device.type != "xla":  # XLA would compile each new copy
        model = folded(model)
    outputs: dict[str, Outputs] = {}
    result = {}
    for name in names:
        eval_set = data.eval_sets[name]
        key = eval_set.images
        if key not in outputs:
            n_images = len(data.stored[key]) if data.stored else len(data.images[key])
            rows = np.array_split(np.arange(n_images), shard.n_processes)[shard.rank]
            if data.stored:
                batches = eval_stream(data.stored[key], rows, preprocessing, device)
            else:
                batches = eval_images(data.images[key][rows[0] : rows[-1] + 1], preprocessing)
            outputs[key] = _of_all_processes(predict(model, batches, device, probability), shard)
        result[name] = _counted(outputs[key], eval_set)
    return result


def evaluate_by_recipe(
    model: nn.Module,
    data: Dataset,
    names: tuple[str, ...],
    recipe: Recipe,
    device: torch.device,
    shard: Shard = Shard(),
) -> dict[str, Evaluation]:
    """Evaluate a network that was trained by a recipe as the recipe tests it."""
    preprocessing = Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std)
    probability: Probability = "sigmoid" if recipe.loss == "bce" else "softmax"
    return evaluate(model, data, names, preprocessing, device, probability=probability, shard=shard)


def _of_all_processes(part: Outputs, shard: Shard) -> Outputs:
    """Return the outputs for every image, on every process."""
    if shard.n_processes == 1:
        return part
    parts = gather(part, shard.n_processes)
    return Outputs(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Outputs)})
