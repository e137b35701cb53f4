"""What `scaling` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import UNKNOWN, filled_table, interval, notes, percent, small_print, with_interval
from seedstudy.stats.result import decimals_of, format_p

if TYPE_CHECKING:
    from seedstudy.decide.scaling import LawOf, Scaling, Word

_COLOURS: dict[Word, str] = {"supported": "green", "not supported": "red", "undecided": "yellow"}
_FRONTS = {"on": "yes", "off": "·", "?": "?"}


def scaling_tables(answer: Scaling) -> RenderableType:
    """Render the claims first, then laws, strategies, ranks and cells."""
    return Group(*_parts(answer))


def _parts(answer: Scaling) -> Iterator[RenderableType]:
    for claim in answer.claims:
        line = Text(f"{claim.claim}: ").append(claim.verdict.upper(), style=_COLOURS[claim.verdict])
        yield line.append(f": {claim.reason}")
    yield Text()
    if answer.laws:
        yield from _laws(answer)
    if answer.strategies:
        yield from _strategies(answer)
    if answer.ranks:
        yield filled_table(
            ("order of cells", "cells", "Spearman [95% CI]"),
            [
                (f"{r.shorter:g} against {r.longer:g} epochs", str(r.agreement.n), with_interval(r.agreement, 2))
                for r in answer.ranks
            ],
        )
    unit = "points" if answer.unit == "pp" else answer.metric
    heads = ["cell", answer.cost, "n", "error", "std", "front"]
    if any(cell.strategy for cell in answer.cells):
        heads.insert(1, "strategy")
    yield filled_table(heads, [_cell(answer, i, len(heads) == 7) for i in range(len(answer.cells))])
    known = "given" if answer.noise.df == float("inf") else f"pooled, {answer.noise.df:g} degrees of freedom"
    yield small_print(
        f"error in {unit}, noise of one seed {answer.noise.sd:.3g} ({known}); front: whether no cell of at most its "
        "cost has a smaller error, ? where seeds leave it open"
    )
    yield from notes(("", (text,)) for text in answer.warnings)


def _laws(answer: Scaling) -> Iterator[RenderableType]:
    rows = []
    for each in answer.laws:
        law = each.law
        rows.append(
            [
                each.of or "all",
                str(each.n_cells),
                with_interval(law.floor, max(1, decimals_of(law.floor) - 1)),
                with_interval(law.scale, max(1, decimals_of(law.scale) - 1)),
                with_interval(law.exponent, 2),
                format_p(law.misfit_p),
            ]
        )
    yield filled_table(("law", "cells", "a", "b", "c", "misfit p"), rows)
    level = percent(answer.laws[0].law.floor.level)
    at = ", ".join(sorted({f"{_of(each)}{each.law.reference:.3g}" for each in answer.laws}))
    yield small_print(f"error = a + b (cost / reference)^c, reference {at} {answer.cost}; [{level} CI], seed bootstrap")


def _of(each: LawOf) -> str:
    return f"{each.of} " if each.of else ""


def _strategies(answer: Scaling) -> Iterator[RenderableType]:
    rows = [
        [
            f"{pair.b} - {pair.a}",
            f"{pair.comparison.low:.3g} to {pair.comparison.high:.3g}",
            f"{pair.comparison.difference.value:+.2f} {interval(pair.comparison.difference, 2)}",
            f"{pair.comparison.at_low.value:+.2f}",
            f"{pair.comparison.at_high.value:+.2f}",
            format_p(pair.p_adjusted),
        ]
        for pair in answer.strategies
    ]
    level = percent(answer.strategies[0].comparison.difference.level)
    yield filled_table(("error at equal cost", answer.cost, f"mean [{level} CI]", "low end", "high end", "p"), rows)
    yield small_print("negative: the first has the smaller error; p allows for all pairs (Holm)")


def _cell(answer: Scaling, i: int, has_strategy: bool) -> list[str]:
    cell = answer.cells[i]
    return [
        cell.label,
        *([cell.strategy or ""] if has_strategy else []),
        f"{cell.cost:.4g}",
        str(cell.n),
        f"{cell.error:.2f}",
        UNKNOWN if cell.std is None else f"{cell.std:.2f}",
        _FRONTS[cell.front],
    ]
