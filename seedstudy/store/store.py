"""The only reader and writer of results/.

A study is a folder, and so is each of its trials under ``trials/``. These files are all the state there is::

    study.json            question and rule of the latest plan
    race.json             rule of the study's race, written before its first seed
    trials/<trial_id>/
        spec.json         what to train; written when the trial is planned
        lock              the lease of the process that trains it (seedstudy.store.lease)
        checkpoint.pt     the state of an unfinished training (seedstudy.train.checkpoint)
        progress.json     the epoch it has reached; log.txt: what it printed
        predictions.parquet, curves.parquet
        trial.json        the result, with the digests of the two tables; written last, once
        failure.json      an exception, instead of a result
    jobs/<job>.json       what a cluster's queue was given and still has
    cancelled             touched by `seedstudy cancel`
    imported/, evaluated/ trials that were trained or evaluated elsewhere (seedstudy.store.outside)
    trials.parquet, index.json  derived (seedstudy.store.index): may be deleted at any time

A trial has a result exactly when ``trial.json`` exists. Whatever a killed process leaves behind before that is
overwritten by the next attempt. A reader checks the digests of all files when it first sees a trial, and again when a
file's size, times or inode have changed; those of the tables also whenever their content is used.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seedstudy.data.base import EvalSet
from seedstudy.errors import SeedstudyError, StoreError, StudyError, suggest
from seedstudy.files import (
    check_folder,
    damaged,
    opened,
    read_json,
    read_record,
    sha256,
    to_json,
    write_atomically,
    write_record,
    writing,
)
from seedstudy.store import index, lease, outside
from seedstudy.store.lease import Lease
from seedstudy.store.rows import curves_of, head_of, predictions_of, record_of, rows_of
from seedstudy.store.schema import CURVES, PREDICTIONS, TRIALS, Schema, read_parquet, to_parquet, validate
from seedstudy.study.study import Study, check_name
from seedstudy.study.trial import Trial, TrialResult, trial_id_of

State = Literal["planned", "running", "ok", "diverged", "failed", "interrupted", "damaged"]
"""Of a planned trial, by the files in its folder:

planned        a spec, and no process has started it
running        a process holds its lease
ok, diverged   there is a result
failed         training raised an exception; it is trained again only when asked for
interrupted    it was started, no process holds it and there is neither a result nor a failure
damaged        a file cannot be read, or is not what was written
"""

_LABEL = ("recipe", "model", "data")
_ROWS_AT_ONCE = 10_000
"""Rows held as Python objects before they become a frame."""
_DELETE_JOB = "delete it once this job has left the queue"
_TRAIN_AGAIN = "the same `seedstudy run` command trains this trial again"
_TABLES = ("predictions.parquet", "curves.parquet")

Label = tuple[str, str, str]
"""Recipe, model and data of a trial."""
_UNKNOWN: Label = ("?", "?", "?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """Everything that a study's folder held at one moment; a command reads the folder once and passes this on."""

    trials: pl.DataFrame
    """TRIALS rows of every attempted trial, and of the imported ones."""
    states: Mapping[str, State]
    """Every planned trial's state, in the order of the trial ids; imported trials have none."""
    labels: Mapping[str, Label]
    """Every planned trial's recipe, model and data; question marks where its spec is damaged."""
    damaged: Mapping[str, str]
    """Trial id, or name of an imported file -> one line that says what is wrong with which file; it has no rows."""

    def rows_of(self, trial_ids: Iterable[str]) -> pl.DataFrame:
        """Return the TRIALS rows of these trials."""
        return self.trials.filter(pl.col("trial_id").is_in(list(trial_ids)))

    @property
    def n_imported(self) -> int:
        """How many trials were imported or evaluated from weights, rather than trained here."""
        return self.trials["trial_id"].n_unique() - len(self.states.keys() & set(self.trials["trial_id"]))


