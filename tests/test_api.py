from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import StatisticsError, StudyError
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

MakeStore = Callable[..., Store]

CONTRACT = {
    "a",
    "b",
    "eval_set",
    "metric",
    "unit",
    "n_a",
    "n_b",
    "mean_a",
    "mean_b",
    "sd_a",
    "sd_b",
    "difference",
    "ci",
    "level",
    "method",
    "statistic",
    "df",
    "p_value",
    "p_adjusted",
    "hedges_g",
    "hedges_g_ci",
    "prob_b_better",
    "prob_b_better_ci",
    "permutation_p",
    "permutation_floor",
    "margin",
    "equivalence_p",
    "single_run_error",
    "more_seeds",
    "verdict",
    "warnings",
}


def test_plain_numbers_give_the_contracts_keys() -> None:
    document = ss.compare([78.0, 78.1, 78.2], [79.6, 79.7, 79.8], margin=0.1).to_dict()
    (entry,) = document["comparisons"]
    assert set(entry) >= CONTRACT
    assert entry["difference"] == pytest.approx(1.6)
    assert entry["verdict"] == "better"
    assert entry["permutation_floor"] == pytest.approx(0.1)
    assert entry["margin"] == 0.1
    json.dumps(document, allow_nan=False)


def test_two_seeds_each_give_an_honest_answer() -> None:
    # Six decimals: rounding, which widens the interval of [78.0, 78.1], is out of the picture.
    entry = ss.compare([78.012345, 78.112345], [79.612345, 79.712345]).to_dict()["comparisons"][0]
    # With df = 2 Student's t has a closed form: variances 0.005, so SE^2 = 0.005, and t(0.975) = 0.95 sqrt(2 / 0.0975).
    half = 0.95 * math.sqrt(2 / 0.0975) * math.sqrt(0.005)
    assert entry["statistic"] == pytest.approx(1.6 / math.sqrt(0.005), rel=1e-11)
    assert entry["df"] == pytest.approx(2.0, rel=1e-11)
    assert entry["ci"] == pytest.approx([1.6 - half, 1.6 + half], rel=1e-11)
    # Two-sided p at df = 2: 1 - t / sqrt(t^2 + 2).
    assert entry["p_value"] == pytest.approx(1 - 1 / math.sqrt(1 + 2 * 0.005 / 1.6**2), rel=1e-9)
    assert entry["permutation_floor"] == pytest.approx(1 / 3)


def test_swapping_the_arms_turns_the_sign_and_the_verdict() -> None:
    a, b = [70.1, 70.2, 70.4], [71.0, 71.3, 71.1]
    forth, back = (ss.compare(*arms)[0].to_dict() for arms in ((a, b), (b, a)))
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert (forth["verdict"], back["verdict"]) == ("better", "worse")


def test_lower_is_better_turns_the_verdict_only() -> None:
    a, b = [3.1, 3.2, 3.15], [2.1, 2.2, 2.15]
    answer = ss.compare(a, b, metric="val_loss", lower_is_better=True)[0].to_dict()
    assert answer["verdict"] == "better"
    assert answer["difference"] == pytest.approx(-1.0)
    assert answer["unit"] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.78, 0.79], "percent or fraction"), ([-1.0, 5.0], "is not an accuracy"), ([101.0, 5.0], "is not an accuracy")],
)
def test_unit_of_plain_accuracies_is_never_guessed(values: list[float], expected: str) -> None:
    with pytest.raises(StatisticsError, match=expected):
        ss.compare(values, values)


def test_fractions_become_points() -> None:
    answer = ss.compare([0.780, 0.781, 0.782], [0.796, 0.797, 0.798], unit="fraction")[0].to_dict()
    assert answer["difference"] == pytest.approx(1.6)
    assert answer["unit"] == "pp"


def test_a_study_is_compared_by_name(make_store: MakeStore) -> None:
    store = make_store(n_seeds=6, a3=0.4, a2=0.9)
    trials = ss.load_trials(store.root)
    answers = ss.compare(trials, "a3", "a2").to_dict()["comparisons"]
    assert [(entry["eval_set"], entry["verdict"]) for entry in answers] == [("val", "better"), ("real", "better")]
    assert answers[0]["a"] == "a3@resnet8_nano"
    accuracies = trials.filter((trials["recipe"] == "a2") & (trials["eval_set"] == "val"))
    assert answers[0]["mean_b"] == pytest.approx(100 * (accuracies["n_correct"] / accuracies["n_examples"]).mean())


