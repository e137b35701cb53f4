"""The only reader and writer of results/.

A study is a folder; each of its trials is a folder under ``trials/``, and these files are all the state there is::

    study.json            question and rule of the latest plan
    race.json             rule of the study's race, written before its first seed
    trials/<trial_id>/
        spec.json         what to train; written when the trial is planned
        lock              the lease of the process that trains it (seedstudy.store.lease)
        checkpoint.pt     the state of an unfinished training (seedstudy.train.checkpoint)
        progress.json     the epoch it has reached; log.txt: what it printed
        predictions.parquet, curves.parquet
        trial.json        the result with the digests of the two tables; written last, once
        failure.json      an exception, instead of a result
    jobs/<job>.json       what a cluster's queue was given and still has
    cancelled             touched by `seedstudy cancel`
    imported/             TRIALS rows of trials trained elsewhere (:mod:`seedstudy.store.outside`)
    trials.parquet, index.json  derived (:mod:`seedstudy.store.index`): may be deleted at any time

A trial is done exactly when ``trial.json`` is there. Whatever a killed process leaves behind before that is
written over by the next attempt.

A reader checks the digests of everything when it first sees a trial, and again when a file's size, times or inode
have changed; the tables once more whenever their content is used.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seedstudy.errors import SeedstudyError, StoreError, suggest
from seedstudy.files import read_json, read_record, sha256, to_json, write_atomically, write_record, writing
from seedstudy.store import index, lease
from seedstudy.store import outside as imported
from seedstudy.store.lease import Lease
from seedstudy.store.rows import curves_of, head_of, predictions_of, read_parquet, rows_of
from seedstudy.store.schema import CURVES, PREDICTIONS, TRIALS, validate
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
        """Return the TRIALS rows of these trials alone."""
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
        """Write what is to be trained; trials that are there already are left as they are."""
        with writing(self.root):
            rule = {"question": study.question, "margin": study.margin, "baseline": study.baseline}
            write_record(self.root / "study.json", rule)
            for trial in trials:
                folder = self.folder(trial.trial_id)
                if not (folder / "spec.json").exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    write_atomically(folder / "spec.json", to_json(trial.to_dict()))

    def rule(self) -> dict[str, Any]:
        """Return the question, margin and baseline of the latest plan; empty where the study has none."""
        path = self.root / "study.json"
        if not path.exists():
            return {}
        rule = read_record(path)
        if not isinstance(rule.get("margin"), float | int | None):
            raise StoreError(f"{path}: damaged (the margin is no number); `seedstudy run` writes it again.")
        return rule

    def declare_race(self, rule: Mapping[str, Any]) -> None:
        """Write the rule of the study's race; the first one stays."""
        with writing(self.root):
            write_record(self._race, rule, is_first_only=True)

    def race_rule(self) -> dict[str, Any] | None:
        """Return the declared rule of the study's race; None where there is none."""
        return read_record(self._race) if self._race.exists() else None

    def raise_race_budget(self, rule: Mapping[str, Any]) -> None:
        """Write the rule anew; for races whose errors are kept at any number of seeds."""
        with writing(self.root):
            write_record(self._race, rule)

    def withdraw_race(self) -> None:
        """Forget a race of which no trial was planned."""
        with writing(self.root):
            self._race.unlink(missing_ok=True)
            with suppress(OSError):
                self.root.rmdir()

    def folder(self, trial_id: str) -> Path:
        return self._trials / check_name(trial_id, "trial")

    def read_spec(self, trial_id: str) -> Trial:
        """Return what is to be trained.

        Raises
        ------
        StoreError
            The file cannot be read, or its content does not belong to the folder's name.

        """
        path = self.folder(trial_id) / "spec.json"
        spec = read_json(path)
        try:
            trial = Trial.from_dict(spec, where=str(path))
            is_same = trial_id_of(spec) == trial_id
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise StoreError(
                f"{path}: a key is missing or of the wrong type ({error}); the file is damaged."
            ) from error
        if not is_same:
            raise StoreError(f"{path}: damaged (its content does not belong to this folder).")
        return trial

    # --- training ---------------------------------------------------------------------------------------

    @contextmanager
    def claim(self, trial_id: str) -> Iterator[Lease | None]:
        """Hold a trial while it is trained; yields None where another process holds it."""
        path, checkpoint = self.folder(trial_id) / "lock", self.checkpoint(trial_id)
        mark = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        with writing(path), lease.held(path, mark=mark) as held:
            yield held

    def is_running(self, trial_id: str) -> bool:
        """Say whether a process holds the trial now."""
        return lease.is_live(self.folder(trial_id) / "lock")

    def holder(self, trial_id: str) -> lease.Holder | None:
        """Return who trains a trial, or did so last."""
        return lease.read(self.folder(trial_id) / "lock")

    def checkpoint(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "checkpoint.pt"

    def log(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "log.txt"

    def write_progress(self, trial_id: str, **progress: Any) -> None:
        """Write how far a training is: ``epoch`` of ``epochs``, and what its speed can be reckoned from."""
        path = self.folder(trial_id) / "progress.json"
        with writing(path):
            write_atomically(path, to_json(progress), is_durable=False)

    def progress(self, trial_id: str) -> dict[str, Any]:
        """Return what :meth:`write_progress` wrote last; empty where nothing was."""
        path = self.folder(trial_id) / "progress.json"
        try:
            return read_json(path)
        except StoreError:  # not there, or not whole: it decides nothing
            return {}

    # --- queues of clusters -------------------------------------------------------------------------------

    def record_job(self, job: str, engine: str, tasks: Sequence[Sequence[str]]) -> None:
        """Write what was given to a queue: the trials of each task of ``job``."""
        path = self.root / "jobs" / f"{check_name(job, 'job')}.json"
        with writing(path):
            write_record(path, {"engine": engine, "job": job, "tasks": tasks, "at": _now()})

    def jobs(self, engine: str) -> dict[str, list[list[str]]]:
        """Return the recorded jobs of an engine: job -> the trials of each task."""
        records = [read_record(path) for path in sorted((self.root / "jobs").glob("*.json"))]
        return {record["job"]: record["tasks"] for record in records if record["engine"] == engine}

    def remove_job(self, job: str) -> None:
        (self.root / "jobs" / f"{check_name(job, 'job')}.json").unlink(missing_ok=True)

    def mark_cancelled(self) -> None:
        """Let every launcher of the study, wherever it runs, stop its trials in order."""
        path = self.root / "cancelled"
        with writing(path):
            write_atomically(path, f"{_now()}\n".encode())

    def cancel_mark(self) -> int:
        """Return a number that changes when the study is cancelled."""
        try:
            return (self.root / "cancelled").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    # --- results ------------------------------------------------------------------------------------------

    def is_planned(self, trial_id: str) -> bool:
        return (self.folder(trial_id) / "spec.json").exists()

    def was_started(self, trial_id: str) -> bool:
        """Say whether some process ever held the trial."""
        return (self.folder(trial_id) / "lock").exists()

    def has_result(self, trial_id: str) -> bool:
        return (self.folder(trial_id) / "trial.json").exists()

    def has_ended(self, trial_id: str) -> bool:
        """Say whether a trial has a result or a failure; such a trial is not trained again by itself."""
        return self.has_result(trial_id) or (self.folder(trial_id) / "failure.json").exists()

    def publish(self, trial: Trial, result: TrialResult, label_sets: Mapping[str, Any], started_at: str) -> None:
        """Write a finished trial; the first result wins and is never written over.

        Parameters
        ----------
        label_sets
            Eval set -> the data set's :class:`~seedstudy.data.base.EvalSet`: example ids and labels.

        """
        folder = self.folder(trial.trial_id)
        if self.has_result(trial.trial_id):
            return
        with writing(folder):
            digests = {
                "predictions.parquet": _write_frame(
                    predictions_of(trial, result, label_sets), PREDICTIONS, folder / "predictions.parquet"
                ),
                "curves.parquet": _write_frame(curves_of(trial, result), CURVES, folder / "curves.parquet"),
            }
            record = {
                "trial_id": trial.trial_id,
                "status": result.status,
                "reason": result.reason,
                "epochs": result.epochs,
                "evaluations": {
                    name: {
                        "n_correct": e.n_correct,
                        "n_examples": e.n_examples,
                        "n_correct_top5": e.n_correct_top5,
                        "loss": e.loss,
                    }
                    for name, e in result.evaluations.items()
                },
                "best_epoch": result.best_epoch,
                "best_n_correct": result.best_n_correct,
                "train_s": result.train_s,
                "images_per_s": result.images_per_s,
                "n_params": result.n_params,
                "provenance": result.provenance,
                "started_at": started_at,
                "sha256": digests,
            }
            write_record(folder / "trial.json", record, is_first_only=True)
            for name in ("failure.json", "checkpoint.pt", "progress.json"):
                (folder / name).unlink(missing_ok=True)

    def record_failure(self, trial_id: str, reason: str, traceback: str, **where: Any) -> None:
        """Write down why a trial raised, and where (epoch, update, host, …); it is not tried again unless asked for."""
        path = self.folder(trial_id) / "failure.json"
        with writing(path):
            write_record(path, {"reason": reason, "traceback": traceback, "at": _now(), **where})

    def failure(self, trial_id: str) -> dict[str, Any]:
        """Return what :meth:`record_failure` wrote."""
        return read_record(self.folder(trial_id) / "failure.json")

    def clear_failures(self, trial_ids: Iterable[str]) -> None:
        """Let failed trials be trained again."""
        with writing(self._trials):
            for trial_id in trial_ids:
                folder = self.folder(trial_id)
                (folder / "failure.json").unlink(missing_ok=True)
                if (folder / "lock").exists():
                    with lease.held(folder / "lock"):
                        pass  # given back in order: earlier deaths are forgotten

    def set_aside(self, trial_id: str) -> Path:
        """Move a damaged trial's files to ``damaged-<time>`` inside its folder, so that it is trained again."""
        folder = self.folder(trial_id)
        aside = folder / f"damaged-{time.time_ns()}"
        names = ["trial.json", "predictions.parquet", "curves.parquet"]
        try:
            self.read_spec(trial_id)
        except SeedstudyError:
            names.append("spec.json")  # the next plan writes it anew
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

    def label(self, trial_id: str) -> tuple[str, str, str]:
        """Return recipe, model and data of a planned trial; question marks where its spec is damaged."""
        try:
            trial = self.read_spec(trial_id)
        except SeedstudyError:
            return "?", "?", "?"
        return trial.recipe.name, trial.model, trial.data

    def scan(self) -> Scan:
        """Read every trial; a damaged one is named and the others are still read.

        Trials whose files are as they were when they were last read come from the index, without opening a file.
        """
        seen = index.survey(self._trials)
        known = index.read(self.root)
        signatures = dict(known.select("trial_id", "signature").unique().iter_rows())
        is_known = {trial_id: signatures.get(trial_id) == each.signature for trial_id, each in seen.items()}
        kept = known.filter(pl.col("trial_id").is_in([trial_id for trial_id, same in is_known.items() if same]))
        states: dict[str, State] = {}
        labels: dict[str, Label] = {}
        for trial_id, status, *label in kept.select("trial_id", "status", *_LABEL).unique().iter_rows():
            states[trial_id], labels[trial_id] = status, (label[0], label[1], label[2])
        damaged: dict[str, str] = {}
        parts: list[pl.DataFrame] = [kept]
        rows: list[dict[str, Any]] = []
        for trial_id in (trial_id for trial_id, same in is_known.items() if not same):
            labels[trial_id] = _UNKNOWN
            try:
                trial = self.read_spec(trial_id)
                labels[trial_id] = trial.recipe.name, trial.model, trial.data
                states[trial_id], of_trial = self._state_and_rows(trial_id, trial)
            except SeedstudyError as error:
                states[trial_id], damaged[trial_id] = "damaged", str(error)
                continue
            rows.extend({**row, "signature": seen[trial_id].signature} for row in of_trial)
            if len(rows) > _ROWS_AT_ONCE:
                parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
                rows = []
        parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
        frame = pl.concat(parts).sort("trial_id", maintain_order=True)
        lasting = [trial_id for trial_id, each in seen.items() if each.has_ended and each.is_settled]
        to_keep = frame.filter(pl.col("trial_id").is_in(lasting))
        if not to_keep.equals(known):
            index.write(self.root, to_keep)
        elsewhere, unusable = imported.read(self.root)
        return Scan(
            trials=pl.concat([validate(frame.drop("signature"), TRIALS, where=str(self.root)), elsewhere]),
            states={trial_id: states[trial_id] for trial_id in seen},
            labels={trial_id: labels[trial_id] for trial_id in seen},
            damaged=damaged | unusable,
        )

    def predictions(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's PREDICTIONS; a table that differs from its digest is an error."""
        return self._table(trial_id, "predictions.parquet", PREDICTIONS)

    def curves(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's CURVES; a table that differs from its digest is an error."""
        return self._table(trial_id, "curves.parquet", CURVES)

    def scan_predictions(self, trial_ids: Sequence[str]) -> pl.LazyFrame:
        """Return the PREDICTIONS of many trials, unread: collect what is needed of them.

        Each table is checked against its digest here, one at a time, so that memory stays bounded.

        Raises
        ------
        StoreError
            A trial has no result, or a table differs from its digest.

        """
        paths = []
        for trial_id in trial_ids:
            folder = self.folder(trial_id)
            self._check_digest(folder, "predictions.parquet", read_record(folder / "trial.json"))
            paths.append(folder / "predictions.parquet")
        return pl.scan_parquet(paths, schema=dict(PREDICTIONS)) if paths else pl.LazyFrame(schema=dict(PREDICTIONS))

    def _table(self, trial_id: str, name: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        folder = self.folder(trial_id)
        self._check_digest(folder, name, read_record(folder / "trial.json"))
        try:
            frame = read_parquet((folder / name).read_bytes())
        except ValueError as error:  # another program sealed what is no Parquet
            raise StoreError(f"{folder / name}: not a Parquet file ({str(error).splitlines()[0]}).") from error
        return validate(frame, schema, where=str(folder / name))

    def _check_digest(self, folder: Path, name: str, record: Mapping[str, Any]) -> None:
        digests = record.get("sha256")
        if not isinstance(digests, dict) or sha256(folder / name) != digests.get(name):
            raise StoreError(
                f"{folder / name}: damaged (its content is not what the trial wrote); "
                "the same `seedstudy run` command trains this trial again."
            )

    def read_trial(self, trial_id: str) -> tuple[State, list[dict[str, Any]]]:
        """Return a trial's state and its TRIALS rows (none unless it was attempted); checks every digest.

        Raises
        ------
        SeedstudyError
            The trial is damaged.

        """
        return self._state_and_rows(trial_id, self.read_spec(trial_id))

    def _state_and_rows(self, trial_id: str, trial: Trial) -> tuple[State, list[dict[str, Any]]]:
        folder = self.folder(trial_id)
        head = head_of(self.study, trial) | {"trial_id": trial_id}  # of an older format, it has its old id
        if (folder / "trial.json").exists():
            record = read_record(folder / "trial.json")
            for name in ("predictions.parquet", "curves.parquet"):
                self._check_digest(folder, name, record)
            try:
                rows = rows_of(head, trial, record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                raise StoreError(f"{folder / 'trial.json'}: damaged ({error!r} is missing or wrong).") from error
            return rows[0]["status"], rows
        if (folder / "failure.json").exists():
            reason = str(read_record(folder / "failure.json").get("reason", ""))
            return "failed", [head | {"status": "failed", "reason": reason}]
        if not (folder / "lock").exists():
            return "planned", []
        if self.is_running(trial_id):
            return "running", []
        return "interrupted", [head | {"status": "interrupted", "reason": self._why_interrupted(trial_id)}]

    def _why_interrupted(self, trial_id: str) -> str:
        holder = self.holder(trial_id)
        if holder is not None and holder.is_released:
            return "stopped in order before the result"
        return "the process ended before the result"


def open_study(results: Path, study: str) -> Store:
    """Return the store of a study that exists.

    Raises
    ------
    StoreError
        No such folder; names the studies that are there.

    """
    store = Store(results, study)
    if not store.root.is_dir():
        if not results.is_dir():
            raise StoreError(f"{results}: no such results folder; `seedstudy run` makes it, --results names another.")
        known = [path.name for path in results.iterdir() if (path / "trials").is_dir()]
        hint = suggest(study, known) if known else " It holds no study yet: `seedstudy run` makes one."
        raise StoreError(f'{results}: no study "{study}".{hint}')
    return store


# --- files --------------------------------------------------------------------------------------------


def _write_frame(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], path: Path) -> str:
    """Write a table as Parquet and return the digest of the file."""
    buffer = io.BytesIO()
    validate(frame, schema, where=str(path)).write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
