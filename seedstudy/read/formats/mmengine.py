"""mmengine and mmcv: JSON lines of one run (``vis_data/scalars.json``, ``20260101_120000.log.json``).

mmengine writes validations as lines without ``lr``, with an epoch or iteration as their ``step``. The seed and all
other settings are in config.py, of which only plain values are read: nothing in it is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, flat_numbers, flat_settings, table_of_runs, word_set
from seedstudy.read.table import Table
from seedstudy.read.tables import json_lines, text_of

_TRAINING = word_set("lr base_lr loss data_time time memory iter epoch momentum grad_norm mode step eta")
_CONFIG_BYTES = 1_000_000


def _is_mine(path: Path) -> bool:
    head = head_of(path, ".json")
    if not head.startswith(b"{") or (b"\n" not in head.strip() and path.name != "scalars.json"):
        return False
    first, _, _ = head.partition(b"\n")
    is_old = path.name.endswith(".log.json") and (b'"mode"' in head or b'"env_info"' in first)
    is_new = b'"data_time"' in first and b'"time"' in first and b'"step"' in first
    return is_old or is_new


def _read(path: Path) -> Table:
    records, notes = json_lines(path, text_of(path))
    points, settings = [], dict[str, Any]()
    at: dict[str, Any] = {}
    for row, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise StudyError(f"{path}, line {row}: expected a JSON object, as mmengine writes it.")
        if "env_info" in record or ("mode" not in record and "step" not in record):
            settings |= {name: record[name] for name in ("seed", "exp_name") if record.get(name) is not None}
            continue
        is_training = record.get("mode", "train" if "lr" in record or "loss" in record else "val") == "train"
        clocks = {name: record[name] for name in ("epoch", "iter") if isinstance(record.get(name), int)}
        if is_training or clocks:
            at = clocks or at
        numbers = dict(flat_numbers({name: v for name, v in record.items() if name not in ("epoch", "iter", "step")}))
        if not is_training:
            numbers = {name: value for name, value in numbers.items() if name not in _TRAINING}
        points.append({**(at or {"step": record.get("step")}), **numbers})
    settings |= dict(flat_settings(_config_beside(path), "."))
    for name in ("work_dir", "experiment_name", "exp_name", "log_level", "launcher"):
        settings.pop(name, None)
    units = ("epoch", "iter", "step")
    run = Run(identity={}, points=points, settings=settings)
    return table_of_runs([run], path, clocks=units, notes=notes)


def _config_beside(path: Path) -> Mapping[str, Any]:
    """Return the seed and the plain values of config.py beside scalars.json; none where it is not there."""
    file = path.parent / "config.py"
    if not file.is_file() or file.is_symlink() or file.stat().st_size > _CONFIG_BYTES:
        return {}
    try:
        tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        named = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
        return {node.targets[0].id: _plain(node.value) for node in named if isinstance(node.targets[0], ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _plain(node: ast.expr) -> Any:
    """Return what a literal or ``dict(name=…)`` says; text in place of anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {pair.arg: _plain(pair.value) for pair in node.keywords if pair.arg is not None}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_plain(key)): _plain(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.List | ast.Tuple):
        return [_plain(item) for item in node.elts]
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node)[:100]
    return value if value is None or isinstance(value, str | int | float) else str(value)


MMENGINE = Format(name="mmengine log", is_mine=_is_mine, read=_read, run="folder")
