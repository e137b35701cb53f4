"""Test images -> logits -> per-image predictions -> integer counts."""

from __future__ import annotations

import copy
import itertools
import math
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
from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.trial import Evaluation
from seedstudy.train import clips
from seedstudy.train.devices import run_recorded
from seedstudy.train.inflate import FrameNorm
from seedstudy.train.models import CifarResNet
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Shard, gather
from seedstudy.train.streaming import Loader

Probability = Literal["softmax", "sigmoid"]
"""How a network's logits become probabilities: sigmoid where it was trained with BCE."""


_EVAL_BATCH = 500
"""Images, or frames of clips."""
_HOW_MANY_FRAMES = "a recipe says how many frames a clip has (clip_frames)"


def eval_images(images: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Iterator[Tensor]:
    """Yield the images of an evaluation array, (n, h, w, 3) uint8, preprocessed for a network, in batches.

    Of videos, (n, n_frames, h, w, 3), they are the views of each, one after the other.
    """
    normalise = Normaliser(preprocessing.mean, preprocessing.std).in_one_step
    n_frames, shape = preprocessing.n_frames, (preprocessing.size, preprocessing.size)
    is_native = shape == images.shape[-3:-1] and preprocessing.crop == 1.0 and preprocessing.n_crops == 1
    crops = [] if is_native else preprocessing.crops()
    at_once = max(1, _EVAL_BATCH // (n_frames * preprocessing.n_views))
    for start in range(0, len(images), at_once):
        chunk = images[start : start + at_once]
        if chunk.ndim == 5:
            chunk = chunk[:, preprocessing.frames_of(chunk.shape[1])].reshape(-1, *chunk.shape[2:])
        if is_native:
            batch = clips.folded(torch.tensor(chunk).permute(0, 3, 1, 2), n_frames)  # in memory as convolutions want it
        else:
            batch = preprocessing.shown((Image.fromarray(image) for image in chunk), crops)
        yield normalise(batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """A network's outputs for every image of one array."""

    top5: npt.NDArray[np.int32]
    """Classes by falling logit, shape (n, 5), or (n, n_classes) where there are fewer; the first is the prediction."""
    confidence: npt.NDArray[np.float32]
    """Probability of the prediction, shape (n,)."""
    label_log_probs: npt.NDArray[np.float32]
    """Log-softmax at each of the asked labels, shape (n_labels,); at every class it would be 200 MB for ImageNet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Labels of the images of one array, whose probabilities are asked: those of every eval set that shares it."""

    rows: npt.NDArray[np.int64]
    """Of the images, rising, shape (n_labels,)."""
    values: npt.NDArray[np.int64]
    """Classes, shape (n_labels,)."""

    @classmethod
    def of(cls, eval_sets: Iterable[EvalSet]) -> Labels:
        """Return each label of each image once, by row, then class."""
        pairs = np.concatenate([np.stack([_rows_of_labels(each), each.label_values], axis=1) for each in eval_sets])
        rows, values = np.unique(pairs, axis=0).T
        return cls(rows=rows, values=values)

    def between(self, first: int, end: int) -> Labels:
        """Return those of the images from ``first`` to before ``end``, whose rows then count from 0."""
        where = slice(*np.searchsorted(self.rows, (first, end)))
        return Labels(rows=self.rows[where] - first, values=self.values[where])

    def places(self, eval_set: EvalSet) -> npt.NDArray[np.int64]:
        """Return where each label of an eval set is among these, in its order."""
        n_classes = int(self.values.max()) + 1
        keys = self.rows * n_classes + self.values
        return np.searchsorted(keys, _rows_of_labels(eval_set) * n_classes + eval_set.label_values)


def _rows_of_labels(eval_set: EvalSet) -> npt.NDArray[np.int64]:
    """Return the image of each of an eval set's labels, shape (n_labels,)."""
    return np.repeat(eval_set.rows, np.diff(eval_set.label_offsets))


_NORMS = (nn.BatchNorm2d, FrameNorm)


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
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and type(norm) in _NORMS:
                setattr(module, before, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, nn.Identity())
    return copied.to(memory_format=torch.channels_last)


def predict(
    model: nn.Module,
    batches: Iterable[Tensor],
    device: torch.device,
    probability: Probability,
    labels: Labels,
    n_views: int = 1,
) -> Outputs:
    """Run the network over batches of preprocessed images; ``labels`` are those of the images, from the first on.

    Of each image there are ``n_views`` in a row, whose probabilities are averaged.
    """
    model.eval()
    parts: list[list[Tensor]] = []
    is_xla, n_batch, n_done = device.type == "xla", 0, 0
    with torch.no_grad() if is_xla else torch.inference_mode():  # XLA's linear layer fails in inference mode
        for batch in batches:
            n_images = len(batch) // n_views
            n_batch = n_batch or len(batch)
            if is_xla:  # the last batch is padded: a new shape would be compiled
                batch = torch.cat([batch, batch.new_zeros(n_batch - len(batch), *batch.shape[1:])])
            logits = model(batch.to(device).contiguous(memory_format=torch.channels_last)).float()
            if n_views > 1:
                logits = averaged(logits.unflatten(0, (-1, n_views)), probability)
            top = logits.topk(min(5, logits.shape[1]), dim=1).indices
            probabilities = logits.sigmoid() if probability == "sigmoid" else logits.softmax(1)
            part = [top, probabilities.gather(1, top[:, :1])[:, 0], logits.log_softmax(1)]
            run_recorded(device)
            if is_xla:  # what depends on the number of images is done on the CPU, where that compiles nothing
                part = [each.cpu() for each in part]
            top, confidence, log_probs = (each[:n_images] for each in part)
            asked = labels.between(n_done, n_done + n_images)
            rows, values = (torch.from_numpy(each).to(log_probs.device) for each in (asked.rows, asked.values))
            parts.append([top, confidence, log_probs[rows, values]])
            n_done += n_images
    top5, confidences, label_log_probs = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
    return Outputs(top5=top5.astype(np.int32), confidence=confidences, label_log_probs=label_log_probs)


def averaged(logits: Tensor, probability: Probability) -> Tensor:
    """Return the logits (n, n_classes) of the probabilities that logits (n, n_views, n_classes) have on average."""
    if probability == "sigmoid":
        of, against = (nn.functional.logsigmoid(each).logsumexp(1) for each in (logits, -logits))
        return of - against
    return logits.log_softmax(2).logsumexp(1) - math.log(logits.shape[1])


def _counted(outputs: Outputs, labels: Labels, eval_set: EvalSet) -> Evaluation:
    """Compare the outputs for ``labels`` with an eval set's label sets."""
    top5 = outputs.top5[eval_set.rows]
    is_correct = eval_set.is_correct(top5)
    label_probs = np.exp(outputs.label_log_probs[labels.places(eval_set)].astype(np.float64))
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
    loader: Loader | None = None,
) -> dict[str, Evaluation]:
    """Evaluate a network on the named sets; sets that share images (val and real) share one pass over them.

    Images that are stored come from ``loader``, or else from one of their own. Several processes take equal shares of
    the images, one image more or less: no image is padded, none counts twice.
    """
    if names and data.holds_videos != (preprocessing.clip_frames is not None):
        holds, shown = ("videos", "images") if data.holds_videos else ("images", "clips")
        raise StudyError(f"{data.name} holds {holds}, and the network is to be shown {shown}: {_HOW_MANY_FRAMES}.")
    if names and device.type != "xla":  # XLA would compile each new copy
        model = folded(model)
    if names and data.stored and loader is None:
        loader = Loader.of_tests(data, preprocessing, device)
    result: dict[str, Evaluation] = {}
    for key in dict.fromkeys(data.eval_sets[name].images for name in names):
        eval_sets = {name: data.eval_sets[name] for name in names if data.eval_sets[name].images == key}
        labels = Labels.of(eval_sets.values())
        n_images = len(data.stored[key]) if data.stored else len(data.images[key])
        rows = np.array_split(np.arange(n_images), shard.n_processes)[shard.rank]
        first, end = int(rows[0]), int(rows[-1]) + 1
        if loader is not None:
            batches = loader.load_tests(key, rows, preprocessing)
        else:
            batches = eval_images(data.images[key][first:end], preprocessing)
        asked = labels.between(first, end)
        part = predict(model, batches, device, probability, asked, preprocessing.n_views)
        outputs = _of_all_processes(part, shard)
        result |= {name: _counted(outputs, labels, eval_set) for name, eval_set in eval_sets.items()}
    return {name: result[name] for name in names}


def evaluate_by_recipe(
    model: nn.Module,
    data: Dataset,
    names: tuple[str, ...],
    recipe: Recipe,
    device: torch.device,
    shard: Shard = Shard(),
    loader: Loader | None = None,
) -> dict[str, Evaluation]:
    """Evaluate a network that was trained by a recipe as the recipe tests it."""
    preprocessing = Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std)
    probability: Probability = "sigmoid" if recipe.loss == "bce" else "softmax"
    return evaluate(model, data, names, preprocessing, device, probability=probability, shard=shard, loader=loader)


def _of_all_processes(part: Outputs, shard: Shard) -> Outputs:
    """Return the outputs for every image, on every process."""
    if shard.n_processes == 1:
        return part
    parts = gather(part, shard.n_processes)
    return Outputs(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Outputs)})
