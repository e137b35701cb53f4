"""Numbers in, answers out: describe recipes, compare them, race them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seedstudy import machine, terminal
from seedstudy.api.shared import (
    arms_of_call,
    check_level,
    flat,
    is_given,
    needs_two,
    path_of,
    source_of,
    summaries_of,
    with_sources,
)
from seedstudy.arguments import check, public
from seedstudy.errors import StudyError, suggest
from seedstudy.study.study import adjusted, load_study

if TYPE_CHECKING:
    from seedstudy.decide.across import AcrossData
    from seedstudy.decide.compare import Comparisons, Correction
    from seedstudy.decide.gate import GateAnswer
    from seedstudy.decide.given import Given
    from seedstudy.decide.grid import Grids
    from seedstudy.decide.race import Race
    from seedstudy.decide.scaling import Scaling
    from seedstudy.decide.summary import Fits, Summaries
    from seedstudy.decide.variance import Variances
    from seedstudy.engines.watch import Say


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

    Examples
    --------
    >>> import seedstudy as ss
    >>> ss.summary(mixup=[78.31, 78.22, 78.40, 78.27, 78.35])
    <mixup on val: 78.310 [78.224, 78.396], std 0.0696, n 5>

    """
    source = source_of(locals())
    return summaries_of(arms_of_call(what, arms, summary, source), source, level=level)


@public
def variance(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    level: float = 0.95,
    clusters: Literal["class"] | None = None,
    replicates: int = 0,
    rng_seed: int = 0,
    **arms: Given,
) -> Variances:
    """Say where the spread over seeds comes from, by each image's prediction: seeds as such, or the test images.

    Of a design (:mod:`seedstudy.study.design`) also what each random stream adds, alone and combined with others.
    `what`: recipes of a study, as for :func:`summary`; nothing: the whole study. Later recipes are also read as
    differences from the first: on these images, and on new images like them (`clusters`: with classes drawn as a
    whole); with `replicates` also by the multi-bootstrap.
    """
    source = source_of(locals())
    from seedstudy.decide.components import designs_of
    from seedstudy.decide.select import select, with_distinct_labels
    from seedstudy.decide.streams import shared_streams
    from seedstudy.decide.variance import Variances, variances_of

    check_level(level)
    groups = with_distinct_labels(select(arms_of_call(what, arms, variance, source), source))
    designs = designs_of(flat(groups), level=level)
    try:
        answer = variances_of(groups, source, level=level, clusters=clusters, replicates=replicates, rng_seed=rng_seed)
    except StudyError as error:
        if not designs.is_any:
            raise
        answer = Variances(answers=(), without_images=str(error), left_out=source.left_out)
    return replace(answer, designs=designs.crossed, subsets=designs.subsets, shared=shared_streams(groups, level=level))


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

    Examples
    --------
    >>> import seedstudy as ss
    >>> ss.fit(mixup=[78.31, 78.22, 78.40, 78.27, 78.35])
    <mixup on val: normal seeds not rejected, n 5>

    """
    from seedstudy.decide.select import select_by_data, what_was_read
    from seedstudy.decide.summary import Fits, fit_group

    source = source_of(locals())
    check_level(level)
    asked = arms_of_call(what, arms, fit, source)
    if len(asked) != 1:
        raise StudyError("fit needs one recipe, for example ss.fit(trials, 'a2').")
    found = flat(flat(select_by_data(asked, source)))
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
    images: Literal["these", "new"] | None = None,
    clusters: Literal["class"] | None = None,
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
    images
        What the verdicts are about, beside new seeds: ``these`` test images, or ``new`` ones like them, which needs
        trials whose predictions are stored. None: as the study declared, else these. Either way both are in the answer.
    clusters
        ``class``: new images come with new classes (Miller 2024); None: each image is drawn by itself.

    Examples
    --------
    >>> import seedstudy as ss
    >>> old = [78.02, 77.94, 78.11, 78.05, 77.98]
    >>> new = [78.31, 78.22, 78.40, 78.27, 78.35]
    >>> ss.compare(baseline=old, mixup=new, margin=0.1)
    <better: mixup - baseline on val = +0.290 [0.192, 0.388], p = 0.00014, n 5+5>
    >>> ss.compare(old, new)[0].verdict.word
    'better'

    """
    from seedstudy.decide.compare import CORRECTIONS, Design, judge, rule_for
    from seedstudy.decide.images import OnImages
    from seedstudy.decide.looks import race_command, with_looks
    from seedstudy.decide.select import may_be_several, select_by_data

    if correction not in CORRECTIONS:
        raise StudyError(f'--correction "{correction}" is not a correction.{suggest(correction, CORRECTIONS)}')
    source = source_of(locals())
    asked = arms_of_call(what, arms, compare, source)
    by_data = select_by_data(asked, source) if may_be_several(asked) else [[]]
    if len(by_data[0]) < 2:
        raise StudyError(needs_two("compare", by_data[0]))
    groups = flat(flat(by_data))
    rule = rule_for(groups, margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better, images=images)
    on_images = OnImages(source, clusters=clusters, is_needed=rule.images == "new")
    design = Design(all_pairs=all_pairs, paired=paired, primary=primary, correction=correction)
    answer = judge(by_data, rule, design=design, images=on_images, rng_seed=rng_seed)
    answer = with_looks(answer, source.studies)
    answer = replace(answer, race=race_command(answer, [arm.words for arm in asked], source))
    return with_sources(answer, source, groups, margin=margin)


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
    from seedstudy.decide.compare import direction_for
    from seedstudy.decide.gate import judge_gate
    from seedstudy.decide.select import on_one_eval_set, select_arms

    source = source_of(locals())
    seeds, sweep = (
        on_one_eval_set(arm, source) for arm in select_arms(arms_of_call((new, baseline), {}, gate, source), source)
    )
    if lower_is_better is None:
        lower_is_better = direction_for((sweep, seeds))
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

    source = source_of(locals())
    check_level(level)
    groups = flat(select(arms_of_call(what, arms, grid, source), source))
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

    source = source_of(locals())
    asked = arms_of_call(what, arms, across_data, source)
    found = [groups for _, groups in select_each(asked, source)] if may_be_several(asked) else []
    if len(found) < 2:
        raise StudyError(needs_two("--across-data", found))
    rule = rule_for(flat(found), margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better)
    answer = across.across_data(found, rule, rng_seed=rng_seed)
    return replace(answer, comparisons=with_sources(answer.comparisons, source, flat(found), margin=margin))


