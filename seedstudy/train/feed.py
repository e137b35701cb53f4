"""From uint8 images to the micro-batches of one epoch: order, repeated augmentation, augmentation, mixing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from timm.data.auto_augment import NAME_TO_OP
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train
from torch import Tensor
from torchvision.transforms import Compose, InterpolationMode, TrivialAugmentWide

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import Augmentation
from seedstudy.train.augment import BatchedAugmenter, Chance
from seedstudy.train.clips import random_frames
from seedstudy.train.preprocessing import Normaliser
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import RandomStream, drawn_alike, stream_name

Batch = tuple[Tensor, Tensor]
"""Images (n, 3, train_size, train_size) as floats, or folded clips with the channels of all frames; and their labels
(n,), or mixed targets (n, n_classes)."""

# --- order ----------------------------------------------------------------------------------------------


def epoch_order(n_train: int, recipe: Recipe, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the image rows of one epoch, shape (n_updates, n_micro_batches, micro_batch).

    Repeated augmentation puts the shuffled images in the order a,a,a,b,b,b,… and cuts the list to the length of one
    epoch: with three copies an update has a third as many different images (Berman et al. 2019; timm's
    RepeatAugSampler). Micro-batches take every n-th element, as timm's ranks do: the copies of one image are in one
    update but, where there are several micro-batches, in different ones.
    """
    n_updates = n_train // recipe.batch_size
    order = np.random.default_rng(seed).permutation(n_train)
    drawn = np.repeat(order, recipe.repeated_augmentation)[: n_updates * recipe.batch_size]
    n_micro = recipe.batch_size // recipe.micro_batch
    return drawn.reshape(n_updates, recipe.micro_batch, n_micro).transpose(0, 2, 1)


def n_updates_of(data: Dataset, recipe: Recipe) -> int:
    """Return the updates of an epoch: one pass over the labelled images."""
    return (len(data.train_labels) - data.n_pseudo) // recipe.n_labelled


