"""Prepared data sets are published complete, verified, mapped and cut to a limit."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seedstudy.data import arrays, cache
from seedstudy.data.base import Content, EvalSet
from seedstudy.errors import DataError
from seedstudy.files import read_record, write_record

N_TRAIN, N_VAL = 12, 5


def small_content(*, brightness: int = 7) -> Content:
    """Three classes that are neither balanced nor in turn."""
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 1, 0])
    val = EvalSet.of_labels("val", np.arange(N_VAL) % 3, np.array([f"v{row}" for row in range(N_VAL)]))
    pixels = np.arange(N_TRAIN * 8 * 8 * 3).reshape(N_TRAIN, 8, 8, 3) % 251
    return Content(
        classes=("a", "b", "c"),
        train_images=pixels.astype(np.uint8),
        train_labels=labels,
        images={"val": np.full((N_VAL, 8, 8, 3), brightness, dtype=np.uint8)},
        eval_sets=(val,),
        missing={"v2": "v2 needs a file."},
    )


def ensure(cache_dir: Path, build: Callable[[], Content] = small_content, source_key: str = "k") -> Path:
    return cache.ensure("small", source_key=source_key, cache_dir=cache_dir, build=build)


def rewrite_meta(entry: Path, **changes: object) -> None:
    """Change keys of meta.json as a program would that knows how to seal it."""
    path = entry / "meta.json"
    write_record(path, {**read_record(path), **changes})


def never() -> Content:
    raise AssertionError("built again")


def test_what_was_written_is_what_is_loaded(tmp_path: Path) -> None:
    written, data = small_content(), cache.load(ensure(tmp_path))
    assert isinstance(data.train_images, np.memmap)
    np.testing.assert_array_equal(data.train_images, written.train_images)
    np.testing.assert_array_equal(data.train_labels, written.train_labels)
    np.testing.assert_array_equal(data.images["val"], written.images["val"])
    val = data.eval_sets["val"]
    assert val.example_ids.tolist() == ["v0", "v1", "v2", "v3", "v4"]
    assert val.label_values.tolist() == [0, 1, 2, 0, 1]
    assert (data.name, data.classes, data.image_size) == ("small", ("a", "b", "c"), 8)
    assert data.missing == {"v2": "v2 needs a file."}
    scaled = written.train_images / 255
    np.testing.assert_allclose(data.mean, scaled.mean(axis=(0, 1, 2)), atol=5e-5)
    np.testing.assert_allclose(data.std, scaled.std(axis=(0, 1, 2)), atol=5e-5)


def test_a_second_call_reuses_the_entry_and_another_source_makes_another(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    assert ensure(tmp_path, never) == first
    assert ensure(tmp_path, source_key="other") != first


def test_loaded_arrays_cannot_be_changed(tmp_path: Path) -> None:
    data = cache.load(ensure(tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        data.train_images[0] = 0


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "meta", "swap"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    entry = ensure(tmp_path)
    path = entry / "images.val.npy"
    content = path.read_bytes()
    match damage:
        case "truncate":
            path.write_bytes(content[:-10])
        case "flip":
            path.write_bytes(content[:-1] + b"\x00")
        case "remove":
            path.unlink()
        case "meta":
            meta = entry / "meta.json"
            meta.write_text(meta.read_text()[:40])
        case "swap":
            path.write_bytes((entry / "train_images.npy").read_bytes())
    calls: list[int] = []

    def build() -> Content:
        calls.append(1)
        return small_content()

    assert ensure(tmp_path, build) == entry
    assert calls == [1]
    assert path.read_bytes() == content
    assert [child.name for child in tmp_path.iterdir()] == [entry.name]


@pytest.mark.parametrize("damage", ["truncate", "meta", "remove", "swap"])
def test_loading_a_damaged_entry_names_the_file(tmp_path: Path, damage: str) -> None:
    entry = ensure(tmp_path)
    path = entry / ("meta.json" if damage == "meta" else "val.rows.npy")
    if damage == "remove":
        path.unlink()
    elif damage == "swap":
        path.write_bytes((entry / "val.label_offsets.npy").read_bytes())
    else:
        path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"damaged \(.*\); delete the folder") as caught:
        cache.load(entry)
    assert str(path) in str(caught.value)


def flip_a_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_every_process_checks_the_content_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ensure(tmp_path)
    checked: list[int] = []
    monkeypatch.setattr(cache, "_checked", {})  # a new process
    monkeypatch.setattr(cache.arrays, "facts", lambda array, facts=arrays.facts: (checked.append(1), facts(array))[1])
    for _ in range(3):
        cache.load(entry)
    assert len(checked) == 7
    flip_a_pixel(entry / "train_images.npy")
    with pytest.raises(DataError, match=r"train_images\.npy: the prepared data set is damaged"):
        cache.load(entry)
    monkeypatch.setattr(cache, "_checked", {})
    with pytest.raises(DataError, match=r"train_images\.npy: the prepared data set is damaged"):
        cache.load(entry)


def test_what_changes_after_the_check_is_noticed_before_the_result(tmp_path: Path) -> None:
    entry = ensure(tmp_path)
    data = cache.load(entry)
    data.check_unchanged()
    flip_a_pixel(entry / "images.val.npy")
    with pytest.raises(DataError, match=r"images\.val\.npy: changed while it was in use"):
        data.check_unchanged()


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.1, 0.1, 0.1]},
        {"classes": ["a", "b", "d"]},
        {"eval_sets": []},
    ],
)
def test_facts_beside_the_arrays_are_sealed(tmp_path: Path, change: dict[str, object]) -> None:
    """Another mean, and every number of a training is another."""
    entry = ensure(tmp_path)
    record = json.loads((entry / "meta.json").read_text())
    (entry / "meta.json").write_text(json.dumps(record | change))
    with pytest.raises(DataError, match=r"meta\.json: the prepared data set is damaged"):
        cache.load(entry)


@pytest.mark.parametrize("what", ["the folder", "an array", "meta.json"])
def test_an_entry_that_others_may_write_is_refused_and_made_again(tmp_path: Path, what: str) -> None:
    entry = ensure(tmp_path)
    path = {"the folder": entry, "an array": entry / "train_images.npy", "meta.json": entry / "meta.json"}[what]
    path.chmod(path.stat().st_mode | 0o020)
    with pytest.raises(DataError, match=r"damaged \(other users may write it\)"):
        cache.load(entry)
    assert ensure(tmp_path) == entry
    assert not any(each.stat().st_mode & 0o022 for each in (entry, *entry.iterdir()))
    cache.load(entry)


def test_an_entry_is_not_writable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache.load(ensure(tmp_path))
    finally:
        os.umask(before)


def test_an_entry_of_another_user_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ensure(tmp_path)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    if mine == 0:  # what root wrote is trusted by everybody
        cache.load(entry)
        os.chown(entry, 12345, -1)
    for use in (lambda: cache.load(entry), lambda: ensure(tmp_path, never)):
        with pytest.raises(DataError, match=r"belongs to another user .* SEEDSTUDY_CACHE"):
            use()
    assert entry.is_dir()


def test_an_entry_that_cannot_be_read_now_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ensure(tmp_path)

    def too_many(*args: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(cache.arrays, "mapped", too_many)
    with pytest.raises(DataError, match=r"cannot be read now \(Too many open files\)"):
        ensure(tmp_path, never)
    assert entry.is_dir()


def test_a_pipe_in_the_place_of_an_array_is_damage(tmp_path: Path) -> None:
    entry = ensure(tmp_path)
    (entry / "train_labels.npy").unlink()
    os.mkfifo(entry / "train_labels.npy")
    with pytest.raises(DataError, match=r"train_labels\.npy: the prepared data set is damaged"):
        cache.load(entry)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"mean": [0.5, 0.5]},
        {"mean": [0.5, 0.5, float("nan")]},
        {"std": ["x", 1, 1]},
        {"classes": ["a"]},
        {"classes": 3},
        {"name": ["small"]},
        {"eval_sets": [["val", "test"]]},
        {"eval_sets": [["real", "val"]]},
        {"eval_sets": {"val": 1}},
        {"stored": ["train"]},
        {"missing": {"v2": "\x1b[31m"}},
        {"missing": []},
        {"partial": {"val": [1]}},
        {"arrays": {}},
        {"arrays": {"../x": {"dtype": "|u1", "shape": [1], "sha256": ""}}},
        {"arrays": 7},
    ],
    ids=str,
)
def test_a_sealed_record_of_wrong_content_is_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    entry = ensure(tmp_path)
    rewrite_meta(entry, **change)
    with pytest.raises(DataError, match="the prepared data set is damaged") as caught:
        cache.load(entry)
    assert str(caught.value).isprintable()


def test_a_failing_build_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Content:
        raise DataError("row 3 does not decode")

    with pytest.raises(DataError, match="row 3"):
        ensure(tmp_path, fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(errno.ENOSPC, "no space left"), ("9 requested and 1 written",)])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(*words)

    monkeypatch.setattr(cache.np, "save", full)
    with pytest.raises(DataError, match=r"cannot be written \(no space left\); make room") as caught:
        ensure(tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_reported_before_the_build(tmp_path: Path) -> None:
    # A file in the way stops root too, where permissions would not.
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(DataError, match="choose another cache folder"):
        ensure(blocker / "cache", never)


def test_two_at_once_leave_one_intact_entry(tmp_path: Path) -> None:
    both_build = threading.Barrier(2)

    def build() -> Content:
        both_build.wait(timeout=10)
        return small_content()

    entries: list[Path] = []
    threads = [threading.Thread(target=lambda: entries.append(ensure(tmp_path, build))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries) == 2
    assert [child.name for child in tmp_path.iterdir()] == [entries[0].name]
    assert ensure(tmp_path, never) == entries[1]


def test_folders_of_killed_processes_are_swept_when_old(tmp_path: Path) -> None:
    old, recent = (tmp_path / f".small-0123456789abcdef.0123456{n}.tmp" for n in range(2))
    others = [tmp_path / ".rsync.tmp", tmp_path / ".torch-compile.0123.tmp", tmp_path / ".small-1.0123.tmp"]
    link = tmp_path / ".small-0123456789abcdef.01234569.tmp"
    for folder in (old, recent, *others):
        folder.mkdir()
    link.symlink_to(others[0])
    for folder in (old, *others):
        os.utime(folder, (0, 0))
    ensure(tmp_path)
    assert not old.exists()
    assert all(folder.exists() for folder in (recent, link, *others))  # the folder is shared with other programs


# --- train limit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "rows"),
    [
        (3, [0, 6, 7]),
        (4, [0, 1, 6, 7]),  # after one of each, the class whose second image comes first
        (6, [0, 1, 6, 7, 8, 9]),
        (11, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),  # classes 1 and 2 are used up
        (12, list(range(12))),
    ],
)
def test_train_limit_takes_the_classes_in_turn(tmp_path: Path, limit: int, rows: list[int]) -> None:
    whole = small_content()
    data = cache.load(ensure(tmp_path), train_limit=limit)
    np.testing.assert_array_equal(data.train_images, whole.train_images[rows])
    np.testing.assert_array_equal(data.train_labels, whole.train_labels[rows])


@pytest.mark.parametrize("limit", [-1, 0, 2, 13])
def test_impossible_limits_say_what_is_possible(tmp_path: Path, limit: int) -> None:
    with pytest.raises(DataError, match=f"train limit {limit}: small has 12 training images .* from 3 to 12"):
        cache.load(ensure(tmp_path), train_limit=limit)


# --- fingerprint ---------------------------------------------------------------------------------------


def test_the_fingerprint_follows_content_and_limit_alone(tmp_path: Path) -> None:
    first = cache.load(ensure(tmp_path / "a")).fingerprint
    assert len(first) == 16
    assert cache.load(ensure(tmp_path / "b", source_key="elsewhere")).fingerprint == first
    assert cache.load(ensure(tmp_path / "a"), train_limit=6).fingerprint != first
    darker = cache.load(ensure(tmp_path / "c", lambda: small_content(brightness=6)))
    assert darker.fingerprint != first


def test_the_fingerprint_does_not_follow_the_wording_of_what_is_missing(tmp_path: Path) -> None:
    entry = ensure(tmp_path)
    first = cache.load(entry).fingerprint
    rewrite_meta(entry, missing={"v2": "other words"})
    assert cache.load(entry).fingerprint == first
