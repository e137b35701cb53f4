"""From what is missing to what has ended, whatever the engine: engines tell what is gone, files tell what happened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from seedstudy.engines.progress import Listener
from seedstudy.engines.worker import MAX_ATTEMPTS
from seedstudy.errors import SeedstudyError
from seedstudy.store.lease import Holder
from seedstudy.store.store import Store

_LONGEST_PAUSE_S = 10.0
_SHARE = 0.05
"""At most this share of the time goes into looking at files, however many there are and however far away."""


class Engine(Protocol):
    """Whatever can run the command `seedstudy trial`."""

    outlives_launcher: bool
    """Whether what was submitted goes on when the launcher is gone."""
    pause_s: float
    """Seconds between two polls."""

    def submit(self, trial_ids: Sequence[str]) -> None:
        """See to it that some process trains these trials, now or later."""

    def poll(self) -> set[str]:
        """Return the trials that a process or a queue still has."""

    def cancel(self) -> None:
        """Stop in order all that was submitted: trainings keep their state."""


class Cancelled(Exception):
    """`seedstudy cancel` was called for the study."""


def watch(engine: Engine, store: Store, trial_ids: Sequence[str], listener: Listener) -> None:
    """Submit trials, and again those that are lost, until each has a result or a failure.

    Raises
    ------
    Cancelled
        The user ended the study from elsewhere.

    """
    watched = _Watched(store, trial_ids, listener)
    cancelled = store.cancel_mark()
    polled = -engine.pause_s
    held: set[str] = set()
    while watched.open:
        started = time.monotonic()
        if store.cancel_mark() != cancelled:
            raise Cancelled
        if started - polled >= engine.pause_s:
            held, polled = engine.poll(), started
        free = [trial_id for trial_id in watched.look() if trial_id not in held]
        if free and polled == started:  # what the engine has let go and the files do not show as ended is lost
            submitted = watched.without_hopeless(free)
            if submitted:
                engine.submit(submitted)
                held.update(submitted)
        spent = time.monotonic() - started
        if watched.open:
            time.sleep(min(max(spent / _SHARE, min(engine.pause_s, 0.5)), _LONGEST_PAUSE_S))


class _Watched:
    """The trials that have not ended, as their folders show them."""

    def __init__(self, store: Store, trial_ids: Sequence[str], listener: Listener) -> None:
        self.open = dict.fromkeys(trial_ids)
        self._store, self._listener = store, listener
        self._epochs: dict[str, int] = {}
        self._holders: dict[str, Holder | None] = {}
        self._in_vain: Counter[str] = Counter()

    def look(self) -> list[str]:
        """Take note of what has ended and how far the others are; return those that no process trains now."""
        idle = []
        for trial_id in list(self.open):
            if not self._store.was_started(trial_id):
                idle.append(trial_id)
            elif self._store.has_ended(trial_id):
                self._end(trial_id)
            elif self._store.is_running(trial_id):
                self._follow(trial_id)
            else:
                idle.append(trial_id)
        return idle

    def without_hopeless(self, trial_ids: Sequence[str]) -> list[str]:
        """Return the trials that are worth submitting: not those that were, again and again, and never began."""
        hopeful = []
        for trial_id in trial_ids:
            holder = self._store.holder(trial_id)
            is_same = trial_id in self._holders and self._holders[trial_id] == holder
            self._in_vain[trial_id] = self._in_vain[trial_id] + 1 if is_same else 0
            self._holders[trial_id] = holder
            if self._in_vain[trial_id] < MAX_ATTEMPTS:
                hopeful.append(trial_id)
                continue
            del self.open[trial_id]
            self._listener.note(f"{trial_id}: was given to the engine {MAX_ATTEMPTS} times and never began")
            self._listener.ended(trial_id, "interrupted", [])
        return hopeful

    def _end(self, trial_id: str) -> None:
        del self.open[trial_id]
        try:
            state, rows = self._store.read_trial(trial_id)
        except SeedstudyError as error:
            self._listener.note(str(error))
            state, rows = "interrupted", []
        self._listener.ended(trial_id, state, rows)

    def _follow(self, trial_id: str) -> None:
        if trial_id not in self._epochs:
            self._epochs[trial_id] = 0
            self._listener.started(trial_id)
        progress = self._store.progress(trial_id)
        epoch = progress.get("epoch", 0)
        if epoch > self._epochs[trial_id]:
            self._epochs[trial_id] = epoch
            self._listener.epoch(trial_id, epoch, progress.get("images_per_s", 0.0))
