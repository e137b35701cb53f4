"""The process that trains: `seedstudy trial STUDY_DIR TRIAL_ID…`, started by a launcher, a queue or a person.

It trains those of its trials that are free, one after the other, or several seeds of one recipe and model side by side
where that is faster (`--stack`). It reports through files alone; its exit code (`EXIT_OK` and the others) says why it
ended, and differs from 1, with which Python ends where it raises, and torchrun where one of its processes died.

SIGTERM: stop at the next update and keep the state. SIGUSR1, which Slurm sends near the time limit: the same, and
requeue the job. An attended process also stops when its stdin ends, because its launcher is gone then; where it hangs
and does not get as far, it is ended.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from seedstudy import data as datasets
from seedstudy.data import pseudo
from seedstudy.data.base import Dataset
from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, Attempts, Stop, begin, end
from seedstudy.errors import SeedstudyError, StoreError, StudyError, require_extra
from seedstudy.store.store import Published, Store
from seedstudy.study.placement import Placement
from seedstudy.study.trial import EpochReport, Trial, TrialResult


def main(
    study_dir: Path,
    trial_ids: Sequence[str],
    *,
    prepared: Path | None,
    cache_dir: Path,
    is_attended: bool,
    placement: Placement = Placement(),
) -> int:
    """Train and return the exit code.

    ``trial_ids`` may be empty where the process is attended. Then it imports torch and timm, and waits for requests
    from stdin, one JSON object a line: ``{"check": [specs], "n_classes": n, "n_train": n, "shares": {kind: limit}}``,
    which is answered by one line on stdout, and ``{"train": [trial_ids], "prepared": path, "sizes": {kind: size},
    "n_slots": n}``. Without ``prepared``, the folder of the prepared data, a trial's data set is prepared here.
    Of ``placement`` count the most seeds to train side by side, determinism, compilation, and how often val is
    evaluated.
    """
    if placement.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for it, before CUDA starts
    require_extra("train")
    if placement.compile != "off":  # kept for the next process; torch reads both when it is imported
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir / "compiled"))
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # a worker has its cores, not the machine's
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    requests, stop = begin(is_attended=is_attended)
    worker = _Worker(Store(study_dir.parent, study_dir.name), stop, cache_dir, StackSizes(placement.stack), placement)
    if trial_ids:
        requests.put({"train": list(trial_ids), "prepared": prepared and str(prepared), "sizes": {}, "n_slots": 1})
        requests.put(None)
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
    end(stop)
    return EXIT_OK if code == EXIT_FAILED and int(os.environ.get("WORLD_SIZE", "1")) > 1 else code


_PULSE_S = 30.0
"""A training says this often that it gets on."""

# --- training -------------------------------------------------------------------------------------------


class _Worker(Attempts):
    def __init__(
        self, store: Store, stop: Stop, cache_dir: Path, sizes: StackSizes, placement: Placement = Placement()
    ) -> None:
        super().__init__(store, stop)
        self._cache_dir, self.sizes, self._placement = cache_dir, sizes, placement
        self._progress: dict[str, _Progress] = {}
        """Of the trials that are being trained."""
        self._spec = cache(self._network)

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

    def _network(self, trial_id: str) -> Trial:
        trial = self._store.read_spec(trial_id)
        if not isinstance(trial, Trial):
            raise StudyError(f"{trial_id}: it runs a command: `seedstudy run` with the same command resumes it.")
        return trial

    def train(self, trial_ids: Sequence[str], prepared: str | None, n_slots: int) -> int:
        """Train the free trials one after the other, each together with those that are worth stacking with it.

        ``n_slots`` processes work through the same trials: a stack leaves them their share.
        """

        def attempt(trial_id: str, later: Iterable[str], leases: ExitStack) -> int:
            trial = self._network(trial_id)
            data = self._load(trial, prepared)
            others = self._claim_stack(trial, data, later, n_slots, leases)
            return self._train_stacked([trial, *others], data) if others else self._train(trial, data)

        return self.each(trial_ids, attempt)

    def _shared(self, refusal: int | None) -> int | None:
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
                trial,
                data,
                on_epoch=on_epoch,
                checkpoints=checkpoints,
                start=None if trial.start is None else self._store.start(trial.start.digest),
                keeps_weights=bool(self._placement.keep_weights),
                is_deterministic=self._placement.deterministic,
                compiling=self._placement.compile,
                eval_every=self._placement.eval_every,
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
                keeps_weights=bool(self._placement.keep_weights),
                is_deterministic=self._placement.deterministic,
                eval_every=self._placement.eval_every,
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
        if trial.pseudo_labels is not None:
            content = self._store.start(trial.pseudo_labels)
            return pseudo.joined(data, pseudo.read(content, trial.trial_id), datasets.load(folder))
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


# --- stacks: how many seeds to train side by side -------------------------------------------------------

LARGEST_STACK = 16
"""Seeds of a stack where their number is not given."""


def kind_of(trial: Trial) -> str:
    """Return as text what the seeds of a stack share: everything but the seeds."""
    return replace(trial, seed=0, stream_seeds=(), replicate=0, start=None).trial_id


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
