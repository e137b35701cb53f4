"""modded-nanogpt and its relatives: a log of one run with lines such as ``step:125/1480 val_loss:4.3 train_time:53ms``.

Before the lines a log holds the program itself. Its unit of time is milliseconds.
"""

from __future__ import annotations

import re
from pathlib import Path

from seedstudy.read.formats.format import Format
from seedstudy.read.formats.tracked import Run, table_of_runs
from seedstudy.read.table import Table
from seedstudy.read.tables import text_of

_LINE = re.compile(r"^(?:step:(?P<step>\d{1,12})(?:/(?P<steps>\d{1,12}))?|s:(?P<s>\d{1,12})) +(?P<pairs>\S.*)$")
_PAIR = re.compile(r"(?P<name>[A-Za-z_]\w*):(?P<value>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))(?P<unit>ms)?(?= |$)")
_LONGEST = 20_000_000
_STATED = re.compile(rb"^(?:step:\d+(?:/\d+)? +(?:val_loss|train_loss|val_bpb):|s:\d+ +(?:tel|trl|tll):)", re.MULTILINE)


def _is_mine(path: Path) -> bool:
    is_log = path.suffix.lower() in (".txt", ".log") and path.is_file() and path.stat().st_size < _LONGEST
    return is_log and _STATED.search(path.read_bytes()) is not None


def _read(path: Path) -> Table:
    points, steps, notes = list[dict[str, float]](), 0, list[str]()
    text = text_of(path)
    lines = text.splitlines()
    for row, line in enumerate(lines, start=1):
        match = _LINE.match(line)
        if not match:
            continue
        if row == len(lines) and not text.endswith("\n"):
            notes.append(f"line {row} is cut short: left out")
            continue
        steps = int(match["steps"] or steps)
        found = _PAIR.finditer(match["pairs"])
        pairs = {pair["name"] + ("_ms" if pair["unit"] else ""): float(pair["value"]) for pair in found}
        if pairs:
            points.append({"step": int(match["step"] or match["s"]), **pairs})
    ended = not steps or (bool(points) and points[-1]["step"] >= steps)
    run = Run(
        identity={},
        points=points,
        settings={"steps": steps} if steps else {},
        status="finished" if ended else "interrupted",
    )
    return table_of_runs([run], path, clocks=("step",), notes=notes)


NANOGPT = Format(name="modded-nanogpt log", is_mine=_is_mine, read=_read, run="file")
