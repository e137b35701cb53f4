"""Class folders, as people lay them out: train/val/test or one level, deeper, packed, in lists."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from seedstudy.data import kinetics, videos
from seedstudy.data.base import Progress
from seedstudy.data.collection import Found, part_of
from seedstudy.data.encoded import LARGEST_IMAGE
from seedstudy.data.finding import Entry, LeftOut, entries, shard_entries
from seedstudy.data.lists import label_sets_of, listed, read_table
from seedstudy.data.resized import in_words, provenance_of
from seedstudy.errors import DataError, StoreError, first_line, printable
from seedstudy.files import LARGEST_TOML, read_bytes

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
HOW = (
    "lay it out as train/CLASS/*.jpg and val/CLASS/*.jpg, or as CLASS/*.jpg, or with a list train.csv (image,label): "
    "docs/own_images.md"
)
VIDEO = ("files", "frames", "no")
"""What `,video=` may say: each video is a file, or a folder of frames, or there are images alone."""
_DEEPEST = 12
"""Folders in folders; a circle of links ends here."""
_THREADS = 16
_SHARD = re.compile(r"(?:.*[-_])?([A-Za-z]+)[-_]\d+\.tar")


class File(NamedTuple):
    """One file below the folder."""

    inside: tuple[str, ...]
    """Its folders below the root, and its name."""
    path: str
    size: int
    changed_ns: int


@dataclass(slots=True)
class Tree:
    """Every file below a folder, hidden ones aside."""

    root: Path
    images: list[File] = field(default_factory=list)
    others: list[File] = field(default_factory=list)
    """Lists, tar files, and everything else."""
    n_hidden: int = 0
    odd: list[str] = field(default_factory=list)
    """Paths of pipes, sockets and broken links."""


def walk(root: Path) -> Tree:
    """List a folder, its folders in parallel, since a listing waits for the disk; links to folders are followed."""
    tree = Tree(root=root)
    level: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    with ThreadPoolExecutor(_THREADS) as pool:
        while level:
            if len(level[0][1]) > _DEEPEST:
                raise DataError(f"{level[0][0]}: folders in folders, more than {_DEEPEST} deep (a circle of links?)")
            deeper = []
            for files, folders, n_hidden, odd in pool.map(_listing, level):
                for file in files:
                    is_image = os.path.splitext(file.inside[-1])[1].lower() in SUFFIXES  # noqa: PTH122  # many times
                    (tree.images if is_image else tree.others).append(file)
                deeper += folders
                tree.n_hidden += n_hidden
                tree.odd += odd
            level = deeper
    return tree


_Listing = tuple[list[File], list[tuple[Path, tuple[str, ...]]], int, list[str]]


def _listing(place: tuple[Path, tuple[str, ...]]) -> _Listing:
    folder, inside = place
    files, folders, odd, n_hidden = list[File](), list[tuple[Path, tuple[str, ...]]](), list[str](), 0
    with os.scandir(folder) as children:
        for child in sorted(children, key=lambda each: each.name):
            if child.name.startswith(".") or child.name == "__MACOSX":
                n_hidden += 1
                continue
            if not child.name.isprintable():
                raise DataError(f"{child.path}: a name must be printable UTF-8 text; rename it")
            try:
                state = child.stat()
            except OSError:  # a link to nothing
                odd.append(child.path)
                continue
            if stat.S_ISDIR(state.st_mode):
                folders.append((Path(child.path), (*inside, child.name)))
            elif stat.S_ISREG(state.st_mode):
                files.append(File((*inside, child.name), child.path, state.st_size, state.st_mtime_ns))
            else:
                odd.append(child.path)
    return files, folders, n_hidden, odd


def with_videos(tree: Tree, video: str | None) -> bool:
    """Put the videos of a tree in the place of its images; returns whether it holds any.

    ``video`` is one of :data:`VIDEO`; None: the files are videos where these are more than images.
    """
    files = [file for file in tree.others if file.inside[-1].lower().endswith(videos.SUFFIXES)]
    kind = video or ("files" if len(files) > len(tree.images) else "no")
    if kind == "no":
        return False
    if kind == "files":
        chosen = set(files)
        found, rest = files, [*(file for file in tree.others if file not in chosen), *tree.images]
    else:
        found, rest = _frame_folders(tree.images), tree.others
    if not found:
        what = "videos" if kind == "files" else "folders of frames"
        raise DataError(f"{tree.root}: it has no {what}; docs/video.md shows the layouts")
    tree.images, tree.others = found, rest
    return True


def _frame_folders(images: Iterable[File]) -> list[File]:
    """Return each folder that holds images as one file, with the size of all and the time of the latest."""
    folders: dict[tuple[str, ...], list[File]] = {}
    for file in images:
        if len(file.inside) > 1 and file.inside[-1].lower().endswith(videos.FRAME_SUFFIXES):
            folders.setdefault(file.inside[:-1], []).append(file)
    return [
        File(
            inside,
            str(Path(frames[0].path).parent),
            sum(frame.size for frame in frames),
            max(frame.changed_ns for frame in frames),
        )
        for inside, frames in folders.items()
    ]


class FolderReader:
    """A folder of class folders, or of lists, or of tar files."""

    def __init__(
        self, root: Path, *, image: str | None = None, label: str | None = None, video: str | None = None
    ) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; {HOW}")
        self._tree, self._columns = walk(root), {"image": image, "label": label}
        self._holds_videos = with_videos(self._tree, video)
        self.where = str(root)

    def stamp(self) -> list[object]:
        """Return what changes with the folder's content: names, sizes and time stamps."""
        return [[file.path, file.size, file.changed_ns] for file in (*self._tree.images, *self._tree.others)]

    def read(self, progress: Progress) -> Found:
        """Return the images by part and class."""
        found = self._found(progress)
        return replace(found, holds_videos=True) if self._holds_videos else found

    def _found(self, progress: Progress) -> Found:
        if self._holds_videos and (tables := kinetics.annotated(Path(file.path) for file in self._tree.others)):
            by_name = {_stem(file.inside[-1]): _entry(file, "", file.inside) for file in self._tree.images}
            return kinetics.listed(tables, by_name, where=self.where)
        root, images = self._unwrapped()
        lists = {
            Path(file.inside[-1]).stem.lower(): Path(file.path)
            for file in self._tree.others
            if Path(file.path).parent == root and file.inside[-1].lower().endswith((".csv", ".tsv"))
        }
        train_list = next((path for name, path in lists.items() if part_of(name) == "train"), None)
        notes = _left_out(self._tree)
        if train_list is not None and not _splits(images):
            by_part = {part: path for name, path in lists.items() if (part := part_of(name))}
            found = listed(by_part, where=self.where, **self._columns)
            return self._complete(found, notes, lists)
        parts = _parts(root, images, notes)
        if not parts:
            parts = self._packed(root, progress)
        if not parts:
            what = "no images" if not images else "images, but no class folders"
            raise DataError(f"{root}: it has {what}; {HOW}")
        return self._complete(Found(where=str(root), parts=parts, classes=_declared(root)), notes, lists)

    def _unwrapped(self) -> tuple[Path, list[File]]:
        """Return the folder that holds the parts or classes: below folders that hold nothing but one folder."""
        root, images = self._tree.root, self._tree.images
        while images and len({file.inside[0] for file in images}) == 1 and len(images[0].inside) > 1:
            below = [file._replace(inside=file.inside[1:]) for file in images]
            name = images[0].inside[0]
            if any(len(file.inside) == 1 for file in below) or part_of(name) is not None:
                break  # the folder of one class, or of one part
            root, images = root / name, below
        return root, images

    def _packed(self, root: Path, progress: Progress) -> dict[str, list[Entry]]:
        """Return the parts in tar files: train.tar of class folders, or webdataset shards train-0000.tar."""
        whole, shards = dict[str, Path](), dict[str, list[Path]]()
        for file in self._tree.others:
            path = Path(file.path)
            if path.parent != root or path.suffix != ".tar":
                continue
            if (part := part_of(path.stem)) is not None:
                whole[part] = path
            elif (match := _SHARD.fullmatch(path.name)) and (part := part_of(match[1])) is not None:
                shards.setdefault(part, []).append(path)
        parts = {part: entries(path, progress, LeftOut()) for part, path in whole.items()}
        for part in shards.keys() - whole.keys():
            parts[part] = shard_entries(sorted(shards[part]), progress, LeftOut())
        return {
            part: [entry._replace(name=f"{part}/{entry.folder}/{entry.name}") for entry in found]
            for part, found in parts.items()
        }

    def _complete(self, found: Found, notes: Mapping[str, str], lists: Mapping[str, Path]) -> Found:
        root = Path(found.where)
        return replace(
            found,
            label_sets=self._label_sets(lists, found.parts),
            notes={**notes, **found.notes},
            copied=provenance_of(root),
            about=in_words(root),
        )

    def _label_sets(
        self, lists: Mapping[str, Path], parts: Mapping[str, Sequence[Entry]]
    ) -> dict[str, list[str]] | None:
        path = lists.get("real")
        if path is None:
            return None
        val = [entry.name for entry in parts.get("val", parts.get("test", parts.get("", ())))]
        return label_sets_of(read_table(path), val)


