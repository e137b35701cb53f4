"""MLflow: the folder ``mlruns`` of its file store, and its SQLite store.

Columns are the names that were logged: metrics, parameters, and the tags that MLflow did not set itself. Of several
values of a metric at one step the latest by time counts, as in MLflow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.plain_yaml import yaml_settings
from seedstudy.read.formats.sqlite import database, has_tables
from seedstudy.read.formats.tracked import Run, table_of_runs
from seedstudy.read.table import Table
from seedstudy.read.tables import text_of

_STEP = "step"
_STATUSES = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}
"""Numbers in meta.yaml (RunStatus in MLflow's service.proto)."""
_OWN = "mlflow."
"""Tags and metrics under these are MLflow's: user, source, and what the machine did."""
_SYSTEM = "system/"


@dataclass(slots=True)
class _Stored:
    """One run while it is read."""

    run_id: str
    name: str
    experiment: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[int, dict[str, tuple[int, float]]] = field(default_factory=dict)
    """Step -> metric -> (time, value)."""
    repeated: set[tuple[str, int]] = field(default_factory=set)

    def log(self, metric: str, value: float, time: int, step: int) -> None:
        """Keep a value, the latest of each step."""
        at = self.metrics.setdefault(step, {})
        if metric in at:
            self.repeated.add((metric, step))
        if metric not in at or time >= at[metric][0]:
            at[metric] = time, value


def _table(runs: Iterable[_Stored], n_deleted: int, path: Path) -> Table:
    runs = sorted(runs, key=lambda run: (run.experiment, run.name, run.run_id))
    notes = [f"{n_deleted} deleted run{'s' if n_deleted > 1 else ''} left out"] if n_deleted else []
    last: dict[str, int] = {}
    for run in runs:
        ends = {metric: max(s for s, at in run.metrics.items() if metric in at) for metric, _ in run.repeated}
        for metric, step in run.repeated:
            last[metric] = last.get(metric, 0) + (ends[metric] == step)
    notes += [
        f"`{metric}` was logged several times at its last step in {n} run{'s' if n > 1 else ''}: the latest counts"
        for metric, n in sorted(last.items())
        if n
    ][:3]
    several = len({run.experiment for run in runs}) > 1
    return table_of_runs(
        [
            Run(
                identity={"run": run.name or run.run_id, "run_id": run.run_id},
                points=[
                    {_STEP: step, **{metric: value for metric, (_, value) in run.metrics[step].items()}}
                    for step in sorted(run.metrics)
                ],
                settings=run.params,
                labels={**({"experiment": run.experiment} if several else {}), **run.tags},
                status=run.status,
            )
            for run in runs
        ],
        path,
        clocks=(_STEP,),
        notes=notes,
    )


# --- the folder -----------------------------------------------------------------------------------------


def _meta(folder: Path) -> Mapping[str, Any] | None:
    """Return what meta.yaml in a folder says; None where it is not MLflow's."""
    file = folder / "meta.yaml"
    if not file.is_file() or file.is_symlink() or folder.is_symlink():
        return None
    meta = yaml_settings(file.read_text(encoding="utf-8", errors="replace"))
    return meta if "lifecycle_stage" in meta and {"artifact_location", "artifact_uri"} & set(meta) else None


def _folders(path: Path) -> Iterator[Path]:
    yield from (each for each in sorted(path.iterdir()) if each.is_dir() and not each.name.startswith("."))


def _is_store(path: Path) -> bool:
    return path.is_dir() and (_meta(path) is not None or any(_meta(each) is not None for each in _folders(path)))


def _read_store(path: Path) -> Table:
    meta = _meta(path)
    if meta is not None and "run_id" in meta:
        return _table([_run_in(path, meta, "")], 0, path)
    runs, n_deleted = [], 0
    for experiment in [path] if meta is not None else _folders(path):
        of_experiment = _meta(experiment)
        if of_experiment is None:
            continue
        for folder in _folders(experiment):
            of_run = _meta(folder)
            if of_run is None:
                continue
            if "deleted" in (of_run["lifecycle_stage"], of_experiment["lifecycle_stage"]):
                n_deleted += 1
            else:
                runs.append(_run_in(folder, of_run, str(of_experiment.get("name", experiment.name))))
    return _table(runs, n_deleted, path)


def _run_in(folder: Path, meta: Mapping[str, Any], experiment: str) -> _Stored:
    tags = dict(_values(folder / "tags"))
    status = meta.get("status")
    run = _Stored(
        run_id=str(meta.get("run_id") or folder.name),
        name=str(tags.get("mlflow.runName") or meta.get("run_name") or ""),
        experiment=experiment,
        status=_STATUSES.get(status, str(status)) if isinstance(status, int) else str(status).lower(),
        params=dict(_values(folder / "params")),
        tags={name: value for name, value in tags.items() if not name.startswith(_OWN)},
    )
    for metric, file in _files(folder / "metrics"):
        if not metric.startswith(_SYSTEM):
            _read_metric(run, metric, file)
    return run


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what lies below a folder under names such as ``train/loss``; links are not followed."""
    for file in sorted(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else ():
        inside = file.resolve().is_relative_to(folder.resolve())
        if file.is_file() and not file.is_symlink() and inside:
            yield file.relative_to(folder).as_posix(), file


def _values(folder: Path) -> Iterator[tuple[str, str]]:
    for name, file in _files(folder):
        yield name, text_of(file).strip()


def _read_metric(run: _Stored, metric: str, file: Path) -> None:
    text = text_of(file)
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            time, value, step = int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
        except (ValueError, IndexError):
            if number == len(lines) and not text.endswith("\n"):  # being written
                return
            raise StudyError(f'{file}, line {number}: expected "time value step", found "{line[:40]}".') from None
        run.log(metric, value, time, step)


# --- SQLite ---------------------------------------------------------------------------------------------

_TABLES = {
    "experiments": {"experiment_id", "name", "lifecycle_stage"},
    "runs": {"run_uuid", "name", "status", "lifecycle_stage", "experiment_id"},
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "params": {"key", "value", "run_uuid"},
    "tags": {"key", "value", "run_uuid"},
}


def _is_database(path: Path) -> bool:
    return has_tables(path, _TABLES)


def _read_database(path: Path) -> Table:
    with database(path) as connection:
        return _of_database(connection, path)


def _of_database(connection: sqlite3.Connection, path: Path) -> Table:
    experiments = {
        key: (str(name), stage)
        for key, name, stage in connection.execute("SELECT experiment_id, name, lifecycle_stage FROM experiments")
    }
    runs: dict[str, _Stored] = {}
    n_deleted = 0
    for run_id, name, status, stage, key in connection.execute(
        "SELECT run_uuid, name, status, lifecycle_stage, experiment_id FROM runs"
    ):
        experiment, of_experiment = experiments.get(key, (str(key), None))
        if "deleted" in (stage, of_experiment):
            n_deleted += 1
            continue
        runs[run_id] = _Stored(
            run_id=str(run_id), name=str(name or ""), experiment=experiment, status=str(status).lower()
        )
    for run_id, name, value in connection.execute("SELECT run_uuid, key, value FROM params"):
        if run_id in runs:
            runs[run_id].params[str(name)] = str(value)
    for run_id, name, value in connection.execute("SELECT run_uuid, key, value FROM tags"):
        if run_id in runs and name == "mlflow.runName":
            runs[run_id].name = str(value)
        elif run_id in runs and not str(name).startswith(_OWN):
            runs[run_id].tags[str(name)] = str(value)
    points = connection.execute("SELECT run_uuid, key, value, timestamp, step, is_nan FROM metrics ORDER BY timestamp")
    for run_id, metric, value, time, step, is_nan in points:
        if run_id in runs and not str(metric).startswith(_SYSTEM):
            if not isinstance(step, int) or not isinstance(time, int) or not isinstance(value, int | float):
                raise StudyError(f'{path}: metric "{metric}" holds something else than numbers; is the file damaged?')
            runs[run_id].log(str(metric), float("nan") if is_nan else float(value), time, step)
    return _table(runs.values(), n_deleted, path)


MLFLOW_FOLDER = Format(name="MLflow file store", is_mine=_is_store, read=_read_store)
MLFLOW_DATABASE = Format(name="MLflow SQLite store", is_mine=_is_database, read=_read_database)
