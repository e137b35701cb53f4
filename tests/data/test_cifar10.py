"""cifar10: the hub's parquet layout, CIFAR-10H label sets, CIFAR-10.1, and what is said of wrong files."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from seedstudy.data import check, cifar10, load, prepare
from seedstudy.data.base import Dataset, EvalSet, Finding, numbered
from seedstudy.errors import DataError

N_TRAIN, N_TEST, N_V6 = 40, 20, 10
Row = dict[str, object]


@pytest.fixture(autouse=True)
def small_counts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the made-up files be as small as they are; the real files have the real counts."""
    if "real_folder" not in request.fixturenames:
        monkeypatch.setattr(cifar10, "N_TRAIN", N_TRAIN)
        monkeypatch.setattr(cifar10, "N_TEST", N_TEST)
        monkeypatch.setattr(cifar10, "N_V6", N_V6)


def png(level: int, size: tuple[int, int] = (32, 32)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (level, level, 255 - level)).save(stream, "PNG")
    return stream.getvalue()


def rows_of(n: int, *, first_level: int) -> list[Row]:
    """Image i is a flat colour that tells its row, label i % 10."""
    return [{"img": {"bytes": png(first_level + i), "path": f"{i}.png"}, "label": i % 10} for i in range(n)]


def write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lay out the images as the hub does, without CIFAR-10H and CIFAR-10.1."""
    write(tmp_path / "hub/plain_text/train-00000-of-00001.parquet", rows_of(N_TRAIN, first_level=100))
    write(tmp_path / "hub/plain_text/test-00000-of-00001.parquet", rows_of(N_TEST, first_level=0))
    return tmp_path / "hub"


def counts_of_annotators() -> np.ndarray:
    """50 annotators each, all naming the test label, but for three images."""
    counts = np.zeros((N_TEST, 10), dtype=np.int64)
    counts[np.arange(N_TEST), np.arange(N_TEST) % 10] = 50
    counts[3] = [0, 0, 0, 40, 0, 10, 0, 0, 0, 0]  # exactly 20 % say 5
    counts[4] = [0, 0, 0, 0, 41, 9, 0, 0, 0, 0]  # 18 % say 5
    counts[5] = [5, 5, 5, 5, 5, 9, 4, 4, 4, 4]  # nobody reaches 20 %
    return counts


def add_v6(folder: Path, *, labels: object = None) -> None:
    np.save(folder / "cifar10.1_v6_data.npy", np.full((N_V6, 32, 32, 3), 9, dtype=np.uint8))
    np.save(folder / "cifar10.1_v6_labels.npy", np.arange(N_V6, dtype=np.int32) if labels is None else labels)


def prepared(folder: Path | None, cache_dir: Path) -> Dataset:
    return load(prepare("cifar10", data_dir=folder, cache_dir=cache_dir))


# --- what is read ----------------------------------------------------------------------------------------


def test_images_and_labels_keep_their_rows(folder: Path, tmp_path: Path) -> None:
    data = prepared(folder, tmp_path / "cache")
    np.testing.assert_array_equal(data.train_images[:, 0, 0, 0], 100 + np.arange(N_TRAIN))
    np.testing.assert_array_equal(data.images["val"][:, 31, 31, 2], 255 - np.arange(N_TEST))
    np.testing.assert_array_equal(data.train_labels, np.arange(N_TRAIN) % 10)
    np.testing.assert_array_equal(data.eval_sets["val"].label_values, np.arange(N_TEST) % 10)
    assert data.eval_sets["val"].example_ids[7] == "test-00007"


def test_files_directly_in_the_folder_are_the_same_data(folder: Path, tmp_path: Path) -> None:
    first = prepared(folder, tmp_path / "cache")
    for path in (folder / "plain_text").iterdir():
        path.rename(folder / path.name)
    assert prepared(folder, tmp_path / "cache").fingerprint == first.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_absent_eval_sets_are_named_with_how_to_get_them(folder: Path, tmp_path: Path) -> None:
    data = prepared(folder, tmp_path / "cache")
    assert list(data.eval_sets) == ["val"]
    assert set(data.missing) == {"real", "v2"}
    assert "cifar10h-counts.npy" in data.missing["real"]
    assert "cifar10.1_v6_labels.npy" in data.missing["v2"]


def test_label_sets_are_the_classes_of_a_fifth_of_the_annotators(folder: Path, tmp_path: Path) -> None:
    (folder / "h").mkdir()
    np.save(folder / "h/cifar10h-counts.npy", counts_of_annotators())
    data = prepared(folder, tmp_path / "cache")
    real = data.eval_sets["real"]
    assert real.images == "val"
    assert 5 not in real.rows
    assert len(real) == N_TEST - 1
    sets = {
        int(row): real.label_values[real.label_offsets[i] : real.label_offsets[i + 1]].tolist()
        for i, row in enumerate(real.rows)
    }
    assert (sets[2], sets[3], sets[4]) == ([2], [3, 5], [4])
    assert real.example_ids[5] == "test-00006"  # the sixth that is left
    assert set(data.missing) == {"v2"}


def test_v6_is_v2(folder: Path, tmp_path: Path) -> None:
    add_v6(folder)
    data = prepared(folder, tmp_path / "cache")
    assert (data.images["v2"] == 9).all()
    assert data.eval_sets["v2"].label_values.tolist() == list(range(10))
    assert data.eval_sets["v2"].images == "v2"
    assert set(data.missing) == {"real"}


def test_half_of_v6_is_missing(folder: Path, tmp_path: Path) -> None:
    add_v6(folder)
    (folder / "cifar10.1_v6_labels.npy").unlink()
    assert "v2" in prepared(folder, tmp_path / "cache").missing


def test_a_new_or_changed_file_makes_a_new_entry(folder: Path, tmp_path: Path) -> None:
    fingerprints = {prepared(folder, tmp_path / "cache").fingerprint}
    add_v6(folder)
    fingerprints.add(prepared(folder, tmp_path / "cache").fingerprint)
    np.save(folder / "cifar10.1_v6_data.npy", np.full((N_V6, 32, 32, 3), 8, dtype=np.uint8))
    fingerprints.add(prepared(folder, tmp_path / "cache").fingerprint)
    np.save(folder / "cifar10h-counts.npy", counts_of_annotators())
    fingerprints.add(prepared(folder, tmp_path / "cache").fingerprint)
    assert len(fingerprints) == 4


def test_progress_counts_to_the_end_in_ten_lines(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "_BATCH", 2)
    lines: list[str] = []
    prepare("cifar10", data_dir=folder, cache_dir=tmp_path / "cache", progress=lines.append)
    assert len(lines) == 10
    assert lines[0] == "cifar10: 6 of 60 images decoded"
    assert lines[-1] == "cifar10: 60 of 60 images decoded"


# --- what is wrong -----------------------------------------------------------------------------------------


def spoil_image(folder: Path) -> None:
    rows = rows_of(N_TEST, first_level=0)
    rows[13]["img"] = {"bytes": png(13)[:60], "path": "13.png"}
    write(folder / "plain_text/test-00000-of-00001.parquet", rows)


def spoil_no_bytes(folder: Path) -> None:
    rows = rows_of(N_TEST, first_level=0)
    rows[13]["img"] = {"bytes": None, "path": "13.png"}
    write(folder / "plain_text/test-00000-of-00001.parquet", rows)


def spoil_size(folder: Path) -> None:
    rows = rows_of(N_TRAIN, first_level=0)
    rows[2]["img"] = {"bytes": png(2, size=(28, 30)), "path": "2.png"}
    write(folder / "plain_text/train-00000-of-00001.parquet", rows)


def spoil_label(folder: Path) -> None:
    rows = rows_of(N_TRAIN, first_level=0)
    rows[5]["label"] = 10
    write(folder / "plain_text/train-00000-of-00001.parquet", rows)


def spoil_label_kind(folder: Path) -> None:
    rows = [row | {"label": "cat"} for row in rows_of(N_TRAIN, first_level=0)]
    write(folder / "plain_text/train-00000-of-00001.parquet", rows)


def spoil_label_absent(folder: Path) -> None:
    rows = rows_of(N_TRAIN, first_level=0)
    rows[5]["label"] = None
    write(folder / "plain_text/train-00000-of-00001.parquet", rows)


def spoil_columns(folder: Path) -> None:
    rows = [{"image": row["img"], "label": row["label"]} for row in rows_of(N_TRAIN, first_level=0)]
    write(folder / "plain_text/train-00000-of-00001.parquet", rows)


def spoil_cells(folder: Path) -> None:
    write(folder / "plain_text/train-00000-of-00001.parquet", [{"img": i, "label": 0} for i in range(N_TRAIN)])


def spoil_count(folder: Path) -> None:
    write(folder / "plain_text/train-00000-of-00001.parquet", rows_of(N_TRAIN - 1, first_level=0))


def spoil_parquet(folder: Path) -> None:
    path = folder / "plain_text/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def spoil_missing(folder: Path) -> None:
    (folder / "plain_text/test-00000-of-00001.parquet").unlink()


def spoil_counts_shape(folder: Path) -> None:
    np.save(folder / "cifar10h-counts.npy", counts_of_annotators()[:-1])


def spoil_counts_kind(folder: Path) -> None:
    np.save(folder / "cifar10h-counts.npy", counts_of_annotators() / 50)


def spoil_counts_order(folder: Path) -> None:
    np.save(folder / "cifar10h-counts.npy", counts_of_annotators()[::-1])


def spoil_v6_shape(folder: Path) -> None:
    add_v6(folder)
    np.save(folder / "cifar10.1_v6_data.npy", np.zeros((N_V6, 32, 32), dtype=np.uint8))


def spoil_v6_labels(folder: Path) -> None:
    add_v6(folder, labels=np.arange(N_V6 - 1))


def spoil_v6_pickled(folder: Path) -> None:
    add_v6(folder)
    np.save(folder / "cifar10.1_v6_labels.npy", np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("spoil", "file", "says"),
    [
        (spoil_image, "test-00000-of-00001.parquet", "the image in row 13 does not decode"),
        (spoil_no_bytes, "test-00000-of-00001.parquet", "the image in row 13 does not decode"),
        (spoil_size, "train-00000-of-00001.parquet", "the image in row 2 is 28 x 30 pixels, expected 32 x 32"),
        (spoil_label, "train-00000-of-00001.parquet", "row 5 has label 10, expected 0 to 9"),
        (spoil_label_kind, "train-00000-of-00001.parquet", "not a column of whole numbers"),
        (spoil_label_absent, "train-00000-of-00001.parquet", "not a column of whole numbers"),
        (spoil_columns, "train-00000-of-00001.parquet", "no column img (only image, label)"),
        (spoil_cells, "train-00000-of-00001.parquet", "does not hold encoded images"),
        (spoil_count, "train-00000-of-00001.parquet", "39 rows, expected 40"),
        (spoil_parquet, "train-00000-of-00001.parquet", "not a readable parquet file"),
        (spoil_missing, "test-00000-of-00001.parquet", "is missing there"),
        (spoil_counts_shape, "cifar10h-counts.npy", "shape (19, 10), expected whole numbers of shape (20, 10)"),
        (spoil_counts_kind, "cifar10h-counts.npy", "float64 array"),
        (spoil_counts_order, "cifar10h-counts.npy", "are not in the order of the test images"),
        (spoil_v6_shape, "cifar10.1_v6_data.npy", "shape (10, 32, 32), expected uint8"),
        (spoil_v6_labels, "cifar10.1_v6_labels.npy", "9 labels for 10 images"),
        (spoil_v6_pickled, "cifar10.1_v6_labels.npy", "not a readable .npy array"),
    ],
)
def test_wrong_files_are_named_in_one_line(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None], file: str, says: str
) -> None:
    spoil(folder)
    with pytest.raises(DataError) as caught:
        prepared(folder, tmp_path / "cache")
    message = str(caught.value)
    assert file in message
    assert says in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_an_absent_folder_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; give --data-dir a folder with train-.* and test-"):
        prepared(tmp_path / "nowhere", tmp_path / "cache")


# --- check ---------------------------------------------------------------------------------------------------


def test_check_finds_missing_and_damaged(folder: Path) -> None:
    spoil_count(folder)
    np.save(folder / "cifar10h-counts.npy", counts_of_annotators())
    findings = {finding.part: finding for finding in check("cifar10", folder).parts}
    assert {part: each.status for part, each in findings.items()} == {
        "train": "damaged",
        "val": "found",
        "real": "found",
        "v2": "missing",
    }
    assert findings["train"].note == "39 of 40 images"
    assert "cifar10.1_v6_data.npy" in findings["v2"].note


def test_check_without_a_folder_says_how_to_get_everything() -> None:
    findings = check("cifar10").parts
    assert [finding.part for finding in findings] == ["train", "val", "real", "v2"]
    assert all(finding.status == "missing" and finding.note for finding in findings)


# --- download ------------------------------------------------------------------------------------------------


def test_hf_datasets_reads_the_same_pixels(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets as hf

    monkeypatch.setattr(cifar10, "HUB_ID", str(folder))  # load_dataset takes a folder where it takes an id
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    downloaded = prepared(None, tmp_path / "cache")
    from_files = prepared(folder, tmp_path / "cache")
    np.testing.assert_array_equal(downloaded.train_images, from_files.train_images)
    np.testing.assert_array_equal(downloaded.train_labels, from_files.train_labels)
    assert downloaded.fingerprint == from_files.fingerprint
    assert set(downloaded.missing) == {"real", "v2"}


def test_no_network_says_how_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import datasets as hf

    def offline(*args: object, **options: object) -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise ConnectionError("Couldn't reach the hub\nwith details")

    monkeypatch.setattr(hf, "load_dataset", offline)
    with pytest.raises(DataError, match=r"cannot download .*Couldn't reach the hub\); give --data-dir") as caught:
        prepared(None, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert caplog.text == ""  # one line, not one for every try
    assert list((tmp_path / "cache").iterdir()) == []


# --- the real files --------------------------------------------------------------------------------------------


@pytest.fixture
def real_folder() -> Path:
    default = Path(__file__).parents[3] / "shared/data/cifar10"
    path = Path(os.environ.get("SEEDSTUDY_CIFAR10", default))
    if not path.is_dir():
        pytest.skip("no CIFAR-10 files: set SEEDSTUDY_CIFAR10 to their folder")
    return path


def test_the_real_test_images(real_folder: Path) -> None:
    """Decode a part of the real files; all 60,000 images take too long for every day."""
    statuses = {finding.part: finding.status for finding in check("cifar10", real_folder).parts}
    assert statuses["train"] == statuses["val"] == "found"
    files = cifar10._files(real_folder)
    encoded, labels = cifar10._columns(cifar10._read_parquet(files["val"], cifar10.N_TEST), "val", cifar10.N_TEST)
    assert np.bincount(labels).tolist() == [1000] * 10
    images = cifar10._decode({"val": encoded[:1000]}, {"val": "val"}, lambda line: None)["val"]
    assert images.shape == (1000, 32, 32, 3)
    np.testing.assert_allclose(images.mean(axis=(0, 1, 2)) / 255, (0.494, 0.485, 0.450), atol=0.02)
    if "counts" not in files:
        pytest.skip("the rest needs cifar10h-counts.npy")
    val = EvalSet.of_labels("val", labels, numbered("test", len(labels)))
    real = cifar10._real(cifar10._read_counts(files["counts"]), val, files["counts"])
    assert len(real) == 10_000
    assert np.bincount(np.diff(real.label_offsets)).tolist() == [0, 9618, 365, 17]


def test_a_thorough_check_decodes_every_image(folder: Path) -> None:
    def findings(progress: Callable[[str], None] | None = None) -> dict[str, Finding]:
        return {each.part: each for each in check("cifar10", folder, is_thorough=True, progress=progress).parts}

    lines: list[str] = []
    assert findings(lines.append)["val"].note == f"{N_TEST} of {N_TEST} images, all decoded"
    assert lines
    spoil_image(folder)
    found = findings()
    assert (found["train"].status, found["val"].status) == ("found", "damaged")
    assert "the image in row 13 does not decode" in found["val"].note


def test_a_small_file_of_very_many_rows_is_not_read(folder: Path, tmp_path: Path) -> None:
    path = folder / "plain_text/train-00000-of-00001.parquet"
    rows = pyarrow.table({"label": np.zeros(1_000_000, dtype=np.int64)})
    with pyarrow.parquet.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for _ in range(50):
            writer.write_table(rows)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match=f"50,000,000 rows, expected {N_TRAIN}"):
        prepare("cifar10", data_dir=folder, cache_dir=tmp_path / "cache")
    write(path, [{"img": {"bytes": bytes(10_000_000), "path": "x.png"}, "label": 0}] * N_TRAIN)  # stored once
    with pytest.raises(DataError, match="more than 268,435,456 bytes"):
        prepare("cifar10", data_dir=folder, cache_dir=tmp_path / "cache")
