"""`trial` (what every engine runs), `status`, `cancel` and `clean`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import AsJson, Results, cache_dir, number_or_auto, print_json, tell, tell_damaged

if TYPE_CHECKING:
    from seedstudy.store.store import Store

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
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where every trial of a study stands: queued, running (where, since when, time left), ok, failed (why), …."""
    from seedstudy.store.store import open_study

    store = open_study(results, study)
    if not watch or as_json:
        _show_status(store, study, as_json=as_json)
        return
    from rich.console import Console

    console = Console()
    while True:
        console.clear()
        _show_status(store, study, as_json=False)
        time.sleep(_WATCH_PAUSE_S)


def _show_status(store: Store, study: str, *, as_json: bool) -> None:
    from seedstudy.engines import status as standing
    from seedstudy.show.format import show
    from seedstudy.show.status import status_table, time_left_line, trial_lines
    from seedstudy.store import outside

    stands = standing.standings(store)
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in stands:
        key = store.label(each.trial_id)
        row = rows.setdefault(key, dict(zip(("recipe", "model", "data"), key, strict=True)))
        row[each.state] = row.get(each.state, 0) + 1
    groups = [{**dict.fromkeys(standing.STATES, 0), **row} for _, row in sorted(rows.items())]
    failures = {each.trial_id: each.reason for each in stands if each.state in ("failed", "diverged")}
    damaged = {each.trial_id: each.reason for each in stands if each.state == "damaged"}
    left_s = standing.time_left(store, stands)
    if as_json:
        unfinished = [standing.to_dict(each) for each in stands if each.state != "ok"]
        head = {"study": study, "groups": groups, "reasons": failures, "damaged": damaged}
        print_json({**head, "time_left_s": left_s, "trials": unfinished})
        return
    if groups:
        show(status_table(groups))
    n_imported = outside.read(store.root)[0]["trial_id"].n_unique()
    if n_imported:
        trials = "1 imported trial" if n_imported == 1 else f"{n_imported} imported trials"
        print(f"{trials}, trained elsewhere: `seedstudy summary` shows them.")
    for line in trial_lines(stands):
        print(line)
    if left_s is not None:
        print(time_left_line(left_s))
    tell_damaged(damaged)


def cancel(study: Study = "main", results: Results = Path("results")) -> None:
    """Stop a study's trials, wherever they run; each keeps its state, and `seedstudy run` goes on with it."""
    from seedstudy.engines import slurm
    from seedstudy.engines import status as standing
    from seedstudy.store.store import open_study

    store = open_study(results, study)
    stands = standing.standings(store)
    store.mark_cancelled()  # first: a launcher must not start anew what the signals below stop
    jobs = store.jobs("slurm")
    if jobs:
        slurm.cancel(jobs)
    n_sent = standing.interrupt(stands, store)
    n_running = sum(each.state == "running" for each in stands)
    tell(
        f"study {study}: {n_running} running trials asked to stop ({n_sent} of them on this machine), {len(jobs)} jobs "
        "taken from the queue; launchers on other machines follow within seconds."
    )


def clean(
    study: Study = "main",
    results: Results = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what finished trials left behind: checkpoints, leases nobody holds, temporary files. Results stay."""
    from seedstudy.engines.status import leftovers
    from seedstudy.store.store import open_study

    found = leftovers(open_study(results, study))
    if not found:
        tell(f"study {study}: nothing to remove.")
        return
    for path, size in found.items():
        print(f"{path} ({size:,} bytes)")
    if not yes:
        typer.confirm(f"Remove these {len(found)} files ({sum(found.values()) / 1e6:.1f} MB)?", abort=True, err=True)
    for path in found:
        path.unlink(missing_ok=True)
    tell(f"study {study}: {len(found)} files removed.")
