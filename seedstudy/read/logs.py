"""Tables of loggers -> one row per trial: the last epoch is the result; epochs are never counted as seeds."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.tables import SUFFIXES, is_events, read_table

SEED, STATUS = "seed", "status"
IDENTITY = ("recipe", "model", "data", "eval_set")
LAST_EPOCH, UNFINISHED = "last epoch", "unfinished"
"""Columns that are added where they can be: the epoch of the result, and whether the trial was cut short."""
_SYNONYMS = {"dataset": "data", "split": "eval_set", "state": STATUS, "random_seed": SEED, "architecture": "model"}
_CLOCKS = ("epoch", "step", "global_step", "_step", "trainer/global_step")
_FINISHED = ("ok", "finished", "success", "completed")
_LOGS = ("all_results.json", "summary.csv", "metrics.csv", "trainer_state.json")
"""Logs in a trial's folder, the preferred first: Hugging Face, timm, Lightning, Hugging Face again."""
_SETTINGS = ("args.yaml", "hparams.yaml")
"""Files in which timm and Lightning write the seed."""
_SEED_DIGITS = 18
_PER_RUN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<band>__MIN|__MAX)?")
"""A column of a chart exported from Weights & Biases."""
_PICKED = re.compile(rf"(?P<file>.+(?:{'|'.join(map(re.escape, SUFFIXES))})):(?P<pick>[^/:]+)", re.IGNORECASE)


def parse_selector(selector: str) -> tuple[str, str | None] | None:
    """Return the files that a selector names and what to pick from them; None where it names a study's recipe.

    Files are a known suffix, a pattern, an event file, or a folder (written with a "/").
    """
    path = Path(selector)
    picked = _PICKED.fullmatch(selector)
    if picked and not path.exists():
        return picked["file"], picked["pick"]
    is_folder = "/" in selector and path.suffix != ".toml" and path.is_dir()
    is_file = path.suffix.lower() in SUFFIXES or is_events(path) or glob.has_magic(selector)
    return (selector, None) if is_file or is_folder else None


