"""MLPerf Training: a result file of ``:::MLLOG`` lines, one run each.

A run that succeeds stops at its target quality: the result is ``time_to_train_s``, or the epochs it took; its last
``eval_accuracy`` is the target by construction.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, table_of_runs
from seedstudy.read.table import Table
from seedstudy.read.tables import text_of

_MARK = ":::MLLOG "
_CLOCKS = ("epoch_num", "samples_count", "step_num")
_RESULT = ("eval_accuracy", "eval_loss", "eval_error")


def _is_mine(path: Path) -> bool:
    return _MARK.encode() in head_of(path, ".txt", ".log", ".out", ".json")


def _read(path: Path) -> Table:
    text = text_of(path)
    points, settings = list[dict[str, Any]](), dict[str, Any]()
    started: float | None = None
    status, notes = "running", list[str]()
    lines = text.splitlines()
    for row, line in enumerate(lines, start=1):
        _, mark, content = line.partition(_MARK)
        if not mark:
            continue
        try:
            event = json.loads(content)
            key, value, time = event["key"], event["value"], event["time_ms"]
            metadata = event.get("metadata") or {}
            clocks = {name: metadata[name] for name in _CLOCKS if isinstance(metadata.get(name), int | float)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if row == len(lines) and not text.endswith("\n"):
                notes.append(f"line {row} is cut short: left out")
                continue
            raise StudyError(f"{path}, line {row}: not an entry of MLPerf's log; is the file damaged?") from None
        if key in _RESULT and isinstance(value, int | float):
            points.append({**clocks, key: value})
        elif key == "run_start" and isinstance(time, int | float):
            started = time
        elif key == "run_stop":
            status = str(metadata.get("status", "unknown"))
            if started is not None and isinstance(time, int | float):
                last = points.pop() if points else {}
                points.append({**last, "time_to_train_s": (time - started) / 1000})
        elif started is None and (value is None or isinstance(value, str | int | float)) and value is not None:
            settings[str(key)] = value
    run = Run(identity={}, points=points, settings=settings, status=status)
    notes.append("a run stops at its target: compare time_to_train_s or epochs, not the last eval_accuracy")
    accuracies = [point["eval_accuracy"] for point in points if "eval_accuracy" in point]
    unit = "fraction" if max(accuracies, default=0) <= 1 else None
    return table_of_runs([run], path, clocks=_CLOCKS, unit=unit, notes=notes)


MLPERF = Format(name="MLPerf result file", is_mine=_is_mine, read=_read, run="file")
