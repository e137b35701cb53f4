"""What `summary` and `fit` print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.decide.summary import FEWEST_TO_JUDGE
from seedstudy.show.format import UNKNOWN, column, common_decimals, interval, notes, percent, with_interval
from seedstudy.show.sheet import Column, Sheet, aligned_intervals, sheet
from seedstudy.show.view import Headline, View, short_cautions, short_names
from seedstudy.stats.result import decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.summary import FittedGroup, Summary
    from seedstudy.stats.result import Estimate
    from seedstudy.study.group import Values


def summary_tables(summaries: Sequence[Summary], *, with_details: bool = False) -> RenderableType:
    """Render the RSB table: per recipe one row for each eval set; with details more intervals and cautions in full."""
    view = summary_view(summaries)
    if not with_details:
        return view
    return Group(
        replace(view, cautions=()),
        *_on_images(summaries, short_names([summary.group for summary in summaries])[0]),
        *_details(summaries),
        *notes((summary.group.label, summary.warnings) for summary in summaries),
    )


def summary_view(summaries: Sequence[Summary], *, more: str = "--details") -> View:
    """Return the RSB table, and how far its stds are known. `more`: where a reader finds the rest."""
    names, common = short_names([summary.group for summary in summaries])
    counts = {summary.description.n for summary in summaries}
    n = [f"{max(counts)} seed{'' if counts == {1} else 's'} each"] if len(counts) == 1 else []
    group = summaries[0].group
    unit = f"{'top-1' if group.metric == 'top1' else group.metric} in %" if group.unit == "pp" else group.metric
    return View(
        sheets=(
            Sheet(
                caption=" · ".join([*common, *n, f"{unit}, last epoch", "std over seeds"]),
                columns=_columns(percent(summaries[0].level), has_n=not n),
                rows=tuple(_rows(summaries, names, has_n=not n)),
            ),
        ),
        sentences=(*_spread_in_words(summaries), *_about_images(summaries, more)),
        cautions=short_cautions((names[summary.group.label], summary.warnings) for summary in summaries),
    )


def _columns(level: str, *, has_n: bool) -> tuple[Column, ...]:
    return (
        Column(name="recipe", kind="name"),
        Column(name="set", kind="text"),
        *([Column(name="n")] if has_n else []),
        Column(name="mean"),
        Column(name=f"{level} interval"),
        Column(name="std"),
        Column(name=f"{level} of std", drop=8, is_repeated=True),
        Column(name="min", drop=5),
        Column(name="spread", kind="picture", drop=7),
        Column(name="max", drop=5),
        Column(name="seed 0", drop=6),
    )


def _rows(summaries: Sequence[Summary], names: Mapping[str, str], *, has_n: bool) -> Iterator[tuple[str, ...]]:
    each = [decimals_of(summary.description.mean) for summary in summaries]
    decimals = min(max(each), min(each) + 1)

    def ends_of(of: Callable[[Summary], Estimate]) -> list[str]:
        found = [of(summary) for summary in summaries]
        pairs = [(each.low, each.high) if each.has_interval else None for each in found]
        return aligned_intervals(pairs, decimals, unknown=UNKNOWN)

    of_mean, of_std = ends_of(lambda summary: summary.description.mean), ends_of(lambda x: x.description.std)
    for summary, mean, std in zip(summaries, of_mean, of_std, strict=True):
        d, g = summary.description, summary.group
        yield (
            names[g.label],
            g.eval_set,
            *([str(d.n)] if has_n else []),
            f"{d.mean.value:.{decimals}f}",
            mean,
            f"{d.std.value:.{decimals}f}" if math.isfinite(d.std.value) else UNKNOWN,
            std,
            f"{d.min:.{decimals}f}",
            spread(g.values),
            f"{d.max:.{decimals}f}",
            UNKNOWN if g.seed0 is None else f"{g.seed0:.{decimals}f}",
        )


_CELLS, _DOTS, _BARS = 9, " .:⁝", " ▁▂▃▄▅▆▇█"


def spread(values: Values) -> str:
    """Return the seeds from the lowest to the highest as a row of dots, or of bars where they are many."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return ""
    places = np.minimum(((values - low) / (high - low) * _CELLS).astype(int), _CELLS - 1)
    counts = np.bincount(places, minlength=_CELLS)
    most = int(counts.max())
    if most < len(_DOTS):
        return "".join(_DOTS[count] for count in counts)
    return "".join(_BARS[math.ceil(count / most * (len(_BARS) - 1))] for count in counts)


