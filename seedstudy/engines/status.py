"""Where every trial of a study stands, read from its folder alone; and tidying up there."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from seedstudy import machine
from seedstudy.store import lease
from seedstudy.store.store import Store

State = Literal["planned", "queued", "running", "ok", "diverged", "failed", "interrupted", "lost", "damaged"]
"""interrupted: stopped in order; lost: its process is gone without a word. Both go on with the next launcher."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One trial."""

    trial_id: str
    state: State
    where: str = ""
    """Machine and engine's job, of a running trial; the job alone, of a queued one."""
    since: float | None = None
    """Seconds since 1970."""
    epoch: int | None = None
    """Epochs done."""
    epochs: int | None = None
    left_s: float | None = None
    """Seconds until a running trial ends, at the speed of this attempt; None: not known yet."""
    reason: str = ""
    log: Path | None = None


def standings(store: Store) -> list[Standing]:
    """Return where each planned trial stands, in the order of their names."""
    scan = store.scan()
    queued = {
        trial_id: f"slurm:{job}" for job, tasks in store.jobs("slurm").items() for task in tasks for trial_id in task
    }
    reasons = dict(scan.trials.select("trial_id", "reason").iter_rows())
    return [
        _standing(store, trial_id, scan.states[trial_id], reasons, queued, scan.damaged) for trial_id in scan.states
    ]


def _standing(
    store: Store,
    trial_id: str,
    state: str,
    reasons: Mapping[str, str],
    queued: Mapping[str, str],
    damaged: Mapping[str, str],
) -> Standing:
    log = store.log(trial_id) if store.log(trial_id).exists() else None
    match state:
        case "running":
            return _running(store, trial_id, log)
        case "planned" | "interrupted" if trial_id in queued:
            return Standing(trial_id=trial_id, state="queued", where=queued[trial_id], log=log)
        case "interrupted":
            holder = store.holder(trial_id)
            is_lost = holder is None or not holder.is_released
            epoch = store.progress(trial_id).get("epoch")
            return Standing(
                trial_id=trial_id,
                state="lost" if is_lost else "interrupted",
                where="" if holder is None else _place(holder),
                epoch=epoch,
                reason=reasons.get(trial_id, ""),
                log=log,
            )
        case "damaged":
            return Standing(trial_id=trial_id, state="damaged", reason=damaged.get(trial_id, ""), log=log)
        case "planned" | "ok" | "diverged" | "failed":
            return Standing(trial_id=trial_id, state=state, reason=reasons.get(trial_id, ""), log=log)
        case _:
            raise AssertionError(state)


def _running(store: Store, trial_id: str, log: Path | None) -> Standing:
    holder, progress = store.holder(trial_id), store.progress(trial_id)
    epoch, epochs, epoch_s = (progress.get(key) for key in ("epoch", "epochs", "epoch_s"))
    left_s = None
    if epoch is not None and epochs is not None and epoch_s:
        left_s = max(0.0, (epochs - epoch) * epoch_s - (time.time() - progress["at"]))
    return Standing(
        trial_id=trial_id,
        state="running",
        where="" if holder is None else _place(holder),
        since=None if holder is None else holder.since,
        epoch=epoch,
        epochs=epochs,
        left_s=left_s,
        log=log,
    )


def _place(holder: lease.Holder) -> str:
    return f"{holder.host} {holder.job}".strip()


def time_left(store: Store, stands: Iterable[Standing]) -> float | None:
    """Return the seconds until the study is through, at as many trials at a time as run now; None: not known."""
    stands = list(stands)
    running = [each for each in stands if each.state == "running"]
    waiting = [each for each in stands if each.state in ("planned", "queued", "interrupted", "lost")]
    durations = store.scan().trials.drop_nulls("train_s").unique("trial_id")["train_s"].to_list()
    if not running or (waiting and not durations) or any(each.left_s is None for each in running):
        return None
    in_work = sum(each.left_s or 0.0 for each in running)
    ahead = len(waiting) * statistics.fmean(durations) if waiting else 0.0
    return max((in_work + ahead) / len(running), *(each.left_s or 0.0 for each in running))


def interrupt(stands: Iterable[Standing], store: Store) -> int:
    """Send the signal to stop to the trials that run on this machine; return how many there were."""
    n_sent = 0
    for each in stands:
        holder = store.holder(each.trial_id) if each.state == "running" else None
        if holder is None or holder.boot != machine.boot_id():
            continue
        if machine.runs_seedstudy(holder.pid):
            with suppress(OSError):  # it has just ended, or is another user's
                os.kill(holder.pid, signal.SIGTERM)
                n_sent += 1
    return n_sent


def leftovers(store: Store) -> dict[Path, int]:
    """Return what may be removed, with its size in bytes: nothing here is a result, or would be missed.

    Checkpoints, progress and leases of trials that ended; the leases of trials that nobody holds and that have no
    checkpoint; temporary files of killed processes.
    """
    found: list[Path] = []
    for trial_id in store.trial_ids():
        folder = store.folder(trial_id)
        if store.is_running(trial_id):
            continue
        found += folder.glob(".*.tmp")
        if store.has_result(trial_id):
            found += [store.checkpoint(trial_id), folder / "progress.json", folder / "lock"]
        elif not store.has_ended(trial_id) and not store.checkpoint(trial_id).exists():
            found += [folder / "progress.json", folder / "lock"]
    return {path: path.stat().st_size for path in found if path.exists()}


def to_dict(each: Standing) -> dict[str, Any]:
    return {
        "trial_id": each.trial_id,
        "state": each.state,
        "where": each.where or None,
        "since": each.since,
        "epoch": each.epoch,
        "epochs": each.epochs,
        "left_s": each.left_s,
        "reason": each.reason or None,
        "log": None if each.log is None else str(each.log),
    }
