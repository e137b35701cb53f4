"""Images that stay encoded on disk: worker processes read, decode and crop them while the network trains.

An image's random augmentation depends on its position in the epoch alone, never on which worker process decodes it or
on how many there are.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.io import ImageReadMode, decode_jpeg

from seedstudy import machine
from seedstudy.data import videos
from seedstudy.data.base import Dataset
from seedstudy.data.encoded import LARGEST_AREA, EncodedImages, ppm_pixels
from seedstudy.data.pseudo import STORED
from seedstudy.errors import DataError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import LOADERS
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import Augmentation
from seedstudy.train.augment import BatchedAugmenter, Chance
from seedstudy.train.clips import random_frames, unfolded
from seedstudy.train.feed import Batch, Targets, build_erasing, generator_of, image_transform, order_of
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import RandomStream, drawn_alike, micro_batch_streams, stream_name

CHUNK = 64
"""Images (or frames) that a worker process returns at a time: few enough for an early start, enough to be worth the
transfer."""

TRAIN = "train"

Item = tuple[str, int, int, int]
"""(part, row, seed, position in the epoch): an image and the seed of its augmentation; a test image has neither."""


def n_loaders() -> int:
    return int(os.environ.get(LOADERS, machine.cores()))


# --- one image, in a worker process ---------------------------------------------------------------------


class Show(Protocol):
    """How the images of a part are shown: row, seed and position -> uint8 (3 * n, size, size).

    n is 1 for an image; for a video the frames of a training clip, or those of all its views at test.
    """

    def __call__(self, images: EncodedImages, row: int, seed: int, position: int) -> Tensor: ...


class AsTested:
    """A recipe's, or published weights', resizing and cropping."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing, self._crops = preprocessing, preprocessing.crops()

    def __call__(self, images: EncodedImages, row: int, seed: int, position: int) -> Tensor:
        if images.frames is None:
            shown = [images.open(row)]
        else:
            wanted = self._preprocessing.frames_of(int(images.frames[row])).reshape(-1)
            shown = videos.frames(images, row, wanted)
        return self._preprocessing.shown(shown, self._crops).flatten(0, 1)


class ByPillow:
    """timm's whole training pipeline, image by image."""

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self._transform, self._recipe = image_transform(recipe, data), recipe

    def __call__(self, images: EncodedImages, row: int, seed: int, position: int) -> Tensor:
        with RandomStream(_own_seed(seed, position) >> 1).active():
            shown = [images.open(row)] if images.frames is None else _random_clip(images, row, self._recipe)
            made = drawn_alike(self._transform, shown)
            return torch.cat([torch.from_numpy(np.asarray(each)) for each in made])


class Cropped:
    """timm's random crop and flip; the rest of the augmentation follows in batches, on the device.

    The box is timm's own draw. It is cut out and resized in tensors, which takes half as long as in Pillow and differs
    from it by one grey level in a few percent of the values, and by more at saturated edges (bounds:
    tests/train/test_streaming.py).
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._scale, self._ratio, self._hflip = recipe.crop_scale, recipe.crop_ratio, recipe.hflip
        self._size, self._interpolation = (recipe.train_size, recipe.train_size), recipe.train_interpolation

    def __call__(self, images: EncodedImages, row: int, seed: int, position: int) -> Tensor:
        with _drawing_from(_own_seed(seed, position)):
            frames = decoded(images, row)[None] if images.frames is None else self._clip(images, row)
            box = RandomResizedCropAndInterpolation.get_params(frames[0], self._scale, self._ratio)
            is_bicubic = self._interpolation == "bicubic"
            if self._interpolation == "random":
                is_bicubic = random.random() < 0.5
            is_flipped = random.random() < self._hflip
        top, left, height, width = box
        cut = frames[:, :, top : top + height, left : left + width]
        mode = "bicubic" if is_bicubic else "bilinear"
        crops = functional.interpolate(cut, self._size, mode=mode, antialias=True)
        return (crops.flip(3) if is_flipped else crops).flatten(0, 1)

    def _clip(self, images: EncodedImages, row: int) -> Tensor:
        return torch.stack([_pixels(frame) for frame in _random_clip(images, row, self._recipe)])


def _random_clip(images: EncodedImages, row: int, recipe: Recipe) -> list[Image.Image]:
    """Return the frames of a random clip of a video; draws from Python's generator."""
    assert images.frames is not None
    n_video = int(images.frames[row])
    (wanted,) = random_frames(n_video, recipe.n_frames, recipe.clip_stride, np.array([random.random()]))
    return videos.frames(images, row, wanted)


