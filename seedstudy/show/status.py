"""What `status` prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import duration, table

if TYPE_CHECKING:
    from seedstudy.engines.status import GroupStatus, StudyStatus, TrialStatus


def status_tables(status: StudyStatus) -> RenderableType:
    """Render how many trials are in each state, and a line on each that runs or ended without a result."""
    return Group(*_parts(status))


def _parts(status: StudyStatus) -> Iterator[RenderableType]:
    if status.groups:
        yield _counts(status.groups)
    if status.n_imported:
        trials = "1 imported trial" if status.n_imported == 1 else f"{status.n_imported} imported trials"
        yield Text(f"{trials}, trained elsewhere: `seedstudy summary` shows them.")
    for trial in status.trials:
        line = _line(trial)
        if line:
            # Not wrapped: a path that is broken in two cannot be copied.
            yield Text(f"{trial.trial_id}: {line}", no_wrap=True, overflow="ignore")
    if status.time_left_s is not None:
        yield Text(f"time left: about {duration(status.time_left_s)}")


def _counts(groups: tuple[GroupStatus, ...]) -> RenderableType:
    # Ten columns do not fit beside names: those without a trial are left out.
    states = [state for state in groups[0].counts if any(group.counts[state] for group in groups)]
    counts = table(["recipe", "model", "data"], states)
    for group in groups:
        counts.add_row(group.recipe, group.model, group.data, *(str(group.counts[state] or "·") for state in states))
    return counts


def _line(trial: TrialStatus) -> str:
    """Return what the table cannot say of a trial: where, for how long, why; empty where there is nothing to say."""
    match trial.state:
        case "running":
            since = "" if trial.since is None else f" for {duration(time.time() - trial.since)}"
            epoch = "" if trial.epoch is None else f", epoch {trial.epoch}/{trial.epochs}"
            left = "" if trial.left_s is None else f", {duration(trial.left_s)} left"
            quiet = "" if trial.quiet_s is None else f", no progress for {trial.quiet_s / 60:.0f} min, pid {trial.pid}"
            return f"running on {trial.where}{since}{epoch}{left}{quiet}"
        case "failed" | "diverged":
            return (trial.reason or "") + (f" ({trial.log})" if trial.log and trial.state == "failed" else "")
        case "lost" | "interrupted":
            epoch = "" if trial.epoch is None else f" after epoch {trial.epoch}"
            return f"{trial.state} on {trial.where}{epoch}: {trial.reason} ({trial.log or 'no log'})"
        case _:
            return ""
