"""`compare`: the verdict on B against A."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import OUTPUT, RARE, RULE
from seedstudy.errors import StudyError, suggest

if TYPE_CHECKING:
    from seedstudy.decide.compare import Comparisons

VERDICTS = ("better", "worse", "equivalent", "inconclusive")


@options.grouped
def compare(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B [C]", help="A is the baseline; B, C… are compared with it.")
    ] = None,
    *,
    where: options.Judged,
    eval_sets: options.EvalSets = None,
    lower_is_better: options.LowerIsBetter = None,
    margin: options.Margin = None,
    alpha: options.Alpha = 0.05,
    level: options.Level = 0.95,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Every recipe with every other one.", rich_help_panel=RULE)
    ] = False,
    grid: Annotated[
        bool,
        typer.Option(
            "--grid",
            help="Architectures x recipes as one table (of the whole study, or of A B…).",
            rich_help_panel=RULE,
        ),
    ] = False,
    across_data: Annotated[
        bool, typer.Option("--across-data", help="B against A on every data set both have.", rich_help_panel=RULE)
    ] = False,
    paired: Annotated[
        bool, typer.Option("--paired", help="Pair runs that used the same seed.", rich_help_panel=RULE)
    ] = False,
    primary: Annotated[
        str | None, typer.Option("--primary", help="Eval set that decides (default: val).", rich_help_panel=RULE)
    ] = None,
    correction: Annotated[
        str,
        typer.Option(
            "--correction", help="For several comparisons: bonferroni, holm, max-t or none.", rich_help_panel=RARE
        ),
    ] = "bonferroni",
    images: options.Images = None,
    clusters: options.Clusters = None,
    rng_seed: options.RngSeed = 0,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on", help="Exit 3 at this verdict on the eval set that decides: worse…", rich_help_panel=OUTPUT
        ),
    ] = None,
    details: options.Details = False,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Give the verdict on B (C…) against A.

    Better, worse, equivalent or inconclusive, on every eval set that both have.

    A, B: RECIPE, RECIPE@MODEL, STUDY:RECIPE@MODEL, a study's folder (results/main:a2); a file (numbers.txt,
    table.csv, table.csv:ARM, table.csv:COLUMN=VALUE), a folder of logs (runs/a2/), a quoted pattern
    ("runs/*/summary.csv"), or a published "79.5±0.1 n=5". One file with several arms is enough: table.csv, or
    table.csv --by COLUMN; its first arm is A.

    For example:
    seedstudy compare a3 a2 --margin 0.5
    seedstudy compare baseline.txt new.txt --metric top1
    seedstudy compare runs.csv --by recipe --save verdict.svg
    seedstudy compare "old: 79.5±0.1 n=5" "new: 79.8±0.1 n=5"
    seedstudy compare a3 a2 --format tex
    """
    gates = options.words(fail_on or "")
    for gate in gates:
        if gate not in VERDICTS:
            raise StudyError(f'--fail-on "{gate}" is not a verdict.{suggest(gate, VERDICTS)}')
    from seedstudy.show.compare import across_data_tables, comparison_tables, grid_tables

    asked: dict[str, Any] = {**options.values(where), "eval_sets": options.eval_names(eval_sets), "level": level}
    if grid:
        if gates or all_pairs or paired or across_data or images or clusters:
            raise StudyError("--grid is a table of its own: leave --fail-on and the other options out.")
        table = ss.grid(*what or (), **asked)
        options.print_answer(table, lambda: grid_tables(table), output=output)
        options.save_plot(save, table.plot)
        options.name_left_out(table.left_out)
        return
    asked |= {"margin": margin, "alpha": alpha, "lower_is_better": lower_is_better, "rng_seed": rng_seed}
    if across_data:
        if all_pairs or paired or images or clusters:
            raise StudyError(
                "--across-data compares with A, unpaired, on these images: leave --all-pairs, --paired, --images and "
                "--clusters out."
            )
        pooled = ss.across_data(*what or (), **asked)
        options.print_answer(pooled, lambda: across_data_tables(pooled), output=output)
        _end(pooled.comparisons, gates, save)
        return
    asked |= {"all_pairs": all_pairs, "paired": paired, "primary": primary, "correction": correction}
    asked |= {"images": images, "clusters": clusters}
    answer = ss.compare(*what or (), **asked)
    options.print_answer(answer, lambda: comparison_tables(answer, with_details=details), output=output)
    _end(answer, gates, save)


def _end(comparisons: Comparisons, gates: tuple[str, ...], save: Path | None) -> None:
    options.save_plot(save, lambda: ss.plot_estimation(comparisons.answers))
    options.name_left_out(comparisons.left_out)
    if any(answer.is_primary and answer.verdict.word in gates for answer in comparisons.answers):
        raise typer.Exit(options.EXIT_GATE)
