"""Write what Aim exports: `Run.dataframe()` and `Metric.dataframe()`, saved as CSV. Made with aim 3.29.1, Python 3.11.

The repository itself (RocksDB) is not kept. Eight runs, of which two end in the second epoch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import aim
import pandas as pd
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1


def write(out: Path) -> None:
    """Track the runs, and export each before it is closed."""
    repository = tempfile.mkdtemp()
    runs, points = [], []
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            run = aim.Run(repo=repository, experiment=arm, system_tracking_interval=None)
            run["hparams"] = {"lr": lr, "seed": seed, "optimizer": {"name": "sgd"}}
            for epoch in range(2 if seed == 3 else EPOCHS):
                run.track(top1(arm, seed, epoch), name="acc", epoch=epoch, step=epoch, context={"subset": "val"})
                run.track(loss(arm, seed, epoch), name="loss", epoch=epoch, step=epoch, context={"subset": "train"})
            runs.append(run.dataframe())
            points += [m.dataframe(include_run=True, include_name=True, include_context=True) for m in run.metrics()]
            run.close()
    pd.concat(runs).to_csv(out / "runs.csv", index=False)
    pd.concat(points).to_csv(out / "metrics.csv", index=False)


if __name__ == "__main__":
    keep(write, "aim")
