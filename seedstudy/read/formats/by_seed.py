"""A JSON document about one recipe that holds its results by seed, such as ``seed_results`` of a submission.json.

Recognised by its shape: a member, somewhere in the document, with a record for each of several seeds: a list of records
with a seed, or records named by their seeds below a name that says so; whole numbers alone may be epochs. Several such
members side by side are recipes. Means and notes beside them are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import flat_numbers
from seedstudy.read.names import is_seed_name, words_of
from seedstudy.read.table import VALUE, Role, Table
from seedstudy.read.tables import columns_frame, parse_json, text_of

_DEPTH, _LARGEST = 4, 20_000_000
_SEED_DIGITS = 18
_RECIPE = "recipe"


def _is_mine(path: Path) -> bool:
    if not head_of(path, ".json").lstrip().startswith(b"{") or path.stat().st_size > _LARGEST:
        return False
    try:
        document = parse_json(path, text_of(path))
    except StudyError:
        return False
    return isinstance(document, dict) and bool(list(_members(document)))


def _members(record: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the members that hold results by seed, below the top of a document."""
    for name, value in record.items():
        rows = _rows(value, f"{prefix}{name}")
        if rows:
            yield f"{prefix}{name}", rows
        elif isinstance(value, dict) and depth < _DEPTH:
            yield from _members(value, f"{prefix}{name}/", depth + 1)


def _rows(value: Any, path: str) -> list[dict[str, Any]]:
    """Return a record per seed; none where a value holds something else."""
    if isinstance(value, dict) and len(value) > 1 and all(_seed_of(name) is not None for name in value):
        if not is_seed_name(words_of(path)) and any(name.isdecimal() for name in value):
            return []
        rows = [{"seed": _seed_of(name), **_numbers(each)} for name, each in value.items()]
    elif isinstance(value, list) and len(value) > 1 and all(isinstance(each, dict) for each in value):
        key = next((name for name in value[0] if is_seed_name(words_of(name))), None)
        if key is None or not all(isinstance(each.get(key), int | str) for each in value):
            return []
        rows = [{**_numbers(each), "seed": each[key]} for each in value]
    else:
        return []
    return rows if all(len(row) > 1 for row in rows) else []


def _seed_of(name: str) -> int | None:
    digits = name.lower().removeprefix("seed").strip("_-= ")
    return int(digits) if digits.isdecimal() and len(digits) <= _SEED_DIGITS else None


def _numbers(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: number for name, number in flat_numbers(value) if not is_seed_name(words_of(name))}
    return {VALUE: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def _read(path: Path) -> Table:
    members = list(_members(parse_json(path, text_of(path))))
    if len({name.rpartition("/")[0] for name, _ in members}) > 1:
        shown = ", ".join(name for name, _ in members[:4])
        raise StudyError(f"{path}: holds results by seed under {shown}: keep one of them in a file of its own.")
    rows = list[dict[str, Any]]()
    for name, of_member in members:
        rows += [{_RECIPE: name.rpartition("/")[2]} | row if len(members) > 1 else row for row in of_member]
    names = dict.fromkeys(key for row in rows for key in row)
    frame = columns_frame(path, {key: [each.get(key) for each in rows] for key in names})
    roles = {key: {"seed": Role.SEED, _RECIPE: Role.RECIPE}.get(key, Role.MEASURE) for key in names}
    shown = ", ".join(f"`{name}`" for name, _ in members[:4])
    return Table(frame=frame, roles=roles, notes=(f"results by seed under {shown}",))


BY_SEED = Format(name="JSON with results by seed", is_mine=_is_mine, read=_read)
