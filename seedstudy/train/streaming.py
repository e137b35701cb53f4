"""Images that stay encoded on disk: worker processes read, decode and crop them while the network trains.

What is drawn for an image depends on its place in the epoch alone, never on which worker process, or how many of
them, decode it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torch.utils.data import DataLoader

from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.data.encoded import EncodedImages
from seedstudy.errors import DataError
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.seeds import Streams
from seedstudy.train.feed import epoch_order, image_transform
from seedstudy.train.preprocessing import Normaliser, Preprocessing
from seedstudy.train.processes import Share, of_slot, stream_name
from seedstudy.train.random_state import RandomStream

CHUNK = 64
"""Images a worker process hands over at a time: few enough to come early, enough to be worth the call."""

LOADERS = "SEEDSTUDY_LOADERS"
"""Environment variable: worker processes that decode for one training process; 0 decodes in the process itself."""

Item = tuple[int, int, int]
"""(row, seed, place): which image, and the stream its augmentation is drawn from; seed -1: nothing is drawn."""


def n_loaders() -> int:
    """Return how many worker processes decode: what the launcher says, else one per core this process may use."""
    given = os.environ.get(LOADERS)
    return int(given) if given is not None else machine.cores()


class _Decoder:
    """What a worker process does: rows -> uint8 images (n, 3, size, size), or the error that stopped it."""

    def __init__(self, images: EncodedImages, transform: Any) -> None:
        self._images, self._transform = images, transform

    def __getitems__(self, items: Sequence[Item]) -> Tensor | DataError:
        # An error is handed over as a value: DataLoader would wrap its one line in a traceback.
        try:
            return torch.stack([self._decoded(*item) for item in items])
        except DataError as error:
            return error

    def _decoded(self, row: int, seed: int, place: int) -> Tensor:
        image = self._images.open(row)
        if seed < 0:
            return torch.from_numpy(np.asarray(self._transform(image)))
        state = np.random.SeedSequence((seed, place)).generate_state(1, np.uint64)
        with RandomStream(int(state[0] >> 1)).active():
            return torch.from_numpy(np.asarray(self._transform(image)))


class _Loader:
    """Chunks of items in, decoded chunks on the device out, in order."""

    def __init__(self, images: EncodedImages, transform: Any, device: torch.device) -> None:
        self._device = device
        self._chunks: Iterable[list[Item]] = ()
        n_workers = n_loaders()
        self._loader: DataLoader[Any] = DataLoader(
            _Decoder(images, transform),  # type: ignore[arg-type]  # it has __getitems__, all that is called
            batch_sampler=self,
            num_workers=n_workers,
            collate_fn=lambda chunk: chunk,
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


class TrainStream:
    """The training images of a stored data set, epoch by epoch."""

    def __init__(self, data: Dataset, recipe: Recipe, share: Share, device: torch.device) -> None:
        self._data, self._recipe, self._share = data, recipe, share
        self._loader = _Loader(data.stored["train"], image_transform(recipe, data), device)
        self._normalise = Normaliser(data.mean, data.std, device).in_two_steps
        self._erase = (
            RandomErasing(recipe.random_erasing, mode=recipe.random_erasing_fill, device=device)
            if recipe.random_erasing
            else None
        )

    def epoch(
        self, streams: Streams, epoch: int, random: Mapping[str, RandomStream], *, first_update: int = 0
    ) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        """Yield, for each update from ``first_update`` on, this process's micro-batches of (images, labels).

        An update's micro-batches must be used up before the next update is asked for.
        """
        labels = torch.tensor(np.asarray(self._data.train_labels))
        order = epoch_order(len(labels), self._recipe, seed=streams.of("order", epoch))
        slots = self._share.slots
        seeds = {slot: of_slot(streams, slot).of("augment", epoch) for slot in slots}
        size = self._recipe.micro_batch
        chunks = (
            [
                (int(row), seeds[slot], update * size + place)
                for place, row in enumerate(order[update, slot, start : start + CHUNK], start=start)
            ]
            for update in range(first_update, len(order))
            for slot in slots
            for start in range(0, size, CHUNK)
        )
        loaded = self._loader.load(chunks)
        for rows in order[first_update:, slots.start : slots.stop]:
            yield (self._micro_batch(loaded, labels[rows[n]], slot, random) for n, slot in enumerate(slots))

    def _micro_batch(
        self, loaded: Iterator[Tensor], labels: Tensor, slot: int, random: Mapping[str, RandomStream]
    ) -> tuple[Tensor, Tensor]:
        n_chunks = -(-len(labels) // CHUNK)
        images = self._normalise(torch.cat([next(loaded) for _ in range(n_chunks)]))
        if self._erase is not None:
            with random[stream_name("augment", slot)].active():
                images = self._erase(images)
        return images, labels


class EvalStream:
    """Some images of a stored eval set in order, preprocessed for a network, in batches."""

    def __init__(
        self, images: EncodedImages, rows: npt.NDArray[np.int64], preprocessing: Preprocessing, device: torch.device
    ) -> None:
        self._chunks = [[(int(row), -1, 0) for row in rows[at : at + CHUNK]] for at in range(0, len(rows), CHUNK)]
        self._loader = _Loader(images, preprocessing.transform(), device)
        self._normalise = Normaliser(preprocessing.mean, preprocessing.std, device).in_two_steps

    def __iter__(self) -> Iterator[Tensor]:
        for chunk in self._loader.load(self._chunks):
            yield self._normalise(chunk)
