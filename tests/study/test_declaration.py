"""The first rule and its time stay beside later ones, and one that was declared after results is called so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seedstudy as ss
from seedstudy.engines.launch import ResolvedStudy, train
from seedstudy.engines.local import Work
from seedstudy.errors import StoreError
from seedstudy.files import read_record, write_record
from seedstudy.store.store import Store
from seedstudy.study.command import Command
from seedstudy.study.declaration import Declaration, Rule
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

Cli = Callable[..., tuple[int, str, str]]
A, B = Study(recipes=("a2",), margin=0.5), Study(recipes=("a2",), margin=0.1)
NOTHING = Study(recipes=("a2",))


def rule_of(*plans: tuple[Study, int]) -> Rule:
    rule = Rule()
    for hour, (study, n_results) in enumerate(plans):
        rule = rule.with_study(study, at=f"2026-01-01T{hour:02d}:00:00+00:00", n_results=n_results)
    return rule


@pytest.mark.parametrize(
    ("plans", "margin", "n_declared", "lateness"),
    [
        ([(A, 0)], 0.5, 1, ""),
        ([(A, 0), (A, 7), (NOTHING, 7)], 0.5, 1, ""),  # a plan that declares nothing leaves the rule in force
        ([(A, 0), (B, 0), (B, 9)], 0.1, 2, ""),  # both were declared before any number
        (
            [(A, 0), (B, 2)],
            0.1,
            2,
            "its rule (margin 0.1) was declared 2026-01-01T01:00:00+00:00, when 2 trials had results; first declared "
            "2026-01-01T00:00:00+00:00: margin 0.5.",
        ),
        ([(A, 0), (B, 2), (A, 2)], 0.5, 3, ""),  # back to what was declared first
        (
            [(NOTHING, 0), (A, 1)],
            0.5,
            2,
            "its rule (margin 0.5) was declared 2026-01-01T01:00:00+00:00, when 1 trial had results; first declared "
            "2026-01-01T00:00:00+00:00: no margin.",
        ),
        ([(A, 3)], 0.5, 1, "its rule (margin 0.5) was declared 2026-01-01T00:00:00+00:00, when 3 trials had results."),
    ],
)
def test_what_is_in_force_and_since_when(
    plans: list[tuple[Study, int]], margin: float, n_declared: int, lateness: str
) -> None:
    rule = rule_of(*plans)
    assert (rule.margin, len(rule.declared), rule.lateness) == (margin, n_declared, lateness)
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_the_number_of_a_command_stays_known() -> None:
    """Its direction and unit are declared once; other words, or none, take nothing back; another metric does."""

    def plan(metric: str, margin: float | None = None, **more: Any) -> tuple[Study, int]:
        command = Command(run=("train", "{seed}"), metric=metric, **more)
        return Study(recipes=(), margin=margin, command=command), 0

    rule = rule_of(plan("q", 0.5, lower_is_better=True, unit="fraction"), plan("q"), plan("q", 0.1))
    assert [(each.margin, each.lower_is_better, each.unit) for each in rule.declared] == [
        (0.5, True, "fraction"),
        (0.1, True, "fraction"),
    ]
    assert str(rule.declared[-1]) == "margin 0.1, lower q is better"
    assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    rule = rule_of(plan("q", 0.5), plan("q", lower_is_better=False), plan("r"))
    assert [(each.margin, each.metric, each.lower_is_better) for each in rule.declared] == [
        (0.5, None, None),
        (0.5, "q", False),
        (0.5, None, None),
    ]


def test_a_record_of_an_older_version_is_the_first_rule() -> None:
    old = Rule.from_dict({"format": 2, "question": "q", "margin": 0.5, "baseline": None})
    assert old.declared == (Declaration(question="q", margin=0.5),)
    assert old.lateness == ""
    later = old.with_study(B, at="2026-01-01", n_results=2)
    assert later.lateness.endswith("when 2 trials had results; first declared: margin 0.5.")


@pytest.mark.parametrize(
    "change",
    [
        {"declared": None},
        {"declared": []},
        {"declared": [7]},
        {"declared": [{"margin": "0.5"}]},
        {"declared": [{"margin": True}]},
        {"declared": [{"n_results": "2"}]},
        {"declared": [{"at": 7}]},
        {"declared": [{"lower_is_better": "yes"}]},
        {"declared": {"margin": 1}},
    ],
    ids=str,
)
def test_a_sealed_record_that_holds_no_rule_is_one_line(make_store: Callable[..., Store], change: Any) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    path = store.root / "study.json"
    write_record(path, {**read_record(path), **change})
    if change == {"declared": []}:
        assert store.rule().margin is None
        return
    with pytest.raises(StoreError, match=r"study\.json: damaged"):
        store.rule()


def test_run_compare_and_summary_say_that_the_rule_came_late(make_store: Callable[..., Store], cli: Cli) -> None:
    store = make_store(n_seeds=5)
    assert "was declared" not in cli("compare", "a3", "a2")[1]
    assert store.declare(A)
    said = r"note: study main: its rule \(margin 0\.5\) was declared 20\S+, when 10 trials had results; first declared"
    for command in (("summary",), ("compare", "a3", "a2")):
        code, out, err = cli(*command)
        assert code == 0, err
        assert len(re.findall(said, " ".join(out.split()))) == 1
        assert len(json.loads(cli(*command, "--json")[1])["late_rules"]) == 1
    assert "was declared" not in cli("compare", "a3", "a2", "--margin", "0.3")[1]  # not the declared one
    with pytest.warns(UserWarning, match="when 10 trials had results"):
        ss.load_trials("results/main")


def test_the_first_rule_stays_in_the_file(make_store: Callable[..., Store], tmp_path: Path) -> None:
    store = Store(tmp_path / "results", "main")
    store.plan(A, [])
    make_store(n_seeds=2, a2=0.8)  # plans without a rule, and publishes
    assert store.rule().margin == 0.5
    store.plan(B, [])
    declared = read_record(store.root / "study.json")["declared"]
    assert [(each["margin"], each["n_results"]) for each in declared] == [(0.5, 0), (0.1, 2)]
    assert all(each["at"].startswith("20") for each in declared)


def test_a_rule_edited_after_the_last_trial_is_taken_and_said(
    make_store: Callable[..., Store], make_trial: Callable[..., Trial]
) -> None:
    """Nothing is left to train, so nothing else of the plan is written."""
    store, lines = make_store(n_seeds=2, a2=0.8), list[str]()
    trials = tuple(make_trial(seed, name="a2") for seed in range(2))
    resolved = ResolvedStudy(trials=trials, work=Work(), n_classes=4, n_train=64)
    for study in (NOTHING, A, A):
        train(store, study, resolved, store.scan(), is_retry=False, say=lines.append)
    assert store.rule().margin == 0.5
    assert len(lines) == 1
    assert "its rule (margin 0.5) was declared 20" in lines[0]
    assert "when 2 trials had results; first declared 20" in lines[0]
