"""`cifar10`: the hub's parquet files from a folder or a download; val, real (CIFAR-10H), v2 (CIFAR-10.1 v6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seedstudy.data import arrays
from seedstudy.data.base import Content, DataInfo, EvalSet, Finding, Progress, numbered
from seedstudy.data.encoded import decoded
from seedstudy.data.hub import quiet_tries
from seedstudy.errors import DataError, first_line
from seedstudy.files import sha256
from seedstudy.machine import cores

if TYPE_CHECKING:
    from seedstudy.data.base import Images

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGE_SHAPE = (32, 32, 3)
N_TRAIN, N_TEST, N_V6 = 50_000, 10_000, 2_000

HUB_ID = "uoft-cs/cifar10"

REAL_SHARE_PERCENT = 20
"""A class is in an image's label set when at least this share of its annotators named it."""
LEAST_AGREEMENT = 0.9
"""In test order, most annotators name the test label of 99.2 % of the images; in any other order of about 10 %."""

_FILES = {
    "train": "train-00000-of-00001.parquet",
    "val": "test-00000-of-00001.parquet",
    "counts": "cifar10h-counts.npy",
    "v6_images": "cifar10.1_v6_data.npy",
    "v6_labels": "cifar10.1_v6_labels.npy",
}
_HOW = {
    "real": f"needs {_FILES['counts']} (CIFAR-10H: jcpeterson/cifar-10h on GitHub, folder data) in the --data-dir "
    "folder.",
    "v2": f"needs {_FILES['v6_images']} and {_FILES['v6_labels']} (CIFAR-10.1: modestyachts/CIFAR-10.1 on GitHub, "
    "folder datasets) in the --data-dir folder.",
}
_HOW_PARQUET = (
    f"give --data-dir a folder with {_FILES['train']} and {_FILES['val']} "
    f"(folder plain_text of the hub's data set {HUB_ID})"
)


class Cifar10:
    """val: the test images; real: CIFAR-10H; v2: CIFAR-10.1 v6."""

    info = DataInfo(
        name="cifar10",
        title="CIFAR-10",
        n_train=N_TRAIN,
        image_size=IMAGE_SHAPE[0],
        n_classes=len(CLASSES),
        epoch_ratio=0.1,
        default_model="resnet8",
        note="val: test images, real: CIFAR-10H, v2: CIFAR-10.1 v6; from --data-dir, else downloaded.",
    )

    def source_key(self, data_dir: Path | None) -> str:
        """Return a digest of all files; the hub's id for a download."""
        if data_dir is None:
            return f"hub {HUB_ID}"
        found = _files(data_dir)
        digests = (sha256(found[part]) if part in found else "-" for part in _FILES)
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Decode train and test images and read whatever eval sets the folder has."""
        files = {} if data_dir is None else _files(data_dir)
        # The small files first: a wrong one is reported before the long decoding.
        counts = _read_counts(files["counts"]) if "counts" in files else None
        v6 = _read_v6(files["v6_images"], files["v6_labels"]) if {"v6_images", "v6_labels"} <= files.keys() else None
        if files:
            where = {"train": str(files["train"]), "val": str(files["val"])}
            tables = {split: _read_parquet(files[split], n) for split, n in (("train", N_TRAIN), ("val", N_TEST))}
        else:
            progress(f"cifar10: downloading {HUB_ID}")
            tables, where = _download()
        encoded, labels = {}, {}
        for split, n_expected in (("train", N_TRAIN), ("val", N_TEST)):
            encoded[split], labels[split] = _columns(tables[split], where[split], n_expected)
        val = EvalSet.of_labels("val", labels["val"], numbered("test", N_TEST))
        eval_sets = {"val": val}
        if counts is not None:
            eval_sets["real"] = _real(counts, val, files["counts"])
        if v6 is not None:
            eval_sets["v2"] = EvalSet.of_labels("v2", v6[1], numbered("v6", N_V6))
        images = _decode(encoded, where, progress)
        return Content(
            classes=CLASSES,
            train_images=images["train"],
            train_labels=labels["train"],
            images={"val": images["val"]} | ({} if v6 is None else {"v2": v6[0]}),
            eval_sets=tuple(eval_sets.values()),
            missing={name: how for name, how in _HOW.items() if name not in eval_sets},
        )

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> list[Finding]:
        """Look for each file and open its header; where it is thorough, decode every image."""
        if data_dir is not None:
            say = progress if is_thorough else None
            return [
                _finding("train", data_dir, "train", n_expected=N_TRAIN, decode=say),
                _finding("val", data_dir, "val", n_expected=N_TEST, decode=say),
                _finding("real", data_dir, "counts"),
                _finding("v2", data_dir, "v6_images", "v6_labels"),
            ]
        how = dict.fromkeys(("train", "val"), f"downloaded on first use; or {_HOW_PARQUET}") | _HOW
        return [
            Finding(part=part, status="missing", where="" if part in _HOW else HUB_ID, note=note)
            for part, note in how.items()
        ]


def _files(data_dir: Path) -> dict[str, Path]:
    """Return the files in the user's folder by part; DataError where train or val is absent."""
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder; {_HOW_PARQUET}")
    found = {part: path for part, name in _FILES.items() if (path := _find(data_dir, name)) is not None}
    for part in ("train", "val"):
        if part not in found:
            raise DataError(f"{data_dir}: {_FILES[part]} is missing there and in its subfolders; {_HOW_PARQUET}")
    return found


