"""The pictures of docs/gallery.md, drawn by the page's own commands: ``python -m docs.site.gallery``."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gallery.md"
IMAGES = ROOT / "docs" / "img" / "gallery"


def commands() -> list[list[str]]:
    """Return the arguments of every command on the page."""
    lines = re.findall(r"^    seedstudy (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for arguments in commands():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "studies").symlink_to(ROOT / "studies")
            subprocess.run([sys.executable, "-m", "seedstudy", *arguments], cwd=folder, check=True)
            name = arguments[arguments.index("--save") + 1]
            shutil.copyfile(Path(folder) / name, IMAGES / name)
