"""What is printed: no name steers the terminal, and no print raises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from seedstudy import terminal

HOSTILE = "\x1b[2J\x9b2J\x07\r\x1b]0;owned\x07\x7f"
SHOWN = r"\x1b[2J\x9b2J\x07\r\x1b]0;owned\x07\x7f"


def test_no_name_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(HOSTILE)
    terminal.show_line(HOSTILE)
    table = Table("name", HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE))
    console = terminal.console(width=200)
    console.print(table)
    console.print(HOSTILE, "[bold]two\nlines[/bold]")
    terminal.console(on_stderr=True).print(Text(f"a{HOSTILE}"))
    out, err = capsys.readouterr()
    assert all(letter.isprintable() or letter == "\n" for letter in out + err)
    assert out.count(SHOWN) >= 3
    dropped = SHOWN.replace(r"\x07", "").replace(r"\r", "")  # by rich, when a Text is made
    assert err == f"{SHOWN}\na{dropped}\n"
    assert "[bold]two\nlines[/bold]" in out


def run(code: str, redirect: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = f"exec {sys.executable} -c '{code}' {redirect}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", "2> >(true)", "2>/dev/null"])
def test_a_line_that_cannot_be_printed_ends_nothing(redirect: str, tmp_path: Path) -> None:
    code = (
        "import sys, time, warnings; from seedstudy import terminal; terminal.begin(); time.sleep(0.2)\n"
        'file = open("record", "w")\n'
        "for _ in range(3):\n"
        '    terminal.say("words"); print("more", file=sys.stderr); warnings.warn("x")\n'
        'terminal.console(on_stderr=True).print("a table")\n'
        'file.write("kept"); file.close(); print("answer")'
    )
    done = run(code, redirect, tmp_path)
    assert (done.returncode, done.stdout) == (0, "answer\n")
    assert (tmp_path / "record").read_text() == "kept"  # and none of the messages, which had its number


def test_a_library_may_print_into_a_full_disk(tmp_path: Path) -> None:
    code = (
        'import os, sys; from seedstudy import terminal; terminal.print_without_fail("stdout", "stderr")\n'
        '[print("x" * 9999, file=stream, flush=True) for stream in (sys.stdout, sys.stderr) for _ in range(9)]\n'
        'open("reached", "w").close()'
    )
    assert run(code, ">/dev/full 2>/dev/full", tmp_path).returncode == 0
    assert (tmp_path / "reached").exists()


def test_a_message_wraps_at_words_in_a_terminal_and_never_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/long/path/" + "x" * 90
    line = f"{path}: cannot be read; choose a file that --results names, or another-one of those that can be read here"
    lines = terminal.wrapped(line, 40).splitlines()
    assert " ".join(lines) == line, "no word is broken, not even at a hyphen"
    assert lines[0] == f"{path}:"
    assert max(map(len, lines[1:])) <= 40
    terminal.say(line)
    assert capsys.readouterr().err == f"{line}\n"
