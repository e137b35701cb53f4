"""Lightning: ``Trainer(callbacks=[SeedstudyCallback(arm="a2", seed=seed, metric="val_acc")])``."""

from __future__ import annotations

import traceback
from typing import Any

import lightning.pytorch as pl

import seedstudy as ss
from seedstudy.errors import first_line


class SeedstudyCallback(pl.Callback):
    """Report one ``fit`` as a trial: the metric as it was last logged, or the exception that ended it."""

    def __init__(
        self, *, arm: str, seed: int, metric: str, eval_set: str = "val", n: int | None = None, **trial: Any
    ) -> None:
        """``metric`` is a name in ``trainer.callback_metrics``; ``trial`` are other arguments of :func:`ss.trial`."""
        self._metric, self._eval_set, self._n = metric, eval_set, n
        self._report = ss.trial(arm=arm, seed=seed, **trial)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the trial, in the first process alone."""
        if trainer.is_global_zero:
            self._report.start()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the result."""
        if not trainer.is_global_zero:
            return
        value = trainer.callback_metrics.get(self._metric)
        if value is None:
            logged = ", ".join(trainer.callback_metrics) or "nothing"
            self._report.fail(f'"{self._metric}" was not logged; there is {logged}')
            return
        number: Any = {self._eval_set: float(value)}
        self._report.result(metric=self._metric, n=self._n, **number)
        self._report.finish()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write why there is no result."""
        if trainer.is_global_zero and isinstance(exception, Exception):
            text = "".join(traceback.format_exception(exception))
            self._report.fail(f"{type(exception).__name__}: {first_line(exception)}", text)
