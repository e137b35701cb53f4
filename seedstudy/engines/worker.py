"""The process that trains: `seedstudy trial STUDY_DIR TRIAL_ID…`, whoever starts it: a launcher, a queue, a person.

It trains what is free among its trials, one after the other, or seeds of one recipe and model side by side where that
pays (`--stack`); files tell what happened. Exit codes: 0 each has a result
or is trained elsewhere, 1 one of them failed, 2 the results folder or the input is to be mended, 75 stopped in order.

SIGTERM: stop at the next update, keep the state. SIGUSR1: the same, and in a Slurm job ask for another turn in the
queue, for the time limit is near. An attended process also stops when its stdin ends: then its launcher is gone.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from seedstudy import machine
from seedstudy.engines.stack import StackSizes, kind_of
from seedstudy.errors import SeedstudyError, require_extra
from seedstudy.store.lease import JOB, Lease
from seedstudy.store.store import Store

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.study.trial import EpochReport, Trial

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
    study_dir: Path,
    trial_ids: Sequence[str],
    *,
    prepared: Path | None,
    cache_dir: Path,
    is_attended: bool,
    stack: int | None = None,
) -> int:
    """Train and return the exit code.

    Parameters
    ----------
    trial_ids
        May be empty where the process is attended: then requests come from stdin, one JSON object a line,
        ``{"check": [specs], "n_classes": n, "n_train": n, "shares": {kind: limit}}`` (answered by one line on stdout)
        and ``{"train": [trial_ids], "prepared": path, "sizes": {kind: size}, "n_slots": n}``; until then torch and
        timm are imported.
    prepared
        Folder of the prepared data; None: prepared here, from what the trial's data set needs.
    stack
        Seeds trained side by side at most; None: as many as pay.

    """
    require_extra("train")
    requests: Requests = queue.SimpleQueue()
    stop = Stop(requests)
    _name_job()
    worker = _Worker(Store(study_dir.parent, study_dir.name), stop, cache_dir, StackSizes(stack))
    if trial_ids:
        requests.put({"train": list(trial_ids), "prepared": prepared and str(prepared), "sizes": {}, "n_slots": 1})
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
            specs = request.pop("check")
            print(json.dumps(worker.check(specs, **request)), file=answers)
            continue
        worker.sizes.learn(request["sizes"])
        code = worker.train(request["train"], request["prepared"], request["n_slots"])
        break
    if stop.is_out_of_time and "SLURM_JOB_ID" in os.environ:
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], timeout=60, check=False)
    return code


def _listen(requests: Requests, stop: Stop) -> None:
    # Not sys.stdin: this thread would hold its lock, and a process forked to decode images closes it first of all.
    with os.fdopen(os.dup(0)) as lines:
        for line in lines:
            requests.put(json.loads(line))
    stop.wish()


def _name_job() -> None:
    """Let the lease name the Slurm job, which knows its number only once it is running."""
    variables = os.environ
    if "SLURM_ARRAY_JOB_ID" in variables:
        variables[JOB] = f"slurm:{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"


class _Worker:
    def __init__(self, store: Store, stop: Stop, cache_dir: Path, sizes: StackSizes) -> None:
        self._store, self._stop, self._cache_dir, self.sizes = store, stop, cache_dir, sizes
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._leases: dict[str, Lease | None] = {}
        self._specs: dict[str, Trial] = {}

    def get_ready(self) -> None:
        """Pay the imports of torch and timm while the launcher prepares the data."""
        import torch

        import seedstudy.train.trial  # noqa: F401  # imported for its cost

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def check(
        self, specs: Sequence[dict[str, Any]], n_classes: int, n_train: int, shares: Mapping[str, int]
    ) -> dict[str, Any]:
        """Say whether every model exists and can be trained by its recipe, and how many seeds to stack."""
        from seedstudy.study.trial import Trial
        from seedstudy.train.models import check_model

        try:
            for spec in specs:
                trial = Trial.from_dict(spec, where="plan")
                check_model(trial.model, trial.recipe, n_classes)
                self.sizes.of(trial, n_classes, n_train, limit=shares.get(kind_of(trial), 1))
        except SeedstudyError as error:
            return {"wrong": str(error)}
        return {"wrong": None, "sizes": self.sizes.known, "notes": self.sizes.notes}

    def train(self, trial_ids: Sequence[str], prepared: str | None, n_slots: int) -> int:
        """Train what is free, one trial after the other, and with each one those that are worth training beside it.

        Parameters
        ----------
        n_slots
            Processes that work through the same trials: a stack leaves them their share.

        """
        code = EXIT_OK
        for place, trial_id in enumerate(trial_ids, start=1):
            if self._stop():
                return EXIT_STOPPED
            with self._admission(trial_id) as (refusal, held):
                if refusal is not None:
                    code = max(code, refusal)
                    continue
                with _printing_to(self._store.log(trial_id)):
                    trial = self._store.read_spec(trial_id)
                    data = self._load(trial, prepared)
                    mates = self._mates(trial, data, islice(trial_ids, place, None), n_slots, held)
                    code = max(code, self._train_stacked([trial, *mates], data) if mates else self._train(trial, data))
        return code

    def _mates(
        self, trial: Trial, data: Dataset, later: Iterable[str], n_slots: int, held: ExitStack
    ) -> Sequence[Trial]:
        """Claim the trials to train beside one: of its kind, at their beginning, as many as is fair and pays."""
        is_alone = int(os.environ.get("WORLD_SIZE", "1")) > 1 or bool(data.stored)
        if is_alone or not self._is_fresh(trial.trial_id):
            return ()
        alike = (other for other in map(self._spec, later) if kind_of(other) == kind_of(trial))
        still_open = (other for other in alike if not self._store.has_ended(other.trial_id))
        open_ones = list(islice(still_open, n_slots * self.sizes.most))
        n_told = len(self.sizes.notes)
        limit = math.ceil((1 + len(open_ones)) / n_slots)
        size = self.sizes.of(trial, len(data.classes), len(data.train_labels), limit=limit)
        for note in self.sizes.notes[n_told:]:
            print(note, file=sys.stderr)
        mates: list[Trial] = []
        for other in open_ones:
            if len(mates) + 1 >= size:
                break
            if self._is_fresh(other.trial_id) and self._refusal(other.trial_id, held) is None:
                mates.append(other)
        return mates

    def _spec(self, trial_id: str) -> Trial:
        if trial_id not in self._specs:
            self._specs[trial_id] = self._store.read_spec(trial_id)
        return self._specs[trial_id]

    def _is_fresh(self, trial_id: str) -> bool:
        """Say whether a trial starts from its beginning and never cost a process its life: else it is trained alone."""
        lease, holder = self._leases.get(trial_id), self._store.holder(trial_id)
        is_unharmed = lease.holder.n_lost == 0 if lease else holder is None or holder.is_released
        return is_unharmed and not self._store.checkpoint(trial_id).exists()

    @contextmanager
    def _admission(self, trial_id: str) -> Iterator[tuple[int | None, ExitStack]]:
        """Yield None where the trial is ours to train, as long as the block lasts; else the exit code it stands for.

        Of several processes that train it together, the first one asks for all. What else is claimed for the block
        is entered into the stack of contexts that comes with it.
        """
        with ExitStack() as held:
            yield self._agree(self._refusal(trial_id, held) if self._is_main else None), held

    def _refusal(self, trial_id: str, held: ExitStack) -> int | None:
        if not self._store.has_ended(trial_id):
            lease = self._leases[trial_id] = held.enter_context(self._store.claim(trial_id))
            if lease is None:
                return EXIT_OK
        if self._store.has_result(trial_id):
            return EXIT_OK
        if self._store.has_ended(trial_id):
            return EXIT_FAILED
        taken = self._leases.get(trial_id)
        if taken is not None and taken.holder.n_lost >= MAX_ATTEMPTS:
            reason = f"its process died {MAX_ATTEMPTS} times in a row without getting on"
            self._store.record_failure(trial_id, reason, traceback="", host=machine.host())
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

    def _train(self, trial: Trial, data: Dataset) -> int:
        from seedstudy.train.checkpoint import Checkpoints, Stopped
        from seedstudy.train.trial import train_trial

        trial_id, lease, started_at = trial.trial_id, self._leases.get(trial.trial_id), datetime.now(UTC).isoformat()
        checkpoints = Checkpoints(
            self._store.checkpoint(trial_id),
            trial_id,
            should_stop=lambda: self._stop() or (lease is not None and lease.is_overtaken),
        )
        tell_epoch = _Speedometer(self._store, trial, is_main=self._is_main)
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

    def _train_stacked(self, trials: Sequence[Trial], data: Dataset) -> int:
        """Train several seeds side by side and publish each; what stops them all is not held against any of them."""
        from seedstudy.train.checkpoint import Stopped
        from seedstudy.train.stacks import train_stacked

        started_at = datetime.now(UTC).isoformat()
        tell_epoch = {trial.trial_id: _Speedometer(self._store, trial, is_main=True) for trial in trials}
        print(f"in a stack of {len(trials)}: seeds {', '.join(str(trial.seed) for trial in trials)}", file=sys.stderr)
        try:
            results = train_stacked(
                trials,
                data,
                on_epoch=lambda trial, report: tell_epoch[trial.trial_id](report),
                should_stop=self._stop,
            )
        except Stopped:
            print("stopped in order; a stack starts from its beginning again", file=sys.stderr)
            return EXIT_STOPPED
        except Exception:  # of one seed or of their number, memory say: each one alone tells
            traceback.print_exc()
            print("the stack failed: its seeds are trained one at a time", file=sys.stderr)
            return max(self._train(trial, data) for trial in trials)
        for trial, result in zip(trials, results, strict=True):
            self._store.publish(trial, result, data.eval_sets, started_at)
        return EXIT_OK

    def _load(self, trial: Trial, prepared: str | None) -> Dataset:
        from seedstudy import data as datasets

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
            host=machine.host(),
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
            self._store.write_progress(
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