def _find(data_dir: Path, name: str) -> Path | None:
    """Return the file in the folder itself or, first by name, in one of its direct subfolders."""
    try:
        candidates = [data_dir / name, *sorted(data_dir.glob(f"*/{name}"))]
        return next((path for path in candidates if path.is_file()), None)
    except OSError as error:
        raise DataError(f"{data_dir}: cannot be read ({error.strerror}); check its permissions") from error


LARGEST_TABLE = 2**28
"""Bytes of a file's columns, unpacked; the larger of CIFAR-10's has 120 million. A small file can say many more."""
_ROWS_AT_ONCE = 8


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file; whatever it does not allow is a DataError."""
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise DataError(f"{path}: not a regular file; move it away")
    try:
        # One ParquetFile, not a dataset: a folder named "train=1" must not become a column.
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable parquet file ({first_line(error)}); get it again") from error


def _read_parquet(path: Path, n_expected: int) -> Any:
    """Return the PyArrow table of one file; DataError where it has another number of rows, or is not sound."""
    import pyarrow

    with _parquet(path) as file:
        about = file.metadata
        if about.num_rows != n_expected:
            raise DataError(f"{path}: {about.num_rows:,} rows, expected {n_expected:,}; get the complete file")
        n_bytes = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
        batches: list[Any] = []
        if n_bytes <= LARGEST_TABLE:
            n_bytes = 0  # a value that repeats is in the file once: its copies are counted as they come
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                n_bytes += batch.nbytes
                if n_bytes > LARGEST_TABLE:
                    break
                batches.append(batch)
        if n_bytes > LARGEST_TABLE:
            raise DataError(f"{path}: its columns have more than {LARGEST_TABLE:,} bytes; use the original file")
        table = pyarrow.Table.from_batches(batches, schema=file.schema_arrow)
        table.validate(full=True)
        return table


def _download() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tables of train and val from the hub (or from HF datasets' own cache) and their names."""
    import datasets

    try:
        with quiet_tries():
            hub = datasets.load_dataset(HUB_ID)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cifar10: cannot download {HUB_ID} ({first_line(error)}); {_HOW_PARQUET}") from error
    tables, where = {}, {}
    for split, hub_split in (("train", "train"), ("val", "test")):
        if hub_split not in hub:
            raise DataError(f"{HUB_ID}: no split {hub_split}; {_HOW_PARQUET}")
        # decode=False keeps the encoded bytes, as the parquet files hold them.
        undecoded = hub[hub_split].cast_column("img", datasets.Image(decode=False))
        tables[split], where[split] = undecoded.with_format("arrow")[:], f"{HUB_ID} ({hub_split})"
    return tables, where


def _columns(table: Any, where: str, n_expected: int) -> tuple[list[bytes | None], NDArray[np.int64]]:
    """Return (encoded images, labels) of a table; DataError where it is not CIFAR-10."""
    for name in ("img", "label"):
        if name not in table.column_names:
            columns = ", ".join(table.column_names)
            raise DataError(f"{where}: no column {name} (only {columns}); {_HOW_PARQUET}")
    if table.num_rows != n_expected:
        raise DataError(f"{where}: {table.num_rows} rows, expected {n_expected}; get the complete file")
    cells = table["img"].to_pylist()
    if not all(isinstance(cell, dict) and "bytes" in cell for cell in cells):
        raise DataError(f"{where}: column img does not hold encoded images (bytes, path); {_HOW_PARQUET}")
    labels = np.asarray(table["label"].to_numpy())
    return [cell["bytes"] for cell in cells], _checked_labels(labels, where)


