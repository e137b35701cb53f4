"""The declared rule: from a comparison to better, worse, equivalent or inconclusive, with reasons in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seedstudy.document import shown_as
from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import Comparison
from seedstudy.stats.doubt import Claim, safe_p, sizes_differ
from seedstudy.stats.permutation import floor_paired, floor_two_sample
from seedstudy.stats.power import more_seeds, smallest
from seedstudy.stats.result import Estimate, format_p, p_equals
from seedstudy.stats.sample import check_margin
from seedstudy.stats.welch import TDistance, welch

Word = Literal["better", "worse", "equivalent", "inconclusive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What will be concluded from which numbers, written before they are seen."""

    margin: float | None = None
    """Smallest difference that matters, in the metric's unit; without one nothing can be called equivalent."""
    level: float = 0.95
    """Confidence level of every interval."""
    lower_is_better: bool = False
    power: float = 0.8
    """Power at which `more_seeds` is counted."""

    def __post_init__(self) -> None:
        """Refuse numbers that are not rates or a margin."""
        check_margin(self.margin)
        for name, rate in (("level", self.level), ("power", self.power)):
            if not 0.0 < rate < 1.0:
                raise StatisticsError(f"--{name} {rate:g}: must lie between 0 and 1, for example 0.95.")

    @property
    def alpha(self) -> float:
        """Error rate of each claim: of "better" or "worse" when the arms are equal, of "equivalent" at the margin."""
        return round(1.0 - self.level, 12)  # else a p-value of exactly .05 is below it


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the rule says of B against A; it knows the metric's direction."""

    word: Word = field(metadata=shown_as("verdict"))
    reasons: tuple[str, ...]
    """In plain words, the deciding one first."""
    prob_b_better: Estimate | None
    """Chance that a new seed of B is better than a new seed of A; None for summaries."""
    single_run_error: float
    """Chance that one new seed of each would order them the other way round."""
    non_inferiority_p: float | None
    """Supports "B is not worse than A by the margin"; None without a margin."""
    more_seeds: int | None
    """Seeds per arm to add for a settled answer at the rule's power; only when inconclusive and reachable."""
    warnings: tuple[str, ...] = ()
    """What the word rests on, where that may fail."""


