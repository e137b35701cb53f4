"""Waiting for trials under any engine, with live progress: files show what happened, the engine what it has let go."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from seedstudy.engines.worker import MAX_ATTEMPTS
from seedstudy.errors import SeedstudyError
from seedstudy.store.lease import Holder
from seedstudy.store.store import Store

Say = Callable[[str], None]
"""Shows one line to the user."""

_MAX_PAUSE_S = 10.0
_SHARE = 0.05
"""At most this share of the time goes into looking at files, however many there are and however slow the disk is."""


class Engine(Protocol):
    """Anything that can run the command `seedstudy trial`."""

    outlives_launcher: bool
    """Whether submitted trials go on when the launcher is gone."""
    pause_s: float
    """Seconds between two polls."""

    def submit(self, trial_ids: Sequence[str]) -> None:
        """Have these trials trained, now or later."""

    def poll(self) -> set[str]:
        """Return the trials that a process or a queue still has."""

    def cancel(self) -> None:
        """Stop all submitted trials; they keep their state."""


class Cancelled(Exception):
    """`seedstudy cancel` was called for the study."""


def watch(engine: Engine, store: Store, trial_ids: Sequence[str], progress: StudyProgress) -> None:
    """Submit trials, and submit lost ones again, until each has a result or a failure; raises Cancelled."""
    watched = _Watched(store, trial_ids, progress)
    cancelled = store.cancel_mark()
    polled = -engine.pause_s
    held: set[str] = set()
    while watched.open:
        started = time.monotonic()
        if store.cancel_mark() != cancelled:
            raise Cancelled
        if started - polled >= engine.pause_s:
            held, polled = engine.poll(), started
        free = [trial_id for trial_id in watched.update() if trial_id not in held]
        if free and polled == started:  # the engine has let them go and they have not ended: not yet submitted, or lost
            submitted = watched.worth_submitting(free)
            if submitted:
                engine.submit(submitted)
                held.update(submitted)
        spent = time.monotonic() - started
        if watched.open:
            time.sleep(min(max(spent / _SHARE, min(engine.pause_s, 0.5)), _MAX_PAUSE_S))


class _Watched:
    """The trials that have not ended, as their folders show them."""

    def __init__(self, store: Store, trial_ids: Sequence[str], progress: StudyProgress) -> None:
        self.open = dict.fromkeys(trial_ids)
        self._store, self._progress = store, progress
        self._holders: dict[str, Holder | None] = {}
        self._n_fruitless: Counter[str] = Counter()

    def update(self) -> list[str]:
        """Pass on what has ended and how far the others are; returns those that no process trains now."""
        idle = []
        for trial_id in list(self.open):
            if not self._store.was_started(trial_id):
                idle.append(trial_id)
            elif self._store.has_ended(trial_id):
                self._end(trial_id)
            elif self._store.is_running(trial_id):
                written = self._store.progress(trial_id)
                self._progress.epoch(trial_id, written.get("epoch", 0), written.get("images_per_s", 0.0))
            else:
                idle.append(trial_id)
        return idle

    def worth_submitting(self, trial_ids: Sequence[str]) -> list[str]:
        """Return the given trials but those that were submitted several times in a row and never began."""
        worth = []
        for trial_id in trial_ids:
            holder = self._store.holder(trial_id)
            is_same = trial_id in self._holders and self._holders[trial_id] == holder
            self._n_fruitless[trial_id] = self._n_fruitless[trial_id] + 1 if is_same else 0
            self._holders[trial_id] = holder
            if self._n_fruitless[trial_id] < MAX_ATTEMPTS:
                worth.append(trial_id)
                continue
            del self.open[trial_id]
            self._progress.note(f"{trial_id}: was submitted {MAX_ATTEMPTS} times and never began")
            self._progress.ended(trial_id, "interrupted", [])
        return worth

    def _end(self, trial_id: str) -> None:
        del self.open[trial_id]
        try:
            state, rows = self._store.read_trial(trial_id)
        except SeedstudyError as error:
            self._progress.note(str(error))
            state, rows = "damaged", []
        self._progress.ended(trial_id, state, rows)


class StudyProgress:
    """Progress on stderr: a live table on a terminal, one line per finished trial everywhere else.

    Trials, epochs, images/s, time left, and the running mean ± std of each eval set.
    """

    def __init__(self, epochs: Mapping[str, int], done_rows: Iterable[Mapping[str, Any]]) -> None:
        """``epochs``: trial id -> epochs to train, of the missing trials; ``done_rows``: TRIALS rows of the others."""
        self._epochs = dict(epochs)
        self._running: dict[str, tuple[int, float]] = {}
        self._n_ended, self._epochs_done, self._started_at = 0, 0, time.monotonic()
        self._accuracy: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in done_rows:
            self._count(row)
        self._console = Console(file=sys.stderr)
        left = TextColumn("{task.fields[left]}")
        self._bar = Progress(TextColumn("trials"), BarColumn(), MofNCompleteColumn(), left, console=self._console)
        self._task = self._bar.add_task("trials", total=len(self._epochs), left="")
        self._live = Live(self._render(), console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> StudyProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def epoch(self, trial_id: str, epoch: int, images_per_s: float) -> None:
        """Show how many epochs of a trial are done; 0 when it has started."""
        before, _ = self._running.get(trial_id, (-1, 0.0))
        if epoch > before:
            self._epochs_done += epoch - max(before, 0)
            self._running[trial_id] = (epoch, images_per_s)
            self._refresh()

    def ended(self, trial_id: str, state: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count a trial as ended, with its TRIALS rows."""
        reached, _ = self._running.pop(trial_id, (0, 0.0))
        self._epochs_done += self._epochs[trial_id] - reached
        self._n_ended += 1
        for row in rows:
            self._count(row)
        self._refresh()
        if not self._console.is_terminal or state != "ok":
            means = "; ".join(self._means())
            line = f"[{self._n_ended}/{len(self._epochs)}] {trial_id}: {state}, {self._time_left()}"
            self.note(f"{line} | {means}" if means else line)

    def note(self, text: str) -> None:
        """Print a line above the live table."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _count(self, row: Mapping[str, Any]) -> None:
        if row["status"] == "ok":
            accuracy = 100 * row["n_correct"] / row["n_examples"]
            self._accuracy[f"{row['recipe']}@{row['model']}", row["eval_set"]].append(accuracy)

    def _means(self) -> list[str]:
        groups: dict[str, list[str]] = defaultdict(list)
        n_seeds: dict[str, int] = {}
        for (group, eval_set), values in self._accuracy.items():
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            groups[group].append(f"{eval_set} {statistics.fmean(values):.2f}{spread}")
            n_seeds[group] = len(values)
        return [f"{group} (n = {n_seeds[group]}): {', '.join(sets)}" for group, sets in groups.items()]

    def _time_left(self) -> str:
        if not self._epochs_done:
            return "time left: not known yet"
        elapsed = time.monotonic() - self._started_at
        left = (sum(self._epochs.values()) - self._epochs_done) * elapsed / self._epochs_done
        return f"time left {int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}"

    def _render(self) -> Group:
        lines = [
            Text(f"  {trial_id}  epoch {epoch}/{self._epochs[trial_id]}  {speed:,.0f} images/s")
            for trial_id, (epoch, speed) in self._running.items()
        ]
        return Group(self._bar, *lines, *(Text(f"  {mean}") for mean in self._means()))

    def _refresh(self) -> None:
        self._bar.update(self._task, completed=self._n_ended, left=self._time_left())
        if self._live.is_started:
            self._live.update(self._render())
