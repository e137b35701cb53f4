"""The only reader and writer of results/.

A study is a folder, and so is each of its trials under ``trials/``. These files are all the state there is::

    study.json            question and rule: the one in force, and every earlier one with its time
    race.json             rule of the study's race, written before its first seed
    trials/<trial_id>/
        spec.json         what to train; written when the trial is planned
        lock              the lease of the process that trains it (seedstudy.store.lease)
        checkpoint.pt     the state of an unfinished training (seedstudy.train.checkpoint)
        progress.json     the epoch it has reached; log.txt: what it printed
        predictions.parquet, curves.parquet
        weights.safetensors  the network, where it is kept; `seedstudy clean --weights` removes it
        trial.json        the result, with the digests of the tables and of the weights; written last, once
        evaluated-*       the network on further eval sets and test sizes (seedstudy.store.later)
        failure.json      an exception, instead of a result
        damaged-<time>/   files of a damaged result, before the trial was trained again (seedstudy.store.upkeep)
    starts/<digest>       weights and pseudo-labels that trials start from
    jobs/<job>.json       what a cluster's queue was given and still has
    cancelled             touched by `seedstudy cancel`
    imported/, evaluated/ trials that were trained or evaluated elsewhere (seedstudy.store.outside)
    looks/                comparisons that somebody looked at (seedstudy.store.looks)
    images/               derived: which images each network has right (seedstudy.store.correct)
    trials.parquet, index.json  derived (seedstudy.store.index): may be deleted at any time

A trial has a result exactly when ``trial.json`` exists. Where two processes train one trial, the first one to link
``trial.json`` wins: each writes its tables under names of their own, made from their digests, and only those that the
linked record names are renamed to the names above. Whatever a killed process leaves behind is overwritten by the next
attempt, or removed by `seedstudy clean`. Folders are made when a study is planned, and never again: a trial that was
removed, or whose study was renamed, while it is trained ends with an error.

What is read is in one of four classes: good; damaged (a digest fails, or the content cannot be parsed), which is set
aside and trained again; missing, or not readable now; of a newer format. The last two are touched by nobody. A reader
checks the digests of all files when it first sees a trial, and again when a file's size, times or inode have changed;
those of the tables also whenever their content is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seedstudy.data.base import EvalSet
from seedstudy.errors import DamagedError, MissingError, SeedstudyError, StoreError, StudyError, printable, suggest
from seedstudy.files import (
    check_folder,
    check_format,
    damaged,
    is_there,
    read_bytes,
    read_json,
    read_record,
    sha256,
    sync,
    to_json,
    write_atomically,
    write_record,
    writing,
)
from seedstudy.store import correct, index, later, lease, outside
from seedstudy.store.correct import Correct
from seedstudy.store.lease import Lease
from seedstudy.store.rows import curves_of, head_of, predictions_of, record_of, reported_record_of, rows_of
from seedstudy.store.schema import (
    CURVES,
    LARGEST_TABLE,
    PREDICTIONS,
    TRIALS,
    Schema,
    table_of,
    to_parquet,
    validate,
)
from seedstudy.study.command import COMMAND_SPEC_FORMAT, AnyTrial, CommandTrial, ReportedResult
from seedstudy.study.declaration import Rule
from seedstudy.study.study import Study, check_name, is_name
from seedstudy.study.trial import SPEC_FORMAT, Evaluation, Trial, TrialResult, trial_id_of

State = Literal["planned", "running", "ok", "diverged", "failed", "interrupted", "damaged", "unreadable"]
"""Of a planned trial, by the files in its folder:

