"""``python -m studies.variance_sources --data-dir DIR`` trains the study; without a folder it reads the tables here.

Writes `cells.csv`, `repetitions.csv`, `sources.png` and the answer in README.md, from what has been trained so far.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

import seedstudy as ss
from seedstudy.decide.components import DesignVariance
from seedstudy.store.schema import SEED_COLUMNS
from seedstudy.study.seeds import PURPOSES
from studies.variance_sources.reading import EVAL_SET, HERE, Reading, read

STUDY = "variance_sources"
FILES = ("replicates", "crossed", "together", "without_order")
COLUMNS = (
    *("study", "recipe", "recipe_id", "model", "data", "seed", *SEED_COLUMNS.values(), "replicate", "trial_id"),
    *("status", "eval_set", "metric", "n_correct", "n_examples", "train_s", "device", "vary", "pool_key"),
)
MARKS = "<!-- answer -->\n", "<!-- end of answer -->\n"


def main() -> None:
    """Train, or read what was trained; then write the table, the picture and the answer."""
    parser = argparse.ArgumentParser(prog="python -m studies.variance_sources", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="folder of CIFAR-10; trains what is missing")
    parser.add_argument("--results", type=Path, help="folder of results: read the study from there")
    options = parser.parse_args()
    results = options.results or Path("results")
    stacked = results / "stacked"
    if options.data_dir is not None:
        for name in FILES:
            stack = 1 if name == "replicates" else 8
            ss.run(HERE / f"{name}.toml", results=results, data_dir=options.data_dir, placement={"stack": stack})
        ss.run(HERE / "replicates.toml", results=stacked, data_dir=options.data_dir, placement={"stack": 8})
    if options.data_dir is not None or options.results is not None:
        trials = ss.load_trials(results / STUDY).select(COLUMNS).sort("eval_set", "vary", *SEED_COLUMNS.values())
        trials.write_csv(HERE / "cells.csv")
        if (stacked / STUDY).is_dir():
            repetitions(trials, results / STUDY, stacked / STUDY).write_csv(HERE / "repetitions.csv")
    found = read()
    lines = [*_table(found), "", *_rest(found)]
    fixed = found.fixed
    lines += [
        f"Std over all streams: {found.everything.std(ddof=1):.2f} points (n = {found.everything.size} seeds that "
        f"share no stream); all but the order: {fixed.std.value:.2f} [{fixed.std.low:.2f}, {fixed.std.high:.2f}] "
        f"(n = {fixed.group.n}). Ratio, the first to the second: {found.ratio}: {found.ratio.verdict}.",
    ]
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(MARKS[0])
    readme.write_text(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + rest.partition(MARKS[1])[2])
    _draw(found.design).savefig(HERE / "sources.png", dpi=120)


def repetitions(trials: pl.DataFrame, alone: Path, stacked: Path) -> pl.DataFrame:
    """Return one row per training of seed 0: how many test images it predicts otherwise than the first of all."""
    of_zero = pl.all_horizontal(pl.col(name) == 0 for name in SEED_COLUMNS.values())
    where = of_zero & (pl.col("eval_set") == EVAL_SET) & (pl.col("vary") == ",".join(PURPOSES))
    rows = trials.filter(where).sort("replicate")
    predicted = {
        (how, replicate): ss.load_predictions(folder, trial_id).filter(eval_set=EVAL_SET).sort("example_id")
        for how, folder in (("alone", alone), ("in a stack of 8", stacked))
        for replicate, trial_id in rows.select("replicate", "trial_id").iter_rows()
    }
    first = next(iter(predicted.values()))["predicted"]
    is_right = pl.col("labels").list.contains(pl.col("predicted"))
    return pl.DataFrame(
        [
            (how, replicate, each.filter(is_right).height, int((each["predicted"] != first).sum()), each.height)
            for (how, replicate), each in predicted.items()
        ],
        schema=("trained", "replicate", "n_correct", "predicted_otherwise", "images"),
        orient="row",
    )


def _table(found: Reading) -> list[str]:
    design = found.design
    assert design.total is not None
    rows = [
        "| source | std, points [95 % limits] | share of the variance | std if it alone moved |",
        "|---|---|---|---|",
    ]
    for part in (*design.parts, design.total):
        share = "" if part.share is None else f"{100 * part.share:.0f} %"
        name = " x ".join(part.sources) or "sum"
        alone = f"{found.alone(name):.2f}" if name in design.levels else ""
        rows.append(f"| {name} | {part.std.value:.2f} [{part.std.low:.2f}, {part.std.high:.2f}] | {share} | {alone} |")
    return rows


def _rest(found: Reading) -> list[str]:
    design = found.design
    levels = " x ".join(f"{name} ({n})" for name, n in design.levels.items())
    lines = [f"{levels}, {design.n_trials} trainings on {EVAL_SET}; {design.method}."]
    lines += [f"{warning[0].upper()}{warning[1:]}." for warning in design.warnings]
    for (how,), part in found.repetitions.group_by("trained", maintain_order=True):
        counts = ", ".join(f"{n:,}" for n in part["predicted_otherwise"])
        accuracies = ", ".join(f"{x:.2f}" for x in (100 * part["n_correct"] / part["images"]).unique())
        lines.append(
            f"Seed 0 in every stream, {part.height} trainings {how}: {accuracies} % right. Test images that each "
            f"predicts differently from the first training alone, of {part['images'][0]:,}: {counts}."
        )
    return [line for text in lines for line in (text, "")]


def _draw(design: DesignVariance) -> Figure:
    """Draw the std of each part with its limits."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    parts = design.parts[::-1]
    for row, part in enumerate(parts):
        axes.plot([part.std.low, part.std.high], [row, row], color="0.3", lw=1.5)
        axes.plot(part.std.value, row, "o", color="C0", ms=6, clip_on=False, zorder=3)
    axes.set_yticks(range(len(parts)), [" x ".join(part.sources) for part in parts])
    axes.set_xlabel(f"std that it adds, points on {EVAL_SET} (95 % limits)")
    axes.set_xlim(0, min(max(part.std.high for part in parts), 6 * max(part.std.value for part in parts)))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
