"""Files that the real programs wrote (make_*.py beside this file): the known numbers are read, and nothing else."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seedstudy.read.formats import FORMATS, format_of, log_format
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from seedstudy.study.group import Group
from tests.read.formats.making import LAST
from tests.read.reading import only, refused, write

Unpack = Callable[[str], Path]


def expect(
    selector: str, arm: str, *, left_out: int = 0, seeds: tuple[int, ...] | None = (0, 1, 2), **request: object
) -> Group:
    """Read the three seeds of an arm and return their group."""
    group = only(selector, **request)
    assert sorted(group.values.tolist()) == pytest.approx(sorted(LAST[arm][:3])), selector
    if seeds is not None:
        assert group.seeds is not None
        assert dict(zip(group.seeds, group.values.tolist(), strict=True)) == pytest.approx(
            dict(enumerate(LAST[arm][:3]))
        )
    else:
        assert group.seeds is None
    assert group.n_left_out == left_out
    return group


@pytest.mark.parametrize("store", ["mlruns/", "mlflow.db"])
def test_mlflow(store: str, unpack: Unpack) -> None:
    unpack("mlflow")
    small = expect(f"{store}:experiment=lr sweep,lr=0.1", "small", left_out=1, metric="val_acc")
    large = expect(f"{store}:arm=large", "large", left_out=2, metric="val_acc")
    assert "1 deleted run left out" in small.notes
    assert "1 run without a number left out (sweep, finished)" in small.notes
    assert large.read is not None
    assert (large.read.clock, large.read.seeds_by) == ("step", "random_state")
    assert "`auc`" not in " ".join(large.notes)
    loss = only(f"{store}:arm=large", metric="train/loss")
    assert loss.values.tolist() == pytest.approx([1.675, 1.67, 1.665])  # the last of two steps an epoch
    message = refused(f"{store}:experiment=lr sweep", metric="val_acc")
    assert "seed 0 is in several rows" in message
    assert "--by lr compares them" in message


def test_mlflow_one_experiment_and_one_run(unpack: Unpack) -> None:
    root = unpack("mlflow")
    (sweep,) = [each for each in (root / "mlruns").iterdir() if "lr sweep" in (each / "meta.yaml").read_text()]
    expect(f"{sweep}/:lr=0.3", "large", left_out=2, metric="val_acc")
    folders = [each for each in sweep.iterdir() if each.is_dir()]
    (run, *_) = [each for each in folders if "run_name: small-1" in (each / "meta.yaml").read_text()]
    assert only(f"{run}/", metric="val_acc").values.tolist() == [LAST["small"][1]]
    assert format_of(run) is format_of(sweep) is format_of(root / "mlruns")


def test_mlflow_takes_the_latest_value_of_a_step(unpack: Unpack) -> None:
    root = unpack("mlflow")
    for file in root.glob("mlruns/*/*/metrics/val_acc"):
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{' '.join(line.split()[:2])} 0\n" for line in lines))  # logged without a step
    group = expect("mlruns/:arm=small", "small", left_out=1, metric="val_acc")
    assert any("`val_acc` was logged several times at its last step" in note for note in group.notes)


def test_mlflow_half_a_line_is_being_written_and_other_damage_is_named(unpack: Unpack) -> None:
    root = unpack("mlflow")
    files = list(root.glob("mlruns/*/*/metrics/val_acc"))
    complete = {file: file.read_text() for file in files}
    for file in files:
        file.write_text(complete[file] + "17956967")
    expect("mlruns/:arm=small", "small", left_out=1, metric="val_acc")
    for file in files:
        file.write_text("seventy\n" + complete[file])
    message = refused("mlruns/:arm=small", metric="val_acc")
    assert 'val_acc, line 1: expected "time value step", found "seventy"' in message


def test_mlflow_database_that_is_being_written_is_read_with_its_last_changes(unpack: Unpack) -> None:
    root = unpack("mlflow")
    writer = sqlite3.connect(root / "mlflow.db")
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE metrics SET value = 99 WHERE key = 'val_acc' AND step = 3")
    writer.commit()  # lies in mlflow.db-wal
    before = sorted((path.name, path.read_bytes()) for path in root.iterdir() if path.is_file())
    assert only("mlflow.db:arm=small", metric="val_acc").values.tolist() == [99.0] * 3
    assert sorted((path.name, path.read_bytes()) for path in root.iterdir() if path.is_file()) == before
    writer.close()


def test_a_database_in_a_folder_without_write_permission_is_read(unpack: Unpack) -> None:
    root = unpack("mlflow")
    database = sqlite3.connect(root / "mlflow.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    before = set(root.iterdir())
    expect("mlflow.db:arm=small", "small", left_out=1, metric="val_acc")
    assert set(root.iterdir()) == before


def test_trackio(unpack: Unpack) -> None:
    unpack("trackio")
    group = expect("sweep.db:lr=0.3", "large", metric="val/acc")
    assert group.read is not None
    assert group.read.seeds_by == "training/seed"
    assert "Trackio keeps no status: runs count as they end" in group.notes
    unfinished = only("sweep.db:arm=small", metric="val/acc")
    assert unfinished.n == 4
    assert any("ended at different `step`, the longest at 3: small-s3-again (1)" in note for note in unfinished.notes)


@pytest.mark.parametrize(("file", "lr"), [("optuna.db", "lr"), ("journal.log", "lr"), ("trials.csv", "params_lr")])
def test_optuna(file: str, lr: str, unpack: Unpack) -> None:
    unpack("optuna")
    request = {"metric": "value", "unit": "percent"}
    small = expect(f"{file}:{lr}=0.1", "small", left_out=1, **request)  # pruned
    # One failed; of the one that runs, CSV knows lr but neither seed nor value.
    expect(f"{file}:{lr}=0.3", "large", left_out=2, **request)
    assert small.read is not None
    assert small.read.n_runs == 3
    assert "which rows are seeds of one recipe" in refused(file, **request)


def test_ray(unpack: Unpack) -> None:
    root = unpack("ray")
    for arm in ("small", "large"):
        group = expect(f"sweep/:arm={arm}", arm, left_out=1, metric="val_acc")
        assert group.read is not None
        assert group.read.clock == "training_iteration"
    assert only("sweep/:arm=small", metric="losses/train").values.tolist() == pytest.approx([1.575, 1.57, 1.58])
    for file in root.glob("sweep/*/result.json"):
        file.unlink()  # then progress.csv and params.json
    expect("sweep/:arm=large", "large", left_out=1, metric="val_acc")
    for file in root.glob("sweep/experiment_state*"):
        file.unlink()
    group = expect("sweep/:arm=large", "large", left_out=1, metric="val_acc")  # by error.txt
    assert any("one that was stopped looks finished" in note for note in group.notes)


def test_the_state_of_a_ray_experiment_says_how_a_trial_ended(unpack: Unpack) -> None:
    """The shape of Ray 2.60's state: trials as JSON texts in JSON, beside pickles that are not opened."""
    root = unpack("ray")
    names = [json.loads(path.read_text().splitlines()[0])["trial_id"] for path in root.glob("sweep/*/result.json")]
    stopped = json.loads(next(root.glob("sweep/*arm=large,seed=2*/result.json")).read_text().splitlines()[0])[
        "trial_id"
    ]
    states = {name: "PAUSED" if name == stopped else "TERMINATED" for name in names}
    data = [[json.dumps({"trial_id": name, "status": state, "stub": False}), "{}"] for name, state in states.items()]
    for old in root.glob("sweep/experiment_state*"):
        old.unlink()
    write("sweep/experiment_state-2026-01-01_00-00-00.json", json.dumps({"trial_data": data, "runner_data": {}}))
    group = only("sweep/:arm=large", metric="val_acc")
    assert (group.seeds, group.n_left_out) == ((0, 1, 3), 1)
    assert not any("no state of the experiment" in note for note in group.notes)