def _pixels(image: Image.Image) -> Tensor:
    """Return an image as uint8 (3, h, w)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def decoded(images: EncodedImages, row: int) -> Tensor:
    """Return an image in RGB, uint8 (3, h, w): a JPEG by torchvision, a decoded one as it is, all others by Pillow.

    Both use libjpeg-turbo and give the same pixels; torchvision does it in four fifths of the time. What it refuses,
    Pillow is asked for, whose error then names the image.
    """
    content = images.read(row)
    if (levels := ppm_pixels(content)) is not None:
        return torch.from_numpy(levels.copy()).permute(2, 0, 1)
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:  # reads the head alone
            is_turned = images.as_shown and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            is_plain = image.mode in ("RGB", "L") and not is_turned and image.width * image.height <= LARGEST_AREA
        if is_plain:
            # A writable copy, because torch would warn of bytes.
            pixels: Tensor = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
            return pixels
    except Exception:  # Pillow's readers raise whatever their parsing of damaged bytes runs into
        pass
    return _pixels(images.open(row))


def _own_seed(seed: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, position)).generate_state(1, np.uint64)[0])


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Seed Python's generator, from which timm draws boxes, inside the block: a RandomStream costs ten times that."""
    outer = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(outer)


class _Decoder:
    """A worker process's task: items -> what is shown of them, stacked, or the error that stopped it."""

    def __init__(self, parts: Mapping[str, tuple[EncodedImages, Show]]) -> None:
        self._parts = parts

    def __getitems__(self, items: Sequence[Item]) -> Tensor | DataError:
        # An error is returned as a value: DataLoader would wrap its one line in a traceback.
        try:
            return torch.stack([self._shown(*item) for item in items])
        except DataError as error:
            return error

    def _shown(self, part: str, row: int, seed: int, position: int) -> Tensor:
        images, show = self._parts[part]
        return show(images, row, seed, position)


# --- many, in the process that trains -------------------------------------------------------------------


def _as_it_is(chunk: Any) -> Any:
    """Collate nothing; a function of the module, because processes that are not forked must be able to unpickle it."""
    return chunk


