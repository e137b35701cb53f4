"""What a metric's name says, and what it leaves open: direction, and percent or fraction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

from seedstudy.errors import StatisticsError

Values = npt.NDArray[np.float64]
Direction = Literal["higher", "lower"]

_LOWER = re.compile(
    r"(^|_)(loss|nll|err|error|errors|perplexity|ppl|mse|rmse|mae|fid|wer|cer|brier|ece|latency|time)(_|$)"
)
_HIGHER = re.compile(
    r"(^|_)(top_?\d+|acc\d*|accuracy|f1|auc|auroc|map|ap|precision|recall|iou|miou|bleu|rouge|psnr|ssim|r2|score|kappa)(_|$)"
)
_ACCURACY = re.compile(r"(^|_)(top_?[1-9]\d*|acc\d*|accuracy)(_|$)")
_DEFAULT = re.compile(
    r"((eval|val|valid|validation|test)_)?(top_?1|acc_?1|acc|accuracy|top_?1_(acc|accuracy)|(acc|accuracy)_top_?1)"
)


def plain(name: str) -> str:
    """Return a metric's name in small letters with "_" between its words: ``val/Acc@1`` -> ``val_acc_1``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def direction_of(metric: str) -> Direction | None:
    """Return what the name says about the direction; None where it says nothing, or two things."""
    name = plain(metric)
    is_lower, is_higher = bool(_LOWER.search(name)), bool(_HIGHER.search(name))
    if is_lower == is_higher:
        return None
    return "lower" if is_lower else "higher"


def is_accuracy(metric: str) -> bool:
    """Return whether the name means a share of right answers, to be shown in percentage points."""
    name = plain(metric)
    return bool(_ACCURACY.search(name)) and not _LOWER.search(name)


def is_default(column: str) -> bool:
    """Return whether a column's name means top-1 on images that were not trained on."""
    return bool(_DEFAULT.fullmatch(plain(column)))


def to_points(values: Iterable[float], unit: str | None, *, where: str) -> Values:
    """Return accuracies in percentage points; whether 0.8 is 80 % or 0.8 % is never guessed.

    Raises
    ------
    StatisticsError
        Not an accuracy, or percent and fraction are both possible.

    """
    array = np.asarray(list(values), dtype=np.float64)
    if unit == "fraction":
        if array.size and array.max() > 1.0:
            raise StatisticsError(f"{where}: {array.max():g} is no fraction: say --unit percent.")
        array = 100.0 * array
    if array.size and (array.max() > 100.0 or array.min() < 0.0):
        worst = array.max() if array.max() > 100.0 else array.min()
        raise StatisticsError(
            f"{where}: {worst:g} is no accuracy: name the metric with --metric (and --lower-is-better)."
        )
    if unit is None and not (array.size and array.max() > 1.0):
        raise StatisticsError(
            f"{where}: percent or fraction? Every number is at most 1: say --unit percent or fraction."
        )
    return array
