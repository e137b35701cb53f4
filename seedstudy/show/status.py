"""What `status` prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import duration, table

if TYPE_CHECKING:
    from seedstudy.engines.status import State, StudyStatus, TrialStatus

_STATES: tuple[State, ...] = (
    "planned",
    "queued",
    "running",
    "ok",
    "diverged",
    "failed",
    "interrupted",
    "lost",
    "damaged",
)


def status_tables(status: StudyStatus) -> RenderableType:
    """Render how many trials of each recipe are in each state, and of single trials what the table cannot say."""
    parts: list[RenderableType] = []
    if status.groups:
        counts = table(["recipe", "model", "data"], _STATES)
        for group in status.groups:
            states = [str(group.counts[state] or "·") for state in _STATES]
            counts.add_row(group.recipe, group.model, group.data, *states)
        parts.append(counts)
    if status.n_imported:
        trials = "1 imported trial" if status.n_imported == 1 else f"{status.n_imported} imported trials"
        parts.append(Text(f"{trials}, trained elsewhere: `seedstudy summary` shows them."))
    parts += [Text(f"{trial.trial_id}: {line}") for trial in status.trials if (line := _line(trial))]
    if status.time_left_s is not None:
        parts.append(Text(f"time left: about {duration(status.time_left_s)}"))
    return Group(*parts)


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
