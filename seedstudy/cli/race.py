"""`race`: seeds are added until the question is decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import RARE, RULE, WHAT

if TYPE_CHECKING:
    from seedstudy.decide.race import Race


@options.grouped
def race(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="A B [C]", help="RECIPE, RECIPE@MODEL, arms; files to replay.")
    ] = None,
    *,
    replay: Annotated[
        bool, typer.Option("--replay", help="Train nothing: race on results or files.", rich_help_panel=WHAT)
    ] = False,
    margin: options.Margin = None,
    most: Annotated[
        int | None, typer.Option("--max-seeds", help="Budget: seeds per arm (default 20).", rich_help_panel=RULE)
    ] = None,
    first: Annotated[
        int | None, typer.Option("--first-look", help="Seeds per arm at the first look (3).", rich_help_panel=RARE)
    ] = None,
    every: Annotated[
        int | None, typer.Option("--look-every", help="Seeds per arm between looks (1).", rich_help_panel=RARE)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--spending", help="obrien-fleming (default), pocock or anytime (no fixed end).", rich_help_panel=RULE
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Error rate of each claim, over all looks (default 0.05).", rich_help_panel=RULE),
    ] = None,
    futility: Annotated[
        float | None,
        typer.Option(help="Stop where the predicted chance of a decision is below this.", rich_help_panel=RARE),
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Race one recipe against this number.", rich_help_panel=RARE)
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model of arms that name none.", rich_help_panel=WHAT)
    ] = None,
    data: options.TrainedData = None,
    training: options.Training,
    command: options.Commands,
    study_file: Annotated[
        Path | None,
        typer.Option("--study-file", help="A study file that declares the command and its arms.", rich_help_panel=RARE),
    ] = None,
    data_dir: options.DataDir = None,
    placement: options.Placement,
    retry_failed: options.RetryFailed = False,
    repair: options.Repair = False,
    where: options.Files,
    eval_set: options.EvalSet = None,
    lower_is_better: options.LowerIsBetter = None,
    images: options.Images = None,
    save: options.Save = None,
    output: options.Cited,
) -> None:
    """Add seeds, round by round, until the question is decided.

    The same command resumes a race that was interrupted.

    For example:
    seedstudy race a3 a2 --margin 0.5 --max-seeds 20
    seedstudy race --replay runs.csv --by recipe
    """
    from seedstudy.show.race import look_lines, race_tables

    def say_look(race: Race) -> None:
        for line in look_lines(race):
            options.tell(line)

    answer = ss.race(
        *(what or ()),
        replay=replay,
        margin=margin,
        target=target,
        eval_set=options.one_eval_set(eval_set),
        **{**options.values(where), "images": images},
        lower_is_better=lower_is_better,
        plan={"alpha": alpha, "method": method, "first": first, "every": every, "most": most, "futility": futility},
        model=model,
        data=data,
        training={**options.values(training), "placement": options.values(placement)},
        command=options.values(command),
        study_file=study_file,
        data_dir=data_dir,
        is_retry=retry_failed,
        is_repair=repair,
        on_look=say_look,
        say=options.tell,
    )
    options.print_answer(answer, lambda: race_tables(answer), output=output)
    options.save_plot(save, lambda: ss.plot_race(answer))
    options.name_left_out(answer.left_out)
