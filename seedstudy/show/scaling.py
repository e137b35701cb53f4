"""What `scaling` prints."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seedstudy.show.format import UNKNOWN, column, percent, with_interval
from seedstudy.show.sheet import Column, Sheet, sheet
from seedstudy.show.view import Headline, View
from seedstudy.stats.result import decimals_of, format_p

if TYPE_CHECKING:
    from seedstudy.decide.scaling import LawOf, Scaling
    from seedstudy.stats.result import Estimate

_FRONTS = {"on": "yes", "off": "·", "?": "?"}


def scaling_tables(answer: Scaling) -> View:
    """Return the claims first, then laws, strategies, ranks and cells."""
    return View(
        headlines=tuple(
            Headline(text=f"{claim.claim}: {claim.verdict.upper()}: {claim.reason}") for claim in answer.claims
        ),
        sheets=tuple(_sheets(answer)),
        cautions=answer.warnings,
    )


def _sheets(answer: Scaling) -> Iterator[Sheet]:
    if answer.laws:
        yield _laws(answer)
    if answer.strategies:
        yield _strategies(answer)
    if answer.ranks:
        yield sheet(
            ["order of cells"],
            ["cells", "Spearman"],
            [
                (f"{r.shorter:g} against {r.longer:g} epochs", str(r.agreement.n), with_interval(r.agreement, 2))
                for r in answer.ranks
            ],
            notes=(f"[{percent(answer.ranks[0].agreement.level)} intervals].",),
        )
    yield _cells(answer)


def _laws(answer: Scaling) -> Sheet:
    def of(estimates: list[Estimate]) -> list[str]:
        return column(estimates, max(1, max(decimals_of(each) for each in estimates) - 1))

    laws = [each.law for each in answer.laws]
    parts = zip(
        of([law.floor for law in laws]),
        of([law.scale for law in laws]),
        column([law.exponent for law in laws], 2),
        strict=True,
    )
    rows = [
        (each.of or "all", str(each.n_cells), *cells, format_p(each.law.misfit_p))
        for each, cells in zip(answer.laws, parts, strict=True)
    ]
    parts_of_laws = [each for law in laws for each in (law.floor, law.scale, law.exponent)]
    by_bootstrap = ""
    if any(each.has_interval for each in parts_of_laws):
        by_bootstrap = f"[{percent(laws[0].floor.level)} intervals] by a bootstrap over seeds; "
    references = dict.fromkeys(f"{law.reference:.3g}" for law in laws)
    at = ", ".join(references if len(references) == 1 else (f"{_of(x)}{x.law.reference:.3g}" for x in answer.laws))
    return sheet(
        ["law"],
        ["cells", "a", "b", "c", "p"],
        rows,
        notes=(
            f"error = a + b (cost / reference)^c, reference {at} {answer.cost}; {by_bootstrap}"
            "p: of a misfit at least as large, if the law holds.",
        ),
    )


def _of(each: LawOf) -> str:
    return f"{each.of} " if each.of else ""


def _strategies(answer: Scaling) -> Sheet:
    sizes = column([pair.comparison.difference for pair in answer.strategies], 2, sign="+")
    rows = [
        (
            f"{pair.b} - {pair.a}",
            f"{pair.comparison.low:.3g} to {pair.comparison.high:.3g}",
            size,
            f"{pair.comparison.at_low.value:+z.2f}",
            f"{pair.comparison.at_high.value:+z.2f}",
            format_p(pair.p_adjusted),
        )
        for pair, size in zip(answer.strategies, sizes, strict=True)
    ]
    level = percent(answer.strategies[0].comparison.difference.level)
    return sheet(
        ["error at equal cost", answer.cost],
        ["mean", "low end", "high end", "p"],
        rows,
        notes=(f"[{level} intervals]; negative: the first has the smaller error; p allows for all pairs (Holm).",),
    )


def _cells(answer: Scaling) -> Sheet:
    has_strategy = any(cell.strategy for cell in answer.cells)
    unit = "points" if answer.unit == "pp" else answer.metric
    known = "given" if math.isinf(answer.noise.df) else f"pooled, {answer.noise.df:g} degrees of freedom"
    rows = [
        (
            cell.label,
            *([cell.strategy or ""] if has_strategy else []),
            f"{cell.cost:.4g}",
            str(cell.n),
            f"{cell.error:.2f}",
            UNKNOWN if cell.std is None else f"{cell.std:.2f}",
            _FRONTS[cell.front],
        )
        for cell in answer.cells
    ]
    columns = (
        Column(name="cell", kind="text"),
        *([Column(name="strategy", kind="text")] if has_strategy else []),
        *(Column(name=name) for name in (answer.cost, "n", "error", "std", "front")),
    )
    return Sheet(
        columns=columns,
        rows=tuple(rows),
        notes=(
            f"Error in {unit}, noise of one seed {answer.noise.sd:.3g} ({known}); front: whether no cell of at most "
            "its cost has a smaller error, ? where seeds leave it open.",
        ),
    )
