"""The process that trains: `seedstudy trial STUDY_DIR TRIAL_ID…`, whoever starts it: a launcher, a queue, a person.

It trains what is free among its trials, one after the other; files tell what happened. Exit codes: 0 each has a result
or is trained elsewhere, 1 one of them failed, 2 the results folder or the input is to be mended, 75 stopped in order.

SIGTERM: stop at the next update, keep the state. SIGUSR1: the same, and in a Slurm job ask for another turn in the
queue, for the time limit is near. An attended process also stops when its stdin ends: then its launcher is gone.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from seedstudy.errors import SeedstudyError
from seedstudy.lease import JOB, Lease
from seedstudy.store import Store

if TYPE_CHECKING:
    from seedstudy.datasets import Dataset
    from seedstudy.study import EpochReport, Trial

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 0, 1, 2, 75

MAX_ATTEMPTS = 3
"""How often in a row a trial's process may die without getting on (killed, out of memory)."""


Requests = queue.SimpleQueue[dict[str, Any] | None]
"""None ends it. A signal's handler may put into a SimpleQueue while the same thread waits for it."""


class Stop:
    """The wish to stop, from a signal or from the end of stdin."""

    def __init__(self, requests: Requests) -> None:
        self._requests, self._is_wished = requests, False
        self.is_out_of_time = False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._take)

    def wish(self) -> None:
        self._is_wished = True
        self._requests.put(None)

    def __call__(self) -> bool:
        return self._is_wished

    def _take(self, number: int, _: FrameType | None) -> None:
        self.is_out_of_time |= number == signal.SIGUSR1
        self.wish()


def main(
    study_dir: Path, trial_ids: Sequence[str], *, prepared: Path | None, cache_dir: Path, is_attended: bool
) -> int:
    """Train and return the exit code.

    Parameters
    ----------
    trial_ids
        May be empty where the process is attended: then requests come from stdin, one JSON object a line,
        ``{"check": [specs], "n_classes": n}`` (answered by one line on stdout) and ``{"train": [trial_ids], "prepared":
        path}``; until then torch and timm are imported.
    prepared
        Folder of the prepared data; None: prepared here, from what the trial's data set needs.

    """
    requests: Requests = queue.SimpleQueue()
    stop = Stop(requests)
    _name_job()
    worker = _Worker(Store(study_dir.parent, study_dir.name), stop, cache_dir)
    if trial_ids:
        requests.put({"train": list(trial_ids), "prepared": prepared and str(prepared)})
        requests.put(None)
    if is_attended:
        threading.Thread(target=_listen, args=(requests, stop), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not break the answers
    if not trial_ids:
        worker.get_ready()
    code = EXIT_OK
    while (request := requests.get()) is not None:
        if "check" in request:
            print(json.dumps(worker.check(request["check"], request["n_classes"])), file=answers)
            continue
        code = worker.train(request["train"], request["prepared"])
        break
    if stop.is_out_of_time and "SLURM_JOB_ID" in os.environ:
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], timeout=60, check=False)
    return code


def _listen(requests: Requests, stop: Stop) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    stop.wish()


def _name_job() -> None:
    """Let the lease name the Slurm job, which knows its number only once it is running."""
    variables = os.environ
    if "SLURM_ARRAY_JOB_ID" in variables:
        variables[JOB] = f"slurm:{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"