def read_trials(selector: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return one row per trial of a file, of a folder of trials, or of a pattern such as ``runs/*/summary.csv``.

    Columns are as in the files, with identity columns renamed to `IDENTITY`, ``seed`` where it is known, and ``last
    epoch`` where the file covers several epochs. With them come caveats for the reader of the numbers.
    """
    path = Path(selector)
    if path.is_dir():
        return _joined(_logs_below(path), path)
    if glob.has_magic(selector) and not path.exists():
        logs = [Path(name) for name in sorted(glob.glob(selector, recursive=True))]  # noqa: PTH207  # absolute ones too
        if not logs:
            raise StudyError(f"{selector}: no file matches; check the pattern, and quote it.")
        fixed = re.split(r"[*?\[]", selector, maxsplit=1)[0].rpartition("/")[0]
        return _joined(logs, Path(fixed))
    return _last_epochs(read_table(path), path), ()


def _logs_below(folder: Path) -> list[Path]:
    """Return the log of every trial below a folder; links that lead out of it are not followed."""
    root, best = folder.resolve(), dict[Path, Path]()
    for path in sorted(folder.rglob("*"), key=lambda path: (_rank(path), path)):
        if (path.name in _LOGS or is_events(path)) and path.is_file() and path.resolve().is_relative_to(root):
            best.setdefault(path.parent, path)
    # A checkpoint below a trial is part of that trial.
    logs = sorted(log for place, log in best.items() if not any(other in place.parents for other in best))
    if not logs:
        raise StudyError(
            f"{folder}: holds no trial; expected folders with one of {', '.join(_LOGS)} or a TensorBoard event file."
        )
    return logs


def _rank(log: Path) -> int:
    return _LOGS.index(log.name) if log.name in _LOGS else len(_LOGS)


def _joined(paths: Sequence[Path], root: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the trials of several files, one in each."""
    tables = []
    for path in paths:
        table = _last_epochs(read_table(path), path)
        if table.height != 1:
            raise StudyError(f"{path}: holds {table.height} trials; among several files each must hold one.")
        tables.append(table)
    joined = pl.concat(tables, how="diagonal_relaxed")
    settings = [_settings_beside(path, root) for path in paths]
    for name, kind in ((SEED, pl.Int64()), ("model", pl.String())):
        values = [of_log.get(name) for of_log in settings]
        if name not in joined.columns and None not in values:
            joined = joined.with_columns(pl.Series(name, values, dtype=pl.String).cast(kind))
    return joined, _notes(joined, paths)


def _notes(joined: pl.DataFrame, paths: Sequence[Path]) -> tuple[str, ...]:
    if LAST_EPOCH not in joined.columns or joined[LAST_EPOCH].null_count():
        return ()
    last = joined[LAST_EPOCH].to_list()
    early = [f"{path} ({epoch:g})" for path, epoch in zip(paths, last, strict=True) if epoch < max(last)]
    if not early:
        return ()
    more = f" and {len(early) - 2} more" if len(early) > 2 else ""
    return (f"trials ended at different epochs, the longest at {max(last):g}: {', '.join(early[:2])}{more}",)


def _settings_beside(log: Path, root: Path) -> dict[str, str]:
    """Return seed and model from the settings beside a log, or the seed from the names of its folders."""
    settings: dict[str, str] = {}
    for name in _SETTINGS:
        file = log.parent / name
        if file.is_file() and file.resolve().parent == log.parent.resolve():
            text = file.read_text(encoding="utf-8", errors="replace")
            # Two plain lines of YAML; the rest, above all objects, is never parsed.
            settings |= dict(re.findall(r"^(seed|model): *(?:'|\"|)([\w.-]{1,99})(?:'|\"|) *$", text, re.MULTILINE))
    if not settings.get(SEED, "").isdecimal() or len(settings[SEED]) > _SEED_DIGITS:
        settings.pop(SEED, None)
        relative = log.parent.relative_to(root) if log.parent.is_relative_to(root) else log.parent
        named = re.search(r"(?:^|[^a-z0-9])s(?:eed)?[=_-]?(\d+)(?![0-9a-z])", str(relative / log.stem).lower())
        if named and len(named[1]) <= _SEED_DIGITS:
            settings[SEED] = named[1]
    return settings


def _last_epochs(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return one row per trial: the last epoch of each where a table covers several, else the table as it is."""
    table = table.rename(_own_names(table.columns))
    clocks = [name for name in table.columns if name.lower() in _CLOCKS]
    chart = _runs_of_chart(table, clocks)
    if chart is not None:
        return chart
    if STATUS in table.columns:
        status = table[STATUS].cast(pl.String).str.to_lowercase()
        table = table.with_columns((~status.is_in(_FINISHED)).fill_null(True).alias(UNFINISHED))
    if not clocks or (table.height == 1 and "epoch" not in clocks):
        return table
    for name in clocks:
        if not table[name].dtype.is_numeric():
            raise StudyError(f'{path}: column "{name}" is not a number in every line; repair the file.')
    keys = [name for name in (SEED, *IDENTITY) if name in table.columns]
    # A logger leaves a cell empty where nothing was measured at that moment: the last measured value counts.
    others = [name for name in table.columns if name not in keys]
    ordered = table.sort(clocks, maintain_order=True)
    last = [pl.col(name).drop_nulls().last() for name in others]
    reduced = ordered.group_by(keys, maintain_order=True).agg(last) if keys else ordered.select(last)
    is_curve = reduced.height < table.height or table.height == 1
    if not is_curve:  # one line per seed, with a column for how long it trained
        return table
    return reduced.with_columns(reduced[clocks[0]].cast(pl.Float64).alias(LAST_EPOCH))


def _own_names(columns: Iterable[str]) -> dict[str, str]:
    """Return what to rename: ``Seed``, ``dataset``, ``State`` to the names used here, unless those are taken."""
    taken, renamed = set(columns), dict[str, str]()
    for name in columns:
        own = _SYNONYMS.get(name.lower(), name.lower())
        if own in (SEED, STATUS, *IDENTITY) and own not in taken:
            renamed[name] = own
            taken.add(own)
    return renamed


def _runs_of_chart(table: pl.DataFrame, clocks: Sequence[str]) -> pl.DataFrame | None:
    """Return one row per run of a chart exported from Weights & Biases; None for any other table."""
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
