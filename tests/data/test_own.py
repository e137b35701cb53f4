"""Images of one's own: layouts, classes, splits, odd images, wrong input."""

from __future__ import annotations

import csv
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seedstudy.data import check, facts_of, name_of, prepare
from seedstudy.data.base import Dataset
from seedstudy.data.collection import held_out
from seedstudy.data.encoded import decoded
from seedstudy.engines.launch import resolve
from seedstudy.errors import DataError
from seedstudy.study.study import Study, load_study
from tests.imagenet_tree import jpeg, write
from tests.own_data import fails, loaded

pytestmark = pytest.mark.train  # Pillow

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that lays out class folders: part -> classes -> number of images, each with its own pixels."""
    made = iter(range(10_000))

    def make(parts: dict[str, dict[str, int]], *, size: tuple[int, int] = (140, 100), root: str = "photos") -> Path:
        for part, classes in parts.items():
            for name, n_images in classes.items():
                for n in range(n_images):
                    write(tmp_path / root / part / name / f"{n:02d}.jpg", jpeg(next(made), size=size))
        return tmp_path / root

    return make


def ids(data: Dataset, part: str) -> list[str]:
    if part == "train":
        return [name.decode() for name in data.stored["train"].names]
    return list(data.eval_sets[part].example_ids)


# --- layouts -----------------------------------------------------------------------------------------------


def test_train_val_and_test_folders(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 4}, "val": {"cat": 1, "dog": 2}, "test": {"cat": 2, "dog": 1}})
    data = loaded(f"folder:{root}", tmp_path)
    assert (data.name, data.classes, data.image_size) == ("folder-photos", ("cat", "dog"), None)
    assert data.train_labels.tolist() == [0] * 3 + [1] * 4
    assert list(data.eval_sets) == ["val", "test"]
    assert ids(data, "val") == ["val/cat/00.jpg", "val/dog/00.jpg", "val/dog/01.jpg"]
    assert data.eval_sets["test"].label_values.tolist() == [0, 0, 1]
    assert (data.doubts, data.missing) == ((), {})
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("name", ["val", "validation", "Valid", "dev"])
def test_other_names_of_val(name: str, tree: Tree, tmp_path: Path) -> None:
    root = tree({"Train": {"cat": 2, "dog": 2}, name: {"cat": 1, "dog": 1}})
    data = loaded(f"folder:{root}", tmp_path)
    assert (len(data.train_labels), list(data.eval_sets)) == (4, ["val"])


def test_test_is_val_where_there_is_no_other_and_that_is_said(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 9, "dog": 9}, "test": {"cat": 1, "dog": 2}})
    data = loaded(f"folder:{root}", tmp_path)
    assert ids(data, "val") == ["test/cat/00.jpg", "test/dog/00.jpg", "test/dog/01.jpg"]
    assert data.doubts == ("val: the images of test, since there is no val; ,val=0.1 holds out a val of train instead",)
    split = loaded(f"folder:{root},val=0.3", tmp_path)
    assert (list(split.eval_sets), len(split.train_labels)) == (["val", "test"], 12)


def test_one_level_is_split_class_by_class(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 10, "dog": 20}})
    data = loaded(f"folder:{root}", tmp_path)
    assert np.bincount(data.train_labels).tolist() == [8, 16]
    assert np.bincount(data.eval_sets["val"].label_values).tolist() == [2, 4]
    assert not set(ids(data, "train")) & set(ids(data, "val"))
    assert data.doubts == ("val: 20% of each class, held out of train by seed 0 (,val= and ,split_seed=)",)
    other = loaded(f"folder:{root},split_seed=1", tmp_path)
    assert ids(other, "val") != ids(data, "val")
    assert other.fingerprint != data.fingerprint


def test_another_eval_set_has_the_name_of_its_folder(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dog": 1}, "night": {"dog": 2}, "raw": {"x": 1}})
    data = loaded(f"folder:{root}", tmp_path)
    assert list(data.eval_sets) == ["val", "night"]
    assert data.eval_sets["night"].label_values.tolist() == [1, 1]
    assert data.doubts == ("raw: 1 images: none of its folders is a class of train, so it is not used",)


def test_folders_in_folders_and_around_them(tree: Tree, tmp_path: Path) -> None:
    root = tree({"outer/inner/train": {"cat/a": 2, "cat/b": 2, "dog": 2}, "outer/inner/val": {"cat": 1, "dog": 1}})
    data = loaded(f"folder:{root}", tmp_path)
    assert data.train_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert ids(data, "train")[2] == "train/cat/b/00.jpg"


def test_a_class_may_be_called_train(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"train": 5, "plane": 5, "test": 5}})
    assert loaded(f"folder:{root}", tmp_path).classes == ("plane", "test", "train")


def test_numbers_are_sorted_as_numbers_and_classes_txt_decides(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"10": 2, "9": 2, "2": 2}, "val": {"10": 1, "9": 1, "2": 1}})
    assert loaded(f"folder:{root}", tmp_path).classes == ("2", "9", "10")
    (root / "classes.txt").write_bytes(b"\xef\xbb\xbf10\n2\n9\n")
    assert loaded(f"folder:{root}", tmp_path).classes == ("10", "2", "9")


def test_links_to_class_folders_are_followed_and_a_circle_is_one_line(tree: Tree, tmp_path: Path) -> None:
    elsewhere = tree({"": {"cat": 5, "dog": 5}}, root="elsewhere")
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).symlink_to(elsewhere / name)
    assert len(loaded(f"folder:{tmp_path / 'photos'}", tmp_path).train_labels) == 8
    (tmp_path / "elsewhere" / "cat" / "again").symlink_to(elsewhere)
    fails(f"folder:{elsewhere}", tmp_path / "other", "folders in folders, more than 12 deep")


def test_tar_files_and_shards(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dog": 1}})
    plain = loaded(f"folder:{root}", tmp_path)
    packed, shards = tmp_path / "packed", tmp_path / "shards"
    packed.mkdir()
    shards.mkdir()
    for part in ("train", "val"):
        with tarfile.open(packed / f"{part}.tar", "w") as tar:
            tar.add(root / part, arcname=part)
        paths = sorted((root / part).rglob("*.jpg"))
        for number, of_shard in enumerate((paths[:2], paths[2:])):
            with tarfile.open(shards / f"mine-{part}-{number:04d}.tar", "w") as tar:
                for n, path in enumerate(of_shard):
                    label = str(("cat", "dog").index(path.parent.name)).encode()
                    for suffix, content in (("jpg", path.read_bytes()), ("cls", label)):
                        member = tarfile.TarInfo(f"{number}{n}.{suffix}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
    for place, classes in ((packed, ("cat", "dog")), (shards, ("0", "1"))):
        data = loaded(f"folder:{place}", tmp_path)
        assert data.classes == classes
        assert data.train_labels.tolist() == plain.train_labels.tolist()
        assert [data.stored["train"].read(n) for n in range(6)] == [plain.stored["train"].read(n) for n in range(6)]


# --- lists ---------------------------------------------------------------------------------------------------


def listed(path: Path, rows: list[tuple[str, ...]], delimiter: str = ",", mark: str = "") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def test_a_list_with_a_column_of_parts(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"a": 6, "b": 6}})
    rows = [
        (f"{folder}/{n:02d}.jpg", name, ("train", "val", "test")[n % 3], "junk")
        for folder, name in (("a", "red"), ("b", "blue"))
        for n in range(6)
    ]
    path = listed(root / "all.csv", [("file", "label", "split", "note"), *rows], mark="\ufeff")
    data = loaded(f"csv:{path}", tmp_path)
    assert (data.name, data.classes) == ("csv-all", ("blue", "red"))
    assert (len(data.train_labels), len(data.eval_sets["val"]), len(data.eval_sets["test"])) == (4, 4, 4)
    (root / "a" / "00.jpg").write_bytes(jpeg(500, size=(140, 100)))
    assert loaded(f"csv:{path}", tmp_path).fingerprint != data.fingerprint


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_a_folder_with_lists_as_kaggle_has_them(form: str, tree: Tree, tmp_path: Path) -> None:
    """id,breed; the images in a folder named like the list; test.csv without labels."""
    root = tree({"": {"train": 8}})
    listed(root / "train.csv", [("id", "breed"), *((f"{n:02d}", "ab"[n % 2]) for n in range(8))])
    listed(root / "test.csv", [("id",), ("00",)])
    data = loaded(f"{form}:{root}", tmp_path)
    assert (data.classes, len(data.train_labels), len(data.eval_sets["val"])) == (("a", "b"), 6, 2)
    assert "test: test.csv has no column of labels and is not used" in data.doubts


def test_lines_of_path_and_number(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"a": 5, "b": 5}})
    lines = [f"{name}/{n:02d}.jpg {label}" for label, name in enumerate("ab") for n in range(5)]
    (root / "list.txt").write_text("\n".join(lines))
    assert loaded(f"csv:{root / 'list.txt'}", tmp_path).classes == ("0", "1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("image", "label"), ("a/00.jpg", "x"), ("a/99.jpg", "y")], r'row 3: there is no image "a/99.jpg"'),
        ([("image", "label"), ("a/00.jpg", "x"), ("a/01.jpg", "")], "row 3 has no label"),
        ([("image", "label"), ("a/00.jpg", "x"), ("a/00.jpg", "y")], "listed twice, as x and y"),
        ([("image", "label"), ("a/00.jpg", "x"), ("a/01.jpg",)], "row 3 has 1 cells, and the first has 2"),
        (
            [("image", "p", "q"), ("a/00.jpg", "x", "y")],
            r"which column is the label\? \(image, p, q\); name it with ,label=",
        ),
        ([("image", "label")], "it has no rows"),
    ],
)
def test_wrong_lists(rows: list[tuple[str, ...]], message: str, tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"a": 4}})
    fails(f"csv:{listed(root / 'l.csv', rows)}", tmp_path, message)


def test_label_sets_judge_val_as_real(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 3}, "val": {"cat": 2, "dog": 2}})
    listed(root / "real.csv", [("image", "label"), ("cat/00.jpg", "cat"), ("cat/00.jpg", "dog"), ("dog/01", "cat|dog")])
    data = loaded(f"folder:{root}", tmp_path)
    real = data.eval_sets["real"]
    assert list(real.example_ids) == ["val/cat/00.jpg", "val/dog/01.jpg"]
    assert real.is_correct(np.array([1, 0])).all()
    listed(root / "real.csv", [("image", "label"), ("00.jpg", "cat")])
    fails(f"folder:{root}", tmp_path / "b", 'row 2: "00.jpg" is 2 images of val')
    listed(root / "real.csv", [("image", "label"), ("cat/00.jpg", "bird")])
    fails(f"folder:{root}", tmp_path / "c", 'real.csv has the class "bird", which train has not')


# --- HF datasets ---------------------------------------------------------------------------------------------


@pytest.fixture
def hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for repositories; HF datasets' own cache is elsewhere, and the hub is not asked."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path / "repository"


def repository(root: Path, label: object, splits: dict[str, list[object]], *, columns: tuple[str, str]) -> Path:
    import datasets

    features = datasets.Features({columns[0]: datasets.Image(), columns[1]: label, "width": datasets.Value("int64")})
    (root / "data").mkdir(parents=True)
    for split, labels in splits.items():
        images = [{"bytes": jpeg(10 * len(split) + n, size=(140, 100)), "path": None} for n in range(len(labels))]
        rows = {columns[0]: images, columns[1]: labels, "width": [140] * len(labels)}
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def test_parquet_with_a_class_label(hf: Path, tmp_path: Path) -> None:
    import datasets

    label = datasets.ClassLabel(names=["zebra", "ant", "never", "bee"])
    splits: dict[str, list[object]] = {"train": [0, 1, 3, 0, 1, 3], "validation": [3, 1, 0], "test": [-1, -1]}
    data = loaded(f"hub:{repository(hf, label, splits, columns=('picture', 'what'))}", tmp_path)
    assert (data.name, data.classes) == ("hub-repository", ("zebra", "ant", "bee"))
    assert sorted(data.train_labels.tolist()) == [0, 0, 1, 1, 2, 2]
    assert data.doubts == ("test: its rows have no labels, so it is not used",)
    first = data.eval_sets["val"].label_values.tolist().index(0)
    assert data.stored["val"].read(first) == jpeg(10 * len("validation") + 2, size=(140, 100))


def test_numbers_and_texts_as_labels_and_columns_that_are_named(hf: Path, tmp_path: Path) -> None:
    import datasets

    split: dict[str, list[object]] = {"train": [10, 9] * 5}
    numbers = repository(hf / "n", datasets.Value("int64"), split, columns=("image", "label"))
    data = loaded(f"hub:{numbers}", tmp_path)
    assert (data.classes, len(data.train_labels), len(data.eval_sets["val"])) == (("9", "10"), 8, 2)
    texts = repository(hf / "t", datasets.Value("string"), {"train": ["x", "y"] * 5}, columns=("image", "kind"))
    assert loaded(f"hub:{texts},label=kind", tmp_path).classes == ("x", "y")
    fails(f"hub:{texts}", tmp_path / "b", r"no column with labels \(there is image, kind, width\)")
    fails(f"hub:{texts},label=nothing", tmp_path / "b", "no column nothing with labels")


def test_an_imagefolder_repository_is_read_from_its_files(hf: Path, tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 3}, "test": {"cat": 1, "dog": 1}}, root="repository")
    data = loaded(f"hub:{root}", tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.stored["train"].path(0).is_relative_to(root)


def test_labels_out_of_range(hf: Path, tmp_path: Path) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = repository(hf, datasets.ClassLabel(names=["a", "b"]), {"train": [0, 1, 0, 1]}, columns=("image", "label"))
    path = root / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("label")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([0, 1, 7, 1], pa.int64())), path)
    fails(f"hub:{root}", tmp_path, r"(row 2 has label 7, expected 0 to 1|Class label 7 greater than)")


def test_a_name_that_the_hub_does_not_give_is_one_line(hf: Path, tmp_path: Path) -> None:
    fails("hub:nobody/nothing", tmp_path, r"hub:nobody/nothing cannot be loaded \(")


# --- images ----------------------------------------------------------------------------------------------------


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_odd_images_are_shown_as_a_viewer_shows_them() -> None:
    wide = Image.fromarray(np.tile(np.arange(120, dtype=np.uint8)[:, None, None], (1, 40, 3)).transpose(1, 0, 2).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # held turned: the left edge is the top
    turned, mode = decoded(saved(wide, "JPEG", exif=exif), as_shown=True)
    assert (turned.size, mode) == ((40, 120), "RGB")
    assert np.asarray(turned)[5].mean() < 20
    assert np.asarray(turned)[-5].mean() > 100
    assert decoded(saved(wide, "JPEG", exif=exif))[0].size == (120, 40)
    deep = Image.fromarray(np.full((9, 9), 65535 // 2, dtype=np.uint16))
    assert np.asarray(decoded(saved(deep, "PNG"), as_shown=True)[0]).max() == 127
    clear = Image.new("RGBA", (9, 9), (255, 0, 0, 0))
    for image in (clear, clear.convert("LA"), clear.quantize(4)):
        assert np.asarray(decoded(saved(image, "PNG"), as_shown=True)[0]).min() > 250
    assert np.asarray(decoded(saved(Image.new("L", (9, 9), 77), "PNG"), as_shown=True)[0])[0, 0].tolist() == [77] * 3
    assert decoded(saved(Image.new("CMYK", (9, 9)), "JPEG"), as_shown=True)[0].mode == "RGB"
    palette = decoded(saved(Image.new("RGB", (9, 9), "red").quantize(2), "GIF"), as_shown=True)[0]
    assert np.asarray(palette)[0, 0].tolist() == [255, 0, 0]
    floats = Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32))
    assert np.asarray(decoded(saved(floats, "TIFF"), as_shown=True)[0]).max() == 128
    with pytest.raises(ValueError, match="image with levels from -3"):
        decoded(saved(Image.fromarray(np.full((9, 9), -3.0, dtype=np.float32)), "TIFF"), as_shown=True)


def test_a_training_sees_turned_photographs_upright(tree: Tree, tmp_path: Path) -> None:
    from seedstudy.train.streaming import decoded as in_training

    root = tree({"": {"cat": 5, "dog": 5}})
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "cat" / "00.jpg") as image:
        write(root / "cat" / "00.jpg", saved(image.copy(), "JPEG", exif=exif))
    data = loaded(f"folder:{root}", tmp_path)
    images = data.stored["train" if "cat/00.jpg" in ids(data, "train") else "val"]
    row = [name.decode() for name in images.names].index("cat/00.jpg")
    assert images.open(row).size == (100, 140)
    assert tuple(in_training(images, row).shape) == (3, 140, 100)


def test_small_images_are_kept_decoded_and_large_ones_read_as_needed(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 10, "dog": 10}}, size=(40, 30))
    data = loaded(f"folder:{root}", tmp_path)
    assert (data.image_size, data.train_images.shape) == (30, (16, 30, 30, 3))
    with Image.open(root / "cat" / "00.jpg") as image:
        middle = np.asarray(image.convert("RGB"))[:, 5:35]
    everything = np.concatenate([data.train_images, data.images["val"]])
    assert (everything == middle).all(axis=(1, 2, 3)).any()
    assert data.mean != (0.485, 0.456, 0.406)  # of these images
    large = tree({"": {"cat": 10, "dog": 10}}, root="large")
    assert loaded(f"folder:{large}", tmp_path).image_size is None
    assert loaded(f"folder:{large},size=48", tmp_path).train_images.shape == (16, 48, 48, 3)
    notes = {part.part: part.note for part in check(f"folder:{root}").parts}
    assert "kept in memory at 30 x 30 px" in notes["size"]
    assert "54,000 bytes, at most 2,147,483,648" in notes["size"]
    assert (
        "cropped to the recipe's own train and test size"
        in {part.part: part.note for part in check(f"folder:{large}").parts}["size"]
    )


def test_too_many_bytes_are_not_kept_in_memory(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seedstudy.data import collection

    root = tree({"": {"cat": 10, "dog": 10}}, size=(40, 30))
    monkeypatch.setattr(collection, "MOST_RESIDENT", 50_000)
    assert loaded(f"folder:{root}", tmp_path).image_size is None
    fails(f"folder:{root},size=32", tmp_path / "b", "20 images of 32 px are 61,440 bytes, more than 50,000")


# --- content and names ------------------------------------------------------------------------------------------


def test_the_content_decides_and_not_the_place(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 5, "dog": 5}})
    first = loaded(f"folder:{root}", tmp_path)
    root.rename(tmp_path / "moved")
    moved = loaded(f"folder:{tmp_path / 'moved'}", tmp_path)
    assert (moved.name, moved.fingerprint) == ("folder-moved", first.fingerprint)
    path = tmp_path / "moved" / "cat" / "00.jpg"
    content = bytearray(path.read_bytes())
    content[-200] ^= 1  # the same size
    path.write_bytes(content)
    assert loaded(f"folder:{tmp_path / 'moved'}", tmp_path).fingerprint != first.fingerprint


def test_a_study_file_names_a_folder_beside_it(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree({"": {"cat": 12, "dog": 12}})
    (tmp_path / "study.toml").write_text('format = 1\n[grid]\nrecipes = ["a3"]\ndata = "folder:photos,val=0.25"\n')
    monkeypatch.chdir("/")
    study = load_study(tmp_path / "study.toml")
    resolved = resolve(study, results=tmp_path, data_dir=None, cache_dir=tmp_path / "cache", say=lambda line: None)
    assert (resolved.trials[0].data, resolved.n_train) == ("folder-photos", 18)
    assert name_of(study.data) == "folder-photos"


def test_recipes_keep_their_sizes_and_scale_epochs_and_batch(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 40, "dog": 40}})
    lines: list[str] = []
    study = Study(recipes=("a3",), models=("resnet18",), data=f"folder:{root}", seeds=(0,))
    (trial,) = resolve(study, results=tmp_path, data_dir=None, cache_dir=tmp_path / "cache", say=lines.append).trials
    recipe = trial.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.train_size, recipe.test_size) == (10, 8, 160, 224)
    assert lines[-1].startswith("a3 scaled to folder-photos: 10 epochs, batch 8")
    facts = facts_of(f"folder:{root}", loaded(f"folder:{root}", tmp_path))
    assert (facts.n_train, facts.n_classes, facts.smallest_batch) == (64, 2, 8)


# --- the split ---------------------------------------------------------------------------------------------------


def test_a_split_keeps_copies_together_and_hardly_moves() -> None:
    digests = np.array([f"{n // 3:05d}" for n in range(600)], dtype="S16")  # three copies of each image
    labels = np.repeat([0, 1], 300)
    rows = held_out(digests, labels, 0.2, 0)
    assert not set(digests[rows]) & set(np.delete(digests, rows))
    assert np.bincount(labels[rows]).tolist() == [60, 60]
    more = np.append(digests, np.array([b"new"], dtype="S16"))
    moved = set(digests[rows]) ^ set(more[held_out(more, np.append(labels, 1), 0.2, 0)])
    assert len(moved) <= 2


# --- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"": {"": 3}}, "it has images, but no class folders; lay it out as train/CLASS"),
        ({"": {"cat": 3}}, r'one class \("cat"\); a data set has at least two'),
        ({"train": {"cat": 3}, "val": {"cat": 1}}, r'one class \("cat"\); a data set has at least two'),
        ({"train": {"cat": 3, "dog": 3}, "val": {"cat": 1}}, r'\(val\): 1 of 2 classes have no images .*"dog"'),
        ({"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dgo": 1}}, r'"dgo" is not in train\. Did you mean "dog"\?'),
        ({"train": {"cat": 3, "dog": 3}, "val": {"": 2}}, "val: it has images, but no class folders"),
        ({"": {"cat": 1, "dog": 5}}, '"cat" has only one image'),
        ({"train": {"a": 2, "b": 2}, "val": {"a": 1, "b": 1}, "valid": {"a": 1, "b": 1}}, "val and valid are both val"),
    ],
)
def test_wrong_folders(parts: dict[str, dict[str, int]], message: str, tree: Tree, tmp_path: Path) -> None:
    fails(f"folder:{tree(parts)}", tmp_path, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder:nowhere", "nowhere: no such folder"),
        ("folder:", "nothing behind the colon"),
        ("folder:x,siz=3", r'unknown option "siz"\. Did you mean "size"\?'),
        ("folder:x,val=2", "val=2: give a number between 0 and 1"),
        ("folder:x,size=3", "size=3: give a whole number of at least 8"),
        ("csv:nowhere.csv", r"nowhere\.csv: no such file"),
    ],
)
def test_wrong_words(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fails(text, tmp_path, message)


def test_a_folder_has_a_place_of_its_own(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 5, "dog": 5}})
    with pytest.raises(DataError, match="names its place itself"):
        prepare(f"folder:{root}", data_dir=root, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"unknown data set .* A folder of your own is folder:/"):
        prepare(str(root), cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r'unknown data set "folder-photos". It is a name in tables'):
        prepare("folder-photos", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "bomb"])
def test_a_broken_image_is_named_before_anything_is_trained(damage: str, tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 5, "dog": 5}})
    victim = root / "dog" / "03.jpg"
    bomb = bytearray(saved(Image.new("1", (12_000, 12_000)), "PNG"))
    content = {"cut": victim.read_bytes()[:-300], "text": b"<html>", "empty": b"", "bomb": bytes(bomb)}
    victim.write_bytes(content[damage])
    fails(f"folder:{root}", tmp_path, rf"{victim}: does not decode \(.*\); replace the file, or take it away")
    for everything in (False, True):
        found = check(f"folder:{root}", is_thorough=everything)
        assert found.is_damaged
        assert f"9 decoded, 1 not: {victim}" in found.parts[0].note


def test_copies_across_train_and_val_and_across_classes_are_said(tree: Tree, tmp_path: Path) -> None:
    root = tree({"train": {"cat": 3, "dog": 3}, "val": {"cat": 1, "dog": 1}})
    write(root / "val" / "cat" / "copy.jpg", (root / "train" / "cat" / "01.jpg").read_bytes())
    write(root / "train" / "dog" / "copy.jpg", (root / "train" / "cat" / "02.jpg").read_bytes())
    data = loaded(f"folder:{root}", tmp_path)
    assert set(data.doubts) == {
        "val: 1 of its 3 images is also in train (first: val/cat/copy.jpg)",
        "train: 1 image is in two classes (first: train/cat/02.jpg, in cat and dog)",
    }
    notes = [part.note for part in check(f"folder:{root}", is_thorough=True).parts]
    assert "1 of its 3 images is also in train (first: val/cat/copy.jpg)" in notes


def test_what_is_no_image_is_counted(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 5, "dog": 5}})
    write(root / "cat" / "movie.mp4", b"x")
    write(root / "cat" / "phone.heic", b"x")
    write(root / "dog" / ".hidden.jpg", b"x")
    write(root / "loose.jpg", jpeg())
    os.mkfifo(root / "dog" / "pipe.jpg")
    words = loaded(f"folder:{root}", tmp_path).doubts
    assert any(line.startswith("other: 3 files are not used: 1 .heic, 1 .mp4, 1 no regular file") for line in words)
    assert "root: 1 images outside class folders are not used" in words


def test_names_that_no_text_can_hold_are_one_line(tree: Tree, tmp_path: Path) -> None:
    root = tree({"": {"cat": 5, "dog": 5}})
    write(root / "cat" / "\x1b[31mred.jpg", jpeg())
    fails(f"folder:{root}", tmp_path, "must be printable UTF-8 text; rename it")