def mixed_order(data: Dataset, recipe: Recipe, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the image rows of one epoch, as :func:`epoch_order`, with pseudo-labelled images in every update.

    They are drawn in passes of their own, each in a new order, that go on from update to update.
    """
    n_labelled, n_updates = len(data.train_labels) - data.n_pseudo, n_updates_of(data, recipe)
    rng = np.random.default_rng(seed)
    labelled = rng.permutation(n_labelled)[: n_updates * recipe.n_labelled].reshape(n_updates, -1)
    n_wanted = n_updates * (recipe.batch_size - recipe.n_labelled)
    passes = [rng.permutation(data.n_pseudo) for _ in range(-(-n_wanted // data.n_pseudo))]
    pseudo = n_labelled + np.concatenate(passes)[:n_wanted].reshape(n_updates, -1)
    rows = rng.permuted(np.concatenate([labelled, pseudo], axis=1), axis=1)  # micro-batches get both kinds
    n_micro = recipe.batch_size // recipe.micro_batch
    return rows.reshape(n_updates, recipe.micro_batch, n_micro).transpose(0, 2, 1)


class Targets:
    """Targets of the loss: labels or, where a network gave soft ones, shares of the classes."""

    def __init__(self, data: Dataset, recipe: Recipe) -> None:
        self._labels, self._shares = np.asarray(data.train_labels), data.pseudo_shares
        self._n_labelled = len(data.train_labels) - data.n_pseudo
        smoothing, n_classes = recipe.label_smoothing, len(data.classes)
        self._own = np.eye(n_classes, dtype=np.float32) * (1.0 - smoothing) + smoothing / n_classes

    def __call__(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the labels (n,), or the shares (n, n_classes), of some training images."""
        labels = self._labels[rows]
        if self._shares is None:
            return torch.from_numpy(labels)
        shares, is_pseudo = self._own[labels], rows >= self._n_labelled
        shares[is_pseudo] = self._shares[rows[is_pseudo] - self._n_labelled]
        return torch.from_numpy(shares)


def order_of(data: Dataset, recipe: Recipe, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the image rows of one epoch, shape (n_updates, n_micro_batches, micro_batch)."""
    if data.n_pseudo:
        return mixed_order(data, recipe, seed=seed)
    return epoch_order(len(data.train_labels), recipe, seed=seed)


# --- augmentation ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """One micro-batch to be augmented."""

    rows: npt.NDArray[np.int64]
    """(n,) rows of the training images."""
    stream: RandomStream
    """What its augmentation is drawn from."""
    position: tuple[int, int]
    """Update of the epoch, micro-batch of the update."""


class PilAugmenter:
    """timm's own per-image training pipeline (PIL): crop, flip, policy; then normalise and erase."""

    updates_ahead = 1
    """Updates augmented in one call: here draws follow one another, and a checkpoint keeps the state between two."""

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self._images, self._recipe = data.train_images, recipe
        self._transform = image_transform(recipe, data)
        self._normalise = Normaliser(data.mean, data.std).in_one_step
        self._erase = build_erasing(recipe, torch.device("cpu"))

    def __call__(self, batches: Sequence[MicroBatch]) -> Sequence[Tensor]:
        """Return each micro-batch's images as floats (n, 3 * n_frames, train_size, train_size)."""
        return [self._augmented(batch) for batch in batches]

    def _augmented(self, batch: MicroBatch) -> Tensor:
        with batch.stream.active():
            images = [torch.cat(self._of_one(example)) for example in self._images[batch.rows]]
            normal = self._normalise(torch.stack(images))
            return normal if self._erase is None else self._erase(normal)

    def _of_one(self, example: npt.NDArray[np.uint8]) -> list[Tensor]:
        """Return an image, or the frames of a random clip of a video, all augmented alike."""
        if example.ndim == 3:
            return [self._transform(Image.fromarray(example))]
        n_frames, stride = self._recipe.n_frames, self._recipe.clip_stride
        (rows,) = random_frames(len(example), n_frames, stride, np.array([random.random()]))
        return drawn_alike(self._transform, [Image.fromarray(frame) for frame in example[rows]])


class TensorAugmenter:
    """The same pipeline on whole batches; on a GPU, where all training images are kept as uint8.

    Each micro-batch has its own generator, seeded by its stream's seed and its position. The draws therefore do not
    depend on how many micro-batches are augmented in one call, nor on where a resumed epoch begins.
    """

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        # A TPU compiles every shape anew, and here shapes depend on the draws.
        self._device = torch.device("cpu") if device.type == "xla" else device
        self._augment = BatchedAugmenter(recipe, data.mean, data.std, self._device)
        self.updates_ahead = max(
            1, 1024 // (recipe.batch_size * recipe.n_frames)
        )  # enough to make the cost of a call negligible
        self._images, self._recipe = data.train_images, recipe
        self._on_device = torch.tensor(data.train_images, device=device) if self._device.type == "cuda" else None

    def __call__(self, batches: Sequence[MicroBatch]) -> Sequence[Tensor]:
        rows, sizes = np.concatenate([batch.rows for batch in batches]), [len(batch.rows) for batch in batches]
        chance = Chance([(len(batch.rows), generator_of(batch.stream, batch.position)) for batch in batches])
        height, width = self._images.shape[-3:-1]
        crops = self._augment.draw_crops(chance, height, width)
        draws = self._augment.draw(chance)
        frames = self._frames(rows, chance).permute(0, 3, 1, 2)
        return self._augment.apply(self._augment.crop(frames, crops), draws).split(sizes)

    def _frames(self, rows: npt.NDArray[np.int64], chance: Chance) -> Tensor:
        """Return images, or all frames of random clips of videos, one by one: (n * n_frames, h, w, 3) uint8."""
        places = [rows]
        if self._images.ndim == 5:
            n_frames, stride, n_video = self._recipe.n_frames, self._recipe.clip_stride, self._images.shape[1]
            frames = random_frames(n_video, n_frames, stride, chance.uniform().numpy())
            places = [rows.repeat(n_frames), frames.reshape(-1)]
        if self._on_device is None:
            return torch.from_numpy(self._images[tuple(places)])
        return self._on_device[tuple(torch.from_numpy(each).to(self._device, non_blocking=True) for each in places)]


Augmenter = PilAugmenter | TensorAugmenter


def generator_of(stream: RandomStream, position: tuple[int, int]) -> torch.Generator:
    """Return the generator of one micro-batch: ``position`` is the update of the epoch, and its place in that."""
    seed = np.random.SeedSequence((stream.seed, *position)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed))


def image_transform(recipe: Recipe, data: Dataset) -> Any:
    """Return the training augmentation of one PIL image; the result is uint8, to be normalised by the batch."""
    is_trivial = recipe.auto_augment == "trivial_wide"
    crop_and_flip, policy, to_tensor = transforms_imagenet_train(
        recipe.train_size,
        scale=recipe.crop_scale,
        ratio=recipe.crop_ratio,
        hflip=recipe.hflip,
        color_jitter=recipe.color_jitter,
        auto_augment=recipe.randaugment or (None if is_trivial else recipe.auto_augment),
        interpolation=recipe.train_interpolation,
        mean=data.mean,
        std=data.std,
        use_prefetcher=True,
        separate=True,
    )
    trivial = []
    if is_trivial:
        # torchvision's script warps with the interpolation it crops with; timm has no TrivialAugment.
        mode = "bilinear" if recipe.train_interpolation == "random" else recipe.train_interpolation
        trivial = [TrivialAugmentWide(interpolation=InterpolationMode(mode))]
    return Compose([crop_and_flip, *trivial, policy, to_tensor])


def build_erasing(recipe: Recipe, device: torch.device) -> RandomErasing | None:
    """Return timm's random erasing of normalised images, or None where the recipe has none."""
    if not recipe.random_erasing:
        return None
    return RandomErasing(recipe.random_erasing, mode=recipe.random_erasing_fill, device=device)


def posterize(image: Image.Image, bits_to_keep: int, **_: object) -> Image.Image:
    """Keep the highest bits of each channel; at timm's strongest, of 0 bits, the image is black.

    timm asks Pillow for 0 bits there, which Pillow refuses from version 13 on.
    """
    if bits_to_keep >= 8:
        return image
    return ImageOps.posterize(image, bits_to_keep) if bits_to_keep > 0 else Image.new(image.mode, image.size)


NAME_TO_OP.update({name: posterize for name in NAME_TO_OP if name.startswith("Posterize")})


# --- epochs ---------------------------------------------------------------------------------------------


class ArrayFeed:
    """The training images of a data set in memory, epoch by epoch."""

    def __init__(
        self, data: Dataset, recipe: Recipe, shard: Shard, device: torch.device, augmentation: Augmentation
    ) -> None:
        self._data, self._recipe, self._shard = data, recipe, shard
        self._targets = Targets(data, recipe)
        self._augment: Augmenter = (
            PilAugmenter(recipe, data) if augmentation == "pil" else TensorAugmenter(recipe, data, device)
        )

    def epoch(
        self, streams: Streams, epoch: int, random: Mapping[str, RandomStream], *, first_update: int = 0
    ) -> Iterator[Iterable[Batch]]:
        """Yield, for each update from ``first_update`` on, this process's micro-batches of (images, labels).

        ``random`` are the epoch's streams (:func:`~seedstudy.train.random_state.epoch_streams`).
        """
        order = order_of(self._data, self._recipe, seed=streams.of("order", epoch))
        ahead, n_micro = self._augment.updates_ahead, len(self._shard.micro_batches)
        for start in range(first_update, len(order), ahead):
            batches = [
                MicroBatch(rows=order[update, n], stream=random[stream_name("augment", n)], position=(update, n))
                for update in range(start, min(start + ahead, len(order)))
                for n in self._shard.micro_batches
            ]
            labels = [self._targets(batch.rows) for batch in batches]
            made = list(zip(self._augment(batches), labels, strict=True))
            for first in range(0, len(made), n_micro):
                yield made[first : first + n_micro]


def mixed(
    updates: Iterable[Iterable[Batch]],
    mix: Mixup | None,
    shard: Shard,
    random: Mapping[str, RandomStream],
    device: torch.device,
) -> Iterator[Iterator[Batch]]:
    """Yield each update's micro-batches on the device, mixed (mixup, CutMix) where the recipe mixes.

    They are made one at a time: all of an update's must be used before the next update is asked for.
    """
    for update in updates:
        batches = zip(shard.micro_batches, update, strict=True)
        yield (_mixed(batch, mix, random[stream_name("mix", n)], device) for n, batch in batches)


def _mixed(batch: Batch, mix: Mixup | None, stream: RandomStream, device: torch.device) -> Batch:
    if device.type != "xla":  # XLA would compile every rectangle of CutMix anew, so its batches are mixed on the CPU
        batch = _moved(batch, device)
    if mix is not None:
        with stream.active():
            batch = mix(*batch)
    return _moved(batch, device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    images, targets = batch
    images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
    return images, targets.to(device, non_blocking=True)
