"""`power` and `audit`: how many seeds a question needs, and what published numbers are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedstudy.cli.options import AsJson, Metric, Results, Save, StudyName, Unit, print_json, source_of, words
from seedstudy.errors import StudyError, suggest

if TYPE_CHECKING:
    from seedstudy.decide.audit import Noise
    from seedstudy.decide.plan import Spread
    from seedstudy.decide.summary import Group, Source


def power(
    difference: Annotated[float | None, typer.Option(help="Difference to plan for, in the unit of --sd.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Seeds per arm.")] = None,
    sd: Annotated[
        str | None,
        typer.Option("--sd", help="Std over seeds: 0.1, two of them (0.1,0.2), or rsb-val, rsb-real, rsb-v2."),
    ] = None,
    pilot: Annotated[
        list[str] | None, typer.Option("--pilot", help="RECIPE, STUDY:RECIPE or a file: std from there (up to twice).")
    ] = None,
    power: Annotated[
        float, typer.Option("--power", help="Probability with which the question is to be settled.")
    ] = 0.8,
    alpha: Annotated[float, typer.Option(help="Error rate of the claim.")] = 0.05,
    margin: Annotated[float | None, typer.Option(help="Plan to show equivalence within it.")] = None,
    cost: Annotated[
        str | None, typer.Option(help="GPU-hours per seed: a number, or MODEL@RECIPE of RSB Table 3 (resnet50@a2).")
    ] = None,
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_set: Annotated[str | None, typer.Option("--eval", help="Eval set of a pilot (default val).")] = None,
    metric: Metric = "top1",
    unit: Unit = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Plan: seeds per arm for a difference, smallest detectable difference for n seeds, and their cost."""
    from seedstudy.decide import plan as planning

    source = source_of(results, study, eval_set, metric, unit)
    groups = _pilots(pilot or (), source)
    plan = planning.power(
        _spread(sd, groups),
        difference=difference,
        n=n,
        power=power,
        alpha=alpha,
        margin=margin,
        gpu_hours_per_seed=_gpu_hours(cost, groups, source),
    )
    if as_json:
        print_json(plan.to_dict())
    else:
        from seedstudy.show.format import show
        from seedstudy.show.plan import power_lines

        show(power_lines(plan))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.power(plan, planning.curve(plan)), save)


def _pilots(selectors: Sequence[str], source: Source) -> list[Group]:
    from seedstudy.decide import summary as analysis

    if len(selectors) > 2:
        raise StudyError(f"--pilot: {len(selectors)} pilots given; one serves both arms, two serve one each.")
    groups = []
    for selector in selectors:
        there = analysis.by_eval_set(analysis.select_one(selector, source))
        group = there[source.eval_sets[0] if source.eval_sets else "val" if "val" in there else next(iter(there))]
        if group.n < 2:
            raise StudyError(f"--pilot {selector}: {group.n} seed says nothing about the spread; train at least 2.")
        groups.append(group)
    return groups


def _spread(sd: str | None, groups: Sequence[Group]) -> Spread:
    from seedstudy.decide.plan import Spread
    from seedstudy.read.published import reference_stds

    if (sd is None) == (not groups):
        raise StudyError("power needs the spread over seeds, once: --sd 0.1, --sd rsb-val, or --pilot STUDY:RECIPE.")
    if groups:
        a, b = groups[0], groups[-1]
        names = " and ".join(dict.fromkeys(group.label for group in groups))
        return Spread(sd_a=_sd(a), sd_b=_sd(b), n_a=a.n, n_b=b.n, source=f"{names}, {a.eval_set}")
    assert sd is not None
    presets = reference_stds()
    parts = words(sd)
    if len(parts) == 1 and parts[0] in presets:
        known = presets[parts[0]]
        source = f"RSB, {known.n} seeds of ResNet-50 A2, {known.eval_set}"
        return Spread(sd_a=known.std, sd_b=known.std, n_a=known.n, n_b=known.n, source=source)
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise StudyError(f'--sd "{sd}": expected a number, two (0.1,0.2) or one of {", ".join(presets)}.') from None
    if len(numbers) not in (1, 2):
        raise StudyError(f'--sd "{sd}": expected one number for both arms, or two.')
    return Spread(sd_a=numbers[0], sd_b=numbers[-1])


def _sd(group: Group) -> float:
    from seedstudy.stats.sample import sd_of

    return sd_of(group.values) if group.moments is None else group.moments.sd


def _gpu_hours(cost: str | None, groups: Sequence[Group], source: Source) -> tuple[float, float] | None:
    """Return GPU-hours per seed of each arm: given, published, or measured in the pilot's study."""
    if cost is None:
        measured = [_measured_hours(group, source) for group in groups]
        return None if not measured or None in measured else (measured[0] or 0.0, measured[-1] or 0.0)
    from seedstudy.read.published import gpu_hours

    if "@" in cost:
        model, _, recipe = cost.partition("@")
        hours = gpu_hours(model, recipe)
        return hours, hours
    try:
        hours = float(cost)
    except ValueError:
        raise StudyError(
            f'--cost "{cost}": expected GPU-hours per seed, or MODEL@RECIPE such as resnet50@a2.'
        ) from None
    return hours, hours


