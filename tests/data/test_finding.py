"""What lies among images is counted and named; hostile names, tar files and pipes are one line."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seedstudy.data import encoded, finding
from seedstudy.data.encoded import EncodedImages, decode_many
from seedstudy.data.finding import Entry, LeftOut, encoded_images, entries
from seedstudy.errors import DataError
from tests.imagenet_tree import jpeg, write

Member = tuple[str, bytes]


def found(path: Path) -> tuple[list[Entry], LeftOut]:
    left_out = LeftOut()
    return entries(path, lambda line: None, left_out), left_out


def images_of(path: Path) -> EncodedImages:
    listed, _ = found(path)
    return encoded_images(listed, [entry.name for entry in listed])


def tar_of(members: Sequence[Member], kind: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        found(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


# --- what is not used -----------------------------------------------------------------------------------


def test_files_that_are_no_images_are_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.JPEG", "b.png", "c.jpg"):
        write(tmp_path / "n01440764" / name, jpeg())
    for name in ("d.webp", "e.webp", "._a.JPEG", "README"):
        write(tmp_path / "n01440764" / name, b"x")
    write(tmp_path / "n01440764" / "f.JPEG", b"")
    write(tmp_path / "n01440764" / "deeper" / "g.JPEG", jpeg())
    write(tmp_path / "notes.txt", b"x")
    listed, left_out = found(tmp_path)
    assert sorted(entry.name for entry in listed) == ["a", "b", "c"]
    assert left_out.kinds == {
        ".webp": 2,
        "hidden": 1,
        "of another kind": 1,
        "empty": 1,
        "folder": 1,
        ".txt": 1,
    }
    assert str(left_out).startswith("7 files are not used: 2 .webp, 1 .txt, 1 empty, 1 folder, 2 other (")
    assert str(left_out).endswith(f"(the first is {tmp_path / 'n01440764' / '._a.JPEG'})")


def test_nothing_is_said_where_everything_is_used(tmp_path: Path) -> None:
    write(tmp_path / "n01440764" / "a.JPEG", jpeg())
    assert str(found(tmp_path)[1]) == ""


@pytest.mark.parametrize("packed", [False, True])
def test_a_tar_counts_alike(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("val.tar.gz" if packed else "val.tar")
    inner = tar_of([("x.JPEG", jpeg()), ("x.webp", b"x")])
    members = [("n01440764/a.JPEG", jpeg()), ("n01440764/._a.JPEG", b"x"), ("b.png", b""), ("n01443537.tar", inner)]
    content = tar_of(members)
    path.write_bytes(gzip.compress(content) if packed else content)
    listed, left_out = found(path)
    assert [(entry.folder, entry.name) for entry in listed] == [("n01440764", "a"), ("n01443537", "x")]
    assert left_out.kinds == {"hidden": 1, "empty": 1, ".webp": 1}


def test_links_and_pipes_in_the_place_of_images_are_not_opened(tmp_path: Path) -> None:
    place = tmp_path / "n01440764"
    write(place / "a.JPEG", jpeg())
    os.mkfifo(place / "pipe.JPEG")
    (place / "folder.JPEG").symlink_to("/etc")
    (place / "zero.JPEG").symlink_to("/dev/zero")
    listed, left_out = found(tmp_path)
    assert [entry.name for entry in listed] == ["a"]
    assert left_out.kinds == {"no regular file": 2, "folder": 1}


def test_an_image_that_becomes_a_pipe_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "n01440764" / "a.JPEG"
    write(path, jpeg())
    images = images_of(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="has changed since it was indexed"):
        images.read(0)


def test_an_image_of_the_same_size_and_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n01440764" / "a.JPEG"
    write(path, jpeg())
    images = images_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="has changed since it was indexed"):
        images.read(0)


# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"bad\xff\xfe.JPEG", b"\x1b[31mred.JPEG", b"two\nlines.JPEG"])
def test_names_that_no_text_can_hold_are_refused(tmp_path: Path, name: bytes) -> None:
    write(tmp_path / "n01440764" / os.fsdecode(name), jpeg())
    assert "must be printable UTF-8 text; rename it" in refusal(tmp_path)
    archive = tmp_path / "val.tar"
    archive.write_bytes(tar_of([(f"n01440764/{os.fsdecode(name)}", jpeg())], tarfile.GNU_FORMAT))
    assert "must be printable UTF-8 text; rename it" in refusal(archive)


# --- tar files --------------------------------------------------------------------------------------------


def test_tars_in_tars_in_tars_are_refused(tmp_path: Path) -> None:
    content = jpeg()
    for name in ["a.JPEG"] + ["b.tar"] * 1100:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        content = member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512) + bytes(1024)
    (tmp_path / "val.tar").write_bytes(content)
    assert "a tar in a tar in a tar" in refusal(tmp_path / "val.tar")


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_of_gigabytes_is_not_read(tmp_path: Path, packed: bool) -> None:
    header = tarfile.TarInfo("./PaxHeaders/x")
    header.type, header.size = b"x", 8 * 2**30
    content = header.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)
    path = tmp_path / ("v2.tar.gz" if packed else "v2.tar")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert "a header of 8,589,934,592 bytes" in refusal(path)


def test_an_image_of_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n01440764" / "a.JPEG"
    write(path, jpeg())
    os.truncate(path, 2**33)  # sparse: it takes no room
    assert "8,589,934,592 bytes are too many for one image" in refusal(tmp_path)


@pytest.mark.parametrize("n_kept", [512, 700, 1024 + 512, -1024, -512 - 1024])
def test_a_tar_cut_short_anywhere_is_refused(tmp_path: Path, n_kept: int) -> None:
    """Also at the edge of a member, where it looks as if it ended."""
    content = tar_of([(f"n01440764/{n}.JPEG", bytes(512)) for n in range(3)], tarfile.USTAR_FORMAT)
    content = content[: 3 * 1024 + 1024]  # two blocks of zeros end it
    (tmp_path / "val.tar").write_bytes(content)
    assert len(found(tmp_path / "val.tar")[0]) == 3
    (tmp_path / "val.tar").write_bytes(content[:n_kept])
    assert "val.tar: not a complete tar file" in refusal(tmp_path / "val.tar")


def test_a_damaged_header_does_not_end_a_tar(tmp_path: Path) -> None:
    """By itself, tarfile takes it for the end: the images behind it would vanish."""
    content = bytearray(tar_of([(f"n01440764/{n}.JPEG", bytes(512)) for n in range(3)], tarfile.USTAR_FORMAT))
    content[1024] ^= 1
    (tmp_path / "val.tar").write_bytes(content)
    assert "not a complete tar file (bad checksum)" in refusal(tmp_path / "val.tar")


def test_a_chain_of_headers_is_one_line(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = b"L", 1
    block = header.tobuf(tarfile.GNU_FORMAT) + b"y" + bytes(511)
    (tmp_path / "val.tar").write_bytes(block * 5000 + bytes(1024))
    assert "val.tar: not a complete tar file" in refusal(tmp_path / "val.tar")


def test_folders_that_cannot_be_listed_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "n01440764" / "a.JPEG", jpeg())

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(finding.os, "scandir", refuse)
    assert refusal(tmp_path) == f"{tmp_path / 'n01440764'}: cannot be read (Permission denied); check it"


# --- decoding -------------------------------------------------------------------------------------------------


def test_all_broken_images_are_named_and_the_others_decoded(tmp_path: Path) -> None:
    for n in range(150):
        write(tmp_path / "n01440764" / f"{n:03d}.JPEG", jpeg(n))
    for n in (3, 77):
        (tmp_path / "n01440764" / f"{n:03d}.JPEG").write_bytes(jpeg(n)[:-100])
    images, lines = images_of(tmp_path), list[str]()
    decoded = decode_many(images, np.arange(len(images)), lines.append)
    assert decoded.n == 150
    assert [Path(sentence.partition(": ")[0]).name for sentence in decoded.broken] == ["003.JPEG", "077.JPEG"]
    assert str(decoded).startswith("148 decoded, 2 not: ")
    assert lines[-1] == "150 of 150 images decoded"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as the process does, once
def test_a_small_file_of_many_pixels_is_no_image() -> None:
    stream = io.BytesIO()
    Image.new("1", (16_000, 11_000)).save(stream, "PNG")
    started = time.process_time()
    with pytest.raises(ValueError, match="image of 16,000 x 11,000 pixels"):
        encoded.decoded(stream.getvalue())
    assert time.process_time() - started < 5


def test_a_reader_that_starts_programs_is_not_asked() -> None:
    """Pillow hands EPS to Ghostscript."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "EPS")
    with pytest.raises(ValueError, match="not an image"):
        encoded.decoded(stream.getvalue())