class _Worker:
    def __init__(self, store: Store, stop: Stop, cache_dir: Path) -> None:
        self._store, self._stop, self._cache_dir = store, stop, cache_dir
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._lease: Lease | None = None

    def get_ready(self) -> None:
        """Pay the imports of torch and timm while the launcher prepares the data."""
        import torch

        import seedstudy.train.trial  # noqa: F401  # imported for its cost

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def check(self, specs: Sequence[dict[str, Any]], n_classes: int) -> dict[str, Any]:
        """Say whether every model exists and can be trained by its recipe."""
        from seedstudy.study import Trial
        from seedstudy.train.models import check_model

        try:
            for spec in specs:
                trial = Trial.from_dict(spec, where="plan")
                check_model(trial.model, trial.recipe, n_classes)
        except SeedstudyError as error:
            return {"wrong": str(error)}
        return {"wrong": None}

    def train(self, trial_ids: Sequence[str], prepared: str | None) -> int:
        """Train what is free, one trial after the other."""
        code = EXIT_OK
        for trial_id in trial_ids:
            if self._stop():
                return EXIT_STOPPED
            code = max(code, self._attempt(trial_id, prepared))
        return code

    def _attempt(self, trial_id: str, prepared: str | None) -> int:
        """Train one trial, unless it has ended or another process has it."""
        with self._admission(trial_id) as refusal:
            if refusal is not None:
                return refusal
            with _printing_to(self._store.log(trial_id)):
                return self._train(self._store.read_spec(trial_id), prepared)

    @contextmanager
    def _admission(self, trial_id: str) -> Iterator[int | None]:
        """Yield None where the trial is ours to train, as long as the block lasts; else the exit code it stands for.

        Of several processes that train it together, the first one asks for all.
        """
        with ExitStack() as stack:
            yield self._agree(self._refusal(trial_id, stack) if self._is_main else None)

    def _refusal(self, trial_id: str, stack: ExitStack) -> int | None:
        if not self._store.has_ended(trial_id):
            self._lease = stack.enter_context(self._store.claim(trial_id))
            if self._lease is None:
                return EXIT_OK
        if self._store.is_done(trial_id):
            return EXIT_OK
        if self._store.has_ended(trial_id):
            return EXIT_FAILED
        if self._lease is not None and self._lease.holder.n_lost >= MAX_ATTEMPTS:
            reason = f"its process died {MAX_ATTEMPTS} times in a row without getting on"
            self._store.record_failure(trial_id, reason, traceback="", host=os.uname().nodename)
            return EXIT_FAILED
        return None

    def _agree(self, refusal: int | None) -> int | None:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return refusal
        import torch
        from accelerate import PartialState
        from accelerate.utils import broadcast_object_list

        PartialState(cpu=not torch.cuda.is_available())
        agreed: list[int | None] = broadcast_object_list([refusal])
        return agreed[0]

    def _train(self, trial: Trial, prepared: str | None) -> int:
        from seedstudy.train.checkpoint import Checkpoints, Stopped
        from seedstudy.train.trial import train_trial

        trial_id, lease, started_at = trial.trial_id, self._lease, datetime.now(UTC).isoformat()
        checkpoints = Checkpoints(
            self._store.checkpoint(trial_id),
            trial_id,
            should_stop=lambda: self._stop() or (lease is not None and lease.is_overtaken),
        )
        tell_epoch = _Speedometer(self._store, trial, is_main=self._is_main)
        data = self._load(trial, prepared)
        try:
            result = train_trial(trial, data, on_epoch=tell_epoch, checkpoints=checkpoints)
        except Stopped:
            print(f"stopped in order at epoch {checkpoints.position[0] + 1}", file=sys.stderr)
            return EXIT_STOPPED
        except Exception as error:  # whatever a network or a driver throws becomes a row with a reason
            traceback.print_exc()
            self._record(trial_id, error, checkpoints.position)
            return EXIT_FAILED
        if self._is_main:
            self._store.publish(trial, result, data.eval_sets, started_at)
        return EXIT_OK

    def _load(self, trial: Trial, prepared: str | None) -> Dataset:
        from seedstudy import datasets

        folder = Path(prepared) if prepared else datasets.prepare(trial.data, cache_dir=self._cache_dir)
        data = datasets.load(folder, train_limit=trial.train_limit)
        if data.fingerprint != trial.data_fingerprint:
            raise SeedstudyError(
                f"{folder}: not the data that {trial.trial_id} was planned for (fingerprint {data.fingerprint}, "
                f"planned {trial.data_fingerprint}): give the folder of the same data with --prepared."
            )
        return data

    def _record(self, trial_id: str, error: Exception, position: tuple[int, int]) -> None:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        holder = self._store.holder(trial_id)
        self._store.record_failure(
            trial_id,
            reason,
            traceback.format_exc(),
            epoch=position[0] + 1,
            update=position[1] + 1,
            host=os.uname().nodename,
            job=os.environ.get(JOB, ""),
            attempt=1 + (holder.n_lost if holder else 0),
        )


class _Speedometer:
    """Writes how far a training is after each epoch."""

    def __init__(self, store: Store, trial: Trial, *, is_main: bool) -> None:
        self._store, self._trial, self._is_main = store, trial, is_main
        self._first: tuple[int, float] | None = None

    def __call__(self, report: EpochReport) -> None:
        self._first = self._first or (report.epoch, time.time())
        if not self._is_main:
            return
        with suppress(SeedstudyError):  # a full disk: worth no trial
            self._store.tell_progress(
                self._trial.trial_id,
                epoch=report.epoch,
                epochs=self._trial.recipe.total_epochs,
                images_per_s=report.images_per_s,
                epoch_s=(time.time() - self._first[1]) / max(report.epoch - self._first[0], 1),
                at=time.time(),
            )


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append all that this process and its libraries print to a file."""
    kept = os.dup(1), os.dup(2)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        sys.stdout.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    except SeedstudyError as error:
        print(error, file=sys.stderr)
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, file):
            os.close(descriptor)
        if path.stat().st_size == 0:
            path.unlink()
