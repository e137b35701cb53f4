"""Published accuracies of timm's weights: its results tables, wherever a user keeps them, looked up exactly."""

from __future__ import annotations

import csv
from pathlib import Path

from seedstudy.errors import DataError

FILES = {
    "val": "results-imagenet.csv",
    "real": "results-imagenet-real.csv",
    "v2": "results-imagenetv2-matched-frequency.csv",
}
"""Eval set -> timm's table (huggingface/pytorch-image-models, folder results)."""

_DECIMALS = 3  # of the crop, as printed


def figure(folder: Path, eval_set: str, model: str, *, size: int, crop: float) -> float | None:
    """Return the published top-1 in percent; None where the table has no row of this model, size and crop.

    One model stands in several rows, by size and crop: the name alone is no key.
    """
    name = FILES.get(eval_set)
    if name is None:
        return None
    path = folder / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                same = row["model"] == model and int(row["img_size"]) == size
                if same and round(float(row["crop_pct"]), _DECIMALS) == round(crop, _DECIMALS):
                    return float(row["top1"])
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); --published wants timm's folder results."
        ) from error
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: not one of timm's results tables ({error}).") from error
    return None
