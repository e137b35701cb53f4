"""transformers: ``Trainer(callbacks=[SeedstudyCallback(arm="a2", seed=args.seed, metric="eval_accuracy")])``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import seedstudy as ss


class SeedstudyCallback(TrainerCallback):
    """Report one ``train`` as a trial: the metric of the last evaluation.

    That is the last one before the training ends or, where there was none, the first one after it. transformers tells
    no callback of an exception: a training that raises is *interrupted* once its process has ended.
    """

    def __init__(
        self, *, arm: str, seed: int, metric: str, eval_set: str = "val", n: int | None = None, **trial: Any
    ) -> None:
        """``metric`` is a name that ``evaluate`` returns; ``trial`` are other arguments of :func:`ss.trial`."""
        self._metric, self._eval_set, self._n = metric, eval_set, n
        self._report = ss.trial(arm=arm, seed=seed, **trial)
        self._value: float | None = None
        self._is_trained = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Begin the trial, in the first process alone."""
        if state.is_world_process_zero:
            self._report.start()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Keep the metric."""
        self._value = (given.get("metrics") or {}).get(self._metric, self._value)
        if self._is_trained:
            self._end(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the result, if there is one by now."""
        self._is_trained = True
        self._end(state)

    def _end(self, state: TrainerState) -> None:
        if state.is_world_process_zero and self._value is not None and not self._report.is_done:
            number: Any = {self._eval_set: float(self._value)}
            self._report.result(metric=self._metric, n=self._n, **number)
            self._report.finish()
