"""`trial` (hidden): what every engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedstudy.errors import StudyError


def trial(
    study_dir: Annotated[Path, typer.Argument(metavar="STUDY_DIR", help="Folder of a study, e.g. results/main.")],
    trial_ids: Annotated[list[str] | None, typer.Argument(metavar="TRIAL_ID…", help="Names of their folders.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Folder of the prepared data in the cache.")] = None,
    stack: Annotated[str, typer.Option(help="Seeds of a small model side by side: a number, or auto (timed).")] = "1",
    attended: Annotated[
        bool, typer.Option("--attended", help="Stop when stdin ends; requests may come there.")
    ] = False,
) -> None:
    """Train planned trials, one after the other; finished ones are left alone. Exit 75: stopped in order, goes on."""
    from seedstudy import machine
    from seedstudy.engines import worker
    from seedstudy.study.placement import Placement, placed

    if not trial_ids and not attended:
        raise StudyError("no trial named: `seedstudy trial results/main TRIAL_ID`; `seedstudy status main` names them.")
    code = worker.main(
        study_dir.absolute(),
        trial_ids or [],
        prepared=prepared,
        cache_dir=machine.cache_dir(),
        is_attended=attended,
        stack=placed(Placement(), {"stack": stack}, where="--").stack,
    )
    raise typer.Exit(code)