def _splits(images: Iterable[File]) -> dict[str, str]:
    """Return the top folders that are parts: the folder's name -> train, val or test.

    A part holds class folders; a folder of this name with images of its own is a class (trains, planes, …).
    """
    depths: dict[str, set[int]] = {}
    classes: dict[str, set[str]] = {}
    for file in images:
        depths.setdefault(file.inside[0], set()).add(len(file.inside))
        if len(file.inside) > 2:
            classes.setdefault(file.inside[0], set()).add(file.inside[1])
    tops = {name: part for name in depths if (part := part_of(name)) is not None}
    found = {name: part for name, part in tops.items() if min(depths[name]) > 2}
    # A flat val or test beside a train with class folders is a part too, one without labels.
    is_split = any(part == "train" for part in found.values()) or (found and len(found) == len(depths))
    return tops if is_split else {}


def _parts(root: Path, images: Sequence[File], notes: dict[str, str]) -> dict[str, list[Entry]]:
    """Return the images by part; a folder beside train that is no part of its own is an eval set of its name."""
    splits = _splits(images)
    for part in set(splits.values()):
        twice = sorted(name for name, other in splits.items() if other == part)
        if len(twice) > 1:
            raise DataError(f"{root}: {' and '.join(twice)} are both {part}; rename or move one of them")
    parts: dict[str, list[Entry]] = {}
    flat: dict[str, int] = {}
    n_outside = 0
    for file in images:
        if not splits:
            if len(file.inside) < 2:
                n_outside += 1
                continue
            part, inside = "", file.inside
        else:
            part, inside = splits.get(file.inside[0], file.inside[0]), file.inside[1:]
            if len(inside) < 2:
                flat[file.inside[0]] = flat.get(file.inside[0], 0) + 1
                continue
        parts.setdefault(part, []).append(_entry(file, part, inside))
    if n_outside and parts:
        notes["root"] = f"{n_outside:,} images outside class folders are not used"
    for name, count in flat.items():
        part = splits.get(name, name)
        if part in ("train", "val") and part in parts:
            raise DataError(f"{root / name}: {count:,} images lie outside its class folders; move them into one")
        if part == "train" or (part == "val" and "train" in parts and count):
            raise DataError(f"{root / name}: it has images, but no class folders; {HOW}")
        notes[part] = f"{count:,} images outside class folders have no labels and are not used"
    known = {entry.folder for entry in parts.get("train", ())}
    for part in [part for part in parts if part not in ("", "train", "val", "test")]:
        if known and not known & {entry.folder for entry in parts[part]}:
            notes[part] = f"{len(parts.pop(part)):,} images: none of its folders is a class of train, so it is not used"
        elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}", part):
            raise DataError(f'{root}: an eval set named "{part}": use letters, digits, "_" and "-"; rename the folder')
    return parts


