"""`compare`: the verdict on B against A."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import (
    EXIT_GATE,
    AsJson,
    Details,
    EvalSets,
    Level,
    LowerIsBetter,
    Margin,
    RngSeed,
    Save,
    Where,
    check_choice,
    eval_names,
    grouped,
    name_left_out,
    print_answer,
    values,
    words,
)
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.compare import Comparisons

VERDICTS = ("better", "worse", "equivalent", "inconclusive")


@grouped
def compare(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B [C]...", help="A is the baseline; B, C… are judged by it.")
    ] = None,
    *,
    where: Where,
    eval_sets: EvalSets = None,
    lower_is_better: LowerIsBetter = None,
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
    rng_seed: RngSeed = 0,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", help="Exit 3 at this verdict: worse, inconclusive…")
    ] = None,
    details: Details = False,
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
    from seedstudy import api
    from seedstudy.show.compare import across_data_tables, comparison_tables, grid_tables
    from seedstudy.show.plots import check_picture

    check_picture(save)
    asked: dict[str, Any] = {**values(where), "eval_sets": eval_names(eval_sets), "level": level}
    if grid:
        if gates or save is not None or all_pairs or paired or across_data:
            raise StudyError("--grid is a table of its own: leave --fail-on, --save and the other options out.")
        table = api.grid(*what or (), **asked)
        print_answer(table, lambda: grid_tables(table), as_json=as_json)
        name_left_out(table.left_out)
        return
    asked |= {"margin": margin, "lower_is_better": lower_is_better, "rng_seed": rng_seed}
    if across_data:
        if all_pairs or paired:
            raise StudyError("--across-data compares with A, unpaired: leave --all-pairs and --paired out.")
        pooled = api.across_data(*what or (), **asked)
        print_answer(pooled, lambda: across_data_tables(pooled), as_json=as_json)
        _end(pooled.comparisons, gates, save)
        return
    answer = api.compare(
        *what or (),
        **asked,
        all_pairs=all_pairs,
        paired=paired,
        primary=primary,
        correction=correction,  # type: ignore[arg-type]  # checked there
    )
    print_answer(answer, lambda: comparison_tables(answer, with_details=details), as_json=as_json)
    _end(answer, gates, save)


def _end(comparisons: Comparisons, gates: tuple[str, ...], save: Path | None) -> None:
    if save is not None:
        from seedstudy.show.plots.canvas import save_picture
        from seedstudy.show.plots.estimation import plot_estimation

        save_picture(plot_estimation(comparisons.answers), save)
    name_left_out(comparisons.left_out)
    if any(answer.verdict.word in gates for answer in comparisons.answers):
        raise typer.Exit(EXIT_GATE)