class Loader:
    """Rows in, decoded images on the device out, in order.

    Its worker processes are started once and serve training and evaluation alike, one after the other.
    """

    def __init__(self, parts: Mapping[str, tuple[EncodedImages, Show]], device: torch.device) -> None:
        """Take each part's images and how they are shown; the sizes shown may differ from part to part."""
        self._device = device
        self._chunks: Iterable[list[Item]] = ()
        n_workers = n_loaders()
        self._loader: DataLoader[Any] = DataLoader(
            _Decoder(parts),  # type: ignore[arg-type]  # DataLoader calls __getitems__ alone
            batch_sampler=self,
            num_workers=n_workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            persistent_workers=n_workers > 0,
            prefetch_factor=4 if n_workers else None,
        )

    @classmethod
    def of_trial(cls, data: Dataset, recipe: Recipe, augmentation: Augmentation, device: torch.device) -> Loader:
        """Return the loader of a training, and of its evaluations."""
        train = ByPillow(recipe, data) if augmentation == "pil" else Cropped(recipe)
        test = AsTested(Preprocessing.from_recipe(recipe, mean=data.mean, std=data.std))
        parts = {key: (images, train if key in (TRAIN, STORED) else test) for key, images in data.stored.items()}
        return cls(parts, device)

    @classmethod
    def of_tests(cls, data: Dataset, preprocessing: Preprocessing, device: torch.device) -> Loader:
        """Return the loader of an evaluation alone."""
        test = AsTested(preprocessing)
        return cls({key: (images, test) for key, images in data.stored.items()}, device)

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self._chunks)

    def load(self, chunks: Iterable[list[Item]]) -> Iterator[Tensor]:
        """Yield each chunk as uint8 (n, channels, size, size); DataError where an image does not decode."""
        self._chunks = chunks
        for chunk in self._loader:
            if isinstance(chunk, DataError):
                raise chunk
            yield chunk.to(self._device, non_blocking=True)

    def load_tests(self, part: str, rows: npt.NDArray[np.int64], preprocessing: Preprocessing) -> Iterator[Tensor]:
        """Yield some test images in order, preprocessed for a network, in batches."""
        normalise = Normaliser(preprocessing.mean, preprocessing.std, self._device).in_two_steps
        size = max(1, CHUNK // (preprocessing.n_views * preprocessing.n_frames))
        chunks = [[(part, int(row), 0, 0) for row in rows[at : at + size]] for at in range(0, len(rows), size)]
        for chunk in self.load(chunks):
            yield normalise(unfolded(chunk, preprocessing.n_views))


class StreamFeed:
    """The training images of a stored data set, epoch by epoch."""

    def __init__(
        self,
        data: Dataset,
        recipe: Recipe,
        shard: Shard,
        device: torch.device,
        augmentation: Augmentation,
        loader: Loader,
    ) -> None:
        self._data, self._recipe, self._shard, self._loader = data, recipe, shard, loader
        self._targets = Targets(data, recipe)
        self._n_labelled = len(data.train_labels) - data.n_pseudo
        self._finish: FinishPillows | FinishCrops = (
            FinishPillows(recipe, data, device) if augmentation == "pil" else FinishCrops(recipe, data, device)
        )

    def epoch(
        self, streams: Streams, epoch: int, random: Mapping[str, RandomStream], *, first_update: int = 0
    ) -> Iterator[Iterator[Batch]]:
        """Yield micro-batches as :meth:`~seedstudy.train.feed.ArrayFeed.epoch` does.

        They are made one at a time: all of an update's must be used before the next update is asked for.
        """
        order = order_of(self._data, self._recipe, seed=streams.of("order", epoch))
        micro_batches, size = self._shard.micro_batches, self._recipe.micro_batch
        at_once = max(1, CHUNK // self._recipe.n_frames)
        seeds = {n: micro_batch_streams(streams, n).of("augment", epoch) for n in micro_batches}
        chunks = (
            [
                (*self._place(int(row)), seeds[n], update * size + position)
                for position, row in enumerate(order[update, n, start : start + at_once], start=start)
            ]
            for update in range(first_update, len(order))
            for n in micro_batches
            for start in range(0, size, at_once)
        )
        loaded = self._loader.load(chunks)
        n_chunks = -(-size // at_once)
        for update in range(first_update, len(order)):
            yield (
                (
                    self._finish(
                        torch.cat([next(loaded) for _ in range(n_chunks)]),
                        random[stream_name("augment", n)],
                        (update, n),
                    ),
                    self._targets(order[update, n]),
                )
                for n in micro_batches
            )

    def _place(self, row: int) -> tuple[str, int]:
        """Return the part that a training image is in, and its row there."""
        return (TRAIN, row) if row < self._n_labelled else (STORED, row - self._n_labelled)


class FinishPillows:
    """What is left to do with images that Pillow augmented: normalise, erase."""

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        self._normalise = Normaliser(data.mean, data.std, device).in_two_steps
        self._erase = build_erasing(recipe, device)

    def __call__(self, images: Tensor, stream: RandomStream, position: tuple[int, int]) -> Tensor:
        normal = self._normalise(images)
        if self._erase is None:
            return normal
        with stream.active():
            erased: Tensor = self._erase(normal)
            return erased


class FinishCrops:
    """What is left to do with crops: RandAugment or jitter, normalise, erase; as arrays have it, in whole batches."""

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        # A TPU compiles every shape anew, and here shapes depend on the draws.
        self._device = torch.device("cpu") if device.type == "xla" else device
        self._augment = BatchedAugmenter(recipe, data.mean, data.std, self._device)
        self._n_frames = recipe.n_frames

    def __call__(self, images: Tensor, stream: RandomStream, position: tuple[int, int]) -> Tensor:
        draws = self._augment.draw(Chance([(len(images), generator_of(stream, position))]))
        return self._augment.apply(unfolded(images.to(self._device), self._n_frames), draws)
