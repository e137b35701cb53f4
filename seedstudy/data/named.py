"""`cifar100`, `food101`, `pets`, `flowers`, `cars`, `imagenette`: in torchvision's layout, or as HF datasets has them.

A folder in `--data-dir` is read as torchvision leaves it after its download; its classes are not used, because they
check the archives and not the images. Without a folder, or with one of Parquet files, HF datasets reads. `val` is the
original's test part. Images are decoded as torchvision does it: converted to RGB, and nothing else.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress, numbered
from seedstudy.data.collection import Found, Wishes, content_of, decoded_to, findings
from seedstudy.data.finding import Entry, encoded_images
from seedstudy.data.folders import File, FolderReader, walk
from seedstudy.errors import DataError, StoreError, first_line
from seedstudy.files import opened, read_bytes, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seedstudy.data.base import Images

Labelled = Iterable[tuple[str, str]]
"""(path below the folder, class) of every image of a part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """What is known of one data set."""

    title: str
    n_train: int
    n_val: int
    n_classes: int
    folders: tuple[str, ...]
    """Patterns of the folder that torchvision unpacks to."""
    marker: str
    """What that folder holds for certain."""
    hub: str
    columns: tuple[str, str]
    """Of images and labels on the hub."""
    read: Callable[[Path], Mapping[str, Labelled]]
    """Folder -> its parts, train and val; the order in which classes first appear is that of the labels."""
    config: str | None = None
    trains_on_val: bool = False
    """Whether the training images are those of train and of validation (flowers: 1,020 each)."""
    default_model: str = "resnet18"
    image_size: int | None = None
    about: str = ""


def _text(path: Path) -> str:
    try:
        return read_bytes(path, limit=2**24).decode("utf-8-sig")
    except (StoreError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)}); unpack the archive again") from error


def _food101(root: Path) -> dict[str, Labelled]:
    parts: dict[str, Labelled] = {}
    for part, name in (("train", "train.json"), ("val", "test.json")):
        try:
            by_class = json.loads(_text(root / "meta" / name))
            parts[part] = [(f"images/{each}.jpg", label) for label in sorted(by_class) for each in by_class[label]]
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{root / 'meta' / name}: not a list of Food-101; unpack the archive again") from error
    return parts


def _pets(root: Path) -> dict[str, Labelled]:
    parts: dict[str, Labelled] = {}
    for part, name in (("train", "trainval.txt"), ("val", "test.txt")):
        rows = [line.split() for line in _text(root / "annotations" / name).splitlines() if line.strip()]
        try:
            ordered = sorted(rows, key=lambda row: (int(row[1]), row[0]))
            parts[part] = [(f"images/{row[0]}.jpg", row[0].rpartition("_")[0]) for row in ordered]
        except (ValueError, IndexError) as error:
            raise DataError(f"{root / 'annotations' / name}: not the list of pets; unpack the archive again") from error
    return parts


def _flowers(root: Path) -> dict[str, Labelled]:
    labels = _matlab(root / "imagelabels.mat")["labels"].ravel()
    ids = _matlab(root / "setid.mat")
    numbers = {"train": np.concatenate([ids["trnid"].ravel(), ids["valid"].ravel()]), "val": ids["tstid"].ravel()}
    parts: dict[str, Labelled] = {}
    for part, chosen in numbers.items():
        if len(chosen) and not 1 <= int(chosen.min()) <= int(chosen.max()) <= len(labels):
            raise DataError(f"{root / 'setid.mat'}: it names images beyond the {len(labels)} labels; get it again")
        ordered = sorted(chosen.tolist(), key=lambda number: (int(labels[number - 1]), number))
        parts[part] = [(f"jpg/image_{number:05d}.jpg", str(int(labels[number - 1]))) for number in ordered]
    return parts


def _cars(root: Path) -> dict[str, Labelled]:
    names = [str(name.item()) for name in _matlab(root / "devkit" / "cars_meta.mat")["class_names"].ravel()]
    parts: dict[str, Labelled] = {}
    lists = {
        "train": (root / "devkit" / "cars_train_annos.mat", "cars_train"),
        "val": (root / "cars_test_annos_withlabels.mat", "cars_test"),
    }
    for part, (path, folder) in lists.items():
        rows = _matlab(path)["annotations"].ravel()
        try:
            pairs = sorted((int(row["class"].item()), str(row["fname"].item())) for row in rows)
            parts[part] = [(f"{folder}/{name}", names[number - 1]) for number, name in pairs]
        except (ValueError, IndexError, KeyError) as error:
            raise DataError(f"{path}: not the list of cars (with labels); get it again") from error
    return parts


