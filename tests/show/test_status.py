"""What `status` prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seedstudy.engines.status import STATES, GroupStatus, StudyStatus, TrialStatus
from seedstudy.show.status import status_tables


def study(*trials: TrialStatus, **changes: Any) -> StudyStatus:
    counts = {state: sum(trial.state == state for trial in trials) for state in STATES}
    group = GroupStatus(counts=counts, recipe="a2", model="resnet8", data="shapes")
    fields: dict[str, Any] = {"reasons": {}, "damaged": {}, "time_left_s": None, "n_imported": 0}
    return StudyStatus(study="main", trials=trials, **{"groups": (group,), **fields, **changes})


def test_each_trial_has_a_line_that_says_what_the_table_cannot(rendered: Callable[..., str]) -> None:
    log = Path("a/long/path/of/a/file/that/is/longer/than/the/terminal/is/wide/and/must/be/copied/in/one/piece.log")
    text = rendered(
        status_tables(
            study(
                TrialStatus(trial_id="t0", state="planned"),
                TrialStatus(
                    trial_id="t1",
                    state="running",
                    where="host 7",
                    since=time.time() - 75,
                    epoch=2,
                    epochs=10,
                    left_s=300,
                ),
                TrialStatus(trial_id="t2", state="failed", reason="out of memory", log=log),
                TrialStatus(trial_id="t3", state="lost", where="host 8", reason="no word since 12:00"),
                time_left_s=3661.0,
                n_imported=1,
            )
        )
    )
    lines = text.splitlines()[-5:]
    assert lines[0] == "1 imported trial, trained elsewhere: `seedstudy summary` shows them."
    assert lines[1].startswith("t1: running on host 7 for 0:01:1")
    assert lines[1].endswith(", epoch 2/10, 0:05:00 left")
    assert lines[2] == f"t2: out of memory ({log})", "no path is broken in two"
    assert lines[3] == "t3: lost on host 8: no word since 12:00 (no log)"
    assert lines[4] == "time left: about 1:01:01"


def test_a_study_without_trials_of_its_own_has_no_table(rendered: Callable[..., str]) -> None:
    assert rendered(status_tables(study(groups=(), n_imported=3))).splitlines() == [
        "3 imported trials, trained elsewhere: `seedstudy summary` shows them."
    ]
