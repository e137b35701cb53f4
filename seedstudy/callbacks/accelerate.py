"""accelerate: ``Accelerator(log_with=SeedstudyTracker(arm="a2", seed=seed, metric="val_acc"))``."""

from __future__ import annotations

from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

import seedstudy as ss


class SeedstudyTracker(GeneralTracker):
    """Report a training as a trial: the metric as ``accelerator.log`` had it last, when ``end_training`` is called.

    A training that raises before is *interrupted* once its process has ended.
    """

    name = "seedstudy"
    requires_logging_directory = False

    def __init__(
        self, *, arm: str, seed: int, metric: str, eval_set: str = "val", n: int | None = None, **trial: Any
    ) -> None:
        """``metric`` is a key of what is logged; ``trial`` are other arguments of :func:`ss.trial`."""
        super().__init__()
        self._metric, self._eval_set, self._n = metric, eval_set, n
        self._report = ss.trial(arm=arm, seed=seed, **trial)
        self._is_begun = False

    @property
    def tracker(self) -> Any:
        """The report of the trial."""
        return self._report

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Begin the trial; ``init_trackers`` calls this."""
        self._report.start()
        self._is_begun = True

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        """Keep the metric."""
        if self._metric in values:
            number: Any = {self._eval_set: float(values[self._metric])}
            self._report.result(metric=self._metric, n=self._n, **number)

    @on_main_process
    def finish(self) -> None:
        """Write the result."""
        if self._is_begun:
            self._report.finish()
