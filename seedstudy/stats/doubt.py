"""When the default test may err more often than it says. The bounds come from `docs/calibration.md`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from seedstudy.cautions import Caution
from seedstudy.stats.sample import Floats, Rows

FEWEST_TO_JUDGE = 5
"""Fewer seeds in an arm say nothing about the shape of its distribution."""
_SKEWED_MEAN = 0.25
"""Skewness of a mean from which its coverage falls below .93."""
_SURPRISING = 1.5
"""Standard errors above which a skewness counts as seen."""

_FEW = 10
"""Up to this many seeds in an arm no skew can be seen."""
UNSEEN_SKEW = "10 seeds or fewer cannot show a skew"
UNSEEN_SKEW_OF_PAIRS = "10 pairs or fewer cannot show a skew"
_SHAPE_UNSEEN = Caution(
    "10 seeds or fewer cannot show a skew: if both recipes' seeds were skewed, in opposite directions, a 95 % interval "
    "would cover the truth in 87 % of cases",
    short=UNSEEN_SKEW,
    topic="few-seeds",
)
_SHAPE_UNSEEN_UNEQUAL = Caution(
    "10 seeds or fewer cannot show a skew: with such unequal numbers of seeds, skewed seeds that vary more in the "
    "smaller arm would make a 95 % interval cover the truth in 81 % of cases",
    short=UNSEEN_SKEW,
    topic="few-seeds",
)
_SHAPE_UNSEEN_PAIRS = Caution(
    "10 pairs or fewer cannot show a skew: if the differences between pairs were skewed, a 95 % interval would cover "
    "the truth in 89 % of cases",
    short=UNSEEN_SKEW_OF_PAIRS,
    topic="few-seeds",
)

Claim = Literal["difference", "equivalence"]
Design = Literal["arms", "paired"]
_SEEDS = (2, 3, 5, 10, 30, 100)
_RATIOS = (1.0, 1.5, 3.0, 10.0)
# For _SEEDS in the smaller arm (rows) and _RATIOS of the larger to the smaller one (columns): the p below which a claim
# errs in no more than 5 % of cases under the worst of the measured shapes (docs/calibration.md, "borderline"):
# exponential and lognormal seeds, skewed alike or against each other, seeds of which one in twenty fails, and normal
# ones, each with the same std in both arms and with three times the std in either. Rounded down.
_SAFE_P: Mapping[tuple[Design, Claim], tuple[tuple[float, ...], ...]] = {
    ("arms", "difference"): (
        (0.034, 0.012, 0.0012, 0.0),
        (0.0145, 0.0088, 0.0021, 0.0019),
        (0.0073, 0.0056, 0.0040, 0.0040),
        (0.0092, 0.0078, 0.0059, 0.0059),
        (0.0196, 0.0185, 0.0169, 0.0154),
        (0.0350, 0.0340, 0.0320, 0.0280),
    ),
    ("arms", "equivalence"): (
        (0.018, 0.0070, 0.0008, 0.0),
        (0.0075, 0.0046, 0.0011, 0.0010),
        (0.0037, 0.0028, 0.0020, 0.0020),
        (0.0046, 0.0039, 0.0030, 0.0030),
        (0.0102, 0.0095, 0.0085, 0.0078),
        (0.0215, 0.0205, 0.0180, 0.0150),
    ),
    ("paired", "difference"): ((0.034,), (0.021,), (0.0124,), (0.0104,), (0.0208,), (0.035,)),
    ("paired", "equivalence"): ((0.0196,), (0.0112,), (0.0063,), (0.0052,), (0.0106,), (0.0205,)),
}


def sizes_differ(n_a: int, n_b: int) -> bool:
    """Return whether the numbers of seeds differ so much that unequal spreads and equal skews matter."""
    return max(n_a, n_b) >= 1.5 * min(n_a, n_b)


def safe_p(n_a: int, n_b: int, *, alpha: float, claim: Claim, paired: bool = False) -> float:
    """Return the p-value below which a claim at alpha needs no caveat about the shape of the distribution of seeds.

    Few seeds do not show their skewness, nor the ratio of their spreads, and no known test keeps its error rate
    whatever these are. A claim with a smaller p holds even under the worst shapes of `docs/calibration.md`; between
    this and alpha it rests on seeds that are not skewed against each other, and the output says so.

    `n_a` and `n_b` are the seeds per arm. One seed in an arm shows no spread: no p is small enough, 0. Interpolated in
    the logarithms of the smaller number and of the ratio. Measured at an alpha of .05; for others the bound is scaled
    as a power of alpha, which is approximate.
    """
    few, many = sorted((n_a, n_b))
    if few < 2:
        return 0.0
    table = np.array(_SAFE_P["paired" if paired else "arms", claim])
    by_ratio = [np.interp(math.log(few), np.log(_SEEDS), column) for column in table.T]
    at = float(np.interp(math.log(many / few), np.log(_RATIOS[: len(by_ratio)]), by_ratio))
    return 0.0 if at == 0.0 else min(alpha, alpha ** (math.log(at) / math.log(0.05)))


def unseen_skew(n: int | tuple[int, int]) -> tuple[str, ...]:
    """Return what few seeds, of either arm or of the pairs, leave open about the interval of a difference."""
    smallest = min(n) if isinstance(n, tuple) else n
    if not 1 < smallest <= _FEW:
        return ()
    if not isinstance(n, tuple):
        return (_SHAPE_UNSEEN_PAIRS,)
    return (_SHAPE_UNSEEN_UNEQUAL if sizes_differ(*n) else _SHAPE_UNSEEN,)


def seen_skew(a: Floats, b: Floats, names: tuple[str, str]) -> tuple[str, ...]:
    """Return a warning where more than a few seeds do show a skew; none with few in either arm (`unseen_skew`)."""
    if min(a.size, b.size) <= _FEW:
        return ()
    skewed = [name for arm, name in ((a, names[0]), (b, names[1])) if is_skewed(arm[None, :])[0]]
    return tuple(
        Caution(
            f"{name}: its seeds look skewed: a 95 % interval of the difference may cover the truth in 91 % of cases",
            short=f"{name}: its seeds look skewed; the interval may be too short",
            topic="skew",
        )
        for name in skewed
    )


def _skewness(rows: Rows) -> tuple[Rows, float]:
    """Return the bias-corrected skewness of each row, and its standard error for normal seeds."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    variance = np.sum(centred**2, axis=1) / (n - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = n * np.sum(centred**3, axis=1) / ((n - 1) * (n - 2)) / variance**1.5
    return np.nan_to_num(skewness), math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))


