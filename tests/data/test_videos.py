"""Videos of one's own: mp4 files that PyAV wrote, folders of frames, Kinetics' annotations, wrong input."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seedstudy.data import check, facts_of, prepare, videos
from seedstudy.data.base import Dataset
from seedstudy.errors import DataError
from tests.own_data import fails, loaded
from tests.videos import lay_out, moving_square, write_frames, write_mp4

pytest.importorskip("av")
pytestmark = pytest.mark.train  # Pillow


def names(data: Dataset) -> list[str]:
    return [name.decode() for name in data.stored["train"].names]


# --- files -----------------------------------------------------------------------------------------------------


def test_class_folders_of_mp4_files_are_a_data_set(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 3, "val": 2})
    data = loaded(f"folder:{root}", tmp_path)
    assert data.classes == ("down", "up")
    assert data.holds_videos
    assert data.image_size is None
    assert names(data) == [f"train/{name}/clip{n}.mp4" for name in ("down", "up") for n in range(3)]
    frames = data.stored["train"].frames
    assert frames is not None
    assert frames.tolist() == [10 + seed % 5 for seed in (4, 5, 6, 1, 2, 3)]
    assert len(data.eval_sets["val"]) == 4
    assert facts_of(f"folder:{root}", data).epoch_ratio == 0.1


def test_frames_are_decoded_in_the_order_asked_for(tmp_path: Path) -> None:
    made = moving_square(7, step=3)
    write_mp4(tmp_path / "clips" / "a" / "x.mp4", made)
    for name in ("a", "b"):
        write_mp4(tmp_path / "clips" / name / "y.mp4", moving_square(8, step=1))
    write_mp4(tmp_path / "clips" / "b" / "z.mp4", moving_square(9, step=1))
    data = loaded(f"folder:{tmp_path / 'clips'},val=0.5", tmp_path)
    stored, row = next(
        (images, row) for images in data.stored.values() for row, name in enumerate(images.names) if name == b"a/x.mp4"
    )
    wanted = [5, 0, 13, 5]
    for number, image in zip(wanted, videos.frames(stored, row, wanted), strict=True):
        assert np.abs(np.asarray(image).astype(int) - made[number]).mean() < 6  # lossy


def test_one_level_is_split_and_copies_stay_on_one_side(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {".": 6})
    copy = root / "up" / "copy.mp4"
    copy.write_bytes((root / "up" / "clip0.mp4").read_bytes())
    data = loaded(f"folder:{root},val=0.3", tmp_path)
    copies = (b"up/clip0.mp4", b"up/copy.mp4")
    sides = [part for part, images in data.stored.items() for name in images.names if name in copies]
    assert len(sides) == 2
    assert len(set(sides)) == 1
    assert data.holds_videos


def test_the_content_decides_the_fingerprint_not_the_place(tmp_path: Path) -> None:
    first, second = (lay_out(tmp_path / name, {"train": 2, "val": 1}) for name in ("here", "there"))
    fingerprints = {loaded(f"folder:{root}", tmp_path).fingerprint for root in (first, second)}
    write_mp4(second / "train" / "up" / "clip0.mp4", moving_square(99, step=-3))
    assert len(fingerprints) == 1
    assert loaded(f"folder:{second}", tmp_path).fingerprint not in fingerprints


def test_a_list_of_videos(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1})
    rows = [(path.relative_to(root), path.parts[-2], path.parts[-3]) for path in sorted(root.glob("*/*/*.mp4"))]
    (root / "list.csv").write_text("path,label,split\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    data = loaded(f"csv:{root / 'list.csv'}", tmp_path)
    assert data.holds_videos
    assert len(data.train_labels) == 4


# --- folders of frames -----------------------------------------------------------------------------------------


def test_folders_of_frames_are_videos_where_it_is_said(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1}, as_frames=True)
    data = loaded(f"folder:{root},video=frames", tmp_path)
    assert names(data) == [f"train/{name}/clip{n}" for name in ("down", "up") for n in range(2)]
    made = moving_square(3, step=3, n_frames=13)
    for number, image in zip((12, 2), videos.frames(data.stored["train"], 0, (12, 2)), strict=True):
        np.testing.assert_array_equal(np.asarray(image), made[number])  # by number: 10 after 9
    assert not loaded(f"folder:{root}", tmp_path).holds_videos  # without a word they are images of their class
    assert prepare(f"folder:{root},video=frames", cache_dir=tmp_path / "cache").is_dir()  # found again, not made again


def test_a_changed_frame_is_noticed(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1}, as_frames=True)
    data = loaded(f"folder:{root},video=frames", tmp_path)
    write_frames(root / "train" / "down" / "clip0", moving_square(50, step=1))
    with pytest.raises(DataError, match="frames have changed"):
        videos.frames(data.stored["train"], 0, (0,))
    assert loaded(f"folder:{root},video=frames", tmp_path).fingerprint != data.fingerprint


# --- Kinetics --------------------------------------------------------------------------------------------------


def kinetics(root: Path, *, flat: bool) -> Path:
    """Lay out a small Kinetics: annotations/train.csv and val.csv, and the videos by class, or all in one folder."""
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for number, (part, label) in enumerate((p, c) for p in rows for c in ("riding a bike", "yoga") for _ in range(3)):
        start = 10 * number
        rows[part].append(f'"{label}",id_{number}-x,{start},{start + 10},{part},0')
        if number == 1:
            continue  # no longer on YouTube
        name = f"id_{number}-x_{start:06d}_{start + 10:06d}.mp4"
        write_mp4(root / part / ("" if flat else label) / name, moving_square(number, step=1 + number % 3))
    (root / "annotations").mkdir()
    for part, lines in rows.items():
        header = "label,youtube_id,time_start,time_end,split,is_cc\n"
        (root / "annotations" / f"{part}.csv").write_text(header + "\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("flat", [True, False])
def test_kinetics_is_read_by_its_annotations(flat: bool, tmp_path: Path) -> None:
    data = loaded(f"folder:{kinetics(tmp_path / 'k400', flat=flat)}", tmp_path)
    assert data.classes == ("riding a bike", "yoga")
    assert np.bincount(data.train_labels).tolist() == [2, 3]
    assert len(data.eval_sets["val"]) == 6
    assert data.eval_sets["val"].example_ids[0] == "val/id_6-x_000060_000070"
    assert any("1 of the 6 videos in train.csv are not there" in doubt for doubt in data.doubts)


def test_kinetics_without_annotations_is_its_class_folders(tmp_path: Path) -> None:
    root = kinetics(tmp_path / "k400", flat=False)
    for file in (root / "annotations").iterdir():
        file.unlink()
    (root / "annotations").rmdir()
    data = loaded(f"folder:{root}", tmp_path)
    assert data.classes == ("riding a bike", "yoga")
    assert len(data.train_labels) == 5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("yoga,id,ten,20,train,0", "row 2: time_start and time_end must be seconds"),
        ("yoga,gone,10,20,train,0", "none of the videos that its annotations name is there"),
    ],
)
def test_annotations_that_make_no_sense_are_refused(row: str, message: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "k400", {"train": 1})
    (root / "train.csv").write_text(f"label,youtube_id,time_start,time_end,split,is_cc\n{row}\n")
    fails(f"folder:{root}", tmp_path, message)


Y4M = b"YUV4MPEG2 W16 H16 F10:1\nFRAME\n" + bytes(384)
"""A video that FFmpeg would read, and no container that is taken here."""

# --- wrong input -----------------------------------------------------------------------------------------------


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1})
    whole = (root / "train" / "up" / "clip1.mp4").read_bytes()
    for content in (b"", b"not a video", b"#EXTM3U\nfile:///etc/passwd\n", whole[:600], Y4M):
        (root / "train" / "up" / "clip0.mp4").write_bytes(content)
        fails(f"folder:{root}", tmp_path, r"train/up/clip0.mp4: does not decode .*; replace the file, or take it away")
    (finding, *_) = check(f"folder:{root}", is_thorough=True).parts
    assert finding.status == "damaged"


def test_a_video_that_changes_after_it_was_indexed_is_refused(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1})
    data = loaded(f"folder:{root}", tmp_path)
    path = root / "train" / "down" / "clip0.mp4"
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="has changed since it was indexed"):
        videos.frames(data.stored["train"], 0, (0,))


def test_options_that_make_no_sense_for_videos_are_refused(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "clips", {"train": 2, "val": 1})
    fails(f"folder:{root},size=32", tmp_path, "videos stay encoded .* leave size= away")
    fails(f"folder:{root},video=yes", tmp_path, "video=yes: give one of files, frames, no")
    fails(f"folder:{root},video=frames", tmp_path, "it has no folders of frames")
    fails(f"folder:{root},video=no", tmp_path, "no images")


def test_a_check_says_what_there_is(tmp_path: Path) -> None:
    parts = check(f"folder:{lay_out(tmp_path / 'clips', {'train': 2, 'val': 1})}").parts
    assert [part.part for part in parts] == ["train", "val", "size"]
    assert parts[0].note.startswith("4 videos of 2 classes, 4 decoded")
    assert "frames are decoded as they are needed" in parts[-1].note