def test_one_trial_of_ray_is_one_run(unpack: Unpack) -> None:
    root = unpack("ray")
    (trial,) = root.glob("sweep/*arm=large,seed=0*")
    for selector in (f"{trial}/", f"{trial}/result.json", f"{trial}/progress.csv"):
        assert only(selector, metric="val_acc").values.tolist() == [LAST["large"][0]]


def test_sacred(unpack: Unpack) -> None:
    unpack("sacred")
    expect("runs/:optimizer.lr=0.1", "small", metric="val.acc")
    expect("runs/:optimizer.lr=0.3", "large", left_out=2, metric="val.acc")  # failed, interrupted
    expect("runs/:optimizer.lr=0.3", "large", left_out=2, metric="result", unit="percent")
    assert only("runs/1/", metric="val.acc").values.tolist() == [LAST["small"][0]]


def test_mmengine(unpack: Unpack) -> None:
    unpack("mmengine")
    group = expect("work_dirs/:optim_wrapper.optimizer.lr=0.3", "large")
    assert group.read is not None
    assert (group.read.metric, group.read.clock) == ("accuracy/top1", "epoch")
    assert group.read.seeds_by == "randomness.seed"  # of config.py, which is not executed
    expect("work_dirs/small-*/*/vis_data/scalars.json", "small")


def test_mmcv(unpack: Unpack) -> None:
    unpack("mmcv")
    for arm in ("small", "large"):
        expect(f"work_dirs/{arm}/", arm, metric="accuracy_top-1")


