"""What an argument may name: a study's folder, a recipe on several data sets; and what names nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from tests.conftest import drawn_result

Cli = Callable[..., tuple[int, str, str]]
MakeStore = Callable[..., Store]


@pytest.fixture
def several(make_store: MakeStore, make_trial: Any, data: Any) -> Store:
    """Return a study of a3 and a2 on two data sets, a3 on a third one too, and a2 on a second network."""
    store = make_store(n_seeds=4, a3=0.6, a2=0.8)
    rng = np.random.default_rng(0)
    places = [
        ("a3", "resnet8_nano", "x"),
        ("a2", "resnet8_nano", "x"),
        ("a3", "resnet8_nano", "y"),
        ("a2", "big", "tiny"),
    ]
    trials = [
        replace(make_trial(seed, name=name), model=model, data=on) for name, model, on in places for seed in range(3)
    ]
    store.plan(Study(recipes=("a3", "a2")), trials)
    for trial in trials:
        accuracy = 0.6 if trial.recipe.name == "a3" else 0.85
        store.publish(trial, drawn_result(data, accuracy, rng), data.eval_sets, "2026-01-01T00:00:00+00:00")
    return store


def test_recipes_are_judged_within_each_data_set_that_all_have(several: Store, cli: Cli) -> None:
    code, out, err = cli("compare", "a3", "a2@resnet8_nano", "--eval", "val", "--json")
    assert code == 0, err
    entries = json.loads(out)["comparisons"]
    assert [(entry["data"], entry["n_a"], entry["n_b"]) for entry in entries] == [("tiny", 4, 4), ("x", 3, 3)]
    assert any("results on y left out" in text for text in entries[0]["warnings"])
    (answer,) = ss.compare("a3", "a2", model="resnet8_nano", data="x", eval_sets="val").answers
    assert (answer.a.data, answer.comparison.n_a) == ("x", 3)
    assert len(ss.fit("a3", eval_sets="val")) == 3
    with pytest.raises(SeedstudyError, match=r'"a2, tiny" is ambiguous: say which of .* Or pick with -m MODEL'):
        ss.compare("a3", "a2")
    trials = ss.load_trials(several.root)
    with pytest.raises(SeedstudyError, match=r"no data set on which all have results \(a3: y; a2: .*x"):
        ss.compare(trials.filter((trials["recipe"] == "a2") | (trials["data"] == "y")), "a3", "a2")
    with pytest.raises(SeedstudyError, match='no trial of data "z"'):
        ss.summary(data="z")
    with pytest.raises(SeedstudyError, match="has results on several data sets: say which with -d: tiny, x, y"):
        ss.power(pilots=["a3"], n=5)


@pytest.mark.parametrize(
    "command",
    [
        ("summary", "-m", "big"),
        ("compare", "a3", "a2", "-m", "resnet8_nano", "-d", "x"),
        ("fit", "a2", "-d", "x"),
        ("race", "--replay", "a3", "a2", "-m", "resnet8_nano", "-d", "x"),
        ("power", "--pilot", "a2", "-d", "x", "--difference", "5"),
        ("audit", "table.csv", "--reference", "a2", "-d", "x"),
    ],
    ids=lambda command: command[0],
)
def test_every_judging_command_picks_a_model_and_a_data_set(several: Store, cli: Cli, command: tuple[str, ...]) -> None:
    Path("table.csv").write_text("model,val\nr18,69.8\nr34,73.3\n")
    code, out, err = cli(*command, "--json")
    assert code == 0, err
    assert json.loads(out)


@pytest.mark.parametrize(
    "what", ["results/main", "results/main/", "./results/main", "results", "results/main:a2", "main:a2"]
)
def test_a_studys_folder_is_what_run_prints(what: str, make_store: MakeStore, cli: Cli) -> None:
    make_store(n_seeds=3, a3=0.6, a2=0.8)
    code, out, err = cli("summary", what, "--json")
    assert code == 0, err
    groups = json.loads(out)["groups"]
    assert {group["recipe"] for group in groups} == ({"a2"} if what.endswith(":a2") else {"a2", "a3"})
    every = json.loads(cli("summary", "--json")[1])["groups"]
    assert groups == [each for each in every if each["recipe"] == "a2" or not what.endswith(":a2")]


def test_folders_of_studies_are_compared_and_told_apart(write_study: Any, tmp_path: Path, cli: Cli) -> None:
    for place in ("old", "new"):
        write_study(tmp_path / place, "main", n_seeds=3, a2=0.6 if place == "old" else 0.8)
    code, out, err = cli("compare", "old/main:a2", "new/main:a2", "--eval", "val", "--json")
    assert code == 0, err
    (entry,) = json.loads(out)["comparisons"]
    assert (entry["a"], entry["b"], entry["verdict"]) == ("old/a2@resnet8_nano", "new/a2@resnet8_nano", "better")
    write_study(tmp_path / "old", "second", n_seeds=3, a2=0.6)
    code, _, err = cli("summary", "old")
    assert (code, "old holds 2 studies: say which of old/main, old/second" in err) == (2, True)
    code, _, err = cli("compare", "old/main")
    assert (code, "compare needs two" in err) == (2, True)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("wide.ods2:a", '"wide.ods2:a" is neither a file that can be read (.csv, '),
        ("runs.cvs", '"runs.cvs" is neither a file that can be read (.csv, '),
        ("a2", '"a2" is neither a file that can be read'),
        ("study:a2", "there is no results folder results either"),
        ("notes.md", "notes.md: a file of results ends in .csv"),
        ("notes.md:a", "notes.md: a file of results ends in .csv"),
        ("gone.csv", "gone.csv: cannot be read (No such file"),
        ("gone.csv:a", "gone.csv: cannot be read (No such file"),
        ("gone/*.csv", "gone/*.csv: no file matches"),
    ],
)
def test_an_argument_that_names_nothing_is_named(what: str, message: str, cli: Cli) -> None:
    Path("notes.md").write_text("a\n")
    code, _, err = cli("summary", what)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_unknown_study_or_recipe_is_named_with_what_is_there(make_store: MakeStore, cli: Cli) -> None:
    make_store(n_seeds=2, a2=0.8)
    assert (
        '"mian:a2" is neither a file that can be read nor a recipe: results holds no study "mian"'
        in cli("summary", "mian:a2")[2]
    )
    assert 'Did you mean "main"?' in cli("summary", "mian:a2")[2]
    assert 'no "a4" in study "main".' in cli("summary", "a4")[2]
    for nothing in ("", " ", "main:", "results/main:"):  # "main:$RECIPE" where the variable is not set
        code, out, err = cli("summary", nothing)
        assert (code, out) == (2, ""), nothing
        assert f'"{nothing}"' in err
    assert "cannot be read (File name too long)" in cli("summary", "a" * 5000)[2]


def test_misspelt_names_of_files_and_arms_are_guessed_aloud(cli: Cli) -> None:
    Path("runs.csv").write_text("model,seed,val_top1\nours,0,79.3\nours,1,79.5\nbase,0,79.1\nbase,1,79.2\n")
    for arguments, message in (
        (["summary", "run.csv"], 'run.csv: cannot be read (No such file or directory). Did you mean "runs.csv"?'),
        (["compare", "runs.csv:base", "runs.csv:our"], 'runs.csv: holds no "our". Did you mean "ours"?'),
        (["compare", "base", "ours"], 'holds no study "main". Name a file, or train first (seedstudy run).'),
    ):
        Path("results").mkdir(exist_ok=True)
        code, _, err = cli(*arguments)
        assert code == 2
        assert message in err
