"""Pseudo-labels: what a teacher writes, and how a recipe mixes such images with labelled ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform

import seedstudy as ss
from seedstudy.data import load, prepare, pseudo
from seedstudy.data.base import Dataset
from seedstudy.data.pseudo import PseudoLabels
from seedstudy.engines.starts import with_pseudo_labels
from seedstudy.errors import DataError, RecipeError, SeedstudyError, StudyError
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.store.rows import pool_key
from seedstudy.study.seeds import Streams
from seedstudy.study.trial import Augmentation, Trial
from seedstudy.train.feed import mixed_order, n_updates_of
from seedstudy.train.parts import build_mixing
from seedstudy.train.processes import Shard
from seedstudy.train.random_state import epoch_streams
from seedstudy.train.streaming import Loader, StreamFeed
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset

MakeTrial = Callable[..., Trial]
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def full() -> Dataset:
    return replace(make_dataset(n_train=96), fingerprint="f" * 16)


@pytest.fixture
def limited(full: Dataset) -> Dataset:
    """Return the same data with 32 labels."""
    rows = pseudo.rows_with_labels(full, 32)
    return replace(
        full, train_images=full.train_images[rows], train_labels=full.train_labels[rows], fingerprint="0" * 16
    )


def labels_for(full: Dataset, **changes: Any) -> PseudoLabels:
    rest = np.setdiff1d(np.arange(96), pseudo.rows_with_labels(full, 32))[:20]
    probabilities = np.full((20, 4), 0.1, dtype=np.float32)
    probabilities[np.arange(20), full.train_labels[rest]] = 0.7
    made = PseudoLabels(
        classes=full.classes,
        teacher="a trial",
        data="tiny",
        fingerprint=full.fingerprint,
        rows=rest,
        labels=full.train_labels[rest],
        confidence=probabilities.max(axis=1),
        probabilities=None,
    )
    return replace(made, **changes)


@pytest.fixture
def recipe(tiny_recipe: Recipe) -> Recipe:
    plain = ["repeated_augmentation=1", "mixup_alpha=0", "cutmix_alpha=0", "pseudo_labels=l.json", "pseudo_ratio=3"]
    return with_values(tiny_recipe, plain)


# --- the file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_soft", [False, True])
def test_what_is_written_is_read_and_sealed(full: Dataset, tmp_path: Path, is_soft: bool) -> None:
    made = labels_for(full, probabilities=np.full((20, 4), 0.25, dtype=np.float32) if is_soft else None)
    path = tmp_path / "l.json"
    pseudo.write(path, made, {"threshold": 0.5})
    found = pseudo.read(path.read_bytes(), str(path))
    for name in ("rows", "labels", "confidence", "probabilities"):
        assert np.array_equal(getattr(found, name), getattr(made, name)), name
    assert (found.classes, found.fingerprint) == (made.classes, made.fingerprint)
    with pytest.raises(DataError, match="there is a file of this name"):
        pseudo.write(path, made, {})
    with pytest.raises(SeedstudyError, match="damaged"):
        pseudo.read(path.read_bytes().replace(b'"threshold": 0.5', b'"threshold": 0.6'), str(path))


def test_another_record_is_no_file_of_pseudo_labels(tmp_path: Path) -> None:
    from seedstudy.files import write_record

    write_record(tmp_path / "x.json", {"kind": "pseudo-labels", "rows": {"shape": [10**9], "zlib": ""}})
    with pytest.raises(DataError, match="not a file of `seedstudy pseudolabel`"):
        pseudo.read((tmp_path / "x.json").read_bytes(), "x.json")


# --- mixing -----------------------------------------------------------------------------------------------------


def test_every_update_has_both_kinds_at_the_ratio(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    data = pseudo.joined(limited, labels_for(full), full)
    assert (len(data.train_labels), data.n_pseudo) == (52, 20)
    assert recipe.n_labelled == 4
    assert n_updates_of(data, recipe) == 8
    order = mixed_order(data, recipe, seed=1)
    assert order.shape == (8, 1, 16)
    for update in order:
        assert (update < 32).sum() == 4
    seen = Counter(order.ravel().tolist())
    assert [seen[row] for row in range(32)] == [1] * 32  # one pass over the labelled images
    assert {seen[row] for row in range(32, 52)} == {4, 5}  # 96 draws of 20 images, pass by pass
    assert not np.array_equal(order, mixed_order(data, recipe, seed=2))
    halves = with_values(recipe, ["micro_batch=8"])
    assert mixed_order(data, halves, seed=1).shape == (8, 2, 8)


def test_the_images_are_those_that_were_labelled(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    made = labels_for(full)
    data = pseudo.joined(limited, made, full)
    assert np.array_equal(data.train_images[32:], full.train_images[made.rows])
    assert np.array_equal(data.train_labels[32:], made.labels)


@pytest.mark.parametrize("is_soft", [False, True])
def test_training_with_them_ends_in_a_result(
    is_soft: bool, full: Dataset, limited: Dataset, recipe: Recipe, make_trial: MakeTrial, tmp_path: Path
) -> None:
    soft = np.full((20, 4), 0.25, dtype=np.float32)
    pseudo.write(tmp_path / "l.json", labels_for(full, probabilities=soft if is_soft else None), {})
    trials, contents = with_pseudo_labels(
        [make_trial(seed, recipe=recipe) for seed in (0, 1)], folder=tmp_path, data=limited, full=lambda: full
    )
    (digest,) = contents
    assert {trial.pseudo_labels for trial in trials} == {digest}
    assert Trial.from_dict(json.loads(json.dumps(trials[0].to_dict())), where="spec") == trials[0]
    data = pseudo.joined(limited, pseudo.read(contents[digest](), "there"), full)
    first, second = (train_trial(trials[0], data) for _ in range(2))
    assert first.status == "ok"
    assert first.evaluations["val"].predicted.tobytes() == second.evaluations["val"].predicted.tobytes()
    without = train_trial(make_trial(0, recipe=with_values(recipe, ["pseudo_labels=none"])), limited)
    assert pool_key(trials[0], first.provenance) != pool_key(make_trial(0), without.provenance)
    hard = pseudo.joined(limited, labels_for(full), full)
    assert (train_trial(trials[0], hard).curves == first.curves) is False


def test_labels_of_certain_classes_are_the_hard_ones(
    full: Dataset, limited: Dataset, recipe: Recipe, make_trial: MakeTrial
) -> None:
    """Soft labels that are certain train the same network as hard ones."""
    recipe = with_values(recipe, ["loss=ce", "bce_target_threshold=none", "label_smoothing=0"])
    made = labels_for(full)
    certain = np.eye(4, dtype=np.float32)[made.labels]
    results = [
        train_trial(make_trial(0, recipe=recipe), pseudo.joined(limited, each, full))
        for each in (made, replace(made, probabilities=certain))
    ]
    losses = [[report.train_loss for report in result.curves] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_shares_are_mixed_as_timm_mixes_labels(mode: str, recipe: Recipe) -> None:
    values = ["mixup_alpha=0.4", "cutmix_alpha=1", f"mix_mode={mode}", "label_smoothing=0.1", "mix_switch_prob=0.5"]
    mixing = with_values(recipe, values)
    labels = torch.arange(16) % 4
    shares = torch.eye(4)[labels] * 0.9 + 0.1 / 4
    for seed in range(6):
        mixed = []
        for has_shares, targets in ((False, labels), (True, shares)):
            np.random.seed(seed)  # noqa: NPY002  # what timm draws from
            images = torch.arange(16.0).repeat_interleave(3 * 8 * 8).view(16, 3, 8, 8)
            mix = build_mixing(mixing, 4, has_shares=has_shares)
            assert mix is not None
            mixed.append(mix(images, targets))
        assert torch.equal(mixed[0][0], mixed[1][0])
        torch.testing.assert_close(mixed[0][1], mixed[1][1], rtol=0.0, atol=1e-6)


def test_soft_labels_train_with_mixing(full: Dataset, limited: Dataset, recipe: Recipe, make_trial: MakeTrial) -> None:
    """Certain soft labels train the same network as hard ones, mixed alike."""
    values = ["mixup_alpha=0.2", "cutmix_alpha=1", "loss=ce", "bce_target_threshold=none", "label_smoothing=0"]
    mixing = with_values(recipe, values)
    made = labels_for(full)
    soft = replace(made, probabilities=np.eye(4, dtype=np.float32)[made.labels])
    curves = [
        [
            report.train_loss
            for report in train_trial(make_trial(0, recipe=mixing), pseudo.joined(limited, each, full)).curves
        ]
        for each in (made, soft)
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


# --- images that stay files ---------------------------------------------------------------------------------------


def photographs(folder: Path, parts: dict[str, int], *, first: int = 0) -> Path:
    """Write photographs of three classes whose grey level says which they are: part, or part/class -> how many."""
    level = first
    for part, n in parts.items():
        (folder / part).mkdir(parents=True)
        for number in range(n):
            pixels = np.full((110, 130, 3), level, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number:02d}.png")
            level += 2
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "0")
    parts = {f"{part}/{name}": n for part, n in (("train", 14), ("val", 4)) for name in "abc"}
    return photographs(tmp_path / "photos", parts)


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("is_soft", [False, True])
@pytest.mark.parametrize("augmentation", get_args(Augmentation))
def test_photographs_are_mixed_as_they_are_read(
    is_folder: bool, is_soft: bool, augmentation: Augmentation, photos: Path, recipe: Recipe, tmp_path: Path
) -> None:
    """Every image of an update comes with its own label: a labelled one, one that was left out, one of a folder."""
    prepared = prepare("folder:photos", cache_dir=tmp_path / "cache")
    data, full = load(prepared, train_limit=18), load(prepared)
    levels = {
        int(np.asarray(full.stored["train"].open(row))[0, 0, 0]): int(full.train_labels[row]) for row in range(42)
    }
    rows = np.setdiff1d(np.arange(42), pseudo.rows_with_labels(full, 18))
    names, digest, folder = (), "", ""
    if is_folder:
        folder = str(photographs(tmp_path / "more", {"": 10, "deep": 10}, first=150))
        names = pseudo.names_in(Path(folder))
        assert names[0] == "00.png"
        assert names[-1] == "deep/09.png"
        levels |= {150 + 2 * n: n % 3 for n in range(20)}
        rows = np.arange(20)
        images, digest = pseudo.unlabelled(Path(folder), names, full)
        assert [int(np.asarray(images.open(row))[0, 0, 0]) for row in range(20)] == [150 + 2 * n for n in range(20)]
        labels = np.arange(20) % 3
    else:
        labels = full.train_labels[rows]
    shares = np.full((len(rows), 3), 0.05, dtype=np.float32)
    shares[np.arange(len(rows)), labels] = 0.9
    made = PseudoLabels(
        classes=full.classes,
        teacher="t",
        data=full.name,
        fingerprint=full.fingerprint,
        rows=rows,
        labels=labels,
        confidence=shares.max(axis=1),
        probabilities=shares if is_soft else None,
        folder=folder,
        names=names,
        pixels=digest,
    )
    joined = pseudo.joined(data, made, full)
    assert (joined.n_pseudo, len(joined.stored["train"]), len(joined.stored[pseudo.STORED])) == (
        len(rows),
        18,
        len(rows),
    )
    quiet = ["batch_size=12", "micro_batch=6", "train_size=16", "test_size=16", "randaugment=none", "color_jitter=0"]
    quiet += ["random_erasing=0", "label_smoothing=0", "pseudo_ratio=1"]
    recipe = with_values(recipe, quiet)
    shard, streams = Shard(micro_batches=range(2)), Streams(seed=0)
    loader = Loader.of_trial(joined, recipe, augmentation, torch.device("cpu"))
    feed = StreamFeed(joined, recipe, shard, torch.device("cpu"), augmentation, loader)
    seen, n_updates = Counter[int](), 0
    for update in feed.epoch(streams, 0, epoch_streams(streams, 0, shard.micro_batches)):
        n_updates += 1
        for images, targets in update:
            shown = images[:, 0, 8, 8] * joined.std[0] + joined.mean[0]
            for level, target in zip((255 * shown).round().int().tolist(), targets, strict=True):
                assert levels[level] == int(target.argmax() if is_soft else target)
                seen[level] += 1
    assert n_updates == 3  # 18 labelled images, six of them in each
    assert sum(seen.values()) == 36
    assert len(seen) == 18 + 18
    if is_folder:
        Image.fromarray(np.zeros((110, 131, 3), dtype=np.uint8)).save(Path(folder) / "00.png")
        with pytest.raises(DataError, match="its images are not those that were labelled"):
            pseudo.joined(data, made, full)


@pytest.mark.slow
def test_a_weights_file_labels_photographs_and_they_are_trained_on(photos: Path, cli: Cli, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model("test_resnet", num_classes=3).state_dict()
    save_file(state, "teacher.safetensors")
    torch.save({"state_dict": state}, "teacher.pth")
    photographs(tmp_path / "more", {"": 9}, first=20)
    sizes = ["train_size=32", "test_size=32", "batch_size=8", "micro_batch=8", "repeated_augmentation=1"]
    run = ["run", "-r", "a3", "-m", "test_resnet", "-d", "folder:photos", "--train-limit", "18", "--workers", "1"]
    run += ["--epochs", "1", "--seeds", "1", *(word for size in sizes for word in ("--set", size))]
    label = ["pseudolabel", "test_resnet", "-d", "folder:photos"]
    Path("t.toml").write_text('format = 1\nname = "t"\nbase = "a3"\n[values]\ntest_size = 32\n')
    for name, more in {
        "rest.json": ["--weights", "teacher.safetensors", "-r", "./t.toml", "--train-limit", "18", "--soft"],
        "more.json": ["--weights", "teacher.pth", "-r", "./t.toml", "--images", "more"],
        "timms.json": ["--weights", "teacher.pth", "--images", "more"],
    }.items():
        code, out, err = cli(*label, "-o", name, *more, "--json")
        assert code == 0, err
        document = json.loads(out)
        assert document["n_labelled"] == (24 if name == "rest.json" else 9)
        code, _, err = cli(*run, "--study", name.removesuffix(".json"), "--set", f"pseudo_labels={name}")
        assert code == 0, err
    data = load(prepare("folder:photos", cache_dir=tmp_path / "cache"))
    found = pseudo.read(Path("rest.json").read_bytes(), "rest.json")
    network = timm.create_model("test_resnet", num_classes=3, checkpoint_path="teacher.safetensors").eval()
    recipe = load_recipe("./t.toml")
    config = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)} | {
        key: timm.get_pretrained_cfg("test_resnet").to_dict()[key] for key in ("mean", "std")
    }
    shown = create_transform((3, 32, 32), crop_pct=recipe.test_crop, interpolation=recipe.test_interpolation, **config)
    with torch.no_grad():
        images = torch.stack([shown(data.stored["train"].open(int(row))) for row in found.rows])
        expected = network(images).softmax(1).numpy()
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-3)  # written in half precision
    # Kept weights of a trial are such a file too.
    (kept,) = Path("results/more/trials").glob("*/weights.safetensors")
    assert cli(*label, "-o", "kept.json", "--weights", str(kept), "-r", "./t.toml", "--images", "more")[0] == 0
    for arguments, message in (
        (["test_resnet", "--weights", "teacher.pth"], "name the data set"),
        ([*label[1:], "--weights", "teacher.pth"], "all training images of folder-photos have labels"),
        ([*label[1:], "--weights", "nowhere.pth", "--images", "more"], "nowhere.pth: no such file"),
        ([*label[1:], "--weights", "t.toml", "--images", "more", "-r", "./t.toml"], "t.toml: cannot be loaded"),
        (
            ["resnet18", *label[2:], "--weights", "teacher.pth", "--images", "more", "-r", "a3"],
            "not the weights of this",
        ),
        ([*label[1:3], "digits", "--weights", "teacher.pth", "--images", "more", "-r", "a3"], "a teacher of 3 classes"),
        ([*label[1:3], "digits", "--weights", str(kept), "--images", "more", "-r", "a3"], "a teacher of other classes"),
        ([*label[1:], "--weights", "teacher.pth", "--images", "photos/train/a", "-m", "x"], "--model is for trials"),
        (["more:a3", "--images", "more", "--train-limit", "18"], "--train-limit is for a timm model"),
        (["more:a3", "--images", "more", "-r", "a3"], "--recipe is for a timm model"),
    ):
        code, out, err = cli("pseudolabel", *arguments, "-o", "x.json")
        complaints = [
            line for line in err.splitlines() if "images enlarged to" not in line
        ]  # digits are prepared first
        assert (code, len(complaints)) == (2, 1), (arguments, err)
        assert message in complaints[0]
        assert not Path("x.json").exists()


# --- wrong input ------------------------------------------------------------------------------------------------


def test_wrong_labels_are_one_line(full: Dataset, limited: Dataset, recipe: Recipe) -> None:
    kept = pseudo.rows_with_labels(full, 32)
    with pytest.raises(DataError, match="soft labels of 1,000,000 images with 1,000 classes are more than"):
        pseudo.check_size(1_000_000, [""] * 1000, is_soft=True)
    for changes, message in (
        ({"classes": tuple("abcx")}, "teacher has other classes"),
        ({"fingerprint": "another"}, "are of other training images"),
        ({"rows": np.repeat(kept[:1], 20)}, "some pseudo-labelled images are labelled here too"),
        ({"folder": "nowhere", "names": ("a.png",)}, "nowhere/a.png: cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            pseudo.joined(limited, labels_for(full, **changes), full)
    with pytest.raises(DataError, match="are labelled here too"):
        pseudo.joined(full, labels_for(full), full)
    with pytest.raises(RecipeError, match="leaves one kind of images out"):
        with_values(recipe, ["pseudo_ratio=100"])
    with pytest.raises(RecipeError, match="exclude each other"):
        with_values(recipe, ["repeated_augmentation=3"])


def test_a_teacher_without_numbers_is_one_line() -> None:
    from seedstudy.api.pseudolabel import _chosen

    with pytest.raises(StudyError, match="the teacher's outputs are nan"):
        _chosen(np.zeros(2, dtype=np.int64), np.array([0.5, np.nan], dtype=np.float32), 0.0, None, ("a", "b"))


# --- from the command line --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_teacher_labels_the_rest_and_a_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    small = ["--set", "batch_size=32", "--set", "micro_batch=32", "--set", "repeated_augmentation=1", "--epochs", "1"]
    run = ["run", "-r", "a3", "-m", "resnet8_nano", "-d", "digits", "--train-limit", "128", "--workers", "1", *small]
    assert cli(*run, "--seeds", "2", "--study", "teacher", "--keep-weights")[0] == 0
    code, out, err = cli("pseudolabel", "teacher:a3", "-o", "rest.json", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["n_images"], document["n_labelled"], len(document["teacher"])) == (1201 - 128, 1201 - 128, 2)
    assert sum(document["by_class"].values()) == 1201 - 128
    assert Path("rest.json").stat().st_size < 50_000
    answer = ss.pseudolabel("teacher:a3#1", "soft.json", soft=True, most=50)
    assert (answer.is_soft, answer.n_labelled, len(answer.teacher)) == (True, 50, 1)
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    assert ss.pseudolabel("teacher:a3#0", "photos.json", images=folder).n_labelled == 6
    for file in ("rest.json", "photos.json"):
        code, _, err = cli(*run, "--seeds", "1", "--study", "student", "--set", f"pseudo_labels={file}")
        assert code == 0, err
    assert len(list(Path("results/student/starts").iterdir())) == 2
    for arguments, message in (
        (("teacher:a3", "-o", "rest.json"), "there is a file of this name"),
        (("teacher:a3#7", "-o", "x.json"), "no kept weights"),
        (("teacher:a3", "-o", "x.json", "--threshold", "0.9999"), "no image is as certain"),
        (("teacher:a3", "-o", "x.json", "--images", "nowhere"), "nowhere: no such folder"),
    ):
        code, _, err = cli("pseudolabel", *arguments)
        assert (code, message in err) == (2, True), err
        assert not Path("x.json").exists()
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    code, _, err = cli(*run, "--seeds", "2", "--study", "student", "--set", "pseudo_labels=photos.json")
    assert (code, "its images are not those that were labelled" in err) == (2, True)
