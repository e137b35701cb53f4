"""Frames of other versions, and of other metrics than top-1."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedstudy as ss
from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError, StudyError
from seedstudy.store import outside
from seedstudy.store.schema import SEED_COLUMNS, TRIALS, completed, validate
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

FRAMES_1 = Path(__file__).parents[1] / "fixtures" / "frames_1"
"""Written by a version whose frames had neither a metric nor a seed per stream."""


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """Return the results folder of a study that an older version imported."""
    shutil.copytree(FRAMES_1 / "imported", tmp_path / "main" / "imported")
    (tmp_path / "main" / "trials").mkdir()
    return tmp_path


def test_what_an_older_version_imported_is_read(imported: Path) -> None:
    found, unusable = outside.read(imported / "main")
    assert unusable == {}
    assert found.schema == pl.Schema(dict(TRIALS))
    assert found["metric"].to_list() == ["top1"] * 8
    assert found.select(*SEED_COLUMNS.values(), "value").null_count().row(0) == (8,) * 6
    assert [(each.group.recipe, each.group.n) for each in ss.summary(results=imported)] == [
        ("a", 3),
        ("b", 3),
        ("c", 2),
    ]


@pytest.mark.parametrize("name", ["runs.csv", "runs2.csv"])
def test_what_an_older_version_imported_is_not_imported_twice(name: str, imported: Path) -> None:
    """runs2.csv has no seeds, so that nothing else would notice."""
    ss.import_files(FRAMES_1 / name, study="main", results=imported)
    assert outside.read(imported / "main")[0].height == 8


@pytest.mark.train  # Arrow reads Parquet
def test_trials_that_an_older_version_saved_are_read() -> None:
    (saved,) = ss.summary(str(FRAMES_1 / "trials.parquet"), eval_sets="val")
    assert (saved.group.recipe, saved.group.n) == ("a2", 2)
    (same,) = ss.summary(pl.read_parquet(FRAMES_1 / "trials.parquet"), "a2", eval_sets="val")
    assert same.description.mean == saved.description.mean


def test_seeds_of_streams_follow_from_what_varied() -> None:
    frame = pl.DataFrame(
        {"seed": [3, 3, 4, 5], "vary": ["init,order,augment,mix,drop", "init,mix", "", None]},
        schema={"seed": pl.Int64, "vary": pl.String},
    )
    found = completed(frame)
    assert found.select(SEED_COLUMNS.values()).rows() == [(3,) * 5, (3, 0, 0, 3, 0), (None,) * 5, (None,) * 5]
    assert found["replicate"].to_list() == [0] * 4


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_trial_needs_counts_or_a_value(value: float | None) -> None:
    row = {**dict.fromkeys(TRIALS), "status": "ok", "metric": "val_loss", "value": value}
    with pytest.raises(StoreError, match="no counts and no value"):
        validate(pl.DataFrame([row], schema=dict(TRIALS)), TRIALS, where="x")
    good = pl.DataFrame([row | {"value": 0.5}], schema=dict(TRIALS))
    assert validate(good, TRIALS, where="x").equals(good)


def values(metric: str, **recipes: list[float]) -> pl.DataFrame:
    """Return trials that hold one metric: recipe -> its values."""
    rows = [
        {
            **dict.fromkeys(TRIALS),
            **{"recipe": recipe, "recipe_id": recipe, "model": "m", "data": "d", "pool_key": "p", "status": "ok"},
            **{"seed": seed, "trial_id": f"{recipe}{seed}", "eval_set": "val", "metric": metric, "value": value},
        }
        for recipe, of_recipe in recipes.items()
        for seed, value in enumerate(of_recipe)
    ]
    return pl.DataFrame(rows, schema=dict(TRIALS))


def test_a_metric_that_is_no_count_is_compared_as_it_is() -> None:
    old, new = [1.31, 1.30, 1.33, 1.32], [1.20, 1.19, 1.22, 1.21]
    (answer,) = ss.compare(values("val_loss", a=old, b=new), "a", "b")
    assert answer.verdict.word == "better"  # lower, as its name says
    assert answer.comparison.difference.value == pytest.approx(-0.11)
    (group,) = ss.summary(values("val_loss", a=old), "a")
    assert (group.group.metric, group.group.unit) == ("val_loss", None)
    np.testing.assert_allclose(group.group.values, old)


def test_one_metric_of_several_is_read(tmp_path: Path) -> None:
    both = pl.concat([values("val_loss", a=[1.0, 1.1]), values("f1", a=[0.5, 0.6])])
    (first,) = ss.summary(both, "a")
    assert first.group.metric == "val_loss"
    (asked,) = ss.summary(both, "a", metric="f1")
    np.testing.assert_allclose(asked.group.values, [0.5, 0.6])
    with pytest.raises(StudyError, match='metric "bleu": these trials hold val_loss, f1'):
        ss.summary(both, "a", metric="bleu")


def test_trials_that_share_streams_are_not_counted_as_seeds(
    tmp_path: Path, data: Dataset, make_trial: Callable[..., Trial]
) -> None:
    """Of 3 x 3 cells that cross two streams, three share none; repetitions of one of them add nothing."""
    store, rng, base = Store(tmp_path, "main"), np.random.default_rng(0), make_trial(0, name="a2")
    cells = [base.at({"init": i, "order": j}) for i in range(3) for j in range(3)]
    trials = [*cells, *(replace(cells[0], replicate=n) for n in (1, 2))]
    store.plan(Study(recipes=("a2",)), trials)
    for trial in trials:
        store.publish(trial, drawn_result(data, 0.7, rng), data.eval_sets, "2026-01-01T00:00:00+00:00")
    frame = store.scan().trials
    assert frame["seed_order"].n_unique() == 3
    assert frame["replicate"].max() == 2
    summary = ss.summary(results=tmp_path, eval_sets="val")
    assert [each.group.seeds for each in summary] == [(0, 1, 2)]
    assert "3 of 11 trials count" in summary[0].group.notes[-1]
