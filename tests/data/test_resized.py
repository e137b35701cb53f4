"""A resized copy: whole or not at all, resumed, and never pooled with its original."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seedstudy as ss
from seedstudy.data import check, load, prepare, resized
from seedstudy.data.base import Dataset
from seedstudy.errors import DataError, SeedstudyError
from seedstudy.files import write_record
from seedstudy.train.streaming import decoded
from tests.imagenet_tree import CLASSES, jpeg, make_tree, write

pytestmark = pytest.mark.train


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of JPEGs and a PNG, most of them larger than 64 px, one smaller."""
    for label, name in enumerate(("cat", "dog")):
        for n in range(6):
            write(tmp_path / "photos" / "train" / name / f"{n}.jpg", jpeg(30 * label + n, size=(160, 120)))
        for n in range(2):
            write(tmp_path / "photos" / "val" / name / f"{n}.jpg", jpeg(100 + 30 * label + n, size=(160, 120)))
    write(tmp_path / "photos" / "train" / "cat" / "small.jpg", jpeg(7, size=(60, 50)))
    stream = io.BytesIO()
    Image.fromarray(np.zeros((200, 150, 4), dtype=np.uint8)).save(stream, "PNG")
    write(tmp_path / "photos" / "train" / "dog" / "clear.png", stream.getvalue())
    (tmp_path / "photos" / "real.csv").write_text("image,label\ncat/0.jpg,cat|dog\ndog/1.jpg,dog\n")
    return tmp_path / "photos"


def loaded(name: str, cache: Path, data_dir: Path | None = None) -> Dataset:
    return load(prepare(name, data_dir=data_dir, cache_dir=cache))


def copied(data: Dataset, target: Path, **options: int | None) -> resized.Copy:
    return resized.resized_copy(data, target, **{"short_side": 64, "quality": 90, **options})


def test_every_image_is_resized_by_its_shorter_side_and_labels_stay(photos: Path, tmp_path: Path) -> None:
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    copy = copied(original, tmp_path / "copy")
    assert (copy.images, copy.resized, copy.is_new) == (18, 17, True)
    assert copy.bytes_after == sum(path.stat().st_size for path in (tmp_path / "copy").rglob("*.jpg"))
    small = loaded(f"folder:{tmp_path / 'copy'},size=64", tmp_path / "cache")
    assert small.classes == original.classes
    assert small.train_labels.tolist() == original.train_labels.tolist()
    for path in (tmp_path / "copy" / "train").rglob("*.jpg"):
        with Image.open(path) as image:
            assert min(image.size) == (50 if path.stem == "small" else 64)
    assert (tmp_path / "copy/train/cat/small.jpg").read_bytes() == (photos / "train/cat/small.jpg").read_bytes()
    assert np.asarray(Image.open(tmp_path / "copy/train/dog/clear.jpg")).min() > 250  # transparent is white
    assert small.eval_sets["real"].label_values.tolist() == original.eval_sets["real"].label_values.tolist()
    wanted = Image.open(photos / "val/dog/1.jpg").resize((85, 64), Image.Resampling.BICUBIC)
    given = Image.open(tmp_path / "copy/val/dog/1.jpg")
    assert np.abs(np.asarray(given, dtype=float) - np.asarray(wanted, dtype=float)).mean() < 4  # JPEG at 90


