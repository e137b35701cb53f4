"""Ray Tune: the folder of an experiment, or of one trial (result.json, progress.csv, params.json).

result.json is read where it is there, since it holds the configuration too; progress.csv otherwise, with params.json.
How a trial ended is in the experiment's own state; without it, error.txt in a trial's folder says that it failed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.tracked import Run, flat_numbers, flat_settings, table_of_runs, word_set
from seedstudy.read.table import Table
from seedstudy.read.tables import json_lines, parse_json, text_of

_CLOCK, _TRIAL = "training_iteration", "trial_id"
_RESULT, _PROGRESS, _PARAMS = "result.json", "progress.csv", "params.json"
_OWN = word_set("""
    timestamp done trial_id date time_this_iter_s time_total_s pid hostname node_ip config time_since_restore
    iterations_since_restore timesteps_since_restore checkpoint_dir_name should_checkpoint experiment_id experiment_tag
    warmup_time
""")
"""What Ray adds to each result."""


def _is_trial(folder: Path) -> bool:
    if (folder / _RESULT).is_file():
        with (folder / _RESULT).open("rb") as file:
            head = file.read(65536)
        return not head or (b'"training_iteration"' in head and b'"trial_id"' in head)
    return (folder / _PARAMS).is_file() and _is_progress(folder / _PROGRESS)


def _is_progress(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.readline(65536)
    return b"training_iteration" in head and b"trial_id" in head


def _trials_in(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink() and _is_trial(each))


def _is_experiment(path: Path) -> bool:
    if path.is_dir():
        return _is_trial(path) or bool(_trials_in(path))
    return path.name in (_RESULT, _PROGRESS) and _is_trial(path.parent)


def _read(path: Path) -> Table:
    is_file = path.is_file()
    folders = [path.parent] if is_file else [path] if _is_trial(path) else _trials_in(path)
    root = folders[0].parent if len(folders) == 1 and (is_file or folders[0] == path) else path
    states = _states(root)
    notes = list[str]()
    if not states:
        notes.append("no state of the experiment beside the trials: one that was stopped looks finished")
    runs = []
    for folder in folders:
        use_progress = path.name == _PROGRESS if is_file else not (folder / _RESULT).is_file()
        run, own = _of_progress(folder, states) if use_progress else _of_results(folder, states)
        notes += own
        runs.append(run)
    return table_of_runs(runs, path, clocks=(_CLOCK,), notes=notes)


def _of_results(folder: Path, states: Mapping[str, str]) -> tuple[Run, list[str]]:
    file = folder / _RESULT
    records, notes = json_lines(file, text_of(file))
    points, config = [], dict[str, Any]()
    trial_id = folder.name
    for row, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise StudyError(f"{file}, line {row}: expected a JSON object, as Ray writes it.")
        trial_id = str(record.get(_TRIAL, trial_id))
        config = record["config"] if isinstance(record.get("config"), dict) else config
        points.append(dict(flat_numbers({k: v for k, v in record.items() if k not in _OWN})))
    run = Run(
        identity={_TRIAL: trial_id},
        points=points,
        settings=dict(flat_settings(config or _params(folder))),
        status=_status(folder, trial_id, states),
    )
    return run, [f"{file}: {note}" for note in notes]


def _of_progress(folder: Path, states: Mapping[str, str]) -> tuple[Run, list[str]]:
    file = folder / _PROGRESS
    text = text_of(file)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise StudyError(f"{file}: not a readable csv file ({error}); is it cut short?") from error
    notes = list[str]()
    if len(rows) > 1 and len(rows[-1]) != len(rows[0]) and not text.endswith("\n"):
        notes.append(f"{file}: line {len(rows)} is cut short: left out")
        rows.pop()
    points, trial_id = [], folder.name
    for line, cells in enumerate(rows[1:], start=2):
        if len(cells) != len(rows[0]):
            raise StudyError(
                f"{file}, line {line}: {len(cells)} cells where the head has {len(rows[0])}; is it cut short?"
            )
        record = dict(zip(rows[0], cells, strict=True))
        trial_id = record.get(_TRIAL, trial_id)
        numbers = {name: _number(cell) for name, cell in record.items() if name not in _OWN and "config/" not in name}
        points.append({name: number for name, number in numbers.items() if number is not None})
    run = Run(
        identity={_TRIAL: trial_id},
        points=points,
        settings=dict(flat_settings(_params(folder))),
        status=_status(folder, trial_id, states),
    )
    return run, notes


def _number(cell: str) -> float | int | None:
    try:
        return int(cell) if cell.lstrip("+-").isdecimal() and len(cell) < 19 else float(cell)
    except ValueError:
        return None


def _params(folder: Path) -> dict[str, Any]:
    file = folder / _PARAMS
    params = parse_json(file, text_of(file)) if file.is_file() else {}
    return params if isinstance(params, dict) else {}


def _status(folder: Path, trial_id: str, states: Mapping[str, str]) -> str | None:
    if trial_id in states:
        return states[trial_id]
    return "error" if (folder / "error.txt").is_file() else "terminated"


def _states(folder: Path) -> dict[str, str]:
    """Return how each trial ended, from the newest state of the experiment; its pickles are never opened."""
    files = sorted(file for file in folder.glob("experiment_state-*.json") if file.is_file() and not file.is_symlink())
    states: dict[str, str] = {}
    for file in files:
        states |= dict(_states_in(file))
    return states


def _states_in(file: Path) -> Iterator[tuple[str, str]]:
    document = parse_json(file, text_of(file))
    trials = document.get("trial_data", document.get("checkpoints", [])) if isinstance(document, dict) else []
    for entry in trials if isinstance(trials, list) else []:
        text = entry[0] if isinstance(entry, list) and entry else entry
        try:
            trial = json.loads(text) if isinstance(text, str) else text
        except (ValueError, RecursionError):
            continue
        if isinstance(trial, dict) and isinstance(trial.get("status"), str):
            yield str(trial.get(_TRIAL)), trial["status"].lower()


RAY = Format(name="Ray Tune experiment", is_mine=_is_experiment, read=_read, run="folder")
