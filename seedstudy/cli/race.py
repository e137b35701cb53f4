"""`race`: seeds are added until the question is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import (
    EXIT_FAILED,
    AsJson,
    DataDir,
    Margin,
    Metric,
    Results,
    Save,
    StudyName,
    Unit,
    cache_dir,
    eval_names,
    print_json,
    source_of,
    tell,
)
from seedstudy.errors import SeedstudyError, StudyError, suggest

if TYPE_CHECKING:
    from seedstudy.decide.race import Race, RaceRule
    from seedstudy.decide.summary import Source
    from seedstudy.engines.launch import Grid
    from seedstudy.store.store import Store
    from seedstudy.study.study import Study, Trial

Alpha = Annotated[float | None, typer.Option(help="Error rate of each claim, over all looks (default 0.05).")]


def race(
    what: Annotated[list[str], typer.Argument(metavar="A B [C]...", help="RECIPE or RECIPE@MODEL; files to replay.")],
    replay: Annotated[bool, typer.Option("--replay", help="Train nothing: race on results or files.")] = False,
    margin: Margin = None,
    most: Annotated[int | None, typer.Option("--max-seeds", help="Budget: seeds per arm (default 20).")] = None,
    first: Annotated[int | None, typer.Option("--first-look", help="Seeds per arm at the first look (3).")] = None,
    every: Annotated[int | None, typer.Option("--look-every", help="Seeds per arm between looks (1).")] = None,
    method: Annotated[
        str | None, typer.Option("--spending", help="obrien-fleming (default), pocock or anytime (no fixed end).")
    ] = None,
    alpha: Alpha = None,
    futility: Annotated[
        float | None, typer.Option(help="Stop where the predicted chance of a decision is below this.")
    ] = None,
    target: Annotated[float | None, typer.Option(help="Race one recipe against this number.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Model of arms that name none.")] = None,
    data: Annotated[str, typer.Option("-d", "--data", help="Data set (default: the embedded shapes).")] = "shapes",
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Train for so many epochs instead of the recipe's.")] = None,
    train_limit: Annotated[int | None, typer.Option(help="Only the first N training images, class-balanced.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: change a recipe value (repeatable).")
    ] = None,
    vary: Annotated[str | None, typer.Option(help="Streams that follow the seed: init,order,augment,mix,drop.")] = None,
    workers: Annotated[str | None, typer.Option(help="Trials at a time: a number, or auto.")] = None,
    engine: Annotated[str | None, typer.Option(help="Where trials are trained: local, slurm or ray.")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes that train one trial together.")] = None,
    cores: Annotated[int | None, typer.Option(help="Cores for each process.")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs for each process; 0.25 shares one among four.")] = None,
    stack: Annotated[
        str | None, typer.Option(help="Seeds of a small model trained side by side: a number, or auto (timed).")
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="Slurm: script that stands at the top of each job (#SBATCH lines, modules).")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")] = False,
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_set: Annotated[str | None, typer.Option("--eval", help="The eval set that decides (default val).")] = None,
    metric: Metric = "top1",
    unit: Unit = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="For losses and error rates.")] = False,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Add seeds, round by round, until the question is decided; the same command goes on."""
    names = eval_names(eval_set)
    if names is not None and len(names) != 1:
        raise StudyError(f"--eval {eval_set}: one eval set decides a race; compare shows the others.")
    plan = {
        "alpha": alpha,
        "margin": margin,
        "method": method,
        "first": first,
        "every": every,
        "most": most,
        "futility": futility,
    }
    given = {key: value for key, value in plan.items() if value is not None}
    if replay:
        source = source_of(results, study, eval_set, metric, unit)
        ended = _replay(what, source, given, target=target, lower_is_better=lower_is_better)
    else:
        if metric != "top1" or lower_is_better or unit is not None:
            raise StudyError("race: trials are raced by top1; other metrics come from files, with --replay.")
        from seedstudy.cli.run import placement_of
        from seedstudy.study.study import Placement, Study, check_name

        where = {"engine": engine, "workers": workers, "processes": processes, "cores": cores, "gpus": gpus}
        blank = Study(
            recipes=(),
            data=data,
            epochs=epochs,
            train_limit=train_limit,
            name=check_name(study),
            placement=placement_of(Placement(), where | {"stack": stack, "template": template}),
        )
        arms = _arms(what, blank, model=model, vary=vary, assignments=assignments)
        runner = _Runner(arms, results, data_dir, is_retry=retry_failed)
        ended = runner.race(given, eval_set=names[0] if names else "val", target=target)
    if as_json:
        print_json(ended.to_dict())
    else:
        from seedstudy.show.format import show
        from seedstudy.show.race import race_tables

        show(race_tables(ended))
    if save is not None:
        from seedstudy.show.plots.canvas import save_picture
        from seedstudy.show.plots.race import plot_race

        save_picture(plot_race(ended), save)


