"""Finished trials in somebody's tracker: W&B, MLflow, TensorBoard, trackio. The study stays the truth.

Each trial is one run: its arm, model, data and seed as parameters, and the last value of each metric. W&B is offline
unless WANDB_MODE says otherwise, MLflow writes beside the study unless MLFLOW_TRACKING_URI does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seedstudy.engines.watch import Say
from seedstudy.errors import first_line
from seedstudy.store.store import Store
from seedstudy.study.group import label_of

Facts = Mapping[str, Any]
_PARAMETERS = ("study", "recipe", "recipe_id", "model", "data", "seed", "trial_id", "status", "device")


class Trackers:
    """Logs trials of one study."""

    def __init__(self, names: Sequence[str], store: Store) -> None:
        self._names, self._root, self._study = names, store.root.absolute(), store.study

    def log(self, trial_id: str, rows: Sequence[Mapping[str, Any]], say: Say) -> None:
        """Log a trial that ended, by its rows; a tracker that fails costs a line, never the study."""
        parameters = {name: rows[0][name] for name in _PARAMETERS if rows[0][name] is not None}
        metrics = dict(_metrics(rows))
        for name in self._names:
            try:
                _LOGGERS[name](self._root, self._study, trial_id, parameters, metrics)
            except Exception as error:  # whatever a tracker throws
                say(f"{trial_id}: not logged to {name} ({type(error).__name__}: {first_line(error)})")


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    metrics: list[tuple[str, float]] = []
    for row in rows:
        if row["status"] != "ok":
            continue
        value = row["value"] if row["n_correct"] is None else 100.0 * row["n_correct"] / row["n_examples"]
        metrics.append((f"{row['eval_set']}/{row['metric'] or 'top1'}", float(value)))
        if row["loss"] is not None:
            metrics.append((f"{row['eval_set']}/loss", row["loss"]))
    if rows[0]["train_s"] is not None:
        metrics.append(("train_s", rows[0]["train_s"]))
    return metrics


def _wandb(root: Path, study: str, trial_id: str, parameters: Facts, metrics: Mapping[str, float]) -> None:
    import wandb

    mode: Any = os.environ.get("WANDB_MODE", "offline")
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", f"seedstudy-{study}"),
        name=trial_id,
        group=label_of(parameters["recipe"], parameters.get("model")),
        config=dict(parameters),
        dir=str(root),
        mode=mode,
        settings=wandb.Settings(silent=True),
        reinit="create_new",
    )
    run.log(dict(metrics))
    run.finish(exit_code=0 if parameters["status"] == "ok" else 1)


def _mlflow(root: Path, study: str, trial_id: str, parameters: Facts, metrics: Mapping[str, float]) -> None:
    from mlflow.tracking import MlflowClient

    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given is None:  # newer versions ask before they write files
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(tracking_uri=given or (root / "mlruns").as_uri())
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", f"seedstudy-{study}")
    experiment = client.get_experiment_by_name(name)
    experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
    run_id = client.create_run(experiment_id, run_name=trial_id).info.run_id
    for key, value in parameters.items():
        client.log_param(run_id, key, value)
    for key, number in metrics.items():
        client.log_metric(run_id, key, number)
    client.set_terminated(run_id, "FINISHED" if parameters["status"] == "ok" else "FAILED")


def _tensorboard(root: Path, study: str, trial_id: str, parameters: Facts, metrics: Mapping[str, float]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(root / "tensorboard" / trial_id))
    values = [Summary.Value(tag=key, simple_value=number) for key, number in metrics.items()]
    writer.add_event(Event(step=parameters["seed"], summary=Summary(value=values)))
    writer.close()


def _trackio(root: Path, study: str, trial_id: str, parameters: Facts, metrics: Mapping[str, float]) -> None:
    import trackio

    trackio.init(project=f"seedstudy-{study}", name=trial_id, config=dict(parameters), resume="never", embed=False)
    trackio.log(dict(metrics))
    trackio.finish()


_LOGGERS = {"wandb": _wandb, "mlflow": _mlflow, "tensorboard": _tensorboard, "trackio": _trackio}
