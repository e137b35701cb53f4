"""The process that trains: `python -m seedstudy.engines.worker`, long-lived, one trial at a time.

It reads requests from stdin and answers on stdout, one JSON object a line:

    {"do": "check", "specs": [...], "n_classes": 10} -> {"event": "checked"}
    {"do": "train", "trial_id": ..., "prepared": ...} -> {"event": "epoch", ...}*, then
                                                         {"event": "done" | "busy" | "failed", ...}

Either may be answered {"event": "wrong", "message": ...}: the user's input or the results folder is to be mended.

End of stdin means that the launcher is gone: the process stops at once, and the trial in flight stays unfinished.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

from seedstudy.errors import SeedstudyError


def main() -> None:
    """Serve requests until stdin closes."""
    results, study = sys.argv[1:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not break the protocol
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, requests), daemon=True).start()
    server = _Server(Path(results), study, answers)
    server.get_ready()
    while True:
        server.serve(requests.get())


def _listen(stdin: IO[str], requests: queue.Queue[dict[str, Any]]) -> None:
    for line in stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the launcher is gone or done with us; nothing of a trial is published before its end


class _Server:
    def __init__(self, results: Path, study: str, answers: IO[str]) -> None:
        self._results, self._study, self._answers = results, study, answers

    def get_ready(self) -> None:
        """Pay the imports of torch and timm once, while the launcher prepares the data."""
        import torch

        import seedstudy.train.trial  # noqa: F401  # imported for its cost

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self._say(event="ready")

    def serve(self, request: dict[str, Any]) -> None:
        try:
            if request["do"] == "check":
                self._check(request)
            else:
                self._train(request)
        except SeedstudyError as error:
            self._say(event="wrong", message=str(error))

    def _check(self, request: dict[str, Any]) -> None:
        from seedstudy.study import Trial
        from seedstudy.train.models import check_model

        for spec in request["specs"]:
            trial = Trial.from_dict(spec, where="plan")
            check_model(trial.model, trial.recipe, request["n_classes"])
        self._say(event="checked")

    def _train(self, request: dict[str, Any]) -> None:
        from datetime import UTC, datetime

        from seedstudy import datasets
        from seedstudy.store import Store
        from seedstudy.train.trial import train_trial

        store, trial_id = Store(self._results, self._study), request["trial_id"]
        trial = store.read_spec(trial_id)
        with store.claim(trial_id) as is_mine:
            if not is_mine:
                self._say(event="busy", trial_id=trial_id)
                return
            if store.is_done(trial_id):  # another launcher was faster
                self._say(event="done", trial_id=trial_id)
                return
            started_at = datetime.now(UTC).isoformat()
            data = datasets.load(Path(request["prepared"]), train_limit=trial.train_limit)
            try:
                result = train_trial(trial, data, on_epoch=lambda report: self._tell_epoch(trial_id, report))
            except Exception as error:  # whatever a network or a driver throws becomes a row with a reason
                reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
                store.record_failure(trial_id, reason, traceback.format_exc())
                self._say(event="failed", trial_id=trial_id, message=reason)
                return
            store.publish(trial, result, data.eval_sets, started_at)
        self._say(event="done", trial_id=trial_id)

    def _tell_epoch(self, trial_id: str, report: Any) -> None:
        self._say(event="epoch", trial_id=trial_id, epoch=report.epoch, images_per_s=report.images_per_s)

    def _say(self, **answer: Any) -> None:
        try:
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()
        except BrokenPipeError:
            os._exit(0)  # the launcher is gone: not a failure of the trial


if __name__ == "__main__":
    main()
