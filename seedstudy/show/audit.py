"""What `audit` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seedstudy.show.format import percent
from seedstudy.show.sheet import Column, Sheet, sheet
from seedstudy.show.view import Headline, View
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.audit import Audit, ColumnAudit

_MOST_PAIRS = 10
"""So many pairs are named; those that are closest to seed noise, because larger differences exceed it too."""


def _at_first(audit: Audit, most: int) -> int:
    """Return how many rows of each column a terminal shows: fewer where there are several columns."""
    return most if len(audit.columns) == 1 else most // 2


def audit_tables(audit: Audit) -> View:
    """Return how many differences exceed seed noise, each column's rows, which pairs, and how it depends on the std."""
    return View(
        headlines=tuple(Headline(text=how_many(column, audit)) for column in audit.columns),
        sheets=tuple(_sheets(audit)),
        sentences=tuple(_disagreements(audit)),
        method=_method(audit),
        cautions=audit.warnings,
    )


def how_many(column: ColumnAudit, audit: Audit) -> str:
    """Say in a sentence how many differences of a column exceed seed noise."""
    n_pairs, decided, alone, _ = audit.counts(column.pairs).values()
    what = "steps" if column.is_ladder else "pairs of rows"
    exceed = "exceeds" if decided == n_pairs == 1 else "exceed"
    one_by_one = "" if alone == decided else f" ({alone} unadjusted)"
    return f"{column.column}: {decided} of {n_pairs} {what} {exceed} seed noise{one_by_one}."


def _disagreements(audit: Audit) -> Iterator[str]:
    for a, b, n, decided in audit.disagreements:
        pairs = "1 pair" if n == 1 else f"{n} pairs"
        yield f"{a} and {b} order {pairs} of rows differently; on both, {decided} of them exceed seed noise."


def _sheets(audit: Audit) -> Iterator[Sheet]:
    if any(column.is_ladder for column in audit.columns):
        yield _ladder(audit)
    else:
        yield _ranks(audit)
        yield from _pairs(audit)
    if audit.across:
        yield from _across(audit)
    yield _sensitivity(audit)
    yield _claims(audit)


def _columns(audit: Audit, *more: Column) -> tuple[Column, ...]:
    """Return the columns of a table, the first of which names the published table's column where it has several."""
    return (*([Column(name="column", kind="name")] if len(audit.columns) > 1 else []), *more)


def _about(column: ColumnAudit, audit: Audit) -> list[str]:
    return [column.column] if len(audit.columns) > 1 else []


def _ranks(audit: Audit) -> Sheet:
    rows: list[tuple[str, ...]] = []
    for column in audit.columns:
        for place, i in enumerate(audit.best_first(column), start=1):
            low, high = column.ranks[i]
            rows.append(
                (
                    *_about(column, audit),
                    column.rows[i],
                    f"{column.values[i]:.2f}",
                    f"{place}",
                    f"{low}" if low == high else f"{low} to {high}",
                    f"{column.prob_best[i]:.2f}" if column.prob_best[i] >= 0.005 else "·",
                    f"{column.shrunken[i]:.2f}",
                )
            )
    columns = _columns(
        audit,
        Column(name="best first", kind="name"),
        Column(name="number"),
        Column(name="rank"),
        Column(name=f"{percent(1 - audit.alpha)} of rank", kind="text"),
        Column(name="P(best)"),
        Column(name="shrunken", drop=1),
    )
    return Sheet(
        columns=columns,
        rows=tuple(rows),
        notes=("P(best): chance of the highest mean. Shrunken: the number without its expected luck.",),
        n_at_first=_at_first(audit, 10),
        is_each_at_first=len(audit.columns) > 1,
    )


def _pairs(audit: Audit) -> Iterator[Sheet]:
    """Name the pairs that exceed seed noise, the better row first."""
    sign = -1.0 if audit.lower_is_better else 1.0
    rows: list[tuple[str, ...]] = []
    for column in audit.columns:
        for pair in audit.closest(column.pairs, _MOST_PAIRS):
            is_b = sign * pair.difference > 0.0
            better, worse = (pair.b, pair.a) if is_b else (pair.a, pair.b)
            difference = pair.difference if is_b else -pair.difference
            names = column.rows[better], column.rows[worse]
            rows.append((*_about(column, audit), *names, f"{difference:+z.2f}", format_p(pair.p_adjusted)))
    if rows:
        columns = _columns(
            audit,
            Column(name="exceeds seed noise", kind="text"),
            Column(name="is better than", kind="text"),
            Column(name="difference"),
            Column(name="p adj."),
        )
        counts = [audit.counts(column.pairs)["n_decided"] for column in audit.columns]
        notes = tuple(_left_out(max(counts), sum(counts)))
        is_each = len(audit.columns) > 1
        n_at_first = _at_first(audit, 6)
        yield Sheet(columns=columns, rows=tuple(rows), notes=notes, n_at_first=n_at_first, is_each_at_first=is_each)


