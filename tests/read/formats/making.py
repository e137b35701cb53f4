"""What the makers of the files share: the numbers, so that a test knows what to expect, and how a folder is kept.

Two arms, three seeds, four epochs. Each maker is `make_<program>.py FOLDER`, names in its docstring the versions it
last ran with, and writes FOLDER/<program>.zip. It runs where this package is not installed, and imports nothing of it.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

ARMS = {"small": 0.1, "large": 0.3}
"""Name -> learning rate, all that the arms differ in."""
SEEDS = (0, 1, 2)
EPOCHS = 4
LAST = {"small": (71.25, 71.5, 71.0, 71.75), "large": (72.5, 72.75, 73.0, 72.25)}
"""The result of each seed; the fourth is for runs that do not end."""


def top1(arm: str, seed: int, epoch: int) -> float:
    """Return the accuracy in percent after an epoch, counted from 0. It falls in the last: best is not last."""
    return LAST[arm][seed] + (-8.0, -2.0, 0.5, 0.0)[epoch]


def loss(arm: str, seed: int, epoch: int) -> float:
    """Return a loss that falls with the accuracy."""
    return round(3.0 - top1(arm, seed, epoch) / 50, 4)


def keep(write: Callable[[Path], None], program: str) -> None:
    """Call the maker with an empty folder, and keep what it wrote there as one small file."""
    work = Path(tempfile.mkdtemp()) / program
    work.mkdir()
    write(work)
    target = Path(sys.argv[1]) / f"{program}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(work.rglob("*")):
            if path.is_file():
                name = zipfile.ZipInfo(str(path.relative_to(work)))
                archive.writestr(name, without_places(path.read_bytes(), work), zipfile.ZIP_DEFLATED)
    print(f"{target}: {target.stat().st_size:,} bytes")


def without_places(content: bytes, work: Path) -> bytes:
    """Return a text with the folders of the maker's machine renamed; other files as they are."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    places = {
        work: "/home/someone/runs",
        Path(__file__).resolve().parent: "/home/someone/study",
        Path.cwd(): "/home/someone",
    }
    for place, name in {**places, Path(sys.prefix): "/opt/python"}.items():
        text = text.replace(str(place), name)
    return text.encode()
