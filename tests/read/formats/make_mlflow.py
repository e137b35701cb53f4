"""Write a file store and a SQLite store of MLflow. Made with mlflow 3.17.2, Python 3.11.

A sweep is a parent run with two arms times three finished children; one child failed, one was killed, one still runs,
one was deleted. A second experiment holds a run of something else.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import mlflow
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1
from mlflow.tracking import MlflowClient


def log(client: MlflowClient, experiment: str, parent: str, arm: str, seed: int, *, epochs: int = EPOCHS) -> str:
    """Log one training and return its run's id; the run is left open."""
    tags = {"mlflow.parentRunId": parent, "mlflow.runName": f"{arm}-{seed}", "arm": arm, "mlflow.user": "someone"}
    run = client.create_run(experiment, tags=tags)
    for name, value in {"lr": ARMS[arm], "random_state": seed, "optimizer": "sgd"}.items():
        client.log_param(run.info.run_id, name, value)
    for epoch in range(epochs):
        client.log_metric(run.info.run_id, "val_acc", top1(arm, seed, epoch), step=epoch)
        client.log_metric(run.info.run_id, "val_loss", loss(arm, seed, epoch), step=epoch)
        for half in (0, 1):
            client.log_metric(run.info.run_id, "train/loss", loss(arm, seed, epoch) + half / 8, step=2 * epoch + half)
    return run.info.run_id


def fill(uri: str) -> None:
    """Log all the runs to a store."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiment = client.create_experiment("lr sweep", artifact_location="file:///nowhere")
    parent = client.create_run(experiment, tags={"mlflow.runName": "sweep"}).info.run_id
    for arm in ARMS:
        for seed in SEEDS:
            client.set_terminated(log(client, experiment, parent, arm, seed), "FINISHED")
    client.set_terminated(log(client, experiment, parent, "large", 0, epochs=2), "FAILED")
    client.set_terminated(log(client, experiment, parent, "large", 1, epochs=1), "KILLED")
    log(client, experiment, parent, "small", 3, epochs=3)  # still running
    client.delete_run(log(client, experiment, parent, "small", 0))
    client.set_terminated(parent, "FINISHED")
    other = client.create_experiment("tabular", artifact_location="file:///nowhere")
    run = client.create_run(other, tags={"mlflow.runName": "forest"})
    client.log_metric(run.info.run_id, "auc", 0.91)
    client.set_terminated(run.info.run_id, "FINISHED")


def write(out: Path) -> None:
    """Write both stores."""
    fill((out / "mlruns").as_uri())
    shutil.rmtree(out / "mlruns" / "models", ignore_errors=True)
    fill(f"sqlite:///{out}/mlflow.db")
    database = sqlite3.connect(out / "mlflow.db")
    database.execute("VACUUM")
    database.close()


if __name__ == "__main__":
    keep(write, "mlflow")