@public
def scaling(
    *what: Given,
    cost: str | None = None,
    by: str | None = None,
    sd: float | None = None,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_set: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    rng_seed: int = 0,
    say: Say = terminal.say,
) -> Scaling:
    """Read error against cost: one power law or not, and which strategy has the smaller error at equal cost.

    Parameters
    ----------
    what
        Tables with a row per network, size and seed, or recipes of a study as for :func:`summary`; nothing: the whole
        study.
    cost, by
        Columns of the tables: the cost (None: by its name, else multiply-adds, counted from timm's names and sizes),
        and the strategies (None: what is scaled alone, such as depth or width).
    sd
        Standard deviation over seeds, for single runs; None: pooled over cells with several seeds.
    margin
        Smallest difference of errors that matters; without one a law cannot be "supported".

    """
    from seedstudy.api import cells
    from seedstudy.decide.scaling import scaling as judged
    from seedstudy.decide.select import what_was_read

    source = source_of({**locals(), "by": None})
    arms = arms_of_call(what, {}, scaling, source)
    found = cells.cells_of(arms, source, cost=cost, by=by, metric=metric, unit=unit, say=say)
    answer = judged(
        found.rows,
        cost=found.cost,
        metric=found.metric,
        unit=found.unit,
        sd=sd,
        margin=margin,
        alpha=alpha,
        level=level,
        rng_seed=rng_seed,
    )
    return replace(answer, left_out=source.left_out, read=found.read or what_was_read(()))


