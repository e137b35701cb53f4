"""Waiting for trials under any engine, with live progress: files show what happened, the engine what it has let go."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from seedstudy import terminal
from seedstudy.engines.attempts import MAX_ATTEMPTS
from seedstudy.errors import SeedstudyError, StoreError, printable
from seedstudy.store.lease import Holder
from seedstudy.store.store import Store
from seedstudy.study.group import label_of

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

    def withdrawn(self) -> set[str]:
        """Return the trials that a person took out of the queue since they were submitted."""

    def end(self, trial_id: str) -> None:
        """End the process that trains a trial, which hangs: the trial is then lost, and submitted again."""

    def cancel(self) -> None:
        """Stop all submitted trials; they keep their state."""


class Cancelled(Exception):
    """`seedstudy cancel` was called for the study."""


def watch(
    engine: Engine,
    store: Store,
    trial_ids: Sequence[str],
    progress: StudyProgress,
    *,
    cancel_mark: int,
    hang_timeout_s: float | None = None,
) -> None:
    """Submit trials, and submit lost ones again, until each has a result or a failure.

    ``cancel_mark`` is the study's when the launcher began: another one raises Cancelled. A trial that does not get on
    is named, and after ``hang_timeout_s`` it is ended and submitted again. Raises StoreError where the study's folder
    is gone.
    """
    watched = _Watched(store, trial_ids, progress)
    polled = -engine.pause_s
    held: set[str] = set()
    while watched.open:
        started = time.monotonic()
        if store.cancel_mark() != cancel_mark:
            raise Cancelled
        if started - polled >= engine.pause_s:
            held, polled = engine.poll(), started
            watched.leave_out(engine.withdrawn(), "was taken out of the queue; the same command submits it again")
        free = [trial_id for trial_id in watched.update() if trial_id not in held]
        if free and polled == started:  # the engine has let them go and they have not ended: not yet submitted, or lost
            submitted = watched.worth_submitting(free)
            if submitted:
                engine.submit(submitted)
                held.update(submitted)
        for trial_id in watched.hanging(hang_timeout_s):
            engine.end(trial_id)
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
        self._quiet = _Quiet(store, progress.note)

    def update(self) -> list[str]:
        """Pass on what has ended and how far the others are; returns those that no process trains now."""
        idle = []
        for trial_id in list(self.open):
            if not self._store.was_started(trial_id):
                if self._store.is_planned(trial_id):
                    idle.append(trial_id)
                else:
                    self._note_removed(trial_id)
            elif self._store.has_ended(trial_id):
                self._end(trial_id)
            elif self._store.is_running(trial_id):
                written = self._store.progress(trial_id)
                self._quiet.look(trial_id, written)
                self._progress.epoch(trial_id, written.get("epoch", 0), written.get("images_per_s", 0.0))
            else:
                idle.append(trial_id)
        return idle

    def hanging(self, timeout_s: float | None) -> list[str]:
        """Return the trials that have not got on for so long, each once."""
        return [] if timeout_s is None else [each for each in self.open if self._quiet.is_longer(each, timeout_s)]

    def leave_out(self, trial_ids: Iterable[str], why: str) -> None:
        """Wait for these no longer, those that run excepted."""
        for trial_id in trial_ids:
            if trial_id in self.open and not self._store.is_running(trial_id):
                del self.open[trial_id]
                self._progress.note(f"{trial_id}: {why}")
                self._progress.ended(trial_id, "interrupted", [])

    def _note_removed(self, trial_id: str) -> None:
        """Leave out a trial that somebody removed; it is not planned again by itself. Nor is a whole study."""
        if not self._store.root.is_dir():
            raise StoreError(f"{self._store.root}: the study was removed or renamed while it was trained: it stays so.")
        self.leave_out([trial_id], "was removed while the study was trained; the same command plans it again")

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
            self.leave_out([trial_id], f"was submitted {MAX_ATTEMPTS} times and never began")
        return worth

    def _end(self, trial_id: str) -> None:
        del self.open[trial_id]
        try:
            state, rows = self._store.read_trial(trial_id)
        except SeedstudyError as error:
            self._progress.note(str(error))
            state, rows = "damaged", []
        self._progress.ended(trial_id, state, rows, why=self._reason(trial_id) if state == "failed" else "")

    def _reason(self, trial_id: str) -> str:
        try:
            return str(self._store.failure(trial_id).get("reason", ""))
        except SeedstudyError:  # another launcher trains it again at this moment
            return ""


class _Quiet:
    """How long each running trial has shown no progress, by this process's own clock."""

    def __init__(self, store: Store, say: Say) -> None:
        self._store, self._say = store, say
        self._seen: dict[str, tuple[Any, float]] = {}
        """Trial -> the holder and progress that were seen last, and when they were first seen."""
        self._named: set[str] = set()

    def look(self, trial_id: str, progress: Mapping[str, Any]) -> None:
        """Note what a running trial's files say; one line where they have said the same for too long."""
        sign = self._store.holder(trial_id), dict(progress)
        before, since = self._seen.get(trial_id, (None, 0.0))
        if sign != before:
            self._seen[trial_id] = sign, time.monotonic()
            self._named.discard(trial_id)
            return
        quiet_s = time.monotonic() - since
        if trial_id not in self._named and quiet_s > longest_quiet_s(progress):
            self._named.add(trial_id)
            self._say(f"{trial_id}: {no_progress(quiet_s, sign[0])}")

    def is_longer(self, trial_id: str, timeout_s: float) -> bool:
        """Say whether a trial has been quiet for longer; it then counts anew."""
        if trial_id not in self._seen or time.monotonic() - self._seen[trial_id][1] <= timeout_s:
            return False
        del self._seen[trial_id]
        self._say(f"{trial_id}: no progress for {timeout_s / 60:g} min (--hang-timeout); its process is ended")
        return True


