"""What `-d` names, where it is no data set of ours: `folder:PATH`, `csv:FILE` or `hub:NAME`.

What was chosen follows behind commas: `folder:photos,val=0.1,split_seed=3,size=64` is the folder `photos`, a tenth of
each class held out as val, all images at 64 px.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedstudy.errors import DataError, suggest

FORMS = {
    "folder": "folder:PATH: class folders (train/val/test, or one level), a list train.csv, tar files, shards; videos",
    "csv": "csv:FILE: a list of images and labels, with or without a column split",
    "hub": "hub:NAME: any image data set of HF datasets, or a folder laid out like one",
}
"""Kind -> what it reads."""
_OPTIONS = {
    "folder": ("val", "split_seed", "size", "image", "label", "video"),
    "csv": ("val", "split_seed", "size", "image", "label"),
    "hub": ("val", "split_seed", "size", "image", "label", "config"),
}
_OPTION = re.compile(r"[a-z_]+=[^/]*")
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a user wrote after ``-d``."""

    kind: str
    place: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Source | None:
        """Read `KIND:PLACE[,key=value…]`; None where the text has no such kind in front."""
        kind, colon, rest = text.partition(":")
        if not colon or kind not in FORMS:
            return None
        place, *words = rest.split(",")
        while words and not _OPTION.fullmatch(words[0]):  # a comma in a path
            place += "," + words.pop(0)
        options: dict[str, str] = {}
        for word in words:
            key, _, value = word.partition("=")
            if key not in _OPTIONS[kind]:
                raise DataError(f'{text}: unknown option "{key}".{suggest(key, _OPTIONS[kind])}')
            options[key] = value.strip()
        if not place:
            raise DataError(f"{text}: nothing behind the colon; write {FORMS[kind]}")
        return cls(kind=kind, place=place, options=options)

    @property
    def path(self) -> Path:
        """The place, from the root on: processes that decode images may run in another folder."""
        return Path(os.path.abspath(Path(self.place).expanduser()))  # noqa: PTH100  # resolves no link

    @property
    def name(self) -> str:
        """Its name in studies and tables: not the path, so that a folder may be moved, and no colon, so that it may
        stand in a selector: `folder-photos`.
        """
        is_id = self.kind == "hub" and not self.path.exists()
        base = self.place if is_id else self.path.name.removesuffix(".csv")
        safe = _UNSAFE.sub("_", base).strip("_")
        return f"{self.kind}-{safe or 'images'}"

    def number(self, key: str, low: float, high: float) -> float | None:
        """Return an option as a number between two others; None where it was not given."""
        if key not in self.options:
            return None
        try:
            value = float(self.options[key])
        except ValueError:
            value = low
        if not low < value < high:
            raise DataError(f"{self.name}: {key}={self.options[key]}: give a number between {low:g} and {high:g}")
        return value

    def choice(self, key: str, known: Sequence[str]) -> str | None:
        """Return an option that is one of some words; None where it was not given."""
        text = self.options.get(key)
        if text is not None and text not in known:
            raise DataError(f"{self.name}: {key}={text}: give one of {', '.join(known)}")
        return text

    def whole(self, key: str, least: int) -> int | None:
        """Return an option as a whole number; None where it was not given."""
        if key not in self.options:
            return None
        text = self.options[key]
        if not (text.isdecimal() and text.isascii() and least <= int(text) < 2**31):
            raise DataError(f"{self.name}: {key}={text}: give a whole number of at least {least}")
        return int(text)
