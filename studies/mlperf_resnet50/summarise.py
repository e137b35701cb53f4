"""Group summaries of public MLPerf runs: `python studies/mlperf_resnet50/summarise.py RUNS.csv` writes the tables here.

RUNS.csv has one row per evaluation: round, submitter, system, run, seed, global_batch_size, epoch, eval_accuracy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats
from statsmodels.stats.diagnostic import lilliefors

HERE = Path(__file__).parent
RUN = ["round", "submitter", "system", "run", "seed", "global_batch_size"]
REFERENCE, EPOCHS = 3264, 35


def main(path: str) -> None:
    """Write groups.csv, histogram.csv and facts.csv."""
    last = pl.read_csv(path).sort("epoch").group_by(RUN, maintain_order=True).last()
    last = last.filter(pl.col("epoch") == EPOCHS).with_columns(top1=100.0 * pl.col("eval_accuracy"))
    groups = last.group_by("global_batch_size").agg(
        pl.col("top1").len().alias("n"),
        pl.col("top1").mean().round(4).alias("mean"),
        pl.col("top1").std().round(4).alias("std"),
        pl.col("top1").min().round(3).alias("min"),
        pl.col("top1").max().round(3).alias("max"),
    )
    groups.filter(pl.col("n") >= 10).sort("global_batch_size").write_csv(HERE / "groups.csv")
    of_reference = last.filter(pl.col("global_batch_size") == REFERENCE)
    top1 = of_reference["top1"].to_numpy()
    counts, edges = np.histogram(top1, bins=np.arange(75.80, 76.401, 0.04))
    pl.DataFrame({"from": edges[:-1].round(2), "to": edges[1:].round(2), "runs": counts}).write_csv(
        HERE / "histogram.csv"
    )
    by_system = [
        rows["top1"].to_numpy() for _, rows in of_reference.group_by("submitter", "system", maintain_order=True)
    ]
    several = [values for values in by_system if values.size > 1]
    anova = stats.f_oneway(*several)
    pairs = np.abs(top1[:, None] - top1[None])[np.triu_indices(top1.size, 1)]
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        one = rng.choice(top1, top1.size)
        # Pairs of one run with itself are no pairs of runs.
        shares.append((np.abs(one[:, None] - one[None]) > 0.2).sum() / (top1.size * (top1.size - 1)))
    rng = np.random.default_rng(1)
    largest = np.sort(rng.standard_normal((20_000, top1.size)), axis=1)[:, [0, -1]]
    standard = (top1 - top1.mean()) / top1.std(ddof=1)
    within = np.array([np.ptp(values) for values in several])
    facts = {
        "runs": (top1.size, None, None),
        "shapiro_p": (stats.shapiro(top1).pvalue, None, None),
        "lilliefors_p": (lilliefors(top1, pvalmethod="table")[1], None, None),
        "skewness": (stats.skew(top1, bias=False), None, None),
        "max_in_std": (standard.max(), *np.quantile(largest[:, 1], [0.025, 0.975])),
        "min_in_std": (standard.min(), *np.quantile(largest[:, 0], [0.025, 0.975])),
        "systems": (len(several), None, None),
        "systems_anova_p": (anova.pvalue, None, None),
        "systems_share_of_variance": (_share(several), None, None),
        "pairs_that_differ_by_more_than_0.2": ((pairs > 0.2).mean(), *np.quantile(shares, [0.025, 0.975])),
        "runs_below_the_target_of_75.9": ((top1 < 75.9).mean(), None, None),
        "largest_range_within_a_system": (within.max(), None, None),
    }
    rows = [(name, *(None if x is None else round(float(x), 6) for x in values)) for name, values in facts.items()]
    pl.DataFrame(rows, schema=["fact", "value", "low", "high"], orient="row").write_csv(HERE / "facts.csv")


def _share(groups: list[np.ndarray]) -> float:
    """Return the share of the variance between groups: (MSB - MSW) / (MSB + (n0 - 1) MSW), at least 0."""
    sizes = np.array([values.size for values in groups])
    grand = np.concatenate(groups).mean()
    between = sum(values.size * (values.mean() - grand) ** 2 for values in groups) / (len(groups) - 1)
    inside = sum(((values - values.mean()) ** 2).sum() for values in groups) / (sizes.sum() - len(groups))
    n0 = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
    return max(0.0, (between - inside) / (between + (n0 - 1) * inside))


if __name__ == "__main__":
    main(sys.argv[1])
