"""ImageNet from folders, tar files and the hub: the same images, the right labels, one-line errors."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from seedstudy.data import check, finding, imagenet, load, prepare
from seedstudy.data.base import Dataset
from seedstudy.engines.launch import resolve
from seedstudy.errors import DataError
from seedstudy.study.study import Study
from tests.imagenet_tree import CLASSES, jpeg, make_tree, pack, remove, val_numbers, write

pytestmark = pytest.mark.train  # timm knows the classes

LABELS = [0, 1, 217, 491, 999]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "imagenet")


def loaded(tree: Path | None, cache: Path, name: str = "imagenet") -> Dataset:
    return load(prepare(name, data_dir=tree, cache_dir=cache))


def fails(tree: Path, cache: Path, message: str) -> str:
    with pytest.raises(DataError, match=message) as caught:
        loaded(tree, cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())
    return str(caught.value)


# --- labels ---------------------------------------------------------------------------------------------


def test_folders_become_labels_of_the_thousand_classes(tree: Path, tmp_path: Path) -> None:
    data = loaded(tree, tmp_path / "cache")
    assert data.classes[0] == "n01440764"
    assert len(data.classes) == 1000
    assert data.train_labels.tolist() == np.repeat(LABELS, 4).tolist()
    assert data.stored["train"].names[:2].tolist() == [b"n01440764_10", b"n01440764_11"]
    assert data.eval_sets["val"].label_values.tolist() == np.repeat(LABELS, 2).tolist()
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert set(data.missing) == {"v2_threshold", "v2_top"}
    assert "imagenetv2-top-images.tar.gz" in data.missing["v2_top"]
    image = data.stored["train"].open(5)
    assert np.asarray(image).mean() == pytest.approx(40 + 34 + 1, abs=3)  # class 1, image 1


def test_v2_folders_are_numbers_not_text(tmp_path: Path) -> None:
    """Sorted as text, 0, 1, 10, 100, …, nearly every label of ImageNet-V2 is wrong."""
    for number in range(1000):
        write(tmp_path / "v2" / str(number) / "f.jpeg", b"x")
    found = finding.entries(tmp_path / "v2", lambda line: None, finding.LeftOut())
    images, labels = imagenet._split("v2", "v2", found, imagenet.synsets())
    assert labels.tolist() == list(range(1000))
    assert [int(Path(os.fsdecode(images.files[f])).parent.name) for f in images.file_of] == list(range(1000))


def test_real_labels_are_found_by_file_name_in_any_subset(tree: Path, tmp_path: Path) -> None:
    data = loaded(tree, tmp_path / "cache")
    real, val = data.eval_sets["real"], data.eval_sets["val"]
    assert real.images == "val"
    assert len(real) == len(val) == 10  # each of these has ReaL labels
    assert real.is_correct(np.repeat(LABELS, 2)).all()
    first = int(val.example_ids[real.rows[0]][-8:])
    start, end = real.label_offsets[:2]
    assert real.label_values[start:end].tolist() == list(imagenet.real_labels()[first - 1])


def test_timms_label_file_scores_46837_images() -> None:
    labels = imagenet.real_labels()
    assert (len(labels), sum(map(bool, labels))) == (50_000, 46_837)
    assert labels[:5] == ((), (970, 795), (230, 231), (809,), (516, 850))


def test_images_without_real_labels_are_left_out(tree: Path, tmp_path: Path) -> None:
    assert imagenet.real_labels()[0] == ()
    write(tree / "val" / CLASSES[0] / "ILSVRC2012_val_00000001.JPEG", jpeg())
    data = loaded(tree, tmp_path / "cache")
    assert (len(data.eval_sets["val"]), len(data.eval_sets["real"])) == (11, 10)


def test_val_without_ilsvrc_names_has_no_real(tree: Path, tmp_path: Path) -> None:
    for path in list((tree / "val").rglob("*.JPEG")):
        path.rename(path.with_name(path.name.replace("ILSVRC2012_val_", "image")))
    data = loaded(tree, tmp_path / "cache")
    assert "ILSVRC2012_val_" in data.missing["real"]
    assert "real" not in data.eval_sets


def test_shifted_validation_numbers_are_caught(tmp_path: Path) -> None:
    """The example of the ReaL repository reads label i + i instead of i + 1."""
    classes = imagenet.synsets()[:80]
    tree = make_tree(tmp_path / "imagenet", classes=classes, n_train=1, n_val=1)
    for path in sorted((tree / "val").rglob("*.JPEG"), reverse=True):
        number = int(path.stem[-8:]) % 50_000 + 1
        path.rename(path.with_name(f"ILSVRC2012_val_{number:08d}.JPEG"))
    fails(tree, tmp_path / "cache", r"of the val labels are among the ReaL labels.*wrong folders")


# --- places -----------------------------------------------------------------------------------------------


def everything(data: Dataset) -> dict[str, list[bytes]]:
    return {key: [images.read(row) for row in range(len(images))] for key, images in data.stored.items()}


def test_tar_files_hold_the_same_data_set(tree: Path, tmp_path: Path) -> None:
    plain = loaded(tree, tmp_path / "cache")
    pixels = everything(plain)
    for synset in CLASSES:  # ILSVRC2012_img_train.tar is a tar of one tar per class
        with tarfile.open(tree / "train" / f"{synset}.tar", "w") as tar:
            for path in sorted((tree / "train" / synset).iterdir()):
                tar.add(path, arcname=path.name)
        remove(tree / "train" / synset)
    with tarfile.open(tree / "ILSVRC2012_img_train.tar", "w") as tar:
        for path in sorted((tree / "train").iterdir()):
            tar.add(path, arcname=path.name)
    remove(tree / "train")
    pack(tree / "val", tree / "val.tar")
    v2 = tree / "imagenetv2-matched-frequency-format-val"
    pack(v2, tree / "imagenetv2-matched-frequency.tar.gz")
    packed = loaded(tree, tmp_path / "cache")
    assert everything(packed) == pixels
    assert packed.fingerprint == plain.fingerprint
    for name, eval_set in plain.eval_sets.items():
        assert packed.eval_sets[name].example_ids.tolist() == eval_set.example_ids.tolist()
        assert packed.eval_sets[name].label_values.tolist() == eval_set.label_values.tolist()


def test_class_tars_in_a_folder_are_read_too(tree: Path, tmp_path: Path) -> None:
    plain = everything(loaded(tree, tmp_path / "cache"))
    pack(tree / "train" / CLASSES[2], tree / "train" / f"{CLASSES[2]}.tar")
    assert everything(loaded(tree, tmp_path / "cache")) == plain


def test_the_hubs_parquet_files_hold_the_same_data_set(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets as hf

    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    plain = loaded(tree, tmp_path / "cache")
    pixels = everything(plain)
    features = hf.Features({"image": hf.Image(), "label": hf.Value("int64")})
    hub = tmp_path / "hub"
    for part, split in (("train", "train"), ("val", "validation")):
        paths = sorted((tree / part).rglob("*.JPEG"), key=lambda path: path.name[::-1])  # an order of its own
        rows = {
            "image": [
                {"bytes": p.read_bytes(), "path": p.name.replace(".JPEG", f"_{p.parent.name}.JPEG")} for p in paths
            ],
            "label": [imagenet.synsets().index(path.parent.name) for path in paths],
        }
        (hub / "data").mkdir(parents=True, exist_ok=True)
        table = hf.Dataset.from_dict(rows, features=features)
        table.to_parquet(hub / "data" / f"{split}-00000-of-00001.parquet", batch_size=7)
    pack(tree / "imagenetv2-matched-frequency-format-val", hub / "imagenetv2-matched-frequency.tar.gz")
    (hub / "classes.txt").write_text((tree / "classes.txt").read_text())
    from_hub = loaded(hub, tmp_path / "cache")
    assert everything(from_hub) == pixels
    assert from_hub.fingerprint == plain.fingerprint


def test_without_a_folder_the_hub_is_asked_and_its_refusal_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets as hf

    asked = []

    def refuse(name: str, **options: object) -> None:
        asked.append((name, options["split"]))
        raise hf.exceptions.DatasetNotFoundError("gated\nwith details")

    monkeypatch.setattr(hf, "load_dataset", refuse)
    with pytest.raises(DataError, match=r"cannot be loaded \(gated\); accept its terms on the hub and log in"):
        loaded(None, tmp_path / "cache")
    assert asked == [("ILSVRC/imagenet-1k", "train")]


def test_changed_folders_are_indexed_anew(tree: Path, tmp_path: Path) -> None:
    first = loaded(tree, tmp_path / "cache")
    write(tree / "train" / CLASSES[1] / f"{CLASSES[1]}_99.JPEG", jpeg())
    second = loaded(tree, tmp_path / "cache")
    assert (len(first.train_labels), len(second.train_labels)) == (20, 21)
    assert first.fingerprint != second.fingerprint


def test_val_alone_is_enough_to_evaluate(tree: Path, tmp_path: Path) -> None:
    remove(tree / "train")
    data = loaded(tree, tmp_path / "cache")
    assert len(data.train_labels) == 0
    assert "train" in data.missing
    assert len(data.eval_sets["val"]) == 10


def test_train_limit_takes_the_first_of_each_class(tree: Path, tmp_path: Path) -> None:
    prepared = prepare("imagenet", data_dir=tree, cache_dir=tmp_path / "cache")
    data = load(prepared, train_limit=7)
    names = [name.decode() for name in data.stored["train"].names]
    assert names == [
        f"{c}_{n}" for c, ns in zip(CLASSES, ((10, 11), (10, 11), (10,), (10,), (10,)), strict=True) for n in ns
    ]


def test_a_recipe_is_not_called_scaled_where_nothing_is(tree: Path, tmp_path: Path) -> None:
    study = Study(recipes=("a2",), data="imagenet", seeds=(0,), assignments=("batch_size=4", "micro_batch=4"))
    lines: list[str] = []
    resolve(study, results=tmp_path, data_dir=tree, cache_dir=tmp_path / "cache", say=lines.append)
    assert lines[-1].startswith("a2 on imagenet: 300 epochs, batch 4")


# --- other layouts ----------------------------------------------------------------------------------------


def identity(data: Dataset) -> list[object]:
    ids = {name: each.example_ids.tolist() for name, each in data.eval_sets.items()}
    return [data.fingerprint, ids, everything(data)]


def test_kaggles_archive_with_its_flat_val(tree: Path, tmp_path: Path) -> None:
    plain = identity(loaded(tree, tmp_path / "cache"))
    root = tmp_path / "kaggle"
    inside = root / imagenet.KAGGLE
    inside.mkdir(parents=True)
    rows = ["ImageId,PredictionString"]
    for path in sorted((tree / "val").rglob("*.JPEG")):
        write(inside / "val" / path.name, path.read_bytes())
        rows.append(f"{path.stem},{path.parent.name} 1 2 30 40 {path.parent.name} 5 6 7 8 ")
    (tree / "train").rename(inside / "train")
    write(inside / "test" / "ILSVRC2012_test_00000001.JPEG", jpeg())
    (root / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    (tree / "imagenetv2-matched-frequency-format-val").rename(root / "imagenetv2-matched-frequency-format-val")
    (tree / "classes.txt").rename(root / "classes.txt")
    kaggle = loaded(root, tmp_path / "cache")
    assert identity(kaggle) == plain
    assert kaggle.doubts == ()
    (root / "classes.txt").rename(inside / "classes.txt")  # the inner folder will do too
    assert loaded(inside, tmp_path / "cache").eval_sets["val"].label_values.tolist() == np.repeat(LABELS, 2).tolist()
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nILSVRC2012_val_1\n")
    fails(inside, tmp_path / "other", "LOC_val_solution.csv: not Kaggle's table of the val classes")


def test_webdataset_shards_as_timm_has_them(tree: Path, tmp_path: Path) -> None:
    """Keys are numbers, labels in KEY.cls, and the original's name in KEY.json."""
    plain = identity(loaded(tree, tmp_path / "cache"))
    root = tmp_path / "wds"
    root.mkdir()
    for part, pattern in (("train", "imagenet1k-train-{:04d}.tar"), ("val", "imagenet1k-validation-{:02d}.tar")):
        paths = sorted((tree / part).rglob("*.JPEG"), key=lambda path: path.name[::-1])
        for shard in range(3):
            with tarfile.open(root / pattern.format(shard), "w") as tar:
                for key, path in enumerate(paths[shard::3]):
                    label = imagenet.synsets().index(path.parent.name)
                    name = json.dumps({"label": label, "filename": f"{path.parent.name}/{path.name}"})
                    contents = {"cls": str(label).encode(), "jpg": path.read_bytes(), "json": name.encode()}
                    for suffix, content in contents.items():
                        member = tarfile.TarInfo(f"{shard}{key:05d}.{suffix}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
    (tree / "imagenetv2-matched-frequency-format-val").rename(root / "imagenetv2-matched-frequency-format-val")
    (tree / "classes.txt").rename(root / "classes.txt")
    shards = loaded(root, tmp_path / "cache")
    assert identity(shards) == plain
    assert shards.doubts == ()
    findings = {finding.part: finding for finding in check("imagenet", root, is_thorough=True).parts}
    assert findings["train"].where == f"{root / 'imagenet1k-train-0000.tar'} and 2 more"
    assert "20 decoded" in findings["train"].note
    with tarfile.open(root / "imagenet1k-train-0003.tar", "w") as tar:
        tar.add(tree / "val" / CLASSES[0], arcname=".")
    fails(root, tmp_path / "other", r"imagenet1k-train-0003\.tar \(ILSVRC2012_val_\d+\.JPEG\): .*no class number")


def test_folders_named_like_the_tars_images_below_a_class_and_a_mark_in_classes_txt(tree: Path, tmp_path: Path) -> None:
    plain = identity(loaded(tree, tmp_path / "cache"))
    for synset in CLASSES:
        (tree / "train" / synset).rename(tree / "moved")
        (tree / "train" / synset).mkdir()
        (tree / "moved").rename(tree / "train" / synset / "images")
        (tree / "train" / synset / f"{synset}_boxes.txt").write_text("x")
    (tree / "train").rename(tree / "ILSVRC2012_img_train")
    (tree / "val").rename(tree / "ILSVRC2012_img_val")
    (tree / "classes.txt").write_bytes(b"\xef\xbb\xbf" + (tree / "classes.txt").read_bytes())
    data = loaded(tree, tmp_path / "cache")
    assert identity(data) == plain
    (only,) = data.doubts
    assert only.startswith("train: 5 files are not used: 5 .txt")
    with tarfile.open(tree / "train.tar", "w") as tar:
        tar.add(tree / "ILSVRC2012_img_train", arcname="train")
    remove(tree / "ILSVRC2012_img_train")
    assert identity(loaded(tree, tmp_path / "cache")) == plain


# --- minival ------------------------------------------------------------------------------------------------


def test_minival_is_held_out_of_train_and_val_is_not_looked_at(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "imagenet", n_train=3)
    full = loaded(tree, tmp_path / "cache")
    data = loaded(tree, tmp_path / "cache", "imagenet_minival")
    held_out, kept = data.stored["minival"].names.tolist(), data.stored["train"].names.tolist()
    assert sorted(held_out + kept) == sorted(full.stored["train"].names.tolist())
    assert set(data.eval_sets) == {"minival"}
    assert data.watched == "minival"
    assert data.eval_sets["minival"].label_values.tolist() == LABELS  # one of three is the least


def test_minival_is_two_percent_of_each_class_whatever_the_order() -> None:
    names = np.array([f"n{c}_{i}" for c in range(3) for i in range(1000)], dtype="S")
    labels = np.repeat([0, 1, 2], 1000)
    rows = imagenet.minival_rows(names, labels)
    assert np.bincount(labels[rows]).tolist() == [20, 20, 20]
    order = np.random.default_rng(0).permutation(len(names))
    assert set(names[order][imagenet.minival_rows(names[order], labels[order])]) == set(names[rows])


# --- wrong trees ----------------------------------------------------------------------------------------------


def test_flat_val_folder(tree: Path, tmp_path: Path) -> None:
    for path in list((tree / "val").rglob("*.JPEG")):
        path.rename(tree / "val" / path.name)
    fails(tree, tmp_path / "cache", r"val: it has images outside class folders \(a flat folder has no labels\)")


@pytest.mark.parametrize("part", ["train", "val"])
def test_missing_class(part: str, tree: Path, tmp_path: Path) -> None:
    remove(tree / part / CLASSES[3])
    fails(tree, tmp_path / "cache", rf"{part}: 1 of 5 classes are missing \(the first is {CLASSES[3]}\)")


def test_missing_v2_class(tree: Path, tmp_path: Path) -> None:
    remove(tree / "imagenetv2-matched-frequency-format-val" / "217")
    fails(tree, tmp_path / "cache", r"format-val: 1 of 5 classes are missing \(the first is 217\)")


def test_a_subset_must_be_declared(tree: Path, tmp_path: Path) -> None:
    (tree / "classes.txt").unlink()
    fails(tree, tmp_path / "cache", r"train: 995 of 1,000 classes are missing.*declare a subset: a file classes\.txt")


def test_unknown_synset_in_classes_txt(tree: Path, tmp_path: Path) -> None:
    (tree / "classes.txt").write_text("n01440764\nn0144376\n")
    fails(tree, tmp_path / "cache", r'classes\.txt: "n0144376" is no ImageNet-1k synset\. Did you mean')


def test_folder_that_is_no_synset(tree: Path, tmp_path: Path) -> None:
    (tree / "train" / CLASSES[0]).rename(tree / "train" / "tench")
    fails(tree, tmp_path / "cache", r"train: folder tench is no ImageNet-1k synset")


def test_v2_folder_that_is_no_number(tree: Path, tmp_path: Path) -> None:
    v2 = tree / "imagenetv2-matched-frequency-format-val"
    (v2 / "217").rename(v2 / CLASSES[2])
    fails(
        tree, tmp_path / "cache", r'folder "n02102040" is not a class number; ImageNet-V2\'s folders are named 0 to 999'
    )


def test_number_beyond_the_validation_set(tree: Path, tmp_path: Path) -> None:
    write(tree / "val" / CLASSES[0] / "ILSVRC2012_val_00050001.JPEG", jpeg())
    fails(tree, tmp_path / "cache", r"ILSVRC2012_val_00050001 is no ILSVRC-2012 validation image")


def test_truncated_tar(tree: Path, tmp_path: Path) -> None:
    target = tree / "imagenetv2-matched-frequency.tar.gz"
    pack(tree / "imagenetv2-matched-frequency-format-val", target)
    target.write_bytes(target.read_bytes()[:-300])
    fails(tree, tmp_path / "cache", r"tar\.gz: not a complete tar file")


def test_empty_folder(tmp_path: Path) -> None:
    fails(tmp_path, tmp_path / "cache", r"it contains neither train nor val; lay it out as train/nXXXXXXXX")


def test_broken_jpeg_is_named_when_it_is_read(tree: Path, tmp_path: Path) -> None:
    victim = tree / "train" / CLASSES[1] / f"{CLASSES[1]}_10.JPEG"
    victim.write_bytes(jpeg()[:-200])
    data = loaded(tree, tmp_path / "cache")
    with pytest.raises(
        DataError, match=rf"{victim}: does not decode \(image file is truncated.*\); get the file again"
    ):
        data.stored["train"].open(4)
    victim.write_bytes(b"<html>")
    os.utime(victim.parent, ns=(1, 1))
    with pytest.raises(DataError, match=rf"{victim}: does not decode \(not an image\)"):
        loaded(tree, tmp_path / "cache").stored["train"].open(4)


def test_image_that_changed_under_way_is_named(tree: Path, tmp_path: Path) -> None:
    data = loaded(tree, tmp_path / "cache")
    victim = tree / "train" / CLASSES[0] / f"{CLASSES[0]}_10.JPEG"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{victim}: the file has changed since it was indexed"):
        data.stored["train"].read(0)


def test_cmyk_is_converted_and_named_by_check(tree: Path, tmp_path: Path) -> None:
    odd = tree / "val" / CLASSES[0] / f"ILSVRC2012_val_{val_numbers(0, 3)[2]:08d}.JPEG"
    write(odd, jpeg(mode="CMYK"))
    data = loaded(tree, tmp_path / "cache")
    row = data.eval_sets["val"].example_ids.tolist().index(odd.stem)
    assert data.stored["val"].open(row).mode == "RGB"
    findings = {finding.part: finding for finding in check("imagenet", tree).parts}
    assert f"1 of them not RGB and converted (the first is {odd}, CMYK)" in findings["val"].note
    assert findings["train"].note == "20 of 1,281,167 images, 20 decoded"
    assert findings["v2_top"].status == "missing"
    (tree / "train" / CLASSES[0] / f"{CLASSES[0]}_10.JPEG").write_bytes(b"x")
    findings = {finding.part: finding for finding in check("imagenet", tree).parts}
    assert findings["train"].status == "damaged"
    assert f"{CLASSES[0]}_10.JPEG: does not decode" in findings["train"].note


# --- parts that are not complete, files that are not used -----------------------------------------------------


def test_a_part_with_all_classes_and_another_number_of_images_is_partial(tmp_path: Path) -> None:
    image = jpeg(size=(8, 8))
    for synset, number in zip(imagenet.synsets(), [val_numbers(label, 1)[0] for label in range(1000)], strict=True):
        write(tmp_path / "val" / synset / f"ILSVRC2012_val_{number:08d}.JPEG", image)
    data = loaded(tmp_path, tmp_path / ".cache")
    assert data.partial == {"val": (1000, 50_000)}
    assert data.doubts == ("val has 1,000 images, not 50,000: its numbers do not compare with those of others",)
    findings = {finding.part: finding for finding in check("imagenet", tmp_path).parts}
    assert (findings["val"].status, findings["val"].note) == ("partial", "1,000 of 50,000 images, 200 decoded")


def test_a_declared_subset_is_not_partial(tree: Path, tmp_path: Path) -> None:
    data = loaded(tree, tmp_path / "cache")
    assert (data.partial, data.doubts) == ({}, ())


def test_what_is_not_used_is_said_by_check_and_run(tree: Path, tmp_path: Path) -> None:
    whole = loaded(tree, tmp_path / "cache").fingerprint
    write(tree / "Val" / CLASSES[0] / "ILSVRC2012_val_00000001.JPEG", jpeg())
    assert len(loaded(tree, tmp_path / "cache").doubts) == 1  # though no part has changed
    write(tree / "train" / CLASSES[0] / "empty.JPEG", b"")
    write(tree / "train" / CLASSES[1] / "new.webp", b"RIFF")
    findings = {finding.part: finding for finding in check("imagenet", tree).parts}
    assert findings["train"].status == "damaged"  # an empty image was one
    empty = tree / "train" / CLASSES[0] / "empty.JPEG"
    assert findings["train"].note.endswith(f"2 files are not used: 1 .webp, 1 empty (the first is {empty})")
    unused = "Val: no part has this name (train, val, imagenetv2-…), so it is not used"
    assert (findings["other"].status, findings["other"].note) == ("unused", unused)
    study = Study(
        recipes=("a2",),
        models=("resnet18",),
        data="imagenet",
        seeds=(0,),
        assignments=("batch_size=16", "micro_batch=16"),
    )
    lines: list[str] = []
    resolved = resolve(study, results=tmp_path, data_dir=tree, cache_dir=tmp_path / "cache", say=lines.append)
    assert f"imagenet: data folder: {unused}" in lines
    assert sum("2 files are not used" in line for line in lines) == 1
    assert [trial.data_fingerprint for trial in resolved.trials] == [whole]  # the images are the same


def test_a_thorough_check_decodes_every_image_and_names_the_broken_ones(tree: Path, tmp_path: Path) -> None:
    broken = tree / "train" / CLASSES[2] / f"{CLASSES[2]}_12.JPEG"
    broken.write_bytes(broken.read_bytes()[:-100])
    pack(tree / "imagenetv2-matched-frequency-format-val", tree / "imagenetv2-matched-frequency.tar.gz")
    lines: list[str] = []
    found = check("imagenet", tree, is_thorough=True, progress=lines.append)
    findings = {finding.part: finding for finding in found.parts}
    assert found.is_damaged
    assert findings["train"].note.startswith(f"20 of 1,281,167 images, 19 decoded, 1 not: {broken}: does not decode")
    assert findings["val"].note == "10 of 50,000 images, 10 decoded"
    assert findings["v2"].note == "5 of 10,000 images, 5 decoded"
    assert "imagenet: train: 20 of 20 images decoded" in lines
    assert not any("decoded" in line for line in [str(check("imagenet", tree).parts[2].note)])  # a .gz takes too long


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_line(tree: Path, tmp_path: Path) -> None:
    (tree / "train").chmod(0)
    try:
        fails(tree, tmp_path / "cache", "Permission denied")
    finally:
        (tree / "train").chmod(0o755)


def test_a_name_too_long_is_one_line(tmp_path: Path) -> None:
    for use in (lambda: check("imagenet", tmp_path / ("x" * 5000)), lambda: loaded(tmp_path / ("x" * 300), tmp_path)):
        with pytest.raises(DataError, match="File name too long"):
            use()