planned        a spec, and no process has started it
running        a process holds its lease
ok, diverged   there is a result
failed         training raised an exception; it is trained again only when asked for
interrupted    it was started, no process holds it and there is neither a result nor a failure
damaged        a file is not what was written: its digest fails, or its content cannot be parsed
unreadable     a file is missing, cannot be read now, or is of a newer format; it may be perfectly good
"""

_LABEL = ("recipe", "model", "data")
_ROWS_AT_ONCE = 10_000
"""Rows held as Python objects before they become a frame."""
_DELETE_JOB = "delete it once this job has left the queue"
_TRAIN_AGAIN = "the same `seedstudy run` command trains this trial again"
TABLES = ("predictions.parquet", "curves.parquet")
WEIGHTS = "weights.safetensors"
"""Not a table: a result is whole without it."""
LARGEST_WEIGHTS = 2**36
"""Bytes; the largest networks of timm have 2^33."""
_DIGEST = re.compile(r"[0-9a-f]{64}")

Published = Literal["first", "equal", "different"]
"""Of a training's result: it is the trial's result; the trial had one with equal predictions; with other ones."""

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
    """Every planned trial's recipe, model and data; question marks where its spec cannot be used."""
    damaged: Mapping[str, str]
    """Trial id, or name of an imported file or a strange folder -> one line that says which file is damaged, or cannot
    be read, and why; it has no rows."""

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
        self._starts = self.root / "starts"

    # --- planning ---------------------------------------------------------------------------------------

    def plan(
        self, study: Study, trials: Iterable[AnyTrial], starts: Mapping[str, Callable[[], bytes]] | None = None
    ) -> None:
        """Write what is to be trained; trials that are planned already stay as they are.

        ``starts``: digest -> the weights or pseudo-labels that trials start from; a study has its own copy of them.
        """
        with writing(self.root):
            self._trials.mkdir(parents=True, exist_ok=True)
            check_folder(self._trials)
            self.declare(study)
            for digest, content in (starts or {}).items():
                self._starts.mkdir(exist_ok=True)
                check_folder(self._starts)
                if not is_there(path := self._start(digest)):
                    write_atomically(path, content())
            for trial in trials:
                if not self.is_planned(trial.trial_id):
                    folder = self.folder(trial.trial_id)
                    folder.mkdir(exist_ok=True)
                    check_folder(folder)
                    # The next plan would make it again; its result waits for the disk to have it.
                    write_atomically(folder / "spec.json", to_json(trial.to_dict()), is_durable=False)
            sync(self._trials)

    def declare(self, study: Study) -> bool:
        """Put a plan's rule in force; earlier ones stay beside it, with their times. Returns whether it is another."""
        before = self.rule()
        rule = before.with_study(study, at=_now(), n_results=self._n_results())
        if rule is before:
            return False
        with writing(self.root):
            write_record(self.root / "study.json", rule.to_dict())
        return True

    def _n_results(self) -> int:
        """Return how many trials have numbers, those from elsewhere included."""
        n_trained = sum(1 for _ in self._trials.glob("*/trial.json"))
        return n_trained + outside.read(self.root)[0]["trial_id"].n_unique()

    def rule(self) -> Rule:
        """Return every rule that the study's plans declared."""
        path, remedy = (
            self.root / "study.json",
            "restore it from a copy, or delete it, and with it the time of its rule",
        )
        if not is_there(path):
            return Rule()
        try:
            return Rule.from_dict(read_record(path, remedy=remedy))
        except (TypeError, ValueError) as error:
            raise damaged(path, f"it holds no rule: {error}", remedy) from error

    def declare_race(self, rule: Mapping[str, Any], *, is_new_budget: bool = False) -> None:
        """Write the rule of the study's race; a rule that exists stays, unless only its budget is raised."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            write_record(self._race, rule, is_first_only=not is_new_budget)

    def race_rule(self) -> dict[str, Any] | None:
        """Return the declared rule of the study's race; None where there is none."""
        if not is_there(self._race):
            return None
        return read_record(self._race, remedy="restore it from a copy: a race cannot resume without its declared rule")

    def withdraw_race(self) -> None:
        """Delete the rule of a race of which no trial was planned."""
        with writing(self.root):
            self._race.unlink(missing_ok=True)
            with suppress(OSError):
                self.root.rmdir()

    def start(self, digest: str) -> bytes:
        """Return weights, or pseudo-labels, that trials start from; raises MissingError and DamagedError."""
        path, remedy = self._start(digest), "remove it; the same `seedstudy run` command gets it again"
        content = read_bytes(path, limit=LARGEST_WEIGHTS)
        if hashlib.sha256(content).hexdigest() != digest:
            raise damaged(path, "its content is not what its name says", remedy)
        return content

    def _start(self, digest: str) -> Path:
        assert _DIGEST.fullmatch(digest), digest
        return self._starts / digest

    def folder(self, trial_id: str) -> Path:
        return self._trials / check_name(trial_id, "trial")

    def to_write(self, trial_id: str) -> Path:
        """Return the folder of a trial that is written into; it must be a folder, and there: only a plan makes one."""
        check_folder(self._trials)
        check_folder(self.folder(trial_id))
        return self.folder(trial_id)

    def read_spec(self, trial_id: str) -> AnyTrial:
        """Return what is to be trained; raises where the file is damaged or belongs to another folder."""
        path = self.folder(trial_id) / "spec.json"
        spec = read_json(path, remedy=_TRAIN_AGAIN)
        try:
            is_same = trial_id_of(spec) == trial_id
            if is_same:
                is_command = spec.get("kind") == "command"
                check_format(path, spec.get("format"), COMMAND_SPEC_FORMAT if is_command else SPEC_FORMAT)
                return (CommandTrial if is_command else Trial).from_dict(spec, where=str(path))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            check_format(path, spec.get("format"), SPEC_FORMAT, remedy=_TRAIN_AGAIN)
            raise damaged(path, f"a key is missing or of the wrong type: {error}", _TRAIN_AGAIN) from error
        # The id is the digest of the whole in every format, so a flipped bit in the format is damage as well.
        raise damaged(path, "its content does not belong to this folder", _TRAIN_AGAIN)

    # --- training ---------------------------------------------------------------------------------------

    @contextmanager
    def claim(self, trial_id: str, *, mark: int | None = None) -> Iterator[Lease | None]:
        """Hold a trial's lease while it is trained; yields None where another process holds it.

        ``mark`` is a number that changes when the trial gets on; None: by its checkpoint.
        """
        path = self.to_write(trial_id) / "lock"
        with ExitStack() as stack:
            with writing(path):  # and not around the training, whose errors are its own
                held = stack.enter_context(lease.held(path, mark=self.mark(trial_id) if mark is None else mark))
            yield held

    def mark(self, trial_id: str) -> int:
        """Return the time of a trial's checkpoint in ns; 0 for none."""
        try:
            return os.lstat(self.checkpoint(trial_id)).st_mtime_ns
        except OSError:
            return 0

    def is_running(self, trial_id: str) -> bool:
        """Say whether a process holds the trial's lease now."""
        return lease.is_live(self.folder(trial_id) / "lock")

    def holder(self, trial_id: str) -> lease.Holder | None:
        """Return who trains a trial, or trained it last."""
        return lease.read(self.folder(trial_id) / "lock")

    def checkpoint(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "checkpoint.pt"

    def out(self, trial_id: str) -> Path:
        """Return the folder that a user's command writes into."""
        return self.folder(trial_id) / "out"

    def log(self, trial_id: str) -> Path:
        return self.folder(trial_id) / "log.txt"

    def write_progress(self, trial_id: str, **progress: Any) -> None:
        """Write how far training is: ``epoch`` of ``epochs``, and what its speed is computed from."""
        path = self.to_write(trial_id) / "progress.json"
        with writing(path):
            write_atomically(path, to_json(progress), is_durable=False)

    def progress(self, trial_id: str) -> dict[str, Any]:
        """Return what :meth:`write_progress` wrote last; empty where there is nothing of the kind: it is only shown."""
        try:
            written = read_json(self.folder(trial_id) / "progress.json")
        except StoreError:
            return {}
        return written if all(map(_is_finite_number, written.values())) else {}

    # --- queues of clusters -------------------------------------------------------------------------------

    def record_job(self, job: str, engine: str, tasks: Sequence[Sequence[str]]) -> None:
        """Write what a queue was given: the trials of each task of ``job``."""
        path = self._job(job)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            check_folder(path.parent)
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
        return is_there(self.folder(trial_id) / "spec.json")

    def was_started(self, trial_id: str) -> bool:
        """Say whether a process ever held the trial's lease."""
        return is_there(self.folder(trial_id) / "lock")

    def has_result(self, trial_id: str) -> bool:
        """Say whether a trial was trained to its end: its state is ok or diverged."""
        return is_there(self.folder(trial_id) / "trial.json")

    def has_ended(self, trial_id: str) -> bool:
        """Say whether a trial has a result or a failure; such a trial is trained again only when asked for."""
        return self.has_result(trial_id) or is_there(self.folder(trial_id) / "failure.json")

    def publish(
        self, trial: Trial, result: TrialResult, eval_sets: Mapping[str, EvalSet], started_at: str
    ) -> Published:
        """Write a trial's result; the first result stays and is never overwritten. Returns which this one was.

        ``eval_sets`` are the data set's, which give the ids and labels of the images.
        """
        frames = {
            "predictions.parquet": (predictions_of(trial.trial_id, result.evaluations, eval_sets), PREDICTIONS),
            "curves.parquet": (curves_of(trial, result), CURVES),
        }
        return self._publish(trial, frames, record_of(trial, result, started_at), weights=result.weights)

    def publish_reported(
        self,
        trial: CommandTrial,
        result: ReportedResult,
        started_at: str,
        predictions: pl.DataFrame | None = None,
    ) -> Published:
        """Write the result of a training elsewhere, as :meth:`publish`."""
        frames = {
            "predictions.parquet": (_empty(PREDICTIONS) if predictions is None else predictions, PREDICTIONS),
            "curves.parquet": (_empty(CURVES), CURVES),
        }
        return self._publish(trial, frames, reported_record_of(trial, result, started_at))

    def _publish(
        self,
        trial: AnyTrial,
        frames: Mapping[str, tuple[pl.DataFrame, Schema]],
        record: Mapping[str, Any],
        *,
        weights: bytes | None = None,
    ) -> Published:
        folder = self.to_write(trial.trial_id)
        tables = {name: to_parquet(validate(frame, schema, where=name)) for name, (frame, schema) in frames.items()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in tables.items()}
        kept = {} if weights is None else {WEIGHTS: hashlib.sha256(weights).hexdigest()}
        is_first = False
        with writing(folder):
            if not self.has_result(trial.trial_id):
                for name, content in tables.items():
                    write_atomically(folder / own_name(name, digests[name]), content)
                if weights is not None:
                    write_atomically(folder / own_name(WEIGHTS, kept[WEIGHTS]), weights)
                sync(folder / "spec.json")
                record = {**record, "sha256": digests | kept}
                is_first = write_record(folder / "trial.json", record, is_first_only=True)
            stored = digests if is_first else digests_of(folder / "trial.json")
            settle(folder, stored | kept if is_first else stored)
            for name in ("failure.json", "checkpoint.pt", "progress.json"):
                (folder / name).unlink(missing_ok=True)
        if is_first:
            known = correct.of_predictions(frames["predictions.parquet"][0])
            correct.keep(self.root, correct.key_of(folder / "trial.json"), known)
        # Curves hold measured speeds, which differ between equal trainings.
        is_equal = stored["predictions.parquet"] == digests["predictions.parquet"]
        return "first" if is_first else "equal" if is_equal else "different"

    def weights(self, trial_id: str) -> bytes | None:
        """Return the kept weights of a trial, a safetensors file; None where they were not kept, or were removed.

        Raises DamagedError where they are not what the trial wrote.
        """
        folder = self.folder(trial_id)
        digest = weights_digest(folder / "trial.json")
        if digest is None:
            return None
        for path in (folder / WEIGHTS, folder / own_name(WEIGHTS, digest), folder / WEIGHTS):  # renamed at this moment?
            with suppress(MissingError):
                content = read_bytes(path, limit=LARGEST_WEIGHTS)
                if hashlib.sha256(content).hexdigest() == digest:
                    return content
                raise damaged(path, "its content is not what the trial wrote", "restore it from a copy, or remove it")
        return None

    def provenance(self, trial_id: str) -> Mapping[str, Any]:
        """Return what a trial's result says of the machine and the versions that made it."""
        path = self.folder(trial_id) / "trial.json"
        provenance = read_record(path, remedy=_TRAIN_AGAIN).get("provenance")
        if not isinstance(provenance, dict):
            raise damaged(path, "it has no provenance", _TRAIN_AGAIN)
        return provenance

    def has_weights(self, trial_id: str) -> bool:
        """Say whether a trial has a result and its weights are there; their content is not looked at."""
        folder = self.folder(trial_id)
        return self.has_result(trial_id) and is_there(folder / WEIGHTS)

    def record_failure(self, trial_id: str, reason: str, traceback: str, **where: Any) -> None:
        """Write why a trial failed and where (epoch, update, host, …); it is trained again only when asked for."""
        path = self.to_write(trial_id) / "failure.json"
        with writing(path):
            write_record(path, {"reason": reason, "traceback": traceback, "at": _now(), **where})

    def failure(self, trial_id: str) -> dict[str, Any]:
        """Return what :meth:`record_failure` wrote."""
        return read_record(self.folder(trial_id) / "failure.json", remedy=_TRAIN_AGAIN)

    def clear_failure(self, trial_id: str) -> None:
        """Forget the failure of a trial whose lease this process holds, and which it trains again."""
        path = self.to_write(trial_id) / "failure.json"
        with writing(path):
            path.unlink(missing_ok=True)

    def clear_failures(self, trial_ids: Iterable[str]) -> None:
        """Let failed trials be trained again."""
        with writing(self._trials):
            for trial_id in filter(self.is_planned, trial_ids):
                folder = self.to_write(trial_id)
                (folder / "failure.json").unlink(missing_ok=True)
                if self.was_started(trial_id):
                    with lease.held(folder / "lock"):
                        pass  # released in order, so that earlier deaths no longer count

    # --- reading ----------------------------------------------------------------------------------------

    def trial_ids(self) -> tuple[str, ...]:
        """Return every planned trial whose folder can be read, in the order of their names."""
        looks = index.survey(self._trials)
        return tuple(name for name, seen in looks.items() if is_name(name, "trial") and not seen.problem)

    def scan(self) -> Scan:
        """Read every trial; a damaged one is named and the others are still read.

        Trials whose files have not changed since they were last read come from the index; their files stay closed.
        """
        problems: dict[str, str] = {}
        seen = index.survey(self._trials)
        for name in [name for name in seen if not is_name(name, "trial")]:
            problems[name] = f"{self._trials / name}: not the name of a trial; move this folder away."
            del seen[name]
        known = index.read(self.root)
        signatures = dict(known.select("trial_id", "signature").unique().iter_rows())
        unchanged = [trial_id for trial_id, each in seen.items() if signatures.get(trial_id) == each.signature]
        kept = known.filter(pl.col("trial_id").is_in(unchanged))
        states: dict[str, State] = {}
        labels: dict[str, Label] = dict.fromkeys(seen, _UNKNOWN)
        for trial_id, status, *label in kept.select("trial_id", "status", *_LABEL).unique().iter_rows():
            recipe, model, data = (word or "" for word in label)  # a command may name neither model nor data
            states[trial_id], labels[trial_id] = status, (recipe, model, data)
        parts, rows, spoilt = [kept], list[dict[str, Any]](), set[str]()
        for trial_id in [trial_id for trial_id in seen if trial_id not in states]:
            try:
                if seen[trial_id].problem:
                    raise StoreError(seen[trial_id].problem)
                trial = self.read_spec(trial_id)
                labels[trial_id] = trial.label
                states[trial_id], of_trial = self._state_and_rows(trial_id, trial)
                more, unusable = self._later_rows(trial_id, of_trial)
                of_trial += more
                if unusable:
                    spoilt.add(trial_id)
                    problems |= unusable
            except SeedstudyError as error:
                states[trial_id] = "damaged" if isinstance(error, DamagedError) else "unreadable"
                problems[trial_id] = str(error)
                continue
            rows.extend({**row, "signature": seen[trial_id].signature} for row in of_trial)
            if len(rows) > _ROWS_AT_ONCE:
                parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
                rows = []
        parts.append(pl.DataFrame(rows, schema=known.schema, orient="row"))
        frame = pl.concat(parts).sort("trial_id", maintain_order=True)
        lasting = [trial_id for trial_id, each in seen.items() if each.is_lasting and trial_id not in spoilt]
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
        evaluated = outside.predictions(self.root, trial_id)
        if evaluated is not None:
            return evaluated
        own = self._table(trial_id, "predictions.parquet", PREDICTIONS)
        return pl.concat([own, *later.predictions(self.folder(trial_id), self._weights_digest(trial_id))])

    def _weights_digest(self, trial_id: str) -> str | None:
        return weights_digest(self.folder(trial_id) / "trial.json")

    def add_evaluation(self, trial_id: str, name: str, evaluation: Evaluation, images: EvalSet, **facts: Any) -> bool:
        """Add what the kept weights of a trial give on an eval set; returns False where it was added before.

        ``name`` is that of the result: an eval set's, or ``val@192`` for another test size. ``facts`` are kept with it.
        """
        digest = self._weights_digest(trial_id)
        assert digest is not None, "its weights were read"
        predictions = predictions_of(trial_id, {name: evaluation}, {name: images})
        folder = self.to_write(trial_id)
        with writing(folder):
            return later.add(folder, trial_id, digest, name, evaluation, predictions, {**facts, "at": _now()})

    def has_predictions(self, trial_id: str) -> bool:
        """Say whether a trial was trained or evaluated here, and not imported."""
        return is_name(trial_id, "trial") and (self.has_result(trial_id) or outside.is_evaluated(self.root, trial_id))

    def correct(self, trial_id: str) -> dict[str, Correct]:
        """Return eval set -> which images a trial has right; of imported trials, which have no predictions, nothing."""
        if not self.has_predictions(trial_id):
            return {}
        digest = outside.digest(self.root, trial_id)
        is_evaluated = digest is not None
        # A record is written once: while its place on the disk is the same, so is what it says.
        key = correct.key_of(self.folder(trial_id) / "trial.json") if digest is None else digest
        known = correct.read(self.root, key)
        if known is None:
            evaluated = outside.predictions(self.root, trial_id)
            own = self._table(trial_id, "predictions.parquet", PREDICTIONS) if evaluated is None else evaluated
            known = correct.of_predictions(own)
            correct.keep(self.root, key, known)
        if not is_evaluated and later.has_some(self.folder(trial_id)):
            for frame in later.predictions(self.folder(trial_id), self._weights_digest(trial_id)):
                known |= correct.of_predictions(frame)
        return known

    def curves(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's CURVES, checked in the same way."""
        return self._table(trial_id, "curves.parquet", CURVES)

    def _table(self, trial_id: str, name: str, schema: Schema) -> pl.DataFrame:
        path = self._table_path(trial_id, name)
        try:
            frame = table_of(read_bytes(path, limit=LARGEST_TABLE))
        except ValueError as error:  # another program wrote it, and its digest
            raise damaged(path, f"not a Parquet file: {error}", _TRAIN_AGAIN) from error
        return validate(frame, schema, where=str(path))

    def _table_path(self, trial_id: str, name: str) -> Path:
        """Return the file of a table whose content is what the result's record says; raises where there is none."""
        folder = self.folder(trial_id)
        return table_path(folder, name, digests_of(folder / "trial.json")[name])

    def n_macs(self, trial_id: str) -> int | None:
        """Return the multiply-adds of a trained network at its test size; None where no trial here recorded them."""
        if not self.has_result(trial_id):
            return None
        provenance = read_record(self.folder(trial_id) / "trial.json", remedy=_TRAIN_AGAIN).get("provenance", {})
        counted = provenance.get("cost", {}).get("n_macs") if isinstance(provenance, dict) else None
        return counted if isinstance(counted, int) else None

    def read_trial(self, trial_id: str) -> tuple[State, list[dict[str, Any]]]:
        """Return a trial's state and its TRIALS rows (none unless it was attempted); raises where it is damaged."""
        return self._state_and_rows(trial_id, self.read_spec(trial_id))

    def _later_rows(
        self, trial_id: str, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the rows of what was evaluated later, and what of it cannot be used: it is no damage of the trial."""
        if not rows or rows[0]["status"] != "ok":
            return [], {}
        known = {row["eval_set"] for row in rows}
        found, unusable = later.rows(self.folder(trial_id), trial_id, self._weights_digest(trial_id), rows[0])
        return [row for row in found if row["eval_set"] not in known], unusable

    def _state_and_rows(self, trial_id: str, trial: AnyTrial) -> tuple[State, list[dict[str, Any]]]:
        head = head_of(self.study, trial) | {"trial_id": trial_id}  # a trial of an older format has its old id
        if self.has_result(trial_id):
            folder = self.folder(trial_id)
            record = read_record(folder / "trial.json", remedy=_TRAIN_AGAIN)
            if record.get("trial_id", trial_id) != trial_id:
                raise damaged(folder / "trial.json", "it is the result of another trial", _TRAIN_AGAIN)
            for name, digest in digests_of(folder / "trial.json").items():
                table_path(folder, name, digest)
            try:
                rows = rows_of(head, trial, record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                path = self.folder(trial_id) / "trial.json"
                raise damaged(path, f"{error!r} is missing or wrong", _TRAIN_AGAIN) from error
            return rows[0]["status"], rows
        if self.has_ended(trial_id):
            return "failed", [
                head | {"status": "failed", "reason": printable(str(self.failure(trial_id).get("reason", "")))}
            ]
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
    if not _is_folder(store.root):
        if not _is_folder(results):
            raise StoreError(f"{results}: no such results folder; `seedstudy run` makes it, --results names another.")
        known = [path.name for path in results.iterdir() if _is_folder(path / "trials")]
        hint = suggest(study, known) if known else " It holds no study yet: `seedstudy run` makes one."
        raise StoreError(f'{results}: no study "{study}".{hint}')
    return store


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be read now ({error.strerror}); check its permissions.") from error


def digests_of(path: Path) -> dict[str, str]:
    """Return the digests that a result's record names: table -> digest."""
    digests = read_record(path, remedy=_TRAIN_AGAIN).get("sha256")
    # They become parts of file names.
    if not isinstance(digests, dict) or not all(_DIGEST.fullmatch(str(digests.get(name))) for name in TABLES):
        raise damaged(path, "it names no digests of the tables", _TRAIN_AGAIN)
    return {name: digests[name] for name in TABLES}


def weights_digest(path: Path) -> str | None:
    """Return the digest of the weights that a result's record names; None where it names none."""
    digests = read_record(path, remedy=_TRAIN_AGAIN).get("sha256")
    digest = digests.get(WEIGHTS) if isinstance(digests, dict) else None
    if digest is not None and not _DIGEST.fullmatch(str(digest)):
        raise damaged(path, "it names no digest of the weights", _TRAIN_AGAIN)
    return digest


def own_name(name: str, digest: str) -> str:
    """Return the name under which a process writes a file, before its result is known to be the first."""
    return f"{Path(name).stem}-{digest[:16]}{Path(name).suffix}"


def settle(folder: Path, digests: Mapping[str, str]) -> None:
    """Give the tables of a trial's result their final names; any process may do so, and several at once."""
    for name, digest in digests.items():
        with suppress(FileNotFoundError):  # done before
            (folder / own_name(name, digest)).replace(folder / name)
            (folder / own_name(name, digest)).unlink()  # two names of one file are not replaced


def table_path(folder: Path, name: str, digest: str) -> Path:
    """Return the file of a table with this digest, under its final name or that of its writer.

    Raises DamagedError where its content is another one, and MissingError where it is not there.
    """
    wrong: Path | None = None
    final = folder / name
    for path in (final, folder / own_name(name, digest), final):  # it may be renamed at this moment
        with suppress(MissingError):
            if sha256(path) == digest:
                return path
            wrong = path
    if wrong is None:
        raise MissingError(f"{final}: missing; restore it from a copy, or train the trial again with --repair.")
    raise damaged(wrong, "its content is not what the trial wrote", _TRAIN_AGAIN)


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
