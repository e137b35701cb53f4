"""The pictures of the first pages, from frames in `studies/` and a table: ``python -m docs.site.pictures``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "img"
DOT, MARK, TEXT = "#0072B2", "#D55E00", "#222222"  # Okabe and Ito: told apart by the colour-blind
SHAPES = {
    "normal": "#0072B2",
    "skewed": "#56B4E9",
    "outliers": "#009E73",
    "failing": "#999999",
    "failing B": "#E69F00",
    "opposite skews": "#D55E00",
}
"""Shape of the distribution over seeds, as docs/calibration.md names it -> its colour."""
STYLE = {"svg.hashsalt": "seedstudy", "svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif"}


def mlperf() -> Figure:
    """Draw MLPerf's trainings of ResNet-50 on ImageNet at batch size 3264, a dot each, from their histogram."""
    with (ROOT / "studies/mlperf_resnet50/histogram.csv").open(encoding="utf-8") as file:
        rows = [(float(row["from"]), float(row["to"]), int(row["runs"])) for row in csv.DictReader(file)]
    n = sum(runs for *_, runs in rows)
    figure, axes = _canvas(f"{n} trainings of ResNet-50 on ImageNet, one batch size (MLPerf)")
    for low, high, runs in rows:
        _stack(axes, (low + high) / 2, range(runs))
    top = max(runs for *_, runs in rows)
    _bracket(axes, 75.94, 76.14, 1.1 * top, "0.2 points: 13 % of pairs of these trainings differ by more")
    axes.set_xlim(75.78, 76.42)
    axes.set_ylim(-0.5, 1.3 * top)
    axes.set_xlabel("top-1 on val, %; each dot is one training")
    return figure


def a2() -> Figure:
    """Draw 100 seeds of A2 on the embedded images, a dot each, seed 0 and the best one marked."""
    with (ROOT / "studies/a2_100_seeds/trials.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["eval_set"] == "val"]
    accuracy = {int(row["seed"]): 100 * int(row["n_correct"]) / int(row["n_examples"]) for row in rows}
    width = 0.1
    bins: dict[int, list[int]] = {}
    for seed in sorted(accuracy, key=lambda seed: accuracy[seed]):
        bins.setdefault(round(accuracy[seed] / width), []).append(seed)
    best = max(accuracy, key=lambda seed: accuracy[seed])
    figure, axes = _canvas("One recipe, one network, one data set: 100 seeds of A2")
    for place, seeds in bins.items():
        _stack(axes, place * width, seeds, marked={0, best})
    top = max(map(len, bins.values()))
    for seed, word, height in ((0, "seed 0", len(bins[round(accuracy[0] / width)])), (best, "the best seed", 1)):
        axes.annotate(
            f"{word}\n{accuracy[seed]:.2f}",
            (round(accuracy[seed] / width) * width, height - 0.4),
            xytext=(0, 18),
            textcoords="offset points",
            ha="center",
            color=MARK,
            arrowprops={"arrowstyle": "-", "color": MARK},
        )
    axes.set_xlim(min(bins) * width - 0.2, max(bins) * width + 0.3)
    axes.set_ylim(-0.5, 1.35 * top)
    axes.set_xlabel("top-1 on val, %; each dot is one training (shapes, resnet8_patch)")
    return figure


def error_rates() -> Figure:
    """Draw how often equal recipes end in a claim, from the table of docs/calibration.md."""
    text = (ROOT / "docs/calibration.md").read_text(encoding="utf-8")
    table = text.split("<!-- sizes -->")[1].split("<!-- end of sizes -->")[0]
    rates: dict[str, dict[int, float]] = {}
    for line in table.strip().splitlines()[2:]:
        shape, sizes, welch, *_ = (cell.strip(" *") for cell in line.strip("|").split("|"))
        n_a, n_b = (int(n) for n in sizes.split("/"))
        if n_a == n_b:
            rates.setdefault(shape, {})[n_a] = float(welch)
    figure, axes = _canvas("Equal recipes: how often does a comparison claim a difference?")
    axes.axhline(5, color=TEXT, linewidth=1, linestyle="--", label="promised: at most 5")
    for (shape, colour), marker in zip(SHAPES.items(), "os^vDP", strict=True):
        n, rate = zip(*sorted(rates[shape].items()), strict=True)
        axes.plot(n, [100 * each for each in rate], color=colour, marker=marker, label=shape)
    axes.set_xscale("log")
    axes.set_xticks([2, 3, 5, 10, 30], ["2", "3", "5", "10", "30"])
    axes.minorticks_off()
    axes.set_yticks([0, 5, 10])
    axes.set_ylim(0, 12.5)
    axes.set_xlabel("seeds per recipe")
    axes.set_ylabel("of 100 comparisons")
    figure.legend(loc="outside right", frameon=False, title="seeds drawn from")
    return figure


def _canvas(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")  # words stay readable on a phone
    axes = figure.subplots()
    figure.suptitle(title, x=0.01, ha="left", color=TEXT, fontweight="bold", fontsize=12)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_yticks([])
    return figure, axes


def _stack(axes: Axes, x: float, seeds: Sequence[int], marked: set[int] | None = None) -> None:
    """Draw the trainings of one bin above each other; the marked ones on top."""
    marked = marked or set()
    ordered = sorted(seeds, key=lambda seed: seed in marked)
    colours = [MARK if seed in marked else DOT for seed in ordered]
    axes.scatter([x] * len(ordered), range(len(ordered)), s=26, c=colours, linewidths=0)


def _bracket(axes: Axes, low: float, high: float, y: float, text: str) -> None:
    axes.annotate("", (low, y), (high, y), arrowprops={"arrowstyle": "<->", "color": MARK, "linewidth": 1.6})
    axes.text((low + high) / 2, y * 1.03, text, ha="center", va="bottom", color=MARK)


def save(figure: Figure, name: str) -> None:
    """Write a picture; the same figure gives the same file."""
    figure.savefig(IMAGES / name, metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    with mpl.rc_context(STYLE):
        save(mlperf(), "mlperf.svg")
        save(a2(), "a2_100_seeds.svg")
        save(error_rates(), "error_rates.svg")
