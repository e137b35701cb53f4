"""The declared rule: from a comparison to better, worse, equivalent or inconclusive, with reasons in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seedstudy.cautions import Caution
from seedstudy.decide.more_seeds import FEWEST, MOST_SEEDS, MoreSeeds, more_seeds
from seedstudy.document import FLAT, shown_as
from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import Comparison
from seedstudy.stats.doubt import Claim, safe_p
from seedstudy.stats.result import Estimate, decimals_of, p_equals
from seedstudy.stats.sample import check_level, check_margin
from seedstudy.stats.welch import TDistance, equivalence_p, two_sided_p

Word = Literal["better", "worse", "equivalent", "inconclusive"]
BORDERLINE = "borderline: "
"""How the caveat of a claim begins that may not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What will be concluded from which numbers, written before they are seen."""

    margin: float | None = None
    """Smallest difference that matters, in the metric's unit; without one nothing can be called equivalent."""
    alpha: float = 0.05
    """Error rate of each claim: of "better" or "worse" when the arms are equal, of "equivalent" at the margin."""
    level: float = 0.95
    """Confidence level of every interval; it decides nothing."""
    lower_is_better: bool = False
    power: float = 0.8
    """Power at which `more_seeds` is counted."""
    images: Literal["these", "new"] = "these"
    """What a verdict is about, beside new seeds: these test images, or new ones like them."""

    def __post_init__(self) -> None:
        """Refuse numbers that are not rates or a margin."""
        check_margin(self.margin)
        check_level(self.level)
        for name, rate, most, usual in (("alpha", self.alpha, 0.5, "0.05"), ("power", self.power, 1.0, "0.8")):
            if not 0.0 < rate < most:
                raise StatisticsError(f"--{name} {rate:g}: must lie between 0 and {most:g}, for example {usual}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the rule says of B against A; it knows the metric's direction."""

    word: Word = field(metadata=shown_as("verdict"))
    reasons: tuple[str, ...]
    """Sentences without their last stop, the deciding one first."""
    prob_b_better: Estimate
    """Chance that a new seed of B is better than a new seed of A."""
    single_run_error: float
    """Chance that one new seed of each would order them the other way round."""
    non_inferiority_p: float | None
    """Supports "B is not worse than A by the margin"; None without a margin."""
    missing: MoreSeeds = field(metadata=FLAT)
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
    is_bound: bool = False,
    unit: str = "",
) -> Verdict:
    """Apply the rule to a comparison.

    1. Equivalence shown (both one-sided p below alpha): equivalent, even where a difference is detectable.
    2. Else a difference detected (p below alpha): better or worse, in the metric's direction.
    3. Else: inconclusive. Absence of evidence is never "equivalent", and seeds without any spread are no evidence.

    Parameters
    ----------
    comparison
        Made with the rule's margin.
    p_adjusted, equivalence_p_adjusted
        p-values adjusted for the family of comparisons shown together; the comparison's own ones by default.
    n_family
        Number of comparisons in that family; missing seeds are counted at alpha / n_family.
    is_bound
        The p-values are the largest that rounding allows.
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
        n_family=n_family,
        is_bound=is_bound,
        unit=f" {unit}" if unit else "",
    )
    missing = MoreSeeds()
    if c.method == "permutation":
        word: Word = "inconclusive"
        reasons = case.without_spread()
    elif case.equivalence_p is not None and case.equivalence_p < rule.alpha:
        word = "equivalent"
        reasons = case.equivalent(case.equivalence_p)
    elif case.p < rule.alpha:
        word, reasons = case.direction, case.detected()
    else:
        word = "inconclusive"
        missing = more_seeds(c, alpha=rule.alpha, power=rule.power, n_family=n_family)
        reasons = [*case.inconclusive(), *case.more_seeds(missing)]
    prob = c.prob_b_greater
    return Verdict(
        word=word,
        reasons=tuple(reasons),
        prob_b_better=prob.mirrored(0.5) if rule.lower_is_better else prob,
        single_run_error=c.single_run_error,
        non_inferiority_p=c.p_below_plus_margin if rule.lower_is_better else c.p_above_minus_margin,
        missing=missing,
        warnings=case.warnings(word),
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
    reasons += [f"{name} says the opposite ({others[name].word}): report both" for name in opposite]
    alone: dict[Word, list[str]] = {}
    for name, verdict in others.items():
        if name not in (*same, *opposite):
            alone.setdefault(verdict.word, []).append(name)
    reasons += [f"{' and '.join(names)} alone would be {word}" for word, names in alone.items()]
    return Overall(word=deciding.word, primary=primary, reasons=tuple(reasons))


# --- reasons in words -------------------------------------------------------------------------------------


FEW = 10
"""Up to so many seeds the shape of the distribution rules how often large differences come by luck."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """A comparison and its rule, and the sentences about them."""

    c: Comparison
    rule: Rule
    p: float
    """Adjusted for the family."""
    equivalence_p: float | None
    n_family: int
    is_bound: bool
    unit: str
    """Behind a difference."""

    @property
    def size(self) -> str:
        size = abs(self.c.difference.value)
        text = f"{size:.{decimals_of(self.c.difference)}f}"
        return f"{text if float(text) or not size else f'{size:.1g}'}{self.unit}"

    @property
    def margin(self) -> str:
        return f"margin of {self.rule.margin:g}{self.unit}"

    @property
    def direction(self) -> Literal["better", "worse"]:
        return "better" if (self.c.difference.value > 0) != self.rule.lower_is_better else "worse"

    @property
    def _p(self) -> str:
        """The p-value, and where several comparisons are read together the adjusted one, which decides."""
        bare = p_equals(self.c.p_value).replace("p = ", "p up to " if self.is_bound else "p = ")
        return bare if self.n_family == 1 else f"{bare}; {p_equals(self.p)} adjusted for {self.n_family} comparisons"

    def equivalent(self, p: float) -> list[str]:
        family = f", adjusted for {self.n_family} comparisons" if self.n_family > 1 else ""
        reasons = [
            f"{self.c.name_b} and {self.c.name_a} differ by less than the declared {self.margin} "
            f"({p_equals(p)}{family}, for equivalence{self._within()})"
        ]
        if self.p < self.rule.alpha:
            reasons.append(f"{self.c.name_b} is detectably {self.direction} by {self.size}, inside the margin")
        return reasons

    def _within(self) -> str:
        """Return the interval that lies inside the margin: the one shown is wider, and need not."""
        if self.n_family > 1 or self.is_bound:
            return ""
        level, decimals = 1.0 - 2.0 * self.rule.alpha, decimals_of(self.c.difference)
        inner = self.c.interval_at(level)
        return f"; {100 * level:.6g}% CI {inner.low:.{decimals}f} to {inner.high:.{decimals}f}"

    def detected(self) -> list[str]:
        c, rule, interval = self.c, self.rule, self.c.difference
        reasons = [
            f"{c.name_b} is {self.direction} than {c.name_a} by {self.size}. If they were equally good, {self._luck} "
            f"would show so large a difference {self._how_often()} ({self._p})"
        ]
        if rule.margin is not None:
            is_beyond = interval.has_interval and (interval.low > rule.margin or interval.high < -rule.margin)
            reasons += [] if is_beyond else [f"Whether the difference exceeds the {self.margin} is not settled"]
        if c.permutation_p is not None and c.permutation_p >= rule.alpha and not self.is_below_floor:
            reasons.append(f"Relabelling the seeds gives {p_equals(c.permutation_p)}, which does not confirm it")
        return reasons

    def inconclusive(self) -> list[str]:
        first = (
            f"these {self._samples} cannot tell {self.c.name_b} and {self.c.name_a} apart. If they were equally good, "
            f"{self._luck} would show a difference of {self.size} or more {self._how_often()} ({self._p})"
        )
        if self.rule.margin is None:
            return [first, "No margin was declared (--margin), so equivalence cannot be shown either"]
        return [first, f"Nor is the difference shown to lie within the {self.margin}"]

    def without_spread(self) -> list[str]:
        c = self.c
        is_equal = c.difference.value == 0.0
        if c.paired:
            found = "both arms of every pair are equal" if is_equal else f"every pair differs by exactly {self.size}"
            return [f"{found}, and nothing shows how much of that is luck", "One arm may be a copy of the other"]
        found = "both give the same result" if is_equal else f"{c.name_b} differs by {self.size}"
        return [
            f"all {c.n_a} seeds of {c.name_a} gave one value, and so did all {c.n_b} of {c.name_b}: {found}, and "
            "nothing shows how much of that is luck",
            "Probably the seed did not reach the training, or the numbers are rounded too far",
        ]

    def more_seeds(self, missing: MoreSeeds) -> list[str]:
        rule, unit = self.rule, self.unit
        if self.c.networks is not None:
            return ["A claim about the recipes needs several seeds of each"]
        if max(self.c.n_a, self.c.n_b) < FEWEST:
            return [f"{FEWEST} seeds per arm are the fewest from which to say how many would settle it"]
        most, power = f"{MOST_SEEDS:,} seeds per arm", f"at least {rule.power:.0%} power"
        if rule.margin is not None:
            if missing.number is None:
                return [f"At this spread the {self.margin} is too small for {most} to settle it{self._of_images}"]
            return [
                f"About {_seeds(missing.number)} per arm would show a difference as large as the margin, or "
                f"equivalence if there is none, with {power}"
            ]
        if missing.between is None or missing.largest is None:
            return [
                f"Even the largest difference that the interval allows would need more than {most}{self._of_images}"
            ]
        few, many = missing.between
        half = f", and {many} would show one" if many else f", and more than {most} would be needed for one"
        return [
            f"With {power} about {_seeds(few)} per arm would show a true difference of {missing.largest:.2g}{unit}, "
            f"the largest that the interval allows{' or one' if few == many else half} of half that size"
        ]

    def warnings(self, word: Word) -> tuple[str, ...]:
        """Return what the word rests on: the caveats of a claim, and what is assumed of an arm that shows no spread."""
        if self.c.method == "permutation":
            return ()
        found = [self._no_spread_in_one(word), self._shape(word)]
        if word in ("better", "worse") and self.is_below_floor:
            floor = f"no two-sided p below {self.c.permutation_floor:.2g}"
            found.append(
                Caution(
                    f"relabelling {_counts(self.c)} seeds gives {floor}: that test, which assumes no shape, cannot "
                    "confirm the difference",
                    short=f"no permutation p below {self.c.permutation_floor:.2g}",
                    topic="few-seeds",
                )
            )
        return tuple(each for each in found if each)

    @property
    def is_below_floor(self) -> bool:
        """Whether so few seeds give no p-value below alpha by relabelling."""
        return self.c.permutation_floor is not None and self.c.permutation_floor >= self.rule.alpha

    def _shape(self, word: Word) -> str:
        """Return the caveat of a claim that would fail under the worst shapes which so few seeds cannot rule out."""
        c = self.c
        claim: Claim = "equivalence" if word == "equivalent" else "difference"
        p = self.equivalence_p if word == "equivalent" else self.p
        if c.method in ("single-run", "mcnemar") or word == "inconclusive" or p is None:
            return ""
        safe = safe_p(c.n_a, c.n_b, alpha=self.rule.alpha, claim=claim, paired=c.paired)
        if p < safe:
            return ""
        shapes = "seeds are skewed against each other, or spread differently"
        shapes = "the differences between pairs are skewed" if c.paired else shapes
        holds = f"only p < {safe:.2g} would hold even then" if safe > 0.0 else "no p would be small enough then"
        return Caution(
            BORDERLINE + f"{_counts(c)} seeds cannot show whether {shapes}; {holds}, and here {p_equals(p)}: "
            "train more seeds before relying on it",
            short=f"skewed seeds need p < {safe:.2g}" if safe else "with skewed seeds no p would be small enough",
            topic="borderline",
        )

    def _no_spread_in_one(self, word: Word) -> str:
        """Return what is assumed of a single run, or of an arm whose seeds all gave one value."""
        c = self.c
        is_a = c.n_a == 1 or c.sd_a == 0.0
        if c.paired or c.networks is not None or not (is_a or c.n_b == 1 or c.sd_b == 0.0):
            return ""
        one, n, other = (c.name_a, c.n_a, c.name_b) if is_a else (c.name_b, c.n_b, c.name_a)
        sd, n_other = (c.sd_b, c.n_b) if is_a else (c.sd_a, c.n_a)
        is_claim = word != "inconclusive"

        def p_if(spread: float) -> str:
            """Return the p-value of one run whose recipe has so many times the spread of the other arm."""
            se = sd * math.sqrt(spread**2 + 1.0 / n_other)
            if word == "equivalent" and c.margin is not None:
                return p_equals(float(equivalence_p(TDistance(c.difference.value, se, n_other - 1.0), c.margin)))
            return p_equals(float(two_sided_p(TDistance(c.difference.value, se, n_other - 1.0))))

        if n == 1:
            said = f"one run of {one} shows no spread, and that of {other} was assumed"
            if is_claim:
                return Caution(
                    BORDERLINE + f"{said}; if it is three times as large, {p_if(3.0)}: train 2 more seeds of it first",
                    short=f"{BORDERLINE}one run of {one} has no spread; if three times the other's, {p_if(3.0)}",
                    topic="one-run",
                )
            return Caution(said, short=f"one run of {one}: the spread of {other} was assumed", topic="one-run")
        said = f"all {n} seeds of {one} gave one value: perhaps the seed did not reach its training"
        return BORDERLINE + f"{said}; as one run they give {p_if(1.0)}" if is_claim else said

    @property
    def _samples(self) -> str:
        """Return what was drawn at random."""
        if self.c.networks is not None:
            return "test images"
        return "seeds" if self.c.image_error is None else "seeds and test images"

    @property
    def _luck(self) -> str:
        return (
            f"the luck of {self._samples}"
            if self.c.image_error is not None
            else f"the luck of the {self._samples} alone"
        )

    @property
    def _of_images(self) -> str:
        """Say what more seeds do not change."""
        if not self.c.image_error:
            return ""
        return f": the draw of the images alone leaves a standard error of {self.c.image_error:.2g}{self.unit}"

    def _how_often(self) -> str:
        """Return the p-value as a reader counts it; never more digits than the shape of few seeds supports."""
        p = self.c.p_value
        rarest = 1e-3 if min(self.c.n_a, self.c.n_b) <= FEW and self.c.networks is None else 1e-6
        about = "up to" if self.is_bound else "about"
        if p >= 0.995:
            return "in almost every try"
        if p >= 0.095:
            return f"in {about} {100 * p:.0f} of 100 tries"
        if p >= 0.01:
            return f"in {about} {100 * p:.2g} of 100 tries"
        if p < rarest:
            return f"less than once in {'1,000' if rarest == 1e-3 else 'a million'} tries"
        tries = 1.0 / p
        return f"{about} once in {round(tries, 1 - math.floor(math.log10(tries))):,.0f} tries"


def _seeds(n: int) -> str:
    return "1 more seed" if n == 1 else f"{n} more seeds"


def _counts(c: Comparison) -> str:
    return f"{c.n_a}" if c.n_a == c.n_b else f"{c.n_a} and {c.n_b}"
