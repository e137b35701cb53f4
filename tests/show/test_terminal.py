"""What terminals of 80 and 100 columns receive, through a real one: no word, number or verdict is cut."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import seedstudy
from tests.golden.test_golden import SLOW, outputs

pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
termios = pytest.importorskip("termios")

LINES = {
    **{f"compare-{n}": 12 for n in (2, 3, 5, 10)},
    **{f"compare-undecided-{n}": 12 for n in (2, 3, 5, 10)},
    **{f"compare-no-margin-three-sets-{n}": 12 for n in (3, 10)},
    "compare-file-3": 14,
    **{f"compare-five-recipes{seeds}": 25 for seeds in ("", "-3", "-10")},
}
"""Most lines of an answer at 80 columns: 2 recipes x 3 eval sets, with two more for a file and its longer command; 5
recipes x 3 eval sets."""
SEVERAL_SECONDS = (*SLOW, "fit-100")
ASKED = {
    name: arguments
    for name, arguments in outputs()
    if name not in SEVERAL_SECONDS and not {"--format", "--cite"} & set(arguments)
}
BREAK = "=== next ==="
SCRIPT = """
import sys
from tests.golden.test_golden import import_studies
from seedstudy.cli import main
if not __import__("pathlib").Path("results").exists():
    import_studies()
for line in sys.argv[1:]:
    print("=== next ===", flush=True)
    try:
        main(line.split("\\x1f"))
    except SystemExit as ended:
        assert not ended.code, (line, ended.code)
"""


@cache
def received(columns: int, folder: Path) -> dict[str, str]:
    """Return what a terminal of so many columns gets from each command."""
    import fcntl

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    root = str(Path(seedstudy.__file__).parents[1])
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": root, "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *("\x1f".join(each) for each in ASKED.values())],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert process.wait() == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode()).replace("\r\n", "\n")
    return dict(zip(ASKED, shown.split(f"{BREAK}\n")[1:], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def wide(folder: Path) -> dict[str, str]:
    return received(400, folder)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 100])
def test_nothing_is_cut(columns: int, folder: Path, wide: dict[str, str]) -> None:
    narrow = received(columns, folder)
    for name, text in narrow.items():
        lines = text.splitlines()
        assert text.count("…") <= wide[name].count("…"), name
        assert max(len(line.rstrip()) for line in lines) <= columns, name
        # Every word is one that the wide terminal shows, too, or a name without what the title says that all share.
        shown = " ".join(line for line in lines if not line.startswith(f"Not shown at {columns} columns: "))
        words, shared = set(wide[name].split()), re.findall(r": (\S*)\*(\S*)", shown)
        short = {f"{head}*{tail}" for head, tail in shared} | {f"{word}:" for word in words}  # headings in the title
        short |= {word for word in shown.split() for head, tail in shared if head + word + tail in words}
        assert not set(shown.split()) - words - short - {"\\"}, name
        for word in ("better", "worse", "equivalent", "inconclusive"):
            assert len(re.findall(rf"\b{word}\b", text)) >= len(re.findall(rf"\b{word}\b", wide[name])) - 1, name


@pytest.mark.slow
def test_answers_are_as_short_as_they_are_meant_to_be(folder: Path) -> None:
    narrow = received(80, folder)
    found = {name: len(narrow[name].splitlines()) for name in LINES}
    assert all(found[name] <= most for name, most in LINES.items()), found
