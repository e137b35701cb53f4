"""`variance` on designs over random streams, with results whose sources are known."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.data.base import Dataset
from seedstudy.decide.components import design_of
from seedstudy.stats.components import balanced_components
from seedstudy.store.store import Store
from seedstudy.study.group import Cells, Group
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result, make_dataset

Cli = Callable[..., tuple[int, str, str]]
Write = Callable[..., Store]

EFFECT = np.random.default_rng(1).normal(0, 0.05, 40)
"""Of each seed of init on the accuracy."""


@pytest.fixture(scope="module")
def wide() -> Dataset:
    return make_dataset(n_val=1000)


@pytest.fixture
def write(tmp_path: Path, wide: Dataset, make_trial: Callable[..., Trial]) -> Write:
    """Return a function that writes trials of the cells given: init decides the accuracy, the rest adds chance."""

    def call(cells: Iterable[Mapping[str, int]], *, replicates: int = 1, name: str = "a2") -> Store:
        store, base = Store(tmp_path / "results", "main"), make_trial(0, name=name)
        trials = [base.at(cell, replicate=number) for cell in cells for number in range(replicates)]
        store.plan(Study(recipes=(name,)), trials)
        for trial in trials:
            seeds = [trial.streams.seed_of(purpose) for purpose in PURPOSES]
            result = drawn_result(wide, 0.7 + EFFECT[seeds[0]], np.random.default_rng([*seeds, int(name[1:])]))
            store.publish(trial, result, wide.eval_sets, "2026-01-01T00:00:00+00:00")
        return store

    return call


def crossed(n_init: int = 6, n_order: int = 5) -> list[dict[str, int]]:
    """Init is crossed with all other streams, which move together."""
    others = [purpose for purpose in PURPOSES if purpose != "init"]
    return [{"init": i, **dict.fromkeys(others, j)} for i, j in itertools.product(range(n_init), range(n_order))]


def plain(seeds: Iterable[int]) -> list[dict[str, int]]:
    return [dict.fromkeys(PURPOSES, seed) for seed in seeds]


def table_of(store: Store, eval_set: str = "val") -> np.ndarray:
    rows = store.scan().trials.filter(eval_set=eval_set, replicate=0).sort("seed_init", "seed_order")
    n_init = rows["seed_init"].n_unique()
    return (100 * rows["n_correct"] / rows["n_examples"]).to_numpy().reshape(n_init, -1)


def test_the_parts_are_those_of_the_stored_counts(write: Write, tmp_path: Path) -> None:
    store = write(crossed())
    answer = ss.variance(results=tmp_path / "results", eval_sets="val")
    (design,) = answer.designs
    assert design.levels == {"init": 6, "order+augment+mix+drop": 5}
    assert (design.n_trials, design.is_complete) == (30, True)
    expected = balanced_components(table_of(store)[..., None])
    for part, known in zip((*design.parts, design.total), (*expected.parts, expected.total), strict=True):
        assert part is not None
        assert part.variance == pytest.approx(known.variance)
        assert (part.std.low, part.std.high) == pytest.approx((known.low**0.5, known.high**0.5))
    init, _, both = design.parts
    assert [part.sources for part in design.parts] == [
        ("init",),
        ("order+augment+mix+drop",),
        ("init", "order+augment+mix+drop"),
    ]
    assert init.is_there
    assert init.share is not None
    assert init.share > 0.7
    assert both.std.low <= 100 * (0.7 * 0.3 / 1000) ** 0.5 * 1.3
    assert sum(part.share or 0 for part in design.parts) == pytest.approx(1.0)
    assert [answer.group.n for answer in answer] == [5]  # what compare counts


def test_plain_seeds_beside_a_design_are_no_part_of_it(write: Write, tmp_path: Path) -> None:
    write(crossed())
    (before,) = ss.variance(results=tmp_path / "results", eval_sets="val").designs
    write(plain(range(6, 20)))
    answer = ss.variance(results=tmp_path / "results", eval_sets="val")
    (after,) = answer.designs
    assert after.parts == before.parts
    assert [each.group.n for each in answer] == [19]


def test_missing_combinations_are_fitted(write: Write, tmp_path: Path) -> None:
    cells = crossed()
    whole = ss.variance(results=tmp_path / "results", eval_sets="val") if write(cells) else None
    assert whole is not None
    frame = ss.load_trials(tmp_path / "results" / "main")
    gone = frame["trial_id"].unique(maintain_order=True)[[3, 11, 22]]
    (holes,) = ss.variance(frame.filter(~frame["trial_id"].is_in(gone.implode())), "a2", eval_sets="val").designs
    assert (holes.n_trials, holes.is_complete) == (27, False)
    assert holes.method.startswith("reml")
    assert holes.parts[0].std.value == pytest.approx(whole.designs[0].parts[0].std.value, rel=0.3)


def test_repetitions_are_told_apart_from_combinations(write: Write, tmp_path: Path, cli: Cli) -> None:
    write(crossed(5, 5), replicates=2)
    (design,) = ss.variance(results=tmp_path / "results", eval_sets="val").designs
    assert [part.sources for part in design.parts][-1] == ()
    assert design.repetitions is not None
    assert (design.repetitions.n_trials, design.repetitions.n_sets, design.repetitions.are_equal) == (50, 25, True)
    code, out, err = cli("variance", "--eval", "val")
    assert code == 0, err
    assert "50 trainings in 25 sets with the same seed in every stream: all equal" in " ".join(out.split())


def test_repetitions_of_one_trial(write: Write, tmp_path: Path, cli: Cli) -> None:
    write(plain([0]), replicates=4)
    answer = ss.variance(results=tmp_path / "results", eval_sets="val")
    (design,) = answer.designs
    assert (design.parts, design.total) == ((), None)
    assert design.repetitions is not None
    assert design.repetitions.n_trials == 4
    assert "a spread needs two or more" in answer.without_images
    code, out, err = cli("variance", "--eval", "val", "--json")
    assert code == 0, err
    assert json.loads(out)["designs"][0]["repetitions"]["are_equal"]


def test_few_levels_and_negative_estimates_are_said() -> None:
    """Rows of equal means: the estimate of their source is below 0 by a third of the combination's."""
    init, order = (axis.ravel() for axis in np.indices((3, 3)))
    values = np.array([1.0, 2.0, 4.0, 2.0, 4.0, 1.0, 4.0, 1.0, 2.0])
    cells = Cells(seeds={"init": init, "order": order}, replicates=np.zeros(9, dtype=np.int64), values=values)
    facts: dict[str, Any] = {"label": "a", "recipe": "a", "model": None, "data": None, "eval_set": "val"}
    group = Group(**facts, metric="top1", unit="pp", seeds=None, values=values[[0, 4, 8]], cells=cells)
    design = design_of(group, level=0.95)
    assert design is not None
    few, negative = design.warnings
    assert few.startswith("init (3), order (3): with fewer than 5 seeds their components")
    assert negative == "variances estimated below 0, shown as 0: init -1.2, order -1.2"
    assert [(part.std.value, part.share) for part in design.parts[:2]] == [(0.0, 0.0)] * 2


