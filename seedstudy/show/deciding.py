"""What `race`, `power` and `audit` print: words and percent; nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from seedstudy.show.tables import p_value, plain_table

if TYPE_CHECKING:
    from seedstudy.decide.audit import Audit, ColumnAudit
    from seedstudy.decide.plan import PowerPlan
    from seedstudy.decide.race import Look, Pair, Race

_STYLE = {"better": "green", "worse": "red", "equivalent": "cyan", "inconclusive": "yellow"}


def race_tables(race: Race) -> Iterator[RenderableType]:
    """Render every comparison's looks, the verdicts in words, and what the race cost."""
    for pair in race.pairs:
        if len(race.pairs) == 1 or pair.looks:
            yield _looks_table(pair, race)
    for pair in race.pairs:
        yield _verdict(pair, race)
    yield Text(_cost(race))
    yield Text(_rule(race), style="dim")


def _looks_table(pair: Pair, race: Race) -> RenderableType:
    is_open_ended = race.rule.plan.method == "anytime"
    heads = ["seeds", f"{pair.b} - {pair.a}", f"{100 * pair.confidence:.4g}% CI at any look", "p"]
    heads += [] if is_open_ended else ["p needed"]
    with_margin = race.rule.plan.margin is not None and not is_open_ended
    heads += ["p equivalent", "needed"] if with_margin else []
    rows = [_cells(look, is_open_ended=is_open_ended, with_margin=with_margin) for look in pair.looks]
    return plain_table([*heads, "chance of a decision"], rows)


def _cells(look: Look, *, is_open_ended: bool, with_margin: bool) -> list[str]:
    decimals = min(6, max(2, 1 - math.floor(math.log10(look.se)))) if look.se > 0 else 2
    n = str(look.n_a) if look.n_a == look.n_b else f"{look.n_a} | {look.n_b}"
    cells = [n, f"{look.difference:+.{decimals}f}", _ends(look.low, look.high, decimals), p_value(look.p_value)]
    cells += [] if is_open_ended else [p_value(look.level)]
    if with_margin:
        cells += [p_value(look.equivalence_p or math.nan), p_value(look.equivalence_level or math.nan)]
    return [*cells, f"{look.chance:.2f}"]


def _ends(low: float, high: float, decimals: int) -> str:
    if math.isinf(low):
        return "–"
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def _verdict(pair: Pair, race: Race) -> Text:
    judge = race.rule.eval_set if race.rule.metric == "top1" else race.rule.metric
    line = Text(f"{pair.b} against {pair.a}, {judge}: ")
    line.append(pair.verdict, style=_STYLE[pair.verdict])
    line.append(f": {pair.reason}")
    last = pair.last
    if last is not None and pair.adjusted_difference is not None:
        line.append(
            f"; difference {last.difference:+.3g} at the stop, {pair.adjusted_difference:+.3g} adjusted for stopping"
        )
    return line.append(".")


def _cost(race: Race) -> str:
    dropped = [f"{arm.label} dropped at {arm.dropped_at}" for arm in race.arms if arm.dropped_at is not None]
    text = f"{race.seeds_used} seeds used, {race.seeds_fixed - race.seeds_used} of {race.seeds_fixed} saved"
    if race.cost_s is not None:
        text += f"; {race.cost_s / 60:.1f} minutes of training"
    if race.needs:
        needed = ", ".join(f"{arm} {n}" for arm, n in race.needs.items())
        text += f"; not over: the next look needs {needed} seeds"
    return "; ".join([text, *dropped]) + "."


def _rule(race: Race) -> str:
    plan = race.rule.plan
    how = "a confidence sequence" if plan.method == "anytime" else f"alpha spending of {plan.method} type, t boundaries"
    margin = "no margin" if plan.margin is None else f"margin ±{plan.margin:g}"
    family = "" if len(race.pairs) == 1 else f" for all {len(race.pairs)} comparisons together"
    return (
        f"Declared: alpha {plan.alpha:g} over all looks{family}, {how}, {margin}, "
        f"looks from {plan.first} seeds per arm on, every {plan.every}, at most {plan.most}."
    )


def power_lines(plan: PowerPlan) -> Iterator[RenderableType]:
    """Render a plan as sentences."""
    yield Text(_answer(plan))
    if plan.band is not None and plan.spread.band is not None:
        (low, high), _ = plan.spread.band
        ends = " to ".join("out of reach" if end is None else f"{end:.3g}" for end in plan.band)
        yield Text(
            f"The std is known from {plan.spread.n_a} seeds only: {low:.3g} to {high:.3g} (one-sided 80% limits)"
        )
        yield Text(f"make that {ends} {_UNITS[plan.question]}.")
    if plan.gpu_hours is not None and plan.gpu_hours_per_seed is not None:
        each = " and ".join(f"{hours:.3g}" for hours in dict.fromkeys(plan.gpu_hours_per_seed))
        yield Text(f"Cost: {plan.gpu_hours:,.4g} GPU-hours for both arms ({each} per seed).")
    spread = plan.spread
    sds = f"{spread.sd_a:.3g}" if spread.sd_a == spread.sd_b else f"{spread.sd_a:.3g} and {spread.sd_b:.3g}"
    test = "Welch t, two-sided" if plan.margin is None else "two one-sided Welch tests"
    yield Text(f"{test}, alpha {plan.alpha:g}; std over seeds {sds} ({spread.source}).", style="dim")
    for warning in plan.warnings:
        yield Text(f"note: {warning}", style="dim")


