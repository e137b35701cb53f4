"""How a number, an interval and a verdict look: one form each, for every table and picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from seedstudy import terminal
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.verdict import Word
    from seedstudy.stats.result import Estimate

COLOURS: Mapping[Word, str] = {"better": "green", "worse": "red", "equivalent": "cyan", "inconclusive": "yellow"}
UNKNOWN = "–"
"""Stands where a number cannot be given."""
WIDTH = 80
"""Columns where stdout is not a terminal, and of prose in a wider one."""


def show(*parts: RenderableType) -> None:
    """Print to stdout: as wide as the terminal, or `WIDTH` columns into a pipe or file."""
    console = terminal.console()
    if not console.is_terminal:
        console = terminal.console(width=WIDTH)
    for part in parts:
        console.print(part, highlight=False, crop=False)


# --- numbers --------------------------------------------------------------------------------------------


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
    value = f"{estimate.value:{sign}z.{decimals}f}"
    if not estimate.has_interval:
        return value
    return f"{value} [{estimate.low:{interval_sign}.{decimals}f}, {estimate.high:{interval_sign}.{decimals}f}]"


def column(estimates: Sequence[Estimate | None], decimals: int | None = None, *, sign: str = "") -> list[str]:
    """Return "value [low, high]" for each of a column, with equal decimals and the values below one another.

    decimals: None for what the most precise number supports, and at most one more than its least precise one.
    """
    known = [each for each in estimates if each is not None]
    decimals = common_decimals(known) if decimals is None else decimals
    intervals = [
        "" if each is None or not each.has_interval else ends(each.low, each.high, decimals) for each in estimates
    ]
    widest = max(map(len, intervals), default=0)
    cells = []
    for each, shown in zip(estimates, intervals, strict=True):
        if each is None or not math.isfinite(each.value):
            cells.append(UNKNOWN)
            continue
        value = f"{each.value:{sign}.{decimals}f}"
        cells.append(f"{value} {shown:>{widest}}" if widest else value)
    return cells


def common_decimals(estimates: Sequence[Estimate]) -> int:
    """Return the decimals of a column: what its most precise number supports, and at most one more than its least."""
    each = [decimals_of(estimate) for estimate in estimates if math.isfinite(estimate.value)]
    return min(max(each), min(each) + 1) if each else 2


def mean_and_std(mean: float, std: float, decimals: int) -> str:
    """Return "mean ± std", the std with one digit at least; the mean alone where one seed shows no spread."""
    if not math.isfinite(std):
        return f"{mean:.{decimals}f}"
    text = f"{std:.{decimals}f}"
    return f"{mean:.{decimals}f} ± {text if float(text) or not std else f'{std:.1g}'}"


def seeds_of(n_a: int, n_b: int) -> str:
    """Return the seeds of both arms: "5", or "3 | 100" where they differ."""
    return str(n_a) if n_a == n_b else f"{n_a} | {n_b}"


def cases(share: float) -> str:
    """Return a probability as cases of 100: never on the wrong side of 50, and never a certainty."""
    if share < 0.005:
        return "under 1"
    if share >= 0.995:
        return "over 99"
    number = 100.0 * share
    return f"{number:.1f}" if round(number) == 50 and abs(number - 50.0) > 0.05 else f"{number:.0f}"


def percent(level: float) -> str:
    return f"{100 * level:.6g}%"


def ci_heading(level: float) -> str:
    return f"{percent(level)} CI"


def duration(seconds: float) -> str:
    """Return hours:minutes:seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


# --- lines ----------------------------------------------------------------------------------------------


def verdict_line(subject: str, verdict: Word, rest: str) -> Text:
    """Return "subject: verdict: rest" with the verdict in its colour."""
    return Text(f"{subject}: ").append(verdict, style=COLOURS[verdict]).append(f": {rest}")


def small_print(text: str) -> Text:
    return Text(text, style="dim")


def notes(warnings: Iterable[tuple[str, Iterable[str]]]) -> list[Text]:
    """Return each warning once, after the labels of everything it applies to, unless that is all there is."""
    labels_of: dict[str, list[str]] = {}
    everything: dict[str, None] = {}
    for label, texts in warnings:
        everything[label] = None
        for text in texts:
            labels = labels_of.setdefault(text, [])
            if label not in labels:
                labels.append(label)
    return [
        small_print(f"note: {text}" if len(labels) == len(everything) else f"note ({'; '.join(labels)}): {text}")
        for text, labels in labels_of.items()
    ]
