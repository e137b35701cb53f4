"""What `race` prints: a line per look while it runs, verdicts and looks at its end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from seedstudy.show.format import UNKNOWN, ci_heading, duration, ends, interval, percent, seeds_of
from seedstudy.show.sheet import Column, Sheet, aligned_intervals
from seedstudy.show.view import Headline, View, short_cautions, short_labels
from seedstudy.stats.result import decimals_for, decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.race import Look, Pair, Race


def look_lines(race: Race) -> Iterator[str]:
    """Say in one line per comparison what the last look showed."""
    names = _names(race)
    for pair in race.pairs:
        look = pair.last
        if look is None:
            continue
        decimals = _decimals(look)
        p = "" if math.isnan(look.p_needed) else f"{p_equals(look.p_value)} (needs {_needed(look.p_needed)}), "
        state = pair.verdict if pair.verdict != "inconclusive" else "continue" if race.needs else "undecided"
        yield (
            f"look at {look.round} seeds: {_about(pair, names)} = {look.difference:+z.{decimals}f} "
            f"{ends(look.low, look.high, decimals)}, {p}{state}"
        )


def race_tables(race: Race) -> View:
    """Return the verdicts, every comparison's looks, and what the race cost."""
    names = _names(race)
    return View(
        headlines=tuple(_verdict(pair, race, names) for pair in race.pairs),
        sheets=tuple(_looks(race, names)),
        next_steps=tuple(_next_steps(race)),
        sentences=(
            *_adjusted(race),
            *(line for pair in race.pairs for line in _on_images(pair, race, names)),
            _cost(race),
        ),
        method=_rule(race),
        cautions=short_cautions((_about(pair, names), pair.warnings) for pair in race.pairs),
    )


def _names(race: Race) -> Mapping[str, str]:
    return short_labels([label for pair in race.rule.pairs for label in pair])[0]


def _about(pair: Pair, names: Mapping[str, str]) -> str:
    return f"{names[pair.b]} - {names[pair.a]}"


def _decimals(look: Look) -> int:
    """Return what the interval supports, or the standard error where so few seeds have no interval."""
    half = (look.high - look.low) / 2
    return decimals_for(half if math.isfinite(half) else look.se)


def _unit(race: Race) -> str:
    return " points" if race.rule.unit == "pp" else ""


def _verdict(pair: Pair, race: Race, names: Mapping[str, str]) -> Headline:
    a, b, look = names[pair.a], names[pair.b], pair.last
    on = race.rule.eval_set if race.rule.metric == "top1" else race.rule.metric
    if look is None:
        return Headline(text=f"INCONCLUSIVE on {on}: {b} - {a}: {pair.reason}.", word=pair.verdict)
    decimals = _decimals(look)
    size = f"{look.difference:+z.{decimals}f}{_unit(race)} {ends(look.low, look.high, decimals)}"
    seeds = f"at {look.round} seeds each"
    match pair.verdict:
        case "better" | "worse" as word:
            text = f"{b} is {word.upper()} than {a} on {on}, shown {seeds}: {size}."
        case "equivalent":
            within = f"{race.rule.plan.margin:g}{_unit(race)}"
            text = f"{b} is EQUIVALENT to {a} on {on}, shown {seeds}: within {within}; {size}."
        case _:
            text = f"INCONCLUSIVE on {on}: {b} - {a} = {size}; {pair.reason}."
    return Headline(text=text, word=pair.verdict)


def _next_steps(race: Race) -> Iterator[str]:
    plan = race.rule.plan
    if race.needs:
        arms = ", ".join(f"{arm} {n}" for arm, n in race.needs.items())
        yield f"Next: not over: the next look needs {arms} seeds."
    elif any(pair.verdict == "inconclusive" and pair.last is not None for pair in race.pairs):
        if plan.method == "anytime":
            yield f"Next: the same race with a larger budget: --max-seeds {2 * plan.most}."
        else:
            yield (
                "Next: this budget is spent, and the rule does not allow more. Start a new race "
                f"(--study NAME) with --max-seeds {2 * plan.most}, or with --spending anytime, which may be extended."
            )