def test_summary_gives_the_rsb_table(make_store: MakeStore) -> None:
    rows = ss.summary(ss.load_trials(make_store(n_seeds=5, a2=0.8).root))
    assert [row.group.eval_set for row in rows] == ["val", "real"]
    row = rows[0].to_dict()
    assert row["n"] == 5
    assert row["mean_ci"][0] < row["mean"] < row["mean_ci"][1]
    assert row["std_ci"][0] < row["std"] < row["std_ci"][1]
    assert row["min"] <= row["seed0"] <= row["max"]
    assert row["unit"] == "pp"
    assert rows.to_dict()["groups"] == [each.to_dict() for each in rows]
    frame = rows.to_frame()
    assert frame["eval_set"].to_list() == ["val", "real"]
    assert frame.row(0, named=True) == {
        **{key: value for key, value in row.items() if key not in ("mean_ci", "std_ci", "details", "images")},
        **{f"{name}_{end}": row[f"{name}_ci"][i] for name in ("mean", "std") for i, end in enumerate(("low", "high"))},
    }
    one = ss.summary(ss.load_trials(make_store(n_seeds=1, a3=0.8).root)).to_frame().filter(recipe="a3")
    assert one.select("std", "mean_low", "std_high").row(0) == (None, None, None)


def test_trials_of_other_provenance_do_not_pool(
    make_store: MakeStore, make_trial: Callable[..., Trial], data: ss.Study
) -> None:
    store, other = make_store(n_seeds=3, a3=0.5, a2=0.8), make_trial(7, name="a2")
    store.plan(Study(recipes=("a2",)), [other])
    result = drawn_result(data, 0.8, np.random.default_rng(0), torch="9.9.9")
    store.publish(other, result, data.eval_sets, "2026-01-01T00:00:00+00:00")
    trials = ss.load_trials(store.root)
    assert sorted(row.group.n for row in ss.summary(trials) if row.group.recipe == "a2") == [1, 1, 3, 3]
    # No name tells them apart, so they are numbered; a table has no two rows of one name.
    of_val = {row.group.label: row.group.n for row in ss.summary(trials, "a2") if row.group.eval_set == "val"}
    assert of_val.keys() == {"a2@resnet8_nano (1)", "a2@resnet8_nano (2)"}
    assert sorted(of_val.values()) == [1, 3]
    with pytest.raises(StudyError, match="names trials that do not pool"):
        ss.compare(trials, "a3", "a2")


def test_recipes_of_one_name_and_different_values_are_told_apart(
    make_store: MakeStore, make_trial: Callable[..., Trial], tiny_recipe: ss.Recipe, data: ss.Study
) -> None:
    from dataclasses import replace

    store = make_store(n_seeds=2, a3=0.5, a2=0.8)
    changed = make_trial(0, recipe=replace(tiny_recipe, name="a2", lr=0.5))
    store.plan(Study(recipes=("a2",)), [changed])
    store.publish(
        changed, drawn_result(data, 0.8, np.random.default_rng(0)), data.eval_sets, "2026-01-01T00:00:00+00:00"
    )
    trials = ss.load_trials(store.root)
    with pytest.raises(StudyError, match="names recipes of different values: say which of a2-"):
        ss.compare(trials, "a3", "a2")
    named = changed.recipe.recipe_id
    labels = [row.group.label for row in ss.summary(trials) if row.group.eval_set == "val"]
    assert f"{named}@resnet8_nano" in labels
    assert len(set(labels)) == len(labels) == 3
    assert ss.compare(trials, "a3", named)[0].to_dict()["n_b"] == 1


def test_a_damaged_trial_is_left_out_with_a_note_in_python_too(make_store: MakeStore) -> None:
    store = make_store(n_seeds=3, a2=0.8)
    next(store.root.glob("trials/*/trial.json")).write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*trial\.json: damaged"):
        trials = ss.load_trials(store.root)
    assert trials["trial_id"].n_unique() == 2
    answer = ss.summary(results=store.root.parent, study=store.study)
    assert len(answer.left_out) == 1
    assert answer.to_dict()["left_out"] == list(answer.left_out)


def test_public_names_are_there_and_others_are_not() -> None:
    assert all(hasattr(ss, name) for name in ss.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ss.nothing


def test_machines_are_told_the_doubts_about_every_interval_they_get() -> None:
    nine, three = [78.0, 78.1, 78.2, 78.3, 78.1, 78.0, 78.2, 78.4, 78.1], [79.6, 79.7, 79.9]
    (answer,) = ss.compare(nine, three).answers
    told = answer.to_dict()["warnings"]
    for doubt in ("a 95 % interval cover", "the interval of g", "the interval of P(B better)"):
        assert sum(doubt in text for text in told) >= 1, doubt
    assert len(set(told)) == len(told)


@pytest.mark.train  # Arrow reads Parquet
def test_a_saved_frame_is_a_file_of_trials_and_keeps_the_margin(make_store: MakeStore, tmp_path: Path) -> None:
    Store(tmp_path / "results", "main").plan(Study(recipes=("a2",), margin=2.5), [])
    store = make_store(n_seeds=4)
    path = tmp_path / "trials.parquet"
    ss.load_trials(store.root).write_parquet(path)
    answer = ss.compare(f"{path}:a3", f"{path}:a2")[0]
    assert (answer.comparison.n_a, answer.rule.margin) == (4, 2.5)
