"""Do two recipes differ less when both are trained with the same seed in every stream? Read from frames in studies/.

python -m studies.variance_sources.pairs prints the table of docs/variance.md: recipes of one network on one data set,
paired by seed. No rule was declared for it; a correlation has Fisher's interval, from the seeds that both have.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.stats.compare import correlation
from seedstudy.stats.sample import sd_of
from seedstudy.store.schema import SEED_COLUMNS
from seedstudy.study.seeds import PURPOSES

STUDIES = Path(__file__).parents[1]
TOP1 = (100.0 * pl.col("n_correct") / pl.col("n_examples")).alias("top1")


def by_seed(frame: pl.DataFrame, recipe: str) -> dict[int, float]:
    """Return the accuracy of each seed on val."""
    return dict(frame.filter(recipe=recipe, eval_set="val").select("seed", TOP1).iter_rows())


def pairs() -> Iterator[tuple[str, dict[int, float], dict[int, float]]]:
    """Yield the names and the seeds of two recipes."""
    cells = pl.read_csv(STUDIES / "variance_sources/cells.csv").filter(
        pl.all_horizontal(pl.col(name) == pl.col("seed") for name in SEED_COLUMNS.values()),
        vary=",".join(PURPOSES),
        replicate=0,
    )
    a2 = pl.read_csv(STUDIES / "rsb_seeds/trials.csv")
    yield "a2 - a3 (resnet8_nano, 5 epochs)", by_seed(cells, "a3"), by_seed(a2, "a2")
    ladder = pl.read_csv(STUDIES / "resnet_rs_ladder/trials.csv")
    steps = ladder["recipe"].unique().sort().to_list()
    for before, after in pairwise(steps):
        yield f"{after} - {before} (ResNet-RS ladder)", by_seed(ladder, before), by_seed(ladder, after)


def main() -> None:
    """Print one row per pair."""
    for name, first, second in pairs():
        seeds = sorted(first.keys() & second.keys())
        a, b = (np.array([values[seed] for seed in seeds]) for values in (first, second))
        r, (sd_a, sd_b) = correlation(a, b, 0.95), (sd_of(a), sd_of(b))
        weight = 2 * sd_a * sd_b / (sd_a**2 + sd_b**2)
        low, high = 1 - weight * r.high, 1 - weight * r.low
        print(
            f"| {name} | {len(seeds)} | {sd_a:.2f}, {sd_b:.2f} | {r.value:.2f} [{r.low:.2f}, {r.high:.2f}] | "
            f"{1 - weight * r.value:.2f} [{low:.2f}, {high:.2f}] |"
        )


if __name__ == "__main__":
    main()
