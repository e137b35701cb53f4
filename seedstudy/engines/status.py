"""`status`, `cancel` and `run --dry-run`: where the trials of a study are, and what is missing."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from seedstudy import machine
from seedstudy.document import FLAT, HIDDEN, fields_of
from seedstudy.engines import slurm
from seedstudy.engines.watch import longest_quiet_s
from seedstudy.errors import SeedstudyError, StoreError
from seedstudy.store.lease import Holder
from seedstudy.store.store import Label, Store
from seedstudy.store.store import State as StoredState

State = Literal[
    "planned", "queued", "running", "ok", "diverged", "failed", "interrupted", "lost", "damaged", "unreadable"
]
"""interrupted: stopped at a signal; lost: its process vanished. The next launcher resumes both."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStatus:
    """One trial."""

    trial_id: str
    state: State
    where: str | None = None
    """Machine and job of a running trial; the job alone of a queued one."""
    since: float | None = None
    """Seconds since 1970."""
    epoch: int | None = None
    """Epochs done."""
    epochs: int | None = None
    pid: int | None = None
    """Of the process that trains it, on its machine."""
    quiet_s: float | None = None
    """Seconds for which a running trial has shown no progress, where that is longer than usual."""
    left_s: float | None = None
    """Seconds until a running trial ends, at the speed of this attempt; None: not known yet."""
    reason: str | None = None
    log: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupStatus:
    """The trials of one recipe, model and data set; question marks for trials whose spec is damaged."""

    counts: Mapping[State, int] = field(metadata=FLAT)
    """Number of trials in each of `STATES`."""
    recipe: str
    model: str
    data: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStatus:
    """All trials of a study."""

    study: str
    groups: tuple[GroupStatus, ...]
    reasons: Mapping[str, str]
    """Why trials failed or diverged, by trial id."""
    damaged: Mapping[str, str]
    """What is damaged, by trial id, by name of an imported file, or "jobs"."""
    time_left_s: float | None
    """Seconds until every trial has ended, at as many at a time as run now; None: not known."""
    trials: tuple[TrialStatus, ...]
    """Those that are not ok, in the order of their ids."""
    n_imported: int = field(metadata=HIDDEN)
    """Trials that were trained elsewhere."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``status --json``."""
        return fields_of(self)


def study_status(store: Store) -> StudyStatus:
    """Return the state of every trial of a study."""
    scan = store.scan()
    facts = scan.trials.select("trial_id", "reason", "train_s").unique("trial_id")
    reasons = {**dict(facts.select("trial_id", "reason").iter_rows()), **scan.damaged}
    unusable = dict(scan.damaged)
    try:
        jobs = store.jobs("slurm")
    except StoreError as error:  # the trials are shown all the same
        jobs, unusable["jobs"] = {}, str(error)
    queued = {trial_id: f"slurm:{job}" for job, tasks in jobs.items() for task in tasks for trial_id in task}
    trials = [
        _trial_status(store, trial_id, state, reasons.get(trial_id) or None, queued.get(trial_id))
        for trial_id, state in scan.states.items()
    ]
    states: dict[Label, Counter[State]] = {}
    for trial in trials:
        states.setdefault(scan.labels[trial.trial_id], Counter())[trial.state] += 1
    return StudyStatus(
        study=store.study,
        groups=tuple(
            GroupStatus(counts={state: counts[state] for state in STATES}, recipe=recipe, model=model, data=data)
            for (recipe, model, data), counts in sorted(states.items())
        ),
        reasons={trial.trial_id: trial.reason or "" for trial in trials if trial.state in ("failed", "diverged")},
        damaged=unusable,
        time_left_s=_time_left_s(trials, facts["train_s"].drop_nulls().to_list()),
        trials=tuple(trial for trial in trials if trial.state != "ok"),
        n_imported=scan.n_imported,
    )


