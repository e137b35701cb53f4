"""Trials on this machine: long-lived worker processes that pull from one plan."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedstudy.engines.progress import Listener
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.store import Store
from seedstudy.study import Trial

MAX_ATTEMPTS = 3
"""How often a trial is started whose worker dies without a word (killed, out of memory)."""

_BUSY_WAIT_S = 2.0
_STOP_WAIT_S = 5.0

_CPU_ENVIRONMENT = {
    # One process with one thread per core beats one process with several threads at these sizes.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Keep freed memory: training allocates and frees the same large blocks at every step (glibc).
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    worker: _Worker
    content: dict[str, Any]


class _Worker:
    """One worker process; a thread turns its lines into answers."""

    def __init__(self, store: Store, environment: dict[str, str], answers: queue.Queue[_Answer]) -> None:
        self.trial_id: str | None = None
        self.is_idle = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process that writes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seedstudy.engines.worker", str(store.root.parent), store.study],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which then stops its workers
        )
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()

    def ask(self, **request: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; its thread says so

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self) -> None:
        try:
            self._process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"exit status {code}, {lines[-1] if lines else 'no last words'}"

    def _listen(self, answers: queue.Queue[_Answer]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answers.put(_Answer(worker=self, content=json.loads(line)))
        answers.put(_Answer(worker=self, content={"event": "gone"}))


class LocalEngine:
    """Runs a study's missing trials in ``n_workers`` processes; ends when each has a result or a failure."""

    def __init__(self, store: Store, *, n_workers: int, prepared: Path, listener: Listener) -> None:
        self._store, self._prepared, self._listener = store, prepared, listener
        self._answers: queue.Queue[_Answer] = queue.Queue()
        self._environments = worker_environments(n_workers)
        self._workers: list[_Worker] = []
        self._attempts: Counter[str] = Counter()
        self._waiting: deque[tuple[float, str]] = deque()

    def __enter__(self) -> LocalEngine:
        self._workers = [self._start(environment) for environment in self._environments]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.wait()

    def check(self, trials: Iterable[Trial], n_classes: int) -> None:
        """Ask a worker whether every model exists and can be trained by its recipe; raises StudyError."""
        distinct = {(trial.model, trial.recipe.recipe_id): trial.to_dict() for trial in trials}
        self._workers[0].ask(do="check", specs=list(distinct.values()), n_classes=n_classes)
        while True:
            answer = self._answers.get()
            match answer.content["event"]:
                case "checked":
                    return
                case "wrong":
                    raise StudyError(answer.content["message"])
                case "gone":
                    raise SeedstudyError(f"a worker could not start: {answer.worker.last_words()}.")
                case "ready":
                    answer.worker.is_idle = True

    def train(self, trial_ids: Sequence[str]) -> None:
        """Train until every trial has a result or a failure record."""
        self._waiting = deque((0.0, trial_id) for trial_id in trial_ids)
        missing = set(trial_ids)
        while missing:
            self._hand_out()
            try:
                answer = self._answers.get(timeout=_BUSY_WAIT_S / 2)
            except queue.Empty:
                continue
            ended = self._take(answer)
            missing.discard(ended or "")

    def _start(self, environment: dict[str, str]) -> _Worker:
        return _Worker(self._store, environment, self._answers)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if not worker.is_idle or not self._waiting or self._waiting[0][0] > time.monotonic():
                continue
            _, worker.trial_id = self._waiting.popleft()
            worker.is_idle = False
            self._listener.started(worker.trial_id)
            worker.ask(do="train", trial_id=worker.trial_id, prepared=str(self._prepared))

    def _take(self, answer: _Answer) -> str | None:
        """Act on one answer; returns the trial that ended by it."""
        worker, trial_id = answer.worker, answer.worker.trial_id
        match answer.content["event"]:
            case "ready" | "checked":
                worker.is_idle = trial_id is None
            case "epoch":
                assert trial_id is not None
                self._listener.epoch(trial_id, answer.content["epoch"], answer.content["images_per_s"])
            case "wrong":
                raise SeedstudyError(answer.content["message"])
            case "gone":
                return self._replace(worker)
            case "busy":  # another launcher trains it: look again later
                assert trial_id is not None
                self._waiting.append((time.monotonic() + _BUSY_WAIT_S, trial_id))
                worker.trial_id, worker.is_idle = None, True
            case "done" | "failed":
                assert trial_id is not None
                worker.trial_id, worker.is_idle = None, True
                state, rows = self._store.read_trial(trial_id)
                self._listener.ended(trial_id, state, rows)
                return trial_id
        return None

    def _replace(self, worker: _Worker) -> str | None:
        """Start another process for one that died; its trial is tried again, up to MAX_ATTEMPTS times."""
        trial_id, words = worker.trial_id, worker.last_words()
        position = self._workers.index(worker)
        if trial_id is None:
            raise SeedstudyError(f"a worker ended unasked: {words}.")
        self._workers[position] = self._start(self._environments[position])
        self._attempts[trial_id] += 1
        if self._attempts[trial_id] < MAX_ATTEMPTS:
            self._listener.note(f"{trial_id}: its worker died ({words}); trying again")
            self._waiting.appendleft((0.0, trial_id))
            return None
        reason = f"its worker died {MAX_ATTEMPTS} times ({words})"
        self._store.record_failure(trial_id, reason, traceback="")
        self._listener.ended(trial_id, "failed", [])
        return trial_id


def default_workers() -> int:
    """Return one worker per GPU where there are GPUs, else one per core this process may use."""
    return _n_gpus() or len(os.sched_getaffinity(0))


def worker_environments(n_workers: int) -> list[dict[str, str]]:
    """Return the environment of each worker: one thread on CPUs; on GPUs, one device each, in turn."""
    n_gpus = _n_gpus()
    if not n_gpus:
        return [{**os.environ, **_CPU_ENVIRONMENT}] * n_workers
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(n_gpus)))).split(",")
    return [{**os.environ, "CUDA_VISIBLE_DEVICES": devices[worker % n_gpus]} for worker in range(n_workers)]


def _n_gpus() -> int:
    """Count CUDA devices without importing torch, which would cost the launcher seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return listed.stdout.count("GPU ")
