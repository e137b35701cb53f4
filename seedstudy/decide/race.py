"""A race: the rule written before its first seed, and what it says of the results so far.

`replay` is the whole race: it takes the results in the order of their seeds and goes as far as they reach, so a race
that was interrupted and resumed, a race on another engine and a race on files all take the same path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import combinations
from typing import Any, get_type_hints

import numpy as np

from seedstudy.cautions import Caution
from seedstudy.decide.answers import Shown
from seedstudy.decide.images import ImageReading, Images, OnImages
from seedstudy.decide.summary import DEFAULT_RNG_SEED
from seedstudy.decide.verdict import Word
from seedstudy.document import HIDDEN, fields_of, shown_as
from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import typed
from seedstudy.stats import welch
from seedstudy.stats.images import (
    Correct,
    OnNewImages,
    arm_on_images,
    difference_on_new_images,
    mean_on_new_images,
)
from seedstudy.stats.race import (
    CAREFUL,
    EQUIVALENT,
    FEW,
    FUTILE,
    GREATER,
    SMALLER,
    UNDECIDED,
    Limit,
    Plan,
    adjusted_difference,
    chance_of_decision,
    judged,
    limits,
    skewed_error,
)
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.stats.welch import TDistance
from seedstudy.study.group import NOTHING_READ, Group, Readings, Values


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
    images: Images = "these"
    """What the verdict is about, beside new seeds: these test images, or new ones like them."""

    def __post_init__(self) -> None:
        """Refuse a race without an opponent."""
        if len(set(self.arms)) < len(self.arms):
            raise StudyError(f"race: {', '.join(self.arms)}: an arm is given twice; give each arm once.")
        if self.target is not None and len(self.arms) != 1:
            raise StudyError(f"race: a target is raced by one recipe, not by {len(self.arms)}: {', '.join(self.arms)}.")
        if self.target is None and len(self.arms) < 2:
            raise StudyError("race needs two recipes: A (the baseline) and B, for example `seedstudy race a3 a2`.")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every comparison, baseline first."""
        if self.target is not None:
            return ((f"target {self.target:g}", self.arms[0]),)
        return tuple(combinations(self.arms, 2))

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept in the study's folder."""
        return fields_of(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any], *, where: str) -> RaceRule:
        """Read what :meth:`to_dict` wrote."""
        try:
            arms, trains = kept["arms"], kept.get("trains", {})
            if isinstance(arms, str) or not all(isinstance(arm, str) for arm in arms):
                raise TypeError("arms")
            if not all(isinstance(each, Mapping) for each in (trains, *trains.values())):
                raise TypeError("trains")
            kept = {"images": "these", **kept}  # before there were races about new images
            values = {f.name: kept[f.name] for f in fields(cls) if f.name not in ("arms", "plan")}
            return cls(arms=tuple(arms), plan=Plan(**_typed(Plan, kept["plan"])), **_typed(cls, values))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StudyError(f"{where}: damaged ({error} is missing or wrong).") from error


