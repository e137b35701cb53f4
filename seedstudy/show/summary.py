"""What `summary` and `fit` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import (
    UNKNOWN,
    ci_heading,
    grouped_table,
    interval,
    notes,
    percent,
    small_print,
    table,
    with_interval,
)
from seedstudy.stats.result import decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.summary import FittedGroup, Summary


def summary_tables(summaries: Sequence[Summary], *, with_details: bool = False) -> RenderableType:
    """Render the RSB table: per recipe one row for each eval set, each number with its interval."""
    ci = ci_heading(summaries[0].description.mean.level)
    groups: dict[str, list[list[str]]] = {}
    for summary in summaries:
        d, g = summary.description, summary.group
        decimals = decimals_of(d.mean)
        seed0 = UNKNOWN if g.seed0 is None else f"{g.seed0:.{decimals}f}"
        numbers = [str(d.n), with_interval(d.mean, decimals), with_interval(d.std, decimals)]
        ends = [f"{d.min:.{decimals}f}", f"{d.max:.{decimals}f}"]
        groups.setdefault(g.label, []).append([g.eval_set, *numbers, *ends, seed0])
    unit = "top-1 in %" if summaries[0].group.unit == "pp" else summaries[0].group.metric
    return Group(
        *grouped_table([""], ["n", f"mean [{ci}]", f"std [{ci}]", "min", "max", "seed 0"], groups),
        small_print(f"{unit}, last epoch; std over seeds (n - 1); CI of the mean by t, of the std by chi-square"),
        *_on_images(summaries, with_details=with_details),
        *(_details(summaries) if with_details else ()),
        *notes((summary.group.label, summary.warnings) for summary in summaries),
    )


def _on_images(summaries: Sequence[Summary], *, with_details: bool) -> Iterator[RenderableType]:
    """Say that means are about these images, and what they are for new ones; nothing without predictions."""
    known = [summary for summary in summaries if summary.on_new_images is not None]
    if not known:
        return
    if not with_details:
        yield small_print("means are about new seeds on these images; for new images too: --details")
        return
    groups: dict[str, list[list[str]]] = {}
    beside: str | None = None
    for summary in known:
        reading = summary.on_new_images
        assert reading is not None
        decimals = decimals_of(reading.on_new_images)
        errors = [f"{error:.{decimals}f}" for error in (reading.error_of_seeds, reading.error_of_images)]
        change = UNKNOWN if reading.change is None else with_interval(reading.change, decimals, sign="+")
        beside = beside or reading.beside
        row = [summary.group.eval_set, interval(reading.on_new_images, decimals), *errors, change]
        groups.setdefault(summary.group.label, []).append(row)
    ci = ci_heading(known[0].level)
    yield Text()
    yield from grouped_table([""], [f"mean, new images [{ci}]", "se seeds", "se images", f"beside {beside}"], groups)
    yield small_print(
        "new images: the mean for new seeds and new images like these; se: its standard error due to seeds, and to the "
        "draw of the images; beside: this mean minus that one"
    )


def _details(summaries: Sequence[Summary]) -> Iterator[RenderableType]:
    """Render the median, where one new seed may land, an interval of the std for any shape, and seed 0's rank."""
    level = summaries[0].level
    groups: dict[str, list[list[str]]] = {}
    doubts = []
    for summary in summaries:
        decimals, details, place = decimals_of(summary.description.mean), summary.details, summary.seed0_place
        label, eval_set = summary.group.label, summary.group.eval_set
        groups.setdefault(label, []).append(
            [
                eval_set,
                with_interval(details.median, decimals),
                interval(details.new_seed, decimals),
                interval(details.std_robust, decimals),
                UNKNOWN if place is None else f"#{place}",
            ]
        )
        doubts.append((f"{label}, {eval_set}", (*details.median.warnings, *details.std_robust.warnings)))
    yield Text()
    yield from grouped_table([""], ["median", f"new seed, {percent(level)}", "std, robust CI", "seed 0"], groups)
    first = "lowest" if summaries[0].is_lower_better else "highest"
    yield small_print(
        "median: CI by order statistics; new seed: where one more may land, for normal seeds; robust: CI of the std "
        f"that follows the kurtosis (Bonett); #: rank of seed 0, from the {first} down"
    )
    yield from notes(doubts)


def fit_table(groups: Sequence[FittedGroup]) -> RenderableType:
    """Render per eval set what the distribution over seeds looks like, in numbers and in words."""
    parts: list[RenderableType] = [part for group in groups for part in _fit(group)]
    if any(group.fit.families for group in groups):
        parts.append(
            small_print(
                "Weight: share of the support that these families get from the seeds (Akaike), not a probability of "
                "being true. p fits: how often seeds drawn from that family would fit it no better (parametric "
                "bootstrap); small means it does not fit. All of it describes; no test is chosen by it."
            )
        )
    return Group(*parts, *notes((f"{x.group.label}, {x.group.eval_set}", x.fit.warnings) for x in groups))


def _fit(fitted: FittedGroup) -> Iterator[RenderableType]:
    group, fit = fitted.group, fitted.fit
    decimals = decimals_of(fit.mean)
    seeds = "seed" if fit.n == 1 else "seeds"
    yield Text(f"{group.label}, {group.eval_set}: ", style="bold").append(
        f"n = {fit.n} {seeds}, mean {with_interval(fit.mean, decimals)}, std {with_interval(fit.std, decimals)}, "
        f"skewness {with_interval(fit.skewness, 2, sign='+')}, "
        f"excess kurtosis {with_interval(fit.excess_kurtosis, 2, sign='+')} ({ci_heading(fit.mean.level)})",
        style="not bold",
    )
    if fit.families:
        rows = table(["family", "parameters"], ["AICc above best", "weight", "p fits"])
        for family in fit.families:
            params = ", ".join(f"{name} {value:.5g}" for name, value in family.params.items())
            above = f"{family.aicc - fit.families[0].aicc:.1f}"
            rows.add_row(family.name, params, above, f"{family.weight:.2f}", format_p(family.gof_p))
        yield Text()
        yield rows
        yield Text()
    yield Text(_shape_in_words(fitted))


def _shape_in_words(fitted: FittedGroup) -> str:
    """Say whether the seeds look normal, and which families describe them equally well."""
    fit = fitted.fit
    tests = ", ".join(f"{test.test} {p_equals(test.p_value)}" for test in fit.normality)
    match fitted.normality:
        case "constant":
            return "All seeds gave the same value: there is no shape to describe."
        case "rejected":
            words = f"The seeds do not look normal ({tests})"
        case "mixed":
            words = f"The tests disagree whether the seeds look normal ({tests})"
        case "not rejected":
            few = f"{fit.n} seeds hardly show a shape; n" if fitted.has_few_seeds else "N"
            words = f"{few}othing speaks against normal seeds ({tests})"
    best = [family.name for family in fitted.best_families]
    if len(best) == 1:
        words += f"; {best[0]} describes them best"
    elif best:
        words += f"; equally good descriptions (AICc within 2): {', '.join(best)}"
    return words + "."
