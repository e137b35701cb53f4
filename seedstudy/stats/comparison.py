"""What a comparison of two recipes says: facts only; the verdict is made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seedstudy.stats.rank import RankTest
from seedstudy.stats.result import Estimate
from seedstudy.stats.spread import SpreadComparison

Method = Literal["welch", "paired-t", "single-run", "permutation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """B against A, direction-agnostic: every difference is B minus A in the unit of the input."""

    name_a: str
    name_b: str
    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    sd_a: float
    """Standard deviation with n - 1; nan for one seed."""
    sd_b: float
    difference: Estimate
    """Mean of B minus mean of A, with the interval of `method`."""
    equivalence_interval: Estimate
    """The same difference with level 1 - 2 alpha: inside the margin exactly when `equivalence_p` < alpha."""
    method: Method
    """What `p_value` is. "welch"; "paired-t" when declared; "single-run" when an arm has one seed (the spread of the
    other is assumed); "permutation" when no arm shows any spread."""
    statistic: float
    df: float
    se: float
    """Standard error of the difference; 0 where there is no spread."""
    p_value: float
    """Two-sided p-value of equal means; never 0."""
    permutation_p: float | None
    """None for summaries."""
    permutation_floor: float | None
    """Smallest two-sided permutation p that these numbers of seeds can give."""
    permutation_method: Literal["exact", "monte-carlo"] | None
    hedges_g: Estimate
    prob_b_greater: Estimate | None
    """P(B > A) + P(B = A)/2 for one new seed of each; None for summaries."""
    cliffs_delta: Estimate | None
    single_run_error: float
    """Probability that one new seed of each comes out against the order of the means."""
    margin: float | None
    p_above_minus_margin: float | None
    """One-sided p-value that supports "B is not lower than A by the margin" (non-inferiority if higher is better)."""
    p_below_plus_margin: float | None
    """One-sided p-value that supports "B is not higher than A by the margin" (non-inferiority if lower is better)."""
    equivalence_p: float | None
    """The larger of the two: supports "equal within the margin"."""
    paired: bool = False
    correlation: Estimate | None = None
    """Pearson correlation of the pairs; None when unpaired."""
    mann_whitney: RankTest | None = None
    brunner_munzel: RankTest | None = None
    hodges_lehmann: Estimate | None = None
    bootstrap: Estimate | None = None
    """The difference with a BCa interval; None below 20 seeds per arm."""
    spread: SpreadComparison | None = None
    """None below 5 seeds per arm."""
    wilcoxon: RankTest | None = None
    """Signed-rank test of the pairs; None when unpaired."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the numbers above."""

    @property
    def level(self) -> float:
        """Confidence level of `difference`."""
        return self.difference.level
