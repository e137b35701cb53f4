"""What the small networks say, by the rule of README.md: `cells.csv`, `cpu.csv`, `memory.csv`.

``python -m studies.resnet_rs_scaling.small FOLDER_OF_STUDY…`` writes cells.csv from results.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from scipy import stats

import seedstudy as ss
from seedstudy.decide.scaling import Scaling
from seedstudy.stats.many import adjust

HERE = Path(__file__).parent
SHORT, LONG = 3, 30
N_SEEDS = 3
FEWEST_CELLS = 22
MARGIN = 1.0
LIMIT = 0.9
"""Of rank correlations."""
UNEQUAL = 1.5
"""Networks whose FLOPs, or parameters, differ by this factor are compared."""
REPLICATES = 2000

Word = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """Points of error per doubling of the cost, by one thing alone, or a difference of two."""

    value: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """The cells of one length of training."""

    epochs: int
    n_cells: int
    slopes: dict[str, Slope]
    """depth, width, size."""
    depth_minus_width: Slope
    residual: float
    """Std of what the three slopes leave of a cell's mean, points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Spearman's rank correlation of cells after short and long training."""

    value: float
    low: float
    high: float
    ceiling: float
    """Of long training with itself, other seeds: the median over splits of the seeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The answers, of the lengths that count."""

    scaling: Scaling
    """Of all cells: laws, strategies and fronts of each length."""
    lengths: dict[int, Length]
    widths_and_depths: dict[int, Word]
    """Verdicts of rule 2: by length."""
    resolution: Slope | None
    """Of rule 3: what is gained per doubling from 24 to 32 px minus that from 16 to 24 px, after long training."""
    agreement: Agreement | None


def read(frame: Path = HERE / "cells.csv") -> Reading | None:
    """Read the frame; None where no length counts."""
    if not frame.exists():
        return None
    table = pl.read_csv(frame).with_columns(error=100.0 - pl.col("top1")).sort("epochs", "model", "size", "seed")
    cells = {
        key: rows["error"].to_numpy()
        for key, rows in table.group_by("epochs", "model", "size", maintain_order=True)
        if len(rows) == N_SEEDS
    }
    counts = {epochs: sum(key[0] == epochs for key in cells) for epochs in sorted({key[0] for key in cells})}
    lengths = {}
    for epochs, n_cells in counts.items():
        if n_cells < FEWEST_CELLS:
            continue
        some = table.filter(pl.col("epochs") == epochs)
        complete = some.filter(pl.len().over("model", "size") == N_SEEDS)
        lengths[int(epochs)] = _length(int(epochs), complete)
    if not lengths:
        return None
    wanted = [epochs for epochs in (SHORT, LONG) if epochs in lengths]
    adjusted = adjust([lengths[epochs].depth_minus_width.p_value for epochs in wanted]) if wanted else ()
    verdicts: dict[int, Word] = {}
    for epochs, p in zip(wanted, adjusted, strict=True):
        sign = 1.0 if epochs == SHORT else -1.0
        is_so = sign * lengths[epochs].depth_minus_width.value > 0
        verdicts[epochs] = "undecided" if p >= 0.05 else "supported" if is_so else "not supported"
    return Reading(
        scaling=ss.scaling(frame, cost="macs", margin=MARGIN),
        lengths=lengths,
        widths_and_depths=verdicts,
        resolution=_resolution(table.filter(pl.col("epochs") == LONG)) if LONG in lengths else None,
        agreement=_agreement(cells) if {SHORT, LONG} <= set(lengths) else None,
    )


def _length(epochs: int, table: pl.DataFrame) -> Length:
    means = table.group_by("model", "size", maintain_order=True).agg(pl.col("error").mean(), pl.col("macs").first())
    macs = {(model, size): macs for model, size, macs in means.select("model", "size", "macs").iter_rows()}
    design = np.array([[1.0, *_doublings(model, size, macs)] for model, size in macs])
    errors = means["error"].to_numpy()
    beta, *_ = np.linalg.lstsq(design, errors)
    df = errors.size - design.shape[1]
    variance = float(np.sum((errors - design @ beta) ** 2)) / df
    covariance = variance * np.linalg.inv(design.T @ design)

    def slope(weights: Sequence[float]) -> Slope:
        of = np.array([0.0, *weights])
        return _t(float(of @ beta), math.sqrt(float(of @ covariance @ of)), df)

    return Length(
        epochs=epochs,
        n_cells=errors.size,
        slopes={what: slope(np.eye(3)[place]) for place, what in enumerate(("depth", "width", "size"))},
        depth_minus_width=slope((1.0, -1.0, 0.0)),
        residual=math.sqrt(variance),
    )


def _doublings(model: str, size: int, macs: dict[tuple[str, int], int]) -> tuple[float, float, float]:
    """Return by how many doublings of the cost depth, width and size exceed the smallest, one after the other."""
    depth, width = (match.group(0) for match in (re.search(what, model) for what in (r"_d\d+", r"_w\d+")) if match)
    narrow, shallow = model.replace(width, "_w050"), model.replace(depth, "_d8").replace(width, "_w050")
    steps = [macs[shallow, 16], macs[narrow, 16], macs[model, 16], macs[model, size]]
    by_depth, by_width, by_size = (math.log2(b / a) for a, b in pairwise(steps))
    return by_depth, by_width, by_size


def _t(value: float, se: float, df: int) -> Slope:
    half = float(stats.t.ppf(0.975, df)) * se
    p = 2.0 * float(stats.t.sf(abs(value) / se, df))
    return Slope(value=value, low=value - half, high=value + half, p_value=p)


def _resolution(table: pl.DataFrame) -> Slope:
    means = table.group_by("model", "size").agg(pl.col("error").mean(), pl.col("macs").first())
    of = {(model, size): (error, macs) for model, size, error, macs in means.iter_rows()}
    changes = []
    for model in sorted({model for model, _ in of}):
        if all((model, size) in of for size in (16, 24, 32)):
            low, high = (_gain(of[model, a], of[model, b]) for a, b in ((16, 24), (24, 32)))
            changes.append(high - low)
    return _t(float(np.mean(changes)), float(stats.sem(changes)), len(changes) - 1)


def _gain(smaller: tuple[float, float], larger: tuple[float, float]) -> float:
    """Return the points of error that go per doubling of the cost."""
    return (smaller[0] - larger[0]) / math.log2(larger[1] / smaller[1])


def _agreement(cells: dict[tuple[object, ...], np.ndarray]) -> Agreement:
    both = [key[1:] for key in cells if key[0] == SHORT and (LONG, *key[1:]) in cells]
    short, long = (np.array([cells[epochs, *key] for key in both]) for epochs in (SHORT, LONG))
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(REPLICATES):
        means = [
            np.take_along_axis(of, rng.integers(N_SEEDS, size=of.shape), axis=1).mean(axis=1) for of in (short, long)
        ]
        draws.append(float(stats.spearmanr(*means).statistic))
    low, high = np.quantile(draws, [0.025, 0.975])
    splits = [
        float(stats.spearmanr(long[:, [one]].mean(axis=1), np.delete(long, one, axis=1).mean(axis=1)).statistic)
        for one in range(N_SEEDS)
    ]
    value = float(stats.spearmanr(short.mean(axis=1), long.mean(axis=1)).statistic)
    return Agreement(value=value, low=float(low), high=float(high), ceiling=float(np.median(splits)))


def agrees(agreement: Agreement) -> Word:
    """Return the verdict of rule 4, on "short training does not predict long training"."""
    return "supported" if agreement.high < LIMIT else "not supported" if agreement.low > LIMIT else "undecided"


def diminishes(resolution: Slope) -> Word:
    """Return the verdict of rule 3, on "larger images bring less and less"."""
    if resolution.p_value >= 0.05:
        return "undecided"
    return "supported" if resolution.value < 0 else "not supported"


def inversions(costs: dict[tuple[str, int], float], rounds: dict[tuple[str, int], list[float]]) -> tuple[int, int]:
    """Return the pairs with `UNEQUAL` costs, and those whose cheaper one measures more in every round."""
    pairs = [
        (a, b) for a, b in permutations(costs, 2) if costs[b] >= UNEQUAL * costs[a] and a in rounds and b in rounds
    ]
    return len(pairs), sum(all(x > y for x, y in zip(rounds[a], rounds[b], strict=True)) for a, b in pairs)


def measured(name: str, column: str, folder: Path = HERE) -> dict[tuple[str, int], list[float]]:
    """Return what each small network measures, by round."""
    table = pl.read_csv(folder / f"{name}.csv").filter(pl.col("model").str.starts_with("resnet_d")).sort("round")
    return {key: rows[column].to_list() for key, rows in table.group_by("model", "size", maintain_order=True)}  # type: ignore[misc]


def sentences(found: Reading) -> dict[str, str]:
    """Return what README.md says with numbers, by part of the rule."""
    n_cells = {epochs: length.n_cells for epochs, length in found.lengths.items()}
    said = {}
    for epochs, length in found.lengths.items():
        slopes = ", ".join(f"{what} {slope}" for what, slope in length.slopes.items())
        said[f"slopes {epochs}"] = (
            f"{epochs} epochs, {n_cells[epochs]} cells: points per doubling of the cost: {slopes}; "
            f"depth - width {length.depth_minus_width}"
        )
        fronts = [cell.front for cell in found.scaling.cells if cell.coordinates["epochs"] == epochs]
        on, off, undecided = (fronts.count(word) for word in ("on", "off", "?"))
        said[f"front {epochs}"] = f"after {epochs} epochs {on} on the front, {off} off, {undecided} open"
    if found.resolution is not None:
        said["resolution"] = f"gain per doubling, 24 to 32 px minus 16 to 24 px: {found.resolution} points, 6 networks"
    if (agreement := found.agreement) is not None:
        said["ranks"] = (
            f"Spearman {agreement.value:.2f} [{agreement.low:.2f}, {agreement.high:.2f}] over {n_cells[SHORT]} cells; "
            f"of long training with itself, other seeds, {agreement.ceiling:.2f}"
        )
    return said


def cost_sentences(folder: Path = HERE) -> dict[str, tuple[Word, str]]:
    """Return the verdicts and numbers of rule 5."""
    macs = {key: values[0] for key, values in measured("memory", "n_macs", folder).items()}
    params = {key: values[0] for key, values in measured("memory", "n_params", folder).items()}
    found: dict[str, tuple[Word, str]] = {}
    for what, costs, unit, values in (
        ("FLOPs", macs, "latency", measured("cpu", "cpu_s", folder)),
        ("parameters", params, "training memory", measured("memory", "added_bytes", folder)),
    ):
        n_pairs, n_inverted = inversions(costs, values)
        both = [key for key in costs if key in values]
        ranks = stats.spearmanr([costs[key] for key in both], [np.median(values[key]) for key in both]).statistic
        n_rounds = len(next(iter(values.values())))
        found[what] = (
            "supported" if n_inverted else "not supported",
            f"{len(both)} networks, {n_rounds} rounds: in {n_inverted} of {n_pairs} pairs whose {what} differ by "
            f"{UNEQUAL:g} times or more, the one with fewer has the larger {unit} in every round; Spearman "
            f"{float(ranks):.2f}",
        )
    return found


def main(folders: list[str]) -> None:
    """Write cells.csv."""
    tables = []
    for folder in folders:
        size = int(Path(folder).name.split("_")[-2])
        trials = ss.load_trials(folder).filter((pl.col("status") == "ok") & (pl.col("eval_set") == "val"))
        tables.append(trials.with_columns(size=pl.lit(size)))
    table = pl.concat(tables, how="diagonal_relaxed")
    networks = table.select("model", "size").unique().sort("model", "size")
    macs = [ss.cost(model, size=size, counts_only=True)[0].size.n_macs for model, size in networks.iter_rows()]
    shape = pl.col("model").str.extract_groups(r"_d(?<depth>\d+)_w(?<width>\d+)_").struct
    top1 = (100.0 * pl.col("n_correct") / pl.col("n_examples")).round(2)
    (
        table.join(networks.with_columns(macs=pl.Series(macs)), on=["model", "size"])
        .with_columns(
            pl.col("train_s").round(1),
            top1=top1,
            depth=shape.field("depth"),
            width=shape.field("width").replace_strict({"050": "0.5", "1": "1", "2": "2"}),
        )
        .select(
            "model", "depth", "width", "size", "epochs", "seed", "n_correct", "n_examples", "top1", "macs", "train_s"
        )
        .sort("epochs", "size", "macs", "model", "seed")
        .write_csv(HERE / "cells.csv")
    )


if __name__ == "__main__":
    main(sys.argv[1:])
