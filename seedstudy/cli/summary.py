"""`summary`: the table of n, mean, std, min, max and seed 0; `fit`: the distribution over seeds."""

from __future__ import annotations

from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


@options.grouped
def summary(
    what: Annotated[list[str] | None, typer.Argument(metavar="WHAT", help="RECIPE, RECIPE@MODEL, a file…")] = None,
    *,
    where: options.Judged,
    eval_sets: options.EvalSets = None,
    level: options.Level = 0.95,
    details: options.Details = False,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Show n, mean, std, min, max and seed 0, with intervals.

    One row per recipe and eval set: the table of "ResNet strikes back".

    For example:
    seedstudy summary
    seedstudy summary a2 --details
    seedstudy summary runs.csv --by recipe --format md
    """
    from seedstudy.show.summary import summary_tables

    answer = ss.summary(*what or (), **options.values(where), eval_sets=options.eval_names(eval_sets), level=level)
    options.print_answer(answer, lambda: summary_tables(answer, with_details=details), output=output)
    options.save_plot(save, lambda: ss.plot_distributions(answer))
    options.name_left_out(answer.left_out)


@options.grouped
def fit(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="One recipe: RECIPE, RECIPE@MODEL, a file, a folder…")],
    *,
    where: options.Judged,
    eval_sets: options.EvalSets = None,
    level: options.Level = 0.95,
    n_examples: Annotated[
        int | None, typer.Option("--n-examples", min=1, help="Images of the eval set, where a file does not say.")
    ] = None,
    rng_seed: options.RngSeed = 0,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Describe the distribution over seeds.

    Families of distributions, goodness of fit, and with --save the histogram with its Gaussian fit (RSB Figure 2).

    For example:
    seedstudy fit a2 --eval val --save a2.png
    seedstudy fit accuracies.txt
    """
    from seedstudy.show.summary import fit_table

    names = options.eval_names(eval_sets)
    asked = {**options.values(where), "eval_sets": names, "n_examples": n_examples}
    answer = ss.fit(what, **asked, level=level, rng_seed=rng_seed)
    options.print_answer(answer, lambda: fit_table(answer), output=output)
    options.save_plot(save, lambda: ss.plot_fits(answer))
    options.name_left_out(answer.left_out)
