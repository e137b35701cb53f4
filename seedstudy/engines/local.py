"""Trials on this machine: one long-lived process per slot (core, GPU or share of a GPU), each taking free trials."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedstudy import machine
from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, EXIT_USAGE
from seedstudy.engines.watch import Say
from seedstudy.engines.worker import fair_shares, kind_of
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.store.lease import JOB, Holder
from seedstudy.store.store import Store
from seedstudy.study.command import Handling
from seedstudy.study.placement import LOADERS, Placement
from seedstudy.study.trial import Trial

STOP_WAIT_S = 30.0
"""Time for a worker to end its update and write its state before it is killed."""

_SAID = "seedstudy: "
"""Begins the line by which the command line says what is wrong with the input."""

_MAX_ARGUMENTS = 1000
"""Trials named in one command line, whose length the kernel limits; a further command names the others."""

_DEV = Path("/dev")


# --- worker processes -----------------------------------------------------------------------------------


class Worker:
    """One attended `seedstudy trial` process, or one `torchrun` that starts several of them for each trial."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.job = environment.get(JOB, "")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process that writes it
        self._process = subprocess.Popen(
            [*command, "--attended"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which then stops its workers
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def ask(self, **request: Any) -> None:
        with suppress(BrokenPipeError):  # it died, which its exit status shows
            self._stdin.write(json.dumps(request).encode() + b"\n")
            self._stdin.flush()

    def check(
        self, trials: Iterable[Trial], n_classes: int, n_train: int, *, shares: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return the ``sizes`` of stacks, at most ``shares``, and ``notes`` for the user.

        Raises StudyError where a model does not exist or cannot be trained by its recipe.
        """
        distinct = {kind_of(trial): trial.to_dict() for trial in trials}
        self.ask(check=list(distinct.values()), n_classes=n_classes, n_train=n_train, shares=shares)
        line = self._stdout.readline()
        if not line:
            raise SeedstudyError(f"a worker could not start: {self.ending()}.")
        answer: dict[str, Any] = json.loads(line)
        if answer["wrong"]:
            raise StudyError(answer["wrong"])
        return answer

    def exit_code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        """End the worker at once, with all the processes it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let the worker stop after its current update."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def end(self) -> None:
        """Stop the worker and wait; it is killed if it takes too long."""
        self.stop()
        try:
            self._process.wait(STOP_WAIT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.kill()
            self._process.wait()
        self._stdout.close()
        self._log.close()

    def ending(self) -> str:
        """Return the exit status and the last line of stderr."""
        lines = self._lines()
        return f"exit status {self._process.wait()}, {lines[-1] if lines else 'nothing on stderr'}"

    def complaint(self) -> str | None:
        """Return what the worker said of the input or the results folder, where it ended because of that.

        Several processes say it through torchrun, which ends with 1 whatever they ended with.
        """
        return complaint_in("\n".join(self._lines())) if self._process.wait() in (EXIT_USAGE, 1) else None

    def _lines(self) -> list[str]:
        self._process.wait()
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip().splitlines()


def check(store: Store, trials: Iterable[Trial], n_classes: int, n_train: int) -> None:
    """Check in a process of its own that every model exists and can be trained by its recipe; raises StudyError."""
    worker = Worker(trial_command(store, (), Work(), Placement()), dict(os.environ))
    try:
        worker.check(trials, n_classes, n_train, shares={})
    finally:
        worker.end()


# --- the engine -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a worker needs beside the names of its trials: prepared data for networks, how to run a command."""

    prepared: Path | None = None
    handling: Handling | None = None

    def options(self, placement: Placement) -> list[str]:
        """Return it as options of `seedstudy trial`."""
        if self.handling is not None:
            return ["--command", self.handling.to_json()]
        options = [] if self.prepared is None else ["--prepared", str(self.prepared.absolute())]
        options += ["--stack", "auto" if placement.stack is None else str(placement.stack)]
        options += ["--deterministic"] if placement.deterministic else []
        options += ["--compile", placement.compile] if placement.compile != "off" else []
        options += ["--keep-weights"] if placement.keep_weights else []
        return options + (["--eval-every", str(placement.eval_every)] if placement.eval_every is not None else [])


class LocalEngine:
    """The slots of this machine; the worker of each slot goes through all trials and trains the free ones."""

    outlives_launcher = False
    pause_s = 0.2

    def __init__(self, store: Store, placement: Placement, *, work: Work, n_slots: int, say: Say) -> None:
        self._store, self._placement, self._work, self._say = store, placement, work, say
        self._environments = slot_environments(n_slots, placement)
        self._trial_ids: list[str] = []
        self._stack_sizes: dict[str, int] = {}
        self._n_named: dict[int, int] = {}
        """Slot -> trials that its commands have named, where each command starts several processes."""
        self._n_started = 0
        # A worker of one process starts here, so that it imports torch while others are started; several processes
        # that train one trial together get its name on their command line, and so does what runs a command.
        self._is_asked = placement.processes == 1 and work.handling is None
        self._workers = {slot: self._start(slot, ()) for slot in range(n_slots)} if self._is_asked else {}

    def check(self, trials: Sequence[Trial], n_classes: int, n_train: int) -> None:
        """Check that every model can be trained, and choose how many seeds to stack; raises StudyError."""
        if not self._workers:
            check(self._store, trials, n_classes, n_train)
            return
        shares = fair_shares(trials, len(self._environments))
        answer = self._workers[0].check(trials, n_classes, n_train, shares=shares)
        self._stack_sizes = answer["sizes"]
        for note in answer["notes"]:
            self._say(note)

    def submit(self, trial_ids: Sequence[str]) -> None:
        self._trial_ids, self._n_named = list(trial_ids), {}
        for slot in range(len(self._environments)):
            self._assign(slot)

    def poll(self) -> set[str]:
        for slot, worker in list(self._workers.items()):
            code = worker.exit_code()
            if code is not None:
                del self._workers[slot]
                self._handle_exit(slot, worker, code)
        return set(self._trial_ids) if self._workers else set()

    def cancel(self) -> None:
        for worker in self._workers.values():
            worker.stop()  # all of them, before the first is waited for
        for worker in self._workers.values():
            worker.end()
        self._workers = {}

    def withdrawn(self) -> set[str]:
        return set()  # there is no queue

    def end(self, trial_id: str) -> None:
        holder = self._store.holder(trial_id)
        for worker in self._workers.values():
            if holder is not None and holder.job == worker.job:
                worker.kill()

    def _handle_exit(self, slot: int, worker: Worker, code: int) -> None:
        """Start another worker in the slot where trials are left for it."""
        ending, complaint, held = worker.ending(), worker.complaint(), self._held_by(worker)
        worker.end()
        if complaint is not None or code == EXIT_USAGE:
            raise SeedstudyError(complaint or ending)
        if code in (EXIT_OK, EXIT_FAILED):
            if self._n_named.get(slot, len(self._trial_ids)) < len(self._trial_ids):
                self._assign(slot)
            return
        for trial_id, holder in held.items():
            if not holder.is_released and not self._store.has_ended(trial_id):
                self._say(f"{trial_id}: its worker died ({ending}); trying again")
        if held:
            self._n_named.pop(slot, None)
            self._assign(slot)
        elif code != EXIT_STOPPED:
            self._say(f"a worker ended before it began a trial ({ending})")

    def _assign(self, slot: int) -> None:
        """Have a slot train what is free, in a new process where it has none."""
        if not self._is_asked:
            first = self._n_named.get(slot, 0)
            self._n_named[slot] = first + _MAX_ARGUMENTS
            self._workers[slot] = self._start(slot, self._trial_ids[first : first + _MAX_ARGUMENTS])
            return
        if slot not in self._workers:
            self._workers[slot] = self._start(slot, ())
        n_slots = len(self._environments)
        self._workers[slot].ask(
            train=self._trial_ids, prepared=str(self._work.prepared), sizes=self._stack_sizes, n_slots=n_slots
        )

    def _start(self, slot: int, trial_ids: Sequence[str]) -> Worker:
        self._n_started += 1
        job = f"local:{machine.host()}:{os.getpid()}.{self._n_started}"
        command = trial_command(self._store, trial_ids, self._work, self._placement)
        return Worker(command, {**self._environments[slot], JOB: job})

    def _held_by(self, worker: Worker) -> dict[str, Holder]:
        """Return the trials that a worker was the last to hold."""
        holders = {trial_id: self._store.holder(trial_id) for trial_id in self._trial_ids}
        return {trial_id: holder for trial_id, holder in holders.items() if holder and holder.job == worker.job}


# --- what every engine runs -----------------------------------------------------------------------------


def trial_command(store: Store, trial_ids: Sequence[str], work: Work, placement: Placement) -> list[str]:
    """Return the command that trains trials, the same under every engine, and on each of a trial's machines.

    Several machines meet where :data:`MEETING` says.
    """
    python = [sys.executable, "-m"]
    if placement.n_processes > 1:
        meeting = ["--standalone"] if placement.nodes == 1 else [f"--nnodes={placement.nodes}", "--rdzv-backend=c10d"]
        python += ["torch.distributed.run", *meeting, f"--nproc-per-node={placement.processes}", "-m"]
    return [*python, "seedstudy", "trial", str(store.root.absolute()), *trial_ids, *work.options(placement)]


MEETING, MEETING_ID, MEETING_FROM = "PET_RDZV_ENDPOINT", "PET_RDZV_ID", "PET_LOCAL_ADDR"
"""torchrun's environment variables, by which those of a trial's machines find each other: host:port of one, a name of
the meeting, and the machine's own address (its host name where there is none)."""


def complaint_in(text: str) -> str | None:
    """Return what the command that trains says of the input or the results folder, from what it has printed."""
    said = [line.removeprefix(_SAID) for line in text.splitlines() if line.startswith(_SAID)]
    return said[-1] if said else None


def cpu_environment(cores: int) -> dict[str, str]:
    """Return the variables that make training on CPUs fast, and its numbers equal under every engine."""
    return {
        # One process with one thread per core beats one process with several threads at small sizes.
        "OMP_NUM_THREADS": str(cores),
        "MKL_NUM_THREADS": str(cores),
        # Keep freed memory: training allocates and frees the same large blocks at every step (glibc).
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_TOP_PAD_": "268435456",
    }


# --- slots ----------------------------------------------------------------------------------------------


def default_slots(placement: Placement) -> int:
    """Return how many trials fit on this machine at a time, by its TPU chips or GPUs, or else by its cores."""
    per_trial = placement.processes * (1.0 if placement.gpus is None else placement.gpus)
    n_devices = len(_chips() or _gpus())
    if n_devices and per_trial:
        return max(1, int(n_devices / per_trial))
    return max(1, machine.cores() // (placement.cores * placement.processes))


def slot_environments(n_slots: int, placement: Placement) -> list[dict[str, str]]:
    """Return the environment of each slot's processes: threads on CPUs, GPUs or TPU chip, set before any import."""
    of_others = machine.outer_variables()
    outer = {name: text for name, text in os.environ.items() if name not in of_others}
    n_training = n_slots * placement.processes
    outer.setdefault(LOADERS, str(max(1, machine.cores() // n_training)))
    if placement.gpus == 0:
        outer.pop("PJRT_DEVICE", None)
        return [{**outer, **cpu_environment(placement.cores), "CUDA_VISIBLE_DEVICES": ""}] * n_slots
    if chips := _chips():
        if n_slots > len(chips) or placement.processes > 1 or placement.gpus not in (None, 1.0):
            raise StudyError(
                f"this machine has {len(chips)} TPU chips, and a trial takes one: leave out --gpus and --processes, "
                f"and give at most --workers {len(chips)}."
            )
        return [{**outer, **_on_chip(chip)} for chip in chips[:n_slots]]
    gpus = _gpus()
    if not gpus:
        if placement.gpus:
            raise StudyError(f"--gpus {placement.gpus:g}: this machine has no GPU: leave it out to train on its cores.")
        return [{**outer, **cpu_environment(placement.cores)}] * n_slots
    n_devices = max(1, round(placement.processes * (placement.gpus or 1.0)))
    if n_devices > len(gpus):
        raise StudyError(f"a trial on {n_devices} GPUs: this machine has {len(gpus)}.")
    first = [slot * n_devices % (len(gpus) - len(gpus) % n_devices) for slot in range(n_slots)]
    return [{**outer, "CUDA_VISIBLE_DEVICES": ",".join(gpus[at : at + n_devices])} for at in first]


def _on_chip(chip: str) -> dict[str, str]:
    """Return the variables that give a process one TPU chip; libtpu needs bounds of one chip and a port of its own."""
    port = str(8476 + int(chip))
    return {
        "PJRT_DEVICE": "TPU",
        "TPU_VISIBLE_CHIPS": chip,
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_ADDRESSES": f"localhost:{port}",
        "TPU_PROCESS_PORT": port,
        "CLOUD_TPU_TASK_ID": "0",
    }


def _chips() -> list[str]:
    """Return the TPU chips where the environment asks for them, as PyTorch/XLA does: ``PJRT_DEVICE=TPU``."""
    if os.environ.get("PJRT_DEVICE") != "TPU":
        return []
    visible = os.environ.get("TPU_VISIBLE_CHIPS")
    if visible is not None:
        return _listed(visible)
    files = [*_DEV.glob("accel[0-9]*"), *_DEV.glob("vfio/[0-9]*")]
    return [str(number) for number in range(len(files))]


def _gpus() -> list[str]:
    """Return the CUDA devices without importing torch, which would cost the launcher seconds."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return _listed(visible)
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(listed.stdout.count("GPU "))]


def _listed(visible: str) -> list[str]:
    return [device.strip() for device in visible.split(",") if device.strip() not in ("", "-1")]
