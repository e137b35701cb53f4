"""`summary`, `fit` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedstudy.cli.options import (
    EXIT_GATE,
    EXIT_USAGE,
    AsJson,
    EvalSets,
    Level,
    Margin,
    Metric,
    Results,
    Save,
    StudyName,
    Unit,
    check_choice,
    check_level,
    check_picture,
    damaged_trials,
    declared_margin,
    print_json,
    source_of,
    summaries_of,
    tell_damaged,
    words,
)
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.summary import Source

CORRECTIONS = ("holm", "max-t", "none")
VERDICTS = ("better", "worse", "equivalent", "inconclusive")


def summary(
    what: Annotated[list[str] | None, typer.Argument(metavar="[WHAT]...", help="RECIPE, RECIPE@MODEL, a file…")] = None,
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    level: Level = 0.95,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Show n, mean, std, min, max and seed 0 per eval set, each with its interval (the RSB table)."""
    check_picture(save)
    source = source_of(results, study, eval_sets, metric, unit)
    damaged = damaged_trials(what or (), source)
    summaries = summaries_of(what or (), source, level=level)
    if as_json:
        print_json({"groups": [row.to_dict() for row in summaries]})
    else:
        from seedstudy.show.format import show
        from seedstudy.show.summary import summary_table

        show(summary_table(summaries))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.distributions(summaries), save)
    if damaged:
        tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)


def fit(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="One recipe: RECIPE, RECIPE@MODEL, a file, a folder…")],
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    level: Level = 0.95,
    n_examples: Annotated[
        int | None, typer.Option("--n-examples", min=1, help="Images of the eval set, where a file does not say.")
    ] = None,
    rng_seed: Annotated[int, typer.Option("--rng-seed", help="Seed of the bootstrap.")] = 0,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Describe the distribution over seeds: families, goodness of fit, histogram with Gaussian fit (RSB Figure 2)."""
    check_level(level)
    check_picture(save)
    from seedstudy.api import Fits
    from seedstudy.decide import summary as analysis

    source = source_of(results, study, eval_sets, metric, unit)
    damaged = damaged_trials([what], source)
    groups = analysis.select_one(what, source)
    fits = Fits(
        groups=tuple(
            analysis.fit_group(group, level=level, n_examples=n_examples, rng_seed=rng_seed) for group in groups
        )
    )
    if as_json:
        print_json(fits.to_dict())
    else:
        from seedstudy.show.format import show
        from seedstudy.show.summary import fit_table

        show(fit_table(fits.groups))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.fits(fits.groups), save)
    if damaged:
        tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)


def compare(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B [C]...", help="A is the baseline; B, C… are judged by it.")
    ] = None,
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    lower_is_better: Annotated[
        bool | None,
        typer.Option("--lower-is-better/--higher-is-better", help="For losses and error rates; known names tell."),
    ] = None,
    margin: Margin = None,
    level: Level = 0.95,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Every recipe with every other one.")] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Architectures x recipes as one table (of the whole study, or of A B…).")
    ] = False,
    across_data: Annotated[
        bool, typer.Option("--across-data", help="B against A on every data set both have.")
    ] = False,
    paired: Annotated[bool, typer.Option("--paired", help="Equal seeds share streams, split or fold.")] = False,
    primary: Annotated[str | None, typer.Option("--primary", help="Eval set that decides (default: val).")] = None,
    correction: Annotated[
        str, typer.Option("--correction", help="For several comparisons: holm, max-t or none.")
    ] = "holm",
    rng_seed: Annotated[int, typer.Option("--rng-seed", help="Seed of permutations and bootstrap.")] = 0,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", help="Exit 3 at this verdict: worse, inconclusive…")
    ] = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Give the verdict on B (C…) against A: better, worse, equivalent or inconclusive.

    A, B: RECIPE, RECIPE@MODEL, STUDY:RECIPE@MODEL; a file (numbers.txt, table.csv, table.csv:RECIPE,
    table.csv:COLUMN=VALUE), a folder of logs (runs/a2), a quoted pattern ("runs/*/summary.csv"), or a published
    "79.5±0.1 n=5".
    """
    gates = words(fail_on or "")
    for gate in gates:
        check_choice("--fail-on", gate, VERDICTS, what="verdict")
    check_choice("--correction", correction, CORRECTIONS, what="correction")
    check_level(level)
    check_picture(save)
    source = source_of(results, study, eval_sets, metric, unit)
    if grid:
        if gates or save is not None or all_pairs or paired or across_data:
            raise StudyError("--grid is a table of its own: leave --fail-on, --save and the other options out.")
        _grid(what or [], source, level=level, as_json=as_json)
        return
    if not what or len(what) < 2:
        raise StudyError("compare needs two: A (the baseline) and B, for example `seedstudy compare a3 a2`.")
    from seedstudy.decide import compare as judgement
    from seedstudy.decide import summary as analysis
    from seedstudy.decide.verdict import Rule

    damaged = damaged_trials(what, source)
    arms = analysis.select_all(what, source) if across_data else analysis.select_arms(what, source)
    rule = Rule(
        margin=margin if margin is not None else declared_margin(source),
        alpha=1.0 - level,
        lower_is_better=judgement.lower_is_better(arms[0][0], lower_is_better),
    )
    pooled = None
    if across_data:
        from seedstudy.decide import wider

        if all_pairs or paired:
            raise StudyError("--across-data compares with A, unpaired: leave --all-pairs and --paired out.")
        pooled = wider.across_data(arms, rule, level=level, rng_seed=rng_seed)
        comparisons = pooled.comparisons
    else:
        design = judgement.Design(
            all_pairs=all_pairs,
            paired=paired,
            primary=primary,
            correction=correction,  # type: ignore[arg-type]  # checked above
        )
        comparisons = judgement.judge(arms, rule, level=level, design=design, rng_seed=rng_seed)
    if as_json:
        print_json(comparisons.to_dict() if pooled is None else pooled.to_dict())
    else:
        from seedstudy.show.compare import across_data_tables, comparison_table
        from seedstudy.show.format import show

        show(comparison_table(comparisons) if pooled is None else across_data_tables(pooled))
    if save is not None:
        from seedstudy.show import plots

        plots.save(plots.estimation(comparisons.answers), save)
    if damaged:
        tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)
    if any(answer.verdict.word in gates for answer in comparisons.answers):
        raise typer.Exit(EXIT_GATE)


def _grid(what: list[str], source: Source, *, level: float, as_json: bool) -> None:
    from seedstudy.decide import summary as analysis
    from seedstudy.decide import wider

    damaged = damaged_trials(what, source)
    answers = wider.analyse_grid(analysis.select_groups(what, source), level=level)
    if as_json:
        print_json({"grids": [answer.to_dict() for answer in answers]})
    else:
        from seedstudy.show.compare import grid_tables
        from seedstudy.show.format import show

        show(grid_tables(answers))
    if damaged:
        tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)
