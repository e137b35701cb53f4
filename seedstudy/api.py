"""What `import seedstudy as ss` offers, and what every command calls: one function, one typed answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import polars as pl

from seedstudy import analysis
from seedstudy.analysis import DEFAULT_RNG_SEED, Group, Source, Summary, finite, interval
from seedstudy.errors import StoreError, StudyError
from seedstudy.stats.compare import Comparison
from seedstudy.store import open_study
from seedstudy.verdict import Rule, Verdict, decide

Selector = str | Sequence[float] | npt.NDArray[Any]
"""``RECIPE``, ``RECIPE@MODEL``, ``STUDY:RECIPE@MODEL``, the path of a file, or one number per seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """B against A on one eval set: the groups, the statistics and the verdict."""

    a: Group
    b: Group
    comparison: Comparison
    rule: Rule
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``compare --json``."""
        c, v = self.comparison, self.verdict
        prob = v.prob_b_better
        return {
            "a": self.a.label,
            "b": self.b.label,
            "eval_set": self.a.eval_set,
            "metric": self.a.metric,
            "unit": self.a.unit,
            "n_a": c.n_a,
            "n_b": c.n_b,
            "mean_a": c.mean_a,
            "mean_b": c.mean_b,
            "sd_a": finite(c.sd_a),
            "sd_b": finite(c.sd_b),
            "difference": c.difference.value,
            "ci": interval(c.difference),
            "level": c.level,
            "method": c.method,
            "statistic": finite(c.statistic),
            "df": finite(c.df),
            "p_value": finite(c.p_value),
            "p_adjusted": finite(c.p_value),
            "hedges_g": finite(c.hedges_g.value),
            "hedges_g_ci": interval(c.hedges_g),
            "prob_b_better": None if prob is None else finite(prob.value),
            "prob_b_better_ci": None if prob is None else interval(prob),
            "permutation_p": finite(c.permutation_p),
            "permutation_floor": finite(c.permutation_floor),
            "margin": c.margin,
            "equivalence_p": finite(c.equivalence_p),
            "single_run_error": finite(v.single_run_error),
            "more_seeds": v.more_seeds,
            "verdict": v.word,
            "reasons": list(v.reasons),
            "warnings": list(c.warnings),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparisons:
    """The answers of one ``compare``: each challenger against A, on each eval set."""

    answers: tuple[Answer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``compare --json`` prints."""
        return {"comparisons": [answer.to_dict() for answer in self.answers]}

    def __getitem__(self, index: int) -> Answer:
        return self.answers[index]

    def __len__(self) -> int:
        return len(self.answers)


def load_trials(path: str | Path = "results/main") -> pl.DataFrame:
    """Return a study's TRIALS frame, one row per trial and eval set.

    Raises
    ------
    StoreError
        No such folder, or a damaged file (its name is in the message).

    """
    path = Path(path)
    scan = open_study(path.parent, path.name).scan()
    for problem in scan.damaged.values():
        raise StoreError(problem)
    return scan.trials


def load_predictions(path: str | Path, trial_id: str) -> pl.DataFrame:
    """Return one trial's PREDICTIONS frame, one row per eval set and image."""
    path = Path(path)
    return open_study(path.parent, path.name).predictions(trial_id)


def summary(trials: pl.DataFrame, *, eval_sets: Sequence[str] | None = None, level: float = 0.95) -> list[Summary]:
    """Describe every recipe of a TRIALS frame on every eval set."""
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets))
    return [analysis.summarise(group, level=level) for group in analysis.groups_of_trials(trials, source)]


def compare(
    *what: pl.DataFrame | Selector,
    margin: float | None = None,
    level: float = 0.95,
    eval_sets: Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    lower_is_better: bool = False,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare recipes: every further one against the first.

    Parameters
    ----------
    what
        ``(trials, "a3", "a2")`` with a TRIALS frame, or ``([78.0, 78.1], [79.6, 79.7])`` with one number per seed.
    margin
        Smallest difference of interest in the metric's unit (percentage points for accuracies).
    unit
        ``percent`` or ``fraction``, where plain accuracies do not tell.

    Returns
    -------
    Comparisons
        ``to_dict()`` is what ``seedstudy compare --json`` prints.

    """
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets), metric=metric, unit=unit)
    rule = Rule(margin=margin, alpha=1.0 - level, lower_is_better=lower_is_better)
    if what and isinstance(what[0], pl.DataFrame):
        groups = analysis.groups_of_trials(what[0], source)
        arms = [analysis.one_of(groups, str(selector), "these trials") for selector in what[1:]]
    else:
        arms = [
            [analysis.group_of_numbers(numbers, label, source)]  # type: ignore[arg-type]  # a frame was handled above
            for label, numbers in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", what, strict=False)
        ]
    return compare_arms(arms, rule, level=level, rng_seed=rng_seed)


def compare_selected(
    selectors: Sequence[str], source: Source, rule: Rule, *, level: float, rng_seed: int = DEFAULT_RNG_SEED
) -> Comparisons:
    """Compare what selectors name in a results folder or in files."""
    arms = [analysis.select_one(selector, source) for selector in selectors]
    return compare_arms(arms, rule, level=level, rng_seed=rng_seed)


def compare_arms(
    arms: Sequence[Sequence[Group]], rule: Rule, *, level: float, rng_seed: int = DEFAULT_RNG_SEED
) -> Comparisons:
    """Compare every further arm against the first, on every eval set both have."""
    if len(arms) < 2:
        raise StudyError("compare needs two recipes: A and B (B is compared against A).")
    baseline = analysis.by_eval_set(arms[0])
    answers = []
    for arm in arms[1:]:
        shared = [group for group in arm if group.eval_set in baseline]
        if not shared:
            raise StudyError(f"{arms[0][0].label} and {arm[0].label} have no eval set in common.")
        for group in shared:
            first = baseline[group.eval_set]
            result = analysis.compare_groups(first, group, level=level, margin=rule.margin, rng_seed=rng_seed)
            answers.append(Answer(a=first, b=group, comparison=result, rule=rule, verdict=decide(result, rule)))
    return Comparisons(answers=tuple(answers))
