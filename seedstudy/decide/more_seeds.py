"""How many more seeds would settle an inconclusive comparison: for a difference that matters, never the observed one.

The observed difference of an inconclusive comparison is mostly luck. Planning on it promises a power that is not
reached where the truth is smaller, and asks for tens of thousands of seeds where it happens to be near 0.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from seedstudy.document import HIDDEN, shown_as
from seedstudy.stats.compare import Comparison
from seedstudy.stats.power import difference_power, equivalence_power, pilot_inflation
from seedstudy.stats.welch import TDistance, welch

MOST_SEEDS = 1000
"""Seeds per arm, trained and to be trained, beyond which no number is given: nobody should follow it."""

FEWEST = 3
"""Two seeds in each arm leave the spread open by a factor of 70, and so the number of seeds by its square."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MoreSeeds:
    """Seeds to add to each arm."""

    number: int | None = field(default=None, metadata=shown_as("more_seeds"))
    """With a margin: enough to show a true difference of the margin, or equivalence where there is none."""
    between: tuple[int, int | None] | None = field(default=None, metadata=shown_as("more_seeds_range"))
    """Without a margin: for the largest difference that the interval allows, and for half of it; None: too many."""
    largest: float | None = field(default=None, metadata=HIDDEN)
    """Size of that largest difference."""


def more_seeds(c: Comparison, *, alpha: float, power: float, n_family: int = 1) -> MoreSeeds:
    """Return the seeds that an inconclusive comparison lacks; nothing where the spread is hardly known.

    `n_family` comparisons share `alpha`, and the interval that the reader sees is as wide. The power is the average
    over the stds that so many seeds may show (`pilot_inflation`).
    """
    if c.method in ("permutation", "mcnemar") or max(c.n_a, c.n_b) < FEWEST:
        return MoreSeeds()
    alpha /= n_family
    if c.margin is not None:
        return MoreSeeds(number=_needed(c, c.margin, alpha, power, margin=c.margin))
    shown = c.interval_at(1.0 - (1.0 - c.level) / n_family)
    largest = max(abs(end) for interval in (c.difference, shown) for end in (interval.low, interval.high))
    fewest = _needed(c, largest, alpha, power)
    if fewest is None:
        return MoreSeeds()
    return MoreSeeds(between=(fewest, _needed(c, largest / 2, alpha, power)), largest=largest)


def _needed(c: Comparison, difference: float, alpha: float, power: float, *, margin: float | None = None) -> int | None:
    """Return the fewest seeds to add with which the difference is shown, and with a margin also that there is none."""
    inflation = pilot_inflation(c.df, alpha, power)

    def is_enough(extra: int) -> bool:
        t = _with_more(c, extra)
        t = t._replace(se=t.se * inflation)
        if difference_power(t._replace(difference=difference), alpha) < power:
            return False
        return margin is None or equivalence_power(t, margin, alpha) >= power

    most = MOST_SEEDS - min(c.n_a, c.n_b)
    if most < 1 or not is_enough(most):
        return None
    return bisect_left(range(most), True, lo=1, key=is_enough)


def _with_more(c: Comparison, extra: int) -> TDistance:
    """Return no difference, with the error and the degrees of freedom of so many more seeds per arm."""
    n_a, n_b = c.n_a + extra, c.n_b + extra
    images = c.image_error or 0.0
    if c.paired:
        of_seeds = math.sqrt(max(c.se**2 - images**2, 0.0))
        t = TDistance(0.0, of_seeds * math.sqrt(c.n_a / n_a), n_a - 1.0)
    else:
        sd_a = c.sd_a if c.n_a > 1 else c.sd_b
        sd_b = c.sd_b if c.n_b > 1 else c.sd_a
        t = welch(0.0, sd_a, n_a, 0.0, sd_b, n_b)
    # The images stay as they are, and are far more than the seeds: their part has endless degrees of freedom.
    share = t.se**2 / (t.se**2 + images**2) if images else 1.0
    return TDistance(0.0, math.hypot(t.se, images), t.df / share**2)