_UNITS = {"seeds": "seeds per arm", "difference": "as the smallest detectable difference", "power": "power"}


def _answer(plan: PowerPlan) -> str:
    what = f"detect a difference of {plan.difference:.3g}"
    if plan.margin is not None:
        what = f"show equivalence within ±{plan.margin:g} (true difference {plan.difference:g})"
    if plan.question == "difference":
        return (
            f"{plan.n_per_arm} seeds per arm detect a difference of {plan.difference:.3g} with {plan.power:.0%} power."
        )
    if plan.n_per_arm is None:
        return f"No reachable number of seeds would {what}."
    return f"{plan.n_per_arm} seeds per arm {what} with {plan.power:.0%} power."


def audit_tables(answer: Audit) -> Iterator[RenderableType]:
    """Render each column's rows, the columns against each other, and how the counts depend on the std."""
    for column in answer.columns:
        yield _ladder_table(column, answer) if column.is_ladder else _ranks_table(column, answer)
        yield Text(_claims(column, answer))
    if answer.across:
        yield _across_table(answer)
    for a, b, n, decided in answer.disagreements:
        yield Text(f"{a} and {b} order {n} pairs of rows differently; on {decided} of them both differences are shown.")
    yield _sensitivity_table(answer)
    sds = ", ".join(f"{c.column} {c.sd:.3g}" for c in answer.columns)
    yield Text(
        f"Each number: {answer.cells}. Std over seeds of a single run: {sds} ({answer.noise.source}). Alpha "
        f"{answer.alpha:g} per family, adjusted by Holm. Seed noise only: the test set adds doubt about new images.",
        style="dim",
    )
    for warning in answer.warnings:
        yield Text(f"note: {warning}", style="dim")


def _ranks_table(column: ColumnAudit, answer: Audit) -> RenderableType:
    order = sorted(range(len(column.rows)), key=lambda i: column.values[i], reverse=not answer.lower_is_better)
    rows = [
        [
            column.rows[i],
            f"{column.values[i]:.2f}",
            f"{place + 1}",
            f"{column.ranks[i][0]} to {column.ranks[i][1]}",
            f"{column.prob_best[i]:.2f}" if column.prob_best[i] >= 0.005 else "·",
            f"{column.shrunken[i]:.2f}",
        ]
        for place, i in enumerate(order)
    ]
    heads = (column.column, "number", "rank", f"{1 - answer.alpha:.0%} rank interval", "P(best)", "shrunken")
    return plain_table(heads, rows)


def _ladder_table(column: ColumnAudit, answer: Audit) -> RenderableType:
    rows = [
        [
            column.rows[pair.b],
            f"{column.values[pair.b]:.2f}",
            f"{pair.difference:+.2f}",
            p_value(pair.p_value),
            p_value(pair.p_adjusted),
            "exceeds seed noise" if answer.is_decided(pair) else "within seed noise",
        ]
        for pair in column.pairs
    ]
    return plain_table((f"step ({column.column})", "number", "difference", "p", "p adjusted", ""), rows)


def _claims(column: ColumnAudit, answer: Audit) -> str:
    decided = sum(answer.is_decided(pair) for pair in column.pairs)
    alone = sum(pair.p_value < answer.alpha for pair in column.pairs)
    claims = "; ".join(f"as {w.cells} {w.mean:.2f} [{w.low:.2f}, {w.high:.2f}]" for w in column.claims)
    what = "steps" if column.is_ladder else "pairs of rows"
    return (
        f"{column.column}: {decided} of {len(column.pairs)} {what} decided ({alone} one by one). "
        f"{column.rows[column.best]}'s {column.values[column.best]:.2f} puts its mean at: {claims}.\n"
    )


def _across_table(answer: Audit) -> RenderableType:
    counts: dict[tuple[str, str], list[int]] = {}
    for _, pair in answer.across:
        key = answer.table.columns[pair.a], answer.table.columns[pair.b]
        entry = counts.setdefault(key, [0, 0, 0])
        entry[0] += 1
        entry[1] += answer.is_decided(pair)
        entry[2] += pair.p_value < answer.alpha
    rows = [[f"{b} - {a}", str(n), str(decided), str(alone)] for (a, b), (n, decided, alone) in counts.items()]
    return plain_table(("columns", "rows", "decided", "one by one"), rows)


def _sensitivity_table(answer: Audit) -> RenderableType:
    n_rows = sum(len(column.pairs) for column in answer.columns)
    heads = ["std", f"pairs of rows decided, of {n_rows}"]
    heads += [f"pairs of columns decided, of {len(answer.across)}"] if answer.across else []
    one = {column.sd for column in answer.columns}
    rows = [
        [
            f"{factor * answer.columns[0].sd:.3g}" if len(one) == 1 else f"x {factor:g}",
            str(of_rows),
            *([str(of_columns)] if answer.across else []),
        ]
        for factor, of_rows, of_columns in answer.sensitivity
    ]
    return plain_table(heads, rows)