def _matlab(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        with opened(path) as file:
            stream: Any = file
            made: dict[str, Any] = loadmat(stream)
    except Exception as error:  # whatever damaged bytes make of the reader
        if isinstance(error, MemoryError):
            raise
        raise DataError(f"{path}: not a readable MATLAB file ({first_line(error)}); get it again") from error
    return _Matlab(made, path)


class _Matlab(dict[str, Any]):
    """The arrays of a MATLAB file; one that is missing is an error of one line."""

    def __init__(self, made: dict[str, Any], path: Path) -> None:
        super().__init__(made)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self._path}: it has no {key}; get the original file")


_KINDS = {
    "cifar100": _Kind(
        title="CIFAR-100",
        n_train=50_000,
        n_val=10_000,
        n_classes=100,
        folders=("cifar-100-python",),
        marker="train",
        hub="uoft-cs/cifar100",
        columns=("img", "fine_label"),
        read=lambda root: {},
        default_model="resnet20",
        image_size=32,
    ),
    "food101": _Kind(
        title="Food-101",
        n_train=75_750,
        n_val=25_250,
        n_classes=101,
        folders=("food-101",),
        marker="meta/train.json",
        hub="ethz/food101",
        columns=("image", "label"),
        read=_food101,
    ),
    "pets": _Kind(
        title="Oxford-IIIT Pet",
        n_train=3_680,
        n_val=3_669,
        n_classes=37,
        folders=("oxford-iiit-pet",),
        marker="annotations/trainval.txt",
        hub="timm/oxford-iiit-pet",
        columns=("image", "label"),
        read=_pets,
    ),
    "flowers": _Kind(
        title="Oxford Flowers-102",
        n_train=2_040,
        n_val=6_149,
        n_classes=102,
        folders=("flowers-102",),
        marker="setid.mat",
        hub="dpdl-benchmark/oxford_flowers102",
        columns=("image", "label"),
        read=_flowers,
        trains_on_val=True,
        about="; train is train and validation",
    ),
    "cars": _Kind(
        title="Stanford Cars",
        n_train=8_144,
        n_val=8_041,
        n_classes=196,
        folders=("stanford_cars",),
        marker="devkit/cars_train_annos.mat",
        hub="tanganke/stanford_cars",
        columns=("image", "label"),
        read=_cars,
    ),
    "imagenette": _Kind(
        title="Imagenette",
        n_train=9_469,
        n_val=3_925,
        n_classes=10,
        folders=("imagenette2*",),
        marker="train",
        hub="frgfm/imagenette",
        config="320px",
        columns=("image", "label"),
        read=lambda root: {},
    ),
}