def test_one_source_at_a_time_has_no_shares(write: Write, tmp_path: Path, cli: Cli) -> None:
    for stream in ("init", "order"):
        write({stream: seed} for seed in range(6))
    write(plain(range(6)))
    answer = ss.variance(results=tmp_path / "results", eval_sets="val")
    assert answer.designs == ()
    assert {each.vary: each.group.n for each in answer.subsets} == {("init",): 6, ("order",): 6}
    alone = next(each for each in answer.subsets if each.vary == ("init",))
    everything = next(each.group for each in answer if each.group.vary == PURPOSES)
    assert alone.ratio is not None
    assert alone.ratio.value == pytest.approx(alone.group.values.std() / everything.values.std())
    code, out, err = cli("variance", "--eval", "val")
    assert code == 0, err
    assert "do not add up" in " ".join(out.split())
    assert "of the variance\n" not in out
    # Their names tell them apart, and are selectors.
    code, out, err = cli("compare", "a2@resnet8_nano (init)", "a2@resnet8_nano (order)", "--eval", "val")
    assert code == 0, err


def test_shared_streams_are_seen(write: Write, tmp_path: Path, cli: Cli) -> None:
    """Two recipes whose accuracy the seed of init decides differ less with the same seeds."""
    write(plain(range(12)))
    write(plain(range(12)), name="a3")
    (same,) = ss.variance("a2", "a3", results=tmp_path / "results", eval_sets="val").shared
    assert (same.n_pairs, same.streams, same.helps) == (12, PURPOSES, True)
    a, b = (ss.summary(name, results=tmp_path / "results", eval_sets="val")[0].group.values for name in ("a2", "a3"))
    assert same.correlation.value == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert same.variance_ratio.value == pytest.approx((a - b).var(ddof=1) / (a.var(ddof=1) + b.var(ddof=1)))
    write(plain(range(20, 32)), name="a1")
    assert ss.variance("a2", "a1", results=tmp_path / "results", eval_sets="val").shared == ()
    code, out, err = cli("variance", "a2", "a3", "--eval", "val")
    assert code == 0, err
    assert "shared streams narrow the difference: r = " in " ".join(out.split())


def test_a_frame_without_predictions_still_has_its_design(write: Write, tmp_path: Path) -> None:
    write(crossed())
    frame = ss.load_trials(tmp_path / "results" / "main")
    answer = ss.variance(frame, "a2", eval_sets="val")
    assert len(answer) == 0
    assert "name the study instead" in answer.without_images
    assert answer.designs[0].parts == ss.variance(results=tmp_path / "results", eval_sets="val").designs[0].parts


def test_a_repetition_is_no_second_seed(write: Write, tmp_path: Path, make_trial: Callable[..., Trial]) -> None:
    write(plain(range(4)), replicates=3)
    (summary,) = ss.summary(results=tmp_path / "results", eval_sets="val")
    assert summary.group.seeds == (0, 1, 2, 3)
    assert replace(make_trial(0), replicate=1).trial_id != make_trial(0).trial_id
