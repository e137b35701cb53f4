"""`power`: how many seeds a question needs."""

from __future__ import annotations

from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options


@options.grouped
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
    from_one: Annotated[
        str | None, typer.Option("--from-one", help="RECIPE with a single training: limits of the std.")
    ] = None,
    power: Annotated[
        float, typer.Option("--power", help="Probability with which the question is to be settled.")
    ] = 0.8,
    alpha: Annotated[float, typer.Option(help="Error rate of the claim.")] = 0.05,
    margin: Annotated[float | None, typer.Option(help="Plan to show equivalence within it.")] = None,
    paired: Annotated[
        float | None, typer.Option(help="Plan pairs of the same seed whose results correlate by this (see variance).")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="GPU-hours per seed: a number, or MODEL@RECIPE of RSB Table 3 (resnet50@a2).")
    ] = None,
    *,
    where: options.Judged,
    eval_set: options.EvalSet = None,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Plan the seeds per arm, or the difference that they show.

    Seeds for a difference, smallest detectable difference for n seeds, power for both, and what they cost.

    For example:
    seedstudy power --difference 0.2 --sd rsb-val
    seedstudy power --n 5 --sd 0.1
    seedstudy power --difference 0.2 --pilot main:a2
    """
    from seedstudy.show.plan import power_lines

    answer = ss.power(
        sd,
        pilots=pilot or (),
        from_one=from_one,
        difference=difference,
        n=n,
        power=power,
        alpha=alpha,
        margin=margin,
        paired=paired,
        cost=cost,
        **options.values(where),
        eval_set=options.one_eval_set(eval_set),
    )
    options.print_answer(answer, lambda: power_lines(answer), output=output)
    options.save_plot(save, lambda: ss.plot_power(answer))
    options.name_left_out(answer.left_out)
