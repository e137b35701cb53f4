"""What `audit` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import filled_table, percent, small_print, table
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.audit import Audit, ColumnAudit


def audit_tables(audit: Audit) -> RenderableType:
    """Render each column's rows, the columns against each other, and how the counts depend on the std."""
    return Group(*_parts(audit))


_MOST_PAIRS = 10
"""So many pairs are named; those that are closest to seed noise, because larger differences exceed it too."""


def _parts(audit: Audit) -> Iterator[RenderableType]:
    for column in audit.columns:
        yield Text(_how_many(column, audit))
    for a, b, n, decided in audit.disagreements:
        pairs = "1 pair" if n == 1 else f"{n} pairs"
        yield Text(f"{a} and {b} order {pairs} of rows differently, of which {decided} exceed seed noise on both.")
    for column in audit.columns:
        yield Text()
        if column.is_ladder:
            yield _ladder(column, audit)
        else:
            yield from _pairs(column, audit)
            yield _ranks(column, audit)
        yield Text(_claims(column, audit))
    if audit.across:
        yield Text()
        yield from _across(audit)
    yield Text()
    yield _sensitivity(audit)
    yield Text()
    sds = ", ".join(f"{c.column} {c.sd:.3g}" for c in audit.columns)
    yield small_print(
        f"Each number: {audit.cells}. Std over seeds of a single run: {sds} ({audit.noise.source}). Alpha "
        f"{audit.alpha:g} per family, adjusted by Holm. Seed noise only: the test set adds doubt about new images. "
        "P(best): chance of the highest mean. Shrunken: the number without its expected luck."
    )
    yield from (small_print(f"note: {warning}") for warning in audit.warnings)


def _how_many(column: ColumnAudit, audit: Audit) -> str:
    n_pairs, decided, alone, _ = audit.counts(column.pairs).values()
    what = "steps" if column.is_ladder else "pairs of rows"
    exceed = "exceeds" if decided == n_pairs == 1 else "exceed"
    one_by_one = "" if alone == decided else f" ({alone} if each were the only one)"
    return f"{column.column}: {decided} of {n_pairs} {what} {exceed} seed noise{one_by_one}."


def _pairs(column: ColumnAudit, audit: Audit) -> Iterator[RenderableType]:
    """Name the pairs that exceed seed noise, the better row first."""
    sign = -1.0 if audit.lower_is_better else 1.0
    rows = []
    for pair in audit.closest(column.pairs, _MOST_PAIRS):
        is_b = sign * pair.difference > 0.0
        better, worse = (pair.b, pair.a) if is_b else (pair.a, pair.b)
        difference = pair.difference if is_b else -pair.difference
        rows.append((column.rows[better], column.rows[worse], f"{difference:+.2f}", format_p(pair.p_adjusted)))
    if rows:
        yield _named(f"{column.column}: exceeds seed noise", "is better than", rows)
        yield from _left_out(audit.counts(column.pairs)["n_decided"])
        yield Text()


def _named(first: str, second: str, rows: Sequence[Sequence[str]]) -> RenderableType:
    made = table([first, second], ["difference", "p adj."], is_compact=True)
    for row in rows:
        made.add_row(*row)
    return made


def _left_out(n: int) -> Iterator[RenderableType]:
    if n > _MOST_PAIRS:
        yield small_print(f"The {_MOST_PAIRS} closest to seed noise of {n}; --json has all.")


def _ranks(column: ColumnAudit, audit: Audit) -> RenderableType:
    rows = [
        [
            column.rows[i],
            f"{column.values[i]:.2f}",
            f"{place}",
            f"{column.ranks[i][0]} to {column.ranks[i][1]}",
            f"{column.prob_best[i]:.2f}" if column.prob_best[i] >= 0.005 else "·",
            f"{column.shrunken[i]:.2f}",
        ]
        for place, i in enumerate(audit.best_first(column), start=1)
    ]
    level = percent(1 - audit.alpha)
    return filled_table((column.column, "number", "rank", f"rank, {level} CI", "P(best)", "shrunken"), rows)


def _ladder(column: ColumnAudit, audit: Audit) -> RenderableType:
    rows = [
        [
            column.rows[pair.b],
            f"{column.values[pair.b]:.2f}",
            f"{pair.difference:+.2f}",
            format_p(pair.p_value),
            format_p(pair.p_adjusted),
            "exceeds seed noise" if audit.is_decided(pair) else "within seed noise",
        ]
        for pair in column.pairs
    ]
    return filled_table((f"step ({column.column})", "number", "difference", "p", "p adjusted", ""), rows)


def _claims(column: ColumnAudit, audit: Audit) -> str:
    claims = "; ".join(f"as {w.cells} {w.mean:.2f} [{w.low:.2f}, {w.high:.2f}]" for w in column.claims)
    best = f"{column.rows[column.best]}'s {column.values[column.best]:.2f}"
    return f"{best} puts its mean ({percent(1 - audit.alpha)} CI) at: {claims}."


def _across(audit: Audit) -> Iterator[RenderableType]:
    pairs, columns = [pair for _, pair in audit.across], audit.table.columns
    counts = table(["columns"], ["rows", "exceed seed noise", "one by one"], is_compact=True)
    for a, b in dict.fromkeys((pair.a, pair.b) for pair in pairs):
        of_pair = audit.counts([pair for pair in pairs if (pair.a, pair.b) == (a, b)])
        counts.add_row(f"{columns[b]} - {columns[a]}", *map(str, of_pair.values()))
    yield counts
    row_of = {id(pair): row for row, pair in audit.across}
    rows = [
        (
            row_of[id(pair)],
            f"{columns[pair.b]} - {columns[pair.a]}",
            f"{pair.difference:+.2f}",
            format_p(pair.p_adjusted),
        )
        for pair in audit.closest(pairs, _MOST_PAIRS)
    ]
    if rows:
        yield Text()
        yield _named("exceeds seed noise", "columns", rows)
        yield from _left_out(audit.counts(pairs)["n_decided"])


def _sensitivity(audit: Audit) -> RenderableType:
    n_rows = sum(len(column.pairs) for column in audit.columns)
    heads = ["seed noise (std)", f"pairs of rows that exceed it, of {n_rows}"]
    heads += [f"of columns, of {len(audit.across)}"] if audit.across else []
    has_one_std = len({column.sd for column in audit.columns}) == 1
    rows = [
        [
            f"{factor * audit.columns[0].sd:.3g}" if has_one_std else f"x {factor:g}",
            str(of_rows),
            *([str(of_columns)] if audit.across else []),
        ]
        for factor, of_rows, of_columns in audit.sensitivity
    ]
    return filled_table(heads, rows)
