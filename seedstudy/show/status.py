"""What `status` prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from seedstudy.show.format import duration, table

if TYPE_CHECKING:
    from seedstudy.engines.status import TrialStatus

_STATES = ("planned", "queued", "running", "ok", "diverged", "failed", "interrupted", "lost", "damaged")


def status_table(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render how many trials of each recipe and model are in each state."""
    counts = table(["recipe", "model", "data"], _STATES)
    for row in rows:
        states = [str(row[state]) if row[state] else "·" for state in _STATES]
        counts.add_row(row["recipe"], row["model"], row["data"], *states)
    return counts


def trial_lines(trials: Iterable[TrialStatus]) -> list[str]:
    """Say of each trial that runs, or ended without a result, what the table cannot: where, how long, why."""
    return [f"{trial.trial_id}: {line}" for trial in trials if (line := _line(trial))]


def _line(trial: TrialStatus) -> str:
    match trial.state:
        case "running":
            since = "" if trial.since is None else f" for {duration(time.time() - trial.since)}"
            epoch = "" if trial.epoch is None else f", epoch {trial.epoch}/{trial.epochs}"
            left = "" if trial.left_s is None else f", {duration(trial.left_s)} left"
            return f"running on {trial.where}{since}{epoch}{left}"
        case "failed" | "diverged":
            return (trial.reason or "") + (f" ({trial.log})" if trial.log and trial.state == "failed" else "")
        case "lost" | "interrupted":
            epoch = "" if trial.epoch is None else f" after epoch {trial.epoch}"
            return f"{trial.state} on {trial.where}{epoch}: {trial.reason} ({trial.log or 'no log'})"
        case _:
            return ""


def time_left_line(seconds: float) -> str:
    return f"time left: about {duration(seconds)}"