def test_a_decoded_copy_holds_the_pixels_themselves(photos: Path, tmp_path: Path) -> None:
    """Resized once, compressed by nothing, those of small images unchanged; whoever trains on it decodes nothing."""
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    copy = copied(original, tmp_path / "copy", quality=None, short_side=100)
    assert (copy.images, copy.resized, copy.quality) == (18, 17, None)
    small = loaded(f"folder:{tmp_path / 'copy'}", tmp_path / "cache")
    assert small.classes == original.classes
    assert small.train_labels.tolist() == original.train_labels.tolist()
    assert small.eval_sets["real"].label_values.tolist() == original.eval_sets["real"].label_values.tolist()
    files = sorted(path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*.ppm"))
    assert len(files) == 18
    for part, images in original.stored.items():
        for row in range(len(images)):
            pixels = images.open(row)
            share = min(1.0, 100 / min(pixels.size))
            if share < 1:
                sides = tuple(max(100, round(share * side)) for side in pixels.size)
                pixels = pixels.resize(sides, Image.Resampling.BICUBIC)
            wanted = np.asarray(pixels)
            assert (np.asarray(small.stored[part].open(row)) == wanted).all()
            assert (decoded(small.stored[part], row).permute(1, 2, 0).numpy() == wanted).all()
    said = {part.part: part.note for part in check(f"folder:{tmp_path / 'copy'}").parts}
    assert "shorter side 100 px by bicubic, decoded; trials" in said["copy"]
    with pytest.raises(DataError, match=r"a copy with quality none \(decoded\), not 90; choose another folder"):
        copied(original, tmp_path / "copy", short_side=100)
    with pytest.raises(DataError, match="decoded images have no JPEG quality"):
        ss.resize_data(f"folder:{photos}", tmp_path / "other", quality=90, decoded=True)


def test_an_interrupted_decoded_copy_is_made_whole(photos: Path, tmp_path: Path) -> None:
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    whole = copied(original, tmp_path / "whole", quality=None, short_side=50)
    partial = tmp_path / ".copy.partial"
    (tmp_path / "whole").rename(partial)
    plan = {"data": original.name, "fingerprint": original.fingerprint, "short_side": 50, "quality": None}
    (partial / resized.RECORD).unlink()
    write_record(partial / "plan.json", plan)
    cut, gone, *kept = sorted(partial.rglob("*.ppm"))
    wanted = {path.relative_to(partial): path.read_bytes() for path in (cut, gone, *kept)}
    cut.write_bytes(cut.read_bytes()[:-7])  # what a crash of the machine may leave
    gone.unlink()
    before = kept[0].stat().st_mtime_ns
    again = copied(original, tmp_path / "copy", quality=None, short_side=50)
    assert {
        path.relative_to(tmp_path / "copy"): path.read_bytes() for path in (tmp_path / "copy").rglob("*.ppm")
    } == wanted
    assert (tmp_path / "copy" / kept[0].relative_to(partial)).stat().st_mtime_ns == before
    assert again.resized == whole.resized == 17  # a small image is not smaller than 50 px


def test_a_copy_never_has_the_fingerprint_of_its_original(photos: Path, tmp_path: Path) -> None:
    """Even where every image was small enough to stay as it is."""
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    assert copied(original, tmp_path / "copy", short_side=500).resized == 0
    whole = loaded(f"folder:{tmp_path / 'copy'}", tmp_path / "cache")
    assert whole.fingerprint != original.fingerprint
    fingerprints = {original.fingerprint, whole.fingerprint}
    for name, how in (("another", {"short_side": 400}), ("decoded", {"short_side": 500, "quality": None})):
        copied(original, tmp_path / name, **how)
        fingerprints.add(loaded(f"folder:{tmp_path / name}", tmp_path / "cache").fingerprint)
    assert len(fingerprints) == 4
    said = {part.part: part.note for part in check(f"folder:{tmp_path / 'copy'}").parts}
    assert said["copy"].startswith(f"a copy of folder-photos ({original.fingerprint}): shorter side 500 px by bicubic")


def test_what_was_interrupted_is_resumed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    wrote: list[str] = []
    write_one = resized.write_atomically

    def stop_after_ten(path: Path, *args: object, **options: object) -> bool:
        if len(wrote) == 10:
            raise KeyboardInterrupt
        wrote.append(path.name)
        return write_one(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(resized.machine, "cores", lambda: 1)
    monkeypatch.setattr(resized, "write_atomically", stop_after_ten)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        resized.resized_copy(original, tmp_path / "copy", short_side=64, quality=90, progress=lines.append)
    assert lines[-1] == "folder-photos: interrupted; what is done is kept, and the same command resumes"
    assert not (tmp_path / "copy").exists()
    partial = tmp_path / ".copy.partial"
    done = sorted(partial.rglob("*.jpg"))
    assert len(done) == 10
    done[3].write_bytes(done[3].read_bytes()[:-50])  # what a crash of the machine may leave
    with pytest.raises(DataError, match=r"an unfinished copy with another quality \(90, now 80\)"):
        copied(original, tmp_path / "copy", quality=80)
    monkeypatch.setattr(resized, "write_atomically", write_one)
    before = done[0].stat().st_mtime_ns
    copied(original, tmp_path / "copy")
    again = copied(loaded(f"folder:{photos}", tmp_path / "cache"), tmp_path / "whole")
    assert not partial.exists()
    for path in (tmp_path / "whole").rglob("*.jpg"):
        assert (tmp_path / "copy" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
    first = tmp_path / "copy" / done[0].relative_to(partial)
    assert first.stat().st_mtime_ns == before
    assert again.bytes_after == copied(original, tmp_path / "copy").bytes_after


@pytest.mark.parametrize("quality", [90, None])
def test_a_copy_of_imagenet_is_an_imagenet(quality: int | None, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "imagenet")
    original = loaded("imagenet", tmp_path / "cache", tree)
    copy = copied(original, tmp_path / "small", short_side=32, quality=quality)
    assert copy.resized == copy.images == 35
    small = loaded("imagenet", tmp_path / "cache", tmp_path / "small")
    for name, eval_set in original.eval_sets.items():
        assert small.eval_sets[name].example_ids.tolist() == eval_set.example_ids.tolist()
        assert small.eval_sets[name].label_values.tolist() == eval_set.label_values.tolist()
    assert small.stored["train"].names.tolist() == original.stored["train"].names.tolist()
    assert {min(small.stored["train"].open(row).size) for row in range(20)} == {32}
    assert small.fingerprint != original.fingerprint
    assert (tmp_path / "small" / "classes.txt").read_text().split() == list(CLASSES)
    notes = {part.part: part for part in check("imagenet", tmp_path / "small").parts}
    assert (notes["copy"].status, "other" in notes) == ("found", False)
    with pytest.raises(DataError, match="make the copy of imagenet"):
        copied(loaded("imagenet_minival", tmp_path / "cache", tree), tmp_path / "other")


@pytest.mark.parametrize("kind", ["folder", "file", "link", "partial"])
def test_nothing_is_written_over_or_through(kind: str, photos: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = tmp_path / "copy"
    if kind == "folder":
        write(target / "mine.txt", b"x")
    elif kind == "file":
        target.write_text("x")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / ".copy.partial").symlink_to(elsewhere)
    with pytest.raises(SeedstudyError) as caught:
        copied(loaded(f"folder:{photos}", tmp_path / "cache"), target)
    assert "\n" not in str(caught.value)
    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_two_processes_do_not_make_one_copy(photos: Path, tmp_path: Path) -> None:
    original = loaded(f"folder:{photos}", tmp_path / "cache")
    plan = {"data": original.name, "fingerprint": original.fingerprint, "short_side": 64, "quality": 90}
    (tmp_path / ".copy.partial").mkdir()
    lock = resized._begin(tmp_path / ".copy.partial", plan)
    with pytest.raises(DataError, match="another process is making this copy"):
        copied(original, tmp_path / "copy")
    os.close(lock)
    assert copied(original, tmp_path / "copy").is_new


def test_small_images_need_no_copy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its images are small and kept decoded"):
        copied(loaded("digits", tmp_path / "cache"), tmp_path / "copy")
    with pytest.raises(DataError, match="its images are small and kept decoded"):
        ss.resize_data("shapes", tmp_path / "copy")  # and nothing is rendered for it


def test_the_command_says_how_the_copy_was_made(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    copy = ss.resize_data(f"folder:{photos}", tmp_path / "copy", short_side=64)
    assert (copy.short_side, copy.filter, copy.quality, copy.data) == (64, "bicubic", 95, "folder-photos")
