"""The role of every column of a table: by what the format declares, then by structure, then by name.

A name alone never makes rows the seeds of one recipe. A column that nothing explains stays a configuration: rows that
differ in it are not pooled until the user says so. What was decided, and why, is kept for `import --dry-run`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from seedstudy.errors import StudyError, suggest
from seedstudy.read.metrics import direction_of, is_default, plain
from seedstudy.read.names import (
    ARMS,
    COUNTS,
    EVAL_SETS,
    GROUPS,
    N_OF_RUNS,
    NOISE,
    PARAMETERS,
    PLURAL_CLOCK,
    RESULT,
    SAVED,
    SETTING,
    SPREADS,
    STATUSES,
    is_clock_name,
    is_identity_name,
    is_length_name,
    is_seed_name,
    words_of,
)
from seedstudy.read.request import Request
from seedstudy.read.table import FILE, VALUE, Role, Table

# --- shapes of text -------------------------------------------------------------------------------------

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
TIME = re.compile(
    r"\d{4}-?\d\d-?\d\d([ T_-]?\d\d[-:.]?\d\d.*)?|\d{1,2}:\d\d(:\d\d)?(\.\d+)?|\d+ days?,? .*"
    r"|\d{1,2}/\d{1,2}/\d{2,4}.*|\d{1,2}\.\d{1,2}\.\d{4}.*|\d\d[-_:h]\d\d[-_:m]\d\d|(\d+h ?)?(\d+m ?)?\d+(\.\d+)?s"
    rf"|(.*[^a-z])?{_MONTH}\.?[ -]\d.*|\d{{1,2}}[. ]?{_MONTH}\.?,? ?\d.*"
)
CODE = re.compile(r"(?=.*\d)[0-9a-f]{6,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.*\d)[0-9a-f]{4,12}_\d{4,6}")
_PLACE = re.compile(r"(\w+://|~?/|\.{1,2}/|[A-Za-z]:\\).*|.*(/|\\).*(/|\\).*")
_SEED_TEXT = re.compile(r"(random[ _-]?)?seed[ _.:#=-]*\d{1,18}")
_NUMBERED = re.compile(r"(.*[^a-z])?(seed|s|run|rep|repeat|replicate|trial|try|job)[ _.#=-]*\d{1,9}")
"""``run_3``, ``base-seed7``: the number of a run at the end."""
NUMBERED_FOLDER = re.compile(r"(.*[^a-z])?(seed|s|run|rep|repeat|trial|try|job|version|fold|exp)?[ _.#=-]*\d{1,9}")
"""The folder of a run: ``version_3``, ``run7``, ``12``."""
AUTO_NAME = re.compile(r"[a-z]+(-[a-z]+){1,2}-\d+")
"""``dutiful-sun-12``: what Weights & Biases names a run that nobody named."""
_NO_NAME = re.compile(r"column 1|Unnamed: 0")
_BLOB = re.compile(r"\s*[\[{(].*", re.DOTALL)
_LONG = 100
_MANY_POINTS = 10
"""Points of a run from which a column that rises by a constant is a clock even under an unknown name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column and its role."""

    name: str
    role: Role
    why: str
    """For people: ``by its name``, ``rises by 1 within each run``."""


Columns = Mapping[str, Column]


def names_of(columns: Columns, *roles: Role) -> list[str]:
    """Return the names of the columns that have one of the roles, in the table's order."""
    return [column.name for column in columns.values() if column.role in roles]


def find_roles(table: Table, request: Request) -> Columns:
    """Return the role of every column of a table, in its order; columns that the user ignores are left out.

    Raises StudyError where the user names a column that is not there, or a column may be a clock or a seed.
    """
    frame = table.frame
    asked = _asked(frame.columns, request)
    kept = [name for name in frame.columns if name not in request.ignore]
    columns = _one_each({name: _column(frame[name], asked.get(name), table.roles.get(name)) for name in kept})
    for name in kept:
        # pandas writes what numbers the rows, or names them, without a name above it.
        if _NO_NAME.fullmatch(name) and frame[name].dtype != pl.String and len(kept) > 1 and name not in asked:
            columns[name] = Column(name=name, role=Role.NOISE, why="numbers the rows")
    if request.clock is None:
        columns = _with_clocks(frame, columns, request)
    return columns


