"""The process that trains: `seedstudy trial STUDY_DIR TRIAL_ID…`, started by a launcher, a queue or a person.

It trains those of its trials that are free, one after the other, or several seeds of one recipe and model side by side
where that is faster (`--stack`). It reports through files alone. Exit codes: 0 every trial has a result or is trained
by another process, 1 a trial failed, 2 the results folder or the input must be repaired, 75 stopped at a signal.

SIGTERM: stop at the next update and keep the state. SIGUSR1, which Slurm sends near the time limit: the same, and
requeue the job. An attended process also stops when its stdin ends, because its launcher is gone then.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from seedstudy import data as datasets
from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.errors import SeedstudyError, require_extra
from seedstudy.files import open_to_write
from seedstudy.store.lease import JOB, Lease
from seedstudy.store.store import Store
from seedstudy.study.trial import EpochReport, Trial, TrialResult

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 0, 1, 2, 75

MAX_ATTEMPTS = 3
"""How often in a row a trial's process may die (killed, out of memory) without reaching a later checkpoint."""

Requests = queue.SimpleQueue[dict[str, Any] | None]
"""None ends it. A signal handler may put into a SimpleQueue while the same thread waits for it."""


class Stop:
    """Whether to stop, because of a signal or the end of stdin."""

    def __init__(self, requests: Requests) -> None:
        self._requests, self._is_requested = requests, False
        self.is_out_of_time = False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._handle)

    def request(self) -> None:
        self._is_requested = True
        self._requests.put(None)

    def __call__(self) -> bool:
        return self._is_requested

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.is_out_of_time |= number == signal.SIGUSR1
        self.request()


def main(
    study_dir: Path,
    trial_ids: Sequence[str],
    *,
    prepared: Path | None,
    cache_dir: Path,
    is_attended: bool,
    stack: int | None = None,
) -> int:
    """Train and return the exit code.

    ``trial_ids`` may be empty where the process is attended. Then it imports torch and timm, and waits for requests
    from stdin, one JSON object a line: ``{"check": [specs], "n_classes": n, "n_train": n, "shares": {kind: limit}}``,
    which is answered by one line on stdout, and ``{"train": [trial_ids], "prepared": path, "sizes": {kind: size},
    "n_slots": n}``. Without ``prepared``, the folder of the prepared data, a trial's data set is prepared here.
    ``stack`` is the most seeds to train side by side; None: as many as timing recommends.
    """
    require_extra("train")
    requests: Requests = queue.SimpleQueue()
    stop = Stop(requests)
    if "SLURM_ARRAY_JOB_ID" in os.environ:  # a Slurm job learns its number only once it runs
        os.environ[JOB] = f"slurm:{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    worker = _Worker(Store(study_dir.parent, study_dir.name), stop, cache_dir, StackSizes(stack))
    if trial_ids:
        requests.put({"train": list(trial_ids), "prepared": prepared and str(prepared), "sizes": {}, "n_slots": 1})
        requests.put(None)
    if is_attended:
        threading.Thread(target=_listen, args=(requests, stop), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    if not trial_ids:  # what takes seconds, before the first request comes
        import torch

        import seedstudy.train.trial  # noqa: F401  # imported ahead of its use

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    code = EXIT_OK
    while (request := requests.get()) is not None:
        if "check" in request:
            specs = request.pop("check")
            print(json.dumps(worker.check(specs, **request)), file=answers)
            continue
        worker.sizes.known |= request["sizes"]
        code = worker.train(request["train"], request["prepared"], request["n_slots"])
        break
    if stop.is_out_of_time and "SLURM_JOB_ID" in os.environ:
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], timeout=60, check=False)
    return code


def _listen(requests: Requests, stop: Stop) -> None:
    # Not sys.stdin: this thread would hold its lock, and a process forked to decode images first closes sys.stdin.
    with os.fdopen(os.dup(0)) as lines:
        for line in lines:
            requests.put(json.loads(line))
    stop.request()


# --- training -------------------------------------------------------------------------------------------


