"""Several comparisons that are read together: which family they form, what luck costs, and the verdicts.

One eval set was declared to decide (the primary). Its comparisons are one family, those on the other eval sets another;
within a family p-values and intervals are adjusted in the same way, so that an interval excludes 0 exactly where its
p-value is below 1 - level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.decide.answers import Answers, Shown
from seedstudy.decide.images import ImageReading, Images, OnImages
from seedstudy.decide.looks import Looks
from seedstudy.decide.more_seeds import MoreSeeds
from seedstudy.decide.rounding import Rounding, rounding_of
from seedstudy.decide.select import by_eval_set, moments_of
from seedstudy.decide.summary import DEFAULT_RNG_SEED, doubts_of
from seedstudy.decide.verdict import Overall, Rule, Verdict, decide, overall
from seedstudy.document import FLAT, HIDDEN, document, ends, fields_of, finite, shown_as
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.metrics import direction_of
from seedstudy.stats.compare import Comparison, Details, compare, compare_summaries, details
from seedstudy.stats.describe import mean_interval, mean_interval_of
from seedstudy.stats.many import MaxT, adjust, compact_letters, holm_steps, max_t
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import by_seed
from seedstudy.stats.welch import two_sided_p, welch
from seedstudy.study.group import NOTHING_READ, Group, Readings

Correction = Literal["bonferroni", "holm", "max-t", "none"]
CORRECTIONS: tuple[Correction, ...] = ("bonferroni", "holm", "max-t", "none")
_NOT_IN_JSON = {
    "name_a",
    "name_b",
    "prob_b_greater",
    "prob_b_greater_ci",
    "p_above_minus_margin",
    "p_below_plus_margin",
}
"""Fields of a comparison that its verdict says in the metric's direction, or its groups by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """What is compared with what, declared before the numbers."""

    all_pairs: bool = False
    """Every recipe with every other one; else every further one with the first."""
    paired: bool = False
    """Equal seeds of both arms share their random streams, split or fold."""
    primary: str | None = None
    """The eval set that decides; None: val where it is among them, else the first."""
    correction: Correction = "bonferroni"
    """How a family is adjusted. With "bonferroni" and "max-t" (for the other eval sets of one pair) all intervals hold
    together; "holm" finds more, and its intervals have the level of their step."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Answer(Shown):
    """B against A on one eval set: the groups, the statistics and the verdict."""

    a: Group = field(metadata=HIDDEN)
    b: Group = field(metadata=HIDDEN)
    comparison: Comparison = field(metadata=HIDDEN)
    rule: Rule = field(metadata=HIDDEN)
    verdict: Verdict = field(metadata=FLAT)
    p_adjusted: float
    """p-value adjusted for the family; the verdict is read from it."""
    equivalence_p_adjusted: float | None
    interval_adjusted: Estimate = field(metadata=HIDDEN)
    """The difference with the interval that `p_adjusted` agrees with."""
    is_primary: bool = field(metadata=HIDDEN)
    """Whether this eval set decides."""
    n_family: int = field(metadata=shown_as("family_size"))
    """Number of comparisons that are adjusted together with this one."""
    correction: Correction
    rounding: Rounding | None = field(default=None, metadata=HIDDEN)
    """What the printed digits leave open; None where the numbers are exact, or fine enough."""
    p_value_if_standard_error: float | None = None
    """p-value if published ± were standard errors; None where all seeds are known."""
    looks: Looks | None = field(default=None, metadata=HIDDEN)
    """What was seen of this pair before, with fewer seeds; None where nothing is remembered."""
    reading: ImageReading | None = field(default=None, metadata=HIDDEN)
    """The difference on these images, on new ones, and beside the primary eval set; None without predictions."""

    @property
    def means(self) -> tuple[Estimate, Estimate]:
        """The mean of A and the mean of B, each with its own t interval."""
        return _mean(self.a, self.comparison.level), _mean(self.b, self.comparison.level)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before believing the verdict and the numbers."""
        return (*self.verdict.warnings, *self.comparison.warnings)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may be wrong with the intervals shown: of the difference, and of P(B better)."""
        prob = self.comparison.prob_b_greater
        return (*self.comparison.difference.warnings, *prob.warnings)

    @property
    def equivalence_interval(self) -> Estimate:
        """The difference at level 1 - 2 alpha: inside the margin exactly when its p for equivalence is below alpha."""
        return _interval_at(self.comparison, self.rounding, round(1.0 - 2.0 * self.rule.alpha, 12))

    @property
    def verdict_on(self) -> str:
        """What the verdict is about: "these images", "new images" (both: new seeds), or "two networks"."""
        c = self.comparison
        return "two networks" if c.networks is not None else "these images" if c.image_error is None else "new images"

    @property
    def details(self) -> Details | None:
        """What the table leaves out, computed when asked for; None where an arm is a published mean."""
        if self.a.moments is not None or self.b.moments is not None or self.comparison.networks is not None:
            return None
        c = self.comparison
        return details(self.a.values, self.b.values, level=c.level, paired=c.paired, names=(c.name_a, c.name_b))

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``compare --json``."""
        c = self.comparison
        numbers = {name: value for name, value in fields_of(c).items() if name not in _NOT_IN_JSON}
        numbers["ci"] = numbers.pop("difference_ci")
        if c.correlation is None:
            del numbers["correlation"]
        return {
            "a": self.a.label,
            "b": self.b.label,
            **{key: value for key, value in self.a.to_dict().items() if key not in ("recipe", "model")},
            **numbers,
            "level": c.level,
            "statistic": finite(c.statistic),
            "ci_adjusted": ends(self.interval_adjusted),
            "family": "primary" if self.is_primary else "secondary",
            "equivalence_p": finite(c.equivalence_p),
            "p_value_range": None if self.rounding is None else list(self.rounding.p_values),
            "paired": c.paired,
            "prob_b_better_ci": None,  # where there is no such estimate
            **fields_of(self),
            "verdict_on": self.verdict_on,
            "images": None if self.reading is None else _without_names(self.reading),
            **({} if self.looks is None else self.looks.to_dict()),
            "details": document(self.details),
            "warnings": list(dict.fromkeys((*self.warnings, *self.doubts, *c.hedges_g.warnings))),
        }


