"""A live race, with training replaced by drawn results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.data import Dataset
from seedstudy.decide.race import Race, RaceRule, replay
from seedstudy.engines import race as live
from seedstudy.engines.launch import ResolvedStudy
from seedstudy.engines.local import Work
from seedstudy.errors import StudyError, TrialFailed
from seedstudy.stats.race import Plan
from seedstudy.store import upkeep
from seedstudy.store.store import Scan, Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

Cli = Callable[..., tuple[int, str, str]]
MakeTrial = Callable[..., Trial]
ACCURACIES = {"a3": 0.5, "a2": 0.8}
SHARED = Study(recipes=(), models=("resnet8_nano",))


class Training:
    """Replaces `resolve` and `train`: results are drawn, and the trials of each round are kept."""

    def __init__(self, data: Dataset, make_trial: MakeTrial) -> None:
        self.data, self.make_trial = data, make_trial
        self.rounds: list[list[tuple[str, int]]] = []
        self.failing: set[int] = set()
        self.error: Exception | None = None

    def resolve(self, study: Study, **_: Any) -> ResolvedStudy:
        trials = tuple(self.make_trial(seed, name=study.recipes[0]) for seed in study.seeds)
        return ResolvedStudy(trials=trials, work=Work(prepared=Path("prepared")), n_classes=4, n_train=64)

    def train(self, store: Store, study: Study, resolved: ResolvedStudy, scan: Scan, **_: Any) -> Scan:
        if self.error is not None:
            raise self.error
        store.plan(study, resolved.trials)
        for trial in resolved.trials:
            if scan.states.get(trial.trial_id) == "damaged":
                upkeep.set_aside(store, trial.trial_id)
        missing = [trial for trial in resolved.trials if not store.has_result(trial.trial_id)]
        self.rounds.append([(trial.recipe.name, trial.seed) for trial in missing])
        for trial in missing:
            if trial.seed in self.failing:
                store.record_failure(trial.trial_id, "RuntimeError: boom", "")
                continue
            rng = np.random.default_rng([trial.seed, len(trial.recipe.name)])
            result = drawn_result(self.data, ACCURACIES[trial.recipe.name], rng)
            store.publish(trial, result, self.data.eval_sets, "2026-01-01T00:00:00+00:00")
        return store.scan()


@pytest.fixture
def training(data: Dataset, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> Training:
    training = Training(data, make_trial)
    monkeypatch.setattr(live, "resolve", training.resolve)
    monkeypatch.setattr(live, "train", training.train)
    return training


@pytest.fixture
def race(tmp_path: Path) -> Callable[..., Race]:
    def race(
        *names: str,
        on_look: Callable[[Race], None] = lambda race: None,
        images: Literal["these", "new"] | None = None,
        **given: Any,
    ) -> Race:
        return live.race(
            live.arms_of(names or ("a3", "a2"), SHARED),
            given,
            images=images,
            results=tmp_path / "results",
            cache_dir=tmp_path,
            say=lambda line: None,
            on_look=on_look,
        )

    return race


def test_arms_are_labelled_by_recipe_and_model() -> None:
    arms = live.arms_of(("a2", "a2@resnet20", "own/x.toml"), SHARED)
    assert {label: (arm.recipes, arm.models) for label, arm in arms.items()} == {
        "a2@resnet8_nano": (("a2",), ("resnet8_nano",)),
        "a2@resnet20": (("a2",), ("resnet20",)),
        "x@resnet8_nano": (("own/x.toml",), ("resnet8_nano",)),
    }
    with pytest.raises(StudyError, match="a2@resnet8_nano is given twice"):
        live.arms_of(("a2", "a2@resnet8_nano"), SHARED)


def test_each_round_trains_what_the_next_look_needs(
    training: Training, race: Callable[..., Race], tmp_path: Path
) -> None:
    looks: list[Race] = []
    ended = race(most=8, on_look=looks.append)
    assert ended.is_over
    assert ended.pairs[0].verdict == "better"
    assert training.rounds[0] == [("a3", 0), ("a2", 0), ("a3", 1), ("a2", 1), ("a3", 2), ("a2", 2)]
    assert training.rounds[1:2] in ([], [[("a3", 3), ("a2", 3)]])
    assert [look.is_over for look in looks] == [False] * len(training.rounds) + [True]
    store = Store(tmp_path / "results", "main")
    rows = store.scan().trials.filter(eval_set="val").sort("seed")
    values = {
        f"{name}@resnet8_nano": 100.0 * arm["n_correct"].to_numpy() / arm["n_examples"].to_numpy()
        for (name,), arm in rows.group_by("recipe", maintain_order=True)
    }
    assert ended.pairs == replay(values, ended.rule).pairs
    assert ended.cost_s == ended.seeds_used  # one second each


def test_a_live_race_about_new_images_is_the_replay_on_their_predictions(
    training: Training, race: Callable[..., Race], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = race(most=5, images="new")
    assert ended.rule.images == "new"
    assert race(most=5) == ended, "declared once"
    with pytest.raises(StudyError, match="declared with images = new, now images = these"):
        race(most=5, images="these")
    monkeypatch.chdir(tmp_path)
    replayed = ss.race("a3", "a2", replay=True, images="new", plan={"most": 5})
    shown = [(look.round, look.se, look.p_value, look.p_needed) for look in ended.pairs[0].looks]
    again = [(look.round, look.se, look.p_value, look.p_needed) for look in replayed.pairs[0].looks]
    assert shown == again[: len(shown)]


def test_a_rule_from_before_there_were_new_images_is_about_these() -> None:
    kept = RaceRule(arms=("a3", "a2"), plan=Plan()).to_dict()
    del kept["images"]
    assert RaceRule.from_dict(kept, where="race.json").images == "these"


def test_a_finished_race_trains_nothing_more(training: Training, race: Callable[..., Race]) -> None:
    first = race(most=8)
    training.rounds.clear()
    assert race(most=8) == first
    assert training.rounds == []


def test_the_rule_of_a_started_race_stays(training: Training, race: Callable[..., Race]) -> None:
    race(most=8)
    with pytest.raises(StudyError, match="declared with most = 8, now most = 9"):
        race(most=9)
    with pytest.raises(StudyError, match="declared with arms = a3@resnet8_nano, a2@resnet8_nano"):
        race("a2", "a3")


def test_an_anytime_race_may_be_extended(
    training: Training, race: Callable[..., Race], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ACCURACIES, "a2", 0.5)
    assert race(method="anytime", most=4).rule.plan.most == 4
    assert race(method="anytime", most=6).rule.plan.most == 6
    assert len(training.rounds[-1]) == 2


def test_the_rule_comes_before_the_first_seed(
    training: Training, race: Callable[..., Race], make_store: Callable[..., Store]
) -> None:
    make_store(n_seeds=2, a3=0.5)
    with pytest.raises(StudyError, match="2 trials of this race are finished already"):
        race(most=8)


def test_a_race_that_cannot_be_planned_leaves_nothing(
    training: Training, race: Callable[..., Race], tmp_path: Path
) -> None:
    training.error = StudyError("unknown model")
    with pytest.raises(StudyError, match="unknown model"):
        race(most=8)
    assert not (tmp_path / "results" / "main").exists()


def test_no_seed_is_skipped(training: Training, race: Callable[..., Race], cli: Cli) -> None:
    training.failing = {1}
    with pytest.raises(TrialFailed, match=r"-s1-\w+ has no result, and a race skips no seed"):
        race(most=8)
    code, _, err = cli("race", "a3", "a2", "-m", "resnet8_nano", "--max-seeds", "8")
    assert code == 1
    assert err.startswith("seedstudy: race: ")


def test_a_damaged_result_is_trained_again(training: Training, race: Callable[..., Race], tmp_path: Path) -> None:
    first = race(most=8)
    store = Store(tmp_path / "results", "main")
    victim = store.trial_ids()[0]
    (store.folder(victim) / "trial.json").write_text("{")
    assert race(most=8) == first
    assert len(training.rounds[-1]) == 1
