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
    comparison : Comparison
        Made with the rule's margin.
    rule : Rule
        The declared rule.
    p_adjusted, equivalence_p_adjusted : float, optional
        p-values adjusted for the family of comparisons shown together; the comparison's own ones by default.
    n_family : int
        Number of comparisons in that family; `more_seeds` is counted at alpha / n_family.
    unit : str
        Word behind differences in the reasons, such as "points".

    """
    assert comparison.margin == rule.margin
    p = comparison.p_value if p_adjusted is None else p_adjusted
    equivalence_p = comparison.equivalence_p if equivalence_p_adjusted is None else equivalence_p_adjusted
    is_detected = p < rule.alpha
    words = _Words(rule=rule, n_family=n_family, unit=f" {unit}" if unit else "")
    if equivalence_p is not None and equivalence_p < rule.alpha:
        word: Word = "equivalent"
        reasons = _reasons_equivalent(comparison, words, equivalence_p, is_detected)
    elif is_detected:
        word = "better" if _gain(comparison, rule) > 0 else "worse"
        reasons = _reasons_detected(comparison, words, p, word)
    else:
        word = "inconclusive"
        reasons = _reasons_inconclusive(comparison, words, p)
    # Bonferroni: with Holm a few seeds fewer may do.
    missing = _more_seeds(comparison, rule, rule.alpha / n_family) if word == "inconclusive" else None
    if word == "inconclusive":
        reasons = (*reasons, _reason_more_seeds(missing, comparison, rule))
    prob = comparison.prob_b_greater
    return Verdict(
        word=word,
        reasons=reasons,
        prob_b_better=prob.mirrored(0.5) if prob and rule.lower_is_better else prob,
        single_run_error=comparison.single_run_error,
        non_inferiority_p=(comparison.p_below_plus_margin if rule.lower_is_better else comparison.p_above_minus_margin),
        more_seeds=missing,
        warnings=_borderline(comparison, rule, word, p=p, equivalence_p=equivalence_p),
    )


def _borderline(
    comparison: Comparison, rule: Rule, word: Word, *, p: float, equivalence_p: float | None
) -> tuple[str, ...]:
    """Return the caveat of a claim that would not stand under the worst shapes which so few seeds cannot rule out."""
    if word == "inconclusive" or comparison.method not in ("welch", "paired-t"):
        return ()
    claim: Claim = "equivalence" if word == "equivalent" else "difference"
    found = equivalence_p if word == "equivalent" else p
    n_a, n_b = comparison.n_a, comparison.n_b
    safe = safe_p(n_a, n_b, alpha=rule.alpha, claim=claim, paired=comparison.paired)
    if found is None or found < safe:
        return ()
    seeds = f"{n_a}" if n_a == n_b else f"{n_a} and {n_b}"
    shapes = "skewed, or vary more in the smaller arm" if sizes_differ(n_a, n_b) else "skewed in opposite directions"
    standing = f"only p < {safe:.2g} would stand even then" if safe > 0.0 else "no p would be small enough then"
    return (
        f"borderline: {seeds} seeds cannot show whether seeds are {shapes}; {standing}, and here {p_equals(found)}: "
        "train more seeds before relying on it",
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

    Parameters
    ----------
    primary : str
        Name of the deciding eval set.
    deciding : Verdict
        Its verdict.
    others : mapping of str to Verdict
        The verdicts on the other eval sets, adjusted among themselves.

    """
    against: dict[Word, Word] = {"better": "worse", "worse": "better"}
    same = [name for name, verdict in others.items() if verdict.word == deciding.word]
    opposite = [name for name, verdict in others.items() if verdict.word == against.get(deciding.word)]
    rest = [name for name in others if name not in same and name not in opposite]
    reasons = [f"{primary} decides"]
    if same:
        reasons.append(f"{' and '.join(same)} {'says' if len(same) == 1 else 'say'} the same")
    reasons += [f"{name} says the opposite ({others[name].word}): tell both" for name in opposite]
    reasons += [f"{name} alone would be {others[name].word}" for name in rest]
    return Overall(word=deciding.word, primary=primary, reasons=tuple(reasons))


def _gain(comparison: Comparison, rule: Rule) -> float:
    """Return the difference, counted positive where B is better."""
    difference = comparison.difference.value
    return -difference if rule.lower_is_better else difference


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """What the reasons need beside the comparison."""

    rule: Rule
    n_family: int
    unit: str
    """Behind a difference, with its space: " points"."""

    def p(self, p: float) -> str:
        adjusted = f", adjusted for {self.n_family} comparisons" if self.n_family > 1 else ""
        return f"{p_equals(p)}{adjusted}"