def _spread_in_words(summaries: Sequence[Summary]) -> Iterator[str]:
    """Say how far the std of the fewest seeds is known, where no caution does."""
    shown = {s.description.n: s.description.std for s in summaries if s.description.std.has_interval}
    known = [(n, std) for n, std in sorted(shown.items()) if n >= FEWEST_TO_JUDGE]
    if known:
        n, std = known[0]
        times = f"{std.low / std.value:.2g} to {std.high / std.value:.2g} times the one shown"
        fewest = "" if len(known) == 1 else ", the fewest here,"
        yield f"With {n} seeds{fewest} the true std may be {times} ({percent(std.level)})."


def _about_images(summaries: Sequence[Summary], more: str) -> Iterator[str]:
    if any(summary.on_new_images is not None for summary in summaries):
        yield f"Means are about new seeds on these images; for new images too: {more}."


def _on_images(summaries: Sequence[Summary], names: Mapping[str, str]) -> Iterator[RenderableType]:
    """Yield means for new images too; nothing without predictions."""
    readings = [(x.group, x.on_new_images, x.level) for x in summaries if x.on_new_images is not None]
    if not readings:
        return
    decimals = common_decimals([reading.on_new_images for _, reading, _ in readings])
    changes = column([reading.change for _, reading, _ in readings], decimals, sign="+")
    beside = next((reading.beside for _, reading, _ in readings if reading.beside), None)
    rows = [
        (
            names[group.label],
            group.eval_set,
            interval(reading.on_new_images, decimals),
            *(f"{error:.{decimals}f}" for error in (reading.error_of_seeds, reading.error_of_images)),
            *([change] if beside else []),
        )
        for (group, reading, _), change in zip(readings, changes, strict=True)
    ]
    level = percent(readings[0][2])
    difference = f"; minus {beside}: the difference from the mean there" if beside else ""
    yield Text()
    yield sheet(
        ["recipe", "set"],
        [f"new images, {level}", "se seeds", "se images", *([f"minus {beside}"] if beside else [])],
        rows,
        notes=(
            "new images: the mean for new seeds and new images like these; se: its standard error due to seeds, and to "
            f"the draw of the images{difference}.",
        ),
    )


def _details(summaries: Sequence[Summary]) -> Iterator[RenderableType]:
    """Render the median, where one new seed may land, an interval of the std for any shape, and seed 0's rank."""
    level = percent(summaries[0].level)
    names, _ = short_names([summary.group for summary in summaries])
    places: list[tuple[str, ...]] = []
    spreads: list[tuple[str, ...]] = []
    doubts = []
    for summary in summaries:
        decimals, details, place = decimals_of(summary.description.mean), summary.details, summary.seed0_place
        who = names[summary.group.label], summary.group.eval_set
        median, std = with_interval(details.median, decimals), summary.description.std
        places.append((*who, median, interval(details.new_seed, decimals), UNKNOWN if place is None else f"#{place}"))
        spreads.append((*who, interval(std, decimals), interval(details.std_robust, decimals)))
        doubts.append((", ".join(who), (*details.median.warnings, *details.std_robust.warnings)))
    who_columns = Column(name="recipe", kind="name"), Column(name="set", kind="text")
    first = "lowest" if summaries[0].is_lower_better else "highest"
    yield Text()
    yield Sheet(
        columns=(*who_columns, *map(_number, (f"median, {level} interval", f"one new seed, {level}", "seed 0"))),
        rows=tuple(places),
        notes=(
            "Median: interval by order statistics. New seed: where one more may land, for normal seeds. #: rank of "
            f"seed 0, from the {first} down.",
        ),
    )
    yield Text()
    yield Sheet(
        columns=(*who_columns, *map(_number, (f"{level} of std", "std, robust"))),
        rows=tuple(spreads),
        notes=(
            "Intervals of the std: by chi-square, for normal seeds; robust: follows the kurtosis (Bonett). Interval of "
            "the mean: Student's t.",
        ),
    )
    yield from notes(doubts)


