from __future__ import annotations

import json
from pathlib import Path

import pytest

from seedstudy.read.selector import parse_selector
from tests.read.reading import only, refused, write

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


def test_a_trial_that_stopped_early_has_a_note() -> None:
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


def test_tensorboard_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedstudy.errors.find_spec", lambda name: None)
    name = write("runs/seed0/events.out.tfevents.1.host", "")
    assert "pip install 'seedstudy[tensorboard]'" in refused(name)


def test_tensorboard_scalars_are_read() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for seed in (0, 1):
        writer = EventFileWriter(f"runs/seed{seed}")
        for step, value in ((1, 0.5), (2, 0.8 + seed / 100)):
            scalar = Summary.Value(tag="val/acc", simple_value=value)
            writer.add_event(Event(step=step, summary=Summary(value=[scalar])))
        writer.close()
    group = only("runs/", unit="fraction")
    assert (group.seeds, group.values.tolist()) == ((0, 1), pytest.approx([80.0, 81.0]))
    broken = write("broken/events.out.tfevents.1.host", "no events here")
    assert "holds no scalar" in refused(broken) or "not a readable" in refused(broken)


def test_selectors_of_files_and_of_studies() -> None:
    Path("a2").mkdir()
    assert parse_selector("a2") is None  # a folder needs its "/": a recipe may have the same name
    assert parse_selector("a2/") == ("a2/", None)
    assert parse_selector("main:a2@resnet50") is None
    assert parse_selector("t.csv:a2") == ("t.csv", "a2")
    assert parse_selector("runs/*/summary.csv") == ("runs/*/summary.csv", None)
    assert parse_selector("recipes/a2.toml") is None
