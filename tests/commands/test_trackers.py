"""`--log-to` on the real trackers: a finished trial is one run there, and a tracker that fails ends nothing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seedstudy.engines import trackers
from seedstudy.engines.trackers import Trackers
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]

ROW = {
    **dict.fromkeys(("model", "data", "device", "loss", "n_correct", "n_examples")),
    "study": "main",
    "recipe": "a2",
    "recipe_id": "a2-1234",
    "seed": 3,
    "trial_id": "a2-s3-abc",
    "status": "ok",
    "eval_set": "val",
    "metric": "eval_top1",
    "value": 78.5,
    "train_s": 12.0,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    (tmp_path / "results" / "main").mkdir(parents=True)
    return Store(tmp_path / "results", "main")


def log(name: str, store: Store) -> None:
    said: list[str] = []
    for status in ("ok", "diverged"):
        Trackers([name], store).log(f"a2-{status}", [{**ROW, "status": status}], said.append)
    assert said == []


@pytest.mark.filterwarnings("ignore")
def test_tensorboard(store: Store) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log("tensorboard", store)
    events = EventAccumulator(str(store.root / "tensorboard" / "a2-ok"))
    events.Reload()
    (point,) = events.Scalars("val/eval_top1")
    assert (point.step, point.value) == (3, 78.5)


@pytest.mark.filterwarnings("ignore")
def test_mlflow(store: Store) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    log("mlflow", store)
    client = MlflowClient(tracking_uri=(store.root / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("seedstudy-main")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs["a2-ok"].data.metrics == {"val/eval_top1": 78.5, "train_s": 12.0}
    assert runs["a2-ok"].data.params["recipe"] == "a2"
    assert runs["a2-diverged"].info.status == "FAILED"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline(store: Store) -> None:
    pytest.importorskip("wandb")
    log("wandb", store)
    files = list(store.root.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    content = b"".join(path.read_bytes() for path in files)
    assert b"val/eval_top1" in content
    assert b"78.5" in content


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio(store: Store) -> None:
    pytest.importorskip("trackio")
    log("trackio", store)
    from trackio.sqlite_storage import SQLiteStorage

    (entry,) = SQLiteStorage.get_logs("seedstudy-main", "a2-ok")
    assert entry["val/eval_top1"] == 78.5


def test_a_tracker_that_fails_costs_a_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setitem(trackers._LOGGERS, "wandb", fail)
    said: list[str] = []
    Trackers(["wandb"], store).log("a2-s3-abc", [ROW], said.append)
    assert said == ["a2-s3-abc: not logged to wandb (ConnectionError: no server)"]


def test_run_logs_each_trial_once(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(__file__).with_name("train.py"), tmp_path)
    calls: list[str] = []
    monkeypatch.setitem(trackers._LOGGERS, "tensorboard", lambda root, study, trial_id, *_: calls.append(trial_id))
    monkeypatch.setattr("seedstudy.study.placement.require_extra", lambda name: None)
    command = f"{sys.executable} train.py --seed {{seed}} --output {{out}}"
    line = ["run", "--command", command, "--seeds", "2", "--result", "{out}/summary.csv", "--log-to", "tensorboard"]
    for _ in range(2):
        code, _, err = cli(*line)
        assert code == 0, err
    assert len(calls) == len(set(calls)) == 2


def test_a_tracker_that_is_not_there_is_one_line(cli: Cli) -> None:
    code, out, err = cli("run", "-r", "a2", "--log-to", "wandbb")
    assert (code, out) == (2, "")
    assert 'unknown tracker "wandbb". Did you mean "wandb"?' in err
    if importlib.util.find_spec("trackio") is None:
        code, _, err = cli("run", "-r", "a2", "--log-to", "trackio")
        assert code == 2
        assert "pip install 'seedstudy[trackio]'" in err
