"""The state of a training on disk: a resumed trial equals an uninterrupted one bit for bit.

A checkpoint is one file: the output of `torch.save`, followed by its SHA-256, because torch does not check its own
sums. It is read with ``weights_only=True``: no pickle runs.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from seedstudy.errors import MissingError, StoreError, first_line
from seedstudy.files import damaged, read_bytes, write_atomically
from seedstudy.study.trial import TRAINING_VERSION, EpochReport
from seedstudy.train.processes import any_process, gather, mean_over_processes
from seedstudy.train.random_state import RandomStream
from seedstudy.train.result import Outcome

FORMAT = 2

SHARE = 0.01
"""Largest share of the time that writing may take; after a slow write the next one waits longer."""

MAX_GAP_S = 600.0

LARGEST = 2**38
"""Bytes of a checkpoint."""
_DIGEST_BYTES = 32
_AGREE_EVERY = 8
"""Updates after which several processes agree on stopping and writing: each agreement waits for all of them.

They agree after the last update of an epoch too, however few it has.
"""


class Stopped(Exception):
    """The trial was asked to stop; its state is in the checkpoint."""


@dataclass(kw_only=True, slots=True)
class TrainingState:
    """The parts of a training and its progress: everything that the next update depends on."""

    model: nn.Module
    optimizer: Any
    schedule: Scheduler
    ema: ModelEmaV3 | None
    outcome: Outcome
    losses: Tensor
    """Of the current epoch's updates, shape (n_updates,), on the device."""
    started: float
    """By this attempt's clock, less the seconds of earlier attempts."""
    epoch: int = 0
    """The current one, counted from 0."""
    step: int = 0
    """Updates of the current epoch that are done; all of them while the epoch is being evaluated."""
    lr: float = 0.0
    """Of the latest update."""
    train_s: float = 0.0
    """Seconds in the updates of all epochs before the current one."""
    epoch_s: float = 0.0
    """Seconds that earlier attempts spent in the current epoch's updates."""
    streams: dict[str, RandomStream] = field(default_factory=dict)
    """Random streams of the current epoch."""
    epoch_started: float = 0.0
    _stream_states: Mapping[str, Any] | None = None

    def begin_epoch(self, streams: dict[str, RandomStream]) -> None:
        """Take the epoch's new streams; a resumed epoch sets them to their saved states."""
        self.streams, self.epoch_started = streams, time.perf_counter()
        if self.step == 0:
            self.losses.zero_()
        if self._stream_states is None:
            return
        for name, stream in streams.items():
            stream.load_state_dict(self._stream_states[name])
        self._stream_states = None

    def end_epoch(self) -> None:
        self.epoch, self.step, self.epoch_s = self.epoch + 1, 0, 0.0

    @property
    def accelerator(self) -> Accelerator:
        return self.outcome.accelerator

    def seconds_of_epoch(self) -> float:
        return self.epoch_s + time.perf_counter() - self.epoch_started

    def seconds(self) -> float:
        """Return the wall seconds of all attempts."""
        return time.perf_counter() - self.started

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.accelerator.unwrap_model(self.model),
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "ema": self.ema,
            "scaler": self.accelerator.scaler,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the state as tensors, numbers, strings and containers of them; every process must call it."""
        states = {name: stream.state_dict() for name, stream in self.streams.items()}
        return {
            **{name: None if part is None else part.state_dict() for name, part in self._parts().items()},
            "streams": gather(states, self.accelerator.num_processes),
            "losses": mean_over_processes(self.losses, self.accelerator),
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.lr,
            "reports": [asdict(report) for report in self.outcome.reports],
            "seconds": {"spent_s": self.seconds(), "train_s": self.train_s, "epoch_s": self.seconds_of_epoch()},
        }

    def load_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`to_dict` returned."""
        for name, part in self._parts().items():
            if part is not None:
                part.load_state_dict(state[name])
        self.losses.copy_(state["losses"])
        self.epoch, self.step, self.lr = state["epoch"], state["step"], state["lr"]
        self.outcome.reports = [EpochReport(**report) for report in state["reports"]]
        seconds = state["seconds"]
        self.started -= seconds["spent_s"]
        self.train_s, self.epoch_s = seconds["train_s"], seconds["epoch_s"]
        self._stream_states = state["streams"][self.accelerator.process_index] if self.step else None