def _asked(names: Sequence[str], request: Request) -> dict[str, Role]:
    """Return the roles that the user gives to columns."""
    given = {"--clock": (request.clock,), "--seeds-by": (request.seeds_by,), "--ignore": request.ignore}
    for option, asked in {**given, "--by": request.by}.items():
        for name in asked:
            if name is not None and name not in names:
                raise StudyError(f'{option} "{name}": no such column.{suggest(name, names)}')
    roles = dict.fromkeys(request.by, Role.CONFIGURATION)
    if request.metric in names:
        roles[request.metric] = Role.MEASURE
    if request.clock is not None:
        roles[request.clock] = Role.CLOCK
    if request.seeds_by is not None:
        roles[request.seeds_by] = Role.SEED
    return roles


def _column(cells: pl.Series, asked: Role | None, declared: Role | None) -> Column:
    name = cells.name
    if asked is not None:
        return Column(name=name, role=asked, why=AS_ASKED)
    if declared is not None:
        return Column(name=name, role=declared, why=AS_DECLARED)
    role, why = _text_role(cells) if cells.dtype == pl.String else _number_role(cells)
    return Column(name=name, role=role, why=why)


AS_ASKED, AS_DECLARED, _BY_NAME = "as you say", "as the format says", "by its name"
UNEXPLAINED = "numbers that nothing explains"


def _text_role(cells: pl.Series) -> tuple[Role, str]:
    name, words = cells.name, words_of(cells.name)
    known = cells.drop_nulls()
    low = [word.strip().lower() for word in known.unique(maintain_order=True).to_list()]
    if not low:
        return Role.NOISE, "empty"
    if all(word in STATUSES for word in low) or words[-1] in ("status", "state"):
        return Role.STATUS, "its words say how a run ended" if all(word in STATUSES for word in low) else _BY_NAME
    if name == FILE:
        return Role.IDENTITY, "the file of each row"
    if is_seed_name(words):
        return Role.SEED, _BY_NAME
    for role, names in ARMS.items():
        if plain(name) in names:
            return role, _BY_NAME
    if len(low) > 1 and all(word in EVAL_SETS for word in low):
        return Role.EVAL_SET, "its words are eval sets"
    if all(TIME.fullmatch(word) for word in low):
        return Role.NOISE, "holds times"
    if set(words) & GROUPS and not is_default(name):
        return Role.CONFIGURATION, "a setting, by its name"
    if all(CODE.fullmatch(word) for word in low):
        return Role.IDENTITY, "holds ids"
    if all(_PLACE.fullmatch(word) for word in low):
        return Role.IDENTITY, "holds paths"
    if all(_BLOB.fullmatch(word) or len(word) > _LONG for word in low):
        return Role.NOISE, "holds records"
    if (is_default(name) or direction_of(name) is not None) and any(word[:1].isdigit() for word in low):
        return Role.MEASURE, _BY_NAME
    if PARAMETERS.match(name):
        return Role.CONFIGURATION, "a setting, by its name"
    if all(_SEED_TEXT.fullmatch(word) for word in low):
        return Role.SEED, "its words are seeds"
    if is_identity_name(words):
        has_digits = all(any(map(str.isdigit, word)) for word in low)
        return Role.IDENTITY, "holds ids" if has_digits and words[-1] in ("id", "ids", "uid", "uuid") else _BY_NAME
    if set(words) & NOISE and words not in (["tags"], ["tag"]):
        return Role.NOISE, _BY_NAME
    if all(_NUMBERED.fullmatch(word) for word in low):
        return Role.IDENTITY, "numbers the runs"
    return Role.CONFIGURATION, "text"


def _number_role(cells: pl.Series) -> tuple[Role, str]:
    name, words = cells.name, words_of(cells.name)
    known = cells.drop_nulls().drop_nans()
    if name in COUNTS or name == VALUE:
        return Role.MEASURE, _BY_NAME
    if N_OF_RUNS.fullmatch(plain(name)):
        return Role.SPREAD if known.max() != 1 else Role.NOISE, "a number of runs, by its name"
    if is_seed_name(words):
        return Role.SEED, _BY_NAME
    if is_clock_name(name):
        return Role.CLOCK, _BY_NAME
    if name == FILE:
        return Role.IDENTITY, "the file of each row"
    if not plain(name):
        return Role.NOISE, "numbers the rows"
    if plain(name) in ARMS[Role.MODEL] + ARMS[Role.RECIPE] + ARMS[Role.DATA]:
        return next(role for role, names in ARMS.items() if plain(name) in names), _BY_NAME
    if set(words) & SPREADS and not PARAMETERS.match(name):
        return Role.SPREAD, _BY_NAME
    if words[-1] in ("status", "state"):
        return Role.NOISE, _BY_NAME
    if PARAMETERS.match(name):
        return Role.CONFIGURATION, "a setting, by its name"
    if words == ["precision"] and set(known.to_list()) <= {8, 16, 32, 64}:
        return Role.CONFIGURATION, "a setting, by its numbers"
    if is_default(name) or direction_of(name) is not None:
        return (Role.NOISE, _BY_NAME) if set(words) & {"time", "latency"} else (Role.MEASURE, _BY_NAME)
    if is_length_name(words):
        return Role.NOISE, "where the best or last result was"
    if set(words) & NOISE:
        return Role.NOISE, _BY_NAME
    if set(words) & SETTING and not {"metric", "metrics"} & set(words):
        return Role.CONFIGURATION, "a setting, by its name"
    if set(words) & RESULT:
        return Role.MEASURE, _BY_NAME
    if is_identity_name(words) and not set(words) & SAVED:
        return Role.IDENTITY, _BY_NAME
    return Role.CONFIGURATION, UNEXPLAINED


