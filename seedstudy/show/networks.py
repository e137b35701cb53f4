"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import UNKNOWN, ci_heading, filled_table, small_print, table, with_interval
from seedstudy.stats.result import decimals_of, format_p

if TYPE_CHECKING:
    from seedstudy.decide.images import ImageReading
    from seedstudy.study.network import Cost, EvaluatedSet


def cost_table(costs: Sequence[Cost], *, repeats: int) -> RenderableType:
    """Render size, and where it was timed speed and memory, one row per network."""
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
    cells = [cost.model, str(cost.image_size), *counts]
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
