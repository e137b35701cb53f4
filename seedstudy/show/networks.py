"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import (
    UNKNOWN,
    ci_heading,
    filled_table,
    grouped_table,
    notes,
    small_print,
    table,
    with_interval,
)
from seedstudy.stats.result import decimals_of, format_p

if TYPE_CHECKING:
    from seedstudy.decide.images import ImageReading
    from seedstudy.decide.sizes import Evaluated
    from seedstudy.study.network import Cost, EvaluatedSet, OnFront, PseudoLabelled


def cost_table(costs: Sequence[Cost], pareto: Sequence[OnFront] = (), *, repeats: int) -> RenderableType:
    """Render which networks are worth their cost, where accuracies are known; then size, speed and memory of each."""
    table = _cost_table(costs, repeats=repeats)
    return Group(_fronts(pareto), Text(), table) if pareto else table


def _fronts(pareto: Sequence[OnFront]) -> RenderableType:
    words = {"on": "yes", "off": "·", "?": "?", None: UNKNOWN}
    rows = [
        [
            each.model,
            str(each.image_size),
            str(each.n),
            f"{each.error:.2f}",
            *(words[front] for front in (each.front_macs, each.front_params, each.front_latency)),
        ]
        for each in sorted(pareto, key=lambda each: each.error)
    ]
    return Group(
        filled_table(("model", "px", "n", "error", "by MACs", "by params", "by latency"), rows),
        small_print(
            "by: on the Pareto front, that is no network of at most its cost has a smaller error; ? where the spread "
            "over seeds leaves it open"
        ),
    )


def _cost_table(costs: Sequence[Cost], *, repeats: int) -> RenderableType:
    heads = ["model", "px", "params M", "GMACs", "act. M"]
    speed = costs[0].speed
    if speed is None:
        return filled_table(heads, [_cost_cells(cost) for cost in costs])
    heads += ["latency ms", "images/s", "trained/s", "peak MiB"]
    return Group(
        filled_table(heads, [_cost_cells(cost) for cost in costs]),
        small_print(
            f"median of {repeats} passes on {speed.device}, {speed.precision}; latency of one image, images/s "
            f"and images trained/s in batches of {speed.batch_size}"
        ),
    )


def _cost_cells(cost: Cost) -> list[str]:
    size, speed = cost.size, cost.speed
    counts = [f"{size.n_params / 1e6:.2f}", f"{size.n_macs / 1e9:.2f}", f"{size.n_activations / 1e6:.2f}"]
    px = f"{cost.image_size}" if cost.clip_frames is None else f"{cost.image_size} x {cost.clip_frames} frames"
    cells = [cost.model, px, *counts]
    if speed is not None:
        cells += [
            f"{1000 * speed.latency_s:.2f}",
            f"{speed.infer_images_per_s:,.1f}",
            f"{speed.train_images_per_s:,.1f}",
            UNKNOWN if speed.peak_mem_bytes is None else f"{speed.peak_mem_bytes / 2**20:,.0f}",
        ]
    return cells


_MOST_BESIDE = 12
"""Rows of differences from other networks; the rest is in the document."""


def evaluation_table(
    evaluations: Sequence[EvaluatedSet], beside: Sequence[ImageReading], *, preprocessing: str
) -> RenderableType:
    """Render top-1 and top-5 per eval set, with the published top-1 where it is known; then other networks."""
    heads = ("eval set", "n", "top-1", "top-5", "published top-1", "difference")
    rows = [_evaluation_cells(each) for each in evaluations]
    parts: list[RenderableType] = [filled_table(heads, rows), small_print(f"tested at {preprocessing}")]
    return Group(*parts, *(_beside(beside) if beside else ()))


def _beside(readings: Sequence[ImageReading]) -> Iterator[RenderableType]:
    """Render by how much a network is better than others, image by image."""
    ci = ci_heading(readings[0].on_new_images.level)
    rows = table(["better than", "on"], [f"by points [{ci}]", "p"], is_compact=True)
    for reading in readings[:_MOST_BESIDE]:
        new = reading.on_new_images
        by = with_interval(new, decimals_of(new), sign="+")
        rows.add_row(reading.a, reading.eval_set, by, format_p(reading.on_new_images_p))
    yield Text()
    yield rows
    left = len(readings) - _MOST_BESIDE
    more = f"; {left} more with --json" if left > 0 else ""
    yield small_print(
        "two networks on the same images: McNemar's mid-p, interval by Tango, not adjusted; says nothing about seeds"
        + more
    )


def _evaluation_cells(each: EvaluatedSet) -> list[str]:
    published = each.published_top1
    beside = [UNKNOWN] * 2 if published is None else [f"{published:.3f}", f"{each.top1 - published:+.3f}"]
    return [each.eval_set, f"{each.n_examples:,}", f"{each.top1:.3f}", f"{each.top5:.3f}", *beside]


def sizes_table(evaluated: Evaluated) -> RenderableType:
    """Render the accuracy of each recipe by eval set and test size."""
    groups: dict[str, list[list[str]]] = {}
    for point in evaluated.points:
        d = point.summary.description
        decimals = decimals_of(d.mean)
        size = f"{point.test_size}{'' if point.is_own else ' *'}"
        cells = [point.name, size, f"{point.crop:g}", str(d.n), with_interval(d.mean, decimals)]
        groups.setdefault(point.summary.group.label, []).append([*cells, with_interval(d.std, decimals)])
    ci = ci_heading(evaluated.points[0].summary.level)
    heads = ["px", "crop", "n", f"mean [{ci}]", f"std [{ci}]"]
    return Group(
        *grouped_table([""], heads, groups),
        small_print("top-1 in %, last epoch, from the kept weights; *: not the test size of the recipe"),
        *(small_print(line) for line in _about_repeated(evaluated)),
        *notes((point.summary.group.label, point.summary.warnings) for point in evaluated.points),
    )


def _about_repeated(evaluated: Evaluated) -> Iterator[str]:
    """Say whether what the trials had before came out again."""
    same = [name for name, n_different in evaluated.repeated.items() if not n_different]
    if same:
        yield f"{', '.join(same)}: every prediction is the one that the trials had"
    for name, n_different in evaluated.repeated.items():
        if n_different:
            yield f"{name}: {n_different:,} predictions differ from those that the trials had; theirs stay"
    if n := evaluated.without_weights:
        yield f"{n} more trials have no weights"


def pseudo_label_table(answer: PseudoLabelled) -> RenderableType:
    """Render how many images of each class a teacher labelled."""
    rows = [[name, f"{n:,}"] for name, n in answer.by_class.items()]
    kind = "soft" if answer.is_soft else "hard"
    parts: list[RenderableType] = [
        filled_table(("class", "images"), rows),
        small_print(f"{answer.n_labelled:,} {kind} labels of {answer.n_images:,} images in {answer.file}"),
    ]
    if answer.agreement is not None:
        parts.append(small_print(f"{100 * answer.agreement:.2f} % of them are the data set's own labels (not used)"))
    return Group(*parts)
