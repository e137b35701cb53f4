"""The process that trains: `seedstudy trial STUDY_DIR TRIAL_ID…`, started by a launcher, a queue or a person.

It trains those of its trials that are free, one after the other, or several seeds of one recipe and model side by side
where that is faster (`--stack`). It reports through files alone; its exit code (`EXIT_OK` and the others) says why it
ended, and differs from 1, with which Python ends where it raises, and torchrun where one of its processes died.

SIGTERM: stop at the next update and keep the state. SIGUSR1, which Slurm sends near the time limit: the same, and
requeue the job. An attended process also stops when its stdin ends, because its launcher is gone then; where it hangs
and does not get as far, it is ended.
"""

from __future__ import annotations

import errno
import faulthandler
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
from typing import Any, TypeVar

from seedstudy import data as datasets
from seedstudy import machine
from seedstudy.data.base import Dataset
from seedstudy.errors import DamagedError, SeedstudyError, StoreError, first_line, require_extra
from seedstudy.files import open_to_write
from seedstudy.store.lease import JOB, Lease
from seedstudy.store.store import Published, Store
from seedstudy.study.trial import EpochReport, Trial, TrialResult
from seedstudy.terminal import print_without_fail

EXIT_OK = 0
"""Every trial has a result or is trained by another process."""
EXIT_USAGE = 2
"""The input or the results folder must be repaired."""
EXIT_FAILED = 10
"""A trial failed. Several processes that train a trial together end with `EXIT_OK` instead: torchrun passes on none."""
EXIT_STOPPED = 75
"""Stopped at a signal; can be resumed."""

ORPHAN_WAIT_S = 120.0
"""How long a process may take to stop when its launcher is gone. A training that hangs in a call would hold its GPU,
and the trial's lease, for ever."""

_PULSE_S = 30.0
"""A training says this often that it gets on."""

_PEER_WAIT_S = 10.0
"""Within which torchrun notices that a process has died."""

_WRITE_WAIT_S, _WRITE_PAUSE_S = 600.0, 5.0
"""How long, and how often, what a training has earned is written again where the disk is full."""

MAX_ATTEMPTS = 3
"""How often in a row a trial's process may die (killed, out of memory) without reaching a later checkpoint."""

T = TypeVar("T")

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
    keeps_weights: bool = False,
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
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    print_without_fail("stdout", "stderr")
    worker = _Worker(Store(study_dir.parent, study_dir.name), stop, cache_dir, StackSizes(stack), keeps_weights)
    if trial_ids:
        requests.put({"train": list(trial_ids), "prepared": prepared and str(prepared), "sizes": {}, "n_slots": 1})
        requests.put(None)
    if is_attended:
        threading.Thread(target=_listen, args=(requests, stop), daemon=True).start()
    if not trial_ids:  # what takes seconds, before the first request comes
        import torch

        import seedstudy.train.trial  # noqa: F401  # imported ahead of its use

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    code = EXIT_OK
    while (request := requests.get()) is not None:
        if "check" in request:
            specs = request.pop("check")
            with suppress(BrokenPipeError):  # the launcher is gone, which stdin shows
                print(json.dumps(worker.check(specs, **request)), file=answers)
            continue
        worker.sizes.known |= request["sizes"]
        code = worker.train(request["train"], request["prepared"], request["n_slots"])
        break
    if stop.is_out_of_time and "SLURM_JOB_ID" in os.environ:
        _requeue(os.environ["SLURM_JOB_ID"])
    return EXIT_OK if code == EXIT_FAILED and int(os.environ.get("WORLD_SIZE", "1")) > 1 else code


def _requeue(job: str) -> None:
    """Ask Slurm for another turn; where it does not answer, the launcher submits the trials again."""
    try:
        subprocess.run(["scontrol", "requeue", "--", job], timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"scontrol requeue: {error}", file=sys.stderr)


