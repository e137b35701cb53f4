"""What a metric's name says, and what it leaves open: its direction, and whether accuracies are percent or fractions.

Accuracies become percentage points here and nowhere else.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
import numpy.typing as npt

from seedstudy.errors import StatisticsError, UnitError
from seedstudy.study.group import Values

Direction = Literal["higher", "lower"]

DEFAULT_METRIC = "top1"

_LOWER = re.compile(
    r"(^|_)(loss|nll|err|error|errors|perplexity|ppl|mse|rmse|mae|fid|wer|cer|brier|ece|latency|time)(_|$)"
)
_HIGHER = re.compile(
    r"(^|_)(top_?\d+|acc\d*|accuracy|f1|auc|auroc|map|ap|precision|recall|iou|miou|bleu|rouge|psnr|ssim|r2|score|kappa)(_|$)"
)
_ACCURACY = re.compile(r"(^|_)(top_?[1-9]\d*|acc\d*|accuracy)(_|$)")
_DEFAULT = re.compile(
    r"(metrics?_)?((eval|val|valid|validation|test)_)?(top_?1|acc_?1|acc|accuracy|top_?1_(acc|accuracy)|(acc|accuracy)_top_?1)"
)


def plain(name: str) -> str:
    """Return a metric's name in lower case with "_" between its words: ``val/Acc@1`` -> ``val_acc_1``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def direction_of(metric: str, unit: str | None = None) -> Direction | None:
    """Return what the name says about the direction; None where it says nothing, or two things.

    Of a share (``unit`` is pp) more is better where the name says nothing.
    """
    name = plain(metric)
    is_lower, is_higher = bool(_LOWER.search(name)), bool(_HIGHER.search(name))
    if is_lower == is_higher:
        return "higher" if unit == "pp" and not is_lower else None
    return "lower" if is_lower else "higher"


def is_accuracy(metric: str) -> bool:
    """Return whether the name means a share of correct answers, to be shown in percentage points."""
    name = plain(metric)
    return bool(_ACCURACY.search(name)) and not _LOWER.search(name)


def is_default(column: str) -> bool:
    """Return whether a column's name means top-1 on images that were not trained on."""
    return bool(_DEFAULT.fullmatch(plain(column)))


def unit_of_name(metric: str) -> str | None:
    """Return the unit that a name says: ``Top-1 (%)``, ``acc_pct``; None for most."""
    return "percent" if "%" in metric or set(plain(metric).split("_")) & {"percent", "pct"} else None


def to_points(
    values: npt.ArrayLike,
    unit: str | None,
    *,
    where: str,
    other_metric: str = "name the metric with --metric (and --lower-is-better)",
) -> Values:
    """Return accuracies in percentage points; whether 0.8 is 80 % or 0.8 % is never guessed.

    ``values`` may have any shape, and nan where a cell is empty. ``unit``, percent or fraction, is needed only where no
    number exceeds 1. Messages begin with ``where``; ``other_metric`` says what to do about numbers that are not
    accuracies. Raises StatisticsError for these, and where percent and fraction are both possible.
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    largest, smallest = (known.max(), known.min()) if known.size else (0.0, 0.0)
    if unit == "fraction":
        if largest > 1.0:
            raise StatisticsError(f"{where}: {largest:g} is not a fraction: use --unit percent.")
        array, largest, smallest = 100.0 * array, 100.0 * largest, 100.0 * smallest
    if largest > 100.0 or smallest < 0.0:
        worst = largest if largest > 100.0 else smallest
        raise StatisticsError(f"{where}: {worst:g} is not an accuracy: {other_metric}.")
    if unit is None and largest <= 1.0:
        raise UnitError(f"{where}: percent or fraction? No number exceeds 1: use --unit percent or fraction.")
    return array


_LARGEST, _SMALLEST = 1e150, 1e-150
"""Beyond these a square, and so a variance, is no float."""


def check_size(values: Values, where: str) -> None:
    """Refuse finite numbers whose squares are no floats."""
    sizes = np.abs(values[np.isfinite(values)])
    largest = float(sizes.max(initial=0.0))
    if largest > _LARGEST:
        raise StatisticsError(f"{where}: {largest:.3g} is too large to compute with: divide by {largest:.0e}.")
    if 0.0 < largest < _SMALLEST:
        raise StatisticsError(f"{where}: {largest:.3g} is too small to compute with: multiply by {1 / largest:.0e}.")


def check_mixture(values: Values, unit: str | None, where: str) -> None:
    """Refuse accuracies that are fractions among percents, unless the unit is given."""
    odd = values[(values > 0.0) & (values <= 1.0)]
    if unit is None and odd.size and values.max() > 1.0:
        raise StatisticsError(
            f"{where}: {odd[0]:g} among percents: a fraction? Correct it, or use --unit percent if all are percents."
        )


def rounding(points: float) -> float:
    """Return half a unit of the last decimal that a number shows: 79.8 -> 0.05.

    A fraction times 100 has noise in its last digits: no more than nine decimals count.
    """
    decimals = repr(float(points)).partition("e")[0].partition(".")[2]
    return 0.5 * 10.0 ** -min(len(decimals), 9)


def rounding_note(points: Values, n_examples: int) -> str | None:
    """Return what rounded accuracies leave open about the number of correct images; None where it is certain."""
    n_open = max(map(rounding, points), default=0.0) / 100 * n_examples
    if n_open <= 0.5:
        return None
    return f"rounded values leave the number of correct images open by ±{math.ceil(n_open)} of {n_examples:,}"