def _looks(race: Race, names: Mapping[str, str]) -> Iterator[Sheet]:
    """Yield one table of all looks."""
    pairs = [pair for pair in race.pairs if pair.looks]
    if not pairs:
        return
    looks = [look for pair in pairs for look in pair.looks]
    decimals = max(map(_decimals, (pair.looks[-1] for pair in pairs)))
    plan = race.rule.plan
    is_open_ended = plan.method == "anytime"
    has_margin = plan.margin is not None and not is_open_ended
    is_several = len(race.pairs) > 1
    intervals = aligned_intervals(
        [(look.low, look.high) if math.isfinite(look.low) else None for look in looks], decimals, unknown=UNKNOWN
    )
    rows = [
        (
            *([_about(pair, names)] if is_several else []),
            *_cells(look, shown, decimals, is_open_ended=is_open_ended, has_margin=has_margin),
            _state(look, pair, race),
        )
        for (pair, look), shown in zip(((pair, x) for pair in pairs for x in pair.looks), intervals, strict=True)
    ]
    levels = list(dict.fromkeys(percent(pair.confidence) for pair in pairs))
    subject = "B - A" if is_several else _about(pairs[0], names)
    columns = (
        *([Column(name="B - A", kind="name")] if is_several else []),
        Column(name="seeds"),
        Column(name="difference" if is_several else subject),
        Column(name="interval now"),
        Column(name="p"),
        *([] if is_open_ended else [Column(name="stop if p <")]),
        *([Column(name="p equiv.", drop=3), Column(name="equiv. if <", drop=3)] if has_margin else []),
        Column(name="chance of a decision", drop=4),
        Column(name="state", kind="verdict"),
    )
    unit = "in points, " if race.rule.unit == "pp" else ""
    on = race.rule.eval_set if race.rule.metric == "top1" else f"{race.rule.metric}, {race.rule.eval_set}"
    caption = f"{subject} on {on} · {unit}{' and '.join(levels)} intervals that hold at every look"
    yield Sheet(caption=caption, columns=columns, rows=tuple(rows))


def _cells(look: Look, shown: str, decimals: int, *, is_open_ended: bool, has_margin: bool) -> list[str]:
    cells = [seeds_of(look.n_a, look.n_b), f"{look.difference:+z.{decimals}f}", shown, format_p(look.p_value)]
    cells += [] if is_open_ended else [_needed(look.p_needed)]
    if has_margin:
        cells += [format_p(look.equivalence_p or math.nan), _needed(look.equivalence_p_needed)]
    return [*cells, f"{look.chance_of_decision:.2f}"]


def _state(look: Look, pair: Pair, race: Race) -> str:
    """Return what a look led to: the verdict, or what happened next."""
    if look is not pair.last:
        return "continue"
    if pair.verdict != "inconclusive":
        return pair.verdict
    if race.needs:
        return "needs more seeds"
    return "no seeds left" if look.round == race.rule.plan.most else "stopped"


def _needed(level: float | None) -> str:
    """Return what p must not exceed; a dash where so few seeds may not decide at all."""
    return UNKNOWN if level is None or level < 1e-300 else format_p(level)


def _adjusted(race: Race) -> Iterator[str]:
    for pair in race.pairs:
        is_shown = pair.verdict in ("better", "worse")
        if is_shown and pair.last is not None and pair.adjusted_difference is not None:
            decimals = _decimals(pair.last)
            yield f"Adjusted for stopping early: {pair.adjusted_difference:+z.{decimals}f}{_unit(race)}."


def _on_images(pair: Pair, race: Race, names: Mapping[str, str]) -> Iterator[str]:
    """Say what the last look shows for the images that the verdict is not about."""
    if pair.reading is None:
        return
    is_new = race.rule.images == "new"
    other = pair.reading.on_these_images if is_new else pair.reading.on_new_images
    if other is None:
        return
    where = "n these images alone" if is_new else "n new images too"
    about = f"{_about(pair, names)} o{where}" if len(race.pairs) > 1 else f"O{where}"
    yield f"{about}, at this look alone: {interval(other, decimals_of(other))} ({ci_heading(other.level)})."


def _cost(race: Race) -> str:
    parts = [f"{race.seeds_used} seeds used, {race.seeds_fixed - race.seeds_used} of {race.seeds_fixed} saved"]
    if race.cost_s is not None:
        parts.append(f"{duration(race.cost_s)} of training")
    parts += [f"{arm.label} dropped at {arm.dropped_at}" for arm in race.arms if arm.dropped_at is not None]
    return "; ".join(parts) + "."


_METHODS: Mapping[str, str] = {
    "obrien-fleming": "O'Brien-Fleming alpha spending",
    "pocock": "Pocock alpha spending",
    "anytime": "confidence sequence",
}


def _images(race: Race) -> str:
    if race.rule.metric != "top1":
        return "on the same test data"
    return "and new images like these" if race.rule.images == "new" else "on these images"


def _rule(race: Race) -> str:
    plan = race.rule.plan
    margin = "no margin" if plan.margin is None else f"margin ±{plan.margin:g}{_unit(race)}"
    family = "" if len(race.pairs) == 1 else f" and all {len(race.pairs)} comparisons"
    every = "" if plan.every == 1 else f", every {plan.every}"
    how: Sequence[str] = (
        f"{_METHODS[plan.method]}, alpha {plan.alpha:g} over all looks{family}",
        margin,
        f"about new seeds {_images(race)}",
        f"looks from {plan.first} seeds each{every}, at most {plan.most}",
    )
    return f"Declared: {', '.join(how)}."