def _trial_status(store: Store, trial_id: str, state: StoredState, reason: str | None, job: str | None) -> TrialStatus:
    log = store.log(trial_id) if os.access(store.log(trial_id), os.R_OK) else None
    if job is not None and state in ("planned", "interrupted"):
        return TrialStatus(trial_id=trial_id, state="queued", where=job, log=log)
    status = TrialStatus(trial_id=trial_id, state=state, reason=reason, log=log)
    if state not in ("running", "interrupted"):
        return status
    holder, progress = store.holder(trial_id), store.progress(trial_id)
    epoch, epochs, epoch_s = (progress.get(key) for key in ("epoch", "epochs", "epoch_s"))
    where, since = (None, None) if holder is None else (f"{holder.host} {holder.job}".strip(), holder.since)
    status = replace(status, where=where, epoch=epoch)
    if state == "interrupted":
        return status if holder is not None and holder.is_released else replace(status, state="lost")
    left_s = None
    if epoch is not None and epochs is not None and epoch_s:
        left_s = max(0.0, (epochs - epoch) * epoch_s - (time.time() - progress.get("at", time.time())))
    quiet_s = time.time() - max(progress.get("moved_at", progress.get("at", 0.0)), since or 0.0)
    return replace(
        status,
        since=since,
        pid=None if holder is None else holder.pid,
        quiet_s=quiet_s if quiet_s > longest_quiet_s(progress) else None,
        epochs=epochs,
        left_s=left_s,
    )


def _time_left_s(trials: Iterable[TrialStatus], durations: list[float]) -> float | None:
    states = Counter(trial.state for trial in trials)
    left = [trial.left_s for trial in trials if trial.state == "running"]
    known = [seconds for seconds in left if seconds is not None]
    n_waiting = sum(states[state] for state in ("planned", "queued", "interrupted", "lost"))
    if not left or len(known) < len(left) or (n_waiting and not durations):
        return None
    waiting_s = n_waiting * statistics.fmean(durations) if n_waiting else 0.0
    return max((sum(known) + waiting_s) / len(known), *known)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecastOf:
    """What would be trained of one recipe, model and data set."""

    recipe: str
    model: str
    data: str
    trials: int
    """All that were asked for."""
    done: int
    """Those with a result."""
    missing: int
    """Those that would be trained."""
    epochs: int | None
    """None for a command."""
    seconds: float | None
    """Mean training time of the finished trials of the same kind in this study; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run would train, and how long."""

    study: str
    folder: Path
    groups: tuple[ForecastOf, ...]
    workers: int | None
    """Trials at a time; None where a queue decides."""
    seconds: float | None
    """Of the whole run with so many at a time; None where a kind of trial was never timed here, or a queue decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancellation:
    """What was asked to stop."""

    study: str
    n_running: int
    """Trials that ran somewhere."""
    n_signalled: int
    """Those of them that ran on this machine and got the signal."""
    n_jobs: int
    """Jobs that were taken from the queue."""
    problem: str | None
    """Why jobs may still be in the queue; None where they are not."""


def cancel(store: Store) -> Cancellation:
    """Stop a study's trials, wherever they run; each keeps its state."""
    scan = store.scan()
    running = [trial_id for trial_id, state in scan.states.items() if state == "running"]
    store.mark_cancelled()  # first: a launcher must not start again what the signals below stop
    n_signalled = sum(_interrupt(store.holder(trial_id)) for trial_id in running)
    n_jobs, problem = 0, None
    try:
        if jobs := store.jobs("slurm"):
            slurm.cancel(jobs)
            n_jobs = len(jobs)
    except SeedstudyError as error:  # also on a machine without Slurm, to which the folder was copied
        problem = str(error)
    return Cancellation(
        study=store.study, n_running=len(running), n_signalled=n_signalled, n_jobs=n_jobs, problem=problem
    )


def _interrupt(holder: Holder | None) -> bool:
    """Send the signal to stop to a process of this machine; return whether it was sent."""
    if holder is not None and holder.boot == machine.boot_id() and machine.runs_seedstudy(holder.pid):
        with suppress(OSError):  # it has just ended, or belongs to another user
            os.kill(holder.pid, signal.SIGTERM)
            return True
    return False