def _checked_labels(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are not a column of whole numbers; get the file again")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong) > 0:
        raise DataError(
            f"{where}: row {wrong[0]} has label {labels[wrong[0]]}, expected 0 to {len(CLASSES) - 1}; "
            "get the file again"
        )
    return labels.astype(np.int64)


# --- decoding -----------------------------------------------------------------------------------------------

_BATCH = 500  # images


def _decode(
    splits: Mapping[str, list[bytes | None]], where: Mapping[str, str], progress: Progress
) -> dict[str, Images]:
    """Return (n, 32, 32, 3) uint8 for each split; the first image that does not decode is a DataError with its row.

    One thread per core: Pillow lets go of the interpreter lock.
    """
    images: dict[str, Images] = {
        split: np.empty((len(encoded), *IMAGE_SHAPE), dtype=np.uint8) for split, encoded in splits.items()
    }
    batches = [(split, start) for split, encoded in splits.items() for start in range(0, len(encoded), _BATCH)]

    def decode_batch(batch: tuple[str, int]) -> int:
        split, start = batch
        contents = splits[split][start : start + _BATCH]
        for row, content in enumerate(contents, start):
            images[split][row] = _decoded(content, where[split], row)
        return len(contents)

    n_total, n_done = sum(map(len, splits.values())), 0
    with ThreadPoolExecutor(max_workers=min(cores(), 8)) as pool:
        try:
            for n in pool.map(decode_batch, batches):
                tenths, n_done = 10 * n_done // n_total, n_done + n
                if 10 * n_done // n_total > tenths:  # a line every 10 %
                    progress(f"cifar10: {n_done:,} of {n_total:,} images decoded")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an error or Ctrl-C does not wait for the rest
            raise
    return images


def _decoded(content: bytes | None, where: str, row: int) -> Images:
    try:
        image, _ = decoded(content or b"")
    except ValueError as error:
        raise DataError(f"{where}: the image in row {row} does not decode; get the file again") from error
    pixels = np.asarray(image)
    if pixels.shape != IMAGE_SHAPE:
        height, width = pixels.shape[:2]
        raise DataError(f"{where}: the image in row {row} is {width} x {height} pixels, expected 32 x 32")
    return pixels


# --- eval sets ----------------------------------------------------------------------------------------------


def _real(counts: NDArray[np.int64], val: EvalSet, path: Path) -> EvalSet:
    """Return val judged by the classes that enough of its annotators named; counts: (n, n_classes)."""
    agreement = float((counts.argmax(axis=1) == val.label_values).mean())
    if agreement < LEAST_AGREEMENT:
        raise DataError(
            f"{path}: its rows are not in the order of the test images (most annotators agree with the label of only "
            f"{agreement:.0%}); use the original file and the original test order"
        )
    # Whole numbers: 20 % of 50 annotators is exactly 10 of them.
    belongs = counts * 100 >= counts.sum(axis=1, keepdims=True) * REAL_SHARE_PERCENT
    return val.with_label_sets("real", [np.flatnonzero(row) for row in belongs])


def _read_counts(path: Path) -> NDArray[np.int64]:
    counts = _read_array(path)
    if counts.shape != (N_TEST, len(CLASSES)) or counts.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {counts.dtype} array of shape {counts.shape}, expected whole numbers of shape "
            f"({N_TEST}, {len(CLASSES)}); use the original file"
        )
    if counts.min() < 0 or counts.sum(axis=1).min() == 0:
        raise DataError(f"{path}: negative counts or images without annotators; use the original file")
    return counts.astype(np.int64)


def _read_v6(images_path: Path, labels_path: Path) -> tuple[Images, NDArray[np.int64]]:
    """Return images and labels of CIFAR-10.1 v6."""
    images = _read_array(images_path)
    if images.shape != (N_V6, *IMAGE_SHAPE) or images.dtype != np.uint8:
        raise DataError(
            f"{images_path}: {images.dtype} array of shape {images.shape}, expected uint8 of shape "
            f"{(N_V6, *IMAGE_SHAPE)}; use the original file"
        )
    labels = _checked_labels(_read_array(labels_path), str(labels_path))
    if len(labels) != len(images):
        raise DataError(f"{labels_path}: {len(labels)} labels for {len(images)} images; use the v6 file")
    return images, labels


def _read_array(path: Path) -> NDArray[Any]:
    try:
        return arrays.mapped(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable .npy array ({first_line(error)}); get it again") from error


def _finding(
    part: str, data_dir: Path, *keys: str, n_expected: int | None = None, decode: Progress | None = None
) -> Finding:
    paths = [path for key in keys if (path := _find(data_dir, _FILES[key])) is not None]
    if len(paths) < len(keys):
        return Finding(part=part, status="missing", where=str(data_dir), note=_HOW.get(part, _HOW_PARQUET))
    where = str(paths[0])
    try:
        if n_expected is None:
            n_rows, *_ = [len(_read_array(path)) for path in paths]
            return Finding(part=part, status="found", where=where, note=f"{n_rows:,} rows")
        with _parquet(paths[0]) as file:
            n_rows = file.metadata.num_rows
        if decode is not None:
            encoded, _ = _columns(_read_parquet(paths[0], n_expected), where, n_expected)
            _decode({part: encoded}, {part: where}, decode)
    except DataError as error:
        return Finding(part=part, status="damaged", where=where, note=str(error))
    status: Any = "found" if n_rows == n_expected else "damaged"
    note = f"{n_rows:,} of {n_expected:,} images" + ("" if decode is None else ", all decoded")
    return Finding(part=part, status=status, where=where, note=note)
