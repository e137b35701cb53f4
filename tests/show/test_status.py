"""What `status` prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seedstudy.engines.status import STATES, Forecast, ForecastOf, GroupStatus, StudyStatus, TrialStatus
from seedstudy.show.status import forecast_view, status_tables


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


def test_the_first_line_says_how_many_are_done_and_one_reason_of_many_trials_is_one_line(
    rendered: Callable[..., str],
) -> None:
    failed = [TrialStatus(trial_id=f"t{i}", state="failed", reason="no such file", log=Path("a.log")) for i in range(9)]
    lines = rendered(status_tables(study(*failed, TrialStatus(trial_id="t9", state="ok")))).splitlines()
    assert lines[0] == "Study main: 1 of 10 trials done; 9 failed."
    assert lines[-1] == "t0 and 8 more: no such file (a.log)"
    lines = rendered(status_tables(study(TrialStatus(trial_id="t9", state="ok")))).splitlines()
    assert lines[0] == "Study main: 1 trial, all done."


def test_a_study_without_trials_of_its_own_has_no_table(rendered: Callable[..., str]) -> None:
    assert rendered(status_tables(study(groups=(), n_imported=3))).splitlines() == [
        "3 imported trials, trained elsewhere: `seedstudy summary` shows them."
    ]


def forecast(*groups: ForecastOf, seconds: float | None) -> Forecast:
    return Forecast(study="main", folder=Path("results/main"), groups=groups, workers=2, seconds=seconds)


def group(**changes: object) -> ForecastOf:
    fields = {"recipe": "a2", "model": "resnet8", "data": "shapes", "trials": 5, "done": 1, "missing": 4, "epochs": 12}
    return ForecastOf(**{**fields, "seconds": 60.0, **changes})  # type: ignore[arg-type]  # by name


def test_a_dry_run_says_how_long_where_that_was_measured(rendered: Callable[..., str]) -> None:
    text = rendered(forecast_view(forecast(group(), seconds=120.0), "seedstudy run -r a2 --seeds 1"))
    assert text.startswith("4 trials to train, 2 at a time: about 0:02:00.")
    assert "seedstudy run" not in text
    text = rendered(forecast_view(forecast(group(seconds=None), seconds=None), "seedstudy run -r a2 --seeds 1"))
    assert "How long they take is not known" in text
    assert "  seedstudy run -r a2 --seeds 1\n" in text
    text = rendered(forecast_view(forecast(group(missing=0, done=5), seconds=0.0), ""))
    assert text.startswith("Nothing to train: every trial of study main has ended.")