def _refuse_arms_of_a_command(arms: Sequence[str], results: Path, study: str) -> None:
    """Say how arms that are no recipes are raced, where the study has trained them by a command."""
    from seedstudy.recipes.reader import packaged_names
    from seedstudy.store.store import Store
    from seedstudy.study.command import CommandTrial

    unknown = {arm for arm in arms if not arm.endswith(".toml")} - set(packaged_names())
    store = Store(results, study)
    if unknown and any(
        isinstance(spec, CommandTrial) and spec.arm in unknown for spec in map(store.read_spec, store.trial_ids())
    ):
        raise StudyError(
            f"race: study {study} trains {' and '.join(arms)} by a command. On the results that are there: add "
            "--replay. To train: give its file with --study-file, and a new name with --study."
        )


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
    images: Literal["these", "new"] | None = None,
    plan: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    command: str | Mapping[str, Any] | None = None,
    study_file: str | Path | None = None,
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
    images
        As in :func:`compare`: what the verdicts are about, beside new seeds. About new images a race needs more seeds,
        and where the images' error alone is too large no number is enough.
    plan
        Values of :class:`~seedstudy.stats.race.Plan`: ``alpha``, ``method``, ``first``, ``every``, ``most``,
        ``futility``; the defaults for the others, with `replay` the shortest arm as the budget.
    model, data
        Of arms that name no model, and of all; with `replay` as in :func:`compare`.
    training
        What else the arms share, for example ``{"epochs": 10}``; see
        :func:`~seedstudy.study.study.adjusted`.
    command
        What to run in place of recipes, as text or with the keys of ``[command]`` of a study file; `what` are its
        arms.
    study_file
        One that declares the command and its arms; no `what`: all of them.
    on_look
        Receives the race after each look of a live race.

    Examples
    --------
    >>> import seedstudy as ss
    >>> old = [78.02, 77.94, 78.11, 78.05, 77.98]
    >>> new = [78.31, 78.22, 78.40, 78.27, 78.35]
    >>> ss.race(old, new, replay=True)
    <better: B - A, a difference is shown at 4 seeds per arm, with error rate 0.05 over all looks>

    """
    from seedstudy.decide.compare import rule_for
    from seedstudy.decide.images import OnImages
    from seedstudy.decide.race import replay_groups, with_images
    from seedstudy.decide.select import on_one_eval_set, select, select_arms, what_was_read
    from seedstudy.stats.race import Plan

    given = {key: value for key, value in (plan or {}).items() if value is not None}
    check(Plan, (), given, name="race: plan")
    source = source_of(locals())
    asked = arms_of_call(what, arms, race, source)
    if replay:
        groups = [on_one_eval_set(arm, source) for arm in select_arms(asked, source)]
        if not groups:
            raise StudyError(needs_two("race", []))
        rule = rule_for(groups, margin=margin, alpha=0.05, level=0.95, lower_is_better=lower_is_better, images=images)
        on_images = OnImages(source, is_needed=rule.images == "new")
        answer = replay_groups(
            groups,
            given,
            margin=rule.margin,
            lower_is_better=rule.lower_is_better,
            target=target,
            on_new_images=on_images if rule.images == "new" else None,
            rng_seed=rng_seed,
        )
        answer = with_images(answer, groups, on_images)
        return replace(answer, left_out=source.left_out, read=what_was_read(groups))
    start = None if study_file is None else load_study(study_file)
    is_command = is_given(command) or (start is not None and start.command is not None)
    if not is_command and (metric != "top1" or lower_is_better or unit is not None):
        raise StudyError("race: recipes are raced by top1; other metrics come from files (--replay) and commands.")
    from seedstudy.engines import race as live
    from seedstudy.store.store import Store

    recipes = [arm.words for arm in asked]
    if not all(recipes) or arms:
        raise StudyError("race trains recipes, for example ss.race('a3', 'a2'); numbers and files need replay=True.")
    declared = Store(Path(results), study).rule()
    if margin is None:
        margin = declared.margin
    shared = {"models": model, "data": data, **(training or {})}
    if is_command:
        number = {"metric": metric if metric != "top1" else None, "unit": unit, "lower_is_better": lower_is_better}
        words = {"run": command} if isinstance(command, str) else (command or {})
        shared |= {"command": {**number, **words}, "arms": recipes or None}
    else:
        _refuse_arms_of_a_command(recipes, Path(results), study)
        shared["recipes"] = recipes
    check(adjusted, (), shared, name="race: training")
    plan_of_all = adjusted(start, name=study, **shared)
    if margin is None:
        margin = plan_of_all.margin
    if images is None:
        images = "new" if "new" in (declared.images, plan_of_all.images) else None
    if images == "new" and is_command:
        raise StudyError("race: new images need the prediction for each image, which a command does not give.")
    answer = live.race(
        live.arms_of(recipes, plan_of_all),
        given if margin is None else {**given, "margin": margin},
        results=Path(results),
        cache_dir=machine.cache_dir(),
        data_dir=path_of(data_dir),
        eval_set=eval_set or "val",
        target=target,
        images=images,
        is_retry=is_retry,
        is_repair=is_repair,
        say=say,
        on_look=on_look or (lambda race: None),
    )
    source = replace(source, eval_sets=(answer.rule.eval_set,))
    trained = [group for group in select([], source)[0] if group.label in answer.rule.arms]
    return with_images(answer, trained, OnImages(source))