def _reasons_equivalent(
    comparison: Comparison, words: _Words, equivalence_p: float, is_detected: bool
) -> tuple[str, ...]:
    size = abs(comparison.difference.value)
    shown = (
        f"the difference lies within the declared margin of {words.rule.margin:g}{words.unit} "
        f"({words.p(equivalence_p)}, for equivalence)"
    )
    if is_detected:
        direction = "better" if _gain(comparison, words.rule) > 0 else "worse"
        return (shown, f"{comparison.name_b} is detectably {direction} by {size:.3g}{words.unit}, inside the margin")
    return (shown,)


def _reasons_detected(comparison: Comparison, words: _Words, p: float, word: str) -> tuple[str, ...]:
    size, rule = abs(comparison.difference.value), words.rule
    reasons = [
        f"{comparison.name_b} is {word} than {comparison.name_a} by {size:.3g}{words.unit}: were they equally good, "
        f"the luck of the seeds alone would show so large a difference {_how_often(p)} ({words.p(p)})"
    ]
    if rule.margin is not None and not _exceeds_margin(comparison, rule.margin):
        reasons.append(f"whether the difference exceeds the margin of {rule.margin:g}{words.unit} is not settled")
    if comparison.permutation_p is not None and comparison.permutation_p >= rule.alpha:
        reasons.append(
            f"relabelling the seeds gives {p_equals(comparison.permutation_p)}"
            + (
                ", the smallest possible with so few seeds"
                if comparison.permutation_p <= (comparison.permutation_floor or 0.0) * (1 + 1e-9)
                else ", which does not confirm it"
            )
        )
    return tuple(reasons)


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


def _exceeds_margin(comparison: Comparison, margin: float) -> bool:
    interval = comparison.difference
    return interval.has_interval and (interval.low > margin or interval.high < -margin)


def _reasons_inconclusive(comparison: Comparison, words: _Words, p: float) -> tuple[str, ...]:
    if comparison.method == "permutation" and (comparison.permutation_floor or 0.0) >= words.rule.alpha:
        first = (
            f"no spread between seeds and too few of them: the smallest possible p is "
            f"{format_p(comparison.permutation_floor or 1.0)}"
        )
    else:
        size = abs(comparison.difference.value)
        first = (
            f"these seeds cannot tell the two apart: were they equally good, the luck of the seeds alone would show a "
            f"difference of {size:.3g}{words.unit} or more {_how_often(p)} ({words.p(p)})"
        )
    if words.rule.margin is None:
        return (first, "no margin was declared, so equivalence cannot be shown either")
    return (first, f"nor is the difference shown to lie within the margin of {words.rule.margin:g}{words.unit}")


def _reason_more_seeds(missing: int | None, comparison: Comparison, rule: Rule) -> str:
    if missing is None:
        return "no reachable number of seeds would settle it if the difference is as it seems"
    seeds = "1 more seed" if missing == 1 else f"{missing} more seeds"
    if comparison.method == "permutation":
        return f"from {seeds} per arm on, relabelling the seeds alone could settle it"
    return (
        f"about {seeds} per arm would settle it with {rule.power:.0%} power, "
        "if the difference is as it seems (upper 80 % limit of the std)"
    )


def _more_seeds(comparison: Comparison, rule: Rule, alpha: float) -> int | None:
    c = comparison
    if c.method == "permutation":
        return _seeds_without_spread(c, rule, alpha)

    def with_more(extra: int) -> TDistance:
        n_a, n_b = c.n_a + extra, c.n_b + extra
        if c.method == "paired-t":
            return TDistance(c.difference.value, c.se * math.sqrt(c.n_a / n_a), n_a - 1)
        sd_a = c.sd_a if c.n_a > 1 else c.sd_b
        sd_b = c.sd_b if c.n_b > 1 else c.sd_a
        return welch(0.0, sd_a, n_a, c.difference.value, sd_b, n_b)

    return more_seeds(with_more, pilot_df=c.df, margin=rule.margin, alpha=alpha, power=rule.power)


def _seeds_without_spread(comparison: Comparison, rule: Rule, alpha: float) -> int | None:
    """Return the seeds after which relabelling alone could settle it, were there still no spread at all."""
    c = comparison
    is_equal = c.difference.value == 0.0
    if is_equal and rule.margin is None:
        return None

    def can_settle(extra: int) -> bool:
        n_a, n_b = c.n_a + extra, c.n_b + extra
        return (floor_paired(n_a) if c.paired else floor_two_sample(n_a, n_b)) < alpha

    return smallest(can_settle, at_least=1)
