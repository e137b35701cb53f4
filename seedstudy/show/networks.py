"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import UNKNOWN, filled_table

if TYPE_CHECKING:
    from seedstudy.train.cost import Cost
    from seedstudy.train.pretrained import EvaluatedSet


def cost_table(costs: Sequence[Cost], *, repeats: int) -> RenderableType:
    """Render one row per network: its size, and where it was timed its speed and memory."""
    first = costs[0]
    heads = ["model", "px", "params M", "GMACs", "act. M"]
    if first.latency_s is None:
        return filled_table(heads, map(_size, costs))
    heads += ["latency ms", f"images/s (batch {first.batch_size})", "training images/s", "peak MiB"]
    return Group(
        filled_table(heads, [_size(cost) + _speed(cost) for cost in costs]),
        Text(f"median of {repeats} passes on {first.device}, {first.precision}; latency is of one image"),
    )


def _size(cost: Cost) -> list[str]:
    size = cost.size
    counts = [f"{size.n_params / 1e6:.2f}", f"{size.n_macs / 1e9:.2f}", f"{size.n_activations / 1e6:.2f}"]
    return [cost.model, str(cost.image_size), *counts]


def _speed(cost: Cost) -> list[str]:
    return [
        _number(None if cost.latency_s is None else 1000 * cost.latency_s, 2),
        _number(cost.infer_images_per_s, 1),
        _number(cost.train_images_per_s, 1),
        _number(None if cost.peak_mem_bytes is None else cost.peak_mem_bytes / 2**20, 0),
    ]


def _number(value: float | None, decimals: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{decimals}f}"


def evaluation_table(evaluations: Sequence[EvaluatedSet]) -> RenderableType:
    """Render top-1 and top-5 per eval set, and beside them the published top-1 where it is known."""
    heads = ("eval set", "n", "top-1", "top-5", "published top-1", "difference")
    return filled_table(heads, map(_evaluation, evaluations))


def _evaluation(each: EvaluatedSet) -> list[str]:
    beside = [UNKNOWN] * 2
    if each.published_top1 is not None:
        beside = [f"{each.published_top1:.3f}", f"{each.top1 - each.published_top1:+.3f}"]
    return [each.eval_set, f"{each.n_examples:,}", f"{each.top1:.3f}", f"{each.top5:.3f}", *beside]
