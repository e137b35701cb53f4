"""The spread over seeds, as far as one training shows it (studies/noise_from_one says how far that is)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
_LEAST = 1e-6
"""A probability is taken to be no nearer to 0 or 1."""


def predictions_of_std(right: npt.NDArray[np.bool_], probability: npt.NDArray[np.floating] | None) -> dict[str, float]:
    """Return what one network predicts as the std over seeds of its recipe's accuracy on these images, a fraction.

    ``probabilities``: the std if seeds erred independently, each image with the probability that this network gives;
    ``recalibrated``: the same after a logistic recalibration (Platt 1999) on its own right answers; ``error``:
    sqrt(error / (2 N)), of calibrated networks (Jordan 2023, arXiv 2304.01910).

    Parameters
    ----------
    right : (n_images,)
        Whether the network is right.
    probability : (n_images,)
        What it gives to the label set; None where that was not kept (nan then).

    """
    n = len(right)
    error = math.sqrt((1.0 - float(right.mean())) / (2 * n))
    if probability is None:
        return {"probabilities": math.nan, "recalibrated": math.nan, "error": error}
    p = np.clip(probability.astype(np.float64), _LEAST, 1.0 - _LEAST)
    again = _recalibrated(right, p)
    return {
        "probabilities": float(np.sqrt(np.sum(p * (1.0 - p)))) / n,
        "recalibrated": float(np.sqrt(np.sum(again * (1.0 - again)))) / n,
        "error": error,
    }


def _recalibrated(right: npt.NDArray[np.bool_], p: Floats) -> Floats:
    """Return probabilities of a right answer by a logistic regression on the logit of p (Newton's method)."""
    x = special.logit(p)
    design = np.stack([np.ones_like(x), x], axis=1)
    weights = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = special.expit(design @ weights)
        slope = design.T @ (right - fitted)
        curvature = (design * (fitted * (1.0 - fitted))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        weights = weights + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    return np.asarray(special.expit(design @ weights), dtype=np.float64)


def curve_noise(accuracies: Floats) -> float:
    """Return the noise of successive evaluations in the last third of a curve: rms difference by sqrt(2)."""
    last = np.diff(accuracies)[-max(2, (len(accuracies) - 1) // 3) :]
    return float(np.sqrt(np.mean(last**2) / 2))
