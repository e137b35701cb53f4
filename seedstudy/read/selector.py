"""What a selector of files names: the files, and which of their rows or columns. Columns and values work as written."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedstudy.errors import StudyError, suggest
from seedstudy.read.formats import format_of
from seedstudy.read.names import ARMS
from seedstudy.read.roles import Columns, names_of
from seedstudy.read.table import Role
from seedstudy.read.tables import SUFFIXES, is_events

_COLONS = re.compile(":")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>.*)(?P=quote)""", re.DOTALL)
_LONGEST, _LONGEST_PATH = 250, 4000
_WILD = re.compile(r"[*?\[]")


def parse_selector(selector: str) -> tuple[str, str | None] | None:
    """Return the files that a selector names and what to pick from them; None where it names a study's recipe.

    Files are a known suffix, a pattern, an event file, a file of a known program, or a folder (written with a "/").
    The first ":" after which something is picked counts, so that what is picked may hold "/", ":" and ",".
    """
    if _names_files(selector):
        return selector, None
    for colon in _COLONS.finditer(selector):
        files, pick = selector[: colon.start()], selector[colon.end() :]
        if pick and _names_files(files):
            return files, pick
    return None


def _names_files(text: str) -> bool:
    path = Path(text)
    if "\n" in text or "\0" in text or max(map(len, path.parts), default=0) > _LONGEST or len(text) > _LONGEST_PATH:
        return False  # no file system has such a name
    if path.suffix.lower() in SUFFIXES or is_events(path):
        return ":" not in text or path.exists()
    if _WILD.search(text.partition("=")[0]) and glob.has_magic(text):
        return ":" not in text
    if path.is_dir():
        return "/" in text and path.suffix != ".toml"
    return path.is_file() and (path.suffix not in ("", ".toml") or format_of(path) is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """Rows or a column of a table, and what to call them."""

    rows: pl.DataFrame
    label: str
    columns: tuple[str, ...] = ()
    """Columns whose value the user chose."""
    measure: str | None = None
    """Column of a wide table that is the arm."""


def picked(frame: pl.DataFrame, pick: str, columns: Columns, where: str) -> Pick:
    """Return what a pick names: ``COLUMN=VALUE,…``, a value of the column that names arms, or a column.

    A value may hold "*" and "?"; values with "," or "=" need quotes only where they read as a further condition.
    Raises StudyError where no row or column has that name.
    """
    conditions = list(_conditions(pick, frame.columns))
    if conditions:
        return _by_conditions(frame, conditions, where)
    recipe, _, model = pick.partition("@")
    word = _unquoted(pick)
    for name in names_of(columns, Role.RECIPE, Role.MODEL, Role.CONFIGURATION, Role.IDENTITY):
        names_each = columns[name].role is Role.IDENTITY and frame[name].n_unique() == frame.height > 1
        if names_each and not _WILD.search(word):
            continue
        is_here = _is(frame[name], word)
        if is_here.any() and frame[name].dtype == pl.String:
            return Pick(rows=frame.filter(is_here), label=word, columns=(name,))
    if model:
        of_recipe, of_model = (names_of(columns, role) for role in (Role.RECIPE, Role.MODEL))
        if of_recipe and of_model:
            rows = frame.filter(_is(frame[of_recipe[0]], recipe) & _is(frame[of_model[0]], model))
            if rows.height:
                return Pick(rows=rows, label=recipe, columns=(of_recipe[0], of_model[0]))
    if word in columns and columns[word].role not in (Role.SEED, Role.CLOCK, Role.STATUS):
        return Pick(rows=frame, label=word, measure=word)
    of_arms = names_of(columns, Role.RECIPE) or [
        name for name in names_of(columns, Role.MODEL) if frame[name].drop_nulls().n_unique() > 1
    ]
    if of_arms:
        known = set(frame[of_arms[0]].cast(pl.String).drop_nulls())
        raise StudyError(f'{where}: holds no "{pick}".{suggest(pick, known)}')
    raise StudyError(f'{where}: neither a recipe nor a column is named "{pick}".{suggest(pick, frame.columns)}')


def _by_conditions(frame: pl.DataFrame, conditions: Sequence[tuple[str, str]], where: str) -> Pick:
    rows, labels = frame, []
    for name, value in conditions:
        column = _column(name, frame.columns, where)
        cells = rows[column]
        is_here = _is(cells, value)
        rows = rows.filter(is_here)
        if rows.is_empty():
            known = {str(cell) for cell in cells.drop_nulls().to_list()}
            raise StudyError(f'{where}: no row has {column} = "{value}".{suggest(value, known)}')
        labels.append(value if cells.dtype == pl.String else f"{column}={value}")
    return Pick(
        rows=rows, label=", ".join(labels), columns=tuple(_column(n, frame.columns, where) for n, _ in conditions)
    )


def _column(name: str, known: Sequence[str], where: str) -> str:
    """Return the file's column of a name: as written, in other case, or by what it means."""
    if name in known:
        return name
    same = [other for other in known if other.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    for names in ARMS.values():
        meant = [other for other in known if other.lower() in names]
        if name.lower() in names and len(meant) == 1:
            return meant[0]
    raise StudyError(f'{where}: no column "{name}".{suggest(name, known)}')


def _is(cells: pl.Series, value: str) -> pl.Series:
    """Say in which rows a column has a value, as it is written or as the number that it is."""
    if cells.dtype != pl.String:
        try:
            return (cells.cast(pl.Float64) == float(value)).fill_null(False)
        except ValueError:
            texts = cells.cast(pl.String)
    else:
        texts = cells.str.strip_chars()
    exact = (texts == value).fill_null(False)
    if exact.any():
        return exact
    if not _WILD.search(value):
        return (texts.str.to_lowercase() == value.lower()).fill_null(False)
    pattern = re.compile(fnmatch.translate(value))
    return pl.Series([text is not None and pattern.fullmatch(text) is not None for text in texts.to_list()])


def _conditions(pick: str, known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (column, value) of ``COLUMN=VALUE,…``; a comma that begins no condition belongs to the value before it."""
    parts = list[str]()
    for piece in _pieces(pick):
        if parts and not (_split(piece, known) and (_is_known(piece, known) or _looks_like_one(piece))):
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    for part in parts:
        split = _split(part, known)
        if split is None:
            return
        yield _unquoted(split[0]), _unquoted(split[1])


def _pieces(pick: str) -> list[str]:
    """Return what stands between commas outside quotes."""
    return re.findall(r"""(?:"[^"]*"|'[^']*'|[^,])+|(?<=,)(?=,|$)""", pick) or [pick]


def _split(part: str, known: Sequence[str]) -> tuple[str, str] | None:
    """Return name and value: split at the "=" that leaves a column of the file, else at the first."""
    places = [match.start() for match in re.finditer("=", part)]
    for place in places:
        if _unquoted(part[:place].strip()) in known:
            return part[:place].strip(), part[place + 1 :].strip()
    return (part[: places[0]].strip(), part[places[0] + 1 :].strip()) if places else None


def _is_known(part: str, known: Sequence[str]) -> bool:
    split = _split(part, known)
    return split is not None and _unquoted(split[0]).lower() in {name.lower() for name in known}


def _looks_like_one(part: str) -> bool:
    return re.match(r"\s*[A-Za-z_][\w.]*\s*=", part) is not None


def _unquoted(text: str) -> str:
    match = _QUOTED.fullmatch(text.strip())
    return match["text"] if match else text.strip()
