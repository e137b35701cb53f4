"""Tables of loggers -> one row per trial: the last epoch is the result, and epochs are never counted as seeds."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.tables import SUFFIXES, is_events, read_table

SEED, STATE, LAST = "seed", "status", "last epoch"
IDENTITY = ("recipe", "model", "data", "eval_set")
_OTHER_NAMES = {"dataset": "data", "split": "eval_set", "state": STATE, "random_seed": SEED, "architecture": "model"}
_CLOCKS = ("epoch", "step", "global_step", "_step", "trainer/global_step")
_FINISHED = ("ok", "finished", "success", "completed")
_LOGS = ("all_results.json", "summary.csv", "metrics.csv", "trainer_state.json")
"""What a trial's folder may hold, the best first: Hugging Face, timm, Lightning, Hugging Face again."""
_SETTINGS = ("args.yaml", "hparams.yaml")
"""Where timm and Lightning write the seed."""
_SEED_DIGITS = 18
_PER_RUN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<band>__MIN|__MAX)?")
"""Columns of a chart exported from Weights & Biases."""


def read_trials(selector: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return one row per trial of a file, of a folder of trials, or of a pattern such as ``runs/*/summary.csv``.

    Returns
    -------
    table : DataFrame
        Columns as in the files, names of identity columns put right, ``seed`` where it is known, ``last epoch`` where
        there were epochs.
    notes : tuple of str
        What a reader of the numbers must know.

    """
    path = Path(selector)
    if path.is_dir():
        return _joined(_logs_below(path), path)
    if glob.has_magic(selector) and not path.exists():
        found = [Path(name) for name in sorted(glob.glob(selector, recursive=True))]  # noqa: PTH207  # absolute ones too
        if not found:
            raise StudyError(f"{selector}: no file matches; is the pattern in quotes and right?")
        return _joined(found, Path(_fixed_part(selector)))
    table = last_epochs(read_table(path), path)
    return table, ()


def _fixed_part(pattern: str) -> str:
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0] or "."


def _logs_below(folder: Path) -> list[Path]:
    """Return the log of every trial below a folder; links that lead out of it are not followed."""
    root, found = folder.resolve(), dict[Path, Path]()
    for path in sorted(folder.rglob("*")):
        is_log = path.name in _LOGS or is_events(path)
        if not is_log or not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        known = found.get(path.parent)
        if known is None or _rank(path) < _rank(known):
            found[path.parent] = path
    # A checkpoint below a trial is part of that trial.
    logs = [log for place, log in found.items() if not any(other in place.parents for other in found)]
    if not logs:
        raise StudyError(
            f"{folder}: holds no trial; expected folders with one of {', '.join(_LOGS)} or a TensorBoard event file."
        )
    return logs


def _rank(log: Path) -> int:
    return _LOGS.index(log.name) if log.name in _LOGS else len(_LOGS)


def _joined(paths: Sequence[Path], root: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the trials of several files, one each."""
    tables = []
    for path in paths:
        table = last_epochs(read_table(path), path)
        if table.height != 1:
            raise StudyError(f"{path}: holds {table.height} trials; among several files each must hold one.")
        tables.append(table)
    whole = pl.concat(tables, how="diagonal_relaxed")
    settings = [_settings_beside(path, root) for path in paths]
    for name, kind in ((SEED, pl.Int64()), ("model", pl.String())):
        told = [found.get(name) for found in settings]
        if name not in whole.columns and None not in told:
            whole = whole.with_columns(pl.Series(name, told, dtype=pl.String).cast(kind))
    return whole, _notes(whole, paths)


def _notes(whole: pl.DataFrame, paths: Sequence[Path]) -> tuple[str, ...]:
    if LAST not in whole.columns or whole[LAST].null_count():
        return ()
    last = whole[LAST].to_list()
    early = [f"{path} ({epoch:g})" for path, epoch in zip(paths, last, strict=True) if epoch < max(last)]
    if not early:
        return ()
    more = f" and {len(early) - 2} more" if len(early) > 2 else ""
    return (f"trials ended at different epochs, the longest at {max(last):g}: {', '.join(early[:2])}{more}",)


def _settings_beside(log: Path, root: Path) -> dict[str, str]:
    """Return seed and model from the settings beside a log; the seed else from the names of its folders."""
    found: dict[str, str] = {}
    for name in _SETTINGS:
        settings = log.parent / name
        if settings.is_file() and settings.resolve().parent == log.parent.resolve():
            text = settings.read_text(encoding="utf-8", errors="replace")
            # Two plain lines of YAML; the rest, objects above all, is never looked at.
            found |= dict(re.findall(r"^(seed|model): *(?:'|\"|)([\w.-]{1,99})(?:'|\"|) *$", text, re.MULTILINE))
    if not found.get(SEED, "").isdecimal() or len(found[SEED]) > _SEED_DIGITS:
        found.pop(SEED, None)
        relative = log.parent.relative_to(root) if log.parent.is_relative_to(root) else log.parent
        named = re.search(r"(?:^|[^a-z0-9])s(?:eed)?[=_-]?(\d+)(?![0-9a-z])", str(relative / log.stem).lower())
        if named and len(named[1]) <= _SEED_DIGITS:
            found[SEED] = named[1]
    return found


def last_epochs(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return one row per trial: of a table that runs over epochs the last of each, other tables as they are."""
    table = table.rename(_better_names(table.columns))
    clocks = [name for name in table.columns if name.lower() in _CLOCKS]
    per_run = _per_run(table, clocks)
    if per_run is not None:
        return per_run
    if STATE in table.columns:
        states = table[STATE].cast(pl.String).str.to_lowercase()
        table = table.with_columns((~states.is_in(_FINISHED)).fill_null(True).alias("unfinished"))
    if not clocks or (table.height == 1 and "epoch" not in clocks):
        return table
    for name in clocks:
        if not table[name].dtype.is_numeric():
            raise StudyError(f'{path}: column "{name}" is not a number in every line; repair the file.')
    keys = [name for name in (SEED, *IDENTITY) if name in table.columns]
    # A logger leaves cells empty that were not measured at that moment: the last measured one counts.
    others = [name for name in table.columns if name not in keys]
    ordered = table.sort(clocks, maintain_order=True)
    last = [pl.col(name).drop_nulls().last() for name in others]
    reduced = ordered.group_by(keys, maintain_order=True).agg(last) if keys else ordered.select(last)
    is_curve = reduced.height < table.height or table.height == 1
    if not is_curve:  # one line per seed with a column that tells how long it trained
        return table
    return reduced.with_columns(reduced[clocks[0]].cast(pl.Float64).alias(LAST))


def _better_names(columns: Iterable[str]) -> dict[str, str]:
    """Return what to rename: ``Seed``, ``dataset``, ``State`` to the names used here, unless these are there."""
    taken, found = set(columns), dict[str, str]()
    for name in columns:
        small = name.lower()
        better = _OTHER_NAMES.get(small, small)
        if better in (SEED, STATE, *IDENTITY) and better not in taken:
            found[name] = better
            taken.add(better)
    return found


def _per_run(table: pl.DataFrame, clocks: Sequence[str]) -> pl.DataFrame | None:
    """Return one row per column group of a chart from Weights & Biases; None for other tables."""
    parts = {name: _PER_RUN.fullmatch(name) for name in table.columns}
    if not any(part and part["band"] for part in parts.values()):
        return None
    rows: dict[str, dict[str, Any]] = {}
    for name, part in parts.items():
        if part is None or part["band"] or name in clocks or not table[name].dtype.is_numeric():
            continue
        measured = table[name].drop_nulls()
        rows.setdefault(part["run"], {"name": part["run"]})[part["metric"]] = measured[-1] if measured.len() else None
    return pl.DataFrame(list(rows.values()), infer_schema_length=None)


def is_selector(text: str) -> bool:
    """Return whether a selector means files: a known suffix, a pattern, an event file, or a folder (with a "/")."""
    path = Path(text)
    is_folder = "/" in text and path.suffix != ".toml" and path.is_dir()
    return path.suffix.lower() in SUFFIXES or is_events(path) or glob.has_magic(text) or is_folder
