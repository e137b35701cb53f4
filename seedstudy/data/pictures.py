"""Single images of a data set, small enough to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seedstudy.errors import DataError

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset, Images

LARGEST_SIDE = 160
"""Pixels; larger images are shown smaller, in their own proportions."""


def pictures_of(data: Dataset, eval_set: str, example_ids: Sequence[str]) -> dict[str, Images]:
    """Return the images of an eval set by their ids, each (h, w, 3), no side longer than `LARGEST_SIDE`.

    DataError where the data set, as it lies there now, has no such eval set or image.
    """
    import numpy as np

    if eval_set not in data.eval_sets:
        raise DataError(f"{data.name}: no {eval_set} there: {data.missing.get(eval_set, 'name the right folder')}")
    which = data.eval_sets[eval_set]
    row_of = dict(zip(which.example_ids.tolist(), which.rows.tolist(), strict=True))
    found = {}
    for example_id in example_ids:
        if example_id not in row_of:
            raise DataError(
                f'{data.name}: {eval_set} has no image "{example_id}" now: name the folder of the images that the '
                "trials were tested on with --data-dir, or with -d folder:PATH"
            )
        row = row_of[example_id]
        if which.images in data.images:
            found[example_id] = np.asarray(data.images[which.images][row])
        else:
            image = data.stored[which.images].open(row)
            image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            found[example_id] = np.asarray(image)
    return found
