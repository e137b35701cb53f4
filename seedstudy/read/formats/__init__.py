"""Files of particular programs: each format is recognised by what it is, and parsed into a table with roles.

To add one, write a module here with a :class:`~seedstudy.read.formats.format.Format` and name it in `FORMATS`.
Everything after parsing (roles of the other columns, picks, runs, seeds) is the same for every file.
"""

from __future__ import annotations

from pathlib import Path

from seedstudy.read.formats.aim import AIM
from seedstudy.read.formats.by_seed import BY_SEED
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.inspect_ai import INSPECT_EVAL, INSPECT_JSON
from seedstudy.read.formats.keras import KERAS
from seedstudy.read.formats.lm_eval import LM_EVAL
from seedstudy.read.formats.mlflow import MLFLOW_DATABASE, MLFLOW_FOLDER
from seedstudy.read.formats.mlperf import MLPERF
from seedstudy.read.formats.mmengine import MMENGINE
from seedstudy.read.formats.nanogpt import NANOGPT
from seedstudy.read.formats.optuna import OPTUNA_DATABASE, OPTUNA_JOURNAL
from seedstudy.read.formats.ray import RAY
from seedstudy.read.formats.sacred import SACRED
from seedstudy.read.formats.sb3 import SB3_EVALUATIONS, SB3_MONITOR
from seedstudy.read.formats.trackio import TRACKIO
from seedstudy.read.formats.ultralytics import ULTRALYTICS

FORMATS: tuple[Format, ...] = (
    *(MLFLOW_FOLDER, MLFLOW_DATABASE, TRACKIO, OPTUNA_DATABASE, OPTUNA_JOURNAL, RAY, SACRED),
    *(MMENGINE, MLPERF, NANOGPT, KERAS, ULTRALYTICS, SB3_EVALUATIONS, SB3_MONITOR),
    *(AIM, LM_EVAL, INSPECT_EVAL, INSPECT_JSON, BY_SEED),
)
"""Tried in this order, before the plain tables (CSV, TSV, JSON, Parquet, text)."""


def format_of(path: Path) -> Format | None:
    """Return the format of a file or folder; None for a plain table."""
    return next((each for each in FORMATS if each.is_mine(path)), None)


def log_format(path: Path) -> Format | None:
    """Return the format of a file that is the log of one run; None for any other file."""
    return next((each for each in FORMATS if each.run is not None and each.is_mine(path)), None)
