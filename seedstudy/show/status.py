"""What `status` prints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seedstudy.show.format import UNKNOWN, duration
from seedstudy.show.sheet import Sheet, sheet, with_common_facts
from seedstudy.show.view import Headline, View

if TYPE_CHECKING:
    from seedstudy.engines.status import Forecast, GroupStatus, StudyStatus, TrialStatus


def status_tables(status: StudyStatus) -> View:
    """Return how many trials are in each state, and a line on each that runs or ended without a result."""
    return View(
        headlines=tuple(Headline(text=text) for text in _in_words(status)),
        sheets=(_counts(status.groups),) if status.groups else (),
        lines=(*_imported(status.n_imported), *_lines(status.trials)),
        sentences=() if status.time_left_s is None else (f"time left: about {duration(status.time_left_s)}",),
    )


def forecast_view(forecast: Forecast, command: str) -> View:
    """Return what a run would train, and for how long; `command`: the run for a first trial of what was never timed."""
    rows = [
        (
            group.recipe,
            group.model,
            group.data,
            str(group.trials),
            str(group.done),
            str(group.missing),
            UNKNOWN if group.epochs is None else str(group.epochs),
            UNKNOWN if group.seconds is None else duration(group.seconds),
        )
        for group in forecast.groups
    ]
    missing = sum(group.missing for group in forecast.groups)
    at_a_time = "" if forecast.workers is None else f", {forecast.workers} at a time"
    steps: tuple[str, ...] = ()
    if not missing:
        words = f"Nothing to train: every trial of study {forecast.study} has ended."
    elif forecast.seconds is not None:
        words = f"{_trials(missing)} to train{at_a_time}: about {duration(forecast.seconds)}."
    else:
        words = f"{_trials(missing)} to train{at_a_time}. How long they take is not known: none has run here yet."
        steps = ("To find out, train one seed first (its result counts):",)
    heads = ["trials", "done", "to train", "epochs", "time each"]
    caption = f"study {forecast.study} · {forecast.folder}"
    return View(
        headlines=(Headline(text=words),),
        sheets=(with_common_facts(sheet(("recipe", "model", "data"), heads, rows, caption=caption)),),
        next_steps=steps,
        command=command if steps else None,
        method="Nothing was trained or written.",
    )


def _trials(n: int) -> str:
    return "1 trial" if n == 1 else f"{n} trials"


def _imported(n: int) -> Iterator[str]:
    if n:
        trials = "1 imported trial" if n == 1 else f"{n} imported trials"
        yield f"{trials}, trained elsewhere: `seedstudy summary` shows them."


def _in_words(status: StudyStatus) -> Iterator[str]:
    """Say how many trials have a result, and how many are in each other state."""
    counts = sum((Counter(group.counts) for group in status.groups), Counter[str]())
    n, done = counts.total(), counts.pop("ok", 0)
    if not n:
        return
    others = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    of_all = f"{_trials(n)}, all done" if done == n else f"{done} of {_trials(n)} done; {others}"
    yield f"Study {status.study}: {of_all}."


def _counts(groups: tuple[GroupStatus, ...]) -> Sheet:
    # Ten columns do not fit beside names: those without a trial are left out.
    states = [state for state in groups[0].counts if any(group.counts[state] for group in groups)]
    rows = [
        (group.recipe, group.model, group.data, *(str(group.counts[state] or "·") for state in states))
        for group in groups
    ]
    return with_common_facts(sheet(("recipe", "model", "data"), states, rows))


def _lines(trials: Sequence[TrialStatus]) -> Iterator[str]:
    """Yield a line on each trial that the table does not describe; trials that failed for one reason share it."""
    alike: dict[tuple[str, str], list[TrialStatus]] = {}
    for trial in trials:
        is_failed = trial.state in ("failed", "diverged") and trial.reason
        alike.setdefault((trial.state, trial.reason or "") if is_failed else (trial.trial_id, ""), []).append(trial)
    for same in alike.values():
        if line := _line(same[0]):
            more = "" if len(same) == 1 else f" and {len(same) - 1} more"
            yield f"{same[0].trial_id}{more}: {line}"


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