_QUIET_S, _TIMES_AS_LONG = 600.0, 10.0


def longest_quiet_s(progress: Mapping[str, Any]) -> float:
    """Return how long a training may show no progress before that is said: some minutes, and ten times the usual."""
    usual_s: float = progress.get("longest_s", 0.0)
    return max(_QUIET_S, _TIMES_AS_LONG * usual_s)


def no_progress(quiet_s: float, holder: Holder | None) -> str:
    """Return for how long which process has shown no progress, in words."""
    who = "" if holder is None else f", pid {holder.pid} on {holder.host}"
    return f"no progress for {quiet_s / 60:.0f} min{who}"


_SHARE_TO_TELL, _LONG_ENOUGH_S = 0.02, 30.0
"""A time left is shown after such a share of all epochs, or so many seconds, since the first epoch."""


def mean_and_std(values: Sequence[float]) -> str:
    """Return "mean ± std" of seeds; the mean alone of one."""
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def _name_of(eval_set: str, metric: str) -> str:
    """Return what a command's number is: its metric, after the eval set where the name does not say it."""
    return metric if metric.startswith(f"{eval_set}_") else " ".join(filter(None, (eval_set, metric)))


class StudyProgress:
    """Progress on stderr: a live table on a terminal, one line per finished trial everywhere else.

    Trials, epochs, images/s, time left, and the running mean ± std of each eval set.
    """

    def __init__(
        self,
        epochs: Mapping[str, int],
        done_rows: Iterable[Mapping[str, Any]],
        *,
        log: Callable[[str, Sequence[Mapping[str, Any]], Say], None] | None = None,
    ) -> None:
        """``epochs``: trial id -> epochs to train, of the missing trials; ``done_rows``: TRIALS rows of the others.

        ``log`` receives each trial that ends with a result, its rows, and how to say a line.
        """
        self._log = log
        self._epochs = dict(epochs)
        self._running: dict[str, tuple[int, float]] = {}
        self._n_ended, self._epochs_done = 0, 0
        self._reasons: set[str] = set()
        """Why trials failed; each is said once."""
        self._first: tuple[float, int] | None = None
        """When the first epoch was done, and how many were then: what came before is start-up."""
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in done_rows:
            self._count(row)
        self._console = terminal.console(on_stderr=True)
        left = TextColumn("{task.fields[left]}")
        bar = BarColumn(bar_width=24)
        self._bar = Progress(TextColumn("trials"), bar, MofNCompleteColumn(), left, console=self._console)
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

    def ended(self, trial_id: str, state: str, rows: Iterable[Mapping[str, Any]], *, why: str = "") -> None:
        """Count a trial as ended, with its TRIALS rows, and why it failed."""
        reached, _ = self._running.pop(trial_id, (0, 0.0))
        self._epochs_done += self._epochs[trial_id] - reached
        self._n_ended += 1
        rows = list(rows)
        for row in rows:
            self._count(row)
        self._refresh()
        if self._log is not None and rows:
            self._log(trial_id, rows, self.note)
        if not self._console.is_terminal or state != "ok":
            because = f" ({printable(why) if why not in self._reasons else 'the same reason'})" if why else ""
            self._reasons.add(why)
            # The recipe's own means: those of all recipes, at every trial, would bury it.
            means = "; ".join(self._means({label_of(row["recipe"], row["model"]) for row in rows}))
            line = f"[{self._n_ended}/{len(self._epochs)}] {trial_id}: {state}{because}, {self._time_left()}"
            self.note(f"{line} | {means}" if means else line)

    def note(self, text: str) -> None:
        """Print a line above the live table."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _count(self, row: Mapping[str, Any]) -> None:
        if row["status"] == "ok":
            counted = row["n_correct"] is not None
            value = 100 * row["n_correct"] / row["n_examples"] if counted else row["value"]
            name = row["eval_set"] if counted else _name_of(row["eval_set"], row["metric"])
            self._values[label_of(row["recipe"], row["model"]), name].append(value)

    def _means(self, of: Collection[str] | None = None) -> list[str]:
        """Return the running means of each recipe, with its number of seeds; of each eval set where these differ."""
        groups: dict[str, dict[str, list[float]]] = defaultdict(dict)
        for (group, eval_set), values in self._values.items():
            if of is None or group in of:
                groups[group][eval_set] = values
        lines = []
        for group, sets in groups.items():
            counts = {len(values) for values in sets.values()}
            shown = [
                f"{name} {mean_and_std(values)}" + (f" (n = {len(values)})" if len(counts) > 1 else "")
                for name, values in sets.items()
            ]
            n = f" (n = {counts.pop()})" if len(counts) == 1 else ""
            lines.append(f"{group}{n}: {', '.join(shown)}")
        return lines

    def _time_left(self) -> str:
        """Return the time left, where enough was done since the first epoch to tell; start-up does not count."""
        if self._epochs_done and self._first is None:
            self._first = time.monotonic(), self._epochs_done
        if self._first is None:
            return "time left: not known yet"
        (at, before), done = self._first, self._epochs_done
        elapsed, total = time.monotonic() - at, sum(self._epochs.values())
        if done == total:
            return "time left 0:00:00"
        if done - before < max(2, _SHARE_TO_TELL * total) and not (done > before and elapsed > _LONG_ENOUGH_S):
            return "time left: not known yet"
        left = (total - done) * elapsed / (done - before)
        return f"time left {int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}"

    def _render(self) -> Group:
        lines = [
            Text(f"  epoch {epoch}/{self._epochs[trial_id]}  {speed:,.0f} images/s  {trial_id.rpartition('-')[0]}")
            for trial_id, (epoch, speed) in self._running.items()
        ]
        waiting = [] if lines or self._n_ended else [Text("  starting: nothing has reported yet")]
        return Group(self._bar, *lines, *waiting, *(Text(f"  {mean}") for mean in self._means()))

    def _refresh(self) -> None:
        self._bar.update(self._task, completed=self._n_ended, left=self._time_left())
        if self._live.is_started:
            self._live.update(self._render())
