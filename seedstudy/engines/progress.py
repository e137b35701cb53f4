"""Live progress of a study on stderr: trials, epochs, images/s, time left, running mean ± std per eval set."""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text


class Listener(Protocol):
    """What an engine tells while it works."""

    def started(self, trial_id: str) -> None: ...
    def epoch(self, trial_id: str, epoch: int, images_per_s: float) -> None: ...
    def ended(self, trial_id: str, status: str, rows: Iterable[Mapping[str, Any]]) -> None: ...
    def note(self, text: str) -> None: ...


class StudyProgress:
    """Shows a live table on a terminal, and one line per finished trial everywhere else."""

    def __init__(self, epochs: Mapping[str, int], done_rows: Iterable[Mapping[str, Any]]) -> None:
        """``epochs``: trial id -> epochs to train, of the trials still missing; ``done_rows``: TRIALS so far."""
        self._epochs = dict(epochs)
        self._running: dict[str, tuple[int, float]] = {}
        self._n_ended, self._epochs_done, self._started_at = 0, 0, time.monotonic()
        self._accuracy: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in done_rows:
            self._count(row)
        self._console = Console(file=sys.stderr)
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("trials", total=len(self._epochs), left="")
        self._live = Live(self._render(), console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> StudyProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, trial_id: str) -> None:
        self._running[trial_id] = (0, 0.0)
        self._refresh()

    def epoch(self, trial_id: str, epoch: int, images_per_s: float) -> None:
        self._epochs_done += epoch - self._running.get(trial_id, (0, 0.0))[0]
        self._running[trial_id] = (epoch, images_per_s)
        self._refresh()

    def ended(self, trial_id: str, status: str, rows: Iterable[Mapping[str, Any]]) -> None:
        reached, _ = self._running.pop(trial_id, (0, 0.0))
        self._epochs_done += self._epochs[trial_id] - reached
        self._n_ended += 1
        for row in rows:
            self._count(row)
        self._refresh()
        if not self._console.is_terminal or status != "ok":
            means = "; ".join(self._means())
            line = f"[{self._n_ended}/{len(self._epochs)}] {trial_id}: {status}, {self._time_left()}"
            self.note(f"{line} | {means}" if means else line)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _count(self, row: Mapping[str, Any]) -> None:
        if row["status"] == "ok":
            accuracy = 100 * row["n_correct"] / row["n_examples"]
            self._accuracy[f"{row['recipe']}@{row['model']}", row["eval_set"]].append(accuracy)

    def _means(self) -> Iterable[str]:
        groups: dict[str, list[str]] = defaultdict(list)
        for (group, eval_set), values in self._accuracy.items():
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            groups[group].append(f"{eval_set} {statistics.fmean(values):.2f}{spread}")
            n = len(values)
        return [f"{group} (n = {n}): {', '.join(sets)}" for group, sets in groups.items()]

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
