"""What `power` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seedstudy.decide.plan import MOST_SEEDS, beside
from seedstudy.show.format import UNKNOWN
from seedstudy.show.sheet import Column, Sheet
from seedstudy.show.view import Headline, View
from seedstudy.stats.result import decimals_for

if TYPE_CHECKING:
    from seedstudy.decide.plan import PowerPlan, Spread


def power_lines(plan: PowerPlan) -> View:
    """Return the answer in a sentence, what fewer and more seeds would show, and what it rests on."""
    return View(
        headlines=(Headline(text=answer_in_words(plan)),),
        sheets=tuple(_numbers_beside(plan)),
        sentences=tuple(_sentences(plan)),
        method=_method(plan),
        cautions=plan.warnings,
    )


def _numbers_beside(plan: PowerPlan) -> Iterator[Sheet]:
    """Yield a row of power, and one of detectable differences, for numbers of seeds around the answer."""
    found = beside(plan)
    if len(found) < 2:
        return
    unit = " points" if plan.unit == "pp" else ""
    claim = f"for {_number(plan.difference, plan.unit)}" if plan.margin is None else f"within ±{plan.margin:g}{unit}"
    rows = [(f"power {claim}", *(f"{100 * each.power:.0f}%" for each in found))]
    if plan.margin is None:
        known = [each.detectable for each in found if each.detectable is not None]
        decimals = decimals_for(min(known, default=0.0))
        seen = [UNKNOWN if each.detectable is None else f"{each.detectable:.{decimals}f}" for each in found]
        rows.append((f"seen with {plan.wanted:.0%} power", *seen))
    columns = (Column(name="seeds each", kind="name"), *(Column(name=f"{each.n:,}") for each in found))
    yield Sheet(columns=columns, rows=tuple(rows))


def _sentences(plan: PowerPlan) -> Iterator[str]:
    spread = plan.spread
    if spread.known is not None:
        yield f"From one training the std lies between {_ends(spread, plan.unit)}: {_at_the_ends(plan)}."
    elif plan.band is not None and spread.band is not None:
        known_from = f"{spread.n_a}" if spread.n_a == spread.n_b else f"{spread.n_a} and {spread.n_b}"
        known_from += " seeds" if min(spread.n_a or 0, spread.n_b or 0) >= 30 else " seeds only"
        yield (
            f"The std is known from {known_from}: at its one-sided 80% limits, {_ends(spread, plan.unit)}, "
            f"{_at_the_ends(plan)}."
        )
    if plan.hours is not None and plan.cost is not None:
        each = " and ".join(map(_hours, dict.fromkeys(plan.cost.hours_per_seed)))
        device = plan.cost.device
        of_what = "GPU-hours" if device is None else f"hours, one trial after the other as measured on {device},"
        yield f"Cost: {_hours(plan.hours)} {of_what} for both arms ({each} per seed)."


def _method(plan: PowerPlan) -> str:
    test = "Welch t, two-sided" if plan.margin is None else "Two one-sided Welch tests"
    if plan.paired is not None:
        kind = "Paired t, two-sided" if plan.margin is None else "Two one-sided paired tests"
        test = f"{kind}, correlation {plan.paired:g}"
    spread = plan.spread
    sds = " and ".join(dict.fromkeys(_number(sd, plan.unit) for sd in (spread.sd_a, spread.sd_b)))
    return f"{test}, alpha {plan.alpha:g}; std over seeds {sds} ({spread.source})."


def answer_in_words(plan: PowerPlan) -> str:
    """Return the answer in one sentence."""
    what = f"detect a difference of {_number(plan.difference, plan.unit)}"
    if plan.question != "difference" and plan.margin is not None:
        true = "0" if plan.difference == 0.0 else _number(plan.difference, plan.unit)
        what = f"show equivalence within ±{_number(plan.margin, plan.unit)} (true difference {true})"
    if plan.n_per_arm is None:
        return f"No number of seeds up to {MOST_SEEDS:,} per arm would {what}."
    return f"{plan.n_per_arm:,} seeds per arm {what} with {plan.power:.0%} power."


def _at_the_ends(plan: PowerPlan) -> str:
    """Say what the lower and the upper limit of the std make of the answer."""
    assert plan.band is not None
    low, high = plan.band
    match plan.question:
        case "seeds":
            of_each = ["more than are reachable" if end is None else f"{end:,.0f}" for end in (low, high)]
            few = "it takes " + " to ".join(dict.fromkeys(of_each))
            return f"{few} seeds per arm" if len(set(of_each)) == 2 else f"{few} seeds per arm at either"
        case "difference":
            ends = " to ".join(_number(end, plan.unit) for end in (low, high) if end is not None)
            return f"the smallest detectable difference is {ends}"
        case _:
            return "the power is " + " to ".join(f"{end:.0%}" for end in (low, high) if end is not None)


def _ends(spread: Spread, unit: str | None) -> str:
    """Return the limits of the std of each arm."""
    assert spread.band is not None
    arms = dict.fromkeys(spread.band)
    return ", and ".join(f"{low:.3g} and {_number(high, unit)}" for low, high in arms)


def _number(value: float, unit: str | None) -> str:
    return f"{value:.3g}" + (" points" if unit == "pp" else "")


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
