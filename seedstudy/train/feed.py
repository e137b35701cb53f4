"""From uint8 images to the micro-batches of one epoch: order, repeated augmentation, augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from timm.data.auto_augment import NAME_TO_OP
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train
from torch import Tensor
from torchvision.transforms import Compose, InterpolationMode, TrivialAugmentWide

from seedstudy.data.base import Dataset
from seedstudy.recipes.recipe import Recipe
from seedstudy.train.augment.pipeline import BatchedAugmenter, Chance
from seedstudy.train.preprocessing import Normaliser
from seedstudy.train.random_state import RandomStream


def epoch_order(n_train: int, recipe: Recipe, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the image rows of one epoch, shape (n_updates, n_micro_batches, micro_batch).

    With repeated augmentation the shuffled images stand a,a,a,b,b,b,… and the list is cut to the length of one
    epoch, so that each update sees a third as many different images (Berman et al. 2019; timm's
    RepeatAugSampler). Micro-batches take every n-th element, as timm's ranks do: the copies of one image meet
    in one update but, where there are several, in different micro-batches.
    """
    n_updates = n_train // recipe.batch_size
    order = np.random.default_rng(seed).permutation(n_train)
    drawn = np.repeat(order, recipe.repeated_augmentation)[: n_updates * recipe.batch_size]
    n_micro = recipe.batch_size // recipe.micro_batch
    return drawn.reshape(n_updates, recipe.micro_batch, n_micro).transpose(0, 2, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """One micro-batch to be augmented."""

    rows: npt.NDArray[np.int64]
    """(n,) rows of the training images."""
    stream: RandomStream
    """What its augmentation is drawn from."""
    place: tuple[int, int]
    """Update of the epoch, micro-batch of the update."""


class Augmenter(Protocol):
    """Training images as a network sees them."""

    updates_ahead: int
    """Updates augmented in one go."""

    def __call__(self, batches: Sequence[MicroBatch]) -> Sequence[Tensor]:
        """Return each micro-batch's images as floats (n, 3, train_size, train_size)."""


def build_augmenter(kind: Literal["batched", "pil"], recipe: Recipe, data: Dataset, device: torch.device) -> Augmenter:
    """Return timm's own pipeline (``pil``), or the same in tensors on the device (``batched``)."""
    if kind == "pil":
        return PilAugmenter(recipe, data)
    # A TPU compiles every shape anew, and here shapes follow what was drawn.
    return TensorAugmenter(recipe, data, torch.device("cpu") if device.type == "xla" else device)


def posterize(image: Image.Image, bits_to_keep: int, **_: object) -> Image.Image:
    """Keep the highest bits of each channel; at timm's strongest, of 0 bits, the image is black.

    timm asks Pillow for 0 bits there, which Pillow refuses from version 13 on.
    """
    if bits_to_keep >= 8:
        return image
    return ImageOps.posterize(image, bits_to_keep) if bits_to_keep > 0 else Image.new(image.mode, image.size)


NAME_TO_OP.update({name: posterize for name in NAME_TO_OP if name.startswith("Posterize")})


class PilAugmenter:
    """timm's own per-image training pipeline (PIL): crop, flip, policy; then normalise and erase."""

    updates_ahead = 1  # what is drawn depends on what was drawn before, and a checkpoint keeps just that

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self._images = data.train_images
        self._transform = image_transform(recipe, data)
        self._normalise = Normaliser(data.mean, data.std).in_one_step
        self._erase = (
            RandomErasing(recipe.random_erasing, mode=recipe.random_erasing_fill, device="cpu")
            if recipe.random_erasing
            else None
        )

    def __call__(self, batches: Sequence[MicroBatch]) -> Sequence[Tensor]:
        return [self._augmented(batch) for batch in batches]

    def _augmented(self, batch: MicroBatch) -> Tensor:
        with batch.stream.active():
            images = [self._transform(Image.fromarray(image)) for image in self._images[batch.rows]]
            normal = self._normalise(torch.stack(images))
            return normal if self._erase is None else self._erase(normal)


class TensorAugmenter:
    """The same on the device, whole batches at a time; the images lie there as they lie on disk, as uint8.

    Each micro-batch is drawn from a generator of its own, seeded by its stream's seed and its place: what is drawn
    does not depend on how many micro-batches are augmented in one go, nor on where a resumed epoch begins.
    """

    _IMAGES_AT_ONCE = 1024  # enough to make light of the price of a call

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        self._augment = BatchedAugmenter(recipe, data.mean, data.std, device)
        self._device = device
        self.updates_ahead = max(1, self._IMAGES_AT_ONCE // recipe.batch_size)
        self._images = data.train_images
        self._on_device = None if device.type == "cpu" else torch.tensor(data.train_images, device=device)

    def __call__(self, batches: Sequence[MicroBatch]) -> Sequence[Tensor]:
        height, width = self._images.shape[1:3]
        sizes = [len(batch.rows) for batch in batches]
        chance = Chance([(size, _generator(batch)) for size, batch in zip(sizes, batches, strict=True)])
        images = self._take(np.concatenate([batch.rows for batch in batches]))
        return self._augment.apply(images, self._augment.draw(chance, height, width)).split(sizes)

    def _take(self, rows: npt.NDArray[np.int64]) -> Tensor:
        if self._on_device is None:
            images = torch.from_numpy(self._images[rows])
        else:
            images = self._on_device[torch.from_numpy(rows).to(self._device, non_blocking=True)]
        return images.permute(0, 3, 1, 2)


def _generator(batch: MicroBatch) -> torch.Generator:
    seed = np.random.SeedSequence((batch.stream.seed, *batch.place)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed))


def image_transform(recipe: Recipe, data: Dataset) -> Any:
    """Return what happens to one PIL image; it ends in uint8, normalised later, a whole batch at once."""
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


def micro_batches(
    data: Dataset,
    recipe: Recipe,
    augment: Augmenter,
    streams: Mapping[int, RandomStream],
    *,
    order_seed: int,
    first_update: int = 0,
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield, for each update of one epoch from ``first_update`` on, micro-batches of (images, labels).

    Parameters
    ----------
    streams
        What each micro-batch's augmentation is drawn from, by its place in the update; only these are made.

    """
    order = epoch_order(len(data.train_labels), recipe, seed=order_seed)
    for start in range(first_update, len(order), augment.updates_ahead):
        places = [
            (update, slot)
            for update in range(start, min(start + augment.updates_ahead, len(order)))
            for slot in streams
        ]
        images = augment([MicroBatch(rows=order[place], stream=streams[place[1]], place=place) for place in places])
        labels = [torch.from_numpy(data.train_labels[order[place]]) for place in places]
        made = list(zip(images, labels, strict=True))
        for first in range(0, len(made), len(streams)):
            yield made[first : first + len(streams)]
