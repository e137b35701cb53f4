from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import Request, read_groups
from seedstudy.read.logs import parse_selector
from seedstudy.read.metrics import direction_of
from seedstudy.study.group import Group


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def only(selector: str, **request: Any) -> Group:
    (group,) = read_groups(selector, Request(**request))
    return group


def refused(selector: str, **request: Any) -> str:
    with pytest.raises(SeedstudyError) as caught:
        read_groups(selector, Request(**request))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# --- tables -------------------------------------------------------------------------------------------


def test_plain_numbers_with_comments() -> None:
    group = only(write("old.txt", "# A3, three seeds\n78.0\n\n78.1  # seed 1\n78.2\n"))
    assert group.values.tolist() == [78.0, 78.1, 78.2]
    assert (group.label, group.seeds, group.unit, group.eval_set) == ("old", None, "pp", "val")


def test_a_long_table_holds_several_recipes() -> None:
    table = "recipe,model,seed,top1\na3,resnet50,0,78.0\na3,resnet50,1,78.2\na2,resnet50,0,79.8\na2,resnet50,1,79.7\n"
    groups = read_groups(write("runs.csv", table), Request())
    assert [(group.label, group.seeds) for group in groups] == [("a3@resnet50", (0, 1)), ("a2@resnet50", (0, 1))]
    assert only("runs.csv:a2").values.tolist() == [79.8, 79.7]
    assert only("runs.csv:a2@resnet50").recipe == "a2"
    assert "Did you mean" in refused("runs.csv:a22")


def test_a_wide_table_holds_a_column_per_recipe_of_unequal_length() -> None:
    write("wide.csv", "seed,a3,a2\n0,78.0,79.8\n1,78.2,79.7\n2,78.1,\n")
    assert only("wide.csv:a3").values.tolist() == [78.0, 78.2, 78.1]
    assert only("wide.csv:a2").seeds == (0, 1)
    assert "pick a recipe's column: wide.csv:a3" in refused("wide.csv")


def test_a_wide_table_holds_a_column_per_eval_set() -> None:
    write("sets.csv", "seed,val_top1,real_top1,v2_top1\n0,79.8,85.4,67.9\n1,79.7,85.3,68.1\n")
    groups = read_groups("sets.csv", Request())
    assert [(group.eval_set, group.values[0]) for group in groups] == [("val", 79.8), ("real", 85.4), ("v2", 67.9)]
    (v2,) = read_groups("sets.csv", Request(eval_sets=("v2",)))
    assert v2.eval_set == "v2"
    write("short.csv", "val,real\n79.8,85.4\n79.7,85.3\n")
    assert [group.eval_set for group in read_groups("short.csv", Request())] == ["val", "real"]


def test_an_eval_set_column_is_read_and_chosen() -> None:
    write("sets.csv", "seed,eval_set,top1\n0,val,79.8\n1,val,79.7\n0,v2,67.9\n1,v2,68.1\n")
    assert [group.eval_set for group in read_groups("sets.csv", Request())] == ["val", "v2"]
    assert only("sets.csv", eval_sets=("v2",)).values.tolist() == [67.9, 68.1]
    with pytest.raises(SeedstudyError, match="holds no result on real"):
        read_groups("sets.csv", Request(eval_sets=("real",)))


def test_metric_and_value_columns() -> None:
    write("tidy.csv", "seed,metric,value\n0,val_loss,0.9\n0,top1,79.8\n1,val_loss,0.8\n1,top1,79.7\n")
    assert only("tidy.csv").values.tolist() == [79.8, 79.7]
    group = only("tidy.csv", metric="val_loss")
    assert (group.values.tolist(), group.unit, group.metric) == ([0.9, 0.8], None, "val_loss")


def test_rows_are_picked_by_columns() -> None:
    write("nette.csv", "pool,epochs,run,valid_top1\nmax,5,0,0.85\nmax,20,0,0.92\nmax,20,1,0.91\nblur,20,0,0.93\n")
    assert only("nette.csv:pool=max,epochs=20", unit="fraction").values.tolist() == pytest.approx([92.0, 91.0])
    assert 'no row has pool = "min"' in refused("nette.csv:pool=min", unit="fraction")
    assert 'no column "pol". Did you mean "pool"?' in refused("nette.csv:pol=max")
    assert 'column "pool" holds max, blur: which rows are seeds of one recipe?' in refused("nette.csv", unit="fraction")