def _replay(
    what: Sequence[str], source: Source, given: Mapping[str, Any], *, target: float | None, lower_is_better: bool
) -> Race:
    from seedstudy.decide import racing
    from seedstudy.decide import summary as analysis
    from seedstudy.stats.sequential import Plan

    groups = []
    for arm in analysis.select_arms(what, source):
        there = analysis.by_eval_set(arm)
        wanted = source.eval_sets[0] if source.eval_sets else ("val" if "val" in there else next(iter(there)))
        groups.append(there[wanted])
        if groups[-1].moments is not None:
            raise StudyError(f"race: {groups[-1].label} is a published mean; a race needs one number per seed.")
    plan = Plan(**{"most": racing.most_of(groups), **given})
    return racing.replay_groups(groups, plan, target=target, lower_is_better=lower_is_better)


def _arms(
    what: Sequence[str], blank: Study, *, model: str | None, vary: str | None, assignments: Sequence[str] | None
) -> dict[str, Study]:
    """Return each arm's study: its label as tables call it, and what to train."""
    from dataclasses import replace

    from seedstudy.data import info
    from seedstudy.study.seeds import parse_vary

    arms: dict[str, Study] = {}
    for name in what:
        recipe, _, own_model = name.partition("@")
        chosen = own_model or model or info(blank.data).default_model
        label = f"{Path(recipe).stem if recipe.endswith('.toml') else recipe}@{chosen}"
        if label in arms:
            raise StudyError(f"race: {label} stands twice; every arm races once.")
        changes: dict[str, Any] = {"recipes": (recipe,), "models": (chosen,), "assignments": tuple(assignments or ())}
        if vary is not None:
            changes["vary"] = parse_vary(vary.split(","))
        arms[label] = replace(blank, **changes)
    return arms


