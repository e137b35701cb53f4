"""The command line: parse, call one function of the API, print. Heavy modules are imported inside the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy import terminal
from seedstudy.cli.audit import audit
from seedstudy.cli.compare import compare
from seedstudy.cli.explain import explain
from seedstudy.cli.help import JUDGE, LOOK_UP, PLAN, STUDIES, TRAIN, Command, Commands
from seedstudy.cli.images import images
from seedstudy.cli.import_files import import_files
from seedstudy.cli.networks import cost, evaluate
from seedstudy.cli.options import EXIT_INTERRUPTED, EXIT_USAGE
from seedstudy.cli.plot import plot
from seedstudy.cli.power import power
from seedstudy.cli.pseudolabel import pseudolabel
from seedstudy.cli.race import race
from seedstudy.cli.recipes import data_app, recipes_app
from seedstudy.cli.report import report
from seedstudy.cli.run import run, trial
from seedstudy.cli.scaling import scaling
from seedstudy.cli.start import init, schema
from seedstudy.cli.status import cancel, clean, restore, status
from seedstudy.cli.summary import fit, summary
from seedstudy.cli.variance import variance
from seedstudy.errors import SeedstudyError, missing_extra

app = typer.Typer(
    help="Is recipe B really better than recipe A, or did it get a lucky seed?",
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PANELS = {
    TRAIN: (init, run, race, status, cancel),
    JUDGE: (compare, summary, fit, variance, images, scaling, plot, report),
    PLAN: (power, audit),
    STUDIES: (clean, restore, evaluate, pseudolabel, cost),
    LOOK_UP: (explain, schema),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(cls=Command, rich_help_panel=panel)(command)
app.command("import", cls=Command, rich_help_panel=STUDIES)(import_files)
app.command(hidden=True)(trial)
app.add_typer(recipes_app, name="recipes", rich_help_panel=LOOK_UP)
app.add_typer(data_app, name="data", rich_help_panel=LOOK_UP)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what goes wrong is one line on stderr and an exit code."""
    terminal.begin()
    try:
        sys.exit(app(args=arguments, standalone_mode=False))
    except SeedstudyError as error:
        terminal.say(f"seedstudy: {error}")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        terminal.say(f"seedstudy: {missing}")
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of a path that was given: a name too long, a folder that may not be listed
        if error.filename is None:
            raise
        terminal.say(f"seedstudy: {error.filename}: {error.strerror}; check its name and permissions.")
        sys.exit(EXIT_USAGE)
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        terminal.say(f"seedstudy: {error.format_message()}")  # Typer's own: unknown option and the like
        sys.exit(EXIT_USAGE)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        for line in ss.about():
            print(line)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Versions of what is installed, device.")
    ] = False,
) -> None: ...
