"""`run`: train recipes across seeds; and the hidden `trial`, which every engine runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import OUTPUT, RARE, READ, WHAT, WHERE
from seedstudy.errors import StudyError


@options.grouped
def run(
    study_file: Annotated[Path | None, typer.Argument(metavar="STUDY.toml", help="A study file.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "-r",
            "--recipe",
            help="Recipes, e.g. a2,a3 (names or files).",
            rich_help_panel=WHAT,
            autocompletion=options.complete_recipe,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Any timm model, resnet8, resnet20, …", rich_help_panel=WHAT)
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.", rich_help_panel=WHAT)] = None,
    *,
    design: Annotated[
        str | None,
        typer.Option(help="How streams vary: together (default), one-at-a-time or crossed.", rich_help_panel=RARE),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(help="Sources of a design and their seeds: init=5,order=0-4,augment+mix=5.", rich_help_panel=RARE),
    ] = None,
    replicates: Annotated[
        int | None, typer.Option(help="Trials with the same seed in every stream.", rich_help_panel=RARE)
    ] = None,
    data: options.TrainedData = None,
    training: options.Training,
    command: options.Commands,
    arms: Annotated[
        str | None,
        typer.Option("--arms", help="Names of the arms, put in place of {arm}, e.g. a2,a3.", rich_help_panel=WHAT),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Column or key of a command's result.", rich_help_panel=READ)
    ] = None,
    unit: options.Unit = None,
    lower_is_better: options.LowerIsBetter = None,
    data_dir: options.DataDir = None,
    placement: options.Placement,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be trained, and for how long.", rich_help_panel=OUTPUT),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Slurm: submit and leave.", rich_help_panel=WHERE)] = False,
    retry_failed: options.RetryFailed = False,
    repair: options.Repair = False,
    results: options.Results = Path("results"),
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            help="Name of the study (default: main).",
            rich_help_panel=OUTPUT,
            autocompletion=options.complete_study,
        ),
    ] = None,
    eval_sets: options.EvalSets = None,
    as_json: options.AsJson = False,
) -> None:
    """Train recipes, or run your own command, across seeds.

    Finished trials are left alone. Repeat the command after an interruption.

    For example:
    seedstudy run --recipe a2 --seeds 5
    seedstudy run -r a2,a3 -m resnet20 -d cifar10 --seeds 10 --dry-run
    seedstudy run study.toml
    seedstudy run --command "python train.py --lr {arm} --seed {seed}" --arms 1,2
    """
    asked: dict[str, Any] = {
        "recipes": recipe,
        "models": model,
        "data": data,
        "seeds": seeds,
        "design": design,
        "levels": levels,
        "replicates": replicates,
        "name": study,
        **options.values(training),
        "command": {**options.values(command), "metric": metric, "unit": unit, "lower_is_better": lower_is_better},
        "arms": arms,
        "placement": options.values(placement),
        "results": results,
        "data_dir": data_dir,
        "is_retry": retry_failed,
    }
    if dry_run:
        from seedstudy.show.status import forecast_view

        forecast = ss.dry_run(study_file, **asked, say=options.tell)
        words = ["run", *([str(study_file)] if study_file else []), *_given(asked)]
        options.print_answer(
            forecast,
            lambda: forecast_view(forecast, f"seedstudy {shlex.join(words)} --seeds 1"),
            output=options.Output(as_json=as_json),
        )
        return
    answer = ss.run(
        study_file,
        **asked,
        is_repair=repair,
        is_detached=detach,
        # Images of one's own may have eval sets of any name, and so may a command.
        eval_sets=options.eval_names(
            eval_sets, is_known=study_file is None and command.run is None and ":" not in (data or "")
        ),
        say=options.tell,
    )
    summaries, about = answer.summaries, f"study {answer.study}"
    if detach:
        options.tell(f"{about}: submitted; `seedstudy status {answer.study}` shows the state of its trials.")
        return
    if as_json:
        options.print_document(answer)
    elif summaries:
        from seedstudy.show.summary import summary_tables

        options.print_answer(answer, lambda: summary_tables(summaries), output=options.Output())
    if not as_json:
        ended = ", ".join(f"{count} {state}" for state, count in answer.counts.items() if count)
        options.tell(f"{about}: {len(answer.states)} trials: {ended}; results in {answer.folder}")
    if not answer.is_complete:
        raise typer.Exit(options.EXIT_FAILED)
    if summaries:
        options.name_left_out(summaries.left_out)


def _given(asked: Mapping[str, Any]) -> list[str]:
    """Return the options of a run that say what is trained, without the seeds."""
    words = []
    for option, key in (("-r", "recipes"), ("-m", "models"), ("-d", "data"), ("--data-dir", "data_dir")):
        words += [option, str(asked[key])] if asked[key] is not None else []
    for option, key in (("--epochs", "epochs"), ("--train-limit", "train_limit"), ("--study", "name")):
        words += [option, str(asked[key])] if asked[key] is not None else []
    for each in asked["assignments"] or ():
        words += ["--set", each]
    if asked["command"]["run"]:
        words += ["--command", asked["command"]["run"], *(["--arms", asked["arms"]] if asked["arms"] else [])]
        words += ["--result", asked["command"]["result"]] if asked["command"]["result"] else []
    return words


def trial(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Folder of a study, e.g. results/main.")],
    trial_ids: Annotated[list[str] | None, typer.Argument(metavar="TRIAL_ID", help="Names of their folders.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Folder of the prepared data in the cache.")] = None,
    stack: Annotated[str, typer.Option(help="Seeds of a small model side by side: a number, or auto (timed).")] = "1",
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the weights of finished trials.")] = False,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Kernels that add in a fixed order.")] = False,
    compile: Annotated[str | None, typer.Option(help="Compile trainings: off, on, or auto (timed).")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Epochs between evaluations of val.")] = None,
    command: Annotated[str | None, typer.Option("--command", help="How commands are run, by a launcher.")] = None,
    attended: Annotated[
        bool, typer.Option("--attended", help="Stop when stdin ends; requests may come there.")
    ] = False,
) -> None:
    """Train planned trials, one after the other; finished ones are left alone. Exit 75: stopped, can be resumed."""
    from seedstudy import machine
    from seedstudy.engines import worker
    from seedstudy.engines.command import main as run_commands
    from seedstudy.study.command import Handling
    from seedstudy.study.placement import Placement, placed

    if not trial_ids and not attended:
        raise StudyError("no trial named: `seedstudy trial results/main TRIAL_ID`; `seedstudy status main` names them.")
    if command is not None:
        code = run_commands(study_dir.absolute(), trial_ids or [], Handling.from_json(command), is_attended=attended)
        raise typer.Exit(code)
    code = worker.main(
        study_dir.absolute(),
        trial_ids or [],
        prepared=prepared,
        cache_dir=machine.cache_dir(),
        is_attended=attended,
        placement=placed(
            Placement(),
            {
                "stack": stack,
                "deterministic": deterministic,
                "compile": compile,
                "eval_every": eval_every,
                "keep_weights": keep_weights or None,  # None is not given
            },
            where="--",
        ),
    )
    raise typer.Exit(code)