@pytest.mark.parametrize("kind", ["json", "jsonl", pytest.param("parquet", marks=pytest.mark.train), "tsv", "csv"])
def test_every_format_gives_the_same_arm(kind: str) -> None:
    rows = [{"seed": 0, "top1": 79.8, "note": {"nested": [1]}}, {"seed": 1, "top1": 79.7, "note": None}]
    frame = pl.DataFrame([{"seed": row["seed"], "top1": row["top1"]} for row in rows])
    if kind == "parquet":
        frame.write_parquet("t.parquet")
    elif kind == "json":
        write("t.json", json.dumps(rows))
    elif kind == "jsonl":
        write("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        write(f"t.{kind}", frame.write_csv(separator="\t" if kind == "tsv" else ","))
    group = only(f"t.{kind}")
    assert (group.seeds, group.values.tolist()) == ((0, 1), [79.8, 79.7])


def test_json_shapes() -> None:
    assert only(write("list.json", "[79.8, 79.7]")).values.tolist() == [79.8, 79.7]
    assert only(write("seeds.json", '{"0": 79.8, "7": 79.7}')).seeds == (0, 7)
    write("arms.json", '{"a3": [78.0, 78.1, 78.2], "a2": [79.8, 79.7]}')
    assert only("arms.json:a2").values.tolist() == [79.8, 79.7]


# --- loggers ------------------------------------------------------------------------------------------

TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,6.9,6.8,{0},1.0,0.1\n1,5.0,3.1,{1},90.0,0.0\n"


def test_timm_summaries_of_a_folder_are_one_trial_each_by_the_last_epoch() -> None:
    for seed, top1 in ((0, 0.9), (7, 0.7)):
        write(f"runs/a2/try{seed}/summary.csv", TIMM.format(1.5, top1))
        write(f"runs/a2/try{seed}/args.yaml", f"lr: 0.1\nseed: {seed}\n")
    group = only("runs/a2")
    # The last epoch, not the best; and percent, since timm writes nothing else.
    assert (group.label, group.seeds, group.values.tolist()) == ("a2", (0, 7), [0.9, 0.7])
    assert only("runs/a2/*/summary.csv").values.tolist() == [0.9, 0.7]
    assert only("runs/a2/try0/summary.csv").values.tolist() == [0.9]


def test_a_trial_that_stopped_early_is_told() -> None:
    write("runs/seed0/summary.csv", TIMM.format(50.0, 79.0))
    write("runs/seed1/summary.csv", TIMM.format(50.0, 79.0).rpartition("1,5.0")[0])
    group = only("runs/")
    assert group.seeds == (0, 1)
    assert "ended at different epochs, the longest at 1: runs/seed1/summary.csv (0)" in group.notes[0]


def test_lightning_metrics_have_holes() -> None:
    text = "epoch,step,train_loss,val_acc\n0,9,2.0,\n0,9,,0.6\n1,19,1.0,\n1,19,,0.8\n1,20,0.9,\n"
    write("logs/version_0/metrics.csv", text)
    write("logs/version_0/hparams.yaml", "seed: 3\nobject: !!python/object:os.system {}\n")
    write("logs/version_1/metrics.csv", text.replace("0.8", "0.82"))
    write("logs/version_1/hparams.yaml", "seed: 4\n")
    group = only("logs/", unit="fraction")
    assert (group.seeds, group.values.tolist()) == ((3, 4), pytest.approx([80.0, 82.0]))
    assert "percent or fraction" in refused("logs/")


def test_hugging_face_results_win_over_checkpoints() -> None:
    for seed, accuracy in ((0, 0.91), (1, 0.92)):
        state = {"log_history": [{"epoch": 1.0, "step": 5, "eval_accuracy": 0.5}], "global_step": 5}
        write(f"out/seed_{seed}/checkpoint-5/trainer_state.json", json.dumps(state))
        write(f"out/seed_{seed}/trainer_state.json", json.dumps(state))
        write(f"out/seed_{seed}/all_results.json", json.dumps({"epoch": 3.0, "eval_accuracy": accuracy}))
    group = only("out/", unit="fraction")
    assert (group.seeds, group.values.tolist()) == ((0, 1), pytest.approx([91.0, 92.0]))


def test_hugging_face_state_by_its_last_evaluation() -> None:
    history = [
        {"epoch": 1.0, "step": 5, "loss": 2.0},
        {"epoch": 1.0, "step": 5, "eval_accuracy": 0.95, "eval_loss": 0.4},
        {"epoch": 2.0, "step": 10, "eval_accuracy": 0.90, "eval_loss": 0.5},
        {"epoch": 2.0, "step": 10, "train_runtime": 9.0},
    ]
    write("trainer_state.json", json.dumps({"log_history": history}))
    assert only("trainer_state.json", unit="fraction").values.tolist() == pytest.approx([90.0])
    assert only("trainer_state.json", metric="eval_loss").values.tolist() == [0.5]


def test_wandb_table_leaves_out_what_did_not_finish() -> None:
    write("wandb.csv", "Name,State,seed,val/acc1\nsun-1,finished,0,79.8\nsea-2,crashed,1,12.0\nsky-3,finished,2,79.7\n")
    group = only("wandb.csv")
    assert (group.seeds, group.values.tolist(), group.n_left_out) == ((0, 2), [79.8, 79.7], 1)


def test_wandb_chart_has_a_column_per_trial() -> None:
    head = "Step,sun-1 - val_acc,sun-1 - val_acc__MIN,sun-1 - val_acc__MAX,sea-2 - val_acc,sea-2 - val_acc__MIN"
    write("chart.csv", f"{head}\n1,50.0,50.0,50.0,51.0,51.0\n2,79.8,79.8,79.8,,\n")
    assert only("chart.csv").values.tolist() == [79.8, 51.0]


def test_epochs_are_never_counted_as_seeds() -> None:
    write("curve.csv", "seed,epoch,top1\n0,1,50.0\n0,2,79.8\n1,1,51.0\n1,2,79.7\n")
    assert only("curve.csv").values.tolist() == [79.8, 79.7]


def test_a_column_epoch_beside_each_seed_is_no_curve() -> None:
    write("runs.csv", "seed,epoch,top1\n0,300,79.8\n1,300,79.7\n")
    assert only("runs.csv").values.tolist() == [79.8, 79.7]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write("elsewhere/summary.csv", TIMM.format(1.0, 2.0))
    write("runs/seed0/summary.csv", TIMM.format(50.0, 79.0))
    Path("runs/seed1").mkdir()
    Path("runs/seed1/summary.csv").symlink_to(tmp_path / "elsewhere/summary.csv")
    assert only("runs/").values.tolist() == [79.0]


def test_tensorboard_needs_an_extra_or_is_read(tmp_path: Path) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        name = write("runs/seed0/events.out.tfevents.1.host", "")
        assert "pip install 'seedstudy[tensorboard]'" in refused(name)
        return
    from torch.utils.tensorboard import SummaryWriter

    for seed in (0, 1):
        with SummaryWriter(str(tmp_path / f"runs/seed{seed}")) as writer:
            for step, value in ((1, 0.5), (2, 0.8 + seed / 100)):
                writer.add_scalar("val/acc", value, step)
    group = only("runs/", unit="fraction")
    assert (group.seeds, group.values.tolist()) == ((0, 1), pytest.approx([80.0, 81.0]))
    broken = write("broken/events.out.tfevents.1.host", "no events here")
    assert "holds no scalar" in refused(broken) or "not a readable" in refused(broken)


# --- untrusted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.txt", "79,5\n", 'x.txt, line 1: "79,5" is not a number; write 79.5.'),
        ("x.txt", "# nothing\n", "holds no number"),
        ("x.csv", "", "holds no number"),
        ("x.csv", "seed,top1\n0,79.6\n0,79.7\n", "seed 0 is in several rows"),
        ("x.csv", "seed,top1\n0,79.6\n1,\n", 'column "top1" is empty in trial 2 of 2'),
        ("x.csv", "seed,top1\n0,79.6\n1,oops\n", 'column "top1" holds "oops"'),
        ("x.csv", "seed,top1\n0,79.6\n1,nan\n", 'column "top1" is nan in trial 2 of 2'),
        ("x.csv", "seed,top1\n0,79.6\n1,inf\n", 'column "top1" is inf in trial 2 of 2'),
        ("x.csv", "seed,top1\n0,0.796\n", "percent or fraction?"),
        ("x.csv", "seed,top1\n0,179.6\n", "179.6 is not an accuracy"),
        ("x.csv", "seed,val_acc,test_acc\n0,79.6,79.5\n", "use --metric val_acc or --metric test_acc"),
        ("x.csv", "seed,lr\n0,0.1\n", 'no column "top1"'),
        ("x.csv", 'seed,top1\n0,"79.6\n', "not a readable csv file"),
        ("x.csv", 'recipe,top1\n"a\x1b[31m2",79.6\n', "control characters"),
        ("x.csv", '"to\x1bp1"\n79.6\n', "control characters"),
        ("x.json", '{"a": ', "x.json, line 1, column 7: not a readable json file"),
        ("x.json", "[" * 100_000, "too deep or too long"),
        ("x.json", '[{"top1": 79.6}, 3]', "expected a list of numbers"),
        ("x.json", "[]", "expected a list of numbers"),
        ("x.json", '{"a2": [1.0], "name": ["x", "y"]}', "different lengths"),
        ("x.jsonl", '{"top1": 79.6}\n{oops}\n', "x.jsonl, line 2: not a readable json file"),
        pytest.param("x.parquet", "PAR1 not", "not a readable parquet file", marks=pytest.mark.train),
    ],
    ids=range(22),
)
def test_what_is_wrong_with_a_file_is_one_line(name: str, text: str, expected: str) -> None:
    assert expected in refused(write(name, text))


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    import os

    assert "No such file" in refused("nowhere.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a file" in refused("pipe.csv")
    (tmp_path / "latin.csv").write_bytes(b"top1\n\xff\xfe\n")
    assert "not UTF-8 text at byte 5" in refused("latin.csv")
    (tmp_path / "empty").mkdir()
    assert "holds no trial" in refused("./empty")
    assert "no file matches" in refused("runs/*/summary.csv")
    write("two/a.csv", "top1\n79.6\n79.7\n")
    assert "two/a.csv: holds 2 trials" in refused("two/*.csv")


def test_numbers_too_large_for_a_float_are_refused() -> None:
    assert "inf" in refused(write("x.json", f'[{{"top1": 1{"0" * 400}}}]'))
    assert "too deep or too long" in refused(write("y.json", f"[{'1' * 6000}]"))


def test_selectors_of_files_and_of_studies() -> None:
    Path("a2").mkdir()
    assert parse_selector("a2") is None  # a folder needs its "/": a recipe may have the same name
    assert parse_selector("a2/") == ("a2/", None)
    assert parse_selector("main:a2@resnet50") is None
    assert parse_selector("t.csv:a2") == ("t.csv", "a2")
    assert parse_selector("runs/*/summary.csv") == ("runs/*/summary.csv", None)
    assert parse_selector("recipes/a2.toml") is None


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val_loss", "lower"),
        ("eval/loss", "lower"),
        ("error", "lower"),
        ("top1_error", None),
        ("val/Acc@1", "higher"),
        ("mIoU", "higher"),
        ("f1", "higher"),
        ("margin", None),
        ("lossless", None),
    ],
)
def test_direction_only_where_the_name_tells(metric: str, direction: str | None) -> None:
    assert direction_of(metric) == direction


def test_the_imported_values_are_arrays() -> None:
    assert only(write("a.txt", "79\n80\n")).values.dtype == np.float64
