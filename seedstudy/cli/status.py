"""`status`, `cancel` and `clean`: the trials of a study, wherever they run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.errors import SeedstudyError
from seedstudy.terminal import show_line

if TYPE_CHECKING:
    from seedstudy.engines.status import StudyStatus

_WATCH_PAUSE_S = 2.0


@options.grouped
def status(
    study: options.StudyArgument = "main",
    results: options.Results = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    *,
    output: options.Output,
) -> None:
    """Show the state of every trial of a study.

    Queued, running (where, since when, time left), ok, failed (why), diverged, interrupted, lost or damaged.

    For example:
    seedstudy status
    seedstudy status my-study --watch
    """
    if not watch or output.form is not None:
        _print(ss.status(study, results=results), output=output)
        return
    from seedstudy import terminal

    console = terminal.console()
    while True:
        answer = ss.status(study, results=results)
        console.clear()
        _print(answer, output=output)
        time.sleep(_WATCH_PAUSE_S)


def _print(answer: StudyStatus, *, output: options.Output) -> None:
    from seedstudy.show.status import status_tables

    options.print_answer(answer, lambda: status_tables(answer), output=output)
    if output.form is None:
        for sentence in answer.damaged.values():
            options.tell(f"left out: {sentence}")


def cancel(study: options.StudyArgument = "main", results: options.Results = Path("results")) -> None:
    """Stop a study's trials, wherever they run.

    Each keeps its state, and `seedstudy run` resumes it.

    For example:
    seedstudy cancel my-study
    """
    from seedstudy.api import studies

    done = studies.cancel(study, results=results)
    options.tell(
        f"study {study}: {done.n_running} running trials asked to stop ({done.n_signalled} of them on this machine), "
        f"{done.n_jobs} jobs taken from the queue; launchers on other machines follow within seconds."
    )
    if done.problem is not None:
        raise SeedstudyError(f"jobs may still be in the queue: {done.problem}")


def clean(
    study: options.StudyArgument = "main",
    results: options.Results = Path("results"),
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the kept weights; nothing more can be evaluated then.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what finished trials left behind; results stay.

    Checkpoints, leases that nobody holds, temporary files.

    For example:
    seedstudy clean my-study
    """
    from seedstudy.api import studies

    files = studies.leftovers(study, results=results, weights=weights)
    if not files:
        options.tell(f"study {study}: nothing to remove.")
        return
    for path, size in files.items():
        show_line(f"{path} ({size:,} bytes)")
    if not yes:
        typer.confirm(f"Remove these {len(files)} files ({sum(files.values()) / 1e6:.1f} MB)?", abort=True, err=True)
    removed = studies.clean(study, results=results, paths=files)
    in_use = f"; {len(files) - len(removed)} are in use by now" if len(removed) < len(files) else ""
    options.tell(f"study {study}: {len(removed)} files removed{in_use}.")


def restore(
    study: options.StudyArgument = "main", results: options.Results = Path("results"), as_json: options.AsJson = False
) -> None:
    """Put results back that `run` has set aside as damaged.

    Those that are good, where a disk, a copy or an older version was at fault. A trial that was trained again keeps
    its new result.

    For example:
    seedstudy restore my-study
    """
    from seedstudy.api import studies

    answer = studies.restore(study, results=results)
    if as_json:
        options.print_document(answer)
        return
    for folder, why in answer.left.items():
        options.tell(f"{folder}: left there: {why}")
    options.tell(f"study {study}: {len(answer.restored)} results restored, {len(answer.left)} left where they are.")