class _Named:
    """A data set that many know by its name."""

    _name: str

    def __init__(self) -> None:
        self._kind = _KINDS[self._name]
        kind = self._kind
        self._found: Found | None = None
        self.info = DataInfo(
            name=self._name,
            title=kind.title,
            n_train=kind.n_train,
            image_size=kind.image_size,
            n_classes=kind.n_classes,
            epoch_ratio=0.1,
            default_model=kind.default_model,
            note=f"val: test images{kind.about}; from --data-dir, else downloaded.",
        )

    def source_key(self, data_dir: Path | None) -> str:
        """Return names, sizes and time stamps of all files; of the tables where HF datasets reads."""
        root = self._root(data_dir)
        if root is None:
            return json.dumps(["hub", self._hub(data_dir).stamp()])
        tree = walk(root)
        files = [[*file.inside, file.size, file.changed_ns] for file in (*tree.images, *tree.others)]
        return json.dumps(["files", str(root), files])

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Read every image."""
        say: Progress = lambda line: progress(f"{self._name}: {line}")  # noqa: E731
        content = content_of(self._read(data_dir, say), Wishes(), say)
        return replace(content, partial=self._partial(content))

    def _partial(self, content: Content) -> dict[str, tuple[int, int]]:
        counts = {"train": len(content.train_labels)} | {each.name: len(each) for each in content.eval_sets}
        expected = {"train": self._kind.n_train, "val": self._kind.n_val}
        return {part: (counts[part], n) for part, n in expected.items() if counts.get(part, n) != n}

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> Sequence[Finding]:
        """Find all images, and decode a sample of them or all."""
        if data_dir is None:
            note = f"read through HF datasets on first use; or {self._how()}"
            return [Finding(part=part, status="missing", where=self._kind.hub, note=note) for part in ("train", "val")]
        say: Progress = lambda line: progress(f"{self._name}: {line}")  # noqa: E731
        found = self._read(data_dir, say)
        expected = {"train": self._kind.n_train, "val": self._kind.n_val}
        made = []
        for each in findings(found, Wishes(), is_thorough=is_thorough, progress=say):
            n, n_complete = len(found.parts.get(each.part, ())), expected.get(each.part)
            if n_complete is not None and each.status == "found" and each.where and n != n_complete:
                note = f"{each.note}; the complete part has {n_complete:,} images"
                made.append(replace(each, status="partial", note=note))
            else:
                made.append(each)
        return made

    def _how(self) -> str:
        return (
            f"give --data-dir a folder with torchvision's {self._kind.folders[0]}, or with the Parquet files of "
            f"{self._kind.hub}"
        )

    def _root(self, data_dir: Path | None) -> Path | None:
        """Return the folder in torchvision's layout; None where HF datasets must read."""
        if data_dir is None:
            return None
        data_dir = Path(data_dir).absolute()
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: no such folder; {self._how()}")
        below = [path for pattern in self._kind.folders for path in sorted(data_dir.glob(pattern))]
        for root in (data_dir, *below):
            if (root / self._kind.marker).exists():
                return root
        if any(data_dir.glob("**/*.parquet")):
            return None
        raise DataError(f"{data_dir}: there is no {self._name}; {self._how()}")

    def _hub(self, data_dir: Path | None) -> Any:
        from seedstudy.data.hub import HubReader

        image, label = self._kind.columns
        place = self._kind.hub if data_dir is None else str(data_dir)
        return HubReader(place, config=self._kind.config if data_dir is None else None, image=image, label=label)

    def _read(self, data_dir: Path | None, progress: Progress) -> Found:
        root = self._root(data_dir)
        found = self._of_hub(data_dir, progress) if root is None else self._of_files(root, progress)
        return replace(found, as_shown=False)

    def _of_hub(self, data_dir: Path | None, progress: Progress) -> Found:
        found: Found = self._hub(data_dir).read(progress)
        parts = {part: list(entries) for part, entries in found.parts.items()}
        if "train" not in parts:
            raise DataError(f"{found.where}: no split train; {self._how()}")
        if self._kind.trains_on_val and "val" in parts and "test" in parts:
            parts["train"] += parts.pop("val")
        if "val" not in parts and "test" in parts:
            parts["val"] = parts.pop("test")
        return replace(found, parts={part: parts[part] for part in ("train", "val") if part in parts})

    def _of_files(self, root: Path, progress: Progress) -> Found:
        files = {"/".join(file.inside): file for file in walk(root).images}
        parts: dict[str, list[Entry]] = {}
        classes: dict[str, None] = {}
        for part, labelled in self._kind.read(root).items():
            parts[part] = []
            for name, label in labelled:
                file = files.get(name)
                if file is None:
                    raise DataError(f"{root / name}: it is listed and not there; unpack the archive again")
                classes.setdefault(label)
                parts[part].append(_entry(file, name, label))
        return Found(where=str(root), parts=parts, classes=tuple(classes))


def _entry(file: File, name: str, label: str) -> Entry:
    return Entry(label, name, file.path, 0, file.size, file.changed_ns)


class Food101(_Named):
    """101 kinds of food, 1,000 images each."""

    _name = "food101"


class Pets(_Named):
    """37 breeds of cats and dogs."""

    _name = "pets"


class Flowers(_Named):
    """102 flowers."""

    _name = "flowers"


class Cars(_Named):
    """196 models of cars."""

    _name = "cars"


