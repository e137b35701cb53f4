"""Trackio: the SQLite file of a project (``~/.cache/huggingface/trackio/PROJECT.db``).

Metrics and configurations are JSON; nested ones get names such as ``val/acc``. Trackio keeps no status of its runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.sqlite import columns_of, database, has_tables
from seedstudy.read.formats.tracked import Run, flat_numbers, flat_settings, table_of_runs
from seedstudy.read.table import Table
from seedstudy.read.tables import parse_json

_STEP = "step"
_TABLES = {"metrics": {"run_name", "step", "metrics"}}
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""How Trackio writes what JSON cannot."""


def _is_project(path: Path) -> bool:
    return has_tables(path, _TABLES)


def _read(path: Path) -> Table:
    with database(path) as connection:
        key = "run_id" if "run_id" in columns_of(connection, "metrics") else "run_name"
        rows = connection.execute(f"SELECT {key}, run_name, step, metrics FROM metrics ORDER BY id").fetchall()
        configs: dict[str, Any] = {}
        if {key, "config"} <= columns_of(connection, "configs"):
            configs = dict(connection.execute(f"SELECT {key}, config FROM configs"))
    names: dict[str, str] = {}
    points: dict[str, list[dict[str, Any]]] = {}
    for run_id, name, step, metrics in rows:
        if not isinstance(step, int):
            raise StudyError(f"{path}: a step is {str(step)[:20]!r} and not a number; is the file damaged?")
        names[run_id] = str(name)
        numbers = dict(flat_numbers(_known(_record(path, metrics))))
        if numbers:
            points.setdefault(run_id, []).append({_STEP: step, **numbers})
    runs = [
        Run(
            identity={"run": name, **({"run_id": str(run_id)} if key == "run_id" else {})},
            points=points.get(run_id, ()),
            settings={
                name: value
                for name, value in flat_settings(_record(path, configs[run_id]) if run_id in configs else {})
                if not name.startswith("_")  # Trackio's own: user, time, group
            },
        )
        for run_id, name in names.items()
    ]
    return table_of_runs(runs, path, clocks=(_STEP,), notes=["Trackio keeps no status: runs count as they end"])


def _record(path: Path, text: Any) -> Mapping[str, Any]:
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    record = parse_json(path, text, " (metrics or config)")
    if not isinstance(record, dict):
        raise StudyError(f"{path}: metrics or config is no JSON object; is the file damaged?")
    return record


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without images, tables and the like, and with numbers that JSON cannot write."""
    known: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            known |= {} if "_type" in value else {name: _known(value)}
        else:
            known[name] = _WORDS.get(value, value) if isinstance(value, str) else value
    return known


TRACKIO = Format(name="Trackio project", is_mine=_is_project, read=_read)
