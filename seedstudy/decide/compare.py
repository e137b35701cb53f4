"""Several comparisons that are read together: which family they form, what luck costs, and the verdicts.

One eval set was declared to decide (the primary). Its comparisons are one family, those on the other eval sets another;
within a family p-values are adjusted and intervals hold together.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from seedstudy.data.base import EVAL_SET_ORDER
from seedstudy.decide.answers import Answers
from seedstudy.decide.select import by_eval_set, moments_of
from seedstudy.decide.summary import DEFAULT_RNG_SEED, doubts_of
from seedstudy.decide.verdict import Overall, Rule, Verdict, decide, overall
from seedstudy.document import FLAT, HIDDEN, document, ends, fields_of, finite, shown_as
from seedstudy.errors import StatisticsError, StudyError, suggest
from seedstudy.read.metrics import direction_of
from seedstudy.stats.compare import Comparison, Details, compare, compare_summaries, details
from seedstudy.stats.describe import mean_interval, mean_interval_of
from seedstudy.stats.many import adjust, compact_letters, max_t
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import by_seed, in_pairs
from seedstudy.study.group import NOTHING_READ, Group, Readings, Values

Correction = Literal["holm", "max-t", "none"]
CORRECTIONS: tuple[Correction, ...] = ("holm", "max-t", "none")
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
    correction: Correction = "holm"
    """How p-values of a family are adjusted; "max-t" is for the other eval sets of one pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
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
    """The difference with an interval that holds together with those of the whole family (Bonferroni)."""
    is_primary: bool = field(metadata=HIDDEN)
    """Whether this eval set decides."""
    n_family: int = field(metadata=shown_as("family_size"))
    """Number of comparisons that are adjusted together with this one."""
    correction: Correction

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
        return (*self.comparison.difference.warnings, *(prob.warnings if prob else ()))

    @property
    def details(self) -> Details | None:
        """What the table leaves out, computed when asked for; None where an arm is a published mean."""
        if self.a.moments is not None or self.b.moments is not None:
            return None
        paired = self.comparison.paired
        a, b = _pairs(self.a, self.b) if paired else (self.a.values, self.b.values)
        return details(a, b, level=self.comparison.level, paired=paired, names=(self.a.label, self.b.label))

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
            "paired": c.paired,
            "prob_b_better_ci": None,  # where there is no such estimate
            **fields_of(self),
            "details": document(self.details),
            "warnings": list(dict.fromkeys((*self.warnings, *self.doubts, *c.hedges_g.warnings))),
        }