def _left_out(most: int, n: int) -> Iterator[str]:
    if most > _MOST_PAIRS:
        yield f"Closest to seed noise first: {_MOST_PAIRS} of each column, of {n} in all; --json has all."


def _ladder(audit: Audit) -> Sheet:
    rows = [
        (
            *_about(column, audit),
            column.rows[pair.b],
            f"{column.values[pair.b]:.2f}",
            f"{pair.difference:+z.2f}",
            format_p(pair.p_value),
            format_p(pair.p_adjusted),
            f"{'exceeds' if audit.is_decided(pair) else 'within'} seed noise",
        )
        for column in audit.columns
        for pair in column.pairs
    ]
    numbers = [Column(name=name) for name in ("number", "difference", "p", "p adj.")]
    return Sheet(
        columns=_columns(audit, Column(name="step", kind="text"), *numbers, Column(name="", kind="text")),
        rows=tuple(rows),
    )


def _claims(audit: Audit) -> Sheet:
    """Return where each column's best number puts its mean over seeds, by what that number may be."""
    rows = [
        (
            *_about(column, audit),
            column.rows[column.best],
            f"{column.values[column.best]:.2f}",
            *(f"[{worth.low:.2f}, {worth.high:.2f}]" for worth in column.claims),
        )
        for column in audit.columns
    ]
    columns = _columns(
        audit,
        Column(name="best", kind="name"),
        Column(name="number", drop=1, is_repeated=True),
        *(Column(name=f"if {worth.cells}") for worth in audit.columns[0].claims),
    )
    caption = f"Where the best number puts its mean over seeds ({percent(1 - audit.alpha)} intervals)"
    return Sheet(columns=columns, rows=tuple(rows), caption=caption)


def _across(audit: Audit) -> Iterator[Sheet]:
    pairs, names = [pair for _, pair in audit.across], audit.table.columns
    by_columns = {id(pair): f"{names[pair.b]} - {names[pair.a]}" for pair in pairs}
    counts: list[Sequence[str]] = []
    for name in dict.fromkeys(by_columns.values()):
        of_columns = audit.counts([pair for pair in pairs if by_columns[id(pair)] == name])
        counts.append((name, *map(str, list(of_columns.values())[:3])))
    yield sheet(["columns"], ["rows", "exceed seed noise", "one by one"], counts)
    row_of = {id(pair): row for row, pair in audit.across}
    rows = [
        (row_of[id(pair)], by_columns[id(pair)], f"{pair.difference:+z.2f}", format_p(pair.p_adjusted))
        for pair in audit.closest(pairs, _MOST_PAIRS)
    ]
    if rows:
        n = audit.counts(pairs)["n_decided"]
        notes = tuple(_left_out(n, n))
        found = sheet(["exceeds seed noise", "columns"], ["difference", "p adj."], rows, notes=notes)
        yield replace(found, n_at_first=5)


def _sensitivity(audit: Audit) -> Sheet:
    """Return how many pairs would exceed seed noise if its std were another, in one row."""
    n_rows = sum(len(column.pairs) for column in audit.columns)
    has_one_std = len({column.sd for column in audit.columns}) == 1
    heads = [
        f"{factor * audit.columns[0].sd:.3g}" if has_one_std else f"x {factor:g}" for factor, _, _ in audit.sensitivity
    ]
    rows = [(f"pairs of rows, of {n_rows}", *(str(of_rows) for _, of_rows, _ in audit.sensitivity))]
    if audit.across:
        rows.append((f"pairs of columns, of {len(audit.across)}", *(str(n) for *_, n in audit.sensitivity)))
    return sheet(["exceed seed noise if its std is"], heads, rows)


def _method(audit: Audit) -> str:
    has_one_std = len({c.sd for c in audit.columns}) == 1
    sds = f"{audit.columns[0].sd:.3g}" if has_one_std else ", ".join(f"{c.column} {c.sd:.3g}" for c in audit.columns)
    return (
        f"Each number: {audit.cells}. Std over seeds of a single run: {sds} ({audit.noise.source}). Alpha "
        f"{audit.alpha:g} per family, adjusted by Holm. Seed noise only: the test set adds doubt about new images."
    )
