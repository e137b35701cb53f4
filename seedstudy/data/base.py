"""What every data set consists of: training images, eval sets, static facts, and a class that builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from seedstudy.document import HIDDEN
from seedstudy.recipes.scaling import DataFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seedstudy.data.arrays import Marks
    from seedstudy.data.encoded import EncodedImages

    Images = NDArray[np.uint8]

Progress = Callable[[str], None]
"""Takes one short line of text, e.g. "cifar10: 12,000 of 60,000 images decoded"."""

EVAL_SET_ORDER = ("val", "real", "v2", "v2_threshold", "v2_top", "minival")
"""The canonical order of eval sets wherever they are listed; ``v2`` is ImageNet-V2's matched-frequency variant."""


OTHER_SIZE = "@"
"""Between an eval set and the test size in pixels, where that is not the recipe's: ``val@192``."""


def place_of(eval_set: str) -> tuple[int, str]:
    """Return the sort key that lists the eval sets of EVAL_SET_ORDER first, and those of own data sets by name."""
    order = EVAL_SET_ORDER.index(eval_set) if eval_set in EVAL_SET_ORDER else len(EVAL_SET_ORDER)
    return order, eval_set


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSet:
    """The images of one eval set and the labels that count as correct for each of them."""

    name: str
    """One of EVAL_SET_ORDER, or a name of the data set's own: `test`."""
    images: str
    """Key into Dataset.images or Dataset.stored ("real" shares val's images)."""
    rows: NDArray[np.int64]
    """(n,) which of those images."""
    example_ids: NDArray[np.str_]
    """(n,) stable identity of each image, equal for the same image in two eval sets."""
    label_offsets: NDArray[np.int64]
    """(n + 1,) the label set of image i is label_values[label_offsets[i]:label_offsets[i + 1]]."""
    label_values: NDArray[np.int32]
    """(label_offsets[-1],) class indices; one per image where the labels are single."""

    @classmethod
    def of_labels(cls, name: str, labels: NDArray[np.integer], example_ids: NDArray[np.str_]) -> EvalSet:
        """Return an eval set with images of its own, one label each; labels, example_ids: (n,)."""
        import numpy as np

        return cls(
            name=name,
            images=name,
            rows=np.arange(len(labels)),
            example_ids=example_ids,
            label_offsets=np.arange(len(labels) + 1, dtype=np.int64),
            label_values=labels.astype(np.int32),
        )

    def with_label_sets(self, name: str, label_sets: Sequence[Sequence[int] | NDArray[np.integer]]) -> EvalSet:
        """Return the same images judged by label sets; images whose set is empty are left out."""
        import numpy as np

        counts = np.array([len(labels) for labels in label_sets], dtype=np.int64)
        kept = np.flatnonzero(counts)
        return replace(
            self,
            name=name,
            rows=self.rows[kept],
            example_ids=self.example_ids[kept],
            label_offsets=np.cumsum([0, *counts[kept]], dtype=np.int64),
            label_values=np.array([label for labels in label_sets for label in labels], dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def is_correct(self, predicted: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return for each prediction whether it is in the label set of its image.

        predicted: class indices, (n,) or (n, k) (k best classes, or k trials). The answer has the same shape; top-k of
        an image is ``.any(axis=1)``.
        """
        import numpy as np

        if predicted.shape[0] != len(self):
            raise ValueError(f"{len(self)} images in {self.name}, but {predicted.shape[0]} predictions")
        columns = predicted.reshape(len(self), -1)
        image_of_label = np.repeat(np.arange(len(self)), np.diff(self.label_offsets))
        correct = np.zeros(columns.shape, dtype=np.bool_)
        hits = columns[image_of_label] == self.label_values[:, None]
        # An image may have several labels: any of them will do.
        np.logical_or.at(correct, image_of_label, hits)
        return correct.reshape(predicted.shape)


def numbered(prefix: str, n: int) -> NDArray[np.str_]:
    """Return the example ids of n images in a fixed order."""
    import numpy as np

    return np.array([f"{prefix}-{row:05d}" for row in range(n)])


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
    """(n_train, h, w, 3) uint8 RGB, of videos (n_train, n_frames, h, w, 3); no rows where the images are stored."""
    train_labels: NDArray[np.int64]
    """(n_train,) class indices."""
    images: dict[str, Images]
    """Eval image arrays by key, shaped like `train_images`."""
    eval_sets: dict[str, EvalSet]
    """In canonical order."""
    missing: dict[str, str]
    """Eval set (or "train") -> one sentence: what is missing and how to get it."""
    fingerprint: str
    """16 hex digits of a SHA-256 over name, format version, content and train limit."""
    stored: Mapping[str, EncodedImages] = field(default_factory=dict)
    """Images that stay encoded on disk: "train" and the keys that eval sets refer to."""
    partial: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Part that has all classes and is not complete -> its images, and those of the complete one."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Part -> what lay among its images and is not used, or what is doubtful about them, in words."""
    n_pseudo: int = 0
    """Training images, the last ones, whose labels a network gave."""
    pseudo_shares: NDArray[np.float32] | None = None
    """(n_pseudo, n_classes) shares of the classes, where a network gave soft labels; None: labels say it all."""
    marks: Marks = field(default_factory=dict)
    """Of the files that the arrays are mapped from, noted when their content was checked."""

    @property
    def holds_videos(self) -> bool:
        """Whether an example is a video, and a network is shown clips of it."""
        return self.train_images.ndim == 5 or any(images.frames is not None for images in self.stored.values())

    def check_unchanged(self) -> None:
        """Raise DataError where a file of the arrays has changed since; a result must not be kept then."""
        from seedstudy.data import arrays

        arrays.check_unchanged(self.marks)

    @property
    def watched(self) -> str:
        """The eval set evaluated while training: val; minival where val is kept for later."""
        return "val" if "val" in self.eval_sets else "minival"

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader of the results must know about the images: parts that are not complete, files not used."""
        counts = [
            f"{part} has {n:,} images, not {n_complete:,}: its numbers do not compare with those of others"
            for part, (n, n_complete) in self.partial.items()
        ]
        return (*counts, *(f"{part}: {what}" for part, what in self.left_out.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class DataInfo(DataFacts):
    """Static facts of a data set."""

    title: str
    n_classes: int
    default_model: str
    note: str
    """One sentence: what it is and where it comes from."""
    is_embedded: bool = field(default=False, metadata=HIDDEN)
    """Whether it comes with the package: a training takes seconds there, so its weights are kept only when asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """All data sets."""

    data: tuple[DataInfo, ...]
    own: Mapping[str, str]
    """How images of one's own are named: kind -> form, and what it reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One part of a data set, and what is on disk of it."""

    part: str
    """train or an eval set."""
    status: Literal["found", "partial", "missing", "damaged", "unused"]
    """partial: all classes, and more or fewer images than the complete part has; unused: what is no part at all."""
    where: str
    """A file, or where else the part comes from."""
    note: str
    """What it holds, or what is missing and how to get it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What is on disk of a data set."""

    data: str
    parts: tuple[Finding, ...]

    @property
    def is_damaged(self) -> bool:
        return any(part.status == "damaged" for part in self.parts)

    @property
    def is_missing(self) -> bool:
        """Whether nothing of it is on disk."""
        return all(part.status == "missing" for part in self.parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A data set just decoded, rendered or indexed, before the cache writes it; fields as those of :class:`Dataset`."""

    classes: tuple[str, ...]
    train_images: Images
    train_labels: NDArray[np.int64]
    images: dict[str, Images]
    eval_sets: tuple[EvalSet, ...]
    missing: dict[str, str]
    stored: Mapping[str, EncodedImages] = field(default_factory=dict)
    """Gzipped tar files among them are unpacked into the cache."""
    partial: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else decides the numbers, for the fingerprint. Where there is any, the data set's name does not count."""
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """(mean, std); None: computed from the training images."""


class DatasetBuilder(Protocol):
    """One data set."""

    info: DataInfo

    def source_key(self, data_dir: Path | None) -> str:
        """Return a text that changes with the content of the sources (a digest of files or parameters)."""

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Decode, render or index everything."""

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> Sequence[Finding]:
        """Say what is on disk of each part, without building it; where it is thorough, decode every image."""