def _without_names(reading: ImageReading) -> dict[str, Any]:
    """Return a reading without what its answer says already."""
    known = ("a", "b", "eval_set", "n_a", "n_b", "difference")
    return {key: value for key, value in fields_of(reading).items() if key not in known}


def _mean(group: Group, level: float) -> Estimate:
    if group.moments is None:
        return mean_interval(group.values, level=level)
    return mean_interval_of(*moments_of(group), level=level)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Comparisons(Answers[Answer]):
    """Answers per pair and eval set, in the order asked for."""

    letters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Eval set -> recipe -> letters, for all pairs: recipes that share a letter were not distinguished."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no comparison includes."""
    late_rules: tuple[str, ...] = ()
    """One sentence per study whose rule was declared after it had results; none where the margin was given."""
    read: Readings = NOTHING_READ
    """What was read from each file."""
    race: str | None = None
    """The command that looks again with error control over all looks; None where there is none to give."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --json``."""
        together = self.overall()
        return {
            "comparisons": document(self.answers),
            **({"overall": [{"a": a, "b": b, **fields_of(v)} for (a, b), v in together.items()]} if together else {}),
            **({"letters": document(self.letters)} if self.letters else {}),
            "race": self.race,
            "left_out": list(self.left_out),
            "late_rules": list(self.late_rules),
            "read": self.read.to_dict(),
        }

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs compared, each once."""
        return tuple(dict.fromkeys((answer.a.label, answer.b.label) for answer in self.answers))

    def overall(self) -> dict[tuple[str, str], Overall]:
        """Return one verdict per pair that was judged on several eval sets."""
        found = {}
        for pair in self.pairs:
            answers = [answer for answer in self.answers if (answer.a.label, answer.b.label) == pair]
            decisive = [answer for answer in answers if answer.is_primary]
            if len(answers) > 1 and len(decisive) == 1:
                others = {answer.a.eval_set: answer.verdict for answer in answers if not answer.is_primary}
                found[pair] = overall(decisive[0].a.eval_set, decisive[0].verdict, others)
        return found


def rule_for(
    groups: Sequence[Group],
    *,
    margin: float | None,
    alpha: float,
    level: float,
    lower_is_better: bool | None,
    images: Images | None = "these",
) -> Rule:
    """Return the rule by which groups are judged: as given, or as the studies declared and the metric's name says.

    `images`: None for as declared, and else these.

    Raises
    ------
    StudyError
        Studies that declare different margins or images, or a metric whose direction nobody knows.

    """
    if images is None:
        wanted = {group.declared_images for group in groups if group.declared_images is not None}
        if len(wanted) > 1:
            raise StudyError(
                "these studies declare verdicts about these and about new images: say which with --images."
            )
        images = wanted.pop() if wanted else "these"
    if margin is None:
        declared = sorted({group.declared_margin for group in groups if group.declared_margin is not None})
        if len(declared) > 1:
            margins = " and ".join(f"{each:g}" for each in declared)
            raise StudyError(f"these studies declare different margins ({margins}): say which with --margin.")
        margin = declared[0] if declared else None
    if lower_is_better is None:
        lower_is_better = direction_for(groups)
    return Rule(margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better, images=images)


def direction_for(groups: Sequence[Group]) -> bool:
    """Return whether lower is better, as the groups' studies declared, or else as the metric's name says."""
    declared = {group.declared_lower for group in groups if group.declared_lower is not None}
    if len(declared) > 1:
        raise StudyError(
            f'these studies declare opposite directions of metric "{groups[0].metric}": say --higher-is-better or '
            "--lower-is-better."
        )
    return declared.pop() if declared else is_lower_better(groups[0].metric, groups[0].unit)


def is_lower_better(metric: str, unit: str | None) -> bool:
    """Return the direction of a metric, as its name says beyond doubt; StudyError where it does not."""
    direction = direction_of(metric, unit)
    if direction is None:
        raise StudyError(f'metric "{metric}": is higher or lower better? Say --higher-is-better or --lower-is-better.')
    return direction == "lower"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """One comparison of a family; where rounding decides, with its least favourable p-values."""

    a: Group
    b: Group
    c: Comparison
    printed_p: float
    """p-value of the numbers as they are printed."""
    rounding: Rounding | None
    reading: ImageReading | None = None


def _interval_at(c: Comparison, rounding: Rounding | None, level: float) -> Estimate:
    """Return the difference with its interval at another level."""
    if rounding is None or not rounding.decides:
        return c.interval_at(level)
    low, high = rounding.interval(level)
    return replace(c.difference, low=low, high=high, level=level)


def judge(
    by_data: Sequence[Sequence[Sequence[Group]]],
    rule: Rule,
    *,
    design: Design = Design(),
    images: OnImages | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare arms on every data set and eval set they share, and decide by the declared rule.

    Parameters
    ----------
    by_data
        Per data set the arms, per arm its groups, one per eval set; the first arm is the baseline.
    images
        What is known image by image; None: nothing.
    rng_seed
        Of permutations and bootstrap.

    Raises
    ------
    StudyError
        One recipe twice, no eval set in common, or a primary eval set that is not there.

    """
    pairs: list[tuple[Sequence[Group], Sequence[Group]]] = []
    for arms in by_data:
        for first, second in itertools.combinations(arms, 2):
            if _are_the_same(first, second):
                raise StudyError(f"{second[0].label}: the same trials are given twice; compare two different recipes.")
        pairs += itertools.combinations(arms, 2) if design.all_pairs else ((arms[0], other) for other in arms[1:])
    return judge_pairs(pairs, rule, design=design, images=images, rng_seed=rng_seed)


