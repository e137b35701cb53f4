"""What `power` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import small_print

if TYPE_CHECKING:
    from seedstudy.decide.plan import PowerPlan

_UNITS = {"seeds": "seeds per arm", "difference": "as the smallest detectable difference", "power": "power"}


def power_lines(plan: PowerPlan) -> RenderableType:
    """Render a plan as sentences."""
    return Group(*_lines(plan))


def _lines(plan: PowerPlan) -> Iterator[RenderableType]:
    spread = plan.spread
    yield Text(_answer(plan))
    if plan.band is not None and spread.band is not None:
        (low, high), _ = spread.band
        answers = " to ".join("out of reach" if end is None else f"{end:.3g}" for end in plan.band)
        yield Text(
            f"The std is known from {spread.n_a} seeds only; its one-sided 80% limits, {low:.3g} and {high:.3g}, "
            f"give {answers} {_UNITS[plan.question]}."
        )
    if plan.gpu_hours is not None and plan.gpu_hours_per_seed is not None:
        each = " and ".join(map(_hours, dict.fromkeys(plan.gpu_hours_per_seed)))
        yield Text(f"Cost: {_hours(plan.gpu_hours)} GPU-hours for both arms ({each} per seed).")
    sds = f"{spread.sd_a:.3g}" if spread.sd_a == spread.sd_b else f"{spread.sd_a:.3g} and {spread.sd_b:.3g}"
    test = "Welch t, two-sided" if plan.margin is None else "two one-sided Welch tests"
    yield small_print(f"{test}, alpha {plan.alpha:g}; std over seeds {sds} ({spread.source}).")
    yield from (small_print(f"note: {warning}") for warning in plan.warnings)


def _answer(plan: PowerPlan) -> str:
    what = f"detect a difference of {plan.difference:.3g}"
    if plan.question != "difference" and plan.margin is not None:
        what = f"show equivalence within ±{plan.margin:g} (true difference {plan.difference:g})"
    if plan.n_per_arm is None:
        return f"No reachable number of seeds would {what}."
    return f"{plan.n_per_arm} seeds per arm {what} with {plan.power:.0%} power."


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
