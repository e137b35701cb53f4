"""A training reports its own result, from inside the user's script."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsFloat

from seedstudy import machine, terminal
from seedstudy.arguments import public
from seedstudy.errors import StudyError, first_line
from seedstudy.study.code import code_of
from seedstudy.study.command import CommandTrial, ReportedNumber, ReportedResult
from seedstudy.study.study import Study, check_name

if TYPE_CHECKING:
    import polars as pl

_WHOLE = 1e-6
"""How far an accuracy times the number of images may be from a whole number, per image."""


class TrialReport:
    """One training that reports itself; see :func:`trial`."""

    def __init__(self, planned: CommandTrial, results: Path, study: str) -> None:
        from seedstudy.store.store import Store

        self._trial, self._study, self._store = planned, study, Store(results, study)
        self._is_main = int(os.environ.get("RANK", "0")) == 0
        self._numbers: dict[str, ReportedNumber] = {}
        self._not_finite = ""
        self._frames: list[pl.DataFrame] = []
        self._stack = ExitStack()
        self._started_at, self._began = "", 0.0
        self.is_done = False
        """Whether the study holds a result of this trial: of an earlier run of the script, or of this one."""

    @property
    def trial_id(self) -> str:
        """The name of its folder in the study."""
        return self._trial.trial_id

    def start(self) -> TrialReport:
        """Begin: plan the trial and hold its lease; StudyError where another process holds it."""
        self._started_at, self._began = datetime.now(UTC).isoformat(), time.monotonic()
        if not self._is_main:
            return self
        self._store.plan(Study(recipes=(), name=self._study), [self._trial])
        self.is_done = self._store.has_result(self.trial_id)
        if not self.is_done:
            if self._stack.enter_context(self._store.claim(self.trial_id)) is None:
                raise StudyError(f"{self.trial_id}: another process trains it now: wait, or choose another seed.")
            self._store.clear_failure(self.trial_id)
        return self

    def result(
        self,
        *,
        n: int | Mapping[str, int] | None = None,
        metric: str = "top1",
        unit: str | None = None,
        predictions: Any = None,
        **values: float,
    ) -> None:
        """Report the result on one or more eval sets: ``t.result(val=0.781, real=0.85, n=50_000)``.

        Of several calls the last one counts, as the last epoch does. A value that is nan or infinite makes the trial a
        diverged one.

        Parameters
        ----------
        n
            Images of every eval set, or by eval set: then right answers are counted, and nothing is rounded.
        metric
            What the values are. An accuracy of at most 1 is a fraction, unless `unit` says ``percent``.
        predictions
            A Polars, pandas or Arrow table, or a dict of columns, with a row per image: ``example_id``, ``label``,
            ``predicted`` and ``confidence`` (the probability of the prediction); ``eval_set`` where there are several.

        """
        if not values:
            raise StudyError("result: name an eval set and its value, for example t.result(val=0.781).")
        for eval_set, value in values.items():
            check_name(eval_set, "eval set")
            if isinstance(value, bool) or not isinstance(value, SupportsFloat):
                raise StudyError(f"result: {eval_set}={value!r}: expected a number.")
            n_images = n.get(eval_set) if isinstance(n, Mapping) else n
            self._numbers[eval_set] = _number(metric, float(value), unit, n_images, where=f"{eval_set} = {value:g}")
        self._not_finite = next((f"{k} is {v:g}" for k, v in values.items() if not math.isfinite(float(v))), "")
        if predictions is not None:
            self._frames = [_predictions(predictions, self.trial_id, tuple(values))]

    def finish(self) -> None:
        """End well: write the result, at once or not at all; a trial without one has failed."""
        if not self._numbers:
            self.fail("it ended without an error and reported no result")
            return
        if self._is_main and not self.is_done:
            accelerator = machine.accelerator()
            result = ReportedResult(
                status="diverged" if self._not_finite else "ok",
                reason=self._not_finite,
                evaluations={} if self._not_finite else self._numbers,
                train_s=time.monotonic() - self._began,
                provenance={
                    "device": accelerator or "cpu",
                    "device_type": "cpu" if accelerator is None else "cuda",
                    "host": machine.host(),
                    "versions": {"python": platform.python_version()},
                },
            )
            predictions = self._frames[0] if self._frames and not self._not_finite else None
            self._store.publish_reported(self._trial, result, self._started_at, predictions)
        elif self._is_main:
            terminal.say(f"{self.trial_id}: it had a result before, which stays; this one is not written.")
        self.is_done = True
        self._stack.close()

    def fail(self, reason: str, text: str = "") -> None:
        """End badly: a row with a reason."""
        if self._is_main and not self.is_done:
            self._store.record_failure(self.trial_id, reason, text, host=machine.host())
        self._stack.close()

    def __enter__(self) -> TrialReport:
        """Begin."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and let an exception propagate."""
        if error is None:
            self.finish()
        elif isinstance(error, Exception):
            self.fail(f"{type(error).__name__}: {first_line(error)}", "".join(traceback.format_exception(error)))
        else:  # Ctrl-C and the like: interrupted
            self._stack.close()