class Store:
    """The folder of one study."""

    def __init__(self, results: Path, study: str) -> None:
        self.study = check_name(study)
        self.root = results / study
        self._trials = self.root / "trials"
        self._race = self.root / "race.json"

    # --- planning ---------------------------------------------------------------------------------------

    def plan(self, study: Study, trials: Iterable[Trial]) -> None:
        """Write what is to be trained; trials that are planned already stay as they are."""
        with writing(self.root):
            rule = {"question": study.question, "margin": study.margin, "baseline": study.baseline}
            self.root.mkdir(parents=True, exist_ok=True)
            write_record(self.root / "study.json", rule)
            for trial in trials:
                if not self.is_planned(trial.trial_id):
                    folder = self.folder(trial.trial_id)
                    folder.mkdir(parents=True, exist_ok=True)
                    write_atomically(folder / "spec.json", to_json(trial.to_dict()))

    def rule(self) -> dict[str, Any]:
        """Return the question, margin and baseline of the latest plan; empty where the study has none."""
        path, remedy = self.root / "study.json", "delete it, and declare the margin with --margin"
        if not path.exists():
            return {}
        rule = read_record(path, remedy=remedy)
        if not isinstance(rule.get("margin"), float | int | None):
            raise damaged(path, "the margin is not a number", remedy)
        return rule

    def declare_race(self, rule: Mapping[str, Any], *, is_new_budget: bool = False) -> None:
        """Write the rule of the study's race; a rule that exists stays, unless only its budget is raised."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            write_record(self._race, rule, is_first_only=not is_new_budget)

    def race_rule(self) -> dict[str, Any] | None:
        """Return the declared rule of the study's race; None where there is none."""
        if not self._race.exists():
            return None
        return read_record(self._race, remedy="restore it from a copy: a race cannot resume without its declared rule")

    def withdraw_race(self) -> None:
        """Delete the rule of a race of which no trial was planned."""
        with writing(self.root):
            self._race.unlink(missing_ok=True)
            with suppress(OSError):
                self.root.rmdir()

    def folder(self, trial_id: str) -> Path:
        return self._trials / check_name(trial_id, "trial")

    def _to_write(self, trial_id: str) -> Path:
        """Return the folder of a trial that is written into; it must be a folder, and there: only a plan makes one."""
        check_folder(self._trials)
        check_folder(self.folder(trial_id))
        return self.folder(trial_id)

    def read_spec(self, trial_id: str) -> Trial:
        """Return what is to be trained; raises where the file is damaged or belongs to another folder."""
        path = self.folder(trial_id) / "spec.json"
        spec = read_json(path, remedy=_TRAIN_AGAIN)
        try:
            trial = Trial.from_dict(spec, where=str(path))
            is_same = trial_id_of(spec) == trial_id
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise damaged(path, f"a key is missing or of the wrong type: {error}", _TRAIN_AGAIN) from error
        if not is_same:
            raise damaged(path, "its content does not belong to this folder", _TRAIN_AGAIN)
        return trial

    # --- training ---------------------------------------------------------------------------------------

    @contextmanager
    def claim(self, trial_id: str) -> Iterator[Lease | None]:
        """Hold a trial's lease while it is trained; yields None where another process holds it."""
        path, checkpoint = self._to_write(trial_id) / "lock", self.checkpoint(trial_id)
        mark = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        with ExitStack() as stack:
            with writing(path):  # and not around the training, whose errors are its own
                held = stack.enter_context(lease.held(path, mark=mark))
            yield held

    def is_running(self, trial_id: str) -> bool:
        """Say whether a process holds the trial's lease now."""
        return lease.is_live(self.folder(trial_id) / "lock")

    def holder(self, trial_id: str) -> lease.Holder | None:
        """Return who trains a trial, or trained it last."""
        return lease.read(self.folder(trial_id) / "lock")

    def checkpoint(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "checkpoint.pt"

    def log(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "log.txt"

    def write_progress(self, trial_id: str, **progress: Any) -> None:
        """Write how far training is: ``epoch`` of ``epochs``, and what its speed is computed from."""
        path = self._to_write(trial_id) / "progress.json"
        with writing(path):
            write_atomically(path, to_json(progress), is_durable=False)

    def progress(self, trial_id: str) -> dict[str, Any]:
        """Return the numbers that :meth:`write_progress` wrote last; it is only shown, so anything else is left out."""
        try:
            written = read_json(self.folder(trial_id) / "progress.json")
        except StoreError:
            return {}
        return {key: value for key, value in written.items() if _is_number(value)}

    # --- queues of clusters -------------------------------------------------------------------------------

    def record_job(self, job: str, engine: str, tasks: Sequence[Sequence[str]]) -> None:
        """Write what a queue was given: the trials of each task of ``job``."""
        path = self._job(job)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_record(path, {"engine": engine, "job": job, "tasks": tasks, "at": _now()})

    def jobs(self, engine: str) -> dict[str, list[list[str]]]:
        """Return the recorded jobs of an engine: job -> the trials of each task."""
        jobs: dict[str, list[list[str]]] = {}
        for path in sorted((self.root / "jobs").glob("*.json")):
            record = read_record(path, remedy=_DELETE_JOB)
            if record.get("engine") == engine:
                jobs[path.stem] = _tasks_of(record, path)
        return jobs

    def remove_job(self, job: str) -> None:
        self._job(job).unlink(missing_ok=True)

    def _job(self, job: str) -> Path:
        return self.root / "jobs" / f"{check_name(job, 'job')}.json"

    def mark_cancelled(self) -> None:
        """Make every launcher of the study, on any machine, stop its trials at their next update."""
        path = self.root / "cancelled"
        with writing(path):
            write_atomically(path, f"{_now()}\n".encode())

    def cancel_mark(self) -> int:
        """Return a number that changes when the study is cancelled."""
        try:
            return (self.root / "cancelled").stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0

    # --- results ------------------------------------------------------------------------------------------

    def is_planned(self, trial_id: str) -> bool:
        return (self.folder(trial_id) / "spec.json").exists()

    def was_started(self, trial_id: str) -> bool:
        """Say whether a process ever held the trial's lease."""
        return (self.folder(trial_id) / "lock").exists()

    def has_result(self, trial_id: str) -> bool:
        """Say whether a trial was trained to its end: its state is ok or diverged."""
        return (self.folder(trial_id) / "trial.json").exists()

    def has_ended(self, trial_id: str) -> bool:
        """Say whether a trial has a result or a failure; such a trial is trained again only when asked for."""
        return self.has_result(trial_id) or (self.folder(trial_id) / "failure.json").exists()

    def publish(self, trial: Trial, result: TrialResult, eval_sets: Mapping[str, EvalSet], started_at: str) -> None:
        """Write a trial's result; the first result stays and is never overwritten.

        ``eval_sets`` are the data set's, which give the ids and labels of the images.
        """
        folder = self.folder(trial.trial_id)
        if self.has_result(trial.trial_id):
            return
        predictions = predictions_of(trial.trial_id, result.evaluations, eval_sets)
        with writing(folder):
            digests = {
                "predictions.parquet": _write_frame(predictions, PREDICTIONS, folder / "predictions.parquet"),
                "curves.parquet": _write_frame(curves_of(trial, result), CURVES, folder / "curves.parquet"),
            }
            record = {**record_of(trial, result, started_at), "sha256": digests}
            write_record(folder / "trial.json", record, is_first_only=True)
            for name in ("failure.json", "checkpoint.pt", "progress.json"):
                (folder / name).unlink(missing_ok=True)

    def record_failure(self, trial_id: str, reason: str, traceback: str, **where: Any) -> None:
        """Write why a trial failed and where (epoch, update, host, …); it is trained again only when asked for."""
        path = self._to_write(trial_id) / "failure.json"
        with writing(path):
            write_record(path, {"reason": reason, "traceback": traceback, "at": _now(), **where})

    def failure(self, trial_id: str) -> dict[str, Any]:
        """Return what :meth:`record_failure` wrote."""
        return read_record(self.folder(trial_id) / "failure.json", remedy=_TRAIN_AGAIN)

    def clear_failures(self, trial_ids: Iterable[str]) -> None:
        """Let failed trials be trained again."""
        with writing(self._trials):
            for trial_id in trial_ids:
                folder = self.folder(trial_id)
                (folder / "failure.json").unlink(missing_ok=True)
                if (folder / "lock").exists():
                    with lease.held(folder / "lock"):
                        pass  # released in order, so that earlier deaths no longer count

    def set_aside(self, trial_id: str) -> Path:
        """Move a damaged trial's files to ``damaged-<time>`` inside its folder, so that it is trained again."""
        folder = self.folder(trial_id)
        aside = folder / f"damaged-{time.time_ns()}"
        names = ["trial.json", "failure.json", *_TABLES]
        try:
            self.read_spec(trial_id)
        except SeedstudyError:
            names.append("spec.json")  # the next plan writes it again
        with writing(folder):
            aside.mkdir()
            for name in names:
                with suppress(FileNotFoundError):
                    (folder / name).rename(aside / name)
        return aside

    # --- reading ----------------------------------------------------------------------------------------

    def trial_ids(self) -> tuple[str, ...]:
        """Return every planned trial, in the order of their names."""
        return tuple(index.survey(self._trials))

    def scan(self) -> Scan:
        """Read every trial; a damaged one is named and the others are still read.

        Trials whose files have not changed since they were last read come from the index; their files stay closed.
        """
        seen = index.survey(self._trials)
        known = index.read(self.root)
        signatures = dict(known.select("trial_id", "signature").unique().iter_rows())
        unchanged = [trial_id for trial_id, each in seen.items() if signatures.get(trial_id) == each.signature]
        kept = known.filter(pl.col("trial_id").is_in(unchanged))
        states: dict[str, State] = {}
        labels: dict[str, Label] = dict.fromkeys(seen, _UNKNOWN)
        for trial_id, status, *label in kept.select("trial_id", "status", *_LABEL).unique().iter_rows():
            states[trial_id], labels[trial_id] = status, (label[0], label[1], label[2])
        problems: dict[str, str] = {}
        parts, rows = [kept], list[dict[str, Any]]()
        for trial_id in [trial_id for trial_id in seen if trial_id not in states]:
            try:
                trial = self.read_spec(trial_id)
                labels[trial_id] = trial.recipe.name, trial.model, trial.data
                states[trial_id], of_trial = self._state_and_rows(trial_id, trial)
            except SeedstudyError as error:
                states[trial_id], problems[trial_id] = "damaged", str(error)
                continue
            rows.extend({**row, "signature": seen[trial_id].signature} for row in of_trial)
            if len(rows) > _ROWS_AT_ONCE:
                parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
                rows = []
        parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
        frame = pl.concat(parts).sort("trial_id", maintain_order=True)
        lasting = [trial_id for trial_id, each in seen.items() if each.is_lasting]
        to_keep = frame.filter(pl.col("trial_id").is_in(lasting))
        if not to_keep.equals(known):
            index.write(self.root, to_keep)
        elsewhere, unusable = outside.read(self.root)
        return Scan(
            trials=pl.concat([validate(frame.drop("signature"), TRIALS, where=str(self.root)), elsewhere]),
            states={trial_id: states[trial_id] for trial_id in seen},
            labels=labels,
            damaged=problems | unusable,
        )

    def predictions(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's PREDICTIONS; a table that differs from its digest is an error."""
        return self._table(trial_id, "predictions.parquet", PREDICTIONS)

    def curves(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's CURVES, checked in the same way."""
        return self._table(trial_id, "curves.parquet", CURVES)

    def scan_predictions(self, trial_ids: Sequence[str]) -> pl.LazyFrame:
        """Return the PREDICTIONS of many trials, unread: collect what is needed of them.

        Each table is checked against its digest here, one at a time, so that memory stays bounded. Raises StoreError
        where a trial has no result, or a table differs from its digest.
        """
        paths = []
        for trial_id in trial_ids:
            self._check_digests(trial_id, self._record(trial_id), ("predictions.parquet",))
            paths.append(self.folder(trial_id) / "predictions.parquet")
        return pl.scan_parquet(paths, schema=dict(PREDICTIONS)) if paths else pl.LazyFrame(schema=dict(PREDICTIONS))

    def _table(self, trial_id: str, name: str, schema: Schema) -> pl.DataFrame:
        path = self.folder(trial_id) / name
        self._check_digests(trial_id, self._record(trial_id), (name,))
        try:
            with opened(path) as file:
                frame = read_parquet(file.read())
        except ValueError as error:  # another program wrote it, and its digest
            raise damaged(path, f"not a Parquet file: {error}", _TRAIN_AGAIN) from error
        return validate(frame, schema, where=str(path))

    def _record(self, trial_id: str) -> dict[str, Any]:
        return read_record(self.folder(trial_id) / "trial.json", remedy=_TRAIN_AGAIN)

    def _check_digests(self, trial_id: str, record: Mapping[str, Any], names: Iterable[str]) -> None:
        digests = record.get("sha256")
        for name in names:
            path = self.folder(trial_id) / name
            if not isinstance(digests, dict) or sha256(path) != digests.get(name):
                raise damaged(path, "its content is not what the trial wrote", _TRAIN_AGAIN)

    def read_trial(self, trial_id: str) -> tuple[State, list[dict[str, Any]]]:
        """Return a trial's state and its TRIALS rows (none unless it was attempted); raises where it is damaged."""
        return self._state_and_rows(trial_id, self.read_spec(trial_id))

    def _state_and_rows(self, trial_id: str, trial: Trial) -> tuple[State, list[dict[str, Any]]]:
        head = head_of(self.study, trial) | {"trial_id": trial_id}  # a trial of an older format has its old id
        if self.has_result(trial_id):
            record = self._record(trial_id)
            self._check_digests(trial_id, record, _TABLES)
            try:
                rows = rows_of(head, trial, record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                path = self.folder(trial_id) / "trial.json"
                raise damaged(path, f"{error!r} is missing or wrong", _TRAIN_AGAIN) from error
            return rows[0]["status"], rows
        if self.has_ended(trial_id):
            return "failed", [head | {"status": "failed", "reason": str(self.failure(trial_id).get("reason", ""))}]
        if not self.was_started(trial_id):
            return "planned", []
        if self.is_running(trial_id):
            return "running", []
        holder = self.holder(trial_id)
        what = "stopped" if holder is not None and holder.is_released else "the process ended"
        return "interrupted", [head | {"status": "interrupted", "reason": f"{what} before the result"}]


def open_study(results: Path, study: str) -> Store:
    """Return the store of a study that exists; otherwise StoreError names the studies that do."""
    store = Store(results, study)
    if not store.root.is_dir():
        if not results.is_dir():
            raise StoreError(f"{results}: no such results folder; `seedstudy run` makes it, --results names another.")
        known = [path.name for path in results.iterdir() if (path / "trials").is_dir()]
        hint = suggest(study, known) if known else " It holds no study yet: `seedstudy run` makes one."
        raise StoreError(f'{results}: no study "{study}".{hint}')
    return store


def _write_frame(frame: pl.DataFrame, schema: Schema, path: Path) -> str:
    """Write a table as Parquet and return the digest of the file."""
    content = to_parquet(validate(frame, schema, where=str(path)))
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _tasks_of(record: Mapping[str, Any], path: Path) -> list[list[str]]:
    """Return the trials of each task of a job's record, whose names reach the commands of a queue."""
    tasks = record.get("tasks")
    try:
        if record.get("job") != check_name(path.stem, "job"):
            raise ValueError("the job is not the one of its name")
        if not isinstance(tasks, list) or not all(isinstance(task, list) for task in tasks):
            raise ValueError("its tasks are no lists")
        return [[check_name(trial_id, "trial") for trial_id in task] for task in tasks]
    except (TypeError, ValueError, StudyError) as error:
        raise damaged(path, str(error).rstrip("."), _DELETE_JOB) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
