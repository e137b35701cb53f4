"""``python -m studies.variance_sources --data-dir DIR`` trains the study; without a folder it reads `cells.csv`.

Writes `cells.csv`, `sources.png` and the answer in README.md, from what has been trained so far.
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

HERE = Path(__file__).parent
STUDY, EVAL_SET = "variance_sources", "val"
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
    if options.data_dir is not None:
        for name in FILES:
            ss.run(HERE / f"{name}.toml", results=results, data_dir=options.data_dir, placement={"stack": 8})
    if options.data_dir is not None or options.results is not None:
        trials = ss.load_trials(results / STUDY).select(COLUMNS).sort("eval_set", "vary", *SEED_COLUMNS.values())
        trials.write_csv(HERE / "cells.csv")
    trials = pl.read_csv(HERE / "cells.csv")
    answer = ss.variance(trials, "a3", eval_sets=EVAL_SET)
    (design,) = (each for each in answer.designs if each.total is not None)
    groups = {each.group.vary: each.group for each in ss.summary(trials, "a3", eval_sets=EVAL_SET)}
    (fixed,) = (each for each in answer.subsets if "order" not in each.vary)
    lines = [*_table(design), "", *_rest(design, answer.designs)]
    ratio = "–" if fixed.ratio is None else f"{fixed.ratio.value:.2f} [{fixed.ratio.low:.2f}, {fixed.ratio.high:.2f}]"
    everything = groups[PURPOSES]
    lines += [
        f"Std over all streams: {everything.values.std(ddof=1):.2f} points (n = {everything.n} seeds that share no "
        f"stream); all but the order: {fixed.std.value:.2f} [{fixed.std.low:.2f}, {fixed.std.high:.2f}] "
        f"(n = {fixed.group.n}); ratio, the second to the first: {ratio}.",
    ]
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(MARKS[0])
    readme.write_text(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + rest.partition(MARKS[1])[2])
    _draw(design).savefig(HERE / "sources.png", dpi=120)


def _table(design: DesignVariance) -> list[str]:
    assert design.total is not None
    rows = ["| source | std, points [95 % limits] | share of the variance |", "|---|---|---|"]
    for part in (*design.parts, design.total):
        share = "" if part.share is None else f"{100 * part.share:.0f} %"
        name = " x ".join(part.sources) or "sum"
        rows.append(f"| {name} | {part.std.value:.2f} [{part.std.low:.2f}, {part.std.high:.2f}] | {share} |")
    return rows


def _rest(design: DesignVariance, designs: tuple[DesignVariance, ...]) -> list[str]:
    levels = " x ".join(f"{name} ({n})" for name, n in design.levels.items())
    found = [f"{levels}, {design.n_trials} trainings on {EVAL_SET}; {design.method}.", *design.warnings]
    for repetitions in (each.repetitions for each in designs if each.repetitions is not None):
        std = "all equal" if repetitions.are_equal else f"std {repetitions.std.value:.3f} points"
        found.append(f"{repetitions.n_trials} trainings with the same seed in every stream: {std}.")
    return [line for text in found for line in (text, "")]


def _draw(design: DesignVariance) -> Figure:
    """Draw the std of each part with its limits."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    parts = design.parts[::-1]
    for row, part in enumerate(parts):
        axes.plot([part.std.low, part.std.high], [row, row], color="0.3", lw=1.5)
        axes.plot(part.std.value, row, "o", color="C0", ms=6)
    axes.set_yticks(range(len(parts)), [" x ".join(part.sources) for part in parts])
    axes.set_xlabel(f"std that it adds to the accuracy on {EVAL_SET}, points, 95 % limits")
    axes.set_xlim(0, min(max(part.std.high for part in parts), 6 * max(part.std.value for part in parts)))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
