"""Tables of trials that somebody saved: what `load_trials` returns, read back from Parquet or text with its types."""

from __future__ import annotations

import glob
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from seedstudy.errors import StudyError, first_line
from seedstudy.read.tables import parquet_frame, readable, text_of
from seedstudy.store.schema import TRIALS, completed, validate

DECLARED: Mapping[str, pl.DataType] = {
    "margin": pl.Float64(),
    "images": pl.String(),
    "lower_is_better": pl.Boolean(),
    "unit": pl.String(),
}
"""Columns of a TRIALS frame in memory: what its study declared as the smallest difference of interest, as what a
verdict is about (these images or new ones), and of its command's metric."""

_DESCRIBING = (
    *("n_correct_top5", "loss", "best_epoch", "best_n_correct", "epochs", "images_per_s", "n_params"),
    *("peak_mem_bytes", "versions", "started_at"),
)
"""Columns by which nothing is judged: whoever keeps a frame in git may leave them out."""

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def is_trials(frame: pl.DataFrame) -> bool:
    """Say whether a frame is one of trials, as `load_trials` returns them, and not a table of anybody's results."""
    return {"trial_id", "pool_key"} <= set(frame.columns)


def saved_trials(files: str) -> pl.DataFrame | None:
    """Return the trials of a file, or of all files of a pattern; None where they are tables of anybody's results.

    Raises StudyError where some of the files hold trials and others do not, and where a value is none of its column.
    """
    path = Path(files)
    is_pattern = glob.has_magic(files) and not path.exists()
    paths = [Path(name) for name in sorted(glob.glob(files, recursive=True))] if is_pattern else [path]  # noqa: PTH207
    frames = {path: _trials_of(path) for path in paths}
    found = [frame for frame in frames.values() if frame is not None]
    if not found:
        return None
    if len(found) < len(frames):
        other = next(path for path, frame in frames.items() if frame is None)
        raise StudyError(f"{files}: {other} is not a table of trials, other files of the pattern are: name one kind.")
    return pl.concat(found, how="diagonal").unique(maintain_order=True)


def _trials_of(path: Path) -> pl.DataFrame | None:
    if path.suffix == ".parquet":
        frame = parquet_frame(path)
    elif path.suffix in _SEPARATORS and path.is_file():
        with readable(path):
            text = text_of(path)
        separator = _SEPARATORS[path.suffix]
        head = text.partition("\n")[0].rstrip("\r").split(separator)
        if not {"trial_id", "pool_key"} <= set(head):
            return None
        frame = _typed(text, separator, path)
    else:
        return None
    if not is_trials(frame):
        return None
    # A frame that `load_trials` returned has more columns: what its study declared.
    schema = {**TRIALS, **{name: kind for name, kind in DECLARED.items() if name in frame.columns}}
    unknown = [name for name in _DESCRIBING if name not in frame.columns]
    frame = completed(frame).with_columns(pl.lit(None, dtype=TRIALS[name]).alias(name) for name in unknown)
    return validate(frame, schema, where=str(path))


def _typed(text: str, separator: str, path: Path) -> pl.DataFrame:
    """Return a table of text with the types of TRIALS; an empty cell is a missing number, or an empty text."""
    name = "trial_id"
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
        for name, kind in {**TRIALS, **DECLARED}.items():
            if name not in frame.columns:
                continue
            cells = pl.col(name)
            if isinstance(kind, pl.Datetime):
                cells = cells.str.to_datetime(time_zone="UTC")
            elif kind == pl.Boolean():
                cells = cells.replace_strict({"true": True, "false": False}, return_dtype=kind)
            elif kind == pl.String():
                cells = cells if name in _NULLABLE else cells.fill_null("")
            else:
                cells = cells.cast(kind)
            frame = frame.with_columns(cells)
    except pl.exceptions.PolarsError as error:
        why = first_line(error)[:120]
        raise StudyError(f"{path}: column {name} is not as load_trials returned it ({why}).") from error
    return frame


_NULLABLE = {"eval_set", "images", "unit"}
"""Texts that may be missing: of a trial that never got to an evaluation, and of a rule that says nothing."""