def _measured_hours(group: Group, source: Source) -> float | None:
    """Return the mean training time of a pilot's trials in hours; None for files."""
    import polars as pl

    from seedstudy.store.store import Store

    if group.model is None:
        return None
    trials = Store(source.results, source.study).scan().trials
    mine = trials.filter(
        (pl.col("recipe_id") == group.recipe_id)
        & (pl.col("model") == group.model)
        & (pl.col("status") == "ok")
        & (pl.col("eval_set") == group.eval_set)
    )
    return float(mine["train_s"].mean()) / 3600.0 if mine.height else None  # type: ignore[arg-type]  # not null


def audit(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.csv", help="A row per model, a column per recipe or eval set.")
    ],
    sd: Annotated[
        str | None, typer.Option("--sd", help="Std over seeds: 0.1, val=0.1,v2=0.23 per column, or rsb by eval set.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="RECIPE, STUDY:RECIPE or a file: std from this sweep over seeds.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns to judge, e.g. top1_a1,top1_a2.")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the names of the rows (default: the first).")] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Each number is the mean of so many seeds.")] = 1,
    best_of: Annotated[int | None, typer.Option("--best-of", help="Each number is the best of so many seeds.")] = None,
    ladder: Annotated[bool, typer.Option("--ladder", help="Compare each row with the one before it.")] = False,
    alpha: Annotated[float, typer.Option(help="Error rate over each family of comparisons.")] = 0.05,
    results: Results = Path("results"),
    study: StudyName = "main",
    metric: Metric = "top1",
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="percent or fraction, where it is not plain; none: no accuracies."),
    ] = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="For losses and error rates.")] = False,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Say which differences of a published table of single runs exceed seed noise."""
    from seedstudy.decide import audit as auditing
    from seedstudy.read.published import read_published_table
    from seedstudy.stats.audit import Cells

    if unit not in (None, "percent", "fraction", "none"):
        raise StudyError(f'--unit "{unit}": expected percent, fraction or none.')
    if best_of is not None and seeds != 1:
        raise StudyError("--seeds and --best-of: each number is a mean or a best, not both.")
    if (sd is None) == (reference is None):
        raise StudyError(
            f"{table}: a table of single runs does not tell its seed noise: give --sd 0.1, or --reference STUDY:RECIPE."
        )
    read = read_published_table(table, columns=words(columns) if columns else None, label=label, unit=unit)
    source = source_of(results, study, None, metric, None if unit == "none" else unit)
    noise = _noise_of_sweep(reference, read.columns, source) if reference else _noise(str(sd), read.columns)
    answer = auditing.audit(
        read,
        noise,
        cells=Cells(n=seeds) if best_of is None else Cells(kind="best", n=best_of),
        alpha=alpha,
        lower_is_better=lower_is_better,
        is_ladder=ladder,
    )
    if as_json:
        print_json(answer.to_dict())
    else:
        from seedstudy.show.audit import audit_tables
        from seedstudy.show.format import show

        show(audit_tables(answer))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.audit(answer), save)


def _noise(sd: str, columns: Sequence[str]) -> Noise:
    from seedstudy.decide.audit import Noise
    from seedstudy.read.published import reference_stds

    if sd == "rsb":
        known = {reference.eval_set: reference.std for reference in reference_stds().values()}
        source = "RSB, 100 seeds of ResNet-50 A2"
        return Noise(sd={name: known[name] for name in columns if name in known}, df=99.0, source=source)
    found: dict[str, float] = {}
    for part in words(sd):
        name, is_named, text = part.rpartition("=")
        if is_named and name not in columns:
            raise StudyError(f'--sd {part}: no column "{name}" is judged.{suggest(name, columns)}')
        try:
            number = float(text)
        except ValueError:
            raise StudyError(f'--sd "{sd}": expected 0.1, val=0.1,v2=0.23 or rsb.') from None
        found |= {name: number} if is_named else dict.fromkeys(columns, number)
    return Noise(sd=found)


def _noise_of_sweep(reference: str, columns: Sequence[str], source: Source) -> Noise:
    """Return the std of a sweep: of the column's own eval set where it is one, else of val."""
    from seedstudy.decide import summary as analysis
    from seedstudy.decide.audit import Noise

    groups = analysis.by_eval_set(analysis.select_one(reference, source))
    usual = groups.get("val") or next(iter(groups.values()))
    if usual.n < 2:
        raise StudyError(
            f"--reference {reference}: {usual.n} seed says nothing about the spread; at least 2 are needed."
        )
    sds = {name: _sd(groups.get(name, usual)) for name in columns}
    return Noise(sd=sds, df=usual.n - 1.0, source=f"{usual.label}, {usual.n} seeds")
