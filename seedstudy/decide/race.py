"""A race: the rule written before its first seed, and what it says of the results so far.

`replay` is the whole race: it takes the results in the order of their seeds and goes as far as they reach, so a race
that was interrupted and resumed, a race on another engine and a race on files all take the same path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from seedstudy.decide.summary import DEFAULT_RNG_SEED
from seedstudy.decide.verdict import Word
from seedstudy.document import HIDDEN, document, fields_of, shown_as
from seedstudy.errors import StudyError
from seedstudy.stats import welch
from seedstudy.stats.race import (
    EQUIVALENT,
    FUTILE,
    GREATER,
    SMALLER,
    UNDECIDED,
    Limit,
    OpenLimit,
    Plan,
    adjusted_difference,
    chance_of_decision,
    judged,
    limits,
)
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.stats.welch import TDistance
from seedstudy.study.group import Group, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceRule:
    """The question and what decides it; written into the study before the first seed."""

    arms: tuple[str, ...]
    """Labels; the first is the baseline of every comparison it is in."""
    plan: Plan
    eval_set: str = "val"
    metric: str = "top1"
    unit: str | None = "pp"
    lower_is_better: bool = False
    target: float | None = None
    """A fixed number to race one arm against, instead of a second arm."""

    def __post_init__(self) -> None:
        """Refuse a race without an opponent."""
        if len(set(self.arms)) < len(self.arms):
            raise StudyError(f"race: {', '.join(self.arms)}: an arm stands twice; every arm races once.")
        if self.target is not None and len(self.arms) != 1:
            raise StudyError(f"race: a target is raced by one recipe, not by {len(self.arms)}: {', '.join(self.arms)}.")
        if self.target is None and len(self.arms) < 2:
            raise StudyError("race needs two recipes: A (the baseline) and B, for example `seedstudy race a3 a2`.")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every comparison, baseline first."""
        if self.target is not None:
            return ((_target_name(self.target), self.arms[0]),)
        return tuple((a, b) for i, a in enumerate(self.arms) for b in self.arms[i + 1 :])

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept in the study's folder."""
        return fields_of(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any], *, where: str) -> RaceRule:
        """Read what :meth:`to_dict` wrote."""
        try:
            values = {f.name: kept[f.name] for f in fields(cls)}
            return cls(**{**values, "arms": tuple(values["arms"]), "plan": Plan(**values["plan"])})
        except (KeyError, TypeError) as error:
            raise StudyError(f"{where}: damaged ({error} is missing or wrong).") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One comparison at one look."""

    round: int
    """Seeds per arm that had been trained."""
    n_a: int
    n_b: int
    difference: float
    low: float
    """Ends of the repeated confidence interval: right at all looks together."""
    high: float
    se: float
    df: float
    p_value: float
    p_needed: float
    """What p must not exceed; nan for a confidence sequence, which has no p."""
    equivalence_p: float | None
    equivalence_p_needed: float | None
    chance_of_decision: float
    """Predicted chance of a decision by the last look."""
    outcome: int = field(metadata=HIDDEN)
    """One of the outcomes of :mod:`seedstudy.stats.race`."""

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of a comparison's "looks"."""
        entry = fields_of(self)
        return entry | {"ci": [entry.pop("low"), entry.pop("high")]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One comparison of the race."""

    a: str
    b: str
    looks: tuple[Look, ...]
    verdict: Word
    """B against A."""
    reason: str
    confidence: float
    """Level of the repeated confidence interval."""
    adjusted_difference: float | None
    """Bias-adjusted estimate at the stop; None before it, and for races of more than two arms or against a target."""

    @property
    def last(self) -> Look | None:
        """The latest look."""
        return self.looks[-1] if self.looks else None

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of "comparisons"."""
        entry = {"a": self.a, "b": self.b, "verdict": self.verdict, "reason": self.reason}
        last = self.last.to_dict() if self.last else {}
        return {
            **entry,
            **{key: last[key] for key in ("n_a", "n_b", "difference", "ci") if last},
            "level": self.confidence,
            "method": "repeated confidence interval",
            "adjusted_difference": self.adjusted_difference,
            "looks": document(self.looks),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One recipe of the race."""

    label: str = field(metadata=shown_as("arm"))
    n: int
    """Seeds trained; those without a result count, they were paid for."""
    n_results: int
    mean: float
    sd: float
    dropped_at: int | None
    """Round at which it was shown to be worse than an arm that goes on."""
    cost_s: float | None = field(metadata=shown_as("train_s"))
    """Seconds of training, where known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """Where a race stands."""

    rule: RaceRule
    pairs: tuple[Pair, ...]
    arms: tuple[Arm, ...]
    needs: Mapping[str, int]
    """Arm -> seeds it must have for the next look; empty when the race is over."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no look includes."""

    @property
    def is_over(self) -> bool:
        """Whether every comparison is decided or its budget is spent."""
        return not self.needs

    @property
    def seeds_used(self) -> int:
        """Seeds trained, over all arms."""
        return sum(arm.n for arm in self.arms)

    @property
    def seeds_fixed(self) -> int:
        """Seeds of the fixed design: the whole budget for every arm."""
        return len(self.arms) * self.rule.plan.most

    @property
    def cost_s(self) -> float | None:
        """Seconds of training over all arms, where known."""
        costs = [arm.cost_s for arm in self.arms]
        return None if None in costs else math.fsum(cost for cost in costs if cost is not None)

    @property
    def cost_saved_s(self) -> float | None:
        """Seconds of training that the fixed design would have cost more, where known."""
        if self.cost_s is None:
            return None
        full = [arm.cost_s / arm.n * self.rule.plan.most for arm in self.arms if arm.cost_s and arm.n]
        return math.fsum(full) - self.cost_s

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``race --json``."""
        return {
            "rule": self.rule.to_dict(),
            "is_over": self.is_over,
            "needs": dict(self.needs),
            "comparisons": document(self.pairs),
            "arms": document(self.arms),
            "seeds_used": self.seeds_used,
            "seeds_fixed": self.seeds_fixed,
            "seeds_saved": self.seeds_fixed - self.seeds_used,
            "train_s": self.cost_s,
            "train_s_saved": self.cost_saved_s,
            "left_out": list(self.left_out),
        }


def _target_name(target: float) -> str:
    return f"target {target:g}"


# --- from results to looks ---------------------------------------------------------------------------


def replay(
    values: Mapping[str, Values],
    rule: RaceRule,
    *,
    costs: Mapping[str, Sequence[float]] | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Race on the results there are.

    Parameters
    ----------
    values
        Arm -> one number per seed, in the order of the seeds; nan for a seed that ended without a result.
    costs
        Arm -> seconds of training of each seed.

    Returns
    -------
    Race
        Over, or with what it needs for the next look.

    """
    course = _Course(values, rule)
    rounds, needs = 0, dict.fromkeys(rule.arms, rule.plan.looks[0])
    for look, n in enumerate(rule.plan.looks):
        needs = dict.fromkeys(course.running(), n)
        if not needs or any(len(values[arm]) < n for arm in needs):
            break
        rounds = n
        course.look(look)
        needs = {}
    return Race(
        rule=rule,
        pairs=tuple(_pair(course, pair, rng_seed) for pair in rule.pairs),
        arms=tuple(_arm(arm, course, rounds, values[arm], (costs or {}).get(arm)) for arm in rule.arms),
        needs=needs,
    )


class _Course:
    """The state of a race while its looks are taken."""

    def __init__(self, values: Mapping[str, Values], rule: RaceRule) -> None:
        self.values, self.rule = values, rule
        self.looks: dict[tuple[str, str], list[Look]] = {pair: [] for pair in rule.pairs}
        self.information: dict[tuple[str, str], list[tuple[float, int]]] = {pair: [] for pair in rule.pairs}
        self.dropped: dict[str, int] = {}

    def is_open(self, pair: tuple[str, str]) -> bool:
        looks = self.looks[pair]
        is_decided = bool(looks) and looks[-1].outcome != UNDECIDED
        return not is_decided and not any(arm in self.dropped for arm in pair)

    def running(self) -> tuple[str, ...]:
        """Return the arms that have an open comparison."""
        is_open = [pair for pair in self.rule.pairs if self.is_open(pair)]
        return tuple(arm for arm in self.rule.arms if any(arm in pair for pair in is_open))

    def look(self, look: int) -> None:
        """Judge every open comparison; a shown difference frees its share of alpha for the others (Holm)."""
        n = self.rule.plan.looks[look]
        open_pairs = [pair for pair in self.rule.pairs if self.is_open(pair)]
        for pair in open_pairs:
            self._measure(pair, n)
        while True:
            n_shown = self._n_shown()
            for pair in open_pairs:
                if not self.looks[pair] or self.looks[pair][-1].round < n or self.looks[pair][-1].outcome == UNDECIDED:
                    self._judge(pair, look, n_shown)
            if self._n_shown() == n_shown:
                break
        for a, b in open_pairs:
            looks = self.looks[a, b]
            if looks and looks[-1].outcome in (GREATER, SMALLER) and len(self.rule.pairs) > 1:
                is_b_worse = (looks[-1].outcome == SMALLER) != self.rule.lower_is_better
                self.dropped.setdefault(b if is_b_worse else a, n)

    def _n_shown(self) -> int:
        return sum(looks[-1].outcome in (GREATER, SMALLER) for looks in self.looks.values() if looks)

    def _measure(self, pair: tuple[str, str], n: int) -> None:
        counts = self._counts(pair, n)
        if min(counts) < 2:
            return
        information, df = _information(counts)
        before = self.information[pair]
        if not before or information > before[-1][0]:
            before.append((information, df))

    def _counts(self, pair: tuple[str, str], n: int) -> tuple[int, ...]:
        return tuple(int(np.isfinite(self.values[arm][:n]).sum()) for arm in pair if arm in self.values)

    def _judge(self, pair: tuple[str, str], look: int, n_shown: int) -> None:
        plan, n = self.rule.plan, self.rule.plan.looks[look]
        counts = self._counts(pair, n)
        path = self.information[pair]
        if not path or path[-1] != _information(counts):
            return  # no seed of this comparison has ended with a result since the last look
        ahead = [_information(tuple(count + later - n for count in counts)) for later in plan.looks[look + 1 :]]
        information, df = zip(*path, *ahead, strict=True)
        at = len(path) - 1
        total = float(plan.most) if self.rule.target is not None else plan.most / 2
        n_pairs = len(self.rule.pairs)
        limit, last = self._limits(information, df, plan.alpha / (n_pairs - n_shown), total, at)
        for_equivalence = self._limits(information, df, plan.alpha / n_pairs, total, at)[0]
        t = self._distance(pair, n)
        outcome = int(judged(t, limit, replace(plan, margin=None)))
        if plan.margin is not None and for_equivalence.shows_equivalence(t, plan.margin):
            outcome = EQUIVALENT
        chance = 1.0 if outcome else 0.0
        if outcome == UNDECIDED and ahead and t.se > 0.0:
            share = information[at] / information[-1]
            chance = float(chance_of_decision(t, share, last, float(df[-1]), plan))
            outcome = FUTILE if chance < plan.futility else UNDECIDED
        entry = _look(n, counts, t, limit, for_equivalence, plan, chance, outcome)
        looks = self.looks[pair]
        if looks and looks[-1].round == n:
            looks.pop()
        looks.append(entry)

    def _limits(
        self, information: tuple[float, ...], df: tuple[int, ...], alpha: float, total: float, at: int
    ) -> tuple[Limit | OpenLimit, Limit | OpenLimit]:
        path = limits(self.rule.plan, information, df, alpha, total)
        return path[at], path[-1]

    def _distance(self, pair: tuple[str, str], n: int) -> TDistance:
        arms = [self.values[arm][:n] for arm in pair if arm in self.values]
        means, sds, sizes = zip(
            *((mean_of(x), sd_of(x), x.size) for x in (x[np.isfinite(x)] for x in arms)), strict=True
        )
        if self.rule.target is not None:
            return TDistance(means[0] - self.rule.target, np.float64(sds[0] / math.sqrt(sizes[0])), sizes[0] - 1.0)
        if sds[0] == sds[1] == 0.0:
            return TDistance(means[1] - means[0], np.float64(0.0), float(sum(sizes) - 2))
        t = welch.welch(means[0], sds[0], sizes[0], means[1], sds[1], sizes[1])
        return TDistance(float(t.difference), float(t.se), float(t.df))


def _information(counts: tuple[int, ...]) -> tuple[float, int]:
    """Return the information of a comparison (in units of 1 / variance) and the degrees of freedom of its error."""
    if len(counts) == 1:
        return float(counts[0]), counts[0] - 1
    return counts[0] * counts[1] / (counts[0] + counts[1]), counts[0] + counts[1] - 2


def _look(
    n: int,
    counts: tuple[int, ...],
    t: TDistance,
    limit: Limit | OpenLimit,
    for_equivalence: Limit | OpenLimit,
    plan: Plan,
    chance: float,
    outcome: int,
) -> Look:
    half = float(limit.reach(t.df)) * t.se if t.se > 0.0 else math.inf
    is_open_ended = isinstance(limit, OpenLimit)
    with_margin = plan.margin is not None and t.se > 0.0
    return Look(
        round=n,
        n_a=counts[0],
        n_b=counts[-1],
        difference=t.difference,
        low=t.difference - half,
        high=t.difference + half,
        se=t.se,
        df=t.df,
        p_value=float(welch.two_sided_p(t)) if t.se > 0.0 else math.nan,
        p_needed=math.nan if isinstance(limit, OpenLimit) else limit.level,
        equivalence_p=float(welch.equivalence_p(t, plan.margin)) if with_margin else None,
        equivalence_p_needed=(
            for_equivalence.one_sided
            if with_margin and not is_open_ended and isinstance(for_equivalence, Limit)
            else None
        ),
        chance_of_decision=chance,
        outcome=outcome,
    )


def replay_groups(
    groups: Sequence[Group],
    given: Mapping[str, Any],
    *,
    margin: float | None,
    lower_is_better: bool,
    target: float | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Race on groups of one eval set, in the order of their seeds.

    Parameters
    ----------
    given
        Values of :class:`~seedstudy.stats.race.Plan`; the budget (``most``) is the shortest arm by default.

    """
    for group in groups:
        if group.moments is not None:
            raise StudyError(f"race: {group.label} is a published mean; a race needs one number per seed.")
    rule = RaceRule(
        arms=tuple(group.label for group in groups),
        plan=Plan(**{"most": min(group.n for group in groups), **given, "margin": margin}),
        eval_set=groups[0].eval_set,
        metric=groups[0].metric,
        unit=groups[0].unit,
        lower_is_better=lower_is_better,
        target=target,
    )
    return replay({group.label: _in_seed_order(group) for group in groups}, rule, rng_seed=rng_seed)


def _in_seed_order(group: Group) -> Values:
    return group.values if group.seeds is None else group.values[np.argsort(group.seeds, kind="stable")]


# --- words --------------------------------------------------------------------------------------------


def _pair(course: _Course, names: tuple[str, str], rng_seed: int) -> Pair:
    rule, looks = course.rule, tuple(course.looks[names])
    last = looks[-1] if looks else None
    outcome = last.outcome if last else UNDECIDED
    word: Word = "inconclusive"
    if outcome == EQUIVALENT:
        word = "equivalent"
    elif outcome in (GREATER, SMALLER):
        word = "better" if (outcome == GREATER) != rule.lower_is_better else "worse"
    adjusted = None
    is_over = last is not None and (outcome != UNDECIDED or last.round == rule.plan.most)
    if last is not None and is_over and len(rule.pairs) == 1 and rule.target is None and last.se > 0.0:
        sds = [sd_of(x[np.isfinite(x)]) for x in (course.values[arm][: last.round] for arm in names)]
        rng = np.random.default_rng(rng_seed)
        adjusted = adjusted_difference(last.difference, sds[0], sds[1], rule.plan, rng=rng)
    return Pair(
        a=names[0],
        b=names[1],
        looks=looks,
        verdict=word,
        reason=_reason(course, names, last, outcome),
        confidence=1.0 - rule.plan.alpha / len(rule.pairs),
        adjusted_difference=adjusted,
    )


def _reason(course: _Course, names: tuple[str, str], last: Look | None, outcome: int) -> str:
    plan = course.rule.plan
    if last is None:
        return "no look yet"
    if outcome in (GREATER, SMALLER):
        return f"a difference is shown at {last.round} seeds per arm, with error rate {plan.alpha:g} over all looks"
    if outcome == EQUIVALENT:
        return f"the difference is shown to lie within ±{plan.margin:g} at {last.round} seeds per arm"
    if outcome == FUTILE:
        return (
            f"stopped at {last.round} seeds per arm: the predicted chance of a decision by {plan.most} is "
            f"{last.chance_of_decision:.2g}"
        )
    gone = [arm for arm in names if arm in course.dropped]
    if gone:
        return f"{gone[0]} was dropped at {course.dropped[gone[0]]} seeds: shown to be worse than another arm"
    if last.round == plan.most:
        return f"the budget of {plan.most} seeds per arm is spent and nothing is shown"
    return f"open after {last.round} of at most {plan.most} seeds per arm"


def _arm(label: str, course: _Course, rounds: int, values: Values, costs: Sequence[float] | None) -> Arm:
    last_look = max((look.round for pair, looks in course.looks.items() if label in pair for look in looks), default=0)
    n = max(last_look, rounds if label in course.running() else 0)
    results = values[:n][np.isfinite(values[:n])]
    return Arm(
        label=label,
        n=n,
        n_results=results.size,
        mean=mean_of(results) if results.size else math.nan,
        sd=sd_of(results),
        dropped_at=course.dropped.get(label),
        cost_s=math.fsum(costs[:n]) if costs is not None else None,
    )