def decide(
    comparison: Comparison,
    rule: Rule,
    *,
    p_adjusted: float | None = None,
    equivalence_p_adjusted: float | None = None,
    n_family: int = 1,
    unit: str = "",
) -> Verdict:
    """Apply the rule to a comparison.

    1. Equivalence shown (both one-sided p below alpha): equivalent, even where a difference is detectable.
    2. Else a difference detected (p below alpha): better or worse, in the metric's direction.
    3. Else: inconclusive. Absence of evidence is never "equivalent".

    Parameters
    ----------
    comparison
        Made with the rule's margin.
    p_adjusted, equivalence_p_adjusted
        p-values adjusted for the family of comparisons shown together; the comparison's own ones by default.
    n_family
        Number of comparisons in that family; `more_seeds` is counted at alpha / n_family.
    unit
        Word behind differences in the reasons, such as "points".

    """
    c = comparison
    assert c.margin == rule.margin
    case = _Case(
        c=c,
        rule=rule,
        p=c.p_value if p_adjusted is None else p_adjusted,
        equivalence_p=c.equivalence_p if equivalence_p_adjusted is None else equivalence_p_adjusted,
        family=f", adjusted for {n_family} comparisons" if n_family > 1 else "",
        unit=f" {unit}" if unit else "",
    )
    missing = None
    if case.equivalence_p is not None and case.equivalence_p < rule.alpha:
        word: Word = "equivalent"
        reasons = case.equivalent(case.equivalence_p)
    elif case.p < rule.alpha:
        word, reasons = case.direction, case.detected()
    else:
        word = "inconclusive"
        missing = _more_seeds(c, rule, rule.alpha / n_family)  # Bonferroni: with Holm a few seeds fewer may do
        reasons = [*case.inconclusive(), case.more_seeds(missing)]
    prob = c.prob_b_greater
    return Verdict(
        word=word,
        reasons=tuple(reasons),
        prob_b_better=prob.mirrored(0.5) if prob and rule.lower_is_better else prob,
        single_run_error=c.single_run_error,
        non_inferiority_p=c.p_below_plus_margin if rule.lower_is_better else c.p_above_minus_margin,
        more_seeds=missing,
        warnings=() if word == "inconclusive" else case.borderline(word),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Overall:
    """What several eval sets say together."""

    word: Word = field(metadata=shown_as("verdict"))
    """The verdict on the primary eval set: the others never overrule it."""
    primary: str = field(metadata=shown_as("eval_set"))
    reasons: tuple[str, ...]


def overall(primary: str, deciding: Verdict, others: Mapping[str, Verdict]) -> Overall:
    """Return the verdict on the eval set that was declared to decide, and how the others stand to it.

    `others`: eval set -> its verdict, adjusted among themselves.
    """
    against: dict[Word, Word] = {"better": "worse", "worse": "better"}
    same = [name for name, verdict in others.items() if verdict.word == deciding.word]
    opposite = [name for name, verdict in others.items() if verdict.word == against.get(deciding.word)]
    reasons = [f"{primary} decides"]
    if same:
        reasons.append(f"{' and '.join(same)} {'says' if len(same) == 1 else 'say'} the same")
    reasons += [f"{name} says the opposite ({others[name].word}): tell both" for name in opposite]
    reasons += [f"{name} alone would be {others[name].word}" for name in others if name not in (*same, *opposite)]
    return Overall(word=deciding.word, primary=primary, reasons=tuple(reasons))


# --- reasons in words -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """A comparison and its rule, and the sentences about them."""

    c: Comparison
    rule: Rule
    p: float
    equivalence_p: float | None
    family: str
    """Behind a p-value."""
    unit: str
    """Behind a difference."""

    @property
    def size(self) -> str:
        return f"{abs(self.c.difference.value):.3g}{self.unit}"

    @property
    def margin(self) -> str:
        return f"margin of {self.rule.margin:g}{self.unit}"

    @property
    def direction(self) -> Literal["better", "worse"]:
        return "better" if (self.c.difference.value > 0) != self.rule.lower_is_better else "worse"

    def equivalent(self, p: float) -> list[str]:
        reasons = [
            f"the difference lies within the declared {self.margin} ({p_equals(p)}{self.family}, for equivalence)"
        ]
        if self.p < self.rule.alpha:
            reasons.append(f"{self.c.name_b} is detectably {self.direction} by {self.size}, inside the margin")
        return reasons

    def detected(self) -> list[str]:
        c, rule, interval = self.c, self.rule, self.c.difference
        reasons = [
            f"{c.name_b} is {self.direction} than {c.name_a} by {self.size}: were they equally good, the luck of the "
            f"seeds alone would show so large a difference {_how_often(self.p)} ({p_equals(self.p)}{self.family})"
        ]
        if rule.margin is not None:
            is_beyond = interval.has_interval and (interval.low > rule.margin or interval.high < -rule.margin)
            reasons += [] if is_beyond else [f"whether the difference exceeds the {self.margin} is not settled"]
        if c.permutation_p is not None and c.permutation_p >= rule.alpha:
            is_smallest = c.permutation_p <= (c.permutation_floor or 0.0) * (1 + 1e-9)
            why = "the smallest possible with so few seeds" if is_smallest else "which does not confirm it"
            reasons.append(f"relabelling the seeds gives {p_equals(c.permutation_p)}, {why}")
        return reasons

    def inconclusive(self) -> list[str]:
        floor = self.c.permutation_floor
        if self.c.method == "permutation" and floor is not None and floor >= self.rule.alpha:
            first = f"no spread between seeds and too few of them: the smallest possible p is {format_p(floor)}"
        else:
            first = (
                f"these seeds cannot tell the two apart: were they equally good, the luck of the seeds alone would "
                f"show a difference of {self.size} or more {_how_often(self.p)} ({p_equals(self.p)}{self.family})"
            )
        if self.rule.margin is None:
            return [first, "no margin was declared, so equivalence cannot be shown either"]
        return [first, f"nor is the difference shown to lie within the {self.margin}"]

    def more_seeds(self, missing: int | None) -> str:
        if missing is None:
            return "no reachable number of seeds would settle it if the difference is as it seems"
        seeds = "1 more seed" if missing == 1 else f"{missing} more seeds"
        if self.c.method == "permutation":
            return f"from {seeds} per arm on, relabelling the seeds alone could settle it"
        return (
            f"about {seeds} per arm would settle it with {self.rule.power:.0%} power, "
            "if the difference is as it seems (upper 80 % limit of the std)"
        )

    def borderline(self, word: Word) -> tuple[str, ...]:
        """Return the caveat of a claim that would fail under the worst shapes which so few seeds cannot rule out."""
        c = self.c
        claim: Claim = "equivalence" if word == "equivalent" else "difference"
        p = self.equivalence_p if word == "equivalent" else self.p
        if c.method not in ("welch", "paired-t") or p is None:
            return ()
        safe = safe_p(c.n_a, c.n_b, alpha=self.rule.alpha, claim=claim, paired=c.paired)
        if p < safe:
            return ()
        seeds = f"{c.n_a}" if c.n_a == c.n_b else f"{c.n_a} and {c.n_b}"
        is_unequal = sizes_differ(c.n_a, c.n_b)
        shapes = "skewed, or vary more in the smaller arm" if is_unequal else "skewed in opposite directions"
        standing = f"only p < {safe:.2g} would stand even then" if safe > 0.0 else "no p would be small enough then"
        return (
            f"borderline: {seeds} seeds cannot show whether seeds are {shapes}; {standing}, and here {p_equals(p)}: "
            "train more seeds before relying on it",
        )


def _how_often(p: float) -> str:
    """Return a probability as a reader counts it; never "0"."""
    if p >= 0.095:
        return f"in about {100 * p:.0f} of 100 tries"
    if p >= 0.01:
        return f"in about {100 * p:.2g} of 100 tries"
    if p < 1e-6:
        return "less than once in a million tries"
    tries = 1.0 / p
    return f"about once in {round(tries, 1 - math.floor(math.log10(tries))):,.0f} tries"


# --- how many seeds would settle it -----------------------------------------------------------------------


def _more_seeds(c: Comparison, rule: Rule, alpha: float) -> int | None:
    """Return the seeds per arm to add; without any spread those after which relabelling alone could settle it."""
    if c.method == "permutation":
        if c.difference.value == 0.0 and rule.margin is None:
            return None

        def floor(extra: int) -> float:
            return floor_paired(c.n_a + extra) if c.paired else floor_two_sample(c.n_a + extra, c.n_b + extra)

        return smallest(lambda extra: floor(extra) < alpha, at_least=1)

    def with_more(extra: int) -> TDistance:
        n_a, n_b = c.n_a + extra, c.n_b + extra
        if c.method == "paired-t":
            return TDistance(c.difference.value, c.se * math.sqrt(c.n_a / n_a), n_a - 1)
        sd_a = c.sd_a if c.n_a > 1 else c.sd_b
        sd_b = c.sd_b if c.n_b > 1 else c.sd_a
        return welch(0.0, sd_a, n_a, c.difference.value, sd_b, n_b)

    return more_seeds(with_more, pilot_df=c.df, margin=rule.margin, alpha=alpha, power=rule.power)
