"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import UNKNOWN, filled_table, small_print

if TYPE_CHECKING:
    from seedstudy.study.network import Cost, EvaluatedSet, OnFront


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
    cells = [cost.model, str(cost.image_size), *counts]
    if speed is not None:
        cells += [
            f"{1000 * speed.latency_s:.2f}",
            f"{speed.infer_images_per_s:,.1f}",
            f"{speed.train_images_per_s:,.1f}",
            UNKNOWN if speed.peak_mem_bytes is None else f"{speed.peak_mem_bytes / 2**20:,.0f}",
        ]
    return cells


def evaluation_table(evaluations: Sequence[EvaluatedSet], *, preprocessing: str) -> RenderableType:
    """Render top-1 and top-5 per eval set, and the published top-1 beside them where it is known."""
    heads = ("eval set", "n", "top-1", "top-5", "published top-1", "difference")
    rows = [_evaluation_cells(each) for each in evaluations]
    return Group(filled_table(heads, rows), small_print(f"tested at {preprocessing}"))


def _evaluation_cells(each: EvaluatedSet) -> list[str]:
    published = each.published_top1
    beside = [UNKNOWN] * 2 if published is None else [f"{published:.3f}", f"{each.top1 - published:+.3f}"]
    return [each.eval_set, f"{each.n_examples:,}", f"{each.top1:.3f}", f"{each.top5:.3f}", *beside]