def is_skewed(rows: Rows) -> Any:
    """Return for each row whether its skewness is seen to make the t interval of its mean too short."""
    n = rows.shape[1]
    if n < FEWEST_TO_JUDGE:
        return np.zeros(rows.shape[0], dtype=bool)
    skewness, error = _skewness(rows)
    return np.abs(skewness) / math.sqrt(n) > max(_SKEWED_MEAN, _SURPRISING * error / math.sqrt(n))


def has_another_shape(rows: Rows) -> Any:
    """Return for each row whether intervals for the std and for new seeds are seen to be too short.

    Longer tails than normal seeds have, or a skewness above 1/2 and twice its standard error.
    """
    if rows.shape[1] < FEWEST_TO_JUDGE:
        return np.zeros(rows.shape[0], dtype=bool)
    skewness, error = _skewness(rows)
    return has_long_tails(rows) | (np.abs(skewness) > max(0.5, 2 * error))


def has_long_tails(rows: Rows) -> Any:
    """Return for each row of at least 10 seeds whether single seeds lie further out than normal ones do.

    The bias-corrected excess kurtosis exceeds 1; chi-square intervals of a std are then too short.
    """
    if rows.shape[1] < 10:
        return np.zeros(rows.shape[0], dtype=bool)
    return _excess_kurtosis(rows) > 1.0


def _excess_kurtosis(rows: Rows) -> Rows:
    """Return the bias-corrected excess kurtosis of each row; 0 without spread."""
    n = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    second, fourth = np.sum(centred**2, axis=1), np.sum(centred**4, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = n * (n + 1) * (n - 1) * fourth / ((n - 2) * (n - 3) * second**2)
    return np.where(second > 0.0, ratio - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)), 0.0)