@public
def trial(
    *,
    arm: str,
    seed: int,
    study: str = "main",
    results: str | Path = "results",
    model: str | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    code: tuple[str, ...] | None = None,
) -> TrialReport:
    """Report a training from inside its script: one row of a study, written at once or not at all.

    ::

        with ss.trial(arm="a2", seed=seed) as t:
            accuracy = train(seed)
            t.result(val=accuracy, n=50_000)

    An exception is recorded as a failed row with its reason and raised again. A block that ends without a result
    is a failed row, too. Of the
    processes of one training (torchrun) the first one writes.

    When the script is run again with the same arm, seed, settings and code, a result that is there stays, whatever the
    second one is (``t.is_done`` says so at the start, to skip the training); a failed or interrupted trial is replaced.
    With other code or settings it is another trial, which is not pooled with the first.

    Parameters
    ----------
    arm, seed
        What is compared, and what differs within it.
    model, data
        What is trained, and on what, where a study holds several.
    settings
        Whatever else must agree before two seeds are of one recipe.
    code
        Files whose content must agree as well; None: the script, and the git commit it is run from.

    """
    from seedstudy.store.store import Store

    check_name(arm, "arm")
    Store(Path(results), study)
    if isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise StudyError(f"seed {seed}: a seed is a whole number from 0 on.")
    script = Path(sys.argv[0] or "python")
    planned = CommandTrial(
        arm=arm,
        model=model or "",
        data=data or "",
        run=(script.name or "python",),
        values={key: repr(value) for key, value in sorted((settings or {}).items())},
        result=None,
        metric="top1",
        environment={},
        code=code_of(Path.cwd(), code or (), [str(script)], results=Path(results)),
        seed=seed,
    )
    return TrialReport(planned, Path(results), study)


def _number(metric: str, value: float, unit: str | None, n: int | None, *, where: str) -> ReportedNumber:
    from seedstudy.read.metrics import is_accuracy, to_points

    if not math.isfinite(value):
        return ReportedNumber(metric=metric, value=value)
    if not is_accuracy(metric) and unit is None:
        return ReportedNumber(metric=metric, value=value)
    known = unit or ("fraction" if value <= 1.0 else "percent")
    points = float(to_points([value], known, where=where, other_metric="say metric=…")[0])
    if n is not None:
        if n < 1:
            raise StudyError(f"{where}, n = {n}: must be at least 1.")
        n_correct = round(points / 100 * n)
        if metric == "top1" and abs(points / 100 * n - n_correct) <= _WHOLE * n:
            return ReportedNumber(metric=metric, n_correct=n_correct, n_examples=n)
    return ReportedNumber(metric=metric, value=points)


def _predictions(given: Any, trial_id: str, eval_sets: tuple[str, ...]) -> pl.DataFrame:
    """Return PREDICTIONS of a table of anybody's; StudyError where a column is missing."""
    import polars as pl

    from seedstudy.decide.given import frame_of
    from seedstudy.store.schema import PREDICTIONS

    frame = pl.DataFrame(given) if isinstance(given, Mapping) else frame_of(given)
    if frame is None:
        raise StudyError("predictions: expected a table with example_id, label, predicted and confidence.")
    lacking = [name for name in ("example_id", "label", "predicted", "confidence") if name not in frame.columns]
    if lacking:
        raise StudyError(f"predictions: no column {', '.join(lacking)}; a row per image needs it.")
    if "eval_set" not in frame.columns:
        if len(eval_sets) > 1:
            raise StudyError("predictions: which eval set is each row from? Add a column eval_set.")
        frame = frame.with_columns(pl.lit(eval_sets[0]).alias("eval_set"))
    labels = pl.concat_list(pl.col("label").cast(pl.Int32)).alias("labels")
    frame = frame.with_columns(pl.lit(trial_id).alias("trial_id"), labels)
    missing = [name for name in PREDICTIONS if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=PREDICTIONS[name]).alias(name) for name in missing)
    return frame.select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())