def test_mlperf(unpack: Unpack) -> None:
    unpack("mllog")
    group = expect("results/machine_small/", "small", left_out=1)
    assert any("compare time_to_train_s" in note for note in group.notes)
    expect("results/:opt_base_learning_rate=0.3", "large", left_out=1)
    times = only("results/machine_small/resnet/result_*.txt", metric="time_to_train_s")
    assert times.n == 3
    assert all(0 <= value < 1 for value in times.values)


def test_deit_log_txt_with_a_line_that_was_cut(unpack: Unpack) -> None:
    unpack("text_logs")
    group = only("deit/large/")
    assert group.values.tolist() == [*LAST["large"][:3], LAST["large"][3] + 0.5]  # the fourth by its epoch 2
    assert any("line 4 is cut short: left out" in note for note in group.notes)
    assert any("ended at different epochs" in note for note in group.notes)


def test_modded_nanogpt(unpack: Unpack) -> None:
    unpack("text_logs")
    group = only("nanogpt/small/", metric="val_loss")
    assert group.values.tolist() == pytest.approx([10 - value / 10 for value in LAST["small"][:3]])
    assert group.n_left_out == 1  # ended at step 60 of 100
    assert only("nanogpt/large/", metric="train_time_ms").values.tolist() == [42000.0] * 3
    assert "named differently" in refused("nanogpt/", metric="val_loss")


def test_results_by_seed_in_a_json_document(unpack: Unpack) -> None:
    unpack("text_logs")
    group = only("submissions/small/submission.json", metric="val_bpb")
    assert group.seeds == (40, 41, 42)
    assert group.values.tolist() == pytest.approx([1.1 - value / 1000 for value in LAST["small"][:3]])


def test_results_by_seed_are_recognised_by_their_shape() -> None:
    records = [{"seed": 7, "top1": 79.1, "note": "x"}, {"seed": 8, "top1": 79.4}]
    write("a.json", json.dumps({"mean": 79.25, "runs": records}))
    assert only("a.json").seeds == (7, 8)
    write("b.json", json.dumps({"results": {"seeds": {"7": {"top1": 79.1}, "8": {"top1": 79.4}}, "mean": 79.25}}))
    assert only("b.json").values.tolist() == [79.1, 79.4]
    write("c.json", json.dumps({"by_seed": {"a2": {"0": 79.1, "1": 79.2}, "a3": {"0": 78.1, "1": 78.3}}}))
    groups = read_groups("c.json", Request(metric="value", unit="percent"))
    assert {g.label: g.values.tolist() for g in groups} == {"a2": [79.1, 79.2], "a3": [78.1, 78.3]}
    # Whole numbers without a word about seeds may be epochs.
    write("d.json", json.dumps({"history": {"0": {"top1": 50.0}, "1": {"top1": 79.1}}, "name": "a2"}))
    assert format_of(Path("d.json")) is None
    write("e.json", json.dumps({"a": {"seeds": records}, "b": {"c": {"seeds": records}}}))
    assert "results by seed under a/seeds, b/c/seeds" in refused("e.json")


def test_keras(unpack: Unpack) -> None:
    unpack("keras")
    expect("runs/small/", "small", metric="val_accuracy")
    expect("runs/large/", "large")  # `accuracy` is of the training


@pytest.mark.parametrize("version", ["8.0.200", "8.4.190"])
def test_ultralytics(version: str, unpack: Unpack) -> None:
    """The old version pads names and cells with blanks."""
    unpack(f"ultralytics_{version}")
    for selector in ("runs/small*/results.csv", "runs/:lr0=0.001"):
        group = only(selector)
        assert (group.seeds, group.values.tolist()) == ((0, 1, 2), [50.0] * 3)
        assert group.read is not None
        assert (group.read.metric, group.read.n_points) == ("metrics/accuracy_top1", 2)


def test_stable_baselines(unpack: Unpack) -> None:
    unpack("sb3")
    for arm in ("near", "far"):
        rewards = only(f"logs/ppo_{arm}/", metric="eval/mean_reward")
        assert rewards.seeds == (0, 1, 2)
        assert rewards.read is not None
        assert rewards.read.clock in ("time/total_timesteps", "time/iterations")
        evaluations = only(f"logs/ppo_{arm}/*/evaluations.npz", metric="mean_reward")
        assert evaluations.values.tolist() == pytest.approx(rewards.values.tolist())
    assert "use evaluations.npz or progress.csv" in refused("logs/ppo_far/seed_0/monitor.csv", metric="r")


def test_hydra(unpack: Unpack) -> None:
    root = unpack("hydra")
    expect("multirun/:optimizer.name=small", "small")
    group = expect("multirun/:optimizer.lr=0.3", "large")
    assert group.read is not None
    assert group.read.seeds_by == "seed"
    assert "which rows are seeds of one recipe" in refused("multirun/")
    write("multirun/2/other.csv", "a\n1\n")
    assert "which file holds the results (metrics.jsonl, other.csv)" in refused("multirun/:optimizer.name=small")
    expect(f"{root}/multirun/*/metrics.jsonl:optimizer.name=small", "small")


