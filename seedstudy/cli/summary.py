"""`summary`: the table of n, mean, std, min, max and seed 0."""

from __future__ import annotations

from typing import Annotated

import typer

from seedstudy.cli.options import (
    AsJson,
    Details,
    EvalSets,
    Level,
    Save,
    Where,
    eval_names,
    grouped,
    name_left_out,
    print_answer,
    values,
)


@grouped
def summary(
    what: Annotated[list[str] | None, typer.Argument(metavar="[WHAT]...", help="RECIPE, RECIPE@MODEL, a file…")] = None,
    *,
    where: Where,
    eval_sets: EvalSets = None,
    level: Level = 0.95,
    details: Details = False,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Show n, mean, std, min, max and seed 0 per eval set, each with its interval (the RSB table)."""
    from seedstudy import api
    from seedstudy.show.plots import check_picture
    from seedstudy.show.summary import summary_tables

    check_picture(save)
    answer = api.summary(*what or (), **values(where), eval_sets=eval_names(eval_sets), level=level)
    print_answer(answer, lambda: summary_tables(answer, with_details=details), as_json=as_json)
    if save is not None:
        from seedstudy.show.plots.canvas import save_picture
        from seedstudy.show.plots.distributions import plot_distributions

        save_picture(plot_distributions(answer), save)
    name_left_out(answer.left_out)
