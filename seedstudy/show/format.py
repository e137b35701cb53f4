"""How a number, an interval, a verdict and a table look: one form each, for every table and picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from seedstudy import terminal

if TYPE_CHECKING:
    from seedstudy.decide.verdict import Word
    from seedstudy.stats.result import Estimate

COLOURS: Mapping[Word, str] = {"better": "green", "worse": "red", "equivalent": "cyan", "inconclusive": "yellow"}
UNKNOWN = "–"
"""Stands where a number cannot be given."""
PIPE_WIDTH = 200
"""Columns where stdout is not a terminal: wide enough that no row wraps."""


def show(*parts: RenderableType) -> None:
    """Print to stdout: as wide as the terminal, or `PIPE_WIDTH` columns into a pipe or file."""
    console = terminal.console()
    if not console.is_terminal:
        console = terminal.console(width=PIPE_WIDTH)
    for part in parts:
        console.print(part, highlight=False, crop=False)


# --- numbers --------------------------------------------------------------------------------------------


def number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else UNKNOWN


def interval(estimate: Estimate, decimals: int) -> str:
    """Return "[low, high]", or a dash where neither end is known."""
    return ends(estimate.low, estimate.high, decimals)


def ends(low: float, high: float, decimals: int) -> str:
    """Return "[low, high]", or a dash where neither is known."""
    if not math.isfinite(low) and not math.isfinite(high):
        return UNKNOWN
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def with_interval(estimate: Estimate, decimals: int, *, sign: str = "", interval_sign: str = "") -> str:
    """Return "value [low, high]"; the value alone where it has no interval, a dash where it is not known itself.

    With a sign of "+" a positive value, or end, has its sign too.
    """
    if not math.isfinite(estimate.value):
        return UNKNOWN
    value = f"{estimate.value:{sign}.{decimals}f}"
    if not estimate.has_interval:
        return value
    return f"{value} [{estimate.low:{interval_sign}.{decimals}f}, {estimate.high:{interval_sign}.{decimals}f}]"


def chance(estimate: Estimate) -> str:
    """Return a probability with its interval; "<0.01" and ">0.99" at the ends, for no seeds show a certainty."""

    def bounded(p: float) -> str:
        return "<0.01" if p < 0.005 else ">0.99" if p >= 0.995 else f"{p:.2f}"

    value = bounded(estimate.value)
    return f"{value} [{bounded(estimate.low)}, {bounded(estimate.high)}]" if estimate.has_interval else value


def mean_and_std(mean: float, std: float, decimals: int) -> str:
    """Return "mean ± std"; the mean alone where one seed shows no spread."""
    return f"{mean:.{decimals}f}" + (f" ± {std:.{decimals}f}" if math.isfinite(std) else "")


def seeds_of(n_a: int, n_b: int) -> str:
    """Return the seeds of both arms: "5", or "3 | 100" where they differ."""
    return str(n_a) if n_a == n_b else f"{n_a} | {n_b}"


def percent(level: float) -> str:
    return f"{100 * level:.6g}%"


def ci_heading(level: float) -> str:
    return f"{percent(level)} CI"


def duration(seconds: float) -> str:
    """Return hours:minutes:seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


# --- lines and tables -----------------------------------------------------------------------------------


def verdict_line(subject: str, verdict: Word, rest: str) -> Text:
    """Return "subject: verdict: rest" with the verdict in its colour."""
    return Text(f"{subject}: ").append(verdict, style=COLOURS[verdict]).append(f": {rest}")


def small_print(text: str) -> Text:
    return Text(text, style="dim")


def notes(warnings: Iterable[tuple[str, Iterable[str]]]) -> list[Text]:
    """Return each warning once, after the labels of everything it applies to."""
    labels_of: dict[str, list[str]] = {}
    for label, texts in warnings:
        for text in texts:
            labels = labels_of.setdefault(text, [])
            if label not in labels:
                labels.append(label)
    return [small_print(f"note ({'; '.join(labels)}): {text}") for text, labels in labels_of.items()]


def table(text: Sequence[str], numbers: Sequence[str] = (), *, is_compact: bool = False) -> Table:
    """Return an empty table: columns of text on the left, columns of numbers (aligned right) behind them.

    In a narrow terminal all cells are broken into lines; of a compact table only those of text.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in text:
        made.add_column(heading, overflow="fold")
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=is_compact)
    return made


def filled_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of text cells."""
    made = table(headings)
    for row in rows:
        made.add_row(*row)
    return made
