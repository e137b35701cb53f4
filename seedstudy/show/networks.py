"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from seedstudy.show.format import UNKNOWN, filled_table


def cost_table(rows: Sequence[Mapping[str, Any]], *, batch_size: int) -> RenderableType:
    """Render size, and where it was timed speed and memory, one row per network."""
    heads = ["model", "px", "params M", "GMACs", "act. M"]
    if "latency_s" in rows[0]:
        heads += ["latency ms", f"images/s (batch {batch_size})", "training images/s", "peak MiB"]
    return filled_table(heads, [_cost_cells(row) for row in rows])


def _cost_cells(row: Mapping[str, Any]) -> list[str]:
    counts = [f"{row['n_params'] / 1e6:.2f}", f"{row['n_macs'] / 1e9:.2f}", f"{row['n_activations'] / 1e6:.2f}"]
    cells = [row["model"], str(row["image_size"]), *counts]
    if "latency_s" in row:
        memory = row["peak_mem_bytes"]
        cells += [
            f"{1000 * row['latency_s']:.2f}",
            f"{row['infer_images_per_s']:,.1f}",
            f"{row['train_images_per_s']:,.1f}",
            UNKNOWN if memory is None else f"{memory / 2**20:,.0f}",
        ]
    return cells


def evaluation_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Render top-1 and top-5 per eval set, and the published top-1 beside them where it is known."""
    heads = ("eval set", "n", "top-1", "top-5", "published top-1", "difference")
    return filled_table(heads, [_evaluation_cells(row) for row in rows])


def _evaluation_cells(row: Mapping[str, Any]) -> list[str]:
    published = row["published_top1"]
    beside = [UNKNOWN] * 2 if published is None else [f"{published:.3f}", f"{row['top1'] - published:+.3f}"]
    return [row["eval_set"], f"{row['n_examples']:,}", f"{row['top1']:.3f}", f"{row['top5']:.3f}", *beside]