def _number(name: str) -> Column:
    return Column(name=name)


def fit_table(groups: Sequence[FittedGroup]) -> View:
    """Return per eval set what the distribution over seeds looks like, in words and in numbers."""
    names, common = short_names([fitted.group for fitted in groups])
    several = len({fitted.group.label for fitted in groups}) > 1
    about = {
        id(fitted): ", ".join([*([names[fitted.group.label]] if several else []), fitted.group.eval_set])
        for fitted in groups
    }
    families = tuple(_families(fitted, about[id(fitted)]) for fitted in groups if fitted.fit.families)
    what = [] if several else [names[groups[0].group.label]]
    return View(
        headlines=tuple(Headline(text=f"{about[id(each)]}: {_shape_in_words(each)}") for each in groups),
        sheets=(_moments(groups, about, " · ".join([*what, *common])), *families),
        method=(
            "Weight: share of the support among these families (Akaike), no probability of being true. p fits: how "
            "often seeds drawn from that family would fit it no better (parametric bootstrap); small: it does not fit. "
            "All of it describes; no test is chosen by it."
            if families
            else ""
        ),
        cautions=short_cautions((about[id(x)], x.fit.warnings) for x in groups),
    )


def _moments(groups: Sequence[FittedGroup], about: Mapping[int, str], caption: str) -> Sheet:
    fits = [fitted.fit for fitted in groups]
    decimals = common_decimals([fit.mean for fit in fits])
    level = percent(fits[0].mean.level)
    columns = zip(
        *(column([fit.mean for fit in fits], decimals), column([fit.std for fit in fits], decimals)),
        *(
            column([fit.skewness for fit in fits], 2, sign="+"),
            column([fit.excess_kurtosis for fit in fits], 2, sign="+"),
        ),
        strict=True,
    )
    rows = [(about[id(each)], str(each.fit.n), *cells) for each, cells in zip(groups, columns, strict=True)]
    unit = " in points" if groups[0].group.unit == "pp" else ""
    heads = (Column(name="set", kind="name"), *map(_number, ("n", "mean", "std", "skewness")))
    return Sheet(
        caption=" · ".join(filter(None, [caption, f"[{level} intervals]{unit}"])),
        columns=(*heads, Column(name="excess kurtosis", drop=1)),
        rows=tuple(rows),
    )


def _families(fitted: FittedGroup, about: str) -> Sheet:
    best = fitted.fit.families[0].aicc
    rows = [
        (
            family.name,
            ", ".join(_parameters(family.params)),
            f"{family.aicc - best:.1f}",
            f"{family.weight:.2f}",
            format_p(family.gof_p),
        )
        for family in fitted.fit.families
    ]
    return sheet(
        [f"family, {about}", "parameters"], ["AICc", "weight", "p fits"], rows, notes=("AICc: above the best.",)
    )


def _parameters(params: Mapping[str, float]) -> Iterator[str]:
    """Yield the first parameter, a place, with more digits than what it is a scale or shape of."""
    for i, (name, value) in enumerate(params.items()):
        yield f"{name} {value:{'.0f' if abs(value) >= 1000 else '.3g' if i else '.5g'}}"


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
