"""Several arms in one file: a column each, a row each, or a column that says which; by command and in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import seedstudy as ss
from seedstudy.document import document
from seedstudy.errors import SeedstudyError

Cli = Callable[..., tuple[int, str, str]]

WIDE = """seed,baseline,cutmix
0,76.24,77.10
1,76.40,77.42
2,76.31,77.25
"""
AUGMENTATIONS = """run;seed;no aug;Mixup + CutMix;RandAugment
1;11;76,24;77,10;76,90
2;12;76,40;77,42;NA
3;13;76,31;;77,05
4;14;76,52;77,25;77,11
"""
WITH_METRIC = """seed\tacc_resnet50\tacc_vit_s\tacc_convnext
0\t79.81\t80.02\t81.95
1\t79.90\t80.31\t82.03
2\t79.75\t80.10\tNaN
"""
PERCENT = """Seed,SGD,AdamW
1,92.1%,93.0%
2,92.4 %,93.3%
3,91.9%,92.8%
"""
UNEVEN = """baseline,ema
78.1,78.9
78.4,79.2
78.0,79.1
78.3,
"""
LOSSES = """seed,small,large
0,0.553,0.412
1,0.561,0.405
2,0.549,0.419
"""

LONG = """method,seed,top1,gpu,hours
baseline,0,76.24,A100,3.1
cutmix,0,77.10,H100,2.2
baseline,1,76.40,A100,3.0
cutmix,1,77.42,A100,3.3
baseline,2,76.31,H100,2.1
cutmix,2,77.25,H100,2.0
"""
LONG_LR = """lr,wd,params.seed,val_acc,host
0.1,1e-4,1,93.11,node3
0.1,1e-4,2,93.40,node1
0.1,1e-4,3,93.25,node3
0.01,1e-4,1,91.02,node2
0.01,1e-4,2,91.30,node2
0.01,1e-4,3,91.11,node7
"""
LONG_GAPS = """Optimizer,Seed,Test Acc,Notes
SGD,1,92.1,
SGD,2,NaN,diverged
SGD,3,92.4,
Adam W,1,93.0,
Adam W,2,93.3,rerun
Adam W,3,,
Adam W,4,92.8,
"""
CURVES = """method,seed,epoch,test_acc
A,0,1,50.1
A,0,2,70.3
A,1,1,51.2
A,1,2,70.1
B,0,1,55.3
B,0,2,80.2
B,1,1,56.4
B,1,2,80.5
"""

ROWS = """method,seed0,seed1,seed2,mean,std
baseline,76.24,76.40,76.31,76.317,0.080
cutmix,77.10,77.42,77.25,77.257,0.160
"""
ROWS_RUNS = """Model;Run 1;Run 2;Run 3;Run 4
ResNet-50;79,81;79,90;79,75;NA
ViT-S/16;80,02;80,31;80,10;80,22
"""
ROWS_BARE = """recipe,0,1,2
a2,79.72,79.81,79.66
a3,78.10,78.02,78.20
"""
ROWS_TWO_METRICS = """method,acc_s1,acc_s2,acc_s3,loss_s1,loss_s2,loss_s3
baseline,76.24,76.40,76.31,0.91,0.92,0.90
cutmix,77.10,77.42,77.25,0.84,0.83,0.85
"""

CASES: list[Any] = [
    ("wide.csv", WIDE, "", {}, [("baseline", "cutmix", 3, 3, 76.3167, 77.2567)], ["columns"], "seed"),
    (
        "augmentations.csv",
        AUGMENTATIONS,
        "",
        {},
        [
            ("no aug", "Mixup + CutMix", 4, 3, 76.3675, 77.2567),
            ("no aug", "RandAugment", 4, 3, 76.3675, 77.02),
        ],
        ["columns"],
        "seed",
    ),
    (
        "metric.tsv",
        WITH_METRIC,
        "",
        {},
        [
            ("resnet50", "vit_s", 3, 3, 79.82, 80.1433),
            ("resnet50", "convnext", 3, 2, 79.82, 81.99),
        ],
        ["columns"],
        "seed",
    ),
    ("percent.csv", PERCENT, "", {}, [("SGD", "AdamW", 3, 3, 92.1333, 93.0333)], ["columns"], "Seed"),
    ("uneven.csv", UNEVEN, "", {}, [("baseline", "ema", 4, 3, 78.2, 79.0667)], ["columns"], None),
    (
        "losses.csv",
        LOSSES,
        "--metric loss",
        {"metric": "loss"},
        [("small", "large", 3, 3, 0.55433, 0.412)],
        ["columns"],
        "seed",
    ),
    (
        "wide.csv:baseline wide.csv:cutmix",
        WIDE,
        "",
        {},
        [("baseline", "cutmix", 3, 3, 76.3167, 77.2567)],
        ["columns"],
        "seed",
    ),
    (
        "metric.tsv:acc_vit_s metric.tsv:convnext",
        WITH_METRIC,
        "",
        {},
        [("vit_s", "convnext", 3, 2, 80.1433, 81.99)],
        ["columns"],
        "seed",
    ),
    (
        "long.csv",
        LONG,
        "--by method",
        {"by": "method"},
        [("baseline", "cutmix", 3, 3, 76.3167, 77.2567)],
        ["method"],
        "seed",
    ),
    (
        "lr.csv",
        LONG_LR,
        "--by lr",
        {"by": ["lr"]},
        [("lr=0.1", "lr=0.01", 3, 3, 93.2533, 91.1433)],
        ["lr"],
        "params.seed",
    ),
    (
        "gaps.csv",
        LONG_GAPS,
        "--by Optimizer",
        {"by": "Optimizer"},
        [("SGD", "Adam W", 2, 3, 92.25, 93.0333)],
        ["Optimizer"],
        "Seed",
    ),
    (
        "curves.csv",
        CURVES,
        "--by method",
        {"by": "method"},
        [("A", "B", 2, 2, 70.2, 80.35)],
        ["method"],
        "seed",
    ),
    (
        "long.csv:cutmix long.csv:base*",
        LONG,
        "",
        {},
        [("cutmix", "base*", 3, 3, 77.2567, 76.3167)],
        ["method"],
        "seed",
    ),
    ("rows.csv", ROWS, "", {}, [("baseline", "cutmix", 3, 3, 76.3167, 77.2567)], ["method"], "columns"),
    (
        "runs.csv",
        ROWS_RUNS,
        "",
        {},
        [("ResNet-50", "ViT-S/16", 3, 4, 79.82, 80.1625)],
        ["Model"],
        "columns",
    ),
    ("bare.csv", ROWS_BARE, "", {}, [("a2", "a3", 3, 3, 79.73, 78.1067)], ["recipe"], "columns"),
    (
        "rows.csv",
        ROWS,
        "--by method",
        {"by": "method"},
        [("baseline", "cutmix", 3, 3, 76.3167, 77.2567)],
        ["method"],
        "columns",
    ),
    (
        "two.csv",
        ROWS_TWO_METRICS,
        "--metric loss",
        {"metric": "loss"},
        [("baseline", "cutmix", 3, 3, 0.91, 0.84)],
        ["method"],
        "columns",
    ),
]

SMALL: list[Any] = [
    # Columns that are no arms: machines, times, settings, the number of a fold.
    ("seed,gpu,adamw,sgd,time_s,epochs\n1,A,78.1,79.5,360,90\n2,B,78.2,79.1,350,90\n", {}, "adamw sgd", 2),
    ("fold,resnet18,resnet50\n1,78.1,79.5\n2,78.2,79.1\n", {}, "resnet18 resnet50", 2),
    ("run,seed,old,new\na,0,78,79.5\nb,1,77,80.5\nc,2,76,81.2\n", {}, "old new", 3),
    ("seed,0.1,0.01\n1,78.1,79.5\n2,78.2,79.1\n", {}, "0.1 0.01", 2),
    ("old/val_acc,new/val_acc\n78.1,79.5\n78.2,79.1\n", {}, "old new", 2),
    ("seed,a,b\n0,100,99.1\n1,100,99.4\n", {}, "a b", 2),
    # Rows are named by one column, whatever else is beside it.
    ("method,backbone,s1,s2\nold,r50,78.1,78.3\nnew,r50,79.1,79.3\n", {}, "old new", 2),
    ("method;note;seed0;seed1\nold;x;78,1;78,3\nnew;y;79,1;79,3\n", {}, "old new", 2),
    ("model,seed0,seed1\nresnet50,78.1,78.3\nvit/b,79.1,79.3\n", {}, "resnet50 vit/b", 2),
    ("lr,seed0,seed1\n0.1,78.1,78.3\n0.01,79.1,79.3\n", {"by": "lr"}, "lr=0.1 lr=0.01", 2),
    ("method,seed0_top1,seed0_top5,seed1_top1,seed1_top5\no,78.1,94,78.3,95\nn,79,94,79.2,95\n", {}, "o n", 2),
    # Arms and seeds, or arms and metrics, in the names of columns.
    ("old_seed0,old_seed1,new_seed0,new_seed1\n78.1,78.2,79.1,79.2\n", {}, "old new", 2),
    ("epoch,old/s1,old/s2,new/s1,new/s2\n1,50,51,52,53\n2,78.1,78.2,79.1,79.2\n", {}, "old new", 2),
    ("seed,old_acc,old_loss,new_acc,new_loss\n0,78,.9,79,.8\n1,77,.8,78.2,.7\n", {}, "old new", 2),
    ("seed,old_acc,old_loss,new_acc,new_loss\n0,78,.9,79,.8\n1,77,.8,78.2,.7\n", {"metric": "loss"}, "old new", 2),
    ("seed,top1 old,top5 old,top1 new,top5 new\n0,78.1,94,79.2,95\n1,78.2,94,79.1,95\n", {}, "old new", 2),
    # Labels are the values.
    ("aug,top1\nTrue,78.1\nTrue,78.3\nFalse,79.1\nFalse,79.4\n", {"by": "aug"}, "True False", 2),
    ("model,seed,top1\nr50,0,78.1\nr50,1,78.3\nr18,0,69.1\nr18,1,69.4\n", {}, "r50 r18", 2),
    ('[{"m": "old", "top1": 78.1}, {"m": "old", "top1": 78.3}, {"m": "n", "top1": 79}]', {"by": "m"}, "old n", 2),
    ('{"old": [78.1, 78.2, 78.4], "new": [79.5, 79.1]}', {}, "old new", 3),
]


@pytest.mark.parametrize(("text", "given", "pair", "n_a"), SMALL)
def test_what_is_no_arm_is_told_from_what_is(text: str, given: dict[str, Any], pair: str, n_a: int) -> None:
    name = "t.json" if text[0] in "[{" else "t.csv"
    Path(name).write_text(text)
    (answer,) = ss.compare(name, **given, eval_sets="val").answers
    assert f"{answer.a.label} {answer.b.label}" == pair
    assert answer.comparison.n_a == n_a


def test_eval_sets_and_data_sets_of_a_file_are_judged_apart() -> None:
    Path("sets.csv").write_text("seed,val_old,val_new,test_old,test_new\n0,78.1,79.5,77,78\n1,78.2,79.1,77.1,78.3\n")
    answers = ss.compare("sets.csv").answers
    assert [(x.a.eval_set, x.b.label, x.comparison.mean_b) for x in answers] == [
        ("val", "new", pytest.approx(79.3)),
        ("test", "new", pytest.approx(78.15)),
    ]
    runs = [(data, method, seed) for data in ("c", "cc") for method in ("old", "newer") for seed in (0, 1)]
    rows = [f"{data},{m},{seed},{50 + 9 * len(data) + len(m) + seed / 10}" for data, m, seed in runs]
    Path("data.csv").write_text("dataset,method,seed,top1\n" + "\n".join(rows) + "\n")
    answers = ss.compare("data.csv", by="method").answers
    assert [(x.a.data, x.b.label) for x in answers] == [("c", "newer@c"), ("cc", "newer@cc")]
    (answer,) = ss.compare("data.csv", by="method", data="cc").answers
    assert (answer.a.data, answer.b.label) == ("cc", "newer")
    with pytest.raises(SeedstudyError, match="-d d: it holds no data of that name"):
        ss.compare("data.csv", by="method", data="d")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("what", "text", "options", "given", "expected", "arms_by", "seeds_by"),
    CASES,
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_the_arms_of_a_file_are_compared_with_the_first(
    what: str,
    text: str,
    options: str,
    given: dict[str, Any],
    expected: list[tuple[str, str, int, int, float, float]],
    arms_by: list[str],
    seeds_by: str | None,
    cli: Cli,
) -> None:
    Path(what.split(":")[0]).write_text(text)
    code, out, err = cli("compare", *what.split(), *options.split(), "--json")
    assert code == 0, err
    answer = json.loads(out)
    found = [(x["a"], x["b"], x["n_a"], x["n_b"], x["mean_a"], x["mean_b"]) for x in answer["comparisons"]]
    assert [each[:4] for each in found] == [each[:4] for each in expected]
    assert [y for x in found for y in x[4:]] == pytest.approx([y for x in expected for y in x[4:]], abs=1e-3)
    assert (answer["read"]["arms_by"], answer["read"]["seeds_by"]) == (arms_by, seeds_by)
    assert answer == json.loads(json.dumps(document(ss.compare(*what.split(), **given))))


FRAMES = [
    (LONG, {"by": "method"}),
    (LONG_LR, {"by": "lr"}),
    (LONG_GAPS, {"by": "Optimizer"}),
    (CURVES, {"by": "method"}),
    (WIDE, {}),
    (UNEVEN, {}),
    (ROWS, {}),
    (ROWS_BARE, {"by": "recipe"}),
]


@pytest.mark.parametrize(("text", "given"), FRAMES)
def test_a_frame_is_read_as_its_file_is(text: str, given: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    Path("frame.csv").write_text(text)
    of_file = ss.compare("frame.csv", **given).to_dict()
    frames = {
        "polars": pl.read_csv("frame.csv", null_values=["NaN", ""]),
        "lazy": pl.scan_csv("frame.csv", null_values=["NaN", ""]),
        "pandas": pandas.read_csv("frame.csv"),
        "columns": pandas.read_csv("frame.csv").to_dict("list"),
        "records": pandas.read_csv("frame.csv").to_dict("records"),
    }
    for name, frame in frames.items():
        if name in ("columns", "records") and not given:
            continue  # a dict of arms, not a table
        of_frame = ss.compare(frame, **given).to_dict()
        assert of_frame["comparisons"] == of_file["comparisons"], name
        assert {**of_frame["read"], "file": ""} == {**of_file["read"], "file": ""}, name
        assert of_frame["read"]["file"] == "frame"


def test_frames_with_named_rows_and_categories_and_arrow_tables() -> None:
    pandas = pytest.importorskip("pandas")
    Path("long.csv").write_text(LONG)
    frame = pandas.read_csv("long.csv")
    expected = ss.compare("long.csv", by="method").to_dict()["comparisons"]
    ways = [
        frame.set_index("method"),
        frame.set_index(["method", "seed"]),
        frame.astype({"method": "category", "top1": "Float64"}),
        frame.rename_axis("row"),
    ]
    arrow = pytest.importorskip("pyarrow")
    ways.append(arrow.Table.from_pandas(frame))
    for way in ways:
        assert ss.compare(way, by="method").to_dict()["comparisons"] == expected
    pivoted = frame.pivot(index="seed", columns="method", values="top1")
    assert [x["mean_b"] for x in ss.compare(pivoted).to_dict()["comparisons"]] == [x["mean_b"] for x in expected]
    by_name = ss.compare(frame, "method=cutmix", "baseline")
    assert by_name.pairs == (("cutmix", "baseline"),)
    parts = dict(list(frame.groupby("method")[["seed", "top1"]]))
    assert ss.compare(parts).pairs == (("baseline", "cutmix"),)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("summary", ""),
        ("fit", ""),
        ("compare", "--all-pairs"),
        ("compare", "--paired"),
        ("race", "--replay"),
        ("power", "--difference 1"),
    ],
)
@pytest.mark.parametrize(
    ("name", "text", "by"), [("wide.csv", WIDE, ""), ("long.csv", LONG, "--by method"), ("rows.csv", ROWS, "")]
)
def test_every_judging_verb_reads_the_arms_of_a_file(
    verb: str, options: str, name: str, text: str, by: str, cli: Cli
) -> None:
    Path(name).write_text(text)
    files = ["--pilot", name] if verb == "power" else [name]
    code, out, err = cli(verb, *files, *options.split(), *by.split(), "--json")
    assert code == 0, err
    read = json.loads(out)["read"]
    assert (read["file"], read["n_runs"]) == (name, 6)
    code, out, _ = cli(verb, *files, *options.split(), *by.split())
    assert code == 0
    assert out.startswith(f"{name}: 6 runs, metric top1, arms by ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("long.csv", LONG, "compare them: --by method"),
        # Settings beside a measure are no arms.
        ("hp.csv", "lr,wd,score\n0.1,0.01,78.1\n0.2,0.01,78.4\n", 'no column "top1"'),
        ("hp.csv", "width,depth\n64,8\n64,9\n", 'no column "top1"'),
        ("sizes.csv", "params_m,gflops\n25.6,4.1\n22.1,4.6\n", 'no column "top1"'),
        ("losses.csv", LOSSES, "higher or lower better|percent or fraction"),
        ("hp.csv", "seed,lr,wd\n0,0.1,0.01\n1,0.2,0.02\n", 'no column "top1"'),
        ("best.csv", "seed,best_acc,last_acc\n0,78.5,78.1\n1,78.6,78.2\n", 'no column "top1"'),
        ("word.csv", "seed,old,new\n0,78.1,79\n1,failed,79.2\n2,78.3,79.1\n", 'column "old" holds "failed"'),
        # Epochs are no seeds.
        ("epochs.csv", "run,1,2,3,4,5\na,50,60,66,70,71\nb,51,63,68,72,74\n", "seeds or epochs"),
        ("one.txt", "79.1\n79.2\n79.3\n", "compare needs two: one.txt holds one arm"),
        ("one.csv", "seed,top1\n0,79.1\n1,79.2\n", "compare needs two: one.csv holds one arm"),
    ],
)
def test_what_is_no_table_of_arms_is_not_taken_for_one(name: str, text: str, message: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(SeedstudyError, match=message):
        ss.compare(name)


def test_a_gap_is_noted_and_costs_no_other_arm_its_value(cli: Cli) -> None:
    Path("augmentations.csv").write_text(AUGMENTATIONS)
    answer = json.loads(cli("compare", "augmentations.csv", "--json")[1])
    notes = answer["read"]["notes"]
    assert len(notes) == 2
    assert all("1 run without a number" in note for note in notes)
    answer = ss.compare("augmentations.csv", paired=True)[0]
    assert any("seed 13 has no partner in the other arm" in warning for warning in answer.warnings)


MODELS = "model,top1,params\nr50_s0,76.2,25.6\nr50_s1,76.4,25.6\nvit_s0,77.1,22.1\nvit_s1,77.4,22.1\n"
CROSSED = "recipe,model,seed,top1\n" + "".join(
    f"{recipe},{model},{seed},{70 + 5 * (model == 'r') + (recipe == 'b') + seed / 10}\n"
    for recipe in "ab"
    for model in "rq"
    for seed in range(2)
)


@pytest.mark.parametrize(
    ("text", "what", "given", "expected"),
    [
        (MODELS, ("t.csv:model=r50*", "t.csv:model=vit*"), {}, [("r50*", "vit*", 2, 2)]),
        (MODELS, ("t.csv:r50*", "t.csv:vit*"), {}, [("r50*", "vit*", 2, 2)]),
        (CROSSED, ("t.csv:a@r", "t.csv:b@r"), {}, [("a@r", "b@r", 2, 2)]),
        (CROSSED, ("t.csv:a", "t.csv:b"), {"model": "r"}, [("a@r", "b@r", 2, 2)]),
        (CROSSED, ("t.csv",), {"by": "recipe", "model": "q"}, [("a", "b", 2, 2)]),
        (CROSSED, ("t.csv:model=r",), {"by": "recipe"}, [("a", "b", 2, 2)]),
        (CROSSED, ("t.csv:model=r",), {}, [("a@r", "b@r", 2, 2)]),
    ],
)
def test_a_pattern_pools_and_what_is_picked_is_not_asked_again(
    text: str, what: tuple[str, ...], given: dict[str, Any], expected: list[Any]
) -> None:
    Path("t.csv").write_text(text)
    answers = ss.compare(*what, **given).answers
    assert [(x.a.label, x.b.label, x.comparison.n_a, x.comparison.n_b) for x in answers] == expected


@pytest.mark.parametrize(
    ("what", "given", "message"),
    [
        (("t.csv:a", "t.csv:b"), {}, "ambiguous: say which of a@q, a@r. Or pick with -m MODEL"),
        (("t.csv",), {"by": "recipe"}, "They differ in `model`: --by model"),
        (("t.csv:a", "t.csv:b"), {"model": "x"}, "-m x: it holds no model of that name"),
        (("t.csv:a", "t.csv:b"), {"data": "x"}, "-d x: it does not say which data"),
    ],
)
def test_what_is_crossed_with_something_else_is_asked_for(
    what: tuple[str, ...], given: dict[str, Any], message: str
) -> None:
    Path("t.csv").write_text(CROSSED)
    with pytest.raises(SeedstudyError, match=message):
        ss.compare(*what, **given)
