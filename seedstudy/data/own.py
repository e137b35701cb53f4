"""Images of one's own, from a folder, a list or HF datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from seedstudy.data.base import Content, DataInfo, Finding, Progress
from seedstudy.data.collection import Found, Wishes, content_of, findings
from seedstudy.data.source import FORMS, Source
from seedstudy.errors import DataError

VERSION = 1
"""Of how images are found and split; an entry of the cache that another version made is made again."""


class Reader(Protocol):
    """Finds labelled images."""

    where: str

    def stamp(self) -> object:
        """Return what changes with the content, found without reading it."""

    def read(self, progress: Progress) -> Found:
        """Return the images by part and class."""


class OwnImages:
    """A data set that a user brings."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._wishes = Wishes(
            share=source.number("val", 0.0, 1.0),
            split_seed=source.whole("split_seed", 0) or 0,
            size=source.whole("size", 8),
        )
        self._reader_: Reader | None = None
        self.info = DataInfo(
            name=source.name,
            title="Own images",
            n_train=0,
            image_size=None,
            n_classes=0,
            epoch_ratio=0.1,
            default_model="resnet18",
            note=FORMS[source.kind],
        )

    def source_key(self, data_dir: Path | None) -> str:
        """Return names, sizes and time stamps of all files, and what was chosen."""
        chosen = dict(sorted(self._source.options.items()))
        return json.dumps([VERSION, self._source.kind, chosen, self._reader(data_dir).stamp()])

    def build(self, data_dir: Path | None, progress: Progress) -> Content:
        """Read every image."""
        say: Progress = lambda line: progress(f"{self.info.name}: {line}")  # noqa: E731
        return content_of(self._reader(data_dir).read(say), self._wishes, say)

    def check(self, data_dir: Path | None, *, is_thorough: bool, progress: Progress) -> Sequence[Finding]:
        """Find all images, and decode a sample of them or all."""
        say: Progress = lambda line: progress(f"{self.info.name}: {line}")  # noqa: E731
        found = self._reader(data_dir).read(say)
        return findings(found, self._wishes, is_thorough=is_thorough, progress=say)

    def _reader(self, data_dir: Path | None) -> Reader:
        if data_dir is not None:
            raise DataError(f"--data-dir {data_dir}: {self._source.kind}:{self._source.place} names its place itself")
        if self._reader_ is None:
            self._reader_ = _reader_of(self._source)
        return self._reader_


def _reader_of(source: Source) -> Reader:
    options = source.options
    if source.kind == "csv" and not source.path.is_dir():
        from seedstudy.data.lists import ListReader

        return ListReader(source.path, image=options.get("image"), label=options.get("label"))
    if source.kind in ("folder", "csv"):
        from seedstudy.data.folders import VIDEO, FolderReader

        columns = {"image": options.get("image"), "label": options.get("label")}
        return FolderReader(source.path, video=source.choice("video", VIDEO), **columns)
    from seedstudy.data.hub import HubReader

    return HubReader(
        str(source.path) if source.path.exists() else source.place,
        config=options.get("config"),
        image=options.get("image"),
        label=options.get("label"),
    )
