"""Plain numbers -> a group: one number per seed, without a table around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.errors import StatisticsError
from seedstudy.read.metrics import check_mixture, check_size, is_accuracy, to_points
from seedstudy.read.request import Request
from seedstudy.study.group import Group


def group_of_numbers(values: npt.ArrayLike, label: str, request: Request) -> Group:
    """Return a group of plain numbers, one per seed: accuracies in percent or fractions, or any other metric."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise StatisticsError(f"{label}: expected one number per seed, got an array of shape {array.shape}.")
    is_share = is_share_of(request.metric, request)
    check_size(array, label)
    if is_share:
        check_mixture(array, request.unit, label)
    return Group(
        label=label,
        recipe=label,
        model=None,
        data=None,
        eval_set=request.eval_sets[0] if request.eval_sets else EVAL_SET_ORDER[0],
        metric=request.metric,
        unit="pp" if is_share else None,
        seeds=None,
        values=to_points(array, request.unit, where=label) if is_share else array,
    )


def is_share_of(metric: str, request: Request) -> bool:
    """Say whether values are accuracies: by the metric's name, or because the user gave their unit."""
    return request.unit is not None or is_accuracy(metric)
