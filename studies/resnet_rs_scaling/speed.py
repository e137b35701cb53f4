"""How many times as fast ResNet-RS is at equal accuracy, and its memory, by the rule of README.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

HERE = Path(__file__).parent
PUBLISHED = ("cpu_ms", "gpu_ms", "gpu_train_ms")
"""timm's times in families.csv."""
PAPER = (1.7, 2.7)
BATCH = 32
LARGE, DENSE = "resnetrs350", "tf_efficientnet_b6"

Word = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Resident memory that training adds to a process, bytes, by a straight line through two batch sizes."""

    per_image: float
    at_batch: float
    """At a batch of `BATCH`."""
    n_params: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The answers."""

    n_rounds: int
    networks: tuple[str, ...]
    """EfficientNets whose accuracy lies between two of ResNet-RS."""
    rounds: np.ndarray
    """Their latency, divided by that of ResNet-RS at the same accuracy, shape (n_rounds, n_networks)."""
    ratios: np.ndarray
    """The same of the medians over rounds."""
    published: dict[str, np.ndarray]
    """The same of timm's times."""
    seconds: dict[str, float]
    """CPU seconds of one image, median over rounds, by network."""
    memory: dict[str, Memory]

    @property
    def faster(self) -> Word:
        """Return the verdict on "faster at equal accuracy"."""
        return "supported" if (self.rounds > 1).all() else "not supported" if (self.rounds < 1).all() else "undecided"

    @property
    def as_published(self) -> Word:
        """Return the verdict on the paper's range."""
        return "supported" if PAPER[0] <= float(np.median(self.ratios)) <= PAPER[1] else "not supported"

    @property
    def memory_ratio(self) -> float:
        """Return EfficientNet-B6's memory divided by ResNet-RS-350's."""
        return self.memory[DENSE].at_batch / self.memory[LARGE].at_batch


def read(folder: Path = HERE) -> Reading | None:
    """Read the tables; None before they are measured."""
    if not all((folder / name).exists() for name in ("cpu.csv", "memory.csv")):
        return None
    families = pl.read_csv(folder / "families.csv")
    times = pl.read_csv(folder / "cpu.csv").filter(pl.col("model").is_in(families["model"].implode()))
    by_round = {
        number: dict(rows.select("model", "cpu_s").iter_rows())
        for (number,), rows in times.sort("round").group_by("round", maintain_order=True)
    }
    by_round = {number: of for number, of in by_round.items() if len(of) == len(families)}
    seconds = {model: float(np.median([of[model] for of in by_round.values()])) for model in families["model"]}
    networks, _ = _ratios(families, seconds)
    published = {name: dict(families.select("model", name).iter_rows()) for name in PUBLISHED}
    return Reading(
        n_rounds=len(by_round),
        networks=networks,
        rounds=np.array([_ratios(families, of)[1] for of in by_round.values()]),
        ratios=_ratios(families, seconds)[1],
        published={name: _ratios(families, of)[1] for name, of in published.items()},
        seconds=seconds,
        memory={model: _memory(pl.read_csv(folder / "memory.csv"), model) for model in (LARGE, DENSE)},
    )


def _ratios(families: pl.DataFrame, seconds: dict[str, float]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the EfficientNets between two ResNet-RS, and how many times as long they take."""
    accuracies = {
        family: dict(rows.select("model", "top1").iter_rows()) for (family,), rows in families.group_by("family")
    }
    rs = accuracies["resnet_rs"]
    front = [
        model for model in rs if not any(rs[other] > rs[model] and seconds[other] < seconds[model] for other in rs)
    ]
    front.sort(key=rs.__getitem__)
    low, high = rs[front[0]], rs[front[-1]]
    between = {model: top1 for model, top1 in accuracies["efficientnet"].items() if low <= top1 <= high}
    logs = np.interp(list(between.values()), [rs[each] for each in front], [math.log(seconds[each]) for each in front])
    return tuple(between), np.array([seconds[model] for model in between]) / np.exp(logs)


def _memory(table: pl.DataFrame, model: str) -> Memory:
    rows = table.filter(pl.col("model") == model)
    sizes = rows["size"].unique()
    rows = rows.filter(pl.col("size") == sizes.min())  # ResNet-RS-350 is also measured at the size of families.csv
    of = dict(rows.group_by("batch").agg(pl.col("added_bytes").median()).sort("batch").iter_rows())
    (small, at_small), *_, (large, at_large) = of.items()
    slope = (at_large - at_small) / (large - small)
    return Memory(per_image=slope, at_batch=at_small + slope * (BATCH - small), n_params=int(rows["n_params"][0]))


def table(found: Reading) -> list[str]:
    """Return the rows of README.md's table."""
    return [
        f"| {model.removeprefix('tf_')} | {1000 * found.seconds[model]:.0f} | {found.ratios[place]:.2f} | "
        + " | ".join(f"{found.published[name][place]:.2f}" for name in PUBLISHED)
        + " |"
        for place, model in enumerate(found.networks)
    ]


def sentences(found: Reading) -> tuple[str, str]:
    """Return the two answers with their numbers."""
    low, high = found.rounds.min(), found.rounds.max()
    few, many = found.memory[LARGE], found.memory[DENSE]
    return (
        f"one CPU thread, {len(found.networks)} EfficientNets, {found.n_rounds} rounds: ResNet-RS is "
        f"{found.ratios.min():.2f} to {found.ratios.max():.2f} times as fast at equal accuracy, median "
        f"{np.median(found.ratios):.2f} (single rounds {low:.2f} to {high:.2f})",
        f"one CPU, training, float32: {few.per_image / 1e9:.2f} GB an image for ResNet-RS-350 at 256 px, "
        f"{many.per_image / 1e9:.2f} GB for EfficientNet-B6 at 528 px; at a batch of {BATCH}, by a straight line, "
        f"{few.at_batch / 1e9:.0f} and {many.at_batch / 1e9:.0f} GB: {found.memory_ratio:.1f} times less, with "
        f"{few.n_params / many.n_params:.1f} times the parameters",
    )