def _mean(group: Group, level: float) -> Estimate:
    if group.moments is None:
        return mean_interval(group.values, level=level)
    return mean_interval_of(*moments_of(group), level=level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparisons(Answers[Answer]):
    """Answers per pair and eval set, in the order asked for."""

    letters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Eval set -> recipe -> letters, for all pairs: recipes that share a letter were not distinguished."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no comparison includes."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``compare --json``."""
        together = self.overall()
        return {
            "comparisons": document(self.answers),
            **({"overall": [{"a": a, "b": b, **fields_of(v)} for (a, b), v in together.items()]} if together else {}),
            **({"letters": document(self.letters)} if self.letters else {}),
            "left_out": list(self.left_out),
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


def rule_for(groups: Sequence[Group], *, margin: float | None, level: float, lower_is_better: bool | None) -> Rule:
    """Return the rule by which groups are judged: as given, or as the studies declared and the metric's name says.

    Raises
    ------
    StudyError
        Studies that declare different margins, or a metric whose direction nobody knows.

    """
    if margin is None:
        declared = sorted({group.declared_margin for group in groups if group.declared_margin is not None})
        if len(declared) > 1:
            margins = " and ".join(f"{each:g}" for each in declared)
            raise StudyError(f"these studies declare different margins ({margins}): say which with --margin.")
        margin = declared[0] if declared else None
    if lower_is_better is None:
        lower_is_better = is_lower_better(groups[0].metric, groups[0].unit)
    return Rule(margin=margin, level=level, lower_is_better=lower_is_better)


def is_lower_better(metric: str, unit: str | None) -> bool:
    """Return the direction of a metric, as its name says beyond doubt; StudyError where it does not."""
    if unit == "pp":
        return False
    direction = direction_of(metric)
    if direction is None:
        raise StudyError(f'metric "{metric}": is higher or lower better? Say --higher-is-better or --lower-is-better.')
    return direction == "lower"


_Member = tuple[Group, Group, Comparison]


def judge(
    by_data: Sequence[Sequence[Sequence[Group]]],
    rule: Rule,
    *,
    design: Design = Design(),
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare arms on every data set and eval set they share, and decide by the declared rule.

    Parameters
    ----------
    by_data
        Per data set the arms, per arm its groups, one per eval set; the first arm is the baseline.
    rng_seed
        Of permutations and bootstrap.

    Raises
    ------
    StudyError
        No eval set in common, or a primary eval set that is not there.

    """
    pairs = [
        pair
        for arms in by_data
        for pair in (itertools.combinations(arms, 2) if design.all_pairs else ((arms[0], other) for other in arms[1:]))
    ]
    return judge_pairs(pairs, rule, design=design, rng_seed=rng_seed)


def judge_pairs(
    pairs: Sequence[tuple[Sequence[Group], Sequence[Group]]],
    rule: Rule,
    *,
    design: Design = Design(),
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare the second of each pair with the first, all pairs being read together; see :func:`judge`."""
    matched = [
        (a, b, compare_groups(a, b, rule, paired=design.paired, rng_seed=rng_seed))
        for first, second in pairs
        for a, b in _on_shared_eval_sets(first, second)
    ]
    primary = _primary(design, list(dict.fromkeys(a.eval_set for a, _, _ in matched)))
    families = {
        is_primary: iter(
            _family(
                [x for x in matched if (x[0].eval_set == primary) == is_primary],
                rule,
                design,
                is_primary=is_primary,
                rng_seed=rng_seed,
            )
        )
        for is_primary in (True, False)
    }
    answers = tuple(next(families[a.eval_set == primary]) for a, _, _ in matched)
    return Comparisons(answers=answers, letters=_letters(answers, rule) if design.all_pairs else {})


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
    correction: Correction = "holm" if is_primary and design.correction == "max-t" else design.correction
    adjusted = tuple if correction == "none" else adjust  # equivalence has no max-T of its own: Holm there too
    p_values = [c.p_value for _, _, c in members]
    equivalence = [c.equivalence_p for _, _, c in members if c.equivalence_p is not None]
    return [
        Answer(
            a=a,
            b=b,
            comparison=c,
            rule=rule,
            verdict=decide(
                c, rule, p_adjusted=p, equivalence_p_adjusted=equal, n_family=n, unit="points" if a.unit == "pp" else ""
            ),
            p_adjusted=p,
            equivalence_p_adjusted=equal,
            interval_adjusted=_simultaneous(c, n),
            is_primary=is_primary,
            n_family=n,
            correction=correction if n > 1 else "none",
        )
        for (a, b, c), p, equal in zip(
            members,
            _max_t(members, rng_seed) if correction == "max-t" else adjusted(p_values),
            adjusted(equivalence) if equivalence else [None] * len(members),
            strict=True,
        )
    ]


def _simultaneous(c: Comparison, n: int) -> Estimate:
    """Return the interval at level 1 - (1 - level) / n: n of them hold together with the level, whatever links them."""
    if n == 1 or not c.difference.has_interval:
        return c.difference
    single = c.interval_at(1 - (1 - c.level) / n)
    return replace(single, level=c.level, method=f"{single.method}-bonferroni", warnings=())


def _max_t(members: Sequence[_Member], rng_seed: int) -> Sequence[float]:
    """Relabel whole seeds: eval sets of one network go together (Westfall & Young 1993, step-down)."""
    if len({(a.label, b.label) for a, b, _ in members}) > 1 or any(c.paired for _, _, c in members):
        raise StudyError("--correction max-t: for one unpaired pair on several eval sets; use holm for several pairs.")
    arms = []
    for groups in ([a for a, _, _ in members], [b for _, b, _ in members]):
        if any(g.moments is not None or g.seeds is None or g.seeds != groups[0].seeds for g in groups):
            raise StudyError(
                f"{groups[0].label}: --correction max-t needs the same seeds on every eval set; use --correction holm."
            )
        arms.append(np.stack([group.values for group in groups], axis=1))
    return list(max_t(arms[0], arms[1], rng=np.random.default_rng(rng_seed)))


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
    """Compare B against A in their unit; both must be of one metric, one eval set and one data set."""
    if (a.metric, a.unit) != (b.metric, b.unit):
        raise StatisticsError(f"{a.label} is {a.metric}, {b.label} is {b.metric}: compare numbers of one metric.")
    if a.data != b.data:
        raise StatisticsError(f"{a.label} is on {a.data}, {b.label} is on {b.data}: compare on one data set.")
    names = (a.label, b.label)
    if a.moments is not None or b.moments is not None:
        if paired:
            raise StudyError(f"{names[0]} and {names[1]}: mean and std alone cannot be paired; leave --paired out.")
        return compare_summaries(*moments_of(a), *moments_of(b), level=rule.level, margin=rule.margin, names=names)
    first, second = _pairs(a, b) if paired else (a.values, b.values)
    rng = np.random.default_rng(rng_seed)
    comparison = compare(first, second, rng=rng, level=rule.level, margin=rule.margin, paired=paired, names=names)
    doubts = [
        doubt if doubt in doubts_of(other) else f"{group.label}: {doubt}"
        for group, other in ((a, b), (b, a))
        for doubt in doubts_of(group)
    ]
    return replace(comparison, warnings=tuple(dict.fromkeys((*comparison.warnings, *doubts))))


def _pairs(a: Group, b: Group) -> tuple[Values, Values]:
    """Return both arms aligned by seed; by position where neither knows its seeds."""
    if a.seeds is None and b.seeds is None:
        return a.values, b.values
    if a.seeds is None or b.seeds is None:
        blind = a if a.seeds is None else b
        raise StudyError(f'{blind.label}: pairing needs the seed of each value; give the file a column "seed".')
    return in_pairs(by_seed(a.seeds, a.values, name=a.label), by_seed(b.seeds, b.values, name=b.label))
