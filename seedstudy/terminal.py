"""Everything that is printed passes here: no name from a file steers the terminal, and no print ends a training.

A terminal obeys escape sequences, so control characters are shown as escapes. A line that cannot be printed, because
the disk is full or its reader is gone, is lost; a results folder keeps what matters.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from seedstudy.errors import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text


def say(line: str) -> None:
    """Print one line on stderr."""
    with suppress(OSError, ValueError):
        text = printable(line)
        if sys.stderr.isatty():
            text = wrapped(text, shutil.get_terminal_size().columns)
        print(text, file=sys.stderr, flush=True)


def wrapped(line: str, columns: int) -> str:
    """Return a line broken at blanks for a terminal of so many columns; no word is broken."""
    return textwrap.fill(
        line, max(columns, 20), break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def show_line(line: str) -> None:
    """Print one line on stdout."""
    print(printable(line))


def console(*, on_stderr: bool = False, width: int | None = None) -> Console:
    """Return where tables are printed. A "[" in a name is a "[": there is no markup."""
    return _safe_console()(stderr=on_stderr, width=width, markup=False, emoji=False, highlight=False)


@cache
def _safe_console() -> type[Console]:
    from rich.console import Console  # takes as long as all other imports of the command line

    class SafeConsole(Console):
        """Shows control characters in texts as escapes; rich itself steers the terminal by segments of control.

        Cells of tables are escaped before their width is measured, everything else as it is drawn.
        """

        def render_str(self, text: str, **how: Any) -> Text:
            return super().render_str("\n".join(map(printable, text.split("\n"))), **how)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                lines = segment.text.split("\n")
                is_safe = segment.control or all(map(str.isprintable, lines))
                yield segment if is_safe else segment._replace(text="\n".join(map(printable, lines)))

    return SafeConsole


class _Lossy(io.FileIO):
    """A descriptor that loses what it cannot write."""

    def write(self, content: Any) -> int:
        written = None
        with suppress(OSError):
            written = super().write(content)
        return len(content) if written is None else written


def print_without_fail(*names: str) -> None:
    """Let no print to ``stdout`` or ``stderr`` raise, ours or a library's."""
    for name in names:
        with suppress(OSError, AttributeError):
            getattr(sys, name).flush()
        binary = io.BufferedWriter(_Lossy(1 if name == "stdout" else 2, "w", closefd=False))
        stream = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, stream)


def begin() -> None:
    """Prepare the streams of a command: all are open, and stderr loses what it cannot print.

    A stream that was closed (``2>&-``) would otherwise hand its number to the next file, which then gets the messages.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stderr is sys.__stderr__:  # not where a caller keeps what is printed
        print_without_fail("stderr")
