"""`fit`: the distribution over seeds."""

from __future__ import annotations

from typing import Annotated

import typer

from seedstudy.cli.options import (
    AsJson,
    EvalSets,
    Level,
    RngSeed,
    Save,
    Where,
    eval_names,
    grouped,
    name_left_out,
    print_answer,
    values,
)


@grouped
def fit(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="One recipe: RECIPE, RECIPE@MODEL, a file, a folder…")],
    *,
    where: Where,
    eval_sets: EvalSets = None,
    level: Level = 0.95,
    n_examples: Annotated[
        int | None, typer.Option("--n-examples", min=1, help="Images of the eval set, where a file does not say.")
    ] = None,
    rng_seed: RngSeed = 0,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Describe the distribution over seeds: families, goodness of fit, histogram with Gaussian fit (RSB Figure 2)."""
    from seedstudy import api
    from seedstudy.show.plots import check_picture
    from seedstudy.show.summary import fit_table

    check_picture(save)
    answer = api.fit(
        what, **values(where), eval_sets=eval_names(eval_sets), level=level, n_examples=n_examples, rng_seed=rng_seed
    )
    print_answer(answer, lambda: fit_table(answer), as_json=as_json)
    if save is not None:
        from seedstudy.show.plots.canvas import save_picture
        from seedstudy.show.plots.fits import plot_fits

        save_picture(plot_fits(answer), save)
    name_left_out(answer.left_out)