def _listen(requests: Requests, stop: Stop) -> None:
    # Not sys.stdin: this thread would hold its lock, and a process forked to decode images first closes sys.stdin.
    with os.fdopen(os.dup(0)) as lines:
        for line in lines:
            requests.put(json.loads(line))
    stop.request()
    # In C, because a call that hangs may hold Python's lock by then. It shows where each thread hangs.
    faulthandler.dump_traceback_later(ORPHAN_WAIT_S, exit=True, file=2)


# --- training -------------------------------------------------------------------------------------------


class _Worker:
    def __init__(
        self, store: Store, stop: Stop, cache_dir: Path, sizes: StackSizes, keeps_weights: bool = False
    ) -> None:
        self._store, self._stop, self._cache_dir, self.sizes = store, stop, cache_dir, sizes
        self._keeps_weights = keeps_weights
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._is_alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        self._leases: dict[str, Lease | None] = {}
        self._progress: dict[str, _Progress] = {}
        """Of the trials that are being trained."""
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

        ``n_slots`` processes work through the same trials: a stack leaves them their share. Whatever goes wrong with
        one trial is its own failure, and the others are still trained. Raises SeedstudyError where the folder or the
        data cannot be used, which is true for every trial.
        """
        code = EXIT_OK
        for n_seen, trial_id in enumerate(trial_ids, start=1):
            if self._stop():
                return EXIT_STOPPED
            code = max(code, self._train_one(trial_id, islice(trial_ids, n_seen, None), prepared, n_slots))
        return code

    def _train_one(self, trial_id: str, later: Iterable[str], prepared: str | None, n_slots: int) -> int:
        with ExitStack() as leases:
            try:
                # Of several processes that train a trial together, the first one claims it for all.
                refusal = self._broadcast(self._claim_or_record(trial_id, leases) if self._is_main else None)
                if refusal is not None:
                    return refusal
                leases.enter_context(_printing_to(self._store.log(trial_id)))
                trial = self._store.read_spec(trial_id)
                data = self._load(trial, prepared)
                others = self._claim_stack(trial, data, later, n_slots, leases)
                return self._train_stacked([trial, *others], data) if others else self._train(trial, data)
            except SeedstudyError as error:
                print(error, file=sys.stderr)
                if isinstance(error, DamagedError) or not self._store.is_planned(trial_id):  # removed at this moment
                    return self._record_failure(trial_id, error)
                raise
            except Exception as error:  # before the training began
                return self._record_failure(trial_id, error)

    def _claim_or_record(self, trial_id: str, leases: ExitStack) -> int | None:
        """Claim as :meth:`_claim`; a trial at which this trips, be it over a file of another program, has failed."""
        try:
            return self._claim(trial_id, leases)
        except SeedstudyError as error:
            if isinstance(error, DamagedError) or not self._store.is_planned(trial_id):
                return self._record_failure(trial_id, error)
            raise
        except Exception as error:
            return self._record_failure(trial_id, error)

    def _claim(self, trial_id: str, leases: ExitStack) -> int | None:
        """Take the lease of a trial until ``leases`` is closed; returns an exit code where it is not to be trained."""
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: not planned, or removed since; it is left out", file=sys.stderr)
            return EXIT_OK
        if not self._store.has_ended(trial_id):
            lease = self._leases[trial_id] = self._lasting(
                lambda: leases.enter_context(self._store.claim(trial_id)), "lease"
            )
            if lease is None:
                return EXIT_OK
        if self._store.has_result(trial_id):
            return EXIT_OK
        if self._store.has_ended(trial_id):
            return EXIT_FAILED
        lease = self._leases.get(trial_id)
        if lease is not None and lease.holder.n_lost >= MAX_ATTEMPTS:
            reason = f"its process died {MAX_ATTEMPTS} times in a row without getting on"
            self._lasting(
                lambda: self._store.record_failure(trial_id, reason, traceback="", host=machine.host()), "failure"
            )
            return EXIT_FAILED
        return None

    def _lasting(self, write: Callable[[], T], what: str) -> T:
        """Write something, again and again while the disk is full; raises StoreError where it stays so."""
        until = time.monotonic() + _WRITE_WAIT_S
        while True:
            try:
                return write()
            except StoreError as error:
                full = isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT)
                if not full or self._stop() or time.monotonic() > until:
                    raise
                print(f"the {what} is not written yet: {error}", file=sys.stderr)
                time.sleep(_WRITE_PAUSE_S)

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
        self._progress = {trial_id: _Progress()}

        def should_stop() -> bool:
            self._get_on([trial])
            return self._stop() or (lease is not None and lease.is_overtaken)

        checkpoints = Checkpoints(self._store.checkpoint(trial_id), trial_id, should_stop=should_stop)
        try:
            on_epoch = partial(self._note_epoch, trial)
            result = train_trial(
                trial, data, on_epoch=on_epoch, checkpoints=checkpoints, keeps_weights=self._keeps_weights
            )
            data.check_unchanged()
        except Stopped:
            is_ours = lease is None or not lease.is_overtaken
            why = "on request" if is_ours else "because its lease was taken or its folder moved"
            print(f"stopped {why} at epoch {checkpoints.position[0] + 1}", file=sys.stderr)
            return EXIT_STOPPED if is_ours else EXIT_OK
        except Exception as error:  # whatever a network or a driver throws becomes a row with a reason
            epoch, update = checkpoints.position
            return self._record_failure(trial_id, error, epoch=epoch + 1, update=update + 1)
        if self._is_main:
            self._publish(trial, result, data, started_at)
        return EXIT_OK

    def _publish(self, trial: Trial, result: TrialResult, data: Dataset, started_at: str) -> None:
        if not self._store.is_planned(trial.trial_id):  # no folder is made again
            print(f"{trial.trial_id}: removed, or its study renamed, while it was trained; no result", file=sys.stderr)
            return
        published = self._written(trial, result, data, started_at)
        if published != "first":
            print(f"another process published this trial first, with {published} predictions", file=sys.stderr)

    def _written(self, trial: Trial, result: TrialResult, data: Dataset, started_at: str) -> Published:
        """Publish a result; without its weights where there is no room for them: the numbers come first."""

        def publish(result: TrialResult) -> Published:
            return self._lasting(lambda: self._store.publish(trial, result, data.eval_sets, started_at), "result")

        if result.weights is None:
            return publish(result)
        try:
            return publish(result)
        except StoreError as error:
            print(f"the weights are not kept: {error}", file=sys.stderr)
            return publish(replace(result, weights=None))

    def _record_failure(self, trial_id: str, error: Exception, **where: int) -> int:
        """Record the exception that is being handled as the trial's failure; an OSError names its file itself."""
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: removed, or its study renamed, while it was trained", file=sys.stderr)
            return EXIT_OK
        traceback.print_exc()
        text, holder = traceback.format_exc(), self._store.holder(trial_id)
        if not self._is_alone and self._is_told_to_stop():
            sys.exit(EXIT_STOPPED)  # another process died, which is what this one tripped over: the trial is lost
        self._lasting(
            lambda: self._store.record_failure(
                trial_id,
                f"{type(error).__name__}: {first_line(error)}",
                text,
                **where,
                host=machine.host(),
                job=os.environ.get(JOB, ""),
                attempt=1 + (holder.n_lost if holder else 0),
            ),
            "failure",
        )
        if not self._is_alone:  # the others wait for this process: torchrun ends them, and the launcher starts again
            sys.exit(EXIT_FAILED)
        return EXIT_FAILED

    def _is_told_to_stop(self) -> bool:
        """Wait a little for the signal that torchrun sends to all processes of a trial when one of them has died."""
        until = time.monotonic() + _PEER_WAIT_S
        while not self._stop() and time.monotonic() < until:
            time.sleep(0.1)
        return self._stop()

    def _train_stacked(self, trials: Sequence[Trial], data: Dataset) -> int:
        """Train several seeds side by side and publish each; after an exception, train them one at a time."""
        from seedstudy.train.checkpoint import Stopped
        from seedstudy.train.stacks import train_stacked

        started_at = datetime.now(UTC).isoformat()
        leases = [self._leases[trial.trial_id] for trial in trials]
        self._progress = {trial.trial_id: _Progress() for trial in trials}

        def should_stop() -> bool:
            self._get_on(trials)
            # A seed that was removed ends no other one: it has no place for its result, which `publish` finds.
            return self._stop() or all(lease is not None and lease.is_overtaken for lease in leases)

        print(f"in a stack of {len(trials)}: seeds {', '.join(str(trial.seed) for trial in trials)}", file=sys.stderr)
        try:
            results = train_stacked(
                trials,
                data,
                on_epoch=self._note_epoch,
                should_stop=should_stop,
                keeps_weights=self._keeps_weights,
            )
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

    def _note_epoch(self, trial: Trial, report: EpochReport) -> None:
        self._progress[trial.trial_id].note_epoch(report)
        self._write_progress(trial)

    def _get_on(self, trials: Iterable[Trial]) -> None:
        """Note that an update is done; the file says so now and then, so that a training that hangs is noticed."""
        for trial in trials:
            if self._progress[trial.trial_id].note_update():
                self._write_progress(trial)

    def _write_progress(self, trial: Trial) -> None:
        if self._is_main:
            facts = self._progress[trial.trial_id].facts()
            with suppress(SeedstudyError):  # a full disk must not end the trial
                self._store.write_progress(trial.trial_id, epochs=trial.recipe.total_epochs, **facts)

    def _load(self, trial: Trial, prepared: str | None) -> Dataset:
        folder = Path(prepared) if prepared else datasets.prepare(trial.data, cache_dir=self._cache_dir)
        data = datasets.load(folder, train_limit=trial.train_limit)
        if data.fingerprint != trial.data_fingerprint:
            raise SeedstudyError(
                f"{folder}: not the data that {trial.trial_id} was planned for (fingerprint {data.fingerprint}, "
                f"planned {trial.data_fingerprint}): name the folder of the same data with --prepared."
            )
        return data


