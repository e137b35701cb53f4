"""What `audit` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import filled_table, percent, small_print
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.audit import Audit, ColumnAudit


def audit_tables(audit: Audit) -> RenderableType:
    """Render each column's rows, the columns against each other, and how the counts depend on the std."""
    return Group(*_parts(audit))


def _parts(audit: Audit) -> Iterator[RenderableType]:
    for column in audit.columns:
        yield _ladder(column, audit) if column.is_ladder else _ranks(column, audit)
        yield Text(_claims(column, audit))
    if audit.across:
        yield _across(audit)
    for a, b, n, decided in audit.disagreements:
        yield Text(f"{a} and {b} order {n} pairs of rows differently; on {decided} of them both differences are shown.")
    yield _sensitivity(audit)
    sds = ", ".join(f"{c.column} {c.sd:.3g}" for c in audit.columns)
    yield small_print(
        f"Each number: {audit.cells}. Std over seeds of a single run: {sds} ({audit.noise.source}). Alpha "
        f"{audit.alpha:g} per family, adjusted by Holm. Seed noise only: the test set adds doubt about new images."
    )
    yield from (small_print(f"note: {warning}") for warning in audit.warnings)


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
    return filled_table((column.column, "number", "rank", f"{level} rank interval", "P(best)", "shrunken"), rows)


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
    n_pairs, decided, alone = audit.counts(column.pairs).values()
    claims = "; ".join(f"as {w.cells} {w.mean:.2f} [{w.low:.2f}, {w.high:.2f}]" for w in column.claims)
    what = "steps" if column.is_ladder else "pairs of rows"
    return (
        f"{column.column}: {decided} of {n_pairs} {what} decided ({alone} one by one). "
        f"{column.rows[column.best]}'s {column.values[column.best]:.2f} puts its mean at: {claims}.\n"
    )


def _across(audit: Audit) -> RenderableType:
    pairs, columns = [pair for _, pair in audit.across], audit.table.columns
    rows = []
    for a, b in dict.fromkeys((pair.a, pair.b) for pair in pairs):
        counts = audit.counts([pair for pair in pairs if (pair.a, pair.b) == (a, b)])
        rows.append((f"{columns[b]} - {columns[a]}", *map(str, counts.values())))
    return filled_table(("columns", "rows", "decided", "one by one"), rows)


def _sensitivity(audit: Audit) -> RenderableType:
    n_rows = sum(len(column.pairs) for column in audit.columns)
    heads = ["std", f"pairs of rows decided, of {n_rows}"]
    heads += [f"pairs of columns decided, of {len(audit.across)}"] if audit.across else []
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