def judge_pairs(
    pairs: Sequence[tuple[Sequence[Group], Sequence[Group]]],
    rule: Rule,
    *,
    design: Design = Design(),
    images: OnImages | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare the second of each pair with the first, all pairs being read together; see :func:`judge`."""
    if rule.images == "new" and design.correction == "max-t":
        raise StudyError("--correction max-t relabels seeds alone: with --images new use bonferroni or holm.")
    of_pairs = [
        [
            _member(a, b, rule, paired=design.paired, images=images, rng_seed=rng_seed)
            for a, b in _on_shared_eval_sets(first, second)
        ]
        for first, second in pairs
    ]
    primary = _primary(design, list(dict.fromkeys(each.a.eval_set for of_pair in of_pairs for each in of_pair)))
    matched = [each for of_pair in of_pairs for each in _beside_primary(of_pair, primary, rule, images)]
    families = {
        is_primary: iter(
            _family(
                [x for x in matched if (x.a.eval_set == primary) == is_primary],
                rule,
                design,
                is_primary=is_primary,
                rng_seed=rng_seed,
            )
        )
        for is_primary in (True, False)
    }
    answers = tuple(next(families[each.a.eval_set == primary]) for each in matched)
    return Comparisons(answers=answers, letters=_letters(answers, rule) if design.all_pairs else {})


def _are_the_same(first: Sequence[Group], second: Sequence[Group]) -> bool:
    """Say whether two arms are the same trials of one study, or the same rows of one file."""

    def identity(group: Group) -> tuple[Any, ...]:
        place = Path(group.origin).resolve() if group.origin else ""
        who = (group.recipe, group.recipe_id, group.model, group.data, group.pool_key)
        return place, who, group.eval_set, group.seeds, group.values.tobytes()

    is_known = bool(first[0].origin or first[0].recipe_id)
    return is_known and list(map(identity, first)) == list(map(identity, second))


def _member(a: Group, b: Group, rule: Rule, *, paired: bool, images: OnImages | None, rng_seed: int) -> _Member:
    a, b = in_pairs(a, b) if paired else (a, b)
    c = None if images is None else images.compare_networks(a, b, level=rule.level, margin=rule.margin)
    if c is None:
        c = compare_groups(a, b, rule, paired=paired, rng_seed=rng_seed)
    reading = None if images is None else images.reading(a, b, level=rule.level, paired=paired)
    if rule.images == "new" and images is not None and reading is not None and c.networks is None:
        c = images.compare_on_new_images(c, a, b)
    rounding = rounding_of(a, b, c)
    least = c if rounding is None else rounding.applied(c)
    return _Member(a=a, b=b, c=least, printed_p=c.p_value, rounding=rounding, reading=reading)


def _beside_primary(members: Sequence[_Member], primary: str, rule: Rule, images: OnImages | None) -> list[_Member]:
    """Return the members of one pair, each reading beside that on the eval set which decides."""
    decisive = next((each for each in members if each.a.eval_set == primary and each.reading is not None), None)
    if images is None or decisive is None:
        return list(members)
    there = (decisive.a, decisive.b)
    return [
        each
        if each is decisive or each.reading is None
        else replace(each, reading=images.beside(each.reading, (each.a, each.b), there, level=rule.level))
        for each in members
    ]


def _on_shared_eval_sets(first: Sequence[Group], second: Sequence[Group]) -> list[tuple[Group, Group]]:
    baseline = by_eval_set(first)
    shared = [(baseline[group.eval_set], group) for group in second if group.eval_set in baseline]
    if not shared:
        raise StudyError(f"{first[0].label} and {second[0].label} have no eval set in common.")
    return shared


def _primary(design: Design, eval_sets: Sequence[str]) -> str:
    if design.primary is not None:
        if design.primary not in eval_sets:
            raise StudyError(f'--primary "{design.primary}": not compared.{suggest(design.primary, eval_sets)}')
        return design.primary
    return EVAL_SET_ORDER[0] if EVAL_SET_ORDER[0] in eval_sets else eval_sets[0]


def _family(members: Sequence[_Member], rule: Rule, design: Design, *, is_primary: bool, rng_seed: int) -> list[Answer]:
    """Return the answers of comparisons that are adjusted together."""
    if not members:
        return []
    n = 1 if design.correction == "none" else len(members)
    correction = design.correction if n > 1 else "none"
    if correction == "max-t" and is_primary:
        correction = "bonferroni"  # several pairs on one eval set
    p_values = [x.c.p_value for x in members]
    equivalence = [x.c.equivalence_p for x in members if x.c.equivalence_p is not None]
    # Equivalence has no max-T of its own.
    equal: Sequence[float | None] = (
        adjust(equivalence) if correction == "holm" else [bounded_p(n * p) for p in equivalence]
    )
    if correction == "max-t":
        relabelled = _max_t(members, rule, rng_seed)
        adjusted: Sequence[float] = relabelled.p_values
        reach = relabelled.reach(rule.level)
        intervals = [_by_reach(x.c, reach) for x in members]
    else:
        adjusted = adjust(p_values) if correction == "holm" else [bounded_p(n * p) for p in p_values]
        shares = holm_steps(p_values, 1.0 - rule.level) if correction == "holm" else [n] * len(members)
        intervals = [_at_share(x, share, correction) for x, share in zip(members, shares, strict=True)]
    return [
        _answer(x, rule, p, equal, interval, n=n, is_primary=is_primary, correction=correction)
        for x, p, equal, interval in zip(members, adjusted, equal or [None] * len(members), intervals, strict=True)
    ]


def _answer(
    x: _Member,
    rule: Rule,
    p: float,
    equivalence_p: float | None,
    interval: Estimate,
    *,
    n: int,
    is_primary: bool,
    correction: Correction,
) -> Answer:
    unit = "points" if x.a.unit == "pp" else ""
    is_bound = x.rounding is not None and x.rounding.decides
    verdict = decide(
        x.c, rule, p_adjusted=p, equivalence_p_adjusted=equivalence_p, n_family=n, is_bound=is_bound, unit=unit
    )
    if x.rounding is not None:
        verdict = _with_rounding(verdict, x, x.rounding, rule, n)
    return Answer(
        a=x.a,
        b=x.b,
        comparison=x.c,
        rule=rule,
        verdict=verdict,
        p_adjusted=p,
        equivalence_p_adjusted=equivalence_p,
        interval_adjusted=interval,
        is_primary=is_primary,
        n_family=n,
        correction=correction,
        rounding=x.rounding,
        p_value_if_standard_error=_p_if_standard_error(x.a, x.b),
        reading=x.reading,
    )


def _with_rounding(verdict: Verdict, x: _Member, rounding: Rounding, rule: Rule, n: int) -> Verdict:
    """Return a verdict that says what the printed digits leave open, where that matters."""
    if not rounding.decides:
        is_open = verdict.word in ("better", "worse") and n * rounding.p_values[1] >= rule.alpha
        return replace(verdict, warnings=(*verdict.warnings, rounding.in_words(x.printed_p))) if is_open else verdict
    first, *rest = verdict.reasons
    words = rounding.in_words(x.printed_p)
    if verdict.word == "inconclusive" and n * x.printed_p < rule.alpha:  # not seeds are missing, but digits
        return replace(verdict, reasons=(first, f"{words}; more digits would tell", *rest[:1]), missing=MoreSeeds())
    return replace(verdict, reasons=(first, words, *rest))


def _at_share(x: _Member, share: int, correction: Correction) -> Estimate:
    """Return the interval at level 1 - (1 - level) / share."""
    if share == 1 or not x.c.difference.has_interval:
        return x.c.difference
    single = _interval_at(x.c, x.rounding, 1 - (1 - x.c.level) / share)
    return replace(single, level=x.c.level, method=f"{single.method}-{correction}", warnings=())


def _by_reach(c: Comparison, reach: float) -> Estimate:
    """Return the interval of so many standard errors on either side."""
    if not c.difference.has_interval:
        return c.difference
    half = reach * c.se
    low, high = c.difference.value - half, c.difference.value + half
    return replace(c.difference, low=low, high=high, method=f"{c.difference.method}-max-t", warnings=())


def _max_t(members: Sequence[_Member], rule: Rule, rng_seed: int) -> MaxT:
    """Relabel whole seeds: eval sets of one network go together (Westfall & Young 1993, single step)."""
    if len({(x.a.label, x.b.label) for x in members}) > 1 or any(x.c.paired for x in members):
        raise StudyError(
            "--correction max-t: for one unpaired pair on several eval sets; use bonferroni for several pairs."
        )
    arms = []
    for groups in ([x.a for x in members], [x.b for x in members]):
        if any(g.moments is not None or g.seeds is None or g.seeds != groups[0].seeds for g in groups):
            raise StudyError(
                f"{groups[0].label}: --correction max-t needs the same seeds on every eval set; use bonferroni."
            )
        arms.append(np.stack([group.values for group in groups], axis=1))
    found = max_t(arms[0], arms[1], rng=np.random.default_rng(rng_seed))
    if found.floor >= rule.alpha:
        raise StudyError(
            f"--correction max-t: relabelling {len(arms[0])} and {len(arms[1])} seeds gives no p below "
            f"{found.floor:.2g}, and alpha is {rule.alpha:g}: train more seeds, or use bonferroni."
        )
    return found


def _p_if_standard_error(a: Group, b: Group) -> float | None:
    """Return the p-value if what stands behind ± in a published mean is a standard error."""
    if a.moments is None and b.moments is None:
        return None
    (mean_a, sd_a, n_a), (mean_b, sd_b, n_b) = (
        (mean, sd * math.sqrt(n) if group.moments is not None else sd, n)
        for group in (a, b)
        for mean, sd, n in [moments_of(group)]
    )
    return bounded_p(two_sided_p(welch(mean_a, sd_a, n_a, mean_b, sd_b, n_b)))


def _letters(answers: Sequence[Answer], rule: Rule) -> dict[str, dict[str, str]]:
    """Return compact letters per eval set, and per data set where there are several, from the adjusted p-values."""
    found = {}
    is_by_data = len({answer.a.data for answer in answers}) > 1
    for data, eval_set in dict.fromkeys((answer.a.data, answer.a.eval_set) for answer in answers):
        of_set = [answer for answer in answers if (answer.a.data, answer.a.eval_set) == (data, eval_set)]
        sign = -1.0 if rule.lower_is_better else 1.0
        means = {x.a.label: sign * x.comparison.mean_a for x in of_set}
        means |= {x.b.label: sign * x.comparison.mean_b for x in of_set}
        different = {(x.a.label, x.b.label) for x in of_set if x.p_adjusted < rule.alpha}
        found[f"{eval_set}, {data}" if is_by_data else eval_set] = compact_letters(means, different)
    return found


# --- one pair -------------------------------------------------------------------------------------------


def compare_groups(
    a: Group, b: Group, rule: Rule, *, paired: bool = False, rng_seed: int = DEFAULT_RNG_SEED
) -> Comparison:
    """Compare B against A in their unit; both must be of one metric, one eval set and one data set.

    `paired`: as :func:`in_pairs` returns them.
    """
    if (a.metric, a.unit) != (b.metric, b.unit):
        raise StatisticsError(f"{a.label} is {a.metric}, {b.label} is {b.metric}: compare numbers of one metric.")
    if a.data != b.data:
        raise StatisticsError(f"{a.label} is on {a.data}, {b.label} is on {b.data}: compare on one data set.")
    names = (a.label, b.label)
    if a.moments is not None or b.moments is not None:
        return compare_summaries(*moments_of(a), *moments_of(b), level=rule.level, margin=rule.margin, names=names)
    rng = np.random.default_rng(rng_seed)
    comparison = compare(a.values, b.values, rng=rng, level=rule.level, margin=rule.margin, paired=paired, names=names)
    doubts = [
        doubt if doubt in doubts_of(other) else f"{group.label}: {doubt}"
        for group, other in ((a, b), (b, a))
        for doubt in doubts_of(group)
    ]
    return replace(comparison, warnings=tuple(dict.fromkeys((*comparison.warnings, *doubts))))


def in_pairs(a: Group, b: Group) -> tuple[Group, Group]:
    """Return both arms with the seeds that both have, in one order; by position where neither knows its seeds.

    Seeds of one arm alone are left out, with a note. StudyError where nothing can be paired.
    """
    if a.moments is not None or b.moments is not None:
        raise StudyError(f"{a.label} and {b.label}: mean and std alone cannot be paired; leave --paired out.")
    if a.seeds is None and b.seeds is None:
        return a, b
    if a.seeds is None or b.seeds is None:
        blind = a if a.seeds is None else b
        raise StudyError(f'{blind.label}: pairing needs the seed of each value; give the file a column "seed".')
    of_a, of_b = by_seed(a.seeds, a.values, name=a.label), by_seed(b.seeds, b.values, name=b.label)
    shared = [seed for seed in a.seeds if seed in of_b]
    if len(shared) < 2:
        which = f"only seed {shared[0]}" if shared else "no seed"
        raise StudyError(
            f"{a.label} and {b.label} have {which} in common: a paired comparison needs 2; train the missing ones, or "
            "leave --paired out."
        )
    return _of_seeds(a, shared, of_b), _of_seeds(b, shared, of_a)


def _of_seeds(group: Group, seeds: Sequence[int], others: Mapping[int, float]) -> Group:
    """Return a group with these of its seeds, in this order, and a note on those that the other arm lacks."""
    assert group.seeds is not None
    places = [group.seeds.index(seed) for seed in seeds]
    alone = [str(seed) for seed in group.seeds if seed not in others]
    notes = group.notes
    if alone:
        listed = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
        plural = "s" if len(alone) > 1 else ""
        have = "have" if plural else "has"
        notes += (f"seed{plural} {listed} {have} no partner in the other arm: left out of the pairs",)
    return replace(
        group,
        seeds=tuple(seeds),
        values=group.values[places],
        trial_ids=tuple(group.trial_ids[place] for place in places) if group.trial_ids else (),
        notes=notes,
    )
