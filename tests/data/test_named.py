"""Data sets by name, each in a small local copy of its real layout: torchvision's folder, and the hub's tables."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from seedstudy.data import check, info, load, prepare
from seedstudy.data.base import Dataset
from seedstudy.errors import DataError
from tests.imagenet_tree import jpeg, write

pytestmark = pytest.mark.train

Make = Callable[[Path], None]


def image(root: Path, name: str, level: int) -> None:
    write(root / name, jpeg(level, size=(150, 120)))


def food101(root: Path) -> None:
    root = root / "food-101"
    for part, first in (("train", 0), ("test", 50)):
        names = {label: [f"{label}/{first + n}" for n in range(2)] for label in ("apple_pie", "waffles")}
        write(root / "meta" / f"{part}.json", json.dumps(names).encode())
        for level, name in enumerate(name for each in names.values() for name in each):
            image(root, f"images/{name}.jpg", first + level)


def pets(root: Path) -> None:
    root = root / "oxford-iiit-pet"
    rows = {"trainval": ["Abyssinian_1 1 1 1", "american_bulldog_7 2 2 1"], "test": ["american_bulldog_9 2 2 1"]}
    rows["test"].append("Abyssinian_4 1 1 1")
    for part, lines in rows.items():
        write(root / "annotations" / f"{part}.txt", ("\n".join(lines) + "\n").encode())
        for level, line in enumerate(lines):
            image(root, f"images/{line.split()[0]}.jpg", 20 * len(part) + level)


def flowers(root: Path) -> None:
    root = root / "flowers-102"
    root.mkdir()
    savemat(root / "imagelabels.mat", {"labels": np.array([[2, 1, 10, 1, 2, 10, 1, 2, 10]], dtype=np.uint8)})
    savemat(root / "setid.mat", {"trnid": [[1, 2, 3]], "valid": [[4, 5, 6]], "tstid": [[7, 8, 9]]})
    for number in range(1, 10):
        image(root, f"jpg/image_{number:05d}.jpg", 10 * number)


def cars(root: Path) -> None:
    root = root / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    names = np.empty((1, 2), dtype=object)
    names[0] = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    kind = [(key, object) for key in ("bbox_x1", "class", "fname")]
    for part, path in (
        ("train", root / "devkit/cars_train_annos.mat"),
        ("test", root / "cars_test_annos_withlabels.mat"),
    ):
        rows = np.empty((1, 2), dtype=kind)
        for n, number in enumerate((2, 1)):
            rows[0, n] = (3, number, f"{n + 1:05d}.jpg")
            image(root, f"cars_{part}/{n + 1:05d}.jpg", 20 * len(part) + n)
        savemat(path, {"annotations": rows})


def imagenette(root: Path) -> None:
    for part, first in (("train", 0), ("val", 90)):
        for label, name in enumerate(("n01440764", "n02102040")):
            for n in range(2):
                image(root, f"imagenette2-160/{part}/{name}/{name}_{n}.JPEG", first + 20 * label + n)
    write(root / "imagenette2-160" / "noisy_imagenette.csv", b"path,noisy_labels_0\n")


COPIES: dict[str, tuple[Make, list[str], list[int], list[str]]] = {
    "food101": (food101, ["apple_pie", "waffles"], [0, 0, 1, 1], ["images/apple_pie/50.jpg"]),
    "pets": (pets, ["Abyssinian", "american_bulldog"], [0, 1], ["images/Abyssinian_4.jpg"]),
    "flowers": (flowers, ["1", "2", "10"], [0, 0, 1, 1, 2, 2], ["jpg/image_00007.jpg"]),
    "cars": (cars, ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], [0, 1], ["cars_test/00002.jpg"]),
    "imagenette": (imagenette, ["n01440764", "n02102040"], [0, 0, 1, 1], ["val/n01440764/n01440764_0.JPEG"]),
}
"""Name -> its layout, the classes, the training labels, and the first image of val."""


def loaded(name: str, data_dir: Path, tmp_path: Path) -> Dataset:
    return load(prepare(name, data_dir=data_dir, cache_dir=tmp_path / "cache"))


@pytest.mark.parametrize("name", COPIES)
def test_torchvisions_layout(name: str, tmp_path: Path) -> None:
    make, classes, labels, first = COPIES[name]
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")
    data = loaded(name, tmp_path / "data", tmp_path)
    assert (list(data.classes), data.train_labels.tolist()) == (classes, labels)
    assert data.eval_sets["val"].example_ids[:1].tolist() == first
    assert list(data.eval_sets) == ["val"]
    assert data.image_size is None
    facts = info(name)
    assert data.partial["train"] == (len(labels), facts.n_train)
    findings = {part.part: part for part in check(name, tmp_path / "data", is_thorough=True).parts}
    assert findings["train"].status == "partial"
    assert f"the complete part has {facts.n_train:,} images" in findings["train"].note
    (root,) = (tmp_path / "data").iterdir()
    assert loaded(name, root, tmp_path).fingerprint == data.fingerprint  # the folder itself will do


@pytest.mark.parametrize("name", ["food101", "pets", "flowers", "cars"])
def test_an_image_that_is_listed_and_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    COPIES[name][0](tmp_path / "data")
    victim = max((tmp_path / "data").rglob("*.jpg"))
    victim.unlink()
    with pytest.raises(DataError, match=rf"{victim.name}: it is listed and not there"):
        loaded(name, tmp_path / "data", tmp_path)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("food101", "food-101/meta/test.json"),
        ("pets", "oxford-iiit-pet/annotations/test.txt"),
        ("flowers", "flowers-102/imagelabels.mat"),
        ("cars", "stanford_cars/devkit/cars_meta.mat"),
        ("cifar100", "cifar-100-python/test"),
    ],
)
def test_damaged_lists_are_one_line(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (cifar100 if name == "cifar100" else COPIES[name][0])(tmp_path / "data")
    (tmp_path / "data" / file).write_bytes(b"Abyssinian\n")
    with pytest.raises(DataError) as caught:
        loaded(name, tmp_path / "data", tmp_path)
    assert str(tmp_path / "data" / file) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- CIFAR-100 -----------------------------------------------------------------------------------------------


def cifar100(root: Path, **more: object) -> None:
    root = root / "cifar-100-python"
    root.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("test", 4)):
        content = {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "fine_labels": [k % 2 for k in range(n)],
            "coarse_labels": [0] * n,
            **more,
        }
        (root / part).write_bytes(pickle.dumps(content, protocol=2))
    (root / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple", "baby"]}, protocol=2))


def test_cifar100_from_its_pickles_and_from_the_hubs_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    (tmp_path / "data").mkdir()
    cifar100(tmp_path / "data")
    data = loaded("cifar100", tmp_path / "data", tmp_path)
    assert (data.classes, data.train_images.shape, data.image_size) == (("apple", "baby"), (8, 32, 32, 3), 32)
    features = datasets.Features(
        {
            "img": datasets.Image(),
            "fine_label": datasets.ClassLabel(names=["apple", "baby"]),
            "coarse_label": datasets.ClassLabel(names=["fruit", "people"]),
        }
    )
    hub = tmp_path / "hub" / "cifar100"
    hub.mkdir(parents=True)
    for split, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.images["val"], data.eval_sets["val"].label_values),
    ):
        rows = {"img": list(images), "fine_label": labels.tolist(), "coarse_label": [0] * len(labels)}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(hub / f"{split}-00000-of-00001.parquet")
    tables = loaded("cifar100", tmp_path / "hub", tmp_path)
    assert (tables.train_images == data.train_images).all()
    assert tables.fingerprint == data.fingerprint
    statuses = [(part.part, part.status) for part in check("cifar100", tmp_path / "data").parts]
    assert statuses == [("train", "partial"), ("val", "partial")]


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this code ran",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    cifar100(tmp_path / "data", more=_Runs())
    with pytest.raises(DataError, match=r"not CIFAR-100's own file \(it refers to \S*print\)"):
        loaded("cifar100", tmp_path / "data", tmp_path)
    assert "this code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [*COPIES, "cifar100"])
def test_without_a_folder_the_hub_is_named(name: str, tmp_path: Path) -> None:
    findings = check(name).parts
    assert {part.status for part in findings} == {"missing"}
    assert "/" in findings[0].where
    with pytest.raises(DataError, match=rf"there is no {name}; give --data-dir a folder with"):
        loaded(name, tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["pets", "flowers"])
def test_the_hubs_tables_of_the_others(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    (tmp_path / "hub").mkdir()
    for n, split in enumerate(("train", "validation", "test") if name == "flowers" else ("train", "test")):
        rows = {"image": [{"bytes": jpeg(40 * n + k, size=(150, 120)), "path": None} for k in range(4)]}
        table = datasets.Dataset.from_dict(rows | {"label": [0, 1, 0, 1]}, features=features)
        table.to_parquet(tmp_path / "hub" / f"{split}-00000-of-00001.parquet")
    data = loaded(name, tmp_path / "hub", tmp_path)
    assert len(data.train_labels) == (8 if name == "flowers" else 4)  # of flowers, validation is trained on
    assert data.eval_sets["val"].example_ids.tolist() == [f"test/{n:07d}" for n in (0, 2, 1, 3)]
