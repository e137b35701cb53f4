"""`import` from the command line: what was trained elsewhere is a study like any other."""

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
    assert "resnet50 on imagenet · 3 seeds each" in out
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


def test_numbers_on_a_part_of_a_known_eval_set_are_said_to_be(cli: Cli) -> None:
    """Half of val, deleted by accident, has an accuracy too."""
    Path("half.csv").write_text("".join(["seed,val\n", *(f"{seed},{79.8 + 0.004 * seed:.3f}\n" for seed in range(4))]))
    for study, n in (("whole", "50000"), ("half", "25000")):
        arguments = ("-r", "a2", "-m", "resnet50", *IMAGENET, "--n-examples", n, "--study", study)
        assert cli("import", "half.csv", *arguments)[0] == 0
    said = "val: 25,000 images, imagenet has 50,000; numbers on all of them do not compare with these"
    assert said in " ".join(cli("summary", "--study", "half")[1].split())
    assert said in " ".join(cli("compare", "whole:a2", "half:a2", "--margin", "0.1")[1].split())
    assert "images, imagenet has" not in cli("summary", "--study", "whole")[1]


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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["t.csv"], "t.csv: does not say which model; give --model"),
        (["t.csv", "-m", "net", "-d", "mine", "--n-examples", "x"], '--n-examples "x": expected a number of images'),
        (["t.csv", "t.csv", "-m", "n", "-d", "m", "--n-examples", "1000"], "is in two of the files"),
        (["l.csv", "--metric", "loss", "-m", "n", "-d", "m"], '"loss" is not an accuracy'),
        (["nowhere"], "nowhere: cannot be read (no such file)"),
    ],
    ids=range(5),
)
def test_wrong_imports_are_one_line_and_leave_nothing(arguments: list[str], expected: str, cli: Cli) -> None:
    Path("t.csv").write_text("seed,top1\n0,79.6\n1,79.7\n")
    Path("l.csv").write_text("seed,loss\n0,0.9\n")
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
    assert "resnet8_nano on tiny · 2 seeds each" in out


def test_names_that_no_folder_could_have_are_stored_with_a_note(cli: Cli) -> None:
    Path("runs.csv").write_text(
        "model_name,Method,seed,top1\nmicrosoft/resnet-50,no aug,0,78.1\nmicrosoft/resnet-50,no aug,1,78.3\n"
        "microsoft/resnet-50,Mixup + CutMix,0,79.1\nmicrosoft/resnet-50,Mixup + CutMix,1,79.4\n"
    )
    advised = cli("import", "runs.csv", "-d", "mine", "--n-examples", "1000")[2]
    assert '"Method=no aug"' in advised
    code, _, err = cli("import", "runs.csv:Method=no aug", "-d", "mine", "--n-examples", "1000")
    assert code == 0, err
    assert 'note: recipe "no aug" is stored as no-aug' in err
    assert 'note: model "microsoft/resnet-50" is stored as microsoft-resnet-50' in err
    by_method = ("--by", "Method", "-m", "net", "-d", "mine", "--n-examples", "1000", "--study", "both")
    code, _, err = cli("import", "runs.csv", *by_method)
    assert code == 0, err
    answer = ss.compare("no-aug", "Mixup-CutMix", study="both")[0]
    assert (answer.comparison.n_a, answer.comparison.n_b, answer.verdict.word) == (2, 2, "better")


def test_names_that_would_be_stored_as_one_are_refused(cli: Cli) -> None:
    Path("runs.csv").write_text("m,seed,top1\na b,0,78.1\na b,1,78.2\na-b,0,78.1\na-b,1,78.2\n")
    code, _, err = cli("import", "runs.csv", "--by", "m", "-m", "net", "-d", "mine", "--n-examples", "1000")
    assert (code, '"a b" and "a-b" would both be stored as a-b' in err) == (2, True)
    Path("runs.csv").write_text("model,seed,top1\nx,0,78.1\nx,1,78.2\ny,2,78.1\ny,3,78.2\n")
    code, _, err = cli("import", "runs.csv", "-m", "net", "-d", "mine", "--n-examples", "1000")
    assert (code, '"x" and "y" would both be stored as net' in err) == (2, True)


def test_import_begins_with_what_was_read(cli: Cli) -> None:
    Path("wide.csv").write_text("seed,old,new\n0,78.1,79.1\n1,78.3,79.2\n")
    options = ("-m", "net", "-d", "mine", "--n-examples", "1000")
    code, out, err = cli("import", "wide.csv", *options)
    assert code == 0, err
    assert out.startswith("wide.csv: 4 runs, metric top1, arms by `columns`, seeds by `seed`\n")
    read = json.loads(cli("import", "wide.csv", *options, "--study", "again", "--json")[1])["read"]
    assert (read["file"], read["n_runs"], read["arms_by"], read["seeds_by"]) == ("wide.csv", 4, ["columns"], "seed")


def test_a_dry_run_shows_roles_and_runs_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    Path("long.csv").write_text(
        "variant,seed,epoch,acc\nA,0,1,50\nA,0,2,70.1\nA,1,1,51\nA,1,2,70.5\nB,0,1,60\nB,0,2,80.1\n"
    )
    code, out, err = cli("import", "--dry-run", "long.csv:variant=A")
    assert code == 0, err
    shown = [" ".join(line.split()) for line in out.splitlines()]
    assert "epoch clock by its name 1, 2" in shown
    assert "A val 2 0: 70.1, 1: 70.5" in shown
    code, out, err = cli("import", "--dry-run", "long.csv")
    assert (code, "variant configuration" in " ".join(out.split())) == (2, True)
    assert 'column "variant" holds A, B' in err
    assert [path.name for path in tmp_path.iterdir()] == ["long.csv"]