class _Worker:
    def __init__(self, store: Store, stop: Stop, cache_dir: Path, sizes: StackSizes) -> None:
        self._store, self._stop, self._cache_dir, self.sizes = store, stop, cache_dir, sizes
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._is_alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        self._leases: dict[str, Lease | None] = {}
        self._first_epochs: dict[str, tuple[int, float]] = {}
        """Trial -> the first epoch that this attempt reported, and when."""
        self._spec = cache(store.read_spec)

    def check(
        self, specs: Sequence[dict[str, Any]], n_classes: int, n_train: int, shares: Mapping[str, int]
    ) -> dict[str, Any]:
        """Check that every model exists and can be trained by its recipe, and choose how many seeds to stack."""
        from seedstudy.train.models import check_model

        notes: list[str] = []
        try:
            for spec in specs:
                trial = Trial.from_dict(spec, where="plan")
                check_model(trial.model, trial.recipe, n_classes)
                self.sizes.of(trial, n_classes, n_train, limit=shares.get(kind_of(trial), 1), say=notes.append)
        except SeedstudyError as error:
            return {"wrong": str(error)}
        return {"wrong": None, "sizes": self.sizes.known, "notes": notes}

    def train(self, trial_ids: Sequence[str], prepared: str | None, n_slots: int) -> int:
        """Train the free trials one after the other, each together with those that are worth stacking with it.

        ``n_slots`` processes work through the same trials: a stack leaves them their share.
        """
        code = EXIT_OK
        for n_seen, trial_id in enumerate(trial_ids, start=1):
            if self._stop():
                return EXIT_STOPPED
            with ExitStack() as leases:
                # Of several processes that train a trial together, the first one claims it for all.
                refusal = self._broadcast(self._claim(trial_id, leases) if self._is_main else None)
                if refusal is not None:
                    code = max(code, refusal)
                    continue
                with _printing_to(self._store.log(trial_id)):
                    trial = self._store.read_spec(trial_id)
                    data = self._load(trial, prepared)
                    others = self._claim_stack(trial, data, islice(trial_ids, n_seen, None), n_slots, leases)
                    ended = self._train_stacked([trial, *others], data) if others else self._train(trial, data)
                    code = max(code, ended)
        return code

    def _claim(self, trial_id: str, leases: ExitStack) -> int | None:
        """Take the lease of a trial until ``leases`` is closed; returns an exit code where it is not to be trained."""
        if not self._store.has_ended(trial_id):
            lease = self._leases[trial_id] = leases.enter_context(self._store.claim(trial_id))
            if lease is None:
                return EXIT_OK
        if self._store.has_result(trial_id):
            return EXIT_OK
        if self._store.has_ended(trial_id):
            return EXIT_FAILED
        lease = self._leases.get(trial_id)
        if lease is not None and lease.holder.n_lost >= MAX_ATTEMPTS:
            reason = f"its process died {MAX_ATTEMPTS} times in a row without getting on"
            self._store.record_failure(trial_id, reason, traceback="", host=machine.host())
            return EXIT_FAILED
        return None

    def _broadcast(self, refusal: int | None) -> int | None:
        """Return the first process's value in all processes that train a trial together."""
        if self._is_alone:
            return refusal
        import torch
        from accelerate import PartialState
        from accelerate.utils import broadcast_object_list

        PartialState(cpu=not torch.cuda.is_available())
        values: list[int | None] = broadcast_object_list([refusal])
        return values[0]

    def _claim_stack(
        self, trial: Trial, data: Dataset, later: Iterable[str], n_slots: int, leases: ExitStack
    ) -> list[Trial]:
        """Claim the trials to train beside one: of its kind, not yet begun, as many as is fair and faster."""
        if not self._is_alone or data.stored or not self._is_fresh(trial.trial_id):
            return []
        alike = (other for other in map(self._spec, later) if kind_of(other) == kind_of(trial))
        still_open = (other for other in alike if not self._store.has_ended(other.trial_id))
        candidates = list(islice(still_open, n_slots * self.sizes.limit))
        fair_share = math.ceil((1 + len(candidates)) / n_slots)
        say = partial(print, file=sys.stderr)
        size = self.sizes.of(trial, len(data.classes), len(data.train_labels), limit=fair_share, say=say)
        claimed: list[Trial] = []
        for other in candidates:
            if len(claimed) + 1 >= size:
                break
            if self._is_fresh(other.trial_id) and self._claim(other.trial_id, leases) is None:
                claimed.append(other)
        return claimed

    def _is_fresh(self, trial_id: str) -> bool:
        """Return whether a trial starts from its beginning and no process died with it; others are trained alone."""
        lease, holder = self._leases.get(trial_id), self._store.holder(trial_id)
        no_one_died = lease.holder.n_lost == 0 if lease else holder is None or holder.is_released
        return no_one_died and not self._store.checkpoint(trial_id).exists()

    def _train(self, trial: Trial, data: Dataset) -> int:
        from seedstudy.train.checkpoint import Checkpoints, Stopped
        from seedstudy.train.trial import train_trial

        trial_id, lease, started_at = trial.trial_id, self._leases.get(trial.trial_id), datetime.now(UTC).isoformat()

        def should_stop() -> bool:
            return self._stop() or (lease is not None and lease.is_overtaken)

        self._first_epochs.clear()
        checkpoints = Checkpoints(self._store.checkpoint(trial_id), trial_id, should_stop=should_stop)
        try:
            on_epoch = partial(self._write_progress, trial)
            result = train_trial(trial, data, on_epoch=on_epoch, checkpoints=checkpoints)
            data.check_unchanged()
        except Stopped:
            print(f"stopped on request at epoch {checkpoints.position[0] + 1}", file=sys.stderr)
            return EXIT_STOPPED
        except Exception as error:  # whatever a network or a driver throws becomes a row with a reason
            traceback.print_exc()
            (epoch, update), holder = checkpoints.position, self._store.holder(trial_id)
            self._store.record_failure(
                trial_id,
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                traceback.format_exc(),
                epoch=epoch + 1,
                update=update + 1,
                host=machine.host(),
                job=os.environ.get(JOB, ""),
                attempt=1 + (holder.n_lost if holder else 0),
            )
            return EXIT_FAILED
        if self._is_main:
            self._publish(trial, result, data, started_at)
        return EXIT_OK

    def _publish(self, trial: Trial, result: TrialResult, data: Dataset, started_at: str) -> None:
        published = self._store.publish(trial, result, data.eval_sets, started_at)
        if published != "first":
            print(f"another process published this trial first, with {published} predictions", file=sys.stderr)

    def _train_stacked(self, trials: Sequence[Trial], data: Dataset) -> int:
        """Train several seeds side by side and publish each; after an exception, train them one at a time."""
        from seedstudy.train.checkpoint import Stopped
        from seedstudy.train.stacks import train_stacked

        started_at = datetime.now(UTC).isoformat()
        self._first_epochs.clear()
        print(f"in a stack of {len(trials)}: seeds {', '.join(str(trial.seed) for trial in trials)}", file=sys.stderr)
        try:
            results = train_stacked(trials, data, on_epoch=self._write_progress, should_stop=self._stop)
            data.check_unchanged()
        except Stopped:
            print("stopped on request; a stack starts again from the beginning", file=sys.stderr)
            return EXIT_STOPPED
        except Exception:  # of one seed, or of their number (memory): trained one at a time, each shows
            traceback.print_exc()
            print("the stack failed: its seeds are trained one at a time", file=sys.stderr)
            return max(self._train(trial, data) for trial in trials)
        for trial, result in zip(trials, results, strict=True):
            self._publish(trial, result, data, started_at)
        return EXIT_OK

    def _write_progress(self, trial: Trial, report: EpochReport) -> None:
        if not self._is_main:
            return
        first_epoch, first_at = self._first_epochs.setdefault(trial.trial_id, (report.epoch, time.time()))
        with suppress(SeedstudyError):  # a full disk must not end the trial
            self._store.write_progress(
                trial.trial_id,
                epoch=report.epoch,
                epochs=trial.recipe.total_epochs,
                images_per_s=report.images_per_s,
                epoch_s=(time.time() - first_at) / max(report.epoch - first_epoch, 1),
                at=time.time(),
            )

    def _load(self, trial: Trial, prepared: str | None) -> Dataset:
        folder = Path(prepared) if prepared else datasets.prepare(trial.data, cache_dir=self._cache_dir)
        data = datasets.load(folder, train_limit=trial.train_limit)
        if data.fingerprint != trial.data_fingerprint:
            raise SeedstudyError(
                f"{folder}: not the data that {trial.trial_id} was planned for (fingerprint {data.fingerprint}, "
                f"planned {trial.data_fingerprint}): name the folder of the same data with --prepared."
            )
        return data


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append everything that this process and its libraries print to a file."""
    kept = os.dup(1), os.dup(2)
    file = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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


# --- stacks: how many seeds to train side by side -------------------------------------------------------

LARGEST_STACK = 16
"""Seeds of a stack where their number is not given."""


def kind_of(trial: Trial) -> str:
    """Return as text what the seeds of a stack share: everything but the seed."""
    return replace(trial, seed=0).trial_id


def fair_shares(trials: Iterable[Trial], n_slots: int) -> dict[str, int]:
    """Return for each kind the largest stack that leaves trials for the other slots."""
    counts = Counter(kind_of(trial) for trial in trials)
    return {kind: math.ceil(count / n_slots) for kind, count in counts.items()}


class StackSizes:
    """The size of a stack for each kind of trial, timed once or learnt from another process."""

    def __init__(self, wanted: int | None) -> None:
        """``wanted``: seeds side by side at most; None: as many as timing recommends."""
        self._wanted = wanted
        self.limit = wanted or LARGEST_STACK
        self.known: dict[str, int] = {}

    def of(self, trial: Trial, n_classes: int, n_train: int, *, limit: int, say: Callable[[str], None]) -> int:
        """Return how many seeds of a trial's kind to stack, at most ``limit``; 1 is no stack."""
        if limit == 1 or self._wanted == 1:
            return 1
        kind = kind_of(trial)
        if kind not in self.known:
            from seedstudy.train.stacks import choose_size

            n_updates = trial.recipe.total_epochs * (n_train // trial.recipe.batch_size)
            self.known[kind], note = choose_size(
                trial.model, trial.recipe, n_classes, n_updates=n_updates, wish=self._wanted, limit=limit
            )
            if note:
                say(note)
        return min(self.known[kind], limit)
