"""A saved frame of trials is read back as the study it came from, in every format, alone or by a pattern."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.read.saved import _DESCRIBING
from seedstudy.store.store import Store

WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "parquet": pl.DataFrame.write_parquet,
    "csv": pl.DataFrame.write_csv,
    "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
}


@pytest.fixture
def trials(make_store: Callable[..., Store]) -> pl.DataFrame:
    return ss.load_trials(make_store(n_seeds=4).root)


@pytest.mark.train  # Arrow reads Parquet
@pytest.mark.parametrize("kind", WRITERS)
def test_a_saved_frame_is_the_study(kind: str, trials: pl.DataFrame, tmp_path: Path) -> None:
    WRITERS[kind](trials, tmp_path / f"trials.{kind}")
    saved = ss.compare(f"{tmp_path}/trials.{kind}:a3", f"{tmp_path}/trials.{kind}:a2")
    assert saved.to_frame().equals(ss.compare(trials, "a3", "a2").to_frame())


def test_columns_that_describe_may_be_missing(trials: pl.DataFrame, tmp_path: Path) -> None:
    trials.drop("reason", *_DESCRIBING).write_csv(tmp_path / "trials.csv")
    saved = ss.summary(f"{tmp_path}/trials.csv").to_frame()
    trials.write_csv(tmp_path / "trials.csv")
    assert saved.equals(ss.summary(f"{tmp_path}/trials.csv").to_frame())


@pytest.mark.train
@pytest.mark.parametrize("kind", WRITERS)
def test_parts_of_a_frame_by_a_pattern(kind: str, trials: pl.DataFrame, tmp_path: Path) -> None:
    for name in ("a2", "a3"):
        WRITERS[kind](trials.filter(pl.col("recipe") == name), tmp_path / f"part_{name}.{kind}")
    whole = ss.compare(trials, "a3", "a2").to_frame()
    assert ss.compare(f"{tmp_path}/part_*.{kind}:a3", f"{tmp_path}/part_*.{kind}:a2").to_frame().equals(whole)
    # The same file twice, under two names, counts once.
    WRITERS[kind](trials.filter(pl.col("recipe") == "a2"), tmp_path / f"part_again.{kind}")
    assert ss.compare(f"{tmp_path}/part_*.{kind}:a3", f"{tmp_path}/part_*.{kind}:a2").to_frame().equals(whole)


@pytest.mark.train
def test_a_pattern_of_parquet_files_of_others(tmp_path: Path) -> None:
    for seed in range(3):
        pl.DataFrame({"seed": [seed], "top1": [79.0 + seed / 10]}).write_parquet(tmp_path / f"run{seed}.parquet")
    (row,) = ss.summary(f"{tmp_path}/run*.parquet").to_frame().to_dicts()
    assert row["n"] == 3


def test_trials_beside_another_table_are_refused(trials: pl.DataFrame, tmp_path: Path) -> None:
    trials.write_csv(tmp_path / "part1.csv")
    (tmp_path / "part2.csv").write_text("seed,top1\n0,79.1\n1,79.3\n")
    with pytest.raises(StudyError, match=r"part2\.csv is not a table of trials"):
        ss.summary(f"{tmp_path}/part*.csv")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("n_correct", "many", "conversion from `str` to `i64` failed"),
        ("n_correct", "999999", "n_correct lies outside"),
        ("status", "perhaps", 'unknown status "perhaps"'),
        ("started_at", "yesterday", "started_at"),
    ],
)
def test_a_wrong_cell_is_one_line(column: str, value: str, words: str, trials: pl.DataFrame, tmp_path: Path) -> None:
    wrong = trials.with_columns(pl.lit(value).alias(column))
    wrong.write_csv(tmp_path / "trials.csv")
    with pytest.raises(SeedstudyError, match=words) as caught:
        ss.summary(f"{tmp_path}/trials.csv")
    assert "\n" not in str(caught.value)