def test_lightning(unpack: Unpack) -> None:
    unpack("lightning")
    group = only("logs_large/", unit="fraction")
    assert group.values.tolist() == pytest.approx([*LAST["large"][:3], LAST["large"][3] - 2.0], abs=1e-4)
    assert any("0.74) was measured after the training: left out" in note for note in group.notes)
    assert any("ended at different epochs" in note for note in group.notes)


def test_hugging_face(unpack: Unpack) -> None:
    unpack("transformers")
    expect("large/", "large", unit="fraction", seeds=None)
    expect("small/*/trainer_state.json", "small", unit="fraction", seeds=None)


def test_timm(unpack: Unpack) -> None:
    unpack("timm")
    group = only("output/:config/lr=0.3")  # `lr` is that of each epoch
    assert group.seeds == (0, 1, 2, 3)
    assert group.values.tolist() == [*LAST["large"][:3], LAST["large"][3] + 0.5]
    assert any("is cut short" in note for note in group.notes)


def test_aim_exports(unpack: Unpack) -> None:
    unpack("aim")
    group = only("metrics.csv:hparams.lr=0.1", metric="acc")
    assert group.values.tolist() == [*LAST["small"][:3], LAST["small"][3] - 2.0]
    assert group.seeds == (0, 1, 2, 3)
    assert any("ended at different" in note for note in group.notes)
    (group,) = read_groups("metrics.csv:hparams.lr=0.3,hparams.seed=2", Request(metric="loss"))
    assert group.values.tolist() == pytest.approx([1.54])


def test_tensorboard(unpack: Unpack) -> None:
    pytest.importorskip("tensorboard", reason="reads event files")
    unpack("tensorboard")
    group = only("runs/small_*/*", metric="Accuracy/val", unit="percent")
    assert group.values.tolist()[:3] == pytest.approx(LAST["small"][:3])


def test_lm_eval(unpack: Unpack) -> None:
    unpack("lm_eval")
    groups = {group.data: group for group in read_groups("results/small/", Request(metric="acc"))}
    assert set(groups) == {"odd", "even"}
    assert all(group.seeds == (0, 1, 2) for group in groups.values())
    stored = [json.loads(path.read_text())["results"]["odd"] for path in Path("results/small").rglob("*.json")]
    accuracies = sorted(100 * each["acc,none"] for each in stored)
    assert sorted(groups["odd"].values.tolist()) == pytest.approx(accuracies)
    assert any("over questions, not seeds" in note for note in groups["odd"].notes)


@pytest.mark.parametrize("kind", ["json", "eval"])
def test_inspect(kind: str, unpack: Unpack) -> None:
    if kind == "eval":
        pytest.importorskip("zstandard", reason="unpacks .eval logs; the extra inspect")
    unpack("inspect")
    small = only(f"{kind}/:prompt=small", metric="accuracy")
    assert small.seeds is not None
    assert dict(zip(small.seeds, small.values.tolist(), strict=True)) == {0: 25.0, 1: 50.0, 2: 25.0}
    assert small.n_left_out == 1
    assert sorted(only(f"{kind}/:prompt=large", metric="accuracy").values.tolist()) == [75.0, 75.0, 100.0]


def test_an_eval_log_says_what_it_needs(unpack: Unpack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedstudy.errors.find_spec", lambda _: None)
    unpack("inspect")
    assert "seedstudy[inspect]" in refused("eval/:prompt=small", metric="accuracy")


def test_every_format_has_a_name_of_its_own() -> None:
    names = [each.name for each in FORMATS]
    assert len(set(names)) == len(names)


def test_no_format_takes_a_file_of_another(tmp_path: Path) -> None:
    """Each of the kept files is recognised by one format at most."""
    for archive in sorted((Path(__file__).parent / "files").glob("*.zip")):
        shutil.rmtree(tmp_path / archive.stem, ignore_errors=True)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(tmp_path / archive.stem)
        for path in (tmp_path / archive.stem).rglob("*"):
            mine = [each.name for each in FORMATS if each.is_mine(path)]
            assert len(mine) <= 1, (path, mine)


@pytest.mark.parametrize("name", ["numbers.log", "numbers.db", "numbers.eval", "numbers.npz"])
def test_other_files_are_nobodys(name: str) -> None:
    write(name, "79.1\n79.2\n")
    assert format_of(Path(name)) is None
    assert log_format(Path(name)) is None
    Path("empty" + name).write_bytes(b"")
    Path("packed" + name).write_bytes(gzip.compress(b"79.1"))
    assert format_of(Path("empty" + name)) is format_of(Path("packed" + name)) is None
