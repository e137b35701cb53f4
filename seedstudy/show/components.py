"""What `variance` prints of designs: the parts of a variance, and spreads while some streams stay fixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import UNKNOWN, ci_heading, grouped_table, notes, small_print, with_interval
from seedstudy.stats.result import decimals_of
from seedstudy.study.seeds import PURPOSES

if TYPE_CHECKING:
    from seedstudy.decide.components import DesignVariance, Part, SubsetVariance
    from seedstudy.decide.streams import SharedStreams
    from seedstudy.decide.variance import Variances


def source_tables(answer: Variances, of_images: RenderableType) -> RenderableType:
    """Render what designs say, around what single images say."""
    return Group(*_streams(answer), of_images, *_beside(answer))


def _streams(answer: Variances) -> Iterator[RenderableType]:
    yield from design_tables(answer.designs)
    if answer.subsets:
        yield from subset_tables(answer.subsets)


def _beside(answer: Variances) -> Iterator[RenderableType]:
    for each in answer.shared:
        yield _shared(each)
    if answer.without_images:
        yield small_print(f"nothing about single images: {answer.without_images}")


def _shared(each: SharedStreams) -> Text:
    r, ratio = each.correlation, each.variance_ratio
    effect = {True: "narrow the difference", False: "widen the difference", None: "change the difference not visibly"}
    return Text(
        f"{each.b} - {each.a} on {each.eval_set}: shared streams {effect[each.helps]}: "
        f"r = {with_interval(r, 2)} over {each.n_pairs} pairs, variance {with_interval(ratio, 2)} times that of "
        "independent seeds"
    )


def design_tables(designs: Sequence[DesignVariance]) -> Iterator[RenderableType]:
    """Render the parts of each design's variance, the repetitions, and what to know before reading them."""
    crossed = [design for design in designs if design.total is not None]
    if crossed:
        yield from _parts(crossed)
    for design in designs:
        if (found := design.repetitions) is not None:
            where = f"{design.group.label}, {design.group.eval_set}"
            sets = f"{found.n_trials} trainings" + (f" in {found.n_sets} sets" if found.n_sets > 1 else "")
            what = "all equal" if found.are_equal else f"std {with_interval(found.std, decimals_of(found.std))}"
            yield small_print(f"{where}: {sets} with the same seed in every stream: {what}")
    yield from notes((f"{each.group.label}, {each.group.eval_set}", each.warnings) for each in designs)


def _parts(designs: Sequence[DesignVariance]) -> Iterator[RenderableType]:
    rows: dict[str, list[list[str]]] = {}
    for design in designs:
        levels = " x ".join(f"{name} ({n})" for name, n in design.levels.items())
        title = f"{design.group.label}, {design.group.eval_set}: {levels}, {design.n_trials} trainings"
        assert design.total is not None
        rows[title] = [_row(" x ".join(part.sources) or "repetitions", part) for part in design.parts]
        rows[title].append(_row("sum", design.total))
    level = designs[0].parts[0].std.level
    yield from grouped_table(["source"], [f"std [{ci_heading(level)}]", "of the variance"], rows)
    methods = ", ".join(dict.fromkeys(design.method for design in designs))
    yield small_print(
        f"std that each source adds by itself, and that combinations add beyond it ({methods}); the combination of all "
        "also has what no seed decides"
    )


def _row(name: str, part: Part) -> list[str]:
    share = UNKNOWN if part.share is None else f"{100 * part.share:.0f}%"
    return [name, with_interval(part.std, decimals_of(part.std)), share]


def subset_tables(subsets: Sequence[SubsetVariance]) -> Iterator[RenderableType]:
    """Render the spread over some streams while the others stay fixed."""
    rows: dict[str, list[list[str]]] = {}
    for each in subsets:
        label = f"{each.group.recipe}@{each.group.model}, {each.group.eval_set}"
        fixed = [stream for stream in PURPOSES if stream not in each.vary]
        what = "+".join(each.vary) if len(each.vary) <= len(fixed) else f"all but {'+'.join(fixed)}"
        ratio = UNKNOWN if each.ratio is None else with_interval(each.ratio, 2)
        std = with_interval(each.std, decimals_of(each.std) if each.std.has_interval else 2)
        rows.setdefault(label, []).append([what, str(each.group.n), std, ratio])
    ci = ci_heading(subsets[0].std.level)
    yield from grouped_table(["what varies"], ["n", f"std [{ci}]", f"to all streams [{ci}]"], rows)
    yield small_print(
        "the other streams stay at seed 0; to all streams: ratio of the stds; these spreads do not add up to that over "
        "all streams, and are no shares of it"
    )
