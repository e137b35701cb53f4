"""Published figures: a mean ± std, tables of single runs, the spread and cost of RSB, accuracies of timm's weights.

RSB is "ResNet strikes back" (Wightman, Touvron and Jegou 2021, arXiv:2110.00476).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import DataError, StudyError, first_line, suggest
from seedstudy.read.metrics import to_points
from seedstudy.read.numbers import group_of_numbers
from seedstudy.read.parse import read_table
from seedstudy.read.request import Request
from seedstudy.read.tables import cells_as_written, readable
from seedstudy.study.group import Group, Moments, Reading

# --- "79.5±0.1 n=5" -----------------------------------------------------------------------------------

_MEAN_AND_STD = re.compile(
    r"(?:(?P<label>[^:]+):\s*)?(?P<mean>[+-]?[\d.]+(?:e[+-]?\d+)?)\s*(?:±|\+-|\+/-)\s*(?P<sd>[\d.]+(?:e[+-]?\d+)?)"
    r"(?:[\s,(]*n\s*=\s*(?P<n>\d+)\)?)?",
    re.IGNORECASE,
)


def group_of_mean_and_std(selector: str, request: Request) -> Group | None:
    """Return the group of a published mean and std, without values; None for any other selector."""
    match = _MEAN_AND_STD.fullmatch(selector.strip())
    if match is None:
        return None
    if match["n"] is None:
        raise StudyError(
            f'"{selector}": a mean without its number of seeds cannot be compared; write "{selector} n=5".'
        )
    try:
        mean, sd, n = float(match["mean"]), float(match["sd"]), int(match["n"])
    except ValueError:
        raise StudyError(f'"{selector}": not two numbers; write it like "79.5±0.1 n=5".') from None
    group = group_of_numbers([mean], match["label"] or selector.strip(), request)
    scale = 100.0 if request.unit == "fraction" else 1.0
    if sd == 0.0:
        raise StudyError(f'"{selector}": a std of {match["sd"]} was rounded away; give more digits.')
    mean_step, sd_step = (_step(match[name]) * scale for name in ("mean", "sd"))
    if not all(map(math.isfinite, (sd * scale, mean_step, sd_step))):
        raise StudyError(f'"{selector}": beyond every number that a computer holds; write it like "79.5±0.1 n=5".')
    moments = Moments(mean=float(group.values[0]), sd=sd * scale, n=n, mean_step=mean_step, sd_step=sd_step)
    return replace(group, values=np.empty(0), moments=moments)


# --- tables of single runs ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Numbers of a published table, in percent for accuracies."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    label: str
    """Column that names the rows."""
    values: npt.NDArray[np.float64]
    """Shape (n_rows, n_columns); nan where a cell is empty."""
    steps: tuple[float, ...]
    """What the numbers of each column are rounded to."""

    @property
    def reading(self) -> Reading:
        """What was read, as it is said before an answer."""
        n_runs, metric = int(np.isfinite(self.values).sum()), ", ".join(self.columns)
        return Reading(file=self.name, n_runs=n_runs, metric=metric, arms_by=(self.label,), is_published=True)


def read_published_table(
    path: Path, *, columns: Sequence[str] | None = None, label: str | None = None, unit: str | None = None
) -> Table:
    """Read a table with one row per model or recipe and one column per recipe or eval set.

    ``columns`` are to be judged; by default those named like eval sets, else those that start with ``top1``, else all
    that hold numbers. ``label`` is the column with the names of the rows, by default the first. ``unit`` is ``percent``
    or ``fraction`` for accuracies that leave it open, and ``none`` for any other metric.

    Raises StudyError for a file that cannot be read, text in place of a number, and percentages among fractions;
    StatisticsError for numbers that are not accuracies, or may be percent or fractions.
    """
    texts, written_unit = cells_as_written(path)
    head = list(texts)
    if max(map(len, texts.values()), default=0) < 2:
        raise StudyError(f"{path}: a table needs a line of column names and at least two rows.")
    unit = unit or written_unit
    for name in (*(columns or ()), *([label] if label else [])):
        if name not in head:
            raise StudyError(f'{path}: no column "{name}".{suggest(name, head)}')

    label = label or head[0]
    rows = tuple(texts[label])
    repeated = {row for row in rows if rows.count(row) > 1}
    if repeated:
        raise StudyError(f'{path}: "{min(repeated)}" names several rows of column {label}: give --label.')
    numeric = [name for name in head if name != label and any(_number(text) is not None for text in texts[name])]
    chosen = tuple(columns or _default_columns(numeric))
    values = np.full((len(rows), len(chosen)), np.nan)
    for j, name in enumerate(chosen):
        for i, text in enumerate(texts[name]):
            number = _number(text) if text else math.nan
            if number is None:
                raise StudyError(
                    f'{path}, row "{rows[i]}": {name} = "{text}" is not a number; leave the cell empty, or name the '
                    "columns to judge with --columns."
                )
            values[i, j] = number
    if np.isnan(values).all():
        held = f"no number in {', '.join(chosen)}" if chosen else "no number in any column"
        raise StudyError(f"{path}: {held}.")
    steps = [min((_step(text) for text in texts[name] if text), default=1.0) for name in chosen]
    if unit != "none":
        values = to_points(values, unit, where=str(path), other_metric="use --unit none for another metric")
    small = np.argwhere(values <= 1.0)
    if unit is None and small.size and np.nanmax(values) > 1.0:
        i, j = small[0]
        raise StudyError(
            f'{path}, row "{rows[i]}": {chosen[j]} = {values[i, j]:g} among percentages: percent and fraction are '
            "mixed; write all in percent."
        )
    scale = 100.0 if unit == "fraction" else 1.0
    steps = [scale * step for step in steps]
    return Table(name=path.name, rows=rows, columns=chosen, label=label, values=values, steps=tuple(steps))


def _default_columns(numeric: Sequence[str]) -> Sequence[str]:
    of_sets = [name for name in numeric if name in EVAL_SET_ORDER]
    return of_sets or [name for name in numeric if name.startswith("top1")] or numeric


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _step(text: str) -> float:
    """Return what a printed number is rounded to: 80.10 -> 0.01, 1.5e-3 -> 0.0001."""
    mantissa, _, exponent = text.lower().partition("e")
    _, _, decimals = mantissa.partition(".")
    if not mantissa.lstrip("+-").replace(".", "", 1).isdigit():
        return 0.0
    return float(f"1e{int(exponent or 0) - len(decimals)}")  # infinite where 10.0 ** x would raise


# --- RSB: the spread over 100 seeds, and the cost of one ----------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceStd:
    """A published standard deviation over seeds."""

    eval_set: str
    n: int
    """Seeds it comes from."""
    std: float
    """In percentage points."""


def reference_stds() -> dict[str, ReferenceStd]:
    """Return RSB's standard deviations over 100 seeds of ResNet-50 by A2: rsb-val, rsb-real, rsb-v2."""
    return {
        row["name"]: ReferenceStd(eval_set=row["eval_set"], n=row["n_seeds"], std=row["std"])
        for row in _rows("rsb_seeds.csv")
    }


