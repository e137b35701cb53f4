"""Time networks on one thread: ``python -m studies.resnet_rs_scaling.measure small|families latency|memory ROUNDS``.

Adds rows to cpu.csv (latency) or memory.csv in this folder. Each network runs in a process of its own, and each round
goes through all of them, the two families by turns.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import statistics
import sys
import time
from itertools import zip_longest
from pathlib import Path

import polars as pl
import timm
import torch

import seedstudy as ss
from seedstudy import machine
from seedstudy.train.models import check_name

HERE = Path(__file__).parent
PASSES = 5
"""Timed in each round; the median counts."""
SMALL = [
    (f"resnet_d{depth}_{width}_s2", size)
    for size in (16, 24, 32)
    for depth in (8, 14, 20)
    for width in ("w050", "w1", "w2")
    if (width, size) != ("w2", 32)
]
LATENCY = ("model", "size", "round", "cpu_s", "wall_s", "load")
MEMORY = ("model", "size", "batch", "round", "n_params", "n_macs", "added_bytes")
AT_TWO_BATCHES = (("resnetrs350", 256), ("tf_efficientnet_b6", 528))


def main(which: str, what: str, rounds: int) -> None:
    """Measure, and add one row for each pass through a network."""
    torch.set_num_threads(1)
    networks = SMALL if which == "small" else families()
    if what == "memory" and which == "families":
        jobs = [(model, size, batch) for model, size in AT_TWO_BATCHES for batch in (2, 4)]
        jobs += [(model, size, 2) for model, size in networks]
    elif what == "memory":
        jobs = [(model, size, 128) for model, size in networks]
    else:
        jobs = [(model, size, 1) for model, size in networks]
    path, columns = (HERE / "cpu.csv", LATENCY) if what == "latency" else (HERE / "memory.csv", MEMORY)
    fork = multiprocessing.get_context("fork")  # torch is imported once
    for number in range(rounds):
        for job in jobs:
            with fork.Pool(1) as pool:
                row = pool.apply(latency if what == "latency" else memory, (*job, number))
            add(path, columns, row)


def families() -> list[tuple[str, int]]:
    """Return the networks of families.csv, the two families by turns."""
    table = pl.read_csv(HERE / "families.csv")
    sides = [
        list(rows.select("model", "size").iter_rows()) for _, rows in table.group_by("family", maintain_order=True)
    ]
    return [each for pair in zip_longest(*sides) for each in pair if each is not None]


def latency(model: str, size: int, batch: int, number: int) -> dict[str, object]:
    """Time forward passes: seconds on the core, and seconds until done."""
    check_name(model)  # names such as resnet_d8_w050_s2 are made known to timm here
    network = timm.create_model(model, pretrained=False).eval().to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    on_core, until_done = [], []
    with torch.inference_mode():
        for _ in range(PASSES + 1):
            started = time.process_time(), time.perf_counter()
            network(images)
            on_core.append(time.process_time() - started[0])
            until_done.append(time.perf_counter() - started[1])
    medians = (statistics.median(seconds[1:]) for seconds in (on_core, until_done))
    return dict(zip(LATENCY, (model, size, number, *medians, os.getloadavg()[0]), strict=True))


def memory(model: str, size: int, batch: int, number: int) -> dict[str, object]:
    """Return the resident memory that training steps of this batch add to a process that has torch."""
    machine.reset_peak_memory()
    before = machine.peak_memory()
    (cost,) = ss.cost(model, size=size, batch=batch, repeats=1)
    assert cost.speed is not None
    assert cost.speed.peak_mem_bytes is not None
    added = cost.speed.peak_mem_bytes - before
    return dict(zip(MEMORY, (model, size, batch, number, cost.size.n_params, cost.size.n_macs, added), strict=True))


def add(path: Path, columns: tuple[str, ...], row: dict[str, object]) -> None:
    """Write a row at the end of a table; the head where the table is new."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
