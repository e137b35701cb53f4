from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import seedstudy as ss
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]

RSB = "recipe,model,seed,eval_set,top1\n" + "".join(
    f"{recipe},resnet50,{seed},{eval_set},{value}\n"
    for recipe, start in (("a3", 78.052), ("a2", 79.828))
    for eval_set, offset in (("val", 0.0), ("v2", -12.0))
    for seed in range(3)
    for value in [round(start + offset + (0.02 * seed if eval_set == "val" else 0.01 * round(100 * seed * 0.3)), 3)]
)
IMAGENET = ["-d", "imagenet"]


def table(top1: str = RSB) -> str:
    # V2 has 10,000 images: two decimals.
    lines = [line if ",v2," not in line else line[:-1] for line in top1.splitlines()]
    return "\n".join(lines) + "\n"


def test_imported_trials_are_selected_like_trained_ones(cli: Cli, tmp_path: Path) -> None:
    Path("rsb.csv").write_text(table())
    code, out, err = cli("import", "rsb.csv", *IMAGENET)
    assert code == 0, err
    assert "6 trials imported into study main" in err
    assert "a2@resnet50" in out
    trials = ss.load_trials("results/main")
    row = trials.filter((trials["recipe"] == "a2") & (trials["seed"] == 0) & (trials["eval_set"] == "val")).row(
        0, named=True
    )
    assert (row["n_correct"], row["n_examples"], row["status"]) == (39_914, 50_000, "ok")
    code, out, _ = cli("compare", "a3", "a2", "--margin", "0.1", "--json")
    entries = json.loads(out)["comparisons"]
    assert [(entry["eval_set"], entry["verdict"]) for entry in entries] == [("val", "better"), ("v2", "better")]
    assert entries[0]["difference"] == pytest.approx(1.776)
    assert cli("summary", "main:a2@resnet50")[0] == 0


def test_the_same_file_twice_is_there_once_and_other_numbers_are_refused(cli: Cli) -> None:
    Path("rsb.csv").write_text(table())
    assert cli("import", "rsb.csv", *IMAGENET)[0] == 0
    code, _, err = cli("import", "rsb.csv", *IMAGENET)
    assert (code, "imported before" in err) == (0, True)
    Path("rsb.csv").write_text(table().replace("79.828", "79.83"))
    code, _, err = cli("import", "rsb.csv", *IMAGENET)
    assert code == 2
    assert "a2@resnet50, seed 0, val was imported before with another result" in err.replace("a3", "a2")
    assert len(list(Path("results/main/imported").glob("*.parquet"))) == 1


def test_a_folder_of_timm_logs_becomes_a_study(cli: Cli) -> None:
    for seed, top1 in ((3, 79.82), (5, 79.71)):
        folder = Path(f"out/a2/{seed}")
        folder.mkdir(parents=True)
        (folder / "summary.csv").write_text(f"epoch,train_loss,eval_loss,eval_top1\n0,1,1,80.0\n1,1,1,{top1}\n")
        (folder / "args.yaml").write_text(f"model: resnet50\nseed: {seed}\n")
    code, _, err = cli("import", "out/a2/", *IMAGENET)
    assert code == 0, err
    trials = ss.load_trials("results/main")
    assert trials.select("recipe", "model", "seed", "n_correct").rows() == [
        ("a2", "resnet50", 3, 39_910),
        ("a2", "resnet50", 5, 39_855),
    ]


def test_rounded_values_are_told(cli: Cli) -> None:
    Path("a2.txt").write_text("79.8\n79.7\n")
    code, _, err = cli("import", "a2.txt", "-m", "resnet50", *IMAGENET)
    assert code == 0, err
    assert "leave the number of correct images open by ±25 of 50,000" in err
    assert ss.load_trials("results/main")["seed"].to_list() == [None, None]
    assert cli("summary", "a2", "--json")[0] == 0


def test_counts_are_taken_as_they_are(cli: Cli) -> None:
    Path("c.csv").write_text("recipe,model,data,seed,n_correct,n_examples\nx,net,mine,0,7,9\nx,net,mine,1,8,9\n")
    assert cli("import", "c.csv")[0] == 0
    trials = ss.load_trials("results/main")
    assert trials.select("n_correct", "n_examples").rows() == [(7, 9), (8, 9)]
    # 79.5 % by count, not by rounding.
    Path("c.csv").write_text("recipe,model,data,seed,n_correct,n_examples\ny,net,mine,0,39750,50000\n")
    code, _, err = cli("import", "c.csv")
    assert (code, "rounded" in err) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["t.csv"], "t.csv: does not say which model; give --model"),
        (["t.csv", "-m", "net"], "t.csv: does not say which data; give --data"),
        (["t.csv", "-m", "net", "-d", "mine"], "how many images has val of mine?"),
        (["t.csv", "-m", "net", "-d", "mine", "--n-examples", "x"], '--n-examples "x": expected a number of images'),
        (["t.csv", "-m", "net", "-d", "mine", "--n-examples", "7"], "is not a whole number of 7 images"),
        (["t.csv", "-m", "../net", "-d", "mine", "--n-examples", "1000"], 'model "../net": use letters'),
        (["t.csv", "-r", "a b", "-m", "n", "-d", "m", "--n-examples", "1000"], 'recipe "a b": use letters'),
        (["t.csv", "t.csv", "-m", "n", "-d", "m", "--n-examples", "1000"], "is in two of the files"),
        (["l.csv", "--metric", "loss", "-m", "n", "-d", "m"], '"loss" is not an accuracy'),
        (["nowhere"], "nowhere: cannot be read (no such file)"),
        (["folder"], "a folder is written with a slash"),
    ],
    ids=range(11),
)
def test_wrong_imports_are_one_line_and_leave_nothing(arguments: list[str], expected: str, cli: Cli) -> None:
    Path("t.csv").write_text("seed,top1\n0,79.6\n1,79.7\n")
    Path("l.csv").write_text("seed,loss\n0,0.9\n")
    Path("folder").mkdir()
    code, out, err = cli("import", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert expected in err
    assert not Path("results").exists()


def test_a_damaged_import_is_named_and_the_rest_is_read(cli: Cli, make_store: Callable[..., Store]) -> None:
    make_store(n_seeds=2)
    Path("rsb.csv").write_text(table())
    assert cli("import", "rsb.csv", *IMAGENET)[0] == 0
    (file,) = Path("results/main/imported").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-9] + b"123456789")
    code, out, err = cli("summary")
    assert code == 2
    assert "damaged (its content is not what was imported)" in err
    assert "a2@resnet8_nano" in out
