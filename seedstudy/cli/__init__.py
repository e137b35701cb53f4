"""The command line: parse, one call, print. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from seedstudy import __version__
from seedstudy.cli import catalogue, deciding, judging, networks, trials
from seedstudy.cli import import_files as importing
from seedstudy.cli import race as racing
from seedstudy.cli import run as training
from seedstudy.cli.options import EXIT_INTERRUPTED, EXIT_USAGE
from seedstudy.errors import SeedstudyError, missing_extra

app = typer.Typer(
    help="Is recipe B really better than recipe A, or did it get a lucky seed?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(training.run, trials.status, trials.cancel, trials.clean),
    *(judging.summary, judging.fit, judging.compare),
    *(racing.race, deciding.power, deciding.audit),
    *(networks.evaluate, networks.cost),
):
    app.command()(command)
app.command("import")(importing.import_files)
app.command(hidden=True)(trials.trial)
app.add_typer(catalogue.recipes_app, name="recipes")
app.add_typer(catalogue.data_app, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what goes wrong is one line on stderr and an exit code."""
    try:
        sys.exit(app(args=arguments, standalone_mode=False))
    except SeedstudyError as error:
        print(f"seedstudy: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print(f"seedstudy: {missing}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        print(f"seedstudy: {error.format_message()}", file=sys.stderr)  # Typer's own: unknown option and the like
        sys.exit(EXIT_USAGE)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...
