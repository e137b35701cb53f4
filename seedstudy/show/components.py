"""What `variance` prints of designs: the parts of a variance, and spreads while some streams stay fixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seedstudy.show.format import UNKNOWN, column, percent, with_interval
from seedstudy.show.sheet import Sheet, sheet
from seedstudy.stats.result import decimals_of
from seedstudy.study.seeds import PURPOSES

if TYPE_CHECKING:
    from seedstudy.cautions import Caution
    from seedstudy.decide.components import DesignVariance, SubsetVariance
    from seedstudy.decide.streams import SharedStreams
    from seedstudy.decide.variance import Variances


def design_sheets(answer: Variances) -> Iterator[Sheet]:
    """Yield the parts of each design's variance, and spreads over some streams while the others stay fixed."""
    for design in answer.designs:
        if design.total is not None:
            yield _parts(design)
    if answer.subsets:
        yield from _subsets(answer.subsets)


def design_cautions(designs: Sequence[DesignVariance]) -> Iterator[tuple[str, Sequence[str | Caution]]]:
    """Yield what to know of each design before reading it."""
    for each in designs:
        yield f"{each.group.label}, {each.group.eval_set}", each.warnings


def repetitions_in_words(designs: Sequence[DesignVariance]) -> Iterator[str]:
    """Say how much trainings with the same seed in every stream differ."""
    for design in designs:
        if (found := design.repetitions) is not None:
            where = f"{design.group.label}, {design.group.eval_set}"
            sets = f"{found.n_trials} trainings" + (f" in {found.n_sets} sets" if found.n_sets > 1 else "")
            what = "all equal" if found.are_equal else f"std {with_interval(found.std, decimals_of(found.std))}"
            yield f"{where}: {sets} with the same seed in every stream: {what}."


def shared_in_words(each: SharedStreams) -> str:
    """Say what sharing streams does to a difference."""
    r, ratio = each.correlation, each.variance_ratio
    effect = {
        True: "narrow the difference",
        False: "widen the difference",
        None: "do not visibly change the difference",
    }
    return (
        f"{each.b} - {each.a} on {each.eval_set}: shared streams {effect[each.helps]}: "
        f"r = {with_interval(r, 2)} over {each.n_pairs} pairs, variance {with_interval(ratio, 2)} times that of "
        "independent seeds."
    )


def _parts(design: DesignVariance) -> Sheet:
    assert design.total is not None
    levels = " x ".join(f"{name} ({n})" for name, n in design.levels.items())
    parts = [(" x ".join(part.sources) or "repetitions", part) for part in design.parts] + [("sum", design.total)]
    stds = column([part.std for _, part in parts])
    rows = [
        (name, std, UNKNOWN if part.share is None else f"{100 * part.share:.0f}%")
        for (name, part), std in zip(parts, stds, strict=True)
    ]
    level = percent(design.parts[0].std.level)
    return sheet(
        ["source"],
        ["std", "of the variance"],
        rows,
        caption=f"{design.group.label}, {design.group.eval_set}: {levels}, {design.n_trials} trainings "
        f"· [{level} intervals]",
        notes=(
            f"std that each source adds by itself, and that combinations add beyond it ({design.method}); the "
            "combination of all also has what no seed decides.",
        ),
    )


def _subsets(subsets: Sequence[SubsetVariance]) -> Iterator[Sheet]:
    """Yield the spread over some streams while the others stay fixed, a table for each recipe and eval set."""
    tables: dict[str, list[SubsetVariance]] = {}
    for each in subsets:
        tables.setdefault(f"{each.group.recipe}@{each.group.model}, {each.group.eval_set}", []).append(each)
    level = percent(subsets[0].std.level)
    for place, (label, of_table) in enumerate(tables.items(), start=1):
        stds, ratios = column([each.std for each in of_table]), column([each.ratio for each in of_table], 2)
        rows = []
        for each, std, ratio in zip(of_table, stds, ratios, strict=True):
            fixed = [stream for stream in PURPOSES if stream not in each.vary]
            what = " + ".join(each.vary) if len(each.vary) <= len(fixed) else f"all but {' + '.join(fixed)}"
            rows.append((what, str(each.group.n), std, ratio))
        notes = (
            "The other streams stay at seed 0; to all streams: ratio of the stds. These spreads do not add up to that "
            "over all streams, and are no shares of it.",
        )
        yield sheet(
            ["what varies"],
            ["n", "std", "to all streams"],
            rows,
            caption=f"{label} · [{level} intervals]",
            notes=notes if place == len(tables) else (),
        )
