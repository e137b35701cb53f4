"""The options that several commands share, in groups, and how every command ends."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

import seedstudy as ss
from seedstudy import terminal
from seedstudy.errors import StudyError, suggest

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED = 1, 2, 3, 130

Results = Annotated[Path, typer.Option("--results", help="Folder that holds the studies.")]
StudyName = Annotated[str, typer.Option("--study", help="Name of the study inside the results folder.")]
StudyArgument = Annotated[str, typer.Argument(metavar="[STUDY]", help="Name of the study.")]
AsJson = Annotated[bool, typer.Option("--json", help="The same facts for machines, on stdout.")]
EvalSets = Annotated[str | None, typer.Option("--eval", help="Eval sets, e.g. val,real,v2 (default: all there are).")]
EvalSet = Annotated[str | None, typer.Option("--eval", help="The one eval set that counts (default: val).")]
Metric = Annotated[str, typer.Option("--metric", help="Metric, or column of a file.")]
Unit = Annotated[str | None, typer.Option("--unit", help="percent or fraction, where plain accuracies leave it open.")]
LowerIsBetter = Annotated[
    bool | None, typer.Option("--lower-is-better/--higher-is-better", help="For metrics whose name leaves it open.")
]
Level = Annotated[float, typer.Option("--level", help="Confidence level of the intervals.")]
Alpha = Annotated[float, typer.Option("--alpha", help="Error rate of each claim.")]
Details = Annotated[bool, typer.Option("--details", help="Also what decides nothing: medians, a new seed, ranks…")]
RngSeed = Annotated[int, typer.Option("--rng-seed", help="Seed of permutations and bootstrap.")]

Images = Annotated[
    str | None, typer.Option("--images", help="Verdicts about these test images (default), or new ones like them.")
]
Clusters = Annotated[
    str | None, typer.Option("--clusters", help="class: new images come with new classes, not one by one.")
]


def check_picture(path: Path | None) -> Path | None:
    from seedstudy.show import plots

    plots.check_picture(path)
    return path


Save = Annotated[
    Path | None,
    typer.Option("--save", callback=check_picture, help="Also write the picture (.png, .pdf or .svg)."),
]
TrainedData = Annotated[str | None, typer.Option("-d", "--data", help="Data set (default: the embedded shapes).")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the data set.")]
Margin = Annotated[
    float | None, typer.Option("--margin", help="Smallest difference of interest, in points (default: the study's).")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")]
Repair = Annotated[
    bool, typer.Option("--repair", help="Set aside and train again any number of damaged or incomplete results.")
]


@dataclass(frozen=True, slots=True)
class Where:
    """Where results are looked up, and which number of theirs is meant."""

    results: Results = Path("results")
    study: StudyName = "main"
    metric: Metric = "top1"
    unit: Unit = None


@dataclass(frozen=True, slots=True)
class Files(Where):
    """Where results are, and what a table does not say itself about its columns."""

    by: Annotated[list[str] | None, typer.Option("--by", help="Column whose values are the arms (repeatable).")] = None
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", help="Column that says nothing about the recipe (repeatable).")
    ] = None
    pool: Annotated[bool, typer.Option("--pool", help="All rows of an arm are seeds of one recipe.")] = False
    clock: Annotated[str | None, typer.Option("--clock", help="Column that counts within a run (epoch, step…).")] = None
    seeds_by: Annotated[str | None, typer.Option("--seeds-by", help="Column that numbers the seeds.")] = None


@dataclass(frozen=True, slots=True)
class Judged(Files):
    """What is judged: which results of all that were found."""

    model: Annotated[str | None, typer.Option("-m", "--model", help="Only results of this model.")] = None
    data: Annotated[str | None, typer.Option("-d", "--data", help="Only results on this data set.")] = None


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained, beside recipes, models, data and seeds."""

    epochs: Annotated[int | None, typer.Option(help="Train for so many epochs instead of the recipe's.")] = None
    train_limit: Annotated[int | None, typer.Option(help="Only the first N training images, class-balanced.")] = None
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: change a recipe value (repeatable).")
    ] = None
    vary: Annotated[str | None, typer.Option(help="Streams that follow the seed: init,order,augment,mix,drop.")] = None
    augment: Annotated[
        str | None, typer.Option(help="Who augments: batched (tensors on the device, default) or pil (timm's own).")
    ] = None


