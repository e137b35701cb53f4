"""Keep a trained study under git: ``python -m studies.frames FOLDER_OF_STUDY…`` writes its trials.csv of counts.

Each FOLDER_OF_STUDY is what `seedstudy run` wrote (results/rsb_seeds); several become one table, in the folder
``studies/NAME`` of the first one's name, without what comes behind its last "_" if that is a number.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl

import seedstudy as ss

HERE = Path(__file__).parent
COLUMNS = ("recipe", "model", "data", "seed", "eval_set", "epochs", "n_correct", "n_examples", "train_s")


def main(folders: list[str]) -> None:
    """Write the finished trials; say how many of each status there are."""
    trials = pl.concat([ss.load_trials(folder) for folder in folders], how="diagonal_relaxed")
    print(trials.group_by("study", "status").agg(pl.col("trial_id").n_unique()).sort("study"))
    name = re.sub(r"_\d+$", "", Path(folders[0]).name)
    table = (
        trials.filter(pl.col("status") == "ok").select(COLUMNS).sort("recipe", "model", "epochs", "seed", "eval_set")
    )
    table.with_columns(pl.col("train_s").round(1)).write_csv(HERE / name / "trials.csv")


if __name__ == "__main__":
    main(sys.argv[1:])
