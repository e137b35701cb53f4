"""Optuna: the SQLite storage and the journal of studies; `trials_dataframe()` saved as CSV is a plain table.

One row per trial: its value, or values by objective, its parameters and user attributes. Values that were reported on
the way decide about pruning and are not results.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.sqlite import database, has_tables
from seedstudy.read.formats.tracked import Run, flat_settings, table_of_runs
from seedstudy.read.table import VALUE, Table
from seedstudy.read.tables import json_lines, parse_json, text_of

_STATES = ("running", "complete", "pruned", "fail", "waiting")
"""By number, as the journal writes them (optuna.trial.TrialState)."""


@dataclass(slots=True)
class _Trial:
    """One trial while it is read."""

    study: str
    number: int
    state: str
    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def _table(trials: Iterable[_Trial], path: Path) -> Table:
    trials = list(trials)
    several = len({trial.study for trial in trials}) > 1
    runs = [
        Run(
            identity={"number": str(trial.number)},
            points=[
                {VALUE if max(trial.values) == 0 else f"values_{k}": value for k, value in sorted(trial.values.items())}
            ]
            if trial.values
            else [],
            settings=dict(flat_settings(trial.params)),
            labels={**({"study": trial.study} if several else {}), **dict(flat_settings(trial.attributes))},
            status=trial.state,
        )
        for trial in trials
    ]
    return table_of_runs(runs, path)


def _choice(path: Path, internal: Any, distribution: Any) -> Any:
    """Return the value of a parameter from the number that Optuna stores for it."""
    kind = parse_json(path, str(distribution), " (distribution)")
    if not isinstance(kind, dict) or not isinstance(internal, int | float):
        raise StudyError(f"{path}: a parameter's distribution is not Optuna's; is the file damaged?")
    attributes = kind.get("attributes")
    choices = attributes.get("choices") if isinstance(attributes, dict) else None
    if isinstance(choices, list):
        if not 0 <= internal < len(choices):
            raise StudyError(f"{path}: a parameter has choice {internal:g} of {len(choices)}; is the file damaged?")
        choice = choices[int(internal)]
        return choice if choice is None or isinstance(choice, str | int | float) else json.dumps(choice)
    is_whole = str(kind.get("name", "")).startswith("Int") and float(internal).is_integer()
    return int(internal) if is_whole else internal


# --- SQLite ---------------------------------------------------------------------------------------------

_TABLES = {
    "studies": {"study_id", "study_name"},
    "trials": {"trial_id", "number", "study_id", "state"},
    "trial_values": {"trial_id", "objective", "value"},
    "trial_params": {"trial_id", "param_name", "param_value", "distribution_json"},
    "trial_user_attributes": {"trial_id", "key", "value_json"},
}


def _is_database(path: Path) -> bool:
    return has_tables(path, _TABLES)


def _read_database(path: Path) -> Table:
    with database(path) as connection:
        return _table(_trials(connection, path), path)


def _trials(connection: sqlite3.Connection, path: Path) -> Iterable[_Trial]:
    studies = dict(connection.execute("SELECT study_id, study_name FROM studies"))
    trials = {
        key: _Trial(study=str(studies.get(study, study)), number=number, state=str(state).lower())
        for key, number, study, state in connection.execute("SELECT trial_id, number, study_id, state FROM trials")
    }
    for key, objective, value in connection.execute("SELECT trial_id, objective, value FROM trial_values"):
        if key in trials and isinstance(value, int | float) and isinstance(objective, int):
            trials[key].values[objective] = float(value)
    for key, name, value, distribution in connection.execute(
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    ):
        if key in trials:
            trials[key].params[str(name)] = _choice(path, value, distribution)
    for key, name, value in connection.execute("SELECT trial_id, key, value_json FROM trial_user_attributes"):
        if key in trials:
            trials[key].attributes[str(name)] = parse_json(path, str(value), " (user attribute)")
    return trials.values()


# --- the journal ----------------------------------------------------------------------------------------

_CREATE_STUDY, _CREATE_TRIAL, _PARAM, _STATE, _ATTRIBUTE = 0, 4, 5, 6, 8
"""Operations of Optuna's journal that say something about results (optuna.storages.journal)."""


def _is_journal(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() not in (".log", ".journal", ".jsonl", ".json", ".txt"):
        return False
    with path.open("rb") as file:
        head = file.read(400)
    return head.startswith(b'{"op_code"') and b'"worker_id"' in head


def _read_journal(path: Path) -> Table:
    operations, notes = json_lines(path, text_of(path))
    studies, trials, started = list[str](), list[_Trial](), dict[int, int]()
    for row, entry in enumerate(operations, start=1):
        try:
            code = entry["op_code"]
            if code == _CREATE_STUDY:
                studies.append(str(entry["study_name"]))
            elif code == _CREATE_TRIAL:
                study = entry["study_id"]
                number = started.get(study, 0)
                started[study] = number + 1
                trial = _Trial(study=studies[study], number=number, state=_STATES[entry.get("state") or 0])
                _apply(trial, entry)
                trial.params |= entry.get("params") or {}
                trials.append(trial)
            elif code == _PARAM:
                value = _choice(path, entry["param_value_internal"], entry["distribution"])
                trials[entry["trial_id"]].params[str(entry["param_name"])] = value
            elif code == _STATE:
                trials[entry["trial_id"]].state = _STATES[entry["state"]]
                _apply(trials[entry["trial_id"]], entry)
            elif code == _ATTRIBUTE:
                trials[entry["trial_id"]].attributes |= entry["user_attr"]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise StudyError(f"{path}, entry {row}: not an entry of Optuna's journal; is the file damaged?") from error
    table = _table(trials, path)
    return Table(frame=table.frame, roles=table.roles, notes=(*notes, *table.notes))


def _apply(trial: _Trial, entry: Mapping[str, Any]) -> None:
    values = entry.get("values") or ([entry["value"]] if entry.get("value") is not None else [])
    for objective, value in enumerate(values):
        trial.values[objective] = float(value)
    trial.attributes |= entry.get("user_attrs") or {}


OPTUNA_DATABASE = Format(name="Optuna SQLite storage", is_mine=_is_database, read=_read_database)
OPTUNA_JOURNAL = Format(name="Optuna journal", is_mine=_is_journal, read=_read_journal)
