from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]
MakeStore = Callable[..., Store]

HEAVY = ("torch", "polars", "scipy", "statsmodels", "seaborn", "matplotlib", "datasets", "timm", "numpy", "sklearn")


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["compare", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    script = (
        "import sys\nfrom seedstudy.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY: []")


def test_summary_prints_the_table_and_json(cli: Cli, make_store: MakeStore) -> None:
    make_store(n_seeds=5, a2=0.8)
    code, out, _ = cli("summary", "a2")
    assert code == 0
    assert out.startswith("resnet8_nano on tiny · 5 seeds each · top-1 in %")
    assert "95% interval" in out
    code, out, _ = cli("summary", "--json")
    groups = json.loads(out)["groups"]
    assert [group["eval_set"] for group in groups] == ["val", "real"]
    keys = {
        "recipe",
        "model",
        "data",
        "eval_set",
        "metric",
        "unit",
        "n",
        "mean",
        "mean_ci",
        "std",
        "std_ci",
        "min",
        "max",
    }
    assert set(groups[0]) == keys | {"seed0", "level", "details", "images", "warnings"}


def test_compare_prints_the_verdict_and_gates(cli: Cli, make_store: MakeStore) -> None:
    make_store(n_seeds=6, a3=0.9, a2=0.4)
    code, out, _ = cli("compare", "a3", "a2", "--margin", "1")
    assert code == 0
    assert "worse" in out
    assert cli("compare", "a3", "a2", "--fail-on", "worse")[0] == 3
    assert cli("compare", "a3", "a2", "--fail-on", "inconclusive")[0] == 0
    code, out, _ = cli("compare", "a3@resnet8_nano", "main:a2", "--eval", "real", "--json")
    (entry,) = json.loads(out)["comparisons"]
    assert (entry["eval_set"], entry["verdict"]) == ("real", "worse")


def test_compare_is_equal_byte_for_byte(cli: Cli, make_store: MakeStore) -> None:
    make_store(n_seeds=12, a3=0.7, a2=0.75)
    assert cli("compare", "a3", "a2", "--json") == cli("compare", "a3", "a2", "--json")


def test_compare_reads_files_of_numbers(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("78.0\n78.1\n\n78.2\n")
    (tmp_path / "new.csv").write_text("seed,top1\n0,79.6\n1,79.7\n2,79.8\n")
    code, out, _ = cli("compare", "old.txt", "new.csv", "--json")
    assert code == 0
    assert json.loads(out)["comparisons"][0]["verdict"] == "better"


def test_study_margin_is_used_where_none_is_given(cli: Cli, make_store: MakeStore) -> None:
    from seedstudy.study.study import Study

    make_store(n_seeds=3).plan(Study(recipes=("a2", "a3"), margin=2.5), [])
    assert json.loads(cli("compare", "a3", "a2", "--json")[1])["comparisons"][0]["margin"] == 2.5


def test_status_counts_and_names_failures(cli: Cli, make_store: MakeStore, make_trial: Any) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    trial = make_trial(9, name="a2")
    from seedstudy.study.study import Study

    store.plan(Study(recipes=("a2",)), [trial])
    store.record_failure(trial.trial_id, "RuntimeError: boom", "")
    code, out, _ = cli("status")
    assert code == 0
    assert "RuntimeError: boom" in out
    assert cli("status", "--study", "main")[1] == cli("status", "--study=main")[1] == out
    assert cli("status", "--study")[0] == cli("status", "--study", "--json")[0] == 2
    assert cli("status", "main", "--study", "main")[0] == 2
    document = json.loads(cli("status", "main", "--json")[1])
    assert {key: document["groups"][0][key] for key in ("ok", "failed", "planned")} == {
        "ok": 2,
        "failed": 1,
        "planned": 0,
    }


def test_damaged_trial_is_named_the_others_are_shown_and_exit_is_2(cli: Cli, make_store: MakeStore) -> None:
    store = make_store(n_seeds=3, a2=0.8)
    victim = next(store.root.glob("trials/*/predictions.parquet"))
    victim.write_bytes(b"PAR1")
    code, out, err = cli("summary", "--json")
    assert code == 2
    assert json.loads(out)["groups"][0]["n"] == 2
    assert str(victim.relative_to(store.root.parent.parent)) in err
    assert len(err.splitlines()) == 1


def test_recipes_and_data_commands(cli: Cli) -> None:
    assert "a2" in cli("recipes", "list")[1]
    assert "0.05" in cli("recipes", "show", "a2")[1]
    assert "arXiv" not in cli("recipes", "show", "a2")[1]
    assert "mmpretrain" in cli("recipes", "show", "a2", "--sources")[1]
    assert "scaled to shapes from 300" in cli("recipes", "show", "a2", "--data", "shapes")[1]
    assert "label_smoothing" in cli("recipes", "diff", "a1", "a2")[1]
    assert cli("recipes", "diff", "a2", "a2")[1] == "a2 and a2 have equal values.\n"
    assert "micro_batch" in cli("recipes", "list")[1]
    assert "the number of" in cli("recipes", "show", "rs03", "--sources")[1]
    assert cli("recipes", "diff", "a2")[2].startswith("seedstudy: recipes diff needs two recipes or more")


def test_recipes_side_by_side_are_the_rows_of_table_2(cli: Cli) -> None:
    lines = [line.split() for line in cli("recipes", "diff", "a1", "a2", "a3")[1].splitlines() if line.strip()]
    assert lines[:2] == [["key", "a1", "a2", "a3"], ["train_size", "224", "224", "160"]]
    assert ["updates", "375000", "187500", "62500"] in lines
    # Three values of 20 letters do not fit beside their key in 80 columns: they are below the table.
    assert lines[lines.index(["key", "randaugment"]) + 1] == ["a1", "rand-m7-mstd0.5-inc1"]
    wide = [line.split() for line in cli("recipes", "diff", "a1", "a2", "a3", "--wide")[1].splitlines()]
    assert ["updates", "#", "of", "forward", "pass", "375000", "187500", "62500"] in wide
    document = json.loads(cli("recipes", "diff", "a1", "a2", "a3", "--json")[1])
    assert document["recipes"] == ["a1", "a2", "a3"]
    assert {"key": "epochs", "values": [600, 300, 100]} in document["differences"]


def test_models_are_listed_with_the_sizes_of_each_recipe(cli: Cli) -> None:
    rows = json.loads(cli("recipes", "models", "a2", "a3", "--json")[1])["models"]
    assert len(rows) == 50
    sizes = {(row["recipe"], row["model"]): (row["train_size"], row["test_size"]) for row in rows}
    assert sizes["a3", "efficientnetv2_rw_m"] == (256, 352)
    assert sizes["a2", "efficientnetv2_rw_m"] == (320, 384)
    assert "efficientnetv2_rw_m" in cli("recipes", "models", "a3")[1]


def test_run_refuses_a_recipe_that_lacks_a_value(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("run", "-r", "rs03", "--results", str(tmp_path / "results"))
    assert code == 2
    assert "rs03 cannot be trained as published: no micro_batch" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()
    assert json.loads(cli("recipes", "show", "a2", "--json")[1])["values"]["epochs"] == 300
    assert "shapes" in cli("data", "list")[1]
    assert cli("data", "check", "shapes")[0] == 0
    assert cli("data", "check", "imagenet")[0] == 1, "nothing of it is here"
    assert json.loads(cli("data", "check", "digits", "--json")[1])["data"] == "digits"


WRONG = [
    (["run"], "nothing to train: name a recipe"),
    (["run", "-r", "a22"], 'unknown recipe "a22". Did you mean'),
    (["run", "-r", "a2", "-d", "shape"], 'unknown data set "shape". Did you mean "shapes"?'),
    (["run", "-r", "a2", "--seeds", "-3"], "seeds are not negative"),
    (["run", "-r", "a2", "--seeds", "9-3"], "9-3 runs backwards: write 3-9"),
    (["run", "-r", "a2", "--eval", "vall"], 'unknown eval set "vall". Did you mean "val"?'),
    (["run", "-r", "a2", "--vary", "weights"], 'vary: unknown stream "weights"'),
    (["run", "-r", "a2", "--augment", "gpu"], "augment = 'gpu' is wrong: expected one of"),
    (["run", "-r", "a2", "--epochs", "0"], "epochs = 0: must be at least 1"),
    (["run", "-r", "a2", "--set", "lr"], "expected key=value"),
    (["run", "-r", "a2", "--workers", "many"], "expected a whole number of at least 1, or auto"),
    (["run", "-r", "a2", "--study", "../x"], "use letters, digits"),
    (["run", "nowhere.toml"], "nowhere.toml: cannot read the study file (No such file or directory)"),
    (["run", "-r", "broken.toml"], "broken.toml: not valid TOML"),
    pytest.param(["run", "-r", "a2", "-d", "cifar10", "--data-dir", "nowhere"], "nowhere", marks=pytest.mark.train),
    (["run", "-r", "a2", "--bogus"], "No such option"),
    (["summary"], "results: no such results folder"),
    (["summary", "--level", "2"], "--level 2: must lie between 0.5 and 1"),
    (["status", "nope", "--results", "."], 'no study "nope"'),
    (["compare", "a.txt", "b.txt"], "a.txt: cannot be read (No such file or directory)"),
    (["compare", "a2"], "compare needs two"),
    (["compare", "words.txt", "words.txt"], 'words.txt, line 2: "x" is not a number'),
    (["compare", "empty.txt", "empty.txt"], "empty.txt: holds no number"),
    (["compare", "one.csv", "one.csv", "--metric", "acc"], 'no column "acc"'),
    (["compare", "twice.csv", "twice.csv"], "a seed counts once"),
    (["recipes", "show", "a9"], 'unknown recipe "a9"'),
    (["data", "check", "imagenetty"], 'unknown data set "imagenetty"'),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_input_is_one_line_and_exit_2(arguments: list[str], expected: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("format = [")
    (tmp_path / "words.txt").write_text("1.0\nx\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "one.csv").write_text("seed,top1\n0,79.6\n")
    (tmp_path / "twice.csv").write_text("seed,top1\n0,79.6\n0,79.7\n")
    code, out, err = cli(*arguments)
    assert code == 2, err
    assert expected in err
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["summary", "a4"], 'no "a4" in study "main". Known: a2, a2@resnet8_nano'),
        (["summary", "a2", "--eval", "v2"], 'no trial was evaluated on "v2"'),
        (["compare", "a3", "a2@resnet50"], 'no "a2@resnet50" in study "main"'),
        (["compare", "a3", "a2", "--fail-on", "bad"], '--fail-on "bad" is not a verdict'),
        (["compare", "a3", "a2", "--save", "x.doc"], "name ends in .png, .pdf or .svg"),
        (["compare", "a3", "other:a2"], 'no study "other"'),
        (["summary", "--metric", "loss"], 'metric "loss": these trials hold top1'),
    ],
    ids=str,
)
def test_wrong_selectors_are_one_line(arguments: list[str], expected: str, cli: Cli, make_store: MakeStore) -> None:
    make_store(n_seeds=2)
    code, _, err = cli(*arguments)
    assert (code, len(err.splitlines())) == (2, 1)
    assert expected in err


def test_ambiguous_selector_lists_the_candidates(cli: Cli, make_store: MakeStore, make_trial: Any, data: Any) -> None:
    from dataclasses import replace

    import numpy as np

    from seedstudy.study.study import Study
    from tests.conftest import drawn_result

    store = make_store(n_seeds=2)
    other = replace(make_trial(0, name="a2"), model="resnet20")
    store.plan(Study(recipes=("a2",)), [other])
    store.publish(other, drawn_result(data, 0.5, np.random.default_rng(0)), data.eval_sets, "2026-01-01T00:00:00+00:00")
    code, _, err = cli("compare", "a3", "a2")
    assert code == 2
    assert '"a2" is ambiguous: say which of a2@resnet20, a2@resnet8_nano.' in err


def test_no_command_is_described_by_half_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = cli("--help")
    assert code == 0
    assert "..." not in out.partition("Commands:")[2]
    assert max(map(len, out.splitlines())) <= 80


LONG = "x" * 5000


@pytest.mark.parametrize(
    "command",
    [
        ("summary", f"{LONG}.csv"),
        ("compare", LONG, "b.txt"),
        ("run", f"{LONG}.toml"),
        ("import", f"{LONG}.csv", "-r", "a", "-m", "m", "-d", "d"),
        ("audit", f"{LONG}.csv", "--sd", "0.1"),
        ("status", "--results", LONG),
        ("summary", "--results", LONG),
        ("data", "check", "imagenet", "--data-dir", LONG),
        ("recipes", "show", f"{LONG}.toml"),
    ],
    ids=lambda command: " ".join(command)[:20],
)
def test_a_name_too_long_is_one_line_everywhere(cli: Cli, command: tuple[str, ...]) -> None:
    code, _, err = cli(*command)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