def gpu_hours(model: str, recipe: str) -> float:
    """Return the published GPU-hours of one seed: RSB Table 3, training time times number of GPUs (V100, 32 GB)."""
    costs = {row["model"]: row for row in _rows("rsb_cost.csv")}
    if model not in costs:
        raise StudyError(f'no published cost of "{model}" (RSB Table 3).{suggest(model, costs)}')
    if recipe not in ("a1", "a2", "a3"):
        raise StudyError(f'no published cost of recipe "{recipe}" (RSB Table 3).{suggest(recipe, ("a1", "a2", "a3"))}')
    return float(costs[model][recipe])


def _rows(name: str) -> list[dict[str, Any]]:
    return read_table(Path(__file__).with_name(name)).frame.rows(named=True)


# --- timm's results tables, wherever a user keeps them ------------------------------------------------

TIMM_FILES = {
    "val": "results-imagenet.csv",
    "real": "results-imagenet-real.csv",
    "v2": "results-imagenetv2-matched-frequency.csv",
}
"""Eval set -> timm's table (huggingface/pytorch-image-models, folder results)."""
_TIMM_NUMBERS = ("img_size", "crop_pct", "top1")
_CROP_TOLERANCE = 5e-4  # three decimals are printed


def timm_top1(folder: Path, eval_set: str, model: str, *, size: int, crop: float) -> float | None:
    """Return the published top-1 in percent; None where the table has no row of this model, size and crop.

    A model has several rows, by size and crop: its name alone is no key.
    """
    if eval_set not in TIMM_FILES:
        return None
    path = folder / TIMM_FILES[eval_set]
    if not path.is_file():
        raise DataError(f"{path}: no such file; --published needs timm's folder results.")
    with readable(path):
        try:
            table = pl.read_csv(path, infer_schema=False)  # timm's tables may have no row
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{path}: not a CSV file ({first_line(error)}).") from error
    missing = [name for name in ("model", *_TIMM_NUMBERS) if name not in table.columns]
    if missing:
        raise DataError(f'{path}: not one of timm\'s results tables (no column "{missing[0]}").')
    rows = table.with_columns(pl.col(*_TIMM_NUMBERS).cast(pl.Float64, strict=False)).filter(
        (pl.col("model") == model)
        & (pl.col("img_size") == size)
        & ((pl.col("crop_pct") - crop).abs() < _CROP_TOLERANCE)
    )
    return rows["top1"][0] if rows.height else None