class _Progress:
    """How far this attempt has got with a trial, and how fast."""

    def __init__(self) -> None:
        self._epoch, self._images_per_s = 0, 0.0
        self._first: tuple[int, float] | None = None
        """The first epoch that this attempt reported, and when."""
        self._epoch_at = time.time()
        self._moved_at = self._written_at = time.monotonic()
        self._longest_s = 0.0
        """Between two signs of progress in a row."""

    def note_update(self) -> bool:
        """Note that an update is done; returns whether it is time to say so."""
        now = time.monotonic()
        self._longest_s, self._moved_at = max(self._longest_s, now - self._moved_at), now
        return now - self._written_at > _PULSE_S

    def note_epoch(self, report: EpochReport) -> None:
        self.note_update()
        self._epoch, self._images_per_s = report.epoch, report.images_per_s
        self._epoch_at = time.time()
        self._first = self._first or (report.epoch, self._epoch_at)

    def facts(self) -> dict[str, Any]:
        """Return what `progress.json` holds."""
        self._written_at = time.monotonic()
        first_epoch, first_at = self._first or (self._epoch, self._epoch_at)
        return {
            "epoch": self._epoch,
            "images_per_s": self._images_per_s,
            "epoch_s": (self._epoch_at - first_at) / max(self._epoch - first_epoch, 1),
            "at": self._epoch_at,
            "moved_at": time.time(),
            "longest_s": self._longest_s,
        }


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append everything that this process and its libraries print to a file, where that can be written."""
    try:
        file = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        print(f"{path}: not written ({error.strerror})", file=sys.stderr)
        yield
        return
    kept = os.dup(1), os.dup(2)
    try:
        sys.stdout.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, file):
            os.close(descriptor)
        with suppress(OSError):  # moved away
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
