"""The shape of an answer: a value that never travels without its interval, level, n and method."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SMALLEST_P = float(np.finfo(np.float64).tiny)
"""Smaller p-values are reported as this one: no finite sample shows that something is impossible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A value with its interval; `low` and `high` are nan where no interval can be given."""

    value: float
    """Point estimate, in the unit of the input."""
    low: float
    high: float
    level: float
    """Confidence level of the interval; the level actually reached where the stated one cannot be."""
    n: int | tuple[int, int]
    """Number of seeds, or of seeds per arm."""
    method: str
    """Name of the method that made the interval."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before using the interval."""

    @classmethod
    def of(
        cls,
        value: Any,
        ends: Iterable[Any] | None,
        *,
        level: float,
        n: int | tuple[int, int],
        method: str,
        warnings: tuple[str, ...] = (),
    ) -> Estimate:
        """Return an estimate of NumPy numbers, or of arrays with one element; without ends it has no interval."""
        low, high = (math.nan, math.nan) if ends is None else (float(np.asarray(end).item()) for end in ends)
        value = float(np.asarray(value).item())
        return cls(value=value, low=low, high=high, level=level, n=n, method=method, warnings=warnings)

    @property
    def has_interval(self) -> bool:
        """Whether both ends exist (an end may be infinite)."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def mirrored(self, centre: float = 0.0) -> Estimate:
        """Return the estimate of ``2 * centre - x``: the difference seen from the other arm."""
        value, low, high = (2 * centre - x for x in (self.value, self.high, self.low))
        n = self.n[::-1] if isinstance(self.n, tuple) else self.n
        return replace(self, value=value, low=low, high=high, n=n)


def bounded_p(p: float) -> float:
    """Return p bounded to [SMALLEST_P, 1]; a p of 0 is never printed."""
    return min(max(float(p), SMALLEST_P), 1.0)


def decimals_of(estimate: Estimate) -> int:
    """Return the decimals the interval supports: two digits of its half-width, at least 2, at most 6."""
    return decimals_for((estimate.high - estimate.low) / 2)


def decimals_for(uncertainty: float) -> int:
    """Return the decimals that show two digits of an uncertainty (a half-width, a standard error): 2 to 6."""
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return 2
    return min(6, max(2, 1 - math.floor(math.log10(uncertainty))))


def format_p(p: float) -> str:
    """Return a p-value with two digits, never 0: "0.031", "1.2e-7", "<1e-300"; a dash where there is none."""
    if not math.isfinite(p):
        return "–"
    if p >= 1e-4:
        return f"{p:.2g}"
    if p < 1e-300:
        return "<1e-300"
    digits, exponent = f"{p:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def p_equals(p: float) -> str:
    """Return a p-value for a sentence: "p = 0.031", "p < 1e-300"."""
    text = format_p(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"
