"""Common random numbers: whether two recipes trained with the same seeds differ less than with independent ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedstudy.document import fields_of
from seedstudy.stats.compare import correlation
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import sd_of
from seedstudy.study.group import Group

FEWEST_PAIRS = 4
"""From here on a correlation has an interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedStreams:
    """Two arms on one eval set, paired by the seed that both gave to the same streams."""

    a: str
    b: str
    eval_set: str
    n_pairs: int
    streams: tuple[str, ...]
    """Those that vary, and have the same seed in both trials of a pair."""
    correlation: Estimate
    variance_ratio: Estimate
    """Variance of the difference over that of independent seeds, 1 - 2 r s_a s_b / (s_a^2 + s_b^2): so many times the
    seeds are needed. The interval is that of r, with the observed stds."""

    @property
    def helps(self) -> bool | None:
        """Whether sharing streams narrows the difference; None where the interval has both signs."""
        if not self.correlation.has_interval or self.correlation.low <= 0.0 <= self.correlation.high:
            return None
        return self.correlation.low > 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a part of ``variance --json``."""
        return fields_of(self) | {"helps": self.helps}


def shared_streams(arms: Sequence[Sequence[Group]], *, level: float) -> tuple[SharedStreams, ...]:
    """Return for each later arm and the first one what sharing streams does, where their trials share some."""
    pairs = ((a, b) for other in arms[1:] for a in arms[0] for b in other if a.eval_set == b.eval_set)
    return tuple(found for a, b in pairs for found in _shared(a, b, level))


def _shared(a: Group, b: Group, level: float) -> Iterator[SharedStreams]:
    if not a.vary or a.vary != b.vary or a.data != b.data:
        return
    of_a, of_b = (dict(zip(group.seeds or (), group.values, strict=False)) for group in (a, b))
    common = sorted(of_a.keys() & of_b.keys())
    if len(common) < FEWEST_PAIRS:
        return
    first, second = (np.array([values[seed] for seed in common]) for values in (of_a, of_b))
    sd_a, sd_b = sd_of(first), sd_of(second)
    r = correlation(first, second, level)
    if not math.isfinite(r.value):
        return
    weight = 2 * sd_a * sd_b / (sd_a**2 + sd_b**2)
    value, high, low = (1 - weight * x for x in (r.value, r.low, r.high))
    ratio = Estimate.of(value, (low, high), level=level, n=len(common), method="fisher-z, observed stds")
    yield SharedStreams(
        a=a.label,
        b=b.label,
        eval_set=a.eval_set,
        n_pairs=len(common),
        streams=a.vary,
        correlation=r,
        variance_ratio=ratio,
    )
