"""The one bridge from groups to statistics, and to the facts that tables and JSON show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seedstudy.decide.group import (
    Source,
    groups_of_trials,
    one_of,
    select_all,
    select_arms,
    select_groups,
    select_one,
    studies_of,
    told_apart,
)
from seedstudy.errors import StatisticsError, StudyError
from seedstudy.stats.compare import compare, compare_summaries
from seedstudy.stats.comparison import Comparison
from seedstudy.stats.describe import Description, Rank, describe, rank_of
from seedstudy.stats.fit import Fit, fit
from seedstudy.stats.result import Estimate
from seedstudy.stats.sample import by_seed, in_pairs, mean_of, sd_of
from seedstudy.study.group import Group, Moments, Values

__all__ = [
    "DEFAULT_RNG_SEED",
    "FittedGroup",
    "Group",
    "Moments",
    "Source",
    "Summary",
    "Values",
    "by_eval_set",
    "compare_groups",
    "doubts_of",
    "finite",
    "fit_group",
    "groups_of_trials",
    "interval",
    "one_of",
    "select_all",
    "select_arms",
    "select_groups",
    "select_one",
    "studies_of",
    "summarise",
    "told_apart",
]

DEFAULT_RNG_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One row of the summary table."""

    group: Group
    description: Description
    seed0_rank: Rank | None
    """Where seed 0 stands in the sweep; None without a seed 0, or without another seed."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of ``summary --json``."""
        d, g = self.description, self.group
        return {
            **g.identity(),
            "n": d.n,
            "mean": d.mean.value,
            "mean_ci": interval(d.mean),
            "std": finite(d.std.value),
            "std_ci": interval(d.std),
            "min": d.min,
            "max": d.max,
            "seed0": g.seed0,
            "level": d.mean.level,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedGroup:
    """The shape of one group's distribution over seeds."""

    summary: Summary
    fit: Fit

    @property
    def group(self) -> Group:
        return self.summary.group

    @property
    def whole(self) -> float | None:
        """What "all right" is in the group's unit."""
        return 100.0 if self.group.unit == "pp" else None

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``fit --json``."""
        g, f = self.group, self.fit
        moments = {
            name: {"value": finite(estimate.value), "ci": interval(estimate), "level": estimate.level}
            for name, estimate in (
                ("mean", f.mean),
                ("std", f.std),
                ("skewness", f.skewness),
                ("excess_kurtosis", f.excess_kurtosis),
            )
        }
        return {
            **g.identity(),
            "n": f.n,
            "families": [
                {
                    "name": family.name,
                    "params": {key: finite(value) for key, value in family.params.items()},
                    "aicc": family.aicc,
                    "weight": family.weight,
                    "gof_statistic": family.gof_statistic,
                    "gof_p": family.gof_p,
                }
                for family in f.families
            ],
            "normality": [
                {"test": test.test, "statistic": test.statistic, "p_value": test.p_value} for test in f.normality
            ],
            **moments,
            "qq": None
            if f.qq is None
            else {
                "theoretical": list(f.qq.theoretical),
                "observed": list(f.qq.observed),
                "low": list(f.qq.low),
                "high": list(f.qq.high),
                "level": f.qq.level,
            },
            "step": f.step,
            "warnings": list(f.warnings),
        }


def summarise(group: Group, *, level: float = 0.95) -> Summary:
    """Describe one group: n, mean, std, extremes, seed 0, with intervals and what they do not show."""
    if group.moments is not None:
        raise StudyError(f'"{group.label}" gives mean and std already: summary needs one number per seed.')
    description = describe(group.values, level=level, name=group.label)
    warnings = [*description.warnings, *doubts_of(group)]
    rank = rank_of(group.seed0, group.values) if group.seed0 is not None and group.n > 1 else None
    return Summary(group=group, description=description, seed0_rank=rank, warnings=tuple(dict.fromkeys(warnings)))


def fit_group(
    group: Group, *, level: float = 0.95, n_examples: int | None = None, rng_seed: int = DEFAULT_RNG_SEED
) -> FittedGroup:
    """Fit distributions to one group; the beta distribution too where values are shares strictly inside 0 and 100 %.

    Parameters
    ----------
    n_examples
        Images of the eval set, where the group does not know: accuracies then come in steps of one image.

    """
    is_share = group.unit == "pp"
    if n_examples is not None and not is_share:
        raise StudyError(f'{group.label}: "{group.metric}" is no accuracy: it has no steps of one image.')
    summary = summarise(group, level=level)
    whole = 100.0 if is_share and group.values.min() > 0.0 and group.values.max() < 100.0 else None
    step = group.step if n_examples is None else 100.0 / n_examples
    rng = np.random.default_rng(rng_seed)
    found = fit(group.values, rng=rng, level=level, step=step, whole=whole, name=group.label)
    return FittedGroup(summary=summary, fit=found)


def doubts_of(group: Group) -> tuple[str, ...]:
    """Return what is known to be wrong with a group's trials."""
    if not group.n_left_out:
        return group.notes
    trials = "1 trial" if group.n_left_out == 1 else f"{group.n_left_out} trials"
    return (f"{trials} without a result (diverged, failed or interrupted) left out", *group.notes)


def compare_groups(
    a: Group,
    b: Group,
    *,
    level: float,
    margin: float | None,
    paired: bool = False,
    rng_seed: int = DEFAULT_RNG_SEED,
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
        first, second = _moments(a), _moments(b)
        return compare_summaries(*first, *second, level=level, margin=margin, names=names)
    first_values, second_values = _pairs(a, b) if paired else (a.values, b.values)
    rng = np.random.default_rng(rng_seed)
    found = compare(first_values, second_values, rng=rng, level=level, margin=margin, paired=paired, names=names)
    doubts = [f"{group.label}: {doubt}" for group in (a, b) for doubt in doubts_of(group)]
    return replace(found, warnings=(*found.warnings, *doubts))


def _moments(group: Group) -> tuple[float, float, int]:
    if group.moments is not None:
        return group.moments.mean, group.moments.sd, group.moments.n
    return mean_of(group.values), sd_of(group.values), group.n


def _pairs(a: Group, b: Group) -> tuple[Values, Values]:
    """Return both arms aligned by seed; by position where neither knows its seeds."""
    if a.seeds is None and b.seeds is None:
        return a.values, b.values
    if a.seeds is None or b.seeds is None:
        blind = a if a.seeds is None else b
        raise StudyError(f'{blind.label}: pairing needs the seed of each value; give the file a column "seed".')
    return in_pairs(by_seed(a.seeds, a.values, name=a.label), by_seed(b.seeds, b.values, name=b.label))


def by_eval_set(groups: Iterable[Group]) -> Mapping[str, Group]:
    return {group.eval_set: group for group in groups}


def finite(value: float | None) -> float | None:
    """Return a number JSON can hold; what is not known is null."""
    return None if value is None or not math.isfinite(value) else float(value)


def interval(estimate: Estimate) -> list[float | None] | None:
    """Return [low, high], or None where nothing is known of either end."""
    ends = [finite(estimate.low), finite(estimate.high)]
    return None if ends == [None, None] else ends
