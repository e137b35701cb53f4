"""What `import seedstudy as ss` offers, and what every command calls: one function, one typed answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import polars as pl

from seedstudy.decide import compare as judgement
from seedstudy.decide import summary as analysis
from seedstudy.decide.compare import Comparisons, Correction, Design
from seedstudy.decide.summary import DEFAULT_RNG_SEED, FittedGroup, Group, Source, Summary
from seedstudy.decide.verdict import Rule
from seedstudy.decide.wider import GridAnswer, analyse_grid
from seedstudy.errors import StoreError, StudyError
from seedstudy.read.groups import group_of_numbers
from seedstudy.read.metrics import DEFAULT_METRIC
from seedstudy.store.store import open_study

Selector = str | Sequence[float] | npt.NDArray[Any]
"""``RECIPE``, ``RECIPE@MODEL``, ``STUDY:RECIPE@MODEL``, the path of a file, or one number per seed."""


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


SUMMARY: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("recipe", "model", "data", "eval_set", "metric", "unit"), pl.String()),
    "n": pl.Int64(),
    **dict.fromkeys(
        ("mean", "mean_low", "mean_high", "std", "std_low", "std_high", "min", "max", "seed0", "level"), pl.Float64()
    ),
    "warnings": pl.List(pl.String()),
}
"""Columns of :meth:`Summaries.to_frame`; intervals have the row's level."""


class Summaries(tuple[Summary, ...]):
    """One row per recipe and eval set, and the same facts as a frame or a document."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``summary --json``."""
        return {"groups": [row.to_dict() for row in self]}

    def to_frame(self) -> pl.DataFrame:
        """Return the columns of :data:`SUMMARY`, accuracies in percentage points."""
        flat = []
        for row in self:
            facts = row.to_dict()
            for name in ("mean", "std"):
                facts[f"{name}_low"], facts[f"{name}_high"] = facts.pop(f"{name}_ci") or (None, None)
            flat.append({name: facts[name] for name in SUMMARY})
        return pl.DataFrame(flat, schema=dict(SUMMARY))


def summary(trials: pl.DataFrame, *, eval_sets: Sequence[str] | None = None, level: float = 0.95) -> Summaries:
    """Describe every recipe of a TRIALS frame on every eval set."""
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets))
    groups = analysis.groups_of_trials(trials, source)
    return Summaries(analysis.summarise(group, level=level) for group in groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fits:
    """The fits of one recipe, one per eval set."""

    groups: tuple[FittedGroup, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``fit --json``: the facts of the first eval set, and all of them under "groups"."""
        entries = [group.to_dict() for group in self.groups]
        return {**entries[0], "groups": entries}

    def __getitem__(self, index: int) -> FittedGroup:
        return self.groups[index]

    def __len__(self) -> int:
        return len(self.groups)


def fit(
    what: pl.DataFrame | Selector,
    selector: str | None = None,
    *,
    level: float = 0.95,
    eval_sets: Sequence[str] | None = None,
    metric: str = DEFAULT_METRIC,
    unit: str | None = None,
    n_examples: int | None = None,
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Fits:
    """Fit distributions to the seeds of one recipe; descriptive only, it never chooses a test.

    Parameters
    ----------
    what, selector
        ``(trials, "a2")`` with a TRIALS frame, one number per seed, or a file selector; see :func:`compare`.
    level
        Confidence level of all intervals.
    n_examples
        Images of the eval set, where the numbers do not say: accuracies come in steps of one image.

    Returns
    -------
    Fits
        One :class:`~seedstudy.decide.summary.FittedGroup` per eval set; ``to_dict()`` is what ``fit --json`` prints.

    """
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets), metric=metric, unit=unit)
    given = [what] if selector is None else [what, selector]
    arms = _arms(given, source)
    if len(arms) != 1:
        raise StudyError("fit needs one recipe, for example ss.fit(trials, 'a2').")
    return Fits(
        groups=tuple(
            analysis.fit_group(group, level=level, n_examples=n_examples, rng_seed=rng_seed) for group in arms[0]
        )
    )


def compare(
    *what: pl.DataFrame | Selector,
    margin: float | None = None,
    level: float = 0.95,
    eval_sets: Sequence[str] | None = None,
    metric: str = DEFAULT_METRIC,
    unit: str | None = None,
    lower_is_better: bool | None = None,
    all_pairs: bool = False,
    paired: bool = False,
    primary: str | None = None,
    correction: Correction = "holm",
    rng_seed: int = DEFAULT_RNG_SEED,
) -> Comparisons:
    """Compare recipes: every further one against the first, or all pairs.

    Parameters
    ----------
    what
        ``(trials, "a3", "a2")`` with a TRIALS frame; ``([78.0, 78.1], [79.6, 79.7])`` with one number per seed; or file
        selectors and published means such as ``("old.csv", "79.5±0.1 n=5")``.
    margin
        Smallest difference of interest in the metric's unit (percentage points for accuracies).
    unit
        ``percent`` or ``fraction``, where plain accuracies do not tell.
    lower_is_better
        None: as the metric's name says (``val_loss``: lower), or an error where it does not.
    all_pairs, paired, primary, correction
        See :class:`~seedstudy.decide.compare.Design`.

    Returns
    -------
    Comparisons
        ``to_dict()`` is what ``seedstudy compare --json`` prints.

    """
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets), metric=metric, unit=unit)
    arms = _arms(what, source)
    if len(arms) < 2:
        raise StudyError("compare needs two: A (the baseline) and B, for example ss.compare(trials, 'a3', 'a2').")
    rule = Rule(
        margin=margin, alpha=1.0 - level, lower_is_better=judgement.lower_is_better(arms[0][0], lower_is_better)
    )
    design = Design(all_pairs=all_pairs, paired=paired, primary=primary, correction=correction)
    return judgement.judge(arms, rule, level=level, design=design, rng_seed=rng_seed)


def _arms(what: Sequence[pl.DataFrame | Selector], source: Source) -> list[list[Group]]:
    if what and isinstance(what[0], pl.DataFrame):
        groups = analysis.groups_of_trials(what[0], source)
        return [analysis.one_of(groups, str(selector), "these trials") for selector in what[1:]]
    names = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    arms = []
    for given in what:
        if isinstance(given, str):
            arms.append(analysis.select_one(given, source))
        else:
            label = next(names, "")
            if not label:
                raise StudyError("compare takes up to 26 lists of numbers; give files for more.")
            arms.append([group_of_numbers(given, label, source)])
    return analysis.told_apart(arms)


def grid(
    trials: pl.DataFrame, *recipes: str, level: float = 0.95, eval_sets: Sequence[str] | None = None
) -> list[GridAnswer]:
    """Read architecture difference, recipe difference and seed noise from one table, one per eval set.

    Parameters
    ----------
    trials
        A TRIALS frame with every combination of at least two models and two recipes.
    recipes
        Selectors; all recipes of the frame where none is given.
    level
        Confidence level of all intervals.

    """
    source = Source(eval_sets=None if eval_sets is None else tuple(eval_sets))
    groups = analysis.groups_of_trials(trials, source)
    chosen = [group for group in groups if not recipes or group.recipe in recipes or group.label in recipes]
    return analyse_grid(chosen, level=level)
