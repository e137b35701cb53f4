"""What a run shows while it trains: means with the right number of seeds, and a time left once that means something."""

from __future__ import annotations

import time
from typing import Any

import pytest

from seedstudy.engines.watch import StudyProgress


class Kept(StudyProgress):
    """Keeps its lines instead of printing them."""

    lines: list[str]

    def note(self, text: str) -> None:
        self.lines.append(text)


def progress(n: int, epochs: int = 10) -> Kept:
    made = Kept({f"a2-resnet8-shapes-s{i}-0123456789": epochs for i in range(n)}, ())
    made.lines = []
    return made


def row(eval_set: str, n_correct: int, recipe: str = "a2") -> dict[str, Any]:
    values = {"recipe": recipe, "model": "resnet8", "eval_set": eval_set, "metric": "top1", "value": None}
    return {**values, "status": "ok", "n_correct": n_correct, "n_examples": 100}


def ended(shown: Kept, i: int, *rows: dict[str, Any]) -> str:
    shown.ended(f"a2-resnet8-shapes-s{i}-0123456789", "ok", rows)
    return shown.lines[-1]


def test_every_recipe_and_eval_set_has_its_own_number_of_seeds() -> None:
    shown = progress(4)
    ended(shown, 0, row("val", 80), row("v2", 60))
    line = ended(shown, 1, row("val", 82))
    assert line.endswith("| a2@resnet8: val 81.00 ± 1.41 (n = 2), v2 60.00 (n = 1)")
    line = ended(shown, 2, row("val", 70, recipe="a3"), row("v2", 50, recipe="a3"))
    assert line.endswith("| a3@resnet8 (n = 1): val 70.00, v2 50.00"), "the line of a trial is about its own recipe"
    assert shown._means() == [  # the live table is about all of them
        "a2@resnet8: val 81.00 ± 1.41 (n = 2), v2 60.00 (n = 1)",
        "a3@resnet8 (n = 1): val 70.00, v2 50.00",
    ]


def test_a_reason_that_all_share_is_said_once() -> None:
    shown = progress(3)
    for i, why in enumerate(("no file", "no file", "killed")):
        shown.ended(f"a2-resnet8-shapes-s{i}-0123456789", "failed", [], why=why)
    assert [line.split("failed ")[1].split(",")[0] for line in shown.lines] == [
        "(no file)",
        "(the same reason)",
        "(killed)",
    ]


def test_a_metric_is_named_without_an_eval_set_that_it_names() -> None:
    for metric, name in (("val_acc", "val_acc"), ("loss", "val loss")):
        shown = progress(1)
        line = ended(shown, 0, {**row("val", 0), "n_correct": None, "metric": metric, "value": 0.5})
        assert line.endswith(f"| a2@resnet8 (n = 1): {name} 0.50")


def test_a_time_left_is_shown_once_it_means_something(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = progress(10, epochs=20)  # 200 epochs
    now += 60.0  # start-up
    shown.epoch("a2-resnet8-shapes-s0-0123456789", 1, 100.0)
    assert shown._time_left() == "time left: not known yet"
    now += 1.0
    shown.epoch("a2-resnet8-shapes-s0-0123456789", 2, 100.0)
    assert shown._time_left() == "time left: not known yet", "one epoch says little"
    now += 4.0
    shown.epoch("a2-resnet8-shapes-s0-0123456789", 6, 100.0)
    assert shown._time_left() == "time left 0:03:14", "194 epochs of a second: start-up does not count"


def test_a_failed_trial_says_why() -> None:
    shown = progress(2)
    shown.ended("a2-resnet8-shapes-s0-0123456789", "failed", [], why="exit status 2: no \x1b[31m file")
    assert shown.lines[-1].startswith("[1/2] a2-resnet8-shapes-s0-0123456789: failed (exit status 2: no ")
    assert "\x1b" not in shown.lines[-1]
