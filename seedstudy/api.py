"""What `import seedstudy as ss` offers, and the one thing that every command calls: a function per question.

Each function returns one typed answer, whose ``to_dict()`` is the document of the command's ``--json``. What is heavy
(Polars, SciPy, torch) is imported where it is used, so that no question pays for the needs of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.arguments import check, options_of, public
from seedstudy.decide.answers import Answers
from seedstudy.document import FLAT, HIDDEN, fields_of, shown_as
from seedstudy.errors import StudyError, require_extra, suggest
from seedstudy.recipes import catalogue
from seedstudy.recipes.reader import load_recipe
from seedstudy.study.network import Cost, EvaluatedSet
from seedstudy.study.study import Study, adjusted, check_name, load_study

if TYPE_CHECKING:
    import polars as pl

    from seedstudy.data.base import Catalogue, Check, DataInfo, Dataset
    from seedstudy.decide.across import AcrossData
    from seedstudy.decide.audit import Audit
    from seedstudy.decide.compare import Comparisons, Correction
    from seedstudy.decide.gate import GateAnswer
    from seedstudy.decide.given import Arm, Given
    from seedstudy.decide.grid import Grids
    from seedstudy.decide.plan import PowerPlan
    from seedstudy.decide.race import Race
    from seedstudy.decide.select import Source
    from seedstudy.decide.summary import Fits, Summaries
    from seedstudy.decide.variance import Variances
    from seedstudy.engines.status import Cancellation, StudyStatus
    from seedstudy.engines.watch import Say
    from seedstudy.read.inspect import Inspection
    from seedstudy.recipes.reader import RecipeFile
    from seedstudy.store.store import State, Store
    from seedstudy.store.upkeep import Restored
    from seedstudy.study.group import Group, Readings
    from seedstudy.train.preprocessing import Preprocessing
    from seedstudy.train.pretrained import Judged


# --- studies: train, and where it stands ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAnswer:
    """What `run` trained: how many trials ended how, and their accuracies."""

    study: str
    folder: Path
    states: Mapping[str, State]
    """Of the trials that were asked for, by trial id."""
    summaries: Summaries | None
    """Of every recipe in the study; None where no trial has finished."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials in each state in which a trial ends."""
        return {state: list(self.states.values()).count(state) for state in ("ok", "diverged", "failed")}

    @property
    def is_complete(self) -> bool:
        """Whether every trial has a result; a diverged training is one."""
        return {"ok", "diverged"}.issuperset(self.states.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``run --json``."""
        trials = {"study": self.study, "planned": len(self.states), **self.counts}
        return {**trials, **(self.summaries.to_dict() if self.summaries else {"groups": []})}


@public
def run(
    study: str | Path | Study | None = None,
    *,
    recipes: str | Sequence[str] | None = None,
    results: str | Path = "results",
    data_dir: str | Path | None = None,
    is_retry: bool = False,
    is_repair: bool = False,
    is_detached: bool = False,
    eval_sets: str | Sequence[str] | None = None,
    say: Say = terminal.say,
    **given: Any,
) -> RunAnswer:
    """Train what is missing of a study, and wait for it; the same call resumes after an interruption.

    Parameters
    ----------
    study
        A study file or a :class:`~seedstudy.study.study.Study`; None: only what is given here.
    recipes, given
        Values in place of the study's own: ``seeds=10``, ``models="resnet20"``, ``placement={"workers": 2}`` …; see
        :func:`~seedstudy.study.study.adjusted`.
    is_retry
        Train failed trials again.
    is_repair
        Set aside any number of damaged results, and incomplete ones, and train those trials again.
    is_detached
        Submit to a queue and return.
    eval_sets
        Those whose accuracies are shown.

    """
    from seedstudy.engines import launch

    check(adjusted, (), {"recipes": recipes, **given}, name="run")
    if study is None and recipes is None:
        raise StudyError("nothing to train: name a recipe (--recipe a2) or a study file.")
    start = study if isinstance(study, Study | None) else load_study(Path(study))
    plan = adjusted(start, recipes=recipes, **given)
    states, scan = launch.run(
        plan,
        results=Path(results),
        cache_dir=machine.cache_dir(),
        data_dir=_path(data_dir),
        is_retry=is_retry,
        is_repair=is_repair,
        is_detached=is_detached,
        say=say,
    )
    summaries = None
    if "ok" in states.values():
        source = _source({"results": results, "study": plan.name, "eval_sets": eval_sets})
        source.scans[Path(results) / plan.name] = scan
        summaries = _summaries((), source, level=0.95)
    return RunAnswer(study=plan.name, folder=Path(results) / plan.name, states=states, summaries=summaries)


@public
def status(study: str = "main", *, results: str | Path = "results") -> StudyStatus:
    """Return the state of every trial of a study."""
    from seedstudy.engines.status import study_status

    return study_status(_store(results, study))


@public
def cancel(study: str = "main", *, results: str | Path = "results") -> Cancellation:
    """Stop a study's trials, wherever they run; each keeps its state, and `run` resumes it."""
    from seedstudy.engines import status

    return status.cancel(_store(results, study))


@public
def leftovers(study: str = "main", *, results: str | Path = "results") -> dict[Path, int]:
    """Return the files, with their sizes in bytes, that `clean` removes; none of them holds a result."""
    from seedstudy.store import upkeep

    return upkeep.leftovers(_store(results, study))


@public
def clean(
    study: str = "main", *, results: str | Path = "results", paths: Iterable[Path] | None = None
) -> tuple[Path, ...]:
    """Remove files that :func:`leftovers` returned, by default all; those of trials that run by now stay.

    Returns those that were removed.
    """
    from seedstudy.store import upkeep

    store = _store(results, study)
    return tuple(upkeep.clean(store, upkeep.leftovers(store) if paths is None else paths))


@public
def restore(study: str = "main", *, results: str | Path = "results") -> Restored:
    """Put results back that `run` has set aside as damaged, where they are good and the trial has no other."""
    from seedstudy.store import upkeep

    return upkeep.restore(_store(results, study))


# --- numbers in, answers out ----------------------------------------------------------------------------


@public
def load_trials(path: str | Path = "results/main") -> pl.DataFrame:
    """Return a study's TRIALS frame, one row per trial and eval set, and the margin that the study declared.

    Damaged trials are left out, with a warning that names the file, as every command leaves them out with a note. A
    margin that was declared after results existed is a warning too.
    """
    import warnings

    path = Path(path)
    source = _source({"results": path.parent, "study": path.name})
    trials = source.trials()
    for sentence in source.left_out:
        warnings.warn(f"left out: {sentence}", stacklevel=2)
    for sentence in source.late_rules:
        warnings.warn(sentence, stacklevel=2)
    return trials


@public
def load_predictions(path: str | Path, trial_id: str) -> pl.DataFrame:
    """Return one trial's PREDICTIONS frame, one row per eval set and image."""
    path = Path(path)
    return _store(path.parent, path.name).predictions(trial_id)


@public
def summary(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    level: float = 0.95,
    **arms: Given,
) -> Summaries:
    """Describe recipes on every eval set: n, mean, std, min, max, seed 0, each with its interval.

    `what`: anything that :func:`compare` takes; nothing: the whole study.
    """
    source = _source(locals())
    return _summaries(_arms(what, arms, summary, source), source, level=level)


@public
def variance(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    level: float = 0.95,
    replicates: int = 0,
    rng_seed: int = 0,
    **arms: Given,
) -> Variances:
    """Say where the spread over seeds comes from, by each image's prediction: seeds as such, or the test images.

    `what`: recipes of a study, as for :func:`summary`; nothing: the whole study. Later recipes are also read as
    differences from the first: on these images, and on new images like them; with `replicates` also by the
    multi-bootstrap.
    """
    source = _source(locals())
    from seedstudy.decide.select import select, with_distinct_labels
    from seedstudy.decide.variance import variances_of

    _check_level(level)
    groups = with_distinct_labels(select(_arms(what, arms, variance, source), source))
    return variances_of(groups, source, level=level, replicates=replicates, rng_seed=rng_seed)


@public
def fit(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    level: float = 0.95,
    n_examples: int | None = None,
    rng_seed: int = 0,
    **arms: Given,
) -> Fits:
    """Fit distributions to the seeds of one recipe; descriptive only, it never chooses a test.

    Parameters
    ----------
    what
        One selector, ``(trials, "a2")`` with a TRIALS frame, or one number per seed; see :func:`compare`.
    level
        Confidence level of all intervals.
    n_examples
        Images of the eval set, where the numbers do not say: accuracies come in steps of one image.

    """
    from seedstudy.decide.select import select_by_data, what_was_read
    from seedstudy.decide.summary import Fits, fit_group

    source = _source(locals())
    _check_level(level)
    asked = _arms(what, arms, fit, source)
    if len(asked) != 1:
        raise StudyError("fit needs one recipe, for example ss.fit(trials, 'a2').")
    found = _flat(_flat(select_by_data(asked, source)))
    groups = tuple(fit_group(group, level=level, n_examples=n_examples, rng_seed=rng_seed) for group in found)
    return Fits(answers=groups, left_out=source.left_out, read=what_was_read(found))


@public
def compare(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    lower_is_better: bool | None = None,
    all_pairs: bool = False,
    paired: bool = False,
    primary: str | None = None,
    correction: Correction = "bonferroni",
    rng_seed: int = 0,
    **arms: Given,
) -> Comparisons:
    """Compare recipes: every further one against the first, or all pairs.

    Parameters
    ----------
    what, arms
        Selectors ``("a3", "a2")`` of the study, ``"STUDY:RECIPE@MODEL"``, files, published means such as
        ``"79.5±0.1 n=5"``; one number per seed ``([78.0, 78.1], [79.6, 79.7])``; or a TRIALS frame and selectors of
        its recipes ``(trials, "a3", "a2")``. With names: ``baseline=[78.0, 78.1], new="a2"``, or a dict of them.
    results, study
        Folder of all studies, and the study in which plain recipe names are looked up.
    model, data
        Only results of this model, and on this data set; None: on each data set that all have.
    eval_sets
        None: all that both have.
    unit
        ``percent`` or ``fraction``, where plain accuracies leave it open.
    margin
        Smallest difference of interest in the metric's unit (percentage points for accuracies); None: as the study
        declared.
    alpha
        Error rate of each claim.
    level
        Confidence level of the intervals; it decides nothing.
    lower_is_better
        None: as the metric's name says (``val_loss``: lower), or an error where it does not.
    all_pairs, paired, primary, correction
        See :class:`~seedstudy.decide.compare.Design`.

    """
    from seedstudy.decide.compare import CORRECTIONS, Design, judge, rule_for
    from seedstudy.decide.looks import race_command, with_looks
    from seedstudy.decide.select import may_be_several, select_by_data

    if correction not in CORRECTIONS:
        raise StudyError(f'--correction "{correction}" is no correction.{suggest(correction, CORRECTIONS)}')
    source = _source(locals())
    asked = _arms(what, arms, compare, source)
    by_data = select_by_data(asked, source) if may_be_several(asked) else [[]]
    if len(by_data[0]) < 2:
        raise StudyError(_needs_two("compare", by_data[0]))
    rule = rule_for(_flat(_flat(by_data)), margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better)
    design = Design(all_pairs=all_pairs, paired=paired, primary=primary, correction=correction)
    answer = with_looks(judge(by_data, rule, design=design, rng_seed=rng_seed), source.studies)
    answer = replace(answer, race=race_command(answer, [arm.words for arm in asked], source))
    return _with_sources(answer, source, _flat(_flat(by_data)), margin=margin)


@public
def gate(
    new: Given,
    baseline: Given,
    *,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_set: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    margin: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    lower_is_better: bool | None = None,
) -> GateAnswer:
    """Say whether a few new seeds, or one, pass the threshold that a baseline sweep sets; for continuous integration.

    `new` and `baseline` as in :func:`compare`. See :func:`seedstudy.testing.assert_not_worse` for tests.
    """
    from seedstudy.decide.compare import is_lower_better
    from seedstudy.decide.gate import judge_gate
    from seedstudy.decide.select import on_one_eval_set, select_arms

    source = _source(locals())
    seeds, sweep = (
        on_one_eval_set(arm, source) for arm in select_arms(_arms((new, baseline), {}, gate, source), source)
    )
    if lower_is_better is None:
        lower_is_better = is_lower_better(sweep.metric, sweep.unit)
    return judge_gate(seeds, sweep, margin=margin, alpha=alpha, power=power, lower_is_better=lower_is_better)


@public
def grid(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    level: float = 0.95,
    **arms: Given,
) -> Grids:
    """Read architecture difference, recipe difference and seed noise from one table, one per eval set.

    `what` as in :func:`compare`: every combination of at least two models and two recipes; none: the whole study.
    """
    from seedstudy.decide.grid import Grids, analyse_grid
    from seedstudy.decide.select import select, what_was_read

    source = _source(locals())
    _check_level(level)
    groups = _flat(select(_arms(what, arms, grid, source), source))
    answers = analyse_grid(groups, level=level)
    return Grids(answers=answers, left_out=source.left_out, read=what_was_read(groups))


@public
def across_data(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    lower_is_better: bool | None = None,
    rng_seed: int = 0,
    **arms: Given,
) -> AcrossData:
    """Compare every further recipe with the first on each data set that all have, pool the differences, and rank all.

    See :func:`compare` for the parameters.
    """
    from seedstudy.decide import across
    from seedstudy.decide.compare import rule_for
    from seedstudy.decide.select import may_be_several, select_each

    source = _source(locals())
    asked = _arms(what, arms, across_data, source)
    found = [groups for _, groups in select_each(asked, source)] if may_be_several(asked) else []
    if len(found) < 2:
        raise StudyError(_needs_two("--across-data", found))
    rule = rule_for(_flat(found), margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better)
    answer = across.across_data(found, rule, rng_seed=rng_seed)
    return replace(answer, comparisons=_with_sources(answer.comparisons, source, _flat(found), margin=margin))


@public
def race(
    *what: Given,
    replay: bool = False,
    margin: float | None = None,
    target: float | None = None,
    eval_set: str | None = None,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    lower_is_better: bool | None = None,
    plan: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    is_retry: bool = False,
    is_repair: bool = False,
    rng_seed: int = 0,
    on_look: Callable[[Race], None] | None = None,
    say: Say = terminal.say,
    **arms: Given,
) -> Race:
    """Add seeds, round by round, until the question is decided; or replay a race on results that are there.

    Parameters
    ----------
    what
        Recipes to train, ``RECIPE`` or ``RECIPE@MODEL``; with `replay` anything that :func:`compare` takes, in the
        order of the seeds.
    replay
        Train nothing.
    margin, lower_is_better
        As in :func:`compare`.
    target
        Race one recipe against this number.
    eval_set
        The one that decides; None: val.
    plan
        Values of :class:`~seedstudy.stats.race.Plan`: ``alpha``, ``method``, ``first``, ``every``, ``most``,
        ``futility``; the defaults for the others, with `replay` the shortest arm as the budget.
    model, data
        Of arms that name no model, and of all; with `replay` as in :func:`compare`.
    training
        What else the arms share, for example ``{"epochs": 10}``; see
        :func:`~seedstudy.study.study.adjusted`.
    on_look
        Receives the race after each look of a live race.

    """
    from seedstudy.decide.compare import rule_for
    from seedstudy.decide.race import replay_groups
    from seedstudy.decide.select import on_one_eval_set, select_arms, what_was_read
    from seedstudy.stats.race import Plan

    given = {key: value for key, value in (plan or {}).items() if value is not None}
    check(Plan, (), given, name="race: plan")
    source = _source(locals())
    asked = _arms(what, arms, race, source)
    if replay:
        groups = [on_one_eval_set(arm, source) for arm in select_arms(asked, source)]
        if not groups:
            raise StudyError(_needs_two("race", []))
        rule = rule_for(groups, margin=margin, alpha=0.05, level=0.95, lower_is_better=lower_is_better)
        answer = replay_groups(
            groups, given, margin=rule.margin, lower_is_better=rule.lower_is_better, target=target, rng_seed=rng_seed
        )
        return replace(answer, left_out=source.left_out, read=what_was_read(groups))
    if metric != "top1" or lower_is_better or unit is not None:
        raise StudyError("race: trials are raced by top1; other metrics come from files, with --replay.")
    from seedstudy.engines import race as live
    from seedstudy.store.store import Store

    recipes = [arm.words for arm in asked]
    if not all(recipes) or arms:
        raise StudyError("race trains recipes, for example ss.race('a3', 'a2'); numbers and files need replay=True.")
    if margin is None:
        margin = Store(Path(results), study).rule().margin
    shared = {"models": model, "data": data, **(training or {})}
    check(adjusted, (), shared, name="race: training")
    return live.race(
        live.arms_of(recipes, adjusted(recipes=recipes, name=study, **shared)),
        given if margin is None else {**given, "margin": margin},
        results=Path(results),
        cache_dir=machine.cache_dir(),
        data_dir=_path(data_dir),
        eval_set=eval_set or "val",
        target=target,
        is_retry=is_retry,
        is_repair=is_repair,
        say=say,
        on_look=on_look or (lambda race: None),
    )


# --- before training, and other people's tables ---------------------------------------------------------


@public
def power(
    sd: float | tuple[float, float] | str | None = None,
    *,
    pilots: Given | Sequence[Given] = (),
    difference: float | None = None,
    n: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float | None = None,
    cost: float | str | None = None,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_set: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> PowerPlan:
    """Plan a comparison of two recipes: seeds for a difference, or the smallest difference that n seeds detect.

    Parameters
    ----------
    sd
        Standard deviation over seeds, of both arms or of each; or the name of a published one (``"rsb-val"``).
    pilots
        Instead of `sd`: one selector for both arms, or one for each.
    difference
        True difference to plan for. With `n` missing the seeds per arm are computed; a `margin`
        makes it 0 by default.
    n
        Seeds per arm. With `difference` missing the smallest detectable one is computed; with both, the power.
    margin
        Plan to show equivalence within it, instead of a difference.
    cost
        GPU-hours per seed, or ``"MODEL@RECIPE"`` of RSB's Table 3; None: as measured in the pilots' studies.

    """
    from seedstudy.decide import plan
    from seedstudy.decide.given import arms_of
    from seedstudy.decide.select import on_one_eval_set, select_arms, what_was_read
    from seedstudy.read.metrics import is_accuracy

    source = _source(locals())
    is_several = isinstance(pilots, list | tuple) and not any(isinstance(each, int | float) for each in pilots)
    asked = arms_of(pilots if is_several else (pilots,), of="power")
    groups = [on_one_eval_set(arm, source) for arm in select_arms(asked, source)]
    spread = plan.spread_of(sd, groups)
    of_seed = plan.cost_of(cost, groups)
    shown_unit = groups[0].unit if groups else "pp" if is_accuracy(metric) and unit != "fraction" else None
    rates = {"power": power, "alpha": alpha}
    answer = plan.plan_seeds(spread, difference=difference, n=n, margin=margin, cost=of_seed, unit=shown_unit, **rates)
    return replace(answer, left_out=source.left_out, read=what_was_read(groups))


@public
def audit(
    table: str | Path,
    *,
    sd: float | str | Mapping[str, float] | None = None,
    reference: Given | None = None,
    columns: str | Sequence[str] | None = None,
    label: str | None = None,
    n_seeds: int = 1,
    best_of: int | None = None,
    is_ladder: bool = False,
    alpha: float = 0.05,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    lower_is_better: bool | None = None,
) -> Audit:
    """Say which differences of a published table of single runs exceed seed noise.

    Parameters
    ----------
    table
        A CSV file with one row per model or recipe and one column per recipe or eval set.
    sd
        Standard deviation over seeds of a single run: of every column, by column, or ``"rsb"``.
    reference
        Instead of `sd`: a sweep over seeds whose std is taken.
    columns, label, unit
        See :func:`~seedstudy.read.published.read_published_table`.
    n_seeds, best_of
        Each number of the table is the mean, or the best, of so many seeds.
    is_ladder
        Compare each row with the one before it, instead of all pairs.
    lower_is_better
        None: as the names of metric and columns say.

    """
    from seedstudy.decide import audit as audits
    from seedstudy.decide.compare import is_lower_better
    from seedstudy.decide.select import select_arms, what_was_read
    from seedstudy.read.published import read_published_table
    from seedstudy.stats.audit import Cells
    from seedstudy.study.group import Readings

    if unit not in (None, "percent", "fraction", "none"):
        raise StudyError(f'--unit "{unit}": expected percent, fraction or none.')
    if best_of is not None and n_seeds != 1:
        raise StudyError("--seeds and --best-of: each number is a mean or a best, not both.")
    if (sd is None) == (reference is None):
        raise StudyError(
            f"{table}: a table of single runs does not say its seed noise: give --sd 0.1, or --reference STUDY:RECIPE."
        )
    published = read_published_table(Path(table), columns=columns, label=label, unit=unit)
    source = _source({**locals(), "unit": None if unit == "none" else unit})
    if sd is not None:
        sweep, noise = [], audits.noise_of(sd, published.columns)
    elif reference is not None:
        (sweep,) = select_arms(_arms([reference], {}, audit, source), source)
        noise = audits.noise_of_sweep(sweep, published.columns)
    if lower_is_better is None:
        names = published.columns if metric == "top1" else (metric,)
        directions = {is_lower_better(name, None if unit == "none" else "pp") for name in names}
        if len(directions) > 1:
            raise StudyError(f"{table}: higher is better in some columns and lower in others: judge them one by one.")
        lower_is_better = directions.pop()
    answer = audits.audit(
        published,
        noise,
        cells=Cells(n=n_seeds) if best_of is None else Cells(kind="best", n=best_of),
        alpha=alpha,
        lower_is_better=lower_is_better,
        is_ladder=is_ladder,
    )
    read = Readings((published.reading, *what_was_read(sweep)))
    return replace(answer, left_out=source.left_out, read=read)


# --- trials and networks from elsewhere -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportAnswer:
    """What an import added to a study."""

    study: str
    folder: Path = field(metadata=HIDDEN)
    imported: int
    """Trials that were added; 0 where the same files were imported before."""
    notes: tuple[str, ...] = field(metadata=HIDDEN)
    """What the files left unclear."""
    summaries: Summaries = field(metadata=FLAT)
    """Of every recipe in the study."""

    @property
    def read(self) -> Readings:
        """What was read from the files."""
        return self.summaries.read

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``import --json``."""
        return fields_of(self)


@public
def import_files(
    *files: str | Path,
    results: str | Path = "results",
    study: str = "main",
    recipe: str | None = None,
    model: str | None = None,
    data: str | None = None,
    n_examples: int | str | Mapping[str, int] | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> ImportAnswer:
    """Put trials that were trained elsewhere into a study, so that every other question can be asked of them.

    Parameters
    ----------
    files
        Tables, logs, folders (with a slash at the end) or patterns.
    recipe, model, data
        Where the files do not say.
    n_examples
        Images of every eval set, or by eval set.

    """
    from seedstudy.decide.select import what_was_read
    from seedstudy.read.counts import trials_of_files
    from seedstudy.store import outside
    from seedstudy.store.store import Store

    if not files:
        raise StudyError("import needs files, for example `seedstudy import runs.csv`.")
    source = _source({**locals(), "model": None, "data": None})
    store = Store(Path(results), study)
    trials, notes, groups = trials_of_files(
        [str(file) for file in files],
        source,
        study=study,
        recipe=recipe,
        model=model,
        data=data,
        n_examples=n_examples,
    )
    is_new = outside.add(store.root, trials)
    return ImportAnswer(
        study=study,
        folder=store.root,
        imported=trials["trial_id"].n_unique() if is_new else 0,
        notes=notes,
        summaries=replace(_summaries((), replace(source, metric="top1"), level=0.95), read=what_was_read(groups)),
    )


@public
def inspect_files(
    *files: str | Path,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> Answers[Inspection]:
    """Say what files are taken for, and write nothing: the role of every column, and the runs that are found.

    See :func:`import_files` for the parameters.
    """
    from seedstudy.read.inspect import inspect

    if not files:
        raise StudyError("import needs files, for example `seedstudy import --dry-run runs.csv`.")
    source = _source({**locals(), "results": "results"})
    return Answers(answers=tuple(inspect(str(file), source) for file in files))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateAnswer:
    """Weights trained elsewhere, evaluated here."""

    model: str
    recipe: str
    preprocessing: Preprocessing
    evaluations: tuple[EvaluatedSet, ...]
    is_new: bool = field(metadata=HIDDEN)
    """Whether the study did not hold these evaluations yet."""
    folder: Path = field(metadata=HIDDEN)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``evaluate --json``."""
        return fields_of(self)


@public
def evaluate(
    model: str,
    *,
    weights: str | Path | None = None,
    data: str = "imagenet",
    data_dir: str | Path | None = None,
    eval_sets: str | Sequence[str] | None = None,
    recipe: str | None = None,
    size: int | None = None,
    crop: float | None = None,
    seed: int | None = None,
    published: str | Path | None = None,
    results: str | Path = "results",
    study: str = "evaluated",
    say: Say = terminal.say,
) -> EvaluateAnswer:
    """Evaluate published or own weights, and add the result to a study.

    Parameters
    ----------
    model
        timm model with weights (``resnet50.a1_in1k``), or ``hf-hub:user/name``.
    weights
        A weights file instead of timm's.
    recipe
        Preprocess as this recipe tests; None: as the weights say, at their test size.
    size, crop
        Side in pixels and share of the centre crop, instead.
    seed
        Seed these weights were trained with, where it is known.
    published
        timm's folder ``results``: its figures stand beside ours.

    """
    from seedstudy.read.published import timm_top1
    from seedstudy.store import outside

    check_name(study)
    require_extra("train")
    from seedstudy.train.pretrained import judge

    prepared = datasets.prepare(data, data_dir=_path(data_dir), cache_dir=machine.cache_dir(), progress=say)
    loaded = datasets.load(prepared)
    for sentence in loaded.doubts:
        say(f"{data}: {sentence}")
    tested_as = None if recipe is None else load_recipe(recipe)
    names = _available(loaded, eval_sets, say)
    judged = judge(model, loaded, names, weights=_path(weights), recipe=tested_as, size=size, crop=crop)
    loaded.check_unchanged()
    shown = judged.preprocessing
    tag, base = outside.recipe_and_model(model, _path(weights))
    is_new = outside.add_evaluated(
        Path(results) / study,
        judged.evaluations,
        loaded,
        preprocessing=str(shown),
        recipe=tag,
        model=base,
        seed=seed,
        n_params=judged.n_params,
        device=judged.device,
    )
    _warn_of_wrong_folders(judged, loaded, say)
    return EvaluateAnswer(
        model=base,
        recipe=tag,
        preprocessing=shown,
        evaluations=tuple(
            EvaluatedSet(
                eval_set=name,
                n_examples=each.n_examples,
                top1=100 * each.n_correct / each.n_examples,
                top5=100 * each.n_correct_top5 / each.n_examples,
                published_top1=None
                if published is None
                else timm_top1(Path(published), name, model, size=shown.size, crop=shown.crop),
            )
            for name, each in judged.evaluations.items()
        ),
        is_new=is_new,
        folder=Path(results) / study,
    )


def _available(data: Dataset, eval_sets: str | Sequence[str] | None, say: Say) -> tuple[str, ...]:
    """Return the eval sets asked for that are there; say which are not."""
    for name, sentence in data.missing.items():
        if name != "train" and (eval_sets is None or name in eval_sets):
            say(f"{data.name}: no {name}: {sentence}")
    chosen = tuple(name for name in data.eval_sets if eval_sets is None or name in eval_sets)
    if not chosen:
        raise StudyError(f"{data.name}: none of the eval sets asked for is there.")
    return chosen


def _warn_of_wrong_folders(judged: Judged, data: Dataset, say: Say) -> None:
    """Say so where V2 is at chance and val is not: labels sorted as text look like that."""
    share = {name: each.n_correct / each.n_examples for name, each in judged.evaluations.items()}
    for name in share:
        if name.startswith("v2") and share.get("val", 0.0) > 0.2 and share[name] < 0.05 * share["val"]:
            say(f"{data.name}: {name} is at chance while val is not: its folders do not hold the classes they say.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs(Answers[Cost]):
    """Size and, where it was timed, speed of networks."""

    answers: tuple[Cost, ...] = field(metadata=shown_as("costs"))


@public
def cost(
    *models: str,
    size: int | None = None,
    batch: int = 32,
    repeats: int = 10,
    counts_only: bool = False,
    say: Say = terminal.say,
) -> Costs:
    """Count and time networks without training them: parameters, multiply-adds, activations, latency, memory.

    Parameters
    ----------
    size
        Side of the images in pixels; None: the model's own.
    batch
        Images at a time, where more than one is timed.
    repeats
        Passes that are timed; the median is given.
    counts_only
        Time nothing.

    """
    if not models:
        raise StudyError("cost needs a model, for example `seedstudy cost resnet50`.")
    require_extra("train")
    from seedstudy.train import cost as costs

    if batch < 2 or repeats < 1:
        raise StudyError("--batch must be at least 2 (batch norm needs two images) and --repeats at least 1.")
    rows = []
    for name in models:
        say(f"{name}: counting" if counts_only else f"{name}: counting and timing")
        rows.append(costs.measure(name, image_size=size, batch_size=batch, n_timed=0 if counts_only else repeats))
    return Costs(answers=tuple(rows))


# --- what there is to train -------------------------------------------------------------------------------


@public
def recipes() -> catalogue.Catalogue:
    """Return the recipes that come with seedstudy, and what keeps them from being trained as they are."""
    return catalogue.catalogue()


@public
def recipe(name: str, *, model: str | None = None, data: str | None = None) -> RecipeFile:
    """Return every value of a recipe, for a network and scaled to a data set where these are given."""
    return catalogue.describe(name, model, data=_data_facts(data))


@public
def recipe_differences(
    *names: str, model: str | None = None, data: str | None = None, everything: bool = False
) -> catalogue.Differences:
    """Return in which values recipes differ, or all values."""
    return catalogue.differences(names, model, data=_data_facts(data), everything=everything)


@public
def recipe_models(*names: str) -> catalogue.Networks:
    """Return the networks whose training the recipes' sources report; of all packaged recipes by default."""
    return catalogue.networks(names)


@public
def data_sets() -> Catalogue:
    """Return the data sets that can be trained on."""
    return datasets.catalogue()


@public
def check_data(
    name: str, *, data_dir: str | Path | None = None, everything: bool = False, say: Say = terminal.say
) -> Check:
    """Say which parts of a data set are on disk, what is missing and how to get it.

    `everything`: decode every image, which takes minutes for a large data set, and name those that do not decode.
    """
    return datasets.check(name, _path(data_dir), is_thorough=everything, progress=say)


def _data_facts(name: str | None) -> DataInfo | None:
    return None if name is None else datasets.info(name)


# --- shared steps -----------------------------------------------------------------------------------------


def _source(given: Mapping[str, Any]) -> Source:
    """Return where a public function looks for results, from those of its arguments that say so."""
    from seedstudy.decide.select import Source

    known = {each.name for each in fields(Source) if each.init}
    asked = {name: value for name, value in given.items() if name in known and value is not None}
    if given.get("eval_set") is not None:
        asked["eval_sets"] = given["eval_set"]
    for name in ("eval_sets", "by", "ignore"):
        if isinstance(asked.get(name), str):
            asked[name] = (asked[name],)
    lists = {name: tuple(value) for name, value in asked.items() if name in ("eval_sets", "by", "ignore")}
    return Source(**{**asked, **lists, "results": Path(given["results"])})


def _arms(what: Sequence[Given], named: Mapping[str, Given], function: Callable[..., Any], source: Source) -> list[Arm]:
    from seedstudy.decide.given import arms_of

    options = options_of(function)
    return arms_of(what, named, of=function.__name__, options=options, is_table=bool(source.by))


def _store(results: str | Path, study: str) -> Store:
    from seedstudy.store.store import open_study

    return open_study(Path(results), study)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _summaries(arms: Sequence[Arm], source: Source, *, level: float) -> Summaries:
    from seedstudy.decide.select import select, what_was_read, with_distinct_labels
    from seedstudy.decide.summary import Summaries, summarise

    _check_level(level)
    groups = _flat(with_distinct_labels(select(arms, source)))
    answers = tuple(summarise(group, level=level) for group in groups)
    return Summaries(
        answers=answers, left_out=source.left_out, late_rules=source.late_rules, read=what_was_read(groups)
    )


def _with_sources(
    comparisons: Comparisons, source: Source, groups: Iterable[Group], *, margin: float | None
) -> Comparisons:
    """Return comparisons with what is to be said of the files and studies; a margin given is not the declared one."""
    from seedstudy.decide.select import what_was_read

    late_rules = source.late_rules if margin is None else ()
    return replace(comparisons, left_out=source.left_out, late_rules=late_rules, read=what_was_read(groups))


def _check_level(level: float) -> None:
    if not 0.5 <= level < 1.0:
        raise StudyError(f"--level {level:g}: must lie between 0.5 and 1, for example 0.95.")


def _needs_two(verb: str, arms: Sequence[Sequence[Group]]) -> str:
    """Return what to say where a comparison has no second arm."""
    if not arms:
        return f"{verb} needs two: A (the baseline) and B, for example `seedstudy compare a3 a2`."
    label, origin = arms[0][0].label, arms[0][0].origin
    return f"{verb} needs two: {origin} holds one arm, {label}; which column tells the arms apart? Say --by COLUMN."


def _flat(arms: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(arms))
