"""Arms as Python gives them: numbers, dicts, names, paths, frames of trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError
from seedstudy.store.store import Store

A, B = [78.0, 78.1, 78.2], [79.6, 79.7, 79.8]


def labels(answer: ss.Comparisons) -> list[tuple[str, str, int, int]]:
    return [(x.a.label, x.b.label, x.comparison.n_a, x.comparison.n_b) for x in answer.answers]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: ss.compare(A, B), [("A", "B", 3, 3)]),
        (lambda: ss.compare(tuple(A), np.array(B)), [("A", "B", 3, 3)]),
        (lambda: ss.compare(baseline=A, cutmix=B), [("baseline", "cutmix", 3, 3)]),
        (lambda: ss.compare({"baseline": A, "cut mix": B}), [("baseline", "cut mix", 3, 3)]),
        (lambda: ss.compare({"z": A, "m": B, "a": A}), [("z", "m", 3, 3), ("z", "a", 3, 3)]),
        (lambda: ss.compare({0: 78.0, 1: 78.1}, {1: 79.0, 0: 79.2}, paired=True), [("A", "B", 2, 2)]),
        (lambda: ss.compare(old="78.1±0.1 n=5", new=B), [("old", "new", 5, 3)]),
    ],
)
def test_arms_come_in_many_ways_and_keep_their_names(ask: Callable[[], Any], expected: list[Any]) -> None:
    assert labels(ask()) == expected


def test_seeds_of_a_dict_are_paired_by_seed() -> None:
    answer = ss.compare({0: 78.0, 1: 79.0, 2: 80.0}, {2: 80.5, 0: 78.4, 1: 79.6}, paired=True)[0]
    assert answer.comparison.difference.value == pytest.approx(0.5)
    assert answer.comparison.correlation is not None
    expected = np.corrcoef([78.0, 79.0, 80.0], [78.4, 79.6, 80.5])[0, 1]
    assert answer.comparison.correlation.value == pytest.approx(expected)


def test_pandas_series_and_arrays_are_lists_of_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    assert labels(ss.compare(pandas.Series(A), pandas.Series(B, index=[7, 8, 9]))) == [("A", "B", 3, 3)]


def test_paths_are_files_and_studies(tmp_path: Path, make_store: Callable[..., Store]) -> None:
    store = make_store(n_seeds=3, a3=0.7, a2=0.8)
    (tmp_path / "old.txt").write_text("78.0\n78.1\n78.2\n")
    assert labels(ss.compare(tmp_path / "old.txt", B)) == [("old", "A", 3, 3)]
    assert [row.group.label for row in ss.summary(store.root)] == 2 * ["a2@resnet8_nano"] + 2 * ["a3@resnet8_nano"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ss.compare(78.0, 79.0), "compare: A is 78.0; expected one number per seed"),
        (lambda: ss.compare(A, None), "compare: B is None; expected one number per seed"),
        (lambda: ss.compare(["a3", "a2"], B), 'compare: A is a list that holds the text "a3"'),
        (lambda: ss.compare([A, A], B), "compare: entry 0 of A is of the type list"),
        (lambda: ss.compare([], B), "compare: A holds no number"),
        (lambda: ss.compare(object(), B), "compare: A is of the type object"),
        (lambda: ss.compare(A, B, new=A), "compare: new=.* is not an option"),
        (lambda: ss.compare(A, B, margn=0.1), 'compare: margn=0.1 is not an option. Did you mean "margin"'),
        (lambda: ss.compare(a=A, b=B, margn=0.1), 'compare: margn=0.1 is not an option. Did you mean "margin"'),
        (lambda: ss.compare({"a": 78.0, "b": 79.0}), "compare: a=78.0 is not an option"),
        (lambda: ss.compare({"a": A}), "compare needs two"),
        (lambda: ss.compare(*[A] * 27), "27 arms without names; give a dict"),
        (lambda: ss.summary([78.0, None]), "1 of 2 values are nan"),
        (lambda: ss.fit(A, B), "fit needs one recipe"),
        (lambda: ss.race(A, B), "race trains recipes"),
    ],
)
def test_what_is_no_arm_is_named(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(SeedstudyError, match=message):
        ask()


def test_a_frame_of_trials_serves_all_arms_and_may_rename_them(make_store: Callable[..., Store]) -> None:
    trials = ss.load_trials(make_store(n_seeds=3, a3=0.7, a2=0.8).root)
    assert [x[:2] for x in labels(ss.compare(trials, "a3", "a2", eval_sets="val"))] == [
        ("a3@resnet8_nano", "a2@resnet8_nano")
    ]
    assert labels(ss.compare(trials, old="a3", new="a2", eval_sets="val")) == [("old", "new", 3, 3)]
    assert labels(ss.compare(trials.lazy(), "a3", "a2", eval_sets=["val"]))[0][2:] == (3, 3)
    parts = [trials.filter(trials["recipe"] == name) for name in ("a3", "a2")]
    assert labels(ss.compare(*parts, eval_sets="val")) == [("A", "B", 3, 3)]
    with pytest.raises(SeedstudyError, match="this frame of trials has no column status"):
        ss.compare(trials.drop("status"), "a3", "a2")


def test_pilots_are_one_arm_or_two() -> None:
    assert ss.power(pilots=A, n=5).spread.n_a == 3
    assert ss.power(pilots=[A, [78.0, 79.0]], n=5).spread.n_b == 2
    assert ss.power([0.1, 0.2], n=5).spread.sd_b == 0.2
    assert ss.power(sd="rsb-val", n=5).spread == ss.power("rsb-val", n=5).spread