def _one_each(columns: dict[str, Column]) -> dict[str, Column]:
    """Return the columns with at most one of each of `ARMS`; ``arch`` beside ``model`` is a setting."""
    for role, names in ARMS.items():
        found = names_of(columns, role)
        if len(found) > 1:
            best = min(found, key=lambda name: names.index(plain(name)) if plain(name) in names else len(names))
            for name in set(found) - {best}:
                columns[name] = Column(name=name, role=Role.CONFIGURATION, why=f"beside {best}")
    return columns


# --- clocks -------------------------------------------------------------------------------------------


def _with_clocks(frame: pl.DataFrame, columns: dict[str, Column], request: Request) -> dict[str, Column]:
    """Return the columns with clocks that no name shows: they rise by a constant within each run."""
    runs = [name for name in names_of(columns, Role.SEED, Role.IDENTITY) if name != FILE]
    keys = runs + names_of(columns, Role.RECIPE, Role.MODEL, Role.DATA, Role.EVAL_SET)
    keys += [name for name in names_of(columns, Role.CONFIGURATION) if frame[name].dtype == pl.String]
    keys += [FILE] if FILE in columns else []
    keys = [name for name in keys if frame[name].n_unique() < frame.height]
    for name in names_of(columns, Role.CLOCK):
        is_sure = columns[name].why != _BY_NAME or not set(words_of(name)) & PLURAL_CLOCK
        if not is_sure and _rise(frame, name, [key for key in keys if key != name]) is None:
            columns[name] = Column(name=name, role=Role.CONFIGURATION, why=UNEXPLAINED)
    if names_of(columns, Role.CLOCK):
        return columns
    for name in names_of(columns, Role.CONFIGURATION):
        cells, words = frame[name], set(words_of(name))
        if cells.dtype == pl.String or columns[name].why in (AS_ASKED, AS_DECLARED):
            continue
        if PARAMETERS.match(name) or (words & SETTING and not words & {"epochs", "batch"}):
            continue
        rises = _rise(frame, name, [key for key in keys if key != name])
        if rises is None:
            continue
        step, shortest = rises
        how = f"rises by {step:g} within each run"
        named = "; a setting, by its name" if "setting" in columns[name].why else ""
        if shortest >= _MANY_POINTS and set(runs) & set(keys):
            columns[name] = Column(name=name, role=Role.CLOCK, why=how)
        elif not request.pool and request.seeds_by is None:
            columns[name] = Column(name=name, role=Role.CONFIGURATION, why=how + named)
    return columns


def _rise(frame: pl.DataFrame, name: str, keys: Sequence[str]) -> tuple[float, int] | None:
    """Return by what a column rises within every run, and the points of the shortest; else None."""
    cells = frame.select(*keys, pl.col(name).cast(pl.Float64)).drop_nulls(name)
    groups = [rows[name] for _, rows in cells.group_by(keys, maintain_order=True)] if keys else [cells[name]]
    steps, shortest = set(), frame.height
    for group in groups:
        ordered = group.sort().to_numpy()
        shortest = min(shortest, len(ordered))
        if len(ordered) < 2:
            continue
        gaps = ordered[1:] - ordered[:-1]
        if gaps.min() <= 0 or gaps.max() - gaps.min() > 1e-9 * abs(gaps.max()):
            return None
        steps.add(round(float(gaps[0]), 9))
        if ordered[0] not in (0.0, 1.0) and abs(ordered[0] - gaps[0]) > 1e-9 * gaps[0]:
            return None
    return (steps.pop(), shortest) if len(steps) == 1 else None
