"""A race between recipes (``race``): from the declared rule and one number per seed to the looks and the stops.

`replay` is the whole race: it takes the results in the order of their seeds and goes as far as they reach, so a race
that was interrupted and resumed, a race on another engine and a race on files all take the same path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from seedstudy.decide.race import Arm, Look, Pair, Race, RaceRule
from seedstudy.decide.summary import DEFAULT_RNG_SEED, Group, Source, Values
from seedstudy.decide.verdict import Word
from seedstudy.read.groups import group_of_numbers
from seedstudy.stats import sequential, welch
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.stats.sequential import EQUIVALENT, FUTILE, GREATER, SMALLER, UNDECIDED, Plan
from seedstudy.stats.welch import TDistance


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


def run(
    rule: RaceRule,
    read: Callable[[], tuple[Mapping[str, Values], Mapping[str, Sequence[float]]]],
    train: Callable[[Mapping[str, int]], None],
    seen: Callable[[Race], None],
) -> Race:
    """Train round by round until the race is over.

    Parameters
    ----------
    read
        Returns values and costs per arm, as :func:`replay` takes them.
    train
        Trains arms up to a number of seeds; a seed that it cannot finish is its error to raise.
    seen
        Told where the race stands after each look.

    """
    while True:
        values, costs = read()
        race = replay(values, rule, costs=costs)
        seen(race)
        if race.is_over:
            return race
        train(race.needs)


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
        outcome = int(sequential.judged(t, limit, replace(plan, margin=None)))
        if plan.margin is not None and for_equivalence.shows_equivalence(t, plan.margin):
            outcome = EQUIVALENT
        chance = 1.0 if outcome else 0.0
        if outcome == UNDECIDED and ahead and t.se > 0.0:
            share = information[at] / information[-1]
            chance = float(sequential.chance_of_decision(t, share, last, float(df[-1]), plan))
            outcome = FUTILE if chance < plan.futility else UNDECIDED
        entry = _look(n, counts, t, limit, for_equivalence, plan, chance, outcome)
        looks = self.looks[pair]
        if looks and looks[-1].round == n:
            looks.pop()
        looks.append(entry)

    def _limits(
        self, information: tuple[float, ...], df: tuple[int, ...], alpha: float, total: float, at: int
    ) -> tuple[sequential.Limit | sequential.OpenLimit, sequential.Limit | sequential.OpenLimit]:
        path = sequential.limits(self.rule.plan, information, df, alpha, total)
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
    limit: sequential.Limit | sequential.OpenLimit,
    for_equivalence: sequential.Limit | sequential.OpenLimit,
    plan: Plan,
    chance: float,
    outcome: int,
) -> Look:
    half = float(limit.reach(t.df)) * t.se if t.se > 0.0 else math.inf
    is_open_ended = isinstance(limit, sequential.OpenLimit)
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
        level=math.nan if isinstance(limit, sequential.OpenLimit) else limit.level,
        equivalence_p=float(welch.equivalence_p(t, plan.margin)) if with_margin else None,
        equivalence_level=(
            for_equivalence.one_sided
            if with_margin and not is_open_ended and isinstance(for_equivalence, sequential.Limit)
            else None
        ),
        chance=chance,
        outcome=outcome,
    )


def race_replay(
    *samples: Sequence[float] | Values,
    names: Sequence[str] | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    method: sequential.Method = "obrien-fleming",
    first: int = 3,
    every: int = 1,
    most: int | None = None,
    futility: float = 0.0,
    target: float | None = None,
    lower_is_better: bool = False,
    metric: str = "top1",
    unit: str | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Show what a race would have done on results that are there, one number per seed, in the order of the seeds.

    Parameters
    ----------
    samples
        The arms, the baseline first; or one arm, with a `target`.
    margin
        Smallest difference of interest, in the metric's unit (percentage points for accuracies).
    alpha, method, first, every, most, futility
        The plan, see :class:`seedstudy.stats.sequential.Plan`; `most` is the shortest sample's length by default.

    Returns
    -------
    Race
        ``to_dict()`` is what ``seedstudy race --replay --json`` prints.

    """
    source = Source(metric=metric, unit=unit)
    labels = tuple(names or "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(samples)])
    groups = [group_of_numbers(sample, label, source) for sample, label in zip(samples, labels, strict=True)]
    return replay_groups(
        groups,
        Plan(
            alpha=alpha,
            margin=margin,
            method=method,
            first=first,
            every=every,
            most=most or most_of(groups),
            futility=futility,
        ),
        target=target,
        lower_is_better=lower_is_better,
        rng_seed=rng_seed,
    )


def replay_groups(
    groups: Sequence[Group],
    plan: Plan,
    *,
    target: float | None = None,
    lower_is_better: bool = False,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Race:
    """Race on groups of one eval set, in the order of their seeds."""
    rule = RaceRule(
        arms=tuple(group.label for group in groups),
        plan=plan,
        eval_set=groups[0].eval_set,
        metric=groups[0].metric,
        unit=groups[0].unit,
        lower_is_better=lower_is_better,
        target=target,
    )
    return replay({group.label: _in_seed_order(group) for group in groups}, rule, rng_seed=rng_seed)


def most_of(groups: Sequence[Group]) -> int:
    """Return the budget that results in hand allow: the shortest arm's number of seeds."""
    return min(group.n for group in groups)


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
        adjusted = sequential.adjusted_difference(last.difference, sds[0], sds[1], rule.plan, rng=rng)
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
            f"{last.chance:.2g}"
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
