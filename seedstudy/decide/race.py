"""The rule of a race, written before its first seed, and where a race stands: looks, comparisons, arms, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from seedstudy.decide.summary import finite
from seedstudy.decide.verdict import Word
from seedstudy.errors import StudyError
from seedstudy.stats.race import Plan


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
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "arms": list(self.arms), "plan": asdict(self.plan)}

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
    level: float
    """What p must not exceed; nan for a confidence sequence, which has no p."""
    equivalence_p: float | None
    equivalence_level: float | None
    chance: float
    """Predicted chance of a decision by the last look."""
    outcome: int
    """One of the outcomes of :mod:`seedstudy.stats.race`."""


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
        """The look at which it stands or stopped."""
        return self.looks[-1] if self.looks else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One recipe of the race."""

    label: str
    n: int
    """Seeds trained; those without a result count, they were paid for."""
    n_results: int
    mean: float
    sd: float
    dropped_at: int | None
    """Round at which it was shown to be worse than an arm that goes on."""
    cost_s: float | None
    """Seconds of training, where known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """Where a race stands."""

    rule: RaceRule
    pairs: tuple[Pair, ...]
    arms: tuple[Arm, ...]
    needs: Mapping[str, int]
    """Arm -> seeds it must have for the next look; empty when the race is over."""

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

    def to_dict(self) -> dict[str, Any]:
        """Return what ``race --json`` prints."""
        cost = self.cost_s
        saved = None
        if cost is not None:
            full = [arm.cost_s / arm.n * self.rule.plan.most for arm in self.arms if arm.cost_s and arm.n]
            saved = math.fsum(full) - cost
        return {
            "rule": self.rule.to_dict(),
            "is_over": self.is_over,
            "needs": dict(self.needs),
            "comparisons": [_pair_dict(pair) for pair in self.pairs],
            "arms": [
                {
                    "arm": arm.label,
                    "n": arm.n,
                    "n_results": arm.n_results,
                    "mean": finite(arm.mean),
                    "sd": finite(arm.sd),
                    "dropped_at": arm.dropped_at,
                    "train_s": arm.cost_s,
                }
                for arm in self.arms
            ],
            "seeds_used": self.seeds_used,
            "seeds_fixed": self.seeds_fixed,
            "seeds_saved": self.seeds_fixed - self.seeds_used,
            "train_s": cost,
            "train_s_saved": saved,
        }


def _pair_dict(pair: Pair) -> dict[str, Any]:
    last = pair.last
    head = {"a": pair.a, "b": pair.b, "verdict": pair.verdict, "reason": pair.reason}
    if last is None:
        return {**head, "looks": []}
    return {
        **head,
        "n_a": last.n_a,
        "n_b": last.n_b,
        "difference": last.difference,
        "ci": [finite(last.low), finite(last.high)],
        "level": pair.confidence,
        "method": "repeated confidence interval",
        "adjusted_difference": pair.adjusted_difference,
        "looks": [_look_dict(look) for look in pair.looks],
    }


def _look_dict(look: Look) -> dict[str, Any]:
    return {
        "round": look.round,
        "n_a": look.n_a,
        "n_b": look.n_b,
        "difference": look.difference,
        "ci": [finite(look.low), finite(look.high)],
        "p_value": finite(look.p_value),
        "p_needed": finite(look.level),
        "equivalence_p": finite(look.equivalence_p),
        "equivalence_p_needed": finite(look.equivalence_level),
        "chance_of_decision": look.chance,
    }


def _target_name(target: float) -> str:
    return f"target {target:g}"
