"""What every data set is made of: training images, eval sets, static facts and findings on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seedstudy.data.encoded import EncodedImages

    Images = NDArray[np.uint8]

Progress = Callable[[str], None]
"""Takes one short line of text, e.g. "cifar10: 12,000 of 60,000 images decoded"."""

EVAL_SET_ORDER = ("val", "real", "v2", "v2_threshold", "v2_top", "minival")
"""The canonical order of eval sets wherever they are listed; ``v2`` is ImageNet-V2's matched-frequency variant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSet:
    """The images of one eval set and the labels that count as right for each of them."""

    name: str
    """One of EVAL_SET_ORDER."""
    images: str
    """Key into Dataset.images or Dataset.stored of what `rows` indexes ("real" shares val's images)."""
    rows: NDArray[np.int64]
    """(n,) rows of that array."""
    example_ids: NDArray[np.str_]
    """(n,) stable identity of each image, equal for the same image in two eval sets."""
    label_offsets: NDArray[np.int64]
    """(n + 1,) the label set of image i is label_values[label_offsets[i]:label_offsets[i + 1]]."""
    label_values: NDArray[np.int32]
    """(label_offsets[-1],) class indices; one per image where the labels are single."""

    def __len__(self) -> int:
        return len(self.rows)

    def is_correct(self, predicted: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tell for each prediction whether it is in the label set of its image.

        predicted: class indices, (n,) or (n, k) (k best classes, or k trials). The answer has the same
        shape; top-k of an image is `.any(axis=1)`.
        """
        import numpy as np

        if predicted.shape[0] != len(self):
            raise ValueError(f"{len(self)} images in {self.name}, but {predicted.shape[0]} predictions")
        columns = predicted.reshape(len(self), -1)
        counts = np.diff(self.label_offsets)
        image_of_label = np.repeat(np.arange(len(self)), counts)
        correct = np.zeros(columns.shape, dtype=np.bool_)
        hits = columns[image_of_label] == self.label_values[:, None]
        # An image may own several labels: "or" over them, not the last one's word.
        np.logical_or.at(correct, image_of_label, hits)
        return correct.reshape(predicted.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A data set ready to train on, mapped into memory and shared by all workers.

    Small images are resident: decoded arrays (`train_images`, `images`). Large ones stay encoded on disk and are
    streamed (`stored`). A data set is one or the other.
    """

    name: str
    classes: tuple[str, ...]
    """Class names; a label is an index into them."""
    image_size: int | None
    """Height and width of every image, pixels; None where each image has a size of its own."""
    mean: tuple[float, float, float]
    """Per channel (RGB) over the training images, on the 0-1 scale; used to normalise."""
    std: tuple[float, float, float]
    """Standard deviation, same scale as `mean`."""
    train_images: Images
    """(n_train, h, w, 3) uint8 RGB; no rows where the images are stored."""
    train_labels: NDArray[np.int64]
    """(n_train,) class indices."""
    images: dict[str, Images]
    """Eval image arrays by key, each (n, h, w, 3) uint8 RGB."""
    eval_sets: dict[str, EvalSet]
    """In canonical order."""
    missing: dict[str, str]
    """Eval set (or "train") -> one sentence: what is missing and how to get it."""
    fingerprint: str
    """16 hex digits of a SHA-256 over name, format version, content and train limit."""
    stored: Mapping[str, EncodedImages] = field(default_factory=dict)
    """Images that stay encoded on disk: "train" and the keys the eval sets name."""

    @property
    def watched(self) -> str:
        """The eval set looked at while training: val; minival where val is kept for later."""
        return "val" if "val" in self.eval_sets else "minival"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataInfo:
    """Static facts of a data set, known without loading anything."""

    name: str
    title: str
    n_train: int
    """Training images."""
    image_size: int | None
    """Height and width, pixels; None: each image has its own, and recipes are used as written."""
    n_classes: int
    epoch_ratio: float
    """The epochs of a recipe are multiplied by this (0.04: 300 -> 12)."""
    default_model: str
    needs_data_dir: bool
    """True where the data set cannot be had without a folder of the user's."""
    note: str
    """One sentence: what it is and where it comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of `seedstudy data check`: a part of a data set and what is on disk of it."""

    part: str
    """train or an eval set."""
    status: Literal["found", "missing", "damaged"]
    where: str
    """A file, or how the part comes about."""
    note: str
    """What it holds, or what is missing and how to get it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A data set just decoded or rendered, in memory, before the cache writes it."""

    classes: tuple[str, ...]
    train_images: Images
    """(n_train, h, w, 3) uint8 RGB."""
    train_labels: NDArray[np.int64]
    """(n_train,) class indices."""
    images: dict[str, Images]
    """As Dataset.images."""
    eval_sets: tuple[EvalSet, ...]
    missing: dict[str, str]
    """As Dataset.missing."""
    stored: Mapping[str, EncodedImages] = field(default_factory=dict)
    """As Dataset.stored; gzipped tar files are unpacked into the cache."""
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """(mean, std) where they are given; None: taken over the training images."""


class Source(Protocol):
    """What each data set module offers to the rest of the room."""

    def source_key(self, data_dir: Path | None) -> str:
        """Name the content of the sources (a digest of files or of parameters), without decoding them."""

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Decode or render everything."""

    def check(self, data_dir: Path | None) -> list[Finding]:
        """Look at what is on disk, without decoding it."""


def single_labels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return (label_offsets, label_values) of one label per image; labels: (n,)."""
    import numpy as np

    return np.arange(len(labels) + 1, dtype=np.int64), labels.astype(np.int32)


def label_sets(belongs: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return (label_offsets, label_values) of a (n, n_classes) membership matrix."""
    import numpy as np

    offsets = np.zeros(len(belongs) + 1, dtype=np.int64)
    np.cumsum(belongs.sum(axis=1), out=offsets[1:])
    return offsets, np.nonzero(belongs)[1].astype(np.int32)