class Checkpoints:
    """Writes and reads one trial's checkpoint, and stops the trial on request.

    The state is written at epoch ends and, in epochs longer than :data:`MAX_GAP_S`, between updates.
    """

    def __init__(
        self,
        path: Path,
        trial_id: str,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
    ) -> None:
        self._path, self._trial_id, self._should_stop, self._say = path, trial_id, should_stop, say
        self._cost_s, self._written_at = 0.0, time.monotonic()
        self.position = (0, 0)
        """Epoch and update of the training, counted from 0; for the record of a failure."""

    def restore(self, state: TrainingState) -> None:
        """Resume from the checkpoint where there is one for this trial; otherwise change nothing."""
        try:
            saved = read(self._path)
            expected = _identity(self._trial_id, state.accelerator)
            if different := [key for key, value in expected.items() if saved.get(key) != value]:
                raise StoreError(f"{self._path}: different {', '.join(different)}.")
        except MissingError:
            return
        except StoreError as error:
            self._say(f"{error} It is not used: the trial starts from the beginning.")
            return
        state.load_dict(saved["state"])
        self.position = state.epoch, state.step
        self._say(f"resumed at epoch {state.epoch + 1}, update {state.step + 1}")

    def after_update(self, state: TrainingState) -> None:
        """Write the state if it is due, or if the trial was asked to stop: then raise Stopped."""
        self.position = state.epoch, state.step
        is_last = state.step == len(state.losses)
        if state.accelerator.num_processes > 1 and state.step % _AGREE_EVERY and not is_last:
            return
        must_stop, is_due = any_process(state.accelerator, self._should_stop(), self._is_due(MAX_GAP_S))
        if must_stop or is_due:
            self._write(state)
        if must_stop:
            raise Stopped

    def after_epoch(self, state: TrainingState) -> None:
        """Write the state if it is due; the epoch's updates are done, its evaluation is not."""
        if any_process(state.accelerator, self._is_due(0.0))[0]:
            self._write(state)

    def _is_due(self, gap_s: float) -> bool:
        return time.monotonic() - self._written_at >= max(gap_s, self._cost_s / SHARE)

    def _write(self, state: TrainingState) -> None:
        started = time.monotonic()
        content = {**_identity(self._trial_id, state.accelerator), "state": state.to_dict()}
        if state.accelerator.is_main_process:
            try:
                write(self._path, content)
            except OSError as error:  # a full disk must not end the training
                self._say(f"{self._path}: not written ({error.strerror}); the training continues without a checkpoint")
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - started


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings and containers of them; the file is complete or not there at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    write_atomically(path, buffer.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """Return what :func:`write` wrote, on the CPU; raises StoreError where that is not in the file."""
    content = memoryview(read_bytes(path, limit=LARGEST))
    payload, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise damaged(path, "its checksum does not match")
    try:
        saved: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever it meets; the digest is no proof of who wrote the file
        raise damaged(path, f"it holds more than tensors and numbers: {first_line(error)}") from error
    if not isinstance(saved, dict):
        raise damaged(path, "it holds no state")
    return saved


def _identity(trial_id: str, accelerator: Accelerator) -> dict[str, Any]:
    """Return what a checkpoint and the training that resumes from it must have in common."""
    return {
        "format": FORMAT,
        "trial_id": trial_id,
        "training_version": TRAINING_VERSION,
        "torch": str(torch.__version__),
        "device_type": accelerator.device.type,
        "n_processes": accelerator.num_processes,
    }