class Imagenette(_Named):
    """Ten classes of ImageNet that are easy to tell apart (fast.ai)."""

    _name = "imagenette"

    def _of_files(self, root: Path, progress: Progress) -> Found:
        return replace(FolderReader(root).read(progress), label_sets=None)


# --- CIFAR-100: arrays -----------------------------------------------------------------------------------------------


class Cifar100(_Named):
    """100 classes of 32 x 32 px, kept decoded, with the 100 fine labels."""

    _name = "cifar100"

    def source_key(self, data_dir: Path | None) -> str:
        """Return the digests of the files; of the tables where HF datasets reads."""
        root = self._root(data_dir)
        if root is None:
            return super().source_key(data_dir)
        return json.dumps([sha256(root / name) for name in ("train", "test", "meta") if (root / name).is_file()])

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Decode everything; the same pixels in the same order give the same data set, whatever file held them."""
        root = self._root(data_dir)
        if root is None:
            parts, classes = self._decoded(data_dir, lambda line: progress(f"cifar100: {line}"))
        else:
            classes = _names_of(root / "meta")
            parts = {"train": _unpickled(root / "train", classes), "val": _unpickled(root / "test", classes)}
        (train, labels), (images, wanted) = parts["train"], parts["val"]
        content = Content(
            classes=classes,
            train_images=train,
            train_labels=labels,
            images={"val": images},
            eval_sets=(EvalSet.of_labels("val", wanted, numbered("test", len(wanted))),),
            missing={},
        )
        return replace(content, partial=self._partial(content))

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> Sequence[Finding]:
        """Open each file and count its images."""
        root = self._root(data_dir)
        if root is None:
            return super().check(data_dir, is_thorough=is_thorough, progress=progress)
        classes = _names_of(root / "meta")
        found = []
        for part, name, n in (("train", "train", self._kind.n_train), ("val", "test", self._kind.n_val)):
            images, _ = _unpickled(root / name, classes)
            note = f"{len(images):,} of {n:,} images of {len(classes)} classes, 32 x 32 px, kept in memory"
            status = "found" if len(images) == n else "partial"
            found.append(Finding(part=part, status=status, where=str(root / name), note=note))  # type: ignore[arg-type]
        return found

    def _decoded(
        self, data_dir: Path | None, progress: Progress
    ) -> tuple[dict[str, tuple[Images, NDArray[np.int64]]], tuple[str, ...]]:
        found = self._of_hub(data_dir, progress)
        if "val" not in found.parts or found.classes is None:
            raise DataError(f"{found.where}: no split test with classes; {self._how()}")
        label_of = {name: label for label, name in enumerate(found.classes)}
        parts = {}
        for part, entries in found.parts.items():
            images = encoded_images(entries, [entry.name for entry in entries])
            labels = np.array([label_of[entry.folder] for entry in entries], dtype=np.int64)
            parts[part] = decoded_to(part, images, 32, progress), labels
        return parts, found.classes


class _OnlyArrays(pickle.Unpickler):
    """Reads the original's pickles: dictionaries, lists, texts and NumPy arrays; anything else could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _pickled(path: Path) -> dict[str, Any]:
    try:
        with opened(path) as file:
            made = _OnlyArrays(file, encoding="latin1").load()
        return {(key.decode() if isinstance(key, bytes) else str(key)): value for key, value in made.items()}
    except Exception as error:  # whatever damaged bytes make of the unpickler
        if isinstance(error, MemoryError):
            raise
        raise DataError(f"{path}: not CIFAR-100's own file ({first_line(error)}); unpack the archive again") from error


def _names_of(path: Path) -> tuple[str, ...]:
    names = _pickled(path).get("fine_label_names")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: it has no fine_label_names; unpack the archive again")
    return tuple(names)


def _unpickled(path: Path, classes: Sequence[str]) -> tuple[Images, NDArray[np.int64]]:
    made = _pickled(path)
    pixels, labels = made.get("data"), np.asarray(made.get("fine_labels", []))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise DataError(f"{path}: no images of 3 x 32 x 32 bytes in it; unpack the archive again")
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: {labels.size} labels for {len(pixels)} images; unpack the archive again")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise DataError(f"{path}: image {wrong[0]} has label {labels[wrong[0]]}, expected 0 to {len(classes) - 1}")
    images: Images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, labels.astype(np.int64)