@dataclass(frozen=True, slots=True)
class Commands:
    """A command of the user that is run in place of training recipes."""

    run: Annotated[
        str | None, typer.Option("--command", help="Run this for each seed: your train.py with {arm}, {seed}, {out}.")
    ] = None
    result: Annotated[
        str | None, typer.Option("--result", help='File with its result, "{out}/…"; else a JSON line on stdout.')
    ] = None
    resume: Annotated[
        str | None, typer.Option("--resume", help="What continues an interrupted one from {out}; same: the command.")
    ] = None
    shell: Annotated[bool | None, typer.Option("--shell", help="Have /bin/sh run the command.")] = None
    environment: Annotated[
        list[str] | None, typer.Option("--env", help="NAME=VALUE in its environment (repeatable).")
    ] = None
    code: Annotated[
        list[str] | None, typer.Option("--code", help="File or folder whose content decides what pools (repeatable).")
    ] = None
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Pattern of files in {out} to keep (repeatable; default: all).")
    ] = None
    time_limit: Annotated[float | None, typer.Option("--time-limit", help="Minutes for one attempt.")] = None
    folder: Annotated[Path | None, typer.Option("--folder", help="Where the command runs (default: here).")] = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where trials are trained, and with what."""

    engine: Annotated[str | None, typer.Option(help="Where trials are trained: local, slurm or ray.")] = None
    workers: Annotated[str | None, typer.Option(help="Trials at a time: a number, or auto.")] = None
    nodes: Annotated[int | None, typer.Option(help="Slurm, Ray: machines that train one trial together.")] = None
    processes: Annotated[int | None, typer.Option(help="Processes that train one trial, on each machine.")] = None
    cores: Annotated[int | None, typer.Option(help="Cores for each process.")] = None
    gpus: Annotated[float | None, typer.Option(help="GPUs for each process; 0.25 shares one among four.")] = None
    stack: Annotated[
        str | None,
        typer.Option(help="Seeds of a small model trained side by side: a number (default: 1), or auto (timed)."),
    ] = None
    trials_per_job: Annotated[int | None, typer.Option(help="Trials that one job of a queue trains in turn.")] = None
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="GPUs: the same bits every time, more slowly.")
    ] = None
    eval_every: Annotated[
        int | None, typer.Option(help="Epochs between evaluations of val while training (default: by their cost).")
    ] = None
    hang_timeout: Annotated[
        float | None, typer.Option(help="End and train again what shows no progress for so many minutes.")
    ] = None
    log_to: Annotated[
        str | None, typer.Option("--log-to", help="Log finished trials to wandb, mlflow, tensorboard or trackio.")
    ] = None
    keep_weights: Annotated[
        bool | None,
        typer.Option(
            "--keep-weights/--no-keep-weights",
            help="Keep the weights of finished trials (default: unless the data set is an embedded one).",
        ),
    ] = None
    template: Annotated[
        Path | None, typer.Option(help="Slurm: a script that begins each job (#SBATCH lines, modules).")
    ] = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose parameters of a dataclass above are spread into that class's options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []

    def add(name: str, kind: Any, default: Any) -> None:
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))

    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not (isinstance(kind, type) and is_dataclass(kind)):
            add(parameter.name, kind, parameter.default)
            continue
        groups[parameter.name] = kind
        of_group = get_type_hints(kind, include_extras=True)
        for option in fields(kind):
            add(option.name, of_group[option.name], option.default)

    def call(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{option.name: given.pop(option.name) for option in fields(kind)})
        command(**given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def values(group: Any) -> dict[str, Any]:
    """Return the options of a group by name."""
    return {option.name: getattr(group, option.name) for option in fields(group)}


# --- words of options ------------------------------------------------------------------------------------


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def eval_names(text: str | None, *, is_known: bool = False) -> tuple[str, ...] | None:
    """Return the eval sets of a list with commas, a file's own too unless only known ones will do; None for all."""
    from seedstudy.data.base import EVAL_SET_ORDER

    names = None if text is None else words(text)
    for name in names or ():
        if is_known and name not in EVAL_SET_ORDER:
            raise StudyError(f'unknown eval set "{name}".{suggest(name, EVAL_SET_ORDER)}')
    return names


def one_eval_set(text: str | None) -> str | None:
    """Return the name of one eval set; None for the default."""
    names = eval_names(text)
    if names is not None and len(names) != 1:
        raise StudyError(f"--eval {text}: name one eval set.")
    return names[0] if names else None


# --- how a command ends ----------------------------------------------------------------------------------


def print_answer(answer: Any, render: Callable[[], Any], *, as_json: bool) -> None:
    """Print an answer to stdout: as a document for machines, or as tables below what was read from files."""
    if as_json:
        from seedstudy.document import document

        print(json.dumps(document(answer), indent=1, allow_nan=False))
        return
    from seedstudy.show.format import show, small_print

    about = getattr(answer, "comparisons", None) or getattr(answer, "summaries", None) or answer
    late_rules = [small_print(f"note: {sentence}") for sentence in getattr(about, "late_rules", ())]
    show(*[reading.line() for reading in getattr(answer, "read", ())], render(), *late_rules)


def save_plot(path: Path | None, draw: Callable[[], Any]) -> None:
    """Draw and write a picture, where one was asked for."""
    if path is not None:
        ss.save_picture(draw(), path)


def name_left_out(sentences: Sequence[str]) -> None:
    """Name what is damaged, on stderr, and exit as for wrong usage where there is any."""
    for sentence in sentences:
        tell(f"left out: {sentence}")
    if sentences:
        raise typer.Exit(EXIT_USAGE)


def tell(text: str) -> None:
    """Say one line on stderr."""
    terminal.say(text)
