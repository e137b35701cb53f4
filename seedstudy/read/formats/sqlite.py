"""SQLite files of trackers, which anybody may have written: nothing is changed, created or executed.

A database whose last changes still lie beside it (``-wal``, ``-journal``) is copied first: SQLite would write there.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from seedstudy.errors import StudyError, first_line

_MAGIC = b"SQLite format 3\0"
_BESIDE = ("-wal", "-journal")
_STEPS = 50_000_000
"""Instructions of SQLite for one file: some seconds."""


def is_sqlite(path: Path) -> bool:
    """Say whether a file is a SQLite database, by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def has_tables(path: Path, columns: dict[str, set[str]]) -> bool:
    """Say whether a SQLite database has tables with at least these columns."""
    if not is_sqlite(path):
        return False
    try:
        with database(path) as connection:
            return all(wanted <= columns_of(connection, table) for table, wanted in columns.items())
    except StudyError:
        return False


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns; none where there is no such table, or it is a view."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    if found is None or not str(found[0]).upper().startswith("CREATE TABLE"):  # not a virtual one
        return set()
    return {str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')}


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading; StudyError where it is damaged, or somebody writes at the moment."""
    with tempfile.TemporaryDirectory() as folder:
        beside = [Path(f"{path}{end}") for end in _BESIDE]
        changed = [file for file in beside if file.is_file() and file.stat().st_size]
        source = path
        if changed:
            source = Path(folder) / "copy"
            shutil.copyfile(path, source)
            for file in changed:
                shutil.copyfile(file, f"{source}{str(file)[len(str(path)) :]}")
        mode = "mode=rw" if changed else "mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?{mode}", uri=True)) as connection:
                connection.text_factory = lambda content: content.decode(errors="replace")
                connection.set_progress_handler(lambda: 1, _STEPS)
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA cell_size_check = ON")
                yield connection
        except (sqlite3.Error, OverflowError) as error:
            raise StudyError(
                f"{path}: not a readable SQLite file ({first_line(error)[:120]}); is it being written, or damaged?"
            ) from error
