"""What `race` prints: a line per look while it runs, tables and verdicts at its end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import (
    UNKNOWN,
    ci_heading,
    duration,
    ends,
    interval,
    notes,
    seeds_of,
    small_print,
    table,
    verdict_line,
)
from seedstudy.stats.result import decimals_for, decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.race import Look, Pair, Race


def look_lines(race: Race) -> Iterator[str]:
    """Say in one line per comparison what the last look showed."""
    for pair in race.pairs:
        look = pair.last
        if look is None:
            continue
        decimals = decimals_for(look.se)
        p = "" if math.isnan(look.p_needed) else f"{p_equals(look.p_value)} (needs {_needed(look.p_needed)}), "
        state = pair.verdict if pair.verdict != "inconclusive" else "go on" if race.needs else "undecided"
        yield (
            f"look at {look.round} seeds: {pair.b} - {pair.a} = {look.difference:+.{decimals}f} "
            f"{ends(look.low, look.high, decimals)}, {p}{state}"
        )


def race_tables(race: Race) -> RenderableType:
    """Render every comparison's looks, the verdicts in words, and what the race cost."""
    return Group(
        *(_verdict(pair, race) for pair in race.pairs),
        *(line for pair in race.pairs for line in _on_images(pair, race)),
        Text(_cost(race)),
        *(part for pair in race.pairs if len(race.pairs) == 1 or pair.looks for part in _looks(pair, race)),
        Text(),
        small_print(_rule(race)),
        *notes((f"{pair.b} against {pair.a}", pair.warnings) for pair in race.pairs),
    )


def _looks(pair: Pair, race: Race) -> Iterator[RenderableType]:
    is_open_ended = race.rule.plan.method == "anytime"
    has_margin = race.rule.plan.margin is not None and not is_open_ended
    heads = ["B - A", f"{ci_heading(pair.confidence)} at any look", "p"]
    heads += [] if is_open_ended else ["needed"]
    heads += ["p equal", "needed"] if has_margin else []
    rows = table(["seeds"], [*heads, "chance"], is_compact=True)
    for look in pair.looks:
        rows.add_row(*_cells(look, is_open_ended=is_open_ended, has_margin=has_margin))
    yield Text()
    if len(race.pairs) > 1:
        yield Text(f"{pair.b} - {pair.a}", style="bold")
    yield rows


def _cells(look: Look, *, is_open_ended: bool, has_margin: bool) -> list[str]:
    decimals = decimals_for(look.se)
    cells = [
        seeds_of(look.n_a, look.n_b),
        f"{look.difference:+.{decimals}f}",
        ends(look.low, look.high, decimals),
        format_p(look.p_value),
    ]
    cells += [] if is_open_ended else [_needed(look.p_needed)]
    if has_margin:
        cells += [format_p(look.equivalence_p or math.nan), _needed(look.equivalence_p_needed)]
    return [*cells, f"{look.chance_of_decision:.2f}"]


def _needed(level: float | None) -> str:
    """Return what p must not exceed; a dash where so few seeds may not decide at all."""
    return UNKNOWN if level is None or level < 1e-300 else format_p(level)


def _verdict(pair: Pair, race: Race) -> Text:
    decider = race.rule.eval_set if race.rule.metric == "top1" else race.rule.metric
    words = pair.reason
    if pair.last is not None and pair.adjusted_difference is not None:
        words += (
            f"; difference {pair.last.difference:+.3g} at the stop, "
            f"{pair.adjusted_difference:+.3g} adjusted for stopping"
        )
    return verdict_line(f"{pair.b} against {pair.a}, {decider}", pair.verdict, words + ".")


def _on_images(pair: Pair, race: Race) -> Iterator[Text]:
    """Say what the last look shows for the images that the verdict is not about."""
    if pair.reading is None:
        return
    is_new = race.rule.images == "new"
    other = pair.reading.on_these_images if is_new else pair.reading.on_new_images
    if other is None:
        return
    where = "n these images alone" if is_new else "n new images too"
    about = f"{pair.b} - {pair.a} o{where}" if len(race.pairs) > 1 else f"O{where}"
    shown = f"{interval(other, decimals_of(other))} ({ci_heading(other.level)})"
    yield small_print(f"{about}, at this look alone: {shown}.")


def _cost(race: Race) -> str:
    parts = [f"{race.seeds_used} seeds used, {race.seeds_fixed - race.seeds_used} of {race.seeds_fixed} saved"]
    if race.cost_s is not None:
        parts.append(f"{duration(race.cost_s)} of training")
    if race.needs:
        parts.append(f"not over: the next look needs {', '.join(f'{arm} {n}' for arm, n in race.needs.items())} seeds")
    parts += [f"{arm.label} dropped at {arm.dropped_at}" for arm in race.arms if arm.dropped_at is not None]
    return "; ".join(parts) + "."


def _rule(race: Race) -> str:
    plan = race.rule.plan
    how = "a confidence sequence" if plan.method == "anytime" else f"alpha spending of {plan.method} type, t boundaries"
    margin = "no margin" if plan.margin is None else f"margin ±{plan.margin:g}"
    is_new = race.rule.images == "new"
    about = "and new images like these" if is_new else "on these images"
    if race.rule.metric != "top1":
        about = "on the same test data"
    family = "" if len(race.pairs) == 1 else f" for all {len(race.pairs)} comparisons together"
    return (
        f"Declared: alpha {plan.alpha:g} over all looks{family}, {how}, {margin}, about new seeds {about}, "
        f"looks from {plan.first} seeds per arm on, every {plan.every}, at most {plan.most}. Chance: predicted, of a "
        "decision by the last look."
    )
