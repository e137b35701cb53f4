"""Images that stay encoded on disk: worker processes read, decode and crop them while the network trains.

An image's random augmentation depends on its position in the epoch alone, never on which worker process decodes it or
on how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.data.encoded import EncodedImages
from seedstudy.errors import DataError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.placement import LOADERS
from seedstudy.study.seeds import Streams
from seedstudy.train.feed import Batch, build_erasing, epoch_order, image_transform
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import RandomStream, micro_batch_streams, stream_name

CHUNK = 64
"""Images that a worker process returns at a time: few enough for an early start, enough to be worth the transfer."""

Item = tuple[int, int, int]
"""(row, seed, position in the epoch): an image and the seed of its augmentation, -1 for a test image."""


def n_loaders() -> int:
    return int(os.environ.get(LOADERS, machine.cores()))


class _Decoder:
    """A worker process's task: items -> uint8 images (n, 3, size, size), or the error that stopped it."""

    def __init__(self, images: EncodedImages, transform: Any) -> None:
        self._images, self._transform = images, transform

    def __getitems__(self, items: Sequence[Item]) -> Tensor | DataError:
        # An error is returned as a value: DataLoader would wrap its one line in a traceback.
        try:
            return torch.stack([self._decoded(*item) for item in items])
        except DataError as error:
            return error

    def _decoded(self, row: int, seed: int, position: int) -> Tensor:
        image = self._images.open(row)
        if seed < 0:
            return torch.from_numpy(np.asarray(self._transform(image)))
        state = np.random.SeedSequence((seed, position)).generate_state(1, np.uint64)
        with RandomStream(int(state[0] >> 1)).active():
            return torch.from_numpy(np.asarray(self._transform(image)))


def _as_it_is(chunk: Any) -> Any:
    """Collate nothing; a function of the module, because processes that are not forked must be able to unpickle it."""
    return chunk


class _Loader:
    """Chunks of items in, decoded chunks on the device out, in order."""

    def __init__(self, images: EncodedImages, transform: Any, device: torch.device) -> None:
        self._device = device
        self._chunks: Iterable[list[Item]] = ()
        n_workers = n_loaders()
        self._loader: DataLoader[Any] = DataLoader(
            _Decoder(images, transform),  # type: ignore[arg-type]  # DataLoader calls __getitems__ alone
            batch_sampler=self,
            num_workers=n_workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            persistent_workers=n_workers > 0,
            prefetch_factor=4 if n_workers else None,
        )

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self._chunks)

    def load(self, chunks: Iterable[list[Item]]) -> Iterator[Tensor]:
        """Yield each chunk as uint8 (n, 3, size, size); DataError where an image does not decode."""
        self._chunks = chunks
        for chunk in self._loader:
            if isinstance(chunk, DataError):
                raise chunk
            yield chunk.to(self._device, non_blocking=True)


class StreamFeed:
    """The training images of a stored data set, epoch by epoch."""

    def __init__(self, data: Dataset, recipe: Recipe, shard: Shard, device: torch.device) -> None:
        self._data, self._recipe, self._shard = data, recipe, shard
        self._loader = _Loader(data.stored["train"], image_transform(recipe, data), device)
        self._normalise = Normaliser(data.mean, data.std, device).in_two_steps
        self._erase = build_erasing(recipe, device)

    def epoch(
        self, streams: Streams, epoch: int, random: Mapping[str, RandomStream], *, first_update: int = 0
    ) -> Iterator[Iterator[Batch]]:
        """Yield micro-batches as :meth:`~seedstudy.train.feed.ArrayFeed.epoch` does.

        They are made one at a time: all of an update's must be used before the next update is asked for.
        """
        labels = torch.tensor(np.asarray(self._data.train_labels))
        order = epoch_order(len(labels), self._recipe, seed=streams.of("order", epoch))
        micro_batches, size = self._shard.micro_batches, self._recipe.micro_batch
        seeds = {n: micro_batch_streams(streams, n).of("augment", epoch) for n in micro_batches}
        chunks = (
            [
                (int(row), seeds[n], update * size + position)
                for position, row in enumerate(order[update, n, start : start + CHUNK], start=start)
            ]
            for update in range(first_update, len(order))
            for n in micro_batches
            for start in range(0, size, CHUNK)
        )
        loaded = self._loader.load(chunks)
        for rows in order[first_update:]:
            yield (self._batch(loaded, labels[rows[n]], random[stream_name("augment", n)]) for n in micro_batches)

    def _batch(self, loaded: Iterator[Tensor], labels: Tensor, stream: RandomStream) -> Batch:
        n_chunks = -(-len(labels) // CHUNK)
        images = self._normalise(torch.cat([next(loaded) for _ in range(n_chunks)]))
        if self._erase is not None:
            with stream.active():
                images = self._erase(images)
        return images, labels


def eval_stream(
    images: EncodedImages, rows: npt.NDArray[np.int64], preprocessing: Preprocessing, device: torch.device
) -> Iterator[Tensor]:
    """Yield some images of a stored eval set in order, preprocessed for a network, in batches."""
    normalise = Normaliser(preprocessing.mean, preprocessing.std, device).in_two_steps
    chunks = [[(int(row), -1, 0) for row in rows[at : at + CHUNK]] for at in range(0, len(rows), CHUNK)]
    for chunk in _Loader(images, preprocessing.transform(), device).load(chunks):
        yield normalise(chunk)