class _Runner:
    """Trains the rounds of a race through the engine, and reads their results in the order of the seeds."""

    def __init__(self, arms: Mapping[str, Study], results: Path, data_dir: Path | None, *, is_retry: bool) -> None:
        from seedstudy.store.store import Store

        self._arms, self._data_dir, self._is_retry = arms, data_dir, is_retry
        self._store: Store = Store(results, next(iter(arms.values())).name)
        self._grids: dict[str, Grid] = {}
        self._eval_set = "val"

    def race(self, given: Mapping[str, Any], *, eval_set: str, target: float | None) -> Race:
        from seedstudy.decide import racing

        rule = self._rule(given, eval_set, target)
        self._eval_set = eval_set
        self._grids = {label: self._resolve(study, rule.plan.most) for label, study in self._arms.items()}
        self._declare(rule)
        return racing.run(rule, self._read, lambda needs: self._train(rule, needs), _tell_look)

    def _rule(self, given: Mapping[str, Any], eval_set: str, target: float | None) -> RaceRule:
        """Return the declared rule, or a new one; what is given must agree with what was declared."""
        from seedstudy.decide.race import RaceRule
        from seedstudy.stats.sequential import Plan

        kept = self._store.race_rule()
        labels = tuple(self._arms)
        if kept is None:
            return RaceRule(arms=labels, plan=Plan(**given), eval_set=eval_set, target=target)
        where = str(self._store.root / "race.json")
        declared = RaceRule.from_dict(kept, where=where)
        wanted = RaceRule(arms=labels, plan=declared.plan, eval_set=eval_set, target=target)
        for key in ("arms", "eval_set", "target"):
            self._same(key, getattr(declared, key), getattr(wanted, key))
        is_more = declared.plan.method == "anytime" and given.get("most", 0) > declared.plan.most
        for key, value in given.items():
            if not (key == "most" and is_more):
                self._same(key, getattr(declared.plan, key), value)
        if not is_more:
            return declared
        from dataclasses import replace

        return replace(declared, plan=replace(declared.plan, most=given["most"]))

    def _same(self, key: str, declared: Any, wanted: Any) -> None:
        if declared != wanted:
            shown = [", ".join(value) if isinstance(value, tuple) else value for value in (declared, wanted)]
            raise StudyError(
                f"study {self._store.study}: its race was declared with {key} = {shown[0]}, now {key} = {shown[1]}: "
                "the rule of a started race cannot be changed; start another one with --study NAME."
            )

    def _resolve(self, study: Study, most: int) -> Grid:
        from dataclasses import replace

        from seedstudy.engines.launch import resolve

        whole = replace(study, seeds=tuple(range(most)))
        return resolve(whole, data_dir=self._data_dir, cache_dir=cache_dir(), tell=tell)

    def _declare(self, rule: RaceRule) -> None:
        """Write the rule before the first seed, with what makes the arms what they are."""
        document = rule.to_dict() | {
            "trains": {label: _identity(grid.trials[0]) for label, grid in self._grids.items()},
        }
        kept = self._store.race_rule()
        if kept is None:
            done = [t for grid in self._grids.values() for t in grid.trials if self._store.has_result(t.trial_id)]
            if done:
                raise StudyError(
                    f"study {self._store.study}: {len(done)} trials of this race are finished already, and its rule "
                    "must be written before the first seed: race in a study of its own (--study NAME), or --replay."
                )
            self._store.declare_race(document)
            return
        for label, identity in document["trains"].items():
            for key, value in identity.items():
                self._same(f"{label}: {key}", kept.get("trains", {}).get(label, {}).get(key), value)
        if kept["plan"] != document["plan"]:
            self._store.raise_race_budget(document)

    def _train(self, rule: RaceRule, needs: Mapping[str, int]) -> None:
        """Train one round, recipes in turn for each seed."""
        from dataclasses import replace

        from seedstudy.engines.launch import train

        first = self._grids[rule.arms[0]]
        trials = sorted(
            (trial for label, n in needs.items() for trial in self._grids[label].trials[:n]), key=lambda t: t.seed
        )
        study = replace(self._arms[rule.arms[0]], margin=rule.plan.margin, baseline=rule.arms[0].partition("@")[0])
        try:
            train(
                self._store,
                study,
                replace(first, trials=tuple(trials)),
                is_retry=self._is_retry,
                tell=tell,
            )
        except SeedstudyError:
            if not self._store.trial_ids():
                self._store.withdraw_race()
            raise
        self._is_retry = False
        for trial in trials:
            if not self._store.has_result(trial.trial_id):
                tell(f"race: {trial.trial_id} failed, and a race skips no seed: --retry-failed trains it again.")
                raise typer.Exit(EXIT_FAILED)

    def _read(self) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Return the results of each arm up to the first seed that has none."""
        import numpy as np

        values: dict[str, Any] = {}
        costs: dict[str, list[float]] = {}
        for label, grid in self._grids.items():
            numbers: list[float] = []
            costs[label] = []
            for trial in grid.trials:
                if not self._store.has_result(trial.trial_id):
                    break
                state, rows = self._store.read_trial(trial.trial_id)
                numbers.append(self._accuracy(trial, rows) if state == "ok" else float("nan"))
                costs[label].append(rows[0]["train_s"])
            values[label] = np.array(numbers)
        return values, costs

    def _accuracy(self, trial: Trial, rows: Sequence[Mapping[str, Any]]) -> float:
        by_set = {row["eval_set"]: row for row in rows}
        if self._eval_set not in by_set:
            raise StudyError(
                f'{trial.trial_id} was not evaluated on "{self._eval_set}".{suggest(self._eval_set, by_set)}'
            )
        row = by_set[self._eval_set]
        return 100.0 * float(row["n_correct"]) / float(row["n_examples"])


def _identity(trial: Trial) -> dict[str, Any]:
    return {
        "recipe_id": trial.recipe.recipe_id,
        "model": trial.model,
        "data": trial.data,
        "data_fingerprint": trial.data_fingerprint,
        "vary": list(trial.vary),
    }


def _tell_look(race: Race) -> None:
    from seedstudy.show.race import look_lines

    for line in look_lines(race):
        tell(line)