def _entry(file: File, part: str, inside: tuple[str, ...]) -> Entry:
    if file.size > LARGEST_IMAGE:
        raise DataError(f"{file.path}: {file.size:,} bytes are too many for one image; move it away")
    name = "/".join([part, *inside] if part else inside)
    return Entry(inside[0], name, file.path, 0, file.size, file.changed_ns)


def _stem(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  # many times
    return name[: -len(suffix)] if suffix in videos.SUFFIXES else name


def _declared(root: Path) -> tuple[str, ...] | None:
    """Return the classes that classes.txt lists, in its order; None where there is no such file."""
    path = root / "classes.txt"
    if not path.is_file():
        return None
    try:
        lines = read_bytes(path, limit=LARGEST_TOML).decode("utf-8-sig").splitlines()
    except (StoreError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a list of classes ({first_line(error)}); write one class a line") from error
    names = tuple(name for line in lines if (name := line.strip()))
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{path}: list at least two classes, one a line, each once")
    return names


def _left_out(tree: Tree) -> dict[str, str]:
    """Say what lies in the folder and is no image."""
    left_out = LeftOut()
    for file in tree.others:
        suffix = Path(file.path).suffix.lower()
        if suffix not in (".csv", ".tsv", ".txt", ".json", ".md", ".tar"):
            left_out.add(suffix if 1 < len(suffix) <= 10 else "of another kind", file.path)
    for path in tree.odd:
        left_out.add("no regular file", path)
    words = str(left_out)
    return {"other": printable(words)} if words else {}
