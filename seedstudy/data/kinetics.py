"""Kinetics as it is distributed: videos named by YouTube id and seconds, and annotations train.csv, val.csv, test.csv.

A row is `label,youtube_id,time_start,time_end,split`; its video is `YOUTUBE_ID_000010_000020.mp4`, or just its id for a
name, in whatever folder. Videos that YouTube no longer has are missing from most copies: they are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from seedstudy.data.collection import Found, part_of
from seedstudy.data.finding import Entry
from seedstudy.data.lists import Table, read_table
from seedstudy.errors import DataError

_ID, _LABEL, _TIMES = "youtube_id", "label", ("time_start", "time_end")


def annotated(files: Iterable[Path]) -> dict[str, Table]:
    """Return part -> its annotations, among files by their names; none where no file has a column youtube_id."""
    found: dict[str, Table] = {}
    for path in files:
        if path.suffix.lower() != ".csv":
            continue
        words = re.split(r"[^a-z]+", path.stem.lower())
        part = next((part for word in words if (part := part_of("val" if word == "validate" else word))), None)
        if part is None:
            continue
        table = read_table(path)
        if _ID not in [name.lower() for name in table.header]:
            continue
        if part in found:
            raise DataError(f"{path} and {found[part].path}: both annotate {part}; move one of them away")
        found[part] = table
    return found


def listed(tables: Mapping[str, Table], videos: Mapping[str, Entry], *, where: str) -> Found:
    """Return the videos that annotations name; ``videos`` are those there are, by their names without a suffix."""
    parts: dict[str, list[Entry]] = {}
    notes: dict[str, str] = {}
    for part, table in tables.items():
        header = [name.lower() for name in table.header]
        if _LABEL not in header:
            notes[part] = f"{table.path.name} has no column of labels and is not used"
            continue
        columns = [header.index(name) for name in (_ID, _LABEL)]
        times = [header.index(name) for name in _TIMES if name in header]
        n_missing = 0
        for number, row in enumerate(table.rows, start=2):
            video, label = (row[column] for column in columns)
            names = (f"{video}_{_seconds(table, number, row, times)}", video) if len(times) == 2 else (video,)
            entry = next((videos[name] for name in names if name in videos), None)
            if entry is None:
                n_missing += 1
            elif not label or not label.isprintable():
                raise DataError(f"{table.path}: row {number} has no label that can be printed; write one, or drop it")
            else:
                name = f"{part}/{names[0]}"
                parts.setdefault(part, []).append(entry._replace(folder=label, name=name))
        if n_missing:
            notes[part] = f"{n_missing:,} of the {len(table.rows):,} videos in {table.path.name} are not there"
    if not parts:
        raise DataError(f"{where}: none of the videos that its annotations name is there; get the videos")
    return Found(where=where, parts=parts, notes=notes, holds_videos=True)


def _seconds(table: Table, number: int, row: tuple[str, ...], times: list[int]) -> str:
    try:
        return "_".join(f"{int(float(row[column])):06d}" for column in times)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{table.path}: row {number}: time_start and time_end must be seconds; correct the row"
        ) from error
