"""The options that several commands share, in groups, and how every command ends."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

import seedstudy as ss
from seedstudy import terminal
from seedstudy.cli.help import DATA, OUTPUT, RARE, READ, RULE, WHAT, WHERE, HelpAll
from seedstudy.errors import StudyError, suggest

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED = 1, 2, 3, 130

# --- what a shell completes ------------------------------------------------------------------------------


def _of_list(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the lists with commas that the last, unfinished word may become."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def complete_recipe(incomplete: str) -> list[str]:
    """Return recipes, one or a list with commas."""
    from seedstudy.recipes.reader import packaged_names

    return _of_list(packaged_names(), incomplete)


def complete_data(incomplete: str) -> list[str]:
    """Return the names of data sets."""
    from seedstudy.data import names

    return [name for name in names() if name.startswith(incomplete)]


def complete_key(incomplete: str) -> list[str]:
    """Return the keys that ``--set`` changes."""
    from seedstudy.recipes.recipe import KEYS

    return [f"{key}=" for key in KEYS if key.startswith(incomplete)]


def complete_topic(incomplete: str) -> list[str]:
    """Return the topics of ``explain``."""
    from seedstudy.show.topics import TOPICS

    return [topic for topic in TOPICS if topic.startswith(incomplete)]


def complete_form(incomplete: str) -> list[str]:
    """Return the forms of a table."""
    from seedstudy.show.sheet import FORMATS

    return [form for form in (*FORMATS, "json") if form.startswith(incomplete)]


def complete_study(context: typer.Context, incomplete: str) -> list[str]:
    """Return the studies in the results folder."""
    results = Path(context.params.get("results") or "results")
    if not results.is_dir():
        return []
    return sorted(each.name for each in results.iterdir() if each.is_dir() and each.name.startswith(incomplete))


# --- options --------------------------------------------------------------------------------------------

Results = Annotated[Path, typer.Option("--results", help="Folder that holds the studies.", rich_help_panel=OUTPUT)]
StudyName = Annotated[
    str,
    typer.Option(
        "--study",
        help="Name of the study inside the results folder.",
        rich_help_panel=OUTPUT,
        autocompletion=complete_study,
    ),
]
StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name of the study.", autocompletion=complete_study)
]
AsJson = Annotated[bool, typer.Option("--json", help="The same facts for machines, on stdout.", rich_help_panel=OUTPUT)]
EvalSets = Annotated[
    str | None,
    typer.Option("--eval", help="Eval sets, e.g. val,real,v2 (default: all there are).", rich_help_panel=READ),
]
EvalSet = Annotated[
    str | None, typer.Option("--eval", help="The one eval set that counts (default: val).", rich_help_panel=READ)
]
Metric = Annotated[str, typer.Option("--metric", help="Metric, or column of a file.", rich_help_panel=READ)]
Unit = Annotated[
    str | None,
    typer.Option("--unit", help="percent or fraction: needed where no number exceeds 1.", rich_help_panel=READ),
]
LowerIsBetter = Annotated[
    bool | None,
    typer.Option(
        "--lower-is-better/--higher-is-better", help="For metrics whose name leaves it open.", rich_help_panel=RARE
    ),
]
Level = Annotated[float, typer.Option("--level", help="Confidence level of the intervals.", rich_help_panel=RARE)]
Alpha = Annotated[float, typer.Option("--alpha", help="Error rate of each claim.", rich_help_panel=RULE)]
Details = Annotated[
    bool,
    typer.Option("--details", help="Also what decides nothing: medians, a new seed, ranks…", rich_help_panel=OUTPUT),
]
RngSeed = Annotated[int, typer.Option("--rng-seed", help="Seed of permutations and bootstrap.", rich_help_panel=RARE)]

Images = Annotated[
    str | None,
    typer.Option(
        "--images", help="Verdicts about these test images (default), or new ones like them.", rich_help_panel=RULE
    ),
]
Clusters = Annotated[
    str | None,
    typer.Option("--clusters", help="class: new images come with new classes, not one by one.", rich_help_panel=RARE),
]


def check_picture(path: Path | None) -> Path | None:
    from seedstudy.show import plots

    plots.check_picture(path)
    return path


Save = Annotated[
    Path | None,
    typer.Option(
        "--save", callback=check_picture, help="Also write the picture (.png, .pdf or .svg).", rich_help_panel=OUTPUT
    ),
]
TrainedData = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--data",
        help="Data set (default: the embedded shapes).",
        rich_help_panel=DATA,
        autocompletion=complete_data,
    ),
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the data set.", rich_help_panel=DATA)]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin", help="Smallest difference of interest, in points (default: the study's).", rich_help_panel=RULE
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.", rich_help_panel=OUTPUT)]
Repair = Annotated[
    bool,
    typer.Option(
        "--repair", help="Set aside and train again any number of damaged or incomplete results.", rich_help_panel=RARE
    ),
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

    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Column whose values are the arms (repeatable).", rich_help_panel=READ),
    ] = None
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="Column that says nothing about the recipe (repeatable).", rich_help_panel=RARE),
    ] = None
    pool: Annotated[
        bool, typer.Option("--pool", help="All rows of an arm are seeds of one recipe.", rich_help_panel=READ)
    ] = False
    clock: Annotated[
        str | None,
        typer.Option("--clock", help="Column that counts within a run (epoch, step…).", rich_help_panel=RARE),
    ] = None
    seeds_by: Annotated[
        str | None, typer.Option("--seeds-by", help="Column that numbers the seeds.", rich_help_panel=RARE)
    ] = None


@dataclass(frozen=True, slots=True)
class Judged(Files):
    """What is judged: which results of all that were found."""

    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Only results of this model.", rich_help_panel=READ)
    ] = None
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Only results on this data set.", rich_help_panel=READ)
    ] = None


def _form(form: str | None) -> str | None:
    from seedstudy.show.sheet import FORMATS

    known = (*FORMATS, "json")
    if form is not None and form not in known:
        raise StudyError(f'--format "{form}": expected {", ".join(known)}.{suggest(form, known)}')
    return form


@dataclass(frozen=True, slots=True)
class Output:
    """How an answer is printed."""

    as_json: AsJson = False
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            callback=_form,
            help="Only the tables, as csv, md, tex, typst or html; or json.",
            rich_help_panel=OUTPUT,
            autocompletion=complete_form,
        ),
    ] = None

    wide: Annotated[
        bool,
        typer.Option("--wide", help="Every column and row, however narrow the terminal.", rich_help_panel=OUTPUT),
    ] = False

    @property
    def form(self) -> str | None:
        """What is printed in place of what people read; None: that."""
        return "json" if self.as_json else self.format


@dataclass(frozen=True, slots=True)
class Cited(Output):
    """How an answer is printed that a paper may cite."""

    cite: Annotated[bool, typer.Option("--cite", help="Only a sentence for a paper.", rich_help_panel=OUTPUT)] = False

    @property
    def form(self) -> str | None:
        """What is printed in place of what people read; None: that."""
        return "cite" if self.cite else "json" if self.as_json else self.format


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained, beside recipes, models, data and seeds."""

    epochs: Annotated[
        int | None, typer.Option(help="Train for so many epochs instead of the recipe's.", rich_help_panel=WHAT)
    ] = None
    train_limit: Annotated[
        int | None, typer.Option(help="Only the first N training images, class-balanced.", rich_help_panel=DATA)
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value: change a recipe value (repeatable).",
            rich_help_panel=WHAT,
            autocompletion=complete_key,
        ),
    ] = None
    vary: Annotated[
        str | None,
        typer.Option(help="Streams that follow the seed: init,order,augment,mix,drop.", rich_help_panel=RARE),
    ] = None
    augment: Annotated[
        str | None,
        typer.Option(
            help="Who augments: batched (tensors on the device, default) or pil (timm's own).", rich_help_panel=RARE
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Commands:
    """A command of the user that is run in place of training recipes."""

    run: Annotated[
        str | None,
        typer.Option(
            "--command", help="Run this for each seed: your train.py with {arm}, {seed}, {out}.", rich_help_panel=WHAT
        ),
    ] = None
    result: Annotated[
        str | None,
        typer.Option(
            "--result", help='File with its result, "{out}/…"; else a JSON line on stdout.', rich_help_panel=WHAT
        ),
    ] = None
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="What continues an interrupted one from {out}; same: the command.", rich_help_panel=RARE
        ),
    ] = None
    shell: Annotated[
        bool | None, typer.Option("--shell", help="Have /bin/sh run the command.", rich_help_panel=RARE)
    ] = None
    environment: Annotated[
        list[str] | None,
        typer.Option("--env", help="NAME=VALUE in its environment (repeatable).", rich_help_panel=RARE),
    ] = None
    code: Annotated[
        list[str] | None,
        typer.Option(
            "--code", help="File or folder whose content decides what pools (repeatable).", rich_help_panel=RARE
        ),
    ] = None
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", help="Pattern of files in {out} to keep (repeatable; default: all).", rich_help_panel=RARE
        ),
    ] = None
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Minutes for one attempt.", rich_help_panel=RARE)
    ] = None
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the command runs (default: here).", rich_help_panel=RARE)
    ] = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where trials are trained, and with what."""

    engine: Annotated[
        str | None, typer.Option(help="Where trials are trained: local, slurm or ray.", rich_help_panel=WHERE)
    ] = None
    workers: Annotated[str | None, typer.Option(help="Trials at a time: a number, or auto.", rich_help_panel=WHERE)] = (
        None
    )
    nodes: Annotated[
        int | None, typer.Option(help="Slurm, Ray: machines that train one trial together.", rich_help_panel=RARE)
    ] = None
    processes: Annotated[
        int | None, typer.Option(help="Processes that train one trial, on each machine.", rich_help_panel=RARE)
    ] = None
    cores: Annotated[int | None, typer.Option(help="Cores for each process.", rich_help_panel=RARE)] = None
    gpus: Annotated[
        float | None, typer.Option(help="GPUs for each process; 0.25 shares one among four.", rich_help_panel=WHERE)
    ] = None
    stack: Annotated[
        str | None,
        typer.Option(
            help="Seeds of a small model trained side by side: a number (default: 1), or auto (timed).",
            rich_help_panel=RARE,
        ),
    ] = None
    trials_per_job: Annotated[
        int | None, typer.Option(help="Trials that one job of a queue trains in turn.", rich_help_panel=RARE)
    ] = None
    deterministic: Annotated[
        bool | None,
        typer.Option("--deterministic", help="GPUs: the same bits every time, more slowly.", rich_help_panel=RARE),
    ] = None
    compile: Annotated[
        str | None,
        typer.Option(help="Compile trainings: off (default), on, or auto (timed).", rich_help_panel=RARE),
    ] = None
    eval_every: Annotated[
        int | None,
        typer.Option(
            help="Epochs between evaluations of val while training (default: by their cost).", rich_help_panel=RARE
        ),
    ] = None
    hang_timeout: Annotated[
        float | None,
        typer.Option(help="End and train again what shows no progress for so many minutes.", rich_help_panel=RARE),
    ] = None
    log_to: Annotated[
        str | None,
        typer.Option(
            "--log-to", help="Log finished trials to wandb, mlflow, tensorboard or trackio.", rich_help_panel=RARE
        ),
    ] = None
    keep_weights: Annotated[
        bool | None,
        typer.Option(
            "--keep-weights/--no-keep-weights",
            help="Keep the weights of finished trials (default: unless the data set is an embedded one).",
            rich_help_panel=WHERE,
        ),
    ] = None
    template: Annotated[
        Path | None,
        typer.Option(help="Slurm: a script that begins each job (#SBATCH lines, modules).", rich_help_panel=RARE),
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
    if any(_is_rare(parameter.annotation) for parameter in parameters):
        add("help_all", HelpAll, False)

    def call(help_all: bool = False, **given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{option.name: given.pop(option.name) for option in fields(kind)})
        command(**given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _is_rare(annotation: Any) -> bool:
    return any(getattr(each, "rich_help_panel", None) == RARE for each in getattr(annotation, "__metadata__", ()))


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


def print_answer(answer: Any, render: Callable[[], Any], *, output: Output) -> None:
    """Print an answer to stdout: what people read, or what was asked for in its place."""
    if output.form == "json":
        print_document(answer)
        return
    about = getattr(answer, "comparisons", None) or getattr(answer, "summaries", None) or answer
    late_rules = [f"note: {sentence}" for sentence in getattr(about, "late_rules", ())]
    read = [reading.line() for reading in getattr(answer, "read", ())]
    if output.form is None:
        from seedstudy.show.format import show, small_print
        from seedstudy.show.view import widened

        drawn = widened(render()) if output.wide else render()
        show(*read, drawn, *map(small_print, late_rules))
        return
    for line in (*read, *late_rules):
        tell(line)
    if output.form == "cite":
        from seedstudy.show.cite import cite

        print(cite(answer))
        return
    from seedstudy.show.view import exported

    print(exported(render(), output.form), end="")


def print_document(answer: Any) -> None:
    """Print an answer for machines."""
    from seedstudy.document import document

    print(json.dumps(document(answer), indent=1, allow_nan=False))


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
