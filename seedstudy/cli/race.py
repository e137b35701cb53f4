"""`race`: seeds are added until the question is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import (
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
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.race import Race
    from seedstudy.decide.summary import Source

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
        from seedstudy.engines import race as live
        from seedstudy.study.seeds import PURPOSES, parse_vary
        from seedstudy.study.study import Placement, Study, check_name

        where = {"engine": engine, "workers": workers, "processes": processes, "cores": cores, "gpus": gpus}
        shared = Study(
            recipes=(),
            models=(model,) if model else (),
            data=data,
            epochs=epochs,
            train_limit=train_limit,
            assignments=tuple(assignments or ()),
            vary=PURPOSES if vary is None else parse_vary(vary.split(",")),
            name=check_name(study),
            placement=placement_of(Placement(), where | {"stack": stack, "template": template}),
        )
        ended = live.race(
            live.arms_of(what, shared),
            given,
            results=results,
            cache_dir=cache_dir(),
            data_dir=data_dir,
            eval_set=names[0] if names else "val",
            target=target,
            is_retry=retry_failed,
            say=tell,
            on_look=_show_look,
        )
    if as_json:
        print_json(ended.to_dict())
    else:
        from seedstudy.show.format import show
        from seedstudy.show.race import race_tables

        show(race_tables(ended))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.race(ended), save)


def _replay(
    what: Sequence[str], source: Source, given: Mapping[str, Any], *, target: float | None, lower_is_better: bool
) -> Race:
    from seedstudy.decide import racing
    from seedstudy.decide import summary as analysis
    from seedstudy.stats.race import Plan

    groups = []
    for arm in analysis.select_arms(what, source):
        there = analysis.by_eval_set(arm)
        wanted = source.eval_sets[0] if source.eval_sets else ("val" if "val" in there else next(iter(there)))
        groups.append(there[wanted])
        if groups[-1].moments is not None:
            raise StudyError(f"race: {groups[-1].label} is a published mean; a race needs one number per seed.")
    plan = Plan(**{"most": racing.most_of(groups), **given})
    return racing.replay_groups(groups, plan, target=target, lower_is_better=lower_is_better)


def _show_look(race: Race) -> None:
    from seedstudy.show.race import look_lines

    for line in look_lines(race):
        tell(line)
