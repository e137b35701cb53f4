"""`trial` (what every engine runs), `status`, `cancel` and `clean`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedstudy.cli.options import AsJson, Results, cache_dir, number_or_auto, print_json, tell, tell_damaged

if TYPE_CHECKING:
    from seedstudy.engines.status import StudyStatus

_WATCH_PAUSE_S = 2.0

Study = Annotated[str, typer.Argument(metavar="[STUDY]", help="Name of the study.")]


def trial(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Folder of a study, e.g. results/main.")],
    trial_ids: Annotated[list[str] | None, typer.Argument(metavar="TRIAL_ID…", help="Folders' names.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Folder of the prepared data in the cache.")] = None,
    stack: Annotated[str, typer.Option(help="Seeds of a small model side by side: a number, or auto (timed).")] = "1",
    attended: Annotated[
        bool, typer.Option("--attended", help="Stop when stdin ends; requests may come there.")
    ] = False,
) -> None:
    """Train planned trials, one after the other; done ones are left alone. Exit 75: stopped in order, goes on later."""
    from seedstudy.engines import worker
    from seedstudy.errors import StudyError

    if not trial_ids and not attended:
        raise StudyError("no trial named: `seedstudy trial results/main TRIAL_ID`; `seedstudy status main` names them.")
    code = worker.main(
        study_dir.absolute(),
        trial_ids or [],
        prepared=prepared,
        cache_dir=cache_dir(),
        is_attended=attended,
        stack=number_or_auto(stack, "--stack"),
    )
    raise typer.Exit(code)


def status(
    study: Study = "main",
    results: Results = Path("results"),
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the state of every trial of a study: queued, running (where, since when, time left), ok, failed (why), …."""
    from seedstudy.engines.status import study_status
    from seedstudy.store.store import open_study

    store = open_study(results, study)
    if as_json:
        print_json(study_status(store).to_dict())
        return
    if not watch:
        _show_status(study_status(store))
        return
    from rich.console import Console

    console = Console()
    while True:
        answer = study_status(store)
        console.clear()
        _show_status(answer)
        time.sleep(_WATCH_PAUSE_S)


def _show_status(answer: StudyStatus) -> None:
    from seedstudy.document import document
    from seedstudy.show.format import show
    from seedstudy.show.status import status_table, time_left_line, trial_lines

    if answer.groups:
        show(status_table(document(answer.groups)))
    if answer.n_imported:
        trials = "1 imported trial" if answer.n_imported == 1 else f"{answer.n_imported} imported trials"
        print(f"{trials}, trained elsewhere: `seedstudy summary` shows them.")
    for line in trial_lines(answer.trials):
        print(line)
    if answer.time_left_s is not None:
        print(time_left_line(answer.time_left_s))
    tell_damaged(answer.damaged)


def cancel(study: Study = "main", results: Results = Path("results")) -> None:
    """Stop a study's trials, wherever they run; each keeps its state, and `seedstudy run` goes on with it."""
    from seedstudy.engines import status as engine_status
    from seedstudy.store.store import open_study

    done = engine_status.cancel(open_study(results, study))
    tell(
        f"study {study}: {done.n_running} running trials asked to stop ({done.n_signalled} of them on this machine), "
        f"{done.n_jobs} jobs taken from the queue; launchers on other machines follow within seconds."
    )


def clean(
    study: Study = "main",
    results: Results = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what finished trials left behind: checkpoints, leases nobody holds, temporary files. Results stay."""
    from seedstudy.engines.status import leftovers, remove
    from seedstudy.store.store import open_study

    found = leftovers(open_study(results, study))
    if not found:
        tell(f"study {study}: nothing to remove.")
        return
    for path, size in found.items():
        print(f"{path} ({size:,} bytes)")
    if not yes:
        typer.confirm(f"Remove these {len(found)} files ({sum(found.values()) / 1e6:.1f} MB)?", abort=True, err=True)
    remove(found)
    tell(f"study {study}: {len(found)} files removed.")