def _typed(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the types of a class's fields; KeyError or ValueError where one is of another type."""
    hints = get_type_hints(kind)
    return {name: None if value is None else typed(hints[name], value) for name, value in values.items()}


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
    verdict: Word
    """B against A."""
    reason: str
    confidence: float = field(metadata=shown_as("level"))
    """Level of the repeated confidence interval."""
    adjusted_difference: float | None
    """Bias-adjusted estimate at the stop; None before it, and for races of more than two arms, against a target, or
    about new images."""
    looks: tuple[Look, ...]
    warnings: tuple[str, ...]
    """What the claim at the stop rests on, where that may fail."""
    reading: ImageReading | None = field(default=None, metadata=shown_as("images"))
    """The difference at the last look on these images and on new ones; None before the end, without predictions,
    against a target. It decides nothing, and does not allow for several looks."""

    @property
    def last(self) -> Look | None:
        """The latest look."""
        return self.looks[-1] if self.looks else None

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of "comparisons"."""
        last = self.last.to_dict() if self.last else {}
        of_last = {key: last[key] for key in ("n_a", "n_b", "difference", "ci") if last}
        return {**fields_of(self), **of_last, "method": "repeated confidence interval"}


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
    """Round at which it was shown to be worse than an arm that is still racing."""
    cost_s: float | None = field(metadata=shown_as("train_s"))
    """Seconds of training, where known."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Race(Shown):
    """Where a race stands."""

    rule: RaceRule
    pairs: tuple[Pair, ...] = field(metadata=shown_as("comparisons"))
    arms: tuple[Arm, ...]
    needs: Mapping[str, int]
    """Arm -> seeds it must have for the next look; empty when the race is over."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no look includes."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

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
            **fields_of(self),
            "is_over": self.is_over,
            "seeds_used": self.seeds_used,
            "seeds_fixed": self.seeds_fixed,
            "seeds_saved": self.seeds_fixed - self.seeds_used,
            "train_s": self.cost_s,
            "train_s_saved": self.cost_saved_s,
        }


# --- from results to looks ---------------------------------------------------------------------------


def replay(
    values: Mapping[str, Values],
    rule: RaceRule,
    *,
    costs: Mapping[str, Sequence[float]] | None = None,
    correct: Mapping[str, Correct] | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Race on the results there are, and return it: over, or with what it needs for the next look.

    `values`: arm -> one number per seed, in the order of the seeds; nan for a seed that ended without a result.
    `costs`: arm -> seconds of training of each seed. `correct`: arm -> which images each seed that has a result has
    right, (n_results, n_images), in the same order; for a race about new images.
    """
    course = _Course(values, rule, correct or {})
    rounds, needs = 0, dict.fromkeys(rule.arms, rule.plan.looks[0])
    for at, n in enumerate(rule.plan.looks):
        needs = dict.fromkeys(course.running(), n)
        if not needs or any(len(values[arm]) < n for arm in needs):
            break
        rounds = n
        course.look(at)
        needs = {}
    return Race(
        rule=rule,
        pairs=tuple(_pair(course, pair, rng_seed) for pair in rule.pairs),
        arms=tuple(_arm(arm, course, rounds, (costs or {}).get(arm)) for arm in rule.arms),
        needs=needs,
    )


_Names = tuple[str, str]


class _Course:
    """The state of a race while its looks are taken."""

    def __init__(self, values: Mapping[str, Values], rule: RaceRule, correct: Mapping[str, Correct]) -> None:
        self.values, self.rule, self.correct = values, rule, correct
        self.looks: dict[_Names, list[Look]] = {pair: [] for pair in rule.pairs}
        self.information: dict[_Names, list[tuple[float, int]]] = {pair: [] for pair in rule.pairs}
        """Information and degrees of freedom of the looks at which the former had grown."""
        self.dropped: dict[str, int] = {}

    def results(self, pair: Sequence[str], n: int) -> list[Values]:
        """Return the results of the first n seeds of each arm; a target is none."""
        first = [self.values[arm][:n] for arm in pair if arm in self.values]
        return [values[np.isfinite(values)] for values in first]

    def outcome(self, pair: _Names) -> int:
        return self.looks[pair][-1].outcome if self.looks[pair] else UNDECIDED

    def open_pairs(self) -> list[_Names]:
        pairs = [pair for pair in self.rule.pairs if self.outcome(pair) == UNDECIDED]
        return [pair for pair in pairs if not self.dropped.keys() & set(pair)]

    def running(self) -> tuple[str, ...]:
        """Return the arms that have an open comparison."""
        in_open_pairs = {arm for pair in self.open_pairs() for arm in pair}
        return tuple(arm for arm in self.rule.arms if arm in in_open_pairs)

    def look(self, at: int) -> None:
        """Judge every open comparison; a shown difference frees its share of alpha for the others (Holm)."""
        n, pairs = self.rule.plan.looks[at], self.open_pairs()
        for pair in pairs:
            self._measure(pair, n)
        n_shown = -1
        while n_shown < self._n_shown():
            n_shown = self._n_shown()
            for pair in pairs:
                if self.information[pair] and self.outcome(pair) == UNDECIDED:
                    self._judge(pair, at, n_shown)
        for a, b in pairs:
            if self.outcome((a, b)) in (GREATER, SMALLER) and len(self.rule.pairs) > 1:
                is_b_worse = (self.outcome((a, b)) == SMALLER) != self.rule.lower_is_better
                self.dropped.setdefault(b if is_b_worse else a, n)

    def _n_shown(self) -> int:
        return sum(self.outcome(pair) in (GREATER, SMALLER) for pair in self.rule.pairs)

    def _measure(self, pair: _Names, n: int) -> None:
        counts = [x.size for x in self.results(pair, n)]
        known = self.information[pair]
        if min(counts) >= 2 and (not known or _information(counts)[0] > known[-1][0]):
            known.append(_information(counts))

    def _judge(self, pair: _Names, at: int, n_shown: int) -> None:
        plan, n_pairs, known = self.rule.plan, len(self.rule.pairs), self.information[pair]
        n, samples = plan.looks[at], self.results(pair, plan.looks[at])
        ahead = [_information([x.size + later - n for x in samples]) for later in plan.looks[at + 1 :]]
        information, df = zip(*known, *ahead, strict=True)
        total = float(plan.most) if self.rule.target is not None else plan.most / 2
        boundary = limits(plan, information, df, plan.alpha / (n_pairs - n_shown), total)
        limit = boundary[len(known) - 1]
        for_equivalence = limits(plan, information, df, plan.alpha / n_pairs, total)[len(known) - 1]
        t, of_images = (
            self._on_new_images(pair, samples) if self.rule.images == "new" else (self._distance(samples), 0.0)
        )
        outcome = int(judged(t, limit, replace(plan, margin=None)))
        if plan.margin is not None and for_equivalence.shows_equivalence(t, plan.margin):
            outcome = EQUIVALENT
        chance = 1.0 if outcome else 0.0
        if outcome == UNDECIDED and ahead and t.se > 0.0:
            # More seeds leave the images' part of the variance as it is.
            share = of_images + (1.0 - of_images) * known[-1][0] / information[-1]
            chance = float(chance_of_decision(t, share, boundary[-1], float(df[-1]), plan))
            outcome = FUTILE if chance < plan.futility else UNDECIDED
        half = float(limit.reach(t.df)) * t.se if t.se > 0.0 else math.inf
        margin = plan.margin if t.se > 0.0 else None
        needs = for_equivalence.one_sided if margin is not None and isinstance(for_equivalence, Limit) else None
        looks = self.looks[pair]
        if looks and looks[-1].round == n:  # judged again, with more of alpha
            looks.pop()
        looks.append(
            Look(
                round=n,
                n_a=samples[0].size,
                n_b=samples[-1].size,
                difference=t.difference,
                low=t.difference - half,
                high=t.difference + half,
                se=t.se,
                df=t.df,
                p_value=float(welch.two_sided_p(t)) if t.se > 0.0 else math.nan,
                p_needed=limit.level if isinstance(limit, Limit) else math.nan,
                equivalence_p=None if margin is None else float(welch.equivalence_p(t, margin)),
                equivalence_p_needed=needs,
                chance_of_decision=chance,
                outcome=outcome,
            )
        )

    def _distance(self, samples: Sequence[Values]) -> TDistance:
        means, sds, sizes = zip(*((mean_of(x), sd_of(x), x.size) for x in samples), strict=True)
        if self.rule.target is not None:
            return TDistance(means[0] - self.rule.target, np.float64(sds[0] / math.sqrt(sizes[0])), sizes[0] - 1.0)
        if sds[0] == sds[1] == 0.0:
            return TDistance(means[1] - means[0], np.float64(0.0), float(sum(sizes) - 2))
        t = welch.welch(means[0], sds[0], sizes[0], means[1], sds[1], sizes[1])
        return TDistance(float(t.difference), float(t.se), float(t.df))

    def _on_new_images(self, pair: _Names, samples: Sequence[Values]) -> tuple[TDistance, float]:
        """Return the difference with the error of seeds and images, in points, and the images' share of its variance.

        The looks' limits hold for it: their differences have the images' error in common, so that they are more alike
        than those of seeds alone, for which the limits were made.
        """
        names = [arm for arm in pair if arm in self.values]
        arms = [arm_on_images(self.correct[arm][: x.size]) for arm, x in zip(names, samples, strict=True)]
        found: OnNewImages = mean_on_new_images(*arms) if len(arms) == 1 else difference_on_new_images(*arms)
        variance = found.variance_seeds + found.variance_images
        difference = 100.0 * found.estimate.value - (self.rule.target or 0.0)
        t = TDistance(difference, np.float64(100.0 * math.sqrt(variance)), found.df)
        return t, found.variance_images / variance if variance > 0.0 else 0.0


def _information(counts: Sequence[int]) -> tuple[float, int]:
    """Return the information of a comparison (in units of 1 / variance) and the degrees of freedom of its error."""
    if len(counts) == 1:
        return float(counts[0]), counts[0] - 1
    return counts[0] * counts[1] / (counts[0] + counts[1]), counts[0] + counts[1] - 2


def replay_groups(
    groups: Sequence[Group],
    given: Mapping[str, Any],
    *,
    margin: float | None,
    lower_is_better: bool,
    target: float | None = None,
    on_new_images: OnImages | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Race on groups of one eval set, in the order of their seeds.

    `given`: values of :class:`~seedstudy.stats.race.Plan`; the budget (``most``) is the shortest arm by default.
    `on_new_images`: what the networks show image by image, for a race about new images.
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
        images="these" if on_new_images is None else "new",
    )
    order = {
        group.label: np.arange(group.n) if group.seeds is None else np.argsort(group.seeds, kind="stable")
        for group in groups
    }
    values = {group.label: group.values[order[group.label]] for group in groups}
    correct = None if on_new_images is None else on_new_images.correct(groups)
    if correct is not None:
        correct = {label: matrix[order[label]] for label, matrix in correct.items()}
    return replay(values, rule, correct=correct, rng_seed=rng_seed)


def with_images(race: Race, groups: Sequence[Group], on_images: OnImages) -> Race:
    """Return a race that is over with what its last looks show on new images; `groups`: of the arms, by label."""
    if not race.is_over or race.rule.target is not None:
        return race
    labels = [group.label for group in groups]
    by_label = {group.label: group for group in groups if labels.count(group.label) == 1}
    pairs = []
    for pair in race.pairs:
        a, b, last = by_label.get(pair.a), by_label.get(pair.b), pair.last
        if a is not None and b is not None and last is not None and min(last.n_a, last.n_b) > 1:
            seen = _first_seeds(a, last.n_a), _first_seeds(b, last.n_b)
            pair = replace(pair, reading=on_images.reading(*seen, level=pair.confidence))
        pairs.append(pair)
    return replace(race, pairs=tuple(pairs))


def _first_seeds(group: Group, n: int) -> Group:
    """Return the first n seeds of a group, whose trials are in the order of their seeds."""
    seeds = None if group.seeds is None else group.seeds[:n]
    return replace(group, values=group.values[:n], seeds=seeds, trial_ids=group.trial_ids[:n])


# --- words --------------------------------------------------------------------------------------------


def _pair(course: _Course, names: _Names, rng_seed: int) -> Pair:
    rule, looks, outcome = course.rule, tuple(course.looks[names]), course.outcome(names)
    last = looks[-1] if looks else None
    word: Word = "inconclusive"
    if outcome == EQUIVALENT:
        word = "equivalent"
    elif outcome in (GREATER, SMALLER):
        word = "better" if (outcome == GREATER) != rule.lower_is_better else "worse"
    adjusted = None
    is_over = last is not None and (outcome != UNDECIDED or last.round == rule.plan.most)
    is_plain = len(rule.pairs) == 1 and rule.target is None and rule.images == "these"
    if last is not None and is_over and is_plain and last.se > 0.0:
        sd_a, sd_b = map(sd_of, course.results(names, last.round))
        adjusted = adjusted_difference(last.difference, sd_a, sd_b, rule.plan, rng=np.random.default_rng(rng_seed))
    return Pair(
        a=names[0],
        b=names[1],
        verdict=word,
        reason=_reason(course, names, last, outcome),
        confidence=1.0 - rule.plan.alpha / len(rule.pairs),
        adjusted_difference=adjusted,
        looks=looks,
        warnings=_doubts(rule, last, outcome),
    )


def _doubts(rule: RaceRule, last: Look | None, outcome: int) -> tuple[str, ...]:
    """Return the caveat of a claim from few seeds: no boundary keeps alpha whatever their shape."""
    if last is None or outcome not in (GREATER, SMALLER, EQUIVALENT) or last.round > FEW:
        return ()
    error, careful = skewed_error(rule.plan)
    shape = "if they are skewed" if rule.target is not None else "if the arms are skewed in opposite directions"
    caveat = (
        f"{last.round} seeds cannot show a skew: {shape}, such races make a false claim in up to "
        f"{100 * error:.2g} of 100 cases, not {100 * rule.plan.alpha:.2g}"
    )
    if rule.plan.alpha > CAREFUL:
        caveat += f"; a race from the start with --alpha {CAREFUL:g} in up to {100 * careful:.2g}, for more seeds"
    alpha = f"{100 * rule.plan.alpha:.2g} %"
    short = f"{last.round} seeds: for skewed arms the error is up to {100 * error:.2g} %, not {alpha}"
    return (Caution(caveat, short=short, topic="few-seeds"),)


def _reason(course: _Course, names: _Names, last: Look | None, outcome: int) -> str:
    plan = course.rule.plan
    if last is None:
        return "no look yet"
    at = f"at {last.round} seeds per arm"
    if outcome in (GREATER, SMALLER):
        return f"a difference is shown {at}, with error rate {plan.alpha:g} over all looks"
    if outcome == EQUIVALENT:
        return f"the difference is shown to lie within ±{plan.margin:g} {at}"
    if outcome == FUTILE:
        chance = f"{last.chance_of_decision:.2g}"
        return f"stopped {at}: the predicted chance of a decision by {plan.most} is {chance}"
    for arm in names:
        if arm in course.dropped:
            return f"{arm} was dropped at {course.dropped[arm]} seeds: shown to be worse than another arm"
    if last.round == plan.most:
        return f"the budget of {plan.most} seeds per arm is spent and nothing is shown"
    return f"open after {last.round} of at most {plan.most} seeds per arm"


def _arm(label: str, course: _Course, rounds: int, costs: Sequence[float] | None) -> Arm:
    last_look = max((look.round for pair, looks in course.looks.items() if label in pair for look in looks), default=0)
    n = max(last_look, rounds if label in course.running() else 0)
    (results,) = course.results((label,), n)
    return Arm(
        label=label,
        n=n,
        n_results=results.size,
        mean=mean_of(results) if results.size else math.nan,
        sd=sd_of(results),
        dropped_at=course.dropped.get(label),
        cost_s=math.fsum(costs[:n]) if costs is not None else None,
    )
